"""The systemd units: systemd itself understands them, and they watch over the planes as `serve` does."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from coovox_billing import foreign_workbook, heartbeat
from coovox_billing.pbx import agi_server

PACKAGING = Path(__file__).resolve().parents[2] / "packaging"
UNITS = sorted(PACKAGING.glob("*.service"))


def values(unit: Path, name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", unit.read_text(), re.MULTILINE)


def test_it_has_a_unit_for_each_plane() -> None:
    commands = [command for unit in UNITS for command in values(unit, "ExecStart")]
    assert commands == ["/usr/bin/coovox-billing calls", "/usr/bin/coovox-billing web"]


def test_it_is_understood_by_systemd(tmp_path: Path) -> None:
    for unit in UNITS:
        text = re.sub(r"^(Exec\w+)=.*$", r"\1=/bin/true", unit.read_text(), flags=re.MULTILINE)
        (tmp_path / unit.name).write_text(text)
    command = ["systemd-analyze", "verify", *(str(tmp_path / unit.name) for unit in UNITS)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (said.returncode, said.stdout + said.stderr) == (0, "")


def test_it_finds_what_systemd_does_not_understand(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.service"
    wrong.write_text("[Service]\nExecStart=/bin/true\nWatchdogSec=soon\nWachdogSignal=SIGKILL\n")
    command = ["systemd-analyze", "verify", str(wrong)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "soon" in said.stderr
    assert "WachdogSignal" in said.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Type", "notify"),
        ("NotifyAccess", "main"),
        ("WatchdogSec", f"{heartbeat.SILENCE_SECONDS:.0f}"),
        ("WatchdogSignal", "SIGKILL"),
        ("Restart", "always"),
        ("StartLimitIntervalSec", "0"),
        ("User", "coovox-billing"),
        ("StateDirectory", "coovox-billing"),
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
    ],
)
def test_it_watches_over_its_plane(unit: Path, name: str, expected: str) -> None:
    assert values(unit, name) == [expected]


def test_it_reads_as_root_what_only_root_may_read_before_the_pages_start() -> None:
    unit = PACKAGING / "coovox-billing-web.service"
    assert values(unit, "ExecStartPre") == ["-+/usr/bin/coovox-billing hook post-boot"]


def test_the_pages_may_write_the_persistent_store_of_every_board() -> None:
    boards = [tomllib.loads(path.read_text()) for path in (PACKAGING.parent / "firmware_hooks/boards").glob("*.toml")]
    stores, _ = values(PACKAGING / "coovox-billing-web.service", "ReadWritePaths")
    assert {f"-{board['store']['directory']}" for board in boards} == set(stores.split())


def test_the_pages_may_write_backups_onto_a_stick_and_where_the_document_says() -> None:
    _, sticks = values(PACKAGING / "coovox-billing-web.service", "ReadWritePaths")
    assert set(sticks.split()) == {"-/media", "-/mnt", "-/run/media", "-/srv"}


def test_the_pages_give_way_to_calls_and_are_not_ended_for_saying_so() -> None:
    unit = PACKAGING / "coovox-billing-web.service"
    assert values(unit, "CPUWeight") == ["30"]
    assert "setpriority" in values(unit, "SystemCallFilter")[-1].split(), "it is one of @resources"


def test_the_pages_go_on_where_a_file_that_they_were_sent_took_too_much() -> None:
    unit = PACKAGING / "coovox-billing-web.service"
    (most,) = values(unit, "MemoryMax")
    assert values(unit, "OOMPolicy") == ["continue"]
    assert int(most.removesuffix("M")) * 2**20 > foreign_workbook.MOST_MEMORY_BYTES


def test_it_never_ends_with_asterisk() -> None:
    ties = [
        tie for unit in UNITS for name in ("Requires", "BindsTo", "PartOf", "Requisite") for tie in values(unit, name)
    ]
    assert ties == []
    assert values(PACKAGING / "coovox-billing-calls.service", "After") == ["network.target asterisk.service"]


def test_the_call_plane_may_have_all_its_sessions_and_what_waits_to_be_one() -> None:
    (most,) = values(PACKAGING / "coovox-billing-calls.service", "LimitNOFILE")
    assert int(most) >= agi_server.MAX_SESSIONS + agi_server.LISTEN_BACKLOG + 200
