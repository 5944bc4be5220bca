"""A fake Asterisk's channels behind its manager, and a call plane that watches over the calls on them."""

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from coovox_billing.pbx import dialplan_variables as dialplan
from coovox_billing.pbx import live_calls, reconciler
from coovox_billing.pbx.agi_handlers import AgiHandlers
from coovox_billing.pbx.live_calls import LiveCalls
from coovox_billing.pbx.reconciler import Reconciler
from coovox_billing.store.loop_database import LoopDatabase
from coovox_billing.store.write_group import Job
from tests.cast import NOW_MS, Exchange
from tests.pbx.fake_ami import Action, FakeAmi, FakeAstDb, event, get_variable, listed, on_channel, refused, success
from tests.pbx.fake_asterisk import stamp

ABROAD = "004420"
TRUNK, UNIQUEID = "PJSIP/carrier-0000000b", "1772442000.2"
CALLER = "PJSIP/100-0000000a"


class Clock:
    """The wall clock of the call plane: NOW_MS at first, and going on from there."""

    def __init__(self) -> None:
        self._began, self.stepped_ms = time.monotonic(), 0

    def __call__(self) -> int:
        return NOW_MS + self.stepped_ms + int((time.monotonic() - self._began) * 1000)


@dataclass
class Channel:
    """A channel of the fake Asterisk, and what was done to it."""

    uniqueid: str = UNIQUEID
    variables: dict[str, str] = field(default_factory=lambda: {"BRIDGEPEER": CALLER})
    timeouts: list[float] = field(default_factory=list)
    hung_up: bool = False


class Switchboard:
    """The fake Asterisk's channels."""

    def __init__(self, fake: FakeAmi) -> None:
        self.fake = fake
        self.channels = {TRUNK: Channel(), CALLER: Channel("1772442000.1", {"CHANNEL(language)": "es"})}
        fake.answers |= {
            "Status": self._status,
            "Getvar": on_channel(self.channels, get_variable),
            "Setvar": on_channel(self.channels, self._setvar),
            "Hangup": on_channel(self.channels, self._hangup),
            "Originate": success,
        }
        self.astdb = FakeAstDb()
        self.astdb.serve(fake)

    @property
    def trunk(self) -> Channel:
        return self.channels[TRUNK]

    async def answers_call(self, call_id: str, talked_seconds: float = 0.0) -> None:
        """The trunk's leg was answered so long ago, and now says so."""
        self.is_talking(call_id, talked_seconds)
        answered = stamp(NOW_MS - int(talked_seconds * 1000))
        headers = {
            "UserEvent": dialplan.ANSWERED_EVENT,
            "Channel": TRUNK,
            "Uniqueid": self.trunk.uniqueid,
            "ID": call_id,
            "Stamp": answered,
        }
        await self.fake.send(event("UserEvent", headers))

    def spoil_status(self) -> None:
        """Somebody dialed lines of his own."""
        self.fake.answers["Status"] = lambda action: refused(action, "spoiled")

    def mend_status(self) -> None:
        self.fake.answers["Status"] = self._status

    def is_talking(self, call_id: str, talked_seconds: float = 0.0, channel: str = TRUNK) -> None:
        """The trunk's leg was answered when nobody listened."""
        answered = stamp(NOW_MS - int(talked_seconds * 1000))
        self.channels[channel].variables |= {dialplan.LEG_ID: call_id, dialplan.LEG_ANSWERED: answered}

    def _status(self, action: Action) -> str:
        names = action.get("Variables").split(",")
        rows = [
            [("Channel", name), ("Uniqueid", channel.uniqueid)]
            + [("Variable", f"{variable}={channel.variables.get(variable, '(null)')}") for variable in names]
            for name, channel in self.channels.items()
        ]
        return listed(action, "Status", *rows)

    def _setvar(self, action: Action, channel: Channel) -> str:
        assert action.get("Variable") == "TIMEOUT(absolute)"
        channel.timeouts.append(float(action.get("Value")))
        return success(action)

    def _hangup(self, action: Action, channel: Channel) -> str:
        channel.hung_up = True
        return success(action)


@dataclass
class Box:
    """An appliance: the cast's exchange, its Asterisk's manager, and who watches over the calls."""

    exchange: Exchange
    switchboard: Switchboard
    live: LiveCalls
    clock: Clock
    database: LoopDatabase

    async def until(self, condition: Callable[[], object], seconds: float = 3) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.005)

    async def a_while(self) -> None:
        """Long enough for several looks."""
        await asyncio.sleep(0.25)

    def asks(self, call_id: str, number: str = ABROAD) -> None:
        assert self.exchange.ask(call_id, number=number, by_stretches=True).passes

    def asks_and_buys_all(self, call_id: str) -> None:
        """All of the ten minutes that the money affords are bought."""
        self.asks(call_id)
        assert self.exchange.review(**{f"_{call_id}": 565})[call_id].limit_seconds == 600

    def spoils_groups(self) -> None:
        """Every write shares its transaction with one that fails, so that it is run twice."""
        submit = self.database.submit

        def fail(connection: sqlite3.Connection) -> None:
            raise LookupError("spoiled")

        def spoiled(job: Any, deadline: float | None = None) -> Any:
            self.database._group.append(Job(fail, None))
            done = submit(job, deadline)
            submit(fail).add_done_callback(lambda failed: failed.exception())
            self.database._group.pop()
            self.database._begin_group()
            return done

        self.database.submit = spoiled  # type: ignore[method-assign]

    def state(self, call_id: str) -> str:
        return str(self.exchange.call(call_id)["state"])


def make_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks come more often, and tries soon again."""
    monkeypatch.setattr(live_calls, "TICK_SECONDS", 0.02)
    monkeypatch.setattr(live_calls, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(live_calls, "LOST_RETRY_SECONDS", 0.05)
    monkeypatch.setattr("coovox_billing.pbx.ami.FIRST_RETRY_SECONDS", 0.02)
    monkeypatch.setattr("coovox_billing.pbx.ami.HEALTHY_SECONDS", 0)


def reconcile_in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, and what is gone from Asterisk is soon taken for gone."""
    make_haste(monkeypatch)
    monkeypatch.setattr(live_calls, "LIST_SECONDS", 0.2)
    monkeypatch.setattr(live_calls, "SECOND_LIST_SECONDS", 0.05)
    monkeypatch.setattr(reconciler, "PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(reconciler, "LONGEST_RING_SECONDS", 0.2)
    monkeypatch.setattr(reconciler, "LOOK_SECONDS", 0.05)


def tell(
    exchange: Exchange,
    story: Callable[[Box], Awaitable[None]],
    prepare: Callable[[Switchboard], None] = lambda _: None,
    logs: Path | None = None,
) -> None:
    """Tell a story to a call plane that is signed in, on a switchboard that was prepared.

    With `logs`, the directory of Asterisk's, calls that are gone are closed.
    """

    async def told() -> None:
        async with FakeAmi() as fake:
            switchboard = Switchboard(fake)
            prepare(switchboard)
            database = LoopDatabase(exchange.database.path)
            clock = Clock()
            live = LiveCalls(database, fake.address, clock)
            if logs is not None:
                handlers = AgiHandlers(database, clock, live)
                live.compare = Reconciler(database, handlers, handlers.collector, logs, clock).compare
            watching = asyncio.create_task(live.run())
            box = Box(exchange, switchboard, live, clock, database)
            try:
                await box.until(lambda: live.is_ready)
                await story(box)
            finally:
                watching.cancel()
                with suppress(asyncio.CancelledError):
                    await watching
                await database.close()

    asyncio.run(told())
