"""Keeps AstDB as it should be over the manager, without waiting for the next call's session."""

import asyncio
import logging
import time

from coovox_billing.pbx import dialplan_variables as dialplan
from coovox_billing.pbx.ami import Ami
from coovox_billing.pbx.astdb import ManagerAstDb
from coovox_billing.pbx.leftovers import MOST_OVER_THE_MANAGER, Collector, Remains
from coovox_billing.pbx.mirror import bring_up_to_date
from coovox_billing.store import reads
from coovox_billing.store.loop_database import LoopDatabase

TICK_SECONDS = 1.0
LOOK_SECONDS = 30.0
# Nobody else tells of what was left while others were booked, or of what a busy database did not take.
LOOK_AGAIN_SECONDS = {Remains.NOTHING: LOOK_SECONDS, Remains.MORE: 0.0, Remains.STUCK: 5.0}

log = logging.getLogger(__name__)


class AstDbKeeper:
    """Of one Asterisk: a change of an extension is there within a second, a call that passed alone is soon priced."""

    def __init__(self, ami: Ami, database: LoopDatabase, collector: Collector) -> None:
        self._ami = ami
        self._astdb = ManagerAstDb(ami)
        self._database = database
        self._collector = collector
        self._sent = ""
        self._look_at = 0.0
        self._has_looked = False
        self._connection = 0

    async def run(self) -> None:
        """Keep it until cancelled."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            try:
                await self._tick()
            except Exception as error:
                log.warning("AstDB could not be kept up to date: %s", error)

    async def _tick(self) -> None:
        if not self._ami.is_ready:
            return
        if self._ami.connections != self._connection:
            self._connection, self._look_at, self._has_looked = self._ami.connections, 0.0, False
        ours = await self._database.submit(reads.mirror_marker)
        is_wanted = self._collector.is_wanted
        is_time = is_wanted or time.monotonic() >= self._look_at
        if ours == self._sent and not is_time:
            return
        known = await self._astdb.get(dialplan.MIRROR)
        if known != ours:
            await bring_up_to_date(self._astdb, self._database, known, ours)
            known = await self._astdb.get(dialplan.MIRROR)
        self._sent = known
        if is_time:
            self._look_at = time.monotonic() + LOOK_SECONDS
            # Who died while booking may have lowered the flag and not raised it again.
            if is_wanted or not self._has_looked or await self._astdb.get(dialplan.LEFTOVERS):
                remains = await self._collector.collect(self._astdb, MOST_OVER_THE_MANAGER)
                self._has_looked = True
                self._look_at = time.monotonic() + LOOK_AGAIN_SECONDS[remains]
