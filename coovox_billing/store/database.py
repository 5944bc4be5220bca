"""The database file and its one write door.

`write(job)` runs `job(connection)` in a savepoint of its own inside a grouped
`BEGIN IMMEDIATE`, on the process's only writer thread; it returns after the
commit is on disk. Nobody else opens a transaction. Measured reasons: DESIGN §2,
FLOORS.md 3c (several writer connections starve each other for seconds).
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fcntl import LOCK_EX, flock
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from coovox_billing.errors import BillingError, SetupError

T = TypeVar("T")

FILE_NAME = "coovox-billing.sqlite3"
BUSY_TIMEOUT_MS = 10_000
MAX_GROUP = 256


class TooLate(BillingError):
    """A write was not committed because its deadline had passed; nothing was changed."""


@dataclass(slots=True)
class _Job(Generic[T]):
    run: Callable[[sqlite3.Connection], T]
    deadline: float | None
    done: "Future[T]" = field(default_factory=Future)
    result: Any = None
    error: BaseException | None = None

    def is_too_late(self) -> bool:
        return self.deadline is not None and time.monotonic() > self.deadline

    def resolve(self) -> None:
        if not self.done.set_running_or_notify_cancel():
            return
        if self.error is not None:
            self.done.set_exception(self.error)
        else:
            self.done.set_result(self.result)


class Database:
    """The write door of one database file. Safe to share between threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = connect(path)
        self._queue: SimpleQueue[_Job[Any] | None] = SimpleQueue()
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
        connection = connect(self.path)
        try:
            connection.execute("PRAGMA query_only = ON")
            connection.execute("BEGIN")
            return job(connection)
        finally:
            connection.close()

    def submit(self, job: Callable[[sqlite3.Connection], T], deadline: float | None = None) -> "Future[T]":
        """Like `write`, without waiting.

        With a `deadline` (of `time.monotonic()`), the job is not committed after it: TooLate.
        """
        waiting: _Job[T] = _Job(job, deadline)
        self._queue.put(waiting)
        return waiting.done

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
                job.resolve()
            if is_last:
                return

    def _gather(self, first: _Job[Any]) -> tuple[list[_Job[Any]], bool]:
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

    def _commit(self, group: list[_Job[Any]]) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for job in group:
                self._run_in_savepoint(job)
            if any(job.error is None and job.is_too_late() for job in group):
                self._connection.execute("ROLLBACK")
                self._commit_those_in_time(group)
                return
            self._connection.execute("COMMIT")
        except Exception as error:
            # Whatever it is, nobody may wait for ever for a writer that has died of it.
            self._abandon(group, error)

    def _commit_those_in_time(self, group: list[_Job[Any]]) -> None:
        """Run again, from a clean start, those whose deadline has not passed."""
        for job in group:
            job.error = _too_late() if job.is_too_late() else None
        self._commit([job for job in group if job.error is None])

    def _run_in_savepoint(self, job: _Job[Any]) -> None:
        if job.is_too_late():
            job.error = _too_late()
            return
        self._connection.execute("SAVEPOINT job")
        try:
            job.result = job.run(self._connection)
        except Exception as error:
            job.error = error
            self._connection.execute("ROLLBACK TO job")
        self._connection.execute("RELEASE job")

    def _abandon(self, group: Iterable[_Job[Any]], error: Exception) -> None:
        with suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        for job in group:
            job.error = job.error or error


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
        raise SetupError(f"{directory} is no directory: name the data directory with --data") from None
    except OSError as error:
        raise SetupError(
            f"cannot use the data directory {directory}: {error.strerror}; give another with --data"
        ) from None
    except sqlite3.Error as error:
        raise SetupError(f"cannot open the database in {directory}: {error}") from None


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Keeps other processes from opening at the same time: making a file WAL does not wait for them (SQLITE_BUSY)."""
    with (directory / "opening.lock").open("w") as lock:
        flock(lock, LOCK_EX)
        yield


def connect(path: Path) -> sqlite3.Connection:
    """A connection that makes its own transactions, with the durability every writer has."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
    connection.row_factory = sqlite3.Row
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def migrations() -> list[Path]:
    """The numbered SQL files, in order; the n-th brings a database to version n."""
    return sorted((Path(__file__).parent / "migrations").glob("*.sql"))


def _too_late() -> TooLate:
    return TooLate("the database was too slow: the write was given up before it was made")


def _migrate(path: Path) -> None:
    connection = connect(path)
    try:
        migrate(connection)
        if _version(connection) > len(migrations()):
            raise SetupError(f"{path} was made by a newer version of CooVox Billing: install that version")
    finally:
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
