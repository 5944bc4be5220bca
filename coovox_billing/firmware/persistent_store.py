"""The firmware's persistent place: small records that outlive an upgrade and a factory reset.

Each record is kept twice, each copy with its number and checksum, and one is replaced after the other: whenever
the plug is pulled, and whichever block goes bad, one good copy is left, of the new record or of the one before.
"""

import errno
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from time import monotonic, sleep

from coovox_billing.errors import BadInput, BillingError
from coovox_billing.sentences import Sentence
from coovox_billing.small_files import make_directory, read_small, replace_small, sync_directory

MOST_RECORD_BYTES = 16 * 1024
COPIES = (".1", ".2")

_HEAD = re.compile(rb"coovox-record 1 ([1-9][0-9]{0,11}) ([0-9a-f]{64})\n")
_MOST_HEAD_BYTES = 128
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,40}")
_WAITING = re.compile(r"\..+\.[0-9a-f]{8}")
_LOCK_SECONDS = 5.0


class StoreFault(BillingError):
    """The persistent store cannot be used as it is; what was good in it still is."""


@dataclass(frozen=True, slots=True)
class _Copy:
    """A good copy: the how manieth record of its name it is, and its content."""

    number: int
    content: bytes


class PersistentStore:
    """Small named records in a directory. `owner` and `group` get the directory where root has to make it.

    `missing_mount` is what should be mounted below it and is not: to write then would be to write onto the system's
    disk, which the next upgrade replaces. Not there, read-only, full or damaged: reading gives what there is, and
    writing says what is wrong.
    """

    def __init__(
        self, directory: Path, owner: int | None = None, group: int | None = None, missing_mount: str = ""
    ) -> None:
        self.directory = directory
        self._owner, self._group = owner, group
        self._missing_mount = missing_mount

    def read(self, name: str) -> bytes | None:
        """The newest good copy of a record, None where there is none."""
        good = [copy for copy in self._copies(name) if copy]
        return max(good, key=lambda copy: copy.number).content if good else None

    def write(self, name: str, content: bytes) -> None:
        """Keep a record. Where both copies are good and the same already, nothing is written to the flash.

        Raises:
            BadInput: it has more than 16 KB.
            StoreFault: it cannot be written.
        """
        if len(content) > MOST_RECORD_BYTES:
            raise BadInput(
                "%(name)s has %(size)s bytes: a record of the persistent store has at most %(most)s",
                name=name,
                size=len(content),
                most=MOST_RECORD_BYTES,
            )
        if self._holds(name, content):
            return
        with self._writing():
            make_directory(self.directory, self._owner, self._group)
            with self._alone():
                self._remove_waiting()
                self._write(name, content)

    def make(self) -> None:
        """Make its directory, in which whoever runs billing may write from then on.

        Raises:
            StoreFault: it cannot be made.
        """
        with self._writing():
            make_directory(self.directory, self._owner, self._group)

    def erase(self) -> None:
        """Remove all records, and what a pulled plug left of one.

        Raises:
            StoreFault: they cannot be removed.
        """
        with self._writing():
            if not self.directory.is_dir():
                return
            with self._alone():
                self._remove_waiting()
                for path in self._files():
                    if _record_name(path):
                        path.unlink(missing_ok=True)
                sync_directory(self.directory)

    def names(self) -> list[str]:
        """The records of which there is a good copy."""
        names = {_record_name(path) for path in self._files()} - {""}
        return sorted(name for name in names if self.read(name) is not None)

    def faults(self) -> list[str]:
        """What is wrong with the store, as sentences; a store that was never written is well."""
        if self._missing_mount:
            return [self._not_mounted().sentence]
        found: list[str] = []
        if not self.directory.is_dir():
            return found
        if not os.access(self.directory, os.W_OK):
            found.append(Sentence("%(directory)s cannot be written by this user", directory=self.directory))
        for name in sorted({_record_name(path) for path in self._files()} - {""}):
            good = sum(copy is not None for copy in self._copies(name))
            if good == 0:
                found.append(Sentence("both copies of %(name)s are damaged: upload or restore it", name=name))
            elif good < len(COPIES):
                found.append(Sentence("one copy of %(name)s is damaged: the next hook writes it anew", name=name))
        return found

    def _holds(self, name: str, content: bytes) -> bool:
        return all(copy is not None and copy.content == content for copy in self._copies(name))

    def _write(self, name: str, content: bytes) -> None:
        """The worse copy first, so that the better one is there until the other is on disk."""
        copies = dict(zip(self._paths(name), self._copies(name), strict=True))
        number = 1 + max((copy.number for copy in copies.values() if copy), default=0)
        data = f"coovox-record 1 {number} {_checksum(number, content)}\n".encode() + content
        for path in sorted(copies, key=lambda path: _goodness(copies[path])):
            replace_small(path, data)

    def _copies(self, name: str) -> list[_Copy | None]:
        return [_read_copy(path) for path in self._paths(name)]

    def _paths(self, name: str) -> list[Path]:
        if not _NAME.fullmatch(name):
            raise BadInput(
                "%(name)s is no name of a record: write small letters, digits, . and -", name=repr(name[:60])
            )
        return [self.directory / f"{name}{ending}" for ending in COPIES]

    def _files(self) -> list[Path]:
        try:
            return sorted(self.directory.iterdir())
        except OSError:
            return []

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Tell what keeps the store from being written.

        Raises:
            StoreFault: nothing is mounted there, or an OSError came up.
        """
        if self._missing_mount:
            raise self._not_mounted()
        try:
            yield
        except OSError as error:
            raise _fault(self.directory, error) from error

    def _not_mounted(self) -> StoreFault:
        return StoreFault(
            "the persistent store %(directory)s cannot be used, nothing is mounted at %(mount)s: mount it, or correct "
            "`mount` in the board file",
            directory=self.directory,
            mount=self._missing_mount,
        )

    def _remove_waiting(self) -> None:
        """Remove what was half written when a plug was pulled."""
        for path in self._files():
            if _WAITING.fullmatch(path.name):
                path.unlink(missing_ok=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else writes meanwhile; whoever holds the lock does so for milliseconds."""
        handle = os.open(self.directory, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _lock(handle, self.directory)
            yield
        finally:
            os.close(handle)


def _lock(handle: int, directory: Path) -> None:
    deadline = monotonic() + _LOCK_SECONDS
    while True:
        try:
            flock(handle, LOCK_EX | LOCK_NB)
            return
        except BlockingIOError:
            if monotonic() > deadline:
                raise StoreFault(
                    "%(directory)s is being written by another program for %(seconds)s s: see which one hangs",
                    directory=directory,
                    seconds=int(_LOCK_SECONDS),
                ) from None
            sleep(0.02)


def _read_copy(path: Path) -> _Copy | None:
    """A copy, None where there is none that is whole."""
    try:
        data = read_small(path, MOST_RECORD_BYTES + _MOST_HEAD_BYTES) or b""
    except OSError:
        return None
    head = _HEAD.match(data)
    if head is None:
        return None
    copy = _Copy(int(head[1]), data[head.end() :])
    return copy if _checksum(copy.number, copy.content) == head[2].decode() else None


def _checksum(number: int, content: bytes) -> str:
    """Of the number too: a copy with another one would be taken for newer than it is."""
    return hashlib.sha256(b"%d\n" % number + content).hexdigest()


def _goodness(copy: _Copy | None) -> int:
    return copy.number if copy else 0


def _record_name(path: Path) -> str:
    """The record whose copy it is, empty for another file."""
    name, ending = path.stem, path.suffix
    return name if ending in COPIES and _NAME.fullmatch(name) else ""


_ADVICE = {
    errno.EROFS: "it is read-only: mount it writable",
    errno.ENOSPC: "it is full: make room there",
    errno.EDQUOT: "it is full: make room there",
    errno.EACCES: "this user may not: run it as root, or give it to billing's user",
    errno.EPERM: "this user may not: run it as root, or give it to billing's user",
    errno.ENOENT: "it is not there: mount it",
    errno.EIO: "its flash is failing: save what is on it",
}


def _fault(directory: Path, error: OSError) -> StoreFault:
    advice = _ADVICE.get(error.errno or 0, error.strerror or str(error))
    return StoreFault(
        "the persistent store %(directory)s cannot be written, %(reason)s", directory=directory, reason=advice
    )
