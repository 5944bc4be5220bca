"""Billing users and second factors, as plain SQL inside `Database.write`, or `Database.read` where it only reads.

Lists for pages and commands are in `lists.people`.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any

from coovox_billing.store.statements import assignments, insert


def user(connection: sqlite3.Connection, name: str) -> sqlite3.Row | None:
    """The billing user of a name."""
    row: sqlite3.Row | None = connection.execute("SELECT * FROM people WHERE name = ?", (name,)).fetchone()
    return row


def count(connection: sqlite3.Connection) -> int:
    """How many billing users there ever were."""
    return int(connection.execute("SELECT count(*) FROM people").fetchone()[0])


def insert_user(connection: sqlite3.Connection, **columns: Any) -> None:
    """Add a billing user."""
    insert(connection, "people", columns)


def update_user(connection: sqlite3.Connection, name: str, **columns: Any) -> None:
    """Change a billing user."""
    values = (*columns.values(), name)
    connection.execute(f"UPDATE people SET {assignments(columns)} WHERE name = ?", values)  # noqa: S608


def end_sessions(connection: sqlite3.Connection, name: str) -> None:
    """Let every session of a billing user end that has begun."""
    connection.execute("UPDATE people SET session_epoch = session_epoch + 1 WHERE name = ?", (name,))


def recharged_micros(connection: sqlite3.Connection, name: str, since_ms: int, until_ms: int) -> int:
    """What somebody recharged from an instant until before another and nobody took back, in micros."""
    row = connection.execute(
        "SELECT coalesce(sum(amount_micros), 0) FROM ledger WHERE call_id IS NULL AND kind = 'recharge' AND actor = ?"
        " AND at_ms >= ? AND at_ms < ? AND NOT EXISTS (SELECT 1 FROM ledger AS later WHERE later.undoes = ledger.id)",
        (name, since_ms, until_ms),
    ).fetchone()
    return int(row[0])


def second_factor(connection: sqlite3.Connection, name: str) -> sqlite3.Row | None:
    """Somebody's second factor, confirmed or not."""
    row: sqlite3.Row | None = connection.execute("SELECT * FROM second_factors WHERE name = ?", (name,)).fetchone()
    return row


def replace_second_factor(connection: sqlite3.Connection, name: str, secret: str) -> None:
    """Let this be somebody's second factor, not yet confirmed, and forget the one before."""
    forget_second_factor(connection, name)
    connection.execute("INSERT INTO second_factors (name, secret) VALUES (?, ?)", (name, secret))


def forget_second_factor(connection: sqlite3.Connection, name: str) -> bool:
    """Forget somebody's second factor and its recovery codes; whether there was one."""
    return connection.execute("DELETE FROM second_factors WHERE name = ?", (name,)).rowcount > 0


def confirm_second_factor(connection: sqlite3.Connection, name: str) -> None:
    """From now on signing in asks for it."""
    connection.execute("UPDATE second_factors SET confirmed = 1 WHERE name = ?", (name,))


def use_step(connection: sqlite3.Connection, name: str, step: int) -> bool:
    """Use the code of a step of 30 s since 1970; whether no code of it or of a later one was used before."""
    found = connection.execute(
        "UPDATE second_factors SET last_step = ? WHERE name = ? AND last_step < ?", (step, name, step)
    )
    return found.rowcount > 0


def replace_recovery_codes(connection: sqlite3.Connection, name: str, hashes: Sequence[str]) -> None:
    """Let these be somebody's recovery codes, and none before."""
    connection.execute("DELETE FROM recovery_codes WHERE name = ?", (name,))
    connection.executemany(
        "INSERT INTO recovery_codes (name, hash) VALUES (?, ?)", [(name, one_hash) for one_hash in hashes]
    )


def use_recovery_code(connection: sqlite3.Connection, name: str, code_hash: str, now_ms: int) -> bool:
    """Use a recovery code; whether it is there and was not used before."""
    found = connection.execute(
        "UPDATE recovery_codes SET used_at_ms = ? WHERE name = ? AND hash = ? AND used_at_ms IS NULL",
        (now_ms, name, code_hash),
    )
    return found.rowcount > 0


def recovery_codes_left(connection: sqlite3.Connection, name: str) -> int:
    """How many recovery codes somebody has not used."""
    row = connection.execute("SELECT count(*) FROM recovery_codes WHERE name = ? AND used_at_ms IS NULL", (name,))
    return int(row.fetchone()[0])
