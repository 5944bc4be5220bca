"""Calls in progress share a balance, grow with a recharge, and end when the money does."""

from dataclasses import replace
from math import inf

import pytest

from coovox_billing.core import why
from coovox_billing.core.clock import OwnTime
from coovox_billing.core.money import parse_amount
from coovox_billing.services import settlement
from coovox_billing.services.live_calls import LIFTED, Outlook
from tests.cast import Exchange, a_leg

ABROAD = "004420"
MINUTE_PRICE = "1.0000"  # of a number abroad: 10 minutes for the 10.0000 that extension 100 has


@pytest.fixture
def exchange(exchange: Exchange) -> Exchange:
    exchange.set("grace_seconds", "0")
    return exchange


def _talking(exchange: Exchange, call_id: str, extension: str = "100") -> None:
    assert exchange.ask(call_id, extension, ABROAD, by_stretches=True).passes
    exchange.answer(call_id)


def test_it_holds_a_first_minute_only(exchange: Exchange) -> None:
    answer = exchange.ask("1", number=ABROAD, by_stretches=True)
    assert (answer.passes, answer.limit_seconds) == (True, 60)
    assert exchange.money("100") == ("10.0000", MINUTE_PRICE)
    assert "more is bought while it lasts" not in exchange.call("1")["why"]


def test_it_gives_a_grace_that_the_money_allows(exchange: Exchange) -> None:
    exchange.set("grace_seconds", "120")
    assert exchange.ask("1", number=ABROAD, by_stretches=True).limit_seconds == 180
    assert exchange.money("100") == ("10.0000", MINUTE_PRICE), "an hour is not covered, so the grace is not held for"
    exchange.recharge("100", "100")
    assert exchange.ask("2", number=ABROAD, by_stretches=True).limit_seconds == 60, "others could talk it away"
    assert exchange.money("100")[1] == "2.0000"


def test_it_knows_when_the_call_was_answered(exchange: Exchange) -> None:
    _talking(exchange, "1")
    call = exchange.call("1")
    assert (call["state"], call["trunk_channel"], call["trunk_uniqueid"]) == (
        "talking",
        "PJSIP/carrier-0000000b",
        "1772442000.2",
    )
    exchange.give_up("1")
    assert exchange.call("1")["state"] == "talking", "an answered call is not given up"


def test_it_does_not_mind_an_answer_of_an_unknown_or_closed_call(exchange: Exchange) -> None:
    exchange.answer("nobody's")
    _talking(exchange, "1")
    exchange.settle("1", 30)
    exchange.answer("1")
    assert exchange.call("1")["state"] == "settled"
    assert exchange.review(_1=30, _2=5) == {}


def test_it_buys_the_next_stretch_well_before_the_last_runs_out(exchange: Exchange) -> None:
    _talking(exchange, "1")
    assert exchange.review(_1=10)["1"] == Outlook(60, 25, is_last=False, warning_seconds=30)
    assert exchange.money("100")[1] == MINUTE_PRICE
    assert exchange.review(_1=25)["1"] == Outlook(120, 85, is_last=False, warning_seconds=30)
    assert exchange.money("100")[1] == "2.0000"


def test_it_ends_when_the_money_does_and_says_so_in_time(exchange: Exchange) -> None:
    exchange.set("grace_seconds", "120")
    _talking(exchange, "1")
    for talked in range(25, 560, 60):
        assert not exchange.review(_1=talked)["1"].is_last
    outlook = exchange.review(_1=565)["1"]
    assert (outlook.limit_seconds, outlook.is_last, outlook.review_at_seconds) == (600, True, 566)
    assert exchange.money("100") == ("10.0000", "10.0000")
    exchange.settle("1", 600)
    assert exchange.money("100") == ("0.0000", "0.0000")


def test_it_lengthens_a_call_by_a_recharge_in_its_last_seconds(exchange: Exchange) -> None:
    _talking(exchange, "1")
    assert exchange.review(_1=599)["1"].is_last
    exchange.recharge("100", "1")
    outlook = exchange.review(_1=599)["1"]
    assert (outlook.limit_seconds, outlook.is_last) == (660, False)
    assert exchange.review(_1=630)["1"].is_last


def test_it_lets_calls_with_different_rates_share_to_the_cent(exchange: Exchange) -> None:
    """One at 1.0000 a minute, one at the guide's rate: together they cost what was there."""
    _talking(exchange, "1")
    assert exchange.ask("2", by_stretches=True).passes
    exchange.answer("2")
    limits = {"1": 60, "2": 60}
    for talked in range(0, 15_000, 5):
        living = {f"_{call_id}": talked for call_id, limit in limits.items() if limit > talked}
        limits |= {call_id: outlook.limit_seconds or 0 for call_id, outlook in exchange.review(**living).items()}
        for call_id in [call_id for call_id, limit in limits.items() if limit <= talked]:
            if exchange.call(call_id)["state"] == "talking":
                exchange.settle(call_id, limits[call_id])
    assert [exchange.call(call_id)["state"] for call_id in limits] == ["settled", "settled"]
    costs = [exchange.call(call_id)["cost_micros"] for call_id in limits]
    left = parse_amount(exchange.money("100")[0])
    assert sum(costs) + left == parse_amount("10")
    assert left < parse_amount("0.02"), "less than the cheaper call's next unit"
    assert exchange.call("1")["uncollected_micros"] == exchange.call("2")["uncollected_micros"] == 0


def test_it_never_promises_more_than_there_is_however_many_ask(exchange: Exchange) -> None:
    passed = [number for number in range(50) if exchange.ask(str(number), number=ABROAD, by_stretches=True).passes]
    assert len(passed) == 10
    assert exchange.money("100") == ("10.0000", "10.0000")
    for number in passed:
        exchange.answer(str(number))
    outlooks = exchange.review(**{f"_{number}": 59 for number in passed})
    assert {outlook.limit_seconds for outlook in outlooks.values()} == {60}
    assert all(outlook.is_last for outlook in outlooks.values())
    exchange.settle("0", 30)
    assert exchange.money("100") == ("9.0000", "9.0000")


def test_it_gives_the_money_of_a_call_that_ended_to_one_that_goes_on(exchange: Exchange) -> None:
    for number in range(10):
        _talking(exchange, str(number))
    assert exchange.review(_1=50)["1"].is_last
    assert exchange.ask("late", number=ABROAD, by_stretches=True).reason == "no-money"
    exchange.settle("0", 0)
    assert exchange.review(_1=50)["1"].limit_seconds == 120


def test_it_refuses_the_next_stretch_when_the_credit_is_lowered(exchange: Exchange) -> None:
    _talking(exchange, "1", "101")
    exchange.change("101", credit="0.5")
    outlook = exchange.review(_1=30)["1"]
    assert (outlook.limit_seconds, outlook.is_last) == (60, True)
    exchange.settle("1", 60)
    call = exchange.call("1")
    assert (call["cost_micros"], call["uncollected_micros"]) == (1_000_000, 500_000)
    assert exchange.money("101") == ("-0.5000", "0.0000")


@pytest.mark.parametrize(("setting", "must_end"), [("no", False), ("yes", True)])
def test_it_ends_calls_of_a_locked_extension_where_the_setting_says_so(
    exchange: Exchange, setting: str, must_end: bool
) -> None:
    _talking(exchange, "1")
    exchange.set("locking_ends_calls", setting)
    exchange.change("100", status="locked")
    assert exchange.review(_1=10)["1"].must_end is must_end


def test_it_lifts_limits_and_charges_the_talk_so_far_when_billing_is_deactivated(exchange: Exchange) -> None:
    _talking(exchange, "1")
    exchange.switch(False)
    assert exchange.review(_1=25)["1"] == LIFTED
    exchange.switch(True)
    assert exchange.review(_1=90)["1"] == LIFTED, "what was lifted stays lifted"
    exchange.settle("1", 4_000)
    call = exchange.call("1")
    assert (call["talk_seconds"], call["cost_micros"]) == (4_000, 1_000_000)
    assert why.read(call["why"])[-2].startswith("25 s of talk")


def test_it_lets_all_calls_pass_unbilled_while_billing_is_not_active(exchange: Exchange) -> None:
    exchange.switch(False)
    for extension, number in (("100", ABROAD), ("102", ABROAD), ("100", "7777"), ("103", "no number")):
        answer = exchange.ask(f"{extension}{number[:2]}", extension, number)
        assert (answer.passes, answer.reason, answer.limit_seconds) == (True, "not-active", None)
    assert exchange.ask("e", "102", "112").reason == "emergency"
    exchange.settle("10000", 600)
    assert exchange.call("10000")["cost_micros"] == 0


@pytest.mark.parametrize("change", [{"billing": False}, {"payment_type": "postpaid"}, {"status": "locked"}])
def test_it_keeps_the_terms_that_the_call_began_with(exchange: Exchange, change: dict[str, object]) -> None:
    _talking(exchange, "1")
    exchange.change("100", **change)
    assert exchange.review(_1=30)["1"].limit_seconds == 120
    exchange.settle("1", 120)
    assert exchange.call("1")["cost_micros"] == 2_000_000


def test_it_watches_calls_without_limit_without_touching_them(exchange: Exchange) -> None:
    for call_id, extension, number in (("1", "103", ABROAD), ("2", "100", "112")):
        exchange.ask(call_id, extension, number, by_stretches=True)
        exchange.answer(call_id)
    assert exchange.review(_1=10_000, _2=10_000) == {"1": Outlook(None, inf), "2": Outlook(None, inf)}


@pytest.mark.parametrize(
    ("stamped", "since_answer", "talk", "flags"),
    [(60, 60_900, 60, ""), (60, 63_000, 63, "clock"), (-3_600, 45_000, 45, "clock"), (90_000, 45_999, 45, "clock")],
)
def test_it_believes_its_own_time_since_the_answer(
    exchange: Exchange, stamped: int, since_answer: int, talk: int, flags: str
) -> None:
    _talking(exchange, "1")
    leg = a_leg(talked=0)
    leg = replace(leg, ended_ms=(leg.answered_ms or 0) + stamped * 1000)
    own = OwnTime(since_asked_ms=since_answer + 5_000, since_answer_ms=since_answer)
    exchange.database.write(lambda connection: settlement.settle(connection, "1", leg, own, leg.ended_ms))
    call = exchange.call("1")
    assert (call["talk_seconds"], call["flags"]) == (talk, flags)
