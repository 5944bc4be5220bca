"""How long calls wait while somebody takes all calls as files, again and again, and others open pages.

Quiet and busy turns alternate, on one site. Beside it is told what a mere loop does to calls that takes as much of the
processor as the web plane did.
"""

import itertools
import math
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from coovox_billing.services import owner
from coovox_billing.store.database import FILE_NAME
from tests import cast, years
from tests.bench import calls
from tests.bench.calls import CALLERS, Measured
from tests.bench.options import Options
from tests.bench.servers import DEBIAN_PYTHON, Server, free_port, running
from tests.bench.table import Row
from tests.footprint import hour
from tests.footprint.box import Browser

EXPORTED_CALLS, DAY_MS = 100_000, 86_400_000
PAGES_PER_SECOND, PAGE_READERS = 20, 4
FILES = tuple(f"/call-log.{kind}?{hour.EVERY_CALL}" for kind in ("xlsx", "csv"))
MOST, LEAST_PAGES = 2.0, 0.9
WARMING_SECONDS = 1.0
NAMES = QUIET, WEB, LOOP = "quiet", "beside the web", "beside a busy loop"
BURN = """
import sys, time
share = float(sys.argv[1])
while True:
    until = time.perf_counter() + share / 100
    while time.perf_counter() < until:
        pass
    time.sleep((1 - share) / 100)
"""


class Readers:
    """People at the pages: one takes the files, the others open one page after the other."""

    def __init__(self, address: str, data: Path) -> None:
        self.pages = self.files = 0
        self.seconds = 0.0
        self._people = [_signed_in(address) for _ in range(1 + PAGE_READERS)]
        pages = [path for path in hour.page_paths(data) if "." not in path.partition("?")[0]]
        self._paths = itertools.cycle([path for path in pages if self._people[0].may_open(path)])
        self._files = itertools.cycle(FILES)
        self._over = threading.Event()
        self._failures: list[Exception] = []

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """As long as the block lasts, and until the last file is read.

        Raises:
            RuntimeError: a page or a file was no success.
        """
        self._over.clear()
        jobs = [self._take_files, *[self._open_pages] * PAGE_READERS]
        readers = [threading.Thread(target=self._work, args=pair) for pair in zip(jobs, self._people, strict=True)]
        began = time.monotonic()
        for reader in readers:
            reader.start()
        try:
            time.sleep(WARMING_SECONDS)
            yield
        finally:
            self.seconds += time.monotonic() - began
            self._over.set()
            for reader in readers:
                reader.join()
        if self._failures:
            raise RuntimeError("a page or a file was not served") from self._failures[0]

    def _work(self, job: Callable[[Browser], None], browser: Browser) -> None:
        try:
            job(browser)
        except Exception as error:
            self._failures.append(error)

    def _take_files(self, browser: Browser) -> None:
        while not self._over.is_set():
            browser.get(next(self._files))
            self.files += 1

    def _open_pages(self, browser: Browser) -> None:
        due = time.monotonic()
        while not self._over.wait(max(0.0, due - time.monotonic())):
            browser.get(next(self._paths))
            self.pages += 1
            due = max(due, time.monotonic() - 1) + PAGE_READERS / PAGES_PER_SECOND


@contextmanager
def loops(share: float) -> Iterator[None]:
    """As many processes as take so much of a processor, which may be more than one, and do nothing."""
    many = math.ceil(share)
    burning = [subprocess.Popen([sys.executable, "-c", BURN, str(min(share / many, 0.99))]) for _ in range(many)]
    try:
        time.sleep(WARMING_SECONDS)
        yield
    finally:
        for process in burning:
            process.kill()
            process.wait()


def measure(folder: Path, options: Options) -> list[Row]:
    draw = random.Random(3)
    numbers = ["9" + str(draw.randrange(10**8, 10**9)) for _ in range(calls.NUMBERS)]
    (folder / "numbers").write_text("\n".join(numbers) + "\n")
    calls.build(folder)
    data = folder / "data"
    _furnish(data, numbers)
    past = _held(data)
    ports = free_port(), free_port()
    with calls.a_call_plane("call plane", ports[0], data) as plane, _a_web_plane(ports[1], data) as web:
        quiet, busy, loop = (Measured(plane, first_id=number) for number in (0, 1_000_000, 2_000_000))
        calls.learn_mirror(folder, quiet, data)
        busy.mirror = loop.mirror = quiet.mirror
        readers = Readers(f"http://127.0.0.1:{web.port}", data)
        used, share = 0.0, 0.5
        for _ in range(options.rounds):
            _take_turn(folder, quiet, options.count)
            before = web.cpu_seconds()
            with readers.at_work():
                _take_turn(folder, busy, options.count)
                used += web.cpu_seconds() - before
            share = used / readers.seconds
            with loops(share):
                _take_turn(folder, loop, options.count)
        asked = sum(result["count"] for one in (quiet, busy, loop) for each in one.results.values() for result in each)
        if _held(data) - past != asked + calls.LEARNING:
            raise RuntimeError(f"{asked} asked, but the books hold {_held(data) - past}")
    return _table(quiet, busy, loop, readers, share)


def _furnish(data: Path, numbers: list[str]) -> None:
    """Years of calls to be exported, an owner who signs in, and who makes the calls that are measured."""
    with cast.move_in(data) as database:
        years.go_by(database, EXPORTED_CALLS, minutes_apart=10, now_ms=cast.NOW_MS - DAY_MS)
        owner.set_password(database, hour.PASSWORD, cast.MANAGER)
    calls.fill_site(data, calls.FEW_RATES, numbers)


def _take_turn(folder: Path, server: Measured, count: int) -> None:
    """Some calls at once, others one by one."""
    for callers in CALLERS:
        calls.load(folder, server, "authorize", callers, count)


def _a_web_plane(port: int, data: Path) -> AbstractContextManager[Server]:
    command = [DEBIAN_PYTHON, "-m", "coovox_billing", "--data", data, "web"]
    return running("web plane", port, command, COOVOX_WEB_LISTEN=f"127.0.0.1:{port}", COOVOX_AMI="off")


def _signed_in(address: str) -> Browser:
    browser = Browser(address)
    browser.post("/sign-in", {"user": "owner", "password": hour.PASSWORD, "next": ""}, "/sign-in")
    return browser


def _held(data: Path) -> int:
    """How many calls wait for their answer."""
    return int(cast.look_up(data / FILE_NAME, "SELECT count(*) FROM calls WHERE state = 'held'")[0][0])


def _table(quiet: Measured, busy: Measured, loop: Measured, readers: Readers, share: float) -> list[Row]:
    pages = readers.pages / readers.seconds
    served = f"{pages:.0f} pages/s, {readers.files} files, {share:.2f} of a processor"
    figure = f"the web meanwhile: pages per second / {PAGES_PER_SECOND}"
    rows = [Row(figure, served, pages / PAGES_PER_SECOND, LEAST_PAGES, least=True)]
    for callers in CALLERS:
        p99 = {
            name: server.median("authorize", callers, "p99_us")
            for name, server in zip(NAMES, (quiet, busy, loop), strict=True)
        }
        rows += [Row(f"authorize, {callers} callers, {name}", f"p99 {us:.0f} us") for name, us in p99.items()]
        rows += [
            Row(f"authorize p99 beside the web / quiet, {callers} callers", "", p99[WEB] / p99[QUIET], MOST),
            Row(f"authorize p99 beside a loop / quiet, {callers} callers", "", p99[LOOP] / p99[QUIET]),
        ]
    return rows
