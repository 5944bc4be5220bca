"""A process that has everything of the call plane imported, and forks one whenever it is told to.

`python -m tests.chaos.plane_host`, with `bad_disk` loaded before it. An order is a line of JSON on standard input
(`Order`), a report one on standard output: `host` (the pid of a plane that was forked), `ready`, `step`, `ended`. The
plane is `call_plane.run` as it is shipped, but that

- its clocks are the box's (`BoxClock`), so that an hour of talk takes no time, and a clock can be set back;
- it tells each step it takes, and kills itself at the one it was ordered to (`Steps`);
- it waits less long between looks.
"""

import ctypes
import gc
import json
import logging
import os
import re
import select
import signal
import sqlite3
import struct
import sys
import time
import traceback
from asyncio import selector_events
from collections.abc import Callable
from dataclasses import dataclass
from mmap import mmap
from pathlib import Path
from typing import Any

from coovox_billing import call_plane
from coovox_billing.config import load
from coovox_billing.pbx import ami, astdb_keeper, live_calls, reconciler
from coovox_billing.pbx.agi_server import AgiServer
from coovox_billing.store.loop_database import LoopDatabase

ORDERS, REPORTS = 0, 1
DIE_WITH_PARENT = 1
CLOCK_FORMAT = struct.Struct("<qq")
UNIQUEID = re.compile(r"\.[0-9]+\.[0-9]+")
SAID_OF_AN_ACTION = ("Key", "Variable", "Channel")


class BoxClock:
    """The clocks of the box, for every process on it: how far each is ahead of this machine's own."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(CLOCK_FORMAT.pack(0, 0))
        with path.open("r+b") as file:
            self._page = mmap(file.fileno(), CLOCK_FORMAT.size)

    def monotonic(self) -> float:
        """Seconds, never stepped."""
        return time.monotonic() + CLOCK_FORMAT.unpack(self._page[:])[0] / 1000

    def wall_ms(self) -> int:
        """Milliseconds since 1970, as far as the box knows."""
        return time.time_ns() // 1_000_000 + CLOCK_FORMAT.unpack(self._page[:])[1]

    def time_ns(self) -> int:
        return self.wall_ms() * 1_000_000

    def pass_by(self, seconds: float) -> None:
        """Time goes by."""
        self._move(seconds, seconds)

    def step(self, seconds: float) -> None:
        """Somebody sets the clock."""
        self._move(0, seconds)

    def _move(self, monotonic_seconds: float, wall_seconds: float) -> None:
        monotonic_ms, wall_ms = CLOCK_FORMAT.unpack(self._page[:])
        moved = (monotonic_ms + round(monotonic_seconds * 1000), wall_ms + round(wall_seconds * 1000))
        self._page[:] = CLOCK_FORMAT.pack(*moved)

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


@dataclass
class Order:
    """Start a call plane. `kill_at` names a step, None for none; `life` counts the planes of an office.

    `tick_seconds` lie between two looks at the calls and at AstDB.
    """

    office: str
    agi_port: int
    ami: str = "off"
    kill_at: str | None = None
    tells_steps: bool = False
    tick_seconds: float = 0.02
    life: int = 1


class Steps:
    """What a call plane does, step by step, under names that are the same in each repetition."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._times: dict[str, int] = {}
        self._committed = 0

    def reach(self, name: str, is_polled: bool = False) -> None:
        """A step is taken; of one that is polled for ever only the first time counts."""
        times = self._times[name] = self._times.get(name, 0) + 1
        if is_polled and times > 1:
            return
        label = f"{self._order.life}. {name}" + (f" ({times})" if times > 1 else "")
        if label == self._order.kill_at:
            report(said="dies", office=self._order.office)
            os.kill(os.getpid(), signal.SIGKILL)
        if self._order.tells_steps:
            report(said="step", office=self._order.office, step=label)

    def watch(self) -> None:
        """From now on every commit that changes something, and all that is said to Asterisk, is a step."""
        _around(LoopDatabase, "__init__", lambda *_: None, lambda *_: self.reach("database opened"))
        _around(LoopDatabase, "_commit", self._before_commit, lambda *_: None)
        _around(LoopDatabase, "_finish_group", self._after_commit, lambda *_: None)
        transport: Any = selector_events._SelectorSocketTransport  # type: ignore[attr-defined]
        _around(transport, "write", self._before_write, self._after_write)

    def _before_commit(self, database: Any, *_: Any) -> None:
        database.had_changed = _changes(database) != self._committed
        self._committed = _changes(database)
        if database.had_changed:
            self.reach("before commit")

    def _after_commit(self, database: Any, *_: Any) -> None:
        if getattr(database, "had_changed", False):
            self.reach("after commit")
            database.had_changed = False

    def _before_write(self, _: Any, data: bytes) -> None:
        self.reach(*_named("before", data))

    def _after_write(self, _: Any, data: bytes) -> None:
        self.reach(*_named("after", data))


def _changes(database: Any) -> int:
    connection: sqlite3.Connection = database._connection
    return connection.total_changes


def _named(when: str, data: bytes) -> tuple[str, bool]:
    """What is said to Asterisk: an AGI command by its own words, an action with what it is about.

    Actions, and what is one of many in AstDB, count as looks that are repeated.
    """
    lines = data.decode().split("\r\n")
    if not lines[0].startswith("Action: "):
        words = UNIQUEID.sub("", " ".join(lines[0].split()[:4]))
        return f"{when} {words.partition('/')[0]}".strip(), "/" in words
    headers = dict(line.partition(": ")[::2] for line in lines[1:])
    about = UNIQUEID.sub("", " ".join(headers[name] for name in SAID_OF_AN_ACTION if name in headers))
    return f"{when} {lines[0].removeprefix('Action: ')} {about}".strip(), True


def _around(owner: type, name: str, before: Callable[..., None], after: Callable[..., None]) -> None:
    original = getattr(owner, name)

    def wrapped(*arguments: Any, **named: Any) -> Any:
        before(*arguments)
        result = original(*arguments, **named)
        after(*arguments)
        return result

    setattr(owner, name, wrapped)


def report(**facts: Any) -> None:
    """One line, in one write, for others write here too."""
    os.write(REPORTS, json.dumps(facts).encode() + b"\n")


def _hurry(tick_seconds: float) -> None:
    """Looks follow each other fast, so that nobody waits for what comes by itself."""
    live_calls.TICK_SECONDS = astdb_keeper.TICK_SECONDS = ami.FIRST_RETRY_SECONDS = tick_seconds
    live_calls.RETRY_SECONDS = live_calls.LOST_RETRY_SECONDS = ami.SLOWEST_RETRY_SECONDS = 2.5 * tick_seconds
    reconciler.LOOK_SECONDS = 2.5 * tick_seconds
    ami.HEALTHY_SECONDS = 0.0


def keep_time_of(clock: BoxClock) -> None:
    """Whoever of the product asks for the time is told the box's."""
    for name, module in list(sys.modules.items()):
        if name.startswith("coovox_billing.") and getattr(module, "time", None) is time:
            module.time = clock  # type: ignore[attr-defined]


def _be_a_plane(order: Order) -> None:
    office = Path(order.office)
    logging.basicConfig(filename=office / "log", level=logging.INFO, format="%(asctime)s %(process)d %(message)s")
    libc = ctypes.CDLL(None)
    libc.prctl(DIE_WITH_PARENT, signal.SIGKILL)
    libc.bad_disk_use(str(office).encode())
    keep_time_of(BoxClock(office / "clock"))
    steps = Steps(order)
    steps.watch()
    started = AgiServer.start

    async def start(server: AgiServer, host: str, port: int) -> None:
        await started(server, host, port)
        steps.reach("listening")
        report(said="ready", office=order.office)

    AgiServer.start = start  # type: ignore[method-assign]
    _hurry(order.tick_seconds)
    settings = {
        "COOVOX_CONFIG": os.devnull,
        "COOVOX_AGI_LISTEN": f"127.0.0.1:{order.agi_port}",
        "COOVOX_AMI": order.ami,
        "COOVOX_ASTERISK_LOG": str(office / "asterisk"),
    }
    call_plane.run(load(str(office / "data"), settings))


def _fork(order: Order) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _be_a_plane(order)
        status = 0
    except BaseException:
        with (Path(order.office) / "log").open("a") as log:
            traceback.print_exc(file=log)
    os._exit(status)


def _bury(offices: dict[int, str]) -> None:
    while offices:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        report(said="ended", office=offices.pop(pid), status=os.waitstatus_to_exitcode(status))


def host() -> None:
    """Until nobody gives orders any more; planes that live then are killed. No event loop: a fork would inherit it."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    gc.freeze()
    offices: dict[int, str] = {}
    unread = b""
    while True:
        ready, _, _ = select.select([ORDERS, woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            _bury(offices)
        if ORDERS not in ready:
            continue
        said = os.read(ORDERS, 65536)
        if not said:
            break
        *lines, unread = (unread + said).split(b"\n")
        for line in lines:
            order = Order(**json.loads(line))
            pid = _fork(order)
            offices[pid] = order.office
            report(said="started", office=order.office, pid=pid)
    for pid in offices:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    host()
