"""docs/outbound-routes.md followed to the letter on a plain Asterisk: its routes bill, fail over, and get help."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
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
NAMES = {"@carrier": "@trunk", "@backup": "@trunk2", "@other-house": "@trunk2", "[outbound]": "[from-internal]"}


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


def test_a_refused_call_is_told_why_and_no_second_trunk_is_tried(asterisk_version: int, tmp_path: Path) -> None:
    with _followed(asterisk_version, tmp_path, "failover", "reason", "free") as (pbx, billing):
        # Three routes of the page in one: the failover has 9, the one that tells why 7, the free line 8XXX as it is.
        billing.do("extension", "set", "108", "--status", "locked")
        for dialed in ("95550001", "75550000"):
            began = time.monotonic()
            phone(pbx, dialed).wait()
            pbx.wait_idle()
            call = wait_until(lambda number=dialed: _row(billing, number, "refused"), 10)
            assert (call["reason"], call["trunk"], call["cost"]) == ("locked", "Carrier", "0.0000")
            assert (time.monotonic() - began > 2.5) == dialed.startswith("7"), "the tones of 3 s"
        assert (pbx.trunk_calls("trunk"), pbx.trunk_calls("trunk2")) == ([], [])
        phone(pbx, "8100").wait()
        pbx.wait_idle()
        (free,) = pbx.trunk_calls("trunk2")
        assert (free.number, free.answered) == ("100", True)
        assert len(billing.calls()) == 2, "a line that is meant to be free is no call of billing's"


@contextmanager
def _followed(asterisk_version: int, tmp_path: Path, *kinds: str) -> Iterator[tuple[Pbx, Billing]]:
    """A PBX with these routes of the page, after `pbx install`, in which `pbx check` finds no fault."""
    billing = Billing(tmp_path)
    billing.do("extension", "add", "108")
    billing.do("extension", "set", "108", "--billing", "on")
    routes = "".join(route(kind).replace("[from-internal]\n", "") for kind in kinds)
    first, second = routes.split("_9X.", 2)[1:]
    routes = f"exten => _9X.{first}_7X.{second}"
    dialplan = f"[globals]\nCOOVOX_AGI=agi://127.0.0.1:{billing.agi_port}\n\n[from-internal]\n{routes}"
    with Pbx(asterisk_version, dialplan) as pbx:
        etc = pbx.folder / "etc"
        billing.do("pbx", "install", "--etc", str(etc))
        reload(pbx.cli)
        assert [item for item in check(etc, pbx.cli, f"agi://127.0.0.1:{billing.agi_port}") if not item.ok] == []
        billing.start()
        yield pbx, billing
        billing.stop()


def _row(billing: Billing, number: str, state: str) -> dict[str, Any] | None:
    return next((call for call in billing.calls() if (call["number"], call["state"]) == (number, state)), None)


def _closed(billing: Billing, number: str) -> dict[str, Any] | None:
    return _row(billing, number, "settled")
