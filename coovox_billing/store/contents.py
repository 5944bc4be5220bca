"""What is in a database file that may be of any schema: counts, moments and money, told before it is brought back.

Where a table or a column is not there yet, there is nothing of it.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from coovox_billing.store.database_file import existing, open_plainly


def reading(path: Path) -> sqlite3.Connection:
    """A connection to a file that nobody writes; it makes and changes nothing.

    Raises:
        sqlite3.Error: it is no database.
    """
    connection = open_plainly(f"{path.absolute().as_uri()}?mode=ro&immutable=1")
    connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return connection


def reading_live(path: Path) -> sqlite3.Connection:
    """A connection to a database that others may write, which sees it as it is now and changes nothing.

    Raises:
        sqlite3.Error: it is not there, or is no database.
    """
    connection = open_plainly(existing(path))
    connection.execute("PRAGMA query_only = ON")
    connection.execute("BEGIN")
    return connection


@contextmanager
def changing(path: Path) -> Iterator[sqlite3.Connection]:
    """A transaction on a database that nobody else has open.

    Raises:
        sqlite3.Error: it cannot be written.
    """
    with closing(open_plainly(existing(path))) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.execute("COMMIT")


def row_counts(connection: sqlite3.Connection) -> Mapping[str, int]:
    """The rows of each table, by its name."""
    names = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
    ).fetchall()
    return {name: _number(connection, f'SELECT count(*) FROM "{name}"') for (name,) in names}  # noqa: S608


def newest_moment_ms(connection: sqlite3.Connection) -> int:
    """When something was last asked, paid or changed, ms since 1970 in UTC; 0 where nothing ever was."""
    return max(
        _number(connection, "SELECT max(asked_at_ms) FROM calls"),
        _number(connection, "SELECT max(at_ms) FROM ledger"),
        _number(connection, "SELECT max(at_ms) FROM changes"),
    )


@dataclass(frozen=True, slots=True)
class Money:
    """Of a site: open accounts, and what their balances sum to, in micros."""

    accounts: int
    balance_micros: int


def money(connection: sqlite3.Connection) -> Money:
    """How much is on the open accounts."""
    row = connection.execute(
        "SELECT count(*), coalesce(sum(balance_micros), 0) FROM accounts WHERE closed_at_ms IS NULL"
    ).fetchone()
    return Money(row[0], row[1])


def balances(connection: sqlite3.Connection) -> dict[str, int]:
    """The balance of each open account, in micros, by its extension."""
    rows = connection.execute("SELECT extension, balance_micros FROM accounts WHERE closed_at_ms IS NULL")
    return {row["extension"]: row["balance_micros"] for row in rows}


@dataclass(frozen=True, slots=True)
class Later:
    """What a database has that came after a moment: how much, and what it is worth, in micros."""

    calls: int
    calls_micros: int
    payments: int
    payments_micros: int
    changes: int


def later_than(connection: sqlite3.Connection, moment_ms: int) -> Later:
    """What would be missing if the database were again as it was then."""
    calls = connection.execute(
        "SELECT count(*), coalesce(sum(cost_micros), 0) FROM calls WHERE asked_at_ms > ?", (moment_ms,)
    ).fetchone()
    payments = connection.execute(
        "SELECT count(*), coalesce(sum(amount_micros), 0) FROM ledger WHERE kind = 'recharge' AND at_ms > ?",
        (moment_ms,),
    ).fetchone()
    changes = connection.execute("SELECT count(*) FROM changes WHERE at_ms > ?", (moment_ms,)).fetchone()
    return Later(calls[0], calls[1], payments[0], payments[1], changes[0])


def unsound_pages(connection: sqlite3.Connection) -> str:
    """What SQLite finds wrong with the file itself, empty where it is whole."""
    found = str(connection.execute("PRAGMA integrity_check(1)").fetchone()[0])
    return "" if found == "ok" else found


def _number(connection: sqlite3.Connection, query: str) -> int:
    try:
        return int(connection.execute(query).fetchone()[0] or 0)
    except sqlite3.OperationalError:
        return 0
