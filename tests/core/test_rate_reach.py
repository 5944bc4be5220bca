"""Which rates price no call, and whom no rate prices."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, time, timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coovox_billing.core.dialed_number import MAX_DIGITS
from coovox_billing.core.rate_index import RateList
from coovox_billing.core.rate_reach import DIGITS, Reach, Shade, idle_rates, in_precedence, unpriced_extensions
from coovox_billing.core.rate_reach import SIGNS as SIGNS_OF_PHONES
from coovox_billing.core.tariff import ALL_DAYS, Rate, choose, matches
from tests.cast import RATES, a_rate

DAY = {"start_time": time(8), "end_time": time(19, 59, 59)}
NIGHT = {"start_time": time(20), "end_time": time(7, 59, 59)}
SOME = frozenset({"100"})
NOT_BEFORE = "rate 1 comes before it at all its hours, for the same numbers"


def idle(*rates: Rate) -> dict[int, str]:
    return {one.rate.id: one.why for one in idle_rates(RateList(rates), {"100", "101"})}


def shaded(rates: Sequence[Rate], known: Collection[str], signs: str, longest: int = MAX_DIGITS) -> list[Shade]:
    reach, same = Reach(RateList(rates), known, signs, longest), in_precedence(rates)
    return [
        found
        for rate in rates
        if rate.active and (found := reach.shade(rate, [one for one in same if one.prefix == rate.prefix]))
    ]


def second(**changes: Any) -> Rate:
    return a_rate(id=2, **changes)


def test_it_says_which_comes_before_it() -> None:
    assert idle(a_rate(id=1), second()) == {2: NOT_BEFORE}
    assert idle(a_rate(id=1, extensions=frozenset({"100", "101"})), second(extensions=SOME)) == {2: NOT_BEFORE}
    assert idle(a_rate(id=1, **DAY), a_rate(id=2, **NIGHT), a_rate(id=3)) == {
        3: "rate 1, 2 comes before it at all its hours, for the same numbers"
    }


@pytest.mark.parametrize(
    "rates",
    [
        RATES,
        (a_rate(id=1), second(prefix="98")),
        (a_rate(id=1), second(number_length=0)),
        (a_rate(id=1, extensions=SOME), second()),
        (a_rate(id=1, **DAY), second()),
        (a_rate(id=1, **DAY), second(**NIGHT)),
        (a_rate(id=1, active=False), second()),
        (a_rate(id=1, **NIGHT, days=frozenset({7})), second(**NIGHT)),
        (a_rate(id=1, start_time=time(0), end_time=time(23, 59, 58)), second()),
    ],
)
def test_it_leaves_a_rate_alone_that_prices_some_call(rates: tuple[Rate, ...]) -> None:
    assert idle(*rates) == {}


def test_it_knows_a_window_that_crosses_the_end_of_the_week() -> None:
    early = {"start_time": time(22), "end_time": time(2)}
    late = {"start_time": time(1), "end_time": time(1, 30)}
    sunday_night = a_rate(id=1, **early, days=frozenset({7}), extensions=SOME)
    monday_morning = a_rate(id=2, **late, days=frozenset({1}), extensions=SOME)
    assert idle(monday_morning, sunday_night) == {}
    listed = a_rate(id=3, **late, days=frozenset({1}))
    assert idle(listed, sunday_night) == {}
    for_all = a_rate(id=4, **early, days=frozenset({7}))
    assert idle(a_rate(id=3, **late, days=frozenset({1})), for_all) == {}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"extensions": frozenset({"777"})}, "none of the extensions it applies to is there"),
        ({"prefix": "00441", "number_length": 3}, "the numbers it is for are shorter than its prefix"),
        ({"extensions": frozenset({"777", "100"})}, None),
        ({"prefix": "00441", "number_length": 5}, None),
        ({"extensions": frozenset({"777"}), "active": False}, None),
    ],
)
def test_it_names_a_rate_for_nobody_and_nothing(changes: dict[str, Any], why: str | None) -> None:
    assert idle(a_rate(id=1, **changes)) == ({} if why is None else {1: why})


@pytest.mark.parametrize(
    ("rates", "unpriced"),
    [
        ([], ["9", "100", "101"]),
        ([a_rate(extensions=SOME)], ["9", "101"]),
        ([a_rate(extensions=SOME), a_rate(active=False)], ["9", "101"]),
        ([a_rate(extensions=SOME), a_rate()], []),
    ],
)
def test_it_names_the_billed_whom_no_rate_prices(rates: list[Rate], unpriced: list[str]) -> None:
    assert unpriced_extensions(rates, {"101", "100", "9"}) == unpriced


# Brute force: a small world in which every number of two signs, every extension and every hour can be tried.
SIGNS, LONGEST = "01", 4
NUMBERS = ["".join(signs) for length in range(1, LONGEST + 1) for signs in product(SIGNS, repeat=length)]
HOURS = [datetime(2026, 3, 2) + timedelta(hours=6 * step) for step in range(28)]
NEW = "199"

small_rates = st.lists(
    st.builds(
        lambda prefix, length, opens, closes, days, listed, active: a_rate(
            prefix=prefix,
            number_length=length,
            start_time=time(6 * opens),
            end_time=time(6 * closes + 5, 59, 59),
            days=days,
            extensions=listed,
            active=active,
        ),
        st.sampled_from(["", "0", "1", "00", "01", "10", "11", "001"]),
        st.sampled_from([0, 0, 1, 2, 3]),
        st.integers(0, 3),
        st.integers(0, 3),
        st.sampled_from([ALL_DAYS, frozenset({1, 2, 3, 4, 5}), frozenset({6, 7}), frozenset({7})]),
        st.sampled_from([None, None, frozenset({"100"}), frozenset({"101"}), frozenset({"100", "101"})]),
        st.sampled_from([True, True, True, False]),
    ),
    max_size=9,
).map(lambda rates: [replace(rate, id=number) for number, rate in enumerate(rates, start=1)])


@settings(max_examples=60)
@given(small_rates)
def test_it_calls_shadowed_what_brute_force_finds_to_win_nowhere(rates: list[Rate]) -> None:
    calls = [(e, n, at) for e in ("100", "101", NEW) for n in NUMBERS for at in HOURS]
    won = {winner.id for call in calls if (winner := choose(rates, *call).rate) is not None}
    matching = {rate.id for rate in rates if any(matches(rate, *call) for call in calls)}
    shades = shaded(rates, {"100", "101"}, SIGNS, LONGEST)
    assert {shade.rate.id for shade in shades} == matching - won
    assert all(shade.winners for shade in shades)


def test_it_sees_that_longer_prefixes_take_all_numbers() -> None:
    every = [a_rate(id=2 + place, prefix=f"9{sign}", number_length=0) for place, sign in enumerate(SIGNS_OF_PHONES)]
    assert idle(a_rate(id=1, prefix="9", number_length=5), *every) == {
        1: "rate 2, 3, 4, 5, 6, … comes before it at all its hours, for the same numbers"
    }
    assert idle(a_rate(id=1, prefix="9", number_length=1), *every) == {}
    assert idle(a_rate(id=1, prefix="9", number_length=5), *every[:-1]) == {}
    assert [shade.rate.id for shade in shaded([a_rate(id=1, number_length=5), *every[:-1]], (), DIGITS)] == [1]
