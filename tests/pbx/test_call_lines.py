"""The log's line for each event of a call: who, what, how much, and the call's id in front."""

from __future__ import annotations

import asyncio
import logging
import re
import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from coovox_billing.core.call import Source
from coovox_billing.core.clock import UNKNOWN
from coovox_billing.core.leg import Leg
from coovox_billing.pbx import call_lines
from coovox_billing.services import calls, live_calls, reconciliation, settlement
from coovox_billing.services.live_calls import Answered
from coovox_billing.store.call_changes import CallChange
from coovox_billing.store.loop_database import LoopDatabase
from tests.cast import CITY_NUMBER, NOW_MS, Exchange, a_leg, a_question, change_in

Job = Callable[[sqlite3.Connection], calls.Answer | CallChange | None]


class Book:
    """Calls whose steps are noted, and what the log says of them."""

    def __init__(self, exchange: Exchange, caplog: pytest.LogCaptureFixture) -> None:
        self.exchange = exchange
        self._caplog = caplog

    def note(self, job: Job, call_id: str = "7", note: str = "") -> None:
        call_lines.tell(call_id, change_in(self.exchange.database.write(job)), note)

    def ask(
        self, extension: str = "100", number: str = CITY_NUMBER, by_stretches: bool = True, **changes: object
    ) -> None:
        question = a_question("7", extension, number, **changes)
        self.note(lambda c: calls.authorize(c, question, NOW_MS, by_stretches))

    def answer(self) -> None:
        answered = Answered("7", NOW_MS + 5000, "PJSIP/carrier-0000000b", "1772442000.2")
        self.note(lambda c: live_calls.answer(c, answered))

    def settle(self, leg: Leg, source: Source = Source.SETTLE) -> None:
        self.note(lambda c: settlement.settle(c, "7", leg, UNKNOWN, leg.ended_ms, source))

    @property
    def lines(self) -> list[str]:
        found = [record.getMessage() for record in self._caplog.records if record.name.endswith("call_lines")]
        self._caplog.clear()
        return found


@pytest.fixture
def book(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Book]:
    caplog.set_level(logging.INFO)
    exchange = Exchange(tmp_path)
    yield Book(exchange, caplog)
    exchange.database.close()


def test_it_tells_a_call_from_the_question_to_its_charge(book: Book) -> None:
    book.ask(by_stretches=False)
    book.answer()
    book.settle(a_leg(talked=238))
    assert book.lines == [
        "call 7 asked: 100 (PJSIP/100) dials 988360046 over carrier: "
        "passes, rate 1 (city), 5.3200 held for 14400 s, limit 14400 s",
        "call 7 answered: 100 (PJSIP/100) talks with 988360046 over carrier, after 5 s",
        "call 7 ended: 100 (PJSIP/100) and 988360046 over carrier, 238 s of talk, cost 0.1800, told at its end",
    ]


def test_the_documentation_shows_what_it_tells(book: Book) -> None:
    """The guide's call, with Asterisk's manager: each stretch is bought when the call plane looks at it again."""
    book.ask()
    book.answer()
    talked = 0
    while talked < 238:
        outlook = book.exchange.database.write(partial(live_calls.review, talked={"7": talked}))["7"]
        if outlook.bought_seconds:
            call_lines.tell_lengthened("7", outlook.bought_seconds, outlook.hold_micros, outlook.limit_seconds)
        talked = max(talked + 1, int(outlook.review_at_seconds))
    book.settle(a_leg(talked=238))
    page = (Path(__file__).resolve().parents[2] / "docs/log.md").read_text()
    (shown,) = re.findall(r"```text\n(.*?)```", page, re.DOTALL)
    shown = shown.replace("719533282604128737", "7").replace("(City)", "(city)").replace("Carrier", "carrier")
    assert shown.splitlines() == book.lines


@pytest.mark.parametrize(
    ("extension", "number", "verdict"),
    [
        ("102", CITY_NUMBER, "102 (PJSIP/102) dials 988360046 over carrier: refused, locked"),
        ("100", "77", "100 (PJSIP/100) dials 77 over carrier: refused, no-rate"),
        ("103", CITY_NUMBER, "103 (PJSIP/103) dials 988360046 over carrier: passes, not-billed"),
        ("102", "112", "102 (PJSIP/102) dials 112 over carrier: passes, emergency"),
        ("100", "", "100 (PJSIP/100) dials no number over carrier: refused, bad-number"),
        ("205", CITY_NUMBER, "205 (PJSIP/205) dials 988360046 over carrier: passes, not-billed"),
    ],
)
def test_it_tells_the_verdict(book: Book, extension: str, number: str, verdict: str) -> None:
    book.ask(extension, number)
    assert book.lines == [f"call 7 asked: {verdict}"]


def test_it_tells_of_a_second_trunk(book: Book) -> None:
    book.ask()
    book.note(lambda c: calls.give_up(c, "7", a_leg(cause="17")))
    book.ask(trunk="backup", stamp_ms=NOW_MS + 1)
    book.ask(trunk="third", stamp_ms=NOW_MS + 2)
    assert book.lines[1:] == [
        "call 7 unanswered: 100 (PJSIP/100) and 988360046 over carrier, cause 17, 0.1600 freed",
        "call 7 asked again (attempt 2): 100 (PJSIP/100) dials 988360046 over backup: "
        "passes, rate 1 (city), 0.1600 held for 60 s, limit 180 s",
        "call 7 tried again: 100 (PJSIP/100) over third",
    ]


def test_it_tells_that_asterisk_did_not_hear_the_answer(book: Book) -> None:
    book.ask()
    book.note(lambda c: calls.withdraw(c, "7", NOW_MS, NOW_MS))
    assert book.lines[1] == (
        "call 7 unanswered: 100 (PJSIP/100) and 988360046 over carrier, billing-down, 0.1600 freed"
    )


def test_it_tells_of_a_call_that_the_dialplan_let_pass_alone(book: Book) -> None:
    book.note(lambda c: live_calls.begin_alone(c, "7", a_leg(talked=0, alone="passed")))
    book.settle(a_leg(talked=60, alone="passed"), Source.ASTDB)
    answered, ended = book.lines
    assert answered.endswith("after 5 s, which the dialplan let pass alone")
    assert ended.endswith("60 s of talk, cost 0.1000, billing-down, late, told by AstDB, flags alone")


def test_it_tells_what_was_closed_by_rule_and_then_corrected(book: Book) -> None:
    book.ask(by_stretches=False)
    book.answer()
    book.note(lambda c: reconciliation.close(c, "7", None, 30, NOW_MS))
    book.settle(a_leg(talked=238), Source.CEL)
    assert book.lines[2:] == [
        "call 7 ended: 100 (PJSIP/100) and 988360046 over carrier, 30 s of talk, cost 0.1000, "
        "closed by rule, for nobody told how it ended, flags lost",
        "call 7 corrected: 100 (PJSIP/100) and 988360046 over carrier, 238 s of talk, cost 0.1800, "
        "late, told by CEL, flags corrected",
    ]


def test_it_tells_what_could_not_be_collected(book: Book) -> None:
    book.settle(a_leg(talked=1200, number="0044", alone="passed"), Source.ASTDB)
    assert book.lines == [
        "call 7 ended: 100 (PJSIP/100) and 0044 over carrier, 1200 s of talk, cost 20.0000, billing-down, "
        "10.0000 of it could not be collected, late, told by AstDB, flags alone uncollected"
    ]


def test_it_says_nothing_twice_and_nothing_of_what_is_no_news(book: Book) -> None:
    book.settle(a_leg())
    book.ask()
    book.ask()
    book.answer()
    book.answer()
    book.settle(a_leg(talked=10))
    book.settle(a_leg(talked=10))
    assert [line.split()[2] for line in book.lines] == ["asked:", "answered:", "ended:"]


def test_it_makes_no_line_where_nobody_reads_one(
    book: Book, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(call_lines, "_say", None)
    book.ask()
    assert book.lines == []


@pytest.mark.parametrize(
    ("tell", "line"),
    [
        (lambda: call_lines.tell_lengthened("7", 300, 300_000, 420), "lengthened: by 300 s, holds 0.3000, ends at 420"),
        (lambda: call_lines.tell_lengthened("7", 60, 0, None), "lengthened: by 60 s, holds 0.0000, without limit"),
        (lambda: call_lines.tell_warned("7", 30), "warned: the caller hears that 30 s are left"),
        (lambda: call_lines.tell_moved("7", "PJSIP/x-1"), "moved: goes on on channel PJSIP/x-1"),
        (lambda: call_lines.tell_cut("7", 61), "cut: Asterisk hangs it up after 61 s of talk"),
        (lambda: call_lines.tell_limit("7", None), "limit: Asterisk was told no limit"),
    ],
)
def test_it_tells_what_happens_during_a_call(
    book: Book, caplog: pytest.LogCaptureFixture, tell: Callable[[], None], line: str
) -> None:
    caplog.set_level(logging.DEBUG)
    tell()
    assert [said.startswith(f"call 7 {line}") for said in book.lines] == [True]


def test_it_says_nothing_of_what_never_reached_the_disk(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    exchange = Exchange(tmp_path)

    def fail(connection: sqlite3.Connection) -> None:
        calls.authorize(connection, a_question("7"), NOW_MS)
        raise ValueError("the disk is full")

    async def ask() -> None:
        database = LoopDatabase(exchange.database.path)
        done = database.submit(fail)
        done.add_done_callback(call_lines.teller("7", lambda change: change))
        with pytest.raises(ValueError, match="full"):
            await done
        await database.close()

    asyncio.run(ask())
    exchange.database.close()
    assert "call 7" not in caplog.text
