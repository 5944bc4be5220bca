"""What people do with their telephones during the soak: mixed calls, each with numbers that nobody else dials.

A number is a tariff's digit, six digits of its own, and two that say what the far end does (tests/asterisk/README.md).
Talks are planned to end in the middle of a second: a few ms between the trunk and Asterisk change no charge then.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.soak.office import BILLED, BROKE, FREE, LOCKED, NO_RATE, POOR

BUSY, RINGS, ENDS, BROKEN, AT_ONCE, EARLY, ANSWERS = "01", "02", "03", "04", "05", "06", "10"
EMERGENCY, EMERGENCY_LEG = "911", "91100"
BY_ADDRESS = ("108", "109")
COLLEAGUE = "105"


@dataclass(frozen=True)
class Outside:
    """A number that a story dials: as its row has it, as the trunk has it; '' for the tariff where it costs nothing."""

    row_number: str
    leg_number: str
    tariff: str


@dataclass(frozen=True)
class Story:
    """One telephone dials `dialed`.

    Before, `top_up` (an extension) is given some cents; and `recharge`, so many seconds after the dial.
    """

    kind: str
    extension: str
    dialed: str
    outside: tuple[Outside, ...]
    options: dict[str, Any] = field(default_factory=dict)
    top_up: tuple[str, int] | None = None
    recharge: tuple[float, str, int] | None = None

    @property
    def transfers(self) -> bool:
        """Whether the telephone leaves the call to others."""
        return "refer_to" in self.options or "consult" in self.options


class Author:
    """Makes up stories, the same ones for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = Random(f"stories {seed}")
        self._numbers = itertools.count(1)
        kinds = [kind for kind, weight in KINDS.items() for _ in range(weight)]
        self._kinds = kinds

    def next(self) -> Story:
        """What happens next."""
        return STORIES[self._random.choice(self._kinds)](self)

    def number(self, behavior: str, tariff: str = "", route: str = "9", costs: bool = True) -> Outside:
        """A new number with that behavior."""
        tariff = tariff or self._random.choice("555543")
        leg = f"{tariff}{next(self._numbers):06d}{behavior}"
        return Outside(f"{route}{leg}", leg, tariff if costs and tariff != NO_RATE else "")

    def one_of(self, *choices: Any) -> Any:
        return self._random.choice(choices)

    def half_past_ms(self, least_seconds: int, most_seconds: int) -> int:
        """So many whole seconds and a half."""
        return self._random.randint(least_seconds, most_seconds) * 1000 + 500

    def talk(self, kind: str, outside: Outside, extension: str = "", **options: Any) -> Story:
        """A call without more ado."""
        return Story(kind, extension or self.one_of(*BILLED), outside.row_number, (outside,), options)


def _short(author: Author) -> Story:
    outside = author.number(author.one_of(ANSWERS, AT_ONCE))
    return author.talk("short talk", outside, hang_up_after_ms=author.half_past_ms(1, 3))


def _callee_ends(author: Author) -> Story:
    return author.talk("the callee hangs up", author.number(ENDS), hang_up_after_ms=20_500)


def _long(author: Author) -> Story:
    return author.talk("long talk", author.number(ANSWERS), hang_up_after_ms=author.half_past_ms(6, 22))


def _stretched(author: Author) -> Story:
    outside, poor = author.number(ANSWERS, author.one_of("5", "4", "3")), author.one_of(*POOR)
    return Story(
        "small balance",
        author.one_of(*BILLED),
        f"0{poor}{outside.row_number}",
        (outside,),
        {"hang_up_after_ms": author.half_past_ms(8, 24)},
        top_up=(poor, author.one_of(4, 8, 12, 25)),
        recharge=author.one_of(None, (author.one_of(2.0, 3.0), poor, author.one_of(3, 6, 20))),
    )


def _unanswered(author: Author) -> Story:
    return author.talk("no answer", author.number(author.one_of(BUSY, BUSY, BROKEN, RINGS)))


def _cancel(author: Author) -> Story:
    outside = author.number(author.one_of(RINGS, EARLY))
    return author.talk("canceled", outside, cancel_after_ms=author.one_of(400, 800, 1_600))


def _failover(author: Author) -> Story:
    outside = author.number(author.one_of(BUSY, BROKEN, RINGS), route="8")
    return author.talk("failover", outside, hang_up_after_ms=author.half_past_ms(1, 3))


def _blind(author: Author) -> Story:
    first, second = author.number(ENDS), author.number(AT_ONCE)
    inside = author.one_of(True, False)
    options = {"refer_to": COLLEAGUE if inside else second.row_number, "hang_up_after_ms": 400}
    outside = (first,) if inside else (first, second)
    return Story("blind transfer", author.one_of(*BILLED), first.row_number, outside, options)


def _attended(author: Author) -> Story:
    first, second = author.number(ENDS), author.number(AT_ONCE)
    inside = author.one_of(True, False)
    options = {"consult": COLLEAGUE if inside else second.row_number, "hang_up_after_ms": 400}
    outside = (first,) if inside else (first, second)
    return Story("attended transfer", author.one_of(*BY_ADDRESS), first.row_number, outside, options)


def _refused(author: Author) -> Story:
    options = {"hang_up_after_ms": author.half_past_ms(1, 3)}
    who = author.one_of(LOCKED, BROKE, "")
    if who == BROKE:
        outside = author.number(ANSWERS)
        return Story("refused", author.one_of(*BILLED), f"0{BROKE}{outside.row_number}", (outside,), options)
    return author.talk("refused", author.number(ANSWERS, "" if who else NO_RATE), who, **options)


def _costs_nothing(author: Author) -> Story:
    who = author.one_of(FREE, "")
    outside = author.number(ANSWERS, "" if who else "7", costs=not who)
    return author.talk("costs nothing", outside, who, hang_up_after_ms=author.half_past_ms(1, 4))


def _emergency(author: Author) -> Story:
    outside = Outside(EMERGENCY, EMERGENCY_LEG, "")
    who = author.one_of(*BILLED, LOCKED)
    return author.talk("emergency", outside, who, hang_up_after_ms=author.half_past_ms(1, 3))


# Kinds of calls, and how many of forty.
STORIES: dict[str, Callable[[Author], Story]] = {
    "short": _short,
    "callee ends": _callee_ends,
    "long": _long,
    "stretched": _stretched,
    "unanswered": _unanswered,
    "cancel": _cancel,
    "failover": _failover,
    "blind": _blind,
    "attended": _attended,
    "refused": _refused,
    "costs nothing": _costs_nothing,
    "emergency": _emergency,
}
KINDS = {
    "short": 9,
    "callee ends": 4,
    "long": 7,
    "stretched": 5,
    "unanswered": 3,
    "cancel": 2,
    "failover": 3,
    "blind": 2,
    "attended": 2,
    "refused": 1,
    "costs nothing": 1,
    "emergency": 1,
}
