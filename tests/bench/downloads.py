"""How fast the call log is a file, and in how little memory, beside bare loops that write the same cells."""

import csv
import re
import statistics
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import unescape
from itertools import zip_longest
from pathlib import Path

from coovox_billing.opening import open_site
from coovox_billing.services import accounts, owner
from coovox_billing.store.database import FILE_NAME
from tests.bench import decade, sites
from tests.bench.options import Options
from tests.bench.servers import Server, free_port, running
from tests.bench.table import Row
from tests.footprint.box import Browser

FLOOR = Path(__file__).resolve().parent / "floors" / "call_log_file.py"
CALLS = 100_000
MOST_TIMES = {"csv": 1.5, "xlsx": 1.3}
MOST_EXTRA_MB, MOST_GROWTH, MOST_PAGE_MS = 30, 1.05, 100
PASSWORD = "correct horse battery"
EVERY_CALL = "from=2000-01-01&to=2037-12-31"
A_YEAR = "from=2025-01-01&to=2025-12-31"
PAGES = ("/call-log?from=2026-01-01&to=2026-01-31", "/statistics", "/extensions")
# What CSV quotes and XML escapes; formulas are a matter of tests/web.
NAMES = ('Zoë "Desk", 2', "<b>&amp;</b>", " lobby ", "")
# Above the calls of a file: what it says of itself, an empty row, the heads of its columns. Below: the totals.
HEAD_ROWS, FOOT_ROWS = 9, 1


@dataclass
class Office:
    """A site's pages as they are served, and somebody who signed in; what was measured of files, by their names."""

    server: Server
    browser: Browser
    seconds: dict[str, list[float]] = field(default_factory=dict)
    peak_mb: dict[str, float] = field(default_factory=dict)
    extra_mb: dict[str, float] = field(default_factory=dict)

    def download(self, name: str, kind: str, search: str) -> bytes:
        """The call log as a file."""
        _forget_peak(self.server)
        before_mb, began = self.server.resident_mb(), time.perf_counter()
        data = self.browser.get(f"/call-log.{kind}?{search}")
        self.seconds.setdefault(name, []).append(time.perf_counter() - began)
        self.peak_mb[name] = max(self.server.most_resident_mb(), self.peak_mb.get(name, 0))
        self.extra_mb[name] = max(self.server.most_resident_mb() - before_mb, self.extra_mb.get(name, 0))
        return data

    def pages_ms(self) -> list[float]:
        """How long each of some pages takes."""
        return [self._page_ms(path) for path in PAGES]

    def _page_ms(self, path: str) -> float:
        began = time.perf_counter()
        self.browser.get(path)
        return (time.perf_counter() - began) * 1000


def _forget_peak(server: Server) -> None:
    """From now on what it has in memory at most is counted anew (proc(5))."""
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")


@contextmanager
def an_office(data: Path) -> Iterator[Office]:
    """The web plane on a site, whose owner has signed in and has looked at all that is opened later."""
    with open_site(data) as database:
        owner.set_password(database, PASSWORD, decade.FOUNDER)
        for place, name in enumerate(NAMES):
            changes = {"name": name}
            database.write(
                lambda c, n=str(1000 + place), changes=changes: accounts.change(c, n, changes, decade.FOUNDER)
            )
    port = free_port()
    command = [sys.executable, "-m", "coovox_billing", "--data", data, "web"]
    with running("web", port, command, COOVOX_WEB_LISTEN=f"127.0.0.1:{port}") as server:
        browser = Browser(f"http://127.0.0.1:{port}")
        browser.post("/sign-in", {"user": "owner", "password": PASSWORD, "next": ""}, "/sign-in")
        office = Office(server, browser)
        office.pages_ms()
        yield office


def measure(folder: Path, options: Options) -> Iterator[Row]:
    with sites.lent(sites.a_site(past_calls=CALLS)) as data, an_office(data) as office:
        yield from _beside_bare_loops(folder, data, office, options.rounds)
    with sites.lent(sites.a_site(past_calls=options.past_calls)) as data, an_office(data) as office:
        yield from _of_many(office, options.past_calls)


def _beside_bare_loops(folder: Path, data: Path, office: Office, rounds: int) -> Iterator[Row]:
    loops: dict[str, list[float]] = {"csv": [], "xlsx": [], "raw": []}
    for _ in range(rounds):
        for kind, seconds in loops.items():
            seconds.append(_bare_loop_seconds(data, kind, folder / f"loop.{kind}"))
            if kind in MOST_TIMES:
                (folder / f"ours.{kind}").write_bytes(office.download(kind, kind, EVERY_CALL))
    _check_same(_csv_rows(folder / "ours.csv"), _csv_rows(folder / "loop.csv"))
    _check_same(_xlsx_rows(folder / "ours.xlsx"), _xlsx_rows(folder / "loop.xlsx"))
    loop = {kind: statistics.median(seconds) for kind, seconds in loops.items()}
    ours = {kind: statistics.median(seconds) for kind, seconds in office.seconds.items()}
    for kind, most in MOST_TIMES.items():
        said = f"{ours[kind]:.2f} s, the loop {loop[kind]:.2f} s"
        yield Row(f"{CALLS:,} calls as .{kind} / a bare loop, the same cells", said, ours[kind] / loop[kind], most)
        extra_mb = office.extra_mb[kind]
        yield Row(f"extra memory of it / {MOST_EXTRA_MB} MB", f"{extra_mb:.1f} MB", extra_mb / MOST_EXTRA_MB, 1)
    said = f"the loop {loop['raw']:.2f} s"
    yield Row("the .csv / a bare loop that writes numbers as they are stored", said, ours["csv"] / loop["raw"])


def _bare_loop_seconds(data: Path, kind: str, path: Path) -> float:
    command = [sys.executable, FLOOR, data / FILE_NAME, decade.TIME_ZONE, kind, path]
    said = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
    return float(said.stdout)


def _of_many(office: Office, count: int) -> Iterator[Row]:
    quiet = [ms for _ in range(10) for ms in office.pages_ms()]
    for kind in MOST_TIMES:
        a_year = f"a year .{kind}"
        office.download(a_year, kind, A_YEAR)
        beside: list[float] = []
        reading = threading.Thread(target=office.download, args=(kind, kind, EVERY_CALL))
        reading.start()
        while reading.is_alive():
            beside += office.pages_ms()
            time.sleep(0.2)
        reading.join()
        yield Row(
            f"{count:,} calls as .{kind}, most memory / that of a year of them",
            f"{office.seconds[kind][0]:.1f} s, {office.peak_mb[kind]:.1f} MB, a year {office.peak_mb[a_year]:.1f} MB",
            office.peak_mb[kind] / office.peak_mb[a_year],
            MOST_GROWTH,
        )
        p50, p95 = statistics.median(beside), statistics.quantiles(beside, n=20)[-1]
        yield Row(
            f"a page while that runs, p95 / {MOST_PAGE_MS} ms",
            f"p50 {p50:.0f} ms, p95 {p95:.0f} ms, quiet p50 {statistics.median(quiet):.0f} ms",
            p95 / MOST_PAGE_MS,
            1,
        )


def _check_same(ours: list[list[object]], loops: list[list[object]]) -> None:
    """What is fast for nothing counts for nothing.

    Raises:
        RuntimeError: a cell is not what it should be.
    """
    for number, (row, other) in enumerate(zip_longest(ours[HEAD_ROWS:-FOOT_ROWS], loops)):
        if row != other:
            raise RuntimeError(f"call {number}: {row}, but the bare loop wrote {other}")
    if len(loops) != CALLS:
        raise RuntimeError(f"{len(loops)} calls, not {CALLS}")


def _csv_rows(path: Path) -> list[list[object]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def _xlsx_rows(path: Path) -> list[list[object]]:
    """What each cell of the first sheet is: a text, a number with its format, or None."""
    with zipfile.ZipFile(path) as book:
        formats = _number_formats(book.read("xl/styles.xml").decode())
        sheet = book.read("xl/worksheets/sheet1.xml").decode()
    return [_cells(row[1], formats) for row in re.finditer("<row[^>]*>(.*?)</row>", sheet)]


def _cells(row: str, formats: list[str]) -> list[object]:
    """An empty cell may be left out, where the next one says which it is."""
    cells: list[object] = []
    for attributes, content in re.findall("<c([^>]*?)(?:/>|>(.*?)</c>)", row):
        if named := re.search('r="([A-Z])', attributes):
            cells += [None] * (ord(named[1]) - ord("A") - len(cells))
        cells.append(_value(attributes, content, formats))
    return cells


def _number_formats(styles: str) -> list[str]:
    """The format of each style."""
    codes = {
        code["id"]: unescape(code["code"])
        for code in re.finditer(r'numFmtId="(?P<id>\d+)" formatCode="(?P<code>[^"]*)"', styles)
    }
    used = re.findall(r'<xf numFmtId="(\d+)"', styles.partition("<cellXfs")[2])
    return [codes.get(number, "") for number in used]


def _value(attributes: str, content: str, formats: list[str]) -> object:
    said = unescape(re.sub("<[^>]*>", "", content))
    if "inlineStr" in attributes or not said:
        return said or None
    style = re.search(r's="(\d+)"', attributes)
    return formats[int(style[1]) if style else 0], round(float(said), 7)
