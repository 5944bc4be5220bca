"""A workbook that somebody sends, read in a process of its own, which ends: what its library takes of memory goes too.

Whatever the workbook holds, reading it takes no more memory and time than is said here, and none of it from the pages.
"""

import io
import json
import logging
import resource
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import date, datetime, time
from decimal import Decimal
from enum import IntEnum
from pathlib import Path
from typing import Any, BinaryIO

from coovox_billing.errors import BadInput
from coovox_billing.own_python import own_python

MOST_UNPACKED_BYTES = 8 * 1024 * 1024
MOST_OTHER_BYTES = 256 * 1024  # of a part without rows: of every style, openpyxl makes an object
MOST_MEMBERS = 1000
LONGEST_CELL = 32_767  # Excel's own
MOST_TEXT = 2 * 1024 * 1024  # signs of all cells: a text may stand in the file once, and in a sheet a thousand times
MOST_MEMORY_BYTES = 128 * 1024 * 1024  # of address space: 75 MB are libraries, most of which are never touched
LONGEST_SECONDS = 40
PATIENCE_SECONDS = 15.0

_PARTS_WITH_ROWS = ("xl/worksheets/", "xl/sharedStrings.xml")
_CHUNK_BYTES = 256 * 1024
_FIRST_TO_END = Path("/proc/self/oom_score_adj"), "1000"

_reading = threading.Lock()
log = logging.getLogger(__name__)


class _Outcome(IntEnum):
    """How the process of its own ends."""

    READ = 0
    NOT_BEGUN = 1  # Python's own, of a program that fails
    TOO_LARGE = 3
    BROKEN = 4
    NO_MEMORY = 5


class _TooLargeError(Exception):
    pass


class _BrokenError(Exception):
    pass


def rows_of(data: bytes, most_rows: int, width: int) -> Iterator[tuple[int, list[str]]]:
    """The rows of a workbook's first sheet with their numbers, each cell as a person would write it into a CSV file.

    Each row has `width` cells, or one more where a cell stands beyond. A number with three decimals has a zero behind
    them, so that its point is not taken for one between thousands.

    Raises:
        BadInput: it is no workbook, or takes more to read than is to be had.
    """
    if not _reading.acquire(timeout=PATIENCE_SECONDS):
        raise BadInput("Another workbook is being read: send this one again in a minute.")
    try:
        outcome, written = _read_apart(data, most_rows, width)
    finally:
        _reading.release()
    if outcome == _Outcome.TOO_LARGE:
        raise BadInput("The workbook is too large when unpacked: keep only the sheet with the rates.")
    if outcome == _Outcome.BROKEN:
        raise BadInput("The workbook cannot be read: save it anew as .xlsx, or as CSV.")
    if outcome == _Outcome.NOT_BEGUN:
        raise BadInput("The reader of workbooks could not be begun: save the workbook as CSV, and see the log.")
    if outcome != _Outcome.READ:
        log.warning("a workbook could not be read: its process ended with %s", outcome)
        raise BadInput("This device has not the memory or the time to read the workbook: save it as CSV.")
    return (tuple(json.loads(line.decode("utf-8", "surrogatepass"))) for line in io.BytesIO(written))


def _read_apart(data: bytes, most_rows: int, width: int) -> tuple[int | None, bytes]:
    """How the process ended, None where it took too long or could not even begin; and what it wrote."""
    command = [*own_python(), "-W", "ignore", "-m", __name__, str(most_rows), str(width)]
    try:
        done = subprocess.run(command, input=data, stdout=subprocess.PIPE, timeout=LONGEST_SECONDS, check=False)
    except (subprocess.TimeoutExpired, OSError):
        return None, b""
    return done.returncode, done.stdout


def main() -> int:
    """Read a workbook from standard input; its rows go to standard output, a line of JSON each."""
    _take_no_more()
    most_rows, width = map(int, sys.argv[1:])
    try:
        data = sys.stdin.buffer.read()
        _measure(data)
        _write_rows(_sheet_rows(data, most_rows, width), sys.stdout.buffer)
    except _TooLargeError:
        return _Outcome.TOO_LARGE
    except MemoryError:
        return _Outcome.NO_MEMORY
    except ImportError:
        raise
    except Exception:
        # openpyxl raises whatever a broken workbook makes it stumble over.
        return _Outcome.BROKEN
    return _Outcome.READ


def _take_no_more() -> None:
    """Where memory runs out all the same, this process is to end and no other."""
    resource.setrlimit(resource.RLIMIT_CPU, (LONGEST_SECONDS, LONGEST_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY_BYTES, MOST_MEMORY_BYTES))
    path, score = _FIRST_TO_END
    with suppress(OSError):
        path.write_text(score)


def _measure(data: bytes) -> None:
    """Refuse what would fill the memory: large when unpacked, or with definitions that grow while they are read."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        others = [member for member in members if not member.filename.startswith(_PARTS_WITH_ROWS)]
        is_large = len(members) > MOST_MEMBERS or sum(member.file_size for member in members) > MOST_UNPACKED_BYTES
        if is_large or any(member.file_size > MOST_OTHER_BYTES for member in others):
            raise _TooLargeError
        if any(_defines(archive, member) for member in members):
            raise _BrokenError


def _defines(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bool:
    """Whether a part of a workbook declares a document type, which none does, in whatever encoding."""
    before = b""
    with archive.open(member) as part:
        while chunk := part.read(_CHUNK_BYTES):
            if b"<!DOCTYPE" in (before + chunk).replace(b"\0", b""):
                return True
            before = chunk[-32:]
    return False


def _sheet_rows(data: bytes, most_rows: int, width: int) -> Iterator[tuple[int, Sequence[str]]]:
    from openpyxl import load_workbook

    book = load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
    sheet = book.worksheets[0]
    sheet.reset_dimensions()
    # Rows and columns beyond are not even counted: a sheet may claim a million of either.
    cells = sheet.iter_rows(max_row=most_rows, max_col=width + 1, values_only=True)
    for line, row in enumerate(cells, start=1):
        texts = [_written(cell) for cell in row]
        texts += [""] * (width - len(texts))
        yield line, texts if any(texts[width:]) else texts[:width]


def _write_rows(rows: Iterator[tuple[int, Sequence[str]]], file: BinaryIO) -> None:
    signs = 0
    for line, texts in rows:
        signs += sum(map(len, texts))
        if signs > MOST_TEXT:
            raise _TooLargeError
        file.write(json.dumps([line, texts], ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n")
    file.flush()


def _written(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "1" if cell else "0"
    if isinstance(cell, float):
        # As a spreadsheet shows it: 15 digits, of which 0.1 + 0.2 makes 0.3.
        text = f"{Decimal(f'{cell:.15g}'):f}"
        return f"{text}0" if text[-4:-3] == "." else text
    if isinstance(cell, datetime):
        return cell.time().isoformat("seconds") if cell.date() <= date(1900, 1, 1) else cell.isoformat()
    if isinstance(cell, time):
        return cell.isoformat("seconds")
    return str(cell)[:LONGEST_CELL]


if __name__ == "__main__":
    raise SystemExit(main())
