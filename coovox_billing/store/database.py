"""The database file and its one write door.

`write(job)` runs `job(connection)` in a savepoint of its own inside a grouped
`BEGIN IMMEDIATE`, on the process's only writer thread; it returns after the
commit is on disk. Nobody else opens a transaction, but for the call plane, whose
door is `loop_database`. Measured reasons: DESIGN §2, FLOORS.md 3c (several writer
connections starve each other for seconds).
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TypeVar

from coovox_billing.errors import SetupError
from coovox_billing.small_files import opened_lock
from coovox_billing.store.database_file import FILE_NAME, OPENING_LOCK, existing, refuse_link_of_another
from coovox_billing.store.schema import Upgrade, bring_up_to_date
from coovox_billing.store.write_group import MAX_GROUP, Job, abandon, run_group

__all__ = ["BUSY_TIMEOUT_MS", "FILE_NAME", "Database", "alone", "connect", "existing", "open_database", "upgrade"]

T = TypeVar("T")

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
        return read_apart(self.path, job)

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


def read_apart(path: Path, job: Callable[[sqlite3.Connection], T]) -> T:
    """Run a job that only reads on a connection and a snapshot of its own, without a write door.

    Raises:
        sqlite3.Error: there is no database, or it cannot be read.
    """
    connection = connect(existing(path))
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("BEGIN")
        return job(connection)
    finally:
        connection.close()


def write_apart(path: Path, job: Callable[[sqlite3.Connection], T]) -> T:
    """Run a job in a transaction of its own, on a connection of its own: for what is long and seldom, beside a door.

    Raises:
        sqlite3.Error: there is no database, or it cannot be written.
        whatever the job raises: nothing is then changed.
    """
    connection = connect(existing(path))
    try:
        connection.execute("BEGIN IMMEDIATE")
        result = job(connection)
        connection.execute("COMMIT")
        return result
    finally:
        connection.close()


def open_database(directory: Path) -> Database:
    """The database of a data directory, made or brought to this version if need be.

    Raises:
        SetupError: the directory cannot be used, or the file is of a newer version or no database.
    """
    with _usable(directory), alone(directory):
        refuse_link_of_another(directory / FILE_NAME)
        bring_up_to_date(directory / FILE_NAME)
        return Database(directory / FILE_NAME)


def upgrade(directory: Path) -> Upgrade | None:
    """Bring the database of a data directory to this version; what was done to one that was older.

    Raises:
        SetupError: as `open_database`.
    """
    with _usable(directory), alone(directory):
        refuse_link_of_another(directory / FILE_NAME)
        return bring_up_to_date(directory / FILE_NAME)


@contextmanager
def _usable(directory: Path) -> Iterator[None]:
    """Make the directory if it is missing, and tell what keeps it from being used."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield
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
def alone(directory: Path) -> Iterator[None]:
    """Keeps other processes from opening at the same time: making a file WAL does not wait for them (SQLITE_BUSY)."""
    with opened_lock(directory / OPENING_LOCK) as lock:
        flock(lock, LOCK_EX)
        yield


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
