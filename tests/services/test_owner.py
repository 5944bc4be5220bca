"""The owner's password: set, made, tried; and the key of sessions."""

import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from coovox_billing.errors import BadInput, Refused
from coovox_billing.services import owner, passwords
from coovox_billing.store import models
from coovox_billing.store.database import Database, open_database
from tests import cast

PASSWORD = "correct horse battery"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with open_database(tmp_path) as opened:
        models.open_reading(tmp_path)
        yield opened
    models.reading.close()


def set_password(database: Database, password: str) -> None:
    owner.set_password(database, password, cast.MANAGER)


def stored(database: Database) -> str:
    return str(cast.look_up(database.path, "SELECT value FROM site WHERE name = ?", [owner.PASSWORD])[0][0])


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_knows_the_password_that_was_set(database: Database, tmp_path: Path) -> None:
    set_password(database, PASSWORD)
    assert owner.verify(database, tmp_path, PASSWORD)


@pytest.mark.parametrize("wrong", ["", "correct horse batterz", "Correct horse battery", PASSWORD + " ", "x" * 100_000])
def test_it_knows_no_other_password(database: Database, tmp_path: Path, wrong: str) -> None:
    set_password(database, PASSWORD)
    assert not owner.verify(database, tmp_path, wrong)


def test_it_takes_the_same_letters_however_a_keyboard_composes_them(database: Database, tmp_path: Path) -> None:
    set_password(database, "contraseña larga")
    assert owner.verify(database, tmp_path, "contrasen\u0303a larga")


def test_it_says_what_to_do_where_no_password_was_ever_set(database: Database, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="coovox-billing --data DIR owner set-password"):
        owner.verify(database, tmp_path, PASSWORD)


@pytest.mark.parametrize("bad", ["", "too short", "a" * 10, "x1" * 200])
def test_it_refuses_a_poor_password_and_keeps_the_old_one(database: Database, tmp_path: Path, bad: str) -> None:
    set_password(database, PASSWORD)
    with pytest.raises(BadInput):
        set_password(database, bad)
    assert owner.verify(database, tmp_path, PASSWORD)


def test_it_refuses_the_password_that_is_set_already(database: Database) -> None:
    set_password(database, PASSWORD)
    with pytest.raises(BadInput, match="already"):
        set_password(database, PASSWORD)


def test_it_keeps_a_salted_hash_only(database: Database, tmp_path: Path) -> None:
    set_password(database, PASSWORD)
    first = stored(database)
    set_password(database, "another password")
    set_password(database, PASSWORD)
    assert first.startswith("scrypt$14$8$1$")
    assert stored(database) != first
    assert all(PASSWORD.encode() not in file.read_bytes() for file in tmp_path.iterdir())


def test_it_enters_the_change_in_the_audit_log_without_the_password(database: Database) -> None:
    set_password(database, PASSWORD)
    changes = cast.look_up(database.path, "SELECT actor, origin, what, before, after FROM changes")
    assert changes == [("bill-ann", "terminal", "owner password", "", "changed")]


def test_it_names_another_generation_after_a_change(database: Database) -> None:
    set_password(database, PASSWORD)
    before = passwords.generation(stored(database))
    assert passwords.generation(stored(database)) == before
    set_password(database, "another password")
    assert passwords.generation(stored(database)) != before


def test_it_makes_a_readable_first_password_that_works(database: Database, tmp_path: Path) -> None:
    password = owner.ensure_first_password(database, tmp_path, cast.NOW_MS)
    assert password is not None
    assert re.fullmatch(r"([a-hj-km-np-z2-9]{4}-){3}[a-hj-km-np-z2-9]{4}", password)
    assert owner.verify(database, tmp_path, password)


def test_it_leaves_the_first_password_to_its_owner_alone(database: Database, tmp_path: Path) -> None:
    password = owner.ensure_first_password(database, tmp_path, cast.NOW_MS)
    file = tmp_path / "first-password"
    assert file.read_text() == f"{password}\n"
    assert mode(file) == 0o600
    assert [path.name for path in tmp_path.glob(".first-password*")] == []


def test_it_makes_a_first_password_once(database: Database, tmp_path: Path) -> None:
    first = owner.ensure_first_password(database, tmp_path, cast.NOW_MS)
    assert owner.ensure_first_password(database, tmp_path, cast.NOW_MS) is None
    assert (tmp_path / "first-password").read_text() == f"{first}\n"


def test_it_makes_no_first_password_where_the_owner_has_one(database: Database, tmp_path: Path) -> None:
    set_password(database, PASSWORD)
    assert owner.ensure_first_password(database, tmp_path, cast.NOW_MS) is None
    assert not (tmp_path / "first-password").exists()


def test_it_makes_another_first_password_in_another_database(tmp_path: Path) -> None:
    made = set()
    for name in ("a", "b"):
        with open_database(tmp_path / name) as database:
            made.add(owner.ensure_first_password(database, tmp_path / name, cast.NOW_MS))
    assert len(made) == 2


def test_it_replaces_a_first_password_file_that_a_power_cut_left_alone(database: Database, tmp_path: Path) -> None:
    (tmp_path / "first-password").write_text("abcd-abcd-abcd-abcd\n")
    password = owner.ensure_first_password(database, tmp_path, cast.NOW_MS)
    assert (tmp_path / "first-password").read_text() == f"{password}\n"


def test_it_deletes_the_first_password_file_at_the_first_right_try_only(database: Database, tmp_path: Path) -> None:
    password = owner.ensure_first_password(database, tmp_path, cast.NOW_MS)
    assert password is not None
    owner.verify(database, tmp_path, "wrong password")
    assert (tmp_path / "first-password").exists()
    owner.verify(database, tmp_path, password)
    assert not (tmp_path / "first-password").exists()
