"""How many calls a search finds, out of the totals of their days: no call is looked at. Needs `open_reading` first.

A day's totals know all of its calls that are over, archived ones too. So those of the months that were archived are not
asked, and calls in progress are counted beside them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from peewee import SQL, fn

from coovox_billing.store.lists import totals
from coovox_billing.store.lists.blocks import fetched
from coovox_billing.store.lists.totals import DESTINATIONS, EXTENSIONS, HOURS, LENGTH_OF, TRUNKS, Cover, Kind
from coovox_billing.store.models import Account, ArchiveFile, Call

ANSWERED = "answered"
# What of a trunk's totals counts the calls of a status; all of them are over.
_COUNTED_BY = {
    "": ("calls", "unanswered", "refused"),
    ANSWERED: ("calls",),
    "no-answer": ("unanswered",),
    "refused": ("refused",),
}
# A search may be for a status and one of these, the last three only for answered calls.
_NARROWED = ("trunk", "extension", "destination", "weekday", "hour")


@dataclass(frozen=True, slots=True)
class Totals:
    """What the calls of a search sum to; the cost in micros."""

    calls: int
    talk_seconds: int
    cost_micros: int


@dataclass(frozen=True, slots=True)
class CallCounts:
    """The calls of a status, all with an empty one, on some days, None for no bound: of a trunk, or of what is told."""

    first_day: date | None
    last_day: date | None
    status: str = ""
    trunk: str = ""
    extension: str = ""
    destination: str | None = None
    weekday: int | None = None
    hour: int | None = None

    @property
    def is_known(self) -> bool:
        """Whether the totals count just these."""
        told = {name for name in _NARROWED if getattr(self, name) not in ("", None)}
        if told <= {"trunk"}:
            return self.status in _COUNTED_BY
        return self.status == ANSWERED and told in (
            {"extension"},
            {"destination"},
            {"weekday"},
            {"hour"},
            {"weekday", "hour"},
        )

    @property
    def knows_days(self) -> bool:
        """Whether each day's calls are counted at once."""
        return self._kind is TRUNKS

    def totals(self) -> Totals:
        """How many they are, and their sums."""
        rows = self._rows(totals.summed_up().cover_together(self.first_day, self.last_day))
        sums = (fn.SUM(self._calls(rows)), *self._talk_and_cost(rows))
        calls, talk_seconds, cost_micros = totals.select(rows, *(fn.COALESCE(total, 0) for total in sums)).get()
        return Totals(calls + len(self._open_days()), talk_seconds, cost_micros)

    def days_from(self, offset: int) -> Iterator[tuple[date, int]]:
        """The days with calls, the newest first, from where `offset` newer calls are passed over.

        With each, how many of its own are still to be passed over.
        """
        for period, calls in self._counted(totals.summed_up().cover(self.first_day, self.last_day, "month")):
            if offset >= calls:
                offset -= calls
                continue
            is_day = len(period) == LENGTH_OF["day"]
            for day, of_day in [(period, calls)] if is_day else self._of(period)._days():
                if offset < of_day:
                    yield date.fromisoformat(day), offset
                offset = max(0, offset - of_day)

    def _days(self) -> list[tuple[str, int]]:
        """Its days with how many of the calls they have, where both bounds are told."""
        return self._counted(Cover((), ((str(self.first_day), str(self.last_day)),)))

    def _counted(self, time: Cover) -> list[tuple[str, int]]:
        """The periods of a time with how many of the calls they have, the newest first."""
        rows = self._rows(time)
        counted = dict(fetched(totals.select(rows, rows.c.period, fn.SUM(self._calls(rows))).group_by(rows.c.period)))
        for day in self._open_days():
            period = day[:7] if day[:7] in time.periods else day
            counted[period] = counted.get(period, 0) + 1
        return sorted(((period, calls) for period, calls in counted.items() if calls), reverse=True)

    def _of(self, month: str) -> "CallCounts":
        """The same of a month that is within these days."""
        first, last = (date.fromisoformat(day) for day in (totals.first_of(month), totals.last_of(month)))
        return CallCounts(first, last, self.status, self.trunk)

    @property
    def _kind(self) -> Kind:
        if self.extension:
            return EXTENSIONS
        if self.destination is not None:
            return DESTINATIONS
        return TRUNKS if self.weekday is None and self.hour is None else HOURS

    def _rows(self, time: Cover) -> Any:
        return totals.rows_of(self._kind, time, self._keys())

    def _keys(self) -> list[Any] | None:
        if self.trunk:
            return [self.trunk]
        if self.extension:
            accounts: Any = Account.select(Account.id).where(Account.extension == self.extension)
            return [row[0] for row in accounts.tuples()]
        if self.destination is not None:
            return [self.destination]
        if self._kind is HOURS:
            days = range(7) if self.weekday is None else [self.weekday % 7]
            hours = range(24) if self.hour is None else [self.hour]
            return [day * 24 + hour for day in days for hour in hours]
        return None

    def _calls(self, rows: Any) -> Any:
        first, *more = _COUNTED_BY[self.status]
        counted = getattr(rows.c, first)
        for name in more:
            counted += getattr(rows.c, name)
        return counted

    def _talk_and_cost(self, rows: Any) -> tuple[Any, Any]:
        """Only answered calls have some."""
        if self.status in ("", ANSWERED):
            return fn.SUM(rows.c.talk_seconds), fn.SUM(rows.c.cost_micros)
        return fn.SUM(0), fn.SUM(0)

    def _open_days(self) -> list[str]:
        """The day of each call in progress that is among these."""
        if self.status or self._kind is not TRUNKS:
            return []
        # Written out, for else SQLite does not see that the index of open calls will do.
        calls: Any = Call.select(Call.local_day).where(SQL("state IN ('held', 'talking')"))
        if self.trunk:
            calls = calls.where(Call.trunk == self.trunk)
        first, last = str(self.first_day or ""), str(self.last_day or "9")
        return [day for (day,) in calls.tuples() if first <= day <= last]


def last_archived_day() -> date | None:
    """Up to this day, calls may have been archived; None where none were."""
    month = ArchiveFile.select(fn.MAX(ArchiveFile.month)).scalar()
    return None if month is None else date.fromisoformat(totals.last_of(month))
