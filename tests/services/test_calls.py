"""The life of a call in the database: what is held, what is charged, and that nothing is done twice."""

import sqlite3
from typing import NamedTuple

import pytest

from coovox_billing.core import why
from coovox_billing.core.money import format_amount, parse_amount
from coovox_billing.core.payer import Origin
from coovox_billing.services import trunks
from coovox_billing.services.calls import Answer
from coovox_billing.store import writes
from tests.cast import CITY_NUMBER, GUIDE_RATE, MANAGER, NOW_MS, TRUNK, Exchange, a_rate, look_up

ABROAD, FREE, UNPRICED = "004420", "080012345", "7777"
FOUR_HOURS = 14_400


class Life(NamedTuple):
    """What the dialplan tells of reception's call to the city, and what becomes of it."""

    told: str
    state: str
    cost: str = "0.0000"
    balance: str = "10.0000"
    held: str = "0.0000"
    late: bool = False


HELD = "5.3200"  # what four hours to the city cost

LIVES = {
    "answered": Life("ask, settle 116", "settled", "0.1400", "9.8600"),
    "ringing": Life("ask", "held", held=HELD),
    "asked twice": Life("ask, ask", "held", held=HELD),
    "asked twice, settled twice": Life("ask, ask, settle 116, settle 300", "settled", "0.1400", "9.8600"),
    "nobody answered": Life("ask, give up", "released"),
    "nobody answered, told twice": Life("ask, give up, give up", "released"),
    "a leg that nobody answered": Life("ask, settle none", "held", held=HELD),
    "one of two legs was answered": Life("ask, settle none, settle 39", "settled", "0.1000", "9.9000"),
    "the caller's end after the leg's": Life("ask, settle 39, give up", "settled", "0.1000", "9.9000"),
    "the leg's end after the caller's": Life("ask, give up, settle 39", "settled", "0.1000", "9.9000", late=True),
    "failover": Life("ask, give up, ask, settle 39", "settled", "0.1000", "9.9000"),
    "failover, both silent": Life("ask, give up, ask, give up", "released"),
    "failover, the first end was lost": Life("ask, ask, settle 39", "settled", "0.1000", "9.9000"),
    "asked again after its end": Life("ask, settle 39, ask", "settled", "0.1000", "9.9000"),
    "withdrawn": Life("ask, withdraw", "released"),
    "withdrawn twice": Life("ask, withdraw, withdraw, give up", "released"),
    "withdrawn, and yet it talked": Life("ask, withdraw, settle 39", "settled", "0.1000", "9.9000", late=True),
    "withdrawn after its end": Life("ask, settle 39, withdraw", "settled", "0.1000", "9.9000"),
    "never asked": Life("settle 116", "settled", "0.1400", "9.8600", late=True),
    "never asked, told twice": Life("settle 116, settle 116", "settled", "0.1400", "9.8600", late=True),
    "the end before the question": Life("give up, ask", "held", held=HELD),
    "zero seconds of talk": Life("ask, settle 0", "settled"),
}


def _tell(exchange: Exchange, told: str) -> None:
    for event in told.split(", "):
        word, _, talked = event.partition(" ")
        if word == "ask":
            exchange.ask("1")
        elif word == "settle":
            exchange.settle("1", None if talked == "none" else int(talked))
        elif word == "give":
            exchange.give_up("1")
        else:
            exchange.withdraw("1")


@pytest.mark.parametrize("life", LIVES.values(), ids=LIVES.keys())
def test_it_lives(exchange: Exchange, life: Life) -> None:
    _tell(exchange, life.told)
    call = exchange.call("1")
    assert (call["state"], format_amount(call["cost_micros"])) == (life.state, life.cost)
    assert exchange.money("100") == (life.balance, life.held)
    assert bool(call["settled_late"]) == life.late
    assert format_amount(call["hold_micros"]) == life.held


@pytest.mark.parametrize("told", ["give up", "withdraw", "settle none"])
def test_it_takes_no_notice_of_a_call_that_nobody_knows(exchange: Exchange, told: str) -> None:
    _tell(exchange, told)
    assert look_up(exchange.database.path, "SELECT * FROM calls WHERE state <> 'asked'") == []
    assert exchange.money("100") == ("10.0000", "0.0000")


def test_it_gives_the_same_answer_to_the_same_question(exchange: Exchange) -> None:
    first = exchange.ask("1", number=ABROAD)
    assert first == Answer(True, "", 600)
    assert exchange.ask("1", number=ABROAD) == first
    assert exchange.money("100") == ("10.0000", "10.0000")


def test_it_refuses_again_what_it_refused(exchange: Exchange) -> None:
    assert exchange.ask("1", "102") == Answer(False, "locked", None)
    exchange.change("102", status="unlocked")
    assert exchange.ask("1", "102") == Answer(False, "locked", None)
    assert exchange.ask("2", "102").passes


def test_it_does_not_pass_a_call_that_is_over(exchange: Exchange) -> None:
    exchange.ask("1")
    exchange.settle("1", 39)
    assert exchange.ask("1") == Answer(False, "call-over", None)


def test_it_counts_attempts_on_one_row(exchange: Exchange) -> None:
    exchange.ask("1", trunk="carrier")
    exchange.give_up("1")
    exchange.ask("1", trunk="backup")
    call = exchange.call("1")
    assert (call["attempts"], call["trunk"], call["state"], call["ended_at_ms"]) == (
        2,
        "backup",
        "held",
        None,
    )
    assert look_up(exchange.database.path, "SELECT count(*) FROM calls") == [(1,)]


def test_it_decides_a_further_attempt_anew(exchange: Exchange) -> None:
    exchange.ask("1")
    exchange.give_up("1")
    exchange.change("100", status="locked")
    assert exchange.ask("1") == Answer(False, "locked", None)
    assert exchange.call("1")["state"] == "refused"
    assert exchange.money("100") == ("10.0000", "0.0000")


def test_it_counts_the_call_over_the_trunk_of_its_last_attempt(exchange: Exchange) -> None:
    exchange.ask("1", trunk="carrier")
    exchange.ask("1", trunk="backup")
    exchange.settle("1", 39, trunk="backup")
    assert look_up(exchange.database.path, "SELECT trunk, calls FROM daily_trunk_totals") == [("backup", 1)]


# What is held, by whom and for which number.
HOLDS = [
    ("100", CITY_NUMBER, Answer(True, "", FOUR_HOURS), "5.3200"),
    ("100", ABROAD, Answer(True, "", 600), "10.0000"),
    ("101", ABROAD, Answer(True, "", 3_000), "50.0000"),
    ("100", FREE, Answer(True, "", FOUR_HOURS), "0.0000"),
    ("102", CITY_NUMBER, Answer(False, "locked", None), "0.0000"),
    ("103", CITY_NUMBER, Answer(True, "not-billed", None), "0.0000"),
    ("100", UNPRICED, Answer(False, "no-rate", None), "0.0000"),
    ("102", "112", Answer(True, "emergency", None), "0.0000"),
    ("100", "9 88-36.00(46)#", Answer(True, "", FOUR_HOURS), "5.3200"),
    ("100", "98836x046", Answer(False, "bad-number", None), "0.0000"),
    ("100", "", Answer(False, "bad-number", None), "0.0000"),
]


@pytest.mark.parametrize(("extension", "number", "answer", "held"), HOLDS)
def test_it_holds_what_the_limit_costs(
    exchange: Exchange, extension: str, number: str, answer: Answer, held: str
) -> None:
    assert exchange.ask("1", extension, number) == answer
    assert exchange.money(extension)[1] == held


def test_it_keeps_the_number_raw_and_normalized(exchange: Exchange) -> None:
    exchange.ask("1", number="9 88-36.00(46)#")
    call = exchange.call("1")
    assert (call["number_dialed"], call["number"]) == ("9 88-36.00(46)#", CITY_NUMBER)


def test_it_spends_a_balance_to_the_last_cent_over_two_calls(exchange: Exchange) -> None:
    assert exchange.ask("1", number=ABROAD).limit_seconds == 600
    exchange.settle("1", 540)
    assert exchange.money("100") == ("1.0000", "0.0000")
    assert exchange.ask("2", number=ABROAD).limit_seconds == 60
    exchange.settle("2", 60)
    assert exchange.money("100") == ("0.0000", "0.0000")
    assert exchange.ask("3", number=ABROAD) == Answer(False, "no-money", None)


def test_it_shares_one_balance_between_calls_at_once(exchange: Exchange) -> None:
    assert exchange.ask("1").limit_seconds == FOUR_HOURS
    assert exchange.ask("2", number=ABROAD).limit_seconds == 240
    assert exchange.ask("3", number=ABROAD) == Answer(False, "no-money", None)
    exchange.give_up("2")
    assert exchange.ask("4", number=ABROAD).limit_seconds == 240


def test_it_lets_credit_be_used_and_no_more(exchange: Exchange) -> None:
    assert exchange.ask("1", "101", ABROAD).limit_seconds == 3_000
    exchange.settle("1", 3_000)
    assert exchange.money("101") == ("-50.0000", "0.0000")
    assert exchange.ask("2", "101", ABROAD) == Answer(False, "no-money", None)


def test_it_passes_a_call_that_costs_nothing_for_whom_owes(exchange: Exchange) -> None:
    exchange.ask("1", "101", ABROAD)
    exchange.settle("1", 3_000)
    exchange.change("101", credit="0")
    assert exchange.ask("2", "101", FREE) == Answer(True, "", FOUR_HOURS)
    exchange.settle("2", 1_000)
    assert exchange.money("101") == ("-50.0000", "0.0000")


def test_it_refuses_even_a_free_call_of_whom_owes_and_is_locked(exchange: Exchange) -> None:
    exchange.change("101", status="locked")
    assert exchange.ask("1", "101", FREE) == Answer(False, "locked", None)


def test_it_keeps_what_is_held_when_the_credit_is_lowered_during_a_call(exchange: Exchange) -> None:
    exchange.ask("1", "101", ABROAD)
    exchange.change("101", credit="5")
    assert exchange.money("101") == ("0.0000", "50.0000")
    exchange.settle("1", 240)
    assert exchange.money("101") == ("-4.0000", "0.0000")


def test_it_takes_no_balance_below_the_lowered_credit(exchange: Exchange) -> None:
    exchange.ask("1", "101", ABROAD)
    exchange.change("101", credit="5")
    exchange.settle("1", 3_000)
    call = exchange.call("1")
    assert exchange.money("101") == ("-5.0000", "0.0000")
    assert format_amount(call["cost_micros"]) == "50.0000"
    assert (format_amount(call["uncollected_micros"]), call["flags"]) == ("45.0000", "uncollected")


# A call held up to 10.00 that talked longer than its limit, with 0.00 or more left beside the hold.
OVERRUNS = [
    # talk, cost, balance after, uncollected
    (600, "10.0000", "0.0000", "0.0000"),
    (601, "11.0000", "0.0000", "1.0000"),
    (6_000, "100.0000", "0.0000", "90.0000"),
]


@pytest.mark.parametrize(("talk", "cost", "balance", "uncollected"), OVERRUNS)
def test_it_lists_what_it_could_not_collect(
    exchange: Exchange, talk: int, cost: str, balance: str, uncollected: str
) -> None:
    exchange.ask("1", number=ABROAD)
    exchange.settle("1", talk, elapsed=talk + 6)
    call = exchange.call("1")
    assert exchange.money("100")[0] == balance
    assert [format_amount(call[name]) for name in ("cost_micros", "uncollected_micros")] == [
        cost,
        uncollected,
    ]
    assert ("uncollected" in call["flags"]) == (uncollected != "0.0000")


def test_it_takes_an_overrun_from_what_is_available_beside_the_hold(exchange: Exchange) -> None:
    exchange.ask("1", number=ABROAD)
    exchange.recharge("100", "3")
    exchange.settle("1", 720, elapsed=721)
    assert exchange.money("100") == ("1.0000", "0.0000")


def test_it_leaves_alone_what_other_calls_hold(exchange: Exchange) -> None:
    exchange.ask("1")
    exchange.ask("2", number=ABROAD)
    exchange.settle("2", 3_600, elapsed=3_601)
    assert exchange.money("100") == (HELD, HELD)
    assert format_amount(exchange.call("2")["uncollected_micros"]) == "55.3200"


def test_it_charges_the_rate_that_the_call_began_with(exchange: Exchange) -> None:
    exchange.ask("1")
    dearer = a_rate(rate_micros="9", initial_cost_micros="9")
    exchange.database.write(lambda connection: writes.update_rate_price(connection, GUIDE_RATE.id, dearer))
    exchange.settle("1", 116)
    assert format_amount(exchange.call("1")["cost_micros"]) == "0.1400"
    assert exchange.ask("2") == Answer(True, "", 60)


def test_it_charges_a_call_whose_rate_was_deleted(exchange: Exchange) -> None:
    exchange.ask("1")
    exchange.database.write(lambda connection: writes.delete_rates(connection, [GUIDE_RATE.id]))
    exchange.settle("1", 116)
    assert exchange.money("100") == ("9.8600", "0.0000")


@pytest.mark.parametrize("changes", [{"billing": False}, {"status": "locked"}, {"payment_type": "postpaid"}])
def test_it_charges_a_call_as_the_account_was_when_it_began(exchange: Exchange, changes: dict[str, object]) -> None:
    exchange.ask("1")
    exchange.change("100", **changes)
    exchange.settle("1", 116)
    assert exchange.money("100") == ("9.8600", "0.0000")


def test_it_charges_nothing_for_a_call_begun_unbilled(exchange: Exchange) -> None:
    exchange.ask("1", "103")
    exchange.change("103", billing=True)
    exchange.settle("1", 116)
    assert (exchange.money("103"), exchange.call("1")["cost_micros"]) == (("0.0000", "0.0000"), 0)


def test_it_flags_a_call_during_which_the_clock_stepped(exchange: Exchange) -> None:
    exchange.ask("1")
    exchange.settle("1", 86_400, elapsed=66.5)
    call = exchange.call("1")
    assert (call["talk_seconds"], call["flags"]) == (61, "clock")
    assert exchange.money("100") == ("9.8800", "0.0000")


# A leg that the dialplan decided alone: what it tells, and what is made of it.
ALONE = [
    # alone, number, talk, state, reason, cost, late, flags
    ("passed", CITY_NUMBER, 116, "settled", "billing-down", "0.1400", True, "alone"),
    ("passed", UNPRICED, 116, "settled", "billing-down", "0.0000", True, "alone"),
    ("passed", "98836x046", 116, "settled", "billing-down", "0.0000", True, "alone"),
    ("emergency", "112", 116, "settled", "emergency", "0.0000", False, ""),
    ("emergency", CITY_NUMBER, 116, "settled", "emergency", "0.0000", False, ""),
    ("passed", CITY_NUMBER, None, "released", "billing-down", "0.0000", False, ""),
    ("refused", CITY_NUMBER, None, "refused", "billing-down", "0.0000", False, ""),
    ("emergency", "112", None, "released", "emergency", "0.0000", False, ""),
]


@pytest.mark.parametrize(("alone", "number", "talk", "state", "reason", "cost", "late", "flags"), ALONE)
def test_it_books_what_the_dialplan_decided_alone(
    exchange: Exchange,
    alone: str,
    number: str,
    talk: int | None,
    state: str,
    reason: str,
    cost: str,
    late: bool,
    flags: str,
) -> None:
    for _ in range(2):
        if talk is None:
            exchange.give_up("1", alone=alone, number=number)
        else:
            exchange.settle("1", talk, alone=alone, number=number)
    call = exchange.call("1")
    assert (call["state"], call["reason"], call["extension"]) == (state, reason, "100")
    assert (format_amount(call["cost_micros"]), bool(call["settled_late"]), call["flags"]) == (
        cost,
        late,
        flags,
    )


def test_it_frees_what_an_answer_held_that_came_too_late_for_the_dialplan(exchange: Exchange) -> None:
    exchange.ask("1")
    exchange.give_up("1", alone="refused")
    call = exchange.call("1")
    assert (call["state"], call["reason"]) == ("released", "billing-down")


def test_it_prices_a_talk_that_it_had_refused(exchange: Exchange) -> None:
    exchange.ask("1", "102")
    exchange.settle("1", 116, device="PJSIP/102")
    call = exchange.call("1")
    assert (call["state"], format_amount(call["cost_micros"]), call["settled_late"]) == (
        "settled",
        "0.1400",
        1,
    )
    assert exchange.money("102") == ("9.8600", "0.0000")


def test_it_charges_a_late_settle_no_more_than_there_is(exchange: Exchange) -> None:
    exchange.settle("1", 3_600, alone="passed", number=ABROAD)
    call = exchange.call("1")
    assert exchange.money("100") == ("0.0000", "0.0000")
    assert (format_amount(call["uncollected_micros"]), call["flags"]) == ("50.0000", "alone uncollected")


def test_it_rates_a_late_settle_as_of_its_dialing(exchange: Exchange) -> None:
    exchange.settle("1", 116, alone="passed", asked_ms=NOW_MS - 86_400_000)
    assert exchange.call("1")["local_day"] == "2026-03-01"
    assert look_up(exchange.database.path, "SELECT day FROM daily_extension_totals") == [("2026-03-01",)]


def test_it_makes_a_new_unbilled_extension_of_an_unknown_device(exchange: Exchange) -> None:
    assert exchange.ask("1", "205") == Answer(True, "not-billed", None)
    rows = look_up(exchange.database.path, "SELECT billing, balance_micros FROM accounts WHERE extension = '205'")
    assert rows == [(0, 0)]
    assert exchange.call("1")["extension"] == "205"


def test_it_bills_the_extension_that_lists_the_device(exchange: Exchange) -> None:
    exchange.change("100", devices=["PJSIP/desk-left"])
    exchange.ask("1", "desk-left")
    exchange.settle("1", 116)
    assert exchange.money("100")[0] == "9.8600"


def test_it_bills_whom_trusted_dialplan_names(exchange: Exchange) -> None:
    exchange.ask("1", origin=Origin("PJSIP/101-0000000a", trusted_payer="100"))
    assert exchange.call("1")["extension"] == "100"


def test_it_learns_the_trunks_that_routes_dial(exchange: Exchange) -> None:
    exchange.ask("1", dial_string="PJSIP/1@carrier&SIP/backup/1")
    assert look_up(exchange.database.path, "SELECT device FROM trunks ORDER BY device") == [
        ("PJSIP/carrier",),
        ("SIP/backup",),
    ]


def test_it_never_bills_a_trunk(exchange: Exchange) -> None:
    assert exchange.ask("1", "carrier") == Answer(True, "no-payer", None)
    assert look_up(exchange.database.path, "SELECT * FROM accounts WHERE extension = 'carrier'") == []


def test_it_never_bills_a_trunk_that_called_in_before_anybody_called_out(exchange: Exchange) -> None:
    assert exchange.ask("1", "backup").reason == "not-billed"
    exchange.ask("2", dial_string="PJSIP/988360046@backup")
    exchange.set("calls_without_payer", "refuse")
    assert exchange.ask("3", "backup") == Answer(False, "no-payer", None)


def test_it_goes_on_billing_a_phone_that_a_route_dialed_by_mistake(exchange: Exchange) -> None:
    exchange.ask("1", "101", dial_string="PJSIP/100")
    assert exchange.ask("2", "100").limit_seconds == FOUR_HOURS


# A forwarded outside caller: the policy, and who pays.
WITHOUT_PAYER = [
    ("pass", CITY_NUMBER, True, "no-payer", ""),
    ("refuse", CITY_NUMBER, False, "no-payer", ""),
    ("refuse", "112", True, "emergency", ""),
    ("100", CITY_NUMBER, True, "", "100"),
    ("102", CITY_NUMBER, False, "locked", "102"),
    ("103", CITY_NUMBER, True, "not-billed", "103"),
]


@pytest.mark.parametrize(("policy", "number", "passes", "reason", "extension"), WITHOUT_PAYER)
def test_it_follows_the_policy_for_calls_without_payer(
    exchange: Exchange, policy: str, number: str, passes: bool, reason: str, extension: str
) -> None:
    exchange.set("calls_without_payer", policy)
    answer = exchange.ask("1", number=number, origin=Origin("Local/988360046@from-internal-0000000a;2"))
    assert (answer.passes, answer.reason, exchange.call("1")["extension"]) == (passes, reason, extension)


def test_it_bills_the_named_extension_for_a_call_passed_alone_without_payer(exchange: Exchange) -> None:
    exchange.set("calls_without_payer", "100")
    exchange.ask("1")
    exchange.give_up("1")
    exchange.settle("2", 116, alone="passed", device="PJSIP/carrier")
    assert exchange.money("100") == ("9.8600", "0.0000")


@pytest.mark.parametrize(("policy", "passes"), [("refuse", False), ("allow", True)])
def test_it_follows_the_policy_for_what_nobody_priced(exchange: Exchange, policy: str, passes: bool) -> None:
    exchange.set("when_no_rate", policy)
    assert exchange.ask("1", number=UNPRICED) == Answer(passes, "no-rate", None)
    if passes:
        exchange.settle("1", 116)
    assert exchange.money("100") == ("10.0000", "0.0000")


def test_it_refuses_dial_options_that_would_bypass_billing(exchange: Exchange) -> None:
    assert exchange.ask("1", dial_options="G(elsewhere^s^1)") == Answer(False, "dial-options", None)
    assert exchange.money("100") == ("10.0000", "0.0000")
    assert exchange.ask("2", dial_options="tTr").passes


def test_it_refuses_a_local_channel_that_would_step_aside(exchange: Exchange) -> None:
    assert exchange.ask("1", dial_string="Local/9@outbound") == Answer(False, "dial-options", None)
    assert exchange.ask("2", dial_string="Local/9@outbound/n").passes


def test_it_does_not_mind_dial_options_of_what_it_does_not_price(exchange: Exchange) -> None:
    assert exchange.ask("1", "103", dial_options="G(elsewhere^s^1)").passes
    assert exchange.ask("2", number="112", dial_options="G(elsewhere^s^1)").passes


def test_it_promises_no_more_than_the_longest_call(exchange: Exchange) -> None:
    exchange.set("longest_call_seconds", "90")
    assert exchange.ask("1", number=ABROAD) == Answer(True, "", 90)
    assert exchange.money("100")[1] == "2.0000"


def test_it_counts_answered_calls_in_the_totals_of_their_day(exchange: Exchange) -> None:
    for call_id, extension, talk in (("1", "100", 116), ("2", "100", 39), ("3", "101", 60), ("4", "103", 10)):
        exchange.ask(call_id, extension)
        exchange.settle(call_id, talk)
    exchange.ask("5")
    exchange.give_up("5")
    exchange.ask("6", number=ABROAD)
    exchange.settle("6", 30)
    by_extension = look_up(
        exchange.database.path,
        "SELECT day, extension, calls, talk_seconds, cost_micros FROM daily_extension_totals"
        " JOIN accounts ON accounts.id = account_id ORDER BY extension",
    )
    assert by_extension == [
        ("2026-03-02", "100", 3, 185, parse_amount("1.24")),
        ("2026-03-02", "101", 1, 60, parse_amount("0.1")),
        ("2026-03-02", "103", 1, 10, 0),
    ]
    by_trunk = look_up(
        exchange.database.path,
        "SELECT day, trunk, calls, talk_seconds, cost_micros, unanswered FROM daily_trunk_totals",
    )
    assert by_trunk == [("2026-03-02", "carrier", 5, 255, parse_amount("1.34"), 1)]
    by_hour = look_up(exchange.database.path, "SELECT day, hour, calls, talk_seconds FROM daily_hour_totals")
    assert by_hour == [("2026-03-02", 10, 5, 255)]
    by_destination = look_up(
        exchange.database.path, "SELECT destination, calls, cost_micros FROM daily_destination_totals ORDER BY 1"
    )
    assert by_destination == [
        ("00", 1, parse_amount("1")),
        ("9", 3, parse_amount("0.34")),
        ("none", 1, 0),
    ]


def test_it_counts_who_was_not_answered_for_the_trunk_that_was_tried_last(exchange: Exchange) -> None:
    def unanswered() -> list[tuple[str, int]]:
        query = "SELECT trunk, unanswered FROM daily_trunk_totals WHERE calls + unanswered > 0 ORDER BY trunk"
        return look_up(exchange.database.path, query)

    exchange.ask("1")
    assert unanswered() == []
    exchange.give_up("1")
    exchange.give_up("1")
    assert unanswered() == [("carrier", 1)]
    exchange.ask("1", trunk="backup", stamp_ms=NOW_MS + 1)
    assert unanswered() == []
    exchange.give_up("1", asked_ms=NOW_MS + 1)
    assert unanswered() == [("backup", 1)]
    exchange.settle("1", 20, trunk="backup", asked_ms=NOW_MS + 1)
    assert unanswered() == [("backup", 0)]
    exchange.give_up("2", alone="passed")
    assert unanswered() == [("backup", 0), ("carrier", 1)]
    exchange.begin_alone("2")
    assert unanswered() == [("backup", 0)]


def test_it_keeps_the_hour_at_which_a_call_was_dialed_whatever_zone_is_set_later(exchange: Exchange) -> None:
    exchange.ask("1")
    exchange.answer("1")
    exchange.lose("1", 45)
    exchange.set("time_zone", "Asia/Tokyo")
    exchange.settle("1", 61)
    query = "SELECT hour, calls, talk_seconds FROM daily_hour_totals"
    assert look_up(exchange.database.path, query) == [(10, 1, 61)]
    assert exchange.findings() == []


def test_it_counts_a_call_on_the_day_on_which_it_was_dialed(exchange: Exchange) -> None:
    before_midnight = NOW_MS + (13 * 3600 + 59 * 60 + 50) * 1000
    exchange.settle("1", 600, alone="passed", asked_ms=before_midnight)
    assert exchange.call("1")["local_day"] == "2026-03-02"


def test_it_keeps_why_this_price(exchange: Exchange) -> None:
    exchange.ask("1")
    exchange.settle("1", 116)
    told = why.read(exchange.call("1")["why"])
    assert told[0] == "rate 1 (city) wins: prefix 9, exactly 9 digits, all extensions"
    assert "2 started units of 55 s" in told[-2]
    assert told[-1] == "balance 10.0000 before, 9.8600 after"


def test_it_prices_a_second_trunk_that_answered_while_billing_was_down(exchange: Exchange) -> None:
    exchange.give_up("1", alone="passed")
    exchange.settle("1", 116, alone="passed", trunk="backup")
    call = exchange.call("1")
    assert (format_amount(call["cost_micros"]), exchange.money("100")[0]) == ("0.1400", "9.8600")
    assert call["trunk"] == "backup"


def test_it_does_not_free_a_live_attempt_by_the_end_of_an_earlier_one(exchange: Exchange) -> None:
    exchange.ask("1")
    exchange.give_up("1")
    exchange.ask("1", stamp_ms=NOW_MS + 5_000)
    exchange.give_up("1")
    assert exchange.money("100") == ("10.0000", HELD)
    exchange.give_up("1", asked_ms=NOW_MS + 5_000)
    assert exchange.money("100") == ("10.0000", "0.0000")


def _free(exchange: Exchange, seconds: int, device: str = TRUNK, name: str = "carrier") -> None:
    """So many seconds are free on a trunk, new or known."""

    def free(connection: sqlite3.Connection) -> None:
        if not look_up(exchange.database.path, "SELECT 1 FROM trunks WHERE device = ?", [device]):
            trunks.add(connection, device, name, MANAGER)
        trunks.change(connection, device, {"free_seconds": seconds}, MANAGER)

    exchange.database.write(free)


@pytest.mark.parametrize(
    ("talk", "cost", "told"),
    [
        (0, "0.0000", "0 s of talk: 0.1000 for the first 60 s"),
        (1, "0.0000", "1 s of talk: no longer than the 30 s that are free on the trunk, is 0.0000"),
        (30, "0.0000", "30 s of talk: no longer than the 30 s that are free on the trunk, is 0.0000"),
        (31, "0.1000", "longer than the 30 s that are free on the trunk, so billed from the answer"),
        (116, "0.1400", "longer than the 30 s that are free on the trunk, so billed from the answer"),
    ],
)
def test_it_charges_nothing_for_talk_within_the_trunks_free_seconds(
    exchange: Exchange, talk: int, cost: str, told: str
) -> None:
    _free(exchange, 30)
    exchange.ask("1")
    assert exchange.money("100")[1] == HELD, "what is free is promised all the same"
    exchange.settle("1", talk)
    call = exchange.call("1")
    assert (format_amount(call["cost_micros"]), call["talk_seconds"], call["free_seconds"]) == (cost, talk, 30)
    assert [line for line in why.read(call["why"]) if line.startswith(told)]
    assert exchange.money("100")[1] == "0.0000"


@pytest.mark.parametrize(("before", "after", "cost"), [(30, 0, "0.0000"), (0, 30, "0.1000")])
def test_it_keeps_the_free_seconds_that_the_call_began_with(
    exchange: Exchange, before: int, after: int, cost: str
) -> None:
    _free(exchange, before)
    exchange.ask("1")
    _free(exchange, after)
    exchange.ask("1")
    exchange.settle("1", 20)
    assert format_amount(exchange.call("1")["cost_micros"]) == cost


@pytest.mark.parametrize(
    ("dial_string", "seconds"),
    [
        ("PJSIP/1@carrier", 30),
        ("PJSIP/1@carrier&PJSIP/1@backup", 10),
        ("PJSIP/1@carrier&SIP/unknown/1", 0),
        ("SIP/unknown/1", 0),
        ("Local/1@elsewhere", 0),
    ],
)
def test_it_takes_the_fewest_free_seconds_of_what_is_dialed(exchange: Exchange, dial_string: str, seconds: int) -> None:
    _free(exchange, 30)
    _free(exchange, 10, "PJSIP/backup")
    exchange.ask("1", dial_string=dial_string)
    assert exchange.call("1")["free_seconds"] == seconds


@pytest.mark.parametrize("told_of_the_end", [True, False])
def test_it_takes_the_free_seconds_of_the_trunk_that_answered(exchange: Exchange, told_of_the_end: bool) -> None:
    _free(exchange, 30)
    exchange.ask("1")
    if told_of_the_end:
        exchange.give_up("1")
    exchange.ask("1", stamp_ms=NOW_MS + 5_000, trunk="backup", dial_string="PJSIP/1@backup")
    exchange.settle("1", 20, trunk="backup")
    assert format_amount(exchange.call("1")["cost_micros"]) == "0.1000"


@pytest.mark.parametrize(("trunk", "cost"), [("carrier", "0.0000"), ("backup", "0.1000"), ("", "0.1000")])
def test_it_knows_the_free_seconds_of_a_call_passed_alone_by_the_trunks_name(
    exchange: Exchange, trunk: str, cost: str
) -> None:
    _free(exchange, 30)
    exchange.settle("1", 20, alone="passed", trunk=trunk)
    assert format_amount(exchange.call("1")["cost_micros"]) == cost


def test_it_takes_the_fewest_free_seconds_of_the_trunks_with_one_name(exchange: Exchange) -> None:
    _free(exchange, 30)
    _free(exchange, 10, "PJSIP/backup", "carrier")
    exchange.settle("1", 20, alone="passed")
    assert exchange.call("1")["free_seconds"] == 10


def test_it_takes_the_free_seconds_of_a_second_trunk_that_answered_while_billing_was_down(exchange: Exchange) -> None:
    _free(exchange, 30)
    exchange.ask("1", trunk="elsewhere", dial_string="PJSIP/1@elsewhere")
    exchange.give_up("1")
    exchange.settle("1", 20, alone="passed")
    call = exchange.call("1")
    assert (format_amount(call["cost_micros"]), call["free_seconds"]) == ("0.0000", 30)


def test_it_reads_the_trunks_once_to_authorize(exchange: Exchange) -> None:
    exchange.ask("1")
    statements: list[str] = []
    exchange.database.write(lambda connection: connection.set_trace_callback(statements.append))
    exchange.ask("2")
    exchange.settle("2", 20)
    exchange.database.write(lambda connection: connection.set_trace_callback(None))
    assert len([statement for statement in statements if "trunks" in statement]) == 1


def test_it_does_not_withdraw_a_later_attempt(exchange: Exchange) -> None:
    """The late answer to the first one is not heard; over the second trunk the call goes on."""
    assert exchange.ask("1").passes
    assert exchange.ask("1", stamp_ms=NOW_MS + 2_100).passes
    exchange.withdraw("1", NOW_MS)
    assert exchange.call("1")["state"] == "held"
    exchange.withdraw("1", NOW_MS + 2_100)
    assert exchange.call("1")["state"] == "released"


def test_it_is_not_lost_any_more_when_it_is_dialed_again(exchange: Exchange) -> None:
    exchange.ask("1")
    exchange.lose("1")
    assert exchange.ask("1", stamp_ms=NOW_MS + 1).passes
    exchange.settle("1", 116)
    assert (exchange.call("1")["flags"], exchange.call("1")["settled_by"]) == ("", "settle")
