"""`serve`: both planes run, one that dies or hangs is replaced, and nothing outlives the parent."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coovox_billing import heartbeat
from coovox_billing.config import Address
from coovox_billing.serve import PLANES, START_SECONDS, Plane
from coovox_billing.web_plane import is_listening

ROOT = Path(__file__).resolve().parents[2]
# On a machine with much else to do.
LONGEST_START_SECONDS = 8.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(fact: Callable[[], object], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain"
        time.sleep(0.05)


class Served:
    """A running `serve`."""

    def __init__(self, folder: Path) -> None:
        self.agi, self.web = free_port(), free_port()
        self.log = folder / "log"
        environment = os.environ | {
            "COOVOX_AGI_LISTEN": f"127.0.0.1:{self.agi}",
            "COOVOX_WEB_LISTEN": f"127.0.0.1:{self.web}",
        }
        command = [sys.executable, "-m", "coovox_billing", "--data", str(folder / "data"), "serve"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)

    def planes(self) -> dict[str, int]:
        """Process ids of the children, by plane."""
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and self._parent(entry) == self.process.pid:
                arguments = (entry / "cmdline").read_bytes().split(b"\0")
                if len(arguments) > 1:  # a zombie has none
                    found[arguments[-2].decode()] = int(entry.name)
        return found

    @staticmethod
    def _parent(entry: Path) -> int:
        try:
            return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            return 0

    def answers(self, port: int) -> bool:
        """Whether something listens there."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def is_up(self) -> bool:
        """Whether both planes answer, and their parent has heard so: one that never beat has longer."""
        said = self.log.read_text()
        is_heard = all(f"the {plane} is up" in said for plane in PLANES.values())
        return self.answers(self.agi) and self.answers(self.web) and is_heard


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    running = Served(tmp_path)
    wait_until(running.is_up)
    yield running
    running.process.terminate()
    running.process.wait(10)


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]


def test_it_serves_pages_and_says_so(served: Served) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{served.web}/healthz", timeout=5) as answer:
        assert answer.status == 200
    assert f"http://127.0.0.1:{served.web}/" in served.log.read_text()


@pytest.mark.parametrize("plane", ["calls", "web"])
def test_it_replaces_a_plane_that_was_killed_and_leaves_the_other_alone(served: Served, plane: str) -> None:
    before = served.planes()
    os.kill(before[plane], signal.SIGKILL)
    wait_until(lambda: served.planes().get(plane, before[plane]) != before[plane] and served.is_up())
    other = "web" if plane == "calls" else "calls"
    assert served.planes()[other] == before[other]


@pytest.mark.parametrize("plane", ["calls", "web"])
def test_it_replaces_a_hung_plane(served: Served, plane: str) -> None:
    hung = served.planes()[plane]
    port = served.agi if plane == "calls" else served.web
    os.kill(hung, signal.SIGSTOP)
    stopped = time.monotonic()
    wait_until(lambda: not is_alive(hung))
    dead_seconds = time.monotonic() - stopped
    wait_until(lambda: is_listening(Address("127.0.0.1", port)))
    answering_seconds = time.monotonic() - stopped
    print(f"{plane}: dead after {dead_seconds:.2f} s, another answers after {answering_seconds:.2f} s")
    assert 3 < dead_seconds < 6.5
    assert answering_seconds < dead_seconds + LONGEST_START_SECONDS
    assert served.planes()[plane] != hung
    assert f"the {PLANES[plane]} was silent for 5 s" in served.log.read_text()


def test_it_ends_both_planes_when_it_is_told_to_stop(served: Served) -> None:
    planes = served.planes().values()
    served.process.terminate()
    assert served.process.wait(10) == 0
    assert not any(map(is_alive, planes))


def test_it_leaves_no_plane_behind_when_it_is_killed(served: Served) -> None:
    planes = list(served.planes().values())
    served.process.kill()
    wait_until(lambda: not any(map(is_alive, planes)))


def test_it_says_which_port_is_taken_and_ends(tmp_path: Path, served: Served) -> None:
    environment = os.environ | {
        "COOVOX_AGI_LISTEN": f"127.0.0.1:{served.agi}",
        "COOVOX_WEB_LISTEN": f"127.0.0.1:{free_port()}",
    }
    command = [sys.executable, "-m", "coovox_billing", "--data", str(tmp_path / "other"), "serve"]
    said = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert said.returncode == 1
    assert f"127.0.0.1:{served.agi}" in said.stderr
    assert "COOVOX_AGI_LISTEN" in said.stderr


def test_it_leaves_a_plane_time_to_start() -> None:
    plane = Plane("calls", ["--help"])
    plane.start()
    assert plane.process is not None
    try:
        plane.process.send_signal(signal.SIGSTOP)
        assert not plane.is_hung(plane.heard + START_SECONDS - 1)
        assert plane.is_hung(plane.heard + START_SECONDS + 1)
        plane.has_beaten = True
        assert plane.is_hung(plane.heard + heartbeat.SILENCE_SECONDS + 1)
    finally:
        plane.kill()
    wait_until(lambda: plane.process is not None and plane.process.poll() is not None)
    assert not plane.is_hung(plane.heard + START_SECONDS + 1)
    plane.forget()
