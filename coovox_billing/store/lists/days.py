"""Rows of some days."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from coovox_billing.core.clock import day_start_ms


def within_days(at_ms: Any, first_day: date | None, last_day: date | None, zone: ZoneInfo) -> Iterator[Any]:
    """The conditions on a column of instants (ms since 1970, UTC) for days of a zone; None for no bound."""
    if first_day is not None:
        yield at_ms >= day_start_ms(first_day, zone)
    if last_day is not None:
        yield at_ms < day_start_ms(last_day + timedelta(days=1), zone)
