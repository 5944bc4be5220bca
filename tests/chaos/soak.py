"""`make soak-fake`: a million calls and ten thousand kills, over the fake PBX and the real call plane.

Many callers at once live all the lives that calls have, in real time, while the call plane is killed over and over, in
bursts, and sometimes robbed of what was not on disk. In the end nothing is held, the books are sound, and what each
call cost is what its trunk's stamps say. The sum is made in whole micros by `office.price_micros`.
"""

import argparse
import asyncio
import logging
import random
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from coovox_billing.core.tariff import Rate
from coovox_billing.opening import open_site
from coovox_billing.services import accounts, activation, payments, site
from coovox_billing.services.accounts import Person
from coovox_billing.store import writes
from coovox_billing.store.audit import audit
from coovox_billing.store.database import connect
from tests.chaos.office import Office, an_office, price_micros
from tests.chaos.pbx_model import Call
from tests.chaos.planes import build_bad_disk, hosting
from tests.pbx.fake_ami import Action

OWNER = Person("soak", "terminal", 1_790_000_000_000)
BILLED = [str(number) for number in range(1000, 1160)]
FREE = [str(number) for number in range(1160, 1180)]
LOCKED = [str(number) for number in range(1180, 1190)]
RICH_MICROS = 10**15
EMERGENCY = "112"
# By the number that is dialed, which is the rate's prefix too. In micros:
# initial cost, its seconds, what each unit costs, its seconds.
PRICES = {
    "51": (0, 0, 10_000, 1),
    "52": (100_000, 1, 25_000, 1),
    "53": (50_000, 2, 70_000, 2),
    "54": (1_000, 0, 100, 3),
    "55": (0, 0, 0, 60),
}

BURST_PAUSE_SECONDS = 0.1
DOWN_SECONDS = 0.5
BURSTS, MOST_IN_A_BURST = 5, 40
# What bursts leave behind is booked before the next one, as far as a real box would ever come.
MOST_RECORDS_AT_A_BURST = 200
POWER_CUTS, MOST_BETWEEN_POWER_CUTS = 4, 250
REPORT_SECONDS = 5.0
SETTLE_SECONDS = 300.0


def furnish(directory: Path) -> Path:
    """A site with many extensions, most of them rich; returns its database file."""
    with open_site(directory) as database:
        database.write(_move_in)
    return database.path


def _move_in(connection: sqlite3.Connection) -> None:
    activation.switch(connection, True, OWNER)
    site.change_setting(connection, "when_billing_is_down", "allow", OWNER)
    for extension in BILLED + FREE + LOCKED:
        accounts.add(connection, extension, f"Soak {extension}", OWNER)
    for extension in BILLED:
        accounts.change(connection, extension, {"billing": True}, OWNER)
        payments.recharge(connection, extension, RICH_MICROS, OWNER)
    for extension in LOCKED:
        accounts.change(connection, extension, {"billing": True, "status": "locked"}, OWNER)
    for prefix, (initial, initial_seconds, each, unit_seconds) in PRICES.items():
        writes.insert_rate(connection, Rate(0, prefix, 0, initial, initial_seconds, each, unit_seconds))


@dataclass(frozen=True)
class Plan:
    """How many calls and kills at least, and how many callers make them at once."""

    calls: int
    kills: int
    seed: int
    callers: int = 450
    longest_talk_seconds: float = 8.0

    @property
    def burst_kills(self) -> int:
        """So many kills are due before a burst begins."""
        return max(1, min(MOST_IN_A_BURST, self.kills // BURSTS))

    @property
    def kills_between_power_cuts(self) -> int:
        return max(1, min(MOST_BETWEEN_POWER_CUTS, self.kills // POWER_CUTS))


class _Nothing(list[Action]):
    """What the manager is asked is not kept."""

    def append(self, action: Action) -> None:
        pass


class Soak:
    """Calls and kills in one office, until there were enough of both."""

    def __init__(self, office: Office, plan: Plan) -> None:
        self.office = office
        self.plan = plan
        self.calls = self.kills = self.power_cuts = 0
        self.true_micros: dict[str, int] = {}
        self._chance = random.Random(plan.seed)
        self._began = time.monotonic()
        assert office.manager is not None
        office.manager.actions = _Nothing()
        self._ami = office.plane.ami
        office.pbx.pass_by = asyncio.sleep

    @property
    def is_enough(self) -> bool:
        return self.calls >= self.plan.calls and self.kills >= self.plan.kills

    async def run(self) -> None:
        """Until it is enough and everything has settled."""
        self.office.mirrors()
        self.office.plane.tick_seconds = 0.2
        await self.office.plane.start()
        killing, reporting = asyncio.create_task(self._kill()), asyncio.create_task(self._report())
        await asyncio.gather(*(self._be_a_caller() for _ in range(self.plan.callers)))
        await killing
        reporting.cancel()
        self.say()
        self.office.plane.ami = self._ami
        await self.office.plane.kill()
        await self.office.plane.start()
        await self.office.dust_settles(SETTLE_SECONDS)
        await self.office.plane.kill()

    def say(self) -> None:
        """How far it is."""
        seconds = time.monotonic() - self._began
        waiting = len(self.office.pbx.astdb.left())
        print(
            f"{seconds:6.0f} s: {self.calls} calls, {self.kills} kills, {self.power_cuts} power cuts, "
            f"{self.calls / seconds:.0f} calls/s, {waiting} records wait, "
            f"slowest answer {self.office.pbx.slowest_seconds:.2f} s",
            flush=True,
        )
        self.office.pbx.slowest_seconds = 0.0

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            self.say()

    async def _be_a_caller(self) -> None:
        await asyncio.sleep(self._chance.random())
        while not self.is_enough:
            call = await self._live()
            self.calls += 1
            self.true_micros[call.id] = _true_micros(call)
            del self.office.pbx.calls[call.id]
            self.office.pbx.told_settled.discard(call.id)

    async def _live(self) -> Call:
        chance, pbx = self._chance, self.office.pbx
        draw = chance.random()
        if draw < 0.03:
            call = pbx.call(chance.choice(LOCKED), "51")
            await call.asks()
            await pbx.pass_by(0.2)
            return call
        number = EMERGENCY if draw < 0.05 else chance.choice(list(PRICES))
        call = pbx.call(chance.choice(FREE if 0.05 <= draw < 0.10 else BILLED), number)
        if 0.10 <= draw < 0.12:
            await call.asks(patience=chance.uniform(0, 0.02))
            return call
        if not await call.asks():
            return call
        if draw > 0.80:
            return await self._live_on_unanswered(call)
        await self._talk(call)
        return call

    async def _live_on_unanswered(self, call: Call) -> Call:
        """Hung up while it rang, or tried on a second trunk, where it may be answered."""
        chance = self._chance
        await self.office.pbx.pass_by(chance.uniform(0, 0.1))
        if chance.random() < 0.3:
            await call.gives_up()
            return call
        await call.is_unanswered()
        if chance.random() < 0.4 and await call.asks("second"):
            await self._talk(call)
        elif call.result == "unanswered":
            await call.gives_up()
        return call

    async def _talk(self, call: Call) -> None:
        chance = self._chance
        await call.is_answered(chance.uniform(0.02, 0.1))
        await call.talks(min(self.plan.longest_talk_seconds, chance.expovariate(1 / 1.3)))
        if chance.random() < 0.06 and not call.alone:
            await call.is_transferred()
            await call.talks(chance.uniform(0, 2))
        await call.hangs_up()

    async def _kill(self) -> None:
        """In bursts, as many as there were calls for; now and then the next plane takes a while."""
        while not self.is_enough:
            due = min(self.plan.kills, self.plan.kills * self.calls // self.plan.calls) - self.kills
            is_behind = len(self.office.pbx.astdb.left()) > MOST_RECORDS_AT_A_BURST
            if is_behind and self.office.plane.ami == "off":
                await self._kill_once(needs_manager=True)
            if is_behind or due < min(self.plan.burst_kills, self.plan.kills - self.kills) or due <= 0:
                await asyncio.sleep(0.1)
                continue
            for _ in range(self._chance.randint(1, 2 * due)):
                if self.is_enough:
                    return
                await self._kill_once()
                await asyncio.sleep(self._chance.expovariate(1 / BURST_PAUSE_SECONDS))

    async def _kill_once(self, *, needs_manager: bool = False) -> None:
        """Seven of ten planes come back with Asterisk's manager, without which what was left is booked slowly."""
        plane = self.office.plane
        self.kills += 1
        loses_power = self.kills % self.plan.kills_between_power_cuts == 0
        await plane.kill(loses_power=loses_power)
        self.power_cuts += loses_power
        if self._chance.random() < 0.02:
            await asyncio.sleep(DOWN_SECONDS)
        plane.ami = self._ami if needs_manager or self._chance.random() < 0.7 else "off"
        await plane.start()

    def reckon(self) -> tuple[list[str], Counter[str]]:
        """Every difference between the database and the truth, and how many calls have which flag."""
        with closing(connect(self.office.database)) as connection:
            differences = [finding.message for finding in audit(connection)]
            held = connection.execute("SELECT extension FROM accounts WHERE held_micros <> 0").fetchall()
            differences += [f"{row[0]} still holds money" for row in held]
            flags: Counter[str] = Counter()
            true_of_account: Counter[str] = Counter()
            unknown = dict(self.true_micros)
            for call_id, extension, state, cost, flag in connection.execute(ALL_CALLS):
                true = unknown.pop(call_id, None)
                flags.update(flag.split())
                if true is None or true != cost or state in ("held", "talking"):
                    differences.append(f"call {call_id} of {extension} is {state}, {cost} micros; true is {true}")
                true_of_account[extension] += true or 0
            differences += [f"call {call_id} is missing: {true} micros" for call_id, true in unknown.items() if true]
            taken = dict(connection.execute(TAKEN).fetchall())
        differences += [
            f"{extension} paid {taken.get(extension, 0)} micros; true is {true}"
            for extension, true in true_of_account.items()
            if taken.get(extension, 0) != true
        ]
        total = sum(self.true_micros.values())
        if sum(taken.values()) != total:
            differences.append(f"{sum(taken.values())} micros were taken in all; true is {total}")
        return differences, flags


ALL_CALLS = "SELECT call_id, extension, state, cost_micros, flags FROM calls"
TAKEN = (
    "SELECT extension, -sum(amount_micros) FROM ledger JOIN accounts ON accounts.id = account_id "
    "WHERE call_id IS NOT NULL GROUP BY extension"
)


def _true_micros(call: Call) -> int:
    leg = call.leg
    if leg is None or leg.extension not in BILLED or leg.number not in PRICES or leg.alone == "emergency":
        return 0
    return price_micros(PRICES[leg.number], leg.talk_seconds)


@dataclass(frozen=True)
class Outcome:
    """What was done, and every difference between the books and the truth."""

    calls: int
    kills: int
    power_cuts: int
    true_micros: int
    flags: dict[str, int]
    differences: list[str]

    def __str__(self) -> str:
        return (
            f"{self.calls} calls, {self.kills} kills, {self.power_cuts} power cuts, {self.true_micros} micros, "
            f"flagged {self.flags}, {len(self.differences)} differences"
        )


async def soak(folder: Path, library: Path, plan: Plan) -> Outcome:
    """Run one; prints how it goes."""
    database = furnish(folder / "seed")
    async with hosting(library) as host, an_office(host, folder / "office", database, cel=False) as office:
        run = Soak(office, plan)
        await run.run()
        differences, flags = run.reckon()
        if differences:
            print(*differences[:20], office.plane.log[-5_000:], sep="\n")
        return Outcome(run.calls, run.kills, run.power_cuts, sum(run.true_micros.values()), dict(flags), differences)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--callers", type=int, default=Plan.callers)
    options = parser.parse_args()
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # what is said to a plane that was just killed
    plan = Plan(options.calls, options.kills, options.seed, options.callers)
    print(f"seed {plan.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="coovox-chaos-") as name:
        library = build_bad_disk(Path(name))
        outcome = asyncio.run(soak(Path(name), library, plan))
    print(outcome)
    return 1 if outcome.differences else 0


if __name__ == "__main__":
    sys.exit(main())
