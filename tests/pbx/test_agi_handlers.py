"""What the call plane does on each AGI path, told by a fake Asterisk over a real socket."""

import asyncio
import itertools
import logging
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from coovox_billing.core.leg import FIELDS, parse_leg
from coovox_billing.core.site_settings import DEFAULT_EMERGENCY_NUMBERS
from coovox_billing.pbx import agi_handlers, leftovers, mirror
from coovox_billing.pbx import dialplan_variables as dialplan
from coovox_billing.pbx.agi_handlers import AgiHandlers
from coovox_billing.pbx.agi_protocol import MAX_REQUEST_BYTES
from coovox_billing.services import accounts, calls, devices, settlement
from coovox_billing.services import site as site_service
from coovox_billing.shipped import shipped
from coovox_billing.store import writes
from coovox_billing.store.database import open_database
from coovox_billing.store.loop_database import LoopDatabase
from tests.asterisk.waiting import wait_until
from tests.cast import MANAGER, NOW_MS, Exchange, a_leg, a_rate, a_record, locked, look_up
from tests.pbx.fake_asterisk import FakeAsterisk, connected, environment, serving, stamp

DOWN = {"COOVOX_VERDICT": "down", "COOVOX_REASON": "billing-down", "COOVOX_LIMIT": "0"}
SETTLED, ENDED = {"COOVOX_SETTLED": "1"}, {"COOVOX_ENDED": "1"}
NOBODY_ANSWERED = a_leg()


@dataclass
class Box:
    """An appliance: the cast's exchange, its Asterisk and the call plane between them."""

    exchange: Exchange
    asterisk: FakeAsterisk

    @property
    def path(self) -> Path:
        return self.exchange.database.path

    def state(self, call_id: str) -> str | None:
        """A call's state as it is on disk."""
        rows = look_up(self.path, "SELECT state FROM calls WHERE call_id = ?", [call_id])
        return str(rows[0][0]) if rows else None


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    exchange = Exchange(tmp_path)
    with _plane(exchange.database.path) as port:
        yield Box(exchange, FakeAsterisk(port))
    findings = exchange.findings()
    exchange.database.close()
    assert findings == []


@contextmanager
def _plane(path: Path) -> Iterator[int]:
    database = LoopDatabase(path)
    with serving(AgiHandlers(database, lambda: NOW_MS).by_path(), database) as port:
        yield port


@contextmanager
def _restarted(box: Box) -> Iterator[None]:
    """The call plane was started again, and knows of no earlier call but by the database."""
    before = box.asterisk.port
    with _plane(box.path) as port:
        box.asterisk.port = port
        yield
    box.asterisk.port = before


def _wait_until(condition: Callable[[], bool], seconds: float = 5) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it never came to that"
        time.sleep(0.01)


# authorize


def test_it_hears_whose_telephone_behind_a_gateway_dials(box: Box) -> None:
    box.exchange.database.write(lambda c: devices.trust_caller_id(c, "PJSIP/gw", True, MANAGER))
    box.asterisk.authorize("1", "gw", callerid="102")
    box.asterisk.authorize("2", "103", callerid="102")
    assert [box.exchange.call(call_id)["extension"] for call_id in ("1", "2")] == ["102", "103"]


@pytest.mark.parametrize(
    ("extension", "number", "verdict", "reason", "limit"),
    [
        ("100", "988360046", "pass", "", "14400"),
        ("100", "004420", "pass", "", "600"),
        ("102", "988360046", "refused", "locked", "0"),
        ("103", "988360046", "pass", "not-billed", "0"),
        ("100", "7777", "refused", "no-rate", "0"),
        ("102", "112", "pass", "emergency", "0"),
        ("100", "98836x046", "refused", "bad-number", "0"),
        ("205", "988360046", "pass", "not-billed", "0"),
        ("carrier", "988360046", "pass", "no-payer", "0"),
    ],
)
def test_it_answers_whether_a_call_may_be_made(
    box: Box, extension: str, number: str, verdict: str, reason: str, limit: str
) -> None:
    outcome = box.asterisk.authorize("1", extension, number)
    assert outcome.variables == {"COOVOX_VERDICT": verdict, "COOVOX_REASON": reason, "COOVOX_LIMIT": limit}


def test_it_answers_only_when_the_hold_is_on_disk(box: Box) -> None:
    states: list[str | None] = []
    box.asterisk.on_command = lambda command: states.append(box.state("1")) if "VERDICT" in command else None
    box.asterisk.authorize("1")
    assert states == ["held"]


@pytest.mark.parametrize(
    ("changes", "dropped"),
    [
        ({"id": ""}, ""),
        ({"id": "1;2"}, ""),
        ({"id": "1" * 65}, ""),
        ({"asked": "noon"}, ""),
        ({}, "number"),
        ({}, "asked"),
        ({}, "mirror"),
        ({}, "id"),
    ],
)
def test_it_answers_down_to_a_question_that_makes_no_sense(box: Box, changes: dict[str, str], dropped: str) -> None:
    arguments = dict.fromkeys(dialplan.AUTHORIZE_ARGUMENTS, "") | {"id": "1", "asked": stamp(NOW_MS)} | changes
    arguments.pop(dropped, None)
    assert box.asterisk.agi("authorize", arguments).variables == DOWN
    assert look_up(box.path, "SELECT * FROM calls") == []


def test_it_answers_down_when_deciding_fails(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(calls, "authorize", fail)
    assert box.asterisk.authorize("1").variables == DOWN


def test_it_answers_down_when_the_database_cannot_be_written(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(calls, "authorize", fail)
    assert box.asterisk.authorize("1").variables == DOWN
    monkeypatch.undo()
    assert box.asterisk.authorize("2").variables["COOVOX_VERDICT"] == "pass"


def test_it_answers_down_past_its_deadline_and_commits_nothing_later(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agi_handlers, "AUTHORIZE_SECONDS", 0.2)
    with locked(box.path):
        outcome = box.asterisk.authorize("1")
    assert outcome.variables == DOWN
    assert 0.15 < outcome.seconds < 1
    assert box.exchange.money("100") == ("10.0000", "0.0000")
    assert box.state("1") is None


def test_it_answers_down_at_once_to_a_question_that_waited_too_long(box: Box, caplog: pytest.LogCaptureFixture) -> None:
    outcome = box.asterisk.authorize("1", asked=stamp(NOW_MS - 2_400))
    assert "asked 2 s ago by Asterisk's clock, too late to answer: if Asterisk is on another machine" in caplog.text
    assert outcome.variables == DOWN
    assert box.exchange.money("100") == ("10.0000", "0.0000")


def test_it_answers_a_question_that_waited_a_moment(box: Box) -> None:
    assert box.asterisk.authorize("1", asked=stamp(NOW_MS - 1_000)).variables["COOVOX_VERDICT"] == "pass"


def test_it_is_not_put_off_by_a_question_from_the_future(box: Box) -> None:
    assert box.asterisk.authorize("1", asked=stamp(NOW_MS + 60_000)).variables["COOVOX_VERDICT"] == "pass"


def _without_deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the disk were slow in the commit itself, when nothing can be taken back any more."""
    submit = LoopDatabase.submit

    def patient(
        self: LoopDatabase, job: Callable[[sqlite3.Connection], Any], deadline: float | None = None
    ) -> "asyncio.Future[Any]":
        return submit(self, job)

    monkeypatch.setattr(LoopDatabase, "submit", patient)


def test_it_withdraws_what_was_committed_too_late(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agi_handlers, "AUTHORIZE_SECONDS", 0.2)
    _without_deadlines(monkeypatch)
    with locked(box.path):
        assert box.asterisk.authorize("1").variables == DOWN
    _wait_until(lambda: box.state("1") == "released")
    assert box.exchange.money("100") == ("10.0000", "0.0000")
    assert box.exchange.call("1")["reason"] == "billing-down"


def test_it_withdraws_an_answer_that_asterisk_did_not_wait_for(box: Box) -> None:
    arguments = dict.fromkeys(dialplan.AUTHORIZE_ARGUMENTS, "")
    arguments |= {"id": "1", "asked": stamp(NOW_MS), "number": "988360046", "channel": "PJSIP/100-0000000a"}
    with locked(box.path), connected(box.asterisk.port) as peer:
        peer.sendall(environment("authorize", arguments))
        time.sleep(0.1)
        peer.close()
        time.sleep(0.1)
    _wait_until(lambda: box.state("1") == "released")
    assert box.exchange.money("100") == ("10.0000", "0.0000")


def test_it_answers_a_repeated_question_alike(box: Box) -> None:
    first = box.asterisk.authorize("1", number="004420")
    assert box.asterisk.authorize("1", number="004420").variables == first.variables
    assert box.exchange.money("100") == ("10.0000", "10.0000")


# settle


def test_it_says_settled_only_when_it_is_on_disk(box: Box) -> None:
    box.asterisk.authorize("1")
    states: list[str | None] = []
    box.asterisk.on_command = lambda command: states.append(box.state("1")) if "SETTLED" in command else None
    with _restarted(box):
        assert box.asterisk.settle("1", a_leg(talked=116)).variables == SETTLED
    assert states == ["settled"]
    assert box.exchange.money("100") == ("9.8600", "0.0000")


def test_it_believes_its_own_clock_rather_than_a_stepped_one(box: Box) -> None:
    box.asterisk.authorize("1")
    assert box.asterisk.settle("1", a_leg(talked=3_600)).variables == SETTLED
    call = box.exchange.call("1")
    assert (call["talk_seconds"], call["cost_micros"], call["flags"]) == (0, 0, "clock")


def test_it_settles_once_however_often_it_is_told(box: Box) -> None:
    box.asterisk.authorize("1")
    with _restarted(box):
        for talked in (116, 3_600):
            assert box.asterisk.settle("1", a_leg(talked=talked)).variables == SETTLED
    assert box.exchange.money("100") == ("9.8600", "0.0000")


def test_it_leaves_a_call_open_whose_leg_nobody_answered(box: Box) -> None:
    box.asterisk.authorize("1")
    assert box.asterisk.settle("1", NOBODY_ANSWERED).variables == SETTLED
    assert box.state("1") == "held"


def test_it_closes_without_a_word_when_the_database_is_slow_and_settles_later(box: Box) -> None:
    box.asterisk.authorize("1")
    with _restarted(box), locked(box.path):
        outcome = box.asterisk.settle("1", a_leg(talked=116))
        assert outcome.variables == {}
        assert 0.1 < outcome.seconds < 0.4
    _wait_until(lambda: box.state("1") == "settled")
    assert box.exchange.money("100") == ("9.8600", "0.0000")


@pytest.mark.parametrize("path", ["settle", "end"])
@pytest.mark.parametrize("record", ["", "nonsense", "|" * (FIELDS - 1), "a|b|c|noon||||1||"])
def test_it_takes_no_notice_of_what_is_no_record(box: Box, path: str, record: str) -> None:
    box.asterisk.authorize("1")
    outcome = box.asterisk.agi(path, {"id": "1", "record": record, "talked": "", "left": ""})
    assert (outcome.variables, box.state("1")) == ({}, "held")


# end


def test_it_frees_what_an_unanswered_call_held(box: Box) -> None:
    box.asterisk.authorize("1")
    assert box.exchange.money("100") == ("10.0000", "5.3200")
    assert box.asterisk.end("1", NOBODY_ANSWERED).variables == ENDED
    assert box.exchange.money("100") == ("10.0000", "0.0000")
    assert box.state("1") == "released"


def test_it_leaves_an_answered_call_to_its_leg(box: Box) -> None:
    box.asterisk.authorize("1")
    assert box.asterisk.end("1", NOBODY_ANSWERED, talked="yes").variables == {}
    assert box.state("1") == "held"


def test_it_finds_the_money_free_at_the_next_trunk(box: Box) -> None:
    box.asterisk.authorize("1", number="004420")
    box.asterisk.end("1", NOBODY_ANSWERED)
    again = box.asterisk.authorize("1", number="004420", trunk="backup")
    assert again.variables == {"COOVOX_VERDICT": "pass", "COOVOX_REASON": "", "COOVOX_LIMIT": "600"}


def test_it_says_nothing_of_an_end_that_is_not_on_disk_in_time(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agi_handlers, "END_SECONDS", 0.2)
    box.asterisk.authorize("1")
    with locked(box.path):
        assert box.asterisk.end("1", NOBODY_ANSWERED).variables == {}
    _wait_until(lambda: box.state("1") == "released")


# what the dialplan left


def test_it_takes_over_what_the_dialplan_left(box: Box) -> None:
    box.asterisk.authorize("1")
    box.asterisk.leave("1", a_leg(talked=116, alone="passed"))
    box.asterisk.leave("2", a_leg(alone="refused"))
    box.asterisk.end("3", NOBODY_ANSWERED)
    assert (box.state("1"), box.state("2")) == ("settled", "refused")
    assert box.exchange.money("100") == ("9.8600", "0.0000")
    assert (box.asterisk.billing("left"), box.asterisk.billing("leftovers")) == ({}, {})


def test_it_asks_once_and_then_for_nothing_where_nothing_was_left(box: Box) -> None:
    """The process before may have died after it lowered the flag."""
    assert any(command.startswith("GET FULL VARIABLE") for command in box.asterisk.end("0", NOBODY_ANSWERED).commands)
    assert [command for command in box.asterisk.end("1", NOBODY_ANSWERED).commands if "DATABASE" in command] == []


def test_it_deletes_a_record_only_when_it_is_on_disk(box: Box) -> None:
    states: list[str | None] = []
    box.asterisk.leave("1", a_leg(talked=116, alone="passed"))
    box.asterisk.on_command = lambda command: (
        states.append(box.state("1")) if "DEL" in command and "left/" in command else None
    )
    box.asterisk.end("2", NOBODY_ANSWERED)
    assert states == ["settled"]


def test_it_books_a_record_once_that_was_settled_already(box: Box) -> None:
    box.asterisk.authorize("1")
    with _restarted(box):
        box.asterisk.settle("1", a_leg(talked=116))
    box.asterisk.leave("1", a_leg(talked=116))
    box.asterisk.end("2", NOBODY_ANSWERED)
    assert box.exchange.money("100") == ("9.8600", "0.0000")
    assert box.asterisk.billing("left/") == {}


def test_it_books_and_logs_what_was_left_of_a_call_archived_as_unanswered(
    box: Box, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    box.asterisk.authorize("1")
    box.asterisk.end("1", NOBODY_ANSWERED)
    box.exchange.database.write(lambda connection: writes.archive_call(connection, "1"))
    box.asterisk.leave("1", a_leg(talked=116))
    box.asterisk.end("2", a_leg(alone="refused"))
    assert box.exchange.money("100") == ("9.8600", "0.0000")
    assert box.asterisk.billing("left/") == {}
    assert [line for line in caplog.messages if line.startswith("call 1 ended: 100") and "archived" in line]


def test_it_logs_what_it_drops_of_a_call_archived_with_its_charge(box: Box, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    box.asterisk.authorize("1")
    with _restarted(box):
        box.asterisk.settle("1", a_leg(talked=116))
    box.exchange.database.write(lambda connection: writes.archive_call(connection, "1"))
    box.asterisk.leave("1", a_leg(talked=500))
    box.asterisk.end("2", a_leg(alone="refused"))
    assert box.exchange.money("100") == ("9.8600", "0.0000")
    assert box.asterisk.billing("left/") == {}
    assert [line for line in caplog.messages if line.startswith("call 1 told again: by astdb")]


def test_it_takes_over_a_few_at_a_time_and_remembers_the_rest(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "MOST_IN_A_SESSION", 3)
    for number in range(7):
        box.asterisk.leave(f"1{number}", a_leg(talked=60, alone="passed"))
    left = []
    for call_id in ("2", "3", "4"):
        box.asterisk.end(call_id, NOBODY_ANSWERED)
        left.append((len(box.asterisk.billing("left/")), "leftovers" in box.asterisk.billing()))
    assert left == [(4, True), (1, True), (0, False)]


def test_it_takes_over_what_a_day_without_billing_left(box: Box) -> None:
    for number in range(1_000):
        box.asterisk.leave(f"{number:018}", a_leg(alone="refused"), uniqueid=f"1772442000.{number}")
    keys = ",".join(box.asterisk.billing("left/"))
    assert len(keys) > MAX_REQUEST_BYTES
    box.asterisk.end("1", NOBODY_ANSWERED)
    assert len(box.asterisk.billing("left/")) == 1_000 - leftovers.MOST_IN_A_SESSION
    assert box.asterisk.billing("leftovers") == {"": "1"}


def test_it_puts_aside_what_is_no_record(box: Box) -> None:
    box.asterisk.put("left/1.5", "nonsense")
    box.asterisk.leave("2", a_leg(talked=116, alone="passed"))
    box.asterisk.end("3", NOBODY_ANSWERED)
    assert box.state("2") == "settled"
    assert box.asterisk.billing("strange/") == {"1.5": "nonsense"}
    assert (box.asterisk.billing("left/"), box.asterisk.billing("leftovers")) == ({}, {})


def test_it_keeps_what_could_not_be_booked_and_comes_back_to_it(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    settle = settlement.settle

    def full(connection: sqlite3.Connection, call_id: str, *rest: Any) -> None:
        if call_id == "1":
            raise sqlite3.OperationalError("database or disk is full")
        settle(connection, call_id, *rest)

    monkeypatch.setattr(settlement, "settle", full)
    for call_id in ("1", "2"):
        box.asterisk.leave(call_id, a_leg(talked=116, alone="passed"))
    box.asterisk.end("3", NOBODY_ANSWERED)
    assert (box.state("1"), box.state("2")) == (None, "settled")
    assert list(box.asterisk.billing("left/")) == ["1.1772442000.2"]
    monkeypatch.undo()
    box.asterisk.end("4", NOBODY_ANSWERED)
    assert (box.state("1"), box.asterisk.billing("left/")) == ("settled", {})


def test_it_tries_again_to_settle_what_the_disk_did_not_take(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """AstDB may be on the same full disk."""
    monkeypatch.setattr(agi_handlers, "RETRY_SECONDS", 0.1)
    settle, refusals = settlement.settle, itertools.count(1)

    def full(*arguments: Any) -> None:
        if next(refusals) <= 2:
            raise sqlite3.OperationalError("database or disk is full")
        settle(*arguments)

    monkeypatch.setattr(settlement, "settle", full)
    box.asterisk.authorize("1")
    assert box.asterisk.settle("1", a_leg(talked=116)).variables == {}
    wait_until(lambda: box.state("1") == "settled")


def test_it_is_not_held_up_by_a_record_that_can_never_be_booked(box: Box) -> None:
    absurd = a_rate(initial_cost_micros=0, rate_micros=10**15, unit_seconds=1)
    box.exchange.database.write(lambda connection: writes.update_rate_price(connection, 3, absurd))
    box.asterisk.leave("1", a_leg(talked=86_000, alone="passed", number="004420"))
    box.asterisk.leave("2", a_leg(talked=116, alone="passed"))
    box.asterisk.end("3", NOBODY_ANSWERED)
    assert (box.state("1"), box.state("2")) == (None, "settled")
    assert list(box.asterisk.billing("strange/")) == ["1.1772442000.2"]
    assert (box.asterisk.billing("left/"), box.asterisk.billing("leftovers")) == ({}, {})


def test_it_books_each_record_once_when_two_sessions_take_over_at_once(box: Box) -> None:
    for number in range(20):
        box.asterisk.leave(f"1{number:02}", a_leg(talked=60, alone="passed"))
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda call_id: box.asterisk.end(call_id, NOBODY_ANSWERED), ["2", "3"]))
    assert box.exchange.money("100") == ("8.0000", "0.0000")
    assert (box.asterisk.billing("left/"), box.asterisk.billing("strange/")) == ({}, {})


def test_it_takes_over_a_call_that_still_talks_alone(box: Box) -> None:
    """Billing was down when it was dialed; it is a row at once, and priced at its end."""
    leg = a_leg(talked=0, alone="passed")
    box.asterisk.put("alone/1.1772442000.2", a_record(leg))
    box.asterisk.put("leftovers", "1")
    box.asterisk.end("2", NOBODY_ANSWERED)
    assert (box.state("1"), box.asterisk.billing("alone/"), box.asterisk.billing("leftovers")) == ("talking", {}, {})
    box.asterisk.leave("1", a_leg(talked=116, alone="passed"))
    box.asterisk.end("3", NOBODY_ANSWERED)
    assert (box.state("1"), box.exchange.money("100")[0]) == ("settled", "9.8600")


def test_it_comes_back_to_what_it_was_interrupted_at(box: Box) -> None:
    box.asterisk.leave("1", a_leg(talked=116, alone="passed"))
    box.asterisk.leaves_at = "DATABASE GET"
    box.asterisk.end("2", NOBODY_ANSWERED)
    box.asterisk.leaves_at = None
    box.asterisk.end("3", NOBODY_ANSWERED)
    assert box.state("1") == "settled"


def test_it_takes_over_what_was_left_when_it_refuses_a_call(box: Box) -> None:
    box.asterisk.leave("1", a_leg(talked=116, alone="passed"))
    assert box.asterisk.authorize("2", "102").variables["COOVOX_VERDICT"] == "refused"
    assert box.state("1") == "settled"


def test_it_does_not_keep_a_caller_waiting_for_what_was_left(box: Box) -> None:
    box.asterisk.leave("1", a_leg(talked=116, alone="passed"))
    assert box.asterisk.authorize("2").variables["COOVOX_VERDICT"] == "pass"
    assert box.asterisk.billing("leftovers") == {"": "1"}


def test_it_waits_a_moment_for_the_record_of_an_emergency_call(box: Box) -> None:
    looks: list[str] = []

    def leg_ends_after_a_moment(command: str) -> None:
        if "DB_KEYS" in command:
            looks.append(command)
            if len(looks) == 2:
                box.asterisk.leave("1", a_leg(talked=30, alone="emergency", number="112"))

    box.asterisk.on_command = leg_ends_after_a_moment
    box.asterisk.end("1", a_leg(alone="emergency", number="112"), talked="yes")
    assert box.state("1") == "settled"
    call = box.exchange.call("1")
    assert (call["reason"], call["cost_micros"], call["settled_late"]) == ("emergency", 0, 0)


# what the dialplan must know when it is alone


def _expected_astdb() -> dict[str, str]:
    people = {
        "payer/100": "billed",
        "payer/101": "billed",
        "payer/102": "locked",
        "payer/103": "free",
        "payer/PJSIP/carrier": "free",
    }
    emergency = {f"emergency/{number}": "1" for number in DEFAULT_EMERGENCY_NUMBERS.split()}
    return {"policy": "refuse", "complete": "1", **people, **emergency}


def _astdb(box: Box) -> dict[str, str]:
    return {key: value for key, value in box.asterisk.billing().items() if key != dialplan.MIRROR}


def test_it_tells_a_new_asterisk_everything(box: Box) -> None:
    box.asterisk.authorize("1")
    assert _astdb(box) == _expected_astdb()


def test_it_tells_an_asterisk_that_knows_it_all_nothing(box: Box) -> None:
    box.asterisk.authorize("1")
    (command,) = box.asterisk.authorize("2").commands
    assert command.startswith("SET VARIABLE ARRAY(COOVOX_VERDICT,")


def test_it_tells_only_what_is_new(box: Box) -> None:
    box.asterisk.authorize("1")
    box.exchange.change("101", status="locked")
    told = [command for command in box.asterisk.authorize("2").commands if "DATABASE" in command]
    assert told[0] == 'DATABASE PUT coovox_billing "payer/101" "locked"'
    assert len(told) == 3
    assert _astdb(box) == {**_expected_astdb(), "payer/101": "locked"}


def test_it_takes_back_what_no_longer_holds(box: Box) -> None:
    box.exchange.change("100", devices=["PJSIP/desk"])
    box.asterisk.authorize("1")
    assert _astdb(box)["payer/PJSIP/desk"] == "billed"
    box.exchange.change("100", devices=[])
    box.exchange.set("emergency_numbers", "112")
    box.exchange.set("when_billing_is_down", "allow")
    box.asterisk.authorize("2")
    astdb = _astdb(box)
    assert "payer/PJSIP/desk" not in astdb
    assert [key for key in astdb if key.startswith("emergency/")] == ["emergency/112"]
    assert astdb["policy"] == "allow"


def test_it_tells_a_long_list_in_parts_and_says_complete_only_at_the_end(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "ROWS_AT_ONCE", 5)
    complete = []
    for number in range(4):
        box.asterisk.authorize(str(number))
        complete.append("complete" in _astdb(box))
    assert complete == [False, False, True, True]
    assert _astdb(box) == _expected_astdb()


@pytest.mark.parametrize("marker", ["", "another-database:3", "another-database:999", "nonsense", ":", "x:y"])
def test_it_begins_anew_with_an_asterisk_that_knows_another_database(box: Box, marker: str) -> None:
    for key in ("payer/555", "emergency/000", "payer/PJSIP/555", "complete"):
        box.asterisk.put(key, "1")
    box.asterisk.put(dialplan.MIRROR, marker)
    box.asterisk.authorize("1")
    assert _astdb(box) == _expected_astdb()


@pytest.mark.parametrize(
    "cut", ["DELTREE coovox_billing payer", "DELTREE coovox_billing emergency", "payer/101", "mirror"]
)
def test_it_never_leaves_a_half_told_asterisk_that_thinks_it_knows_all(box: Box, cut: str) -> None:
    box.asterisk.put(dialplan.MIRROR, "another-database:3")
    box.asterisk.put(dialplan.COMPLETE, "1")
    box.asterisk.leaves_at = cut
    box.asterisk.authorize("1")
    assert "complete" not in _astdb(box)
    box.asterisk.leaves_at = None
    box.asterisk.authorize("2")
    assert _astdb(box) == _expected_astdb()


def test_it_begins_anew_after_a_restored_backup(box: Box, tmp_path: Path) -> None:
    box.asterisk.authorize("1")
    with open_database(tmp_path / "restored") as restored:
        restored.write(lambda connection: site_service.prepare(connection, "UTC"))
        restored.write(lambda connection: accounts.add(connection, "300", "", MANAGER))
        with _plane(restored.path) as port:
            box.asterisk.port = port
            box.asterisk.authorize("1", "300")
    assert [key for key in _astdb(box) if key.startswith("payer/")] == [
        "payer/300",
        "payer/PJSIP/carrier",
    ]


# the shipped dialplan


CONF = (shipped("asterisk") / "extensions_coovox_billing.conf").read_text(encoding="utf-8")
CODE = "\n".join(line for line in CONF.splitlines() if not line.startswith(";"))


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("authorize", dialplan.AUTHORIZE_ARGUMENTS),
        ("settle", dialplan.SETTLE_ARGUMENTS),
        ("end", dialplan.END_ARGUMENTS),
    ],
)
def test_it_is_asked_by_the_arguments_that_it_knows(path: str, names: tuple[str, ...]) -> None:
    asked = re.findall(rf"AGI\(\$\{{agi\}}/{path},(.*)\)$", CODE, re.MULTILINE)
    assert [tuple(re.findall(r"(?:^|,)(\w+)=", arguments)) for arguments in asked] == [names]


def test_it_has_a_handler_for_every_path_of_the_dialplan(box: Box) -> None:
    paths = set(re.findall(r"AGI\(\$\{agi\}/(\w+),", CODE))
    assert paths | {"answered"} == set(AgiHandlers(LoopDatabase(box.path), lambda: NOW_MS).by_path())


@pytest.mark.parametrize("name", [dialplan.VERDICT, dialplan.LIMIT, dialplan.SETTLED, dialplan.ENDED])
def test_it_sets_variables_that_the_dialplan_reads_after_clearing_them(name: str) -> None:
    assert f"${{{name}}}" in CODE
    assert re.search(rf"Set\((?:.*,)?{name}=[,)]", CODE) or name == dialplan.LIMIT


def test_it_gives_the_reason_in_the_variable_that_the_dialplan_clears_and_sets_too() -> None:
    assert re.search(rf"Set\((?:.*,)?{dialplan.REASON}=[,)]", CODE)
    assert f"Set({dialplan.REASON}=billing-down)" in CODE


@pytest.mark.parametrize("verdict", [dialplan.PASS, dialplan.REFUSED])
def test_it_gives_verdicts_that_the_dialplan_knows(verdict: str) -> None:
    assert f'"${{COOVOX_VERDICT}}" = "{verdict}"' in CODE


@pytest.mark.parametrize(
    "key",
    [dialplan.MIRROR, dialplan.COMPLETE, f"{dialplan.PAYER}/", f"{dialplan.EMERGENCY}/", dialplan.LEFTOVERS,
     f"{dialplan.LEFT}/", "policy"],
)  # fmt: skip
def test_it_keeps_what_the_dialplan_looks_up_in_astdb(key: str) -> None:
    assert f"{dialplan.FAMILY}/{key}" in CODE


def test_it_names_the_same_emergency_numbers_as_the_dialplan_of_a_new_box() -> None:
    _, _, context = CODE.partition("[coovox-billing-emergency]")
    assert set(re.findall(r"exten => (\d+),1", context)) == set(DEFAULT_EMERGENCY_NUMBERS.split())


def test_it_can_read_the_records_that_the_dialplan_writes() -> None:
    facts = re.findall(r"Set\(LOCAL\(facts\)=(.*)\)$", CODE, re.MULTILINE)
    records = re.findall(r"Set\(LOCAL\(record\)=(.*)\)$", CODE, re.MULTILINE)
    assert (len(facts), len(records)) == (1, 2)
    for record in records:
        record = record.replace("${COOVOX_LEG_FACTS}", f"{facts[0]}|${{COOVOX_ALONE}}").replace("${ARG2}", facts[0])
        record = re.sub(r"\$\{STRFTIME\([^}]*\}|\$\{COOVOX_LEG_(ANSWERED|ENDED)\}", "1772442000.484", record)
        leg = parse_leg(re.sub(r"\$\{COOVOX_ALONE\}", "passed", record))
        assert (leg.device, leg.number, leg.trunk) == ("${device}", "${number}", "${trunk}")
        assert (leg.alone, leg.ended_ms) == ("passed", 1_772_442_000_484)


def test_it_stamps_as_the_code_reads_it() -> None:
    assert set(re.findall(r"STRFTIME\(,,([^)]*)\)", CODE)) == {"%s.%3q"}
