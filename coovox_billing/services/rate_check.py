"""*Check my rates*: the rates, or a draft of them, looked at beside the extensions and what was dialed."""

import sqlite3
from collections.abc import Sequence
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from coovox_billing.core import tariff_check
from coovox_billing.core.clock import day_start_ms, local_day, local_moment
from coovox_billing.core.tariff import Rate
from coovox_billing.core.tariff_check import Dialed, Extensions, Finding, Unmatched
from coovox_billing.store import dialed, reads

DAYS = 90


def check(connection: sqlite3.Connection, now_ms: int, rates: Sequence[Rate] | None = None) -> list[Finding]:
    """All that is found, the most urgent first; of these rates, if some are given, else of those that count.

    What was dialed counts for the latter alone: a draft is tried on calls by *What if*.
    """
    accounts = [row for row in reads.newest_accounts(connection) if row["closed_at_ms"] is None]
    extensions = Extensions(
        frozenset(row["extension"] for row in accounts),
        frozenset(row["extension"] for row in accounts if row["billing"]),
    )
    refuses = reads.site(connection).when_no_rate != "allow"
    if rates is not None:
        return tariff_check.check(rates, extensions, refuses)
    present = reads.all_rates(connection)
    return tariff_check.check(present, extensions, refuses, _dialed(connection, present, now_ms))


def first_day(now_ms: int, zone: ZoneInfo) -> date:
    """The day of the site from which on calls are looked at; today is the last one."""
    return local_day(now_ms, zone) - timedelta(days=DAYS - 1)


def _dialed(connection: sqlite3.Connection, rates: Sequence[Rate], now_ms: int) -> Dialed:
    zone = reads.site(connection).time_zone
    begin_ms = day_start_ms(first_day(now_ms, zone), zone)
    signs = max((len(rate.prefix) for rate in rates), default=0)
    unmatched = [
        Unmatched(row["number"], row["calls"], row["extension"], local_moment(row["at_ms"], zone))
        for row in dialed.without_rate(connection, begin_ms)
    ]
    return Dialed(DAYS, dialed.heads(connection, begin_ms, signs), unmatched)
