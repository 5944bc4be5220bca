"""The lists that pages and commands read."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from coovox_billing.core.clock import UNKNOWN
from coovox_billing.core.money import format_amount, parse_amount
from coovox_billing.services import accounts, calls, payments, settlement
from coovox_billing.store import queries
from coovox_billing.store.database import Database
from coovox_billing.store.lists.calls import CallQuery
from coovox_billing.store.models import Setting, open_reading
from tests.cast import MANAGER, NOW_MS, SITE, a_leg, a_question, move_in


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with move_in(tmp_path) as opened:
        reading = open_reading(tmp_path)
        try:
            yield opened
        finally:
            reading.close()


def _extension(number: str) -> queries.Extension:
    return next(extension for extension in queries.extensions() if extension.number == number)


def _recharge(amount: str, extension: str = "100") -> Callable[[sqlite3.Connection], int]:
    return lambda connection: payments.recharge(connection, extension, parse_amount(amount), MANAGER)


def _change(extension: str = "100", **changes: Any) -> Callable[[sqlite3.Connection], None]:
    return lambda connection: accounts.change(connection, extension, changes, MANAGER)


def test_it_lists_the_extensions_by_number(database: Database) -> None:
    for number in ("99", "1000", "20"):
        database.write(lambda connection, number=number: accounts.add(connection, number, "", MANAGER))
    listed = [extension.number for extension in queries.extensions()]
    assert listed == ["20", "99", "100", "101", "102", "103", "1000"]


def test_it_shows_an_extension_as_the_guide_does(database: Database) -> None:
    database.write(_change("101", devices=["PJSIP/sales-2", "PJSIP/101"]))
    sales = _extension("101")
    assert (sales.name, sales.billing, sales.payment_type, sales.status) == (
        "Sales",
        True,
        "postpaid",
        "unlocked",
    )
    assert (sales.balance_micros, sales.credit_micros, sales.held_micros) == (0, parse_amount("50"), 0)
    assert sales.devices == ("PJSIP/101", "PJSIP/sales-2")


def test_it_sums_what_was_recharged(database: Database) -> None:
    for amount in ("1", "2.5"):
        database.write(_recharge(amount))
    database.write(_recharge("7", "101"))
    assert _extension("100").total_recharges_micros == parse_amount("13.5")
    assert _extension("101").total_recharges_micros == parse_amount("7")
    assert _extension("103").total_recharges_micros == 0


def test_it_restarts_total_recharges_when_the_payment_type_changes_and_nothing_else(
    database: Database,
) -> None:
    before = _extension("100").balance_micros
    database.write(_change(payment_type="postpaid"))
    assert _extension("100").total_recharges_micros == 0
    assert _extension("100").balance_micros == before
    database.write(_recharge("3"))
    assert _extension("100").total_recharges_micros == parse_amount("3")
    database.write(_change(payment_type="prepaid"))
    assert _extension("100").total_recharges_micros == 0


@pytest.mark.parametrize("same", [{"payment_type": "prepaid"}, {"name": "Front desk"}, {"status": "locked"}])
def test_it_does_not_restart_total_recharges_for_any_other_change(database: Database, same: dict[str, str]) -> None:
    database.write(_change(**same))
    assert _extension("100").total_recharges_micros == parse_amount("10")


def test_it_does_not_restart_anothers_total_recharges(database: Database) -> None:
    database.write(_change("102", payment_type="postpaid"))
    assert _extension("100").total_recharges_micros == parse_amount("10")


def test_it_does_not_count_calls_as_recharges(database: Database) -> None:
    database.write(lambda connection: calls.authorize(connection, a_question("1"), NOW_MS))
    database.write(lambda connection: settlement.settle(connection, "1", a_leg(talked=60), UNKNOWN, NOW_MS))
    reception = _extension("100")
    assert format_amount(reception.total_recharges_micros) == "10.0000"
    assert format_amount(reception.balance_micros) == "9.9000"


def test_it_lists_the_newest_calls_first_and_page_by_page(database: Database) -> None:
    for number in range(5):
        asked_ms = NOW_MS + number * 1000
        question = a_question(str(number))
        database.write(lambda c, question=question, at=asked_ms: calls.authorize(c, question, at))
    assert CallQuery(SITE.time_zone).count() == 5
    assert [call.id for call in CallQuery(SITE.time_zone).page(2)] == ["4", "3"]
    assert [call.id for call in CallQuery(SITE.time_zone).page(2, 4)] == ["0"]


def test_it_shows_a_call_with_its_price_and_why(database: Database) -> None:
    database.write(lambda connection: calls.authorize(connection, a_question("1"), NOW_MS))
    database.write(lambda connection: settlement.settle(connection, "1", a_leg(talked=116, rang=7), UNKNOWN, NOW_MS))
    (call,) = CallQuery(SITE.time_zone).page(10)
    assert (call.extension, call.name, call.number, call.trunk) == (
        "100",
        "Reception",
        "988360046",
        "carrier",
    )
    assert (call.state, call.ring_seconds, call.talk_seconds, call.cost_micros) == (
        "settled",
        7,
        116,
        140_000,
    )
    assert call.rate is not None
    assert (call.rate["remark"], call.flags, call.settled_late) == ("city", (), False)
    assert call.why[0].startswith("rate 1 (city) wins")
    assert call.why[-1] == "balance 10.0000 before, 9.8600 after"


def test_it_shows_a_call_of_nobody(database: Database) -> None:
    question = a_question("1", "carrier")
    database.write(lambda connection: calls.authorize(connection, question, NOW_MS))
    (call,) = CallQuery(SITE.time_zone).page(10)
    assert (call.extension, call.name, call.rate, call.reason) == ("", "", None, "no-payer")


def test_it_reads_without_being_able_to_write(database: Database) -> None:
    with pytest.raises(Exception, match="readonly"):
        Setting.create(name="currency", value="EUR")
    assert queries.settings()["currency"] == "USD"
