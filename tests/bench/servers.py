"""Processes that are measured: started, asked for what they cost, ended."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEBIAN_PYTHON = "/usr/bin/python3"

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass
class Server:
    """A process that listens on a TCP port of this machine."""

    name: str
    port: int
    process: subprocess.Popen[bytes]

    def cpu_seconds(self) -> float:
        """What it has used so far, all of its threads together."""
        return cpu_seconds(self.process.pid)

    def written_bytes(self) -> int:
        """What it has written so far.

        What the kernel counts as sent to the disk is up to twelve times that on a file that it holds in large folios.
        """
        lines = Path(f"/proc/{self.process.pid}/io").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("wchar"))

    def resident_mb(self) -> float:
        """What it has in memory now."""
        return self._status_mb("VmRSS")

    def forget_most(self) -> None:
        """What it had in memory up to now counts no more: a password is hashed in 16 MB, for a moment."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def most_resident_mb(self) -> float:
        """What it had in memory at most."""
        return self._status_mb("VmHWM")

    def _status_mb(self, name: str) -> float:
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def cpu_seconds(pid: int) -> float:
    """What a process has used so far, all of its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND


def free_port() -> int:
    """One that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(name: str, port: int, command: Sequence[object], **settings: str) -> Iterator[Server]:
    """A server while it is needed; killed then. `settings` go into its environment."""
    process = subprocess.Popen(
        [str(word) for word in command], cwd=ROOT, env=os.environ | settings, stderr=subprocess.DEVNULL
    )
    try:
        _wait_for(port)
        yield Server(name, port, process)
    finally:
        process.kill()
        process.wait()


def _wait_for(port: int) -> None:
    for _ in range(500):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError(f"nothing listens on port {port}")
