"""What was dialed in some days, and by whom: what rates are checked by, and drafts are tried on. Plain SQL."""

import sqlite3
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from coovox_billing.core.clock import day_start_ms

# A call keeps its local day, whatever zone is set later; no two zones' days are so far apart.
_ZONES_APART_MS = timedelta(hours=26) // timedelta(milliseconds=1)
# What no rate has any part in.
_WITHOUT_PRICE = "('emergency', 'not-billed', 'not-active', 'no-payer', 'bad-number')"


def heads(connection: sqlite3.Connection, since_ms: int, signs: int) -> list[tuple[str, int]]:
    """The first so many signs of the numbers of calls since an instant, and their lengths, each pair once, in order.

    Read from the index of the call log alone.
    """
    rows = connection.execute(
        "SELECT DISTINCT substr(number, 1, ?) AS head, length(number) AS digits FROM calls INDEXED BY calls_log"
        " WHERE asked_at_ms >= ? AND number <> '' ORDER BY head, digits",
        (signs, since_ms),
    )
    return [(head, digits) for head, digits in rows]


def longest_prefix(connection: sqlite3.Connection) -> int:
    """How many signs the longest prefix of a rate has, 0 where there is none."""
    return int(connection.execute("SELECT coalesce(max(length(prefix)), 0) FROM rates").fetchone()[0])


def without_rate(connection: sqlite3.Connection, since_ms: int) -> list[sqlite3.Row]:
    """The numbers since an instant that no rate matched: `number`, `calls`, the newest's `extension` and `at_ms`."""
    # SQLite takes the other columns from the row of the maximum.
    return connection.execute(
        "SELECT number, count(*) AS calls, extension, max(asked_at_ms) AS at_ms FROM calls"
        " INDEXED BY calls_without_rate WHERE reason = 'no-rate' AND asked_at_ms >= ? GROUP BY number",
        (since_ms,),
    ).fetchall()


def count_answered(connection: sqlite3.Connection, first_day: date, last_day: date, zone: ZoneInfo) -> int:
    """How many answered calls the days of a site have, priced or not."""
    counted = connection.execute(
        "SELECT count(*) FROM calls INDEXED BY calls_log WHERE asked_at_ms >= ? AND asked_at_ms < ?"
        " AND local_day BETWEEN ? AND ? AND state = 'settled'",
        (*_bounds_ms(first_day, last_day, zone), first_day.isoformat(), last_day.isoformat()),
    )
    return int(counted.fetchone()[0])


def priced_calls(
    connection: sqlite3.Connection,
    first_day: date,
    last_day: date,
    zone: ZoneInfo,
    after: tuple[int, int],
    limit: int,
) -> list[sqlite3.Row]:
    """The next answered calls of some days that rates have a part in, after one's `asked_at_ms` and `id`."""
    earliest_ms, before_ms = _bounds_ms(first_day, last_day, zone)
    return connection.execute(
        "SELECT id, call_id, extension, number, asked_at_ms, talk_seconds, billable_seconds, free_seconds, cost_micros"  # noqa: S608
        " FROM calls INDEXED BY calls_log WHERE (asked_at_ms, id) > (?, ?) AND asked_at_ms < ?"
        " AND local_day BETWEEN ? AND ? AND state = 'settled' AND account_id IS NOT NULL"
        f" AND reason NOT IN {_WITHOUT_PRICE} ORDER BY asked_at_ms, id LIMIT ?",
        (*max(after, (earliest_ms, -1)), before_ms, first_day.isoformat(), last_day.isoformat(), limit),
    ).fetchall()


def _bounds_ms(first_day: date, last_day: date, zone: ZoneInfo) -> tuple[int, int]:
    """For the index alone: so far apart that no other zone than today's is in their way."""
    return (
        day_start_ms(first_day, zone) - _ZONES_APART_MS,
        day_start_ms(last_day + timedelta(days=1), zone) + _ZONES_APART_MS,
    )
