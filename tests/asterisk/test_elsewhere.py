"""docs/freepbx.md, *Where there is no package*: billing on a machine of its own, beside an Asterisk on another.

Billing runs in a network of its own, joined to Asterisk's by a wire: neither reaches the other's loopback.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import pytest

from tests import freepbx_box
from tests.asterisk.billing import HEADER, ROOT, Billing
from tests.asterisk.pbx import Pbx
from tests.asterisk.sip import phone
from tests.asterisk.test_freepbx import modules_of
from tests.asterisk.waiting import wait_until
from tests.freepbx_box import FREEPBX_16, FREEPBX_17

NAME = f"coovox{os.getpid()}"
ROUTE = """
[globals]
#tryinclude globals_custom.conf

[from-internal]
exten => _9X.,1,Gosub(coovox-billing-dial,s,1(${EXTEN},PJSIP/${EXTEN:1}@trunk,30,T,Carrier))
"""
RATE = f"{HEADER}\n1,by the second,9,0,0,0,0.01,1,,,,all\n"
FREEPBX = {16: FREEPBX_16, 22: FREEPBX_17}
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give billing a network of its own")


@dataclass(frozen=True)
class Wire:
    """The addresses of its two ends."""

    billing: str
    pbx: str


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def wire() -> Iterator[Wire]:
    """A network for billing, named NAME, and the wire between it and Asterisk's."""
    # Runs side by side have wires of their own, out of what RFC 2544 keeps for tests.
    own = ip_address("198.18.0.0") + 4 * (os.getpid() % 32768)
    ends = Wire(str(own + 1), str(own + 2))
    here, there = f"c{os.getpid()}a", f"c{os.getpid()}b"
    _ip("netns", "add", NAME)
    try:
        _ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", NAME)
        _ip("address", "add", f"{ends.pbx}/30", "dev", here)
        _ip("link", "set", here, "up")
        _ip("-n", NAME, "address", "add", f"{ends.billing}/30", "dev", there)
        for device in ("lo", there):
            _ip("-n", NAME, "link", "set", device, "up")
        yield ends
    finally:
        with suppress(subprocess.CalledProcessError):
            _ip("link", "delete", here)
        _ip("netns", "delete", NAME)


@pytest.fixture
def billing(wire: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Billing]:
    """A site whose call plane is to run in the network of its own."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec ip netns exec {NAME} {sys.executable} "$@"\n')
    python.chmod(0o755)
    site = Billing(tmp_path, str(python))
    site.agi_host = wire.billing
    monkeypatch.setenv("COOVOX_AGI_LISTEN", f"{wire.billing}:{site.agi_port}")
    monkeypatch.setenv("COOVOX_AGI_ALLOW", wire.pbx)
    rates = tmp_path / "rates.csv"
    rates.write_text(RATE)
    for command in (
        ("extension", "add", "108"),
        ("extension", "set", "108", "--billing", "on"),
        ("recharge", "108", "0.03"),
        ("rate", "import", str(rates)),
    ):
        site.do(*command)
    yield site
    site.stop()


def _carry(told: str, files: Path, etc: Path, *, is_product: bool = False) -> None:
    """What a person does on the PBX: copies the files, and writes the lines that the command shows."""
    for path in files.iterdir():
        shutil.copy(path, etc)
    lines = re.findall(r"^  (\S.*)\n((?:    \S.*\n)+)", told, re.MULTILINE)
    assert len(lines) == 4
    host = ""
    for place, written in lines:
        if is_product or "FreePBX and Issabel alone" not in place:
            named = re.findall(r"\w+_custom\.conf", place) if is_product else re.findall(r"\w+\.conf", place)
            # `below it` is the file of before; what is under [globals] has a file of its own here.
            host = next(iter(named), host)
            under = "globals_custom.conf" if "[globals]" in place else host
            with (etc / under).open("a") as file:
                file.write(f"\n{written}")


def _plain_pbx(version: int) -> Pbx:
    return Pbx(version, ROUTE)


def _product(version: int, folder: Path) -> Pbx:
    """A PBX with the interface of FreePBX, as its owner has it before billing."""
    files = freepbx_box.dialplan(FREEPBX[version]) | {"modules.conf": modules_of(version)}
    for name, text in files.items():
        (folder / name).write_text(text)
    pbx = Pbx(version, files["extensions.conf"], {name: folder / name for name in files})
    for name, text in freepbx_box.manager_and_cel(FREEPBX[version], pbx.ami_port).items():
        (pbx.folder / "etc" / name).write_text(text)
    return pbx


@pytest.mark.parametrize("is_product", [False, True], ids=["plain", "FreePBX"])
def test_it_bills_an_asterisk_on_another_machine(
    asterisk_version: int, billing: Billing, wire: Wire, tmp_path: Path, is_product: bool
) -> None:
    files = tmp_path / "pbx"
    told = billing.do("pbx", "files", str(files))
    (secret,) = re.findall(r"^secret = (\w+)$", (files / "manager_coovox_billing.conf").read_text(), re.MULTILINE)
    pbx = _product(asterisk_version, tmp_path) if is_product else _plain_pbx(asterisk_version)
    etc, trunk = pbx.folder / "etc", "PJSIP/trunk" if is_product else "Carrier"
    manager = etc / "manager.conf"
    manager.write_text(manager.read_text().replace("bindaddr = 127.0.0.1", "bindaddr = 0.0.0.0"))
    with pbx:
        _carry(told, files, etc, is_product=is_product)
        for command in ("dialplan reload", "manager reload"):
            pbx.cli(command)
        if is_product:
            pbx.cli("database put DEVICE 108/user 108")
            pbx.cli("database put AMPUSER 108/device 108")
        assert "0.0.0.0:" in next(row for row in pbx.cli("manager show settings").splitlines() if "Bindaddress" in row)
        billing.ami = f"coovox-billing:{secret}@{wire.pbx}:{pbx.ami_port}"
        billing.start()
        wait_until(lambda: "signed in to Asterisk's manager" in billing.log(), 15, "the call plane signs in")
        phone(pbx, "95551110", hang_up_after_ms=20_000).wait()
        pbx.wait_idle()
        call = billing.closed_call()
        assert (call["state"], call["extension"], call["trunk"]) == ("settled", "108", trunk)
        assert (call["cost"], call["talk_seconds"], billing.extension("108")["balance"]) == ("0.0300", 3, "0.0000")
        phone(pbx, "95551110").wait()
        assert billing.closed_call()["reason"] == "no-money"
        billing.assert_sound()


def test_it_lets_nobody_else_ask(
    asterisk_version: int, billing: Billing, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COOVOX_AGI_ALLOW", "198.51.100.9")
    files = billing.data.with_name("pbx")
    told = billing.do("pbx", "files", str(files))
    with _plain_pbx(asterisk_version) as pbx:
        _carry(told, files, pbx.folder / "etc")
        pbx.cli("dialplan reload")
        billing.start()
        phone(pbx, "95550000").wait()
        pbx.wait_idle()
        told_off = f"{wire.pbx} may not ask: it is not in agi_allow"
        wait_until(lambda: told_off in billing.log(), 10, "it is turned away")
        assert billing.calls() == []


def test_the_guide_shows_what_the_command_writes() -> None:
    """Each file that is carried, and each place where a line goes, stands in the page."""
    page = (ROOT / "docs/freepbx.md").read_text().partition("## Where there is no package")[2].partition("\n## ")[0]
    for word in (
        "coovox-billing pbx files", "globals_custom.conf", "extensions_custom.conf", "manager_custom.conf",
        "extensions_coovox_billing.conf", "extensions_coovox_billing_freepbx.conf",
        "extensions_coovox_billing_hook.conf", "manager_coovox_billing.conf",
        "agi_listen", "agi_allow", "ami", "COOVOX_AGI=agi://", "bindaddr",
    ):  # fmt: skip
        assert word in page, word
