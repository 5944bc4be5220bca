"""What a call costs, and how long a sum lasts."""

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coovox_billing.core.money import LEDGER_STEP_MICROS, format_amount, parse_amount, parse_price
from coovox_billing.core.rating import Charge, affordable_seconds, charge, cost_micros, cost_of_talk, units
from coovox_billing.core.tariff import Rate
from tests.cast import FREE_RATE, GUIDE_RATE, a_rate, a_shape

FOUR_HOURS = 14_400


class Priced(NamedTuple):
    """Talk seconds of a call, and its cost."""

    talk: int
    cost: str


# https://support.yeastar.com: 0.2 for the first 120 s, then 0.3 per minute.
YEASTAR = [Priced(68, "0.2"), Priced(125, "0.5"), Priced(180, "0.5"), Priced(190, "0.8"), Priced(380, "1.7")]
# The guide's "Add" form: 0.1 for 60 s, then 0.02 per 55 s. In its "Call Log" 0:39 cost 0.1000.
GUIDE = [
    Priced(39, "0.1"),
    Priced(60, "0.1"),
    Priced(61, "0.12"),
    Priced(115, "0.12"),
    Priced(116, "0.14"),
    Priced(238, "0.18"),
]
# Where A2Billing and MagnusBilling round the whole call up to units instead of what follows the initial time.
SIXTY_FIFTY_FIVE = [
    Priced(60, "0"),
    Priced(61, "55"),
    Priced(115, "55"),
    Priced(116, "110"),
    Priced(170, "110"),
    Priced(171, "165"),
]

prices = st.integers(0, parse_price("10"))
rates = st.builds(
    lambda initial, seconds, price, unit: a_rate(
        initial_cost_micros=initial, initial_seconds=seconds, rate_micros=price, unit_seconds=unit
    ),
    prices,
    st.integers(0, 300),
    prices,
    st.integers(1, 300),
)
talks = st.integers(0, FOUR_HOURS)


def _cost(rate: Rate, talk: int) -> str:
    return format_amount(cost_micros(rate, talk))


@pytest.mark.parametrize(("talk", "cost"), YEASTAR)
def test_it_agrees_with_yeastars_published_table(talk: int, cost: str) -> None:
    assert cost_micros(a_shape("0.2", 120, "0.3", 60), talk) == parse_amount(cost)


@pytest.mark.parametrize(("talk", "cost"), GUIDE)
def test_it_charges_the_guides_rate(talk: int, cost: str) -> None:
    assert cost_micros(GUIDE_RATE, talk) == parse_amount(cost)


@pytest.mark.parametrize(("talk", "cost"), SIXTY_FIFTY_FIVE)
def test_it_counts_units_only_after_the_initial_time(talk: int, cost: str) -> None:
    assert cost_micros(a_shape("0", 60, "55", 55), talk) == parse_amount(cost)


@pytest.mark.parametrize(("talk", "billed_seconds"), [(1, 60), (60, 60), (61, 115), (115, 115), (116, 170), (170, 170)])
def test_it_bills_the_initial_time_and_whole_units(talk: int, billed_seconds: int) -> None:
    rate = a_shape("60", 60, "55", 55)
    assert cost_micros(rate, talk) == parse_amount(str(billed_seconds))
    assert 60 + units(rate, talk) * 55 == billed_seconds


@pytest.mark.parametrize(
    ("rate", "talk", "cost"),
    [
        (a_shape("0", 0, "0.02", 60), 1, "0.0200"),
        (a_shape("0", 0, "0.02", 60), 60, "0.0200"),
        (a_shape("0", 0, "0.02", 60), 61, "0.0400"),
        (a_shape("0.1", 0, "0", 1), 3600, "0.1000"),
        (a_shape("0.1", 0, "0.01", 1), 1, "0.1100"),
        (a_shape("0", 30, "0.01", 1), 30, "0.0000"),
        (a_shape("0", 30, "0.01", 1), 31, "0.0100"),
    ],
    ids=["first second", "whole unit", "one more", "flat", "connection fee", "free start", "after it"],
)
def test_it_charges_rates_of_every_shape(rate: Rate, talk: int, cost: str) -> None:
    assert _cost(rate, talk) == cost


@pytest.mark.parametrize(
    ("price", "talk", "cost"),
    [("0.000049", 1, "0.0000"), ("0.00005", 1, "0.0001"), ("0.00005", 3, "0.0002"), ("0.000016", 3, "0.0000"),
     ("0.000017", 3, "0.0001"), ("0.001234", 7, "0.0086")],
)  # fmt: skip
def test_it_rounds_half_up_once_at_the_end(price: str, talk: int, cost: str) -> None:
    assert _cost(a_shape("0", 0, price, 1), talk) == cost


@given(rates)
def test_it_charges_nothing_for_no_talk(rate: Rate) -> None:
    assert cost_micros(rate, 0) == 0


@given(rates, talks, st.integers(0, 600))
def test_it_never_costs_less_to_talk_longer(rate: Rate, talk: int, longer: int) -> None:
    assert cost_micros(rate, talk) <= cost_micros(rate, talk + longer)


@given(rates, talks)
def test_it_charges_whole_steps_of_the_ledger(rate: Rate, talk: int) -> None:
    cost = cost_micros(rate, talk)
    assert cost >= 0
    assert cost % LEDGER_STEP_MICROS == 0


@given(rates, talks, st.integers(0, 600))
def test_it_charges_from_the_answer_what_is_longer_than_the_free_seconds(rate: Rate, talk: int, free: int) -> None:
    assert cost_of_talk(rate, talk, free) == (cost_micros(rate, talk) if talk > free else 0)


@pytest.mark.parametrize(("talk", "cost"), [(0, "0"), (30, "0"), (31, "0.1"), (61, "0.12")])
def test_it_charges_nothing_for_the_free_seconds_of_a_trunk(talk: int, cost: str) -> None:
    assert cost_of_talk(GUIDE_RATE, talk, 30) == parse_amount(cost)


@given(rates, st.integers(0, parse_amount("1000")), st.integers(1, FOUR_HOURS))
def test_it_affords_the_longest_talk_that_fits(rate: Rate, available: int, longest: int) -> None:
    seconds = affordable_seconds(rate, available, longest)
    assert 0 <= seconds <= longest
    assert cost_micros(rate, seconds) <= available
    assert seconds == longest or cost_micros(rate, seconds + 1) > available


@pytest.mark.parametrize(
    ("available", "seconds"),
    [
        ("0", 0),
        ("0.0999", 0),
        ("0.1", 60),
        ("0.1199", 60),
        ("0.12", 115),
        ("0.14", 170),
        ("10", FOUR_HOURS),
        ("1", 2535),
    ],
)
def test_it_affords_by_the_guides_rate(available: str, seconds: int) -> None:
    assert affordable_seconds(GUIDE_RATE, parse_amount(available), FOUR_HOURS) == seconds


def test_it_affords_nothing_to_whom_owes() -> None:
    assert affordable_seconds(a_shape("0", 60, "0.02", 55), -100, FOUR_HOURS) == 0


def test_it_affords_a_free_start_to_whom_has_nothing_left() -> None:
    assert affordable_seconds(a_shape("0", 60, "0.02", 55), 0, FOUR_HOURS) == 60


@pytest.mark.parametrize("available", ["-1000", "-0.0001", "0", "10"])
def test_it_affords_the_longest_call_by_a_rate_of_nothing(available: str) -> None:
    assert affordable_seconds(FREE_RATE, parse_amount(available), FOUR_HOURS) == FOUR_HOURS


@pytest.mark.parametrize(
    ("cost", "hold", "available", "charged", "uncollected"),
    [
        ("0.18", "0.50", "9.50", "0.18", "0"),
        ("0.50", "0.50", "0", "0.50", "0"),
        ("0.70", "0.50", "0.20", "0.70", "0"),
        ("0.70", "0.50", "0.10", "0.60", "0.10"),
        ("0.70", "0", "0", "0", "0.70"),
        ("0.70", "0.50", "-0.30", "0.20", "0.50"),
        ("0.70", "0.50", "-3", "0", "0.70"),
        ("0", "0", "-3", "0", "0"),
    ],
)
def test_it_charges_no_more_than_hold_and_available(
    cost: str, hold: str, available: str, charged: str, uncollected: str
) -> None:
    expected = Charge(*map(parse_amount, (cost, charged, uncollected)))
    assert charge(parse_amount(cost), parse_amount(hold), parse_amount(available)) == expected


steps = st.integers(0, 10**9)


@given(steps, steps, st.integers(-(10**9), 10**9))
def test_it_neither_charges_below_zero_nor_loses_a_step(cost: int, hold: int, available: int) -> None:
    taken = charge(cost, hold, available)
    assert 0 <= taken.charged_micros <= max(0, hold + available)
    assert taken.uncollected_micros >= 0
    assert taken.charged_micros + taken.uncollected_micros == taken.cost_micros == cost
