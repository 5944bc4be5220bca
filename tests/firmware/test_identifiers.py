"""What tells a machine from all others, and what it is told that gives too little."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coovox_billing.firmware.boards import find_board
from coovox_billing.firmware.identifiers import (
    KEPT,
    MOST_IDENTIFIERS,
    Identity,
    TooFewIdentifiers,
    identifiers,
    keep_identity,
    known_identity,
    read_identity,
)
from coovox_billing.firmware.machine import Machine
from coovox_billing.firmware.plain_values import PLAIN, plain_cid, plain_mac, plain_text, plain_uuid
from tests.firmware.cast import BOARD_SERIAL, EMMC_CID, MACHINE_ID, MACS, PI_SERIAL, SD_CID, SERIAL, UUID, Box

COOVOX = [("serial", SERIAL.lower()), ("emmc", EMMC_CID), ("mac", MACS[0]), ("mac", MACS[1])]
EXPECTED = {
    **dict.fromkeys(("u20", "u50", "u60", "u80", "u100"), COOVOX),
    "raspberry-pi": [
        ("serial", PI_SERIAL),
        ("mac", "b8:27:eb:c5:1f:27"),
        ("mac", "b8:27:eb:90:4a:72"),
        ("sd", SD_CID),
    ],
    "debian": [
        ("uuid", UUID.lower()),
        ("board-serial", BOARD_SERIAL.lower()),
        ("mac", "8c:ec:4b:a1:22:07"),
        ("disk", "naa.5002538e40b1f2a7"),
        ("machine-id", MACHINE_ID),
    ],
}


def read(box: Box) -> Identity:
    """What is found on a machine now."""
    return read_identity(find_board(box.machine).board, box.machine)


def test_it_finds_what_each_machine_has_in_the_order_of_its_board_file(box: Box, board: str) -> None:
    assert identifiers(box.machine) == EXPECTED[board]
    assert read(box).is_enough


def test_it_tells_which_are_weak(pc: Box) -> None:
    assert [one.kind for one in read(pc).found if one.is_weak] == ["machine-id"]


@pytest.mark.parametrize("gone", ["sys", "proc", "etc"])
def test_nothing_fails_where_files_are_missing(box: Box, gone: str) -> None:
    shutil.rmtree(box.root / gone, ignore_errors=True)
    assert isinstance(read(box), Identity)


@pytest.mark.parametrize("content", [b"", b"\0" * 40, b"\xff" * 40, b"x" * (1 << 20), b"\n\n\n"])
def test_nothing_fails_where_files_hold_garbage(box: Box, content: bytes) -> None:
    for path in (box.root / "sys").rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.write_bytes(content)
    assert [one.value for one in read(box).found if one.kind in ("mac", "emmc", "uuid")] == []


def test_it_does_not_wait_for_a_pipe(u60: Box) -> None:
    path = u60.root / "sys/firmware/devicetree/base/serial-number"
    path.unlink()
    os.mkfifo(path)
    began = time.monotonic()
    assert [one.kind for one in read(u60).found] == ["emmc", "mac", "mac"]
    assert time.monotonic() - began < 1


@pytest.mark.parametrize(
    ("name", "mac", "options"),
    [
        ("eth2", "02:42:ac:11:00:02", {}),
        ("eth2", "68:69:2e:00:00:07", {"assigned": "1"}),
        ("eth2", "68:69:2e:00:00:07", {"assigned": "3"}),
        ("eth2", "00:00:00:00:00:00", {}),
        ("eth2", "ff:ff:ff:ff:ff:ff", {}),
        ("eth2", "00:e0:4c:71:9a:03", {"bus": "pci0000:00/usb1/1-4"}),
        ("wwan0", "68:69:2e:00:00:07", {}),
        ("eth2", MACS[0], {}),
    ],
)
def test_a_card_that_is_no_real_one_of_the_board_does_not_count(
    u60: Box, name: str, mac: str, options: dict[str, str]
) -> None:
    u60.card(name, mac, **{"bus": "platform/soc/other", **options})
    assert identifiers(u60.machine) == COOVOX


def test_a_card_that_is_bonded_keeps_its_own_address(u60: Box) -> None:
    directory = u60.root / "sys/class/net/eth1"
    (directory / "address").write_text(f"{MACS[0]}\n")
    (directory / "addr_assign_type").write_text("3\n")
    (directory / "bonding_slave").mkdir()
    (directory / "bonding_slave/perm_hwaddr").write_text(f"{MACS[1]}\n")
    assert identifiers(u60.machine) == COOVOX


def test_a_device_that_speaks_no_ethernet_does_not_count(u60: Box) -> None:
    u60.card("eth2", "68:69:2e:00:00:07", bus="platform/soc/modem")
    u60.write("/sys/devices/platform/soc/modem/net/eth2/type", "512\n")
    assert identifiers(u60.machine) == COOVOX


def test_a_disk_that_can_be_taken_out_does_not_count(pc: Box) -> None:
    pc.disk("sdd", "naa.5000c500a1b2c3d4", bus="pci0000:00/ata3", removable="1")
    assert identifiers(pc.machine) == EXPECTED["debian"]


def test_a_disk_of_a_virtual_machine_does_not_count(pc: Box) -> None:
    pc.disk("sdc", "t10.ATA     QEMU HARDDISK                           QM00001", bus="pci0000:00/ata2")
    assert identifiers(pc.machine) == EXPECTED["debian"]


def test_one_value_counts_once(pc: Box) -> None:
    pc.dmi(product_serial=BOARD_SERIAL, chassis_serial=BOARD_SERIAL.lower())
    kinds = [kind for kind, value in identifiers(pc.machine) if value == BOARD_SERIAL.lower()]
    assert kinds == ["serial"]


def test_a_machine_of_many_cards_is_bound_to_the_first_ones(pc: Box) -> None:
    for number in range(100):
        pc.card(f"eth{number:02}", f"8c:ec:4b:a1:23:{number:02x}", bus=f"pci0000:00/{number}")
    assert len(identifiers(pc.machine)) == MOST_IDENTIFIERS


def test_a_virtual_machine_with_too_little_is_told_what_was_looked_for(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.dmi(product_uuid=UUID, product_serial="Not Specified")
    box.card("eth0", "52:54:00:12:34:56")
    box.write("/etc/machine-id", MACHINE_ID)
    with pytest.raises(TooFewIdentifiers) as error:
        identifiers(box.machine)
    said = str(error.value)
    assert "1 of 2 identifiers that last" in said
    assert "mac (network-cards eth*" in said
    assert "hook post-boot` as root" in said


def test_weak_ones_alone_are_too_few(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.write("/etc/machine-id", MACHINE_ID)
    with pytest.raises(TooFewIdentifiers, match="0 of 2"):
        identifiers(box.machine)


def test_two_strong_ones_are_enough(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.dmi(product_uuid=UUID)
    box.card("eth0", MACS[0])
    assert identifiers(box.machine) == [("uuid", UUID.lower()), ("mac", MACS[0])]


def test_what_root_kept_is_what_others_see_until_the_next_boot(u60: Box) -> None:
    keep_identity(read(u60), u60.machine, os.getgid())
    shutil.rmtree(u60.root / "sys/block")
    assert identifiers(u60.machine) == COOVOX
    u60.boot("another")
    assert identifiers(u60.machine) == [one for one in COOVOX if one[0] != "emmc"]


def test_what_was_kept_on_another_machine_is_not_believed(u60: Box) -> None:
    keep_identity(read(u60), u60.machine, os.getgid())
    kept = u60.machine.path(KEPT).read_bytes()
    u60.boot("the boot of another machine")
    u60.machine.path(KEPT).write_bytes(kept)
    shutil.rmtree(u60.root / "sys/block")
    assert known_identity(u60.machine) == read(u60)
    assert identifiers(u60.machine) == [one for one in COOVOX if one[0] != "emmc"]


@given(st.binary(max_size=200))
@example(b"null")
@example(b"[]")
@example(b'{"boot": "5a1b"}')
@example(b'{"boot": "5a1b", "board": 1, "found": [[1]], "missing": []}')
@example(b'{"boot": "5a1b", "board": "u60", "found": 7, "missing": []}')
@example(b"[" * 190)
def test_garbage_in_the_place_of_what_was_kept_is_not_believed(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    box = Box(tmp_path_factory.mktemp("root"))
    box.boot("5a1b")
    box.card("eth0", MACS[0])
    box.machine.path(KEPT).write_bytes(content)
    assert [one.value for one in known_identity(box.machine).found] == [MACS[0]]


def test_this_machine_is_looked_at_without_a_root() -> None:
    assert isinstance(known_identity(Machine()), Identity)


@pytest.mark.parametrize(
    "raw",
    [
        "To be filled by O.E.M.", "to be filled by o.e.m", "Default string", "None", "N/A", "Not Specified", "INVALID",
        "System Serial Number", "Serial Number", "0", "0000000000000000", "FFFFFFFF", "ffff-ffff", "0123456789",
        "123456789", "1234567890", "9876543210", "12345", "........", "", "   ", "abc", "xxxxxxxx", "1212121212",
        "a" * 500, "\x00\x01\x02\x03", "\x1b[31m4711815", "Ünïcödé-4711", "00000000-0000-0000-0000-000000000000",
        "03000200-0400-0500-0006-000700080009", "0123456789ABCDEF",
    ],
)  # fmt: skip
def test_it_takes_no_placeholder_for_a_serial_number(raw: str) -> None:
    assert plain_text(raw) is None


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("PF2QH0L7\n", "pf2qh0l7"),
        ("  /7X3KQ2J/CNWS200 /  ", "/7x3kq2j/cnws200 /"),
        ("VMware-56 4d 3c  a1", "vmware-56 4d 3c a1"),
        ("10000000a3c51f27", "10000000a3c51f27"),
    ],
)
def test_it_writes_a_serial_number_in_one_way(raw: str, plain: str) -> None:
    assert plain_text(raw) == plain


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("4C4C4544-0042-3510-8058-B8C04F4E4732", "4c4c4544-0042-3510-8058-b8c04f4e4732"),
        ("{4c4c4544-0042-3510-8058-b8c04f4e4732}", "4c4c4544-0042-3510-8058-b8c04f4e4732"),
        ("4c4c4544004235108058b8c04f4e4732", "4c4c4544-0042-3510-8058-b8c04f4e4732"),
        ("03000200-0400-0500-0006-000700080009", None),
        ("00000000-0000-0000-0000-000000000000", None),
        ("FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", None),
        ("Not Settable", None),
        ("4c4c4544", None),
    ],
)
def test_it_reads_uuids(raw: str, plain: str | None) -> None:
    assert plain_uuid(raw) == plain


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("68:69:2E:0A:1B:2C", "68:69:2e:0a:1b:2c"),
        ("68-69-2e-0a-1b-2c", "68:69:2e:0a:1b:2c"),
        ("6a:69:2e:0a:1b:2c", None),
        ("69:69:2e:0a:1b:2c", None),
        ("00:00:00:00:00:00", None),
        ("00:11:22:33:44:55", None),
        ("00:e0:4c:68:00:01", None),
        ("68:69:2e:ff:ff:ff", None),
        ("68:69:2e:0a:1b", None),
        ("80:00:02:08:fe:80:00:00:00:00:00:00", None),
    ],
)
def test_it_reads_addresses_of_cards(raw: str, plain: str | None) -> None:
    assert plain_mac(raw) == plain


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        (EMMC_CID.upper(), EMMC_CID),
        ("0" * 32, None),
        ("150100424a5444520300000000001e00", None),
        (EMMC_CID[:-1], None),
        ("not hexadecimal", None),
    ],
)
def test_it_reads_cids(raw: str, plain: str | None) -> None:
    assert plain_cid(raw) == plain


@pytest.mark.parametrize("form", PLAIN)
@given(raw=st.text(max_size=200))
def test_a_plain_value_is_plain_already(form: str, raw: str) -> None:
    plain = PLAIN[form](raw)
    assert plain is None or (PLAIN[form](plain) == plain and plain.isascii() and 4 <= len(plain) <= 128)
