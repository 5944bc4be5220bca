"""A file of rates that a person sends: CSV text or an Excel workbook. It is measured before anything is unpacked."""

import io
import zipfile
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from coovox_billing.core.csv_table import BadRow
from coovox_billing.core.rate_csv import parse_rates, parse_rows
from coovox_billing.core.rate_fields import COLUMNS
from coovox_billing.core.tariff import Rate
from coovox_billing.errors import BadInput, BillingError
from coovox_billing.web import bodies

MOST_BYTES = bodies.FILE_BYTES
MOST_UNPACKED_BYTES = 8 * 1024 * 1024
MOST_OTHER_BYTES = 256 * 1024  # of a part without rows: of every style, openpyxl makes an object
LONGEST_CELL = 32_767  # Excel's own
MOST_MEMBERS = 1000
MOST_RATES = 10_000  # they are imported in one write, which calls wait for

_PARTS_WITH_ROWS = ("xl/worksheets/", "xl/sharedStrings.xml")
_ZIP_SIGN, _OLD_OFFICE_SIGN = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_UTF_16_SIGNS = (b"\xff\xfe", b"\xfe\xff")
_CHUNK_BYTES = 256 * 1024


def read_rates(data: bytes) -> tuple[list[Rate], list[BadRow]]:
    """The rates of a file in its order (ids are 0), and every row that is none; a workbook's first sheet counts.

    Raises:
        BadInput: it is larger than it may be, or no table of rates.
    """
    if len(data) > MOST_BYTES:
        raise BadInput("The file is larger than %(most)s MB: split it.", most=MOST_BYTES // 1024 // 1024)
    if data.startswith(_OLD_OFFICE_SIGN):
        raise BadInput("This is an old or a locked workbook: save it as .xlsx without a password, or as CSV.")
    rates, bad = _workbook(data) if data.startswith(_ZIP_SIGN) else parse_rates(_text(data), MOST_RATES)
    if not rates and not bad:
        raise BadInput("The file holds no rates: write one per line below the header.")
    return rates, bad


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-16" if data.startswith(_UTF_16_SIGNS) else "utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput("The file is neither a workbook nor UTF-8 text: save it as .xlsx or as CSV UTF-8.") from None


def _workbook(data: bytes) -> tuple[list[Rate], list[BadRow]]:
    try:
        _measure(data)
        return parse_rows(_sheet_rows(data), MOST_RATES)
    except BillingError:
        raise
    except Exception:
        # openpyxl raises whatever a broken workbook makes it stumble over.
        raise BadInput("The workbook cannot be read: save it anew as .xlsx, or as CSV.") from None


def _measure(data: bytes) -> None:
    """Refuse what would fill the memory: large when unpacked, or with definitions that grow while they are read."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        others = [member for member in members if not member.filename.startswith(_PARTS_WITH_ROWS)]
        is_large = len(members) > MOST_MEMBERS or sum(member.file_size for member in members) > MOST_UNPACKED_BYTES
        if is_large or any(member.file_size > MOST_OTHER_BYTES for member in others):
            raise BadInput("The workbook is too large when unpacked: keep only the sheet with the rates.")
        if any(_defines(archive, member) for member in members):
            raise BadInput("The workbook cannot be read: save it anew as .xlsx, or as CSV.")


def _defines(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bool:
    """Whether a part of a workbook declares a document type, which none does, in whatever encoding."""
    before = b""
    with archive.open(member) as part:
        while chunk := part.read(_CHUNK_BYTES):
            if b"<!DOCTYPE" in (before + chunk).replace(b"\0", b""):
                return True
            before = chunk[-32:]
    return False


def _sheet_rows(data: bytes) -> Iterator[tuple[int, Sequence[str]]]:
    from openpyxl import load_workbook

    book = load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
    try:
        sheet = book.worksheets[0]
        sheet.reset_dimensions()
        width = len(COLUMNS)
        # Rows and columns beyond are not even counted: a sheet may claim a million of either.
        cells = sheet.iter_rows(max_row=2 * MOST_RATES, max_col=width + 1, values_only=True)
        for line, row in enumerate(cells, start=1):
            texts = [_written(cell) for cell in row]
            texts += [""] * (width - len(texts))
            yield line, texts if any(texts[width:]) else texts[:width]
    finally:
        book.close()


def _written(cell: Any) -> str:
    """A cell as a person would write it into a CSV file."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "1" if cell else "0"
    if isinstance(cell, float):
        # As a spreadsheet shows it: 15 digits, of which 0.1 + 0.2 makes 0.3.
        return f"{Decimal(f'{cell:.15g}'):f}"
    if isinstance(cell, datetime):
        return cell.time().isoformat("seconds") if cell.date() <= date(1900, 1, 1) else cell.isoformat()
    if isinstance(cell, time):
        return cell.isoformat("seconds")
    return str(cell)[:LONGEST_CELL]
