"""Rates as CSV (DESIGN §6): text to rates, and back. All bad rows are told at once, by line number."""

import csv
import io
from collections.abc import Iterable, Sequence

from coovox_billing.core.csv_table import BadRow, check_point, has_semicolons, numbered_rows, quoted, unquoted
from coovox_billing.core.rate_fields import COLUMNS, fields_of, parse_field, rate_of
from coovox_billing.core.tariff import Rate
from coovox_billing.errors import BadInput
from coovox_billing.sentences import Sentence

PRICES = ("initial_cost", "rate")


def parse_rates(text: str, most: int | None = None) -> tuple[list[Rate], list[BadRow]]:
    """The rates of a CSV text in its order (ids are 0), and every row that is none.

    Raises:
        BadInput: the header is not DESIGN §6's, the text is no CSV, or it has more than `most` rows.
    """
    return parse_rows(numbered_rows(text), most, point_may_group=has_semicolons(text))


def parse_rows(
    rows: Iterable[tuple[int, Sequence[str]]], most: int | None = None, *, point_may_group: bool = False
) -> tuple[list[Rate], list[BadRow]]:
    """The rates of a table, whose rows come with their numbers, the header first; and every row that is none.

    `point_may_group`: a price such as `1.500` is refused, for its point may stand between thousands.

    Raises:
        BadInput: the header is not DESIGN §6's, or there are more than `most` rows below it.
    """
    numbered = iter(rows)
    _check_header(next(numbered, (1, ()))[1])
    rates: list[Rate] = []
    bad: list[BadRow] = []
    for line, row in numbered:
        if any(cell.strip() for cell in row):
            if most is not None and len(rates) + len(bad) >= most:
                raise BadInput("it has more than %(most)s rows: split it into several files", most=most)
            _add(row, line, point_may_group, rates, bad)
    return rates, bad


def render_rates(rates: Iterable[Rate]) -> str:
    """The CSV text of rates; a remark that a spreadsheet would run as a formula is quoted with `'`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_row(rate) for rate in rates)
    return text.getvalue()


def _check_header(header: Sequence[str]) -> None:
    found = tuple(cell.strip().lower() for cell in header)
    if found != COLUMNS:
        raise BadInput(
            "the first line must be %(columns)s, but is %(header)s",
            columns=",".join(COLUMNS),
            header=",".join(header)[:200],
        )


def _add(row: Sequence[str], line: int, point_may_group: bool, rates: list[Rate], bad: list[BadRow]) -> None:
    if len(row) != len(COLUMNS):
        why = Sentence("it has %(count)s columns instead of %(columns)s", count=len(row), columns=len(COLUMNS))
        bad.append(BadRow(line, why))
        return
    cells = {name: cell.strip() for name, cell in zip(COLUMNS, row, strict=True)}
    try:
        for name in PRICES if point_may_group else ():
            check_point(cells[name])
        rates.append(rate_of({name: _cell(name, cell) for name, cell in cells.items()}))
    except BadInput as error:
        bad.append(BadRow(line, error.sentence))


def _cell(name: str, text: str) -> object:
    try:
        return parse_field(name, unquoted(text) if name == "remark" else text)
    except BadInput as error:
        raise BadInput("%(name)s: %(why)s", name=name, why=error.sentence) from None


def _row(rate: Rate) -> list[str]:
    return list((fields_of(rate) | {"remark": quoted(rate.remark)}).values())
