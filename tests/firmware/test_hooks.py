"""What outlives what: the promises of the guide, on each board, by the scripts that the firmware calls."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from coovox_billing.core.trial import LICENSE_FILE, TRIAL_FILE, begin, seal
from coovox_billing.errors import Refused
from coovox_billing.firmware import hooks
from coovox_billing.firmware.boards import find_board
from coovox_billing.firmware.hooks import HOOKS, RECORDS, Record, run_hook, store_of
from coovox_billing.firmware.identifiers import KEPT, known_identity
from coovox_billing.firmware.persistent_store import COPIES, PersistentStore
from tests.firmware.cast import LOSE_LICENSE, Box
from tests.license.cast import license_text

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "firmware_hooks"
LICENSE = b"coovox license, as the distributor sent it\n"
TRIAL = b"sealed trial record\n"


class Firmware:
    """What a firmware does to a machine, and how it calls the scripts."""

    def __init__(self, box: Box, bin_directory: Path) -> None:
        self.box = box
        self._environment = {"PATH": f"{bin_directory}:/usr/bin:/bin", "COOVOX_DATA": str(box.data)}
        program = bin_directory / "coovox-billing"
        bin_directory.mkdir()
        program.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m coovox_billing "$@"\n')
        program.chmod(0o755)

    def call(self, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a script as the firmware does."""
        command = [str(SCRIPTS / script), "--sysroot", str(self.box.root), *arguments]
        return subprocess.run(
            command, env=self._environment, cwd="/", capture_output=True, text=True, timeout=30, check=False
        )

    def upgrade(self) -> None:
        """The system is replaced, and the data directory with it."""
        assert self.call("pre-upgrade").returncode == 0
        shutil.rmtree(self.box.data)
        assert self.call("post-upgrade").returncode == 0

    def factory_reset(self) -> None:
        assert self.call("factory-reset").returncode == 0
        shutil.rmtree(self.box.data)
        self.start()

    def hard_reset(self) -> None:
        assert self.call("hard-reset").returncode == 0
        shutil.rmtree(self.box.data)
        self.start()

    def start(self) -> None:
        self.box.boot("77c0")
        assert self.call("post-boot").returncode == 0


@pytest.fixture
def firmware(box: Box, tmp_path: Path) -> Firmware:
    """The firmware of each board in turn, with a license and a trial in the data directory."""
    return licensed(box, tmp_path)


@pytest.fixture
def firmware_of_u60(u60: Box, tmp_path: Path) -> Firmware:
    return licensed(u60, tmp_path)


def licensed(box: Box, tmp_path: Path) -> Firmware:
    put(box.data, LICENSE_FILE, LICENSE)
    put(box.data, TRIAL_FILE, TRIAL)
    return Firmware(box, tmp_path / "bin")


def put(data: Path, name: str, content: bytes) -> None:
    data.mkdir(parents=True, exist_ok=True)
    (data / name).write_bytes(content)


def kept(data: Path) -> dict[str, bytes]:
    """What of license and trial is in the data directory."""
    return {record.name: (data / record.name).read_bytes() for record in RECORDS if (data / record.name).exists()}


def store(box: Box) -> PersistentStore:
    return store_of(find_board(box.machine), box.machine, box.data)


def test_license_and_trial_outlive_upgrade_and_factory_reset_on_every_board(firmware: Firmware) -> None:
    firmware.upgrade()
    assert kept(firmware.box.data) == {LICENSE_FILE: LICENSE, TRIAL_FILE: TRIAL}
    firmware.factory_reset()
    assert kept(firmware.box.data) == {LICENSE_FILE: LICENSE, TRIAL_FILE: TRIAL}


def test_license_and_trial_outlive_a_hard_reset_on_all_but_u20_and_u50(firmware: Firmware, board: str) -> None:
    firmware.start()
    firmware.hard_reset()
    lasting = {} if board in LOSE_LICENSE else {LICENSE_FILE: LICENSE, TRIAL_FILE: TRIAL}
    assert kept(firmware.box.data) == lasting


def test_without_the_hooks_a_wiped_data_directory_has_lost_them(firmware_of_u60: Firmware) -> None:
    shutil.rmtree(firmware_of_u60.box.data)
    firmware_of_u60.start()
    assert kept(firmware_of_u60.box.data) == {}


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_may_be_called_again_and_changes_nothing_the_second_time(u60: Box, name: str) -> None:
    put(u60.data, LICENSE_FILE, LICENSE)
    put(u60.data, TRIAL_FILE, TRIAL)
    run_hook(name, u60.machine, u60.data)
    files = [path for path in u60.root.rglob("*") if path.is_file() and not path.is_symlink()]
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}
    assert all(step.ok for step in run_hook(name, u60.machine, u60.data))
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files} == before


@pytest.mark.parametrize("name", [name for name in HOOKS if name != "hard-reset"])
def test_a_hook_works_on_a_machine_that_never_had_a_site(box: Box, name: str) -> None:
    steps = run_hook(name, box.machine, box.data)
    assert [step.text for step in steps if not step.ok] == []
    assert not box.data.exists()


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_touches_nothing_else_of_a_site(u60: Box, name: str) -> None:
    put(u60.data, LICENSE_FILE, LICENSE)
    put(u60.data, "coovox-billing.sqlite3", b"money")
    run_hook(name, u60.machine, u60.data)
    assert (u60.data / "coovox-billing.sqlite3").read_bytes() == b"money"


def test_every_hook_has_its_script_and_every_script_its_hook() -> None:
    scripts = {path.name for path in SCRIPTS.iterdir() if path.is_file() and path.suffix != ".md"}
    assert set(HOOKS) <= scripts
    for name in HOOKS:
        text = (SCRIPTS / name).read_text()
        assert text.replace(name, "NAME") == (SCRIPTS / "remove").read_text().replace("remove", "NAME")
        assert os.access(SCRIPTS / name, os.X_OK)


@pytest.mark.parametrize("name", HOOKS)
def test_a_script_lets_the_firmware_go_on_where_billing_is_not_installed(name: str, tmp_path: Path) -> None:
    script = (SCRIPTS / name).read_text().replace("/usr/", f"{tmp_path}/")
    said = subprocess.run(
        ["/bin/sh", "-c", script], env={"PATH": str(tmp_path)}, capture_output=True, text=True, timeout=10, check=False
    )
    assert (said.returncode, said.stdout) == (0, "")
    assert "no coovox-billing here" in said.stderr


def test_a_script_finds_billing_where_nothing_is_on_the_path(tmp_path: Path) -> None:
    program = tmp_path / "bin/coovox-billing"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$@"\n')
    program.chmod(0o755)
    script = (SCRIPTS / "pre-upgrade").read_text().replace("/usr/", f"{tmp_path}/")
    command = ["/bin/sh", "-c", script, "pre-upgrade", "--strict"]
    said = subprocess.run(command, env={"PATH": "/none"}, capture_output=True, text=True, timeout=10, check=True)
    assert said.stdout == "hook pre-upgrade --strict\n"


def test_it_tells_what_it_did(firmware_of_u60: Firmware) -> None:
    said = firmware_of_u60.call("pre-upgrade")
    assert said.stdout == (
        f"ok     {LICENSE_FILE}: kept in the persistent store\nok     {TRIAL_FILE}: kept in the persistent store\n"
    )
    shutil.rmtree(firmware_of_u60.box.data)
    said = firmware_of_u60.call("post-boot")
    assert f"ok     {LICENSE_FILE}: brought back into the data directory\n" in said.stdout


def test_it_never_stops_the_firmware_and_says_what_is_wrong(firmware_of_u60: Firmware) -> None:
    firmware_of_u60.box.mount()
    said = firmware_of_u60.call("pre-upgrade")
    assert said.returncode == 0
    assert "FAULT" in said.stdout
    assert "nothing is mounted at /persist" in said.stdout
    assert firmware_of_u60.call("pre-upgrade", "--strict").returncode == 1
    assert not (firmware_of_u60.box.root / "persist/coovox-billing").exists()


def test_it_never_stops_the_firmware_for_a_settings_file_that_is_none(
    firmware_of_u60: Firmware, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = tmp_path / "settings.toml"
    bad.write_text("data = ")
    firmware_of_u60._environment["COOVOX_CONFIG"] = str(bad)
    said = firmware_of_u60.call("pre-upgrade")
    assert (said.returncode, said.stdout[:6]) == (0, "FAULT ")
    assert "is not TOML" in said.stdout


def test_an_unknown_hook_is_wrong_usage(firmware_of_u60: Firmware, tmp_path: Path) -> None:
    said = subprocess.run(
        [str(tmp_path / "bin/coovox-billing"), "hook", "lunch"], capture_output=True, text=True, timeout=30, check=False
    )
    assert said.returncode == 2
    assert "post-boot" in said.stderr


def test_a_newer_license_in_the_data_directory_goes_into_the_store(u60: Box) -> None:
    store(u60).write(LICENSE_FILE, b"before the repair")
    put(u60.data, LICENSE_FILE, LICENSE)
    run_hook("post-boot", u60.machine, u60.data)
    assert (store(u60).read(LICENSE_FILE), kept(u60.data)[LICENSE_FILE]) == (LICENSE, LICENSE)


def test_a_damaged_license_replaces_no_whole_one(u60: Box) -> None:
    whole = license_text().encode()
    store(u60).write(LICENSE_FILE, whole)
    put(u60.data, LICENSE_FILE, whole[:-20])
    run_hook("post-boot", u60.machine, u60.data)
    assert (store(u60).read(LICENSE_FILE), kept(u60.data)[LICENSE_FILE]) == (whole, whole)


def test_it_makes_the_store_before_there_is_anything_to_keep(u60: Box) -> None:
    run_hook("post-boot", u60.machine, u60.data)
    assert store(u60).directory.is_dir()


MAY, JUNE = (seal(begin(first_ms, 0), ()).encode() for first_ms in (1_777_600_000_000, 1_780_300_000_000))


def test_the_earlier_trial_counts(u60: Box) -> None:
    store(u60).write(TRIAL_FILE, MAY)
    put(u60.data, TRIAL_FILE, JUNE)
    run_hook("post-upgrade", u60.machine, u60.data)
    assert (store(u60).read(TRIAL_FILE), kept(u60.data)[TRIAL_FILE]) == (MAY, MAY)


@pytest.mark.parametrize(("first", "second"), [(b"2026-05", b"2026-06"), (b"2026-06", b"2026-05")])
def test_another_rule_can_say_which_trial_counts(u60: Box, first: bytes, second: bytes) -> None:
    put(u60.data, TRIAL_FILE, first)
    store(u60).write(TRIAL_FILE, second)
    run_hook("post-boot", u60.machine, u60.data, [Record(TRIAL_FILE, min)])
    assert (store(u60).read(TRIAL_FILE), kept(u60.data)[TRIAL_FILE]) == (b"2026-05", b"2026-05")


def refusing(in_data: bytes, in_store: bytes) -> bytes:
    raise Refused("the seal is broken")


def failing(in_data: bytes, in_store: bytes) -> bytes:
    raise KeyError("seal")


@pytest.mark.parametrize(("rule", "word"), [(refusing, "the seal is broken"), (failing, "KeyError")])
def test_a_rule_that_fails_keeps_both_and_does_the_rest(
    u60: Box, rule: Callable[[bytes, bytes], bytes], word: str
) -> None:
    put(u60.data, TRIAL_FILE, b"this")
    store(u60).write(TRIAL_FILE, b"that")
    put(u60.data, LICENSE_FILE, LICENSE)
    steps = run_hook("pre-upgrade", u60.machine, u60.data, [Record(TRIAL_FILE, rule), RECORDS[0]])
    assert [word in step.text for step in steps if not step.ok] == [True]
    assert (kept(u60.data)[TRIAL_FILE], store(u60).read(TRIAL_FILE)) == (b"this", b"that")
    assert store(u60).read(LICENSE_FILE) == LICENSE


def test_an_empty_file_is_as_good_as_none(u60: Box) -> None:
    store(u60).write(LICENSE_FILE, LICENSE)
    put(u60.data, LICENSE_FILE, b"")
    run_hook("pre-upgrade", u60.machine, u60.data)
    assert (store(u60).read(LICENSE_FILE), kept(u60.data)[LICENSE_FILE]) == (LICENSE, LICENSE)


def test_a_damaged_copy_is_written_anew(u60: Box) -> None:
    store(u60).write(LICENSE_FILE, LICENSE)
    (store(u60).directory / f"{LICENSE_FILE}{COPIES[0]}").write_bytes(b"rot")
    assert len(store(u60).faults()) == 1
    assert all(step.ok for step in run_hook("post-boot", u60.machine, u60.data))
    assert store(u60).faults() == []


def test_a_store_in_which_all_is_damaged_is_told(u60: Box) -> None:
    store(u60).write(LICENSE_FILE, LICENSE)
    for ending in COPIES:
        (store(u60).directory / f"{LICENSE_FILE}{ending}").write_bytes(b"rot")
    faulty = [step.text for step in run_hook("post-boot", u60.machine, u60.data) if not step.ok]
    assert len(faulty) == 1
    assert "both copies of billing.license are damaged" in faulty[0]


def test_it_follows_no_link_out_of_the_data_directory(u60: Box, tmp_path: Path) -> None:
    secret = tmp_path / "shadow"
    secret.write_text("root's secret")
    u60.data.mkdir(parents=True)
    (u60.data / LICENSE_FILE).symlink_to(secret)
    steps = run_hook("pre-upgrade", u60.machine, u60.data)
    assert [step.ok for step in steps] == [False, True]
    assert store(u60).names() == []
    assert secret.read_text() == "root's secret"


def test_it_does_not_wait_for_a_pipe_nor_read_without_end(u60: Box) -> None:
    u60.data.mkdir(parents=True)
    os.mkfifo(u60.data / LICENSE_FILE)
    with (u60.data / TRIAL_FILE).open("wb") as file:
        file.truncate(1 << 30)
    texts = [step.text for step in run_hook("pre-upgrade", u60.machine, u60.data) if not step.ok]
    assert "it is no plain file" in texts[0]
    assert "more than 16384 bytes" in texts[1]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
def test_what_root_brings_back_is_for_the_user_of_the_data_directory(u60: Box) -> None:
    u60.data.mkdir(parents=True)
    os.chown(u60.data, 4711, 4712)
    store(u60).write(LICENSE_FILE, LICENSE)
    run_hook("post-boot", u60.machine, u60.data)
    brought = (u60.data / LICENSE_FILE).stat()
    assert (brought.st_uid, brought.st_gid, brought.st_mode & 0o777) == (4711, 4712, 0o600)
    made = store(u60).directory.stat()
    assert (made.st_uid, made.st_gid, made.st_mode & 0o777) == (4711, 4712, 0o700)
    known = (u60.root / KEPT.lstrip("/")).stat()
    assert (known.st_uid, known.st_gid, known.st_mode & 0o777) == (0, 4712, 0o640)


def test_after_a_boot_everybody_sees_what_root_saw(u60: Box) -> None:
    run_hook("post-boot", u60.machine, u60.data)
    seen = known_identity(u60.machine)
    shutil.rmtree(u60.root / "sys/firmware")
    assert known_identity(u60.machine) == seen
    u60.boot("another")
    assert known_identity(u60.machine) != seen


def test_a_broken_board_file_of_the_site_is_told_and_the_rest_done(u60: Box) -> None:
    u60.write("/etc/coovox-billing/boards/mine.toml", "name = 5\n")
    put(u60.data, LICENSE_FILE, LICENSE)
    steps = run_hook("pre-upgrade", u60.machine, u60.data)
    assert ["mine.toml" in step.text for step in steps if not step.ok] == [True]
    assert store(u60).read(LICENSE_FILE) == LICENSE


def test_remove_takes_billing_out_of_asterisk_and_keeps_the_data(firmware_of_u60: Firmware, tmp_path: Path) -> None:
    etc = tmp_path / "etc"
    etc.mkdir()
    before = "[general]\n\n[from-internal]\nexten => 100,1,Dial(PJSIP/100)\n"
    (etc / "extensions.conf").write_text(before)
    installed = [str(tmp_path / "bin/coovox-billing"), "pbx", "install", "--etc", str(etc)]
    subprocess.run(installed, env={"COOVOX_DATA": str(firmware_of_u60.box.data)}, capture_output=True, check=True)
    assert (etc / "extensions.conf").read_text() != before
    said = firmware_of_u60.call("remove", "--etc", str(etc))
    assert said.returncode == 0
    assert (etc / "extensions.conf").read_text() == before
    assert kept(firmware_of_u60.box.data) == {LICENSE_FILE: LICENSE, TRIAL_FILE: TRIAL}
    again = firmware_of_u60.call("remove", "--etc", str(etc), "--strict")
    assert (again.returncode, "nothing of billing was installed" in again.stdout) == (0, True)


def test_with_another_root_nothing_of_this_machine_is_touched(firmware_of_u60: Firmware) -> None:
    etc = firmware_of_u60.box.write("/etc/asterisk/extensions.conf", "[general]\n").parent
    del firmware_of_u60._environment["COOVOX_DATA"]
    said = firmware_of_u60.call("remove")
    assert "billing.license: kept in the persistent store" in said.stdout
    assert "nothing of billing was installed" in said.stdout
    assert [path.name for path in etc.iterdir()] == ["extensions.conf"]


def test_whatever_fails_in_a_hook_is_a_step(u60: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("nobody thought of this")

    monkeypatch.setattr(hooks, "find_board", broken)
    (step,) = run_hook("pre-upgrade", u60.machine, u60.data)
    assert not step.ok
    assert "nobody thought of this" in step.text
