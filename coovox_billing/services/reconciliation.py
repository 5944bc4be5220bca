"""Calls whose end nobody told: which are open, and how each is closed by what was found of it (DESIGN §5).

Each function is a job for the write door and may be repeated.
"""

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from coovox_billing.core.call import LOST, OPEN_STATES, Source, State, late_id
from coovox_billing.core.clock import UNKNOWN
from coovox_billing.core.evidence import Sought, Trace
from coovox_billing.core.leg import Leg
from coovox_billing.services import live_calls, settlement
from coovox_billing.services.live_calls import Answered
from coovox_billing.store import reads, writes
from coovox_billing.store.call_changes import CallChange, in_one

_RECORDS_SINCE = "records_since_ms"


@dataclass(frozen=True, slots=True)
class OpenCall:
    """A call that is not over as far as anybody told.

    `ring_limit_seconds` and `limit_seconds` are how long it may ring and talk at most, None for no limit.
    """

    call_id: str
    is_answered: bool
    ring_limit_seconds: int | None
    limit_seconds: int | None


def open_calls(connection: sqlite3.Connection) -> list[OpenCall]:
    """All calls that are in progress, as far as anybody told."""
    return [
        OpenCall(call["call_id"], call["state"] == State.TALKING, call["ring_limit_seconds"], call["limit_seconds"])
        for call in reads.open_calls(connection)
    ]


def sought(connection: sqlite3.Connection, call_ids: Collection[str]) -> list[Sought]:
    """Those of the calls that are still open, with what finds them in Asterisk's records."""
    devices = frozenset(reads.trunks(connection))
    return [
        Sought(call["call_id"], call["caller_uniqueid"], call["linkedid"], devices, call["attempt_stamp_ms"])
        for call in reads.open_calls(connection)
        if call["call_id"] in call_ids
    ]


def news(connection: sqlite3.Connection, legs: Sequence[tuple[str, Leg]]) -> list[tuple[str, Leg]]:
    """Those of the legs, each with its call's id, that are not booked yet, and not older than this site.

    Asterisk's files outlive a database: what was dialed before anybody had set anything here was another one's.
    """
    begun_ms = _begun_ms(connection)
    return [
        (call_id, leg)
        for call_id, leg in legs
        if begun_ms is not None and leg.asked_ms >= begun_ms and _is_unsettled(connection, call_id, leg)
    ]


def close(
    connection: sqlite3.Connection,
    call_id: str,
    trace: Trace | None,
    talked_seconds: float | None,
    now_ms: int,
) -> CallChange | None:
    """Close a call that is not in Asterisk any more: by its trace in Asterisk's records, else by rule.

    `talked_seconds` is the talk at its last sign of life where the call was watched; else the stored one counts.
    """
    call = reads.call(connection, call_id)
    if call is None or call["state"] not in OPEN_STATES:
        return None
    if trace is not None and trace.ended_ms is not None:
        ended = settlement.leg_of_call(call, trace.answered_ms, trace.ended_ms)
        ended = replace(ended, uniqueid=trace.uniqueid or ended.uniqueid)
        return settlement.settle(connection, call_id, ended, UNKNOWN, now_ms, Source(trace.source))
    answer = None
    if trace is not None:
        answered = Answered(call_id, trace.answered_ms, trace.channel, trace.uniqueid)
        answer = live_calls.answer(connection, answered)
    seconds = call["seen_talk_seconds"] if talked_seconds is None else int(talked_seconds)
    return in_one(answer, settlement.lose(connection, call_id, seconds, now_ms))


def keep_seen(connection: sqlite3.Connection, talked_seconds: Mapping[str, int]) -> None:
    """Store that calls are alive at so many seconds of talk, for whoever starts after a power cut."""
    for call_id, seconds in talked_seconds.items():
        writes.keep_seen(connection, call_id, seconds)


def begin_anew(connection: sqlite3.Connection, now_ms: int) -> None:
    """The site moves to another machine: what that one's Asterisk has recorded so far was another site's."""
    writes.set_site_value(connection, _RECORDS_SINCE, str(now_ms))


def _begun_ms(connection: sqlite3.Connection) -> int | None:
    begun_ms, moved = reads.first_change_ms(connection), reads.site_value(connection, _RECORDS_SINCE)
    return begun_ms if begun_ms is None or moved is None else max(begun_ms, int(moved))


def _is_unsettled(connection: sqlite3.Connection, call_id: str, leg: Leg) -> bool:
    archived = reads.archived_call(connection, call_id)
    if archived is not None and (archived["state"] == State.SETTLED or leg.answered_ms is None):
        return False
    call = reads.call(connection, call_id if archived is None else late_id(call_id))
    if call is None:
        return True
    return call["state"] != State.SETTLED or LOST in call["flags"].split()
