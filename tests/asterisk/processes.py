"""Sees to it that no program of a test outlives the test run, however that run ends.

Every program leads a process group of its own. A watcher knows the groups and ends those that are left when
this process is gone, even if it was killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

WATCHER = """
import os, signal, sys
groups = set()
for line in sys.stdin:
    (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
for group in groups:
    try:
        os.killpg(group, signal.SIGKILL)
    except OSError:
        pass
"""
_watchers: list[subprocess.Popen[str]] = []


def start(command: Sequence[str | Path], folder: Path, output: Path | None = None) -> subprocess.Popen[bytes]:
    """Run in the background, its output into a file or nowhere."""
    with (output or Path(os.devnull)).open("ab") as sink:
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=folder,
            env={**os.environ, "TZ": "UTC", "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _tell(f"+{process.pid}")
    return process


def end(process: subprocess.Popen[bytes], patience_seconds: float = 0.0) -> None:
    """Ask it to stop if there is patience, then end it and all that it started."""
    if patience_seconds:
        _signal(process, signal.SIGTERM)
        _wait(process, patience_seconds)
    _signal(process, signal.SIGKILL)
    process.wait()
    forget(process)


def forget(process: subprocess.Popen[bytes]) -> None:
    """It is over: its number may be given to others now."""
    _tell(f"-{process.pid}")


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    if process.poll() is None:
        os.killpg(process.pid, number)


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return


def _tell(line: str) -> None:
    pipe = _watcher().stdin
    assert pipe
    pipe.write(line + "\n")
    pipe.flush()


def _watcher() -> subprocess.Popen[str]:
    if not _watchers:
        _watchers.append(
            subprocess.Popen(
                [sys.executable, "-c", WATCHER],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                text=True,
            )
        )
    return _watchers[0]
