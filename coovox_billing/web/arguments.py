"""What a form was filled with: text from a browser becomes values, and what cannot is told beside its field."""

from collections.abc import Callable, Collection, Mapping
from datetime import date
from typing import TypeVar

from coovox_billing.core.clock import FIRST_YEAR, LAST_YEAR
from coovox_billing.core.money import parse_amount
from coovox_billing.core.whole_number import parse_whole
from coovox_billing.errors import BadInput
from coovox_billing.web import numerals
from coovox_billing.web.words import told

Value = TypeVar("Value")

LONGEST_TEXT = 200
# A number in an address that a database could have given.
WHOLE_ID = "int(max=9223372036854775807)"


class Arguments:
    """The fields of a form, or of an address. A bad one counts as not given, and `errors` tells why, by its name."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = given
        self.errors: dict[str, str] = {}

    def raw(self, name: str) -> str:
        """What was written, to be shown again."""
        return self._given.get(name, "")

    def text(self, name: str, longest: int = LONGEST_TEXT) -> str:
        """Text without space around it."""

        def check(text: str) -> str:
            if len(text) > longest or not text.isprintable():
                raise BadInput("up to %(longest)s printable characters", longest=longest)
            return text

        return self.parsed(name, check, "")

    def choice(self, name: str, choices: Collection[str], default: str = "") -> str:
        """One of a few words; the default where none is given."""

        def check(text: str) -> str:
            if text not in choices:
                raise BadInput("choose one of the list")
            return text

        return self.parsed(name, check, default)

    def day(self, name: str) -> date | None:
        """A day written as `2026-03-01`."""

        def check(text: str) -> date:
            try:
                day = date.fromisoformat(text)
                if not FIRST_YEAR <= day.year <= LAST_YEAR:
                    raise ValueError
                return day
            except ValueError:
                raise BadInput("write a day like 2026-03-01") from None

        return self.parsed(name, check, None)

    def whole(self, name: str, least: int, most: int, default: int) -> int:
        """A whole number from `least` to `most`."""
        return self.parsed(name, lambda text: parse_whole(text, least, most), default)

    def amount(self, name: str) -> int | None:
        """Micros of an amount that a balance could move by, as the reader's language writes it."""
        return self.parsed(name, lambda text: parse_amount(numerals.read(text)), None)

    def parsed(self, name: str, parse: Callable[[str], Value], default: Value) -> Value:
        """What `parse` makes of a field, the default where it is empty, or where `parse` raises BadInput."""
        text = self.raw(name).strip()
        if not text:
            return default
        try:
            return parse(text)
        except BadInput as error:
            self.errors[name] = told(error)
            return default
