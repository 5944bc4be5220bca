"""A database of every schema there was is brought to today's, with a copy of before, by one program alone."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from coovox_billing.errors import SetupError
from coovox_billing.store import schema, snapshot
from coovox_billing.store.database import FILE_NAME, connect, open_database, upgrade
from coovox_billing.store.schema import copies, known_version, migrations
from tests.cast import audited, look_up
from tests.store.fixtures import FIXTURES, fixture, schemas

OLD = schemas()[:-1]
MONEY = (
    "SELECT id, extension, balance_micros, credit_micros, held_micros FROM accounts",
    "SELECT id, account_id, kind, amount_micros, balance_before_micros, balance_after_micros, call_id FROM ledger",
    "SELECT call_id, state, talk_seconds, cost_micros, hold_micros, uncollected_micros, rate FROM calls",
    "SELECT day, account_id, calls, talk_seconds, cost_micros FROM daily_extension_totals ORDER BY day, account_id",
    "SELECT * FROM changes",
    "SELECT name, value FROM site ORDER BY name",
)


def money(path: Path) -> list[list[tuple[Any, ...]]]:
    return [look_up(path, query) for query in MONEY]


def version(path: Path) -> int:
    return int(look_up(path, "PRAGMA user_version")[0][0])


def test_it_has_a_fixture_of_every_schema() -> None:
    missing = [number for number in range(1, known_version() + 1) if not (FIXTURES / f"{number:04}.sql").exists()]
    assert missing == [], "write it as tests/store/schemas/README.md says"


def _shape(connection: sqlite3.Connection) -> list[tuple[str, ...]]:
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    columns = [
        (table, *map(str, row)) for table in tables for row in connection.execute(f"PRAGMA table_xinfo({table})")
    ]
    others = connection.execute("SELECT type, name, sql FROM sqlite_master WHERE type <> 'table' AND sql IS NOT NULL")
    return sorted([*columns, *(tuple(map(str, row)) for row in others)])


@pytest.mark.parametrize("number", schemas())
def test_it_never_edits_a_migration_that_databases_were_made_with(number: int) -> None:
    with closing(sqlite3.connect(":memory:")) as then, closing(sqlite3.connect(":memory:")) as now:
        then.executescript((FIXTURES / f"{number:04}.sql").read_text(encoding="utf-8"))
        for script in migrations()[:number]:
            now.executescript(script.read_text(encoding="utf-8"))
        assert _shape(then) == _shape(now)


@pytest.mark.parametrize("number", schemas())
def test_it_keeps_all_that_an_earlier_version_wrote(number: int, tmp_path: Path) -> None:
    path = fixture(number, tmp_path)
    before = money(path)
    assert {state for (state,) in look_up(path, "SELECT state FROM calls")} >= {
        "refused",
        "held",
        "settled",
        "released",
    }
    with open_database(tmp_path):
        assert version(path) == known_version()
    assert money(path) == before
    assert audited(path) == []
    assert look_up(path, "PRAGMA foreign_key_check") == []
    fresh = tmp_path / "fresh"
    with open_database(fresh), closing(connect(fresh / FILE_NAME)) as made, closing(connect(path)) as brought:
        assert _shape(brought) == _shape(made)


@pytest.mark.parametrize("number", OLD)
def test_it_copies_a_database_before_it_changes_it(number: int, tmp_path: Path) -> None:
    path = fixture(number, tmp_path)
    before = money(path)
    done = upgrade(tmp_path)
    assert done is not None
    assert (done.before, done.after) == (number, known_version())
    assert [done.copy] == copies(tmp_path)
    assert done.copy.stat().st_mode & 0o077 == 0
    assert done.copy.read_bytes()[18:20] == b"\1\1", "one file, with no log beside it"
    assert version(done.copy) == number
    assert money(done.copy) == before


def test_it_copies_nothing_where_nothing_is_changed(tmp_path: Path) -> None:
    open_database(tmp_path).close()
    assert upgrade(tmp_path) is None
    assert not (tmp_path / schema.BACKUPS).exists()


def test_it_keeps_the_copies_of_the_last_two_upgrades_and_nothing_of_others(tmp_path: Path) -> None:
    fixture(3, tmp_path)
    kept = tmp_path / schema.BACKUPS
    kept.mkdir()
    mine = kept / "before-the-fair.sqlite3"
    names = ("1-20260101T000000Z", "2-20260201T000000Z", "2-20260301T000000Z", "3-20260401T000000Z")
    for path in (mine, *(kept / f"upgrade-from-schema-{name}.sqlite3" for name in names)):
        path.touch()
    (kept / "upgrade-from-schema-3-20260101T000000Z.sqlite3.part").touch()
    done = upgrade(tmp_path)
    assert done is not None
    left = {path.name for path in kept.iterdir()}
    assert left == {mine.name, done.copy.name, "upgrade-from-schema-2-20260301T000000Z.sqlite3"}


def test_it_gives_two_copies_of_one_second_two_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema.time, "time", lambda: 0.0)
    fixture(2, tmp_path)
    first = upgrade(tmp_path)
    for path in tmp_path.glob(f"{FILE_NAME}*"):
        path.unlink()
    fixture(2, tmp_path)
    second = upgrade(tmp_path)
    assert first is not None
    assert second is not None
    assert [path.name for path in copies(tmp_path)] == ["upgrade-from-schema-2-19700101T000000Z-2.sqlite3"]
    assert version(second.copy) == 2


def test_it_refuses_to_begin_without_room_and_says_how_much_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fixture(2, tmp_path)
    before = path.read_bytes()
    monkeypatch.setattr(snapshot, "free_bytes_of", lambda _: 1_000_000)
    with pytest.raises(SetupError, match=r"no room to upgrade .*: 2\.[0-9] MB are needed and 1\.0 MB are free"):
        upgrade(tmp_path)
    assert path.read_bytes() == before
    assert copies(tmp_path) == []


def test_it_leaves_everything_as_it_was_where_a_migration_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fixture(4, tmp_path)
    before = money(path)
    wrong = tmp_path / "0006_wrong.sql"
    wrong.write_text("DELETE FROM rates;\nUPDATE accounts SET name = nobody;\n", encoding="utf-8")
    released = migrations()
    told = rf"schema 4 to {len(released) + 1}: no such column: nobody. Nothing was changed"
    with monkeypatch.context() as patched, pytest.raises(SetupError, match=told):
        patched.setattr(schema, "migrations", lambda: [*released, wrong])
        upgrade(tmp_path)
    assert (version(path), money(path)) == (4, before)
    assert look_up(path, "SELECT count(*) FROM rates")[0][0] > 0


OLD_PLANE = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("SELECT count(*) FROM calls").fetchone()
print("open", flush=True)
sys.stdin.readline()
connection.execute("INSERT INTO site VALUES ('old plane', 'writes on')")
connection.commit()
"""


def test_it_never_upgrades_under_a_plane_that_still_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = fixture(4, tmp_path)
    monkeypatch.setattr(schema, "WAIT_SECONDS", 0.3)
    connect(path).close()
    plane = subprocess.Popen(
        [sys.executable, "-c", OLD_PLANE, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert plane.stdout is not None
    plane.stdout.readline()
    with pytest.raises(SetupError, match=rf"in use by .*process {plane.pid}\): stop billing, then repeat"):
        upgrade(tmp_path)
    assert version(path) == 4
    assert plane.communicate("go on\n", timeout=10)[0] == ""
    assert plane.returncode == 0
    upgrade(tmp_path)
    assert version(path) == known_version()
    assert look_up(path, "SELECT value FROM site WHERE name = 'old plane'") == [("writes on",)]


def test_it_waits_for_a_plane_that_ends(tmp_path: Path) -> None:
    path = fixture(4, tmp_path)
    connect(path).close()
    plane = subprocess.Popen(
        [sys.executable, "-c", OLD_PLANE, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert plane.stdout is not None
    plane.stdout.readline()
    with ThreadPoolExecutor(1) as pool:
        upgrading = pool.submit(upgrade, tmp_path)
        with pytest.raises(TimeoutError):
            upgrading.result(0.3)
        plane.communicate("go on\n", timeout=10)
        assert upgrading.result(10) is not None


PLANE = """
import sys
from pathlib import Path
from coovox_billing.store.database import open_database
with open_database(Path(sys.argv[1])) as database:
    database.write(lambda c: c.execute("INSERT INTO site VALUES (?, 'was here')", (sys.argv[2],)))
    sys.stdin.readline()
"""


def test_it_is_upgraded_once_when_both_planes_start_at_once(tmp_path: Path) -> None:
    path = fixture(3, tmp_path)
    planes = [
        subprocess.Popen(
            [sys.executable, "-c", PLANE, str(tmp_path), name],
            stdin=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        )
        for name in ("calls", "web")
    ]
    for plane in planes:
        plane.communicate(b"\n", timeout=20)
    assert [plane.returncode for plane in planes] == [0, 0]
    assert len(copies(tmp_path)) == 1
    assert len(look_up(path, "SELECT 1 FROM site WHERE value = 'was here'")) == 2


def test_it_tells_which_copy_leads_back_from_a_newer_version(tmp_path: Path) -> None:
    path = fixture(4, tmp_path)
    done = upgrade(tmp_path)
    assert done is not None
    with closing(connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {known_version() + 2}")
    with pytest.raises(SetupError) as caught:
        upgrade(tmp_path)
    assert f"schema {known_version() + 2}, this one knows {known_version()}" in str(caught.value)
    assert f"coovox-billing restore {done.copy}" in str(caught.value)
    done.copy.unlink()
    with pytest.raises(SetupError, match="install that version again, or restore a backup of this one"):
        upgrade(tmp_path)


def test_it_leaves_the_database_of_another_program_alone(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as other:
        other.execute("CREATE TABLE bookmarks (id INTEGER)")
    before = (tmp_path / FILE_NAME).read_bytes()
    with pytest.raises(SetupError, match="another program"):
        upgrade(tmp_path)
    assert (tmp_path / FILE_NAME).read_bytes() == before
