"""The number as dialed is made comparable, and nothing strange gets through."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coovox_billing.core.dialed_number import MAX_DIGITS, normalize, prefixes
from coovox_billing.errors import BadInput


@pytest.mark.parametrize(
    ("raw", "number"),
    [
        ("988360046", "988360046"),
        ("9 88-36.00(46)", "988360046"),
        ("988360046#", "988360046"),
        ("+34 91 123 45 67", "0034911234567"),
        ("(+34)911234567", "0034911234567"),
        ("*67988360046", "*67988360046"),
        ("*31#988360046", "*31#988360046"),
        ("0", "0"),
        ("1" * MAX_DIGITS, "1" * MAX_DIGITS),
    ],
)
def test_it_makes_a_number_comparable(raw: str, number: str) -> None:
    assert normalize(raw, "00") == number


def test_it_puts_the_sites_own_prefix_for_a_plus() -> None:
    assert normalize("+3491", "900") == "9003491"


@pytest.mark.parametrize(
    "raw",
    ["", " ", "#", "-.()", "1" * (MAX_DIGITS + 1), "98836x046", "9883\n60046", "9883\x0060046", "９88", "٩",
     "12+34", "++34", "988360046!", "9,8", "9;8", "9'8", '9"8', "9/8", "sip:9@carrier", "${EXTEN}"],
)  # fmt: skip
def test_it_refuses_what_nobody_can_dial(raw: str) -> None:
    with pytest.raises(BadInput, match="dialed number"):
        normalize(raw, "00")


@given(st.text())
def test_it_leaves_only_digits_stars_and_hashes_of_any_text(raw: str) -> None:
    try:
        number = normalize(raw, "00")
    except BadInput:
        return
    assert 0 < len(number) <= MAX_DIGITS
    assert set(number) <= set("0123456789*#")


@given(st.text("0123456789", min_size=1, max_size=MAX_DIGITS))
def test_it_leaves_digits_alone(number: str) -> None:
    assert normalize(number, "00") == number


def test_it_names_every_prefix_that_a_rate_could_have() -> None:
    assert prefixes("988") == ["", "9", "98", "988"]
