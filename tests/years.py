"""Years of calls, made by SQL alone out of one that was really made: as sound as if each had been made too."""

import sqlite3

from coovox_billing.core.clock import UNKNOWN
from coovox_billing.services import calls, payments, settlement
from coovox_billing.store.database import Database
from tests import cast

MINUTE_MS = 60_000
_PATTERN = "pattern"
_TALK_SECONDS = 238
_OWN_COLUMNS = {
    "id": "NULL",
    "call_id": "printf('past-%013d', i)",
    "number": "'9' || (900000000 + i * 7919 % 99999999)",
    "number_dialed": "'9' || (900000000 + i * 7919 % 99999999)",
    "asked_at_ms": "asked_at_ms - :back * i",
    "ringing_at_ms": "ringing_at_ms - :back * i",
    "answered_at_ms": "answered_at_ms - :back * i",
    "ended_at_ms": "ended_at_ms - :back * i",
    "local_day": "date((asked_at_ms - :back * i) / 1000, 'unixepoch', '+1 hour')",
    "local_hour": "CAST(strftime('%H', (asked_at_ms - :back * i) / 1000, 'unixepoch', '+1 hour') AS INTEGER)",
}
_NUMBERS = "WITH RECURSIVE n (i) AS (SELECT :many UNION ALL SELECT i - 1 FROM n WHERE i > 1)"


def go_by(database: Database, many: int, minutes_apart: int, now_ms: int = cast.NOW_MS) -> None:
    """Reception made so many answered calls before now, each paid from a recharge before them."""
    database.write(lambda connection: _go_by(connection, many, minutes_apart * MINUTE_MS, now_ms))


def _go_by(connection: sqlite3.Connection, many: int, back_ms: int, now_ms: int) -> None:
    question = cast.a_question(_PATTERN, stamp_ms=now_ms, trunk="FXO-1")
    calls.authorize(connection, question, now_ms)
    leg = cast.a_leg(talked=_TALK_SECONDS, rang=7, rang_ms=800, asked_ms=now_ms, trunk="FXO-1")
    settlement.settle(connection, _PATTERN, leg, UNKNOWN, leg.ended_ms)
    cost = connection.execute("SELECT cost_micros FROM calls WHERE call_id = ?", (_PATTERN,)).fetchone()[0]
    payments.recharge(connection, "100", many * cost, cast.MANAGER)
    columns = [row["name"] for row in connection.execute("PRAGMA table_info(calls)")]
    values = ", ".join(_OWN_COLUMNS.get(column, column) for column in columns)
    facts = {"many": many, "back": back_ms, "cost": cost, "pattern": _PATTERN}
    connection.execute(
        f"{_NUMBERS} INSERT INTO calls SELECT {values} FROM n, calls WHERE call_id = :pattern ORDER BY i DESC",
        facts,
    )
    connection.execute(
        "INSERT INTO ledger (account_id, kind, amount_micros, balance_before_micros, balance_after_micros, call_id,"
        " actor, at_ms) SELECT account_id, 'call', -:cost,"
        " balance_micros - :cost * (row_number() OVER (ORDER BY calls.id) - 1),"
        " balance_micros - :cost * row_number() OVER (ORDER BY calls.id), call_id, 'calls', ended_at_ms"
        " FROM calls JOIN accounts ON accounts.id = account_id WHERE call_id LIKE 'past-%'",
        facts,
    )
    connection.execute(
        "UPDATE accounts SET balance_micros = balance_micros - :many * :cost WHERE extension = '100'", facts
    )
    for table, column, counted_by in (
        ("daily_extension_totals", "account_id", "account_id"),
        ("daily_trunk_totals", "trunk", "trunk"),
        ("daily_hour_totals", "hour", "local_hour"),
        ("daily_destination_totals", "destination", "destination"),
    ):
        connection.execute(
            f"INSERT INTO {table} (day, {column}, calls, talk_seconds, cost_micros)"
            f" SELECT local_day, {counted_by}, count(*), sum(talk_seconds), sum(cost_micros) FROM booked_calls"
            f" WHERE call_id <> :pattern AND call_id LIKE 'past-%' GROUP BY local_day, {counted_by}"
            f" ON CONFLICT (day, {column}) DO UPDATE SET calls = calls + excluded.calls,"
            " talk_seconds = talk_seconds + excluded.talk_seconds, cost_micros = cost_micros + excluded.cost_micros",
            facts,
        )
