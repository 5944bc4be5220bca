"""A site at a temporary place, driven as a person does."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from coovox_billing.cli.main import main

HEADER = (
    "active,remark,prefix,number_length,initial_cost,initial_time,rate,billing_unit,start_time,end_time,days,extensions"
)
GUIDE_RATE = "1,City,9,9,0.1,60,0.02,55,00:00:00,23:59:59,,all"


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    status: int
    out: str
    err: str


@dataclass(frozen=True)
class Terminal:
    """A terminal at a site."""

    folder: Path
    capture: Callable[[], Any]

    def run(self, *arguments: str) -> Said:
        """One command, whatever it answers."""
        try:
            status = main(["--data", str(self.folder / "data"), *arguments])
        except SystemExit as end:
            status = int(end.code or 0)
        captured = self.capture()
        return Said(status, captured.out, captured.err)

    def do(self, *arguments: str) -> str:
        """One command that must succeed; its output."""
        said = self.run(*arguments)
        assert said.status == 0, said.err
        return said.out

    def refused(self, *arguments: str) -> str:
        """One command that must be refused with a line; the line."""
        said = self.run(*arguments)
        assert said.status == 1, said
        assert said.err.startswith("coovox-billing: ")
        assert said.err.count("\n") == 1
        return said.err

    def read(self, *arguments: str) -> Any:
        """What a listing command prints as JSON."""
        return json.loads(self.do(*arguments, "--json"))

    def file(self, name: str, text: str) -> str:
        """A file with that text; its path."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return str(path)


@pytest.fixture
def terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """An empty site, in UTC, whatever the machine's settings."""
    for variable in ("COOVOX_CONFIG", "COOVOX_DATA", "COOVOX_WEB_LISTEN", "COOVOX_AGI_LISTEN", "COOVOX_AMI"):
        monkeypatch.delenv(variable, raising=False)
    at = Terminal(tmp_path, capsys.readouterr)
    at.do("setting", "set", "time_zone", "UTC")
    at.do("activation", "on")
    return at


@pytest.fixture
def reception(terminal: Terminal) -> Terminal:
    """Reception 100 with 10.00, billed by the guide's rate."""
    terminal.do("extension", "add", "100", "--name", "Reception")
    terminal.do("extension", "set", "100", "--billing", "on")
    terminal.do("recharge", "100", "10")
    terminal.do("rate", "import", terminal.file("rates.csv", f"{HEADER}\n{GUIDE_RATE}\n"))
    return terminal
