"""Calls priced again: by the winner of every choice, at the cost of every call, and summed up without a loss."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coovox_billing.core.rating import cost_of_talk
from coovox_billing.core.tariff import NO_RATE, Rate, choose
from coovox_billing.core.what_if import Comparison, Fate, MadeCall, Priced, Tariff, fate_of
from tests.cast import ABROAD_RATE, CITY_NUMBER, FREE_RATE, GUIDE_RATE, MOBILE_RATE, MONDAY_MORNING, RATES, a_rate
from tests.core.test_tariff import moments, rivals

calls = st.builds(
    lambda extension, number, moment, talk, free: a_call(
        extension=extension, number=number, moment=moment, talk_seconds=talk, billed_seconds=talk, free_seconds=free
    ),
    st.sampled_from(["100", "101", "102"]),
    st.sampled_from(["9", "98", "988360046", "988360046123", "7", "00", "98836004"]),
    moments,
    st.integers(0, 4000),
    st.sampled_from([0, 0, 5, 60]),
)


def a_call(**changes: Any) -> MadeCall:
    facts = {
        "id": "call",
        "extension": "100",
        "number": CITY_NUMBER,
        "moment": MONDAY_MORNING,
        "talk_seconds": 238,
        "billed_seconds": 238,
        "free_seconds": 0,
        "charged_micros": 180_000,
    }
    return MadeCall(**(facts | changes))


def compared(today: tuple[Rate, ...], draft: tuple[Rate, ...], *made: MadeCall, refuses: bool = True) -> Comparison:
    comparison = Comparison(Tariff(today), Tariff(draft), refuses, most_changed=2)
    for call in made:
        comparison.add(call)
    return comparison


@given(rivals, calls)
def test_it_prices_a_call_as_every_call_is_priced(rates: list[Rate], call: MadeCall) -> None:
    winner = choose(rates, call.extension, call.number, call.moment).rate
    cost = 0 if winner is None else cost_of_talk(winner, call.billed_seconds, call.free_seconds)
    assert Tariff(rates).price(call) == Priced(winner, cost)


@given(rivals, st.lists(calls, max_size=5), st.booleans())
def test_it_finds_no_difference_between_a_tariff_and_itself(
    rates: list[Rate], made: list[MadeCall], refuses: bool
) -> None:
    comparison = compared(tuple(rates), tuple(rates), *made, refuses=refuses)
    assert comparison.totals.difference_micros == 0
    assert comparison.changed == []


@given(rivals, rivals, st.lists(calls, max_size=8), st.booleans())
def test_it_counts_each_call_once_by_extension_and_once_by_destination(
    today: list[Rate], draft: list[Rate], made: list[MadeCall], refuses: bool
) -> None:
    comparison = compared(tuple(today), tuple(draft), *made, refuses=refuses)
    for groups in (comparison.of_extension, comparison.of_destination):
        for name in ("calls", "talk_seconds", "charged_micros", "today_micros", "draft_micros", "refused", "free"):
            assert sum(getattr(sums, name) for sums in groups.values()) == getattr(comparison.totals, name), name
    assert len(comparison.changed) == min(
        2, comparison.totals.refused + comparison.totals.free + comparison.totals.priced
    )


def test_it_tells_the_difference() -> None:
    dearer = a_rate(rate_micros="0.05")
    totals = compared(RATES, (dearer, *RATES[1:]), a_call(), a_call(extension="101", billed_seconds=60)).totals
    assert (totals.calls, totals.today_micros, totals.draft_micros) == (2, 280_000, 400_000)
    assert (totals.difference_micros, totals.charged_micros) == (120_000, 360_000)


@pytest.mark.parametrize(
    ("today", "draft", "refuses", "fate"),
    [
        ((GUIDE_RATE,), (GUIDE_RATE,), True, None),
        ((GUIDE_RATE,), (), True, Fate.REFUSED),
        ((GUIDE_RATE,), (), False, Fate.FREE),
        ((GUIDE_RATE,), (a_rate(initial_cost_micros=0, rate_micros=0),), True, Fate.FREE),
        ((a_rate(initial_cost_micros=0, rate_micros=0),), (), True, Fate.REFUSED),
        ((a_rate(initial_cost_micros=0, rate_micros=0),), (), False, None),
        ((), (GUIDE_RATE,), True, Fate.PRICED),
        ((), (), True, None),
    ],
)
def test_it_tells_what_becomes_of_a_call(
    today: tuple[Rate, ...], draft: tuple[Rate, ...], refuses: bool, fate: Fate | None
) -> None:
    call = a_call()
    assert fate_of(Tariff(today).price(call), Tariff(draft).price(call), refuses) is fate


def test_it_groups_by_the_prefix_of_the_draft_else_by_that_of_today() -> None:
    spain = a_rate(id=9, prefix="0034", number_length=0, remark="Spain")
    made = [a_call(number="0034965"), a_call(number="0039021"), a_call(number="5"), a_call(number="080012")]
    comparison = compared((ABROAD_RATE, FREE_RATE), (spain, FREE_RATE, MOBILE_RATE), *made)
    assert {name: sums.calls for name, sums in comparison.of_destination.items()} == {
        "0034": 1,
        "00": 1,
        NO_RATE: 1,
        "0800": 1,
    }
    assert comparison.remarks == {"0034": "Spain", "00": "abroad", "0800": "free phone"}
    assert comparison.of_destination["00"].refused == 1


def test_it_charges_only_what_was_billed_of_the_talk() -> None:
    call = a_call(talk_seconds=300, billed_seconds=60)
    assert Tariff(RATES).price(call).cost_micros == 100_000
    assert Tariff(RATES).price(a_call(free_seconds=238)).cost_micros == 0


def test_it_goes_by_the_moment_of_dialing() -> None:
    night = a_rate(id=5, start_time=time(22), end_time=time(5, 59, 59), rate_micros="0.01")
    at_night = datetime(2026, 3, 2, 23, 0)
    assert Tariff((GUIDE_RATE, night)).price(a_call(moment=at_night)).rate == night
    assert Tariff((GUIDE_RATE, night)).price(a_call()).rate == GUIDE_RATE
