"""Trying out whether a database can be read and written, without leaving anything in it.

Never makes a file, and never waits longer than it was told: SQLite's own
wait for a lock is ten seconds, which no page and no monitor has.
"""

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from coovox_billing.store import reads
from coovox_billing.store.database import existing


class Trouble(Enum):
    """Why a database cannot be used."""

    MISSING = "missing"
    CLOSED = "closed"
    READ_ONLY = "read-only"
    LOCKED = "locked"
    DAMAGED = "damaged"
    FULL = "full"
    FAILING = "failing"


_TROUBLE_OF_CODE = {
    sqlite3.SQLITE_BUSY: Trouble.LOCKED,
    sqlite3.SQLITE_CANTOPEN: Trouble.CLOSED,
    sqlite3.SQLITE_PERM: Trouble.CLOSED,
    sqlite3.SQLITE_AUTH: Trouble.CLOSED,
    sqlite3.SQLITE_READONLY: Trouble.READ_ONLY,
    sqlite3.SQLITE_NOTADB: Trouble.DAMAGED,
    sqlite3.SQLITE_CORRUPT: Trouble.DAMAGED,
    sqlite3.SQLITE_FULL: Trouble.FULL,
    sqlite3.SQLITE_IOERR: Trouble.FAILING,
}


@dataclass(frozen=True, slots=True)
class Trial:
    """What trying it out has shown; `detail` is SQLite's own word. `newest_record_ms`, `schema`: 0 where not known."""

    trouble: Trouble | None
    detail: str = ""
    waited_seconds: float = 0.0
    newest_record_ms: int = 0
    schema: int = 0


def try_out(path: Path, wait_ms: int) -> Trial:
    """Read, and write without a commit, waiting for others at most so long."""
    try:
        if path.stat().st_size == 0:
            return Trial(Trouble.MISSING, f"{path} is empty")
    except FileNotFoundError:
        return Trial(Trouble.MISSING, f"there is no {path}")
    except OSError as error:
        return Trial(Trouble.CLOSED, error.strerror or "")
    began = time.monotonic()
    newest_ms = schema = 0
    try:
        with closing(_open(path, wait_ms)) as connection:
            schema = int(connection.execute("PRAGMA user_version").fetchone()[0])
            newest_ms = reads.newest_record_ms(connection)
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("UPDATE site SET value = value WHERE name = 'database_id'")
            connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        return Trial(trouble_of(error) or Trouble.DAMAGED, str(error), time.monotonic() - began, newest_ms, schema)
    return Trial(None, "", time.monotonic() - began, newest_ms, schema)


def trouble_of(error: BaseException) -> Trouble | None:
    """What kind of trouble with the database an error tells of, itself or by what it came from; None for another."""
    found: BaseException | None = error
    while found is not None:
        code = getattr(found, "sqlite_errorcode", None)
        if code is not None:
            return _TROUBLE_OF_CODE.get(code & 0xFF)
        found = found.__cause__ or found.__context__
    return None


def faults_of_pages(connection: sqlite3.Connection) -> list[str]:
    """What SQLite finds wrong with the file's pages, in its own words; empty where all is well."""
    try:
        found = [str(row[0]) for row in connection.execute("PRAGMA quick_check(3)")]
    except sqlite3.DatabaseError as error:
        if trouble_of(error) is not Trouble.DAMAGED:
            raise
        return [str(error)]
    return [] if found == ["ok"] else found


def lost_calls_since(connection: sqlite3.Connection, since_ms: int) -> int:
    """How many calls asked for since an instant were closed by rule, because nobody knew how they ended."""
    return _count(
        connection,
        "SELECT count(*) FROM calls WHERE asked_at_ms >= ? AND ' ' || flags || ' ' LIKE '% lost %'",
        since_ms,
    )


def open_calls_before(connection: sqlite3.Connection, before_ms: int) -> int:
    """How many calls in progress were asked for before an instant."""
    return _count(
        connection,
        "SELECT count(*) FROM calls WHERE asked_at_ms < ? AND state IN ('held', 'talking')",
        before_ms,
    )


def _open(path: Path, wait_ms: int) -> sqlite3.Connection:
    connection = sqlite3.connect(existing(path), uri=True, isolation_level=None)
    connection.execute(f"PRAGMA busy_timeout = {wait_ms}")
    return connection


def _count(connection: sqlite3.Connection, query: str, instant_ms: int) -> int:
    return int(connection.execute(query, (instant_ms,)).fetchone()[0])
