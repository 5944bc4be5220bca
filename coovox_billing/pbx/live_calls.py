"""Calls in progress, over Asterisk's manager: their hard limit is moved, their caller warned (DESIGN §5).

What a call may still talk is decided by `services.live_calls`; here it is asked
in time, and Asterisk is told. While there is no connection calls go on to the
limit that Asterisk has, and when it is back they are taken over.
"""

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from coovox_billing.core.clock import parse_stamp_ms
from coovox_billing.errors import BadInput
from coovox_billing.pbx import dialplan_variables as dialplan
from coovox_billing.pbx.ami import Ami, AmiAddress, AmiError, AmiGone, Message
from coovox_billing.pbx.warning import warn
from coovox_billing.services import live_calls
from coovox_billing.services.live_calls import Answered, Outlook
from coovox_billing.store import reads
from coovox_billing.store.loop_database import LoopDatabase

TICK_SECONDS = 0.5
RETRY_SECONDS = 1.0
LOST_RETRY_SECONDS = 10.0
CUT_MARGIN_SECONDS = 0.05
UNSET = "(null)"
UNTOLD = -1

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Live:
    """A call in progress; instants are of `time.monotonic()`. `limit_seconds` is what Asterisk was told last."""

    channel: str
    uniqueid: str
    answered: float
    limit_seconds: int | None = UNTOLD
    review_at: float = 0.0
    is_warned: bool = False

    @property
    def talked_seconds(self) -> float:
        return time.monotonic() - self.answered


class LiveCalls:
    """Those of one Asterisk. `now_ms` is the wall clock, ms since 1970 in UTC."""

    def __init__(self, database: LoopDatabase, address: AmiAddress, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms
        self._ami = Ami(address, self._hear, self._ready)
        self._calls: dict[str, _Live] = {}
        self._data_version = 0
        self._is_new_connection = False
        self._find_at = inf

    @property
    def is_ready(self) -> bool:
        """Whether limits can be moved just now."""
        return self._ami.is_ready

    async def run(self) -> None:
        """Watch over the calls until cancelled."""
        connection = asyncio.create_task(self._ami.run())
        try:
            while True:
                await asyncio.sleep(TICK_SECONDS)
                await self._tick()
        finally:
            connection.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await connection

    def since_answer_ms(self, call_id: str) -> int | None:
        """Our own monotonic time since a call was answered, None where we were not there."""
        live = self._calls.get(call_id)
        return None if live is None else int(live.talked_seconds * 1000)

    def forget(self, call_id: str) -> None:
        """The trunk's leg ended."""
        self._calls.pop(call_id, None)

    def adopt(self, call_id: str, stamp: str, channel: str, uniqueid: str) -> None:
        """A trunk's leg was answered at a stamp of the dialplan: from now on the call is watched over.

        An event may be forged by what a phone dialed, so one about a call that is known changes nothing.
        """
        if not call_id or call_id == UNSET or call_id in self._calls:
            return
        try:
            answered_ms = parse_stamp_ms("" if stamp == UNSET else stamp)
        except BadInput as error:
            log.warning("call %s: %s", call_id[:80], error)
            return
        if answered_ms is None:
            return
        answered = Answered(call_id, answered_ms, channel, uniqueid)
        self._watch(answered)
        self._database.submit(lambda connection: live_calls.answer(connection, answered))

    def _watch(self, answered: Answered) -> None:
        talked_ms = max(0, self._now_ms() - answered.answered_ms)
        answered_at = time.monotonic() - talked_ms / 1000
        self._calls[answered.call_id] = _Live(answered.channel, answered.uniqueid, answered_at)

    def _hear(self, event: Message) -> None:
        if event.get("UserEvent") == dialplan.ANSWERED_EVENT:
            self.adopt(event.get("ID"), event.get("Stamp"), event.get("Channel"), event.get("Uniqueid"))

    def _ready(self) -> None:
        self._is_new_connection = True

    async def _take_over(self) -> None:
        """Tell Asterisk again what may not have arrived, and find what was answered while nobody listened."""
        for live in self._calls.values():
            live.limit_seconds, live.review_at = UNTOLD, 0.0
        for answered in await self._database.submit(live_calls.talking):
            if answered.call_id not in self._calls:
                self._watch(answered)
        self._find_at = 0.0

    async def _find_channels(self) -> None:
        """Which channel carries which call, by our own variables. Who spoils the list spoils it for a while only."""
        variables = (dialplan.LEG_ID, dialplan.LEG_ANSWERED)
        try:
            channels = await self._ami.listing("Status", {"Variables": ",".join(variables)})
        except (AmiError, AmiGone) as error:
            self._find_at = time.monotonic() + LOST_RETRY_SECONDS
            log.warning("the calls in progress could not be listed: %s", error)
            return
        self._find_at = inf
        for channel in channels:
            call_id, stamp = (channel.variables.get(name, "") for name in variables)
            self._place(call_id, channel.get("Channel"), channel.get("Uniqueid"))
            self.adopt(call_id, stamp, channel.get("Channel"), channel.get("Uniqueid"))

    def _place(self, call_id: str, channel: str, uniqueid: str) -> None:
        """The call is on another channel than before, as a masquerade puts it."""
        live = self._calls.get(call_id)
        if live is not None and live.uniqueid != uniqueid:
            live.channel, live.uniqueid, live.review_at = channel, uniqueid, 0.0

    async def _tick(self) -> None:
        """Nothing that goes wrong in one look may be the end of looking."""
        try:
            if self._ami.is_ready:
                await self._look_ahead()
        except Exception:
            log.exception("the calls in progress could not be looked at")

    async def _look_ahead(self) -> None:
        if self._is_new_connection:
            self._is_new_connection = False
            await self._take_over()
        if time.monotonic() >= self._find_at:
            await self._find_channels()
        outlooks = await self._review() if self._calls else []
        followed = await asyncio.gather(*(self._follow(call_id, outlook) for call_id, outlook in outlooks))
        if not all(followed):
            self._find_at = 0.0

    async def _review(self) -> list[tuple[str, Outlook | None]]:
        """The outlook of those whose time has come; of all, where another process changed the database."""
        now = time.monotonic()

        def review(connection: sqlite3.Connection) -> list[tuple[str, Outlook | None]]:
            version = reads.data_version(connection)
            changed, self._data_version = version != self._data_version, version
            talked = {
                call_id: int(live.talked_seconds)
                for call_id, live in self._calls.items()
                if changed or live.review_at <= now
            }
            outlooks = live_calls.review(connection, talked)
            return [(call_id, outlooks.get(call_id)) for call_id in talked]

        return await self._database.submit(review)

    async def _follow(self, call_id: str, outlook: Outlook | None) -> bool:
        """Make Asterisk do what was decided; what it could not be told is tried again. False: where is the channel?"""
        live = self._calls.get(call_id)
        if live is None:
            return True
        if outlook is None:
            self.forget(call_id)
            return True
        live.review_at = live.answered + outlook.review_at_seconds
        try:
            await self._tell(live, outlook)
        except AmiGone as error:
            live.review_at = time.monotonic() + RETRY_SECONDS
            log.warning("call %s: its limit could not be moved: %s", call_id, error)
        except AmiError as error:
            live.review_at = time.monotonic() + LOST_RETRY_SECONDS
            log.warning("call %s: its channel is looked for again: %s", call_id, error)
            return False
        return True

    async def _tell(self, live: _Live, outlook: Outlook) -> None:
        if outlook.must_end or _left_seconds(live, outlook) <= 0:
            await self._on_its_channel(live, "Hangup", ("Cause", "16"))
            return
        if outlook.limit_seconds != live.limit_seconds:
            await self._move_limit(live, outlook)
        if not outlook.is_last:
            live.is_warned = False
        elif not live.is_warned and _left_seconds(live, outlook) <= outlook.warning_seconds:
            live.is_warned = await warn(self._ami, live.channel, round(_left_seconds(live, outlook)))

    async def _move_limit(self, live: _Live, outlook: Outlook) -> None:
        """TIMEOUT(absolute) counts from when it is set; 0 is none."""
        left = _left_seconds(live, outlook)
        value = "0" if left == inf else f"{left + CUT_MARGIN_SECONDS:.3f}"
        await self._on_its_channel(live, "Setvar", ("Variable", "TIMEOUT(absolute)"), ("Value", value))
        live.limit_seconds = outlook.limit_seconds

    async def _on_its_channel(self, live: _Live, action: str, *fields: tuple[str, str]) -> None:
        """An action on the call's channel, unless that name means another channel by now."""
        answer = await self._ami.action("Getvar", [("Channel", live.channel), ("Variable", "UNIQUEID")])
        if answer.get("Value") != live.uniqueid:
            raise AmiError(f"{live.channel} is another channel now")
        await self._ami.action(action, [("Channel", live.channel), *fields])


def _left_seconds(live: _Live, outlook: Outlook) -> float:
    return inf if outlook.limit_seconds is None else outlook.limit_seconds - live.talked_seconds
