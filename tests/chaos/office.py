"""One box: a call plane that can be killed, its PBX, and an account of what everything should have cost.

The sum is made from what the PBX knows and from the few lines of `price_micros`: nothing of it is asked of billing.
"""

import asyncio
import shutil
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from functools import partial
from pathlib import Path

from coovox_billing.pbx import dialplan_variables as dialplan
from coovox_billing.store import reads
from coovox_billing.store.audit import audit
from coovox_billing.store.database import connect
from tests.cast import CITY_NUMBER, Exchange, look_up
from tests.chaos.pbx_model import Call, Pbx, TrueLeg
from tests.chaos.planes import Host, Plane
from tests.pbx.fake_ami import FakeAmi

ABROAD = "004420"
FREE_NUMBER = "0800123"
EMERGENCY = "112"
# What the cast's rates charge, in micros: initial cost, its seconds, then so much for every so many seconds.
PRICES = {CITY_NUMBER: (100_000, 60, 20_000, 55), ABROAD: (0, 0, 1_000_000, 60), FREE_NUMBER: (0, 0, 0, 60)}
BILLED = {"100", "101", "102"}

CALLS = "SELECT call_id, state, talk_seconds, cost_micros FROM calls"
POSTED = "SELECT call_id, -sum(amount_micros) FROM ledger WHERE call_id IS NOT NULL GROUP BY call_id"
HELD = "SELECT extension, held_micros FROM accounts WHERE held_micros <> 0"

LOOK_SECONDS = 0.01
PATIENCE_SECONDS = 15.0
# So much of the box's time goes by between two looks at whether everything is over; without the manager a call that
# nobody can see is only over when the longest time that it was given is.
DUST_STEP_SECONDS = {True: 7.0, False: 700.0}


def price_micros(price: tuple[int, int, int, int], talk_seconds: int) -> int:
    """What a call costs, written down once more and differently."""
    initial, initial_seconds, each, unit_seconds = price
    if talk_seconds == 0:
        return 0
    cost = initial
    while talk_seconds > initial_seconds:
        talk_seconds -= unit_seconds
        cost += each
    return cost


def true_cost_micros(leg: TrueLeg) -> int:
    """What an answered leg should have cost its extension."""
    is_priced = leg.extension in BILLED and leg.alone != "emergency" and leg.number in PRICES
    return price_micros(PRICES[leg.number], leg.talk_seconds) if is_priced else 0


def seed(folder: Path, **settings: str) -> Path:
    """A database with the cast in it, to be copied for each office."""
    exchange = Exchange(folder)
    for name, text in settings.items():
        exchange.set(name, text)
    exchange.database.close()
    return exchange.database.path


class Office:
    """One box, from its first start on."""

    def __init__(self, plane: Plane, pbx: Pbx, manager: FakeAmi | None) -> None:
        self.plane = plane
        self.pbx = pbx
        pbx.life = lambda: plane.lives
        self.manager = manager
        self.dies_whole = False
        # By the ids of calls whose end nobody told before the power failed: whether their answer was on disk.
        self.untold: dict[str, bool] = {}

    @property
    def database(self) -> Path:
        """The database file."""
        return self.plane.data / "coovox-billing.sqlite3"

    async def until(self, fact: Callable[[], object], seconds: float = PATIENCE_SECONDS, what: str = "") -> None:
        """Wait for a fact."""
        deadline = asyncio.get_running_loop().time() + seconds
        while not fact():
            assert asyncio.get_running_loop().time() < deadline, f"waited {seconds} s for {what}:\n{self.story()}"
            await asyncio.sleep(LOOK_SECONDS)

    async def is_down_during(self, what: Callable[[], Awaitable[None]]) -> None:
        """Something happens while no plane is there."""
        await self.plane.kill()
        is_patient, self.pbx.is_patient = self.pbx.is_patient, lambda: False
        await what()
        self.pbx.is_patient = is_patient
        await self.comes_up()

    async def comes_up(self) -> None:
        """A plane is there, and has taken over from Asterisk what there was, unless it died of that."""
        known = len(self.manager.actions) if self.manager else 0
        await self.plane.start()
        await self.until(lambda: not self.plane.is_up.is_set() or self._was_looked_at(known), what="the first look")

    def _was_looked_at(self, known: int) -> bool:
        """Whether the manager was asked what a plane asks at its start, since it knew so many actions."""
        if self.manager is None:
            return True
        asked = {(action.name, action.get("Key")) for action in self.manager.actions[known:]}
        names = {name for name, _ in asked}
        return "Status" in names and (("DBGet", dialplan.LEFTOVERS) in asked or "DBGetTree" in names)

    async def loses_power(self) -> None:
        """The whole box: Asterisk dies with the plane that just did, and all that they had not on disk is gone."""
        await self.pbx.dies()
        await self.plane.kill(loses_power=True)
        on_disk = dict(look_up(self.database, "SELECT call_id, state FROM calls"))
        for call in self.pbx.calls.values():
            state = on_disk.get(call.id)
            if call.leg and not (call.id in self.pbx.told_settled or call.record_is_left or state == "settled"):
                self.untold[call.id] = state == "talking"

    def mirrors(self) -> None:
        """AstDB knows what the dialplan needs, as after some calls."""
        with closing(sqlite3.connect(self.database)) as connection:
            connection.row_factory = sqlite3.Row
            rows = reads.mirror_since(connection, 0, 1_000)
            self.pbx.astdb.rows |= {row["key"]: row["value"] for row in rows}
            self.pbx.astdb.rows |= {dialplan.MIRROR: reads.mirror_marker(connection), dialplan.COMPLETE: "1"}

    async def dust_settles(self, seconds: float = PATIENCE_SECONDS) -> None:
        """Everything that was left is booked and nothing is open any more; until then the box's time goes by."""
        deadline = asyncio.get_running_loop().time() + seconds
        while self.pbx.astdb.waiting() or self.open_calls():
            assert asyncio.get_running_loop().time() < deadline, f"the dust does not settle:\n{self.story()}"
            self.pbx.clock.pass_by(DUST_STEP_SECONDS[self.manager is not None])
            if self.manager is None and self.pbx.astdb.waiting():
                await self._carry_leftovers()
            await asyncio.sleep(LOOK_SECONDS)

    async def _carry_leftovers(self) -> None:
        """Without the manager, the session of a further call brings what was left."""
        call = self.pbx.call("103", CITY_NUMBER)
        if await call.asks():
            await call.is_unanswered()
        await call.gives_up()

    def open_calls(self) -> list[str]:
        """The calls that the database takes for open."""
        found = look_up(self.database, "SELECT call_id FROM calls WHERE state IN ('held', 'talking')")
        return [row[0] for row in found]

    def differences(self) -> list[str]:
        """Everything in which the database and the truth differ; the plane must be down."""
        with closing(connect(self.database)) as connection:
            rows = {row[0]: tuple(row)[1:] for row in connection.execute(CALLS)}
            posted = Counter(dict(connection.execute(POSTED).fetchall()))
            found = [finding.message for finding in audit(connection)]
            found += [f"{extension} still holds {micros}" for extension, micros in connection.execute(HELD)]
        for call in self.pbx.calls.values():
            compare = partial(_bounds, self.untold[call.id]) if call.id in self.untold else _differences
            found += compare(call, rows.pop(call.id, None), posted[call.id])
        missing = {call_id for call_id in self.pbx.told_settled if not posted[call_id] and self._was_dear(call_id)}
        found += [f"call {call_id} was told settled, and its charge is gone" for call_id in missing]
        return found + [f"call {call_id} was never made" for call_id in rows]

    def _was_dear(self, call_id: str) -> bool:
        leg = self.pbx.calls[call_id].leg
        return leg is not None and true_cost_micros(leg) > 0

    def story(self) -> str:
        """What there was, for whoever has to find out why a test failed."""
        calls = [
            f"{call.id} {call.extension} {call.number}: {call.result} {call.reason} alone={call.alone!r} {call.leg}"
            for call in self.pbx.calls.values()
        ]
        columns = "call_id, state, reason, talk_seconds, cost_micros, hold_micros, flags, settled_by, attempts"
        rows = [" ".join(map(str, row)) for row in look_up(self.database, f"SELECT {columns} FROM calls")]
        left = [f"AstDB {key}: {self.pbx.astdb.get(key)}" for key in self.pbx.astdb.waiting()]
        return "\n".join([*calls, *rows, *left, f"statuses {self.plane.statuses}", self.plane.log[-4000:]])


def _differences(call: Call, row: tuple[str, int, int] | None, posted_micros: int) -> list[str]:
    leg, name = call.leg, f"call {call.id} ({call.extension} to {call.number})"
    if leg is None:
        if row is None or (row[0] in ("refused", "released") and row[1:] == (0, 0) and posted_micros == 0):
            return []
        return [f"{name} was not answered and is {row}, {posted_micros} micros were taken"]
    true = ("settled", leg.talk_seconds, true_cost_micros(leg))
    if row == true and posted_micros == true[2]:
        return []
    return [f"{name} is {row}, {posted_micros} micros were taken; true is {true}"]


def _bounds(was_answered: bool, call: Call, row: tuple[str, int, int] | None, posted_micros: int) -> list[str]:
    """Of a call that died with the box: up to its last sign of life, never more than it talked, nothing twice."""
    assert call.leg is not None
    state, talk_seconds, cost_micros = row or ("released", 0, 0)
    is_possible = (int(was_answered) if call.leg.talk_seconds else 0) <= talk_seconds <= max(1, call.leg.talk_seconds)
    part = replace(call.leg, talk_seconds=talk_seconds)
    is_right = state in ("settled", "released", "refused") and cost_micros == posted_micros == true_cost_micros(part)
    if is_possible and is_right:
        return []
    return [f"call {call.id} died and is {row}, {posted_micros} micros were taken; it was {call.leg}"]


@asynccontextmanager
async def an_office(
    host: Host, folder: Path, database: Path, *, managed: bool = True, cel: bool = True
) -> AsyncIterator[Office]:
    """A box that was never started; its folder is gone afterwards."""
    async with FakeAmi() as manager:
        at = manager.address
        plane = Plane(host, folder, f"{at.user}:{at.secret}@{at.host}:{at.port}" if managed else "off")
        plane.move_in(database)
        pbx = Pbx(plane.clock, plane.port)
        if managed:
            pbx.is_managed_by(manager)
        if cel:
            pbx.writes_cel(folder / "asterisk")
        try:
            yield Office(plane, pbx, manager if managed else None)
        finally:
            await plane.moves_out()
    shutil.rmtree(folder)
