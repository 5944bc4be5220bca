"""Trial and license at a terminal, and what of this machine and this build they are about."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from coovox_billing import this_device
from coovox_billing.core import license as licenses
from coovox_billing.errors import SetupError
from coovox_billing.firmware.machine import Machine
from coovox_billing.opening import open_site
from coovox_billing.services.licensing import Device
from coovox_billing.web import create_app
from tests.cli.conftest import Terminal
from tests.license import cast
from tests.licenses import ROOT_KEY, Drawer, a_device, a_license

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def box(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """The terminal of a device that can be told from others, with a build that knows the vendor of the tests."""
    device = a_device()
    monkeypatch.setattr(this_device, "this_device", lambda data: device)
    monkeypatch.setattr(this_device, "vendor_key", lambda: ROOT_KEY)
    terminal.do("activation", "off")
    terminal.do("activation", "on")
    return terminal


def test_it_is_licensed_for_good(box: Terminal) -> None:
    before = box.read("license", "status")
    first = datetime.fromisoformat(before["first_activation"])
    assert datetime.fromisoformat(before["expiration"]) - first == timedelta(days=30)
    assert (before["active"], before["license"], before["faults"]) == (True, None, [])
    file = box.folder / "billing.ac"
    assert "send it to your distributor" in box.do("license", "source", str(file))
    made = box.folder / "billing.license"
    made.write_bytes(_issued(file))
    assert "license AD-0001 is valid for this device" in box.do("license", "upload", str(made))
    after = box.read("license", "status")
    assert (after["license"], after["expiration"]) == ("AD-0001", "never")
    assert "Never expires" in box.do("license", "status")
    assert "license: AD-0001, for good" in box.run("doctor").out


def _issued(file: Path) -> bytes:
    source = licenses.parse_source(file.read_text())
    return a_license(source, certificate=cast.ACME, issued_at_ms=cast.ACME.from_ms)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("upload", "/no/such/file"), "cannot be read"),
        (("upload", "{source}"), "source file"),
        (("source", "/no/such/folder/billing.ac"), "cannot be written"),
    ],
)
def test_it_says_what_is_wrong(box: Terminal, arguments: tuple[str, str], says: str) -> None:
    source = box.folder / "billing.ac"
    box.do("license", "source", str(source))
    verb, file = arguments
    said = box.run("license", verb, file.format(source=source))
    assert (said.status, says in said.err) == (1, True), said.err


def test_it_links_the_owner_in(box: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    assert box.do("owner", "link", "--for", "192.0.2.7").startswith("/enter/")
    monkeypatch.setenv("COOVOX_WEB_PREFIX", "/billing")
    assert box.do("owner", "link").startswith("/billing/enter/")


def test_the_menu_of_a_firmware_leads_to_pages_that_are_there(box: Terminal) -> None:
    menu = json.loads((ROOT / "firmware_hooks/menu.json").read_text())["addons"]
    with open_site(box.folder / "data") as database:
        pages = create_app(box.folder / "data", database, call_plane_is_up=lambda: True)
        known = {rule.rule for rule in pages.url_map.iter_rules()}
    assert {item["path"] for item in menu["items"]} <= known
    command = ["127.0.0.1" if word == "ADDRESS" else word for word in menu["link"][1:]]
    assert box.do(*command).startswith("/enter/")


# this machine and this build


def test_a_machine_that_tells_nothing_is_said_so(tmp_path: Path) -> None:
    device = this_device.this_device(tmp_path, Machine(tmp_path))
    assert "tells too little of itself" in device.trouble
    assert device.keep is not None
    device.keep.write("trial", b"kept")
    assert device.keep.read("trial") is None, "no hook of a firmware ever made a store"


def test_a_machine_is_known_by_what_its_board_file_names(tmp_path: Path) -> None:
    dmi = tmp_path / "sys/class/dmi/id"
    dmi.mkdir(parents=True)
    (dmi / "product_uuid").write_text("4c4c4544-0042-3510-8052-b9c04f573732\n")
    (dmi / "board_serial").write_text("/7BR5WQ2/CNFCW0075S0042/\n")
    (tmp_path / "var/lib/coovox-billing-persistent").mkdir(parents=True)
    device = this_device.this_device(tmp_path / "data", Machine(tmp_path))
    assert (device.trouble, {one.kind for one in device.identifiers}) == ("", {"uuid", "board-serial"})
    assert device.keep is not None
    device.keep.write("trial", b"kept")
    assert device.keep.read("trial") == b"kept"


def test_a_build_knows_its_vendor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(this_device, "_PACKAGE", tmp_path / "coovox_billing")
    monkeypatch.delenv(this_device.KEY_VARIABLE, raising=False)
    assert this_device.vendor_key() == b""
    own = tmp_path / "own.pub"
    own.write_text(_public_key(cast.STRANGER))
    monkeypatch.setenv(this_device.KEY_VARIABLE, str(own))
    assert this_device.vendor_key() == cast.public(cast.STRANGER), "a build for development takes what it is given"
    shipped = tmp_path / "coovox_billing/shared/vendor/root.pub"
    shipped.parent.mkdir(parents=True)
    shipped.write_text(_public_key(cast.ROOT))
    assert this_device.vendor_key() == ROOT_KEY, "a build with a key takes no other"
    shipped.write_text("CooVox Billing public key 1\n")
    with pytest.raises(SetupError, match="the vendor's key"):
        this_device.vendor_key()


def _public_key(key: cast.Ed25519PrivateKey) -> str:
    return licenses.render_public_key(licenses.PublicKey("root", "CooVox", cast.public(key)), key.sign)


def test_a_device_without_a_store_keeps_its_records_beside_the_database(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = a_device(keep=Drawer())
    device = Device(made.board, made.identifiers, None)
    monkeypatch.setattr(this_device, "this_device", lambda data: device)
    terminal.do("activation", "off")
    terminal.do("activation", "on")
    assert (terminal.folder / "data/trial").exists()
