"""Calls that grew old move into files: one of compressed CSV for each month, and out of the database.

The file is the truth of a move. It is on disk, and its hash in the manifest, before the first call leaves the
database; and a call leaves it only where its line, read from that file, says what its row says then. So killed at any
step nothing is lost, and repeated it goes on where it was. Balances, the ledger and the totals are not touched.
"""

import csv
import fcntl
import gzip
import hashlib
import io
import os
import secrets
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from itertools import chain, count, islice
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

from coovox_billing.core import why
from coovox_billing.core.clock import day_start_ms
from coovox_billing.core.csv_table import quoted
from coovox_billing.errors import BadInput, Refused
from coovox_billing.services import accounts
from coovox_billing.services.accounts import Person
from coovox_billing.small_files import (
    FILE_MODE,
    give_to_owner_of,
    make_directory,
    opened_lock,
    read_small,
    replace_small,
    sync_directory,
)
from coovox_billing.store import reads, writes
from coovox_billing.store.call_changes import CallRow
from coovox_billing.store.database import Database

T = TypeVar("T")

FOLDER = "archive"
MANIFEST = "SHA256SUMS"
LEAST_MONTHS, MOST_MONTHS = 1, 1200
# For so long a site may be without an answered call; where it was for longer, its clock may have been set ahead.
LONGEST_QUIET = timedelta(days=31)

# Calls are moved, and pages given back, so few at a time that who answers Asterisk waits for milliseconds only.
CALLS_AT_ONCE = 50
PAGES_AT_ONCE = 100

_MOST_MANIFEST_BYTES = 1 << 20
_MOST_FIELD_CHARACTERS = 1 << 24
_ZONES_APART = timedelta(hours=26)
_MILLISECOND = timedelta(milliseconds=1)
_LOCK = "archiving.lock"


@dataclass(frozen=True, slots=True)
class Shown:
    """What each line of a file begins with, for people: titles, and their cells from a call's row with its `name`."""

    titles: Sequence[str]
    cells: Callable[[sqlite3.Row], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Moved:
    """What became of a month: how many calls are now in a file, and how many a person changed meanwhile and stay."""

    month: str
    path: Path
    calls: int
    stayed: int


def first_day_kept(today: date, months: int) -> date:
    """The day before which calls are archived: the first of the month that many months back.

    Raises:
        BadInput: not even a month, or too many.
    """
    if not LEAST_MONTHS <= months <= MOST_MONTHS:
        raise BadInput(
            "calls can be archived once they are %(least)s to %(most)s months old", least=LEAST_MONTHS, most=MOST_MONTHS
        )
    year, month = divmod(today.year * 12 + today.month - 1 - months, 12)
    return date(max(1, year), month + 1, 1)


def check_clock(connection: sqlite3.Connection, today: date) -> None:
    """See whether the clock may be believed: of one that is far ahead, every call is old.

    The days of the calls themselves tell: there were some within the last month, and within the one before it, also
    where the first calls were made since the clock went wrong. A site without older ones has nothing to lose.

    Raises:
        Refused: there is a gap which only a person can tell from a wrong clock.
    """
    for until in (today, today - LONGEST_QUIET):
        if (day := reads.last_day_of_calls(connection, until.isoformat())) is None:
            return
        if date.fromisoformat(day) < until - LONGEST_QUIET:
            raise Refused(
                "the clock says that today is %(today)s, and from %(day)s on nobody talked for over %(days)s days: "
                "nothing was moved. See that date and time are right; if they are, insist",
                hint="--clock-is-right",
                today=today,
                day=day,
                days=LONGEST_QUIET.days,
            )


class Archive:
    """The files of one site in a directory. What is in the database is moved there month by month."""

    def __init__(self, database: Database, data: Path, directory: Path, shown: Shown) -> None:
        self._database = database
        self._data = data
        self._directory = directory
        self._shown = shown

    def move(self, before: date, person: Person) -> Iterator[Moved]:
        """Move the calls of all months before a day's, the oldest month first; tells of each file as it is done.

        Calls in progress stay, and flagged ones, which a person may have to look after.

        Raises:
            Refused: somebody archives already, or a file is not what was written.
            OSError: a file could not be written. Whatever it was, no call is lost, and a repeat goes on.
        """
        with self._alone():
            self._make_directory()
            for leftover in self._directory.glob(".calls-*"):
                leftover.unlink()
            for month in self._database.read(partial(reads.months_to_archive, before=before.isoformat())):
                for path in self._paths(month):
                    yield from self._empty_into(path, month, person)
                if written := self._write(month):
                    yield from self._empty_into(written, month, person)
            self._give_back_room()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with opened_lock(self._data / _LOCK) as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Refused("calls are being archived already: wait until that is done") from None
            yield

    def _make_directory(self) -> None:
        above = next(path for path in self._directory.parents if path.exists()).stat()
        make_directory(self._directory, above.st_uid, above.st_gid)

    def _paths(self, month: str) -> list[Path]:
        """The files of a month that are there, in the order in which they were made."""
        named = (self._path(month, number) for number in count(1))
        found: list[Path] = []
        for path in named:
            if not path.exists():
                return found
            found.append(path)
        raise AssertionError

    def _path(self, month: str, number: int) -> Path:
        return self._directory / f"calls-{month}{'' if number == 1 else f'-{number}'}.csv.gz"

    def _write(self, month: str) -> Path | None:
        """A new file with a month's calls that may move, on disk and in the manifest; None where there are none."""
        waiting = self._directory / f".calls-{month}.{secrets.token_hex(4)}"
        try:
            with os.fdopen(os.open(waiting, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), "wb") as file:
                give_to_owner_of(self._directory, file.fileno())
                written = self._database.read(partial(self._pack, file, month))
                file.flush()
                os.fsync(file.fileno())
            if not written:
                return None
            digest = _digest(waiting)
            path = self._reserved(month)
            waiting.rename(path)
        finally:
            waiting.unlink(missing_ok=True)
        sync_directory(self._directory)
        self._note(path, digest)
        return path

    def _reserved(self, month: str) -> Path:
        """A name for a month's file which is ours alone: another site may archive into the same directory."""
        for number in count(1):
            path = self._path(month, number)
            with suppress(FileExistsError):
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE))
                return path
        raise AssertionError

    def _pack(self, file: io.BufferedWriter, month: str, connection: sqlite3.Connection) -> bool:
        """Whether there were calls to write."""
        first, after = _bounds_ms(month)
        rows = reads.calls_to_archive(connection, month, first, after)
        begin = list(islice(rows, 1))
        if not begin:
            return False
        names = reads.call_columns(connection)
        with (
            gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed,
            io.TextIOWrapper(packed, encoding="utf-8", newline="") as text,
        ):
            writer = csv.writer(text)
            writer.writerow([*self._shown.titles, *names])
            for row in chain(begin, rows):
                writer.writerow([*self._shown.cells(row), *_cells(row, names)])
        return True

    def _note(self, path: Path, digest: str) -> None:
        """Add a file to the manifest, which `sha256sum --check` reads."""
        digests = self._noted() | {path.name: digest}
        lines = (f"{digest}  {name}\n" for name, digest in sorted(digests.items()))
        replace_small(self._directory / MANIFEST, "".join(lines).encode())

    def _noted(self) -> dict[str, str]:
        text = (read_small(self._directory / MANIFEST, _MOST_MANIFEST_BYTES) or b"").decode()
        pairs = (line.partition("  ")[::2] for line in text.splitlines())
        return {name: digest for digest, name in pairs}

    def _empty_into(self, path: Path, month: str, person: Person) -> Iterator[Moved]:
        """Take the calls of a file out of the database; one that is not what the manifest says is left alone."""
        digest = _digest(path)
        noted = self._noted().get(path.name)
        if noted not in (None, digest):
            raise Refused(
                "%(path)s is not what was written: bring the right file back, or move this one away", path=path
            )
        calls = stayed = 0
        try:
            for header, lines in _blocks(path):
                move = partial(_move, path=path, month=month, header=header, lines=lines)
                moved, left = self._politely(move)
                calls, stayed = calls + moved, stayed + left
        except (EOFError, gzip.BadGzipFile, zlib.error, csv.Error, ValueError, LookupError):
            raise Refused("%(path)s is damaged: move it away, then repeat", path=path) from None
        if noted is None:
            self._note(path, digest)
        if calls:
            what, after = f"archive {month}", {"calls": calls, "file": str(path)}
            self._database.write(lambda connection: accounts.record(connection, person, what, {}, after))
        if calls or stayed:
            yield Moved(month, path, calls, stayed)

    def _give_back_room(self) -> None:
        give_back = partial(writes.give_back_pages, most=PAGES_AT_ONCE)
        left = self._politely(give_back)
        while left:
            before, left = left, self._politely(give_back)
            if left >= before:
                return

    def _politely(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """A write, and a pause as long as it took, so that every second moment belongs to the calls."""
        began = time.monotonic()
        done = self._database.write(job)
        time.sleep(time.monotonic() - began)
        return done


def _bounds_ms(month: str) -> tuple[int, int]:
    """No zone's month begins before the first instant or ends after the second."""
    first = date.fromisoformat(f"{month}-01")
    after = (first + timedelta(days=31)).replace(day=1) if first.month < 12 else date(first.year + 1, 1, 1)
    apart = _ZONES_APART // _MILLISECOND
    utc = ZoneInfo("UTC")
    return day_start_ms(first, utc) - apart, day_start_ms(after, utc) + apart


def _cells(row: CallRow, names: Sequence[str]) -> list[str]:
    """What a row keeps, as text that no spreadsheet runs and that can be read by itself; nothing for NULL."""
    values = (why.in_full(row[name]) if name == "why" else row[name] for name in names)
    return ["" if value is None else quoted(str(value)) for value in values]


def _blocks(path: Path) -> Iterator[tuple[list[str], list[list[str]]]]:
    """The lines of a file, some at a time, each time with its header."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as text, _long_fields():
        lines = csv.reader(text)
        header = next(lines, [])
        while block := list(islice(lines, CALLS_AT_ONCE)):
            yield header, block


@contextmanager
def _long_fields() -> Iterator[None]:
    """Where hundreds of rates compete, *why this price* is longer than what csv reads unless it is told to."""
    before = csv.field_size_limit(_MOST_FIELD_CHARACTERS)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _move(
    connection: sqlite3.Connection, path: Path, month: str, header: Sequence[str], lines: Sequence[Sequence[str]]
) -> tuple[int, int]:
    """Archive the calls of some lines; how many were, and how many are there but are not what their line says."""
    known = set(reads.call_columns(connection))
    places = {name: place for place, name in enumerate(header) if name in known}
    moved = stayed = 0
    for line in lines:
        call_id = line[places["call_id"]]
        row = reads.call(connection, call_id)
        if row is None:
            continue
        if _cells(row, list(places)) == [line[place] for place in places.values()]:
            writes.archive_call(connection, call_id)
            moved += 1
        else:
            stayed += 1
    if moved:
        writes.count_archived(connection, str(path), month, moved)
    return moved, stayed


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
