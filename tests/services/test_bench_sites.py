"""The sites on which `make bench` measures are what the product itself would have written."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coovox_billing.core.clock import UNKNOWN
from coovox_billing.core.leg import Leg
from coovox_billing.core.money import parse_amount
from coovox_billing.core.payer import Origin
from coovox_billing.services import calls, live_calls, payments, settlement
from coovox_billing.services.accounts import Person
from coovox_billing.services.calls import Question
from coovox_billing.services.live_calls import Answered
from coovox_billing.store.database import FILE_NAME, open_database
from tests import cast
from tests.bench import decade, sites

SIZE = (20, 60, 1_500)
# So little that money runs out.
RECHARGES = (parse_amount("0.50"),)
TABLES = ("accounts", "rates", "calls", "ledger", "changes", "mirror", "settings", "trunks", *decade.TOTALS)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decade, "_LOST", 0.02)
        patch.setattr(decade, "_RECHARGES", RECHARGES)
        sites.make(directory, *SIZE)
    return directory


def rows(directory: Path, table: str) -> list[tuple[Any, ...]]:
    return cast.look_up(directory / FILE_NAME, f"SELECT * FROM {table} ORDER BY 1, 2")


def test_it_is_sound(site: Path) -> None:
    assert cast.audited(site / FILE_NAME) == []
    assert len(rows(site, "calls")) == SIZE[2]


def test_it_is_what_the_same_calls_make_of_the_same_office(site: Path, tmp_path: Path) -> None:
    with open_database(tmp_path) as database:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(decade, "_RECHARGES", RECHARGES)
            database.write(lambda connection: decade.furnish(connection, *SIZE[:2]))
        database.write(lambda connection: live_again(connection, site))
    for table in TABLES:
        assert rows(tmp_path, table) == rows(site, table)
    outcomes = {(call["state"], call["reason"], call["flags"]) for call in made_calls(site)}
    assert {
        ("settled", "", ""),
        ("settled", "", "lost"),
        ("released", "", ""),
        ("settled", "not-billed", ""),
    } < outcomes
    assert {("refused", "locked", ""), ("refused", "no-money", ""), ("refused", "no-rate", "")} < outcomes


def test_its_indexes_and_guards_are_those_of_a_new_one(site: Path, tmp_path: Path) -> None:
    open_database(tmp_path).close()
    schema = "SELECT type, name, sql FROM sqlite_master ORDER BY name"
    assert cast.look_up(site / FILE_NAME, schema) == cast.look_up(tmp_path / FILE_NAME, schema)


def test_what_is_lent_comes_back_as_it_was(site: Path) -> None:
    before = {path.name: path.read_bytes() for path in site.iterdir()}
    with sites.lent(site) as directory:
        for _ in range(2):
            with open_database(directory) as database:
                database.write(
                    lambda connection: connection.execute("UPDATE rates SET remark = remark || hex(zeroblob(99999))")
                )
        assert "00" in rows(directory, "rates")[0][2]
        (directory / "hook").mkdir()
    assert {path.name: path.read_bytes() for path in site.iterdir()} == before


def made_calls(site: Path) -> list[sqlite3.Row]:
    with open_database(site) as database:
        return database.read(lambda c: c.execute("SELECT * FROM calls ORDER BY id").fetchall())


def live_again(connection: sqlite3.Connection, site: Path) -> None:
    """Tell the product of each call and recharge, at its time."""
    for _at_ms, _order, job in sorted(moments(site), key=lambda moment: moment[:2]):
        job(connection)


def moments(site: Path) -> Iterator[tuple[int, tuple[int, int], Any]]:
    """What ends comes before what begins in the same millisecond."""
    for call in made_calls(site):
        yield call["asked_at_ms"], (2, call["id"]), lambda c, call=call: begin(c, call)
        if call["ended_at_ms"] is not None:
            yield call["ended_at_ms"], (0, call["id"]), lambda c, call=call: end(c, call)
    recharges = "SELECT extension, amount_micros, at_ms FROM ledger JOIN accounts ON accounts.id = account_id"
    for extension, micros, at_ms in cast.look_up(site / FILE_NAME, f"{recharges} WHERE actor = '{decade.MANAGER}'"):
        person = Person(decade.MANAGER, decade.DESK, at_ms)
        yield at_ms, (1, 0), lambda c, of=(extension, micros, person): payments.recharge(c, *of)


def begin(connection: sqlite3.Connection, call: sqlite3.Row) -> None:
    question = Question(
        call_id=call["call_id"],
        stamp_ms=call["attempt_stamp_ms"],
        number_dialed=call["number_dialed"],
        trunk=call["trunk"],
        dial_string=f"PJSIP/{call['number']}@{call['trunk']}",
        dial_options="",
        origin=Origin(call["caller_channel"]),
        uniqueid=call["caller_uniqueid"],
        linkedid=call["linkedid"],
    )
    calls.authorize(connection, question, call["asked_at_ms"])
    if call["answered_at_ms"] is not None:
        answered = Answered(call["call_id"], call["answered_at_ms"], call["trunk_channel"], call["trunk_uniqueid"])
        live_calls.answer(connection, answered)


def end(connection: sqlite3.Connection, call: sqlite3.Row) -> None:
    if call["flags"]:
        settlement.lose(connection, call["call_id"], call["talk_seconds"], call["ended_at_ms"])
        return
    leg = Leg(
        device=call["device"],
        number=call["number_dialed"],
        trunk=call["trunk"],
        asked_ms=call["attempt_stamp_ms"],
        alone="",
        answered_ms=call["answered_at_ms"],
        ended_ms=call["ended_at_ms"],
        cause=call["hangup_cause"],
        uniqueid=call["trunk_uniqueid"],
        linkedid=call["linkedid"],
        rang_ms=call["ringing_at_ms"] - call["attempt_stamp_ms"],
    )
    if leg.answered_ms is None:
        calls.give_up(connection, call["call_id"], leg)
    else:
        settlement.settle(connection, call["call_id"], leg, UNKNOWN, leg.ended_ms)
