"""The guide's *Statistics*: answered calls, their time and cost by day, month or year. Needs `open_reading` first.

All is every answered call, of whatever extension or none, as the call log has them: it is read from the trunks' totals.
A call that no extension is charged for is in no extension's rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from itertools import islice
from typing import Any

from peewee import SQL, Value, fn

from coovox_billing.store.lists import totals
from coovox_billing.store.lists.blocks import ROWS_AT_ONCE, fetched
from coovox_billing.store.lists.totals import LENGTH_OF, Cover, Line
from coovox_billing.store.models import Account, DailyTrunkTotal

EACH = "*"


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
        rows = self._sums_of(totals.cover_together(self.first_day, self.last_day))
        return Sums(*totals.select(rows, *_sums(rows)).get())

    def count(self) -> int:
        """How many rows there are."""
        return sum(self._rows_of_periods.values())

    def page(self, limit: int, offset: int) -> Sequence[Period]:
        """Some of the rows, the newest first; only the periods that they are of are looked at."""
        before = 0
        shown: list[tuple[str, int]] = []
        for period, rows in self._rows_of_periods.items():
            if before + rows > offset and before < offset + limit:
                shown.append((period, before))
            before += rows
        if not shown:
            return []
        narrowed, passed = self._between(shown[-1][0], shown[0][0]), offset - shown[0][1]
        told_apart = self._extensions_of.get(shown[0][0]) if EACH in self.extensions and len(shown) == 1 else None
        if told_apart:
            narrowed, passed = replace(narrowed, extensions=tuple(told_apart[passed : passed + limit])), 0
        read = fetched(narrowed.ordered().limit(limit).offset(passed))
        names = _names(Account.extension << {row[1] for row in read}) if self.extensions else {}
        return [_period_of(row, names) for row in read]

    def stream(self) -> Iterator[Period]:
        """All of the rows, one by one; read some periods at a time, so that a slow reader holds no snapshot."""
        names = _names(True) if self.extensions else {}
        for some in self._periods_at_once():
            yield from [_period_of(row, names) for row in self._between(some[-1], some[0]).ordered()]

    def by_period(self, most: int) -> list[tuple[str, Sums]]:
        """The newest periods with calls, the oldest first; `extensions` are taken together."""
        newest = list(islice(self._rows_of_periods, most))
        if not newest:
            return []
        lines, time = self._between(newest[-1], newest[0])._lines
        sums_of = {line.period: Sums(line.calls, line.talk_seconds, line.cost_micros) for line in lines}
        rows = self._sums_of(time)
        period = self._period(rows)
        grouped = totals.select(rows, period, *_sums(rows)).group_by(period).having(fn.SUM(rows.c.calls) > 0)
        sums_of.update({name: Sums(*sums) for name, *sums in grouped})
        return [(name, sums_of[name]) for name in reversed(newest)]

    @cached_property
    def _lines(self) -> tuple[list[Line], Cover]:
        """Where each extension is asked for, the periods that are known as such, and what is left of the time."""
        if EACH in self.extensions:
            return totals.finished(self.first_day, self.last_day, self.by)
        return [], totals.cover(self.first_day, self.last_day, self.by)

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

    def ordered(self) -> Any:
        """The rows as a query, the newest first: period, extension, sums."""
        rows = self._grouped()
        return rows.order_by(SQL("named").desc(), fn.LENGTH(SQL("extension")), SQL("extension"))

    @cached_property
    def _rows_of_periods(self) -> dict[str, int]:
        """Of each period with calls how many rows it has, the newest first."""
        if not self.extensions and self.by == "day":
            return dict.fromkeys(self._days_with_calls(), 1)
        lines, _time = self._lines
        found = {line.period: line.extensions for line in lines if line.extensions}
        found.update((period, len(extensions)) for period, extensions in self._extensions_of.items())
        return dict(sorted(found.items(), reverse=True))

    @cached_property
    def _extensions_of(self) -> dict[str, list[str]]:
        """Of each period that is not known as such, the extensions with calls in their order."""
        _lines, time = self._lines
        found: dict[str, list[str]] = {}
        for period, extension in fetched(self._grouped(time, with_sums=False)):
            found.setdefault(period, []).append(extension)
        return {period: sorted(extensions, key=_by_number) for period, extensions in found.items()}

    def _days_with_calls(self) -> Iterator[str]:
        day = DailyTrunkTotal.day
        for first, last in totals.cover(self.first_day, self.last_day, "day").spans:
            days: Any = DailyTrunkTotal.select(day).where(DailyTrunkTotal.calls > 0, day.between(first, last))
            yield from (row[0] for row in fetched(days.distinct().order_by(day.desc())))

    def _grouped(self, time: Cover | None = None, with_sums: bool = True) -> Any:
        """A row for each period and extension with calls; what corrections took all calls out of has none."""
        rows = self._totals_of(totals.cover(self.first_day, self.last_day, self.by) if time is None else time)
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

    def _sums_of(self, time: Cover) -> Any:
        """The same where extensions need not be told apart."""
        if EACH in self.extensions:
            return totals.rows_of(totals.ALL_EXTENSIONS, time)
        return self._totals_of(time)

    def _period(self, rows: Any) -> Any:
        return fn.SUBSTR(rows.c.period, 1, LENGTH_OF[self.by])

    def _between(self, first: str, last: str) -> "StatisticsQuery":
        """The same of no more than the days from one period to another."""
        first_day, last_day = date.fromisoformat(totals.first_of(first)), date.fromisoformat(totals.last_of(last))
        return replace(
            self,
            first_day=first_day if self.first_day is None else max(first_day, self.first_day),
            last_day=last_day if self.last_day is None else min(last_day, self.last_day),
        )


def unknown(extensions: Sequence[str]) -> list[str]:
    """Those that no account ever had."""
    known = _names(Account.extension << extensions)
    return [extension for extension in extensions if extension not in known and extension != EACH]


def _by_number(extension: str) -> tuple[int, str]:
    return len(extension), extension


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
