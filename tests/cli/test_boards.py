"""What `board show` and `hook` say at a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from coovox_billing.firmware.boards import shipped_boards
from tests.cli.conftest import Terminal
from tests.firmware.cast import EMMC_CID, Box, build_box


@pytest.fixture
def u50(tmp_path: Path) -> Box:
    """A CooVox U50."""
    return build_box(tmp_path / "root", "u50")


def test_board_show_tells_all_that_billing_uses(terminal: Terminal, u50: Box) -> None:
    said = terminal.read("board", "show", "--sysroot", str(u50.root))
    assert (said["board"], said["recognized_by"]) == ("u50", "/etc/coovox-board: CooVox U50")
    assert {"kind": "emmc", "value": EMMC_CID, "weak": False} in said["identifiers"]
    assert said["looked_for_in_vain"] == ["controller (controller serial: no /dev/coovox-controller)"]
    assert (said["store"], said["store_holds"]) == (str(u50.root / "persist/coovox-billing"), [])
    assert (said["erased_by_hard_reset"], said["kept"]) == (True, ["billing.license", "trial"])
    assert Path(said["hooks"], "post-boot").is_file()
    assert said["faults"] == []


def test_board_show_is_readable(terminal: Terminal, u50: Box) -> None:
    said = terminal.do("board", "show", "--sysroot", str(u50.root))
    assert "Board:           CooVox U50 (/etc/coovox-board: CooVox U50)\n" in said
    assert f"Identifier:      emmc {EMMC_CID}\n" in said
    assert "A hard reset:    erases the store\n" in said


def test_board_show_says_when_it_is_too_little(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    said = terminal.run("board", "show", "--sysroot", str(tmp_path / "empty"))
    assert said.status == 1
    assert "FAULT            this machine tells too little of itself" in said.out
    assert "Board:           Debian box (nothing else fits)" in said.out


def test_board_show_tries_a_board_file(terminal: Terminal, u50: Box) -> None:
    file = terminal.file("mine.toml", (shipped_boards() / "raspberry-pi.toml").read_text())
    said = terminal.read("board", "show", "--sysroot", str(u50.root), "--file", file)
    assert (said["board"], said["name"]) == ("mine", "Raspberry Pi")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("board", "show", "--sysroot", "/no/such/dir"), "'/no/such/dir' is not a directory"),
        (("board", "show", "--sysroot", ""), "'' is not a directory"),
        (("board", "show", "--file", "/no/such/board.toml"), "board.toml is missing"),
    ],
)
def test_bad_words_are_told(terminal: Terminal, arguments: tuple[str, ...], word: str) -> None:
    assert word in terminal.refused(*arguments)


def test_a_hook_prints_its_steps_as_json(terminal: Terminal, u50: Box) -> None:
    (terminal.folder / "data/billing.license").write_bytes(b"license")
    steps = terminal.read("hook", "pre-upgrade", "--sysroot", str(u50.root))
    assert steps == [
        {"ok": True, "text": "billing.license: kept in the persistent store"},
        {"ok": True, "text": "trial: kept in the persistent store"},
    ]


def test_a_hook_with_a_bad_root_lets_the_firmware_go_on(terminal: Terminal) -> None:
    said = terminal.run("hook", "post-boot", "--sysroot", "/no/such/dir")
    assert (said.status, said.out[:6]) == (0, "FAULT ")
    assert terminal.run("hook", "post-boot", "--sysroot", "/no/such/dir", "--strict").status == 1
