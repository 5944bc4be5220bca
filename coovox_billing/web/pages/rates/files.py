"""A file of rates that a person sends: CSV text or an Excel workbook."""

from coovox_billing.core.csv_table import BadRow
from coovox_billing.core.rate_csv import parse_rates, parse_rows
from coovox_billing.core.rate_fields import COLUMNS
from coovox_billing.core.tariff import Rate
from coovox_billing.errors import BadInput
from coovox_billing.foreign_workbook import rows_of
from coovox_billing.web import bodies

MOST_BYTES = bodies.FILE_BYTES
MOST_RATES = 10_000  # they are imported in one write, which calls wait for

_ZIP_SIGN, _OLD_OFFICE_SIGN = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_UTF_16_SIGNS = (b"\xff\xfe", b"\xfe\xff")


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
    rows = rows_of(data, most_rows=2 * MOST_RATES, width=len(COLUMNS))
    return parse_rows(rows, MOST_RATES, point_may_group=True)
