"""Calls whose end nobody told: which are open, and how each is closed by what was found of it (DESIGN §5).

Each function is a job for the write door and may be repeated.
"""

import sqlite3
from collections.abc import Collection
from dataclasses import dataclass, replace

from coovox_billing.core.call import LOST, OPEN_STATES, Source, State
from coovox_billing.core.clock import UNKNOWN
from coovox_billing.core.evidence import Sought, Trace
from coovox_billing.services import live_calls, settlement
from coovox_billing.services.live_calls import Answered
from coovox_billing.store import reads, writes

SEEN_AT = "calls_seen_at_ms"


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
        Sought(call["call_id"], call["caller_uniqueid"], call["linkedid"], devices)
        for call in reads.open_calls(connection)
        if call["call_id"] in call_ids
    ]


def unsettled(connection: sqlite3.Connection, call_ids: Collection[str]) -> set[str]:
    """Those of the calls for which the record of a leg may be news: all but those whose true end was booked."""
    calls = {call_id: reads.call(connection, call_id) for call_id in call_ids}
    return {call_id for call_id, call in calls.items() if call is None or _is_unsettled(call)}


def close(
    connection: sqlite3.Connection,
    call_id: str,
    trace: Trace | None,
    seen_ms: int,
    talked_seconds: float | None,
    now_ms: int,
) -> None:
    """Close a call that is not in Asterisk any more: by its trace in Asterisk's records, else by rule.

    The last sign of life is `talked_seconds` of talk where the call was watched, else `seen_ms`, when Asterisk was
    last known to be there.
    """
    call = reads.call(connection, call_id)
    if call is None or call["state"] not in OPEN_STATES:
        return
    if trace is not None and trace.ended_ms is not None:
        ended = settlement.leg_of_call(call, trace.answered_ms, trace.ended_ms)
        ended = replace(ended, uniqueid=trace.uniqueid or ended.uniqueid)
        settlement.settle(connection, call_id, ended, UNKNOWN, now_ms, Source(trace.source))
        return
    answered_ms = call["answered_at_ms"]
    if trace is not None:
        answered_ms = trace.answered_ms
        live_calls.answer(connection, Answered(call_id, trace.answered_ms, trace.channel, trace.uniqueid))
    if talked_seconds is None:
        talked_seconds = 0 if answered_ms is None else max(0, seen_ms - answered_ms) / 1000
    settlement.lose(connection, call_id, int(talked_seconds), now_ms)


def seen_at_ms(connection: sqlite3.Connection) -> int:
    """When calls in progress were last seen alive, as far as it was stored; ms since 1970 in UTC, 0 for never."""
    return int(reads.site_value(connection, SEEN_AT) or 0)


def keep_seen_at_ms(connection: sqlite3.Connection, now_ms: int) -> None:
    """Store that the calls in progress are alive, for whoever starts after a power cut."""
    writes.set_site_value(connection, SEEN_AT, str(now_ms))


def _is_unsettled(call: sqlite3.Row) -> bool:
    return call["state"] != State.SETTLED or LOST in call["flags"].split()
