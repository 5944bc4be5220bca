"""Guests: what check-in and check-out do to money, name and status, in any order of whatever else happens."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coovox_billing.core.money import MAX_MICROS
from coovox_billing.errors import BadInput, BillingError, NotFound, Refused
from coovox_billing.services import accounts, payments, stays
from coovox_billing.services.stays import Bill
from coovox_billing.store.lists import stays as lists
from coovox_billing.store.models import open_reading, reading
from tests.cast import MANAGER, NOW_MS, Exchange, look_up

pytestmark = pytest.mark.usefixtures("open_lists")


def check_in(exchange: Exchange, extension: str = "102", deposit: int = 0, name: str = "", later_ms: int = 0) -> None:
    person = replace(MANAGER, now_ms=NOW_MS + later_ms)
    exchange.database.write(lambda c: stays.check_in(c, extension, deposit, name, person))


def check_out(exchange: Exchange, extension: str = "102", later_ms: int = 0, expected: int | None = None) -> Bill:
    person = replace(MANAGER, now_ms=NOW_MS + later_ms)
    return exchange.database.write(lambda c: stays.check_out(c, extension, person, expected))


def account(exchange: Exchange, extension: str = "102") -> dict[str, Any]:
    return dict(exchange.database.write(lambda c: accounts.find(c, extension)))


def test_it_unlocks_names_and_recharges_at_check_in(exchange: Exchange) -> None:
    check_in(exchange, deposit=5_000_000, name="Ms. Noor")
    now = account(exchange)
    assert (now["status"], now["billing"], now["name"]) == ("unlocked", 1, "Ms. Noor")
    assert (now["balance_micros"], now["checked_in_at_ms"]) == (15_000_000, NOW_MS)


def test_it_needs_neither_a_deposit_nor_a_name(exchange: Exchange) -> None:
    check_in(exchange)
    assert (account(exchange)["balance_micros"], account(exchange)["name"]) == (10_000_000, "Lobby")
    check_out(exchange)
    assert account(exchange)["name"] == "Lobby"


@pytest.mark.parametrize(("deposit", "name"), [(-100, ""), (50, ""), (MAX_MICROS + 100, ""), (0, "x" * 81), (0, "\n")])
def test_it_checks_nobody_in_with_what_cannot_be(exchange: Exchange, deposit: int, name: str) -> None:
    before = account(exchange)
    with pytest.raises(BadInput):
        check_in(exchange, deposit=deposit, name=name)
    assert account(exchange) == before


def test_it_checks_in_once(exchange: Exchange) -> None:
    check_in(exchange)
    with pytest.raises(Refused, match="checked in already"):
        check_in(exchange, deposit=5_000_000)
    assert account(exchange)["balance_micros"] == 10_000_000


def test_it_lets_an_owing_guest_pay(exchange: Exchange) -> None:
    check_in(exchange, "101")
    exchange.ask("1", "101", "0044")
    exchange.settle("1", 61, device="PJSIP/101", number="0044")
    bill = check_out(exchange, "101", 100_000)
    assert bill == Bill(bill.id, NOW_MS, 2_000_000)
    assert (account(exchange, "101")["balance_micros"], account(exchange, "101")["status"]) == (0, "locked")


def test_it_gives_back_what_is_left(exchange: Exchange) -> None:
    assert check_out(exchange).paid_micros == -10_000_000
    assert account(exchange)["balance_micros"] == 0


def test_it_posts_nothing_where_nothing_is_owed(exchange: Exchange) -> None:
    entries = "SELECT count(*) FROM ledger"
    before = look_up(exchange.database.path, entries)
    assert check_out(exchange, "103").paid_micros == 0
    assert look_up(exchange.database.path, entries) == before


def test_it_waits_for_a_call_in_progress(exchange: Exchange) -> None:
    exchange.ask("1", "100")
    with pytest.raises(Refused, match="is in a call"):
        check_out(exchange, "100")
    exchange.settle("1", 5)
    check_out(exchange, "100")


def test_it_pays_only_the_balance_that_was_seen(exchange: Exchange) -> None:
    with pytest.raises(Refused, match=r"it is 10\.0000 now"):
        check_out(exchange, expected=9_000_000)
    assert account(exchange)["status"] == "locked"
    assert account(exchange)["balance_micros"] == 10_000_000
    check_out(exchange, expected=10_000_000)


def test_it_knows_no_extension_that_is_not_there(exchange: Exchange) -> None:
    with pytest.raises(NotFound):
        check_in(exchange, "999")
    with pytest.raises(NotFound):
        check_out(exchange, "999")


def test_it_bills_each_stay_for_its_own_time(exchange: Exchange) -> None:
    check_in(exchange, deposit=5_000_000, name="First", later_ms=1000)
    exchange.ask("1", "102", "0044")
    check = exchange.database.write(lambda c: accounts.find(c, "102"))
    assert check["name"] == "First"
    exchange.settle("1", 61, device="PJSIP/102", number="0044")
    first = check_out(exchange, later_ms=100_000)
    check_in(exchange, deposit=1_000_000, name="Second", later_ms=200_000)
    second = check_out(exchange, later_ms=300_000)
    one, two = lists.bill_of_stay(first.id), lists.bill_of_stay(second.id)
    assert one is not None
    assert two is not None
    assert (one.guest, one.after_micros, [paid.reason for paid in one.payments]) == (
        "First",
        0,
        ["check-in", "check-out"],
    )
    assert [(call.number, call.charged_micros) for call in one.calls] == [("0044", one.calls_micros)]
    assert one.calls_micros == 2_000_000
    assert (two.guest, two.before_micros, two.calls, two.after_micros) == ("Second", 0, [], 0)
    assert [stay.guest for stay in lists.stays("102")] == ["Second", "First"]


def test_it_bills_from_the_last_check_out_where_nobody_checked_in(exchange: Exchange) -> None:
    check_out(exchange, "100", 1000)
    exchange.recharge("100", "3")
    bill = lists.bill_until_now("100", NOW_MS + 5000)
    assert bill is not None
    assert (bill.since_ms, bill.before_micros, bill.after_micros) == (NOW_MS + 1000, 0, 3_000_000)
    assert len(bill.payments) == 1


def steps() -> Any:
    extension = st.sampled_from(["100", "101", "102", "103"])
    amount = st.sampled_from([0, 100, 2_500_000, 10_000_000])
    return st.one_of(
        st.tuples(st.just("check_in"), extension, amount),
        st.tuples(st.just("check_out"), extension, amount),
        st.tuples(st.just("recharge"), extension, amount),
        st.tuples(st.just("correct"), extension, amount.map(lambda micros: -micros)),
        st.tuples(st.just("ask"), extension, st.sampled_from([1, 2, 3])),
        st.tuples(st.just("settle"), extension, st.sampled_from([1, 2, 3])),
        st.tuples(st.just("undo"), extension, st.sampled_from([1, 2, 3, 4, 5, 6])),
    )


def take(exchange: Exchange, what: str, extension: str, number: int, later_ms: int) -> None:
    person = replace(MANAGER, now_ms=NOW_MS + later_ms)
    write = exchange.database.write
    if what == "check_in":
        write(lambda c: stays.check_in(c, extension, number, "Guest", person))
    elif what == "check_out":
        bill = write(lambda c: stays.check_out(c, extension, person))
        now = account(exchange, extension)
        assert (now["balance_micros"], now["held_micros"], now["status"]) == (0, 0, "locked")
        told = lists.bill_of_stay(bill.id)
        assert told is not None
        assert told.after_micros == 0
        paid = sum(paid.amount_micros for paid in told.payments)
        assert told.before_micros - told.calls_micros + paid == 0
        assert sum(call.charged_micros for call in told.calls) == told.calls_micros
    elif what == "recharge":
        write(lambda c: payments.recharge(c, extension, number, person))
    elif what == "correct":
        write(lambda c: payments.correct(c, extension, number, "why", person))
    elif what == "undo":
        write(lambda c: payments.undo(c, number, "why", person))
    elif what == "ask":
        exchange.ask(f"{extension}-{number}", extension, "0044")
    else:
        exchange.settle(f"{extension}-{number}", 61, device=f"PJSIP/{extension}", number="0044")


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps(), max_size=25))
def test_it_keeps_the_money_right_whatever_happens(taken: list[tuple[str, str, int]]) -> None:
    with TemporaryDirectory() as directory:
        exchange = Exchange(Path(directory))
        open_reading(Path(directory))
        try:
            for later, step in enumerate(taken, start=1):
                with suppress(BillingError):
                    take(exchange, *step, later_ms=later * 1000)
                assert exchange.findings() == []
        finally:
            reading.close()
            exchange.database.close()


def test_it_checks_nobody_in_during_a_call(exchange: Exchange) -> None:
    """Who dialed it is still there, and the next guest would pay."""
    exchange.ask("1", "100")
    with pytest.raises(Refused, match="check it in when that is over"):
        check_in(exchange, "100")
    assert account(exchange, "100")["checked_in_at_ms"] is None


def test_it_charges_no_guest_for_a_call_of_the_last_one(exchange: Exchange) -> None:
    """Its end turns up when somebody else lives there: nobody pays, and the books show it."""
    exchange.ask("1", "100")
    exchange.lose("1")
    check_out(exchange, "100", later_ms=60_000)
    check_in(exchange, "100", 5_000_000, "Next", later_ms=120_000)
    exchange.settle("1", 116)
    call = exchange.call("1")
    assert (call["state"], call["uncollected_micros"]) == ("settled", call["cost_micros"])
    assert exchange.money("100") == ("5.0000", "0.0000")


def test_it_takes_back_no_payment_of_the_last_guest(exchange: Exchange) -> None:
    check_out(exchange, "100")
    paid = look_up(exchange.database.path, "SELECT max(id) FROM ledger")[0][0]
    check_in(exchange, "100", 5_000_000, "Next")
    with pytest.raises(Refused, match="a stay that is over"):
        exchange.database.write(lambda c: payments.undo(c, paid, "wrong", MANAGER))
    assert exchange.money("100") == ("5.0000", "0.0000")
