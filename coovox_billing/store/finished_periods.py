"""Months and years that are over, summed up out of their days, as plain SQL on the writer's connection.

A sum counts as long as the line of its period is in `finished_periods`: `forget` takes that away where something is
told of one of its days later, in the transaction that changes the day, and the period is waiting to be summed up again.
"""

import sqlite3
from collections.abc import Iterator

_SUMS = ("calls", "talk_seconds", "cost_micros")
# By what is told apart: the key, that key in the table of the days, and what is summed up.
SUMMED_UP = {
    "extension": ("account_id", "account_id", _SUMS),
    "trunk": ("trunk", "trunk", (*_SUMS, "unanswered", "refused")),
    "hour": ("hour_of_week", "strftime('%w', day) * 24 + hour", _SUMS),
    "destination": ("destination", "destination", _SUMS),
}


def waiting(connection: sqlite3.Connection) -> list[str]:
    """The months (`2026-02`) and years that are over and not summed up, a year after its months.

    They are over where calls of a later one were counted, whatever the clock says.
    """
    first, last = connection.execute("SELECT min(day), max(day) FROM daily_trunk_totals").fetchone()
    if first is None:
        return []
    known = {row[0] for row in connection.execute("SELECT period FROM finished_periods WHERE length(period) < 10")}
    return [period for period in _periods(first[:7], last[:7]) if period not in known]


def _periods(first: str, last: str) -> Iterator[str]:
    """From a month on, up to the one before another."""
    number, after = (int(month[:4]) * 12 + int(month[5:]) - 1 for month in (first, last))
    while number < after:
        yield f"{number // 12:04d}-{number % 12 + 1:02d}"
        number += 1
        if number % 12 == 0:
            yield f"{(number - 1) // 12:04d}"


def finish(connection: sqlite3.Connection, period: str) -> None:
    """Sum up a month out of its days, or a year out of its months, of which those that wait are summed up first."""
    if len(period) == 4:
        for month in waiting_months(connection, period):
            finish(connection, month)
    for kind, (key, daily_key, sums) in SUMMED_UP.items():
        source, key_there, part = f"daily_{kind}_totals", daily_key, "day"
        if len(period) == 4:
            source, key_there, part = f"finished_{kind}_totals", key, "period"
        added_up = ", ".join(f"sum({name})" for name in sums)
        connection.execute(f"DELETE FROM finished_{kind}_totals WHERE period = ?", (period,))  # noqa: S608
        added = f"SELECT ?, {key_there}, {added_up} FROM {source} WHERE {part} BETWEEN ? AND ? GROUP BY 2"  # noqa: S608
        connection.execute(
            f"INSERT INTO finished_{kind}_totals (period, {key}, {', '.join(sums)}) {added}",
            (period, f"{period}-", f"{period}-~"),
        )
    if len(period) == 7:
        _finish_days(connection, period)
    _draw_line(connection, period, "finished_extension_totals", "period = ?", (period,))


def waiting_months(connection: sqlite3.Connection, year: str) -> list[str]:
    """The months of a year that is over that are not summed up."""
    known = connection.execute("SELECT period FROM finished_periods WHERE period BETWEEN ? AND ?", (year, f"{year}-~"))
    months = {f"{year}-{number:02d}" for number in range(1, 13)}
    return sorted(months - {row[0] for row in known})


def _finish_days(connection: sqlite3.Connection, month: str) -> None:
    bounds = (f"{month}-", f"{month}-~")
    connection.execute("DELETE FROM finished_periods WHERE period BETWEEN ? AND ?", bounds)
    days = connection.execute("SELECT DISTINCT day FROM daily_extension_totals WHERE day BETWEEN ? AND ?", bounds)
    for row in days.fetchall():
        _draw_line(connection, row[0], "daily_extension_totals", "day = ?", (row[0],))


def _draw_line(connection: sqlite3.Connection, period: str, table: str, condition: str, values: tuple[str]) -> None:
    """Extensions are counted by their numbers: one that was closed and opened anew has several accounts."""
    connection.execute(
        f"""INSERT OR REPLACE INTO finished_periods (period, extensions, calls, talk_seconds, cost_micros)
            SELECT ?, count(*), coalesce(sum(calls), 0), coalesce(sum(talk), 0), coalesce(sum(cost), 0) FROM (
                SELECT sum(calls) AS calls, sum(talk_seconds) AS talk, sum(cost_micros) AS cost
                FROM {table} JOIN accounts ON accounts.id = account_id WHERE {condition}
                GROUP BY extension HAVING sum(calls) > 0
            )""",  # noqa: S608
        (period, *values),
    )


def forget(connection: sqlite3.Connection, day: str) -> None:
    """Something is told of a day: what its month and its year were summed up to counts no more."""
    connection.execute("DELETE FROM finished_periods WHERE period IN (?, ?, ?)", (day, day[:7], day[:4]))
