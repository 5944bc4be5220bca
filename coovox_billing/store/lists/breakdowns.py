"""Answered calls by whom, whereto, over what and when, out of the daily totals. Needs `open_reading` first."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

from peewee import fn

from coovox_billing.store.lists import totals
from coovox_billing.store.lists.statistics import Sums
from coovox_billing.store.lists.totals import Cover, Kind
from coovox_billing.store.models import Account, RateRow


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


@dataclass(frozen=True)
class Breakdown:
    """The calls of the local days from `first_day` to `last_day`, None for no bound."""

    first_day: date | None = None
    last_day: date | None = None

    def extensions(self, most: int) -> list[Share]:
        """The extensions with the highest cost, of equal ones those that talked longest."""
        rows = self._rows(totals.EXTENSIONS)
        columns = (
            total.alias(name) for total, name in zip(_sums(rows), ("calls", "talk_seconds", "cost_micros"), strict=True)
        )
        accounts = totals.select(rows, rows.c.key, *columns).group_by(rows.c.key).alias("accounts")
        joined = totals.select(accounts, Account.extension, fn.MAX(Account.id), *_sums(accounts))
        grouped = joined.join(Account, on=(Account.id == accounts.c.key)).group_by(Account.extension)
        shares = list(_top(grouped, accounts, most))
        names = dict(Account.select(Account.id, Account.name).where(Account.id << [row[1] for row in shares]).tuples())
        return [Share(extension, names[newest], Sums(*sums)) for extension, newest, *sums in shares]

    def destinations(self, most: int) -> list[Share]:
        """The rates' prefixes with the highest cost, named where all rates of one are; `NO_RATE` for calls without."""
        rows = self._rows(totals.DESTINATIONS)
        shares = list(_top(totals.select(rows, rows.c.key, *_sums(rows)).group_by(rows.c.key), rows, most))
        remark = fn.MAX(RateRow.remark)
        named = RateRow.select(RateRow.prefix, remark).where(RateRow.prefix << [prefix for prefix, *_ in shares])
        names = dict(named.group_by(RateRow.prefix).having(fn.MIN(RateRow.remark) == remark).tuples())
        return [Share(prefix, names.get(prefix, ""), Sums(*sums)) for prefix, *sums in shares]

    def trunks(self) -> list[TrunkShare]:
        """Every trunk that was tried, that with the most calls first."""
        rows = self._rows(totals.TRUNKS)
        unanswered, seized = fn.SUM(rows.c.unanswered), fn.SUM(rows.c.calls + rows.c.unanswered)
        grouped = totals.select(rows, rows.c.key, unanswered, *_sums(rows)).group_by(rows.c.key).having(seized > 0)
        ordered = grouped.order_by(seized.desc(), rows.c.key)
        return [TrunkShare(trunk, Sums(*sums), missed) for trunk, missed, *sums in ordered]

    def hours(self) -> dict[tuple[int, int], Sums]:
        """By ISO weekday and hour of day; only those with calls."""
        rows = self._rows(totals.HOURS)
        grouped = totals.select(rows, rows.c.key, *_sums(rows)).group_by(rows.c.key).having(fn.SUM(rows.c.calls) > 0)
        return {(hour // 24 or 7, hour % 24): Sums(*sums) for hour, *sums in grouped}

    def _rows(self, kind: Kind) -> Any:
        return totals.rows_of(kind, self._time)

    @cached_property
    def _time(self) -> Cover:
        return totals.summed_up().cover_together(self.first_day, self.last_day)


def _sums(rows: Any) -> list[Any]:
    return [fn.SUM(column) for column in (rows.c.calls, rows.c.talk_seconds, rows.c.cost_micros)]


def _top(grouped: Any, rows: Any, most: int) -> Iterator[tuple[Any, ...]]:
    """Where corrections took out all calls of a day, nothing is left of it."""
    _calls, talk, cost = _sums(rows)
    ordered = grouped.having(fn.SUM(rows.c.calls) > 0).order_by(cost.desc(), talk.desc())
    return iter(ordered.limit(most))
