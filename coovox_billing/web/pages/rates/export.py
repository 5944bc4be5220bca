"""Rates as a file that an import takes again: DESIGN §6's columns, as CSV or as an Excel workbook."""

from collections.abc import Iterator
from itertools import chain, islice

from flask import Response

from coovox_billing.core.rate_csv import PRICES, render_rates
from coovox_billing.core.rate_fields import COLUMNS, fields_of
from coovox_billing.store.lists.rates import RateQuery
from coovox_billing.web import workbook
from coovox_billing.web.downloads import CSV_TYPE, XLSX_TYPE, streamed

_RATES_AT_ONCE = 500
_COUNTS = ("active", "number_length", "initial_time", "billing_unit")
_PRICE_FORMAT, _TEXT_FORMAT = "0.0000##", "@"
_PRICE_STYLE, _TEXT_STYLE = 1, 2
_USUAL_WIDTH = 14
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
    rows = ([_cell(*field) for field in fields_of(ranked.rate).items()] for ranked in query.stream())
    head = [workbook.text_cell(name) for name in COLUMNS]
    widths = [_WIDTHS.get(name, _USUAL_WIDTH) for name in COLUMNS]
    return workbook.write("rates", chain([head], rows), (_PRICE_FORMAT, _TEXT_FORMAT), widths, head_rows=1)


def _cell(name: str, text: str) -> str:
    """A text is marked as such where a spreadsheet would make something else of it once somebody edits it."""
    if name in PRICES:
        return workbook.number_cell(text, _PRICE_STYLE)
    if name in _COUNTS:
        return workbook.number_cell(text)
    return workbook.text_cell(text, _TEXT_STYLE if name == "prefix" or text.startswith("=") else 0)
