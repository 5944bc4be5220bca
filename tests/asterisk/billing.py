"""The product around a real Asterisk: a data directory, the call plane as its own process, and the shipped dialplan.

Tests talk to it as a person does, through the command line, and read its JSON.
"""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from coovox_billing.cli.main import main
from tests.asterisk.pbx import Pbx
from tests.asterisk.ports import free_port
from tests.asterisk.sip import PhoneCall, PhoneResult, phone
from tests.asterisk.waiting import wait_until
from tests.asterisk.wire import Wire

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = "extensions_coovox_billing.conf"
PYTHON_BESIDE = {16: "/usr/bin/python3"}  # Debian's own packages; the locked newest beside the others

HEADER = (
    "active,remark,prefix,number_length,initial_cost,initial_time,rate,billing_unit,start_time,end_time,days,extensions"
)
RATES = f"""{HEADER}
1,by the second,95,0,0,0,0.01,1,,,,all
1,failover by the second,85,0,0,0,0.01,1,,,,all
1,free,97,0,0,0,0,1,,,,all
1,by units,94,0,0,0,0.05,6,,,,all
"""
SALES, LOBBY, DESK = "108", "109", "100"

DIALPLAN = """
[globals]
COOVOX_AGI=agi://127.0.0.1:{agi_port}

[from-internal]
; 9 + number: one trunk. 8 + number: a second trunk if nobody answers. 7 + number: an announcement first.
exten => _9X.,1,Gosub(coovox-billing-dial,s,1(${{EXTEN}},PJSIP/${{EXTEN:1}}@trunk,30,T,Trunk 1))
 same => n,Goto(report,s,1)
exten => _8X.,1,Gosub(coovox-billing-dial,s,1(${{EXTEN}},PJSIP/${{EXTEN:1}}@trunk,30,,Trunk 1))
 same => n,GotoIf($["${{COOVOX_RESULT}}" != "unanswered"]?report,s,1)
 same => n,Gosub(coovox-billing-dial,s,1(${{EXTEN}},PJSIP/${{EXTEN:1}}@trunk2,30,,Trunk 2))
 same => n,Goto(report,s,1)
exten => _7X.,1,Answer()
 same => n,Wait(3)
 same => n,Gosub(coovox-billing-dial,s,1(9${{EXTEN:1}},PJSIP/${{EXTEN:1}}@trunk,30,g,Trunk 1))
 same => n,Goto(report,s,1)
; 6 + number: rings for 2 s. 5 + number: two trunks at once. 4 + number: options of the route's own.
exten => _6X.,1,Gosub(coovox-billing-dial,s,1(9${{EXTEN:1}},PJSIP/${{EXTEN:1}}@trunk,2,,Trunk 1))
 same => n,Goto(report,s,1)
exten => _5X.,1,Gosub(coovox-billing-dial,s,1(9${{EXTEN:1}},PJSIP/${{EXTEN:1}}@trunk&PJSIP/${{EXTEN:1}}@trunk2,9,,Both))
 same => n,Goto(report,s,1)
exten => _4X.,1,Set(OPTIONS=b(own-before^s^1(x))U(own-answer^a^b)L(3000)g)
 same => n,Gosub(coovox-billing-dial,s,1(9${{EXTEN:1}},PJSIP/${{EXTEN:1}}@trunk,30,${{OPTIONS}},Trunk 1))
 same => n,Goto(report,s,1)
; 3 + number: a route with fewer arguments. 2 + number: through a Local channel. 1 + number: the lobby pays.
exten => _3X.,1,Gosub(coovox-billing-dial,s,1(${{EXTEN:1}},PJSIP/${{EXTEN:1}}@trunk,9))
 same => n,Goto(report,s,1)
exten => _2X.,1,Set(__COOVOX_ORIGIN=${{CHANNEL(name)}})
 same => n,Dial(Local/9${{EXTEN:1}}@from-internal,30)
exten => _15X.,1,Set(COOVOX_PAYER=109)
 same => n,Gosub(coovox-billing-dial,s,1(9${{EXTEN:1}},PJSIP/${{EXTEN:1}}@trunk,30,,Trunk 1))
 same => n,Goto(report,s,1)
; 0 + extension + number: that extension pays.
exten => _0XXX9X.,1,Set(COOVOX_PAYER=${{EXTEN:1:3}})
 same => n,Gosub(coovox-billing-dial,s,1(${{EXTEN:4}},PJSIP/${{EXTEN:5}}@trunk,30,,Trunk 1))
 same => n,Goto(report,s,1)
exten => echo,1,Answer()
 same => n,Wait(60)
exten => 911,1,Gosub(coovox-billing-dial,s,1(911,PJSIP/91100@trunk,30,,Trunk 1))
 same => n,Goto(report,s,1)

[own-before]
exten => s,1,Set(DB(own/before)=${{ARG1}})
 same => n,Return()
[own-answer]
exten => s,1,Set(DB(own/answer)=${{ARG1}}-${{ARG2}}-${{ARG3}})
 same => n,Return()

[report]
exten => s,1,Set(DB(report/result)=${{COOVOX_RESULT}}|${{COOVOX_REASON}}|${{DIALSTATUS}})
 same => n,Hangup(${{IF($["${{COOVOX_RESULT}}" = "refused"]?17:16)}})

[from-trunk]
exten => _10X,1,Dial(PJSIP/${{EXTEN}},30)
exten => _9X.,1,Goto(from-internal,${{EXTEN}},1)

#include {shipped}
"""


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    status: int
    out: str
    err: str


class Billing:
    """A site's data directory, its command line and its call plane."""

    def __init__(self, folder: Path, python: str = sys.executable) -> None:
        self.python = python
        self.data = folder / "data"
        self.agi_host, self.agi_port = "127.0.0.1", free_port()
        self.ami = ""
        self._plane: subprocess.Popen[bytes] | None = None
        self._log = folder / "calls.log"
        self.do("activation", "on")

    def run(self, *arguments: str) -> Said:
        """One command, whatever it answers. In this process, which is quicker; the call plane has its own."""
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            status = main(["--data", str(self.data), *arguments])
        return Said(status, out.getvalue(), err.getvalue())

    def do(self, *arguments: str) -> str:
        """One command that must succeed; its output."""
        result = self.run(*arguments)
        assert result.status == 0, f"{arguments}: {result.err}"
        return result.out

    def read(self, *arguments: str) -> Any:
        """What a listing command prints as JSON."""
        return json.loads(self.do(*arguments, "--json"))

    def start(self) -> None:
        """Start the call plane and wait until it listens."""
        environment = os.environ | {"COOVOX_AGI_LISTEN": f"{self.agi_host}:{self.agi_port}", "COOVOX_AMI": self.ami}
        command = [self.python, "-m", "coovox_billing", "--data", str(self.data), "calls"]
        with self._log.open("ab") as log:
            self._plane = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        wait_until(lambda: b"answering Asterisk" in self._log.read_bytes(), 10, "the call plane listens")

    @property
    def pid(self) -> int:
        """The call plane's process."""
        assert self._plane is not None
        return self._plane.pid

    def send(self, number: signal.Signals) -> None:
        """Signal the call plane."""
        assert self._plane is not None
        self._plane.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End the call plane."""
        if self._plane is not None:
            self._plane.send_signal(number)
            self._plane.wait(10)
            self._plane = None
            self._log.write_bytes(b"")

    def log(self) -> str:
        """What the call plane logged since its last start."""
        return self._log.read_text()

    def calls(self) -> list[dict[str, Any]]:
        """The call log, newest first."""
        rows: list[dict[str, Any]] = self.read("call", "list")
        return rows

    def closed_call(self) -> dict[str, Any]:
        """The newest call, once it is closed."""
        return wait_until(
            lambda: next((c for c in self.calls()[:1] if c["state"] not in ("held", "talking")), None), 10
        )

    def extension(self, number: str) -> dict[str, Any]:
        """An extension's line."""
        return next(row for row in self.read("extension", "list") if row["number"] == number)

    def assert_sound(self) -> None:
        """`audit` finds nothing, and nothing is held."""
        self.do("audit")
        assert [row["held"] for row in self.read("extension", "list") if row["held"] != "0.0000"] == []


class BilledPbx:
    """An Asterisk whose outbound routes ask this site's call plane.

    The two sets of packages are each proven beside an Asterisk of their age.
    """

    def __init__(self, version: int, folder: Path, with_ami: bool = False, dialplan: str = DIALPLAN) -> None:
        self.billing = Billing(folder, PYTHON_BESIDE.get(version, sys.executable))
        dialplan = dialplan.format(agi_port=self.billing.agi_port, shipped=SHIPPED)
        self.pbx = Pbx(version, dialplan, {SHIPPED: ROOT / "asterisk" / SHIPPED})
        self.wire: Wire | None = None
        if with_ami:
            self._add_manager_user()

    def __enter__(self) -> BilledPbx:
        self.billing.do("extension", "list")
        self.billing.start()
        self.pbx.start()
        if self.wire:
            self.wire.__enter__()
            self.wait_for_ami()
        return self

    def __exit__(self, *_: object) -> None:
        self.pbx.close()
        self.billing.stop(signal.SIGKILL)
        if self.wire:
            self.wire.__exit__(None, None, None)

    def wait_for_ami(self) -> None:
        """Until the call plane is signed in to Asterisk's manager."""
        wait_until(lambda: "signed in to Asterisk's manager" in self.billing.log(), 15, "the call plane signs in")

    def _add_manager_user(self) -> None:
        """The shipped user with what it may do and no more."""
        user = (ROOT / "asterisk" / "manager_coovox_billing.conf").read_text().replace("@SECRET@", "a secret: 1@2")
        with (self.pbx.folder / "etc" / "manager.conf").open("a") as host:
            host.write(user)
        self.wire = Wire(self.pbx.ami_port)
        self.billing.ami = f"coovox-billing:a secret: 1@2@127.0.0.1:{self.wire.port}"

    def phone(self, number: str, extension: str = "108", **options: Any) -> PhoneCall:
        """A telephone dials."""
        return phone(self.pbx, number, extension, **options)

    def report(self) -> tuple[str, str, str]:
        """COOVOX_RESULT, COOVOX_REASON and DIALSTATUS of the last call whose dialplan went on."""
        text = wait_until(lambda: self.pbx.db("report/result"), 10, "the dialplan reports")
        result, reason, dial_status = text.split("|")
        return result, reason, dial_status

    def forget_report(self) -> None:
        """Make ready for the next call's report."""
        self.pbx.cli("database del report result")


def top_up(billing: Billing, extension: str, ledger_steps: int) -> None:
    """Bring the balance up to so many 1/10,000."""
    missing = ledger_steps - steps(billing.extension(extension)["balance"])
    if missing > 0:
        billing.do("recharge", extension, f"{missing / 10_000:.4f}")


def steps(amount: str) -> int:
    return round(float(amount) * 10_000)


def balance(site: BilledPbx, extension: str = SALES) -> int:
    return steps(site.billing.extension(extension)["balance"])


def close(site: BilledPbx) -> dict[str, Any]:
    """The call's row, once all hangup handlers ran and it is closed."""
    site.pbx.wait_idle()
    return site.billing.closed_call()


def assert_billed(site: BilledPbx, call: dict[str, Any], leg_seconds: float | None, before: int) -> None:
    """A cent for each whole second that the trunk's own messages show."""
    assert leg_seconds is not None
    assert call["state"] == "settled"
    assert call["talk_seconds"] == pytest.approx(leg_seconds, abs=1)
    assert steps(call["cost"]) == call["talk_seconds"] * 100
    assert balance(site) == before - steps(call["cost"])
    assert call["uncollected"] == "0.0000"


def answered(result: PhoneResult) -> float | None:
    assert result.answered, result.messages
    return result.talk_seconds


def nudge(site: BilledPbx) -> None:
    """One more call, with which the call plane hears of what the dialplan left; returns when that is booked."""
    site.phone("95550001").wait()
    close(site)
    wait_until(lambda: not left(site), 10, "what the dialplan left to be booked")


def left(site: BilledPbx) -> list[str]:
    """The keys of what the dialplan left and nobody has booked yet."""
    return [key for key in site.pbx.db_tree("coovox_billing") if "/left/" in key]
