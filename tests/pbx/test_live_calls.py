"""What the call plane tells Asterisk's manager about calls in progress: in time, once, and on the right channel."""

import asyncio

import pytest

from coovox_billing.pbx import dialplan_variables as dialplan
from coovox_billing.pbx import live_calls as watcher
from coovox_billing.pbx.agi_handlers import AgiHandlers
from coovox_billing.pbx.live_calls import TICK_SECONDS
from coovox_billing.services.live_calls import request_end
from coovox_billing.store.database import connect
from tests.cast import MANAGER, NOW_MS, Exchange, a_leg
from tests.pbx.fake_ami import event
from tests.pbx.fake_asterisk import stamp
from tests.pbx.switchboard import ABROAD, CALLER, TRUNK, UNIQUEID, Box, Channel, Switchboard, make_haste, tell


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    make_haste(monkeypatch)


@pytest.fixture
def exchange(exchange: Exchange) -> Exchange:
    exchange.set("grace_seconds", "0")
    return exchange


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


def test_it_ends_a_call_that_the_manager_wants_ended_within_a_second(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the pace of a real call plane."""
    monkeypatch.setattr("coovox_billing.pbx.live_calls.TICK_SECONDS", TICK_SECONDS)

    async def story(box: Box) -> None:
        box.asks("1")
        box.asks("2")
        await box.switchboard.answers_call("1")
        await box.until(lambda: box.switchboard.trunk.timeouts)
        await box.a_while()
        assert not box.switchboard.trunk.hung_up
        exchange.database.write(lambda connection: request_end(connection, "1", MANAGER))
        await box.until(lambda: box.switchboard.trunk.hung_up, seconds=1)
        assert box.state("2") == "held"

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


def test_it_finds_a_call_again_that_is_on_another_channel(exchange: Exchange, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")

    async def story(box: Box) -> None:
        # Else the first list may find it where it is moved to.
        await box.until(lambda: box.switchboard.fake.asked("Status"))
        box.asks_and_buys_all("1")
        await box.switchboard.answers_call("1", talked_seconds=601)
        moved = Channel("1772442000.9", {dialplan.LEG_ID: "1", dialplan.LEG_ANSWERED: stamp(NOW_MS)})
        box.switchboard.channels.clear()
        box.switchboard.channels["PJSIP/carrier-0000000c"] = moved
        cut = "call 1 cut: Asterisk hangs it up after 60"
        await box.until(lambda: any(line.startswith(cut) for line in caplog.messages))
        assert moved.hung_up

    tell(exchange, story)
    assert "call 1 moved: goes on on channel PJSIP/carrier-0000000c" in caplog.messages


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


def test_it_charges_no_time_in_which_it_hung(exchange: Exchange) -> None:
    """The end was told 3.5 s ago, and the call plane did not listen."""

    async def story(box: Box) -> None:
        box.asks("1")
        await box.switchboard.answers_call("1", talked_seconds=4.5)
        await box.until(lambda: box.live.since_answer_ms("1") is not None)
        answered_ms = NOW_MS - 4_500
        leg = a_leg(talked=1, rang=0, asked_ms=answered_ms, number=ABROAD)
        await AgiHandlers(box.database, box.clock, box.live).book("1", leg)
        call = exchange.call("1")
        assert (call["state"], call["talk_seconds"], call["flags"]) == ("settled", 1, "")

    tell(exchange, story)


# While calls are many


@pytest.fixture
def many_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """One call in a tenth of a second is many here."""
    monkeypatch.setattr(watcher, "PACE_SECONDS", 0.05)
    monkeypatch.setattr(watcher, "CALM_SECONDS", 0.3)
    monkeypatch.setattr(watcher, "BUSY_LIST_SECONDS", 0.05)


async def becomes_busy(box: Box) -> None:
    box.live.count()
    await box.until(lambda: box.live.ami.is_resting)


@pytest.mark.usefixtures("many_calls")
def test_it_finds_what_it_does_not_hear_while_calls_are_many(exchange: Exchange) -> None:
    async def story(box: Box) -> None:
        await becomes_busy(box)
        box.asks("1")
        box.switchboard.is_talking("1")
        await box.until(lambda: box.switchboard.trunk.timeouts)
        assert box.state("1") == "talking"
        assert box.live.since_answer_ms("1") is not None
        assert (box.live.ami.connections, box.switchboard.trunk.timeouts) == (1, [pytest.approx(60, abs=1)])

    tell(exchange, story)


@pytest.mark.usefixtures("many_calls")
def test_it_stays_again_when_calls_are_few(exchange: Exchange) -> None:
    async def story(box: Box) -> None:
        await becomes_busy(box)
        await box.until(lambda: not box.live.ami.is_brief and not box.live.ami.is_resting)
        box.asks("1")
        await box.switchboard.answers_call("1")
        await box.until(lambda: box.switchboard.trunk.timeouts)
        assert box.switchboard.fake.is_anybody_there
        assert not box.live.ami.is_resting

    tell(exchange, story)


@pytest.mark.usefixtures("many_calls")
def test_it_does_not_take_for_a_sign_of_life_that_nobody_is_there_in_a_rest(exchange: Exchange) -> None:
    async def story(box: Box) -> None:
        box.asks("1")
        await box.switchboard.answers_call("1", talked_seconds=20)
        await box.until(lambda: box.live._calls)
        (live,) = box.live._calls.values()
        await box.until(lambda: box.switchboard.trunk.timeouts)
        await becomes_busy(box)
        box.switchboard.spoil_status()
        live.seen_seconds = 11
        await box.switchboard.fake.stop()
        await box.until(lambda: not box.live.is_ready)
        assert live.seen_seconds == 11

    tell(exchange, story)


@pytest.mark.usefixtures("many_calls")
def test_it_notices_an_asterisk_that_started_anew_though_no_call_is_open(exchange: Exchange) -> None:
    async def story(box: Box) -> None:
        await becomes_busy(box)
        box.switchboard.fake.uptime = "0"
        await box.until(lambda: box.live.ami.connections == 2)

    tell(exchange, story)


def test_it_does_not_adopt_again_what_a_late_event_or_list_tells_of(exchange: Exchange) -> None:
    async def story(box: Box) -> None:
        box.asks("1")
        box.live.forget("1")
        await box.switchboard.answers_call("1")
        box.live._find_at = 0.0
        await box.a_while()
        assert box.switchboard.fake.asked("Status")
        assert not box.switchboard.trunk.timeouts

    tell(exchange, story)
