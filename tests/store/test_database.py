"""The write door: each job alone, nothing acknowledged is lost, nothing late is committed."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from coovox_billing.core.money import parse_amount
from coovox_billing.services import payments
from coovox_billing.store import reads, writes
from coovox_billing.store.database import FILE_NAME, MOST_WAL_BYTES, Database, connect, open_database
from tests.cast import MANAGER, audited, look_up, move_in
from tests.store.jobs import fails, note

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with open_database(tmp_path) as opened:
        yield opened


def _notes(database: Database) -> set[str]:
    return {name for (name,) in look_up(database.path, "SELECT name FROM site")}


class _Grouped:
    """Keeps the writer busy, so that what is submitted meanwhile shares one transaction."""

    def __init__(self, database: Database) -> None:
        self._go = threading.Event()
        self._busy = database.submit(lambda _: self._go.wait(10))

    def __enter__(self) -> None:
        time.sleep(0.02)

    def __exit__(self, *_: object) -> None:
        self._go.set()
        self._busy.result(10)


def test_it_returns_what_the_job_returned_once_it_is_stored(database: Database) -> None:
    assert database.write(note("first")) == "first"
    assert _notes(database) == {"first"}


def test_it_raises_what_the_job_raised_and_undoes_it(database: Database) -> None:
    with pytest.raises(LookupError, match="changed its mind"):
        database.write(fails)
    assert _notes(database) == set()


def test_it_undoes_a_failing_job_alone(database: Database) -> None:
    with _Grouped(database):
        before, failing, after = (database.submit(job) for job in (note("before"), fails, note("after")))
    assert (before.result(5), after.result(5)) == ("before", "after")
    assert isinstance(failing.exception(5), LookupError)
    assert _notes(database) == {"before", "after"}


def test_it_undoes_a_job_that_broke_a_constraint_alone(database: Database) -> None:
    with _Grouped(database):
        first, twin, after = (database.submit(job) for job in (note("one"), note("one"), note("two")))
    assert (first.result(5), after.result(5)) == ("one", "two")
    assert isinstance(twin.exception(5), sqlite3.IntegrityError)
    assert _notes(database) == {"one", "two"}


def test_it_tells_everybody_in_the_group_when_the_file_stays_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coovox_billing.store.database.BUSY_TIMEOUT_MS", 50)
    with open_database(tmp_path) as database:
        other = connect(database.path)
        other.execute("BEGIN IMMEDIATE")
        waiting = [database.submit(note(name)) for name in ("one", "two")]
        assert all(isinstance(job.exception(5), sqlite3.OperationalError) for job in waiting)
        other.execute("ROLLBACK")
        other.close()
        assert database.write(note("three")) == "three"
        assert _notes(database) == {"three"}


def test_it_finishes_what_was_submitted_before_it_closes(tmp_path: Path) -> None:
    database = open_database(tmp_path)
    jobs: list[Future[str]] = [database.submit(note(str(number))) for number in range(600)]
    database.close()
    assert all(job.done() for job in jobs)
    assert len(_notes(database)) == 600


def test_it_serves_many_threads(database: Database) -> None:
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: database.write(note(str(number))), range(400)))
    assert len(_notes(database)) == 400


def test_it_is_made_once_when_many_open_it_at_once(tmp_path: Path) -> None:
    def open_and_note(directory: Path, start: threading.Barrier, name: int) -> None:
        start.wait()
        with open_database(directory) as database:
            database.write(note(str(name)))

    for round_number in range(60):
        directory, start = tmp_path / str(round_number), threading.Barrier(4)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda name, d=directory, s=start: open_and_note(d, s, name), range(4)))
        assert look_up(directory / FILE_NAME, "SELECT count(*) FROM site") == [(4,)]


RECHARGES = """
import sys
from pathlib import Path
from coovox_billing.services import payments
from coovox_billing.store.database import open_database
from tests.cast import MANAGER

with open_database(Path(sys.argv[1])) as database:
    for number in range(int(sys.argv[2])):
        database.write(lambda connection: payments.recharge(connection, sys.argv[3], 10_000, MANAGER))
        print(number + 1, flush=True)
"""


def _recharging(directory: Path, times: int, extension: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", RECHARGES, str(directory), str(times), extension]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY, env=environment)


def _balance(path: Path, extension: str) -> int:
    return int(look_up(path, "SELECT balance_micros FROM accounts WHERE extension = ?", [extension])[0][0])


def test_it_loses_nothing_of_two_processes_that_write_at_once(tmp_path: Path) -> None:
    with move_in(tmp_path) as database:
        before = _balance(database.path, "100")
        others = [_recharging(tmp_path, 100, "100") for _ in range(2)]
        for _ in range(100):
            database.write(lambda connection: payments.recharge(connection, "100", 10_000, MANAGER))
        assert [(other.communicate(timeout=30)[0].count("\n"), other.returncode) for other in others] == [(100, 0)] * 2
        assert _balance(database.path, "100") == before + 300 * 10_000
        assert audited(database.path) == []


@pytest.mark.parametrize("acknowledged_before", [1, 40])
def test_it_keeps_what_it_acknowledged_when_it_is_killed(tmp_path: Path, acknowledged_before: int) -> None:
    move_in(tmp_path).close()
    before = _balance(tmp_path / FILE_NAME, "101")
    writer = _recharging(tmp_path, 100_000, "101")
    assert writer.stdout is not None
    for _ in range(acknowledged_before):
        writer.stdout.readline()
    writer.send_signal(signal.SIGKILL)
    acknowledged = acknowledged_before + writer.stdout.read().count("\n")
    writer.wait(10)
    with open_database(tmp_path) as database:
        made = (_balance(database.path, "101") - before) // 10_000
        assert made in (acknowledged, acknowledged + 1)
        assert audited(database.path) == []
        assert database.write(lambda c: payments.recharge(c, "101", parse_amount("1"), MANAGER)) > 0


def test_it_goes_on_writing_after_its_own_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_database(tmp_path) as database:
        with monkeypatch.context() as broken:
            broken.setattr("coovox_billing.store.database.run_group", None)
            with pytest.raises(TypeError):
                database.submit(lambda connection: None).result(5)
        database.submit(lambda connection: writes.set_site_value(connection, "after", "all is well")).result(5)
        assert database.read(lambda connection: reads.site_value(connection, "after")) == "all is well"


def test_it_cuts_a_wal_back_that_grew_while_somebody_read_for_long(tmp_path: Path) -> None:
    """And keeps a small one, for to write over it costs the file system no journal."""
    with open_database(tmp_path) as database:
        wal = database.path.with_name(f"{database.path.name}-wal")

        def grow(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE site SET value = hex(randomblob(500000)) WHERE name = 'large'")

        def write(times: int) -> int:
            for _ in range(times):
                database.write(grow)
            return wal.stat().st_size

        database.write(lambda connection: connection.execute("INSERT INTO site VALUES ('large', '')"))
        usual = write(10)
        assert write(5) == usual < MOST_WAL_BYTES
        database.read(lambda connection: [connection.execute("SELECT * FROM site").fetchall(), write(15)])
        assert wal.stat().st_size > MOST_WAL_BYTES
        assert usual <= write(15) <= MOST_WAL_BYTES
