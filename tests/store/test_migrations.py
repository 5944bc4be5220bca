"""A database is made, or brought to this version, and a newer one is left alone."""

import sqlite3
from pathlib import Path

import pytest

from coovox_billing.errors import SetupError
from coovox_billing.store.database import FILE_NAME, connect, open_database
from coovox_billing.store.schema import migrations
from tests.cast import audited, look_up


def _tables(path: Path) -> set[str]:
    return {name for (name,) in look_up(path, "SELECT name FROM sqlite_master WHERE type = 'table'")}


def test_it_makes_a_fresh_database(tmp_path: Path) -> None:
    with open_database(tmp_path / "new" / "deep") as database:
        assert {"accounts", "calls", "ledger", "rates", "settings"} <= _tables(database.path)
        assert look_up(database.path, "PRAGMA user_version") == [(len(migrations()),)]
        assert audited(database.path) == []


def test_it_lets_nobody_else_into_the_directory_it_makes(tmp_path: Path) -> None:
    open_database(tmp_path / "data").close()
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0


def test_it_leaves_a_current_database_as_it_is(tmp_path: Path) -> None:
    with open_database(tmp_path) as database:
        database.write(lambda connection: connection.execute("INSERT INTO site VALUES ('kept', 'yes')"))
        before = look_up(database.path, "SELECT name, sql FROM sqlite_master ORDER BY name")
    with open_database(tmp_path) as database:
        assert look_up(database.path, "SELECT value FROM site WHERE name = 'kept'") == [("yes",)]
        assert look_up(database.path, "SELECT name, sql FROM sqlite_master ORDER BY name") == before


def test_it_refuses_a_database_of_a_newer_version(tmp_path: Path) -> None:
    open_database(tmp_path).close()
    connection = connect(tmp_path / FILE_NAME)
    connection.execute(f"PRAGMA user_version = {len(migrations()) + 1}")
    connection.close()
    with pytest.raises(SetupError, match="newer version"):
        open_database(tmp_path)


def test_it_leaves_nothing_half_done_when_a_migration_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "0001_broken.sql"
    broken.write_text("CREATE TABLE first (id INTEGER);\nCREATE TABLE first (id INTEGER);\n", encoding="utf-8")
    with monkeypatch.context() as patched, pytest.raises(SetupError, match="cannot open"):
        patched.setattr("coovox_billing.store.schema.migrations", lambda: [broken])
        open_database(tmp_path / "data")
    assert _tables(tmp_path / "data" / FILE_NAME) == set()
    open_database(tmp_path / "data").close()


def test_it_refuses_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"this is a letter, not a database" * 100)
    with pytest.raises(SetupError, match="cannot open the database"):
        open_database(tmp_path)


def test_it_refuses_a_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(SetupError, match="--data"):
        open_database(tmp_path / "data")


def test_it_is_as_durable_as_promised(tmp_path: Path) -> None:
    with open_database(tmp_path) as database:
        pragmas = {
            name: database.write(lambda connection, name=name: connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE accounts SET balance_micros = 50",
        "UPDATE accounts SET credit_micros = -100",
        "UPDATE accounts SET held_micros = -100",
        "UPDATE accounts SET status = 'ajar'",
        "UPDATE accounts SET payment_type = 'barter'",
        "INSERT INTO accounts (extension, opened_at_ms) VALUES ('100', 0)",
        "INSERT INTO devices VALUES ('PJSIP/1', 999)",
        "INSERT INTO calls (call_id, state, number_dialed, number, asked_at_ms, local_day, hold_micros)"
        " VALUES ('1', 'settled', '9', '9', 0, '2026-03-02', 100)",
    ],
)
def test_it_refuses_what_no_account_or_call_can_be(tmp_path: Path, statement: str) -> None:
    with open_database(tmp_path) as database:
        database.write(
            lambda connection: connection.execute("INSERT INTO accounts (extension, opened_at_ms) VALUES ('100', 0)")
        )
        with pytest.raises(sqlite3.IntegrityError):
            database.write(lambda connection: connection.execute(statement))
