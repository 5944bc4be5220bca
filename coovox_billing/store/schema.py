"""Which version of the schema a database has, and how it is brought to this program's: wholly, or not at all.

Before a database is changed it is copied. It is changed in one transaction, by a
program that has it for itself: an old plane that still ran would write what the
new schema does not know. Whatever fails, the database stays what it was.
"""

import re
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from coovox_billing.errors import SetupError
from coovox_billing.sentences import Sentence
from coovox_billing.store import snapshot
from coovox_billing.store.database_file import existing, open_plainly
from coovox_billing.store.file_locks import users_of

BACKUPS = "backups"
# So long a program waits for others that have the database open, such as planes that were told to end.
WAIT_SECONDS = 10.0
# Copies of so many earlier schemas are kept, of each the newest.
COPIES_KEPT = 2
# What a transaction needs beside what it changes.
MARGIN_BYTES = 2_000_000

_COPY_NAME = re.compile(r"upgrade-from-schema-([0-9]{1,4})-([0-9]{8}T[0-9]{6}Z)(-[0-9]{1,3})?\.sqlite3")


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What was done to a database: from which schema to which, and where it is kept as it was before."""

    before: int
    after: int
    copy: Path


def migrations() -> list[Path]:
    """The numbered SQL files, in order; the n-th brings a database to version n."""
    return sorted((Path(__file__).parent / "migrations").glob("*.sql"))


def known_version() -> int:
    """The schema of this program."""
    return len(migrations())


def version(connection: sqlite3.Connection) -> int:
    """The schema of a database; 0 for an empty one."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def version_of(path: Path) -> int:
    """The schema of a database file; 0 where there is none, or an empty one.

    Raises:
        SetupError: it is the database of another program.
        sqlite3.Error: it is none, or cannot be read.
    """
    if not path.exists() or path.stat().st_size == 0:
        return 0
    with closing(open_plainly(existing(path))) as connection:
        found = version(connection)
        if found == 0 and connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise SetupError("%(path)s is the database of another program: move it away", path=path)
    return found


def bring_up_to_date(path: Path) -> Upgrade | None:
    """Bring a database to this program's schema; what was done to one that was older. The caller keeps others out.

    Raises:
        SetupError: it is newer, others use it, there is no room, or it could not be done. It is what it was then.
        sqlite3.Error: it is no database, or cannot be read.
    """
    found, known = version_of(path), known_version()
    if found > known:
        raise SetupError("%(sentence)s", sentence=_newer(path, found, known))
    if found == known:
        return None
    if found == 0:
        with closing(open_plainly(path)) as connection:
            # Pages that become empty can be given back in small steps: only a new file can be told so.
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            migrate(connection)
        return None
    return _upgrade(path, found, known)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring what a connection writes to this program's schema, in one transaction.

    Raises:
        sqlite3.Error: a migration failed; nothing was changed.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        for number, script in enumerate(migrations(), start=1):
            if version(connection) < number:
                for statement in _statements(script.read_text(encoding="utf-8")):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def alone_with(path: Path, wait_seconds: float | None = None) -> Iterator[sqlite3.Connection]:
    """A connection to a database that nobody else has open, nor can open until the block ends.

    Raises:
        SetupError: somebody still has it open after so long, `WAIT_SECONDS` where it is not told.
    """
    deadline = time.monotonic() + (WAIT_SECONDS if wait_seconds is None else wait_seconds)
    while True:
        connection = open_plainly(existing(path))
        try:
            connection.execute("PRAGMA busy_timeout = 0")
            # Set before the first access: then it takes the lock that every other connection shares while it is open.
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("BEGIN EXCLUSIVE")
            connection.execute("COMMIT")
            break
        # Not of OperationalError alone: left open, one that is no database would be locked by ourselves.
        except sqlite3.DatabaseError as error:
            connection.close()
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            if time.monotonic() > deadline:
                raise SetupError(
                    "the database %(path)s is in use by %(users)s: stop billing, then repeat",
                    hint="systemctl stop coovox-billing-calls coovox-billing-web",
                    path=path,
                    users=" and ".join(users_of(path)) or "another program",
                ) from None
            time.sleep(0.1)
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        yield connection
    finally:
        connection.close()


def leave_no_log(connection: sqlite3.Connection) -> None:
    """Make a database that nobody else has open one file: its log would be taken for that of what comes in its place.

    Raises:
        sqlite3.Error: it cannot be written.
    """
    connection.execute("PRAGMA journal_mode = DELETE")


def needed_bytes(path: Path) -> int:
    """The room that an upgrade of a database needs on its disk: for the copy, and for what is rewritten."""
    return 2 * snapshot.bytes_of(path) + MARGIN_BYTES


def copies(directory: Path) -> list[Path]:
    """What was kept in a data directory before upgrades, the one of the newest schema first."""
    found = [path for path in (directory / BACKUPS).glob("*.sqlite3") if _COPY_NAME.fullmatch(path.name)]
    return sorted(found, key=_copy_order, reverse=True)


def _upgrade(path: Path, found: int, known: int) -> Upgrade:
    needed, free = needed_bytes(path), snapshot.free_bytes_of(path.parent)
    if free < needed:
        raise SetupError(
            "there is no room to upgrade the database %(path)s: %(needed)s MB are needed and %(free)s MB are free; "
            "free some space, then repeat",
            path=path,
            needed=snapshot.megabytes(needed),
            free=snapshot.megabytes(free),
        )
    with alone_with(path) as connection:
        try:
            kept = _keep_copy(connection, path, found)
            migrate(connection)
        except (OSError, sqlite3.Error) as error:
            raise SetupError(
                "the database %(path)s could not be brought from schema %(found)s to %(known)s: %(error)s. Nothing "
                "was changed: the version of CooVox Billing before goes on with it",
                path=path,
                found=found,
                known=known,
                error=error,
            ) from error
    return Upgrade(found, known, kept)


def _keep_copy(connection: sqlite3.Connection, path: Path, found: int) -> Path:
    """Copy it; then what earlier upgrades kept goes, but for the newest copy of the newest other schema."""
    directory = path.parent / BACKUPS
    stamp = datetime.fromtimestamp(time.time(), UTC).strftime("%Y%m%dT%H%M%SZ")
    for unfinished in directory.glob(f"upgrade-from-schema-*{snapshot.UNFINISHED}"):
        unfinished.unlink(missing_ok=True)
    kept = _free_name(directory, f"upgrade-from-schema-{found}-{stamp}")
    snapshot.copy_through(connection, kept)
    schemas = {found}
    for other in copies(path.parent):
        schema = _schema_of(other)
        if other != kept and (schema in schemas or len(schemas) >= COPIES_KEPT):
            with suppress(OSError):
                other.unlink()
        schemas.add(schema)
    return kept


def _free_name(directory: Path, stem: str) -> Path:
    """The clock may tell the same time twice."""
    endings = ("", *(f"-{number}" for number in range(2, 1000)))
    return next(path for ending in endings if not (path := directory / f"{stem}{ending}.sqlite3").exists())


def _copy_order(path: Path) -> tuple[int, str, int]:
    match = _COPY_NAME.fullmatch(path.name)
    return (int(match[1]), match[2], int((match[3] or "-1")[1:])) if match else (0, "", 0)


def _schema_of(path: Path) -> int:
    return _copy_order(path)[0]


def _newer(path: Path, found: int, known: int) -> Sentence:
    what = Sentence(
        "the database %(path)s was made by a newer version of CooVox Billing (schema %(found)s, this one knows "
        "%(known)s)",
        path=path,
        found=found,
        known=known,
    )
    fitting = [copy for copy in copies(path.parent) if _schema_of(copy) <= known]
    if not fitting:
        return Sentence("%(what)s: install that version again, or restore a backup of this one", what=what)
    return Sentence(
        "%(what)s: install that version again; or go back to what was there before the upgrade and lose what came "
        "after it, with: coovox-billing restore %(copy)s",
        what=what,
        copy=fitting[0],
    )


def _statements(script: str) -> Iterable[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
