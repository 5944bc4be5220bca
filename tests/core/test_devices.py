"""What Asterisk's devices mean: who is new, back, renamed or gone, and when nothing may be believed."""

from typing import Any

import pytest

from coovox_billing.core.devices import Found, Kind, Known, KnownAccount, Listing, Plan, plan

RECEPTION = Found("PJSIP/100", "Reception", "100")
SALES = Found("PJSIP/101", "Sales", "101")
CARRIER = Found("PJSIP/carrier", "", "5551234")
SOCKET = Found("DAHDI/5", "Kitchen", "103", Kind.PORT)
LINE = Found("DAHDI/1", kind=Kind.LINE)
RECEPTION_ACCOUNT = KnownAccount(1, "100", "Reception")
SALES_ACCOUNT = KnownAccount(2, "101", "Sales")
SEEN = {"PJSIP/100": "Reception", "PJSIP/101": "Sales"}


def _plan(*found: Found, technology: str = "PJSIP", **known: Any) -> Plan:
    return plan([Listing(technology, found)], Known(**known))


def _plan_all(*listings: Listing, accounts: list[KnownAccount], seen: dict[str, str]) -> Plan:
    return plan(listings, Known(accounts=accounts, seen=seen))


def test_it_opens_an_extension_for_each_new_device_with_its_name() -> None:
    made = _plan(RECEPTION, SALES)
    assert made.opened == {"100": "Reception", "101": "Sales"}
    assert made.seen == SEEN
    assert (made.reopened, made.renamed, made.closed, made.skipped) == ({}, {}, {}, {})


def test_it_changes_nothing_where_all_is_known() -> None:
    made = _plan(RECEPTION, SALES, accounts=[RECEPTION_ACCOUNT, SALES_ACCOUNT], seen=SEEN)
    nothing = Plan(present={"100": ("PJSIP/100",), "101": ("PJSIP/101",)}, seen=SEEN)
    assert made == nothing


def test_it_takes_two_devices_of_one_number_for_one_extension() -> None:
    made = plan([Listing("PJSIP", (Found("PJSIP/100"),)), Listing("SIP", (Found("SIP/100", "Reception"),))], Known())
    assert made.opened == {"100": "Reception"}
    assert made.present == {"100": ("PJSIP/100", "SIP/100")}


def test_it_knows_a_device_that_an_extension_lists() -> None:
    reception = KnownAccount(1, "100", "Reception", frozenset({"PJSIP/desk"}))
    made = _plan(Found("PJSIP/desk", "Desk"), accounts=[reception])
    assert (made.opened, made.skipped, made.seen) == ({}, {}, {"PJSIP/desk": "Desk"})


NO_EXTENSIONS = [
    ("a known trunk", CARRIER, {"trunks": {"PJSIP/carrier"}}, "outbound routes dial it"),
    ("a known trunk with a number for its name", RECEPTION, {"trunks": {"PJSIP/100"}}, "outbound routes dial it"),
    ("where Asterisk signs in", Found("PJSIP/5551234", kind=Kind.CARRIER), {}, "signs in"),
    ("a line to the outside", LINE, {}, "line to the outside"),
    ("a name without a number", Found("PJSIP/trunk"), {}, "extension add trunk"),
    ("a name that cannot be dialed", Found("PJSIP/my desk"), {}, "cannot be"),
    ("a gateway", Found("PJSIP/gw"), {"gateways": {"PJSIP/gw"}}, "gateway"),
    ("a socket of nobody", Found("DAHDI/5", kind=Kind.PORT), {}, 'extension set EXT --devices "DAHDI/5"'),
    (
        "a second phone by its caller ID",
        Found("PJSIP/100-mobile", "Reception", "100"),
        {"accounts": [RECEPTION_ACCOUNT]},
        'extension set 100 --devices "PJSIP/100-mobile"',
    ),
]


@pytest.mark.parametrize(
    ("found", "known", "why"), [case[1:] for case in NO_EXTENSIONS], ids=[case[0] for case in NO_EXTENSIONS]
)
def test_it_skips(found: Found, known: dict[str, Any], why: str) -> None:
    made = _plan(found, technology=found.device.partition("/")[0], **known)
    assert why in made.skipped[found.device]
    assert (made.opened, made.devices, made.seen) == ({}, {}, {})


def test_it_skips_a_second_phone_of_an_extension_that_is_new_itself() -> None:
    made = _plan(Found("PJSIP/100-mobile", "Reception", "100"), RECEPTION)
    assert (list(made.opened), list(made.skipped)) == (["100"], ["PJSIP/100-mobile"])


def test_it_takes_a_name_with_a_number_of_nobody_else_for_an_extension() -> None:
    assert _plan(Found("PJSIP/my-desk", "Jane", "205")).opened == {"my-desk": "Jane"}


@pytest.mark.parametrize("kind", [Kind.CARRIER, Kind.PHONE])
def test_it_keeps_an_extension_that_a_person_opened_whatever_its_device_looks_like(kind: Kind) -> None:
    made = _plan(Found("PJSIP/lobby", kind=kind), accounts=[KnownAccount(3, "lobby", "Lobby")])
    assert (made.skipped, made.seen) == ({}, {"PJSIP/lobby": ""})


def test_it_gives_a_socket_to_the_extension_of_its_caller_id() -> None:
    new = _plan(SOCKET, technology="DAHDI")
    assert (new.opened, new.devices, new.seen) == ({"103": "Kitchen"}, {"DAHDI/5": "103"}, {"DAHDI/5": "Kitchen"})
    kitchen = KnownAccount(3, "103", "Kitchen")
    assert _plan(SOCKET, technology="DAHDI", accounts=[kitchen]).devices == {"DAHDI/5": "103"}
    listed = KnownAccount(3, "104", "Cook", frozenset({"DAHDI/5"}))
    assert _plan(SOCKET, technology="DAHDI", accounts=[listed]).devices == {}


def test_it_takes_a_line_for_a_trunk_unless_a_billed_extension_is_called_like_it() -> None:
    assert _plan(LINE, technology="DAHDI").lines == ["DAHDI/1"]
    assert _plan(LINE, technology="DAHDI", trunks={"DAHDI/1"}).lines == []
    billed = KnownAccount(9, "1", "One", is_billed=True)
    assert _plan(LINE, technology="DAHDI", accounts=[billed]).lines == []
    unbilled = KnownAccount(9, "1", "One")
    assert _plan(LINE, technology="DAHDI", accounts=[unbilled]).lines == ["DAHDI/1"]


@pytest.mark.parametrize(
    ("known_as", "seen_as", "renamed"),
    [
        ("", "", {"100": "Reception"}),
        ("", "Front desk", {"100": "Reception"}),
        ("Front desk", "Front desk", {"100": "Reception"}),
        ("The manager's own", "Front desk", {}),
        ("The manager's own", None, {}),
        ("Reception", "Reception", {}),
    ],
)
def test_it_follows_asterisks_name_but_not_over_a_persons(
    known_as: str, seen_as: str | None, renamed: dict[str, str]
) -> None:
    seen = {} if seen_as is None else {"PJSIP/100": seen_as}
    assert _plan(RECEPTION, accounts=[KnownAccount(1, "100", known_as)], seen=seen).renamed == renamed


def test_it_never_empties_a_name() -> None:
    made = _plan(Found("PJSIP/100"), accounts=[RECEPTION_ACCOUNT], seen={"PJSIP/100": "Reception"})
    assert made.renamed == {}


def test_it_closes_what_is_gone() -> None:
    made = _plan(RECEPTION, accounts=[RECEPTION_ACCOUNT, SALES_ACCOUNT], seen=SEEN)
    assert made.closed == {"101": SALES_ACCOUNT}
    assert made.seen == {"PJSIP/100": "Reception"}


def test_it_closes_what_became_a_trunk() -> None:
    made = _plan(
        RECEPTION, SALES, accounts=[RECEPTION_ACCOUNT, SALES_ACCOUNT], seen=SEEN, trunks=frozenset({"PJSIP/101"})
    )
    assert made.closed == {"101": SALES_ACCOUNT}


def test_it_does_not_close_what_was_never_in_asterisk() -> None:
    made = _plan(RECEPTION, accounts=[RECEPTION_ACCOUNT, SALES_ACCOUNT], seen={"PJSIP/100": "Reception"})
    assert (made.closed, made.kept) == ({}, {})


def test_it_does_not_close_an_extension_in_a_call() -> None:
    talking = KnownAccount(2, "101", "Sales", is_in_call=True)
    made = _plan(RECEPTION, accounts=[RECEPTION_ACCOUNT, talking], seen=SEEN)
    assert (made.closed, made.kept, made.seen) == ({}, {"101": "it is in a call"}, SEEN)


def test_it_does_not_close_an_extension_whose_other_device_is_there() -> None:
    sales = KnownAccount(2, "101", "Sales", frozenset({"PJSIP/desk"}))
    seen = {**SEEN, "PJSIP/desk": ""}
    assert _plan(RECEPTION, Found("PJSIP/desk"), accounts=[RECEPTION_ACCOUNT, sales], seen=seen).closed == {}


BOTH = [RECEPTION_ACCOUNT, SALES_ACCOUNT]
UNBELIEVABLE = [
    ("an empty answer", Listing("PJSIP"), "empty"),
    ("an answer cut short", Listing("PJSIP", (RECEPTION,), trouble="Asterisk counts 9 items and sent 1"), "counts 9"),
    ("a refusal", Listing("PJSIP", trouble="Permission denied"), "Permission denied"),
]


@pytest.mark.parametrize(
    ("listing", "why"), [case[1:] for case in UNBELIEVABLE], ids=[case[0] for case in UNBELIEVABLE]
)
def test_it_closes_nothing_after(listing: Listing, why: str) -> None:
    made = _plan_all(listing, accounts=BOTH, seen=SEEN)
    assert made.closed == {}
    assert why in made.troubles["PJSIP"]
    assert made.kept["101"] == "PJSIP did not answer in full"
    assert made.seen == SEEN


def test_it_closes_in_one_technology_while_another_is_in_trouble() -> None:
    kitchen = KnownAccount(3, "103", "Kitchen")
    made = _plan_all(
        Listing("PJSIP", (RECEPTION,)),
        Listing("SIP", trouble="cut short"),
        accounts=[*BOTH, kitchen],
        seen={**SEEN, "SIP/103": "Kitchen"},
    )
    assert (list(made.closed), list(made.kept)) == (["101"], ["103"])


def test_it_finds_an_empty_answer_normal_where_nothing_was_expected() -> None:
    made = _plan_all(Listing("PJSIP", (RECEPTION, SALES)), Listing("IAX2"), accounts=BOTH, seen=SEEN)
    assert made.troubles == {}


def test_it_finds_an_empty_answer_normal_where_all_of_it_are_reached_otherwise() -> None:
    seen = {"SIP/100": "Reception", "SIP/101": "Sales"}
    made = _plan_all(Listing("PJSIP", (RECEPTION, SALES)), Listing("SIP"), accounts=BOTH, seen=seen)
    assert (made.troubles, made.closed, made.seen) == ({}, {}, SEEN)


def test_it_keeps_what_it_saw_while_a_technology_is_in_trouble() -> None:
    made = _plan_all(
        Listing("PJSIP", (RECEPTION, SALES)),
        Listing("SIP", trouble="cut short"),
        accounts=BOTH,
        seen={"SIP/100": "Reception"},
    )
    assert made.seen == {**SEEN, "SIP/100": "Reception"}


def test_it_closes_nothing_of_a_technology_that_is_not_there() -> None:
    made = _plan_all(Listing("PJSIP", is_loaded=False), Listing("SIP"), accounts=BOTH, seen=SEEN)
    assert (made.closed, made.troubles) == ({}, {})
    assert made.kept == {"100": "PJSIP is not loaded", "101": "PJSIP is not loaded"}


def test_it_closes_an_extension_whose_listed_device_could_not_be_seen_ever() -> None:
    sales = KnownAccount(2, "101", "Sales", frozenset({"SIP/101"}))
    made = _plan_all(
        Listing("PJSIP", (RECEPTION,)), Listing("SIP", is_loaded=False), accounts=[RECEPTION_ACCOUNT, sales], seen=SEEN
    )
    assert list(made.closed) == ["101"]


def test_it_does_not_close_an_extension_that_lists_a_device_of_another_kind() -> None:
    sales = KnownAccount(2, "101", "Sales", frozenset({"SCCP/101"}))
    made = _plan(RECEPTION, accounts=[RECEPTION_ACCOUNT, sales], seen=SEEN)
    assert (made.closed, made.kept) == ({}, {"101": "nobody can say whether SCCP/101 is there"})


def test_it_does_not_count_on_a_device_that_comes_and_goes() -> None:
    made = _plan(Found("SIP/100", "Reception", is_lasting=False), technology="SIP")
    assert (made.opened, made.seen) == ({"100": "Reception"}, {})


@pytest.mark.parametrize("devices", [frozenset(), frozenset({"PJSIP/101"})])
def test_it_opens_a_closed_account_again(devices: frozenset[str]) -> None:
    closed = KnownAccount(2, "101", "Sales", devices, is_open=False)
    made = _plan(SALES, accounts=[closed])
    assert (made.opened, made.reopened, made.renamed) == ({}, {"101": closed}, {})
    assert made.seen == {"PJSIP/101": "Sales"}


def test_it_opens_a_closed_account_again_for_a_device_that_it_lists() -> None:
    closed = KnownAccount(2, "101", "Sales", frozenset({"PJSIP/desk"}), is_open=False)
    assert _plan(Found("PJSIP/desk"), accounts=[closed]).reopened == {"101": closed}


def test_it_opens_a_closed_account_again_whatever_the_device_is_called() -> None:
    closed = KnownAccount(2, "lobby", "Lobby", is_open=False)
    assert _plan(Found("PJSIP/lobby"), accounts=[closed]).reopened == {"lobby": closed}
    assert _plan(Found("PJSIP/lobby", kind=Kind.CARRIER), accounts=[closed]).reopened == {}


def test_it_lets_a_closed_account_rest() -> None:
    closed = KnownAccount(2, "101", "Sales", is_open=False)
    made = _plan(RECEPTION, accounts=[RECEPTION_ACCOUNT, closed], seen=SEEN)
    assert (made.closed, made.kept, made.reopened) == ({}, {}, {})
    assert made.seen == {"PJSIP/100": "Reception"}
