"""Money that people move: what a balance becomes, what is refused, and that a form counts once."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coovox_billing.core.money import MAX_MICROS
from coovox_billing.errors import BadInput, BillingError, NotFound, Refused
from coovox_billing.services import accounts, payments, submissions
from coovox_billing.store import queries
from coovox_billing.store.models import open_reading, reading
from tests.cast import MANAGER, NOW_MS, Exchange, look_up

pytestmark = pytest.mark.usefixtures("open_lists")


def balance(exchange: Exchange, extension: str = "100") -> int:
    return int(exchange.database.write(lambda c: accounts.find(c, extension))["balance_micros"])


def recharge(exchange: Exchange, micros: int, extension: str = "100", reason: str = "") -> int:
    return exchange.database.write(lambda c: payments.recharge(c, extension, micros, MANAGER, reason))


def correct(exchange: Exchange, micros: int, reason: str = "typo", extension: str = "100") -> int:
    return exchange.database.write(lambda c: payments.correct(c, extension, micros, reason, MANAGER))


def undo(exchange: Exchange, entry_id: int, reason: str = "wrong") -> int:
    return exchange.database.write(lambda c: payments.undo(c, entry_id, reason, MANAGER))


def newest(exchange: Exchange) -> int:
    return int(look_up(exchange.database.path, "SELECT max(id) FROM ledger")[0][0])


def total(exchange: Exchange, extension: str = "100") -> int:
    return next(e.total_recharges_micros for e in queries.extensions() if e.number == extension)


def test_it_recharges_and_writes_down_who_and_why(exchange: Exchange) -> None:
    assert recharge(exchange, 2_500_000, reason=" cash ") == 12_500_000
    entry = look_up(exchange.database.path, "SELECT kind, amount_micros, reason, actor FROM ledger ORDER BY id DESC")[0]
    assert entry == ("recharge", 2_500_000, "cash", "bill-ann")
    before, after = look_up(exchange.database.path, "SELECT before, after FROM changes ORDER BY id DESC")[0]
    assert json.loads(before) == {"balance_micros": 10_000_000}
    assert json.loads(after) == {"balance_micros": 12_500_000, "reason": "cash"}


@pytest.mark.parametrize("micros", [0, -100, 50, MAX_MICROS])
def test_it_takes_no_amount_that_cannot_be(exchange: Exchange, micros: int) -> None:
    with pytest.raises(BadInput):
        recharge(exchange, micros)
    assert balance(exchange) == 10_000_000


@pytest.mark.parametrize("reason", ["x" * 201, "a\nb", "\x1b[31m"])
def test_it_takes_no_reason_that_cannot_be_printed(exchange: Exchange, reason: str) -> None:
    for act in (recharge, correct):
        with pytest.raises(BadInput, match="printable"):
            act(exchange, 100, reason=reason)


def test_it_recharges_all_or_nobody(exchange: Exchange) -> None:
    with pytest.raises(NotFound):
        exchange.database.write(lambda c: payments.recharge_many(c, ["100", "101", "999"], 100, MANAGER))
    assert (balance(exchange), balance(exchange, "101")) == (10_000_000, 0)
    exchange.database.write(lambda c: payments.recharge_many(c, ["100", "101", "100"], 100, MANAGER, "gift"))
    assert (balance(exchange), balance(exchange, "101")) == (10_000_100, 100)
    with pytest.raises(BadInput, match="tick at least one"):
        exchange.database.write(lambda c: payments.recharge_many(c, [], 100, MANAGER))


def test_it_corrects_down_to_what_is_available(exchange: Exchange) -> None:
    assert correct(exchange, -10_000_000) == 0
    with pytest.raises(Refused, match=r"only 0\.0000"):
        correct(exchange, -100)
    assert correct(exchange, -50_000_000, extension="101") == -50_000_000


def test_it_takes_nothing_that_a_call_holds(exchange: Exchange) -> None:
    exchange.ask("1", "100", "0044")
    with pytest.raises(Refused, match="held by calls"):
        correct(exchange, -10_000_000)


@pytest.mark.parametrize(("micros", "reason"), [(0, "why"), (100, ""), (100, "  "), (50, "why")])
def test_it_takes_no_correction_that_cannot_be(exchange: Exchange, micros: int, reason: str) -> None:
    with pytest.raises(BadInput):
        correct(exchange, micros, reason)


def test_it_takes_back_once_and_only_payments(exchange: Exchange) -> None:
    recharge(exchange, 5_000_000)
    entry_id = newest(exchange)
    assert undo(exchange, entry_id) == 10_000_000
    for again in (entry_id, newest(exchange)):
        with pytest.raises(Refused):
            undo(exchange, again)
    exchange.ask("1")
    exchange.settle("1", 39)
    with pytest.raises(Refused, match="only recharges and corrections"):
        undo(exchange, newest(exchange))
    with pytest.raises(NotFound):
        undo(exchange, 99_999)


def test_it_takes_nothing_back_that_is_spent(exchange: Exchange) -> None:
    entry_id = newest(exchange)
    correct(exchange, -3_000_000, extension="102")
    with pytest.raises(Refused, match=r"only 7\.0000"):
        undo(exchange, entry_id)


def test_it_counts_recharges_since_the_payment_type_changed_but_none_that_was_taken_back(exchange: Exchange) -> None:
    recharge(exchange, 5_000_000)
    first = newest(exchange)
    correct(exchange, 1_000_000)
    assert total(exchange) == 15_000_000
    undo(exchange, first)
    assert total(exchange) == 10_000_000
    exchange.change("100", payment_type="postpaid")
    assert total(exchange) == 0
    recharge(exchange, 2_000_000)
    assert total(exchange) == 2_000_000
    undo(exchange, newest(exchange))
    assert (total(exchange), balance(exchange)) == (0, 11_000_000)


def once(exchange: Exchange, token: str, job: Callable[[Any], str], now_ms: int = NOW_MS) -> tuple[str, bool]:
    return exchange.database.write(lambda c: submissions.once(c, token, now_ms, job))


def test_it_does_what_a_form_asks_once(exchange: Exchange) -> None:
    def job(connection: Any) -> str:
        return str(payments.recharge(connection, "100", 1_000_000, MANAGER))

    assert once(exchange, "a", job) == ("11000000", True)
    assert once(exchange, "a", job) == ("11000000", False)
    assert once(exchange, "b", job) == ("12000000", True)
    assert balance(exchange) == 12_000_000


def test_it_takes_a_form_again_that_was_refused(exchange: Exchange) -> None:
    def refused(connection: Any) -> str:
        payments.recharge(connection, "100", 1_000_000, MANAGER)
        raise Refused("no")

    with pytest.raises(Refused):
        once(exchange, "a", refused)
    assert balance(exchange) == 10_000_000
    assert once(exchange, "a", lambda _: "done") == ("done", True)


@pytest.mark.parametrize("token", ["", "x" * 65])
def test_it_takes_no_form_without_a_token(exchange: Exchange, token: str) -> None:
    with pytest.raises(BadInput, match="not whole"):
        once(exchange, token, lambda _: "done")


def test_it_forgets_forms_of_last_week(exchange: Exchange) -> None:
    once(exchange, "a", lambda _: "done")
    once(exchange, "b", lambda _: "done", NOW_MS + submissions.REMEMBERED_MS + 1)
    assert look_up(exchange.database.path, "SELECT token FROM submissions") == [("b",)]


def retype(exchange: Exchange, payment_type: str) -> None:
    exchange.change("100", payment_type=payment_type)


def ask(exchange: Exchange, call: int) -> None:
    exchange.ask(str(call), "100", "0044")


def settle(exchange: Exchange, call: int) -> None:
    exchange.settle(str(call), 61, number="0044")


actions = st.one_of(
    st.tuples(st.just(recharge), st.sampled_from([-100, 0, 50, 100, 7_000_000, MAX_MICROS])),
    st.tuples(st.just(correct), st.sampled_from([-20_000_000, -3_000_000, -100, 0, 100, 7_000_000])),
    st.tuples(st.just(undo), st.integers(1, 20)),
    st.tuples(st.just(retype), st.sampled_from(["prepaid", "postpaid"])),
    st.tuples(st.just(ask), st.integers(1, 3)),
    st.tuples(st.just(settle), st.integers(1, 3)),
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(actions, max_size=25))
def test_it_keeps_the_money_right_whatever_people_do(taken: list[tuple[Callable[..., Any], Any]]) -> None:
    with TemporaryDirectory() as directory:
        exchange = Exchange(Path(directory))
        open_reading(Path(directory))
        try:
            for act, value in taken:
                with suppress(BillingError):
                    act(exchange, value)
                assert exchange.findings() == []
                account = exchange.database.write(lambda c: accounts.find(c, "100"))
                assert account["balance_micros"] + account["credit_micros"] >= account["held_micros"] >= 0
                assert total(exchange) >= 0
        finally:
            reading.close()
            exchange.database.close()
