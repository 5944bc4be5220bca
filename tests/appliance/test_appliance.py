"""The package on real Debian systems: installed, used, upgraded, removed, brought back."""

from __future__ import annotations

import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.appliance.box import DATA, PLANES, ROOT, Box
from tests.appliance.conftest import (
    NEW_VERSION,
    OLD_VERSION,
    Installed,
    balance,
    furnish,
    install,
    installed_kb,
    on_native_images,
    version,
)
from tests.appliance.images import Image
from tests.packaging.test_bundle import load_builder

COST = "0.1000"
MOST_INSTALLED_KB = 15_000
# Of 10, by `systemd-analyze security`; packaging/README.md says what it is made of.
MOST_EXPOSURE = 1.5
Note = Callable[[object, str, str], None]

BOARD = """name = "Test board"
[[recognized]]
file = "/etc/coovox-board"
matches = ["appliance"]
[[identifiers]]
kind = "serial"
from = "file"
path = "/etc/board-serial"
[[identifiers]]
kind = "uuid"
from = "file"
path = "/etc/board-uuid"
[store]
directory = "/var/lib/coovox-billing-persistent"
erased_by_hard_reset = false
"""


def test_it_bills_a_call_and_shows_its_pages(box: Box, image: Image, note: Note) -> None:
    began = box.start_planes()
    first = box.visit("call", "before-anything")
    note(image, "start to first answer", f"{first['answered_at'] - began:.2f} s")
    furnish(box)
    call = box.visit("call", "first")
    assert call["asked"]["COOVOX_VERDICT"] == "pass"
    assert call["settled"] == {"COOVOX_SETTLED": "1"}
    assert balance(box) == "9.9000"
    (logged,) = (one for one in box.read("call", "list") if one["id"] == "first")
    assert (logged["state"], logged["cost"], logged["talk_seconds"], logged["flags"]) == ("settled", COST, 2, [])
    password = box.path(f"{DATA}/first-password").read_text().strip()
    page = box.visit("sign-in", "http://127.0.0.1:8080/", password)
    assert page["status"] == 200
    assert "Sign in" not in page["title"]
    assert not box.path(f"{DATA}/first-password").exists()
    box.billing("audit")
    for plane in PLANES:
        note(image, f"{plane} RSS", f"{box.resident_mb(plane):.1f} MB")


def test_it_leaves_the_box_in_order(box: Box) -> None:
    assert installed_kb(box) < MOST_INSTALLED_KB
    assert "coovox-billing" in box.do("id", "-nG", "coovox-billing").split()
    assert "asterisk" in box.do("id", "-nG", "coovox-billing").split()
    data = box.path(DATA).stat()
    assert stat.S_IMODE(data.st_mode) == 0o700
    assert box.do("stat", "-c", "%U:%G", DATA).strip() == "coovox-billing:coovox-billing"
    assert box.do("stat", "-c", "%a %U %G", "/etc/coovox-billing.toml").split() == ["640", "root", "coovox-billing"]
    assert box.do("dpkg", "--verify", "coovox-billing") == ""
    assert box.do("find", "/usr/lib/python3/dist-packages/coovox_billing", "-name", "*.pyc").count("\n") > 50
    for plane in PLANES:
        assert box.do("systemctl", "is-enabled", f"coovox-billing-{plane}").strip() == "enabled"


def test_it_says_where_the_pages_and_the_first_password_are(image: Image, installed: Installed) -> None:
    said = installed.said
    assert "http://127.0.0.1:8080/" in said
    assert f"sudo cat {DATA}/first-password" in said
    assert "sudo coovox-billing pbx install --reload" in said, "there is no Asterisk"
    assert ("No systemd runs here" in said) == (not image.is_native)


def test_it_installs_from_one_file_without_any_archive(
    clean_box: Box, image: Image, package: Path, tmp_path: Path
) -> None:
    fetched = list((image.root / "var/cache/apt/archives").glob("*.deb"))
    needed = [one for one in fetched if not re.match("nginx|apache2|lighttpd|openssl", one.name)]
    bundle = load_builder().write(package, needed, image.release, image.architecture, tmp_path)
    clean_box.do("find", "/var/cache/apt/archives", "/var/lib/apt/lists", "-type", "f", "-delete")
    damaged = bytearray(bundle.read_bytes())
    clean_box.path("/root/whole.run").write_bytes(damaged)
    damaged[len(damaged) // 2] ^= 4
    clean_box.path("/root/damaged.run").write_bytes(damaged)
    before = clean_box.do("dpkg-query", "-W")
    refused = clean_box.run("sh", "/root/damaged.run")
    assert refused.status == 1
    assert "damaged or was not copied wholly" in refused.out
    assert clean_box.do("dpkg-query", "-W") == before
    said = clean_box.do("sh", "/root/whole.run")
    assert f"sudo cat {DATA}/first-password" in said
    assert version(clean_box).endswith("installed")
    assert "0 newly installed" in clean_box.do("sh", "/root/whole.run"), "what is there is not installed again"


def test_it_takes_a_license_made_by_the_distributor(box: Box, tmp_path: Path) -> None:
    _become_a_board(box)
    box.start_planes()
    furnish(box)
    status = box.read("license", "status")
    assert (status["active"], status["license"]) == (True, None)
    box.billing("license", "source", "/tmp/billing.ac")
    (tmp_path / "billing.ac").write_bytes(box.path("/tmp/billing.ac").read_bytes())
    license_file, root_key = _issue(tmp_path)
    box.path("/tmp/billing.license").write_bytes(license_file.read_bytes())
    box.path("/tmp/root.pub").write_bytes(root_key.read_bytes())
    for file in ("billing.license", "root.pub"):
        box.path(f"/tmp/{file}").chmod(0o644)
    refused = box.run("coovox-billing", "license", "upload", "/tmp/billing.license", user="coovox-billing")
    assert refused.status == 1, "a build without the vendor's key takes no license"
    box.billing("license", "upload", "/tmp/billing.license", COOVOX_VENDOR_KEY="/tmp/root.pub")
    said = box.billing("license", "status", COOVOX_VENDOR_KEY="/tmp/root.pub")
    assert "Never expires" in said


def _become_a_board(box: Box) -> None:
    boards = box.path("/etc/coovox-billing/boards")
    boards.mkdir(parents=True, exist_ok=True)
    (boards / "appliance.toml").write_text(BOARD)
    for name, text in {"coovox-board": "appliance", "board-serial": "AP-2026-00042", "board-uuid": "b6c7f9a2"}.items():
        box.path(f"/etc/{name}").write_text(f"{text}\n")
    assert "2 of them strong" in box.do("coovox-billing", "hook", "post-boot", "--strict")


def _issue(folder: Path) -> tuple[Path, Path]:
    """The distributor's own tool, with throw-away keys."""
    tool = [sys.executable, "-m", "coovox_license"]
    secret = {"COOVOX_LICENSE_PASSPHRASE": "seven green bottles on a wall", "PYTHONPATH": f"{ROOT / 'license'}:{ROOT}"}

    def run(*arguments: str) -> None:
        done = subprocess.run([*tool, *arguments], cwd=folder, env=secret, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    run("keygen", "--root", "--keys", "root")
    run("keygen", "--name", "Acme Telecom", "--keys", "acme")
    run(
        "certify",
        "acme/distributor.pub",
        "--until",
        "2030-12-31",
        "--keys",
        "root",
        "--output",
        "acme/distributor.certificate",
    )
    run("issue", "billing.ac", "--to", "Hotel Sonne, Graz", "--keys", "acme")
    (made,) = folder.glob("*.license")
    return made, folder / "root/root.pub"


@on_native_images
def test_systemd_keeps_both_planes_alive_and_in_bounds(box: Box, image: Image, note: Note) -> None:
    box.start_planes()
    furnish(box)
    for plane in PLANES:
        unit = f"coovox-billing-{plane}.service"
        (exposure,) = re.findall(r"exposure level for \S+: ([\d.]+)", box.do("systemd-analyze", "security", unit))
        note(image, f"{plane} exposure", exposure)
        assert float(exposure) <= MOST_EXPOSURE
        _hang(box, unit)
    assert box.visit("call", "after")["settled"] == {"COOVOX_SETTLED": "1"}
    memory = box.do("systemctl", "show", "-P", "MemoryMax", "coovox-billing-calls", "coovox-billing-web").split()
    assert [int(one) >> 20 for one in memory] == [96, 160]


def _hang(box: Box, unit: str) -> None:
    """A process that does not run any more gives way to another."""
    first = _main_pid(box, unit)
    box.do("sh", "-c", f"kill -STOP {first}")
    box.wait_for("another process", lambda: _main_pid(box, unit) not in ("0", first), 30)
    box.wait_for("it to be up", lambda: box.run("systemctl", "is-active", unit).status == 0, 30)


def _main_pid(box: Box, unit: str) -> str:
    return box.do("systemctl", "show", "-P", "MainPID", unit).strip()


def test_it_is_upgraded_from_the_version_before(clean_box: Box, old_package: Path, package: Path) -> None:
    box = clean_box
    install(box, old_package)
    box.restart_planes()
    furnish(box)
    box.visit("call", "before")
    assert (version(box), balance(box)) == (f"{OLD_VERSION} installed", "9.9000")
    before = _schema(box)
    install(box, package)
    box.restart_planes()
    call = box.visit("call", "after")
    assert call["settled"] == {"COOVOX_SETTLED": "1"}
    assert balance(box) == "9.8000"
    assert _schema(box) > before
    assert {one["id"] for one in box.read("call", "list")} == {"before", "after"}
    box.billing("audit")


def test_it_refuses_to_be_downgraded_below_its_data(box: Box, old_package: Path) -> None:
    box.start_planes()
    furnish(box)
    now = version(box)
    box.path("/root/old.deb").write_bytes(old_package.read_bytes())
    said = box.run("apt-get", "install", "-y", "--allow-downgrades", "/root/old.deb")
    assert said.status != 0
    assert f"coovox-billing {OLD_VERSION} is not installed, and nothing was changed." in said.out
    assert "was made by a newer version" in said.out
    assert version(box) == now
    assert box.visit("call", "after")["settled"] == {"COOVOX_SETTLED": "1"}
    box.do("apt-get", "check")
    assert box.do("dpkg", "--audit") == ""


def test_it_stays_what_it_was_when_a_migration_fails(box: Box, breaking_package: Path) -> None:
    box.start_planes()
    furnish(box)
    now, schema = version(box), _schema(box)
    box.path("/root/new.deb").write_bytes(breaking_package.read_bytes())
    said = box.run("apt-get", "install", "-y", "/root/new.deb")
    assert said.status != 0
    assert f"coovox-billing {NEW_VERSION} is not installed, and nothing was changed." in said.out
    assert "no such table: no_such_table" in said.out
    assert (version(box), _schema(box)) == (now, schema)
    assert not list(box.path(DATA).glob("*.trial*"))
    assert box.visit("call", "after")["settled"] == {"COOVOX_SETTLED": "1"}
    assert box.do("dpkg", "--audit") == ""


def _schema(box: Box) -> int:
    database = f"{DATA}/coovox-billing.sqlite3"
    ask = f"import sqlite3; print(*sqlite3.connect('{database}').execute('PRAGMA user_version').fetchone())"
    return int(box.do("python3", "-c", ask, user="coovox-billing"))


def test_it_takes_billing_out_of_asterisk_and_keeps_the_data(box: Box, asterisk_package: Path, package: Path) -> None:
    box.start_planes()
    furnish(box)
    box.visit("call", "before")
    extensions, dialplan = "/etc/asterisk/extensions.conf", "/etc/asterisk/extensions_coovox_billing.conf"
    said = install(box, asterisk_package)
    assert "coovox_billing" in box.path(extensions).read_text(), f"a trigger wires an Asterisk that comes later: {said}"
    assert box.path("/etc/asterisk/manager_coovox_billing.conf").exists()
    removed = box.do("apt-get", "remove", "-y", "coovox-billing")
    assert f"kept in {DATA}" in removed
    assert not box.path("/etc/asterisk/manager_coovox_billing.conf").exists()
    passing = box.path(dialplan).read_text()
    assert "Dial(${ARG2},${ARG3}" in passing, "the route still says Gosub(coovox-billing-dial"
    assert "AGI(" not in passing
    assert version(box).endswith("config-files")
    install(box, package)
    box.restart_planes()
    assert "AGI(" in box.path(dialplan).read_text()
    assert box.visit("call", "again")["settled"] == {"COOVOX_SETTLED": "1"}
    assert balance(box) == "9.8000"
    box.billing("audit")


@pytest.mark.parametrize("is_deleted", [False, True], ids=["kept", "deleted"])
def test_it_asks_at_purge_whether_the_data_go(box: Box, is_deleted: bool) -> None:
    box.start_planes()
    furnish(box)
    if is_deleted:
        box.do("debconf-set-selections", given="coovox-billing coovox-billing/delete-data boolean true\n")
    said = box.do("apt-get", "purge", "-y", "coovox-billing")
    assert box.path(DATA).exists() == (not is_deleted)
    assert ("were deleted" if is_deleted else f"kept in {DATA}: delete them with rm -r {DATA}") in said
    assert not box.path("/etc/coovox-billing.toml").exists()
    left = box.run("find", "/usr", "/etc", "-name", "*coovox*").out.split()
    assert left == []
