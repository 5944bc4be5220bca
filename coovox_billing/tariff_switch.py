"""Scheduled tariffs, made the ones that count when their time comes: a job of the call plane.

It has a connection and a thread of its own, for a tariff may have thousands of rates: the loop that answers Asterisk
goes on meanwhile. Calls ask the database for their rates each time, so that nobody has to be told.
"""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from coovox_billing.services import tariff_drafts
from coovox_billing.services.tariff_drafts import Prepared
from coovox_billing.store import tariff_drafts as stored
from coovox_billing.store.database import read_apart, write_apart

LOOK_SECONDS = 15.0
LEAST_SECONDS = 0.05
# Clocks of one machine, read one after the other, differ by so much; NTP slews by less.
STEP_MS = 2_000
JUST_NOW_MS = 1_000

log = logging.getLogger(__name__)


class TariffSwitch:
    """Of one database. `now_ms` is the wall clock, ms since 1970 in UTC; `monotonic` the one that nobody sets, in s."""

    def __init__(self, path: Path, now_ms: Callable[[], int], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._now_ms = now_ms
        self._monotonic = monotonic
        self._even_since = monotonic()
        self._apart_ms = self._apart()

    async def run(self) -> None:
        """Until cancelled. Nothing that goes wrong in one look ends the looking."""
        while True:
            pause_seconds = LOOK_SECONDS
            try:
                pause_seconds = await asyncio.to_thread(self.look)
            except Exception:
                log.exception("whether a tariff is to be activated could not be found out")
            await asyncio.sleep(pause_seconds)

    def look(self) -> float:
        """Activate all that is due; in how many seconds to look again."""
        while prepared := self._due():
            done = partial(tariff_drafts.activate_due, prepared=prepared, now_ms=self._now_ms())
            if write_apart(self._path, done):
                log.info("the tariff %s is active, as it was scheduled", prepared.draft.name)
        return self._pause_seconds(read_apart(self._path, _next_ms))

    def _due(self) -> Prepared | None:
        """The wall clock is read first: set after that, it is found to be uneven, or not believed yet."""
        now_ms = self._now_ms()
        return read_apart(self._path, partial(tariff_drafts.due, now_ms=now_ms, even_ms=self._even_ms()))

    def _pause_seconds(self, next_ms: int | None) -> float:
        """What is overdue and was not activated waits for a clock to trust, or for a disk: that is no hurry."""
        left_ms = LOOK_SECONDS * 1000 if next_ms is None else next_ms - self._now_ms()
        if left_ms < -JUST_NOW_MS:
            return LOOK_SECONDS
        return min(LOOK_SECONDS, max(LEAST_SECONDS, left_ms / 1000))

    def _even_ms(self) -> int:
        """For how long the wall clock has gone as fast as the other."""
        apart_ms = self._apart()
        if abs(apart_ms - self._apart_ms) > STEP_MS:
            log.warning("the clock was set by %.0f s", (apart_ms - self._apart_ms) / 1000)
            self._even_since = self._monotonic()
        self._apart_ms = apart_ms
        return round((self._monotonic() - self._even_since) * 1000)

    def _apart(self) -> int:
        return self._now_ms() - round(self._monotonic() * 1000)


def _next_ms(connection: sqlite3.Connection) -> int | None:
    return next((draft.activate_at_ms for draft in stored.scheduled(connection)), None)
