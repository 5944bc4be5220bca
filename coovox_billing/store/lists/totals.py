"""The daily totals of long times, read out of what finished months and years were summed up to. Needs `open_reading`.

A time is covered by as few periods as will do, and by days where no finished period lies within it: ten years are some
years, months and days. So a list of ten years reads hundreds of rows for each extension, not thousands.
"""

import json
from calendar import monthrange
from collections.abc import Collection, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import reduce
from itertools import takewhile
from typing import Any

from peewee import SQL, Select, fn

from coovox_billing.store.finished_periods import UP_TO
from coovox_billing.store.lists.blocks import fetched, looked_up
from coovox_billing.store.models import (
    DailyDestinationTotal,
    DailyExtensionTotal,
    DailyHourTotal,
    DailyTrunkTotal,
    FinishedDestinationTotal,
    FinishedExtensionTotal,
    FinishedHourTotal,
    FinishedTrunkTotal,
    reading,
)

# As many characters of `2026-03-01` as name a period.
LENGTH_OF = {"day": 10, "month": 7, "year": 4}
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


@dataclass(frozen=True, slots=True)
class SummedUp:
    """What is summed up of the days with calls, which are those from the `first` to the `last`; none if that is before.

    `periods` are months and years; the time up to the end of each of `up_to`, months and days, is a sum too.
    """

    first: str
    last: str
    periods: frozenset[str]
    up_to: tuple[str, ...]

    def cover(self, first_day: date | None, last_day: date | None, widest: str) -> Cover:
        """The time from one day to another, None for no bound, by periods up to the `widest`, a word of `LENGTH_OF`.

        By days it is all days.
        """
        first, last = self._with_calls(first_day, last_day)
        if first > last:
            return Cover((), ())
        if widest == "day":
            return Cover((), ((first, last),))
        asked_first, asked_last = str(first_day or date.min), str(last_day or date.max)
        inside = {
            period
            for period in self.periods
            if len(period) >= LENGTH_OF[widest] and asked_first <= first_of(period) and _is_over_by(period, asked_last)
        }
        return _covered(first, last, inside)

    def cover_together(self, first_day: date | None, last_day: date | None) -> Cover:
        """The same where only the sum of it is asked for: so, or as all the time up to its end less what was before.

        Whichever has fewer parts.
        """
        time = self.cover(first_day, last_day, "year")
        first, last = self._with_calls(first_day, last_day)
        until = next((period for period in reversed(self.up_to) if _is_over_by(period, last)), "")
        before = ""
        if first > self.first:
            day_before = _before(first)
            before = next((period for period in self.up_to if period >= day_before[: len(period)]), until)
        if before >= until:
            return time
        spans = [(_after(last_of(until)), last), *([(first, last_of(before))] if before else [])]
        together = Cover(
            (UP_TO + until,),
            tuple(span for span in spans if span[0] <= span[1]),
            (UP_TO + before,) if before else (),
        )
        return min(time, together, key=_parts)

    def lines(self, first_day: date | None, last_day: date | None, by: str) -> tuple[dict[str, int], Cover]:
        """How many extensions had calls in each finished day, month or year of a time, and what of the time is left."""
        time = self.cover(first_day, last_day, "month" if by == "day" else by)
        first, last = self._with_calls(first_day, last_day)
        lines = looked_up(
            "SELECT period, extensions FROM finished_periods WHERE period BETWEEN ? AND ? AND length(period) = ?",
            first[: LENGTH_OF[by]],
            last,
            LENGTH_OF[by],
        )
        found = dict(lines)
        if by == "day":
            days = (day for span in time.spans for day in _days(*span) if day not in found)
            return found, Cover((), tuple(_spans(days)))
        whole = {period: found[period] for period in time.periods if period in found}
        return whole, Cover(tuple(period for period in time.periods if period not in whole), time.spans)

    def _with_calls(self, first_day: date | None, last_day: date | None) -> tuple[str, str]:
        """The days of a time that may have some."""
        return max(str(first_day or self.first), self.first), min(str(last_day or self.last), self.last)


def summed_up() -> SummedUp:
    """As it is at the moment. The time up to the end of a month or day counts where nothing in it is missing."""
    first, last = looked_up(
        "SELECT (SELECT min(day) FROM daily_trunk_totals), (SELECT max(day) FROM daily_trunk_totals)"
    )[0]
    if first is None:
        return SummedUp("9", "0", frozenset(), ())
    rows = looked_up("SELECT period FROM finished_periods WHERE length(period) < 10 OR period < '0'")
    known = {period for (period,) in rows}
    periods = frozenset(period for period in known if not period.startswith(UP_TO))
    *over, running = _months(first, last)
    up_to = list(takewhile(lambda month: {month, UP_TO + month} <= known, over))
    if len(up_to) == len(over):
        waiting = looked_up(
            "SELECT min(day) FROM daily_trunk_totals"
            " WHERE day >= ? AND day NOT IN (SELECT period FROM finished_periods)",
            running,
        )
        until = waiting[0][0] or last
        up_to += sorted(period.removeprefix(UP_TO) for period in known if UP_TO + running < period < UP_TO + until)
    return SummedUp(first, last, periods, tuple(up_to))


def _parts(time: Cover) -> int:
    """How many there are of what it is made of."""
    days = sum((date.fromisoformat(last) - date.fromisoformat(first)).days + 1 for first, last in time.spans)
    return len(time.periods) + len(time.less) + days


def _covered(first_day: str, last_day: str, finished: Container[str]) -> Cover:
    periods: list[str] = []
    spans: list[tuple[str, str]] = []
    for month in _months(first_day, last_day):
        period = month[:4] if month[:4] in finished else month
        if period in finished:
            periods += [period] if periods[-1:] != [period] else []
            continue
        first, last = max(first_day, first_of(month)), min(last_day, last_of(month))
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


def periods_of(time: Cover, by: str) -> list[str]:
    """The days, months or years that a time lies in."""
    days = (day for span in time.spans for day in (_days(*span) if by == "day" else _months(*span)))
    return sorted({period[: LENGTH_OF[by]] for period in (*time.periods, *days)})


def sums_of_lines(periods: Collection[str], by: str) -> list[tuple[Any, ...]]:
    """Of finished days, months or years: each with what all extensions' calls in it sum to."""
    lines = looked_up(
        """SELECT period, calls, talk_seconds, cost_micros FROM finished_periods
           WHERE period BETWEEN ? AND ? AND length(period) = ?""",
        min(periods, default=""),
        max(periods, default=""),
        LENGTH_OF[by],
    )
    return [line for line in lines if line[0] in periods]


def sum_of_all_extensions(time: Cover) -> tuple[int, ...]:
    """What their calls in a time sum to: how many, talk, cost."""
    line = "SELECT calls, talk_seconds, cost_micros FROM finished_periods WHERE period = ?"
    days = """SELECT coalesce(sum(calls), 0), coalesce(sum(talk_seconds), 0), coalesce(sum(cost_micros), 0)
              FROM daily_extension_totals WHERE day BETWEEN ? AND ?"""
    parts = [*(looked_up(line, period) for period in time.periods), *(looked_up(days, *span) for span in time.spans)]
    less = [looked_up(line, period) for period in time.less]
    added, taken = ([sum(row[place] for (row,) in some) for place in range(len(_SUMS))] for some in (parts, less))
    return tuple(more - before for more, before in zip(added, taken, strict=True))


def sums_of_extensions(time: Cover, extensions: Sequence[str]) -> dict[str, list[int]]:
    """What the calls of each of some extensions in a time sum to: how many, talk, cost."""
    one_of = "IN (SELECT value FROM json_each(?))"
    extension_of = dict(
        looked_up(f"SELECT id, extension FROM accounts WHERE extension {one_of}", json.dumps(extensions))  # noqa: S608
    )
    accounts = json.dumps([*extension_of])
    columns = "account_id, calls, talk_seconds, cost_micros"
    line = f"SELECT {columns} FROM finished_extension_totals WHERE period = ? AND account_id {one_of}"  # noqa: S608
    day = f"SELECT {columns} FROM daily_extension_totals WHERE day = ? AND account_id {one_of}"  # noqa: S608
    days = [name for span in time.spans for name in _days(*span)]
    sums = {extension: [0] * len(_SUMS) for extension in extensions}
    for sign, query, periods in ((1, line, time.periods), (-1, line, time.less), (1, day, days)):
        for period in periods:
            for account, *values in looked_up(query, period, accounts):
                of = sums[extension_of[account]]
                of[:] = [before + sign * value for before, value in zip(of, values, strict=True)]
    return sums


def extensions_with_calls(time: Cover) -> list[str]:
    """The extensions with answered calls in a time, by number.

    Where there are others after it than before it, they were of that time.
    """
    summed, less = (", ".join("?" * len(periods)) for periods in (time.periods, time.less))
    days = "UNION ALL SELECT account_id FROM daily_extension_totals WHERE day BETWEEN ? AND ? AND calls > 0 "
    rows = looked_up(
        f"""SELECT extension FROM accounts WHERE id IN (
                SELECT account_id FROM (
                    SELECT account_id, calls FROM finished_extension_totals WHERE period IN ({summed}) AND calls > 0
                    EXCEPT
                    SELECT account_id, calls FROM finished_extension_totals WHERE period IN ({less})
                    -- Both lie in this order, so that one goes along the other.
                    ORDER BY account_id, calls
                ) {days * len(time.spans)})""",  # noqa: S608
        *time.periods,
        *time.less,
        *(day for span in time.spans for day in span),
    )
    numbers = {extension for (extension,) in rows}
    return sorted(sorted(numbers), key=len)


def days_with_calls(accounts: Sequence[int], periods: Sequence[str]) -> list[tuple[str, int]]:
    """On how many days of each finished month these accounts had answered calls, taken apart."""
    of, days = FinishedExtensionTotal, fn.SUM(FinishedExtensionTotal.days)
    return fetched(
        of.select(of.period, days).where(of.period << _among(periods), of.account << accounts).group_by(of.period)
    )


def _finished_part(kind: Kind, periods: Sequence[str], keys: Sequence[Any] | None, is_less: bool = False) -> Any:
    table = kind.finished
    part = _part(table, table.period, kind.finished_key, kind.sums, is_less).where(table.period << _among(periods))
    return part if keys is None else part.where(kind.finished_key << keys)


def _among(periods: Sequence[str]) -> Any:
    """As one value: a hundred of them take longer to write into a query than to look up."""
    return SQL("(SELECT value FROM json_each(?))", [json.dumps(periods)])


def _part(table: Any, period: Any, key: Any, sums: Iterable[str], is_less: bool = False) -> Any:
    columns = [0 - getattr(table, name) if is_less else getattr(table, name) for name in sums]
    return table.select(period.alias("period"), key.alias("key"), *columns)


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


def _is_over_by(period: str, day: str) -> bool:
    """Whether its last day is that day or before it."""
    of_day = day[: len(period)]
    return period < of_day or (period == of_day and last_of(period) <= day)


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


def _after(day: str) -> str:
    return (date.fromisoformat(day) + timedelta(days=1)).isoformat()
