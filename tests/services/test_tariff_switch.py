"""Scheduled tariffs: activated when their time comes, by a clock that can be trusted, whatever was started anew."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from coovox_billing import tariff_switch
from coovox_billing.services import tariff_drafts as drafts
from coovox_billing.store.database import Database, write_apart
from coovox_billing.tariff_switch import LOOK_SECONDS, TariffSwitch
from tests import cast
from tests.services.test_tariff_drafts import AT_MS, HOUR_MS, add, find, present, schedule, without_ids

PATIENCE_S = drafts.PATIENCE_MS / 1000


@dataclass
class Clocks:
    """The wall clock, which may be set, and the one that nobody sets."""

    now_ms: int = cast.NOW_MS
    monotonic: float = 5.0

    def wait(self, seconds: float) -> None:
        self.now_ms += round(seconds * 1000)
        self.monotonic += seconds

    def switch(self, database: Database) -> TariffSwitch:
        return TariffSwitch(database.path, lambda: self.now_ms, lambda: self.monotonic)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with cast.move_in(tmp_path) as moved_in:
        yield moved_in


def state(database: Database, draft: int) -> str:
    return find(database, draft).state


def test_it_looks_now_and_then_where_nothing_is_scheduled(database: Database) -> None:
    add(database)
    assert Clocks().switch(database).look() == LOOK_SECONDS


def test_it_activates_at_the_very_moment(database: Database) -> None:
    draft, clocks = add(database), Clocks()
    schedule(database, draft)
    switch = clocks.switch(database)
    assert switch.look() == LOOK_SECONDS
    clocks.wait(3595)
    assert switch.look() == pytest.approx(5, abs=0.01)
    clocks.wait(5)
    switch.look()
    assert state(database, draft) == "active"
    assert find(database, draft).activated_at_ms == AT_MS


def test_it_activates_several_each_at_its_time_and_the_last_one_counts(database: Database) -> None:
    first, second = add(database), add(database, [cast.FREE_RATE], "February")
    schedule(database, second, AT_MS + HOUR_MS)
    schedule(database, first, AT_MS)
    clocks = Clocks()
    switch = clocks.switch(database)
    clocks.wait(2 * 3600)
    switch.look()
    assert [state(database, draft) for draft in (first, second)] == ["active", "active"]
    assert without_ids(present(database)) == without_ids([cast.FREE_RATE])


def test_it_outlives_a_restart_and_then_waits_for_a_clock_to_trust(database: Database) -> None:
    draft, clocks = add(database), Clocks()
    schedule(database, draft)
    clocks.wait(2 * 3600)
    switch = clocks.switch(database)
    assert switch.look() == LOOK_SECONDS
    assert state(database, draft) == "scheduled"
    clocks.wait(PATIENCE_S)
    switch.look()
    assert state(database, draft) == "active"


def test_it_is_not_deceived_by_a_clock_that_jumps_ahead_and_is_set_right(database: Database) -> None:
    draft, clocks = add(database), Clocks()
    schedule(database, draft)
    switch = clocks.switch(database)
    for _ in range(4):
        clocks.wait(60)
        switch.look()
    clocks.now_ms += 30 * 365 * 24 * HOUR_MS
    switch.look()
    clocks.wait(PATIENCE_S - 1)
    switch.look()
    clocks.now_ms -= 30 * 365 * 24 * HOUR_MS
    clocks.wait(1)
    switch.look()
    assert state(database, draft) == "scheduled"


def test_it_is_not_deceived_by_a_clock_that_jumps_while_it_activates(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tariff of thousands of rates takes seconds; the next one is not due because the clock was set meanwhile."""
    first, second, clocks = add(database), add(database, [cast.FREE_RATE], "February"), Clocks()
    schedule(database, first, AT_MS)
    schedule(database, second, AT_MS + HOUR_MS)
    switch = clocks.switch(database)
    clocks.wait(3600)

    def write(path: Path, job: Callable[[sqlite3.Connection], bool]) -> bool:
        clocks.now_ms += 2 * HOUR_MS
        return write_apart(path, job)

    monkeypatch.setattr(tariff_switch, "write_apart", write)
    switch.look()
    assert [state(database, draft) for draft in (first, second)] == ["active", "scheduled"]


def test_it_waits_in_1970_and_activates_once_the_clock_is_set(database: Database) -> None:
    draft, clocks = add(database), Clocks(now_ms=1000)
    schedule(database, draft)
    switch = clocks.switch(database)
    clocks.wait(2 * 3600)
    switch.look()
    assert state(database, draft) == "scheduled"
    clocks.now_ms = AT_MS + HOUR_MS
    switch.look()
    assert state(database, draft) == "scheduled"
    clocks.wait(PATIENCE_S)
    switch.look()
    assert state(database, draft) == "active"


def test_it_activates_nothing_again_when_the_clock_goes_back(database: Database) -> None:
    draft, clocks = add(database), Clocks()
    schedule(database, draft)
    switch = clocks.switch(database)
    clocks.wait(3600)
    switch.look()
    newest = add(database, [cast.FREE_RATE], "by hand")
    seen = database.read(lambda c: drafts.plan(c, newest)).mark
    database.write(lambda c: drafts.activate(c, newest, cast.MANAGER, seen))
    clocks.now_ms -= HOUR_MS
    switch.look()
    clocks.wait(3 * 3600)
    switch.look()
    assert without_ids(present(database)) == without_ids([cast.FREE_RATE])


def test_it_goes_on_looking_whatever_goes_wrong(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    draft, clocks = add(database), Clocks()
    schedule(database, draft)
    switch = clocks.switch(database)
    clocks.wait(3600)
    look, looks = switch.look, []

    def stumble() -> float:
        looks.append(1)
        if len(looks) == 1:
            raise OSError("the disk was away")
        return look()

    monkeypatch.setattr(switch, "look", stumble)
    monkeypatch.setattr("coovox_billing.tariff_switch.LOOK_SECONDS", 0.0)

    async def watch() -> None:
        task = asyncio.create_task(switch.run())
        async with asyncio.timeout(10):
            while state(database, draft) != "active":
                await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(watch())
    assert without_ids(present(database)) != []
