"""Writes that share one transaction: one that fails is undone alone, none is committed after its deadline.

Whoever commits them (`database`, `loop_database`) tells each what became of it.
"""

import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from coovox_billing.errors import BillingError

MAX_GROUP = 256


class TooLate(BillingError):
    """A write was not committed because its deadline had passed; nothing was changed."""


@dataclass(slots=True)
class Job:
    """A write that waits to be made. `deadline` is of `time.monotonic()`; `done` is the future of who waits for it."""

    run: Callable[[sqlite3.Connection], Any]
    done: Any
    deadline: float | None = None
    result: Any = None
    error: Exception | None = None

    def is_too_late(self, now: float) -> bool:
        """Whether its deadline has passed. `now` is of `time.monotonic()`."""
        return self.deadline is not None and now > self.deadline

    def tell(self) -> None:
        """Give who waits the result, or the error."""
        if self.error is not None:
            self.done.set_exception(self.error)
        else:
            self.done.set_result(self.result)


def run_group(connection: sqlite3.Connection, group: Sequence[Job]) -> None:
    """Run the jobs in one transaction and leave it open for its COMMIT, with nothing failed or late in it.

    Failures are rare, so all are run without savepoints at first. Where one failed, or its deadline passed
    meanwhile, everything is taken back and run again, each in its savepoint: a job that fails is undone alone
    and carries its error.

    Raises:
        sqlite3.Error: the transaction itself cannot be begun or goes wrong; `abandon` the group.
    """
    connection.execute("BEGIN IMMEDIATE")
    is_clean = _run_until_one_fails(connection, group)
    while not is_clean:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        connection.execute("BEGIN IMMEDIATE")
        is_clean = _run_each_alone(connection, group)


def abandon(connection: sqlite3.Connection, group: Sequence[Job], error: Exception) -> None:
    """Undo the whole transaction; every job carries the error."""
    with suppress(sqlite3.Error):
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    for job in group:
        job.error = job.error or error


def _run_until_one_fails(connection: sqlite3.Connection, group: Sequence[Job]) -> bool:
    """Stops at the first failure, after which the transaction may be gone."""
    try:
        for job in group:
            job.result = job.run(connection)
    except Exception:
        return False
    now = time.monotonic()
    return not any(job.is_too_late(now) for job in group)


def _run_each_alone(connection: sqlite3.Connection, group: Sequence[Job]) -> bool:
    for job in group:
        job.error = _too_late() if job.is_too_late(time.monotonic()) else None
        if job.error is None:
            _run_in_savepoint(connection, job)
    now = time.monotonic()
    return not any(job.error is None and job.is_too_late(now) for job in group)


def _too_late() -> TooLate:
    return TooLate("the database was too slow: the write was given up before it was made")


def _run_in_savepoint(connection: sqlite3.Connection, job: Job) -> None:
    connection.execute("SAVEPOINT job")
    try:
        job.result = job.run(connection)
    except Exception as error:
        job.error = error
        connection.execute("ROLLBACK TO job")
    connection.execute("RELEASE job")
