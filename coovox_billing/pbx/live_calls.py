"""Calls in progress, over Asterisk's manager: their hard limit is moved, their caller warned (DESIGN §5).

What a call may still talk is decided by `services.live_calls`; here it is asked
in time, for calls whose channel is there, and Asterisk is told. While there is
no connection calls go on to the limit that Asterisk has, and when it is back
they are taken over.
"""

import asyncio
import logging
import sqlite3
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from operator import attrgetter

from coovox_billing.core.clock import CLOCK_TOLERANCE_SECONDS, parse_stamp_ms
from coovox_billing.errors import BadInput
from coovox_billing.pbx import call_lines
from coovox_billing.pbx import dialplan_variables as dialplan
from coovox_billing.pbx.ami import Ami, AmiAddress, AmiError, AmiGone, Message
from coovox_billing.pbx.astdb import ManagerAstDb
from coovox_billing.pbx.live_call import UNTOLD, LiveCall, hang_up, is_there, tell_limit
from coovox_billing.pbx.reconciler import Roll
from coovox_billing.pbx.warning import warn
from coovox_billing.services import live_calls, reconciliation
from coovox_billing.services.live_calls import Answered, Outlook, Resumed
from coovox_billing.store import reads
from coovox_billing.store.call_changes import CallChange
from coovox_billing.store.loop_database import LoopDatabase

TICK_SECONDS = 0.5
RETRY_SECONDS = 1.0
LOST_RETRY_SECONDS = 10.0
OWN_SECONDS = 5.0
LIST_SECONDS = 60.0
SECOND_LIST_SECONDS = 5.0
SEEN_SECONDS = 30.0
PACE_SECONDS = 2.0
BUSY_CALLS_PER_SECOND = 10
CALM_SECONDS = 60.0
BUSY_LIST_SECONDS, SLOWEST_BUSY_LIST_SECONDS, BUSY_LIST_SHARE = 2.0, 15.0, 0.05
ENDED_KEPT = 256
REVIEWED_AT_ONCE = 50
UNSET = "(null)"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Stored:
    change: CallChange | None
    resumed: Resumed


async def _nothing_is_missing(roll: Roll) -> Collection[str]:
    return ()


class LiveCalls:
    """Those of one Asterisk. `now_ms` is the wall clock, ms since 1970 in UTC.

    `compare` is given every complete list of calls, and tells which of those that it lacks are still open.
    """

    def __init__(
        self,
        database: LoopDatabase,
        address: AmiAddress,
        now_ms: Callable[[], int],
    ) -> None:
        self.ami = Ami(address, self._hear, self._ready, self._lost)
        self._database = database
        self._now_ms = now_ms
        self.compare: Callable[[Roll], Awaitable[Collection[str]]] = _nothing_is_missing
        self._keep_seen_at = 0.0
        self._calls: dict[str, LiveCall] = {}
        self._ended: deque[str] = deque(maxlen=ENDED_KEPT)
        self._data_version = 0
        self._is_new_connection = False
        self._find_at, self._list_seconds = 0.0, 0.0
        self._asked, self._paced_at, self._calm_at = 0, time.monotonic(), 0.0
        self._clock_offset = self._read_clock_offset()

    @property
    def is_ready(self) -> bool:
        """Whether limits can be moved just now."""
        return self.ami.is_ready

    async def run(self) -> None:
        """Watch over the calls until cancelled."""
        connection = asyncio.create_task(self.ami.run())
        try:
            while not connection.done():
                await asyncio.sleep(TICK_SECONDS)
                await self._tick()
            await connection
        finally:
            connection.cancel()
            await asyncio.wait([connection])

    def since_answer_ms(self, call_id: str) -> int | None:
        """Our own monotonic time since a call was answered, None where we do not know it."""
        live = self._calls.get(call_id)
        return int(live.talked_seconds * 1000) if live is not None and live.is_timed else None

    def forget(self, call_id: str) -> None:
        """The trunk's leg ended, whatever a list tells that was made just before."""
        self._calls.pop(call_id, None)
        self._ended.append(call_id)

    def count(self) -> None:
        """A call is asked about: where they are many, Asterisk is spared its events."""
        self._asked += 1

    def look_soon(self) -> None:
        """A call that was booked just now may be on a channel. Where many are, one list finds them all."""
        self._find_at = min(self._find_at, time.monotonic() + SECOND_LIST_SECONDS)

    def adopt(self, call_id: str, stamp: str, channel: str, uniqueid: str) -> None:
        """A trunk's leg was answered at a stamp of the dialplan: from now on the call is watched over.

        An event may be forged by what a phone dialed, so one about a call that is known changes nothing.
        """
        if not call_id or call_id == UNSET or call_id in self._calls or call_id in self._ended:
            return
        try:
            answered_ms = parse_stamp_ms("" if stamp == UNSET else stamp)
        except BadInput as error:
            log.warning("call %s: %s", call_id[:80], error)
            return
        if answered_ms is not None:
            self._watch(Answered(call_id, answered_ms, channel, uniqueid), is_there=True)

    def _watch(self, answered: Answered, *, is_there: bool) -> None:
        """A stamp of just now is taken at its word; of an older one the database knows what is possible."""
        now, now_ms = time.monotonic(), self._now_ms()
        talked_seconds = (now_ms - answered.answered_ms) / 1000
        if is_there and 0 <= talked_seconds <= OWN_SECONDS:
            self._keep(answered, now, Resumed(talked_seconds, talked_seconds, is_certain=True))

        def store(connection: sqlite3.Connection) -> _Stored:
            return _Stored(live_calls.answer(connection, answered), live_calls.resume(connection, answered, now_ms))

        stored = self._database.submit(store)
        stored.add_done_callback(call_lines.teller(answered.call_id, attrgetter("change")))
        stored.add_done_callback(lambda done: self._stored(answered, now, done, is_there=is_there))

    def _stored(self, answered: Answered, since: float, done: "asyncio.Future[_Stored]", *, is_there: bool) -> None:
        if done.cancelled() or done.exception() is not None:
            log.error("call %s: its answer could not be stored: %s", answered.call_id, done.exception())
            self._calls.pop(answered.call_id, None)
            self._find_at = time.monotonic() + LOST_RETRY_SECONDS
        elif answered.call_id not in self._calls:
            self._keep(answered, since, done.result().resumed)
            self._calls[answered.call_id].is_missing = not is_there

    def _keep(self, answered: Answered, now: float, resumed: Resumed) -> None:
        self._calls[answered.call_id] = LiveCall(
            answered.call_id,
            answered.channel,
            answered.uniqueid,
            answered=now - resumed.talked_seconds,
            is_timed=resumed.is_certain,
            seen_seconds=resumed.seen_seconds,
        )

    def _hear(self, event: Message) -> None:
        if event.get("UserEvent") != dialplan.ANSWERED_EVENT:
            return
        if event.is_ambiguous:
            self._find_at = 0.0
            return
        self.adopt(event.get("ID"), event.get("Stamp"), event.get("Channel"), event.get("Uniqueid"))

    def _ready(self) -> None:
        self._is_new_connection = True

    def _lost(self) -> None:
        """Where Asterisk died, its calls did just now; where nobody was there, some time since they were seen."""
        for live in self._calls.values():
            if not live.is_missing and not self.ami.is_resting:
                live.see()
        self._submit_seen()

    async def _tick(self) -> None:
        """Nothing that goes wrong in one look may be the end of looking."""
        try:
            self._mind_the_pace()
            if self.ami.is_ready:
                await self._look_ahead()
        except Exception:
            log.exception("the calls in progress could not be looked at")

    def _mind_the_pace(self) -> None:
        """While calls are many, what events tell is looked up: see `Ami`."""
        now = time.monotonic()
        if now - self._paced_at < PACE_SECONDS:
            return
        calls_per_second = self._asked / (now - self._paced_at)
        self._asked, self._paced_at = 0, now
        if calls_per_second >= BUSY_CALLS_PER_SECOND:
            self._calm_at = now + CALM_SECONDS
        is_busy = now < self._calm_at
        if is_busy != self.ami.is_brief:
            what = "signs in to Asterisk's manager only to ask" if is_busy else "stays signed in to Asterisk's manager"
            log.info("%.0f calls a second: billing %s", calls_per_second, what)
            self.ami.be_brief(is_busy)
            self._find_at = 0.0

    async def _look_ahead(self) -> None:
        self._mind_the_clock()
        is_first = self._is_new_connection
        if is_first:
            await self._take_over()
            self._is_new_connection = False
        if is_first or (time.monotonic() >= self._find_at and await self._is_list_wanted()):
            await self._find_channels(is_first)
        if not self._calls:
            return
        await self._keep_seen()
        due = await self._due()
        for start in range(0, len(due), REVIEWED_AT_ONCE):
            await self._review(due[start : start + REVIEWED_AT_ONCE])

    def _read_clock_offset(self) -> float:
        return self._now_ms() / 1000 - time.monotonic()

    def _mind_the_clock(self) -> None:
        """Asterisk's limits are by the wall clock: where that stepped, they are set again (DESIGN §5)."""
        offset = self._read_clock_offset()
        if abs(offset - self._clock_offset) > CLOCK_TOLERANCE_SECONDS:
            log.warning(
                "the clock stepped by %.0f s: the limits of all calls are set again", offset - self._clock_offset
            )
            self._tell_all_again()
        self._clock_offset = offset

    def _tell_all_again(self) -> None:
        for live in self._calls.values():
            live.limit_seconds, live.review_at = UNTOLD, 0.0

    async def _take_over(self) -> None:
        """Tell Asterisk again what may not have arrived, and find what was answered while nobody listened."""
        self._tell_all_again()
        for answered in await self._database.submit(live_calls.talking):
            if answered.call_id not in self._calls:
                self._watch(answered, is_there=False)
        self._find_at = 0.0

    async def _is_list_wanted(self) -> bool:
        """Where calls are open; and whatever is, where nobody would notice in between that Asterisk has died."""
        is_brief = self.ami.is_brief
        self._find_at = time.monotonic() + (self._busy_list_seconds() if is_brief else LIST_SECONDS)
        return is_brief or bool(self._calls) or await self._database.submit(reads.has_any_open_call)

    def _busy_list_seconds(self) -> float:
        """A long list is no lighter than the events that it stands for, so it comes less often."""
        return min(max(BUSY_LIST_SECONDS, self._list_seconds / BUSY_LIST_SHARE), SLOWEST_BUSY_LIST_SECONDS)

    async def _keep_seen(self) -> None:
        """After a power cut, this is the last sign of life."""
        is_any_there = not all(live.is_missing for live in self._calls.values())
        if is_any_there and time.monotonic() >= self._keep_seen_at:
            self._keep_seen_at = time.monotonic() + SEEN_SECONDS
            await self._submit_seen()

    def _submit_seen(self) -> "asyncio.Future[None]":
        """Each call for itself: of those that died with an Asterisk, the next one tells nothing."""
        there = {live.call_id: int(live.talked_seconds) for live in self._calls.values() if not live.is_missing}
        return self._database.submit(lambda connection: reconciliation.keep_seen(connection, there))

    async def _find_channels(self, is_first: bool) -> None:
        """Which channel carries which call, by our own variables. Who spoils the list spoils it for a while only."""
        variables = (dialplan.LEG_ID, dialplan.LEG_ANSWERED, dialplan.CALL_ID)
        began = time.monotonic()
        try:
            channels = await self.ami.listing("Status", {"Variables": ",".join(variables)})
        except (AmiError, AmiGone) as error:
            self._find_at = time.monotonic() + LOST_RETRY_SECONDS
            log.warning("the calls in progress could not be listed: %s", error)
            return
        self._list_seconds = time.monotonic() - began
        there, making = set(), set()
        for channel in channels:
            call_id, stamp, made_id = (channel.variables.get(name, "") for name in variables)
            self._place(call_id, channel.get("Channel"), channel.get("Uniqueid"))
            self.adopt(call_id, stamp, channel.get("Channel"), channel.get("Uniqueid"))
            there.add(call_id)
            making.add(made_id)
        await self._miss(there, there | making, is_first)

    def _place(self, call_id: str, channel: str, uniqueid: str) -> None:
        """The call is on another channel than before, as a masquerade puts it."""
        live = self._calls.get(call_id)
        if live is None:
            return
        live.see()
        if (live.channel, live.uniqueid) != (channel, uniqueid):
            call_lines.tell_moved(call_id, channel)
            live.channel, live.uniqueid = channel, uniqueid
            live.limit_seconds, live.review_at = UNTOLD, 0.0

    async def _miss(self, on_trunks: set[str], anywhere: set[str], is_first: bool) -> None:
        """What complete lists do not have is closed by whoever reconciles; what he has closed is watched no more."""
        for live in self._calls.values():
            live.is_missing = live.call_id not in on_trunks
        talked_seconds = {live.call_id: live.seen_seconds for live in self._calls.values()}
        roll = Roll(frozenset(anywhere), is_first, talked_seconds, ManagerAstDb(self.ami))
        still_missing = await self.compare(roll)
        if still_missing:
            self._find_at = min(self._find_at, time.monotonic() + SECOND_LIST_SECONDS)
        for call_id in talked_seconds.keys() - anywhere - set(still_missing):
            log.warning("call %s has no channel any more", call_id)
            self._calls.pop(call_id, None)

    async def _due(self) -> list[LiveCall]:
        """Those whose time has come and whose channel is there; all, where another process changed the database."""
        version = await self._database.submit(reads.data_version)
        changed, self._data_version = version != self._data_version, version
        now = time.monotonic()
        due = [live for live in self._calls.values() if changed or live.review_at <= now]
        there = await asyncio.gather(*(is_there(self.ami, live) for live in due))
        for live, is_known in zip(due, there, strict=True):
            if is_known:
                live.see()
            else:
                live.review_at = now + LOST_RETRY_SECONDS
                self._find_at = 0.0
        return [live for live, is_known in zip(due, there, strict=True) if is_known]

    async def _review(self, due: list[LiveCall]) -> None:
        talked = {live.call_id: int(live.talked_seconds) for live in due}
        outlooks = await self._database.submit(lambda connection: live_calls.review(connection, talked))
        await asyncio.gather(*(self._follow(live, outlooks.get(live.call_id)) for live in due))

    async def _follow(self, live: LiveCall, outlook: Outlook | None) -> None:
        """Make Asterisk do what was decided; what it could not be told is tried again."""
        if outlook is None:
            self._calls.pop(live.call_id, None)
            return
        live.review_at = live.answered + outlook.review_at_seconds
        if outlook.bought_seconds:
            call_lines.tell_lengthened(live.call_id, outlook.bought_seconds, outlook.hold_micros, outlook.limit_seconds)
        try:
            await self._tell(live, outlook)
        except (AmiError, AmiGone, ValueError) as error:
            live.review_at = time.monotonic() + RETRY_SECONDS
            log.warning("call %s: %s", live.call_id, error)

    async def _tell(self, live: LiveCall, outlook: Outlook) -> None:
        limit = outlook.limit_seconds
        if outlook.must_end or (limit is not None and live.left_seconds(limit) <= 0):
            await hang_up(self.ami, live)
            call_lines.tell_cut(live.call_id, int(live.talked_seconds))
        elif outlook.is_lifted or limit is not None:
            await self._tell_limit(live, limit)
        if limit is not None and not outlook.must_end:
            await self._warn(live, outlook, live.left_seconds(limit))

    async def _tell_limit(self, live: LiveCall, limit_seconds: int | None) -> None:
        if live.limit_seconds != limit_seconds:
            await tell_limit(self.ami, live, limit_seconds)
            call_lines.tell_limit(live.call_id, limit_seconds)

    async def _warn(self, live: LiveCall, outlook: Outlook, left_seconds: float) -> None:
        if not outlook.is_last:
            live.is_warned = False
        elif not live.is_warned and 0 < left_seconds <= outlook.warning_seconds:
            live.is_warned = await warn(self.ami, live.channel, round(left_seconds))
            if live.is_warned:
                call_lines.tell_warned(live.call_id, round(left_seconds))
