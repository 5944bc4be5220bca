"""How quick the pages are on a big site of ten years, and whether what they count is what a full recount finds."""

import sqlite3
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient

from coovox_billing import RELEASED_MS
from coovox_billing.core.roles import Role
from coovox_billing.services import owner, passwords, people, self_service, stays, tariff_drafts
from coovox_billing.services import site as site_service
from coovox_billing.services.licensing import Build, Licensing
from coovox_billing.services.people import Duty
from coovox_billing.store.database import Database, connect, open_database
from coovox_billing.store.lists.breakdowns import Breakdown
from coovox_billing.store.lists.calls import CallQuery
from coovox_billing.store.lists.statistics import StatisticsQuery
from coovox_billing.store.lists.totals import LENGTH_OF
from coovox_billing.store.models import open_reading, reading
from coovox_billing.store.rate_index import StoredRates
from coovox_billing.web import create_app
from tests.bench import decade, sites
from tests.bench.options import Options
from tests.bench.table import Row
from tests.licenses import ROOT_KEY, a_device
from tests.web import site_map

EXTENSIONS = 5_000
STATISTICS_MS, CALL_LOG_MS, SEARCH_MS, PAGE_MS = 20, 10, 200, 100
ROWS = 20
MOST_BARS, MOST_SHARES = 62, 10
MOST_SHOWN = 20
PASSWORD = "correct horse battery"
NOW_MS = decade.NOW_MS + 60_000
EVERY_CALL = "from=2016-01-01&to=2026-12-31"
# What people open of a big site, beside each page as it opens by itself.
LONG = (
    *(f"/statistics?{EVERY_CALL}&by={by}" for by in LENGTH_OF),
    *(f"/statistics?{EVERY_CALL}&by={by}&extension=*" for by in LENGTH_OF),
    f"/statistics?{EVERY_CALL}&by=day&extension=1000",
    "/statistics?period=last-30-days",
    f"/call-log?{EVERY_CALL}",
    f"/call-log?{EVERY_CALL}&page=1000",
    f"/call-log?{EVERY_CALL}&trunk=FXO-1",
    f"/call-log?{EVERY_CALL}&extension=1000",
    f"/call-log?{EVERY_CALL}&number=9",
    f"/call-log?{EVERY_CALL}&weekday=1&hour=9&status=answered",
    "/call-log?from=2026-02-01&to=2026-02-28",
    "/rate?page=500",
    "/rate?page=100000",
    "/rate?prefix=0044",
    "/rate?prefix=00&page=20000",
    "/rate?keywords=abroad",
    "/rate?keywords=nowhere",
    "/rate?sort=-rate",
)
# Files, and what needs another machine: measured elsewhere, or not there.
LARGE = (".csv", ".xlsx", ".zip", "/healthz", "/enter/", "/sync", "/import/gone", "/backups/billing-")


@dataclass
class Clock:
    """What some queries took, each the median of several turns, in ms."""

    rounds: int

    def __call__(self, job: Callable[[], object]) -> float:
        job()
        return statistics.median(self.once(job) for _ in range(self.rounds))

    def once(self, job: Callable[[], object]) -> float:
        began = time.perf_counter()
        job()
        return (time.perf_counter() - began) * 1000


def measure(_folder: Path, options: Options) -> Iterator[Row]:
    site = sites.a_site(EXTENSIONS, options.rates, options.past_calls)
    with sites.lent(site) as data:
        clock = Clock(options.rounds)
        open_reading(data)
        with reading.connection_context():
            yield from _statistics(clock)
            yield from _call_log(clock)
            _recount(data)
        yield from _every_page(data, clock)
        reading.close()


def _statistics(clock: Clock) -> Iterator[Row]:
    for whose, extensions in (("all", ()), ("each extension", ("*",)), ("one extension", ("1000",))):
        for by in LENGTH_OF:
            spent = clock(lambda by=by, extensions=extensions: a_page(StatisticsQuery(None, None, by, extensions)))
            yield _row(f"statistics by {by}, ten years, {whose}: database ms / 20", spent, STATISTICS_MS)
    for name in ("extensions", "destinations", "trunks", "hours"):
        spent = clock(lambda name=name: _breakdown(name))
        yield _row(f"chart of {name}, ten years: database ms / 20", spent, STATISTICS_MS)


def a_page(query: StatisticsQuery) -> None:
    """What the page asks for."""
    query.count(), query.page(ROWS, 0), query.totals, query.by_period(MOST_BARS)


def _breakdown(name: str) -> object:
    of = Breakdown()
    most = (MOST_SHARES,) if name in ("extensions", "destinations") else ()
    return getattr(of, name)(*most)


def _call_log(clock: Clock) -> Iterator[Row]:
    every = CallQuery(decade.SITE.time_zone)
    month = replace(every, first_day=date(2021, 5, 1), last_day=date(2021, 5, 31))
    searches = {
        "all calls": every,
        "a month": month,
        "a trunk": replace(every, trunk="FXO-1"),
        "an extension": replace(every, extension="1000"),
        "a number's prefix": replace(every, number_prefix="0049"),
        "a number that nobody dialed": replace(every, number_prefix="5555"),
    }
    for name, query in searches.items():
        total = query.count()
        for where, offset in (("first", 0), ("middle", total // 2), ("last", max(0, total - ROWS))):
            spent = clock(lambda query=query, offset=offset: query.page(ROWS, offset))
            yield _row(f"call log, {name}, {where} of {total // ROWS + 1:,} pages: ms / 10", spent, CALL_LOG_MS)
        yield _row(f"call log, {name}: count and totals", clock(lambda query=query: replace(query).totals))
    last = replace(every, first_day=decade.LAST_DAY - timedelta(days=29), last_day=decade.LAST_DAY, keywords="123456")
    spent = clock(lambda: (last.page(ROWS, 0), replace(last).totals))
    yield _row("call log, part of a number in 30 days: ms / 200", spent, SEARCH_MS)


def _row(figure: str, spent_ms: float, most_ms: float | None = None) -> Row:
    if most_ms is None:
        return Row(figure, f"{spent_ms:.1f} ms")
    return Row(figure, f"{spent_ms:.1f} ms", spent_ms / most_ms, 1)


def _recount(data: Path) -> None:
    """What pages read out of totals, against every call of the site.

    Raises:
        RuntimeError: they differ.
    """
    with connect_to_read(data) as connection:
        rows = connection.execute(
            "SELECT local_day, trunk, state, count(*), sum(talk_seconds), sum(cost_micros) FROM calls GROUP BY 1, 2, 3"
        ).fetchall()
    every = CallQuery(decade.SITE.time_zone)
    settled = [row for row in rows if row["state"] == "settled"]
    pairs = [
        ("all calls", _flat(every.totals), _summed(rows)),
        ("a trunk", _flat(replace(every, trunk="GSM").totals), _summed(row for row in rows if row["trunk"] == "GSM")),
        ("statistics", _flat(StatisticsQuery().totals), _summed(settled)),
    ]
    for by, length in LENGTH_OF.items():
        of_period: dict[str, list[sqlite3.Row]] = {}
        for row in settled:
            of_period.setdefault(row["local_day"][:length], []).append(row)
        shown = {row.period: _flat(row.sums) for row in StatisticsQuery(None, None, by).stream()}
        pairs += [(period, shown.get(period), _summed(found)) for period, found in of_period.items()]
        pairs.append((f"periods by {by}", len(shown), len(of_period)))
    for name, said, counted in pairs:
        if said != counted:
            raise RuntimeError(f"{name}: a page says {said}, a recount {counted}")


def _summed(rows: Iterable[sqlite3.Row]) -> tuple[int, ...]:
    return tuple(map(sum, zip(*(tuple(row)[3:] for row in rows), strict=True)))


def _flat(sums: Any) -> tuple[int, ...]:
    return sums.calls, sums.talk_seconds, sums.cost_micros


@contextmanager
def connect_to_read(data: Path) -> Iterator[sqlite3.Connection]:
    """A plain connection of a site that writes nothing."""
    connection = connect(data / sites.FILE_NAME)
    try:
        connection.execute("PRAGMA query_only = ON")
        yield connection
    finally:
        connection.close()


def _every_page(data: Path, clock: Clock) -> Iterator[Row]:
    """Server time of each page, whoever may open it: once to warm up, once measured, in turns where it was slow."""
    spent: dict[str, float] = {}
    with open_database(data) as database:
        manager = _settle_in(database)
        app = _application(data, database)
        samples = site_map.SAMPLES | {"number": "1000"}
        paths = [*LONG, *(path for path in site_map.paths(app, samples=samples) if not _is_elsewhere(path))]
        for name in ("owner", manager):
            browser = app.test_client()
            _sign_in(browser, "/sign-in", {"user": name, "password": PASSWORD, "next": ""})
            for path in paths:
                _open(browser, path, clock, spent)
        browser = app.test_client()
        _sign_in(browser, "/self/sign-in", {"extension": "1000", "pin": site_map.PIN})
        for path in site_map.own_paths(app):
            if not _is_elsewhere(path):
                _open(browser, path, clock, spent)
    missing = [path for path in LONG if path not in spent]
    if missing or len(spent) < 50:
        raise RuntimeError(f"not shown: {missing}; only {len(spent)} pages opened")
    slowest = sorted(spent, key=lambda path: -spent[path])
    for path in slowest:
        if path in slowest[:MOST_SHOWN] or spent[path] > PAGE_MS:
            yield _row(f"page {path[:60]}: server ms / 100", spent[path], PAGE_MS)
    yield from _the_others(spent, slowest[MOST_SHOWN:])


def _open(browser: FlaskClient, path: str, clock: Clock, spent: dict[str, float]) -> None:
    """Note what a page takes that whoever it is may open; what others took counts where that was longer."""
    if browser.get(path).status_code != 200:
        return
    took = clock.once(lambda: browser.get(path).data)
    if took > PAGE_MS:
        took = clock(lambda: browser.get(path).data)
    spent[path] = max(spent.get(path, 0), took)


def _the_others(spent: dict[str, float], paths: Sequence[str]) -> Iterator[Row]:
    """Those that were quick, by the room that they are in."""
    rooms: dict[str, list[str]] = {}
    for path in paths:
        rooms.setdefault(path.split("?")[0].split("/")[1], []).append(path)
    for room, within in sorted(rooms.items()):
        longest = max(spent[path] for path in within)
        yield _row(f"{len(within)} other pages below /{room}, the slowest: server ms / 100", longest, PAGE_MS)
    yield Row("pages opened", f"{len(spent)}")


def _is_elsewhere(path: str) -> bool:
    return any(part in path for part in LARGE)


def _application(data: Path, database: Database) -> Any:
    licensing = Licensing(database, data, a_device(), Build("1.0", RELEASED_MS, ROOT_KEY), lambda: NOW_MS)
    return create_app(data, database, call_plane_is_up=lambda: True, now_ms=lambda: NOW_MS, licensing=licensing)


def _settle_in(database: Database) -> str:
    """Whoever opens pages, and something to show on each; returns the billing manager's name."""
    person = replace(decade.FOUNDER, now_ms=NOW_MS)
    owner.set_password(database, PASSWORD, person)
    hashed = passwords.hashed(PASSWORD)

    def job(connection: sqlite3.Connection) -> str:
        site_map.hire(connection)
        site_service.change_setting(connection, "self_service", "pin", person)
        self_service.set_pins(connection, {"1000": passwords.hashed(site_map.PIN)}, person)
        stays.check_in(connection, "1003", 5_000_000, "Guest", person)
        stays.check_out(connection, "1003", person)
        tariff_drafts.add(connection, "Summer", StoredRates(connection).of_prefix("9"), person)
        return people.create(connection, hashed, Duty(Role.MANAGER, "Ann"), person)

    return database.write(job)


def _sign_in(browser: FlaskClient, path: str, form: dict[str, str]) -> None:
    """Raises RuntimeError: who should be let in is not."""
    page = browser.get(path).text
    token = page.partition('name="csrf" value="')[2].partition('"')[0]
    if browser.post(path, data={"csrf": token} | form).status_code != 303:
        raise RuntimeError(f"{form} is not let in at {path}")
