"""Extensions follow Asterisk's devices, closed ones keep all they had, and a gateway's caller ID says who pays."""

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coovox_billing.core.devices import Found, Kind, Listing, Plan
from coovox_billing.core.payer import Origin, Payer
from coovox_billing.errors import BadInput, NotFound, Refused
from coovox_billing.services import accounts, devices
from tests.cast import MANAGER, NOW_MS, Exchange, look_up

RECEPTION = Found("PJSIP/100", "Reception")
SALES = Found("PJSIP/101", "Sales")
LOBBY = Found("PJSIP/102", "Lobby")
ALL = (RECEPTION, SALES, LOBBY)
LATER = replace(MANAGER, now_ms=NOW_MS + 60_000)


def _sync(exchange: Exchange, *found: Found, trouble: str = "") -> Plan:
    listings = [Listing("PJSIP", found, trouble=trouble), Listing("DAHDI"), Listing("SIP", is_loaded=False)]
    return exchange.database.write(lambda c: devices.sync(c, listings, LATER))


def _accounts(exchange: Exchange, extension: str) -> list[dict[str, Any]]:
    """Every account that the extension ever had, oldest first."""
    names = ("id", "name", "billing", "status", "balance_micros", "credit_micros", "closed_at_ms", "recreated")
    query = f"SELECT {', '.join(names)} FROM accounts WHERE extension = ? ORDER BY id"
    return [dict(zip(names, row, strict=True)) for row in look_up(exchange.database.path, query, [extension])]


def _mirror(exchange: Exchange, payer: str) -> str | None:
    rows = look_up(exchange.database.path, "SELECT value FROM mirror WHERE key = ?", [f"payer/{payer}"])
    return rows[0][0] if rows else None


def _pays(exchange: Exchange, payer: Payer) -> str | None:
    row = exchange.database.write(lambda c: accounts.account_of_payer(c, payer, NOW_MS))
    return None if row is None else str(row["extension"])


def _answer(exchange: Exchange, extension: str, answer: str) -> None:
    exchange.database.write(lambda c: accounts.answer_recreated(c, extension, answer, LATER))


def _closed(exchange: Exchange, *there: Found) -> None:
    """All was seen, then only what is still there."""
    _sync(exchange, *ALL)
    _sync(exchange, *there)


def test_it_opens_what_is_new_not_billed_and_empty(exchange: Exchange) -> None:
    _sync(exchange, *ALL, Found("PJSIP/205", "Warehouse"))
    (account,) = _accounts(exchange, "205")
    assert (account["name"], account["billing"], account["balance_micros"], account["recreated"]) == (
        "Warehouse", 0, 0, 0,
    )  # fmt: skip
    assert _mirror(exchange, "205") == "free"


def test_it_changes_nothing_the_second_time(exchange: Exchange) -> None:
    _sync(exchange, *ALL, Found("PJSIP/205", "Warehouse"))
    tables = ("accounts", "devices", "trunks", "mirror", "changes", "seen_devices", "ledger")
    state = [look_up(exchange.database.path, f"SELECT * FROM {table}") for table in tables]
    made = _sync(exchange, *ALL, Found("PJSIP/205", "Warehouse"))
    assert (made.opened, made.renamed, made.closed, made.reopened) == ({}, {}, {}, {})
    assert [look_up(exchange.database.path, f"SELECT * FROM {table}") for table in tables] == state


def test_it_closes_what_vanished_and_keeps_its_money(exchange: Exchange) -> None:
    _closed(exchange, SALES, LOBBY)
    (account,) = _accounts(exchange, "100")
    assert (account["closed_at_ms"], account["balance_micros"], account["billing"]) == (LATER.now_ms, 10_000_000, 1)
    with pytest.raises(NotFound):
        exchange.recharge("100", "1")


def test_it_forgets_a_vanished_extension_in_the_dialplans_mirror_unless_it_would_be_refused(exchange: Exchange) -> None:
    exchange.change("103", devices=["PJSIP/oven"])
    _sync(exchange, *ALL, Found("PJSIP/103"), Found("PJSIP/oven"))
    _sync(exchange, SALES)
    assert (_mirror(exchange, "103"), _mirror(exchange, "PJSIP/oven")) == ("", "")
    assert (_mirror(exchange, "100"), _mirror(exchange, "102")) == ("billed", "locked"), "as if they came back"


@pytest.mark.parametrize("trouble", ["Asterisk counts 3 items and sent 0", ""])
def test_it_closes_nothing_on_an_empty_or_partial_answer(exchange: Exchange, trouble: str) -> None:
    _sync(exchange, *ALL)
    made = _sync(exchange, trouble=trouble)
    assert (made.closed, list(made.troubles)) == ({}, ["PJSIP"])
    assert all(_accounts(exchange, extension)[0]["closed_at_ms"] is None for extension in ("100", "101", "102"))


def test_it_refuses_where_no_technology_answers(exchange: Exchange) -> None:
    listings = [Listing("PJSIP", trouble="Permission denied"), Listing("SIP", is_loaded=False)]
    with pytest.raises(Refused, match="Permission denied"):
        exchange.database.write(lambda c: devices.sync(c, listings, LATER))


def test_it_does_not_close_what_a_person_added(exchange: Exchange) -> None:
    _sync(exchange, *ALL)
    assert _accounts(exchange, "103")[0]["closed_at_ms"] is None


def test_it_does_not_close_an_extension_in_a_call(exchange: Exchange) -> None:
    _sync(exchange, *ALL)
    exchange.ask("1")
    assert _sync(exchange, SALES, LOBBY).kept == {"100": "it is in a call"}
    exchange.settle("1", talked=60)
    assert list(_sync(exchange, SALES, LOBBY).closed) == ["100"]


def test_it_opens_a_closed_account_again_and_asks(exchange: Exchange) -> None:
    _closed(exchange, RECEPTION, SALES)
    assert list(_sync(exchange, *ALL).reopened) == ["102"]
    (account,) = _accounts(exchange, "102")
    assert (account["closed_at_ms"], account["recreated"], account["status"]) == (None, 1, "locked")
    assert _mirror(exchange, "102") == "locked"
    assert exchange.ask("1", "102").reason == "locked", "the old account holds until a person answers"


def test_it_asks_as_well_when_the_device_calls_first(exchange: Exchange) -> None:
    _closed(exchange, SALES, LOBBY)
    assert exchange.ask("1", "100").passes
    (account,) = _accounts(exchange, "100")
    assert (account["closed_at_ms"], account["recreated"]) == (None, 1)
    exchange.settle("1", talked=60)
    assert exchange.money("100") == ("9.9000", "0.0000")
    assert list(_sync(exchange, SALES, LOBBY).closed) == ["100"], "the device is not there after all"


def test_it_finds_the_closed_account_by_a_device_it_listed(exchange: Exchange) -> None:
    exchange.change("100", devices=["PJSIP/desk"])
    _sync(exchange, *ALL, Found("PJSIP/desk"))
    _sync(exchange, SALES, LOBBY)
    assert _pays(exchange, Payer(device="PJSIP/desk")) == "100"


def test_it_continues_a_recreated_extension(exchange: Exchange) -> None:
    _closed(exchange, SALES, LOBBY)
    _sync(exchange, *ALL)
    _answer(exchange, "100", "continue")
    (account,) = _accounts(exchange, "100")
    assert (account["recreated"], account["balance_micros"], account["billing"]) == (0, 10_000_000, 1)


def test_it_begins_a_recreated_extension_anew(exchange: Exchange) -> None:
    exchange.change("100", devices=["PJSIP/desk"])
    _closed(exchange, SALES, LOBBY)
    _sync(exchange, Found("PJSIP/desk"), Found("PJSIP/100", "Ann"), SALES, LOBBY)
    _answer(exchange, "100", "new")
    old, new = _accounts(exchange, "100")
    assert (old["closed_at_ms"], old["balance_micros"], old["recreated"]) == (LATER.now_ms, 10_000_000, 0)
    assert (new["name"], new["billing"], new["balance_micros"], new["recreated"]) == ("Ann", 0, 0, 0)
    assert (_mirror(exchange, "100"), _mirror(exchange, "PJSIP/desk")) == ("free", "free")
    assert _pays(exchange, Payer(device="PJSIP/desk")) == "100"
    assert exchange.ask("1", "100").reason == "not-billed"


def test_it_begins_nothing_anew_during_a_call(exchange: Exchange) -> None:
    _closed(exchange, SALES, LOBBY)
    exchange.ask("1", "100")
    with pytest.raises(Refused, match="in a call"):
        _answer(exchange, "100", "new")
    exchange.settle("1", talked=1)


@pytest.mark.parametrize("answer", ["continue", "new"])
def test_it_takes_no_answer_to_what_was_not_asked(exchange: Exchange, answer: str) -> None:
    with pytest.raises(Refused, match="nothing to answer"):
        _answer(exchange, "100", answer)
    with pytest.raises(BadInput):
        _answer(exchange, "100", "maybe")


def test_it_closes_a_second_time_what_was_begun_anew(exchange: Exchange) -> None:
    _closed(exchange, SALES, LOBBY)
    _sync(exchange, *ALL)
    _answer(exchange, "100", "new")
    _sync(exchange, SALES, LOBBY)
    _sync(exchange, *ALL)
    old, new = _accounts(exchange, "100")
    assert (old["closed_at_ms"], new["closed_at_ms"], new["recreated"]) == (LATER.now_ms, None, 1)


def test_it_lets_another_extension_have_the_device_of_a_closed_one(exchange: Exchange) -> None:
    exchange.change("100", devices=["PJSIP/desk"])
    _sync(exchange, *ALL, Found("PJSIP/desk"))
    _sync(exchange, SALES, LOBBY)
    exchange.change("101", devices=["PJSIP/desk"])
    assert _pays(exchange, Payer(device="PJSIP/desk")) == "101"
    assert _accounts(exchange, "100")[0]["closed_at_ms"] is not None


def test_it_gives_a_socket_to_its_extension_beside_the_devices_it_has(exchange: Exchange) -> None:
    exchange.change("103", devices=["PJSIP/oven"])
    listings = [Listing("PJSIP", ALL), Listing("DAHDI", (Found("DAHDI/5", "Kitchen", "103", Kind.PORT),))]
    exchange.database.write(lambda c: devices.sync(c, listings, LATER))
    assert _pays(exchange, Payer(device="DAHDI/5")) == "103"
    assert _pays(exchange, Payer(device="PJSIP/oven")) == "103"


def test_it_knows_a_line_to_the_outside_as_a_trunk(exchange: Exchange) -> None:
    listings = [Listing("PJSIP", ALL), Listing("DAHDI", (Found("DAHDI/1", kind=Kind.LINE),))]
    for _ in range(2):
        exchange.database.write(lambda c: devices.sync(c, listings, LATER))
    assert look_up(exchange.database.path, "SELECT device, name FROM trunks") == [("DAHDI/1", "DAHDI/1")]
    assert exchange.ask("1", origin=Origin("DAHDI/1-1")).reason == "no-payer"
    assert exchange.call("1")["account_id"] is None


COMINGS = st.tuples(st.just("sync"), st.sets(st.sampled_from(ALL)))
CALLS = st.tuples(st.sampled_from(["ask", "settle"]), st.sampled_from(["100", "101", "102"]))
ANSWERS = st.tuples(st.sampled_from(accounts.RECREATED_ANSWERS), st.sampled_from(["100", "101", "102"]))


@settings(max_examples=40)
@given(steps=st.lists(st.one_of(COMINGS, CALLS, ANSWERS), max_size=20))
def test_it_keeps_the_books_whatever_comes_and_goes(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, Any]]
) -> None:
    exchange = Exchange(tmp_path_factory.mktemp("books"))
    for step, (name, what) in enumerate([("sync", set(ALL)), *steps]):
        with suppress(Refused, NotFound):
            if name == "sync":
                _sync(exchange, *sorted(what, key=str))
            elif name == "ask":
                exchange.ask(f"{step}x{what}", what)
            elif name == "settle":
                _settle_one(exchange, what)
            else:
                _answer(exchange, what, name)
        assert exchange.findings() == []
    exchange.database.close()


def _settle_one(exchange: Exchange, extension: str) -> None:
    query = "SELECT call_id FROM calls WHERE state = 'held' AND extension = ? LIMIT 1"
    for (call_id,) in look_up(exchange.database.path, query, [extension]):
        exchange.settle(call_id, talked=60)


def test_it_writes_down_what_a_sync_changed(exchange: Exchange) -> None:
    _closed(exchange, SALES, LOBBY)
    change = look_up(exchange.database.path, "SELECT actor, what, after FROM changes ORDER BY id DESC LIMIT 1")
    assert change == [("bill-ann", "extension 100", '{"closed": true, "balance_micros": 10000000}')]


def _trust(exchange: Exchange, device: str, trusted: bool = True) -> None:
    exchange.database.write(lambda c: devices.trust_caller_id(c, device, trusted, MANAGER))


def _ask_from_gateway(exchange: Exchange, call_id: str, caller_id: str) -> str:
    exchange.ask(call_id, origin=Origin("PJSIP/gw-0000000a", caller_id=caller_id))
    return str(exchange.call(call_id)["extension"])


@pytest.mark.parametrize(
    ("caller_id", "extension"), [("100", "100"), ("205", "205"), ("", "gw"), ("anonymous", "gw"), ("+34911", "gw")]
)
def test_it_believes_a_trusted_gateways_caller_id(exchange: Exchange, caller_id: str, extension: str) -> None:
    _trust(exchange, "PJSIP/gw")
    assert _ask_from_gateway(exchange, "1", caller_id) == extension


def test_it_believes_no_caller_id_by_default_nor_when_trust_is_taken_back(exchange: Exchange) -> None:
    assert _ask_from_gateway(exchange, "1", "100") == "gw"
    _trust(exchange, "PJSIP/gw")
    _trust(exchange, "PJSIP/gw", False)
    assert _ask_from_gateway(exchange, "2", "100") == "gw"
    with pytest.raises(NotFound, match="not trusted"):
        _trust(exchange, "PJSIP/gw", False)


def test_it_counts_a_gateway_as_billed_while_billing_is_down(exchange: Exchange) -> None:
    exchange.change("103", devices=["PJSIP/gw"])
    assert _mirror(exchange, "PJSIP/gw") == "free"
    _trust(exchange, "PJSIP/gw")
    assert _mirror(exchange, "PJSIP/gw") == "billed"
    exchange.change("103", status="locked")
    assert _mirror(exchange, "PJSIP/gw") == "billed"
    exchange.change("103", devices=[])
    assert _mirror(exchange, "PJSIP/gw") == "billed"
    _trust(exchange, "PJSIP/gw", False)
    assert _mirror(exchange, "PJSIP/gw") == ""


def test_it_does_not_trust_a_trunks_caller_id(exchange: Exchange) -> None:
    """Outside callers choose it."""
    exchange.ask("1", dial_string="PJSIP/9@gw")
    for give in (lambda: _trust(exchange, "pjsip/gw"), lambda: exchange.change("103", devices=["PJSIP/gw"])):
        with pytest.raises(Refused, match="trunk remove PJSIP/gw"):
            give()
    assert look_up(exchange.database.path, "SELECT device FROM trunks") == [("PJSIP/gw",)]


@pytest.mark.parametrize("device", ["Local/9@x", "local/9@x", "gw", "PJSIP/"])
def test_it_trusts_no_caller_id_of_what_is_no_device(exchange: Exchange, device: str) -> None:
    with pytest.raises(BadInput, match="not a device"):
        _trust(exchange, device)


def test_it_spells_a_device_as_asterisk_does(exchange: Exchange) -> None:
    _trust(exchange, "pjsip/gw")
    exchange.change("103", devices=["pjsip/kitchen", "PJSIP/kitchen"])
    assert exchange.database.write(devices.gateways) == ["PJSIP/gw"]
    assert look_up(exchange.database.path, "SELECT device FROM devices") == [("PJSIP/kitchen",)]


def test_it_opens_a_closed_extension_again_with_all_it_had(exchange: Exchange) -> None:
    exchange.database.write(lambda c: accounts.close(c, "100", MANAGER))
    with pytest.raises(NotFound, match="extension add 100"):
        exchange.recharge("100", "1")
    assert exchange.database.write(lambda c: accounts.add(c, "100", "", MANAGER)) is True
    assert exchange.money("100") == ("10.0000", "0.0000")
    exchange.database.write(lambda c: accounts.answer_recreated(c, "100", "continue", MANAGER))


def test_it_does_not_take_a_gateway_for_a_trunk(exchange: Exchange) -> None:
    _trust(exchange, "PJSIP/gw")
    exchange.ask("2", dial_string="PJSIP/9@gw")
    assert look_up(exchange.database.path, "SELECT device FROM trunks") == []


def test_it_refuses_a_gateway_that_is_no_device(exchange: Exchange) -> None:
    with pytest.raises(BadInput, match="not a device"):
        _trust(exchange, "gw")
    _trust(exchange, "PJSIP/gw")
    assert exchange.database.write(devices.gateways) == ["PJSIP/gw"]
