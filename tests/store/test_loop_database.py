"""The call plane's write door: in time or not at all, and never in the way of its event loop."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from coovox_billing.store.database import FILE_NAME, open_database
from coovox_billing.store.loop_database import LoopDatabase
from coovox_billing.store.write_group import MAX_GROUP, TooLate
from tests.cast import locked, look_up
from tests.store.jobs import fails, note

REPOSITORY = Path(__file__).parents[2]
SLOW_COMMIT_SECONDS = 0.15


def _sleeps(seconds: float, name: str) -> Callable[[sqlite3.Connection], str]:
    def job(connection: sqlite3.Connection) -> str:
        time.sleep(seconds)
        return note(name)(connection)

    return job


def _in_a_loop(directory: Path, story: Callable[[LoopDatabase], Awaitable[None]]) -> set[str]:
    """Tell a story to a new database in an event loop of its own; what is stored in the end."""

    async def told() -> None:
        database = LoopDatabase(directory / FILE_NAME)
        try:
            await asyncio.wait_for(story(database), 10)
        finally:
            await database.close()

    open_database(directory).close()
    asyncio.run(told())
    return {name for (name,) in look_up(directory / FILE_NAME, "SELECT name FROM site")}


class _SlowCommits:
    """A connection whose disk is slow."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> object:
        return getattr(self._connection, name)

    def execute(self, statement: str, *parameters: Any) -> sqlite3.Cursor:
        if statement == "COMMIT":
            self.commits()
        return self._connection.execute(statement, *parameters)

    def commits(self) -> None:
        time.sleep(SLOW_COMMIT_SECONDS)


def _with_a_slow_disk(database: LoopDatabase) -> None:
    database._connection = _SlowCommits(database._connection)


async def _outcomes(*futures: "asyncio.Future[str]") -> list[str | BaseException]:
    return await asyncio.gather(*futures, return_exceptions=True)


def test_it_returns_what_the_job_returned_once_it_is_stored(tmp_path: Path) -> None:
    async def story(database: LoopDatabase) -> None:
        assert await database.submit(note("first")) == "first"
        assert look_up(database.path, "SELECT name FROM site") == [("first",)]

    assert _in_a_loop(tmp_path, story) == {"first"}


def test_it_groups_what_is_submitted_during_a_commit(tmp_path: Path) -> None:
    async def story(database: LoopDatabase) -> None:
        _with_a_slow_disk(database)
        began = time.monotonic()
        jobs = [database.submit(note(str(number))) for number in range(50)]
        assert await _outcomes(*jobs) == [str(number) for number in range(50)]
        assert time.monotonic() - began < 4 * SLOW_COMMIT_SECONDS

    assert len(_in_a_loop(tmp_path, story)) == 50


def test_it_undoes_a_failing_job_alone(tmp_path: Path) -> None:
    async def story(database: LoopDatabase) -> None:
        first, before, failing, twin, after = await _outcomes(
            database.submit(note("first")),
            database.submit(note("before")),
            database.submit(fails),  # type: ignore[arg-type]
            database.submit(note("before")),
            database.submit(note("after")),
        )
        assert (first, before, after) == ("first", "before", "after")
        assert isinstance(failing, LookupError)
        assert isinstance(twin, sqlite3.IntegrityError)

    assert _in_a_loop(tmp_path, story) == {"first", "before", "after"}


def test_it_does_not_run_a_job_whose_deadline_has_passed(tmp_path: Path) -> None:
    async def story(database: LoopDatabase) -> None:
        with pytest.raises(TooLate):
            await database.submit(note("late"), deadline=time.monotonic() - 0.001)
        assert await database.submit(note("in time"), deadline=time.monotonic() + 5) == "in time"

    assert _in_a_loop(tmp_path, story) == {"in time"}


def test_it_gives_up_a_job_whose_deadline_passes_while_it_waits(tmp_path: Path) -> None:
    async def story(database: LoopDatabase) -> None:
        _with_a_slow_disk(database)
        slow = database.submit(note("slow"))
        await asyncio.sleep(0)
        late = database.submit(note("late"), deadline=time.monotonic() + SLOW_COMMIT_SECONDS / 2)
        outcomes = await _outcomes(slow, late)
        assert outcomes[0] == "slow"
        assert isinstance(outcomes[1], TooLate)

    assert _in_a_loop(tmp_path, story) == {"slow"}


def test_it_takes_back_a_job_whose_deadline_passes_behind_it_in_the_group(tmp_path: Path) -> None:
    async def story(database: LoopDatabase) -> None:
        first = database.submit(note("first"))
        late = database.submit(note("same"), deadline=time.monotonic() + 0.15)
        twin = database.submit(note("same"))
        slow = database.submit(_sleeps(0.3, "slow"))
        outcomes = await _outcomes(first, late, twin, slow)
        assert (outcomes[0], outcomes[2], outcomes[3]) == ("first", "same", "slow")
        assert isinstance(outcomes[1], TooLate)

    assert _in_a_loop(tmp_path, story) == {"first", "same", "slow"}


def test_its_loop_goes_on_while_the_disk_is_slow(tmp_path: Path) -> None:
    async def story(database: LoopDatabase) -> None:
        _with_a_slow_disk(database)
        assert await _longest_pause(database.submit(note("slow"))) < SLOW_COMMIT_SECONDS / 2

    _in_a_loop(tmp_path, story)


def test_a_thread_waits_for_a_disk_that_is_not_known_to_be_fast(tmp_path: Path) -> None:
    async def story(database: LoopDatabase) -> None:
        committers = []

        class Paced(_SlowCommits):
            seconds = 0.0

            def commits(self) -> None:
                committers.append(threading.current_thread().name)
                time.sleep(self.seconds)

        database._connection.execute("PRAGMA synchronous = OFF")  # this machine's own disk does not count
        database._connection = paced = Paced(database._connection)
        for number in range(150):
            await database.submit(note(str(number)))
        paced.seconds = SLOW_COMMIT_SECONDS
        for name in ("hiccup", "slow"):
            await database.submit(note(name))
        fast, slow = threading.main_thread().name, "database-committer"
        assert (committers[0], committers[149], committers[150], committers[151]) == (slow, fast, fast, slow)

    _in_a_loop(tmp_path, story)


def test_its_loop_goes_on_while_the_database_is_locked(tmp_path: Path) -> None:
    async def story(database: LoopDatabase) -> None:
        with locked(database.path):
            waiting = database.submit(note("patient"))
            behind = database.submit(note("behind"))
            late = database.submit(note("late"), deadline=time.monotonic() + 0.1)
            assert await _longest_pause(asyncio.sleep(0.3)) < 0.1
            assert not waiting.done()
        outcomes = await _outcomes(waiting, behind, late)
        assert outcomes[:2] == ["patient", "behind"]
        assert isinstance(outcomes[2], TooLate)

    assert _in_a_loop(tmp_path, story) == {"patient", "behind"}


async def _longest_pause(awaited: Awaitable[object]) -> float:
    """For how long the loop heard nothing while something is awaited, in seconds."""
    task, longest, last = asyncio.ensure_future(awaited), 0.0, time.monotonic()
    while not task.done():
        await asyncio.sleep(0.005)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    return longest


def test_it_tells_everybody_when_the_file_stays_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coovox_billing.store.loop_database.BUSY_TIMEOUT_MS", 50)

    async def story(database: LoopDatabase) -> None:
        with locked(database.path):
            outcomes = await _outcomes(*(database.submit(note(name)) for name in ("one", "two")))
            assert all(isinstance(outcome, sqlite3.OperationalError) for outcome in outcomes)
        assert await database.submit(note("three")) == "three"

    assert _in_a_loop(tmp_path, story) == {"three"}


def test_it_tells_everybody_when_the_commit_fails(tmp_path: Path) -> None:
    async def story(database: LoopDatabase) -> None:
        healthy = database._connection

        class Full(_SlowCommits):
            def commits(self) -> None:
                raise sqlite3.OperationalError("database or disk is full")

        database._connection = Full(healthy)
        outcomes = await _outcomes(*(database.submit(note(name)) for name in ("one", "two")))
        assert all(isinstance(outcome, sqlite3.OperationalError) for outcome in outcomes)
        database._connection = healthy
        assert await database.submit(note("three")) == "three"

    assert _in_a_loop(tmp_path, story) == {"three"}


def test_it_stores_nothing_of_a_group_whose_transaction_was_lost(tmp_path: Path) -> None:
    """SQLite itself rolls back where the disk is full; what runs after that would be stored at once, alone."""

    def loses_the_transaction(connection: sqlite3.Connection) -> str:
        connection.execute("ROLLBACK")
        raise sqlite3.OperationalError("database or disk is full")

    async def story(database: LoopDatabase) -> None:
        assert await database.submit(note("first")) == "first"
        jobs = (note("before"), loses_the_transaction, note("after"))
        outcomes = await _outcomes(*(database.submit(job) for job in jobs))
        assert all(isinstance(outcome, sqlite3.OperationalError) for outcome in outcomes)
        assert await database.submit(note("later")) == "later"

    assert _in_a_loop(tmp_path, story) == {"first", "later"}


def test_it_goes_on_after_its_own_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(database: LoopDatabase) -> None:
        with monkeypatch.context() as broken:
            broken.setattr("coovox_billing.store.loop_database.run_group", None)
            with pytest.raises(TypeError):
                await database.submit(note("broken"))
        assert await database.submit(note("after")) == "after"

    assert _in_a_loop(tmp_path, story) == {"after"}


def test_it_finishes_what_was_submitted_before_it_closes(tmp_path: Path) -> None:
    async def story(database: LoopDatabase) -> None:
        for number in range(2 * MAX_GROUP + 5):
            database.submit(note(str(number)))

    assert len(_in_a_loop(tmp_path, story)) == 2 * MAX_GROUP + 5


def test_it_does_not_mind_who_no_longer_waits(tmp_path: Path) -> None:
    async def story(database: LoopDatabase) -> None:
        database.submit(note("left")).cancel()
        assert await database.submit(note("stayed")) == "stayed"

    assert _in_a_loop(tmp_path, story) == {"left", "stayed"}


NOTES = """
import asyncio, sys
from pathlib import Path
from coovox_billing.store.loop_database import LoopDatabase

def note(name):
    return lambda connection: connection.execute("INSERT INTO site VALUES (?, '')", (name,)) and name

async def write_for_ever():
    database, number = LoopDatabase(Path(sys.argv[1])), 0
    while True:
        names = [str(number + more) for more in range(7)]
        number += 7
        for done in asyncio.as_completed([database.submit(note(name)) for name in names]):
            print(await done, flush=True)

asyncio.run(write_for_ever())
"""


@pytest.mark.parametrize("acknowledged_before", [1, 60, 500])
def test_it_keeps_what_it_acknowledged_when_it_is_killed(tmp_path: Path, acknowledged_before: int) -> None:
    open_database(tmp_path).close()
    path = tmp_path / FILE_NAME
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", NOTES, str(path)]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY, env=environment)
    assert writer.stdout is not None
    acknowledged = {writer.stdout.readline().strip() for _ in range(acknowledged_before)}
    writer.send_signal(signal.SIGKILL)
    acknowledged |= {line.strip() for line in writer.stdout if line.endswith("\n")}
    writer.wait(10)
    assert acknowledged <= {name for (name,) in look_up(path, "SELECT name FROM site")}
