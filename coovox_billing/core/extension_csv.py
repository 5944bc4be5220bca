"""Extensions as CSV: text to what each row changes, and back. All bad rows are told at once, by line number."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from coovox_billing.core.csv_table import SWITCH, BadRow, check_point, has_semicolons, numbered_rows, quoted, unquoted
from coovox_billing.core.extension_number import is_extension
from coovox_billing.core.money import format_amount, parse_amount
from coovox_billing.errors import BadInput
from coovox_billing.sentences import either

COLUMNS = ("number", "name", "billing", "payment_type", "status", "credit", "devices")
# What an export tells beside them; an import passes over it, for money is moved by recharges alone.
TOLD_COLUMNS = ("total_recharges", "balance", "held")

_PAYMENT_TYPES = ("prepaid", "postpaid")
_STATUSES = ("locked", "unlocked")


@dataclass(frozen=True, slots=True)
class ExtensionRow:
    """A row of the file: its line, the extension, and what it is to be changed to (an empty cell changes nothing)."""

    line: int
    number: str
    changes: Mapping[str, object] = field(default_factory=dict)


def parse_extensions(text: str, most: int) -> tuple[list[ExtensionRow], list[BadRow]]:
    """The rows of a CSV text in its order, and every row that cannot be one.

    The first line names the columns, in any order: `number`, and any of the others.

    Raises:
        BadInput: another first line, no CSV, or more than `most` rows.
    """
    rows, point_may_group = numbered_rows(text), has_semicolons(text)
    columns = _columns(next(rows, (1, []))[1])
    good: list[ExtensionRow] = []
    bad: list[BadRow] = []
    lines: dict[str, int] = {}
    for line, cells in rows:
        if not any(cell.strip() for cell in cells):
            continue
        if len(good) + len(bad) >= most:
            raise BadInput("it has more than %(most)s rows: split it into several files", most=most)
        try:
            row = _row(line, columns, cells, point_may_group)
            if row.number in lines:
                raise BadInput(
                    "extension %(number)s stands in line %(line)s already", number=row.number, line=lines[row.number]
                )
            lines[row.number] = line
            good.append(row)
        except BadInput as error:
            bad.append(BadRow(line, error.sentence))
    return good, bad


def render_extensions(rows: Iterable[Mapping[str, str]]) -> Iterator[str]:
    """The CSV lines of extensions, each given by the text of its columns; a name is no formula in a spreadsheet."""
    text = io.StringIO()
    writer = csv.DictWriter(text, (*COLUMNS, *TOLD_COLUMNS), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({**row, "name": quoted(row["name"])})
        yield text.getvalue()
        text.seek(0)
        text.truncate()
    yield text.getvalue()


def parse_credit(text: str) -> int:
    """Micros of a credit.

    Raises:
        BadInput: no amount, or a negative one.
    """
    micros = parse_amount(text)
    if micros < 0:
        raise BadInput("a credit of %(text)s is negative: write 0 or more", text=text.strip())
    return micros


def _columns(header: Sequence[str]) -> list[str]:
    columns = [cell.strip().lower() for cell in header]
    strange = [column for column in columns if column not in COLUMNS + TOLD_COLUMNS]
    if strange or "number" not in columns or len(set(columns)) != len(columns):
        raise BadInput(
            "the first line must name columns of %(columns)s, but is %(header)s",
            columns=",".join(COLUMNS),
            header=",".join(header)[:200],
        )
    return columns


def _row(line: int, columns: Sequence[str], cells: Sequence[str], point_may_group: bool) -> ExtensionRow:
    if len(cells) != len(columns):
        raise BadInput("it has %(count)s columns instead of %(columns)s", count=len(cells), columns=len(columns))
    texts = {column: cell.strip() for column, cell in zip(columns, cells, strict=True)}
    number = texts.pop("number")
    if not is_extension(number):
        raise BadInput("number: %(number)s is not an extension", number=repr(number[:80]))
    if point_may_group:
        check_point(texts.get("credit", ""))
    changes = {}
    for column, (key, parse) in _PARSERS.items():
        if texts.get(column):
            try:
                changes[key] = parse(texts[column])
            except BadInput as error:
                raise BadInput("%(column)s: %(why)s", column=column, why=error.sentence) from None
    return ExtensionRow(line, number, changes)


def _billing(text: str) -> bool:
    if text.lower() not in SWITCH:
        raise BadInput("%(text)s is neither on nor off", text=repr(text[:80]))
    return SWITCH[text.lower()]


def _one_of(words: Sequence[str]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.lower() not in words:
            raise BadInput("%(text)s is not possible: write %(words)s", text=repr(text[:80]), words=either(words))
        return text.lower()

    return parse


_PARSERS: Mapping[str, tuple[str, Callable[[str], object]]] = {
    "name": ("name", unquoted),
    "billing": ("billing", _billing),
    "payment_type": ("payment_type", _one_of(_PAYMENT_TYPES)),
    "status": ("status", _one_of(_STATUSES)),
    "credit": ("credit_micros", parse_credit),
    "devices": ("devices", str.split),
}


def told(billing: bool, credit_micros: int, devices: Sequence[str]) -> dict[str, str]:
    """The text of what is no text, as a file writes it."""
    return {
        "billing": "on" if billing else "off",
        "credit": format_amount(credit_micros),
        "devices": " ".join(devices),
    }
