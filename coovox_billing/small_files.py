"""Small private files: read within bounds, written so that a plug pulled meanwhile leaves the old or the new one.

Hooks run as root in directories that billing's own user may write, so no link is followed and nothing but a
plain file is read: a link laid there must not show or change a file of the system.
"""

import errno
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FILE_MODE = 0o600
DIRECTORY_MODE = 0o700


def read_small(path: Path, most_bytes: int, follow_links: bool = False) -> bytes | None:
    """What is in a file of at most `most_bytes`, None where there is none. Never waits, not for a pipe either.

    Raises:
        OSError: it cannot be read, is no plain file, is a link, or has more.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow_links else os.O_NOFOLLOW)
    try:
        handle = os.open(path, flags)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "it is no plain file")
        with os.fdopen(handle, "rb", closefd=False) as file:
            content = file.read(most_bytes + 1)
    finally:
        os.close(handle)
    if len(content) > most_bytes:
        raise OSError(errno.EFBIG, f"it has more than {most_bytes} bytes")
    return content


def replace_small(path: Path, content: bytes) -> None:
    """Put a file that only the owner of its directory may read in the place of whatever is there.

    Raises:
        OSError: it could not be written. What was there before still is.
    """
    waiting = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    handle = os.open(waiting, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    try:
        with os.fdopen(handle, "wb") as file:
            give_to_owner_of(path.parent, handle)
            file.write(content)
            file.flush()
            os.fsync(handle)
        waiting.replace(path)
    except BaseException:
        waiting.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def make_directory(directory: Path, owner: int | None = None, group: int | None = None) -> None:
    """Make a private directory where it is missing; root gives it to `owner` and `group`.

    Raises:
        OSError: it could not be made.
    """
    if directory.is_dir():
        return
    directory.parent.mkdir(parents=True, exist_ok=True)
    directory.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
    if os.geteuid() == 0 and owner is not None and group is not None:
        os.chown(directory, owner, group, follow_symlinks=False)
    sync_directory(directory.parent)


@contextmanager
def as_owner_of(directory: Path) -> Iterator[None]:
    """Let root be, for a moment, who owns the directory, to see what that user may do. Of a process with one thread.

    Raises:
        OSError: nobody can tell whose it is.
    """
    owner, groups = directory.stat(), os.getgroups()
    if os.geteuid() != 0 or owner.st_uid == 0:
        yield
        return
    try:
        name = pwd.getpwuid(owner.st_uid).pw_name
        os.setgroups(os.getgrouplist(name, owner.st_gid))
    except KeyError:
        os.setgroups([owner.st_gid])
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


@contextmanager
def opened_lock(path: Path) -> Iterator[int]:
    """A file to be locked, made where it is missing, as long as the block lasts. What is in it stays.

    Raises:
        OSError: it cannot be opened, or is a link: what root opens must not be what somebody else chose.
    """
    handle = _open_or_make(path)
    try:
        yield handle
    finally:
        os.close(handle)


def _open_or_make(path: Path) -> int:
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
    while True:
        try:
            return os.open(path, flags)
        except FileNotFoundError:
            try:
                handle = os.open(path, flags | os.O_CREAT | os.O_EXCL, FILE_MODE)
            except FileExistsError:
                continue
            give_to_owner_of(path.parent, handle)
            return handle


def sync_directory(directory: Path) -> None:
    """Wait until a directory's names are on disk."""
    handle = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def give_to_owner_of(directory: Path, handle: int) -> None:
    """What root writes must not keep out the user of the directory."""
    owner = directory.stat()
    if os.geteuid() == 0 and (owner.st_uid, owner.st_gid) != (0, 0):
        os.fchown(handle, owner.st_uid, owner.st_gid)
