"""How fast a call is authorized and charged, beside the floors."""

import json
import os
import random
import statistics
import subprocess
import sys
import time
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
from tests.bench.servers import Server, free_port, running
from tests.bench.table import Row
from tests.cast import look_up

FLOORS = Path(__file__).resolve().parent / "floors"
EXTENSIONS = 100
LEARNING = 20
FEW_RATES, MANY_RATES = 10, 100_000
NUMBERS = 2_000
CALLERS = (1, 16)
FORKED_CALLS_PER_SECOND_AND_CORE = {"A2Billing": 20, "MagnusBilling": 23}  # FLOORS.md, measured end to end
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


def load(folder: Path, server: Measured, kind: str, callers: int, count: int) -> None:
    """One turn of a server; its results go to the server."""
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
    result["cpu_seconds"] = server.server.cpu_seconds() - before
    if result["failed"] or result["refused"]:
        raise RuntimeError(f"{server.name}: {result}")
    server.results.setdefault((kind, callers), []).append(result)


def check_books(server: Measured, data: Path) -> None:
    """Every question was answered with a hold, and every call was charged: what is fast for nothing counts for nothing.

    Raises:
        RuntimeError: the database says otherwise.
    """
    asked = dict.fromkeys(("authorize", "call"), 0)
    for (kind, _callers), results in server.results.items():
        asked[kind] += sum(result["count"] for result in results)
    states = look_up(data / FILE_NAME, "SELECT state, reason, count(*) FROM calls GROUP BY state, reason")
    if sorted(states) != [("held", "", asked["authorize"] + LEARNING), ("settled", "", asked["call"])]:
        raise RuntimeError(f"{server.name}: {asked} asked, but the books say {states}")


def fork_seconds(count: int) -> float:
    """What plain AGI pays per call before its script's first line: `python3 -c pass`."""
    began = time.perf_counter()
    for _ in range(count):
        subprocess.run(["/usr/bin/python3", "-c", "pass"], check=True)
    return (time.perf_counter() - began) / count


def measure(folder: Path, options: Options) -> list[Row]:
    draw = random.Random(2)
    numbers = ["9" + str(draw.randrange(10**8, 10**9)) for _ in range(NUMBERS)]
    (folder / "numbers").write_text("\n".join(numbers) + "\n")
    build(folder)
    sites = {size: folder / f"site{size}" for size in (FEW_RATES, MANY_RATES)}
    for size, data in sites.items():
        fill_site(data, size, numbers)
    ports = [free_port() for _ in range(4)]
    floors = ([sys.executable, FLOORS / "empty_server.py"], [folder / "sqlite_floor"])
    with (
        a_call_plane("10 rates", ports[0], sites[FEW_RATES]) as few_server,
        a_call_plane("100,000 rates", ports[1], sites[MANY_RATES]) as many_server,
        running("empty", ports[2], [*floors[0], ports[2]]) as empty_server,
        running("C floor", ports[3], [*floors[1], ports[3], folder / "floor.sqlite3"]) as floor_server,
    ):
        few, many, empty, floor = map(Measured, (few_server, many_server, empty_server, floor_server))
        learn_mirror(folder, few, sites[FEW_RATES])
        learn_mirror(folder, many, sites[MANY_RATES])
        forks = []
        for _ in range(options.rounds):
            for callers in CALLERS:
                for server in (few, many, empty, floor):
                    load(folder, server, "authorize", callers, options.count)
                    load(folder, server, "call", callers, options.count)
            forks.append(fork_seconds(10))
        for server, data in ((few, sites[FEW_RATES]), (many, sites[MANY_RATES])):
            check_books(server, data)
        return table(few, many, empty, floor, statistics.median(forks))


def a_call_plane(name: str, port: int, data: Path) -> AbstractContextManager[Server]:
    command = [sys.executable, "-m", "coovox_billing", "--data", data, "calls"]
    return running(name, port, command, COOVOX_AGI_LISTEN=f"127.0.0.1:{port}")


def table(few: Measured, many: Measured, empty: Measured, floor: Measured, fork: float) -> list[Row]:
    rows = []
    for callers in CALLERS:
        for kind in ("authorize", "call"):
            for server in (few, many, empty, floor):
                p50, p99 = (server.median(kind, callers, figure) for figure in ("p50_us", "p99_us"))
                rows.append(Row(f"{kind}, {callers} callers, {server.name}", f"p50 {p50:.0f} us, p99 {p99:.0f} us"))
    for callers in CALLERS:
        p50 = {server.name: server.median("authorize", callers, "p50_us") for server in (few, many, empty, floor)}
        rows += [
            Row(f"authorize p50 / empty server, {callers} callers", "", p50[many.name] / p50[empty.name], 3),
            Row(f"authorize p50 / C floor, {callers} callers", "", p50[many.name] / p50[floor.name], 2),
            Row(
                f"authorize p50, 100,000 / 10 rates, {callers} callers",
                "",
                p50[many.name] / p50[few.name],
                1.3,
            ),
            Row(f"fork of python3 / authorize p50, {callers} callers", "", fork * 1e6 / p50[many.name]),
        ]
    cpu = statistics.median(r["count"] / max(r["cpu_seconds"], 0.01) for r in many.results["call", 16])
    rows.append(Row("calls per second and core of the call plane", f"{cpu:.0f}"))
    for name, theirs in FORKED_CALLS_PER_SECOND_AND_CORE.items():
        rows.append(Row(f"the same / {name} ({theirs})", "", cpu / theirs, 50, least=True))
    rows.append(
        Row("call plane, resident MB / 30", f"{many.server.resident_mb():.1f} MB", many.server.resident_mb() / 30, 1)
    )
    return rows
