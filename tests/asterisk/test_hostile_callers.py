"""Phones and outside callers that write lines into what Asterisk asks: Asterisk hands them on as they stand."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.asterisk.billing import LOBBY, SALES, BilledPbx, answered, assert_billed, balance, close
from tests.asterisk.waiting import wait_until

pytestmark = pytest.mark.usefixtures("sound")

FORGED_SETTLE = (
    "\r\nagi_network_script: settle\r\nagi_arg_1: id=7"
    f"\r\nagi_arg_2: record=PJSIP/{LOBBY}|95550005|T|1795226171.484|passed|1795226171.484|1795229171.484|16|1|1"
)
FORGED_PAYER = f"\r\nagi_arg_1: id=7\r\nagi_arg_2: payer={LOBBY}"
ENDS = ["", "\r\n\r\n", "\n\n"]


@pytest.mark.parametrize("forged", [FORGED_SETTLE, FORGED_PAYER])
@pytest.mark.parametrize("end", ENDS, ids=["lines", "and an end", "and a plain end"])
def test_a_dialed_number_writes_no_lines(site: BilledPbx, forged: str, end: str) -> None:
    lobby, sales, calls = balance(site, LOBBY), balance(site), len(site.billing.calls())
    result = site.phone(quote(f"95550005{forged}{end}", safe="")).wait()
    assert not result.answered
    assert site.report() == ("refused", "bad-number", "BUSY")
    site.pbx.wait_idle()
    call = wait_until(lambda: site.billing.calls()[0] if len(site.billing.calls()) > calls else None, 5)
    assert (call["state"], call["reason"], call["extension"]) == ("refused", "bad-number", SALES)
    assert (balance(site, LOBBY), balance(site)) == (lobby, sales)
    assert len(site.billing.calls()) == calls + 1


@pytest.mark.parametrize("forged", [FORGED_SETTLE, FORGED_PAYER])
@pytest.mark.parametrize("end", ENDS, ids=["lines", "and an end", "and a plain end"])
def test_an_outside_callers_number_writes_no_lines(site: BilledPbx, forged: str, end: str) -> None:
    lobby, calls = balance(site, LOBBY), len(site.billing.calls())
    answered(site.phone("95550005", "trunk", from_user=quote(f"079{forged}{end}", safe="")).wait())
    call = close(site)
    assert (call["state"], call["reason"], call["extension"], call["cost"]) == ("settled", "no-payer", "", "0.0000")
    assert balance(site, LOBBY) == lobby
    assert len(site.billing.calls()) == calls + 1


def test_it_still_bills_after_them(site: BilledPbx) -> None:
    before = balance(site)
    answered(site.phone("95550010", hang_up_after_ms=2_200).wait())
    assert_billed(site, close(site), site.pbx.trunk_calls("trunk", "5550010")[-1].talk_seconds, before)
