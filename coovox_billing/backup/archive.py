"""A backup as a file: a gzipped tar with a manifest and the parts it tells of, encrypted by `age` where wanted.

Both are formats that others read too: `age --decrypt backup.age | tar xz` opens one without this product.
"""

import gzip
import hashlib
import io
import os
import re
import socket
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from coovox_billing import __version__
from coovox_billing.backup import age, manifest
from coovox_billing.backup.manifest import DATABASE, Manifest, Part
from coovox_billing.core.trial import LICENSE_FILE, MOST_BYTES, TRIAL_FILE
from coovox_billing.errors import BadInput, Refused
from coovox_billing.services.licensing import Device
from coovox_billing.small_files import FILE_MODE, give_to_owner_of, read_small
from coovox_billing.store import contents, schema, snapshot
from coovox_billing.store.database_file import FILE_NAME

ENDING, ENCRYPTED_ENDING = ".tar.gz", ".tar.gz.age"
# Beside the database: what the trial's rules need. What lets somebody in (the link's key, a first password) is not.
SITE_FILES = (TRIAL_FILE, LICENSE_FILE)

# Months of calls that were moved out of the database into files beside it, which are not written again.
CALLS_FOLDER = "archive"

_CALLS_FILE = re.compile(r"archive/calls-[0-9]{4}-[0-9]{2}(-[0-9]{1,4})?\.csv\.gz")
_MANIFEST = "manifest.json"
_PACKING = 6
_SOME_BYTES = 64 * 1024
_SQLITE_MAGIC = b"SQLite format 3\0"
_GZIP_MAGIC = b"\x1f\x8b"
_MARGIN_BYTES = 1_000_000
# A tar is filled up to a multiple of 10 KiB, or of what somebody chose who packed it anew.
_MOST_AFTER_BYTES = 1 << 20


class WrongPassphrase(BadInput):
    """It is encrypted, and no passphrase was given."""

    def __init__(self) -> None:
        super().__init__(
            "this backup is encrypted, and no passphrase was given",
            hint="write it into a file and name that with --passphrase-file, or type it when you are asked",
        )


def write(
    directory: Path, device: Device, now_ms: int, out: BinaryIO, passphrase: str = "", pause: Callable[[], object] = int
) -> Manifest:
    """Write a backup of a data directory as it is now. `pause` is called now and then, so that others have the disk.

    Raises:
        Refused: there is no room for the copy that it is made from.
        OSError, sqlite3.Error: something cannot be read or written.
    """
    with _working_copy(directory, pause) as copy:
        told = _describe(directory, copy, device, now_ms)
        if passphrase:
            sealed = age.Encrypting(out, passphrase)
            _pack(directory, copy, told, cast(BinaryIO, sealed), pause)
            sealed.finish()
        else:
            _pack(directory, copy, told, out, pause)
    return told


@contextmanager
def _working_copy(directory: Path, pause: Callable[[], object]) -> Iterator[Path]:
    """The database as it is now, for as long as the block lasts; nobody who writes to it waits."""
    needed, free = snapshot.bytes_of(directory / FILE_NAME) + _MARGIN_BYTES, snapshot.free_bytes_of(directory)
    if free < needed:
        raise Refused(
            "there is no room for a backup: %(needed)s MB are needed in %(directory)s and %(free)s MB are free",
            needed=snapshot.megabytes(needed),
            directory=directory,
            free=snapshot.megabytes(free),
        )
    copy = directory / schema.BACKUPS / f"working-copy-{os.getpid()}"
    _remove_leftovers(copy.parent)
    try:
        snapshot.copy_of_live(directory / FILE_NAME, copy, lambda _: pause())
        yield copy
    finally:
        with suppress(OSError):
            copy.unlink(missing_ok=True)


def _remove_leftovers(directory: Path) -> None:
    """Of processes that were killed."""
    for path in directory.glob("working-copy-*"):
        pid = path.name.removesuffix(snapshot.UNFINISHED).rpartition("-")[2]
        if not Path(f"/proc/{pid}").exists():
            path.unlink(missing_ok=True)


def _describe(directory: Path, copy: Path, device: Device, now_ms: int) -> Manifest:
    with copy.open("rb") as file:
        parts = [Part(DATABASE, copy.stat().st_size, _digest(file))]
    parts += [
        Part(name, len(data), hashlib.sha256(data).hexdigest())
        for name in SITE_FILES
        if (data := _site_file(directory, name)) is not None
    ]
    parts += [_calls_part(directory, path) for path in _calls_files(directory)]
    with closing(contents.reading(copy)) as connection:
        rows = contents.row_counts(connection)
        version = schema.version(connection)
    name, mark = socket.gethostname(), mark_of(device)
    return Manifest(__version__, version, now_ms, name, device.board, mark, rows, tuple(parts))


def _calls_files(directory: Path) -> list[Path]:
    found = (directory / CALLS_FOLDER).glob("*.csv.gz")
    return sorted(path for path in found if _CALLS_FILE.fullmatch(f"{CALLS_FOLDER}/{path.name}"))


def _calls_part(directory: Path, path: Path) -> Part:
    with path.open("rb") as file:
        return Part(str(path.relative_to(directory)), path.stat().st_size, _digest(file))


def mark_of(device: Device) -> str:
    """What tells a device from another, without telling what identifies it; empty for one that nothing identifies."""
    told = "\n".join(sorted(f"{one.kind} {one.value}" for one in device.identifiers))
    return hashlib.sha256(f"CooVox Billing backup 1\n{told}".encode()).hexdigest()[:16] if told else ""


def _site_file(directory: Path, name: str) -> bytes | None:
    try:
        return read_small(directory / name, MOST_BYTES)
    except OSError:
        return None


def _digest(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while piece := file.read(_SOME_BYTES):
        digest.update(piece)
    return digest.hexdigest()


def _pack(directory: Path, copy: Path, told: Manifest, out: BinaryIO, pause: Callable[[], object]) -> None:
    with (
        gzip.GzipFile(fileobj=out, mode="wb", compresslevel=_PACKING, mtime=told.made_ms // 1000) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        text = told.encoded()
        _add(tar, Part(_MANIFEST, len(text), ""), io.BytesIO(text), told.made_ms, pause)
        for part in told.parts:
            if part.name == DATABASE or _CALLS_FILE.fullmatch(part.name):
                with (copy if part.name == DATABASE else directory / part.name).open("rb") as file:
                    _add(tar, part, file, told.made_ms, pause)
            else:
                data = _site_file(directory, part.name)
                if data is None or hashlib.sha256(data).hexdigest() != part.sha256:
                    raise Refused("%(name)s has changed meanwhile: make the backup again", name=part.name)
                _add(tar, part, io.BytesIO(data), told.made_ms, pause)


def _add(tar: tarfile.TarFile, part: Part, content: BinaryIO, made_ms: int, pause: Callable[[], object]) -> None:
    entry = tarfile.TarInfo(part.name)
    entry.size, entry.mode, entry.mtime = part.size, FILE_MODE, made_ms // 1000
    tar.addfile(entry, cast(io.BufferedReader, _Paced(content, pause)))


class _Paced:
    """Reads in pieces, with a pause after each."""

    def __init__(self, source: BinaryIO, pause: Callable[[], object]) -> None:
        self._source = source
        self._pause = pause

    def read(self, count: int) -> bytes:
        self._pause()
        return self._source.read(count)


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A backup whose parts were found to be what they must be; they lie in a directory."""

    told: Manifest
    directory: Path

    @property
    def database(self) -> Path:
        """Its database."""
        return self.directory / DATABASE

    @property
    def calls_files(self) -> list[Path]:
        """Its months of calls that were moved into files."""
        return _calls_files(self.directory)

    def site_file(self, name: str) -> bytes | None:
        """A further file of it, None where it has none."""
        return read_small(self.directory / name, MOST_BYTES)


def unpack(source: BinaryIO, target: Path, passphrase: str = "") -> Unpacked:
    """Unpack a backup into an empty directory: an archive, encrypted or not, or a bare copy of a database.

    Raises:
        BadInput: it is no backup, is damaged, or the passphrase is wrong.
        OSError: there is no room, or it cannot be read.
    """
    begin = _peek(source)
    if begin.startswith(_SQLITE_MAGIC):
        return _take_copy(source, target)
    if begin.startswith(age.MAGIC):
        if not passphrase:
            raise WrongPassphrase
        opened = cast(BinaryIO, io.BufferedReader(age.Decrypting(source, passphrase), _SOME_BYTES))
        return _unpack(opened, target)
    if begin.startswith(_GZIP_MAGIC):
        return _unpack(source, target)
    raise BadInput("this is no backup of CooVox Billing")


def _peek(source: BinaryIO) -> bytes:
    begin = source.read(len(age.MAGIC))
    source.seek(0)
    return begin


def _take_copy(source: BinaryIO, target: Path) -> Unpacked:
    """A database as it was before an upgrade."""
    path = target / DATABASE
    size = source.seek(0, os.SEEK_END)
    source.seek(0)
    _check_room(target, size)
    digest = _write_new(path, source, size)
    with closing(contents.reading(path)) as connection:
        version = schema.version(connection)
        rows = contents.row_counts(connection)
        made_ms = contents.newest_moment_ms(connection)
    part = Part(DATABASE, path.stat().st_size, digest)
    return Unpacked(Manifest("", version, made_ms, "", "", "", rows, (part,)), target)


def _unpack(source: BinaryIO, target: Path) -> Unpacked:
    try:
        with gzip.GzipFile(fileobj=source) as packed:
            told = _read_manifest(cast(BinaryIO, packed))
            _unpack_parts(cast(BinaryIO, packed), told, target)
            # What follows is nothing, but it is where gzip and age tell whether all of it was there.
            if len(packed.read(_MOST_AFTER_BYTES + 1)) > _MOST_AFTER_BYTES:
                raise _damaged()
    except (EOFError, zlib.error, tarfile.TarError, gzip.BadGzipFile):
        raise _damaged() from None
    return Unpacked(told, target)


def _read_manifest(packed: BinaryIO) -> Manifest:
    entry = _entry(packed)
    if entry is None or entry.name != _MANIFEST or not 0 < entry.size <= manifest.MOST_BYTES:
        raise BadInput("this is no backup of CooVox Billing")
    text = packed.read(entry.size)
    _skip_filling(packed, entry.size)
    return manifest.decoded(text)


def _unpack_parts(packed: BinaryIO, told: Manifest, target: Path) -> None:
    """Each where the manifest tells of it, in its order, and nothing else."""
    names = [part.name for part in told.parts]
    known = {DATABASE, *SITE_FILES, *filter(_CALLS_FILE.fullmatch, names)}
    if DATABASE not in names or set(names) - known:
        raise _damaged()
    _check_room(target, sum(part.size for part in told.parts))
    (target / CALLS_FOLDER).mkdir(mode=0o700)
    for part in told.parts:
        entry = _entry(packed)
        if entry is None or (entry.name, entry.size) != (part.name, part.size):
            raise _damaged()
        if _write_new(target / part.name, packed, part.size) != part.sha256:
            raise _damaged()
        _skip_filling(packed, part.size)
    if _entry(packed) is not None:
        raise _damaged()


def _entry(packed: BinaryIO) -> tarfile.TarInfo | None:
    """What is told of the next file, None at the end. A `TarFile` takes further headers into memory, however big."""
    block = packed.read(tarfile.BLOCKSIZE)
    if block == bytes(tarfile.BLOCKSIZE):
        return None
    entry = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    if not entry.isreg():
        raise _damaged()
    return entry


def _skip_filling(packed: BinaryIO, size: int) -> None:
    packed.read(-size % tarfile.BLOCKSIZE)


def _check_room(target: Path, size: int) -> None:
    """Calls are written to the same disk: it is not filled, not even for a rehearsal.

    Raises:
        Refused: it would be.
    """
    needed, free = size + _MARGIN_BYTES, snapshot.free_bytes_of(target)
    if free < needed:
        raise Refused(
            "there is no room to unpack the backup: %(needed)s MB are needed in %(directory)s and %(free)s MB are free",
            needed=snapshot.megabytes(needed),
            directory=target,
            free=snapshot.megabytes(free),
        )


def _write_new(path: Path, source: BinaryIO, most_bytes: int) -> str:
    """Write a private file, on disk when this returns; its digest."""
    digest = hashlib.sha256()
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    with os.fdopen(handle, "wb") as file:
        give_to_owner_of(path.parent, handle)
        while most_bytes > 0 and (piece := source.read(min(_SOME_BYTES, most_bytes))):
            digest.update(piece)
            file.write(piece)
            most_bytes -= len(piece)
        file.flush()
        os.fsync(handle)
    return digest.hexdigest()


def _damaged() -> BadInput:
    return BadInput("the backup is damaged, or was cut off: take another one")
