"""Money has one entrance, one exit and one rounding."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coovox_billing.core.money import (
    LEDGER_STEP_MICROS,
    MAX_MICROS,
    MAX_PRICE_MICROS,
    format_amount,
    format_price,
    most_that_rounds_to,
    parse_amount,
    parse_price,
    round_to_ledger,
)
from coovox_billing.errors import BadInput

AMOUNTS = st.integers(-MAX_MICROS // 100, MAX_MICROS // 100).map(lambda steps: steps * LEDGER_STEP_MICROS)
PRICES = st.integers(0, MAX_PRICE_MICROS)

NOT_PLAIN_DECIMALS = (
    "", " ", ".", "-", "+", "--1", "1-", "1e3", "1E3", "inf", "nan", "NaN", "1,5", "1,000.00", "1_000",
    "0x10", "1.", ".5", "1.2.3", "1 000", "$1", "1 $", "one", "١٢", "１２", "²", "½", "1\n2", "1\x00", "−1",
)  # fmt: skip


@given(AMOUNTS)
def test_it_reads_back_every_amount_it_prints(micros: int) -> None:
    assert parse_amount(format_amount(micros)) == micros


@given(PRICES)
def test_it_reads_back_every_price_it_prints(micros: int) -> None:
    assert parse_price(format_price(micros)) == micros


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("0", 0),
        ("-0", 0),
        ("0.1", 100_000),
        ("0.0001", 100),
        ("-0.0001", -100),
        ("12.50", 12_500_000),
        ("+12.50", 12_500_000),
        (" 12.50 ", 12_500_000),
        ("007", 7_000_000),
        ("1.000000", 1_000_000),
        ("1000000000", MAX_MICROS),
        ("-1000000000", -MAX_MICROS),
    ],
)
def test_it_takes_plain_decimals(text: str, micros: int) -> None:
    assert parse_amount(text) == micros


@pytest.mark.parametrize("text", NOT_PLAIN_DECIMALS)
@pytest.mark.parametrize("parse", [parse_amount, parse_price])
def test_it_refuses_what_is_no_plain_decimal(parse: Callable[[str], int], text: str) -> None:
    with pytest.raises(BadInput, match="is not an amount"):
        parse(text)


@pytest.mark.parametrize("text", ["0.00001", "0.000001", "-12.50001", "1.123456"])
def test_it_refuses_an_amount_finer_than_four_decimals(text: str) -> None:
    with pytest.raises(BadInput, match="more than four decimals"):
        parse_amount(text)


def test_it_takes_a_price_of_six_decimals() -> None:
    assert parse_price("0.001234") == 1_234


@pytest.mark.parametrize("text", ["0.0000001", "1.1234567", "0.0000000"])
def test_it_refuses_a_price_finer_than_six_decimals(text: str) -> None:
    with pytest.raises(BadInput):
        parse_price(text)


@pytest.mark.parametrize("text", ["-0.000001", "-1", "-1000000000"])
def test_it_refuses_a_negative_price(text: str) -> None:
    with pytest.raises(BadInput, match="negative"):
        parse_price(text)


@pytest.mark.parametrize("text", ["1000000000.0001", "-1000000000.0001", "999999999999", "1" * 13, "9" * 5_000])
def test_it_refuses_more_than_a_billion(text: str) -> None:
    with pytest.raises(BadInput):
        parse_amount(text)


@pytest.mark.parametrize("text", ["1000000.000001", "1000001", "1000000000"])
def test_it_refuses_a_price_over_a_million(text: str) -> None:
    assert parse_price("1000000") == MAX_PRICE_MICROS
    with pytest.raises(BadInput, match="too large"):
        parse_price(text)


@given(st.text())
def test_it_refuses_garbage_with_bad_input_alone(text: str) -> None:
    for parse in (parse_amount, parse_price):
        try:
            assert isinstance(parse(text), int)
        except BadInput as error:
            assert str(error)


@pytest.mark.parametrize(
    ("micros", "shown"),
    [
        (0, "0.0000"),
        (180_000, "0.1800"),
        (-180_000, "-0.1800"),
        (100, "0.0001"),
        (-100, "-0.0001"),
        (MAX_MICROS, "1000000000.0000"),
    ],
)
def test_it_shows_amounts_with_the_guides_four_decimals(micros: int, shown: str) -> None:
    assert format_amount(micros) == shown


@pytest.mark.parametrize(
    ("micros", "shown"),
    [(20_000, "0.0200"), (1_234, "0.001234"), (1_200, "0.0012"), (1_230, "0.001230"), (1, "0.000001")],
)
def test_it_shows_a_price_with_six_decimals_only_where_it_needs_them(micros: int, shown: str) -> None:
    assert format_price(micros) == shown


@pytest.mark.parametrize(
    ("micros", "rounded"), [(0, 0), (49, 0), (50, 100), (51, 100), (149, 100), (150, 200), (250, 300)]
)
def test_it_rounds_half_up(micros: int, rounded: int) -> None:
    assert round_to_ledger(micros) == rounded


@given(PRICES)
def test_it_rounds_to_the_nearest_step_and_leaves_whole_steps_alone(micros: int) -> None:
    rounded = round_to_ledger(micros)
    assert rounded % LEDGER_STEP_MICROS == 0
    assert abs(rounded - micros) <= LEDGER_STEP_MICROS // 2
    assert round_to_ledger(rounded) == rounded


@given(st.integers(-(10**12), 10**12))
def test_it_knows_the_most_that_rounds_to_an_amount(amount: int) -> None:
    most = most_that_rounds_to(amount)
    assert round_to_ledger(most) <= amount < round_to_ledger(most + 1)
