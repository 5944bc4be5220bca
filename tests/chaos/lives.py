"""The lives of calls, as scripts that go on whatever happens to the call plane meanwhile."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.cast import CITY_NUMBER
from tests.chaos.office import ABROAD, EMERGENCY, FREE_NUMBER, Office
from tests.chaos.pbx_model import Call

Script = Callable[[Office], Awaitable[None]]

SLICE_SECONDS = 10
LEAD_SECONDS = 20


@dataclass(frozen=True)
class Life:
    """A script and the office it plays in. `policy` is `when_billing_is_down`; `begins_down`: no plane is there yet."""

    script: Script
    managed: bool = True
    cel: bool = True
    policy: str = "refuse"
    knows_mirror: bool = True
    begins_down: bool = False

    @property
    def name(self) -> str:
        return self.script.__name__ + ("" if self.managed else "_without_manager")


async def answered(office: Office) -> None:
    call = office.pbx.call("100", CITY_NUMBER)
    if await call.asks():
        await call.is_answered()
        await is_watched(office, call)
        await call.talks(65.4)
        await call.hangs_up()


async def free_of_charge(office: Office) -> None:
    call = office.pbx.call("100", FREE_NUMBER)
    if await call.asks():
        await call.is_answered()
        await call.talks(65.4)
        await call.hangs_up()


async def not_billed(office: Office) -> None:
    call = office.pbx.call("103", CITY_NUMBER)
    assert await call.asks(), "who is not billed passes, whatever is down"
    await call.is_answered()
    await call.talks(30.4)
    await call.hangs_up()


async def emergency(office: Office) -> None:
    call = office.pbx.call("102", EMERGENCY)
    assert await call.asks(), "an emergency call passes, whatever is down"
    await call.is_answered()
    await call.talks(30.4)
    await call.hangs_up()


async def locked(office: Office) -> None:
    call = office.pbx.call("102", CITY_NUMBER)
    assert not await call.asks()
    assert call.reason == "locked"


async def unanswered(office: Office) -> None:
    call = office.pbx.call("100", CITY_NUMBER)
    if await call.asks():
        await office.pbx.pass_by(12.4)
        await call.is_unanswered()
        await call.gives_up()


async def given_up(office: Office) -> None:
    call = office.pbx.call("100", CITY_NUMBER)
    if await call.asks():
        await office.pbx.pass_by(5.4)
        await call.gives_up()


async def failed_over(office: Office) -> None:
    call = office.pbx.call("100", ABROAD)
    if await call.asks("carrier"):
        await office.pbx.pass_by(5.4)
        await call.is_unanswered()
        if await call.asks("second"):
            await call.is_answered()
            await call.talks(100.4)
            await call.hangs_up()


async def transferred(office: Office) -> None:
    call = office.pbx.call("100", CITY_NUMBER)
    if await call.asks():
        await call.is_answered()
        await call.talks(30.4)
        await call.is_transferred()
        await call.talks(60.1)
        await call.hangs_up()


async def lengthened(office: Office) -> None:
    """At 1.00 a minute, so that each stretch has to be bought."""
    call = office.pbx.call("101", ABROAD)
    if await call.asks():
        await call.is_answered()
        for _ in range(16):
            await is_paid_ahead(office, call)
            if not await call.talks(SLICE_SECONDS + 0.02):
                break
        await call.hangs_up()


async def two_at_once(office: Office) -> None:
    first, second = office.pbx.call("100", ABROAD), office.pbx.call("100", CITY_NUMBER)
    dialing = [call for call in (first, second) if await call.asks()]
    for call in dialing:
        await call.is_answered()
    for call in dialing:
        await is_watched(office, call)
    for call in dialing:
        await is_watched(office, call)
        await is_paid_ahead(office, call)
        await call.talks(40.4)
        await call.hangs_up()


async def ended_while_down(office: Office) -> None:
    call = office.pbx.call("100", CITY_NUMBER)
    if await call.asks():
        await call.is_answered()
        await is_watched(office, call)
        await call.talks(65.4)
        await office.is_down_during(call.hangs_up)


async def passed_alone(office: Office) -> None:
    """Asked while nobody is there; the plane comes in mid-call."""
    call, unanswered_call = office.pbx.call("100", ABROAD), office.pbx.call("101", CITY_NUMBER)
    assert await call.asks(), "the policy lets it pass"
    await call.is_answered()
    if await unanswered_call.asks():
        await unanswered_call.gives_up()
    await call.talks(70.4)
    await office.comes_up()
    await call.talks(70.1)
    await call.hangs_up()


async def is_watched(office: Office, call: Call) -> None:
    """The plane that is there told the manager the call's limit; what is told as time goes by counts from then on."""
    if not call.alone:
        await _unless_down(office, lambda: call.told_by_life == office.plane.lives)


async def is_paid_ahead(office: Office, call: Call) -> None:
    """The next stretch is bought in time."""
    if not call.alone:
        await _unless_down(office, lambda: call.limit_at - office.pbx.clock.monotonic() > LEAD_SECONDS)


async def _unless_down(office: Office, fact: Callable[[], bool]) -> None:
    if office.manager is not None:
        await office.until(lambda: fact() or not office.plane.is_expected, what="the manager to be told")


LIVES = (
    Life(answered),
    Life(answered, managed=False, cel=False),
    Life(free_of_charge),
    Life(not_billed),
    Life(emergency, managed=False, cel=False),
    Life(locked),
    Life(unanswered),
    Life(given_up, cel=False),
    Life(failed_over),
    Life(failed_over, managed=False, cel=False, policy="allow"),
    Life(transferred, policy="allow"),
    Life(lengthened),
    Life(two_at_once, cel=False),
    Life(ended_while_down),
    Life(ended_while_down, managed=False),
    Life(passed_alone, policy="allow", begins_down=True),
    Life(answered, managed=False, knows_mirror=False),
)
