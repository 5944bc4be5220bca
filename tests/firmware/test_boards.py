"""Which board a machine is, and what a firmware builder is told about a board file that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coovox_billing.errors import BadInput, SetupError
from coovox_billing.firmware import boards
from coovox_billing.firmware.board_file import parse_board, read_board, read_boards
from coovox_billing.firmware.boards import find_board, shipped_boards
from tests.firmware.cast import LOSE_LICENSE, MACHINES, Box

GOOD = """
name = "Reception box"

[[recognized]]
dmi_product_name = ["Reception *"]

[[identifiers]]
kind = "uuid"
from = "dmi"
field = "product_uuid"

[store]
directory = "/persist/billing"
erased_by_hard_reset = false
"""
OWN = "/etc/coovox-billing/boards/reception.toml"


def test_every_shipped_board_file_is_good_and_has_its_machine() -> None:
    found, faults = read_boards(shipped_boards())
    assert faults == []
    assert {board.id for board in found} == set(MACHINES)
    assert [board.id for board in found if board.is_fallback] == ["debian"]


def test_it_recognizes_each_machine_and_takes_it_for_no_other(box: Box, board: str) -> None:
    found = find_board(box.machine)
    assert (found.board.id, found.faults) == (board, ())
    assert bool(found.recognized_by) == (board != "debian")


def test_a_hard_reset_erases_the_store_of_u20_and_u50_alone() -> None:
    found, _ = read_boards(shipped_boards())
    assert {board.id for board in found if board.store.is_erased_by_hard_reset} == LOSE_LICENSE


@pytest.mark.parametrize("text", ["U20", "coovox u20", "CooVox-U20", "COOVOX U20\n"])
def test_it_reads_the_model_in_any_letters(pc: Box, text: str) -> None:
    pc.write("/etc/coovox-board", text)
    assert find_board(pc.machine).board.id == "u20"


@pytest.mark.parametrize("text", ["", "U200", "U2", "U20 U50", "\xff\xfe", "u20" * 50_000])
def test_another_model_is_none_of_ours(pc: Box, text: str) -> None:
    pc.write("/etc/coovox-board", text)
    assert find_board(pc.machine).board.id == "debian"


def test_it_reads_the_device_tree_at_its_older_place(pc: Box) -> None:
    pc.write("/proc/device-tree/compatible", b"zycoo,coovox-u80\0arm,generic\0")
    assert find_board(pc.machine).board.id == "u80"


def test_all_signs_of_a_group_are_needed(u60: Box) -> None:
    both = GOOD.replace('["Reception *"]', '["Reception *"]\ndevice_tree_model = ["Rev 2"]')
    u60.write(OWN, both)
    u60.dmi(product_name="Reception 9")
    assert find_board(u60.machine).board.id == "u60"
    u60.device_tree("model", "Rev 2")
    assert find_board(u60.machine).board.id == "reception"


def test_a_sites_own_board_goes_before_a_shipped_one(u60: Box) -> None:
    u60.write(OWN, GOOD)
    u60.dmi(product_name="Reception 9")
    found = find_board(u60.machine)
    assert (found.board.id, found.recognized_by, found.faults) == ("reception", "dmi_product_name: Reception 9", ())


def test_a_sites_own_file_takes_the_place_of_the_shipped_one_of_its_name(u60: Box) -> None:
    text = (shipped_boards() / "u60.toml").read_text().replace("/persist", "/mnt/flash")
    u60.write("/etc/coovox-billing/boards/u60.toml", text)
    assert find_board(u60.machine).board.store.directory == "/mnt/flash/coovox-billing"


def test_a_sites_own_file_of_that_name_may_take_a_board_away(u60: Box) -> None:
    u60.write("/etc/coovox-billing/boards/u60.toml", GOOD)
    found = find_board(u60.machine)
    assert (found.board.id, found.faults) == ("debian", ())


def test_it_tells_when_two_board_files_claim_the_machine(u60: Box) -> None:
    u60.write("/etc/coovox-board", "U50\n")
    found = find_board(u60.machine)
    assert found.board.id == "u50"
    assert "u60.toml too: u50.toml is used" in found.faults[0]


def test_a_bad_board_file_of_the_site_is_told_and_left_out(u60: Box) -> None:
    u60.write(OWN, "name = ")
    found = find_board(u60.machine)
    assert found.board.id == "u60"
    assert "reception.toml is not TOML" in found.faults[0]


def test_without_any_board_file_it_says_what_to_do(u60: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boards, "shipped_boards", lambda: tmp_path)
    with pytest.raises(SetupError, match="install the package again"):
        find_board(u60.machine)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('name = "Reception box"', "", ("name is missing", 'like "CooVox U20"')),
        ('name = "Reception box"', "name = 5", ("name is 5", 'like "CooVox U20"')),
        ('name = "Reception box"', 'name = ""', ("name is ''",)),
        ("[store]", "[stor]", ("stor is no key here", "known are name, fallback")),
        ("[store]", "stor = 1\n[store]", ("identifiers[1].stor is no key here", "known are kind, from, weak, field")),
        ('directory = "/persist/billing"', "", ("store.directory is missing", "/persist/coovox-billing")),
        ('"/persist/billing"', '"persist"', ("store.directory is 'persist'",)),
        ('"/persist/billing"', '"/persist/../etc"', ("store.directory is '/persist/../etc'",)),
        ('"/persist/billing"', '"/persist"\nsize = 1', ("store.size is no key here", "known are directory, mount")),
        ('"/persist/billing"', '"/persist"\nmount = "persist"', ("store.mount is 'persist'",)),
        ("erased_by_hard_reset = false", "", ("store.erased_by_hard_reset is missing", "true or false")),
        ("erased_by_hard_reset = false", 'erased_by_hard_reset = "no"', ("store.erased_by_hard_reset is 'no'",)),
        ("[[recognized]]", "[recognized]", ("recognized is", "[[recognized]]", "or more")),
        ('dmi_product_name = ["Reception *"]', "", ("recognized[1].device_tree_compatible is missing", "at least one")),
        ('["Reception *"]', '"Reception *"', ("recognized[1].dmi_product_name is 'Reception *'", "a list like")),
        ('["Reception *"]', "[]", ("recognized[1].dmi_product_name is []",)),
        ('["Reception *"]', "[1]", ("recognized[1].dmi_product_name is [1]",)),
        ("dmi_product_name", "dmi_procuct_name", ("recognized[1].dmi_procuct_name is no key here",)),
        ('dmi_product_name = ["Reception *"]', 'file = "/etc/model"', ("recognized[1].matches is missing",)),
        ('dmi_product_name = ["Reception *"]', 'matches = ["a"]', ("recognized[1].file is missing",)),
        ('name = "Reception box"', 'name = "a"\nfallback = true', ("fallback is True", "no [[recognized]] beside it")),
        ('from = "dmi"', 'from = "bios"', ("identifiers[1].from is 'bios'", "device-tree, dmi,")),
        ('from = "dmi"', "", ("identifiers[1].from is missing",)),
        ('from = "dmi"', "from = true", ("identifiers[1].from is True",)),
        ('from = "dmi"', "from = [1]", ("identifiers[1].from is [1]",)),
        ('field = "product_uuid"', "", ("identifiers[1].field is missing", "product_uuid")),
        ('field = "product_uuid"', 'field = "../../x"', ("identifiers[1].field is '../../x'",)),
        ('field = "product_uuid"', 'field = "a"\nusb = true', ("identifiers[1].usb is no key here",)),
        ('kind = "uuid"', 'kind = "U UID"', ("identifiers[1].kind is 'U UID'",)),
        ('kind = "uuid"', 'kind = "uuid"\nweak = 1', ("identifiers[1].weak is 1", "true or false")),
        ('from = "dmi"', 'from = "controller"', ("identifiers[1].from is 'controller'", "[controller]")),
        ("[store]", "[controller]\n[store]", ("controller.device is missing", "/dev/ttyS1")),
        ("[store]", 'controller = "/dev/ttyS1"\n[store]', ("identifiers[1].controller is no key here",)),
        (
            "[store]",
            '[controller]\ndevice = "/dev/ttyS1"\nbaud = 115\n[store]',
            ("controller.baud is 115", "one of 9600, 19200"),
        ),
        ("[store]", "[[store]]", ("store is", "a table [store]")),
    ],
)
def test_it_says_which_file_which_key_and_what_to_write(
    tmp_path: Path, before: str, after: str, words: tuple[str, ...]
) -> None:
    assert before in GOOD
    path = tmp_path / "reception.toml"
    path.write_text(GOOD.replace(before, after))
    with pytest.raises(BadInput) as error:
        read_board(path)
    said = str(error.value)
    assert [word for word in (str(path), *words) if word not in said] == []


@pytest.mark.parametrize("name", ["Reception.toml", "a b.toml", "-a.toml", ".toml"])
def test_a_board_files_name_is_its_id(name: str) -> None:
    with pytest.raises(BadInput, match=r"like u20\.toml"):
        parse_board(Path(name), GOOD.encode())


def test_a_board_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="is missing"):
        read_board(tmp_path / "none.toml")
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(SetupError, match="no plain file"):
        read_board(tmp_path / "folder.toml")
    with (tmp_path / "huge.toml").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(SetupError, match="more than 65536 bytes"):
        read_board(tmp_path / "huge.toml")


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_garbage_is_told_as_such(content: bytes) -> None:
    with pytest.raises(BadInput):
        parse_board(Path("garbage.toml"), content)


@given(st.data())
def test_a_good_file_with_any_line_taken_out_or_doubled_is_good_or_told(data: st.DataObject) -> None:
    lines = (shipped_boards() / "u100.toml").read_text().splitlines()
    at = data.draw(st.integers(0, len(lines) - 1))
    lines[at : at + 1] = data.draw(st.sampled_from([[], [lines[at]] * 2, [lines[at][::-1]]]))
    try:
        assert parse_board(Path("u100.toml"), "\n".join(lines).encode()).id == "u100"
    except BadInput as error:
        assert "u100.toml" in str(error)
