"""Who has a database open, told while other programs end."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coovox_billing.store.file_locks import users_of_deleted


def test_a_program_that_ends_meanwhile_has_nothing_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = set()
    with subprocess.Popen(["sleep", "60"]) as program:
        files = f"/proc/{program.pid}/fd"

        def ends_before(look: Callable[[Any], Any]) -> Callable[[Any], Any]:
            def ended(path: Any) -> Any:
                if str(path) == files:
                    program.kill()
                    program.wait()
                    seen.add(files)
                return look(path)

            return ended

        for name in ("listdir", "scandir"):
            monkeypatch.setattr(os, name, ends_before(getattr(os, name)))
        assert users_of_deleted(tmp_path / "billing.sqlite3") == []
        program.kill()
    assert seen, "nobody looked at what the program has open"
