"""Calls in progress: their answer, the talk they buy ahead, and what ends them (DESIGN §5).

Each function is a job for the write door and may be repeated.
"""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any

from coovox_billing.core.call import ALONE, OPEN_STATES, Event, State, next_state
from coovox_billing.core.clock import MOST_TALK_SECONDS
from coovox_billing.core.leg import EMERGENCY, Leg
from coovox_billing.core.site_settings import Site
from coovox_billing.core.stretch import Promise, hour_micros, lengthen
from coovox_billing.errors import NotFound, Refused
from coovox_billing.services import accounts
from coovox_billing.services.accounts import Person
from coovox_billing.services.calls import account_view, call_of_answered
from coovox_billing.store import reads, writes
from coovox_billing.store.call_changes import CallChange, CallRow

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
    the caller is to hear that. `must_end`: it is to be cut now. `is_lifted`: it
    had a limit, which is to be taken away. `bought_seconds` of talk were bought
    just now, and `hold_micros` is all that the call holds.
    """

    limit_seconds: int | None
    review_at_seconds: float = inf
    is_last: bool = False
    warning_seconds: int = 0
    must_end: bool = False
    is_lifted: bool = False
    bought_seconds: int = field(default=0, compare=False)
    hold_micros: int = field(default=0, compare=False)


WITHOUT_LIMIT = Outlook(None)
LIFTED = Outlook(None, is_lifted=True)


def answer(connection: sqlite3.Connection, answered: Answered) -> CallChange | None:
    """The trunk's leg was answered. Told twice, or too late, it changes nothing."""
    call = reads.call(connection, answered.call_id)
    if call is None:
        return None
    following = next_state(State(call["state"]), Event.ANSWER)
    if following is None:
        return None
    return writes.move_call(
        connection,
        call,
        following,
        answered_at_ms=answered.answered_ms,
        trunk_channel=answered.channel,
        trunk_uniqueid=answered.uniqueid,
    )


def begin_alone(connection: sqlite3.Connection, call_id: str, leg: Leg) -> CallChange | None:
    """A leg that the dialplan let pass alone was answered; it is priced at its end, as of its dialing.

    Where an answer of ours was not heard, nothing of it counts but what is held.
    """
    call = call_of_answered(connection, call_id, leg)
    if call is None:
        return None
    state = State(call["state"])
    following = next_state(state, Event.GO_ALONE)
    if following is None:
        return None
    decided: dict[str, Any] = {}
    if state is not State.HELD:
        decided = {"reason": "billing-down", "rate": None, "why": "[]", **writes.promise_columns(None)}
    return writes.move_call(
        connection,
        call,
        following,
        trunk=leg.trunk or call["trunk"],
        answered_at_ms=leg.answered_ms,
        ended_at_ms=None,
        trunk_uniqueid=leg.uniqueid,
        flags=" ".join(sorted({*call["flags"].split(), ALONE})),
        **decided,
    )


def request_end(connection: sqlite3.Connection, call_id: str, person: Person) -> None:
    """Have a call that is talking hung up; whoever watches over it does that within a second.

    Raises:
        NotFound: there is no such call.
        Refused: nobody has answered it yet, or it is over.
    """
    call = reads.call(connection, call_id)
    if call is None:
        raise NotFound("there is no such call")
    if call["state"] != State.TALKING:
        raise Refused("this call does not talk any more, or not yet: only an answered call can be ended here")
    writes.request_end(connection, call_id)
    accounts.record(connection, person, f"call {call_id}", {"state": call["state"]}, {"state": "to be ended"})


def talking(connection: sqlite3.Connection) -> list[Answered]:
    """The calls that were answered and are not over, as far as anybody told."""
    return [
        Answered(call["call_id"], call["answered_at_ms"], call["trunk_channel"], call["trunk_uniqueid"])
        for call in reads.talking_calls(connection)
    ]


@dataclass(frozen=True, slots=True)
class Resumed:
    """A call that is watched again, or for the first time: its talk so far, and that at its last sign of life.

    `is_certain`: nothing speaks against the wall clock, by which the talk so far is known.
    """

    talked_seconds: float
    seen_seconds: float
    is_certain: bool


def resume(connection: sqlite3.Connection, answered: Answered, now_ms: int) -> Resumed:
    """What is known of a call whose answer nobody of us was there for.

    A clock that stepped meanwhile shows where the answer lies in the future, or beyond the limit that Asterisk has:
    then all that was promised counts as talked.
    """
    call = reads.call(connection, answered.call_id)
    seconds = (now_ms - answered.answered_ms) / 1000
    limit_seconds = None if call is None else call["limit_seconds"]
    seen_seconds = 0.0 if call is None else float(call["seen_talk_seconds"])
    if 0 <= seconds <= (MOST_TALK_SECONDS if limit_seconds is None else limit_seconds):
        return Resumed(seconds, seen_seconds, is_certain=True)
    promised_seconds = None if call is None else call["promised_seconds"]
    return Resumed(max(seen_seconds, promised_seconds or 0.0), seen_seconds, is_certain=False)


def review(connection: sqlite3.Connection, talked: Mapping[str, int]) -> dict[str, Outlook]:
    """How far each call may go, by its whole seconds of talk so far; what runs out soon is lengthened.

    Only for calls that are known to be live: for one that died unseen, all the money would be held. A call
    that is over, or was never known, is not in the answer.
    """
    view = _Review(connection, reads.site(connection))
    outlooks = {}
    for call_id, seconds in talked.items():
        call = reads.call(connection, call_id)
        if call is not None and call["state"] in OPEN_STATES:
            outlooks[call_id] = view.outlook(call, seconds)
    return outlooks


class _Review:
    """One look at some calls. What an hour of an account's calls costs is counted once."""

    def __init__(self, connection: sqlite3.Connection, site: Site) -> None:
        self._connection = connection
        self._site = site
        self._hours_micros: dict[int, int] = {}

    def outlook(self, call: CallRow, talked_seconds: int) -> Outlook:
        if self._must_end(call):
            return Outlook(call["limit_seconds"], talked_seconds + RETRY_SECONDS, must_end=True)
        if call["promised_seconds"] is None:
            return WITHOUT_LIMIT
        if call["billable_seconds"] is None and not self._site.is_active:
            self._lift_limit(call, talked_seconds)
            return LIFTED
        return LIFTED if call["billable_seconds"] is not None else self._look_ahead(call, talked_seconds)

    def _must_end(self, call: CallRow) -> bool:
        if call["end_requested"]:
            return True
        if not self._site.locking_ends_calls or call["account_id"] is None or call["reason"] == EMERGENCY:
            return False
        return bool(reads.account(self._connection, call["account_id"])["status"] == "locked")

    def _lift_limit(self, call: CallRow, talked_seconds: int) -> None:
        """Billing was deactivated: the talk so far is charged, further talk is free."""
        columns = {"billable_seconds": talked_seconds, "limit_seconds": None}
        writes.move_call(self._connection, call, State(call["state"]), **columns)

    def _look_ahead(self, call: CallRow, talked_seconds: int) -> Outlook:
        before = _promise_of(call)
        lead_seconds = max(LEAD_SECONDS, self._site.warning_seconds + WARNING_LEAD_SECONDS)
        promise, is_last = before, False
        while promise.promised_seconds <= talked_seconds + lead_seconds and not is_last:
            longer = self._lengthen(call, promise)
            is_last = longer.promised_seconds <= promise.promised_seconds
            promise = longer
        self._keep(call, before, promise)
        review_at_seconds = max(promise.promised_seconds - lead_seconds, talked_seconds + RETRY_SECONDS)
        return Outlook(
            promise.limit_seconds,
            review_at_seconds,
            is_last,
            self._site.warning_seconds,
            bought_seconds=promise.promised_seconds - before.promised_seconds,
            hold_micros=promise.hold_micros,
        )

    def _lengthen(self, call: CallRow, promise: Promise) -> Promise:
        account = reads.account(self._connection, call["account_id"])
        available_micros = account_view(account).available_micros + call["hold_micros"] - promise.hold_micros
        rate = reads.rate_of_snapshot(call["rate"])
        others_hour_micros = self._hour_micros(call["account_id"]) - hour_micros(rate, _promise_of(call))
        return lengthen(rate, promise, available_micros, others_hour_micros, self._site.terms)

    def _hour_micros(self, account_id: int) -> int:
        """What a further hour of all the account's live calls costs, as they were before this look."""
        if account_id not in self._hours_micros:
            self._hours_micros[account_id] = sum(
                hour_micros(reads.rate_of_snapshot(call["rate"]), _promise_of(call))
                for call in reads.open_priced_calls(self._connection, account_id)
            )
        return self._hours_micros[account_id]

    def _keep(self, call: CallRow, before: Promise, promise: Promise) -> None:
        """The row keeps the farthest limit that Asterisk was ever told, for it may not have heard of a nearer one."""
        farthest = replace(promise, limit_seconds=max(promise.limit_seconds, before.limit_seconds))
        if farthest == before:
            return
        writes.move_call(self._connection, call, State(call["state"]), **writes.promise_columns(farthest))
        more_micros = promise.hold_micros - before.hold_micros
        if more_micros:
            writes.change_hold(self._connection, call["account_id"], more_micros)


def _promise_of(call: CallRow) -> Promise:
    return Promise(
        promised_seconds=call["promised_seconds"],
        limit_seconds=call["limit_seconds"] or 0,
        hold_micros=call["hold_micros"],
        stretch_seconds=call["stretch_seconds"],
    )
