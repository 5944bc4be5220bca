"""Writes that share one transaction: each in a savepoint of its own, none committed after its deadline.

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
    error: BaseException | None = None

    @property
    def is_too_late(self) -> bool:
        """Whether its deadline has passed."""
        return self.deadline is not None and time.monotonic() > self.deadline


def run_group(connection: sqlite3.Connection, group: Sequence[Job]) -> None:
    """Run the jobs in one transaction and leave it open for its COMMIT, with nothing late in it.

    A job that fails is undone alone and carries its error. Jobs that ran together with one whose deadline
    passed meanwhile are run again without it, from a clean start.

    Raises:
        sqlite3.Error: the transaction itself cannot be begun or goes wrong; `abandon` the group.
    """
    while True:
        connection.execute("BEGIN IMMEDIATE")
        for job in group:
            _run_in_savepoint(connection, job)
        if not any(job.error is None and job.is_too_late for job in group):
            return
        connection.execute("ROLLBACK")


def abandon(connection: sqlite3.Connection, group: Sequence[Job], error: Exception) -> None:
    """Undo the whole transaction; every job carries the error."""
    with suppress(sqlite3.Error):
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    for job in group:
        job.error = job.error or error


def _run_in_savepoint(connection: sqlite3.Connection, job: Job) -> None:
    if job.is_too_late:
        job.error = TooLate("the database was too slow: the write was given up before it was made")
        return
    job.error = None
    connection.execute("SAVEPOINT job")
    try:
        job.result = job.run(connection)
    except Exception as error:
        job.error = error
        connection.execute("ROLLBACK TO job")
    connection.execute("RELEASE job")
