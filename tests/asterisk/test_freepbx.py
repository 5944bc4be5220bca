"""A PBX with FreePBX's interface after `pbx install`: its trunks are billed, and its own dialplan goes on as before."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from coovox_billing.pbx.check import check
from coovox_billing.pbx.console import reload
from coovox_billing.pbx.parts import AMI_FILE, AMI_USER, secret_in
from tests import freepbx_box
from tests.asterisk import config
from tests.asterisk.billing import LOBBY, PYTHON_BESIDE, RATES, SALES, Billing, steps
from tests.asterisk.pbx import Pbx
from tests.asterisk.ports import free_port
from tests.asterisk.sip import ADDRESSES, PhoneCall, PhoneResult, phone
from tests.asterisk.trace import Leg
from tests.asterisk.waiting import wait_until
from tests.freepbx_box import FREEPBX_16, FREEPBX_17, ISSABEL, Box

BOXES = {16: {"16": FREEPBX_16, "17": FREEPBX_17, "Issabel": ISSABEL}, 22: {"17": FREEPBX_17}}
VERSIONS = [int(version) for version in os.environ.get("ASTERISK_VERSIONS", "16 22").split()]
CASES = [(version, name) for version in VERSIONS for name in BOXES[version]]
# What does not differ between the boxes of one Asterisk is tried on one of them.
ONCE = pytest.mark.parametrize("box", [(v, next(iter(BOXES[v]))) for v in VERSIONS], ids=str, indirect=True)
AS_MACRO_AND_AS_GOSUB = pytest.mark.parametrize("box", [c for c in CASES if c[1] != "Issabel"], ids=str, indirect=True)
MORE = ("chan_iax2", "res_clioriginate", "app_queue")
MODULES = {16: ("app_macro", "chan_sip", *MORE), 22: MORE}
HOT_DESK, LOGGED_IN, FORWARDING, FORWARDING_OUTSIDERS, OLD_SIP, OTHER_BOX = "100", "200", "103", "104", "120", "121"
FORWARDING_ON, FORWARDING_ANEW = "105", "106"
PEOPLE = (SALES, LOBBY, LOGGED_IN, FORWARDING, FORWARDING_OUTSIDERS, OLD_SIP, OTHER_BOX, FORWARDING_ON, FORWARDING_ANEW)
MORE_RATES = "".join(f"1,route {prefix},{prefix},0,0,0,0.01,1,,,,all\n" for prefix in (*"765432", "11", "12"))
OUTSIDE = "0790000000"
TELLS_WHO_IS_CALLED = "send_pai = yes\ntrust_id_outbound = yes\n"
HANGS_UP_MS = 1_400
OWN_HOOK = """
[macro-dialout-trunk-predial-hook]
exten => s,1,Set(OUTNUM=00${OUTNUM})
 same => n,Gosub(coovox-billing-hook,s,1)
 same => n,GotoIf($["${COOVOX_GO}" = "1"]?macro-dialout-trunk,coovox-billing-trunk,1)
 same => n,Set(DB(own/lost)=yes)
"""

QUEUE = "[general]\n[601]\nstrategy = ringall\nmember => Local/95552410@from-internal/n\n"
# Names of channels that no test has: who sent these calls on was at an analog port, and behind an ISDN line.
LINES = """
[from-internal-custom]
exten => _*1X.,1,Set(BLINDTRANSFER=DAHDI/1-1)
 same => n,Goto(from-internal,${EXTEN:2},1)
exten => _*2X.,1,Set(BLINDTRANSFER=DAHDI/i1/0791234567-3)
 same => n,Goto(from-internal,${EXTEN:2},1)
"""

# Who dials what, all at once. The far end does what the last two digits say.
DIALED = {
    "plain": (SALES, "95551110"),
    "out of order": (SALES, "95551204"),
    "busy": (SALES, "95551301"),
    "busy goes on": (SALES, "85551401"),
    "no money": (LOBBY, "95551510"),
    "emergency": (LOBBY, "911"),
    "route of emergencies": (LOBBY, "93300"),
    "custom trunk": (SALES, "75551710"),
    "custom trunk by Local": (SALES, "65551810"),
    "sent on from a custom trunk": (SALES, f"1{LOBBY}"),
    "switched off": (SALES, "55551910"),
    "hot desk": (HOT_DESK, "95552010"),
    "forwarded": (SALES, FORWARDING),
    "forwarded behind a custom trunk": (SALES, f"1{FORWARDING_ON}"),
    "forwarded past a custom trunk": (SALES, FORWARDING_ANEW),
    "forwarded from outside": ("trunk", FORWARDING_OUTSIDERS),
    "group": (SALES, "600"),
    "group from outside": ("trunk", "600"),
    "queue": (SALES, "601"),
    "queue from outside": ("trunk", "601"),
    "analog port": (SALES, "*195553610"),
    "behind ISDN": (SALES, "*295553710"),
    "music": (SALES, "45552510"),
    "not accepted": (SALES, "35552605"),
    "comma": (SALES, "911,PJSIP/5550077%40trunk"),
}


@dataclass(eq=False)
class FreePbx:
    """The box, its billing, and what the telephones saw."""

    box: Box
    pbx: Pbx
    billing: Billing
    sip_port: int
    results: dict[str, PhoneResult]

    def rows(self, number: str) -> list[dict[str, Any]]:
        """What the call log has of a number, once it has something and all of that is closed."""
        found = [row for row in self.billing.calls() if row["number"] == number]
        return [] if any(row["state"] in ("held", "talking") for row in found) else found

    def row(self, number: str, extension: str | None = None) -> dict[str, Any]:
        """The one row of a number; an emergency call's comes a moment later."""
        rows = wait_until(lambda: self.rows(number), 10, f"a row of {number}")
        found = [row for row in rows if extension in (None, row["extension"])]
        assert len(found) == 1, found
        return found[0]

    def legs(self, number: str) -> dict[str, list[Leg]]:
        """The calls that the trunks got for a number."""
        return {name: self.pbx.trunk_calls(name, number) for name in ("trunk", "trunk2")}

    def own(self, number: str) -> dict[str, str]:
        """What the box's own dialplan noted of a call."""
        prefix = f"own/{number}/"
        noted = self.pbx.db_tree("own")
        return {key.removeprefix(prefix): value for key, value in noted.items() if key.startswith(prefix)}

    def dial(self, number: str, extension: str = SALES) -> PhoneCall:
        return phone(self.pbx, number, extension, HANGS_UP_MS, from_user=OUTSIDE if extension == "trunk" else None)


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"asterisk{case[0]}-{case[1]}")
def box(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FreePbx]:
    """The box as its owner has it after `pbx install` and an "Apply Config", with a day's calls at once behind it."""
    version, name = request.param
    folder = tmp_path_factory.mktemp("freepbx")
    billing = Billing(folder, PYTHON_BESIDE.get(version, sys.executable))
    _people(billing, folder)
    running = _install(version, BOXES[version][name], billing, folder)
    with running.pbx:
        _faults(running)
        billing.ami = _manager(running.pbx)
        billing.start()
        wait_until(lambda: "signed in to Asterisk's manager" in billing.log(), 15, "the call plane signs in")
        _astdb(running.pbx)
        calls = {name: running.dial(number, extension) for name, (extension, number) in DIALED.items()}
        running.results.update({name: call.wait() for name, call in calls.items()})
        running.pbx.wait_idle()
        yield running
    billing.stop(signal.SIGKILL)


def _people(billing: Billing, folder: Path) -> None:
    rates = folder / "rates.csv"
    rates.write_text(RATES + MORE_RATES)
    billing.do("rate", "import", str(rates))
    for extension in PEOPLE:
        billing.do("extension", "add", extension, "--name", f"Phone {extension}")
        billing.do("extension", "set", extension, "--billing", "on")
        if extension != LOBBY:
            billing.do("recharge", extension, "10")
    billing.do("extension", "set", OLD_SIP, "--devices", f"SIP/{OLD_SIP} DAHDI/1 DAHDI/i1")
    billing.do("trunk", "add", "PJSIP/trunk")


def _install(version: int, box: Box, billing: Billing, folder: Path) -> FreePbx:
    sip_port = free_port("127.0.0.1")
    files = freepbx_box.dialplan(box)
    files["globals_custom.conf"] = f"COOVOX_AGI=agi://127.0.0.1:{billing.agi_port}\n"
    files["modules.conf"] = modules_of(version)
    files["iax.conf"] = _iax()
    files["queues.conf"] = QUEUE
    files["extensions_custom.conf"] += LINES
    for name, text in files.items():
        (folder / name).write_text(text)
    pbx = Pbx(version, files["extensions.conf"], {name: folder / name for name in files})
    etc = pbx.folder / "etc"
    endpoints = (etc / "pjsip.conf").read_text()
    (etc / "pjsip.conf").write_text(endpoints.replace("timers = no\n", f"timers = no\n{TELLS_WHO_IS_CALLED}", 1))
    (etc / "sip.conf").write_text(_sip(sip_port, pbx))
    for name, text in freepbx_box.manager_and_cel(box, pbx.ami_port).items():
        (etc / name).write_text(text)
    shutil.copytree(etc, folder / "before")
    billing.do("pbx", "install", "--etc", str(etc))
    # "Apply Config": what the product generates is written anew, what it leaves to its users is not.
    for name in ("extensions.conf", "extensions_additional.conf", "manager.conf"):
        shutil.copy(folder / "before" / name, etc / name)
    return FreePbx(box, pbx, billing, sip_port, {})


def modules_of(version: int) -> str:
    lines = (config.TEMPLATES / "modules.conf").read_text().splitlines()
    kept = [line for line in lines if "res_cdrel_custom" not in line or version > 16]
    return "\n".join([*kept, *(f"load = {name}.so" for name in MODULES[version])]) + "\n"


def _iax() -> str:
    """Another PBX of the house, which calls as the user 121; it is this one."""
    port = free_port("127.0.0.1")
    user = f"[{OTHER_BOX}]\ntype = friend\nhost = 127.0.0.1\nport = {port}\nsecret = iax\nusername = {OTHER_BOX}\n"
    return f"[general]\nbindaddr = 127.0.0.1:{port}\n{user}context = from-internal\nauth = md5\nrequirecalltoken = no\n"


def _sip(port: int, pbx: Pbx) -> str:
    """chan_sip: a telephone known by its address, and a trunk."""
    far_end = pbx._far_ends["trunk"]
    general = f"[general]\nudpbindaddr = 127.0.0.1:{port}\ncontext = nowhere\nallowguest = no\n"
    telephone = (
        f"[{OLD_SIP}]\ntype = friend\nhost = {ADDRESSES['109']}\ninsecure = port,invite\ncontext = from-internal\n"
    )
    return f"{general}{telephone}[carrier]\ntype = peer\nhost = {far_end.address}\nport = {far_end.port}\n"


def _faults(running: FreePbx) -> None:
    etc, agi = running.pbx.folder / "etc", f"agi://127.0.0.1:{running.billing.agi_port}"
    reload(running.pbx.cli)
    items = check(etc, running.pbx.cli, agi)
    assert [item for item in items if not item.ok] == []
    assert running.box.product.removesuffix("PBX") in next(i.message for i in items if i.name == "product")


def _manager(pbx: Pbx) -> str:
    """Where the user that `pbx install` made signs in."""
    secret = secret_in((pbx.folder / "etc" / AMI_FILE).read_bytes())
    return f"{AMI_USER}:{secret}@127.0.0.1:{pbx.ami_port}"


def _astdb(pbx: Pbx) -> None:
    forwarding = (FORWARDING, FORWARDING_OUTSIDERS, FORWARDING_ON, FORWARDING_ANEW)
    users = {number: number for number in (SALES, LOBBY, *forwarding)} | {HOT_DESK: LOGGED_IN}
    for device, user in users.items():
        pbx.cli(f"database put DEVICE {device}/user {user}")
        pbx.cli(f"database put AMPUSER {user}/device {device}")
    pbx.cli(f"database put CF {FORWARDING} 95552110")
    pbx.cli(f"database put CF {FORWARDING_OUTSIDERS} 95552210")
    pbx.cli(f"database put CF {FORWARDING_ON} 95553810")
    pbx.cli(f"database put CF {FORWARDING_ANEW} 125553910")
    pbx.cli("database put group member 95552310")


def assert_billed(row: dict[str, Any], extension: str, trunk: str, leg: Leg) -> None:
    """One row, a cent for each whole second that the trunk's own messages show."""
    assert leg.talk_seconds is not None
    assert (row["extension"], row["trunk"], row["state"], row["flags"]) == (extension, trunk, "settled", [])
    assert row["talk_seconds"] == pytest.approx(leg.talk_seconds, abs=1)
    assert steps(row["cost"]) == 100 * row["talk_seconds"] > 0


def test_it_bills_the_number_as_dialed(box: FreePbx) -> None:
    (leg,) = box.legs("5551110")["trunk"]
    assert_billed(box.row("95551110"), SALES, "PJSIP/trunk", leg)


def test_it_leaves_their_headers_and_their_hangup_in_place(box: FreePbx) -> None:
    (leg,) = box.legs("5551110")["trunk"]
    own = box.own("5551110")
    assert leg.messages[0].header("X-Own") == ("route" if box.box.has_notes else "")
    assert leg.messages[0].header("From").startswith("<sip:0440000000@") or "0440000000" in leg.messages[0].header(
        "From"
    )
    assert own["hung-up"] == "ANSWER"
    assert "dialed" not in own, "their own Dial was not reached"
    if box.box.has_notes:
        assert own["note"].startswith("5551110/95551110/1/")
        assert own["trunk"] == "1"


def test_it_shows_the_number_that_was_dialed(box: FreePbx) -> None:
    (answer,) = [m for m in box.results["plain"].messages if m.status == 200 and m.method == "INVITE"]
    assert "<sip:95551110@" in answer.header("P-Asserted-Identity")
    records = (box.pbx.folder / "log/cdr-custom/all.csv").read_text().splitlines()
    assert len([record for record in records if ",95551110," in record]) == 1


@pytest.mark.parametrize(("number", "status"), [("95551204", "CONGESTION-34"), ("85551401", "BUSY-17")])
def test_it_makes_one_bill_of_a_call_that_two_trunks_were_asked_for(box: FreePbx, number: str, status: str) -> None:
    legs = box.legs(number[1:])
    assert [len(legs["trunk"]), len(legs["trunk2"])] == [1, 1]
    assert_billed(box.row(number), SALES, "PJSIP/trunk2", legs["trunk2"][0])
    assert box.own(number[1:])["continued"] == status


def test_it_leaves_it_to_them_when_to_give_up(box: FreePbx) -> None:
    legs, row = box.legs("5551301"), box.row("95551301")
    assert [len(legs["trunk"]), len(legs["trunk2"])] == [1, 0]
    assert (row["state"], row["cost"], box.own("5551301")["gave-up"]) == ("released", "0.0000", "busy")
    assert box.results["busy"].final_status == 486


def test_it_refuses_with_a_busy_tone_and_tries_no_other_trunk(box: FreePbx) -> None:
    row, own = box.row("95551510"), box.own("5551510")
    assert (row["state"], row["reason"], box.results["no money"].final_status) == ("refused", "no-money", 486)
    assert box.legs("5551510") == {"trunk": [], "trunk2": []}
    assert (own["gave-up"], "outisbusy" in own) == ("busy", False)


def test_it_lets_emergency_calls_pass(box: FreePbx) -> None:
    assert box.results["emergency"].answered
    assert (box.row("911")["reason"], box.row("911")["cost"]) == ("emergency", "0.0000")
    assert box.results["route of emergencies"].answered
    assert box.rows("93300") == [], "no number of the setting"
    assert box.own("93300")["hung-up"] == "ANSWER"


def test_it_bills_a_custom_trunk(box: FreePbx) -> None:
    assert_billed(box.row("75551710"), SALES, "PJSIP/trunk", box.legs("5551710")["trunk"][0])


def test_it_bills_a_custom_trunk_that_dials_another_route_once(box: FreePbx) -> None:
    (leg,) = box.legs("5551810")["trunk"]
    assert_billed(box.row("65551810"), SALES, "Local/from-internal", leg)
    assert box.rows("95551810") == []


def test_it_asks_again_where_a_telephone_forwards_what_a_custom_trunk_brought(box: FreePbx) -> None:
    row = box.row("95550000")
    assert (row["extension"], row["state"], row["reason"]) == (LOBBY, "refused", "no-money")
    assert box.legs("5550000") == {"trunk": [], "trunk2": []}


def test_it_bills_the_trunk_behind_one_that_is_switched_off(box: FreePbx) -> None:
    assert_billed(box.row("55551910"), SALES, "PJSIP/trunk2", box.legs("5551910")["trunk2"][0])


def test_it_bills_who_is_logged_in_to_the_telephone(box: FreePbx) -> None:
    assert_billed(box.row("95552010"), LOGGED_IN, "PJSIP/trunk", box.legs("5552010")["trunk"][0])


@ONCE
def test_it_bills_who_is_logged_in_for_whom_it_transfers(box: FreePbx) -> None:
    phone(box.pbx, "95553410", HOT_DESK, 200, refer_to="95553504", refer_after_ms=500).wait()
    wait_until(lambda: any(leg.answered for leg in box.legs("5553504")["trunk2"]), 5, "the second trunk answers")
    time.sleep(1.2)
    box.pbx.cli("channel request hangup all")
    assert_billed(closed(box, "95553410"), LOGGED_IN, "PJSIP/trunk", box.legs("5553410")["trunk"][0])
    assert_billed(closed(box, "95553504"), LOGGED_IN, "PJSIP/trunk2", box.legs("5553504")["trunk2"][0])


@pytest.mark.parametrize(("number", "payer"), [("95552110", FORWARDING), ("95552210", FORWARDING_OUTSIDERS)])
def test_it_bills_who_forwards(box: FreePbx, number: str, payer: str) -> None:
    assert_billed(box.row(number), payer, "PJSIP/trunk", box.legs(number[1:])["trunk"][0])


def test_it_bills_who_forwards_behind_a_custom_trunk(box: FreePbx) -> None:
    """What the custom trunk dials is paid; what a telephone of the house sends on from there is not."""
    assert_billed(box.row("95553810"), FORWARDING_ON, "PJSIP/trunk", box.legs("5553810")["trunk"][0])


def test_it_bills_the_trunk_after_a_custom_one_that_failed(box: FreePbx) -> None:
    assert_billed(box.row("125553910"), FORWARDING_ANEW, "PJSIP/trunk2", box.legs("5553910")["trunk2"][0])


@pytest.mark.parametrize("member", ["95552310", "95552410"], ids=["ring group", "queue"])
def test_it_bills_a_member_outside_to_who_called_in_the_house_and_never_to_who_called_in(
    box: FreePbx, member: str
) -> None:
    inside, outside = box.row(member, SALES), box.row(member, "")
    assert (inside["state"], inside["trunk"]) == ("settled", "PJSIP/trunk")
    assert (outside["reason"], outside["cost"]) == ("no-payer", "0.0000")


@pytest.mark.parametrize("number", ["95553610", "95553710"], ids=["analog port", "ISDN"])
def test_it_knows_whose_the_lines_of_dahdi_are(box: FreePbx, number: str) -> None:
    assert_billed(box.row(number), OLD_SIP, "PJSIP/trunk", box.legs(number[1:])["trunk"][0])


def test_it_does_what_they_do_at_the_answer(box: FreePbx) -> None:
    assert_billed(box.row("45552510"), SALES, "PJSIP/trunk", box.legs("5552510")["trunk"][0])
    if box.box.has_macros:
        assert box.own("5552510")["music"] == "jazz"
    else:
        assert box.own("5552510")["note"].endswith("/jazz")


def test_it_bills_who_had_to_accept_and_did_not(box: FreePbx) -> None:
    (leg,) = box.legs("5552605")["trunk"]
    assert_billed(box.row("35552605"), SALES, "PJSIP/trunk", leg)
    assert not box.results["not accepted"].answered


def test_it_takes_no_argument_from_what_was_dialed(box: FreePbx) -> None:
    assert box.results["comma"].final_status == 486
    (row,) = [row for row in box.billing.calls() if row["reason"] == "bad-number"]
    assert (row["state"], row["cost"]) == ("refused", "0.0000")
    assert box.legs("5550077") == {"trunk": [], "trunk2": []}


def test_its_books_agree(box: FreePbx) -> None:
    wait_until(lambda: {row["state"] for row in box.billing.calls()}.isdisjoint({"held", "talking"}), 10)
    box.billing.assert_sound()


@ONCE
def test_it_knows_a_telephone_and_a_trunk_of_chan_sip(box: FreePbx) -> None:
    if box.pbx.version > 16:
        assert "0 modules loaded" in box.pbx.cli("module show like chan_sip"), "it is gone since Asterisk 21"
        return
    other_port = SimpleNamespace(sipp_folder=box.pbx.sipp_folder, address=box.pbx.address, sip_port=box.sip_port)
    phone(other_port, "25552710", LOBBY, HANGS_UP_MS).wait()  # type: ignore[arg-type]
    row = closed(box, "25552710")
    assert_billed(row, OLD_SIP, "SIP/carrier", box.legs("5552710")["trunk"][0])
    assert row["device"] == f"SIP/{OLD_SIP}"


@ONCE
def test_it_knows_another_box_that_calls_by_iax2(box: FreePbx) -> None:
    box.pbx.cli(f"channel originate IAX2/{OTHER_BOX}/95552810 application Wait 1.4")
    row = closed(box, "95552810")
    assert_billed(row, OTHER_BOX, "PJSIP/trunk", box.legs("5552810")["trunk"][0])
    assert row["device"] == f"IAX2/{OTHER_BOX}"


@ONCE
def test_it_goes_on_where_they_would_while_billing_hangs(box: FreePbx) -> None:
    box.billing.do("setting", "set", "when_billing_is_down", "allow")
    told(box, "95552901")
    box.billing.send(signal.SIGSTOP)
    calls = [box.dial("95553010"), box.dial("95553104"), box.dial("95553201")]
    plain, failover, busy = (call.wait() for call in calls)
    box.pbx.wait_idle()
    box.billing.send(signal.SIGCONT)
    told(box, "95552901")
    assert (plain.answered, failover.answered, busy.final_status) == (True, True, 486)
    assert box.own("5553201")["gave-up"] == "busy"
    for number, trunk in (("95553010", "trunk"), ("95553104", "trunk2")):
        row = wait_until(lambda number=number: settled(box, number), 10, "it is charged late")  # type: ignore[misc]
        assert (row["extension"], row["trunk"], row["reason"]) == (SALES, f"PJSIP/{trunk}", "billing-down")
        assert steps(row["cost"]) == 100 * row["talk_seconds"] > 0


@AS_MACRO_AND_AS_GOSUB
def test_it_asks_about_where_an_emergency_call_is_sent_on_to(box: FreePbx) -> None:
    """The route's mark stays on the caller's channel, which the far end of the emergency call sends on."""
    for emergency, number in (("93310", "95554010"), ("911", "95554110")):
        call = phone(box.pbx, emergency, SALES, 4_000)
        call.wait_answered()
        caller, trunk = box.pbx.channel_of(f"PJSIP/{SALES}"), box.pbx.channel_of("PJSIP/trunk")
        box.pbx.cli(f"dialplan set chanvar {caller} BLINDTRANSFER {trunk}")
        box.pbx.cli(f"channel redirect {caller} from-internal-xfer,{number},1")
        call.wait()
        assert_billed(closed(box, number), SALES, "PJSIP/trunk", box.legs(number[1:])["trunk"][0])


@AS_MACRO_AND_AS_GOSUB
def test_it_tries_each_trunk_of_a_route_of_emergencies_unasked(box: FreePbx) -> None:
    assert box.dial("93304").wait().answered
    assert [len(legs) for legs in box.legs("93304").values()] == [1, 1]
    assert box.rows("93304") == []


@AS_MACRO_AND_AS_GOSUB
def test_it_is_called_at_the_end_of_an_administrators_own_hook(box: FreePbx) -> None:
    etc = box.pbx.folder / "etc"
    custom = etc / "extensions_custom.conf"
    custom.write_text(OWN_HOOK + custom.read_text())
    box.billing.do("pbx", "install", "--etc", str(etc))
    _faults(box)
    box.dial("95553310").wait()
    assert_billed(closed(box, "95553310"), SALES, "PJSIP/trunk", box.legs("005553310")["trunk"][0])
    assert box.pbx.db("own/lost") is None


def told(box: FreePbx, number: str) -> None:
    """A call with which the dialplan and billing hear of each other."""
    box.dial(number).wait()
    box.pbx.wait_idle()
    time.sleep(0.3)


def settled(box: FreePbx, number: str) -> dict[str, Any] | None:
    return next((r for r in box.billing.calls() if r["number"] == number and r["state"] == "settled"), None)


def closed(box: FreePbx, number: str) -> dict[str, Any]:
    """The row of a call that ends in a moment."""
    return wait_until(lambda: settled(box, number), 10, f"{number} is settled")
