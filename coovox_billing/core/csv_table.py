"""Tables as CSV text, which people edit in spreadsheets: rows by line number, and texts that are no formula."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass

from coovox_billing.errors import BadInput

# What a spreadsheet runs begins with one of these (DESIGN §8).
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")
# How people write yes and no into a cell.
SWITCH = {"1": True, "yes": True, "on": True, "true": True, "0": False, "no": False, "off": False, "false": False}

_GROUPED = re.compile(r"[1-9][0-9]{0,2}\.[0-9]{3}", re.ASCII)


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be what it should: its line in the file, and why, a sentence."""

    line: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


def numbered_rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV text, each with the line that it begins in.

    The separator may be a comma or, as spreadsheets of many countries write it, a semicolon.

    Raises:
        BadInput: from some line on the text is no CSV.
    """
    text = text.removeprefix("\ufeff")
    separator = ";" if has_semicolons(text) else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    line = 1
    try:
        for row in reader:
            yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise BadInput("line %(line)s is not CSV: %(error)s", line=reader.line_num, error=error) from None


def has_semicolons(text: str) -> bool:
    """Whether a CSV text has semicolons between its cells, as spreadsheets write it where decimals have a comma."""
    return ";" in text.partition("\n")[0]


def check_point(text: str) -> None:
    """What a cell between semicolons may hold as an amount: there the point of `1.500` may stand between thousands.

    Raises:
        BadInput: it could be read in two ways.
    """
    if _GROUPED.fullmatch(text):
        raise BadInput(
            "%(text)s can be read in two ways: write %(one)s or %(other)s",
            text=repr(text),
            one=text.replace(".", ""),
            other=text + "0",
        )


def quoted(text: str) -> str:
    """With `'` before what a spreadsheet would run as a formula."""
    return f"'{text}" if text.startswith(FORMULA_SIGNS) else text


def unquoted(text: str) -> str:
    """What `quoted` was given."""
    return text[1:] if text.startswith("'") and text[1:].startswith(FORMULA_SIGNS) else text
