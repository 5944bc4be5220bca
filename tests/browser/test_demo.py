"""`make demo`, as a newcomer sees it: balances fall in the browser, without a hand on the keyboard."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests.asterisk.ports import free_port
from tests.browser.conftest import WIDE, Screen
from tests.demo.demo import OFFICE, PASSWORD

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 60
ENOUGH_CALLS = 5
STATUS = 6


@pytest.fixture
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "tests/demo/demo.py", "--web-port", str(port), *request.param]
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'license'}"}
    demo = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    assert demo.stdout is not None
    assert any("Ctrl-C" in line for line in demo.stdout)
    yield f"http://127.0.0.1:{port}"
    demo.send_signal(signal.SIGINT)
    assert demo.wait(20) == 0


CELLS = (
    "return [...document.querySelectorAll('tbody tr')].map(row => [...row.cells].map(cell => cell.innerText.trim()))"
)


def cells(screen: Screen) -> list[list[str]]:
    """The table as it stands; taken in one go, since the page may load itself again at any moment."""
    found: list[list[str]] = screen.chrome.execute_script(CELLS)
    return found


def balances(screen: Screen) -> dict[str, Decimal]:
    return {row[1]: Decimal(row[4]) for row in cells(screen)}


def answered_calls(screen: Screen) -> int:
    return sum(len(row) > STATUS and row[STATUS].startswith("Answered") for row in cells(screen))


@pytest.mark.parametrize("address", [[], ["--fake"]], ids=["real Asterisk", "fake Asterisk"], indirect=True)
def test_it_shows_balances_fall(screen: Screen) -> None:
    screen.resize(WIDE)
    screen.sign_in(PASSWORD)
    screen.open("/extensions?refresh=2")
    at_first = balances(screen)
    assert at_first.keys() == {number for number, *_ in OFFICE}
    total = sum(at_first.values())
    screen.patiently(PATIENCE_SECONDS).until(lambda _: 0 != sum(balances(screen).values()) < total)
    screen.picture("extensions")
    screen.open("/call-log?refresh=2")
    screen.patiently(PATIENCE_SECONDS).until(lambda _: answered_calls(screen) >= ENOUGH_CALLS)
    screen.picture("call-log")
