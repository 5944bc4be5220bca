"""The test's side of `plane_host`: call planes that can be started, killed and robbed of what was not on disk yet."""

import asyncio
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.chaos.plane_host import BoxClock, Order

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PATIENCE_SECONDS = 10.0
# Below what the system gives to who connects: a peer that connected to itself would take the plane's port.
FIRST_PORT, LAST_PORT = 20_000, 32_000


def build_bad_disk(folder: Path) -> Path:
    """The library that stands between a call plane and its disk."""
    library = folder / "bad_disk.so"
    flags = ["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run(["gcc", *flags, "-o", str(library), str(HERE / "bad_disk.c"), "-ldl", "-lpthread"], check=True)
    return library


def reserve_port() -> socket.socket:
    """A port that nobody else is given while this socket is open; who binds it as servers do, may listen on it."""
    while True:
        reserved = socket.socket()
        try:
            reserved.bind(("127.0.0.1", random.randrange(FIRST_PORT, LAST_PORT)))
        except OSError:
            reserved.close()
            continue
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return reserved


class Host:
    """The process that forks call planes; what it reports goes to the office it is about."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._listeners: dict[str, Callable[[dict[str, Any]], None]] = {}

    def listen(self, office: Path, listener: Callable[[dict[str, Any]], None]) -> None:
        """From now on `listener` hears of the planes of an office."""
        self._listeners[str(office)] = listener

    def order(self, order: Order) -> None:
        """Start a plane."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asdict(order)).encode() + b"\n")

    async def hear(self) -> None:
        """Pass on reports until there are no more."""
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            told = json.loads(line)
            self._listeners[told["office"]](told)


@asynccontextmanager
async def hosting(library: Path) -> AsyncIterator[Host]:
    """A host, as long as the block lasts."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.chaos.plane_host"),
        cwd=ROOT,
        env=os.environ | {"LD_PRELOAD": str(library), "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    host = Host(process)
    hearing = asyncio.create_task(host.hear())
    try:
        yield host
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
        await hearing


class Plane:
    """The call plane of one office, and its data on a disk that may be bad."""

    def __init__(self, host: Host, office: Path, ami: str = "off") -> None:
        self.office = office
        self._reserved = reserve_port()
        self.port: int = self._reserved.getsockname()[1]
        self.ami = ami
        self.kill_at: str | None = None
        self.tells_steps = False
        self.tick_seconds = 0.02
        self.comes_back = True
        self.loses_power = False
        self.dies = asyncio.Event()
        self.lives = 0
        self.own_deaths = 0
        self.steps: list[str] = []
        self.statuses: list[int] = []
        self.is_up = asyncio.Event()
        self.is_down = asyncio.Event()
        self.is_down.set()
        self._host = host
        self._pid = 0
        self._is_known = asyncio.Event()
        self._is_known.set()
        self._is_being_killed = False
        for folder in (self.data, self.platter):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (office / "control").write_bytes(b"n")
        self.clock = BoxClock(office / "clock")
        host.listen(office, self._hear)

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.office / "data"

    @property
    def platter(self) -> Path:
        """What of it would be there after a power cut."""
        return self.office / "platter"

    @property
    def is_expected(self) -> bool:
        """Whether a plane is there, or will be without anybody's doing."""
        return self.is_up.is_set() or not self.is_down.is_set()

    @property
    def log(self) -> str:
        """What the planes of this office had to say."""
        file = self.office / "log"
        return file.read_text(errors="replace") if file.exists() else ""

    def move_in(self, database: Path) -> None:
        """Begin with this database."""
        for folder in (self.data, self.platter):
            shutil.copyfile(database, folder / database.name)

    def disk_is(self, mode: str) -> None:
        """`normal`, `full`, `readonly` or `slow`, from now on."""
        (self.office / "control").open("r+b").write(mode[0].encode())

    async def start(self) -> None:
        """Start a plane and wait until it listens, or died at the step it was to die at."""
        self._order()
        await self.settled()

    async def settled(self) -> None:
        """Wait until a plane listens, or none is there any more."""
        up, down = asyncio.ensure_future(self.is_up.wait()), asyncio.ensure_future(self.is_down.wait())
        done, waiting = await asyncio.wait({up, down}, timeout=PATIENCE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        for future in waiting:
            future.cancel()
        assert done, f"the call plane neither came nor went:\n{self.log[-3000:]}"

    async def kill(self, number: int = signal.SIGKILL, loses_power: bool = False) -> None:
        """Kill it, if it is there; with `loses_power` only what an fsync returned for is kept."""
        self._is_being_killed = True
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._is_known.wait()
                if self._pid:
                    with suppress(ProcessLookupError):  # it died just now
                        os.kill(self._pid, number)
                await self.is_down.wait()
        finally:
            self._is_being_killed = False
        if loses_power:
            self.lose_power()

    async def moves_out(self) -> None:
        """Kill it, and give its port away."""
        await self.kill()
        self._reserved.close()

    def lose_power(self) -> None:
        """What was not surely on disk is gone."""
        shutil.rmtree(self.data)
        shutil.copytree(self.platter, self.data)

    def _order(self) -> None:
        self.lives += 1
        self.is_down.clear()
        self._is_known.clear()
        office = str(self.office)
        order = Order(office, self.port, self.ami, self.kill_at, self.tells_steps, self.tick_seconds, self.lives)
        self._host.order(order)

    def _hear(self, told: dict[str, Any]) -> None:
        match told["said"]:
            case "started":
                self._pid = told["pid"]
                self._is_known.set()
            case "ready":
                self.is_up.set()
            case "step":
                self.steps.append(told["step"])
            case "dies":
                self.own_deaths += 1
                self.dies.set()
            case "ended":
                self._bury(told["status"])

    def _bury(self, status: int) -> None:
        self._pid = 0
        self.is_up.clear()
        self.is_down.set()
        self.statuses.append(status)
        if status == -signal.SIGKILL and self.loses_power and not self._is_being_killed:
            self.lose_power()
        if self.comes_back and status == -signal.SIGKILL and not self._is_being_killed:
            self._order()
