"""*Check my rates*: the rates, or a draft of them, looked at beside the extensions and what was dialed."""

import sqlite3
from collections.abc import Collection, Sequence
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from coovox_billing.core import tariff_check
from coovox_billing.core.clock import day_start_ms, local_day, local_moment
from coovox_billing.core.rate_index import RateList
from coovox_billing.core.tariff import Rate
from coovox_billing.core.tariff_check import Dialed, Extensions, Findings, Unmatched
from coovox_billing.store import dialed, reads
from coovox_billing.store.rate_index import StoredRates

DAYS = 90

Heads = Collection[tuple[str, int]]


def check(connection: sqlite3.Connection, now_ms: int, heads: Heads | None = None) -> Findings:
    """What is found of the rates that count, the most urgent first; `heads` are what was dialed, if it is known."""
    zone = reads.site(connection).time_zone
    unmatched = [
        Unmatched(row["number"], row["calls"], row["extension"], local_moment(row["at_ms"], zone))
        for row in dialed.without_rate(connection, _begin_ms(now_ms, zone))
    ]
    told = Dialed(DAYS, dialed_heads(connection, now_ms) if heads is None else heads, unmatched)
    return tariff_check.check(StoredRates(connection), _extensions(connection), _refuses(connection), told)


def check_draft(connection: sqlite3.Connection, rates: Sequence[Rate]) -> Findings:
    """What is found of rates that are not the ones that count; what they make of calls is told by *What if*."""
    return tariff_check.check(RateList(rates), _extensions(connection), _refuses(connection))


def dialed_heads(connection: sqlite3.Connection, now_ms: int) -> Heads:
    """What was dialed: of each number as many signs as prefixes have, and how many it had."""
    zone = reads.site(connection).time_zone
    return dialed.heads(connection, _begin_ms(now_ms, zone), dialed.longest_prefix(connection))


def first_day(now_ms: int, zone: ZoneInfo) -> date:
    """The day of the site from which on calls are looked at; today is the last one."""
    return local_day(now_ms, zone) - timedelta(days=DAYS - 1)


def _begin_ms(now_ms: int, zone: ZoneInfo) -> int:
    return day_start_ms(first_day(now_ms, zone), zone)


def _extensions(connection: sqlite3.Connection) -> Extensions:
    accounts = [row for row in reads.newest_accounts(connection) if row["closed_at_ms"] is None]
    return Extensions(
        frozenset(row["extension"] for row in accounts),
        frozenset(row["extension"] for row in accounts if row["billing"]),
    )


def _refuses(connection: sqlite3.Connection) -> bool:
    return reads.site(connection).when_no_rate != "allow"
