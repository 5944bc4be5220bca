"""A file of JSON lines that is only ever appended to, and that a crash, a power cut or a second window cannot spoil.

Each line ends with a check value made of the line itself and of the check value
before it: a line that was changed or taken out shows. What a crash left of a
last line never counted, and is cut off by the next writer.
"""

import errno
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from coovox_license.files import Refused, shown

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


LOCK_WAIT_SECONDS = 10.0
_CHECK = "check"

Entry = dict[str, Any]


class Journal:
    """The journal in a file, which is held by one writer at a time; it need not exist yet."""

    def __init__(self, path: Path) -> None:
        """Read it.

        Raises:
            Refused: a line was changed or taken out, or the file cannot be read.
        """
        self.path = path
        self.entries: list[Entry] = []
        self._check = ""
        self._size = 0
        self._is_open = False
        try:
            lines = path.read_bytes().splitlines(keepends=True)
        except FileNotFoundError:
            return
        except OSError as error:
            raise Refused(f"{shown(path)} cannot be read: {error.strerror}") from None
        for number, line in enumerate(lines, 1):
            if not self._take(line):
                if number == len(lines) and not line.endswith(b"\n"):
                    break
                raise Refused(f"{shown(path)} was changed at line {number}: put its last good copy in its place")
        sound = b"".join(lines[: len(self.entries)])
        self._size = len(sound)
        self._is_open = not sound.endswith(b"\n") and sound != b""

    def append(self, entry: Entry) -> None:
        """Add an entry; when this returns, it is on disk.

        Raises:
            Refused: it cannot be written; then it does not count.
        """
        check = _check_value(entry, self._check)
        before = "\n" if self._is_open else ""
        data = f"{before}{json.dumps({**entry, _CHECK: check}, separators=(',', ':'))}\n".encode("ascii")
        try:
            self._write(data)
        except OSError as error:
            raise Refused(f"{shown(self.path)} cannot be written: {error.strerror}") from None
        self.entries.append(entry)
        self._size += len(data)
        self._check = check
        self._is_open = False

    def _take(self, line: bytes) -> bool:
        """Whether a line is sound and counts now."""
        entry = _entry(line)
        if entry is None or entry.pop(_CHECK, None) != (check := _check_value(entry, self._check)):
            return False
        self.entries.append(entry)
        self._check = check
        return True

    def _write(self, data: bytes) -> None:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            file.truncate(self._size)
            file.seek(self._size)
            try:
                if file.write(data) != len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file.fileno())
            except OSError:
                file.truncate(self._size)
                raise


@contextmanager
def held(path: Path) -> Iterator[Journal]:
    """The journal in a file, for one writer alone.

    Raises:
        Refused: somebody else holds it for longer than 10 s, the system cannot lock there, or it is damaged.
    """
    lock = path.with_name(f"{path.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = lock.open("ab")
    except OSError as error:
        raise Refused(f"{shown(lock)} cannot be written: {error.strerror}") from None
    with file:
        _wait_for(file.fileno(), path)
        yield Journal(path)


def entries_of(path: Path) -> list[Entry]:
    """All entries, oldest first.

    Raises:
        Refused: a line was changed or taken out, or the file cannot be read.
    """
    return Journal(path).entries


def _entry(line: bytes) -> Entry | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def _check_value(entry: Entry, before: str) -> str:
    text = json.dumps(entry, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(f"{before}\n{text}".encode("ascii")).hexdigest()[:16]


def _wait_for(descriptor: int, path: Path) -> None:
    until = time.monotonic() + LOCK_WAIT_SECONDS
    while True:
        try:
            return _lock(descriptor)
        except (BlockingIOError, PermissionError):
            if time.monotonic() > until:
                raise Refused(f"{shown(path)} is in use in another window: wait until that is done") from None
            time.sleep(0.05)
        except OSError as error:
            raise Refused(f"{shown(path)} cannot be locked ({error.strerror}): keep it on a local disk") from None
