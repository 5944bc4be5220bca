"""`rate check`: what is found of the rates, or of a file that is not imported yet."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import GUIDE_RATE, HEADER, Terminal


@pytest.fixture
def office(terminal: Terminal) -> Terminal:
    """One billed extension, and the guide's rate."""
    terminal.do("extension", "add", "100", "--name", "Reception")
    terminal.do("extension", "set", "100", "--billing", "on")
    terminal.do("rate", "import", terminal.file("rates.csv", f"{HEADER}\n{GUIDE_RATE}\n"))
    return terminal


def test_it_ends_well_where_nothing_is_found(office: Terminal) -> None:
    assert office.do("rate", "check") == "nothing was found\n"
    assert office.read("rate", "check") == []


def test_it_tells_each_finding_with_what_to_do(office: Terminal) -> None:
    rows = f"{HEADER}\n{GUIDE_RATE}\n1,late,7,0,0,0,1,60,08:00,,,100\n"
    office.do("rate", "import", office.file("more.csv", rows))
    said = office.run("rate", "check")
    assert said.status == 1
    assert "gap: No rate is open for numbers with prefix 7 and any length from 00:00:00 to 07:59:59" in said.out
    assert "Widen its time block" in said.out
    (finding,) = json.loads(office.run("rate", "check", "--json").out)
    assert (finding["kind"], finding["rate"], finding["prefix"]) == ("gap", 2, "7")


def test_it_checks_a_file_without_importing_it(office: Terminal) -> None:
    file = office.file("draft.csv", f"{HEADER}\n{GUIDE_RATE}\n{GUIDE_RATE}\n")
    (finding,) = json.loads(office.run("rate", "check", file, "--json").out)
    assert (finding["kind"], finding["rate"]) == ("shadowed", 2)
    assert len(office.read("rate", "list")) == 1


def test_it_names_the_rows_of_a_file_that_are_none(office: Terminal) -> None:
    said = office.run("rate", "check", office.file("wrong.csv", f"{HEADER}\n1,City,x,9,0.1,60,0.02,55,,,,all\n"))
    assert said.status == 1
    assert "line 2: prefix:" in said.err
    assert "nothing was checked" in said.err
