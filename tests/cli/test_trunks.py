"""`trunk list|add|set|remove`, and what `doctor` says of a line without answer supervision."""

from __future__ import annotations

import json
from typing import Any

import pytest

from coovox_billing.core.clock import UNKNOWN
from coovox_billing.services import calls, settlement
from coovox_billing.store.database import open_database
from coovox_billing.wall_clock import wall_clock_ms
from tests.cast import a_leg, a_question
from tests.cli.conftest import Terminal

LINE = "DAHDI/g1"


@pytest.fixture
def line(terminal: Terminal) -> Terminal:
    """A site with an analog line."""
    terminal.do("trunk", "add", LINE, "--name", "Line 1")
    return terminal


def _answer_at_once(terminal: Terminal, count: int) -> None:
    """So many calls over the line, each answered as soon as it was dialed."""
    now_ms = wall_clock_ms()
    with open_database(terminal.folder / "data") as database:
        for number in range(count):
            call_id = str(number)
            question = a_question(call_id, stamp_ms=now_ms, dial_string=f"{LINE}/5551234", trunk="Line 1")
            leg = a_leg(talked=60, rang=0.5, asked_ms=now_ms, trunk="Line 1")
            database.write(lambda c, question=question: calls.authorize(c, question, now_ms))
            database.write(
                lambda c, call_id=call_id, leg=leg: settlement.settle(c, call_id, leg, UNKNOWN, leg.ended_ms)
            )


def _of_doctor(terminal: Terminal) -> list[dict[str, Any]]:
    said = terminal.run("doctor", "--json")
    rows: list[dict[str, Any]] = json.loads(said.out)
    return [row for row in rows if row["name"].startswith("trunk")]


def test_it_lists_a_trunk(line: Terminal) -> None:
    assert line.read("trunk", "list") == [
        {
            "device": LINE, "name": "Line 1", "free_seconds": 0, "channels": 0, "calls": 0, "answered": 0,
            "answered_within_2_seconds": 0, "notice": "",
        }
    ]  # fmt: skip


def test_it_says_what_to_do_where_no_trunk_is(terminal: Terminal) -> None:
    assert "trunk add" in terminal.do("trunk", "list")
    assert terminal.read("trunk", "list") == []


@pytest.mark.parametrize("word", [LINE, "Line 1"])
def test_it_changes_only_what_is_given(line: Terminal, word: str) -> None:
    assert LINE in line.do("trunk", "set", word, "--free-seconds", "30")
    (row,) = line.read("trunk", "list")
    assert (row["name"], row["free_seconds"]) == ("Line 1", 30)
    line.do("trunk", "set", word, "--name", "Line 2")
    (row,) = line.read("trunk", "list")
    assert (row["name"], row["free_seconds"]) == ("Line 2", 30)


def test_it_is_told_how_many_calls_a_trunk_carries(line: Terminal) -> None:
    line.do("trunk", "set", LINE, "--channels", "2")
    line.do("trunk", "add", "PJSIP/carrier", "--channels", "30")
    assert [(row["device"], row["channels"]) for row in line.read("trunk", "list")] == [
        (LINE, 2),
        ("PJSIP/carrier", 30),
    ]
    line.do("trunk", "set", LINE, "--channels", "0")
    assert [row["channels"] for row in line.read("trunk", "list")] == [0, 30]


def test_it_removes_a_trunk(line: Terminal) -> None:
    assert "with the next call" in line.do("trunk", "remove", LINE)
    assert line.read("trunk", "list") == []


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("trunk", "add", LINE), "trunk set DAHDI/g1"),
        (("trunk", "add", "carrier"), "PJSIP/carrier"),
        (("trunk", "add", "PJSIP/\udcff"), "PJSIP/carrier"),
        (("trunk", "add", "PJSIP/carrier", "--name", "a|b"), "TRUNK-NAME"),
        (("trunk", "set", LINE), "--free-seconds 30"),
        (("trunk", "set", "Line 9", "--free-seconds", "30"), "trunk list"),
        (("trunk", "set", LINE, "--free-seconds", "601"), "0 to 600"),
        (("trunk", "set", LINE, "--free-seconds", "-1"), "0 to 600"),
        (("trunk", "set", LINE, "--free-seconds", "9" * 5000), "0 to 600"),
        (("trunk", "set", LINE, "--free-seconds", "2.5"), "0 to 600"),
        (("trunk", "set", LINE, "--channels", "-1"), "0 to 10000"),
        (("trunk", "add", "PJSIP/carrier", "--channels", "10001"), "0 to 10000"),
        (("trunk", "remove", "Line 9"), "trunk list"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, tuple) else "",
)
def test_it_refuses_bad_input_in_a_line_and_changes_nothing(
    line: Terminal, arguments: tuple[str, ...], word: str
) -> None:
    before = line.read("trunk", "list")
    assert word in line.refused(*arguments)
    assert line.read("trunk", "list") == before


def test_it_tells_of_a_line_that_answers_at_once(line: Terminal) -> None:
    _answer_at_once(line, 20)
    (row,) = line.read("trunk", "list")
    assert (row["calls"], row["answered"], row["answered_within_2_seconds"]) == (20, 20, 20)
    assert "--free-seconds 30" in row["notice"]
    assert row["notice"] in line.do("trunk", "list").splitlines()[-1]
    (diagnosis,) = _of_doctor(line)
    assert (diagnosis["ok"], diagnosis["name"]) == (False, f"trunk {LINE}")
    assert "trunk set DAHDI/g1 --free-seconds 30" in diagnosis["what_to_do"]


def test_it_is_content_once_seconds_are_free(line: Terminal) -> None:
    _answer_at_once(line, 20)
    line.do("trunk", "set", LINE, "--free-seconds", "30")
    assert line.read("trunk", "list")[0]["notice"] == ""
    (diagnosis,) = _of_doctor(line)
    assert (diagnosis["ok"], diagnosis["name"]) == (True, "trunks")
