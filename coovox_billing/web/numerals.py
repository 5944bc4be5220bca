"""Numbers as the reader's language writes them, and those that a reader typed.

An amount that could be read in two ways, `1.234` where the point stands between thousands, is refused: never misread.
"""

import re
from dataclasses import dataclass
from functools import cache

from babel.core import Locale
from babel.numbers import get_decimal_symbol, get_group_symbol

from coovox_billing.errors import BadInput
from coovox_billing.web import reader

_SIGNED = re.compile(r"([+-]?)(.*)", re.DOTALL)
# What keyboards of right-to-left languages put around a minus, and the minus that they have.
_PLAIN = str.maketrans("−", "-", "\u200e\u200f\u061c")
# The digits and signs of Arabic and Persian keyboards.
_ARABIC = str.maketrans("٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹٫٬", "01234567890123456789.,")
_SPACES = " \u00a0\u202f\u2009'’"
_SHOWN_AMOUNT = re.compile(r"-?[0-9]+\.[0-9]{4}(?:[0-9]{2})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Signs:
    """The decimal sign of a language, and what stands between its thousands."""

    decimal: str
    group: str

    def write(self, plain: str) -> str:
        """A number such as `-1234.5000` for people: `-1.234,5000`."""
        whole, point, fraction = plain.lstrip("-").partition(".")
        sign = "-" if plain.startswith("-") else ""
        return f"{sign}{int(whole):,}".replace(",", self.group) + (self.decimal if point else "") + fraction

    def write_for_field(self, plain: str) -> str:
        """The same for a field, which is to be typed into: `-1234,5000`."""
        return plain.replace(".", self.decimal)

    def read(self, typed: str) -> str:
        """What was typed, as a number such as `-1234.5`; what is no number stays for whoever parses it to refuse.

        The point is a decimal sign for everybody, for so files and prices lists write it, unless it could as well be
        one between thousands.

        Raises:
            BadInput: it could be read in two ways.
        """
        sign, digits = _SIGNED.fullmatch(typed.strip().translate(_PLAIN)).groups()  # type: ignore[union-attr]
        own, with_point = _read(digits, self.decimal, self.group), _read(digits, ".", ",")
        number = own or with_point
        if number is None:
            return f"{sign}{digits}"
        others = {own, with_point, _read(digits, ",", ".")} - {number, None}
        if others and not (own and self.decimal in digits):
            one, other = sorted(map(str, (number, *others)), key=lambda reading: "." in reading)
            raise BadInput(
                "%(text)s can be read in two ways: write %(one)s or %(other)s",
                text=repr(typed.strip()[:40]),
                one=sign + one,
                other=sign + self.write_for_field(other + "0"),
            )
        return f"{sign}{number}"


@cache
def signs_of(locale: Locale) -> Signs:
    """The signs of a locale."""
    return Signs(get_decimal_symbol(locale), get_group_symbol(locale))


def signs() -> Signs:
    """The signs of the reader."""
    return signs_of(reader.locale())


def read(typed: str) -> str:
    """What a reader typed, as a number with a point.

    Raises:
        BadInput: it could be read in two ways.
    """
    return signs().read(typed.translate(_ARABIC) if reader.direction() == "rtl" else typed)


def whole(number: int) -> str:
    """A number of things: `1,234`."""
    return signs().write(str(number))


def in_sentence(value: object) -> object:
    """A value of a sentence: an amount, which the rooms below write with a point, as the reader's language has it."""
    if isinstance(value, str) and _SHOWN_AMOUNT.fullmatch(value):
        return signs().write(value)
    return value


def _read(digits: str, decimal: str, group: str) -> str | None:
    """A number without a sign under these signs, None where it is none."""
    groups = re.escape(group + _SPACES)
    thousands = rf"[1-9][0-9]{{0,2}}([{groups}])[0-9]{{3}}(?:\2[0-9]{{3}})*"
    found = re.fullmatch(rf"([0-9]{{1,40}}|{thousands})(?:{re.escape(decimal)}([0-9]{{1,40}}))?", digits, re.ASCII)
    if found is None:
        return None
    grouped, _, fraction = found.groups()
    return re.sub("[^0-9]", "", grouped) + (f".{fraction}" if fraction else "")
