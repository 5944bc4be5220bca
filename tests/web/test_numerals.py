"""Numbers as languages write them: what is written is read back, and nothing that is typed is misread."""

import re

import pytest
from babel.core import Locale
from hypothesis import given
from hypothesis import strategies as st

from coovox_billing.core.money import format_amount, format_price, parse_amount
from coovox_billing.errors import BadInput
from coovox_billing.web import numerals
from coovox_billing.web.numerals import Signs, signs_of

ENGLISH, SPANISH, FRENCH, ARABIC = (signs_of(Locale.parse(code)) for code in ("en", "es", "fr", "ar"))
ALL = (ENGLISH, SPANISH, FRENCH, ARABIC, signs_of(Locale.parse("zh")), signs_of(Locale.parse("es_MX")))
AMOUNTS = st.integers(-(10**13), 10**13).map(lambda steps: steps * 100)


@pytest.mark.parametrize(
    ("signs", "plain", "written"),
    [
        (ENGLISH, "0.1800", "0.1800"),
        (ENGLISH, "-1234.5000", "-1,234.5000"),
        (SPANISH, "1234567.0001", "1.234.567,0001"),
        (FRENCH, "-1234.5000", "-1\u202f234,5000"),
        (ARABIC, "1234.5000", "1,234.5000"),
        (ENGLISH, "10000000", "10,000,000"),
    ],
)
def test_it_writes_a_number_as_the_language_does(signs: Signs, plain: str, written: str) -> None:
    assert signs.write(plain) == written


@pytest.mark.parametrize(
    ("signs", "typed", "number"),
    [
        (ENGLISH, "12.5", "12.5"),
        (ENGLISH, "1,234.5", "1234.5"),
        (ENGLISH, "1.234", "1.234"),
        (ENGLISH, "1,234,567", "1234567"),
        (SPANISH, "12,5", "12.5"),
        (SPANISH, "12.5", "12.5"),
        (SPANISH, "1.234,5", "1234.5"),
        (SPANISH, "1,234.5", "1234.5"),
        (SPANISH, "1,234", "1.234"),
        (SPANISH, "0.125", "0.125"),
        (SPANISH, "1.234.567", "1234567"),
        (SPANISH, "\u22121 234,50", "-1234.50"),
        (FRENCH, "1 234,5", "1234.5"),
        (FRENCH, "1\u202f234,5000", "1234.5000"),
        (ARABIC, "\u200f-7", "-7"),
        (SPANISH, "+7", "+7"),
    ],
)
def test_it_reads_what_is_typed(signs: Signs, typed: str, number: str) -> None:
    assert signs.read(typed) == number


@pytest.mark.parametrize(("typed", "number"), [("١٢٫٥", "12.5"), ("١٬٢٣٤٫٥", "1234.5"), ("۷", "7"), ("12.5", "12.5")])
def test_it_reads_the_digits_of_arabic_keyboards(monkeypatch: pytest.MonkeyPatch, typed: str, number: str) -> None:
    monkeypatch.setattr(numerals.reader, "language", lambda: "ar")
    assert numerals.read(typed) == number


@pytest.mark.parametrize(
    ("signs", "typed", "ways"),
    [
        (ENGLISH, "1,234", "write 1234 or 1.2340"),
        (SPANISH, "1.234", "write 1234 or 1,2340"),
        (SPANISH, "-12.345", "write -12345 or -12,3450"),
        (FRENCH, "1.234", "write 1234 or 1,2340"),
    ],
)
def test_it_refuses_what_could_be_read_in_two_ways(signs: Signs, typed: str, ways: str) -> None:
    with pytest.raises(BadInput, match="can be read in two ways") as refused:
        signs.read(typed)
    assert str(refused.value).endswith(ways)
    for way in re.findall(r"-?[0-9.,]+", ways):
        assert parse_amount(signs.read(way))


@pytest.mark.parametrize("typed", ["12,5", "1,23", "1,2345", "1.2.3", "1,23,456", "x", "", "1e3", "--1", "1. 5"])
def test_it_leaves_what_is_no_number_to_be_refused(typed: str) -> None:
    with pytest.raises(BadInput):
        parse_amount(ENGLISH.read(typed))


@given(AMOUNTS, st.sampled_from(ALL))
def test_it_reads_every_amount_that_it_writes(micros: int, signs: Signs) -> None:
    assert parse_amount(signs.read(signs.write(format_amount(micros)))) == micros
    assert parse_amount(signs.read(signs.write_for_field(format_amount(micros)))) == micros


@given(st.integers(0, 10**12), st.sampled_from(ALL))
def test_it_reads_every_price_that_it_writes(micros: int, signs: Signs) -> None:
    assert signs.read(signs.write(format_price(micros))) == format_price(micros)


def meanings(typed: str) -> dict[str, float]:
    """What people of the world could mean, by their decimal sign: an independent reading, thousands cut by hand."""
    found = {}
    for decimal, group in ((".", ","), (",", ".")):
        whole, *fraction = typed.split(decimal)
        parts = whole.split(group)
        is_whole = all(part.isdigit() for part in parts) and all(len(part) == 3 for part in parts[1:])
        is_grouped = len(parts) == 1 or (len(parts[0]) <= 3 and parts[0][:1] != "0")
        if is_whole and is_grouped and len(fraction) <= 1 and all(part.isdigit() for part in fraction):
            found[decimal] = float("".join(parts) + "." + ("".join(fraction) or "0"))
    return found


@given(st.from_regex(r"[0-9]{1,4}([.,][0-9]{1,4}){0,3}", fullmatch=True), st.sampled_from(ALL))
def test_it_never_takes_a_number_for_one_of_another_size(typed: str, signs: Signs) -> None:
    meant = meanings(typed)
    try:
        number = float(parse_amount(signs.read(typed))) / 1e6
    except BadInput:
        return
    assert number in [pytest.approx(value) for value in meant.values()]
    if len(set(meant.values())) > 1:
        assert signs.decimal in typed, "only the reader's own sign decides between two meanings"
        assert number == pytest.approx(meant[signs.decimal])
