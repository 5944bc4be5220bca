"""Instants are integer milliseconds since 1970 in UTC; days and hours are the site's (DESIGN §9).

Everything here is a function of its arguments; nobody in `core` asks what time it is.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from coovox_billing.core.tariff import SECONDS_PER_DAY
from coovox_billing.errors import BadInput

CLOCK_TOLERANCE_SECONDS = 2
# Times of several clocks, each cut to whole milliseconds, may differ by so much and mean the same.
ROUNDING_MS = 20
# Longer talk that stamps alone tell of is taken for a clock that was set.
MOST_TALK_SECONDS = 86_400
FIRST_YEAR, LAST_YEAR = 1970, 2200
SECONDS_PER_HOUR = 3_600

_DAYS_KEPT = 256
_STAMP = re.compile(r"([0-9]{1,10})\.([0-9]{3})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Talk:
    """Whole talk seconds of a call, and whether the clocks disagreed about them."""

    seconds: int
    clock_was_off: bool


@dataclass(frozen=True, slots=True)
class OwnTime:
    """The call plane's own monotonic time of a call, in ms: since it was authorized, since its answer.

    Each is None where the call plane does not know it, as after its restart.
    """

    since_asked_ms: int | None = None
    since_answer_ms: int | None = None


UNKNOWN = OwnTime()


def talk_time(
    answered_ms: int,
    ended_ms: int,
    own: OwnTime = UNKNOWN,
    limit_seconds: int | None = None,
    asked_ms: int | None = None,
) -> Talk:
    """Talk between two wall-clock stamps, truncated as Asterisk's own `billsec`.

    It is never below 0 nor above the time since the call was authorized. Where
    the time since the answer is known, or follows from when it was asked, and
    differs by more than 2 s, it wins; the flag is raised where they differ so
    (DESIGN §5). Where nothing of that is known, talk beyond the limit that
    Asterisk enforced is taken for a clock step, and the limit is charged; an end
    before the answer, or more than a day after it, is taken for one too, and a
    second is charged.
    """
    stamped_seconds = (ended_ms - answered_ms) // 1000
    seconds = max(0, stamped_seconds)
    since_answer_ms = _since_answer_ms(own, answered_ms, asked_ms)
    if since_answer_ms is not None and abs(stamped_seconds - since_answer_ms // 1000) > CLOCK_TOLERANCE_SECONDS:
        seconds = since_answer_ms // 1000
    if own.since_asked_ms is not None:
        seconds = min(seconds, (own.since_asked_ms + ROUNDING_MS) // 1000)
    elif own == UNKNOWN and limit_seconds is not None and seconds > limit_seconds + CLOCK_TOLERANCE_SECONDS:
        seconds = limit_seconds
    elif own == UNKNOWN and not -CLOCK_TOLERANCE_SECONDS <= stamped_seconds <= MOST_TALK_SECONDS:
        seconds = 1
    return Talk(seconds, clock_was_off=abs(seconds - stamped_seconds) > CLOCK_TOLERANCE_SECONDS)


def _since_answer_ms(own: OwnTime, answered_ms: int, asked_ms: int | None) -> int | None:
    """Also where only the question was heard, unless the clock was set while it rang: then its stamps are right."""
    if own.since_answer_ms is not None or own.since_asked_ms is None or asked_ms is None:
        return own.since_answer_ms
    rang_ms = answered_ms - asked_ms
    return own.since_asked_ms - rang_ms if 0 <= rang_ms <= own.since_asked_ms else None


def local_moment(instant_ms: int, zone: ZoneInfo) -> datetime:
    """The site's wall-clock time of an instant."""
    return datetime.fromtimestamp(instant_ms // 1000, UTC).astimezone(zone)


def wall_clock(zone: ZoneInfo) -> Callable[[int], int]:
    """What tells the site's wall-clock time of many instants, in whole seconds since 1970 began on that clock.

    The zone is asked once for the instants of a day of UTC: since 1970 none has set its clocks twice within five days
    (tz database).
    """

    def ahead_seconds(second: int) -> int:
        return int((datetime.fromtimestamp(second, zone).utcoffset() or timedelta()).total_seconds())

    @lru_cache(maxsize=_DAYS_KEPT)
    def ahead_all_day(day: int) -> int | None:
        """None where the clocks are set within this day of UTC."""
        first = day * SECONDS_PER_DAY
        at_first, at_last = ahead_seconds(first), ahead_seconds(first + SECONDS_PER_DAY - 1)
        return at_first if at_first == at_last else None

    def wall_seconds(instant_ms: int) -> int:
        second = instant_ms // 1000
        ahead = ahead_all_day(second // SECONDS_PER_DAY)
        return second + (ahead_seconds(second) if ahead is None else ahead)

    return wall_seconds


def local_day(instant_ms: int, zone: ZoneInfo) -> date:
    """The site's day of an instant."""
    return local_moment(instant_ms, zone).date()


def day_start_ms(day: date, zone: ZoneInfo) -> int:
    """The instant at which a day of the site begins, ms since 1970 in UTC."""
    return milliseconds(datetime.combine(day, time(), zone))


def iso(instant_ms: int | None, zone: ZoneInfo) -> str | None:
    """ISO 8601 with the zone's offset, to the second; None stays None."""
    return None if instant_ms is None else local_moment(instant_ms, zone).isoformat()


def milliseconds(moment: datetime) -> int:
    """The instant of an aware datetime."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def parse_moment(text: str, zone: ZoneInfo) -> datetime:
    """An aware datetime from ISO 8601; without a zone it is site time (DESIGN §6).

    Raises:
        BadInput: not a date and time, or out of any year that a call could have.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput("%(text)s is not a time: write it like 2026-03-01T21:59:50", text=repr(text)) from None
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise BadInput(
            "%(text)s is not in the years %(first)s to %(last)s", text=repr(text), first=FIRST_YEAR, last=LAST_YEAR
        )
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


def parse_stamp_ms(text: str) -> int | None:
    """Milliseconds of a stamp that the dialplan made (`1795226171.484`); None for an empty one.

    Raises:
        BadInput: not a stamp.
    """
    if not text:
        return None
    match = _STAMP.fullmatch(text)
    if match is None:
        raise BadInput("%(text)s is not a time stamp of the dialplan", text=repr(text[:40]))
    return int(match[1]) * 1000 + int(match[2])
