"""The guide's *Statistics*: answered calls, their time and cost by day, month or year. Needs `open_reading` first.

All is every answered call, of whatever extension or none, as the call log has them: it is read from the trunks' totals.
A call that no extension is charged for is in no extension's rows.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import islice
from typing import Any

from peewee import SQL, Value, fn

from coovox_billing.store.lists import totals
from coovox_billing.store.lists.blocks import ROWS_AT_ONCE, fetched
from coovox_billing.store.lists.totals import LENGTH_OF, Cover, SummedUp
from coovox_billing.store.models import Account, DailyTrunkTotal

EACH = "*"
# Rows of more periods than these are few in each of them, so they are read at once.
MOST_APART = 2


@dataclass(frozen=True, slots=True)
class Sums:
    """Some answered calls: how many, their talk, their cost in micros."""

    calls: int
    talk_seconds: int
    cost_micros: int

    @property
    def average_seconds(self) -> int:
        """Talk per call, rounded half up; 0 without a call."""
        return (2 * self.talk_seconds + self.calls) // (2 * self.calls) if self.calls else 0


@dataclass(frozen=True, slots=True)
class Period:
    """A day (`2026-03-01`), month (`2026-03`) or year of an extension; of all where that is empty."""

    period: str
    extension: str
    name: str
    sums: Sums


@dataclass(frozen=True)
class StatisticsQuery:
    """The calls of the local days from `first_day` to `last_day`, None for no bound, by a word of `LENGTH_OF`.

    `extensions`: a row for each of these, for every one with `EACH`, and for all together where there are none.
    """

    first_day: date | None = None
    last_day: date | None = None
    by: str = "day"
    extensions: tuple[str, ...] = ()

    @cached_property
    def totals(self) -> Sums:
        """What all of the rows sum to."""
        return self._sum_of(self._summed_up.cover_together(self.first_day, self.last_day))

    def count(self) -> int:
        """How many rows there are."""
        return sum(self._rows_of_periods.values())

    def page(self, limit: int, offset: int) -> Sequence[Period]:
        """Some of the rows, the newest first; only the periods that they are of are looked at."""
        before, passed = 0, offset
        shown: list[str] = []
        for period, rows in self._rows_of_periods.items():
            if before >= offset + limit:
                break
            if before + rows > offset:
                passed = passed if shown else offset - before
                shown.append(period)
            before += rows
        read = self._read(shown, limit, passed) if shown else []
        names = _names(Account.extension << {row[1] for row in read}) if self.extensions else {}
        return [_period_of(row, names) for row in read]

    def stream(self) -> Iterator[Period]:
        """All of the rows, one by one; read some periods at a time, so that a slow reader holds no snapshot."""
        names = _names(True) if self.extensions else {}
        for some in self._periods_at_once():
            yield from [_period_of(row, names) for row in fetched(self._ordered(self._time(some)))]

    def by_period(self, most: int) -> list[tuple[str, Sums]]:
        """The newest periods with calls, the oldest first; `extensions` are taken together."""
        newest = self._newest(most)
        if EACH in self.extensions:
            known = totals.sums_of_lines(self._lines[0].keys() & newest, self.by)
            sums_of = {period: Sums(*sums) for period, *sums in known}
            sums_of |= {period: self._sum_of(self._together(period)) for period in newest if period not in sums_of}
        else:
            rows = self._totals_of(self._time(newest))
            period = self._period(rows)
            grouped = totals.select(rows, period, *_sums(rows)).group_by(period).having(fn.SUM(rows.c.calls) > 0)
            sums_of = {period: Sums(*sums) for period, *sums in fetched(grouped)}
        return sorted(sums_of.items())[-most:]

    @cached_property
    def _summed_up(self) -> SummedUp:
        return totals.summed_up()

    @cached_property
    def _rows_of_periods(self) -> dict[str, int]:
        """Of each period with calls how many rows it has, the newest first; days may be counted by the month."""
        if EACH in self.extensions:
            found = {period: extensions for period, extensions in self._lines[0].items() if extensions}
            found.update((period, len(extensions)) for period, extensions in self._extensions_of.items() if extensions)
        elif self.by != "day":
            found = dict(Counter(row[0] for row in self._few_rows))
        elif self.extensions:
            found = self._days_of_extensions()
        else:
            return dict.fromkeys(self._days_with_calls(), 1)
        return dict(sorted(found.items(), reverse=True))

    @cached_property
    def _lines(self) -> tuple[dict[str, int], Cover]:
        """Where each extension is asked for, the periods that are known as such, and what is left of the time."""
        return self._summed_up.lines(self.first_day, self.last_day, self.by)

    @cached_property
    def _extensions_of(self) -> dict[str, list[str]]:
        """Of each period that is not known as such, the extensions with calls in their order."""
        left = totals.periods_of(self._lines[1], self.by)
        return {period: totals.extensions_with_calls(self._together(period)) for period in left}

    @cached_property
    def _few_rows(self) -> list[tuple[Any, ...]]:
        """All of the rows, where neither each extension is asked for nor each day."""
        return fetched(self._ordered(self._summed_up.cover(self.first_day, self.last_day, self.by)))

    def _days_of_extensions(self) -> dict[str, int]:
        """On how many days of each finished month, and whether on other days, some extensions had calls."""
        accounts = _accounts_of(self.extensions)
        # Two accounts of one extension may have had calls on one day.
        are_apart = len(accounts) <= len(self.extensions)
        time = self._summed_up.cover(self.first_day, self.last_day, "month" if are_apart else "day")
        found = Counter(row[0] for row in fetched(self._grouped(Cover((), time.spans), with_sums=False)))
        return found | {month: days for month, days in totals.days_with_calls(accounts, time.periods) if days}

    def _days_with_calls(self) -> Iterator[str]:
        day = DailyTrunkTotal.day
        for first, last in self._summed_up.cover(self.first_day, self.last_day, "day").spans:
            days: Any = DailyTrunkTotal.select(day).where(DailyTrunkTotal.calls > 0, day.between(first, last))
            yield from (row[0] for row in fetched(days.distinct().order_by(day.desc())))

    def _newest(self, most: int) -> list[str]:
        """As many of the newest periods as have so many days, months or years with calls at least."""
        rows, newest = 0, []
        for period, count in self._rows_of_periods.items():
            if rows >= most:
                break
            newest.append(period)
            # Each of these may have been in each row of a day.
            rows += 1 if EACH in self.extensions else -(-count // max(1, len(self.extensions)))
        return newest

    def _periods_at_once(self) -> Iterator[list[str]]:
        """The periods with calls, the newest first, some at a time: about as many as have so many rows together."""
        some, rows = [], 0
        for period, count in self._rows_of_periods.items():
            some.append(period)
            rows += count
            if rows >= ROWS_AT_ONCE:
                yield some
                some, rows = [], 0
        if some:
            yield some

    def _read(self, periods: list[str], limit: int, passed: int) -> list[tuple[Any, ...]]:
        """Some of the rows of periods, which follow one another."""
        if EACH in self.extensions and len(periods) <= MOST_APART:
            rows = ((period, extension) for period in periods for extension in self._extensions_in(period))
            wanted: dict[str, list[str]] = {}
            for period, extension in islice(rows, passed, passed + limit):
                wanted.setdefault(period, []).append(extension)
            return [row for period, extensions in wanted.items() for row in self._rows_in(period, extensions)]
        if EACH not in self.extensions and self.by != "day":
            return [row for row in self._few_rows if row[0] in periods][passed : passed + limit]
        return fetched(self._ordered(self._time(periods)).limit(limit).offset(passed))

    def _extensions_in(self, period: str) -> list[str]:
        known = self._extensions_of.get(period)
        return totals.extensions_with_calls(self._together(period)) if known is None else known

    def _rows_in(self, period: str, extensions: Sequence[str]) -> list[tuple[Any, ...]]:
        """The rows of some extensions, in one period."""
        sums = totals.sums_of_extensions(self._together(period), extensions)
        return [(period, extension, *sums[extension]) for extension in extensions]

    def _ordered(self, time: Cover) -> Any:
        """The rows of a time as a query, the newest first: period, extension, sums."""
        return self._grouped(time).order_by(SQL("named").desc(), fn.LENGTH(SQL("extension")), SQL("extension"))

    def _grouped(self, time: Cover, with_sums: bool = True) -> Any:
        """A row for each period and extension with calls; what corrections took all calls out of has none."""
        rows = self._totals_of(time)
        period, extension = self._period(rows), Account.extension if self.extensions else Value("")
        columns = (period.alias("named"), extension.alias("extension"), *(_sums(rows) if with_sums else ()))
        grouped = totals.select(rows, *columns)
        if self.extensions:
            grouped = grouped.join(Account, on=(Account.id == rows.c.key)).group_by(period, extension)
        else:
            grouped = grouped.group_by(period)
        return grouped.having(fn.SUM(rows.c.calls) > 0)

    def _totals_of(self, time: Cover) -> Any:
        """The totals of a time that the rows are summed up from."""
        if not self.extensions:
            return totals.rows_of(totals.TRUNKS, time)
        if EACH in self.extensions:
            return totals.rows_of(totals.EXTENSIONS, time)
        return totals.rows_of(totals.EXTENSIONS, time, _accounts_of(self.extensions))

    def _sum_of(self, time: Cover) -> Sums:
        """What the rows of a time sum to, where extensions need not be told apart."""
        if EACH in self.extensions:
            return Sums(*totals.sum_of_all_extensions(time))
        rows = self._totals_of(time)
        return Sums(*fetched(totals.select(rows, *_sums(rows)))[0])

    def _period(self, rows: Any) -> Any:
        return fn.SUBSTR(rows.c.period, 1, LENGTH_OF[self.by])

    def _time(self, periods: Sequence[str]) -> Cover:
        """The time from the last to the first of some, which are the newest first."""
        return self._summed_up.cover(*self._days_of(periods), self.by) if periods else Cover((), ())

    def _together(self, period: str) -> Cover:
        """The time of one, where it needs not be told apart."""
        return self._summed_up.cover_together(*self._days_of([period]))

    def _days_of(self, periods: Sequence[str]) -> tuple[date, date]:
        """Those of the search from the last to the first of some."""
        first, last = date.fromisoformat(totals.first_of(periods[-1])), date.fromisoformat(totals.last_of(periods[0]))
        return max(first, self.first_day or date.min), min(last, self.last_day or date.max)


def unknown(extensions: Sequence[str]) -> list[str]:
    """Those that no account ever had."""
    known = _names(Account.extension << extensions)
    return [extension for extension in extensions if extension not in known and extension != EACH]


def _accounts_of(extensions: Sequence[str]) -> list[int]:
    """The accounts that these have and had."""
    accounts: Any = Account.select(Account.id).where(Account.extension << extensions)
    return [row[0] for row in accounts.tuples()]


def _sums(rows: Any) -> list[Any]:
    return [fn.COALESCE(fn.SUM(column), 0) for column in (rows.c.calls, rows.c.talk_seconds, rows.c.cost_micros)]


def _names(which: Any) -> dict[str, str]:
    """By number, as its newest account is called: the open one, where there is one."""
    return dict(Account.select(Account.extension, Account.name).where(which).order_by(Account.id).tuples())


def _period_of(row: tuple[Any, ...], names: dict[str, str]) -> Period:
    period, extension, *sums = row
    return Period(period, extension, names.get(extension, ""), Sums(*sums))
