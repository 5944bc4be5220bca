"""`extension sync`, the question about a re-created extension, and `gateway`, at a terminal."""

from __future__ import annotations

import json

import pytest

from coovox_billing.core.devices import Found, Listing
from coovox_billing.errors import SetupError
from coovox_billing.pbx import devices
from coovox_billing.pbx.ami import AmiAddress
from tests.cli.conftest import Terminal

RECEPTION = Found("PJSIP/100", "Front desk", "100")
SALES = Found("PJSIP/101", "Sales", "101")
CARRIER = Found("PJSIP/carrier")


class Pbx:
    """The devices that Asterisk's manager tells of; or why it does not answer."""

    def __init__(self) -> None:
        self.found: tuple[Found, ...] = (RECEPTION, SALES, CARRIER)
        self.trouble = ""
        self.error: SetupError | None = None
        self.asked: AmiAddress | None = None

    def read(self, address: AmiAddress) -> list[Listing]:
        self.asked = address
        if self.error:
            raise self.error
        return [Listing("PJSIP", self.found, trouble=self.trouble), Listing("SIP", is_loaded=False)]


@pytest.fixture
def pbx(monkeypatch: pytest.MonkeyPatch) -> Pbx:
    answering = Pbx()
    monkeypatch.setattr(devices, "read_devices", answering.read)
    monkeypatch.setenv("COOVOX_AMI", "coovox-billing:secret@127.0.0.1:5038")
    return answering


def test_it_adds_what_asterisk_has(reception: Terminal, pbx: Pbx) -> None:
    assert reception.do("extension", "sync").splitlines() == [
        "PJSIP: 3 devices",
        "SIP: not there",
        "added 101 Sales (PJSIP/101)",
        "skipped PJSIP/carrier: neither its name nor its caller ID is a number: "
        "`extension add carrier` if it is an extension",
    ]
    assert str(pbx.asked) == "127.0.0.1:5038"
    names = {row["number"]: row["name"] for row in reception.read("extension", "list")}
    assert names == {"100": "Reception", "101": "Sales"}, "the manager's own name stays"
    assert "nothing to change" in reception.do("extension", "sync")


def test_it_tells_programs_what_was_done(reception: Terminal, pbx: Pbx) -> None:
    said = reception.read("extension", "sync")
    assert said["technologies"] == [
        {"technology": "PJSIP", "loaded": True, "devices": 3, "trouble": ""},
        {"technology": "SIP", "loaded": False, "devices": 0, "trouble": ""},
    ]
    assert said["added"] == [{"number": "101", "name": "Sales", "devices": ["PJSIP/101"]}]
    assert [row["device"] for row in said["skipped"]] == ["PJSIP/carrier"]
    assert [said[key] for key in ("back", "renamed", "given", "closed", "trunks", "kept")] == [[]] * 6


def test_it_only_shows_what_would_be_done(reception: Terminal, pbx: Pbx) -> None:
    before = reception.read("extension", "list")
    assert "added 101 Sales" in reception.do("extension", "sync", "--dry-run")
    assert reception.read("extension", "sync", "--dry-run")["dry_run"] is True
    assert reception.read("extension", "list") == before


def test_it_says_what_to_do_without_the_setting_ami(reception: Terminal) -> None:
    assert "pbx install" in reception.refused("extension", "sync")


def test_it_says_that_the_setting_ami_is_off(reception: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COOVOX_AMI", "off")
    assert "manager. It is off" in reception.refused("extension", "sync")


def test_it_says_what_an_address_looks_like(reception: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COOVOX_AMI", "127.0.0.1:5038")
    assert "user:secret@HOST:PORT" in reception.refused("extension", "sync")


def test_it_changes_nothing_where_asterisk_does_not_answer(reception: Terminal, pbx: Pbx) -> None:
    before = reception.read("extension", "list")
    pbx.error = SetupError("no connection to Asterisk's manager at 127.0.0.1:5038: refused")
    assert "5038" in reception.refused("extension", "sync")
    pbx.error, pbx.trouble = None, "Permission denied"
    assert "Permission denied" in reception.refused("extension", "sync")
    assert reception.read("extension", "list") == before


def test_it_says_that_an_answer_was_empty_and_closes_nothing(reception: Terminal, pbx: Pbx) -> None:
    reception.do("extension", "sync")
    pbx.found = ()
    said = reception.do("extension", "sync").splitlines()
    assert said[0].startswith("PJSIP: no full answer, so nothing of it is closed: the answer was empty")
    assert "kept 100, which is not in the answer: PJSIP did not answer in full" in said
    assert [row["number"] for row in reception.read("extension", "list")] == ["100", "101"]


@pytest.fixture
def recreated(reception: Terminal, pbx: Pbx) -> Terminal:
    """Reception was there, vanished, and is back."""
    reception.do("extension", "sync")
    pbx.found = (SALES, CARRIER)
    assert "closed 100 Reception (its balance of 10.0000 is kept)" in reception.do("extension", "sync")
    pbx.found = (RECEPTION, SALES, CARRIER)
    said = reception.do("extension", "sync").splitlines()
    assert "back 100 Reception (PJSIP/100)" in said
    assert said[-1].startswith("extension 100 was closed and is there again")
    return reception


def test_it_lists_closed_accounts_with_their_money(reception: Terminal, pbx: Pbx) -> None:
    assert "no account was ever closed" in reception.do("extension", "list", "--closed")
    reception.do("extension", "sync")
    pbx.found = (SALES,)
    reception.do("extension", "sync")
    (row,) = reception.read("extension", "list", "--closed")
    assert (row["number"], row["balance"], row["closed_at"][-6:]) == ("100", "10.0000", "+00:00")
    assert [row["number"] for row in reception.read("extension", "list")] == ["101"]
    assert "10.0000" in reception.do("extension", "list", "--closed")


def test_it_asks_about_a_recreated_extension_until_it_is_answered(recreated: Terminal) -> None:
    assert [row["recreated"] for row in recreated.read("extension", "list")] == [True, False]
    assert recreated.do("extension", "list").splitlines()[-1].startswith("extension 100 was closed and is there again")
    recreated.do("extension", "set", "100", "--recreated", "continue")
    row = recreated.read("extension", "list")[0]
    assert (row["recreated"], row["balance"], row["billing"]) == (False, "10.0000", True)
    assert "was closed" not in recreated.do("extension", "list")


def test_it_begins_anew_and_changes_the_new_one(recreated: Terminal) -> None:
    recreated.do("extension", "set", "100", "--recreated", "new", "--credit", "5")
    row = recreated.read("extension", "list")[0]
    assert (row["name"], row["balance"], row["credit"], row["billing"], row["recreated"]) == (
        "Front desk", "0.0000", "5.0000", False, False,
    )  # fmt: skip
    assert [row["balance"] for row in recreated.read("extension", "list", "--closed")] == ["10.0000"]


def test_it_takes_no_answer_to_what_was_not_asked(reception: Terminal) -> None:
    assert "nothing to answer" in reception.refused("extension", "set", "100", "--recreated", "new")
    assert reception.run("extension", "set", "100", "--recreated", "maybe").status == 2


def test_it_trusts_the_caller_id_of_a_gateway(terminal: Terminal) -> None:
    assert "gateway set" in terminal.do("gateway", "list")
    terminal.do("gateway", "set", "PJSIP/gw", "--trust-caller-id", "on")
    assert terminal.read("gateway", "list") == [{"device": "PJSIP/gw", "trust_caller_id": True}]
    terminal.do("gateway", "set", "PJSIP/gw", "--trust-caller-id", "off")
    assert json.loads(terminal.do("gateway", "list", "--json")) == []
    assert "not trusted" in terminal.refused("gateway", "set", "PJSIP/gw", "--trust-caller-id", "off")
    assert "PJSIP/100" in terminal.refused("gateway", "set", "gw", "--trust-caller-id", "on")
    assert terminal.run("gateway", "set", "PJSIP/gw").status == 2
