"""`doctor` beside a real Asterisk: nothing to say of a healthy box, and each misconfiguration of it is found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from coovox_billing.cli.checks import machine, site
from coovox_billing.cli.checks.asterisk import PROMPTS
from coovox_billing.errors import SetupError
from coovox_billing.pbx import console
from coovox_billing.pbx.console import reload
from coovox_billing.pbx.dialplan_check import read_bytes
from coovox_billing.pbx.parts import secret_in
from tests.asterisk.billing import RATES, ROOT, Billing
from tests.asterisk.pbx import Pbx
from tests.asterisk.ports import free_port
from tests.asterisk.sip import phone
from tests.asterisk.waiting import wait_until
from tests.cli.test_doctor_finds import knowing_the_machine

DIALPLAN = """
[globals]
COOVOX_AGI=agi://localhost:{agi_port}

[from-internal]
exten => 911,1,Gosub(coovox-billing-dial,s,1(${{EXTEN}},PJSIP/${{EXTEN}}@trunk,60,,Carrier))
exten => 112,1,Gosub(coovox-billing-dial,s,1(${{EXTEN}},PJSIP/${{EXTEN}}@trunk,60,,Carrier))
exten => _9X.,1,Gosub(coovox-billing-dial,s,1(${{EXTEN}},PJSIP/${{EXTEN:1}}@trunk,60,T,Carrier))
 same => n,Hangup()
exten => _1XX,1,Dial(PJSIP/${{EXTEN}},20)
"""


class Box:
    """A box with everything in its place: Asterisk, both planes, manager, CEL file, extensions and rates."""

    def __init__(self, pbx: Pbx, billing: Billing, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pbx, self.billing = pbx, billing
        self.etc = pbx.folder / "etc"
        self.web_port = free_port()
        self.patch = monkeypatch
        self.settings = {
            "COOVOX_AGI_LISTEN": f"127.0.0.1:{billing.agi_port}",
            "COOVOX_WEB_LISTEN": f"127.0.0.1:{self.web_port}",
            "COOVOX_ASTERISK_LOG": str(pbx.folder / "log"),
        }

    def install(self) -> None:
        self.billing.do("pbx", "install", "--etc", str(self.etc))
        reload(self.pbx.cli)
        secret = secret_in(read_bytes(self.etc / "manager_coovox_billing.conf"))
        self.billing.ami = f"coovox-billing:{secret}@127.0.0.1:{self.pbx.ami_port}"
        for name, value in (self.settings | {"COOVOX_AMI": self.billing.ami}).items():
            self.patch.setenv(name, value)

    def ask(self, command: str) -> str:
        """Asterisk's console, which says so where there is none."""
        if not self.pbx.running:
            raise SetupError("Asterisk does not run, or not for this user: start it, or use sudo")
        return self.pbx.cli(command)

    def diagnoses(self) -> list[dict[str, Any]]:
        """All that is no plain *ok*."""
        rows = json.loads(self.billing.run("doctor", "--json", "--etc", str(self.etc)).out)
        return [row for row in rows if row["what_to_do"]]

    def change(self, name: str, before: str, after: str, *commands: str) -> None:
        """Edit a file of Asterisk's."""
        path = self.etc / name
        text = path.read_text()
        assert before in text
        path.write_text(text.replace(before, after))
        for command in commands:
            self.pbx.cli(command)


@contextmanager
def serving_pages(box: Box) -> Iterator[None]:
    command = [sys.executable, "-m", "coovox_billing", "--data", str(box.billing.data), "web"]
    log = box.billing.data.parent / "web.log"
    with log.open("wb") as file, subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=file) as process:
        try:
            wait_until(lambda: b"pages on" in log.read_bytes(), 15)
            yield
        finally:
            process.kill()


def add_bypass(box: Box) -> None:
    route = "\nexten => _8X.,1,NoOp()\n same => n,Dial(PJSIP/${EXTEN:1}@trunk2,30)\n"
    with (box.etc / "extensions.conf").open("a") as file:
        file.write(f"\n[backdoor]{route}")


def cut_emergencies(box: Box) -> None:
    box.change("extensions.conf", "exten => 911,1,", "exten => 9119,1,")


def ask_elsewhere(box: Box) -> None:
    box.change("extensions.conf", "COOVOX_AGI=agi://localhost", "COOVOX_AGI=agi://10.9.9.9")


def ask_elsewhere_now(box: Box) -> None:
    box.pbx.cli("dialplan set global COOVOX_AGI agi://10.9.9.9:1")


def age_the_dialplan(box: Box) -> None:
    """As after an upgrade without a reload: what runs is older than the file."""
    path = box.etc / "extensions_coovox_billing.conf"
    newest = path.read_bytes()
    box.change(path.name, "Set(LOCAL(guard)=", "Set(LOCAL(old)=", "dialplan reload")
    path.write_bytes(newest)


def copy_an_old_dialplan(box: Box) -> None:
    with (box.etc / "extensions.conf").open("a") as file:
        file.write("\n[coovox-billing-settle]\nexten => s,1,Return()\n")


def lose_the_include(box: Box) -> None:
    box.change("extensions.conf", "#include extensions_coovox_billing.conf", ";")


def disarm_the_user(box: Box) -> None:
    box.change("manager_coovox_billing.conf", "write = system,call,originate", "write = call", "manager reload")


def deafen_the_user(box: Box) -> None:
    box.change("manager_coovox_billing.conf", "read = system,call,user", "read = system", "manager reload")


def mistake_the_secret(box: Box) -> None:
    box.patch.setenv("COOVOX_AMI", box.billing.ami.replace("coovox-billing:", "coovox-billing:x"))


def unload_cel(box: Box) -> None:
    box.pbx.cli("module unload cel_custom.so")


def forget_an_extension(box: Box) -> None:
    path = box.etc / "pjsip.conf"
    # A telephone of its own, told to Asterisk alone.
    path.write_text(path.read_text() + "\n[177]\ntype=endpoint\ncontext=from-internal\ndisallow=all\nallow=alaw\n")
    box.pbx.cli("module reload res_pjsip.so")


def misspell_a_trunk(box: Box) -> None:
    box.change("extensions.conf", "PJSIP/${EXTEN:1}@trunk,60", "PJSIP/${EXTEN:1}@trunc,60")


def stop_asterisk(box: Box) -> None:
    box.pbx.stop()


STORIES: list[tuple[Callable[[Box], None], str, str, str]] = [
    (add_bypass, "pbx: route", "([backdoor] _8X., priority 2) dials PJSIP/trunk2 without billing", "put Gosub("),
    (cut_emergencies, "pbx: emergency", "who dials the emergency number 911 is sent out as 11", "exten => 911,1,"),
    (ask_elsewhere, "pbx: AGI address", "the dialplan asks agi://10.9.9.9", "put COOVOX_AGI=agi://127.0.0.1"),
    (ask_elsewhere_now, "pbx: AGI address running", "asks agi://10.9.9.9:1", "dialplan set global COOVOX_AGI"),
    (age_the_dialplan, "pbx: dialplan loaded", "has other lines in coovox-billing-dial", "dialplan reload"),
    (copy_an_old_dialplan, "pbx: dialplan shadowed", "has a [coovox-billing-settle] of its own", "take that context"),
    (lose_the_include, "pbx: dialplan include", "does not include", "pbx install --etc"),
    (disarm_the_user, "manager", "does not let it do", "write = system,call,originate"),
    (deafen_the_user, "pbx: AMI user loaded", "may not user (read)", "pbx install --reload"),
    (mistake_the_secret, "manager", "refuses coovox-billing: Authentication failed", "manager.conf or the setting ami"),
    (unload_cel, "pbx: module cel_custom", "has not loaded cel_custom", "module load cel_custom.so"),
    (misspell_a_trunk, "trunk PJSIP/trunc", "which Asterisk does not know", "Correct its name in that route"),
    (forget_an_extension, "devices", "177 (PJSIP/177)", "extension sync --dry-run"),
]


def test_it_has_nothing_to_say_of_a_healthy_box_and_finds_each_fault(
    asterisk_version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "is_clock_kept", lambda: True)
    monkeypatch.setattr(machine, "machine_zone", lambda: "UTC")
    monkeypatch.setattr(site, "open_licensing", knowing_the_machine(site.open_licensing))
    billing = Billing(tmp_path)
    billing.do("setting", "set", "time_zone", "UTC")
    billing.do("setting", "set", "backup_at", "03:00")
    rates = tmp_path / "rates.csv"
    rates.write_text(RATES)
    billing.do("rate", "import", str(rates))
    for trunk in ("PJSIP/trunk", "PJSIP/trunk2"):
        billing.do("trunk", "add", trunk)
    with Pbx(asterisk_version, DIALPLAN.format(agi_port=billing.agi_port)) as pbx:
        box = Box(pbx, billing, monkeypatch)
        monkeypatch.setattr(console, "find_asterisk_cli", lambda _: box.ask)
        box.install()
        sounds = pbx.folder / "share/sounds/en"
        sounds.mkdir(parents=True, exist_ok=True)
        for name in PROMPTS:
            (sounds / f"{name}.gsm").touch()
        billing.start()
        billing.do("extension", "sync")
        billing.do("extension", "set", "108", "--billing", "on")
        billing.do("recharge", "108", "10")
        with serving_pages(box):
            wait_until(lambda: "signed in" in billing.log(), 15)
            phone(pbx, "95550000").wait()
            pbx.wait_idle()
            assert billing.closed_call()["state"] == "settled"
            assert box.diagnoses() == []
            kept = {path: path.read_bytes() for path in box.etc.iterdir() if path.is_file()}
            for harm, name, finding, advice in STORIES:
                harm(box)
                told = box.diagnoses()
                fitting = [row for row in told if row["name"] == name and finding in row["finding"]]
                assert fitting, (harm.__name__, told)
                assert advice in fitting[0]["what_to_do"], (harm.__name__, fitting)
                repair(box, kept)
            assert box.diagnoses() == []
            stop_asterisk(box)
            names = {row["name"]: row["finding"] for row in box.diagnoses()}
            assert "nothing answers at" in names["manager"]
            assert "was not looked at" in names["pbx: Asterisk"]
        billing.stop()


def repair(box: Box, kept: dict[Path, bytes]) -> None:
    for path, data in kept.items():
        if path.read_bytes() != data:
            path.write_bytes(data)
    os.environ["COOVOX_AMI"] = box.billing.ami
    for command in (
        f"dialplan set global COOVOX_AGI agi://127.0.0.1:{box.billing.agi_port}",
        "dialplan reload",
        "manager reload",
        "module load cel_custom.so",
        "module reload cel",
        "module reload cel_custom.so",
        "module reload res_pjsip.so",
    ):
        box.pbx.cli(command)
