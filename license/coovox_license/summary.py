"""What became of many source files, as a table for a spreadsheet."""

import csv
import io
from collections.abc import Iterable

from coovox_license.issuing import Outcome
from coovox_license.words import utc

COLUMNS = ("file", "verdict", "license", "issued to", "board", "issued", "replaces", "request", "written", "why")
# What a spreadsheet runs begins with one of these.
_FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")


def render(outcomes: Iterable[Outcome]) -> bytes:
    """The table, as UTF-8 that spreadsheets recognize; no cell is a formula."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for outcome in outcomes:
        writer.writerow([_cell(value) for value in _row(outcome)])
    return text.getvalue().encode("utf-8-sig", "backslashreplace")


def _row(outcome: Outcome) -> tuple[object, ...]:
    license, source = outcome.license, outcome.source
    return (
        outcome.file.name,
        outcome.verdict,
        license.number if license else "",
        license.issued_to if license else "",
        source.board if source else "",
        utc(license.issued_at_ms) if license else "",
        (license.replaces or "") if license else "",
        source.request if source else "",
        outcome.written.name if outcome.written else "",
        outcome.why,
    )


def _cell(value: object) -> str:
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA_SIGNS) else text
