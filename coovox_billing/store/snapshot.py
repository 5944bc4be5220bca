"""Consistent copies of a database: whole at an instant, one file, on disk when they are told to be.

A copy that is not finished has another name, so whatever has the name of a copy is one.
"""

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from coovox_billing.small_files import FILE_MODE, give_to_owner_of, make_directory, sync_directory
from coovox_billing.store.database_file import existing, open_plainly

UNFINISHED = ".part"
PIECE_PAGES = 256
# Between two pieces others have the disk: a copy is in no hurry, a call is.
PAUSE_SECONDS = 0.005

_WAL_ENDING = "-wal"


def bytes_of(path: Path) -> int:
    """How many bytes a copy of a database has at most."""
    return sum(found.stat().st_size for found in (path, path.with_name(path.name + _WAL_ENDING)) if found.exists())


def free_bytes_of(directory: Path) -> int:
    """The room on a directory's disk for programs other than root's."""
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize


def copy_of_live(path: Path, target: Path, pause: Callable[[float], object] = time.sleep) -> None:
    """Copy a database as it is now, while others read and write it: none of them waits for this.

    Raises:
        OSError, sqlite3.Error: it cannot be read, or not written; then there is no target.
    """
    with closing(open_plainly(existing(path))) as source:
        source.execute("PRAGMA query_only = ON")
        # What is written from now on is not seen, so no write begins the copy anew.
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM sqlite_master").fetchone()
        copy_through(source, target, lambda: pause(PAUSE_SECONDS))


def copy_through(source: sqlite3.Connection, target: Path, between_pieces: Callable[[], object] = lambda: None) -> None:
    """Copy what a connection sees into a new private file; it has its name once all of it is on disk.

    Raises:
        OSError, sqlite3.Error: it cannot be read, or not written; then there is no target.
    """
    owner = target.parent.parent.stat()
    make_directory(target.parent, owner.st_uid, owner.st_gid)
    unfinished = target.with_name(target.name + UNFINISHED)
    try:
        _copy(source, unfinished, between_pieces)
        unfinished.replace(target)
    except BaseException:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise
    sync_directory(target.parent)


def _copy(source: sqlite3.Connection, path: Path, between_pieces: Callable[[], object]) -> None:
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    try:
        give_to_owner_of(path.parent, handle)
        with closing(open_plainly(existing(path))) as target:
            # Nobody reads it before it is whole, and it is synced once, at the end.
            target.execute("PRAGMA journal_mode = OFF")
            target.execute("PRAGMA synchronous = OFF")
            target.execute("PRAGMA cache_size = -512")
            source.backup(target, pages=PIECE_PAGES, progress=lambda *_: between_pieces())
            # One file: without this it says of itself that it has a log beside it.
            target.execute("PRAGMA journal_mode = DELETE")
        os.fsync(handle)
    finally:
        os.close(handle)


def megabytes(count: int) -> str:
    """So many bytes in megabytes, as a sentence tells them."""
    return f"{count / 1_000_000:.1f}"
