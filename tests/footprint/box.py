"""A box that is measured: both planes as systemd starts them, an Asterisk that is the chaos tests' model, a browser."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.cookiejar import CookieJar
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.chaos.pbx_model import Pbx
from tests.chaos.plane_host import BoxClock
from tests.chaos.planes import reserve_port
from tests.footprint.machines import Machine
from tests.pbx.fake_ami import Action, FakeAmi

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60.0
PLANES = ("calls", "web")


class NothingKept(list[Action]):
    """What the manager is asked is not kept."""

    def append(self, action: Action) -> None:
        pass


class Box:
    """A data directory and the two planes on it."""

    def __init__(self, machine: Machine, data: Path, ami: str) -> None:
        self.machine = machine
        self.data = data
        self.ports = {name: _free_port() for name in PLANES}
        self.logs = {name: data.with_name(f"{name}.log") for name in PLANES}
        self._ami = ami
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def web_address(self) -> str:
        """Where the pages are."""
        return f"http://127.0.0.1:{self.ports['web']}"

    def start(self) -> None:
        """Start both planes, and wait until they listen."""
        for name in PLANES:
            self.start_plane(name)
        for port in self.ports.values():
            wait_for(port)

    def start_plane(self, name: str) -> None:
        """Start one plane; what it logs goes to a file, as into the journal."""
        command = [*self.machine.python, "-m", "coovox_billing", "--data", str(self.data), name]
        with self.logs[name].open("ab") as log:
            self._processes[name] = subprocess.Popen(command, env=self._environment(), stdout=log, stderr=log, cwd="/")

    def stop(self) -> None:
        """As systemd does."""
        for process in self._processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self._processes.values():
            process.wait()
        self._processes.clear()

    def pid(self, name: str) -> int:
        """The process of a plane.

        Raises:
            RuntimeError: it has ended.
        """
        process = self._processes[name]
        if process.poll() is not None:
            raise RuntimeError(f"the {name} plane has ended:\n{self.logs[name].read_text()[-2000:]}")
        return process.pid

    def resident_mb(self, name: str) -> float:
        """What a plane keeps resident."""
        return self.machine.resident_mb(self.pid(name))

    def log_bytes(self) -> int:
        """What both planes have logged."""
        return sum(log.stat().st_size for log in self.logs.values())

    def _environment(self) -> dict[str, str]:
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(("COOVOX_", "PYTHON"))},
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "COOVOX_CONFIG": os.devnull,
            "COOVOX_AGI_LISTEN": f"127.0.0.1:{self.ports['calls']}",
            "COOVOX_WEB_LISTEN": f"127.0.0.1:{self.ports['web']}",
            "COOVOX_AMI": self._ami,
            "COOVOX_ASTERISK_LOG": str(self.data.with_name("asterisk")),
        }


class Browser:
    """Somebody at the pages, who reads `language`."""

    def __init__(self, address: str) -> None:
        self.language = "en"
        self._address = address
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))

    def get(self, path: str) -> bytes:
        """The page, or the file, read to its end.

        Raises:
            RuntimeError: it is no success.
        """
        return self._open(urllib.request.Request(self._address + path))

    def may_open(self, path: str) -> bool:
        """Whether the page, or the file, is there for whoever signed in."""
        try:
            return bool(self.get(path))
        except RuntimeError:
            return False

    def post(self, path: str, form: dict[str, str], page: str) -> bytes:
        """Send a form of a page; returns the page after it."""
        return self._send(path, urllib.parse.urlencode({"csrf": self.token(page)} | form).encode())

    def upload(self, path: str, name: str, content: bytes) -> bytes:
        """Choose a file on a page and send it."""
        edge = "----footprint"
        token = self.token(path)
        parts = (
            f'--{edge}\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n{token}\r\n--{edge}\r\n'
            f'Content-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
        )
        body = parts.encode() + content + f"\r\n--{edge}--\r\n".encode()
        return self._send(path, body, f"multipart/form-data; boundary={edge}")

    def token(self, page: str) -> str:
        """What the forms of a page carry."""
        found = re.search(rb'name="csrf" value="([^"]+)"', self.get(page))
        assert found, f"{page} has no form"
        return found[1].decode()

    def _send(self, path: str, body: bytes, kind: str = "application/x-www-form-urlencoded") -> bytes:
        return self._open(urllib.request.Request(self._address + path, body, {"Content-Type": kind}))

    def _open(self, request: urllib.request.Request) -> bytes:
        request.add_header("Accept-Language", self.language)
        try:
            with self._opener.open(request, timeout=600) as response:
                return bytes(response.read())
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{request.get_method()} {request.full_url}: {error.code}") from error


@asynccontextmanager
async def a_box(machine: Machine, data: Path) -> AsyncIterator[tuple[Box, Pbx]]:
    """A box that runs, beside an Asterisk with a manager; time is this machine's own."""
    with TemporaryDirectory() as aside:
        async with FakeAmi() as manager:
            manager.actions = NothingKept()
            at = manager.address
            box = Box(machine, data, f"{at.user}:{at.secret}@{at.host}:{at.port}")
            pbx = Pbx(BoxClock(Path(aside) / "clock"), box.ports["calls"])
            pbx.pass_by = asyncio.sleep
            pbx.is_managed_by(manager)
            try:
                await asyncio.to_thread(box.start)
                yield box, pbx
            finally:
                await asyncio.to_thread(box.stop)


def wait_for(port: int, seconds: float = START_SECONDS) -> None:
    """Until somebody listens there.

    Raises:
        RuntimeError: nobody does.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError(f"nothing listens on port {port}")


def _free_port() -> int:
    with reserve_port() as reserved:
        port: Any = reserved.getsockname()[1]
    return int(port)
