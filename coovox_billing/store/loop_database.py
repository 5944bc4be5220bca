"""The write door of a process that lives in one event loop: the call plane.

Jobs run in the loop itself, for they are short; COMMIT, which waits for the
disk, runs in a thread where the disk is slow, or not yet known to be fast.
What is submitted meanwhile shares the next transaction. A database that
another process has locked never stops the loop.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar

from coovox_billing.store.database import BUSY_TIMEOUT_MS, connect
from coovox_billing.store.write_group import MAX_GROUP, Job, abandon, run_group

T = TypeVar("T")

LOCKED_PAUSE_SECONDS = 0.002
# A commit that takes less is over sooner than a thread has been woken, and has woken the loop again (`make bench`).
FAST_COMMIT_SECONDS = 0.002
UNKNOWN_COMMIT_SECONDS = 0.02
# While several ask at once, who was answered together comes again together, a few turns apart (`make bench`).
TURNS_IN_COMPANY = 4
NEWEST_COMMITS_SHARE = 0.05


class Outcome(asyncio.Future[T]):
    """What becomes of a write. One may be told in the turn of the loop in which it is known, ahead of all callbacks."""

    def __init__(self) -> None:
        super().__init__()
        self._tell_at_once: Callable[[], None] | None = None

    def tell_at_once(self, first: Callable[[], None]) -> None:
        """Who is told first. It must be done with that in no time, and write nothing."""
        if self.done():
            first()
        else:
            self._tell_at_once = first

    def set_result(self, result: T) -> None:
        super().set_result(result)
        if self._tell_at_once is not None:
            self._tell_at_once()

    def set_exception(self, exception: type[BaseException] | BaseException) -> None:
        super().set_exception(exception)
        if self._tell_at_once is not None:
            self._tell_at_once()


class LoopDatabase:
    """The write door of a database file that was opened before. Belongs to the event loop that submits to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = connect(path)
        self._connection.execute("PRAGMA busy_timeout = 0")
        self._ready: SimpleQueue[asyncio.AbstractEventLoop | None] = SimpleQueue()
        self._committer = Thread(target=self._commit_each, name="database-committer", daemon=True)
        self._committer.start()
        self._waiting: list[Job] = []
        self._group: list[Job] = []
        self._patient_until = 0.0
        self._had_company = False
        self._usual_commit_seconds = UNKNOWN_COMMIT_SECONDS

    def submit(self, job: Callable[[sqlite3.Connection], T], deadline: float | None = None) -> Outcome[T]:
        """Run `job(connection)` soon; the future has what it returned once that is on disk.

        The future raises what the job raised, and then nothing of the job was stored. With a `deadline`
        (of `time.monotonic()`), the job is not committed after it: TooLate.
        """
        done: Outcome[T] = Outcome()
        self._waiting.append(Job(job, done, deadline))
        if not self._group and len(self._waiting) == 1:
            # Not at once, so that who asks at the same moment shares the transaction and its wait for the disk.
            asyncio.get_running_loop().call_soon(self._gather, TURNS_IN_COMPANY if self._had_company else 0)
        return done

    def _gather(self, turns: int) -> None:
        """Begin so many turns of the loop later."""
        if turns:
            asyncio.get_running_loop().call_soon(self._gather, turns - 1)
        else:
            self._begin_group()

    async def close(self) -> None:
        """Finish what was submitted and let the file go."""
        while unfinished := [job.done for job in (*self._group, *self._waiting)]:
            await asyncio.wait(unfinished)
        self._ready.put(None)
        self._committer.join()
        self._connection.close()

    def _begin_group(self) -> None:
        self._group, self._waiting = self._waiting[:MAX_GROUP], self._waiting[MAX_GROUP:]
        if self._group:
            self._had_company = len(self._group) > 1
            self._patient_until = time.monotonic() + BUSY_TIMEOUT_MS / 1000
            self._run_group()

    def _run_group(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            run_group(self._connection, self._group)
        except Exception as error:
            if _is_locked(error) and time.monotonic() < self._patient_until:
                loop.call_later(LOCKED_PAUSE_SECONDS, self._run_group)
            else:
                self._finish_group(error)
            return
        if self._usual_commit_seconds < FAST_COMMIT_SECONDS:
            self._finish_group(self._commit())
        else:
            self._ready.put(loop)

    def _commit_each(self) -> None:
        """In the committer's thread; the loop leaves the connection alone until it is told."""
        while (loop := self._ready.get()) is not None:
            loop.call_soon_threadsafe(self._finish_group, self._commit())

    def _commit(self) -> Exception | None:
        """What went wrong, if anything."""
        began = time.monotonic()
        try:
            self._connection.execute("COMMIT")
        except Exception as error:
            return error
        finally:
            took_seconds = time.monotonic() - began
            self._usual_commit_seconds += NEWEST_COMMITS_SHARE * (took_seconds - self._usual_commit_seconds)
        return None

    def _finish_group(self, failure: Exception | None) -> None:
        if failure is not None:
            abandon(self._connection, self._group, failure)
        group, self._group = self._group, []
        for job in group:
            if not job.done.done():
                job.tell()
        self._begin_group()


def _is_locked(error: Exception) -> bool:
    return isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
