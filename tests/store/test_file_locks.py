"""Who has a database open, told while other programs begin and end."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from coovox_billing.store.file_locks import users_of_deleted


@pytest.fixture
def programs_that_come_and_go() -> Iterator[None]:
    with subprocess.Popen(["/bin/sh", "-c", "while :; do /bin/true & /bin/true; done"]) as busy:
        yield
        busy.kill()


@pytest.mark.usefixtures("programs_that_come_and_go")
def test_a_program_that_ends_meanwhile_has_nothing_open(tmp_path: Path) -> None:
    ends = time.monotonic() + 1
    while time.monotonic() < ends:
        assert users_of_deleted(tmp_path / "billing.sqlite3") == []
