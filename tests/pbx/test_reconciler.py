"""Calls whose end nobody told: when they are gone for certain, and by what evidence each is closed."""

import asyncio
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coovox_billing.core.call import Source
from coovox_billing.core.leg import Leg
from coovox_billing.pbx import dialplan_variables as dialplan
from coovox_billing.pbx import live_calls, reconciler
from coovox_billing.pbx.agi_handlers import AgiHandlers
from coovox_billing.pbx.cel_file import CEL_DIRECTORY, CEL_FILE
from coovox_billing.pbx.reconciler import Reconciler
from coovox_billing.services import reconciliation
from coovox_billing.store.loop_database import LoopDatabase
from tests.cast import NOW_MS, Exchange, a_leg, a_record
from tests.pbx.fake_ami import refused
from tests.pbx.fake_asterisk import stamp
from tests.pbx.switchboard import (
    ABROAD,
    CALLER,
    TRUNK,
    UNIQUEID,
    Box,
    Channel,
    Clock,
    Switchboard,
    reconcile_in_haste,
    tell,
)

OPEN = ("held", "talking")


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    reconcile_in_haste(monkeypatch)


@pytest.fixture
def exchange(exchange: Exchange) -> Exchange:
    exchange.set("grace_seconds", "0")
    return exchange


def _write_cel(logs: Path, *events: tuple[str, int, str, str, str]) -> None:
    """Events as Asterisk writes them: name, instant, channel, Uniqueid and, of ours, what it tells."""
    lines = [
        f'"{name}","{stamp(at_ms)}","{channel}","{uniqueid}","1772442000.1","{name if told else ""}",'
        + ('"{""extra"":""' + told + '""}"' if told else '""')
        for name, at_ms, channel, uniqueid, told in events
    ]
    (logs / CEL_DIRECTORY).mkdir(exist_ok=True)
    (logs / CEL_DIRECTORY / CEL_FILE).write_text("".join(f"{line}\n" for line in lines))


def _vanish(switchboard: Switchboard) -> None:
    switchboard.channels.clear()


async def _closed(box: Box, call_id: str = "1") -> dict[str, object]:
    await box.until(lambda: box.state(call_id) not in OPEN, 5)
    return box.exchange.call(call_id)


def test_it_closes_a_call_by_rule_that_died_with_asterisk(exchange: Exchange, tmp_path: Path) -> None:
    """The connection to the manager ends when Asterisk does: that is the last sign of life."""

    async def story(box: Box) -> None:
        box.asks("1")
        await box.switchboard.answers_call("1", talked_seconds=4)
        await box.until(lambda: box.switchboard.trunk.timeouts)
        await asyncio.sleep(1.2)
        _vanish(box.switchboard)
        await box.switchboard.fake.drop()
        call = await _closed(box)
        assert (call["state"], call["flags"], call["settled_by"]) == ("settled", "lost", "rule")
        assert call["talk_seconds"] == 5
        await box.until(lambda: box.live.since_answer_ms("1") is None)

    tell(exchange, story, logs=tmp_path)


def test_it_charges_up_to_the_stored_sign_of_life_after_a_power_cut(exchange: Exchange, tmp_path: Path) -> None:
    exchange.ask("1", number=ABROAD, by_stretches=True)
    exchange.answer("1", rang=0)
    exchange.database.write(lambda c: reconciliation.keep_seen(c, {"1": 37}))

    async def story(box: Box) -> None:
        box.clock.stepped_ms = 600_000
        call = await _closed(box)
        assert (call["talk_seconds"], call["flags"]) == (37, "lost")

    tell(exchange, story, _vanish, logs=tmp_path)


def test_it_stores_a_sign_of_life_while_calls_are_live(exchange: Exchange, tmp_path: Path) -> None:
    async def story(box: Box) -> None:
        box.asks("1")
        await box.switchboard.answers_call("1", talked_seconds=4)
        await box.until(lambda: exchange.call("1")["seen_talk_seconds"] >= 4)

    tell(exchange, story, logs=tmp_path)


@pytest.mark.parametrize("channel", [CALLER, TRUNK])
def test_it_closes_no_call_that_is_on_one_of_its_channels(exchange: Exchange, tmp_path: Path, channel: str) -> None:
    variable = dialplan.CALL_ID if channel == CALLER else dialplan.LEG_ID

    async def story(box: Box) -> None:
        box.asks("1")
        box.switchboard.channels[channel].variables[variable] = "1"
        await asyncio.sleep(1)
        assert box.state("1") == "held"
        _vanish(box.switchboard)
        call = await _closed(box)
        assert (call["state"], call["flags"], exchange.money("100")[1]) == ("released", "lost", "0.0000")

    tell(exchange, story, logs=tmp_path)


def test_it_waits_until_a_call_cannot_ring_any_more(exchange: Exchange, tmp_path: Path) -> None:
    async def story(box: Box) -> None:
        exchange.ask("1", by_stretches=True, ring_limit_seconds=1)
        exchange.ask("2", by_stretches=True, ring_limit_seconds=0)
        await _closed(box, "2")
        assert box.state("1") == "held"
        await _closed(box, "1")

    tell(exchange, story, _vanish, logs=tmp_path)


def test_it_closes_nothing_by_a_list_that_is_refused(exchange: Exchange, tmp_path: Path) -> None:
    async def story(box: Box) -> None:
        box.asks("1")
        await asyncio.sleep(0.6)
        assert box.state("1") == "held"
        box.switchboard.mend_status()
        await _closed(box)

    def spoil(switchboard: Switchboard) -> None:
        _vanish(switchboard)
        switchboard.spoil_status()

    tell(exchange, story, spoil, logs=tmp_path)


def test_it_closes_nothing_where_astdb_cannot_be_read(exchange: Exchange, tmp_path: Path) -> None:
    async def story(box: Box) -> None:
        tree = box.switchboard.fake.answers["DBGetTree"]
        box.switchboard.fake.answers["DBGetTree"] = lambda action: refused(action, "not now")
        box.asks("1")
        await asyncio.sleep(0.6)
        assert box.state("1") == "held"
        box.switchboard.fake.answers["DBGetTree"] = tree
        await _closed(box)

    tell(exchange, story, _vanish, logs=tmp_path)


def test_it_books_what_the_dialplan_left_before_it_closes_by_rule(exchange: Exchange, tmp_path: Path) -> None:
    async def story(box: Box) -> None:
        box.asks("1")
        box.switchboard.astdb.rows[f"{dialplan.LEFT}/1.{UNIQUEID}"] = a_record(a_leg(talked=61))
        call = await _closed(box)
        assert (call["state"], call["talk_seconds"], call["settled_by"], call["flags"]) == ("settled", 61, "astdb", "")
        await box.until(lambda: box.switchboard.astdb.rows == {})

    tell(exchange, story, _vanish, logs=tmp_path)


def test_it_settles_by_the_cel_file(exchange: Exchange, tmp_path: Path) -> None:
    answered_ms = NOW_MS + 5_000
    _write_cel(
        tmp_path,
        ("CooVoxAnswered", answered_ms, TRUNK, UNIQUEID, f"1|{stamp(answered_ms)}"),
        ("HANGUP", answered_ms + 61_500, TRUNK, UNIQUEID, ""),
    )

    async def story(box: Box) -> None:
        box.asks("1")
        call = await _closed(box)
        assert (call["state"], call["talk_seconds"], call["settled_by"]) == ("settled", 61, "cel")
        assert (call["settled_late"], call["flags"], call["trunk_uniqueid"]) == (1, "", UNIQUEID)

    tell(exchange, story, _vanish, logs=tmp_path)


def test_it_knows_of_an_answer_from_the_cel_file(exchange: Exchange, tmp_path: Path) -> None:
    """Asterisk died, and nobody of us had heard the answer."""
    _write_cel(tmp_path, ("CooVoxAnswered", NOW_MS, TRUNK, UNIQUEID, f"1|{stamp(NOW_MS)}"))

    async def story(box: Box) -> None:
        box.asks("1")
        call = await _closed(box)
        assert (call["state"], call["talk_seconds"], call["flags"]) == ("settled", 1, "lost")
        assert exchange.money("100") == ("9.0000", "0.0000")

    tell(exchange, story, _vanish, logs=tmp_path)


def test_it_settles_by_the_cdr_where_there_is_no_cel_file(exchange: Exchange, tmp_path: Path) -> None:
    row = (
        '"","100","004420","outbound","100","PJSIP/100-0000000a","PJSIP/carrier-0000000b","Dial",'
        '"PJSIP/004420@carrier,30,U(coovox-billing-answered^1^60^facts","2026-03-02 10:00:00","2026-03-02 10:00:05",'
        '"2026-03-02 10:01:06",66,61,"ANSWERED","DOCUMENTATION"'
    )
    (tmp_path / "cdr-csv").mkdir()
    (tmp_path / "cdr-csv" / "Master.csv").write_text(f"{row}\n")

    async def story(box: Box) -> None:
        box.asks("1")
        call = await _closed(box)
        assert (call["state"], call["talk_seconds"], call["settled_by"]) == ("settled", 61, "cdr")

    tell(exchange, story, _vanish, logs=tmp_path)


def test_it_books_from_cel_what_astdb_has_lost(exchange: Exchange, tmp_path: Path) -> None:
    """A call that passed while billing was down: no row knows of it, and AstDB is gone."""
    record = a_record(a_leg(talked=61, alone="passed", number=ABROAD))
    _write_cel(
        tmp_path,
        ("CooVoxLeft", NOW_MS, TRUNK, UNIQUEID, f"7|{record}"),
        ("CooVoxLeft", NOW_MS, TRUNK, UNIQUEID, "8|nonsense"),
    )

    async def story(box: Box) -> None:
        await box.until(lambda: exchange.money("100")[0] == "8.0000")
        call = exchange.call("7")
        assert (call["state"], call["settled_by"], call["flags"]) == ("settled", "cel", "alone")

    for _ in range(2):
        tell(exchange, story, logs=tmp_path)


def test_it_corrects_a_call_closed_by_rule_when_its_record_turns_up(exchange: Exchange, tmp_path: Path) -> None:
    async def story(box: Box) -> None:
        box.asks("1")
        await box.switchboard.answers_call("1")
        await box.until(lambda: box.switchboard.trunk.timeouts)
        _vanish(box.switchboard)
        call = await _closed(box)
        assert (call["flags"], exchange.money("100")[0]) == ("lost", "9.0000")
        box.switchboard.astdb.rows[f"{dialplan.LEFT}/1.{UNIQUEID}"] = a_record(a_leg(talked=61, number=ABROAD))
        box.asks("2")
        await _closed(box, "2")
        assert (exchange.call("1")["flags"], exchange.money("100")[0]) == ("corrected", "8.0000")

    tell(exchange, story, logs=tmp_path)


def test_it_closes_a_call_that_is_overdue_without_any_manager(
    exchange: Exchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciler, "UNLISTED_SECONDS", 0.0)
    exchange.set("longest_call_seconds", "1")
    exchange.ask("1", "100", ABROAD, ring_limit_seconds=0)
    exchange.ask("2", "103", ABROAD, ring_limit_seconds=0)

    async def story() -> None:
        database = LoopDatabase(exchange.database.path)
        clock = Clock()
        handlers = AgiHandlers(database, clock)
        alone = Reconciler(database, handlers, handlers.collector, tmp_path, clock)
        looking = asyncio.create_task(alone.run())
        await asyncio.sleep(0.5)
        assert exchange.call("1")["state"] == "held"
        async with asyncio.timeout(5):
            while exchange.call("1")["state"] == "held":
                await asyncio.sleep(0.05)
        assert exchange.call("2")["state"] == "held", "it has no limit"
        looking.cancel()
        await asyncio.wait([looking])
        await database.close()

    asyncio.run(story())
    assert (exchange.call("1")["state"], exchange.call("1")["flags"]) == ("released", "lost")


def test_it_finds_a_channel_that_came_back(exchange: Exchange, tmp_path: Path) -> None:
    """Missing once is no evidence."""

    async def story(box: Box) -> None:
        box.asks("1")
        await box.switchboard.answers_call("1")
        await box.until(lambda: box.switchboard.trunk.timeouts)
        trunk = box.switchboard.channels.pop(TRUNK)
        lists = len(box.switchboard.fake.asked("Status"))
        await box.until(lambda: len(box.switchboard.fake.asked("Status")) > lists)
        box.switchboard.channels[TRUNK] = Channel(trunk.uniqueid, trunk.variables)
        await asyncio.sleep(0.5)
        assert box.state("1") == "talking"

    tell(exchange, story, logs=tmp_path)


@pytest.mark.parametrize("asked_seconds_ago", [2, 60])
def test_it_charges_no_time_in_which_nobody_watched(exchange: Exchange, tmp_path: Path, asked_seconds_ago: int) -> None:
    """Asterisk and billing died a second after the answer, and came back: what lies between was no talk."""
    exchange.ask("1", number=ABROAD, by_stretches=True)
    exchange.answer("1", rang=0)
    exchange.database.write(lambda c: reconciliation.keep_seen(c, {"1": 1}))

    async def story(box: Box) -> None:
        box.clock.stepped_ms = asked_seconds_ago * 1000
        call = await _closed(box)
        assert (call["talk_seconds"], call["flags"]) == (1, "lost")
        assert call["seen_talk_seconds"] == 1, "nobody was seen alive"

    tell(exchange, story, _vanish, logs=tmp_path)


def test_it_charges_no_more_of_a_call_for_the_life_of_others(exchange: Exchange, tmp_path: Path) -> None:
    """It died with an Asterisk, the call plane before it closed it; calls of the next Asterisk live on."""
    for call_id, extension in (("1", "100"), ("2", "101")):
        exchange.ask(call_id, extension, number=ABROAD, by_stretches=True)
        exchange.answer(call_id, rang=0)
    exchange.database.write(lambda c: reconciliation.keep_seen(c, {"1": 10}))

    async def story(box: Box) -> None:
        box.clock.stepped_ms = 40_000
        await box.until(lambda: exchange.call("2")["seen_talk_seconds"] >= 40)
        call = await _closed(box)
        assert (call["talk_seconds"], call["flags"], call["seen_talk_seconds"]) == (10, "lost", 10)

    def other_call(switchboard: Switchboard) -> None:
        _vanish(switchboard)
        switchboard.channels[TRUNK] = Channel(UNIQUEID)
        switchboard.is_talking("2")

    tell(exchange, story, other_call, logs=tmp_path)


def test_it_closes_the_others_where_one_cannot_be_closed(
    exchange: Exchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for call_id in ("1", "2", "3"):
        exchange.ask(call_id, "101", by_stretches=True, ring_limit_seconds=0)
    close, bad = reconciliation.close, {"1"}

    def refuse_one(connection: sqlite3.Connection, call_id: str, **facts: Any) -> None:
        if call_id in bad:
            raise sqlite3.OperationalError("disk I/O error")
        close(connection, call_id, **facts)

    monkeypatch.setattr(reconciliation, "close", refuse_one)

    async def story(box: Box) -> None:
        await _closed(box, "2")
        await _closed(box, "3")
        assert box.state("1") == "held"
        bad.clear()
        await _closed(box, "1")

    tell(exchange, story, _vanish, logs=tmp_path)


def test_it_books_from_cel_what_the_disk_did_not_take_at_first(exchange: Exchange, tmp_path: Path) -> None:
    record = a_record(a_leg(talked=61, alone="passed", number=ABROAD))
    _write_cel(tmp_path, *[("CooVoxLeft", NOW_MS, TRUNK, UNIQUEID, f"{number}|{record}") for number in (7, 8)])
    tried: list[str] = []

    class SlowAtFirst(AgiHandlers):
        async def book(self, call_id: str, leg: Leg, source: Source = Source.ASTDB) -> None:
            tried.append(call_id)
            if len(tried) == 1:
                raise TimeoutError("the database is too slow")
            await super().book(call_id, leg, source)

    async def story() -> None:
        database = LoopDatabase(exchange.database.path)
        books = SlowAtFirst(database, Clock())
        looking = asyncio.create_task(Reconciler(database, books, books.collector, tmp_path, Clock()).run())
        while len(tried) < 3:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        looking.cancel()
        await asyncio.wait([looking])
        await database.close()

    asyncio.run(asyncio.wait_for(story(), 10))
    assert tried == ["7", "8", "7"]
    assert exchange.money("100") == ("6.0000", "0.0000")


def test_it_books_nothing_from_cel_that_is_older_than_the_site(exchange: Exchange, tmp_path: Path) -> None:
    """Asterisk's files outlive a database that was begun anew."""
    long_ago = NOW_MS - 31_536_000_000
    record = a_record(a_leg(talked=61, alone="passed", number=ABROAD, asked_ms=long_ago))
    _write_cel(tmp_path, ("CooVoxLeft", long_ago, TRUNK, UNIQUEID, f"7|{record}"))

    async def story(box: Box) -> None:
        await asyncio.sleep(0.5)
        assert exchange.money("100") == ("10.0000", "0.0000")

    tell(exchange, story, logs=tmp_path)


def test_it_watches_a_call_that_passed_alone_after_a_restart(exchange: Exchange, tmp_path: Path) -> None:
    """Its record does not tell the channel's name."""
    exchange.begin_alone("1", number=ABROAD, rang=0)
    exchange.set("locking_ends_calls", "yes")
    exchange.change("100", status="locked")

    async def story(box: Box) -> None:
        await box.until(lambda: box.switchboard.trunk.hung_up)

    tell(exchange, story, lambda switchboard: switchboard.is_talking("1"), logs=tmp_path)


def test_it_watches_a_call_that_passed_alone_as_soon_as_it_is_booked(
    exchange: Exchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its channel was there before its row was."""
    monkeypatch.setattr(live_calls, "LIST_SECONDS", 60.0)

    async def story(box: Box) -> None:
        await box.until(lambda: box.switchboard.fake.asked("Status"))
        await box.until(lambda: box.live.since_answer_ms("1") is None)
        await box.a_while()
        handlers = AgiHandlers(box.database, box.clock, box.live)
        await handlers.begin("1", a_leg(talked=0, rang=0, alone="passed", number=ABROAD))
        await box.until(lambda: box.live.since_answer_ms("1") is not None)

    tell(exchange, story, lambda switchboard: switchboard.is_talking("1"), logs=tmp_path)


@pytest.mark.parametrize("step_years", [-1, 56])
def test_it_knows_the_talk_of_a_call_it_took_over_where_the_clock_is_set_later(
    exchange: Exchange, tmp_path: Path, step_years: int
) -> None:
    exchange.ask("1", number=ABROAD, by_stretches=True)
    exchange.answer("1", rang=0)

    async def story(box: Box) -> None:
        box.clock.stepped_ms = 30_000
        await box.until(lambda: box.live.since_answer_ms("1"))
        box.clock.stepped_ms += step_years * 31_536_000_000
        handlers = AgiHandlers(box.database, box.clock, box.live)
        await handlers.book("1", replace(a_leg(talked=0, rang=0, number=ABROAD), ended_ms=box.clock()), Source.SETTLE)
        call = exchange.call("1")
        assert 30 <= call["talk_seconds"] <= 32
        assert call["flags"] == "clock"

    tell(exchange, story, lambda switchboard: switchboard.is_talking("1"), logs=tmp_path)
