"""Where backups are kept: a folder, a stick, a server. What is not whole never has the name of a backup."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from coovox_billing.core.backup_plan import Address, Kind
from coovox_billing.errors import BillingError
from coovox_billing.services.backups import Stored
from coovox_billing.small_files import FILE_MODE, give_to_owner_of, sync_directory
from coovox_billing.store.schema import BACKUPS

UNFINISHED = ".part"
FOLDERS = (Kind.FOLDER, Kind.USB)

_SOME_BYTES = 256 * 1024
# Where nothing is mounted below /run/media, that is what is there.
_IN_MEMORY = ("tmpfs", "ramfs", "devtmpfs")

Write = Callable[[BinaryIO], object]


class PlaceTrouble(BillingError):
    """The place cannot be used as it is; what is kept there already still is."""


class Place(Protocol):
    """Where backups are kept. All raise PlaceTrouble."""

    def keep(self, name: str, write: Write) -> int:
        """Keep what `write` writes under a name, once all of it is there; its size."""

    def stored(self) -> list[Stored]:
        """The files there."""

    def remove(self, name: str) -> None:
        """Remove one."""

    def fetch(self, name: str, out: BinaryIO) -> None:
        """Write what is kept under a name to `out`."""


@contextmanager
def at_place(
    address: Address | None, directory: Path, secrets: Mapping[str, str], host_key: str, region: str
) -> Iterator[Place]:
    """The place of an address, ready to be used; without one a folder in the data directory.

    Raises:
        PlaceTrouble: it is not there, or lets nobody in.
    """
    if address is None:
        yield Folder(directory / BACKUPS, directory)
    elif address.kind is Kind.FOLDER:
        yield Folder(Path(address.folder), Path(address.folder).parent)
    elif address.kind is Kind.USB:
        yield Folder(Path(address.folder), Path(address.folder).parent, not_on=(Path("/"), directory))
    elif address.kind is Kind.SFTP:
        from coovox_billing.backup.sftp import at_server

        with at_server(address, secrets, host_key) as server:
            yield server
    else:
        from coovox_billing.backup.s3 import Bucket

        yield Bucket(address, secrets, region)


def try_out(address: Address | None, directory: Path) -> None:
    """See that a folder or a stick takes files. A server is not asked: whoever sets its address waits for an answer.

    Raises:
        PlaceTrouble: it takes none as it is now.
    """
    if address is None or address.kind in FOLDERS:
        with at_place(address, directory, {}, "", "") as folder:
            assert isinstance(folder, Folder)  # noqa: S101
            folder.try_out()


class Folder:
    """A folder, made where its parent is. `not_on`: it must be on another file system than these, as a stick is."""

    def __init__(self, folder: Path, parent: Path, not_on: tuple[Path, ...] = ()) -> None:
        self._folder = folder
        self._not_on = not_on
        # Unlike is_dir(), no exception where this user may not look.
        self._check_mounted(folder if os.path.isdir(folder) else parent)  # noqa: PTH112
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise self._trouble(error) from None

    def try_out(self) -> None:
        """Write an empty file and remove it."""
        unfinished = self._folder / f".billing-{os.getpid()}{UNFINISHED}"
        try:
            unfinished.unlink(missing_ok=True)
            os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE))
            unfinished.unlink(missing_ok=True)
        except OSError as error:
            raise self._trouble(error) from None

    def keep(self, name: str, write: Write) -> int:
        """Keep what `write` writes; it is read again from the disk before it gets its name."""
        unfinished = self._folder / f".{name}{UNFINISHED}"
        try:
            self._remove_unfinished()
            handle = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
            try:
                # Made by root at a terminal, it is for the pages to read too; a share may forbid it.
                with suppress(OSError):
                    give_to_owner_of(self._folder, handle)
                size = self._write(handle, write)
                unfinished.replace(self._folder / name)
            except BaseException:
                with suppress(OSError):
                    unfinished.unlink(missing_ok=True)
                raise
            finally:
                os.close(handle)
            sync_directory(self._folder)
        except OSError as error:
            raise self._trouble(error) from None
        return size

    def _write(self, handle: int, write: Write) -> int:
        # Pulled out between the look and this, its folder would be one of the system's own disk.
        self._check_mounted(handle)
        digest = hashlib.sha256()
        with os.fdopen(handle, "wb", closefd=False) as file:
            write(_Counted(file, digest.update))  # type: ignore[arg-type]
            file.flush()
        os.fsync(handle)
        size = os.fstat(handle).st_size
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.lseek(handle, 0, os.SEEK_SET)
        again = hashlib.sha256()
        while piece := os.read(handle, _SOME_BYTES):
            again.update(piece)
        if again.digest() != digest.digest():
            raise PlaceTrouble("%(folder)s gives back other bytes than were written: replace it", folder=self._folder)
        return size

    def stored(self) -> list[Stored]:
        """The files in the folder."""
        try:
            return [Stored(path.name, path.stat().st_size) for path in self._folder.iterdir() if path.is_file()]
        except OSError as error:
            raise self._trouble(error) from None

    def remove(self, name: str) -> None:
        """Remove a file."""
        try:
            (self._folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise self._trouble(error) from None

    def fetch(self, name: str, out: BinaryIO) -> None:
        """Copy a file."""
        try:
            with (self._folder / name).open("rb") as file:
                while piece := file.read(_SOME_BYTES):
                    out.write(piece)
        except OSError as error:
            raise self._trouble(error) from None

    def _remove_unfinished(self) -> None:
        for path in self._folder.glob(f".billing-*{UNFINISHED}"):
            path.unlink(missing_ok=True)

    def _check_mounted(self, where: Path | int) -> None:
        if not self._not_on:
            return
        try:
            device = os.fstat(where).st_dev if isinstance(where, int) else where.stat().st_dev
        except OSError as error:
            raise self._trouble(error) from None
        if device in {path.stat().st_dev for path in self._not_on}:
            raise PlaceTrouble(
                "no stick is mounted at %(folder)s: plug it in and mount it; nothing was written to the system's disk",
                folder=self._folder,
            )
        if kind_of_file_system(device) in _IN_MEMORY:
            raise PlaceTrouble(
                "%(folder)s is in memory and gone at the next start: plug a stick in and mount it; nothing was written",
                folder=self._folder,
            )

    def _trouble(self, error: OSError) -> PlaceTrouble:
        return PlaceTrouble(
            "the folder %(folder)s cannot be used: %(reason)s. See that it is there, can be written and has room",
            folder=self._folder,
            reason=error.strerror or str(error),
        )


def kind_of_file_system(device: int) -> str:
    """As the kernel calls what is mounted with that number; empty where it does not tell."""
    number = f"{os.major(device)}:{os.minor(device)}"
    with suppress(OSError, ValueError):
        for line in Path("/proc/self/mountinfo").read_text(errors="replace").splitlines():
            words = line.split(" ")
            if words[2] == number:
                return words[words.index("-", 6) + 1]
    return ""


class _Counted:
    """Passes on what is written, and shows it to somebody."""

    def __init__(self, out: BinaryIO, see: Callable[[bytes], object]) -> None:
        self._out = out
        self._see = see

    def write(self, data: bytes) -> int:
        self._see(data)
        return self._out.write(data)

    def flush(self) -> None:
        self._out.flush()
