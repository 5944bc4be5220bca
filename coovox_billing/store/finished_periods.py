"""Months and years that are over, summed up out of their days, as plain SQL on the writer's connection.

`..2026-02` is all the time up to the end of that month: ten years are its sum, and some years of them the difference of
two such. It counts where that of no month in it is missing. `..2026-03-05` is the same up to the end of a day of the
month that is not over; it counts where no such day is missing either.

A sum counts as long as the line of its period is in `finished_periods`: `forget` takes that away where something is
told of one of its days later, in the transaction that changes the day, and the period is waiting to be summed up again.
"""

import sqlite3
from collections.abc import Iterator
from itertools import dropwhile

LENGTH_OF_DAY, LENGTH_OF_MONTH, LENGTH_OF_YEAR = 10, 7, 4
UP_TO = ".."

_SUMS = ("calls", "talk_seconds", "cost_micros")
# By what is told apart: the key, that key in the table of the days, and what is summed up.
SUMMED_UP = {
    "extension": ("account_id", "account_id", (*_SUMS, "days")),
    "trunk": ("trunk", "trunk", (*_SUMS, "unanswered", "refused")),
    "hour": ("hour_of_week", "strftime('%w', day) * 24 + hour", _SUMS),
    "destination": ("destination", "destination", _SUMS),
}


def waiting(connection: sqlite3.Connection) -> list[str]:
    """The months (`2026-02`), years and days that are over and not summed up, and the times up to the end of a month.

    They are in the order in which they are to be summed up. A month or day is over where calls of a later one were
    counted, whatever the clock says; the days of a month are summed up with it.
    """
    first, last = connection.execute("SELECT min(day), max(day) FROM daily_trunk_totals").fetchone()
    if first is None:
        return []
    running = last[:LENGTH_OF_MONTH]
    kept = connection.execute(
        "SELECT period FROM finished_periods WHERE length(period) < 10 OR period < '0' OR period >= ?", (running,)
    )
    known = {row[0] for row in kept}
    over = list(months(first, last))
    periods = [period for month in over for period in (month, *([month[:4]] if month.endswith("-12") else []))]
    changed = [month for month in over if not {month, UP_TO + month} <= known]
    since = [UP_TO + month for month in over if changed and month >= changed[0]]
    counted = connection.execute(
        "SELECT DISTINCT day FROM daily_trunk_totals WHERE day >= ? AND day < ? ORDER BY day", (running, last)
    )
    days = dropwhile(lambda day: not changed and {day, UP_TO + day} <= known, [row[0] for row in counted])
    return [*(period for period in periods if period not in known), *since, *days]


def months(first: str, before: str) -> Iterator[str]:
    """The months from that of a day on, up to the one before that of another."""
    number, after = (int(day[:4]) * 12 + int(day[5:7]) - 1 for day in (first, before))
    for month in range(number, after):
        yield f"{month // 12:04d}-{month % 12 + 1:02d}"


def finish(connection: sqlite3.Connection, period: str) -> None:
    """Sum up one of those that wait: a month out of its days, a year out of its months, of which those wait no more.

    The time up to the end of a month is the month and the time before it, which is summed up first. A day goes with the
    time up to its end.
    """
    if len(period) == LENGTH_OF_YEAR:
        for month in waiting_months(connection, period):
            finish(connection, month)
    if len(period) == LENGTH_OF_DAY:
        _draw_line(connection, period, "daily_extension_totals", "day = ?", (period,))
        finish(connection, UP_TO + period)
        return
    for kind in SUMMED_UP:
        if len(period) == LENGTH_OF_MONTH:
            _forget_times_within(connection, kind, period)
        if len(period) == len(UP_TO) + LENGTH_OF_DAY:
            _add_days(connection, kind, period)
        else:
            _sum_up(connection, kind, period)
    if len(period) == LENGTH_OF_MONTH:
        _finish_days(connection, period)
    if len(period) != LENGTH_OF_YEAR:
        since = UP_TO + period.removeprefix(UP_TO)
        connection.execute("DELETE FROM finished_periods WHERE period BETWEEN ? AND '..~'", (since,))
    _draw_line(connection, period, "finished_extension_totals", "period = ?", (period,))


def _sum_up(connection: sqlite3.Connection, kind: str, period: str) -> None:
    key, daily_key, sums = SUMMED_UP[kind]
    source, key_there, condition = f"finished_{kind}_totals", key, "period BETWEEN ? AND ?"
    bounds = (f"{period}-", f"{period}-~")
    if len(period) == LENGTH_OF_MONTH:
        source, key_there, condition = f"daily_{kind}_totals", daily_key, "day BETWEEN ? AND ?"
    elif period.startswith(UP_TO):
        month = period.removeprefix(UP_TO)
        condition, bounds = "period IN (?, ?)", (month, UP_TO + _month_before(month))
    added_up = ", ".join(f"sum({name})" for name in sums)
    connection.execute(f"DELETE FROM finished_{kind}_totals WHERE period = ?", (period,))  # noqa: S608
    connection.execute(
        f"""INSERT INTO finished_{kind}_totals (period, {key}, {", ".join(sums)})
            SELECT ?, {key_there}, {added_up} FROM {source} WHERE {condition} GROUP BY 2""",  # noqa: S608
        (period, *bounds),
    )


def _add_days(connection: sqlite3.Connection, kind: str, time: str) -> None:
    """The time up to the end of a day: the newest such sum before it, and the days since."""
    key, daily_key, sums = SUMMED_UP[kind]
    newest = "SELECT coalesce(max(period), '') FROM finished_periods WHERE period >= ? AND period < ?"
    before = connection.execute(newest, (UP_TO, time)).fetchone()[0]
    names, added_up = ", ".join(sums), ", ".join(f"sum({name})" for name in sums)
    connection.execute(f"DELETE FROM finished_{kind}_totals WHERE period = ?", (time,))  # noqa: S608
    connection.execute(
        f"""INSERT INTO finished_{kind}_totals (period, {key}, {names})
            SELECT ?, told_apart, {added_up} FROM (
                SELECT {key} AS told_apart, {names} FROM finished_{kind}_totals WHERE period = ?
                UNION ALL
                SELECT {daily_key}, {names} FROM daily_{kind}_totals WHERE day > ? AND day <= ?
            ) GROUP BY 2""",  # noqa: S608
        (time, before, before and f"{before.removeprefix(UP_TO)}~", time.removeprefix(UP_TO)),
    )


def _forget_times_within(connection: sqlite3.Connection, kind: str, month: str) -> None:
    """The times up to the end of each of its days, which that up to its own end takes the place of."""
    connection.execute(
        f"DELETE FROM finished_{kind}_totals WHERE period BETWEEN ? AND ?",  # noqa: S608
        (f"{UP_TO}{month}-", f"{UP_TO}{month}-~"),
    )


def _month_before(month: str) -> str:
    year, number = int(month[:4]), int(month[5:])
    return f"{year - 1:04d}-12" if number == 1 else f"{year:04d}-{number - 1:02d}"


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
