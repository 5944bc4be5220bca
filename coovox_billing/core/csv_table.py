"""Tables as CSV text, which people edit in spreadsheets: rows by line number, and texts that are no formula."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass

from coovox_billing.errors import BadInput

# What a spreadsheet runs begins with one of these (DESIGN §8).
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")
# How people write yes and no into a cell.
SWITCH = {"1": True, "yes": True, "on": True, "true": True, "0": False, "no": False, "off": False, "false": False}


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
    separator = ";" if ";" in text.partition("\n")[0] else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    line = 1
    try:
        for row in reader:
            yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise BadInput("line %(line)s is not CSV: %(error)s", line=reader.line_num, error=error) from None


def quoted(text: str) -> str:
    """With `'` before what a spreadsheet would run as a formula."""
    return f"'{text}" if text.startswith(FORMULA_SIGNS) else text


def unquoted(text: str) -> str:
    """What `quoted` was given."""
    return text[1:] if text.startswith("'") and text[1:].startswith(FORMULA_SIGNS) else text
