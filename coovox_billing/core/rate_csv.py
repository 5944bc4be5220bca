"""Rates as CSV (DESIGN §6): text to rates, and back. All bad rows are told at once, by line number."""

import csv
import io
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import time
from functools import partial
from typing import TypeVar

from coovox_billing.core.dialed_number import MAX_DIGITS
from coovox_billing.core.extension_number import is_extension
from coovox_billing.core.money import format_price, parse_price
from coovox_billing.core.tariff import ALL_DAYS, Rate
from coovox_billing.core.whole_number import parse_whole
from coovox_billing.errors import BadInput

Value = TypeVar("Value")

COLUMNS = (
    "active", "remark", "prefix", "number_length", "initial_cost", "initial_time", "rate", "billing_unit",
    "start_time", "end_time", "days", "extensions",
)  # fmt: skip
MAX_REMARK_LENGTH = 80
ALL_EXTENSIONS = "all"

_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?", re.ASCII)
_DAY_START, _DAY_END = time(0, 0, 0), time(23, 59, 59)
_PREFIX = re.compile(rf"[0-9*#]{{0,{MAX_DIGITS}}}", re.ASCII)
_FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")
_SWITCH = {
    "1": True,
    "yes": True,
    "on": True,
    "true": True,
    "0": False,
    "no": False,
    "off": False,
    "false": False,
}


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be a rate: its line in the file, and why."""

    line: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


def parse_rates(text: str) -> tuple[list[Rate], list[BadRow]]:
    """The rates of a CSV text in its order (ids are 0), and every row that is none.

    The separator may be a comma or, as spreadsheets of many countries write it, a semicolon.

    Raises:
        BadInput: the header is not DESIGN §6's, or the text is no CSV.
    """
    text = text.removeprefix("\ufeff")
    separator = ";" if ";" in text.partition("\n")[0] else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rates: list[Rate] = []
    bad: list[BadRow] = []
    try:
        _check_header(next(reader, []))
        first_line = reader.line_num + 1
        for row in reader:
            if any(cell.strip() for cell in row):
                _add(row, first_line, rates, bad)
            first_line = reader.line_num + 1
    except csv.Error as error:
        raise BadInput(f"line {reader.line_num} is not CSV: {error}") from None
    return rates, bad


def render_rates(rates: Iterable[Rate]) -> str:
    """The CSV text of rates; a remark that a spreadsheet would run as a formula is quoted with `'`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_row(rate) for rate in rates)
    return text.getvalue()


def _check_header(header: list[str]) -> None:
    found = tuple(cell.strip().lower() for cell in header)
    if found != COLUMNS:
        raise BadInput(f"the first line must be {','.join(COLUMNS)}, but is {','.join(header)[:200]}")


def _add(row: list[str], line: int, rates: list[Rate], bad: list[BadRow]) -> None:
    if len(row) != len(COLUMNS):
        bad.append(BadRow(line, f"it has {len(row)} columns instead of {len(COLUMNS)}"))
        return
    cells = dict(zip(COLUMNS, (cell.strip() for cell in row), strict=True))
    try:
        rates.append(_rate(cells))
    except BadInput as error:
        bad.append(BadRow(line, str(error)))


def _rate(cells: dict[str, str]) -> Rate:
    rate = Rate(
        id=0,
        active=_cell(cells, "active", _switch),
        remark=_cell(cells, "remark", _remark),
        prefix=_cell(cells, "prefix", _prefix),
        number_length=_cell(cells, "number_length", partial(parse_whole, least=0, most=MAX_DIGITS)),
        initial_cost_micros=_cell(cells, "initial_cost", parse_price),
        initial_seconds=_cell(cells, "initial_time", partial(parse_whole, least=0, most=86_400)),
        rate_micros=_cell(cells, "rate", parse_price),
        unit_seconds=_cell(cells, "billing_unit", partial(parse_whole, least=1, most=86_400)),
        start_time=_cell(cells, "start_time", _time(_DAY_START)),
        end_time=_cell(cells, "end_time", _time(_DAY_END)),
        days=_cell(cells, "days", _days),
        extensions=_cell(cells, "extensions", _extensions),
    )
    if 0 < rate.number_length < len(rate.prefix):
        raise BadInput(
            f"number_length {rate.number_length} is shorter than the prefix {rate.prefix}: no number matches"
        )
    return rate


def _cell(cells: dict[str, str], name: str, parse: Callable[[str], Value]) -> Value:
    try:
        return parse(cells[name])
    except BadInput as error:
        raise BadInput(f"{name}: {error}") from None


def _switch(text: str) -> bool:
    if text.lower() not in _SWITCH:
        raise BadInput(f"{text!r} is neither yes nor no: write 1 or 0")
    return _SWITCH[text.lower()]


def _remark(text: str) -> str:
    if text.startswith("'") and text[1:].startswith(_FORMULA_SIGNS):
        text = text[1:]
    if len(text) > MAX_REMARK_LENGTH or not text.isprintable():
        raise BadInput(f"a remark has up to {MAX_REMARK_LENGTH} printable characters")
    return text


def _prefix(text: str) -> str:
    if not _PREFIX.fullmatch(text):
        raise BadInput(f"{text!r} is not a prefix: write digits, or nothing for every number")
    return text


def _time(default: time) -> Callable[[str], time]:
    """Reads a time of day; one without seconds is its minute's first second for a start, its last for an end."""

    def parse(text: str) -> time:
        if not text:
            return default
        match = _TIME.fullmatch(text)
        if match is None:
            raise BadInput(f"{text!r} is not a time of day: write it like 08:30:00; a day ends at 23:59:59")
        return time(int(match[1]), int(match[2]), int(match[3] or default.second))

    return parse


def _days(text: str) -> frozenset[int]:
    if not text:
        return ALL_DAYS
    if not set(text) <= set("1234567"):
        raise BadInput(f"{text!r} are no days: write digits from 1 for Monday to 7 for Sunday, like 12345")
    return frozenset(map(int, text))


def _extensions(text: str) -> frozenset[str] | None:
    if text.lower() == ALL_EXTENSIONS:
        return None
    extensions = text.split()
    if not extensions:
        raise BadInput("it is empty: write the extensions separated by spaces, or all")
    wrong = next((extension for extension in extensions if not is_extension(extension)), None)
    if wrong is not None:
        raise BadInput(f"{wrong!r} is not an extension's number")
    return frozenset(extensions)


def _row(rate: Rate) -> tuple[str, ...]:
    quote = "'" if rate.remark.startswith(_FORMULA_SIGNS) else ""
    return (
        "1" if rate.active else "0",
        quote + rate.remark,
        rate.prefix,
        str(rate.number_length),
        format_price(rate.initial_cost_micros),
        str(rate.initial_seconds),
        format_price(rate.rate_micros),
        str(rate.unit_seconds),
        rate.start_time.isoformat(),
        rate.end_time.isoformat(),
        "" if rate.days == ALL_DAYS else "".join(map(str, sorted(rate.days))),
        ALL_EXTENSIONS if rate.extensions is None else " ".join(sorted(rate.extensions)),
    )
