"""The site of the soak: a real Asterisk, `serve` with both planes, the manager behind a wire that can be cut.

What billing needs in Asterisk is put there by `pbx install`, as a person would.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from coovox_billing.pbx.install import install
from coovox_billing.pbx.parts import AMI_FILE, AMI_USER, secret_in
from tests.asterisk import processes
from tests.asterisk.billing import HEADER, PYTHON_BESIDE, ROOT, Billing
from tests.asterisk.pbx import Pbx
from tests.asterisk.ports import free_port
from tests.asterisk.waiting import wait_until
from tests.asterisk.wire import Wire

PLANES = ("calls", "web")
UP_SECONDS = 30.0
BILLED = ("100", "101", "102", "105", "108", "109")
FREE, LOCKED = "103", "104"
POOR = tuple(str(number) for number in range(201, 207))
BROKE = "299"
OFTEN_CENTS = 500_00

# By a number's first digit behind the route's: cents of initial cost, its seconds, cents of a unit, its seconds.
TARIFFS = {"5": (0, 0, 1, 1), "4": (0, 0, 5, 6), "3": (10, 3, 2, 2), "7": (0, 0, 0, 1)}
NO_RATE = "6"

DIALPLAN = """
[globals]
COOVOX_AGI=agi://127.0.0.1:{agi_port}

[from-internal]
; 9 + number: one trunk. 8 + number: a second trunk if nobody answers. 0 + extension + number: that extension pays.
exten => _9XXX.,1,Gosub(coovox-billing-dial,s,1(${{EXTEN}},PJSIP/${{EXTEN:1}}@trunk,5,T,Trunk 1))
 same => n,Hangup(${{IF($["${{COOVOX_RESULT}}" = "refused"]?17:16)}})
exten => _8X.,1,Gosub(coovox-billing-dial,s,1(${{EXTEN}},PJSIP/${{EXTEN:1}}@trunk,2,,Trunk 1))
 same => n,GotoIf($["${{COOVOX_RESULT}}" != "unanswered"]?out)
 same => n,Gosub(coovox-billing-dial,s,1(${{EXTEN}},PJSIP/${{EXTEN:1}}@trunk2,5,,Trunk 2))
 same => n(out),Hangup(17)
exten => _0XXX9X.,1,Set(COOVOX_PAYER=${{EXTEN:1:3}})
 same => n,Gosub(coovox-billing-dial,s,1(${{EXTEN:4}},PJSIP/${{EXTEN:5}}@trunk,5,,Trunk 1))
 same => n,Hangup(17)
exten => 911,1,Gosub(coovox-billing-dial,s,1(911,PJSIP/91100@trunk,5,,Trunk 1))
 same => n,Hangup(17)
exten => _10X,1,Dial(PJSIP/${{EXTEN}},5,tT)

[from-trunk]
exten => _9X.,1,Goto(from-internal,${{EXTEN}},1)
exten => _10X,1,Goto(from-internal,${{EXTEN}},1)
"""


class Serving(Billing):
    """A site whose two planes are children of `serve`, as on an appliance without systemd."""

    def __init__(self, folder: Path, python: str) -> None:
        super().__init__(folder, python)
        self.asterisk_log = ""
        self._web_port = free_port()

    def start(self) -> None:
        """Start `serve`, and wait for both planes."""
        settings = {
            "COOVOX_AGI_LISTEN": f"127.0.0.1:{self.agi_port}",
            "COOVOX_WEB_LISTEN": f"127.0.0.1:{self._web_port}",
            "COOVOX_AMI": self.ami,
            "COOVOX_ASTERISK_LOG": self.asterisk_log,
        }
        environment = [f"{name}={value}" for name, value in settings.items()]
        program = [self.python, "-m", "coovox_billing", "--data", str(self.data), "serve"]
        self._plane = processes.start(["env", *environment, *program], ROOT, self._log)
        wait_until(lambda: all(self.pid_of(name) for name in PLANES), UP_SECONDS, "both planes to be started")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End `serve`; its planes must end by themselves, whatever killed it."""
        if self._plane is None:
            return
        planes = [pid for pid in map(self.pid_of, PLANES) if pid]
        self._plane.send_signal(number)
        self._plane.wait(UP_SECONDS)
        processes.forget(self._plane)
        self._plane = None
        wait_until(lambda: not any(map(_lives, planes)), UP_SECONDS, "the planes to end after their parent")

    def pid_of(self, plane: str) -> int:
        """The process of a plane; 0 while there is none."""
        assert self._plane is not None
        children = Path(f"/proc/{self._plane.pid}/task/{self._plane.pid}/children")
        for child in children.read_text().split():
            if _arguments(int(child))[-1:] == [plane] and _lives(int(child)):
                return int(child)
        return 0

    def signal_plane(self, plane: str, number: signal.Signals) -> int:
        """Signal a plane, once it is there; its process."""
        pid = wait_until(lambda: self.pid_of(plane), UP_SECONDS, f"the {plane} plane")
        os.kill(pid, number)
        return pid

    def times_signed_in(self) -> int:
        """How often a call plane has signed in to Asterisk's manager."""
        return self.log().count("signed in to Asterisk's manager")


class Office:
    """`with Office(22, folder) as office:` has extensions, rates, and everything running."""

    def __init__(self, version: int, folder: Path) -> None:
        self.billing = Serving(folder, PYTHON_BESIDE.get(version, sys.executable))
        self.pbx = Pbx(version, DIALPLAN.format(agi_port=self.billing.agi_port))
        self.wire = Wire(self.pbx.ami_port)
        self._folder = folder
        self._install()

    def __enter__(self) -> Self:
        self._furnish()
        self.wire.__enter__()
        self.pbx.start()
        self.billing.start()
        self.wait_signed_in(0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.pbx.close()
        self.billing.stop()
        self.wire.__exit__(None, None, None)

    def wait_signed_in(self, times_before: int) -> None:
        """Until a call plane has signed in to the manager once more than so often."""
        wait_until(lambda: self.billing.times_signed_in() > times_before, UP_SECONDS, "the call plane signs in")

    def _install(self) -> None:
        etc = self.pbx.folder / "etc"
        install(etc)
        secret = secret_in((etc / AMI_FILE).read_bytes())
        self.billing.ami = f"{AMI_USER}:{secret}@127.0.0.1:{self.wire.port}"
        self.billing.asterisk_log = str(self.pbx.folder / "log")
        # Who hangs up does so in the middle of a second, where some milliseconds change no charge.
        far_end = self.pbx.sipp_folder / "trunk.xml"
        far_end.write_text(far_end.read_text().replace('timeout="3000"', 'timeout="3500"'))

    def _furnish(self) -> None:
        do = self.billing.do
        for extension in (*BILLED, FREE, LOCKED, *POOR, BROKE):
            do("extension", "add", extension)
        for extension in (*BILLED, LOCKED, *POOR, BROKE):
            do("extension", "set", extension, "--billing", "on")
        for extension in BILLED:
            do("recharge", extension, f"{OFTEN_CENTS / 100:.2f}")
        do("extension", "set", LOCKED, "--status", "locked")
        do("setting", "set", "when_billing_is_down", "allow")
        do("setting", "set", "grace_seconds", "20")
        do("setting", "set", "warning_seconds", "0")
        rates = self._folder / "rates.csv"
        rates.write_text("\n".join([HEADER, *_rates()]) + "\n")
        do("rate", "import", str(rates))


def _rates() -> list[str]:
    rows = []
    for route in "98":
        for digit, (initial, initial_seconds, unit_cents, unit_seconds) in TARIFFS.items():
            prices = f"{initial / 100},{initial_seconds},{unit_cents / 100},{unit_seconds}"
            rows.append(f"1,tariff {route}{digit},{route}{digit},0,{prices},,,,all")
    return rows


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _arguments(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]
    except OSError:
        return []
