"""PINs of extensions, as plain SQL inside `Database.write`, or `Database.read` where it only reads."""

import sqlite3


def pin_hash(connection: sqlite3.Connection, account_id: int) -> str | None:
    """What is kept of an account's PIN, None where it has none."""
    row = connection.execute("SELECT hash FROM pins WHERE account_id = ?", (account_id,)).fetchone()
    return None if row is None else str(row["hash"])


def replace_pin(connection: sqlite3.Connection, account_id: int, pin_hash: str, now_ms: int) -> None:
    """Let this be what is kept of an account's PIN, and nothing before."""
    connection.execute(
        "INSERT INTO pins (account_id, hash, set_at_ms) VALUES (?, ?, ?)"
        " ON CONFLICT (account_id) DO UPDATE SET hash = excluded.hash, set_at_ms = excluded.set_at_ms",
        (account_id, pin_hash, now_ms),
    )


def forget_pin(connection: sqlite3.Connection, account_id: int) -> bool:
    """Forget an account's PIN; whether it had one."""
    return connection.execute("DELETE FROM pins WHERE account_id = ?", (account_id,)).rowcount > 0


def newest_call(connection: sqlite3.Connection) -> int:
    """The id of the newest call that is not archived, 0 where there is none."""
    return int(connection.execute("SELECT coalesce(max(id), 0) FROM calls").fetchone()[0])
