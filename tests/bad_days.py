"""What a bad day does to a data directory; every test of one takes it from here."""

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from coovox_billing.services.condition import Room
from coovox_billing.store.database import FILE_NAME

# Root may write everywhere: what must be refused is run without that privilege.
AS_ANYBODY: Sequence[str] = (
    ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--") if os.geteuid() == 0 else ()
)


def lose(directory: Path) -> None:
    """The database is deleted, with what SQLite keeps beside it."""
    for path in directory.glob(f"{FILE_NAME}*"):
        path.unlink()


def empty(directory: Path) -> None:
    """The database is there, with nothing in it."""
    lose(directory)
    (directory / FILE_NAME).touch()


def spoil_header(directory: Path) -> None:
    """The first bytes are those of something else."""
    _overwrite(directory, 0)


def spoil_pages(directory: Path) -> None:
    """The header is sound, and nothing else is."""
    for page in range(1, (directory / FILE_NAME).stat().st_size // 4096):
        _overwrite(directory, page * 4096)


def _overwrite(directory: Path, offset: int) -> None:
    for left in directory.glob(f"{FILE_NAME}-*"):
        left.unlink()
    with (directory / FILE_NAME).open("r+b") as file:
        file.seek(offset)
        file.write(b"this is no database " * 5)


@contextmanager
def files_closed(directory: Path) -> Iterator[None]:
    """The database's files may only be read."""
    with _without(0o222, *directory.glob(f"{FILE_NAME}*")):
        yield


@contextmanager
def directory_closed(directory: Path) -> Iterator[None]:
    """No file can be made in the data directory."""
    with _without(0o222, directory):
        yield


@contextmanager
def _without(bits: int, *paths: Path) -> Iterator[None]:
    modes = [(path, path.stat().st_mode) for path in paths]
    for path, mode in modes:
        path.chmod(mode & ~bits & 0o7777)
    try:
        yield
    finally:
        for path, mode in modes:
            path.chmod(mode & 0o7777)


def refuse_writes(connection: sqlite3.Connection) -> None:
    """A job for `Database.write`: from now on its door fails as on a disk that became read-only."""
    connection.execute("PRAGMA query_only = ON")


def fill_up(connection: sqlite3.Connection) -> None:
    """A job for `Database.write`: from now on its door fails as on a full disk. Not one more change has room."""
    pages = _pages(connection)
    while _pages(connection) == pages:
        connection.execute("SAVEPOINT filler")
        connection.execute(
            "INSERT INTO changes (at_ms, actor, origin, what, before, after) VALUES (0, '', '', '', '', '')"
        )
    connection.execute("ROLLBACK TO filler")
    connection.execute(f"PRAGMA max_page_count = {pages}")


def _pages(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA page_count").fetchone()[0])


def room(**changes: object) -> Callable[[Path], Room]:
    """What the disk says of itself, with changes."""
    found = Room(**({"free_bytes": 900_000_000, "free_files": 100_000, "is_read_only": False} | changes))  # type: ignore[arg-type]
    return lambda _: found
