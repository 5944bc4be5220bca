"""The cost of growth: what time, memory, disk and flash a call and a page take as calls and rates become more."""

import os
import random
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from coovox_billing.services import accounts, owner, payments
from coovox_billing.store.database import FILE_NAME, connect, open_database
from coovox_billing.store.lists.calls import CallQuery
from coovox_billing.store.lists.statistics import StatisticsQuery
from coovox_billing.store.models import open_reading, reading
from tests.bench import calls, decade, pages, sites
from tests.bench.calls import Measured
from tests.bench.options import Options
from tests.bench.servers import DEBIAN_PYTHON, free_port, running
from tests.bench.table import Row
from tests.cast import look_up
from tests.footprint.box import Browser

FEW_RATES = 10
HISTORIES = (0, 100_000, 1_000_000)
CALLERS = (1, 16)
NUMBERS = 2_000
MOST_GROWTH = 1.3
TRIES = 3
WEB_MB = 60


@dataclass
class Grown:
    """A site that calls are made on, a copy of a kept one."""

    name: str
    past_calls: int
    data: Path
    bytes_before: int
    newest_entry: int
    measured: Measured | None = None
    written_bytes_each: float = 0
    # By their numbers: what was asked, how often; and those that were taken again, for a call of theirs failed.
    turns: dict[int, tuple[str, int]] = field(default_factory=dict)
    repeated: set[int] = field(default_factory=set)

    def p50_us(self, kind: str, callers: int) -> float:
        assert self.measured is not None
        return self.measured.median(kind, callers, "p50_us")


def measure(folder: Path, options: Options) -> Iterator[Row]:
    """One row for each site and figure; each is measured beside the others, in turns."""
    calls.build(folder)
    (folder / "numbers").write_text("\n".join(_numbers()) + "\n")
    histories = [size for size in HISTORIES if size < options.past_calls] + [options.past_calls]
    # The largest first: what was copied last is still in memory, as what is in use would be.
    of_calls = [_a_site(f"{size:,} past calls", options.rates, size) for size in histories[::-1]][::-1]
    few_rates = _a_site(f"{FEW_RATES} rates", FEW_RATES, 0)
    # What was written is on the disk before: else calls would wait for it.
    os.sync()
    with ExitStack() as running_planes:
        for grown in (few_rates, *of_calls):
            plane = calls.a_call_plane(grown.name, free_port(), grown.data)
            grown.measured = Measured(running_planes.enter_context(plane))
            # The first calls read what those after them find in memory.
            _take_turn(folder, grown, "authorize", CALLERS[-1], options.count)
            calls.learn_mirror(folder, grown.measured, grown.data)
        for _ in range(options.rounds):
            for callers in CALLERS:
                for grown in (few_rates, *of_calls):
                    _make_calls(folder, grown, callers, options.count)
        for grown in (few_rates, *of_calls):
            _check_books(grown)
        yield from _of_calls([few_rates, *of_calls])
        yield from _grows(f"{options.rates:,} rates / {FEW_RATES}", few_rates, of_calls[0])
        yield from _grows(f"{options.past_calls:,} past calls / none", of_calls[0], of_calls[-1])
    for grown in of_calls:
        yield from _of_lists(grown, options.rounds)
    yield from _of_the_web(of_calls[-1])


def _numbers() -> list[str]:
    """In the city and abroad, so that long prefixes compete."""
    draw = random.Random(3)
    abroad = ["00" + str(draw.randrange(10**10, 10**11)) for _ in range(NUMBERS // 2)]
    return [*abroad, *("9" + str(draw.randrange(10**7, 9 * 10**7)) for _ in range(NUMBERS // 2))]


def _a_site(name: str, rates: int, past_calls: int) -> Grown:
    """One whose extensions can pay."""
    data = sites.a_spare(sites.a_site(pages.EXTENSIONS, rates, past_calls))
    size = (data / FILE_NAME).stat().st_size
    with open_database(data) as database:
        database.write(lambda c: [_let_pay(c, str(1000 + number)) for number in range(calls.EXTENSIONS)])
        owner.set_password(database, pages.PASSWORD, decade.FOUNDER)
    newest = look_up(data / FILE_NAME, "SELECT max(id) FROM ledger")
    return Grown(name, past_calls, data, size, newest[0][0])


def _let_pay(connection: object, extension: str) -> None:
    accounts.change(connection, extension, {"billing": True, "status": "unlocked"}, calls.OWNER)
    payments.recharge(connection, extension, 500_000_000 * 1_000_000, calls.OWNER)


def _make_calls(folder: Path, grown: Grown, callers: int, count: int) -> None:
    assert grown.measured is not None
    _take_turn(folder, grown, "authorize", callers, count)
    before = grown.measured.server.written_bytes()
    _take_turn(folder, grown, "call", callers, count)
    grown.written_bytes_each = (grown.measured.server.written_bytes() - before) / count


def _take_turn(folder: Path, grown: Grown, kind: str, callers: int, count: int) -> None:
    """One of them, repeated where a settle took longer than Asterisk waits: the machine did something else then.

    Raises:
        RuntimeError: time and again.
    """
    measured = grown.measured
    assert measured is not None
    for attempt in range(1, TRIES + 1):
        try:
            calls.load(folder, measured, kind, callers, count)
        except RuntimeError:
            grown.repeated.add(measured.first_id)
            if attempt == TRIES:
                raise
        else:
            return
        finally:
            grown.turns[measured.first_id] = kind, count


def _check_books(grown: Grown) -> None:
    """Each question of a turn was answered with a hold, and each call charged; of a repeated one, what the books have.

    Raises:
        RuntimeError: the database says otherwise.
    """
    path, settled = grown.data / FILE_NAME, 0
    for turn, (kind, count) in grown.turns.items():
        found = look_up(
            path,
            "SELECT state, reason, count(*) FROM calls WHERE call_id > ? AND call_id < ? GROUP BY state, reason",
            (f"b{turn}x", f"b{turn}y"),
        )
        states = {(state, reason): calls for state, reason, calls in found}
        wanted = ("settled" if kind == "call" else "held", "")
        settled += states.get(("settled", ""), 0)
        if turn in grown.repeated:
            is_right = set(states) <= {("held", ""), ("settled", "")} and sum(states.values()) <= count
        else:
            is_right = states == {wanted: count}
        if not is_right:
            raise RuntimeError(f"{grown.name}, turn {turn}: {count} times {kind}, but the books say {states}")
    charges = look_up(
        path,
        "SELECT count(*) FROM ledger WHERE id > ? AND kind = 'call' AND amount_micros < 0",
        (grown.newest_entry,),
    )
    if charges != [(settled,)]:
        raise RuntimeError(f"{grown.name}: {settled} calls were settled, charged {charges}")


def _of_calls(grown_sites: list[Grown]) -> Iterator[Row]:
    for grown in grown_sites:
        assert grown.measured is not None
        repeated = f"{len(grown.repeated)} of {len(grown.turns)}"
        yield Row(f"{grown.name}: turns taken again, for a call of theirs failed", repeated)
        for kind in ("authorize", "call"):
            times = ", ".join(f"{grown.p50_us(kind, callers):.0f} us with {callers}" for callers in CALLERS)
            yield Row(f"{grown.name}: {kind} p50", times)
        yield Row(f"{grown.name}: written per call, 16 callers", f"{grown.written_bytes_each / 1024:.1f} KB")
        yield Row(f"{grown.name}: call plane", f"{grown.measured.server.resident_mb():.1f} MB")
        if grown.past_calls:
            each = (grown.bytes_before - grown_sites[1].bytes_before) / grown.past_calls
            yield Row(f"{grown.name}: disk per call", f"{each:.0f} bytes")


def _grows(what: str, few: Grown, many: Grown) -> Iterator[Row]:
    for kind in ("authorize", "call"):
        for callers in CALLERS:
            ratio = many.p50_us(kind, callers) / few.p50_us(kind, callers)
            times = f"{many.p50_us(kind, callers):.0f} / {few.p50_us(kind, callers):.0f} us"
            yield Row(f"{kind} p50, {callers} callers, {what}", times, ratio, MOST_GROWTH)


def _of_lists(grown: Grown, rounds: int) -> Iterator[Row]:
    clock = pages.Clock(rounds)
    open_reading(grown.data)
    with reading.connection_context():
        spent = clock(lambda: pages.a_page(StatisticsQuery(None, None, "month")))
        yield Row(f"{grown.name}: statistics by month, ten years", f"{spent:.1f} ms")
        every = CallQuery(decade.SITE.time_zone)
        spent = clock(lambda: every.page(pages.ROWS, grown.past_calls // 2))
        yield Row(f"{grown.name}: call log, page in the middle", f"{spent:.1f} ms")
    reading.close()
    connection = connect(grown.data / FILE_NAME)
    spent = clock.once(lambda: connection.execute("SELECT count(*) FROM calls").fetchone())
    connection.close()
    yield Row(f"{grown.name}: a count of all calls, for comparison", f"{spent:.1f} ms")


def _of_the_web(grown: Grown) -> Iterator[Row]:
    """What the web plane has in memory after every list of ten years was opened."""
    port = free_port()
    command = [DEBIAN_PYTHON, "-m", "coovox_billing", "--data", grown.data, "web"]
    with running("web", port, command, COOVOX_WEB_LISTEN=f"127.0.0.1:{port}") as web:
        browser = Browser(f"http://127.0.0.1:{port}")
        browser.post("/sign-in", {"user": "owner", "password": pages.PASSWORD, "next": ""}, "/sign-in")
        web.forget_most()
        for path in pages.LONG:
            browser.get(path)
        most_mb = web.most_resident_mb()
        yield Row(f"{grown.name}: web plane, MB at most / {WEB_MB}", f"{most_mb:.1f} MB", most_mb / WEB_MB, 1)
