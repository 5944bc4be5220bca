"""Today at a glance: answered calls beside those of yesterday and a week ago up to the same time of day, channels."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from coovox_billing.core.clock import local_day, local_moment, milliseconds
from coovox_billing.store.lists import channels
from coovox_billing.store.lists.call_counts import Totals
from coovox_billing.store.lists.calls import CallQuery
from coovox_billing.store.lists.channels import Occupied
from coovox_billing.store.lists.statistics import StatisticsQuery, Sums
from coovox_billing.web.pages.dashboard.listed import listed


@dataclass(frozen=True, slots=True)
class Earlier:
    """The answered calls of a day before the time of day that it is now, and where the call log lists them."""

    day: date
    totals: Totals
    href: str


@dataclass(frozen=True, slots=True)
class Figures:
    """`until` is the time of day up to which other days are compared, cut to the minute, for the address of the list.

    `channels` is what the trunks carry together, None where that is not known of each trunk in use.
    """

    today: Sums
    href: str
    until: datetime
    yesterday: Earlier
    week_ago: Earlier
    trunks: list[Occupied]

    @property
    def used(self) -> int:
        """The calls in progress, over whatever trunk."""
        return sum(trunk.used for trunk in self.trunks)

    @property
    def channels(self) -> int | None:
        """How many there could be."""
        told = [trunk.channels for trunk in self.trunks]
        return sum(filter(None, told)) if told and None not in told else None


def figures(now_ms: int, zone: ZoneInfo) -> Figures:
    """What they are now."""
    today, until = local_day(now_ms, zone), local_moment(now_ms, zone).replace(second=0)
    return Figures(
        today=StatisticsQuery(today, today).totals,
        href=_calls(today),
        until=until,
        yesterday=_earlier(today - timedelta(days=1), until, zone),
        week_ago=_earlier(today - timedelta(days=7), until, zone),
        trunks=channels.occupied(),
    )


def in_progress_href(zone: ZoneInfo, **trunk: str) -> str:
    """Where the call log lists the calls in progress, from the day on which the oldest of them was dialed."""
    oldest_ms = channels.oldest_ms()
    since = None if oldest_ms is None else local_day(oldest_ms, zone)
    return listed(since, None, status="in-progress", **trunk)


def _earlier(day: date, until: datetime, zone: ZoneInfo) -> Earlier:
    until_ms = milliseconds(datetime.combine(day, until.time(), zone))
    query = CallQuery(zone, day, day, status="answered", until_ms=until_ms)
    return Earlier(day, query.totals, _calls(day, until=f"{until:%H:%M}"))


def _calls(day: date, **more: str) -> str:
    return listed(day, day, status="answered", **more)
