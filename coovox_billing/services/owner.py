"""The owner's way in: the password, and the first one of a new database."""

import sqlite3
from pathlib import Path

from coovox_billing.errors import BadInput, Refused
from coovox_billing.services import passwords
from coovox_billing.services.accounts import Person
from coovox_billing.small_files import replace_small
from coovox_billing.store import reads, writes
from coovox_billing.store.database import Database

OWNER = "owner"
PASSWORD = "owner_password"  # noqa: S105  the name it is stored under
FIRST_PASSWORD_FILE = "first-password"  # noqa: S105


def set_password(database: Database, password: str, person: Person) -> None:
    """Make this the owner's password. Sessions that began with another one end.

    Raises:
        BadInput: too short, too long, one sign repeated, or the one that is set already.
    """
    passwords.check_new(password)
    stored = _stored(database)
    if stored is not None and passwords.matches(password, stored):
        raise BadInput("this is the password already: choose another one")
    hashed = passwords.hashed(password)
    database.write(lambda connection: _store(connection, hashed, person))


def ensure_first_password(database: Database, directory: Path, now_ms: int) -> str | None:
    """Give a database without an owner's password a random one, and leave it in DATA/first-password.

    Returns the password, or None where there was one already. The file is
    written before the commit: a plug pulled in between costs a file that the
    next start replaces, never a password that nobody knows.
    """
    if _stored(database) is not None:
        return None
    password = passwords.random_password()
    hashed = passwords.hashed(password)
    person = Person("coovox-billing", "first start", now_ms)

    def claim(connection: sqlite3.Connection) -> bool:
        if reads.site_value(connection, PASSWORD) is not None:
            return False
        replace_small(directory / FIRST_PASSWORD_FILE, f"{password}\n".encode())
        _store(connection, hashed, person)
        return True

    return password if database.write(claim) else None


def verify(database: Database, directory: Path, password: str) -> bool:
    """Whether this is the owner's password. The first time it is, DATA/first-password goes (DESIGN §8).

    Raises:
        Refused: no password was ever set.
    """
    stored = _stored(database)
    if stored is None:
        raise Refused(
            "the owner has no password yet: run `coovox-billing --data DIR owner set-password` on the machine"
        )
    if not passwords.matches(password, stored):
        return False
    first = directory / FIRST_PASSWORD_FILE
    if first.exists():  # a read-only disk refuses to remove even what is not there
        first.unlink(missing_ok=True)
    return True


def _store(connection: sqlite3.Connection, hashed: str, person: Person) -> None:
    writes.set_site_value(connection, PASSWORD, hashed)
    what = "owner password"
    writes.record_change(connection, person.now_ms, person.name, person.origin, what, "", "changed")


def _stored(database: Database) -> str | None:
    return database.read(lambda connection: reads.site_value(connection, PASSWORD))
