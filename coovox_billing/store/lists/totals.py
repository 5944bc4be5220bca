"""The daily totals of long times, read out of what finished months and years were summed up to. Needs `open_reading`.

A time is covered by as few periods as will do, and by days where no finished period lies within it: ten years are some
years, months and days. So a list of ten years reads hundreds of rows for each extension, not thousands.
"""

from calendar import monthrange
from collections.abc import Collection, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import reduce
from typing import Any, NamedTuple

from peewee import Select, fn

from coovox_billing.store.finished_periods import UP_TO
from coovox_billing.store.lists.blocks import fetched
from coovox_billing.store.models import (
    DailyDestinationTotal,
    DailyExtensionTotal,
    DailyHourTotal,
    DailyTrunkTotal,
    FinishedDestinationTotal,
    FinishedExtensionTotal,
    FinishedHourTotal,
    FinishedPeriod,
    FinishedTrunkTotal,
    reading,
)

# As many characters of `2026-03-01` as name a period.
LENGTH_OF = {"day": 10, "month": 7, "year": 4}
# A sum of so many periods is as quick as what is taken of all the time up to their end.
MOST_APART = 2
# Behind every sign of a period.
AFTER = "~"
_SUMS = ("calls", "talk_seconds", "cost_micros")


@dataclass(frozen=True, slots=True)
class Kind:
    """Totals by something: those of days and those of finished periods, and by what in each of them."""

    daily: Any
    finished: Any
    daily_key: Any
    finished_key: Any
    sums: tuple[str, ...] = _SUMS


EXTENSIONS = Kind(
    DailyExtensionTotal, FinishedExtensionTotal, DailyExtensionTotal.account, FinishedExtensionTotal.account
)
TRUNKS = Kind(
    DailyTrunkTotal,
    FinishedTrunkTotal,
    DailyTrunkTotal.trunk,
    FinishedTrunkTotal.trunk,
    (*_SUMS, "unanswered", "refused"),
)
# Extensions together: their keys say nothing.
ALL_EXTENSIONS = Kind(DailyExtensionTotal, FinishedPeriod, DailyExtensionTotal.account, FinishedPeriod.extensions)
HOURS = Kind(
    DailyHourTotal,
    FinishedHourTotal,
    fn.STRFTIME("%w", DailyHourTotal.day) * 24 + DailyHourTotal.hour,
    FinishedHourTotal.hour_of_week,
)
DESTINATIONS = Kind(
    DailyDestinationTotal,
    FinishedDestinationTotal,
    DailyDestinationTotal.destination,
    FinishedDestinationTotal.destination,
)


@dataclass(frozen=True, slots=True)
class Cover:
    """Finished periods, and spans of days (first and last) between them: together a time, each day of it once.

    `less` are periods that are to be taken away of those.
    """

    periods: tuple[str, ...]
    spans: tuple[tuple[str, str], ...]
    less: tuple[str, ...] = ()


def cover(first_day: date | None, last_day: date | None, widest: str) -> Cover:
    """The time from one day to another, None for no bound, by periods up to the `widest`, a word of `LENGTH_OF`.

    By days it is all days.
    """
    counted = _days_counted()
    if counted is None:
        return Cover((), ())
    first = date.min.isoformat() if first_day is None else first_day.isoformat()
    last = date.max.isoformat() if last_day is None else last_day.isoformat()
    asked = max(first, counted[0]), min(last, counted[1])
    longest = LENGTH_OF[widest]
    known = _finished_between(*asked) if longest < LENGTH_OF["day"] else ()
    inside = {
        period for period in known if len(period) >= longest and first <= first_of(period) and last_of(period) <= last
    }
    return _covered(asked, inside)


def cover_together(first_day: date | None, last_day: date | None) -> Cover:
    """The same where only the sum of all of it is asked for: all the time up to its end, less what was before it."""
    time = cover(first_day, last_day, "year")
    if len(time.periods) <= MOST_APART:
        return time
    first, last = first_of(time.periods[0])[:7], last_of(time.periods[-1])[:7]
    period = FinishedPeriod.period
    known = {row[0] for row in fetched(FinishedPeriod.select(period).where(fn.LENGTH(period) < LENGTH_OF["day"]))}
    counted = _days_counted() or ("", "")
    months = list(_months(counted[0], last))
    if not known.issuperset(months) or not known.issuperset(UP_TO + month for month in months):
        return time
    before = [UP_TO + month for month in months if month < first]
    return Cover((UP_TO + last,), time.spans, tuple(before[-1:]))


def _finished_between(first_day: str, last_day: str) -> list[str]:
    """The months and years that are summed up."""
    period = FinishedPeriod.period
    found = FinishedPeriod.select(period).where(period.between(first_day[:4], last_day))
    return [row[0] for row in fetched(found.where(fn.LENGTH(period) < LENGTH_OF["day"]))]


def _covered(asked: tuple[str, str], finished: Container[str]) -> Cover:
    periods: list[str] = []
    spans: list[tuple[str, str]] = []
    for month in _months(*asked):
        period = month[:4] if month[:4] in finished else month
        if period in finished:
            periods += [period] if periods[-1:] != [period] else []
            continue
        first, last = max(asked[0], first_of(month)), min(asked[1], last_of(month))
        if spans and spans[-1][1] == _before(first):
            first = spans.pop()[0]
        spans.append((first, last))
    return Cover(tuple(periods), tuple(spans))


def rows_of(kind: Kind, time: Cover, keys: Sequence[Any] | None = None) -> Any:
    """The totals of a time by its days and periods, as a source with the columns period, key, and the kind's sums.

    Only those of some `keys`, where they are told.
    """
    daily = kind.daily
    parts = []
    for first, last in time.spans:
        part = _part(daily, daily.day, kind.daily_key, kind.sums)
        if keys is None:
            parts.append(part.where(daily.day.between(first, last)))
        else:
            # Each day is looked up, for few of its rows are wanted.
            days = DailyTrunkTotal.select(DailyTrunkTotal.day).where(DailyTrunkTotal.day.between(first, last))
            parts.append(part.where(daily.day << days.distinct(), kind.daily_key << keys))
    if time.periods or not parts:
        parts.append(_finished_part(kind, time.periods, keys))
    if time.less:
        parts.append(_finished_part(kind, time.less, keys, is_less=True))
    return reduce(lambda some, more: some.union_all(more), parts).alias("totals")


def select(source: Any, *columns: Any) -> Any:
    """A query of such a source."""
    return Select((source,), columns).bind(reading).tuples()


class Line(NamedTuple):
    """A finished period: how many extensions had calls in it, and what these sum to."""

    period: str
    extensions: int
    calls: int
    talk_seconds: int
    cost_micros: int


def finished(first_day: date | None, last_day: date | None, by: str) -> tuple[list[Line], Cover]:
    """The lines of the finished days, months or years of a time, as `by` says, and what of the time is left."""
    time = cover(first_day, last_day, "month" if by == "day" else by)
    length = LENGTH_OF[by]
    if by != "day":
        rest = Cover(tuple(period for period in time.periods if len(period) != length), time.spans)
        return _lines(set(time.periods) - set(rest.periods), length), rest
    days = [day for span in time.spans for day in _days(*span)]
    lines = _lines({*time.periods, *days}, length)
    known = {line.period for line in lines}
    return lines, Cover((), tuple(_spans(day for day in days if day not in known)))


def _lines(of: Collection[str], length: int) -> list[Line]:
    """Those of so long periods that are among some, or of months that are."""
    period = FinishedPeriod.period
    columns = (period, FinishedPeriod.extensions, *(getattr(FinishedPeriod, name) for name in _SUMS))
    between = period.between(min(of, default=""), max(of, default="") + AFTER)
    lines = fetched(FinishedPeriod.select(*columns).where(between, fn.LENGTH(period) == length))
    return [Line._make(line) for line in lines if line[0] in of or line[0][: LENGTH_OF["month"]] in of]


def _finished_part(kind: Kind, periods: Sequence[str], keys: Sequence[Any] | None, is_less: bool = False) -> Any:
    table = kind.finished
    part = _part(table, table.period, kind.finished_key, kind.sums, is_less).where(table.period << periods)
    return part if keys is None else part.where(kind.finished_key << keys)


def _part(table: Any, period: Any, key: Any, sums: Iterable[str], is_less: bool = False) -> Any:
    columns = [0 - getattr(table, name) if is_less else getattr(table, name) for name in sums]
    return table.select(period.alias("period"), key.alias("key"), *columns)


def _days_counted() -> tuple[str, str] | None:
    """The first and the last day with a call that is over."""
    day = DailyTrunkTotal.day
    found: Any = DailyTrunkTotal.select(fn.MIN(day), DailyTrunkTotal.select(fn.MAX(day))).tuples().get()
    return None if found[0] is None else (found[0], found[1])


def _months(first_day: str, last_day: str) -> Iterator[str]:
    year, month = int(first_day[:4]), int(first_day[5:7])
    while (name := f"{year:04d}-{month:02d}") <= last_day:
        yield name
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)


def first_of(period: str) -> str:
    """The first day of a day, month or year."""
    return f"{period}-01-01"[: LENGTH_OF["day"]]


def last_of(period: str) -> str:
    """The last day of a day, month or year."""
    if len(period) == LENGTH_OF["month"]:
        return f"{period}-{monthrange(int(period[:4]), int(period[5:]))[1]:02d}"
    return f"{period}-12-31" if len(period) == LENGTH_OF["year"] else period


def _days(first: str, last: str) -> Iterator[str]:
    """From one to another."""
    day = date.fromisoformat(first)
    while (name := day.isoformat()) <= last:
        yield name
        day += timedelta(days=1)


def _spans(days: Iterable[str]) -> list[tuple[str, str]]:
    """The first and the last of those that follow one another."""
    spans: list[tuple[str, str]] = []
    for day in days:
        first = spans.pop()[0] if spans and spans[-1][1] == _before(day) else day
        spans.append((first, day))
    return spans


def _before(day: str) -> str:
    return (date.fromisoformat(day) - timedelta(days=1)).isoformat()
