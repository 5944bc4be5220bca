"""The live channels of the last 24 hours: the most at once in each ten minutes, as a chart, and by hour as a table."""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from coovox_billing.core.at_once import most_at_once
from coovox_billing.core.clock import local_moment
from coovox_billing.store.lists import channels
from coovox_billing.web import charts, formats
from coovox_billing.web.charts import Area, Point
from coovox_billing.web.pages.dashboard.listed import listed
from coovox_billing.web.words import ngettext

HOURS = 24
HOURS_PER_LABEL = 4

_STEP_MS = 10 * 60_000
_HOUR_MS = 3_600_000
_STEPS_PER_HOUR = _HOUR_MS // _STEP_MS


@dataclass(frozen=True, slots=True)
class Hour:
    """An hour of the site, as it began: the most calls at once, and where the call log lists those dialed in it."""

    began: datetime
    most: int
    href: str


@dataclass(frozen=True, slots=True)
class LastDay:
    """The hours, the oldest first, the last one not over; the most calls at once in all, and when that was first."""

    hours: list[Hour]
    chart: Area
    most: int
    when: datetime


def last_day(now_ms: int, zone: ZoneInfo, longest_seconds: int) -> LastDay:
    """Up to now; a call is longer than `longest_seconds` only where it is not billed."""
    local = local_moment(now_ms, zone)
    first_ms = now_ms // 1000 * 1000 - (local.minute * 60 + local.second) * 1000 - (HOURS - 1) * _HOUR_MS
    steps = (now_ms - first_ms) // _STEP_MS + 1
    spans = channels.spans(first_ms, now_ms, longest_seconds)
    most = most_at_once(spans, first_ms, _STEP_MS, steps)
    began = [local_moment(first_ms + index * _STEP_MS, zone) for index in range(steps)]
    hours = [
        Hour(began[index], max(most[index : index + _STEPS_PER_HOUR]), _calls(began[index]))
        for index in range(0, steps, _STEPS_PER_HOUR)
    ]
    points = [
        Point(count, formats.short_time(at), _title(at, count), _calls(at))
        for at, count in zip(began, most, strict=True)
    ]
    chart = charts.step_area(points, HOURS * _STEPS_PER_HOUR, HOURS_PER_LABEL * _STEPS_PER_HOUR)
    return LastDay(hours, chart, max(most), began[most.index(max(most))])


def _title(began: datetime, count: int) -> str:
    calls = ngettext("%(num)s call at once", "%(num)s calls at once", count)
    return f"{formats.short_time(began)}: {calls}"


def _calls(moment: datetime) -> str:
    day = moment.date()
    return listed(day, day, hour=moment.hour)
