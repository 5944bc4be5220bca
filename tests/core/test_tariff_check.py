"""What a tariff is warned of: in which words, about which rate, and what is left alone."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any

import pytest

from coovox_billing.core import tariff_check
from coovox_billing.core.rate_index import RateList
from coovox_billing.core.tariff import Rate
from coovox_billing.core.tariff_check import Dialed, Extensions, Finding, Kind, Unmatched, check, common_beginning
from tests.cast import MONDAY_MORNING, RATES, a_rate

PEOPLE = Extensions(frozenset({"100", "101", "103"}), frozenset({"100", "101"}))
DAY = {"start_time": time(8), "end_time": time(19, 59, 59)}
NIGHT = {"start_time": time(20), "end_time": time(7, 59, 59)}
WORKDAYS = frozenset({1, 2, 3, 4, 5})


def found(*rates: Rate, dialed: Dialed | None = None, refuses: bool = True) -> list[Finding]:
    return list(check(RateList(rates), PEOPLE, refuses, dialed).told)


def said(kind: Kind, *rates: Rate, **options: Any) -> list[str]:
    return [finding.said for finding in found(*rates, **options) if finding.kind is kind]


def test_it_finds_nothing_about_rates_that_are_well() -> None:
    assert found(*RATES) == []
    assert found(a_rate(id=1, **DAY), a_rate(id=2, **NIGHT)) == []


def test_it_says_of_each_what_to_do() -> None:
    findings = found(a_rate(id=1, **DAY), a_rate(id=2, **DAY), a_rate(id=3, extensions=frozenset({"777"})))
    assert {finding.kind for finding in findings} == {Kind.GAP, Kind.SHADOWED, Kind.NOBODY}
    assert all(finding.advice and finding.rate for finding in findings)


def test_it_tells_the_most_urgent_first() -> None:
    unmatched = Unmatched("0039", 1, "100", MONDAY_MORNING)
    findings = found(
        a_rate(id=1, extensions=frozenset({"100", "777"}), **DAY),
        a_rate(id=2, prefix="99", extensions=frozenset({"100"})),
        dialed=Dialed(90, {("0", 4): 1}, [unmatched]),
    )
    kinds = [finding.kind for finding in findings]
    assert kinds == sorted(kinds, key=list(Kind).index)
    assert kinds[:3] == [Kind.UNPRICED, Kind.NO_RATE, Kind.GAP]


@pytest.mark.parametrize(("refuses", "then"), [(True, "calls are refused"), (False, "calls pass unbilled")])
def test_it_names_an_extension_without_any_rate(refuses: bool, then: str) -> None:
    finding = found(a_rate(extensions=frozenset({"101"})), refuses=refuses)[0]
    assert (finding.kind, finding.extension) == (Kind.UNPRICED, "100")
    assert finding.said == f"Extension 100 is billed, and no rate applies to it: {then}."


def test_it_names_the_rate_that_comes_before_another() -> None:
    finding = found(a_rate(id=1), a_rate(id=2))[0]
    assert (finding.rate, finding.others) == (a_rate(id=2), (a_rate(id=1),))
    assert finding.said.endswith("can price no call: rate 1 comes before it at all its hours, for the same numbers.")


def test_it_names_listed_extensions_that_are_gone() -> None:
    (sentence,) = said(Kind.STRANGER, a_rate(id=1, extensions=frozenset({"100", "98", "777"})), a_rate(id=2))
    assert sentence.endswith("lists extensions that are not there: 98, 777.")


GAPS = [
    # the rates, when nobody is open
    ([DAY], "from 20:00:00 to 07:59:59, every day"),
    ([DAY, NIGHT | {"days": WORKDAYS}], "from 20:00:00 to 07:59:59, Saturday, Sunday"),
    ([{"end_time": time(23, 59, 58)}], "at 23:59:59, every day"),
    ([{"end_time": time(23, 59)}], "from 23:59:01 to 23:59:59, every day"),
    ([{"days": WORKDAYS}], "from Saturday 00:00:00 to Sunday 23:59:59"),
    ([{"days": frozenset({7})}], "from Monday 00:00:00 to Saturday 23:59:59"),
    ([{"days": frozenset({2, 3, 4, 5, 6})}], "from Sunday 00:00:00 to Monday 23:59:59"),
    (
        [{"days": frozenset({1, 3, 5})}],
        "from Tuesday 00:00:00 to Tuesday 23:59:59; from Thursday 00:00:00 to Thursday 23:59:59; "
        "from Saturday 00:00:00 to Sunday 23:59:59",
    ),
]


@pytest.mark.parametrize(("windows", "times"), GAPS)
def test_it_tells_the_hours_that_no_rate_has(windows: list[dict[str, Any]], times: str) -> None:
    rates = [a_rate(id=place, **window) for place, window in enumerate(windows, start=1)]
    assert said(Kind.GAP, *rates) == [
        f"No rate is open for numbers with prefix 9 and 9 digits {times}, for every extension that no rate lists: "
        "calls are refused."
    ]


def test_it_tells_gaps_of_some_extensions_alone() -> None:
    rates = [a_rate(id=1, extensions=frozenset({"100"}), **DAY), a_rate(id=2, extensions=frozenset({"101"}))]
    (sentence,) = said(Kind.GAP, *rates)
    assert "from 20:00:00 to 07:59:59, every day, for 100:" in sentence


@pytest.mark.parametrize(
    "fallback", [a_rate(id=2, number_length=0), a_rate(id=2, prefix=""), a_rate(id=2, prefix="", number_length=0)]
)
def test_it_takes_a_window_with_another_rate_behind_it_for_meant_so(fallback: Rate) -> None:
    assert said(Kind.GAP, a_rate(id=1, **DAY), fallback) == []
    assert said(Kind.GAP, a_rate(id=1, **DAY), a_rate(id=2, number_length=8)) != []


def test_it_finds_a_short_hole_even_where_another_rate_prices_it() -> None:
    day = DAY | {"end_time": time(19, 59)}
    (sentence,) = said(Kind.GAP, a_rate(id=1, **day), a_rate(id=2, **NIGHT), a_rate(id=3, number_length=0))
    assert "a short hole between their rates, from 19:59:01 to 19:59:59, every day" in sentence


def price(rate_id: int, prefix: str, cost: str, remark: str = "") -> Rate:
    return Rate(rate_id, prefix, 0, 0, 0, a_rate(rate_micros=cost).rate_micros, 60, remark=remark)


PRICES = [
    # prefix, price and remark of each; who is told of
    ([("0039", "0.05", ""), ("0034", "0.06", ""), ("0033", "0.60", "")], [3]),
    ([("0039", "0.05", ""), ("0034", "0.06", ""), ("0033", "0.59", "")], []),
    ([("0039", "0.05", ""), ("0034", "0.5", "")], [2]),
    ([("0039", "0.5", ""), ("0034", "0.6", ""), ("0033", "0.05", "")], [3]),
    ([("9", "0.05", ""), ("0034", "5", "")], []),
    ([("9", "0.02", "Europe"), ("0034", "0.03", "europe"), ("7", "0.3", "Europe ")], [3]),
    ([("901", "0.02", "Near"), ("902", "0.02", "Near"), ("903", "2", "Far"), ("904", "2", "Far")], []),
    ([("901", "0.02", ""), ("902", "0", "")], []),
    ([("901", "0.02", ""), ("9015", "0.02", ""), ("9016", "0.3", ""), ("902", "0.3", "")], [3, 4]),
]


@pytest.mark.parametrize(("prices", "told"), PRICES)
def test_it_finds_prices_that_are_far_from_their_neighbors(prices: list[tuple[str, str, str]], told: list[int]) -> None:
    rates = [price(place, *one) for place, one in enumerate(prices, start=1)]
    found_of = [finding.rate.id for finding in found(*rates) if finding.kind is Kind.PRICE and finding.rate]
    assert found_of == told


@pytest.mark.parametrize(("prices", "told"), PRICES)
def test_it_finds_the_same_prices_where_they_are_too_many_to_be_sorted(
    prices: list[tuple[str, str, str]], told: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tariff_check, "_MANY", 0)
    test_it_finds_prices_that_are_far_from_their_neighbors(prices, told)


def test_it_tells_the_first_of_each_kind_and_counts_them_all() -> None:
    rates = [a_rate(id=1, prefix="9"), *(a_rate(id=number) for number in range(20, 1, -1))]
    rates += [a_rate(id=number, prefix="7", extensions=frozenset({"777"})) for number in (30, 29)]
    found = check(RateList(rates), PEOPLE, True, most=3)
    assert [(finding.kind, finding.rate and finding.rate.id) for finding in found.told] == [
        (Kind.SHADOWED, 2), (Kind.SHADOWED, 3), (Kind.SHADOWED, 4), (Kind.NOBODY, 29), (Kind.NOBODY, 30)
    ]  # fmt: skip
    assert (found.counts, found.total) == ({Kind.SHADOWED: 19, Kind.NOBODY: 2}, 21)


def test_it_says_by_what_a_price_is_judged() -> None:
    (sentence,) = said(Kind.PRICE, price(1, "0039", "0.05"), price(2, "0034", "0.06"), price(3, "0033", "0.6"))
    assert sentence == (
        "Rate 3 (prefix 0033, any length, all extensions) costs ten times as much as its neighbors, or more: "
        "three minutes are 1.8000, in the middle of those whose prefix begins with 003 0.1800."
    )


def test_it_names_prefixes_and_lengths_that_nobody_dialed() -> None:
    rates = (a_rate(id=1), a_rate(id=2, prefix="0049", number_length=0), a_rate(id=3, prefix="", number_length=3))
    dialed = Dialed(90, {("9883", 8): 4, ("9", 1): 1, ("9112", 3): 1})
    assert said(Kind.UNDIALED, *rates, dialed=dialed) == [
        "No number with prefix 9 and 9 digits was dialed in the last 90 days. "
        "Those with this prefix had 1, 3, 8 digits.",
        "No number with prefix 0049 and any length was dialed in the last 90 days.",
    ]
    assert said(Kind.UNDIALED, *rates, dialed=Dialed(90, {})) == []


def unmatched(number: str, calls: int = 1, at: datetime = MONDAY_MORNING) -> Unmatched:
    return Unmatched(number, calls, "100", at)


def test_it_tells_calls_without_a_rate_by_what_their_numbers_begin_with() -> None:
    numbers = [unmatched("0039021", 2), unmatched("003902234"), unmatched("98836004"), unmatched("911")]
    findings = [one for one in found(a_rate(), dialed=Dialed(90, {("0", 7): 1}, numbers)) if one.kind is Kind.NO_RATE]
    assert [(finding.prefix, finding.calls) for finding in findings] == [("003902", 3), ("911", 1), ("98836004", 1)]
    assert findings[0].said == (
        "Calls of the last 90 days without a rate: 3, to numbers that begin with 003902 and have 7, 9 digits. "
        "No rate has such a prefix."
    )
    assert "came closest: it is for numbers of 9 digits, this one has 8." in findings[2].said


def test_it_tells_that_a_rate_was_added_since() -> None:
    (sentence,) = said(Kind.NO_RATE, a_rate(), dialed=Dialed(90, {("9", 9): 1}, [unmatched("988360046")]))
    assert sentence.endswith(
        "Today Rate 1 (city; prefix 9, exactly 9 digits, all extensions) would price the newest of them."
    )


def test_it_counts_each_call_without_a_rate_in_one_group_alone() -> None:
    numbers = [unmatched(number) for number in ("9", "91", "911", "9112", "912", "0", "0034", "0039")]
    findings = found(a_rate(prefix="7"), dialed=Dialed(90, {("9", 1): 1}, numbers))
    groups = {finding.prefix: finding.calls for finding in findings if finding.kind is Kind.NO_RATE}
    assert groups == {"9": 5, "0": 3}
    assert sum(groups.values()) == len(numbers)


@pytest.mark.parametrize(
    ("numbers", "common"), [(["911"], "911"), (["9112", "911"], "911"), (["0034", "0039"], "003"), (["1", "2"], "")]
)
def test_it_finds_what_numbers_begin_with(numbers: list[str], common: str) -> None:
    assert common_beginning(numbers) == common
