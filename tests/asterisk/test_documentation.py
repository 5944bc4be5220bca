"""docs/outbound-routes.md followed to the letter on a plain Asterisk: its routes bill, fail over, and get help."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from coovox_billing.pbx.check import check
from coovox_billing.pbx.console import reload
from tests.asterisk.billing import ROOT, Billing
from tests.asterisk.pbx import Pbx
from tests.asterisk.sip import phone
from tests.asterisk.waiting import wait_until
from tests.house.test_documentation import blocks

PAGE = ROOT / "docs/outbound-routes.md"
GUIDE_RATE = (
    (ROOT / "docs/first-rate.md").read_text().partition("```csv\n")[2].partition("```")[0].replace(",9,9,", ",9,0,")
)
# The guide's trunks as the tests' far ends are called, and its context as the tests' telephones know it.
NAMES = {"@carrier": "@trunk", "@backup": "@trunk2", "[outbound]": "[from-internal]"}


def route(kind: str) -> str:
    (block,) = blocks(PAGE, kind)
    return re.sub("|".join(map(re.escape, NAMES)), lambda match: NAMES[match[0]], block)


@pytest.mark.parametrize(
    ("kind", "calls"),
    [
        ("after", [("95550000", "Carrier", ""), ("911", "Carrier", "emergency")]),
        ("failover", [("95550001", "Backup", "")]),
    ],
)
def test_its_routes_do_what_the_page_says(
    asterisk_version: int, tmp_path: Path, kind: str, calls: list[tuple[str, str, str]]
) -> None:
    billing = Billing(tmp_path)
    rates = tmp_path / "rates.csv"
    rates.write_text(GUIDE_RATE)
    for command in (
        ("extension", "add", "108"),
        ("extension", "set", "108", "--billing", "on"),
        ("recharge", "108", "10"),
        ("rate", "import", str(rates)),
    ):
        billing.do(*command)
    dialplan = f"[globals]\nCOOVOX_AGI=agi://127.0.0.1:{billing.agi_port}\n\n{route(kind)}"
    with Pbx(asterisk_version, dialplan) as pbx:
        etc = pbx.folder / "etc"
        billing.do("pbx", "install", "--etc", str(etc))
        reload(pbx.cli)
        assert [item for item in check(etc, pbx.cli, f"agi://127.0.0.1:{billing.agi_port}") if not item.ok] == []
        billing.start()
        for dialed, trunk, reason in calls:
            phone(pbx, dialed).wait()
            pbx.wait_idle()
            call = wait_until(lambda number=dialed: _closed(billing, number), 10)
            assert (call["state"], call["trunk"], call["reason"]) == ("settled", trunk, reason)
            assert (call["cost"] == "0.0000") == bool(reason)
            assert f"call {call['id']} ended: 108 (PJSIP/108) and {dialed} over {trunk}, " in billing.log()
            assert reason or f"call {call['id']} asked: 108 (PJSIP/108) dials {dialed} over Carrier: " in billing.log()
        assert len(billing.calls()) == len(calls)
        billing.stop()


def _closed(billing: Billing, number: str) -> dict[str, Any] | None:
    return next((call for call in billing.calls() if (call["number"], call["state"]) == (number, "settled")), None)
