"""An upgrade that is killed, loses its power or finds the disk full at any step leaves the old database or the new one.

At each step the process kills itself, or the disk is full from there on. Then what a killed process leaves is looked
at, and what a power cut leaves: whoever opened the database before still can, with all that was in it, or it is wholly
upgraded; then the copy of before is there.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from coovox_billing.store.database import FILE_NAME
from coovox_billing.store.database_file import OPENING_LOCK
from coovox_billing.store.schema import copies, known_version
from tests.cast import audited, look_up, move_in
from tests.chaos.job_host import FULL, KILL, Outcome
from tests.chaos.jobs import doing

OLD, NEW = known_version(), known_version() + 2
MONEY = (
    "SELECT id, extension, balance_micros, held_micros FROM accounts",
    "SELECT * FROM ledger",
    "SELECT call_id, state, cost_micros, hold_micros FROM calls",
    "SELECT id, at_ms, actor, origin, what, before, after FROM changes",
)


def rows(path: Path) -> list[list[tuple[Any, ...]]]:
    """What must be the same before and after; the file is only read, and so is what a killed process left beside it."""
    return [look_up(path, query) for query in MONEY]


def version(path: Path) -> int:
    return int(look_up(path, "PRAGMA user_version")[0][0])


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with the cast, as a program of today leaves it when it is killed: part of it is in the log."""
    folder = tmp_path_factory.mktemp("begun")
    move_in(folder).close()
    left = tmp_path_factory.mktemp("left")
    with closing(sqlite3.connect(folder / FILE_NAME, isolation_level=None)) as writer:
        writer.execute("PRAGMA wal_autocheckpoint = 0")
        for number in range(60):
            writer.execute(
                "INSERT INTO changes (at_ms, actor, origin, what, before, after) VALUES (?, 'ann', '', 'x', '', ?)",
                (number, "y" * 300),
            )
        for path in folder.glob(f"{FILE_NAME}*"):
            (left / path.name).write_bytes(path.read_bytes())
    (left / f"{FILE_NAME}-shm").unlink(missing_ok=True)
    (left / OPENING_LOCK).touch()
    return left


def _is_old_or_new(directory: Path, expected: list[Any]) -> int:
    path = directory / FILE_NAME
    found = version(path)
    assert found in (OLD, NEW)
    assert rows(path) == expected
    assert look_up(path, "PRAGMA integrity_check") == [("ok",)]
    if found == NEW:
        (kept,) = copies(directory)
        assert version(kept) == OLD
        assert rows(kept) == expected
    else:
        assert look_up(path, "SELECT name FROM accounts WHERE extension = '100'") == [("Reception",)]
        assert audited(path) == []
    return found


@pytest.mark.parametrize("event", [KILL, FULL])
def test_it_leaves_the_old_database_or_the_new_one(event: str, bad_disk: Path, tmp_path: Path, begun: Path) -> None:
    expected: list[Any] = []
    seen: dict[str, set[int]] = {"data": set(), "platter": set()}
    with doing("tests.chaos.upgrade_job:upgrade_to_the_future", bad_disk, tmp_path, begun) as jobs:
        for office, outcome in jobs.at_each_step(event, 1 if event == KILL else 4):
            expected = expected or _expected(begun, tmp_path)
            _as_told(outcome, event)
            for side in seen:
                seen[side].add(_is_old_or_new(office / side, expected))
            if event == FULL:
                assert version(office / "data" / FILE_NAME) == (NEW if outcome.status == 0 else OLD)
                assert list((office / "data").rglob("*.part")) == []
    assert seen["data"] == {OLD, NEW}
    assert jobs.number > 20


def _expected(begun: Path, folder: Path) -> list[Any]:
    copy = folder / "expected"
    copy.mkdir()
    for path in begun.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    return rows(copy / FILE_NAME)


def _as_told(outcome: Outcome, event: str) -> None:
    if event == KILL:
        assert outcome.status == -9
        return
    assert outcome.status in (0, 1), outcome.said
    if outcome.status == 1:
        assert any(words in outcome.said for words in ("Nothing was changed", "there is no room", "cannot open"))
