"""An hour's use of a busy box in some minutes: a thousand calls, every page again and again, the large files."""

import asyncio
import random
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path

from coovox_billing.core.roles import Role
from coovox_billing.core.site_settings import LANGUAGES
from coovox_billing.services import owner, passwords, payments, people
from coovox_billing.services.people import Duty
from coovox_billing.store import writes
from coovox_billing.store.database import Database, open_database
from coovox_billing.web import create_app
from tests import cast, years
from tests.chaos.pbx_model import Call, Pbx
from tests.footprint.box import Box, Browser
from tests.web import site_map

PASSWORD = "correct horse battery"
LOGGED_CALLS = 100_000
CALLERS = 6
RATES = 1_000
# The lobby is locked.
CALLING = ("100", "101", "100", "101", "102")
NUMBERS = (cast.CITY_NUMBER, "965302387", "0034911234567", "080012345")
EVERY_CALL = "from=2000-01-01&to=2037-12-31"
# What holds every call: opened once.
LARGE = (
    "/addons/billing/all-data.zip",
    f"/call-log.csv?{EVERY_CALL}",
    f"/call-log.xlsx?{EVERY_CALL}",
    "/extension/100/check-out",
)
LOOK_SECONDS = 1.0


def furnish(data: Path, logged_calls: int = LOGGED_CALLS) -> str:
    """The cast with years of calls and something to show on every page; returns the billing manager's name."""
    with cast.move_in(data) as database:
        site_map.settle_in(database)
        database.write(_add_rates)
        years.go_by(database, logged_calls, minutes_apart=10, now_ms=cast.NOW_MS - 86_400_000)
        return _hire(database)


def _add_rates(connection: sqlite3.Connection) -> None:
    for number in range(RATES):
        writes.insert_rate(connection, cast.a_rate(prefix=f"55{number:04d}", number_length=0, remark=f"area {number}"))


def _hire(database: Database) -> str:
    owner.set_password(database, PASSWORD, cast.MANAGER)
    hashed = passwords.hashed(PASSWORD)
    for extension in ("100", "101"):
        database.write(lambda c, number=extension: payments.recharge(c, number, 10**11, cast.MANAGER))
    return database.write(lambda c: people.create(c, hashed, Duty(Role.MANAGER, "Bill"), cast.MANAGER))


def page_paths(data: Path) -> list[str]:
    """Every address that a browser may open again and again, as the billing manager."""
    with open_database(data) as database:
        app = create_app(data, database, call_plane_is_up=lambda: True)
    large = {path.partition("?")[0] for path in LARGE}
    return [path for path in site_map.paths(app) if path not in large | site_map.HALF_WAY]


@dataclass
class Memory:
    """What each plane was seen to keep resident, in MB, look by look."""

    box: Box
    seen: dict[str, list[float]] = field(default_factory=lambda: {"calls": [], "web": []})

    async def watch(self) -> None:
        """Look again and again."""
        while True:
            for name, looks in self.seen.items():
                looks.append(await asyncio.to_thread(self.box.resident_mb, name))
            await asyncio.sleep(LOOK_SECONDS)

    def last(self, name: str) -> float:
        """At the end."""
        return self.seen[name][-1]

    def most(self, name: str) -> float:
        """The most at any look."""
        return max(self.seen[name])


async def calls(pbx: Pbx, many: int, seed: int = 1) -> int:
    """So many calls of all kinds, some at a time; returns how many were answered."""
    chance, left, answered = random.Random(seed), iter(range(many)), 0

    async def be_a_caller() -> None:
        nonlocal answered
        for _ in left:
            call = pbx.call(chance.choice(CALLING), chance.choice(NUMBERS))
            was_answered = await _live(call, chance)
            answered += was_answered
            del pbx.calls[call.id]
            pbx.told_settled.discard(call.id)

    await asyncio.gather(*(be_a_caller() for _ in range(CALLERS)))
    return answered


async def _live(call: Call, chance: random.Random) -> bool:
    if not await call.asks():
        return False
    if chance.random() < 0.2:
        await call.pbx.pass_by(chance.uniform(0, 0.5))
        await call.gives_up()
        return False
    await call.is_answered()
    await call.talks(chance.uniform(0.3, 1.5))
    await call.hangs_up()
    return True


class Office:
    """Who sits at the pages: the owner, and the billing manager, who may open what the other may not."""

    def __init__(self, box: Box, manager: str) -> None:
        self._box = box
        self._names = ("owner", manager)
        self._people: Sequence[Browser] = ()
        self._doors: list[tuple[Browser, str]] = []
        self.views = 0

    def sign_in(self, times: int = 1) -> None:
        """Both sign in, so many times."""
        for _ in range(times):
            self._people = [Browser(self._box.web_address) for _ in self._names]
            for browser, name in zip(self._people, self._names, strict=True):
                browser.post("/sign-in", {"user": name, "password": PASSWORD, "next": ""}, "/sign-in")

    def try_doors(self, paths: Sequence[str]) -> None:
        """Find out who may open what; an address that nobody may open is none of ours."""
        for path in paths:
            may = [browser for browser in self._people if browser.may_open(path)]
            if may:
                self._doors.append((may[0], path))

    def look_around(self, rounds: int) -> None:
        """Open every page, and each small file, so many times, in one language after the other."""
        for language in islice(cycle(LANGUAGES), rounds):
            for browser, path in self._doors:
                browser.language = language
                browser.get(path)
                self.views += 1

    def take_files(self) -> None:
        """All that holds every call; the rates as a workbook, which is read again."""
        owner, manager = self._people
        for path in LARGE:
            (manager if path.startswith("/extension") else owner).get(path)
        manager.upload("/rate/import", "rates.xlsx", manager.get("/rate.xlsx"))
