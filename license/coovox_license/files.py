"""Files, so that none is half written, none overwritten by mistake, and none too large is read."""

import os
from contextlib import suppress
from pathlib import Path

from coovox_billing.core.license import MAX_BYTES, LicenseError, text_of


class Refused(Exception):
    """What was asked cannot be done, in one line that says what to do."""


def read_text(path: Path) -> str:
    """The text of one of our files, never more than its most bytes.

    Raises:
        LicenseError: it is too large, or no text.
        Refused: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return text_of(file.read(MAX_BYTES + 1))
    except OSError as error:
        raise Refused(f"{shown(path)} cannot be read: {error.strerror}") from None


def write_new(path: Path, data: bytes) -> None:
    """A file that did not exist, which only its owner may read where the system knows owners.

    Raises:
        Refused: it exists, or cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    except FileExistsError:
        raise Refused(f"{shown(path)} exists and is never overwritten: take another place") from None
    except OSError as error:
        raise Refused(f"{shown(path)} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            _write_through(file.fileno(), data)
    except OSError as error:
        with suppress(OSError):
            path.unlink()
        raise Refused(f"{shown(path)} cannot be written: {error.strerror}") from None


class Prepared:
    """A file that is wholly on disk under a name of its own, and takes its place at once or vanishes.

    `with Prepared(path, data):` puts it at the end, or drops it where something fails.
    """

    def __init__(self, path: Path, data: bytes) -> None:
        """Write it.

        Raises:
            Refused: it cannot be written; then nothing is left of it.
        """
        self._path = path
        self._waiting = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._waiting.open("wb") as file:
                _write_through(file.fileno(), data)
        except OSError as error:
            self.drop()
            raise Refused(f"{shown(path)} cannot be written: {error.strerror}") from None

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.put()
        else:
            self.drop()

    def put(self) -> None:
        """Give it its name, in place of what had it.

        Raises:
            Refused: the system does not let it.
        """
        try:
            self._waiting.replace(self._path)
        except OSError as error:
            self.drop()
            raise Refused(f"{shown(self._path)} cannot be written: {error.strerror}") from None

    def drop(self) -> None:
        """Leave nothing of it."""
        with suppress(OSError):
            self._waiting.unlink()


def shown(name: object) -> str:
    """A file's name as a terminal may show it: a control or a sign that nobody sees is written as its code."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in str(name))


def words_of(error: Exception) -> str:
    """One line about an error that was expected."""
    if isinstance(error, OSError):
        return f"{shown(error.filename)}: {error.strerror}" if error.filename else str(error.strerror or error)
    return str(error)


EXPECTED = (LicenseError, Refused, OSError)


def _write_through(descriptor: int, data: bytes) -> None:
    written = 0
    while written < len(data):
        written += os.write(descriptor, data[written:])
    os.fsync(descriptor)
