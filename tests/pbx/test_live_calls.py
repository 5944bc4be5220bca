"""What the call plane tells Asterisk's manager about calls in progress: in time, once, and on the right channel."""

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from coovox_billing.pbx import dialplan_variables as dialplan
from coovox_billing.pbx import live_calls
from coovox_billing.pbx.live_calls import LiveCalls
from coovox_billing.store.database import connect
from coovox_billing.store.loop_database import LoopDatabase
from coovox_billing.store.write_group import Job
from tests.cast import NOW_MS, Exchange
from tests.pbx.fake_ami import Action, FakeAmi, event, listed, refused, success
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
            "Getvar": self._on_channel(self._getvar),
            "Setvar": self._on_channel(self._setvar),
            "Hangup": self._on_channel(self._hangup),
            "Originate": success,
        }

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

    def _on_channel(self, answer: Callable[[Action, Channel], str]) -> Callable[[Action], str]:
        def find(action: Action) -> str:
            channel = self.channels.get(action.get("Channel"))
            return refused(action, "No such channel") if channel is None else answer(action, channel)

        return find

    def _getvar(self, action: Action, channel: Channel) -> str:
        known = channel.variables | {"UNIQUEID": channel.uniqueid}
        return success(action, ("Variable", action.get("Variable")), ("Value", known.get(action.get("Variable"), "")))

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


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_calls, "TICK_SECONDS", 0.02)
    monkeypatch.setattr(live_calls, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(live_calls, "LOST_RETRY_SECONDS", 0.05)
    monkeypatch.setattr("coovox_billing.pbx.ami.FIRST_RETRY_SECONDS", 0.02)
    monkeypatch.setattr("coovox_billing.pbx.ami.HEALTHY_SECONDS", 0)


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    exchange = Exchange(tmp_path)
    exchange.set("grace_seconds", "0")
    yield exchange
    findings = exchange.findings()
    exchange.database.close()
    assert findings == []


def tell(
    exchange: Exchange, story: Callable[[Box], Awaitable[None]], prepare: Callable[[Switchboard], None] = lambda _: None
) -> None:
    """Tell a story to a call plane that is signed in, on a switchboard that was prepared."""

    async def told() -> None:
        async with FakeAmi() as fake:
            switchboard = Switchboard(fake)
            prepare(switchboard)
            database = LoopDatabase(exchange.database.path)
            clock = Clock()
            live = LiveCalls(database, fake.address, clock)
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


def test_it_hears_of_an_answer_and_tells_the_limit(exchange: Exchange) -> None:
    async def story(box: Box) -> None:
        box.asks("1")
        await box.switchboard.answers_call("1")
        await box.until(lambda: box.switchboard.trunk.timeouts)
        assert box.state("1") == "talking"
        assert box.switchboard.trunk.timeouts == [pytest.approx(60, abs=1)]
        assert box.live.since_answer_ms("1") is not None
        await box.a_while()
        assert len(box.switchboard.trunk.timeouts) == 1, "a limit that stays is told once"

    tell(exchange, story)


def test_it_moves_the_limit_when_a_stretch_runs_out(exchange: Exchange) -> None:
    async def story(box: Box) -> None:
        box.asks("1")
        await box.switchboard.answers_call("1", talked_seconds=50)
        await box.until(lambda: box.switchboard.trunk.timeouts)
        assert box.switchboard.trunk.timeouts == [pytest.approx(70, abs=1)]
        assert exchange.money("100")[1] == "2.0000"

    tell(exchange, story)


def test_it_lengthens_a_call_whose_money_was_out_when_there_is_more(exchange: Exchange) -> None:
    async def story(box: Box) -> None:
        box.asks_and_buys_all("1")
        await box.switchboard.answers_call("1", talked_seconds=580)
        await box.until(lambda: box.switchboard.trunk.timeouts)
        assert box.switchboard.trunk.timeouts[-1] == pytest.approx(20, abs=1)
        exchange.recharge("100", "1")
        await box.until(lambda: len(box.switchboard.trunk.timeouts) == 2)
        assert box.switchboard.trunk.timeouts[-1] == pytest.approx(80, abs=1)

    tell(exchange, story)


def test_it_warns_once_before_the_money_is_out(exchange: Exchange) -> None:
    async def story(box: Box) -> None:
        box.asks_and_buys_all("1")
        await box.switchboard.answers_call("1", talked_seconds=575)
        await box.until(lambda: box.switchboard.fake.asked("Originate"))
        await box.a_while()
        (warning,) = box.switchboard.fake.asked("Originate")
        assert warning.get("Data").startswith(f"{CALLER},")
        said = dict(value.split("=", 1) for name, value in warning.headers if name == "Variable")
        assert (said["COOVOX_LANGUAGE"], 24 <= int(said["COOVOX_SECONDS"]) <= 25) == ("es", True)
        assert not box.switchboard.trunk.hung_up

    tell(exchange, story)


def test_it_warns_as_soon_as_somebody_talks_with_the_trunk_again(exchange: Exchange) -> None:
    async def story(box: Box) -> None:
        box.asks_and_buys_all("1")
        peer = box.switchboard.trunk.variables.pop("BRIDGEPEER")
        await box.switchboard.answers_call("1", talked_seconds=575)
        await box.until(lambda: box.switchboard.trunk.timeouts)
        await box.a_while()
        assert box.switchboard.fake.asked("Originate") == []
        box.switchboard.trunk.variables["BRIDGEPEER"] = peer
        await box.until(lambda: box.switchboard.fake.asked("Originate"))

    tell(exchange, story)


def test_it_does_not_warn_where_the_setting_says_so(exchange: Exchange) -> None:
    async def story(box: Box) -> None:
        exchange.set("warning_seconds", "0")
        box.asks_and_buys_all("1")
        await box.switchboard.answers_call("1", talked_seconds=590)
        await box.until(lambda: box.switchboard.trunk.timeouts)
        await box.a_while()
        assert box.switchboard.fake.asked("Originate") == []

    tell(exchange, story)


def test_it_cuts_a_call_that_talked_beyond_what_can_be_paid(exchange: Exchange) -> None:
    async def story(box: Box) -> None:
        box.asks_and_buys_all("1")
        await box.switchboard.answers_call("1", talked_seconds=601)
        await box.until(lambda: box.switchboard.trunk.hung_up)

    tell(exchange, story)


def test_it_cuts_calls_of_a_locked_extension_where_the_setting_says_so(exchange: Exchange) -> None:
    async def story(box: Box) -> None:
        box.asks("1")
        await box.switchboard.answers_call("1")
        await box.until(lambda: box.switchboard.trunk.timeouts)
        exchange.change("100", status="locked")
        await box.a_while()
        assert not box.switchboard.trunk.hung_up
        exchange.set("locking_ends_calls", "yes")
        await box.until(lambda: box.switchboard.trunk.hung_up)

    tell(exchange, story)


def test_it_lifts_the_limit_when_billing_is_deactivated(exchange: Exchange) -> None:
    async def story(box: Box) -> None:
        box.asks("1")
        await box.switchboard.answers_call("1", talked_seconds=10)
        await box.until(lambda: box.switchboard.trunk.timeouts)
        exchange.switch(False)
        await box.until(lambda: box.switchboard.trunk.timeouts[-1] == 0)
        assert exchange.call("1")["billable_seconds"] == 10

    tell(exchange, story)


def test_it_takes_over_calls_that_were_answered_when_it_was_not_there(exchange: Exchange) -> None:
    exchange.ask("1", number=ABROAD, by_stretches=True)

    async def story(box: Box) -> None:
        await box.until(lambda: box.switchboard.trunk.timeouts)
        assert box.state("1") == "talking"
        assert box.switchboard.trunk.timeouts == [pytest.approx(80, abs=1)]

    tell(exchange, story, lambda switchboard: switchboard.is_talking("1", talked_seconds=40))


def test_it_takes_over_what_it_knows_while_somebody_spoils_the_list(exchange: Exchange) -> None:
    """A phone can dial lines that break up Asterisk's answer to Status, for as long as its call lives."""
    exchange.ask("1", number=ABROAD, by_stretches=True)
    exchange.ask("2", number=ABROAD, by_stretches=True)
    exchange.answer("1", rang=-40)

    async def story(box: Box) -> None:
        await box.until(lambda: box.switchboard.trunk.timeouts)
        assert box.switchboard.trunk.timeouts[0] == pytest.approx(80, abs=1)
        assert box.state("2") == "held"
        box.switchboard.mend_status()
        await box.until(lambda: box.state("2") == "talking")

    def spoil(switchboard: Switchboard) -> None:
        switchboard.spoil_status()
        switchboard.is_talking("1", talked_seconds=40)
        switchboard.channels["PJSIP/carrier-0000000c"] = Channel("1772442000.9")
        switchboard.is_talking("2", channel="PJSIP/carrier-0000000c")

    tell(exchange, story, spoil)


def test_it_does_not_believe_an_event_that_moves_a_call(exchange: Exchange) -> None:
    async def story(box: Box) -> None:
        box.asks("1")
        await box.switchboard.answers_call("1")
        await box.until(lambda: box.switchboard.trunk.timeouts)
        forged = {"UserEvent": dialplan.ANSWERED_EVENT, "ID": "1", "Stamp": stamp(NOW_MS - 601_000)}
        other = {"Channel": CALLER, "Uniqueid": box.switchboard.channels[CALLER].uniqueid}
        await box.switchboard.fake.send(event("UserEvent", forged | other))
        await box.a_while()
        assert not any(channel.hung_up for channel in box.switchboard.channels.values())
        assert box.switchboard.channels[CALLER].timeouts == []

    tell(exchange, story)


def test_it_tells_its_limits_again_over_a_new_connection(exchange: Exchange) -> None:
    async def story(box: Box) -> None:
        box.asks("1")
        box.switchboard.is_talking("1")
        await box.switchboard.answers_call("1")
        for times in range(1, 11):
            await box.until(lambda times=times: len(box.switchboard.trunk.timeouts) == times)
            await box.switchboard.fake.drop()
        await box.until(lambda: len(box.switchboard.trunk.timeouts) == 11)
        assert box.switchboard.trunk.timeouts == [pytest.approx(60, abs=3)] * 11

    tell(exchange, story)


@pytest.mark.parametrize(
    "other",
    [
        Channel(uniqueid="1790000000.7"),
        Channel(),
        Channel(variables={dialplan.LEG_ID: "2"}),
        Channel("1790000000.7", {dialplan.LEG_ID: "2"}),
    ],
    ids=["another's", "nobody's, with its Uniqueid", "another call's, with its Uniqueid", "another call's"],
)
def test_it_does_not_touch_another_channel_of_the_same_name(exchange: Exchange, other: Channel) -> None:
    async def story(box: Box) -> None:
        box.asks_and_buys_all("1")
        await box.switchboard.answers_call("1", talked_seconds=601)
        box.switchboard.channels[TRUNK] = other
        await box.until(lambda: len(box.switchboard.fake.asked("Status")) > 1)
        await box.a_while()
        assert (box.switchboard.trunk.timeouts, box.switchboard.trunk.hung_up) == ([], False)

    tell(exchange, story)


def test_it_finds_a_call_again_that_is_on_another_channel(exchange: Exchange) -> None:
    async def story(box: Box) -> None:
        box.asks_and_buys_all("1")
        await box.switchboard.answers_call("1", talked_seconds=601)
        moved = Channel("1772442000.9", {dialplan.LEG_ID: "1", dialplan.LEG_ANSWERED: stamp(NOW_MS)})
        box.switchboard.channels = {"PJSIP/carrier-0000000c": moved}
        await box.until(lambda: moved.hung_up)

    tell(exchange, story)


def test_it_forgets_a_call_that_is_over(exchange: Exchange) -> None:
    async def story(box: Box) -> None:
        box.asks("1")
        await box.switchboard.answers_call("1")
        await box.until(lambda: box.switchboard.trunk.timeouts)
        box.live.forget("1")
        exchange.settle("1", 5)
        await box.until(lambda: box.live.since_answer_ms("1") is None)
        await box.switchboard.answers_call("1")
        await box.until(lambda: box.live.since_answer_ms("1") is None)
        assert box.state("1") == "settled"

    tell(exchange, story)


@pytest.mark.parametrize(
    ("call_id", "answered"), [("", "1.000"), ("nobody", "1.000"), ("1", ""), ("1", "noon"), ("(null)", "(null)")]
)
def test_it_does_not_mind_events_that_say_nothing(exchange: Exchange, call_id: str, answered: str) -> None:
    async def story(box: Box) -> None:
        box.asks("1")
        headers = {"UserEvent": dialplan.ANSWERED_EVENT, "Channel": TRUNK, "Uniqueid": UNIQUEID}
        await box.switchboard.fake.send(event("UserEvent", headers | {"ID": call_id, "Stamp": answered}))
        await box.switchboard.fake.send(event("UserEvent", {"UserEvent": "Other", "ID": "1", "Stamp": "1.000"}))
        await box.a_while()
        assert (box.state("1"), box.switchboard.trunk.timeouts) == ("held", [])

    tell(exchange, story)


def test_it_buys_nothing_for_a_call_that_is_not_there(exchange: Exchange) -> None:
    """The plug was pulled in mid-call, and two hours later all that is left of it is its row."""
    exchange.ask("1", number=ABROAD, by_stretches=True)
    exchange.answer("1", rang=-7_200)

    async def story(box: Box) -> None:
        await box.until(lambda: len(box.switchboard.fake.asked("Status")) >= 2)
        await box.a_while()
        asked = len(box.switchboard.fake.asked("Getvar"))
        await box.a_while()
        assert len(box.switchboard.fake.asked("Getvar")) == asked, "it is not looked for any more"
        assert exchange.money("100") == ("10.0000", "1.0000")

    tell(exchange, story, lambda switchboard: switchboard.channels.clear())


@pytest.mark.parametrize("stepped_seconds", [-3_600, 300, 1_700_000_000])
def test_it_does_not_take_a_clock_that_stepped_for_talk(exchange: Exchange, stepped_seconds: int) -> None:
    """At a takeover the wall clock is all there is; where it is impossible, what was promised counts as talked."""
    exchange.ask("1", number=ABROAD, by_stretches=True)

    async def story(box: Box) -> None:
        await box.until(lambda: box.switchboard.trunk.timeouts)
        assert box.switchboard.trunk.timeouts[0] == pytest.approx(60, abs=1)
        assert not box.switchboard.trunk.hung_up
        assert exchange.money("100")[1] == "2.0000"
        assert box.live.since_answer_ms("1") is None, "that time is not our own"

    tell(exchange, story, lambda switchboard: switchboard.is_talking("1", talked_seconds=30 + stepped_seconds))


@pytest.mark.parametrize("stepped_ms", [-3_600_000, 31_536_000_000])
def test_it_sets_limits_again_when_the_clock_stepped(exchange: Exchange, stepped_ms: int) -> None:
    async def story(box: Box) -> None:
        box.asks("1")
        await box.switchboard.answers_call("1")
        await box.until(lambda: box.switchboard.trunk.timeouts)
        box.clock.stepped_ms = stepped_ms
        await box.until(lambda: len(box.switchboard.trunk.timeouts) == 2)
        assert box.switchboard.trunk.timeouts == [pytest.approx(60, abs=2)] * 2
        talked_ms = box.live.since_answer_ms("1")
        assert talked_ms is not None
        assert talked_ms < 3_000

    tell(exchange, story)


def test_it_does_not_lose_a_change_when_its_write_is_run_again(exchange: Exchange) -> None:
    async def story(box: Box) -> None:
        exchange.set("locking_ends_calls", "yes")
        box.asks("1")
        await box.switchboard.answers_call("1")
        await box.until(lambda: box.switchboard.trunk.timeouts)
        box.spoils_groups()
        exchange.change("100", status="locked")
        await box.until(lambda: box.switchboard.trunk.hung_up)

    tell(exchange, story)


def test_it_takes_over_once_the_database_is_free(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coovox_billing.store.loop_database.BUSY_TIMEOUT_MS", 100)
    exchange.ask("1", number=ABROAD, by_stretches=True)
    other = connect(exchange.database.path)
    other.execute("BEGIN IMMEDIATE")

    async def story(box: Box) -> None:
        await asyncio.sleep(0.5)
        assert box.switchboard.trunk.timeouts == []
        other.execute("ROLLBACK")
        await box.until(lambda: box.switchboard.trunk.timeouts)
        assert box.state("1") == "talking"

    tell(exchange, story, lambda switchboard: switchboard.is_talking("1", talked_seconds=40))
    other.close()
