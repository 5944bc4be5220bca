"""Rates as a file that an import takes again: DESIGN §6's columns, as CSV or as an Excel workbook."""

import tempfile
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from typing import Any

from flask import Response

from coovox_billing.core.money import MICROS_PER_UNIT
from coovox_billing.core.rate_csv import render_rates
from coovox_billing.core.rate_fields import COLUMNS, fields_of
from coovox_billing.core.tariff import Rate
from coovox_billing.store.lists.rates import RateQuery
from coovox_billing.web.downloads import CSV_TYPE, XLSX_TYPE, streamed

_CHUNK_BYTES = 64 * 1024
_RATES_AT_ONCE = 500
_PRICES = {"initial_cost": "initial_cost_micros", "rate": "rate_micros"}
_COUNTS = ("active", "number_length", "initial_time", "billing_unit")
_PRICE_FORMAT = "0.0000##"
_WIDTHS = {"remark": 28, "prefix": 12, "start_time": 11, "end_time": 11, "extensions": 28}


def send(query: RateQuery, kind: str) -> Response:
    """The rates of a query as an answer to the browser."""
    make, content_type = (_xlsx, XLSX_TYPE) if kind == "xlsx" else (lines, CSV_TYPE)
    response = streamed(make(query), content_type)
    response.headers["Content-Disposition"] = f'attachment; filename="rates.{kind}"'
    return response


def lines(query: RateQuery) -> Iterator[str]:
    """The rates of a query as CSV."""
    yield "\ufeff" + render_rates(())
    rates = (ranked.rate for ranked in query.stream())
    while some := list(islice(rates, _RATES_AT_ONCE)):
        yield render_rates(some).partition("\n")[2]


def _xlsx(query: RateQuery) -> Iterator[bytes]:
    """Prefix, days and extensions are texts, so that a spreadsheet keeps their zeros; prices and counts are numbers."""
    from openpyxl import Workbook
    from openpyxl.utils import get_column_letter

    book = Workbook(write_only=True)
    sheet = book.create_sheet("rates")
    sheet.freeze_panes = "A2"
    for place, name in enumerate(COLUMNS, start=1):
        sheet.column_dimensions[get_column_letter(place)].width = _WIDTHS.get(name, 14)
    sheet.append(COLUMNS)
    for ranked in query.stream():
        sheet.append([_cell(sheet, ranked.rate, name, text) for name, text in fields_of(ranked.rate).items()])
    with tempfile.TemporaryFile() as file:
        book.save(file)
        file.seek(0)
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _cell(sheet: Any, rate: Rate, name: str, text: str) -> Any:
    """What openpyxl takes; an object of its own, which is slow, only where the bare value would be shown wrong."""
    from openpyxl.cell import WriteOnlyCell

    if name in _COUNTS:
        return int(text)
    if name in _PRICES:
        cell = WriteOnlyCell(sheet, Decimal(getattr(rate, _PRICES[name])) / MICROS_PER_UNIT)
        cell.number_format = _PRICE_FORMAT
        return cell
    if name != "prefix" and not text.startswith("="):
        return text or None
    cell = WriteOnlyCell(sheet, text or None)
    cell.number_format = "@"
    if text:
        cell.data_type = "s"
    return cell
