"""Lists as files: what the page shows, with its filter, zone and totals, as CSV or as an Excel workbook.

Rows go out one by one, however many there are. A text that a spreadsheet would run as a formula is no formula in
either (DESIGN §8).
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from threading import BoundedSemaphore
from typing import Any
from zoneinfo import ZoneInfo

from flask import Response, stream_with_context
from werkzeug.exceptions import ServiceUnavailable

from coovox_billing.core import clock
from coovox_billing.core.csv_table import quoted
from coovox_billing.core.money import format_amount, format_price
from coovox_billing.web import formats, workbook
from coovox_billing.web.listing import Column, Kind, Query
from coovox_billing.web.words import gettext as _

CSV_TYPE = "text/csv; charset=utf-8"
XLSX_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MOST_AT_ONCE, MOST_OWN_AT_ONCE = 2, 1

_ROWS_AT_ONCE = 200
_AFTER_A_SEPARATOR = re.compile(r"(?<=[;\t|])(?=\s*[=+\-@])")
_XLSX_FORMATS = {
    Kind.AMOUNT: "#,##0.0000",
    Kind.PRICE: "#,##0.000000",
    Kind.DURATION: "[hh]:mm:ss",
    Kind.LONG_DURATION: "[h]:mm:ss",
}
_STYLED = (*_XLSX_FORMATS, Kind.MOMENT)


_running = BoundedSemaphore(MOST_AT_ONCE)
# Of persons in self-service, who take no place from those who look after billing.
own_running = BoundedSemaphore(MOST_OWN_AT_ONCE)


@dataclass(frozen=True, slots=True)
class Download:
    """A file to be made: its name without the end, what it says of itself, its columns, rows and totals.

    `about` are pairs such as (`From`, `2026-03-01`); the zone of its times is added. `totals` are by the titles of
    their columns.
    """

    name: str
    about: Sequence[tuple[str, str]]
    columns: Sequence[Column[Any]]
    query: Query[Any]
    totals: dict[str, int]
    zone: ZoneInfo


def send(download: Download, kind: str, running: BoundedSemaphore | None = None) -> Response:
    """The file as an answer to the browser, as `streamed`."""
    make, content_type = (_xlsx, XLSX_TYPE) if kind == "xlsx" else (lines, CSV_TYPE)
    response = streamed(make(download), content_type, running)
    response.headers["Content-Disposition"] = f'attachment; filename="{download.name}.{kind}"'
    return response


def streamed(
    pieces: Iterator[str] | Iterator[bytes], content_type: str, running: BoundedSemaphore | None = None
) -> Response:
    """A file that is made while it goes out. Who reads slowly keeps a worker, so only so many at once are served.

    `running` are the places for those; those of billing's own lists where nothing is said.

    Raises:
        ServiceUnavailable: others are being read.
    """
    running = running or _running
    if not running.acquire(blocking=False):
        raise ServiceUnavailable(_("Other downloads are running. Try again in a minute."))
    return Response(_Running(stream_with_context(pieces), running), content_type=content_type)


class _Running:
    """A download, whose place is free again once it was read, closed or, after a HEAD, never asked for."""

    def __init__(self, pieces: Iterator[Any], running: BoundedSemaphore) -> None:
        self._pieces = pieces
        self._running = running
        self._is_over = False

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return next(self._pieces)

    def close(self) -> None:
        """Nobody reads on."""
        if not self._is_over:
            self._is_over = True
            self._running.release()
            self._pieces = iter(())

    def __del__(self) -> None:
        self.close()


def _about(download: Download) -> list[tuple[str, str]]:
    return [*download.about, (_("Time zone"), str(download.zone))]


def _totals_row(download: Download) -> list[Any]:
    """The word where the first column is, the totals below theirs; nothing where there are none."""
    if not download.totals:
        return []
    cells = [download.totals.get(column.title) for column in download.columns]
    return [_("Total"), *cells[1:]]


def lines(download: Download) -> Iterator[str]:
    """The file as CSV."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerows((safe_text(name), safe_text(value)) for name, value in _about(download))
    writer.writerow([])
    writer.writerow([column.title for column in download.columns])
    yield "\ufeff" + _taken(text)
    for number, row in enumerate(download.query.stream(), start=1):
        writer.writerow([written_as(column.kind, column.value(row), download.zone) for column in download.columns])
        if number % _ROWS_AT_ONCE == 0:
            yield _taken(text)
    if totals := _totals_row(download):
        cells = zip(download.columns[1:], totals[1:], strict=True)
        writer.writerow([totals[0], *(written_as(column.kind, value, download.zone) for column, value in cells)])
    yield _taken(text)


def _taken(text: io.StringIO) -> str:
    taken = text.getvalue()
    text.seek(0)
    text.truncate()
    return taken


def written_as(kind: Kind, value: Any, zone: ZoneInfo) -> str:
    """A value for programs, figures with a point; nothing for None."""
    if value is None:
        return ""
    if kind is Kind.AMOUNT:
        return format_amount(value)
    if kind is Kind.PRICE:
        return format_price(value)
    if kind is Kind.DURATION:
        return formats.duration(value)
    if kind is Kind.LONG_DURATION:
        return formats.long_duration(value)
    if kind is Kind.MOMENT:
        return formats.moment_in_files(value, zone)
    return str(value) if kind is Kind.COUNT else safe_text(str(value))


def safe_text(text: str) -> str:
    """With a quote before what a spreadsheet would take for a formula, by whatever it separates cells."""
    return quoted(_AFTER_A_SEPARATOR.sub("'", text))


def _xlsx(download: Download) -> Iterator[bytes]:
    formats_of_kinds = [_XLSX_FORMATS.get(kind) or f"{formats.date_format().lower()} hh:mm:ss" for kind in _STYLED]
    return workbook.write(download.name, _xlsx_rows(download), formats_of_kinds)


def _xlsx_rows(download: Download) -> Iterator[workbook.Row]:
    for pair in _about(download):
        yield [workbook.text_cell(text) for text in pair]
    yield []
    yield [workbook.text_cell(column.title) for column in download.columns]
    for row in download.query.stream():
        yield [_cell(column.kind, column.value(row), download.zone) for column in download.columns]
    if totals := _totals_row(download):
        kinds = [Kind.TEXT, *(column.kind for column in download.columns[1:])]
        yield [_cell(kind, value, download.zone) for kind, value in zip(kinds, totals, strict=True)]


def _cell(kind: Kind, value: Any, zone: ZoneInfo) -> str:
    if value is None:
        return workbook.EMPTY_CELL
    if kind is Kind.TEXT:
        return workbook.text_cell(str(value))
    if kind is Kind.COUNT:
        return workbook.number_cell(value)
    style = _STYLED.index(kind) + 1
    if kind in (Kind.AMOUNT, Kind.PRICE):
        return workbook.number_cell(format_price(value), style)
    if kind is Kind.MOMENT:
        local = clock.local_moment(value, zone).replace(tzinfo=None, microsecond=0)
        return workbook.moment_cell(local, style)
    return workbook.duration_cell(value, style)
