"""What is wrong with this site, and what to do: the one place that `doctor`, `/healthz` and the pages ask.

`what_to_do` of database, disk and clock is told to everyone on the network by
`/healthz`: it holds no path, no name and no number. `finding` holds them all.
"""

import os
import secrets
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from errno import EDQUOT, EIO, ENOSPC, EROFS
from pathlib import Path
from shlex import quote
from stat import S_IWUSR

from coovox_billing.sentences import Sentence
from coovox_billing.store import file_locks, probe, reads, schema
from coovox_billing.store.database_file import FILE_NAME, OPENING_LOCK
from coovox_billing.store.probe import Trial, Trouble

FULL_BYTES = 1_000_000
LOW_BYTES = 50_000_000
GLANCE_WAIT_MS = 400
THOROUGH_WAIT_MS = 2_000
SLOW_LOCK_SECONDS = 1.0
SLOW_WRITE_SECONDS = 0.5
CLOCK_TOLERANCE_MS = 60_000
DAY_MS = 86_400_000
LOST_DAYS = 7
OVERDUE_MS = 10 * 60_000

WRITES_TIMED = 3
_WRITE_BYTES = 4096

ADVICE: dict[Trouble, str] = {
    Trouble.MISSING: Sentence(
        "The database is missing: restore a backup before billing is started again, or it begins empty."
    ),
    Trouble.CLOSED: Sentence(
        "The database cannot be opened: give its directory and files to the user that billing runs as."
    ),
    Trouble.READ_ONLY: Sentence(
        "The database cannot be written: make its disk writable, "
        "and give its directory and files to the user that billing runs as."
    ),
    Trouble.LOCKED: Sentence(
        "The database is locked by another program: end that program; `coovox-billing doctor` tells which it is."
    ),
    Trouble.DAMAGED: Sentence("The database is damaged: stop billing, keep a copy of its files, and restore a backup."),
    Trouble.FULL: Sentence("The disk is full: free some space."),
    Trouble.FAILING: Sentence("The disk fails: keep a copy of the database, and replace the disk."),
}
_NEWER_SCHEMA = Sentence("The database was made by a newer version: install that version again, or restore a backup.")
_OLDER_SCHEMA = Sentence("The database is of an older version: start billing, which brings it up to date.")
_SLOW_LOCK = Sentence(
    "Other programs keep the database locked for too long: end them; `coovox-billing doctor` tells more."
)
_READ_ONLY_DISK = Sentence(
    "The disk is read-only, as after an error: look into the system's log, and make it writable again."
)
_LOW_DISK = Sentence("The disk is nearly full: free some space, for calls are refused when it is full.")
_SILENT_DISK = Sentence(
    "The disk does not answer: look into the system's log, and restart the machine or replace the disk."
)
_CLOCK = Sentence("The clock is wrong: set it, or let NTP set it.")
_CLOCK_WAS_AHEAD = Sentence(
    "The clock is behind the newest record: set it, or let NTP set it. If it is right now, it was ahead."
)
_CALL_PLANE = Sentence("The call plane does not answer, so no call is billed: start billing again.")
_MANAGER = Sentence(
    "Billing has lost Asterisk's manager: no call is lengthened, warned or ended. See whether Asterisk runs; "
    "`coovox-billing doctor` tells more."
)


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that was examined; `what_to_do` is empty where all is well.

    `is_note`: no fault, for it may be meant so, but a person should know it.
    """

    name: str
    finding: str
    what_to_do: str = ""
    is_note: bool = False

    @property
    def is_good(self) -> bool:
        """Whether nothing has to be done about it."""
        return self.is_note or not self.what_to_do


@dataclass(frozen=True, slots=True)
class Room:
    """What a disk has left for programs other than root's; `free_files` is None where it does not count them."""

    free_bytes: int
    free_files: int | None
    is_read_only: bool


def room_of(directory: Path) -> Room:
    """The room on a directory's disk.

    Raises:
        OSError: it cannot be examined.
    """
    found = os.statvfs(directory)
    return Room(
        free_bytes=found.f_bavail * found.f_frsize,
        free_files=found.f_favail if found.f_files else None,
        is_read_only=bool(found.f_flag & os.ST_RDONLY),
    )


def examine(
    directory: Path,
    now_ms: int,
    released_ms: int,
    wait_ms: int = GLANCE_WAIT_MS,
    room: Callable[[Path], Room] = room_of,
) -> list[Condition]:
    """Database, disk and clock of a data directory. Waits for a locked database at most `wait_ms`."""
    trial = probe.try_out(directory / FILE_NAME, wait_ms)
    return [
        _database(directory, trial),
        check_disk(directory, room),
        check_clock(now_ms, trial.newest_record_ms, released_ms),
    ]


def when_nothing_answers(now_ms: int, released_ms: int) -> list[Condition]:
    """The same three where examining them has not come back in time."""
    return [
        Condition("database", "it does not answer", _SILENT_DISK),
        Condition("disk", "it does not answer", _SILENT_DISK),
        check_clock(now_ms, 0, released_ms),
    ]


def advice_on(error: BaseException) -> str:
    """What to do about an error that came from the disk or the database, empty for any other."""
    trouble = probe.trouble_of(error)
    if trouble is None and isinstance(error, OSError):
        trouble = _TROUBLE_OF_ERRNO.get(error.errno or 0)
    return ADVICE[trouble] if trouble else ""


_TROUBLE_OF_ERRNO = {ENOSPC: Trouble.FULL, EDQUOT: Trouble.FULL, EROFS: Trouble.READ_ONLY, EIO: Trouble.FAILING}


def _database(directory: Path, trial: Trial) -> Condition:
    if trial.trouble is Trouble.LOCKED:
        holders = " and ".join(file_locks.lock_holders(directory / FILE_NAME)) or "another program"
        return Condition(
            "database", f"locked by {holders} for {trial.waited_seconds:.1f} s and longer", ADVICE[Trouble.LOCKED]
        )
    if trial.trouble:
        return Condition("database", f"{trial.trouble.value}, in {directory}: {trial.detail}", ADVICE[trial.trouble])
    if trial.schema != (known := schema.known_version()):
        advice = _NEWER_SCHEMA if trial.schema > known else _OLDER_SCHEMA
        return Condition("database", f"schema {trial.schema}, this version's is {known}", advice)
    if trial.waited_seconds > SLOW_LOCK_SECONDS:
        return Condition("database", f"others kept it locked for {trial.waited_seconds:.1f} s", _SLOW_LOCK)
    if not os.access(directory, os.W_OK | os.X_OK):
        finding = f"no file can be made in {directory}"
        return Condition("database", finding, ADVICE[Trouble.READ_ONLY])
    return Condition("database", f"can be read and written, in {directory}")


def check_disk(directory: Path, room: Callable[[Path], Room] = room_of) -> Condition:
    """Whether the disk has room and takes writes."""
    try:
        found = room(directory)
    except OSError as error:
        return Condition("disk", f"{directory} cannot be examined: {error.strerror}", ADVICE[Trouble.CLOSED])
    finding = f"{found.free_bytes // 1_000_000} MB free"
    if found.is_read_only:
        return Condition("disk", f"{directory} is mounted read-only", _READ_ONLY_DISK)
    if found.free_bytes < FULL_BYTES:
        return Condition("disk", f"full: {found.free_bytes // 1000} kB free", ADVICE[Trouble.FULL])
    if found.free_files == 0:
        return Condition("disk", f"full: {finding}, but room for no more files", ADVICE[Trouble.FULL])
    return Condition("disk", finding, _LOW_DISK if found.free_bytes < LOW_BYTES else "")


def check_disk_speed(
    directory: Path, monotonic: Callable[[], float] = time.monotonic, writes: int = WRITES_TIMED
) -> Condition:
    """Make, sync and remove a small file, some times over: how long a write takes, that a call waits for."""
    try:
        seconds = sorted(_time_of_a_write(directory, monotonic) for _ in range(writes))[writes // 2]
    except OSError as error:
        advice = advice_on(error) or ADVICE[Trouble.CLOSED]
        return Condition("disk speed", f"nothing can be written in {directory}: {error.strerror}", advice)
    if seconds > SLOW_WRITE_SECONDS:
        return slow_disk(f"each write takes {seconds:.1f} s")
    return Condition("disk speed", f"a write takes {seconds * 1000:.1f} ms")


def slow_disk(finding: str) -> Condition:
    """The disk keeps calls waiting."""
    advice = Sentence("See what else writes to this disk, or put the data directory on a faster one.")
    return Condition("disk speed", f"{finding}, and calls wait for it", advice)


def _time_of_a_write(directory: Path, monotonic: Callable[[], float]) -> float:
    path = directory / f".doctor.{secrets.token_hex(4)}"
    began = monotonic()
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(handle, bytes(_WRITE_BYTES))
            os.fsync(handle)
        finally:
            os.close(handle)
        return monotonic() - began
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def check_clock(now_ms: int, newest_record_ms: int, released_ms: int) -> Condition:
    """Whether the clock is behind what is known to be past. Records of the future tell that it was ahead."""
    if now_ms < released_ms:
        return Condition("clock", f"{_days(released_ms - now_ms)} behind this version's release", _CLOCK)
    if now_ms + CLOCK_TOLERANCE_MS < newest_record_ms:
        finding = f"{_days(newest_record_ms - now_ms)} behind the newest record: wrong now, or was ahead then"
        return Condition("clock", finding, _CLOCK_WAS_AHEAD)
    return Condition("clock", f"not behind {'any record' if newest_record_ms else 'this release'}")


def _days(span_ms: int) -> str:
    days, rest_ms = divmod(span_ms, DAY_MS)
    if days:
        return f"{days} day{'s' if days > 1 else ''}"
    return f"{rest_ms // 60_000} min" if rest_ms >= 60_000 else f"{rest_ms / 1000:.0f} s"


def check_call_plane(is_up: bool) -> Condition:
    """Whether Asterisk would be answered."""
    return Condition("call plane", "answers") if is_up else Condition("call plane", "silent", _CALL_PLANE)


def check_manager(is_connected: bool | None) -> Condition:
    """Whether the call plane is signed in to Asterisk's manager; None where it has none, or cannot be asked."""
    if is_connected is None:
        return Condition("manager", "none, or not known")
    return Condition("manager", "signed in") if is_connected else Condition("manager", "away", _MANAGER)


def check_calls(connection: sqlite3.Connection, now_ms: int) -> list[Condition]:
    """Calls that need a person: of the last days those whose end nobody saw, and those that never end."""
    lost = probe.lost_calls_since(connection, now_ms - LOST_DAYS * DAY_MS)
    longest_ms = reads.site(connection).longest_call_seconds * 1000
    overdue = probe.open_calls_before(connection, now_ms - longest_ms - OVERDUE_MS)
    found = [
        Condition(
            "lost calls",
            f"{_calls(lost)} of the last {LOST_DAYS} days closed by rule, for nobody told how they ended",
            "See whether they were charged right: coovox-billing call list --flag lost",
        ),
        Condition(
            "open calls",
            f"{_calls(overdue)} open for longer than the longest call may be",
            "They are closed within a minute where the call plane runs: see whether it does, and what its log says.",
        ),
    ]
    counted = [condition for condition, count in zip(found, (lost, overdue), strict=True) if count]
    return counted or [Condition("calls", "none needs a person")]


def _calls(count: int) -> str:
    return "1 call" if count == 1 else f"{count} calls"


def check_files(directory: Path) -> Condition:
    """Whether the directory's user may write the database's files: what root makes or closes keeps billing out."""
    owner = directory.stat()
    paths = [*(directory / f"{FILE_NAME}{ending}" for ending in ("", "-wal", "-shm")), directory / OPENING_LOCK]
    strange = [str(path) for path in paths if path.exists() and not _is_writable_by(path, owner.st_uid)]
    if strange:
        finding = f"{' and '.join(strange)} cannot be written by the user of {directory}"
        directory_name = quote(str(directory))
        advice = f"Run: chown -R {owner.st_uid}:{owner.st_gid} {directory_name} && chmod -R u+rwX {directory_name}"
        return Condition("files", finding, advice)
    return Condition("files", "are for the user of the data directory")


def _is_writable_by(path: Path, user: int) -> bool:
    found = path.stat()
    return found.st_uid == user and bool(found.st_mode & S_IWUSR)
