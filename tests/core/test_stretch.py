"""How far ahead a call is paid for: whole units, never more than the money, growing while there is plenty."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coovox_billing.core.money import parse_amount
from coovox_billing.core.rating import affordable_seconds, cost_micros
from coovox_billing.core.stretch import (
    FIRST_STRETCH_SECONDS,
    LONGEST_STRETCH_SECONDS,
    NOTHING,
    Promise,
    Terms,
    hour_micros,
    lengthen,
    whole,
)
from coovox_billing.core.tariff import Rate
from tests.cast import a_shape

TERMS = Terms(longest_seconds=14_400, grace_seconds=120)
CENT_A_SECOND = a_shape("0", 0, "0.01", 1)
GUIDE = a_shape("0.1", 60, "0.02", 55)
FREE = a_shape("0", 0, "0", 1)
FLAT = a_shape("0.5", 60, "0", 60)
PLENTY = parse_amount("1000000")


def _money(text: str) -> int:
    return parse_amount(text)


rates = st.builds(
    a_shape,
    st.sampled_from(["0", "0.00004", "0.1", "2"]),
    st.sampled_from([0, 1, 60, 7_200]),
    st.sampled_from(["0", "0.000049", "0.00005", "0.01", "0.333333", "5"]),
    st.sampled_from([1, 6, 55, 60, 3_600]),
)
amounts = st.integers(-10_000, 200_000).map(lambda steps: steps * 100) | st.integers(0, 10**7).map(lambda n: n * 100)
all_terms = st.builds(Terms, st.sampled_from([1, 59, 61, 900, 14_400]), st.sampled_from([0, 1, 120, 3_600]))


@pytest.mark.parametrize(
    ("rate", "available", "promise"),
    [
        (CENT_A_SECOND, "0", NOTHING),
        (CENT_A_SECOND, "0.3", Promise(30, 30, 300_000, 60)),
        (CENT_A_SECOND, "0.6", Promise(60, 60, 600_000, 60)),
        (CENT_A_SECOND, "0.7", Promise(60, 70, 600_000, 60)),
        (CENT_A_SECOND, "5", Promise(60, 180, 600_000, 60)),
        (CENT_A_SECOND, "100", Promise(60, 180, 1_800_000, 60)),
        (GUIDE, "0.1", Promise(60, 60, 100_000, 60)),
        (GUIDE, "0.13", Promise(60, 115, 100_000, 60)),
        (FREE, "0", Promise(14_400, 14_400, 0, 14_400)),
        (FREE, "-3", Promise(14_400, 14_400, 0, 14_400)),
        (FLAT, "0.5", Promise(14_400, 14_400, 500_000, 14_400)),
        (FLAT, "0.49", NOTHING),
    ],
)
def test_it_begins_with_a_minute_and_a_grace_that_the_money_allows(
    rate: Rate, available: str, promise: Promise
) -> None:
    first = lengthen(rate, NOTHING, _money(available), 0, TERMS)
    assert replace(first, stretch_seconds=0) == replace(promise, stretch_seconds=0)


def test_it_promises_at_least_one_unit() -> None:
    assert lengthen(a_shape("0", 0, "1", 3_600), NOTHING, PLENTY, None, TERMS).promised_seconds == 3_600


def test_it_grows_to_a_quarter_of_an_hour_while_the_money_covers_an_hour_of_every_call() -> None:
    promise, stretches = NOTHING, []
    for _ in range(7):
        longer = lengthen(CENT_A_SECOND, promise, PLENTY - promise.hold_micros, 0, TERMS)
        stretches.append(longer.promised_seconds - promise.promised_seconds)
        assert longer.hold_micros == cost_micros(CENT_A_SECOND, longer.limit_seconds), "the grace is held for"
        promise = longer
    assert stretches == [60, 120, 240, 480, 900, 900, 900]


def test_it_falls_back_to_a_minute_when_others_need_the_money() -> None:
    rich = Promise(900, 1_020, 10_200_000, 480)
    others = hour_micros(CENT_A_SECOND, Promise(60, 180, 600_000, 60))
    assert others == _money("36")
    longer = lengthen(CENT_A_SECOND, rich, _money("70"), others, TERMS)
    assert longer == Promise(960, 960, 9_600_000, FIRST_STRETCH_SECONDS), "and no grace, which others could talk away"


def test_it_ends_where_the_money_does() -> None:
    promise = Promise(60, 120, 600_000, 60)
    assert lengthen(CENT_A_SECOND, promise, 0, 0, TERMS) == Promise(60, 60, 600_000, 60)
    assert lengthen(CENT_A_SECOND, promise, _money("0.05"), 0, TERMS) == Promise(65, 65, 650_000, 60)


def test_it_keeps_what_is_held_when_the_credit_is_lowered() -> None:
    held_with_grace = Promise(60, 180, 1_800_000, 60)
    assert lengthen(CENT_A_SECOND, held_with_grace, -_money("50"), 0, TERMS) == Promise(180, 180, 1_800_000, 60)


@given(rates, amounts, st.none() | st.just(0), all_terms)
def test_it_never_promises_more_than_the_money_pays_for(
    rate: Rate, available: int, others: int | None, terms: Terms
) -> None:
    promise, free = NOTHING, available
    for _ in range(30):
        longer = lengthen(rate, promise, free, others, terms)
        assert longer.promised_seconds >= promise.promised_seconds
        assert longer.promised_seconds <= longer.limit_seconds <= terms.longest_seconds
        assert cost_micros(rate, longer.promised_seconds) <= longer.hold_micros
        assert cost_micros(rate, longer.limit_seconds) <= max(0, available)
        assert longer.limit_seconds - longer.promised_seconds <= terms.grace_seconds
        assert longer.hold_micros % 100 == 0
        free -= longer.hold_micros - promise.hold_micros
        assert free >= min(0, available)
        promise = longer
    if longer == promise and longer.stretch_seconds <= LONGEST_STRETCH_SECONDS and terms.longest_seconds <= 900:
        assert promise.limit_seconds == affordable_seconds(rate, available, terms.longest_seconds)


@given(rates, amounts, all_terms)
def test_it_is_all_at_once_without_stretches(rate: Rate, available: int, terms: Terms) -> None:
    seconds = affordable_seconds(rate, available, terms.longest_seconds)
    promise = whole(rate, available, terms)
    assert (promise.promised_seconds, promise.limit_seconds) == (seconds, seconds)
    assert promise.hold_micros == cost_micros(rate, seconds)
