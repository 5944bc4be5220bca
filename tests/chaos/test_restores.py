"""A restore that is killed, loses its power or finds the disk full leaves the database of before or the backup's.

And nothing of the one gets into the other: the log of the one before would.
"""

from __future__ import annotations

import io
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from coovox_billing.backup import archive
from coovox_billing.core.money import parse_amount
from coovox_billing.core.trial import TRIAL_FILE
from coovox_billing.services import payments
from coovox_billing.store.database import FILE_NAME, connect, open_database
from tests.cast import MANAGER, audited, look_up, move_in
from tests.chaos.job_host import FULL, KILL
from tests.chaos.jobs import doing
from tests.licenses import a_device

BEFORE, BACKUP = 15_000_000, 10_000_000


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup, and a data directory that has gone on since and was killed: its last recharge is in the log alone."""
    folder = tmp_path_factory.mktemp("restores")
    site, killed = folder / "site", folder / "killed"
    move_in(site).close()
    (site / TRIAL_FILE).write_text("of this device")
    out = io.BytesIO()
    archive.write(site, a_device(), MANAGER.now_ms, out)
    (folder / "backup").write_bytes(out.getvalue())
    (site / "backups").rmdir()
    killed.mkdir()
    with closing(connect(site / FILE_NAME)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        payments.recharge(writer, "100", parse_amount("5"), MANAGER)
        writer.execute("COMMIT")
        for path in site.iterdir():
            if not path.name.endswith("-shm"):
                (killed / path.name).write_bytes(path.read_bytes())
    return folder


def _balance(path: Path) -> int:
    return int(look_up(path, "SELECT balance_micros FROM accounts WHERE extension = '100'")[0][0])


def _look(directory: Path) -> int:
    with closing(sqlite3.connect(directory / FILE_NAME)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    open_database(directory).close()
    found = _balance(directory / FILE_NAME)
    assert found in (BEFORE, BACKUP)
    assert audited(directory / FILE_NAME) == []
    assert (directory / TRIAL_FILE).read_text() == "of this device"
    if found == BACKUP:
        (aside,) = (directory / "backups").glob("before-restore-*.sqlite3")
        assert _balance(aside) == BEFORE
    return found


@pytest.mark.parametrize("event", [KILL, FULL])
def test_it_leaves_one_of_the_two_databases(event: str, bad_disk: Path, places: Path) -> None:
    seen: dict[str, set[int]] = {"data": set(), "platter": set()}
    offices = places / "offices"
    offices.mkdir(exist_ok=True)
    with doing("tests.chaos.restore_job:bring_back", bad_disk, offices / event, places / "killed") as jobs:
        for office, outcome in jobs.at_each_step(event, 1 if event == KILL else 3):
            assert outcome.status in ((-9,) if event == KILL else (0, 1)), outcome.said
            for side in seen:
                seen[side].add(_look(office / side))
            if event == FULL:
                assert _balance(office / "data" / FILE_NAME) == (BACKUP if outcome.status == 0 else BEFORE)
    assert seen["data"] == {BEFORE, BACKUP}
    assert jobs.number > 20
