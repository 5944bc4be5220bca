"""The watchdog: a plane beats only while its own loop turns, and tells systemd so."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from coovox_billing import heartbeat, web_plane
from coovox_billing.config import Address
from coovox_billing.web_plane import Pulse, Workers, is_listening
from tests.asterisk.ports import free_port
from tests.asterisk.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
LONG_SILENCE_SECONDS = 3.0

# What a hang is: the plane's own loop does nothing else for a long time.
HANG = {
    "calls": """
import asyncio, time
from coovox_billing.pbx.agi_server import AgiServer
start = AgiServer.start
async def start_and_hang_later(self, *where):
    await start(self, *where)
    asyncio.get_running_loop().call_later(1.5, time.sleep, 60)
AgiServer.start = start_and_hang_later
""",
    "web": """
import threading, time
from coovox_billing.web_plane import Pulse
run = Pulse.run
def run_and_hang_later(self):
    threading.Timer(1.5, lambda: self._loop.pull_trigger(lambda: time.sleep(60))).start()
    run(self)
Pulse.run = run_and_hang_later
""",
}
MAIN = "import sys\nfrom coovox_billing.cli.main import main\nsys.exit(main())"


class Systemd:
    """The end of NOTIFY_SOCKET at which systemd listens."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.address = address

    def hear(self, timeout_seconds: float = 10) -> str:
        """The next message; empty where none came in time."""
        self._socket.settimeout(timeout_seconds)
        try:
            return self._socket.recv(256).decode()
        except TimeoutError:
            return ""

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    listening = Systemd(str(tmp_path / "notify"))
    yield listening
    listening.close()


@contextmanager
def plane(name: str, folder: Path, systemd: Systemd, before: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """A plane as systemd starts it; `before` is run in it first."""
    environment = os.environ | {
        "COOVOX_AGI_LISTEN": f"127.0.0.1:{free_port()}",
        "COOVOX_WEB_LISTEN": f"127.0.0.1:{free_port()}",
        "COOVOX_AMI": "off",
        "NOTIFY_SOCKET": systemd.address,
    }
    command = [sys.executable, "-c", before + MAIN, "--data", str(folder / "data"), name]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)
        print((folder / "log").read_text())


@pytest.mark.parametrize("name", ["calls", "web"])
def test_it_tells_systemd_that_it_answers_beats_every_second_and_says_goodbye(
    name: str, tmp_path: Path, systemd: Systemd
) -> None:
    with plane(name, tmp_path, systemd) as process:
        assert systemd.hear() == "READY=1"
        assert systemd.hear() == "WATCHDOG=1"
        began = time.monotonic()
        assert [systemd.hear(), systemd.hear()] == ["WATCHDOG=1"] * 2
        assert 1.8 < time.monotonic() - began < 3
        process.terminate()
        assert systemd.hear() == "STOPPING=1"
        assert process.wait(10) == 0


def test_it_stops_though_it_is_told_so_in_the_middle_of_a_turn(tmp_path: Path, systemd: Systemd) -> None:
    told_in_a_turn = """
import os, signal
from coovox_billing.web_plane import Pulse
await_turn = Pulse._await_turn
def stop_in_the_turn(self):
    self._loop.pull_trigger(lambda: os.kill(os.getpid(), signal.SIGTERM))
    Pulse._await_turn = await_turn
    await_turn(self)
Pulse._await_turn = stop_in_the_turn
"""
    with plane("web", tmp_path, systemd, told_in_a_turn) as process:
        assert process.wait(10) == 0


@pytest.mark.parametrize("name", ["calls", "web"])
@pytest.mark.parametrize("is_stopped", [True, False], ids=["stopped", "blocked"])
def test_it_is_silent_while_it_hangs(name: str, is_stopped: bool, tmp_path: Path, systemd: Systemd) -> None:
    with plane(name, tmp_path, systemd, "" if is_stopped else HANG[name]) as process:
        assert [systemd.hear(), systemd.hear()] == ["READY=1", "WATCHDOG=1"]
        if is_stopped:
            process.send_signal(signal.SIGSTOP)
        beats = 0
        while systemd.hear(LONG_SILENCE_SECONDS):
            beats += 1
        assert beats <= 2
        assert process.poll() is None


def test_it_understands_an_abstract_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    systemd = Systemd(f"@coovox-billing-test-{os.getpid()}")
    monkeypatch.setenv("NOTIFY_SOCKET", systemd.address)
    monkeypatch.delenv(heartbeat.VARIABLE, raising=False)
    heartbeat.ready()
    assert heartbeat.beat()
    assert [systemd.hear(), systemd.hear()] == ["READY=1", "WATCHDOG=1"]
    systemd.close()


@pytest.mark.parametrize("address", ["", "/nowhere/notify", "@nobody-listens"])
def test_it_does_not_care_where_no_systemd_listens(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    heartbeat.ready()
    heartbeat.stopping()
    assert heartbeat.beat()


def test_it_never_waits_for_a_systemd_that_does_not_read(systemd: Systemd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", systemd.address)
    began = time.monotonic()
    for _ in range(1_000):
        heartbeat.beat()
    assert time.monotonic() - began < 5


def test_it_does_not_beat_while_every_worker_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    beats: list[float] = []
    monkeypatch.setattr(heartbeat, "beat", lambda: bool(beats.append(1)) or True)
    monkeypatch.setattr(web_plane, "STUCK_SECONDS", 0.0)
    let_go = threading.Event()

    def app(environ: object, start_response: object) -> list[bytes]:
        let_go.wait(20)
        return []

    workers = Workers(app)
    pulse = Pulse(None, workers)
    threads = [threading.Thread(target=workers, args=({}, print)) for _ in range(web_plane.THREADS)]
    for thread in threads[1:]:
        thread.start()
    pulse.beat()
    assert (len(beats), workers.are_stuck()) == (1, False), "one of them is free"
    threads[0].start()
    wait_until(workers.are_stuck)
    pulse.beat()
    assert len(beats) == 1
    let_go.set()
    for thread in threads:
        thread.join()
    pulse.beat()
    assert len(beats) == 2


def test_it_knows_a_listener_that_hangs() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = Address("127.0.0.1", silent.getsockname()[1])
        assert not is_listening(address, 0.1), "the kernel accepts, and nobody answers"
    assert not is_listening(address, 0.1)
