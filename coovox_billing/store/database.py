"""The database file and its one write door.

`write(job)` runs `job(connection)` in a savepoint of its own inside a grouped
`BEGIN IMMEDIATE`, on the process's only writer thread; it returns after the
commit is on disk. Nobody else opens a transaction, but for the call plane, whose
door is `loop_database`. Measured reasons: DESIGN §2, FLOORS.md 3c (several writer
connections starve each other for seconds).
"""

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TypeVar

from coovox_billing.errors import SetupError
from coovox_billing.store.write_group import MAX_GROUP, Job, abandon, run_group

T = TypeVar("T")

FILE_NAME = "coovox-billing.sqlite3"
BUSY_TIMEOUT_MS = 10_000
# A WAL that is kept is written over, which costs the file system no journal; it is twice what a checkpoint waits for.
MOST_WAL_BYTES = 8 * 1024 * 1024


class Database:
    """The write door of one database file. Safe to share between threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = connect(path)
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._writer = threading.Thread(target=self._serve, name="database-writer", daemon=True)
        self._writer.start()

    def write(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run the job, wait until it is on disk, return what it returned.

        Raises:
            whatever the job raises: its own changes are then undone, others' are not.
        """
        return self.submit(job).result()

    def read(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run a job that only reads, on a snapshot of its own: no write waits for it, however long it takes."""
        connection = connect(existing(self.path))
        try:
            connection.execute("PRAGMA query_only = ON")
            connection.execute("BEGIN")
            return job(connection)
        finally:
            connection.close()

    def submit(self, job: Callable[[sqlite3.Connection], T]) -> "Future[T]":
        """Like `write`, without waiting."""
        done: Future[T] = Future()
        self._queue.put(Job(job, done))
        return done

    def close(self) -> None:
        """Finish what was submitted and let the file go."""
        self._queue.put(None)
        self._writer.join()
        self._connection.close()

    def __enter__(self) -> "Database":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _serve(self) -> None:
        while (first := self._queue.get()) is not None:
            group, is_last = self._gather(first)
            self._commit(group)
            for job in group:
                if job.done.set_running_or_notify_cancel():
                    job.tell()
            if is_last:
                return

    def _gather(self, first: Job) -> tuple[list[Job], bool]:
        group = [first]
        try:
            while len(group) < MAX_GROUP:
                job = self._queue.get_nowait()
                if job is None:
                    return group, True
                group.append(job)
        except Empty:
            pass
        return group, False

    def _commit(self, group: list[Job]) -> None:
        try:
            run_group(self._connection, group)
            self._connection.execute("COMMIT")
        except Exception as error:
            # Whatever it is, nobody may wait for ever for a writer that has died of it.
            abandon(self._connection, group, error)


def open_database(directory: Path) -> Database:
    """The database of a data directory, made or migrated to this version if need be.

    Raises:
        SetupError: the directory cannot be used, or the file is of a newer version or no database.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = directory / FILE_NAME
        with _alone(directory):
            _migrate(path)
            return Database(path)
    except (FileExistsError, NotADirectoryError):
        raise SetupError(
            "%(directory)s is no directory: name the data directory with --data", directory=directory
        ) from None
    except OSError as error:
        raise SetupError(
            "cannot use the data directory %(directory)s: %(reason)s; give another with --data",
            directory=directory,
            reason=error.strerror,
        ) from None
    except sqlite3.Error as error:
        raise SetupError(
            "cannot open the database in %(directory)s: %(error)s", directory=directory, error=error
        ) from None


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Keeps other processes from opening at the same time: making a file WAL does not wait for them (SQLITE_BUSY)."""
    with (directory / "opening.lock").open("w") as lock:
        flock(lock, LOCK_EX)
        yield


def existing(path: Path) -> str:
    """The address under which SQLite opens a file that is there, and makes none that is not."""
    return f"{path.absolute().as_uri()}?mode=rw"


def connect(place: Path | str) -> sqlite3.Connection:
    """A connection that makes its own transactions, with the durability every writer has.

    A path is made where it is not there; an `existing` one is not.
    """
    is_address = isinstance(place, str)
    connection = sqlite3.connect(
        place, isolation_level=None, check_same_thread=False, cached_statements=256, uri=is_address
    )
    connection.row_factory = sqlite3.Row
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA journal_size_limit = {MOST_WAL_BYTES}")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def migrations() -> list[Path]:
    """The numbered SQL files, in order; the n-th brings a database to version n."""
    return sorted((Path(__file__).parent / "migrations").glob("*.sql"))


def _migrate(path: Path) -> None:
    if not path.exists():
        _make(path)
    connection = connect(path)
    try:
        migrate(connection)
        if _version(connection) > len(migrations()):
            raise SetupError("%(path)s was made by a newer version of CooVox Billing: install that version", path=path)
    finally:
        connection.close()


def _make(path: Path) -> None:
    """An empty file, whose empty pages can later be given back in small steps: only a new one can be told so."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a database to this version."""
    for version, script in enumerate(migrations(), start=1):
        if _version(connection) < version:
            _apply(connection, script, version)


def _apply(connection: sqlite3.Connection, script: Path, version: int) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        if _version(connection) < version:
            for statement in _statements(script.read_text(encoding="utf-8")):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {version}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _statements(script: str) -> Iterable[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
