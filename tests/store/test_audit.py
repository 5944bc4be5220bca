"""The ledger guards itself, and the audit finds what is off and is silent on a sound database."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from coovox_billing.core.clock import UNKNOWN
from coovox_billing.services import calls, settlement
from coovox_billing.store.database import Database, connect, open_database
from tests.cast import NOW_MS, a_leg, a_question, audited, look_up, move_in

GUARDS = ("ledger_refuses_update", "ledger_refuses_delete", "ledger_refuses_overwrite")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """The cast after a settled call and with another in progress."""
    with move_in(tmp_path) as opened:
        for call_id in ("settled", "open"):
            opened.write(lambda c, call_id=call_id: calls.authorize(c, a_question(call_id), NOW_MS))
        opened.write(lambda c: settlement.settle(c, "settled", a_leg(talked=116), UNKNOWN, NOW_MS))
        yield opened


def _ledger(database: Database) -> list[tuple[object, ...]]:
    return look_up(database.path, "SELECT * FROM ledger ORDER BY id")


COLUMNS = (
    "(id, account_id, kind, amount_micros, balance_before_micros, balance_after_micros, call_id, reason, actor, at_ms)"
)
TAMPERING = [
    "UPDATE ledger SET amount_micros = 0, balance_after_micros = balance_before_micros",
    "UPDATE ledger SET reason = 'nothing happened' WHERE id = 1",
    "UPDATE OR REPLACE ledger SET id = 2 WHERE id = 1",
    "DELETE FROM ledger",
    "DELETE FROM ledger WHERE id = (SELECT max(id) FROM ledger)",
    f"INSERT INTO ledger {COLUMNS} VALUES (1, 1, 'recharge', 100, 0, 100, NULL, '', 'x', 0)",
    f"INSERT OR REPLACE INTO ledger {COLUMNS} VALUES (1, 1, 'recharge', 100, 0, 100, NULL, '', 'x', 0)",
    f"REPLACE INTO ledger {COLUMNS} VALUES (1, 1, 'recharge', 100, 0, 100, NULL, '', 'x', 0)",
    f"INSERT OR IGNORE INTO ledger {COLUMNS} VALUES (1, 1, 'recharge', 100, 0, 100, NULL, '', 'x', 0)",
    f"INSERT INTO ledger {COLUMNS} VALUES (NULL, 1, 'call', -100, 100, 0, 'settled', '', 'x', 0)",
    f"INSERT OR REPLACE INTO ledger {COLUMNS} VALUES (NULL, 1, 'call', -100, 100, 0, 'settled', '', 'x', 0)",
    f"INSERT INTO ledger {COLUMNS} VALUES (1, 1, 'recharge', 100, 0, 100, NULL, '', 'x', 0)"
    " ON CONFLICT (id) DO UPDATE SET amount_micros = 0",
]


@pytest.mark.parametrize("statement", TAMPERING)
def test_it_refuses_to_change_the_ledger(database: Database, statement: str) -> None:
    before = _ledger(database)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        database.write(lambda connection: connection.execute(statement))
    assert _ledger(database) == before


@pytest.mark.parametrize(
    "values",
    [
        "(NULL, 1, 'recharge', 100, 0, 200, NULL, '', 'x', 0)",
        "(NULL, 1, 'recharge', 50, 0, 50, NULL, '', 'x', 0)",
        "(NULL, 1, 'gift', 100, 0, 100, NULL, '', 'x', 0)",
        "(NULL, 1, 'call', -100, 0, -100, NULL, '', 'x', 0)",
        "(NULL, 1, 'recharge', 100, 0, 100, 'settled', '', 'x', 0)",
        "(NULL, 999, 'recharge', 100, 0, 100, NULL, '', 'x', 0)",
        "(NULL, 1, 'call', -100, 0, -100, 'no such call', '', 'x', 0)",
    ],
)
def test_it_refuses_an_entry_that_cannot_be(database: Database, values: str) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        database.write(lambda connection: connection.execute(f"INSERT INTO ledger {COLUMNS} VALUES {values}"))


def test_it_is_silent_on_a_sound_database(database: Database) -> None:
    assert audited(database.path) == []


def test_it_is_silent_on_a_database_in_which_nobody_moved_in(tmp_path: Path) -> None:
    with open_database(tmp_path) as database:
        assert audited(database.path) == []


def _corrupt(database: Database, *statements: str) -> list[str]:
    """What the audit finds after somebody with the file in hand changed it behind the guards."""
    database.close()
    connection = connect(database.path)
    connection.execute("PRAGMA ignore_check_constraints = ON")
    guards = [
        connection.execute("SELECT sql FROM sqlite_master WHERE name = ?", (name,)).fetchone()[0] for name in GUARDS
    ]
    for name in GUARDS:
        connection.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        connection.execute(statement)
    for guard in guards:
        connection.execute(guard)
    connection.close()
    return audited(database.path)


CORRUPTIONS: list[tuple[str, str, str]] = [
    # what was done, how, what the audit says
    (
        "a changed balance",
        "UPDATE accounts SET balance_micros = balance_micros + 100 WHERE extension = '100'",
        "extension 100: its balance is 9860100 micros, its ledger sums to 9860000",
    ),
    (
        "a balance without any ledger",
        "UPDATE accounts SET balance_micros = 100 WHERE extension = '103'",
        "extension 103: its balance is 100 micros, its ledger sums to 0",
    ),
    (
        "a changed hold",
        "UPDATE accounts SET held_micros = held_micros - 100 WHERE extension = '100'",
        "extension 100: 4679900 micros are held, its open calls hold 4680000",
    ),
    (
        "a hold without any call",
        "UPDATE accounts SET held_micros = 100 WHERE extension = '103'",
        "extension 103: 100 micros are held, its open calls hold 0",
    ),
    (
        "a broken chain",
        "UPDATE ledger SET balance_before_micros = balance_before_micros + 100,"
        " balance_after_micros = balance_after_micros + 100 WHERE call_id = 'settled'",
        "extension 100: ledger entry 4 starts from another balance than entry 2 left",
    ),
    (
        "a first entry that starts from something",
        "UPDATE ledger SET balance_before_micros = 100, balance_after_micros = 10000100 WHERE id = 2",
        "extension 100: ledger entry 2 starts from another balance than entry None left",
    ),
    (
        "a closed call that holds",
        "UPDATE calls SET hold_micros = 100 WHERE call_id = 'settled'",
        "extension 100: call settled is closed and still holds 100 micros",
    ),
    (
        "a changed cost",
        "UPDATE calls SET cost_micros = 0 WHERE call_id = 'settled'",
        "extension 100: call settled did not cost what its ledger entries",
    ),
    (
        "an uncollected part from nowhere",
        "UPDATE calls SET uncollected_micros = 100 WHERE call_id = 'settled'",
        "extension 100: call settled did not cost what its ledger entries",
    ),
    (
        "too many calls in an extension's day",
        "UPDATE daily_extension_totals SET calls = calls + 1",
        "extension 100: the totals of 2026-03-02 differ from its calls (1 calls, 0 s, 0 micros)",
    ),
    (
        "too little talk in a trunk's day",
        "UPDATE daily_trunk_totals SET talk_seconds = talk_seconds - 16",
        "trunk carrier: the totals of 2026-03-02 differ from its calls "
        "(0 calls, -16 s, 0 micros, 0 unanswered, 0 refused)",
    ),
    (
        "an unanswered call that nobody made",
        "UPDATE daily_trunk_totals SET unanswered = unanswered + 1",
        "trunk carrier: the totals of 2026-03-02 differ from its calls "
        "(0 calls, 0 s, 0 micros, 1 unanswered, 0 refused)",
    ),
    (
        "a refused call that nobody made",
        "UPDATE daily_trunk_totals SET refused = refused + 1",
        "trunk carrier: the totals of 2026-03-02 differ from its calls "
        "(0 calls, 0 s, 0 micros, 0 unanswered, 1 refused)",
    ),
    (
        "another hour",
        "UPDATE daily_hour_totals SET hour = hour + 1",
        "hour 10: the totals of 2026-03-02 differ from its calls (-1 calls, -116 s, -140000 micros)",
    ),
    (
        "another destination",
        "UPDATE daily_destination_totals SET destination = '00'",
        "destination 9: the totals of 2026-03-02 differ from its calls (-1 calls, -116 s, -140000 micros)",
    ),
    (
        "totals that are gone",
        "DELETE FROM daily_extension_totals",
        "extension 100: the totals of 2026-03-02 differ from its calls (-1 calls, -116 s, -140000 micros)",
    ),
]


@pytest.mark.parametrize(
    ("statement", "finding"), [row[1:] for row in CORRUPTIONS], ids=[row[0] for row in CORRUPTIONS]
)
def test_it_finds(database: Database, statement: str, finding: str) -> None:
    assert any(found.startswith(finding) for found in _corrupt(database, statement))


def test_it_finds_a_removed_ledger_entry(database: Database) -> None:
    found = _corrupt(database, "DELETE FROM ledger WHERE call_id = 'settled'")
    assert "extension 100: its balance is 9860000 micros, its ledger sums to 10000000" in found


@pytest.mark.parametrize("entry", ["1", "2", "(SELECT max(id) FROM ledger)"])
def test_it_finds_that_entries_are_missing_even_such_as_moved_no_money(database: Database, entry: str) -> None:
    assert _corrupt(database, f"DELETE FROM ledger WHERE id = {entry}")


def test_it_finds_nothing_after_nothing_was_done(database: Database) -> None:
    assert _corrupt(database) == []


@pytest.mark.parametrize("guard", GUARDS)
def test_it_misses_a_guard_that_is_gone(database: Database, guard: str) -> None:
    database.write(lambda connection: connection.execute(f"DROP TRIGGER {guard}"))
    assert any(guard in finding for finding in audited(database.path))


@pytest.mark.parametrize("guard", GUARDS)
def test_it_misses_a_guard_that_lets_through(database: Database, guard: str) -> None:
    def weaken(connection: sqlite3.Connection) -> None:
        connection.execute(f"DROP TRIGGER {guard}")
        connection.execute(f"CREATE TRIGGER {guard} BEFORE UPDATE ON site BEGIN SELECT 1; END")

    database.write(weaken)
    assert any(guard in finding for finding in audited(database.path))
