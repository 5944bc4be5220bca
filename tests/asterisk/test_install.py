"""`pbx install` on a plain Asterisk: the README's own route is billed, and `pbx check` finds no fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from coovox_billing.errors import SetupError
from coovox_billing.pbx.check import check
from coovox_billing.pbx.console import reload
from coovox_billing.pbx.install import install
from tests.asterisk.billing import ROOT, Billing
from tests.asterisk.pbx import Pbx
from tests.asterisk.sip import phone

README_ROUTE = (ROOT / "README.md").read_text().partition("exten => _9X.,1,Gosub")[2].partition("```")[0]
DIALPLAN = """
[globals]
COOVOX_AGI=agi://127.0.0.1:{agi_port}

[from-internal]
exten => _9X.,1,Gosub{route}
"""
GUIDE_RATE = (
    "active,remark,prefix,number_length,initial_cost,initial_time,rate,billing_unit,start_time,end_time,days,extensions\n"
    "1,City,9,0,0.1,60,0.02,55,,,,all\n"
)


def test_it_bills_the_readmes_route_after_pbx_install(asterisk_version: int, tmp_path: Path) -> None:
    billing = Billing(tmp_path)
    rates = tmp_path / "rates.csv"
    rates.write_text(GUIDE_RATE)
    for command in (
        ("extension", "add", "108", "--name", "Reception"),
        ("extension", "set", "108", "--billing", "on"),
        ("recharge", "108", "10"),
        ("rate", "import", str(rates)),
    ):
        billing.do(*command)
    route = README_ROUTE.replace("@carrier", "@trunk")
    assert "coovox-billing-dial" in route
    with Pbx(asterisk_version, DIALPLAN.format(agi_port=billing.agi_port, route=route)) as pbx:
        etc, agi = pbx.folder / "etc", f"agi://127.0.0.1:{billing.agi_port}"
        before = (etc / "extensions.conf").read_bytes()
        billing.do("pbx", "install", "--etc", str(etc))
        reload(pbx.cli)
        faults = [item for item in check(etc, pbx.cli, agi) if not item.ok]
        assert faults == []
        billing.start()
        phone(pbx, "95550000").wait()
        pbx.wait_idle()
        call = billing.closed_call()
        billing.stop()
        assert (call["state"], call["cost"], call["trunk"]) == ("settled", "0.1000", "Carrier")
        removed = billing.run("pbx", "remove", "--etc", str(etc))
        assert (removed.status, "coovox-billing-dial" in removed.out) == (0, True), "the route is named"
        assert (etc / "extensions.conf").read_bytes() == before


def test_the_readmes_route_goes_on_dialing_when_billing_is_gone(asterisk_version: int, tmp_path: Path) -> None:
    billing = Billing(tmp_path)
    route = README_ROUTE.replace("@carrier", "@trunk")
    with Pbx(asterisk_version, DIALPLAN.format(agi_port=billing.agi_port, route=route)) as pbx:
        etc = pbx.folder / "etc"
        billing.do("pbx", "install", "--etc", str(etc))
        reload(pbx.cli)
        billing.do("pbx", "remove", "--let-calls-pass", "--etc", str(etc))
        reload(pbx.cli)
        phone(pbx, "95550000").wait()
        pbx.wait_idle()
        (leg,) = pbx.trunk_calls()
        assert leg.answered


def test_it_says_so_where_asterisk_does_not_run(tmp_path: Path) -> None:
    def silent(command: str) -> str:
        raise SetupError("Asterisk does not answer")

    (tmp_path / "extensions.conf").write_text("[general]\n")
    install(tmp_path)
    assert any("does not answer" in item.message for item in check(tmp_path, silent) if not item.ok)
    with pytest.raises(SetupError):
        reload(silent)
