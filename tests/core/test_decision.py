"""May this call be made, at what price and for how long."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coovox_billing.core.decision import (
    AccountView,
    Verdict,
    decide,
    decide_without_account,
    explain_choice,
    explain_cost,
)
from coovox_billing.core.money import parse_amount
from coovox_billing.core.rating import cost_micros
from coovox_billing.core.site_settings import Site
from coovox_billing.core.why import sentence
from tests.cast import (
    CITY_NUMBER,
    GUIDE_RATE,
    KITCHEN,
    LOBBY,
    MONDAY_MORNING,
    RATES,
    RECEPTION,
    SALES,
    SITE,
    a_rate,
)

ALLOWING = replace(SITE, when_no_rate="allow")
ABROAD, FREE, UNKNOWN = "004420", "080012345", "7777"


def _with(account: AccountView, available: str) -> AccountView:
    return replace(account, available_micros=parse_amount(available))


def _decide(account: AccountView, number: str, site: Site = SITE) -> Verdict:
    return decide(account, number, MONDAY_MORNING, RATES, site)


BROKE = _with(RECEPTION, "0")
IN_DEBT = _with(RECEPTION, "-3")

DECISIONS = [
    # who, what is dialed, passes, reason, limit in seconds, hold
    ("reception calls the city", RECEPTION, CITY_NUMBER, True, "", 14_400, "5.32"),
    ("reception calls abroad", RECEPTION, ABROAD, True, "", 600, "10"),
    ("sales calls abroad on credit", SALES, ABROAD, True, "", 3_000, "50"),
    ("one who has just enough", _with(RECEPTION, "1"), ABROAD, True, "", 60, "1"),
    ("one who has not quite enough", _with(RECEPTION, "0.9999"), ABROAD, False, "no-money", None, "0"),
    ("one who is broke", BROKE, CITY_NUMBER, False, "no-money", None, "0"),
    ("one who owes", IN_DEBT, CITY_NUMBER, False, "no-money", None, "0"),
    ("one who owes calls a free number", IN_DEBT, FREE, True, "", 14_400, "0"),
    ("the lobby", LOBBY, CITY_NUMBER, False, "locked", None, "0"),
    ("the lobby calls a free number", LOBBY, FREE, False, "locked", None, "0"),
    (
        "a locked extension that is not billed",
        replace(KITCHEN, locked=True),
        CITY_NUMBER,
        False,
        "locked",
        None,
        "0",
    ),
    ("the kitchen", KITCHEN, CITY_NUMBER, True, "not-billed", None, "0"),
    ("the kitchen calls what nobody priced", KITCHEN, UNKNOWN, True, "not-billed", None, "0"),
    ("reception calls what nobody priced", RECEPTION, UNKNOWN, False, "no-rate", None, "0"),
    ("reception calls for help", RECEPTION, "112", True, "emergency", None, "0"),
    ("one who is broke calls for help", BROKE, "9911", True, "emergency", None, "0"),
    ("the lobby calls for help", LOBBY, "0112", True, "emergency", None, "0"),
    ("the lobby calls nearly for help", LOBBY, "1123", False, "locked", None, "0"),
    ("one who is broke calls nearly for help", BROKE, "91122", False, "no-rate", None, "0"),
]


@pytest.mark.parametrize(
    ("account", "number", "passes", "reason", "limit", "hold"),
    [row[1:] for row in DECISIONS],
    ids=[row[0] for row in DECISIONS],
)
def test_it_decides(account: AccountView, number: str, passes: bool, reason: str, limit: int | None, hold: str) -> None:
    verdict = _decide(account, number)
    assert (verdict.passes, verdict.reason) == (passes, reason)
    assert (verdict.limit_seconds, verdict.hold_micros) == (limit, parse_amount(hold))


def test_it_lets_an_unpriced_call_pass_unbilled_where_the_site_allows_it() -> None:
    verdict = _decide(RECEPTION, UNKNOWN, ALLOWING)
    assert (verdict.passes, verdict.reason, verdict.rate, verdict.hold_micros) == (True, "no-rate", None, 0)
    assert verdict.limit_seconds is None


def test_it_refuses_the_locked_even_where_the_site_allows_unpriced_calls() -> None:
    assert _decide(LOBBY, UNKNOWN, ALLOWING).reason == "locked"


@pytest.mark.parametrize("number", ["112", "911"])
def test_it_knows_the_sites_own_emergency_numbers_only(number: str) -> None:
    site = replace(SITE, emergency_numbers=frozenset({"112"}))
    assert (_decide(LOBBY, number, site).reason == "emergency") == (number == "112")


def test_it_prices_by_the_winner_and_keeps_why_the_others_lost() -> None:
    verdict = _decide(RECEPTION, CITY_NUMBER)
    assert verdict.rate == GUIDE_RATE
    assert [rate.id for rate, _ in verdict.choice.lost] == [4, 3, 2]


def test_it_keeps_the_rate_of_a_call_that_money_refused() -> None:
    assert _decide(BROKE, CITY_NUMBER).rate == GUIDE_RATE


def test_it_caps_the_limit_at_the_sites_longest_call() -> None:
    verdict = _decide(SALES, ABROAD, replace(SITE, longest_call_seconds=90))
    assert (verdict.limit_seconds, verdict.hold_micros) == (90, parse_amount("2"))


@given(st.integers(-(10**8), 10**8).map(lambda steps: steps * 100), st.sampled_from([CITY_NUMBER, ABROAD, FREE]))
def test_it_never_holds_more_than_is_available(available: int, number: str) -> None:
    verdict = _decide(replace(RECEPTION, available_micros=available), number)
    assert verdict.rate is not None
    assert verdict.hold_micros <= max(0, available)
    assert verdict.hold_micros == (cost_micros(verdict.rate, verdict.limit_seconds or 0))
    assert verdict.passes == (verdict.limit_seconds is not None)


@pytest.mark.parametrize(
    ("policy", "number", "passes", "reason"),
    [
        ("pass", CITY_NUMBER, True, "no-payer"),
        ("refuse", CITY_NUMBER, False, "no-payer"),
        ("pass", "112", True, "emergency"),
        ("refuse", "112", True, "emergency"),
    ],
)
def test_it_follows_the_policy_for_calls_that_nobody_pays(policy: str, number: str, passes: bool, reason: str) -> None:
    verdict = decide_without_account(number, replace(SITE, calls_without_payer=policy))
    assert (verdict.passes, verdict.reason, verdict.hold_micros) == (passes, reason, 0)


def test_it_says_why_a_rate_won_and_the_others_lost() -> None:
    lines = [sentence(line) for line in explain_choice(_decide(RECEPTION, CITY_NUMBER).choice)]
    assert lines[0] == "rate 1 (city) wins: prefix 9, exactly 9 digits, all extensions"
    assert lines[-1] == "rate 2 (mobile) lost: it is for numbers of 12 digits, this one has 9"
    assert len(lines) == len(RATES)


def test_it_says_that_no_rate_matches() -> None:
    assert sentence(explain_choice(_decide(RECEPTION, UNKNOWN).choice)[0]) == "no rate matches"


@pytest.mark.parametrize(
    ("talk", "told"),
    [
        (60, "60 s of talk: 0.1000 for the first 60 s, then 0 started units of 55 s at 0.0200, is 0.1000"),
        (61, "61 s of talk: 0.1000 for the first 60 s, then 1 started unit of 55 s at 0.0200, is 0.1200"),
        (116, "116 s of talk: 0.1000 for the first 60 s, then 2 started units of 55 s at 0.0200, is 0.1400"),
    ],
)
def test_it_explains_the_arithmetic_of_a_cost(talk: int, told: str) -> None:
    assert sentence(explain_cost(GUIDE_RATE, talk)) == told


def test_it_names_a_rate_without_remark_by_its_number() -> None:
    choice = decide(RECEPTION, "55", MONDAY_MORNING, [a_rate(id=7, prefix="", number_length=0, remark="")], SITE).choice
    assert [sentence(line) for line in explain_choice(choice)] == [
        "rate 7 wins: prefix (none), any length, all extensions"
    ]
