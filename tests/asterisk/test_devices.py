"""`extension sync` and gateways on a real Asterisk, with the shipped manager user and no more than it may do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.asterisk.billing import RATES, ROOT, SHIPPED, Billing
from tests.asterisk.pbx import Pbx
from tests.asterisk.sip import phone
from tests.asterisk.waiting import wait_until

PHONES = {str(number): f"Extension {number}" for number in range(100, 110)}
SECRET = "a secret: 1@2"
DIALPLAN = f"""
[globals]
COOVOX_AGI=agi://127.0.0.1:{{agi_port}}

[from-internal]
; As many PBXs do, the route gives the company's number away, not the telephone's.
exten => _9X.,1,Set(CALLERID(num)=5551234)
 same => n,Gosub(coovox-billing-dial,s,1(${{{{EXTEN}}}},PJSIP/${{{{EXTEN:1}}}}@trunk,30,,Trunk 1))
 same => n,Hangup()

#include {SHIPPED}
"""
SIP = """
[general]
udpbindaddr = 127.0.0.1:{port}
[210]
type = friend
host = dynamic
callerid = Jane <210>
[carrier]
type = peer
host = 127.0.0.99
"""
IAX = """
[general]
bindaddr = 127.0.0.1
bindport = {port}
[310]
type = friend
host = dynamic
callerid = Kate <310>
[branch]
type = peer
host = 127.0.0.99
"""


@dataclass(frozen=True)
class House:
    """An Asterisk and a site that may ask its manager."""

    pbx: Pbx
    billing: Billing

    @property
    def version(self) -> int:
        return self.pbx.version

    def sync(self) -> Any:
        return self.billing.read("extension", "sync")

    def extensions(self) -> dict[str, str]:
        return {row["number"]: row["name"] for row in self.billing.read("extension", "list")}

    def keep_endpoints(self, wanted: str) -> None:
        """Let Asterisk know only the endpoints whose names match."""
        path = self.pbx.folder / "etc" / "pjsip.conf"
        whole = path.with_name("pjsip.whole")
        if not whole.exists():
            whole.write_text(path.read_text())
        head, *sections = re.split(r"(?m)^(?=\[)", whole.read_text())
        path.write_text(head + "".join(s for s in sections if _is_kept(s, wanted)))
        self.pbx.cli("module reload res_pjsip.so")
        expected = {n for n in (*PHONES, "trunk", "trunk2") if re.fullmatch(wanted, n)}
        wait_until(lambda: set(self.endpoints()) == expected, 10, "Asterisk reads its endpoints again")

    def endpoints(self) -> list[str]:
        return re.findall(r"(?m)^ Endpoint:  (\w+)", self.pbx.cli("pjsip show endpoints"))


def _is_kept(section: str, wanted: str) -> bool:
    name = section.partition("]")[0].removeprefix("[")
    return name in ("global", "loopback", "plain") or re.fullmatch(wanted, name) is not None


@pytest.fixture(scope="module")
def house(asterisk_version: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    billing = Billing(folder)
    pbx = Pbx(asterisk_version, DIALPLAN.format(agi_port=billing.agi_port), {SHIPPED: ROOT / "asterisk" / SHIPPED})
    etc = pbx.folder / "etc"
    user = (ROOT / "asterisk" / "manager_coovox_billing.conf").read_text().replace("@SECRET@", SECRET)
    _append(etc / "manager.conf", user)
    modules = ("chan_iax2", "chan_sip") if asterisk_version == 16 else ("chan_iax2",)
    _append(etc / "modules.conf", "".join(f"load = {module}.so\n" for module in modules))
    (etc / "sip.conf").write_text(SIP.format(port=pbx.sip_port + 1))
    (etc / "iax.conf").write_text(IAX.format(port=pbx.sip_port + 1))
    with pbx, pytest.MonkeyPatch.context() as patch:
        patch.setenv("COOVOX_AMI", f"coovox-billing:{SECRET}@127.0.0.1:{pbx.ami_port}")
        billing.do("extension", "list")
        yield House(pbx, billing)
        billing.stop()
        billing.do("audit")


def _append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_it_finds_every_phone_with_its_name(house: House) -> None:
    said = house.sync()
    expected = PHONES | {"310": "Kate"} | ({"210": "Jane"} if house.version == 16 else {})
    assert {row["number"]: row["name"] for row in said["added"]} == expected
    assert house.extensions() == expected
    skipped = {"PJSIP/trunk", "PJSIP/trunk2", "IAX2/branch"} | ({"SIP/carrier"} if house.version == 16 else set())
    assert {row["device"] for row in said["skipped"]} == skipped
    loaded = {row["technology"]: row["loaded"] for row in said["technologies"]}
    assert loaded == {"PJSIP": True, "SIP": house.version == 16, "DAHDI": False, "IAX2": True}
    assert [row["trouble"] for row in said["technologies"]] == ["", "", "", ""]


def test_it_changes_nothing_the_second_time(house: House) -> None:
    before = house.billing.read("extension", "list")
    said = house.sync()
    assert [said[key] for key in ("added", "back", "renamed", "given", "closed", "kept")] == [[]] * 6
    assert house.billing.read("extension", "list") == before
    assert "nothing to change" in house.billing.do("extension", "sync")


def test_it_closes_a_phone_that_is_gone_and_asks_when_it_is_back(house: House) -> None:
    house.billing.do("extension", "set", "105", "--billing", "on")
    house.billing.do("recharge", "105", "3.2")
    house.keep_endpoints(r"(?!105).*")
    assert [row["number"] for row in house.billing.read("extension", "sync", "--dry-run")["closed"]] == ["105"]
    assert "105" in house.extensions()
    assert [(row["number"], row["balance"]) for row in house.sync()["closed"]] == [("105", "3.2000")]
    assert "105" not in house.extensions()
    closed = house.billing.read("extension", "list", "--closed")
    assert [(row["number"], row["balance"]) for row in closed] == [("105", "3.2000")]
    house.keep_endpoints(".*")
    assert "--recreated continue" in house.billing.do("extension", "sync")
    back = house.billing.extension("105")
    assert (back["recreated"], back["balance"], back["billing"]) == (True, "3.2000", True)
    assert "105 was closed and is there again" in house.billing.do("extension", "list")
    house.billing.do("extension", "set", "105", "--recreated", "continue")
    assert house.billing.extension("105")["recreated"] is False


def test_it_closes_nothing_on_an_empty_answer(house: House) -> None:
    house.keep_endpoints("nobody")
    before = house.extensions()
    said = house.sync()
    trouble = {row["technology"]: row["trouble"] for row in said["technologies"] if row["trouble"]}
    assert "empty" in trouble.pop("PJSIP")
    assert (trouble, said["closed"]) == ({}, [])
    assert {row["number"] for row in said["kept"]} == set(PHONES)
    assert house.extensions() == before
    house.keep_endpoints(".*")
    assert house.sync()["kept"] == []


def test_it_bills_a_phone_behind_a_trusted_gateway_by_the_caller_id_it_came_in_with(house: House) -> None:
    pjsip = house.pbx.folder / "etc" / "pjsip.conf"
    pjsip.write_text(pjsip.read_text().replace("callerid = Extension 108 <108>\n", ""))
    house.pbx.cli("module reload res_pjsip.so")
    rates = house.billing.data.with_name("rates.csv")
    rates.write_text(RATES)
    house.billing.do("rate", "import", str(rates))
    house.billing.start()
    payers = []
    for trust in ("on", "off"):
        house.billing.run("gateway", "set", "PJSIP/108", "--trust-caller-id", trust)
        assert phone(house.pbx, "95550000", "108", from_user="205").wait().answered
        house.pbx.wait_idle()
        payers.append(house.billing.closed_call()["extension"])
    assert payers == ["205", "108"]


def test_it_says_so_where_it_cannot_ask(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    before = house.billing.read("extension", "list")
    monkeypatch.setenv("COOVOX_AMI", f"coovox-billing:wrong@127.0.0.1:{house.pbx.ami_port}")
    said = house.billing.run("extension", "sync")
    assert (said.status, said.err.count("\n")) == (1, 1)
    assert "Authentication failed" in said.err
    house.pbx.stop()
    monkeypatch.setenv("COOVOX_AMI", f"coovox-billing:{SECRET}@127.0.0.1:{house.pbx.ami_port}")
    said = house.billing.run("extension", "sync")
    assert (said.status, said.err.count("\n")) == (1, 1)
    assert str(house.pbx.ami_port) in said.err
    assert house.billing.read("extension", "list") == before
