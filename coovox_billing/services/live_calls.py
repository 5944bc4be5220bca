"""Calls in progress: their answer, the talk they buy ahead, and what ends them (DESIGN §5).

Each function is a job for the write door and may be repeated.
"""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from coovox_billing.core.call import OPEN_STATES, Event, State, next_state
from coovox_billing.core.site_settings import Site
from coovox_billing.core.stretch import Promise, hour_micros, lengthen
from coovox_billing.services.calls import account_view
from coovox_billing.store import reads, writes

LEAD_SECONDS = 20
WARNING_LEAD_SECONDS = 5
RETRY_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Answered:
    """A trunk's leg that was answered: its own stamp (ms since 1970, UTC), its channel and that one's Uniqueid."""

    call_id: str
    answered_ms: int
    channel: str
    uniqueid: str


@dataclass(frozen=True, slots=True)
class Outlook:
    """How far a call in progress may go.

    `limit_seconds` of talk is where Asterisk is to cut, None for a call without
    limit. `review_at_seconds`: the second of talk at which to look again.
    `is_last`: there is no money for more, and `warning_seconds` before the limit
    the caller is to hear that. `must_end`: it is to be cut now.
    """

    limit_seconds: int | None
    review_at_seconds: float = inf
    is_last: bool = False
    warning_seconds: int = 0
    must_end: bool = False


WITHOUT_LIMIT = Outlook(None)


def answer(connection: sqlite3.Connection, answered: Answered) -> None:
    """The trunk's leg was answered. Told twice, or too late, it changes nothing."""
    call = reads.call(connection, answered.call_id)
    if call is None:
        return
    state = State(call["state"])
    following = next_state(state, Event.ANSWER)
    if following is None:
        return
    writes.move_call(
        connection,
        answered.call_id,
        state,
        following,
        answered_at_ms=answered.answered_ms,
        trunk_channel=answered.channel,
        trunk_uniqueid=answered.uniqueid,
    )


def talking(connection: sqlite3.Connection) -> list[Answered]:
    """The calls that were answered and are not over, as far as anybody told."""
    return [
        Answered(call["call_id"], call["answered_at_ms"], call["trunk_channel"], call["trunk_uniqueid"])
        for call in reads.talking_calls(connection)
    ]


def review(connection: sqlite3.Connection, talked: Mapping[str, int]) -> dict[str, Outlook]:
    """How far each call may go, by its whole seconds of talk so far; what runs out soon is lengthened.

    A call that is over, or was never known, is not in the answer.
    """
    site = reads.site(connection)
    outlooks = {}
    for call_id, seconds in talked.items():
        call = reads.call(connection, call_id)
        if call is not None and call["state"] in OPEN_STATES:
            outlooks[call_id] = _outlook(connection, call, seconds, site)
    return outlooks


def _outlook(connection: sqlite3.Connection, call: sqlite3.Row, talked_seconds: int, site: Site) -> Outlook:
    if call["promised_seconds"] is None or call["billable_seconds"] is not None:
        return WITHOUT_LIMIT
    if not site.is_active:
        _lift_limit(connection, call, talked_seconds)
        return WITHOUT_LIMIT
    if site.locking_ends_calls and reads.account(connection, call["account_id"])["status"] == "locked":
        return Outlook(call["limit_seconds"], talked_seconds + RETRY_SECONDS, must_end=True)
    return _look_ahead(connection, call, talked_seconds, site)


def _lift_limit(connection: sqlite3.Connection, call: sqlite3.Row, talked_seconds: int) -> None:
    """Billing was deactivated: the talk so far is charged, further talk is free."""
    state = State(call["state"])
    writes.move_call(connection, call["call_id"], state, state, billable_seconds=talked_seconds, limit_seconds=None)


def _look_ahead(connection: sqlite3.Connection, call: sqlite3.Row, talked_seconds: int, site: Site) -> Outlook:
    before = _promise_of(call)
    lead_seconds = max(LEAD_SECONDS, site.warning_seconds + WARNING_LEAD_SECONDS)
    promise, is_last = before, False
    while promise.promised_seconds <= talked_seconds + lead_seconds and not is_last:
        longer = _lengthen(connection, call, promise, site)
        is_last = longer.promised_seconds <= promise.promised_seconds
        promise = longer
    if promise != before:
        _keep(connection, call, promise)
    review_at_seconds = max(promise.promised_seconds - lead_seconds, talked_seconds + RETRY_SECONDS)
    return Outlook(promise.limit_seconds, review_at_seconds, is_last, site.warning_seconds)


def _lengthen(connection: sqlite3.Connection, call: sqlite3.Row, promise: Promise, site: Site) -> Promise:
    account = reads.account(connection, call["account_id"])
    available_micros = account_view(account).available_micros + call["hold_micros"] - promise.hold_micros
    others_hour_micros = sum(
        hour_micros(reads.rate_of_snapshot(other["rate"]), _promise_of(other))
        for other in reads.open_priced_calls(connection, call["account_id"])
        if other["call_id"] != call["call_id"]
    )
    rate = reads.rate_of_snapshot(call["rate"])
    return lengthen(rate, promise, available_micros, others_hour_micros, site.terms)


def _keep(connection: sqlite3.Connection, call: sqlite3.Row, promise: Promise) -> None:
    state = State(call["state"])
    writes.move_call(connection, call["call_id"], state, state, **writes.promise_columns(promise))
    more_micros = promise.hold_micros - call["hold_micros"]
    if more_micros:
        writes.change_hold(connection, call["account_id"], more_micros)


def _promise_of(call: sqlite3.Row) -> Promise:
    return Promise(
        promised_seconds=call["promised_seconds"],
        limit_seconds=call["limit_seconds"],
        hold_micros=call["hold_micros"],
        stretch_seconds=call["stretch_seconds"],
    )
