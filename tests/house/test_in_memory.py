"""`in_memory.sh` runs a command as it is, and leaves nothing of its files behind."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "in_memory.sh"


def run(command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """What a shell says that the script runs; without a TMPDIR but one that is named."""
    environment = {name: value for name, value in os.environ.items() if name != "TMPDIR"} | variables
    said = [str(SCRIPT), "sh", "-c", command]
    return subprocess.run(said, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("status", [0, 3])
def test_it_ends_as_its_command_ends_and_leaves_nothing(status: int) -> None:
    ended = run(f'mktemp -d; echo "${{TMPDIR:-}}"; exit {status}')
    made, folder = map(Path, ended.stdout.splitlines())
    assert ended.returncode == status
    if folder != Path():
        assert made.is_relative_to(folder)
        assert not folder.exists()
    else:
        made.rmdir()


def test_it_leaves_a_folder_that_was_named_alone(tmp_path: Path) -> None:
    made = Path(run("mktemp -d", TMPDIR=str(tmp_path)).stdout.strip())
    assert made.parent == tmp_path
    assert made.is_dir()


def test_it_is_sound() -> None:
    command = ["shellcheck", "--shell=sh", str(SCRIPT)]
    assert subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout == ""
