"""The guide's *Call Log*: outbound calls, the newest first, and those in progress. Needs `open_reading` first."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from peewee import JOIN, SQL, Tuple, Value, fn

from coovox_billing.core import why
from coovox_billing.core.call import OPEN_STATES, State
from coovox_billing.core.clock import day_start_ms
from coovox_billing.core.rating import affordable_seconds, cost_of_talk
from coovox_billing.core.tariff import NO_RATE, Rate
from coovox_billing.store import reads
from coovox_billing.store.lists.blocks import ROWS_AT_ONCE, fetched
from coovox_billing.store.lists.call_counts import CallCounts, Totals, last_archived_day
from coovox_billing.store.lists.own_account import OwnAccount, is_own_call
from coovox_billing.store.models import Account, ArchiveFile, Call, DailyTrunkTotal, Trunk

STATES_OF = {
    "answered": (State.SETTLED,),
    "no-answer": (State.RELEASED,),
    "refused": (State.REFUSED,),
    "in-progress": tuple(sorted(OPEN_STATES)),
}
# Written out as the partial indexes have them, for else SQLite does not see that they will do.
REASONS = {"no-rate": "reason = 'no-rate'", "no-payer": "reason = 'no-payer'"}
# Shorter keywords are parts of extensions and names alone: an extension's bill holds no other's calls.
LEAST_NUMBER_DIGITS = 6

# So many calls are sorted at once.
FEW_CALLS = 5_000
QUICKLY_COUNTED = 50_000

_SHORT = timedelta(days=31)
_ZONES_APART = timedelta(hours=26)
_MOST_LIVE = 200


@dataclass(frozen=True, slots=True)
class LoggedCall:
    """A line of the call log: amounts in micros, instants in ms since 1970 in UTC."""

    id: str
    extension: str
    name: str
    device: str
    number: str
    number_dialed: str
    trunk: str
    attempts: int
    state: str
    reason: str
    asked_at_ms: int
    ringing_at_ms: int | None
    answered_at_ms: int | None
    ended_at_ms: int | None
    talk_seconds: int
    cost_micros: int
    uncollected_micros: int
    hold_micros: int
    limit_seconds: int | None
    settled_by: str
    settled_late: bool
    flags: tuple[str, ...]
    hangup_cause: str
    rate_json: str
    why_json: str

    @property
    def rate(self) -> dict[str, Any] | None:
        """The rate's snapshot. It and `why` are read where they are shown: a long list shows neither."""
        snapshot: dict[str, Any] | None = json.loads(self.rate_json) if self.rate_json else None
        return snapshot

    @property
    def why(self) -> tuple[str, ...]:
        """What was decided, and why this price."""
        return why.read(self.why_json)

    @property
    def ring_seconds(self) -> int:
        """From dialing to the answer, or to the end without one."""
        over_ms = self.answered_at_ms or self.ended_at_ms or self.asked_at_ms
        return max(0, over_ms - self.asked_at_ms) // 1000


class CallLine(NamedTuple):
    """What a file tells of a call: those fields of a `LoggedCall`, and in `row` the id of its row."""

    id: str
    extension: str
    name: str
    number: str
    number_dialed: str
    trunk: str
    state: str
    reason: str
    asked_at_ms: int
    answered_at_ms: int | None
    ended_at_ms: int | None
    talk_seconds: int
    cost_micros: int
    uncollected_micros: int
    flag_words: str
    hangup_cause: str
    row: int

    @property
    def flags(self) -> tuple[str, ...]:
        """What a person should know of it."""
        return tuple(self.flag_words.split())


@dataclass(frozen=True)
class CallQuery:
    """Calls dialed on the site's days from `first_day` to `last_day`, None for no bound.

    `extension` is exactly that one. `weekday` (ISO) and `hour` are those of the dialing. `destination` is the prefix of
    the rate, `core.tariff.NO_RATE` for calls without one. `keywords` are in the extension, its name or, with at least
    `LEAST_NUMBER_DIGITS`, in the number. `status` is a word of `STATES_OF`, `flag` one of `core.call`, `reason` one of
    `REASONS`. `number_prefix` begins the number. A call keeps the day it was dialed on, whatever zone is set later.
    `of_account`: only those that the person behind an extension sees.
    """

    zone: ZoneInfo
    first_day: date | None = None
    last_day: date | None = None
    keywords: str = ""
    trunk: str = ""
    status: str = ""
    flag: str = ""
    least_cost_micros: int | None = None
    of_account: OwnAccount | None = None
    extension: str = ""
    destination: str | None = None
    weekday: int | None = None
    hour: int | None = None
    number_prefix: str = ""
    until_ms: int | None = None
    reason: str = ""

    @cached_property
    def totals(self) -> Totals:
        """How many there are, and their sums: out of the daily totals, where these have just such calls."""
        if not self.is_counted_at_once:
            return self._looked_at()
        before, since = self._before_and_since_archiving()
        found = [] if before is None else [before._looked_at()]
        found += [] if since is None else [since._counts.totals()]
        return Totals(*(sum(getattr(part, name) for part in found) for name in Totals.__slots__))

    @property
    def is_counted_at_once(self) -> bool:
        """Whether the daily totals tell how many there are; else each call of the time is looked at."""
        others = (self.keywords, self.flag, self.reason, self.number_prefix)
        others_told = self.least_cost_micros is not None or self.of_account is not None or self.until_ms is not None
        return not any(others) and not others_told and self._counts.is_known

    @property
    def is_counted_quickly(self) -> bool:
        """Whether no more than some ten thousand calls need to be looked at, as far as can be told before."""
        is_small = (Call.select(fn.MAX(Call.id)).scalar() or 0) <= QUICKLY_COUNTED
        is_short = self.first_day and self.last_day and self.last_day - self.first_day <= _SHORT
        is_of_few = self.flag or self.reason or self.extension or self.of_account or self._is_number_rare
        return bool(is_small or self.is_counted_at_once or is_short or is_of_few)

    def count(self) -> int:
        """How many there are."""
        return self.totals.calls

    def page(self, limit: int, offset: int = 0) -> Sequence[LoggedCall]:
        """Some of them. Where it is known how many each day has, whole days are passed over."""
        if not (self.is_counted_at_once and self._counts.knows_days):
            return [logged_call(row) for row in _whole(self._keys().limit(limit).offset(offset))]
        found: list[LoggedCall] = []
        before, since = self._before_and_since_archiving()
        for day, passed in () if since is None else since._counts.days_from(offset):
            of_day = replace(self, first_day=day, last_day=day)
            found += map(logged_call, _whole(of_day._keys().limit(limit - len(found)).offset(passed)))
            if len(found) == limit:
                return found
        if before is not None:
            newer = 0 if since is None else since.totals.calls
            left = before._keys().limit(limit - len(found)).offset(max(0, offset - newer))
            found += map(logged_call, _whole(left))
        return found

    def _looked_at(self) -> Totals:
        sums = (fn.COALESCE(fn.SUM(column), 0) for column in (Call.talk_seconds, Call.cost_micros))
        return Totals(*self._selected(fn.COUNT(Call.id), *sums).tuples().get())

    @property
    def _counts(self) -> CallCounts:
        return CallCounts(
            self.first_day,
            self.last_day,
            self.status,
            self.trunk,
            self.extension,
            self.destination,
            self.weekday,
            self.hour,
        )

    def _before_and_since_archiving(self) -> "tuple[CallQuery | None, CallQuery | None]":
        """The same of the days up to the last archived one, of which few calls are left, and of those after it."""
        archived = last_archived_day()
        if archived is None or (self.first_day is not None and self.first_day > archived):
            return None, self
        if self.last_day is not None and self.last_day <= archived:
            return self, None
        return replace(self, last_day=archived), replace(self, first_day=archived + timedelta(days=1))

    def stream(self) -> Iterator[CallLine]:
        """All of them, one by one; each thousand is a read of its own, so that a slow reader holds no snapshot."""
        lines = _lines(self._newest_lines())
        while lines:
            yield from lines
            last = lines[-1]
            older = replace(self, until_ms=last.asked_at_ms + 1)._newest_lines()
            lines = _lines(older.where(Tuple(Call.asked_at_ms, Call.id) < Tuple(last.asked_at_ms, last.row)))

    def _newest_lines(self) -> Any:
        lines = self._selected(*_line_columns()).join(Account, JOIN.LEFT_OUTER)
        return _newest_first(lines).limit(ROWS_AT_ONCE)

    def _keys(self) -> Any:
        """Ids in their order, out of the index alone."""
        return self._selected(Call.id).order_by(self._asked_at_ms.desc(), Call.id.desc())

    @cached_property
    def _is_number_rare(self) -> bool:
        """Whether the calls of a number's prefix are so few that they are found by it, not by their time."""
        found = Call.select(Call.id).where(_begins_with(self.number_prefix)).limit(FEW_CALLS).offset(FEW_CALLS)
        return bool(self.number_prefix) and not found.exists()

    @property
    def _asked_at_ms(self) -> Any:
        """The instant of the dialing; as a sum SQLite does not look it up, where there is something better."""
        return Call.asked_at_ms + 0 if self._is_number_rare else Call.asked_at_ms

    def _selected(self, *columns: Any) -> Any:
        calls = Call.select(*columns)
        for condition in (*self._of_days(), *self._of_whom(), *self._of_kind()):
            calls = calls.where(condition)
        return calls

    def _of_days(self) -> Iterator[Any]:
        """The instants are there for the index, so far apart that no other zone than today's is in their way."""
        if self.first_day is not None:
            earliest_ms = day_start_ms(self.first_day, self.zone) - _ZONES_APART // timedelta(milliseconds=1)
            yield self._asked_at_ms >= earliest_ms
            yield Call.local_day >= self.first_day.isoformat()
        if self.last_day is not None:
            yield Call.local_day <= self.last_day.isoformat()
        if self._end_ms is not None:
            yield self._asked_at_ms < self._end_ms
        if self.weekday is not None:
            yield fn.STRFTIME("%w", Call.local_day) == str(self.weekday % 7)
        if self.hour is not None:
            yield Call.local_hour == self.hour

    @property
    def _end_ms(self) -> int | None:
        """When all had been asked; one bound of the two, as SQLite searches its index by the first that it is told."""
        ends = [] if self.until_ms is None else [self.until_ms]
        if self.last_day is not None:
            after = timedelta(days=1) + _ZONES_APART
            ends.append(day_start_ms(self.last_day, self.zone) + after // timedelta(milliseconds=1))
        return min(ends, default=None)

    def _of_whom(self) -> Iterator[Any]:
        if self.of_account is not None:
            # The number is there for the index of an extension's calls.
            yield (Call.extension == self.of_account.number) & (Call.account == self.of_account.id)
            yield is_own_call(self.of_account.after_call, self.of_account.since_ms)
        if self.extension:
            yield Call.extension == self.extension
        if self.keywords:
            named = Account.select(Account.id).where(Account.name.contains(self.keywords))
            found = Call.extension.contains(self.keywords) | (Call.account << named)
            if len(self.keywords) >= LEAST_NUMBER_DIGITS:
                found |= Call.number.contains(self.keywords)
            yield found

    def _of_kind(self) -> Iterator[Any]:
        if self.trunk:
            yield Call.trunk == self.trunk
        if self.destination is not None:
            yield fn.COALESCE(fn.JSON_EXTRACT(Call.rate, "$.prefix"), NO_RATE) == self.destination
        if self.number_prefix:
            begin = fn.SUBSTR(Call.number, 1, len(self.number_prefix)) == self.number_prefix
            yield _begins_with(self.number_prefix) if self._is_number_rare else begin
        if self.status == "in-progress":
            yield SQL("state IN ('held', 'talking')")
        elif self.status:
            yield Call.state << STATES_OF[self.status]
        if self.reason:
            yield SQL(REASONS[self.reason])
        if self.flag:
            yield SQL("flags <> ''")
            yield Value(" ").concat(Call.flags).concat(" ").contains(f" {self.flag} ")
        if self.least_cost_micros is not None:
            yield Call.cost_micros >= self.least_cost_micros


@dataclass(frozen=True, slots=True)
class LiveCall:
    """A call in progress: amounts in micros, instants in ms since 1970 in UTC.

    `limit_seconds` of talk is where Asterisk cuts as of now, None for no limit. `funds_micros` is what it holds and
    what else its account has, from which longer talk is bought. `longest_seconds` is the site's longest call.
    """

    id: str
    extension: str
    name: str
    number: str
    trunk: str
    answered_at_ms: int | None
    limit_seconds: int | None
    billable_seconds: int | None
    free_seconds: int
    funds_micros: int
    longest_seconds: int
    end_requested: bool
    rate: Rate | None

    def talk_seconds(self, now_ms: int) -> int:
        """Talk so far; 0 before the answer, and where the clock was set behind it."""
        return 0 if self.answered_at_ms is None else max(0, now_ms - self.answered_at_ms) // 1000

    def cost_micros(self, now_ms: int) -> int:
        """What the talk so far costs."""
        if self.rate is None:
            return 0
        seconds = self.talk_seconds(now_ms)
        billed = seconds if self.billable_seconds is None else min(seconds, self.billable_seconds)
        return cost_of_talk(self.rate, billed, self.free_seconds)

    def left_seconds(self, now_ms: int) -> int | None:
        """For how long the money lasts if no other call takes of it; None for a call without limit."""
        if self.limit_seconds is None:
            return None
        affordable = 0 if self.rate is None else affordable_seconds(self.rate, self.funds_micros, self.longest_seconds)
        return max(0, max(self.limit_seconds, affordable) - self.talk_seconds(now_ms))


def live_calls(longest_seconds: int) -> list[LiveCall]:
    """The calls in progress, the oldest first."""
    # Written out and sorted later, for else SQLite does not see that the index of open calls will do.
    rows = _with_accounts().where(SQL("state IN ('held', 'talking')")).limit(_MOST_LIVE)
    return [_live_call(row, longest_seconds) for row in sorted(rows, key=lambda row: (row["asked_at_ms"], row["id"]))]


def is_any() -> bool:
    """Whether a call was ever logged."""
    return any(table.select().limit(1).exists() for table in (Call, ArchiveFile))


@dataclass(frozen=True, slots=True)
class Archived:
    """A file that so many calls of a month, such as `2026-03`, were moved into."""

    path: str
    month: str
    calls: int


def archived(first_day: date | None, last_day: date | None) -> list[Archived]:
    """The files of the months of these days, None for no bound, the oldest month first."""
    files = ArchiveFile.select().order_by(ArchiveFile.month, ArchiveFile.path)
    if first_day is not None:
        files = files.where(ArchiveFile.month >= f"{first_day:%Y-%m}")
    if last_day is not None:
        files = files.where(ArchiveFile.month <= f"{last_day:%Y-%m}")
    return [Archived(file.path, file.month, file.calls) for file in files]


def _begins_with(prefix: str) -> Any:
    """The condition that a number does, as a range that its index knows: no sign of a number is after `~`."""
    return Call.number.between(prefix, f"{prefix}~")


def trunks() -> list[str]:
    """The names of all trunks that calls could have gone over, sorted."""
    names = {row[0] for source in (Trunk.name, DailyTrunkTotal.trunk) for row in _distinct(source)}
    return sorted(names - {""}, key=lambda name: (name.casefold(), name))


def _distinct(column: Any) -> Any:
    return column.model.select(column).distinct().tuples()


def _with_accounts() -> Any:
    """As dictionaries, which are read three times as fast as models."""
    available = Account.balance_micros + Account.credit_micros - Account.held_micros
    account = (fn.COALESCE(Account.name, "").alias("name"), fn.COALESCE(available, 0).alias("available_micros"))
    return Call.select(Call, *account).join(Account, JOIN.LEFT_OUTER).dicts()


def _whole(keys: Any) -> Any:
    return _newest_first(_with_accounts().where(Call.id << keys))


def _newest_first(calls: Any) -> Any:
    return calls.order_by(Call.asked_at_ms.desc(), Call.id.desc())


def _line_columns() -> list[Any]:
    """What the fields of a `CallLine` are read from."""
    found = {
        "id": Call.call_id,
        "name": fn.COALESCE(Account.name, ""),
        "number": fn.COALESCE(fn.NULLIF(Call.number, ""), Call.number_dialed),
        "flag_words": Call.flags,
        "row": Call.id,
    }
    return [found[name] if name in found else getattr(Call, name) for name in CallLine._fields]


def _lines(rows: Any) -> list[CallLine]:
    return list(map(CallLine._make, fetched(rows)))


def logged_call(row: Any) -> LoggedCall:
    """A line of the call log from a call's row with the `name` of its account."""
    return LoggedCall(
        id=row["call_id"],
        extension=row["extension"],
        name=row["name"],
        device=row["device"],
        number=row["number"] or row["number_dialed"],
        number_dialed=row["number_dialed"],
        trunk=row["trunk"],
        attempts=row["attempts"],
        state=row["state"],
        reason=row["reason"],
        asked_at_ms=row["asked_at_ms"],
        ringing_at_ms=row["ringing_at_ms"],
        answered_at_ms=row["answered_at_ms"],
        ended_at_ms=row["ended_at_ms"],
        talk_seconds=row["talk_seconds"],
        cost_micros=row["cost_micros"],
        uncollected_micros=row["uncollected_micros"],
        hold_micros=row["hold_micros"],
        limit_seconds=row["limit_seconds"],
        settled_by=row["settled_by"],
        settled_late=row["settled_late"],
        flags=tuple(row["flags"].split()),
        hangup_cause=row["hangup_cause"],
        rate_json=row["rate"] or "",
        why_json=row["why"],
    )


def _live_call(row: Any, longest_seconds: int) -> LiveCall:
    return LiveCall(
        id=row["call_id"],
        extension=row["extension"],
        name=row["name"],
        number=row["number"] or row["number_dialed"],
        trunk=row["trunk"],
        answered_at_ms=row["answered_at_ms"] if row["state"] == State.TALKING else None,
        limit_seconds=row["limit_seconds"],
        billable_seconds=row["billable_seconds"],
        free_seconds=row["free_seconds"],
        funds_micros=row["hold_micros"] + row["available_micros"],
        longest_seconds=longest_seconds,
        end_requested=row["end_requested"],
        rate=reads.rate_of_snapshot(row["rate"]) if row["rate"] else None,
    )
