"""How fast a call is authorized and charged, beside the floors."""

import json
import os
import random
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from coovox_billing.core.tariff import Rate
from coovox_billing.opening import open_site
from coovox_billing.services import accounts, activation, payments, rates
from coovox_billing.services.accounts import Person
from coovox_billing.store import reads
from coovox_billing.store.database import FILE_NAME
from tests.bench.options import Options
from tests.bench.servers import DEBIAN_PYTHON, Server, free_port, running
from tests.bench.table import Row
from tests.cast import look_up

FLOORS = Path(__file__).resolve().parent / "floors"
EXTENSIONS = 100
LEARNING = 20
FEW_RATES, MANY_RATES = 10, 100_000
NUMBERS = 2_000
CALLERS = (1, 4, 16, 20)
WORST_OF, WORST_AMONG_CALLERS = 10_000, 16
FORKS = 20
FORKED_CALLS_PER_SECOND_AND_CORE = {"A2Billing": 20.5, "MagnusBilling": 24}  # FLOORS.md, by CPU
OWNER = Person("bench", "terminal", 1_790_000_000_000)


@dataclass
class Measured:
    """A server that calls are made to, and what was measured of it: (kind, callers) to results."""

    server: Server
    mirror: str = ""
    first_id: int = 0
    results: dict[tuple[str, int], list[dict[str, float]]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.server.name

    def median(self, kind: str, callers: int, figure: str) -> float:
        return statistics.median(result[figure] for result in self.results[kind, callers])


def build(folder: Path) -> None:
    flags = ["-O2", "-Wall", "-Wextra"]
    subprocess.run(["gcc", *flags, "-o", folder / "agi_load", FLOORS / "agi_load.c"], check=True)
    subprocess.run(["gcc", *flags, "-o", folder / "sqlite_floor", FLOORS / "sqlite_floor.c", "-lsqlite3"], check=True)


def fill_site(data: Path, rate_count: int, numbers: list[str]) -> None:
    """A site with extensions that can pay and rates whose prefixes the numbers have."""
    with open_site(data) as database:
        database.write(lambda c: activation.switch(c, True, OWNER))
        database.write(lambda c: [_add_extension(c, str(1000 + n)) for n in range(EXTENSIONS)])
        table = [_rate(prefix) for prefix in _prefixes(rate_count, numbers)]
        database.write(lambda c: rates.import_rates(c, table, False, OWNER))


def learn_mirror(folder: Path, server: Measured, data: Path) -> None:
    """After the first calls the AstDB of a real Asterisk knows the mirror, so the load says so too."""
    load(folder, server, "authorize", 1, LEARNING)
    server.results.clear()
    with open_site(data) as database:
        server.mirror = database.read(reads.mirror_marker)


def _add_extension(connection: object, extension: str) -> None:
    accounts.add(connection, extension, f"Bench {extension}", OWNER)
    accounts.change(connection, extension, {"billing": True}, OWNER)
    payments.recharge(connection, extension, 500_000_000 * 1_000_000, OWNER)


def _prefixes(count: int, numbers: list[str]) -> list[str]:
    """The empty prefix, prefixes of dialed numbers, then random ones."""
    found = dict.fromkeys(["", *(number[:length] for number in numbers for length in (2, 4, 6))])
    draw = random.Random(1)
    while len(found) < count:
        found["9" + str(draw.randrange(10**7))] = None
    return list(found)[:count]


def _rate(prefix: str) -> Rate:
    return Rate(0, prefix, 0, 100_000, 60, 20_000, 55, remark="bench")


def load(folder: Path, server: Measured, kind: str, callers: int, count: int, label: str = "") -> None:
    """One turn of a server; its results go to the server, under a `label` of their own if there is one."""
    server.first_id += 1
    command = [
        folder / "agi_load",
        server.server.port,
        callers,
        count,
        kind,
        server.first_id,
        EXTENSIONS,
        folder / "numbers",
    ]
    before = server.server.cpu_seconds()
    said = subprocess.run(
        list(map(str, command)),
        env=os.environ | {"MIRROR": server.mirror},
        capture_output=True,
        text=True,
        check=True,
    )
    result = json.loads(said.stdout)
    result["cpu_seconds_each"] = (server.server.cpu_seconds() - before) / result["count"]
    result["per_second"] = result["count"] / result["seconds"]
    if result["failed"] or result["refused"]:
        raise RuntimeError(f"{server.name}: {result}")
    server.results.setdefault((label or kind, callers), []).append(result)


def check_books(server: Measured, data: Path) -> None:
    """Every question was answered with a hold, and every call was charged: what is fast for nothing counts for nothing.

    Raises:
        RuntimeError: the database says otherwise.
    """
    asked, made = LEARNING, 0
    for (kind, _callers), results in server.results.items():
        count = sum(int(result["count"]) for result in results)
        asked, made = (asked, made + count) if kind == "call" else (asked + count, made)
    states = look_up(data / FILE_NAME, "SELECT state, reason, count(*) FROM calls GROUP BY state, reason")
    charges = look_up(data / FILE_NAME, "SELECT count(*) FROM ledger WHERE kind = 'call' AND amount_micros < 0")
    if (sorted(states), charges) != ([("held", "", asked), ("settled", "", made)], [(made,)]):
        raise RuntimeError(
            f"{server.name}: {asked} questions and {made} calls, but the books say {states}, charged {charges}"
        )


def measure(folder: Path, options: Options) -> Iterator[Row]:
    """Calls of our own plane, with few rates and with many, beside an empty server and a C server with one write."""
    draw = random.Random(2)
    numbers = ["9" + str(draw.randrange(10**8, 10**9)) for _ in range(NUMBERS)]
    (folder / "numbers").write_text("\n".join(numbers) + "\n")
    build(folder)
    sites = {size: folder / f"site{size}" for size in (FEW_RATES, MANY_RATES)}
    for size, data in sites.items():
        fill_site(data, size, numbers)
    with (
        a_call_plane("10 rates", free_port(), sites[FEW_RATES]) as few_server,
        a_call_plane("100,000 rates", free_port(), sites[MANY_RATES]) as many_server,
        _an_empty_server(free_port()) as empty_server,
        _a_c_server(folder, free_port()) as floor_server,
    ):
        few, many, empty, floor = map(Measured, (few_server, many_server, empty_server, floor_server))
        learn_mirror(folder, few, sites[FEW_RATES])
        learn_mirror(folder, many, sites[MANY_RATES])
        for _ in range(options.rounds):
            for callers in CALLERS:
                for server in (few, many, empty, floor):
                    load(folder, server, "authorize", callers, options.count)
                    load(folder, server, "call", callers, options.count)
        for server in (many, floor):
            load(folder, server, "authorize", WORST_AMONG_CALLERS, WORST_OF, label="worst")
        for server, data in ((few, sites[FEW_RATES]), (many, sites[MANY_RATES])):
            check_books(server, data)
        yield from _table(few, many, empty, floor)


def a_call_plane(name: str, port: int, data: Path) -> AbstractContextManager[Server]:
    """The product's, on the Python that appliances have: Debian's."""
    command = [DEBIAN_PYTHON, "-m", "coovox_billing", "--data", data, "calls"]
    return running(name, port, command, COOVOX_AGI_LISTEN=f"127.0.0.1:{port}")


def _an_empty_server(port: int) -> AbstractContextManager[Server]:
    return running("empty server", port, [DEBIAN_PYTHON, FLOORS / "empty_server.py", port])


def _a_c_server(folder: Path, port: int) -> AbstractContextManager[Server]:
    return running("C floor", port, [folder / "sqlite_floor", port, folder / "floor.sqlite3"])


def _table(few: Measured, many: Measured, empty: Measured, floor: Measured) -> Iterator[Row]:
    for callers in CALLERS:
        for kind in ("authorize", "call"):
            for server in (few, many, empty, floor):
                p50, p99 = (server.median(kind, callers, figure) for figure in ("p50_us", "p99_us"))
                yield Row(f"{kind}, {callers} callers, {server.name}", f"p50 {p50:.0f} us, p99 {p99:.0f} us")
    for callers in CALLERS:
        p50, p99 = (_times(many, floor, callers, figure) for figure in ("p50_us", "p99_us"))
        yield Row(f"authorize p50 / C floor, {callers} callers", "", p50, 2)
        yield Row(f"authorize p99 / C floor, {callers} callers", "", p99, 3)
        yield Row(f"authorize p50 / empty server, {callers} callers", "", _times(many, empty, callers, "p50_us"))
        yield Row(
            f"authorize p50, 100,000 / 10 rates, {callers} callers", "", _times(many, few, callers, "p50_us"), 1.3
        )
    worst_us, usual_us = (
        many.median("worst", WORST_AMONG_CALLERS, "max_us"),
        floor.median("worst", WORST_AMONG_CALLERS, "p99_us"),
    )
    figure = f"worst authorize of {WORST_OF:,}, {WORST_AMONG_CALLERS} callers / p99 of the C floor"
    yield Row(figure, f"{worst_us:.0f} us", worst_us / usual_us, 20)
    for callers in CALLERS:
        ours, theirs = (server.median("call", callers, "per_second") for server in (many, floor))
        yield Row(
            f"whole calls per second / C floor, {callers} callers",
            f"{ours:.0f} of {theirs:.0f}",
            ours / theirs,
            0.5,
            least=True,
        )
    per_core = 1 / many.median("call", WORST_AMONG_CALLERS, "cpu_seconds_each")
    yield Row("whole calls per second and core of the call plane", f"{per_core:.0f}")
    for name, theirs in FORKED_CALLS_PER_SECOND_AND_CORE.items():
        yield Row(f"the same / {name} ({theirs})", "", per_core / theirs, 50, least=True)
    fork_us = 1e6 * statistics.median(_fork_seconds() for _ in range(FORKS))
    p50_us = many.median("authorize", 1, "p50_us")
    yield Row("start of a forked script (python3 -c pass) / authorize p50", f"{fork_us:.0f} us", fork_us / p50_us)


def _times(ours: Measured, theirs: Measured, callers: int, figure: str) -> float:
    return ours.median("authorize", callers, figure) / theirs.median("authorize", callers, figure)


def _fork_seconds() -> float:
    """What plain AGI pays per call before its script's first line."""
    began = time.perf_counter()
    subprocess.run([DEBIAN_PYTHON, "-c", "pass"], check=True)
    return time.perf_counter() - began
