"""Which processes have a database open or locked, as the kernel lists their locks."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_WAL_WRITE_LOCK_BYTE = "120"


@dataclass(frozen=True, slots=True)
class _Lock:
    pid: int
    is_write: bool
    inode: int
    byte: str


def lock_holders(path: Path) -> list[str]:
    """Who keeps others from writing to the database, like `sqlite3 (process 1234)`; empty where nobody can tell."""
    with suppress(OSError):
        file = path.stat().st_ino
        shared = path.with_name(f"{path.name}-shm").stat().st_ino
        return _named(
            lock.pid
            for lock in _locks()
            if lock.is_write and (lock.inode == file or (lock.inode, lock.byte) == (shared, _WAL_WRITE_LOCK_BYTE))
        )
    return []


def users_of(path: Path) -> list[str]:
    """Who has the database open, like `sqlite3 (process 1234)`; empty where nobody can tell."""
    return _named(pids_using(path))


def pids_using(path: Path) -> list[int]:
    """The processes that have the database open just now; empty where nobody can tell."""
    with suppress(OSError):
        file = path.stat().st_ino
        return sorted({lock.pid for lock in _locks() if lock.inode == file})
    return []


def users_of_deleted(path: Path) -> list[str]:
    """Who still has a database open that was deleted, as far as this user may know."""
    deleted, found = f"{path.absolute()} (deleted)", set()
    for process in Path("/proc").glob("[0-9]*"):
        if deleted in _open_files(process):
            found.add(int(process.name))
    return _named(found)


def _open_files(process: Path) -> set[str]:
    """None where it is another user's, or ended meanwhile."""
    found = set()
    with suppress(OSError):
        for link in (process / "fd").iterdir():
            with suppress(OSError):
                found.add(str(link.readlink()))
    return found


def _named(pids: Iterable[int]) -> list[str]:
    return [f"{_name_of(pid)} (process {pid})" for pid in sorted(set(pids))]


def _locks() -> Iterator[_Lock]:
    """Those that are held, not those that are waited for."""
    for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
        words = line.split()
        kind = {"READ", "WRITE"} & set(words)
        if "->" not in words and kind:
            at = words.index(kind.pop())
            yield _Lock(int(words[at + 1]), words[at] == "WRITE", int(words[at + 2].rpartition(":")[2]), words[at + 3])


def _name_of(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    return "a program"
