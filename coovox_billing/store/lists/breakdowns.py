"""Answered calls by whom, whereto, over what and when, out of the daily totals. Needs `open_reading` first."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from peewee import fn

from coovox_billing.store.lists.statistics import Sums, of_days
from coovox_billing.store.models import (
    Account,
    DailyDestinationTotal,
    DailyExtensionTotal,
    DailyHourTotal,
    DailyTrunkTotal,
    RateRow,
)


@dataclass(frozen=True, slots=True)
class Share:
    """The answered calls of an extension or of a destination: `key`, what people call it, and what they sum to."""

    key: str
    name: str
    sums: Sums


@dataclass(frozen=True, slots=True)
class TrunkShare:
    """What went over a trunk. `unanswered` are the calls that nobody answered after it was tried last."""

    trunk: str
    sums: Sums
    unanswered: int

    @property
    def answered_per_mille(self) -> int:
        """The answer-seizure ratio (ITU-T E.411) in thousandths, rounded half up; each was seized at least once."""
        seized = self.sums.calls + self.unanswered
        return (2000 * self.sums.calls + seized) // (2 * seized)


@dataclass(frozen=True, slots=True)
class Breakdown:
    """The calls of the local days from `first_day` to `last_day`, None for no bound."""

    first_day: date | None = None
    last_day: date | None = None

    def extensions(self, most: int) -> list[Share]:
        """The extensions with the highest cost, of equal ones those that talked longest."""
        rows = self._of_days(DailyExtensionTotal, Account.extension, fn.MAX(Account.id)).join(Account)
        shares = list(_top(rows.group_by(Account.extension), DailyExtensionTotal, most))
        names = dict(Account.select(Account.id, Account.name).where(Account.id << [row[1] for row in shares]).tuples())
        return [Share(extension, names[newest], Sums(*sums)) for extension, newest, *sums in shares]

    def destinations(self, most: int) -> list[Share]:
        """The rates' prefixes with the highest cost, named where all rates of one are; `NO_RATE` for calls without."""
        rows = self._of_days(DailyDestinationTotal, DailyDestinationTotal.destination)
        shares = list(_top(rows.group_by(DailyDestinationTotal.destination), DailyDestinationTotal, most))
        remark = fn.MAX(RateRow.remark)
        named = RateRow.select(RateRow.prefix, remark).where(RateRow.prefix << [prefix for prefix, *_ in shares])
        names = dict(named.group_by(RateRow.prefix).having(fn.MIN(RateRow.remark) == remark).tuples())
        return [Share(prefix, names.get(prefix, ""), Sums(*sums)) for prefix, *sums in shares]

    def trunks(self) -> list[TrunkShare]:
        """Every trunk that was tried, that with the most calls first."""
        table = DailyTrunkTotal
        unanswered, seized = fn.SUM(table.unanswered), fn.SUM(table.calls + table.unanswered)
        rows = self._of_days(table, table.trunk, unanswered).group_by(table.trunk).having(seized > 0)
        ordered = rows.order_by(seized.desc(), table.trunk).tuples()
        return [TrunkShare(trunk, Sums(*sums), missed) for trunk, missed, *sums in ordered]

    def hours(self) -> dict[tuple[int, int], Sums]:
        """By ISO weekday and hour of day; only those with calls."""
        table = DailyHourTotal
        weekday = fn.STRFTIME("%w", table.day)
        rows = self._of_days(table, weekday, table.hour).group_by(weekday, table.hour).having(_calls(table) > 0)
        return {(int(day) or 7, hour): Sums(*sums) for day, hour, *sums in rows.tuples()}

    def _of_days(self, table: Any, *keys: Any) -> Any:
        sums = [fn.SUM(column) for column in (table.calls, table.talk_seconds, table.cost_micros)]
        return of_days(table.select(*keys, *sums), table, self.first_day, self.last_day)


def _calls(table: Any) -> Any:
    return fn.SUM(table.calls)


def _top(rows: Any, table: Any, most: int) -> Iterator[tuple[Any, ...]]:
    """Where corrections took out all calls of a day, nothing is left of it."""
    order = (fn.SUM(table.cost_micros).desc(), fn.SUM(table.talk_seconds).desc())
    return iter(rows.having(_calls(table) > 0).order_by(*order).limit(most).tuples())
