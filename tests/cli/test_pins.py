"""`extension pin`: asked for, or piped in, or made; never an argument."""

import io
import re
import sys

import pytest

from coovox_billing.cli import context
from coovox_billing.services import passwords
from coovox_billing.store.database import FILE_NAME
from tests.cast import look_up
from tests.cli.conftest import Terminal


@pytest.fixture
def office(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A site with one extension."""
    monkeypatch.setattr(passwords, "_COST_EXPONENT", 4)
    terminal.do("extension", "add", "100")
    return terminal


def pipe(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def opens(office: Terminal, pin: str) -> bool:
    rows = look_up(office.folder / "data" / FILE_NAME, "SELECT hash FROM pins")
    return bool(rows) and passwords.matches(pin, rows[0][0])


def changes(office: Terminal) -> list[tuple[str, ...]]:
    return look_up(office.folder / "data" / FILE_NAME, "SELECT what, after FROM changes WHERE after LIKE '{_pin%'")


def test_it_reads_a_pin_that_is_piped_in(office: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe(monkeypatch, "482915\n")
    told = office.do("extension", "pin", "100")
    assert told == "the PIN of extension 100 is set\n"
    assert opens(office, "482915")
    assert changes(office) == [("extension 100", '{"pin": "changed"}')]


def test_it_asks_twice_at_a_terminal(office: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["482915", "482915", "482915", "482916"])
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(context.getpass, "getpass", lambda _prompt: next(answers))
    office.do("extension", "pin", "100")
    assert opens(office, "482915")
    assert "differs: nothing was changed" in office.refused("extension", "pin", "100")
    assert opens(office, "482915")


def test_it_makes_a_random_one_and_prints_it_once(office: Terminal) -> None:
    told = office.do("extension", "pin", "100", "--random")
    found = re.fullmatch(r"the PIN of extension 100 is (\d{6}): it is not shown again\n", told)
    assert found
    assert opens(office, found[1])


def test_it_removes_one(office: Terminal) -> None:
    office.do("extension", "pin", "100", "--random")
    assert office.do("extension", "pin", "100", "--remove") == "extension 100 has no PIN\n"
    assert look_up(office.folder / "data" / FILE_NAME, "SELECT * FROM pins") == []
    office.do("extension", "pin", "100", "--remove")
    assert [after for _, after in changes(office)] == ['{"pin": "changed"}', '{"pin": "removed"}']


@pytest.mark.parametrize(
    ("typed", "says"), [("", "4 to 12 digits"), ("1234", "too easy to guess"), ("48291x", "4 to 12 digits")]
)
def test_it_refuses_what_is_no_pin(office: Terminal, monkeypatch: pytest.MonkeyPatch, typed: str, says: str) -> None:
    pipe(monkeypatch, typed)
    assert says in office.refused("extension", "pin", "100")
    assert look_up(office.folder / "data" / FILE_NAME, "SELECT * FROM pins") == []


def test_it_asks_for_no_pin_of_an_extension_that_is_not_there(office: Terminal) -> None:
    for words in ([], ["--random"], ["--remove"]):
        assert "there is no extension" in office.refused("extension", "pin", "999", *words)


def test_it_takes_no_pin_as_an_argument(office: Terminal) -> None:
    assert office.run("extension", "pin", "100", "482915").status == 2
    assert office.run("extension", "pin", "100", "--random", "--remove").status == 2
