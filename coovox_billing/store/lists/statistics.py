"""The guide's *Statistics*: answered calls, their time and cost by day, month or year. Needs `open_reading` first.

All is every answered call, of whatever extension or none, as the call log has them: it is read from the trunks' daily
totals. A call that no extension is charged for is in no extension's rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

from peewee import fn

from coovox_billing.store.models import Account, DailyExtensionTotal, DailyTrunkTotal

# As many characters of `2026-03-01` as name a period.
LENGTH_OF = {"day": 10, "month": 7, "year": 4}
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
        return Sums(*self._selected(*self._sums()).tuples().get())

    def count(self) -> int:
        """How many rows there are."""
        return int(self._grouped().count())

    def page(self, limit: int, offset: int) -> Sequence[Period]:
        """Some of the rows, the newest first."""
        return self._periods(self._ordered().limit(limit).offset(offset))

    def stream(self) -> Iterator[Period]:
        """All of the rows, one by one."""
        names = _names() if self.extensions else {}
        return (_period_of(row, names) for row in self._ordered().tuples().iterator())

    def by_period(self, most: int) -> list[tuple[str, Sums]]:
        """The newest periods with calls, the oldest first; `extensions` are taken together."""
        period = self._period()
        rows = self._selected(period, *self._sums()).group_by(period).having(self._calls() > 0)
        newest = rows.order_by(period.desc()).limit(most).tuples()
        return [(name, Sums(*sums)) for name, *sums in reversed(list(newest))]

    @property
    def _table(self) -> Any:
        return DailyExtensionTotal if self.extensions else DailyTrunkTotal

    def _period(self) -> Any:
        return fn.SUBSTR(self._table.day, 1, LENGTH_OF[self.by])

    def _calls(self) -> Any:
        return fn.SUM(self._table.calls)

    def _sums(self) -> list[Any]:
        columns = (self._table.calls, self._table.talk_seconds, self._table.cost_micros)
        return [fn.COALESCE(fn.SUM(column), 0) for column in columns]

    def _ordered(self) -> Any:
        rows = self._grouped()
        if not self.extensions:
            return rows.order_by(self._period().desc())
        return rows.order_by(self._period().desc(), fn.LENGTH(Account.extension), Account.extension)

    def _grouped(self) -> Any:
        """What was taken out of a day by a correction leaves a row without calls behind."""
        group = [self._period(), *([Account.extension] if self.extensions else [])]
        return self._selected(*self._sums(), *group).group_by(*group).having(self._calls() > 0)

    def _selected(self, *columns: Any) -> Any:
        rows = self._table.select(*columns)
        if self.extensions:
            rows = rows.join(Account)
        if self.extensions and EACH not in self.extensions:
            rows = rows.where(Account.extension << self.extensions)
        return of_days(rows, self._table, self.first_day, self.last_day)

    def _periods(self, rows: Any) -> list[Period]:
        names = _names() if self.extensions else {}
        return [_period_of(row, names) for row in rows.tuples()]


def of_days(rows: Any, table: Any, first_day: date | None, last_day: date | None) -> Any:
    """Those rows of a table of daily totals that are of some days, None for no bound."""
    if first_day is not None:
        rows = rows.where(table.day >= first_day.isoformat())
    if last_day is not None:
        rows = rows.where(table.day <= last_day.isoformat())
    return rows


def unknown(extensions: Sequence[str]) -> list[str]:
    """Those that no account ever had."""
    known = _names()
    return [extension for extension in extensions if extension not in known and extension != EACH]


def _names() -> dict[str, str]:
    """By number, as its newest account is called: the open one, where there is one."""
    return dict(Account.select(Account.extension, Account.name).order_by(Account.id).tuples())


def _period_of(row: tuple[Any, ...], names: dict[str, str]) -> Period:
    calls, talk_seconds, cost_micros, period, *of = row
    extension = of[0] if of else ""
    return Period(period, extension, names.get(extension, ""), Sums(calls, talk_seconds, cost_micros))
