"""What a box can go through: a bad disk, a database that others hold, clocks that jump, an AstDB that is gone.

In each of them every question is answered in time, no charge is lost or doubled, the talk that is charged is true, the
books are sound, and the same call plane works again once the cause is gone.
"""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import product
from math import inf
from pathlib import Path

import pytest

from tests.cast import CITY_NUMBER, locked, look_up
from tests.chaos.checkup import a_checkup
from tests.chaos.office import ABROAD, EMERGENCY, Office, an_office
from tests.chaos.pbx_model import Call
from tests.chaos.planes import hosting

Story = Callable[[Office], Awaitable[None]]
Tell = Callable[..., None]

ANSWER_SECONDS = 2.3
YEAR_SECONDS = 365 * 86_400
LOCKED_SECONDS = 10.0


@pytest.fixture
def tell(bad_disk: Path, seeds: dict[str, Path], tmp_path: Path) -> Tell:
    """Tells a story in an office, sees that all works again afterwards, and compares the books with the truth."""

    async def told(story: Story, policy: str, managed: bool, cel: bool) -> None:
        async with (
            hosting(bad_disk) as host,
            an_office(host, tmp_path / "office", seeds[policy], managed=managed, cel=cel) as office,
        ):
            office.mirrors()
            await office.comes_up()
            await story(office)
            await office.dust_settles()
            await _works_again(office)
            await office.plane.kill()
            assert office.differences() == [], office.story()

    def tell(story: Story, policy: str = "refuse", managed: bool = True, cel: bool = True) -> None:
        asyncio.run(told(story, policy, managed, cel))

    return tell


async def _works_again(office: Office) -> None:
    assert office.plane.lives == 1, "it was to go on by itself"
    call = await a_call(office, 65.4)
    await office.dust_settles()
    assert call.alone == ""
    assert flags(office, call) == ""
    assert office.pbx.slowest_seconds < ANSWER_SECONDS


async def begins(office: Office, extension: str = "100", number: str = CITY_NUMBER) -> Call:
    """A call that is answered, and watched where there is a manager."""
    call = office.pbx.call(extension, number)
    assert await call.asks(), office.story()
    await call.is_answered()
    if office.manager is not None and call.limit_at < inf:
        await office.until(lambda: call.told_by_life == office.plane.lives, what="the limit to be told")
    return call


async def a_call(office: Office, seconds: float, extension: str = "100", number: str = CITY_NUMBER) -> Call:
    """A whole call."""
    call = await begins(office, extension, number)
    await call.talks(seconds)
    await call.hangs_up()
    return call


async def asks_everything(office: Office, passes: bool) -> None:
    """All kinds of questions while billing cannot write; whether the billed ones pass is the policy."""
    for extension, number in (("102", EMERGENCY), ("103", CITY_NUMBER)):
        call = await a_call(office, 20.4, extension, number)
        assert call.alone in ("emergency", "passed")
    locked_out = office.pbx.call("102", CITY_NUMBER)
    assert not await locked_out.asks()
    billed = office.pbx.call("100", ABROAD)
    assert await billed.asks() is passes
    if passes:
        await billed.is_answered()
        await billed.talks(80.4)
        await billed.hangs_up()
    else:
        assert billed.reason == "billing-down"


def flags(office: Office, call: Call) -> str:
    """The flags of a call's row."""
    ((found,),) = look_up(office.database, "SELECT flags FROM calls WHERE call_id = ?", (call.id,))
    return str(found)


@pytest.mark.parametrize("policy", ["refuse", "allow"])
@pytest.mark.parametrize("mode", ["full", "readonly"])
def test_it_follows_the_policy_while_it_cannot_write(mode: str, policy: str, tell: Tell) -> None:
    async def story(office: Office) -> None:
        office.plane.disk_is(mode)
        await asks_everything(office, passes=policy == "allow")
        office.plane.disk_is("normal")

    tell(story, policy)


@pytest.mark.parametrize("managed", [True, False])
@pytest.mark.parametrize("mode", ["full", "readonly"])
def test_it_charges_a_call_that_ended_while_it_could_not_write(mode: str, managed: bool, tell: Tell) -> None:
    async def story(office: Office) -> None:
        call = await begins(office)
        await call.talks(30.4)
        office.plane.disk_is(mode)
        await call.talks(20)
        await call.hangs_up()
        assert office.pbx.astdb.left()
        office.plane.disk_is("normal")

    tell(story, managed=managed, cel=False)


@pytest.mark.parametrize("mode", ["full", "readonly"])
def test_it_lengthens_a_call_after_the_disk_was_bad_in_the_middle_of_it(mode: str, tell: Tell) -> None:
    async def story(office: Office) -> None:
        call = await begins(office, "101", ABROAD)
        await call.talks(30.4)
        office.plane.disk_is(mode)
        await call.talks(10)  # the next stretch would be bought now
        await asyncio.sleep(0.2)
        office.plane.disk_is("normal")
        ahead = office.pbx.clock.monotonic() + 25
        await office.until(lambda: call.limit_at > ahead, what="the next stretch")
        await call.talks(40)
        await call.hangs_up()
        assert call.leg and call.leg.talk_seconds == 80

    tell(story)


def test_it_hears_of_an_answer_while_it_cannot_write(tell: Tell) -> None:
    async def story(office: Office) -> None:
        call = office.pbx.call("101", ABROAD)
        assert await call.asks()
        office.plane.disk_is("full")
        await call.is_answered()
        await call.talks(20.4)
        await asyncio.sleep(0.2)
        office.plane.disk_is("normal")
        await office.until(lambda: call.told_by_life == office.plane.lives, what="the call to be taken over")
        await call.talks(10)
        await call.hangs_up()

    tell(story)


def test_it_gives_answers_while_another_process_holds_the_database(tell: Tell, bad_disk: Path) -> None:
    """For 10 s; calls end and begin meanwhile, and somebody asks what is wrong."""

    async def story(office: Office) -> None:
        first, second = await begins(office), await begins(office, "101", ABROAD)
        async with a_checkup(office.plane.office, bad_disk, office.plane.port) as checkup:
            with locked(office.database):
                until = asyncio.get_running_loop().time() + LOCKED_SECONDS
                asked = asyncio.ensure_future(checkup.ask())
                await first.talks(40.4)
                await asyncio.gather(first.hangs_up(), asks_everything(office, passes=False))
                while asyncio.get_running_loop().time() < until:
                    await asyncio.sleep(0.1)
            found = await asked
        assert found.healthz == found.doctor == {"database"}
        assert "locked by another program: end that program" in found.advice
        await second.talks(10)
        await second.hangs_up()

    tell(story)


@pytest.mark.parametrize("policy", ["refuse", "allow"])
def test_it_answers_in_time_where_each_sync_takes_a_second(policy: str, tell: Tell) -> None:
    async def story(office: Office) -> None:
        office.plane.disk_is("slow")
        calls = [office.pbx.call(*who) for who in product(("100", "101", "103"), (CITY_NUMBER, ABROAD))]
        passed = await asyncio.gather(*(call.asks() for call in calls))
        dialing = [call for call, passes in zip(calls, passed, strict=True) if passes]
        assert dialing
        await asyncio.gather(*(call.is_answered() for call in dialing))
        await office.pbx.pass_by(30.4)
        await asyncio.gather(*(call.hangs_up() for call in dialing))
        office.plane.disk_is("normal")

    tell(story, policy)


@pytest.mark.parametrize("managed", [True, False])
@pytest.mark.parametrize("seconds", [-YEAR_SECONDS, YEAR_SECONDS, -3_600, 3_600])
def test_it_charges_the_true_talk_where_the_clock_is_set_during_a_call(seconds: int, managed: bool, tell: Tell) -> None:
    async def story(office: Office) -> None:
        call = await begins(office, "101", ABROAD)
        await call.talks(30.4)
        office.pbx.clock.step(seconds)
        await call.talks(10)
        await call.hangs_up()
        await office.dust_settles()
        assert flags(office, call) == "clock"

    tell(story, managed=managed)


@pytest.mark.parametrize("seconds", [-YEAR_SECONDS, YEAR_SECONDS])
def test_it_minds_no_clock_that_is_set_between_calls(seconds: int, tell: Tell) -> None:
    async def story(office: Office) -> None:
        await a_call(office, 65.4)
        office.pbx.clock.step(seconds)
        call = await a_call(office, 65.4)
        assert flags(office, call) == ""

    tell(story)


@pytest.mark.parametrize("managed", [True, False])
def test_it_charges_calls_of_a_box_that_woke_up_in_1970(managed: bool, tell: Tell) -> None:
    """One before the time came over the network, one while it came, one after."""

    async def story(office: Office) -> None:
        years_seconds = office.pbx.clock.wall_ms() // 1000 - 60
        office.pbx.clock.step(-years_seconds)
        call = await a_call(office, 65.4)
        assert flags(office, call) == ""
        call = await begins(office, "101", ABROAD)
        await call.talks(20.4)
        office.pbx.clock.step(years_seconds)
        await call.talks(20)
        await call.hangs_up()
        await office.dust_settles()
        assert flags(office, call) == "clock"

    tell(story, managed=managed)


def test_it_keeps_a_call_whose_plane_was_killed_while_the_clock_was_set(tell: Tell) -> None:
    """Nobody has time of his own then: what is charged is the truth, or what the call was promised, never more."""

    async def story(office: Office) -> None:
        call = await begins(office, "101", ABROAD)
        await call.talks(30.4)
        await office.plane.kill()
        office.pbx.clock.step(YEAR_SECONDS)
        await office.comes_up()
        await call.talks(10)
        office.pbx.clock.step(-YEAR_SECONDS)
        await call.hangs_up()
        office.plane.lives = 1

    tell(story)


def disk_is(mode: str) -> Callable[[Office], None]:
    return lambda office: office.plane.disk_is(mode)


def clock_goes_back_a_year(office: Office) -> None:
    office.pbx.clock.step(-YEAR_SECONDS)


def wakes_up_in_1970(office: Office) -> None:
    office.pbx.clock.step(60 - office.pbx.clock.wall_ms() // 1000)


BAD_DAYS = (
    (disk_is("normal"), set(), ""),
    (disk_is("full"), {"disk", "disk speed"}, "The disk is full: free some space"),
    (disk_is("readonly"), {"database", "disk", "disk speed"}, "make its disk writable"),
    (disk_is("slow"), {"disk speed"}, "put the data directory on a faster one"),
    (clock_goes_back_a_year, {"clock"}, "The clock is wrong: set it"),
    (wakes_up_in_1970, {"clock"}, "The clock is wrong: set it"),
)


@pytest.mark.parametrize(
    ("comes", "faults", "advice"), BAD_DAYS, ids=["good", "full", "readonly", "slow", "back", "1970"]
)
def test_it_says_what_is_wrong_and_what_to_do(
    comes: Callable[[Office], None], faults: set[str], advice: str, tell: Tell, bad_disk: Path
) -> None:
    async def story(office: Office) -> None:
        was_ms = office.pbx.clock.wall_ms()
        async with a_checkup(office.plane.office, bad_disk, office.plane.port) as checkup:
            comes(office)
            found = await checkup.ask()
        assert found.healthz == found.doctor == faults
        assert advice in found.advice
        office.plane.disk_is("normal")
        office.pbx.clock.step((was_ms - office.pbx.clock.wall_ms()) / 1000)

    tell(story)


def test_it_says_that_the_clock_was_ahead(tell: Tell, bad_disk: Path) -> None:
    async def story(office: Office) -> None:
        office.pbx.clock.step(YEAR_SECONDS)
        await a_call(office, 30.4)
        async with a_checkup(office.plane.office, bad_disk, office.plane.port) as checkup:
            office.pbx.clock.step(-YEAR_SECONDS)
            found = await checkup.ask()
        assert found.healthz == found.doctor == {"clock"}
        assert "The clock is behind the newest record" in found.advice

    tell(story)


@pytest.mark.parametrize("cel", [True, False])
def test_it_fills_an_astdb_that_was_lost(cel: bool, tell: Tell) -> None:
    """Between calls, and while one is on."""

    async def story(office: Office) -> None:
        office.pbx.astdb.empty()
        call = await begins(office)
        await call.talks(30.4)
        office.pbx.astdb.empty()
        await call.talks(30)
        await call.hangs_up()
        await office.until(lambda: not office.open_calls(), what="the settle")
        await a_call(office, 20.4, "103")
        office.pbx.clock.pass_by(60)
        await office.until(lambda: office.pbx.astdb.get("complete") == "1", what="the mirror")

    tell(story, cel=cel)


def test_it_books_what_was_left_in_an_astdb_that_was_lost(tell: Tell) -> None:
    """The record was there only; CEL has the call too."""

    async def story(office: Office) -> None:
        call = await begins(office)
        await call.talks(30.4)
        office.plane.disk_is("full")
        await call.talks(10)
        await call.hangs_up()
        assert office.pbx.astdb.left()
        office.pbx.astdb.empty()
        office.plane.disk_is("normal")

    tell(story)


def test_it_needs_no_cel_file(tell: Tell) -> None:
    """What is cut off or garbled there, is in AstDB."""

    async def story(office: Office) -> None:
        call = await begins(office)
        await call.talks(30.4)
        office.plane.disk_is("full")
        await call.hangs_up()
        office.pbx.cut_cel()
        await office.plane.kill()
        office.plane.disk_is("normal")
        await office.comes_up()
        office.plane.lives = 1

    tell(story)


@pytest.mark.parametrize("managed", [True, False])
def test_it_closes_by_rule_a_call_that_left_no_trace(managed: bool, tell: Tell) -> None:
    """Its record was in AstDB only, and that is gone; the manager had seen it talk for 30 s."""

    async def story(office: Office) -> None:
        call = await begins(office)
        await call.talks(30.4)
        await asyncio.sleep(0.2)
        office.plane.disk_is("full")
        await call.talks(20)
        await call.hangs_up()
        office.pbx.astdb.empty()
        office.plane.disk_is("normal")
        office.untold[call.id] = managed
        await office.dust_settles()
        assert flags(office, call) == "lost"

    tell(story, managed=managed, cel=False)
