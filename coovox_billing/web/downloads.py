"""Lists as files: what the page shows, with its filter, zone and totals, as CSV or as an Excel workbook.

Rows go out one by one, however many there are. A text that a spreadsheet would run as a formula is no formula in
either (DESIGN §8).
"""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from threading import BoundedSemaphore
from typing import Any
from zoneinfo import ZoneInfo

from flask import Response, stream_with_context
from werkzeug.exceptions import ServiceUnavailable

from coovox_billing.web import cells, workbook
from coovox_billing.web.cells import safe_text
from coovox_billing.web.listing import Column, Query
from coovox_billing.web.pages_first import pages_first
from coovox_billing.web.words import gettext as _

CSV_TYPE = "text/csv; charset=utf-8"
XLSX_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MOST_AT_ONCE, MOST_OWN_AT_ONCE = 2, 1

_ROWS_AT_ONCE = 200
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
    """A download, whose place is free again once it was read, closed or, after a HEAD, never asked for.

    Pages that are asked for meanwhile are made between its pieces.
    """

    def __init__(self, pieces: Iterator[Any], running: BoundedSemaphore) -> None:
        self._pieces = pieces
        self._running = running
        self._is_over = False

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        pages_first.let_pass()
        return next(self._pieces)

    def close(self) -> None:
        """Nobody reads on."""
        if not self._is_over:
            self._is_over = True
            self._running.release()
            self._pieces = iter(())

    def __del__(self) -> None:
        self.close()


def lines(download: Download) -> Iterator[str]:
    """The file as CSV."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerows(map(safe_text, pair) for pair in _about(download))
    writer.writerow([])
    writer.writerow([column.title for column in download.columns])
    yield "\ufeff" + _taken(text)
    made = cells.in_text(download.columns, download.zone)
    for rows in _some_at_once(download.query.stream()):
        writer.writerows(made.of(rows))
        yield _taken(text)
    if download.totals:
        writer.writerow([_("Total"), *made.of_totals(download.totals)])
    yield _taken(text)


def _taken(text: io.StringIO) -> str:
    taken = text.getvalue()
    text.seek(0)
    text.truncate()
    return taken


def _xlsx(download: Download) -> Iterator[bytes]:
    return workbook.write(download.name, _xlsx_rows(download), cells.number_formats())


def _xlsx_rows(download: Download) -> Iterator[workbook.Row]:
    for pair in _about(download):
        yield [workbook.text_cell(text) for text in pair]
    yield []
    yield [workbook.text_cell(column.title) for column in download.columns]
    made = cells.in_workbook(download.columns, download.zone)
    for rows in _some_at_once(download.query.stream()):
        yield from made.of(rows)
    if download.totals:
        yield [workbook.text_cell(_("Total")), *made.of_totals(download.totals)]


def _about(download: Download) -> list[tuple[str, str]]:
    return [*download.about, (_("Time zone"), str(download.zone))]


def _some_at_once(rows: Iterator[Any]) -> Iterator[Sequence[Any]]:
    while some := list(islice(rows, _ROWS_AT_ONCE)):
        yield some
