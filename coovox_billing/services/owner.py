"""The owner's way in: the password, and the first one of a new database."""

import hashlib
import hmac
import os
import secrets
import sqlite3
import threading
import unicodedata
from base64 import b64decode, b64encode
from pathlib import Path

from coovox_billing.errors import BadInput, Refused
from coovox_billing.services.accounts import Person
from coovox_billing.store import reads, writes
from coovox_billing.store.database import Database

PASSWORD = "owner_password"  # noqa: S105  the name it is stored under
FIRST_PASSWORD_FILE = "first-password"  # noqa: S105

MIN_LENGTH = 10
MAX_LENGTH = 200

_COST_EXPONENT, _BLOCK_SIZE, _PARALLEL = 14, 8, 1
_SALT_BYTES = 16
_READABLE = "abcdefghjkmnpqrstuvwxyz23456789"
_one_at_a_time = threading.Lock()


def set_password(connection: sqlite3.Connection, password: str, person: Person) -> None:
    """Make this the owner's password, a job for `Database.write`. Sessions that began with another one end.

    Raises:
        BadInput: too short, too long, one sign repeated, or the one that is set already.
    """
    _check_new(password)
    stored = reads.site_value(connection, PASSWORD)
    if stored is not None and _matches(password, stored):
        raise BadInput("this is the password already: choose another one")
    _store(connection, _hash(password), person)


def ensure_first_password(database: Database, directory: Path, now_ms: int) -> str | None:
    """Give a database without an owner's password a random one, and leave it in DATA/first-password.

    Returns the password, or None where there was one already. The file is
    written before the commit: a plug pulled in between costs a file that the
    next start replaces, never a password that nobody knows.
    """
    if _stored(database) is not None:
        return None
    password = _random_password()
    hashed = _hash(password)
    person = Person("coovox-billing", "first start", now_ms)

    def claim(connection: sqlite3.Connection) -> bool:
        if reads.site_value(connection, PASSWORD) is not None:
            return False
        _write_private(directory / FIRST_PASSWORD_FILE, f"{password}\n".encode())
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
    if not _matches(password, stored):
        return False
    first = directory / FIRST_PASSWORD_FILE
    if first.exists():  # a read-only disk refuses to remove even what is not there
        first.unlink(missing_ok=True)
    return True


def generation(stored: str | None) -> str:
    """A name for the password that is stored under PASSWORD now, so that a session ends when another one is set."""
    return hashlib.sha256((stored or "").encode()).hexdigest()[:16]


def _check_new(password: str) -> None:
    if len(password) < MIN_LENGTH:
        raise BadInput("the password is too short: use %(least)s characters or more", least=MIN_LENGTH)
    if len(password) > MAX_LENGTH:
        raise BadInput("the password is too long: use up to %(most)s characters", most=MAX_LENGTH)
    if len(set(password)) == 1:
        raise BadInput("the password is one character repeated: choose another one")


def _store(connection: sqlite3.Connection, hashed: str, person: Person) -> None:
    writes.set_site_value(connection, PASSWORD, hashed)
    what = "owner password"
    writes.record_change(connection, person.now_ms, person.name, person.origin, what, "", "changed")


def _stored(database: Database) -> str | None:
    return database.read(lambda connection: reads.site_value(connection, PASSWORD))


def _hash(password: str) -> str:
    salt = secrets.token_bytes(_SALT_BYTES)
    key = _scrypt(password, salt, _COST_EXPONENT, _BLOCK_SIZE, _PARALLEL)
    fields = (_COST_EXPONENT, _BLOCK_SIZE, _PARALLEL, b64encode(salt).decode(), b64encode(key).decode())
    return "$".join(("scrypt", *map(str, fields)))


def _matches(password: str, stored: str) -> bool:
    _, exponent, block_size, parallel, salt, key = stored.split("$")
    made = _scrypt(password[: MAX_LENGTH + 1], b64decode(salt), int(exponent), int(block_size), int(parallel))
    return hmac.compare_digest(made, b64decode(key))


def _scrypt(password: str, salt: bytes, exponent: int, block_size: int, parallel: int) -> bytes:
    """One at a time: each takes 16 MB, and a crowd of them would take a small board's memory."""
    text = unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
    with _one_at_a_time:
        return hashlib.scrypt(text, salt=salt, n=2**exponent, r=block_size, p=parallel, dklen=32)


def _random_password() -> str:
    """Four groups of four signs that cannot be mistaken for each other: 79 bits."""
    return "-".join("".join(secrets.choice(_READABLE) for _ in range(4)) for _ in range(4))


def _write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read; a plug pulled meanwhile leaves the old or the new one."""
    waiting = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(waiting, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    waiting.replace(path)
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
