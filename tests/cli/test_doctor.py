"""`doctor` on bad days: what is wrong with the site, and what to do."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from coovox_billing.store.database import FILE_NAME
from tests import bad_days, cast
from tests.cli.conftest import Terminal

ROOT = Path(__file__).resolve().parents[2]


def diagnoses(terminal: Terminal) -> dict[str, Any]:
    """What the doctor says, by what it is about."""
    return {row["name"]: row for row in json.loads(terminal.run("doctor", "--json").out)}


def diagnoses_for_anybody(terminal: Terminal) -> dict[str, Any]:
    """The same for a user who may not write everywhere, as billing's is."""
    command = [sys.executable, "-m", "coovox_billing", "--data", str(terminal.folder / "data"), "doctor", "--json"]
    said = subprocess.run(
        [*bad_days.AS_ANYBODY, *command], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert said.returncode == 1, said.stderr
    return {row["name"]: row for row in json.loads(said.stdout)}


def test_it_finds_a_good_database(reception: Terminal) -> None:
    found = diagnoses(reception)
    names = ("database", "disk", "clock", "files", "disk speed", "books", "calls", "trunks", "billing")
    assert [name for name in names if not found[name]["ok"]] == []
    assert "not examined" not in found


@pytest.mark.parametrize(
    ("harm", "word"),
    [(bad_days.lose, "missing"), (bad_days.spoil_header, "damaged"), (bad_days.spoil_pages, "damaged")],
)
def test_it_says_it_once_where_the_database_cannot_be_used(
    reception: Terminal, harm: Callable[[Path], None], word: str
) -> None:
    harm(reception.folder / "data")
    found = diagnoses(reception)
    assert (found["database"]["ok"], word in found["database"]["what_to_do"]) == (False, True)
    assert not {"books", "trunks", "billing", "calls"} & set(found)
    assert "they need the database" in found["not examined"]["finding"]


def test_it_makes_no_site_where_there_is_none(terminal: Terminal) -> None:
    assert "--data" in terminal.run("--data", str(terminal.folder / "nowhere"), "doctor").err
    bad_days.lose(terminal.folder / "data")
    diagnoses(terminal)
    assert not (terminal.folder / "data" / FILE_NAME).exists()


@pytest.mark.parametrize("closed", [bad_days.files_closed, bad_days.directory_closed])
def test_it_says_that_the_database_is_read_only(
    reception: Terminal, closed: Callable[[Path], AbstractContextManager[None]]
) -> None:
    with closed(reception.folder / "data"):
        found = diagnoses_for_anybody(reception)
    assert (found["database"]["ok"], "cannot be written" in found["database"]["what_to_do"]) == (False, True)


def test_it_says_that_nothing_can_be_stored_in_the_directory(reception: Terminal) -> None:
    with bad_days.directory_closed(reception.folder / "data"):
        found = diagnoses_for_anybody(reception)
    assert "nothing can be written" in found["disk speed"]["finding"]


def test_it_says_what_root_left_closed(reception: Terminal) -> None:
    with bad_days.files_closed(reception.folder / "data"):
        assert "chmod" in diagnoses(reception)["files"]["what_to_do"]


def test_it_names_who_has_locked_the_database(reception: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coovox_billing.services.condition.THOROUGH_WAIT_MS", 200)
    script = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "c.execute('BEGIN IMMEDIATE'); print('locked', flush=True); sys.stdin.read()"
    )
    path = str(reception.folder / "data" / FILE_NAME)
    with subprocess.Popen(
        [sys.executable, "-c", script, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        found = diagnoses(reception)["database"]
        assert holder.stdin is not None
        holder.stdin.close()
    assert re.search(rf"locked by \S+ \(process {holder.pid}\) for 0\.\d s and longer", found["finding"])
    assert diagnoses(reception)["database"]["ok"]


def test_it_says_that_the_clock_is_behind(reception: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coovox_billing.cli.health.wall_clock_ms", lambda: 0)
    assert "NTP" in diagnoses(reception)["clock"]["what_to_do"]


def test_it_lists_the_calls_that_need_a_person(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    exchange = cast.Exchange(terminal.folder / "house")
    for call_id in ("lost", "settled"):
        exchange.ask(call_id)
        exchange.answer(call_id)
    exchange.lose("lost", 10)
    exchange.settle("settled", 10)
    exchange.database.close()
    monkeypatch.setattr("coovox_billing.cli.health.wall_clock_ms", lambda: cast.NOW_MS)
    house = Terminal(terminal.folder / "house-of", terminal.capture)
    house.folder.mkdir()
    (terminal.folder / "house").rename(house.folder / "data")
    found = diagnoses(house)["lost calls"]
    assert (found["ok"], "call list --flag lost" in found["what_to_do"]) == (False, True)
    assert [call["id"] for call in house.read("call", "list", "--flag", "lost")] == ["lost"]
    assert house.read("call", "list", "--flag", "corrected") == []
    assert house.do("call", "list", "--flag", "corrected") == "no call is flagged corrected\n"
    assert len(house.read("call", "list")) == 2
    assert house.run("call", "list", "--flag", "invented").status == 2
