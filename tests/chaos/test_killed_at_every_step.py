"""A call plane that is killed at any step of any call's life loses nothing and charges nothing twice.

Each life is lived once in peace, and the call plane tells its steps: before and after each commit that changes
something, and before and after all that is said to Asterisk. Then it is lived again for every one of them, and at that
step the plane kills itself; it is started again, the PBX goes on, and in the end the books are compared with the truth.
"""

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.chaos.lives import LIVES, Life
from tests.chaos.office import Office, an_office
from tests.chaos.planes import Host, hosting

AT_ONCE = 4
LEAST_HIT = 0.9


class Laboratory:
    """Lives lives, each in an office of its own."""

    def __init__(self, host: Host, folder: Path, seeds: dict[str, Path]) -> None:
        self._host = host
        self._folder = folder
        self._seeds = seeds
        self._number = itertools.count()
        self._room = asyncio.Semaphore(AT_ONCE)
        self._of_starting: set[str] = set()

    async def steps(self, life: Life) -> list[str]:
        """The steps of a life in peace, which ends well."""
        steps: list[str] = []

        def listen(office: Office) -> None:
            office.plane.tells_steps = True
            office.plane.steps = steps

        found, _ = await self.live(life, listen)
        assert found == []
        return steps if life is LIVES[0] else [step for step in steps if step not in self._of_starting]

    async def live(self, life: Life, prepare: Callable[[Office], None]) -> tuple[list[str], int]:
        """What is wrong after a life, and how often the plane killed itself in it."""
        folder = self._folder / str(next(self._number))
        async with (
            self._room,
            an_office(self._host, folder, self._seeds[life.policy], managed=life.managed, cel=life.cel) as office,
        ):
            prepare(office)
            if life.knows_mirror:
                office.mirrors()
            try:
                await self._live(office, life)
                await office.plane.kill()
                found = office.differences()
            except AssertionError as error:
                found = [str(error)]
            return [f"{found}\n{office.story()}"] if found else [], office.plane.own_deaths

    async def _play(self, office: Office, life: Life) -> None:
        """To its end; or where the whole box dies, up to that."""
        if not office.dies_whole:
            await life.script(office)
            return
        script = asyncio.ensure_future(life.script(office))
        end = asyncio.ensure_future(office.plane.dies.wait())
        await asyncio.wait({script, end}, return_when=asyncio.FIRST_COMPLETED)
        end.cancel()
        if not office.plane.dies.is_set():
            await script
            return
        script.cancel()
        await asyncio.wait({script})
        await office.loses_power()

    async def _live(self, office: Office, life: Life) -> None:
        plane = office.plane
        office.pbx.is_patient = lambda: plane.comes_back and plane.lives > 0
        if not life.begins_down:
            await office.comes_up()
            self._of_starting.update(plane.steps)
        if office.dies_whole and plane.dies.is_set():
            office.dies_whole = False
            await plane.is_down.wait()
            await office.comes_up()
        await self._play(office, life)
        plane.comes_back = True
        if not plane.is_expected:
            await office.comes_up()
        await office.dust_settles()


@dataclass(frozen=True)
class Count:
    """What became of a life: how many steps it has, how many kills there were, and what was wrong afterwards."""

    steps: int
    kills: int
    wrong: list[str]


async def _kill_at_every_step(laboratory: Laboratory, life: Life, prepare: Callable[[Office], None]) -> Count:
    steps = await laboratory.steps(life)

    def at(step: str) -> Callable[[Office], None]:
        def order(office: Office) -> None:
            office.plane.kill_at = step
            prepare(office)

        return order

    ends = await asyncio.gather(*(laboratory.live(life, at(step)) for step in steps))
    wrong = [f"{life.name}, killed {step}:\n{found[0]}" for step, (found, _) in zip(steps, ends, strict=True) if found]
    return Count(len(steps), sum(deaths for _, deaths in ends), wrong)


def comes_back_at_once(office: Office) -> None:
    """Before the PBX asks again."""


def comes_back_after_the_call(office: Office) -> None:
    office.plane.comes_back = False


def loses_power(office: Office) -> None:
    """And with it all that no fsync had returned for; Asterisk, on another supply, goes on."""
    office.plane.loses_power = True


def dies_with_asterisk(office: Office) -> None:
    """The power of the whole box fails, and all that was not on disk is gone, Asterisk's too."""
    office.plane.loses_power, office.plane.comes_back, office.dies_whole = True, False, True


HOWS = (comes_back_at_once, comes_back_after_the_call, loses_power, dies_with_asterisk)


@pytest.mark.parametrize("how", HOWS, ids=lambda how: how.__name__)
def test_it_charges_once_and_rightly_wherever_it_is_killed(
    how: Callable[[Office], None], bad_disk: Path, seeds: dict[str, Path], tmp_path: Path
) -> None:
    async def told() -> None:
        async with hosting(bad_disk) as host:
            laboratory = Laboratory(host, tmp_path, seeds)
            counts = [await _kill_at_every_step(laboratory, life, how) for life in LIVES]
        wrong = [each for count in counts for each in count.wrong]
        assert wrong == [], "\n\n".join(wrong)
        steps, kills = sum(count.steps for count in counts), sum(count.kills for count in counts)
        print(f"{how.__name__}: {steps} steps, {kills} kills")
        assert kills >= LEAST_HIT * steps, f"of {steps} steps only {kills} were come to again"

    asyncio.run(told())
