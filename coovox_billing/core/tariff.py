"""Which rate prices a call, and why the others lost (DESIGN §4, guide "Rate").

Pure choice among rates. Finding the candidates by prefix is the store's work,
what a chosen rate costs is `rating`'s.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, time
from itertools import compress
from operator import itemgetter, ne

from coovox_billing.core import why
from coovox_billing.core.why import Line

SECONDS_PER_DAY = 86_400
ALL_DAYS = frozenset(range(1, 8))
# Stands for the prefix where calls without a rate are counted.
NO_RATE = "none"

DAYS_OF_WEEK = tuple(why.sentence(day()) for day in why.DAYS_OF_WEEK)


@dataclass(frozen=True, slots=True)
class Rate:
    """One rule of the guide's *Rate* page.

    Prices are in micros, times in whole seconds, `days` are ISO weekdays
    (1 = Monday) on which the window opens, `extensions` is None for all.
    """

    id: int
    prefix: str
    number_length: int
    initial_cost_micros: int
    initial_seconds: int
    rate_micros: int
    unit_seconds: int
    start_time: time = time(0, 0, 0)
    end_time: time = time(23, 59, 59)
    days: frozenset[int] = ALL_DAYS
    extensions: frozenset[str] | None = None
    active: bool = True
    remark: str = ""

    @property
    def is_free(self) -> bool:
        """Whether no call by this rate ever costs anything."""
        return self.initial_cost_micros == 0 and self.rate_micros == 0

    @property
    def open_seconds_per_week(self) -> int:
        """Seconds of a week of wall-clock time in which the rate applies."""
        span = second_of_day(self.end_time) - second_of_day(self.start_time)
        return (span % SECONDS_PER_DAY + 1) * len(self.days)


@dataclass(frozen=True, slots=True)
class Choice:
    """The winning rate (None if nothing matched) and every other with the reason it lost."""

    rate: Rate | None
    lost: tuple[tuple[Rate, Line], ...]


def choose(rates: Iterable[Rate], extension: str, number: str, moment: datetime) -> Choice:
    """The rate that prices a call dialed at `moment` (local wall-clock time of the site).

    Order of precedence (DESIGN §4): longest prefix; an exact length before 0;
    a list of extensions before all; fewer open seconds per week; the older rate.
    """
    candidates = []
    lost = []
    for rate in rates:
        obstacle = _obstacle(rate, extension, number, moment)
        if obstacle is None:
            candidates.append(rate)
        else:
            lost.append((rate, obstacle))
    lost.sort(key=lambda pair: precedence(pair[0]))
    if not candidates:
        return Choice(None, tuple(lost))
    (best, winner), *others = sorted(((precedence(rate), rate) for rate in candidates), key=itemgetter(0))
    beaten = [(rate, _why_beaten(best, place)) for place, rate in others]
    return Choice(winner, (*beaten, *lost))


def matches(rate: Rate, extension: str, number: str, moment: datetime) -> bool:
    """Whether a rate is a candidate for a call, by the very rule of `choose`."""
    return _obstacle(rate, extension, number, moment) is None


def _obstacle(rate: Rate, extension: str, number: str, moment: datetime) -> Line | None:
    if not number.startswith(rate.prefix):
        return why.OTHER_PREFIX(rate.prefix)
    if not rate.active:
        return why.NOT_ACTIVE()
    if rate.number_length not in (0, len(number)):
        return why.OTHER_LENGTH(rate.number_length, len(number))
    if rate.extensions is not None and extension not in rate.extensions:
        return why.OTHER_EXTENSIONS(extension)
    if not is_open(rate, moment):
        return why.NOT_OPEN(why.DAYS_OF_WEEK[moment.weekday()](), format(moment, "%H:%M:%S"))
    return None


def is_open(rate: Rate, moment: datetime) -> bool:
    """Whether the rate's window contains the moment.

    The end is inclusive to the end of its second. A start after the end
    crosses midnight, and the day is the day the window opened.
    """
    clock = moment.time()
    if clock.microsecond:
        clock = clock.replace(microsecond=0)
    today = moment.isoweekday()
    if rate.start_time <= rate.end_time:
        return today in rate.days and rate.start_time <= clock <= rate.end_time
    if clock >= rate.start_time:
        return today in rate.days
    yesterday = (today - 2) % 7 + 1
    return clock <= rate.end_time and yesterday in rate.days


def precedence(rate: Rate) -> tuple[int, bool, bool, int, int]:
    """Where a rate stands in the order of DESIGN §4: of those that match, the least wins."""
    return (
        -len(rate.prefix),
        rate.number_length == 0,
        rate.extensions is None,
        rate.open_seconds_per_week,
        rate.id,
    )


_BEATEN_BY = (
    why.SHORTER_PREFIX(),
    why.LESS_EXACT_LENGTH(),
    why.WIDER_REACH(),
    why.LONGER_OPEN(),
    why.NEWER(),
)


def _why_beaten(best: tuple[object, ...], place: tuple[object, ...]) -> Line:
    return next(compress(_BEATEN_BY, map(ne, best, place)))


def second_of_day(clock: time) -> int:
    """Seconds since midnight."""
    return clock.hour * 3600 + clock.minute * 60 + clock.second
