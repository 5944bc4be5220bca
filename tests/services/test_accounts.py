"""Extensions and their money: what may be changed, what is written down, what the dialplan is told."""

import json
from typing import Any

import pytest

from coovox_billing.core.money import MAX_MICROS, format_amount, parse_amount
from coovox_billing.core.payer import Payer
from coovox_billing.errors import BadInput, BillingError, NotFound, Refused
from coovox_billing.services import accounts, payments
from tests.cast import MANAGER, NOW_MS, Exchange, look_up


def _add(exchange: Exchange, extension: str, name: str = "") -> None:
    exchange.database.write(lambda connection: accounts.add(connection, extension, name, MANAGER))


def _account(exchange: Exchange, extension: str) -> dict[str, Any]:
    return dict(exchange.database.write(lambda connection: accounts.find(connection, extension)))


def _mirror(exchange: Exchange) -> dict[str, str]:
    return dict(look_up(exchange.database.path, "SELECT key, value FROM mirror WHERE key LIKE 'payer/%'"))


def _newest_change(exchange: Exchange) -> tuple[Any, ...]:
    row = look_up(exchange.database.path, "SELECT * FROM changes ORDER BY id DESC LIMIT 1")[0]
    return (*row[1:5], json.loads(row[5]), json.loads(row[6]))


def _count(exchange: Exchange, table: str) -> int:
    return int(look_up(exchange.database.path, f"SELECT count(*) FROM {table}")[0][0])


def test_it_opens_an_account_as_the_guide_says(exchange: Exchange) -> None:
    _add(exchange, "104", "Extension4")
    account = _account(exchange, "104")
    assert (account["name"], account["billing"], account["payment_type"], account["status"]) == (
        "Extension4",
        0,
        "prepaid",
        "unlocked",
    )
    assert (account["balance_micros"], account["credit_micros"], account["held_micros"]) == (0, 0, 0)


@pytest.mark.parametrize("extension", ["104", "my-desk", "a.b_c", "1+1", "0" * 40])
def test_it_takes_extensions_that_can_be_dialed_or_listed(exchange: Exchange, extension: str) -> None:
    _add(exchange, extension)
    assert _account(exchange, extension)["extension"] == extension


@pytest.mark.parametrize("extension", ["", " ", "10 4", "-1", "1/2", "104\n", "１０４", "1" * 41, "=1+1", "<b>", "1;2"])
def test_it_refuses_what_is_no_extension(exchange: Exchange, extension: str) -> None:
    with pytest.raises(BadInput, match="not an extension"):
        _add(exchange, extension)
    assert _count(exchange, "accounts") == 4


def test_it_refuses_an_extension_that_is_there_already(exchange: Exchange) -> None:
    with pytest.raises(Refused, match="extension set 100"):
        _add(exchange, "100")


@pytest.mark.parametrize("name", ["x" * 81, "two\nlines", "nul\0"])
def test_it_refuses_a_name_that_cannot_be_shown(exchange: Exchange, name: str) -> None:
    with pytest.raises(BadInput, match="a name has"):
        _add(exchange, "104", name)
    with pytest.raises(BadInput, match="a name has"):
        exchange.change("100", name=name)


CHANGES = [
    ({"name": "Front desk"}, "name", "Front desk"),
    ({"name": ""}, "name", ""),
    ({"billing": False}, "billing", 0),
    ({"status": "locked"}, "status", "locked"),
    ({"payment_type": "postpaid"}, "payment_type", "postpaid"),
    ({"credit": "0.0001"}, "credit_micros", 100),
    ({"credit": "1000000000"}, "credit_micros", MAX_MICROS),
]


@pytest.mark.parametrize(("changes", "column", "value"), CHANGES)
def test_it_changes_one_property_and_nothing_else(
    exchange: Exchange, changes: dict[str, Any], column: str, value: object
) -> None:
    before = _account(exchange, "100")
    exchange.change("100", **changes)
    assert _account(exchange, "100") == {**before, column: value}


IMPOSSIBLE = [
    {"status": "ajar"},
    {"status": ""},
    {"payment_type": "barter"},
    {"billing": "yes"},
    {"credit_micros": -100},
    {"credit_micros": 50},
    {"credit_micros": MAX_MICROS + 100},
    {"credit_micros": "100"},
    {"credit_micros": 1.5},
    {"balance_micros": 100},
    {"held_micros": 0},
    {"extension": "200"},
    {"color": "red"},
    {"devices": ["PJSIP"]},
    {"devices": ["100"]},
    {"devices": ["PJSIP/100;rm"]},
    {"devices": ["PJSIP/1 2"]},
    {"devices": [""]},
]


@pytest.mark.parametrize("changes", IMPOSSIBLE, ids=str)
def test_it_refuses_what_an_extension_cannot_be(exchange: Exchange, changes: dict[str, Any]) -> None:
    before = _account(exchange, "100")
    with pytest.raises(BadInput):
        exchange.change("100", **changes)
    assert _account(exchange, "100") == before


def test_it_does_not_change_who_is_not_there(exchange: Exchange) -> None:
    with pytest.raises(NotFound, match="'555'"):
        exchange.change("555", name="Nobody")


def test_it_undoes_all_of_a_change_of_which_one_part_cannot_be(exchange: Exchange) -> None:
    with pytest.raises(BillingError):
        exchange.change("100", name="Front desk", devices=["not a device"])
    assert _account(exchange, "100")["name"] == "Reception"


def test_it_gives_a_device_to_one_extension_alone(exchange: Exchange) -> None:
    exchange.change("100", devices=["PJSIP/desk"])
    with pytest.raises(Refused, match="belongs to extension 100"):
        exchange.change("101", devices=["PJSIP/desk"])
    exchange.change("100", devices=[])
    exchange.change("101", devices=["PJSIP/desk"])


def test_it_writes_down_who_changed_what_from_where(exchange: Exchange) -> None:
    exchange.change("100", credit="5", name="Reception")
    assert _newest_change(exchange) == (
        NOW_MS,
        "bill-ann",
        "terminal",
        "extension 100",
        {"credit_micros": 0},
        {"credit_micros": 5_000_000},
    )


def test_it_writes_nothing_down_where_nothing_changed(exchange: Exchange) -> None:
    before = _count(exchange, "changes")
    exchange.change("100", name="Reception", billing=True, status="unlocked", payment_type="prepaid", credit="0")
    assert _count(exchange, "changes") == before


def test_it_marks_a_payment_type_in_the_ledger_without_moving_money(exchange: Exchange) -> None:
    exchange.change("100", payment_type="postpaid")
    entry = look_up(
        exchange.database.path,
        "SELECT kind, amount_micros, balance_before_micros, reason, actor FROM ledger ORDER BY id DESC LIMIT 1",
    )
    assert entry == [("payment-type", 0, 10_000_000, "prepaid to postpaid", "bill-ann")]


def test_it_puts_a_recharge_into_balance_and_ledger(exchange: Exchange) -> None:
    after = exchange.database.write(lambda c: payments.recharge(c, "100", parse_amount("2.5"), MANAGER))
    assert format_amount(after) == "12.5000"
    entry = look_up(
        exchange.database.path,
        "SELECT kind, amount_micros, balance_before_micros, balance_after_micros, actor, at_ms"
        " FROM ledger ORDER BY id DESC LIMIT 1",
    )
    assert entry == [("recharge", 2_500_000, 10_000_000, 12_500_000, "bill-ann", NOW_MS)]
    assert _newest_change(exchange)[4:] == ({"balance_micros": 10_000_000}, {"balance_micros": 12_500_000})


@pytest.mark.parametrize("amount", ["0", "-1", "-0.0001", "1000000000"])
def test_it_refuses_to_recharge_nothing_less_or_too_much(exchange: Exchange, amount: str) -> None:
    with pytest.raises(BadInput):
        exchange.recharge("100", amount)
    assert exchange.money("100")[0] == "10.0000"


def test_it_does_not_recharge_who_is_not_there(exchange: Exchange) -> None:
    with pytest.raises(NotFound):
        exchange.recharge("555", "1")


def _payer_of(exchange: Exchange, payer: Payer) -> str | None:
    row = exchange.database.write(lambda connection: accounts.account_of_payer(connection, payer, NOW_MS))
    return None if row is None else str(row["extension"])


@pytest.mark.parametrize(
    ("payer", "extension"),
    [
        (Payer(device="PJSIP/100"), "100"),
        (Payer(device="SIP/100"), "100"),
        (Payer(device="PJSIP/desk"), "101"),
        (Payer(extension="100"), "100"),
        (Payer(device="PJSIP/205"), "205"),
        (Payer(extension="206"), "206"),
        (Payer(), None),
        (Payer(device="100"), None),
        (Payer(device="DAHDI/i1/555"), None),
        (Payer(extension="no extension"), None),
    ],
)
def test_it_finds_the_account_that_pays(exchange: Exchange, payer: Payer, extension: str | None) -> None:
    exchange.change("101", devices=["PJSIP/desk"])
    assert _payer_of(exchange, payer) == extension


def test_it_opens_one_account_for_an_unknown_device_that_calls_again(exchange: Exchange) -> None:
    for _ in range(2):
        assert _payer_of(exchange, Payer(device="PJSIP/205")) == "205"
    assert _count(exchange, "accounts") == 5


def test_it_tells_the_dialplan_who_is_billed_free_or_locked(exchange: Exchange) -> None:
    known = {"payer/100": "billed", "payer/101": "billed", "payer/102": "locked", "payer/103": "free"}
    assert _mirror(exchange) == known
    exchange.change("100", devices=["PJSIP/desk"], billing=False)
    exchange.change("103", billing=True, status="locked")
    assert _mirror(exchange) == {
        **known,
        "payer/100": "free",
        "payer/PJSIP/desk": "free",
        "payer/103": "locked",
    }


def test_it_tells_the_dialplan_of_devices_that_are_gone(exchange: Exchange) -> None:
    exchange.change("100", devices=["PJSIP/desk"])
    exchange.change("100", devices=["PJSIP/hall"])
    mirror = _mirror(exchange)
    assert (mirror["payer/PJSIP/desk"], mirror["payer/PJSIP/hall"]) == ("", "billed")


def test_it_tells_the_dialplan_that_a_phone_it_took_for_a_trunk_is_billed(exchange: Exchange) -> None:
    exchange.ask("1", "101", dial_string="PJSIP/103")
    assert _mirror(exchange)["payer/PJSIP/103"] == "free"
    exchange.change("103", billing=True)
    mirror = _mirror(exchange)
    assert (mirror["payer/PJSIP/103"], mirror["payer/103"]) == ("", "billed")


def test_it_gives_a_new_revision_only_to_what_the_dialplan_does_not_know_yet(exchange: Exchange) -> None:
    newest = "SELECT max(revision) FROM mirror"
    before = look_up(exchange.database.path, newest)
    exchange.change("100", name="Front desk", credit="5")
    assert look_up(exchange.database.path, newest) == before
    exchange.change("100", status="locked")
    assert look_up(exchange.database.path, newest) > before
