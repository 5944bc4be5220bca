"""Closes the calls whose end nobody told: when they are certainly gone, and by the best evidence there is (DESIGN §5).

A call is gone when two complete lists of Asterisk's channels have it neither on
its caller's channel nor on its trunk's. Evidence is looked for in AstDB, in our
CEL file, in CDR; without any the call is closed by rule and flagged for a person.
"""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from coovox_billing.core.call import Source
from coovox_billing.core.evidence import Trace
from coovox_billing.core.leg import Leg, parse_leg
from coovox_billing.errors import BadInput
from coovox_billing.pbx import cdr_file, cel_file
from coovox_billing.pbx import dialplan_variables as dialplan
from coovox_billing.pbx.astdb import AstDb
from coovox_billing.pbx.call_lines import tell
from coovox_billing.pbx.leftovers import MOST_OVER_THE_MANAGER, Books, Collector
from coovox_billing.services import reconciliation
from coovox_billing.services.reconciliation import OpenCall
from coovox_billing.store.loop_database import LoopDatabase
from coovox_billing.store.write_group import TooLate

LOOK_SECONDS = 60.0
PATIENCE_SECONDS = 4.0
LONGEST_RING_SECONDS = 180
LONGEST_UNLIMITED_SECONDS = 86_400
UNLISTED_SECONDS = 180.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Roll:
    """A complete list of the calls that Asterisk has on any channel, and what is known of those that were watched.

    `talked_seconds`: of the calls that were watched, the talk at their last sign of life.
    """

    there: frozenset[str]
    is_first: bool
    talked_seconds: Mapping[str, float]
    astdb: AstDb


class Reconciler:
    """Of one Asterisk, whose logs are below a directory. `now_ms` is the wall clock, ms since 1970 in UTC."""

    def __init__(
        self,
        database: LoopDatabase,
        books: Books,
        collector: Collector,
        log_directory: Path,
        now_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._books = books
        self._collector = collector
        self._log_directory = log_directory
        self._now_ms = now_ms
        self._missing_since: dict[str, float] = {}
        self._open_since: dict[str, float] = {}
        self._listed_at = time.monotonic()
        self._is_cel_booked = False

    async def run(self) -> None:
        """Until cancelled: what needs no list of channels. Nothing that goes wrong in one look ends the looking."""
        while True:
            if not self._is_cel_booked:
                await self._guarded(self._book_left_in_cel)
            await self._guarded(self._close_overdue)
            await asyncio.sleep(LOOK_SECONDS)

    async def compare(self, roll: Roll) -> frozenset[str]:
        """Close what is certainly gone; the calls that are missing and still open, so that a further list is wanted.

        Raises:
            AmiError, AmiGone: AstDB could not be read; nothing is closed without it.
        """
        self._listed_at = time.monotonic()
        if roll.is_first:
            await self._guarded(self._book_left_in_cel)
        missing = [call for call in await self._open_calls() if call.call_id not in roll.there]
        now = time.monotonic()
        self._missing_since = {call.call_id: self._missing_since.get(call.call_id, now) for call in missing}
        gone = {call.call_id for call in missing if now - self._missing_since[call.call_id] >= _patience_seconds(call)}
        closed = await self._close_by_evidence(gone, roll) if gone else set()
        return frozenset(call.call_id for call in missing) - closed

    async def _close_by_evidence(self, gone: set[str], roll: Roll) -> set[str]:
        """Those that were closed: not what still waits in AstDB to be booked."""
        if await roll.astdb.keys(dialplan.LEFT):
            await self._collector.collect(roll.astdb, MOST_OVER_THE_MANAGER)
        waiting = {key.partition(".")[0] for key in await roll.astdb.keys(dialplan.LEFT)}
        closed = gone - waiting
        return await self._close(closed, roll.talked_seconds)

    async def _close(self, gone: set[str], talked_seconds: Mapping[str, float]) -> set[str]:
        """Those that were closed: all at once, for each may wait for the disk, and none for another that fails."""
        traces = await self._traces(gone)
        now_ms = self._now_ms()
        closing = {
            call_id: self._database.submit(
                partial(
                    reconciliation.close,
                    call_id=call_id,
                    trace=traces.get(call_id),
                    talked_seconds=talked_seconds.get(call_id),
                    now_ms=now_ms,
                )
            )
            for call_id in gone
        }
        if closing:
            await asyncio.wait(closing.values())
        for call_id, done in closing.items():
            if error := done.exception():
                log.error("call %s is gone from Asterisk and could not be closed yet: %s", call_id, error)
            else:
                log.warning("call %s is gone from Asterisk: %s", call_id, _how(traces.get(call_id)))
                tell(call_id, done.result())
        return {call_id for call_id, done in closing.items() if done.exception() is None}

    async def _traces(self, call_ids: set[str]) -> dict[str, Trace]:
        """What Asterisk's files tell; they may be large, so a thread reads them.

        CDR is asked only for what CEL does not know: of a leg that was transferred it may have a part alone.
        """
        sought = await self._database.submit(lambda connection: reconciliation.sought(connection, call_ids))
        found = await asyncio.to_thread(cel_file.find_traces, self._log_directory, sought)
        rest = [call for call in sought if call.call_id not in found]
        if rest:
            found |= await asyncio.to_thread(cdr_file.find_traces, self._log_directory, rest)
        return found

    async def _book_left_in_cel(self) -> None:
        """What the dialplan left, for the case that AstDB has lost it."""
        records = await asyncio.to_thread(cel_file.left_records, self._log_directory)
        legs = [(call_id, leg) for call_id, record in records if (leg := _leg(call_id, record))]
        news = await self._database.submit(lambda connection: reconciliation.news(connection, legs))
        booked = [await self._book_left(call_id, leg) for call_id, leg in news]
        self._is_cel_booked = all(booked)

    async def _book_left(self, call_id: str, leg: Leg) -> bool:
        """Whether there is no more to do about it."""
        try:
            await self._books.book(call_id, leg, Source.CEL)
        except (sqlite3.Error, TooLate, TimeoutError) as error:
            log.error("call %s: its record in CEL could not be booked yet: %s", call_id[:80], error)
            return False
        except (ArithmeticError, ValueError) as error:
            log.warning("call %s: its record in CEL tells nothing: %s", call_id[:80], error)
        return True

    async def _close_overdue(self) -> None:
        """Where nobody can list the channels: what has rung and talked for longer than it may is over."""
        await asyncio.to_thread(cel_file.rotate, self._log_directory)
        now = time.monotonic()
        calls = await self._open_calls()
        self._open_since = {call.call_id: self._open_since.get(call.call_id, now) for call in calls}
        if now - self._listed_at < UNLISTED_SECONDS:
            return
        overdue = {call.call_id for call in calls if now - self._open_since[call.call_id] > _longest_seconds(call)}
        if overdue:
            await self._close(overdue, {})

    async def _open_calls(self) -> list[OpenCall]:
        return await self._database.submit(reconciliation.open_calls)

    async def _guarded(self, look: Callable[[], Awaitable[None]]) -> None:
        try:
            await look()
        except Exception:
            log.exception("the calls whose end nobody told could not be looked at")


def _leg(call_id: str, record: str) -> Leg | None:
    try:
        return parse_leg(record)
    except BadInput as error:
        log.warning("call %s: its record in CEL is none: %s", call_id[:80], error)
        return None


def _patience_seconds(call: OpenCall) -> float:
    """For how long a call must be missing: until its next list, and until it cannot be ringing any more."""
    if call.is_answered:
        return PATIENCE_SECONDS
    return PATIENCE_SECONDS + _ring_seconds(call)


def _longest_seconds(call: OpenCall) -> float:
    talk_seconds = LONGEST_UNLIMITED_SECONDS if call.limit_seconds is None else call.limit_seconds
    return _ring_seconds(call) + talk_seconds + LOOK_SECONDS


def _ring_seconds(call: OpenCall) -> int:
    limit_seconds = call.ring_limit_seconds
    return LONGEST_RING_SECONDS if limit_seconds is None else min(limit_seconds, LONGEST_RING_SECONDS)


def _how(trace: Trace | None) -> str:
    if trace is None:
        return "nobody tells how it ended, so it is closed by rule"
    return f"it was answered as {trace.source} tells" + ("" if trace.ended_ms else ", and is closed by rule")
