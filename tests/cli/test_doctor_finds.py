"""Each misconfiguration is found, says what to do, and a healthy site has none: one row each.

What needs an Asterisk is in tests/asterisk/test_doctor.py, what a bad day does to the database in test_doctor.py.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import StringIO
from pathlib import Path

import pytest

from coovox_billing import __version__, this_device
from coovox_billing.cli import health
from coovox_billing.cli.checks import asterisk, look, machine, planes, site
from coovox_billing.cli.context import Context
from coovox_billing.cli.main import main
from coovox_billing.core.devices import Found, Listing
from coovox_billing.pbx import console
from coovox_billing.pbx.agi_identity import Answerer
from coovox_billing.services import condition
from coovox_billing.services.backups import STATE_FILE
from coovox_billing.services.condition import Condition
from coovox_billing.services.licensing import Device, Licensing
from coovox_billing.store import reads
from coovox_billing.store.database import FILE_NAME, Database
from coovox_billing.wall_clock import wall_clock_ms
from tests.asterisk.ports import free_port
from tests.asterisk.waiting import wait_until
from tests.cli.conftest import GUIDE_RATE, HEADER, Terminal

ROOT = Path(__file__).resolve().parents[2]
DAY_MS = condition.DAY_MS


class Site:
    """A healthy site, and whatever is done to it."""

    def __init__(self, terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
        self.terminal = terminal
        self.patch = monkeypatch
        self.data = terminal.folder / "data"
        self.etc = terminal.folder / "etc"

    def look(self, check: look.Check) -> list[Condition]:
        """What a check finds now."""
        context = Context(argparse.Namespace(data=str(self.data)))
        try:
            return check(look.Look(context, int(time.time() * 1000), self.etc))
        finally:
            context.close()

    def set(self, name: str, value: str) -> None:
        self.patch.setenv(f"COOVOX_{name.upper()}", value)

    def sql(self, statement: str, *values: object) -> None:
        with closing(sqlite3.connect(self.data / FILE_NAME)) as connection, connection:
            connection.execute(statement, values)

    def rates(self, *rows: str) -> None:
        path = self.terminal.file("rates.csv", "\n".join([HEADER, *rows, ""]))
        self.terminal.do("rate", "import", path, "--replace")


def knowing_the_machine(open_licensing: Callable[..., Licensing]) -> Callable[..., Licensing]:
    """As on a machine that can be told from others, whatever the one of the tests is."""

    def opened(database: Database, data: Path) -> Licensing:
        licensing = open_licensing(database, data)
        licensing.device = replace(licensing.device, trouble="")
        return licensing

    return opened


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reception's site, made once."""
    folder = tmp_path_factory.mktemp("furnished")
    (folder / "rates.csv").write_text(f"{HEADER}\n{GUIDE_RATE}\n")
    with pytest.MonkeyPatch.context() as patched, redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        patched.setenv("COOVOX_CONFIG", "/dev/null")
        for command in (
            "setting set time_zone UTC",
            "setting set backup_at 03:00",
            "activation on",
            "extension add 100 --name Reception",
            "extension set 100 --billing on",
            "recharge 100 10",
            f"rate import {folder}/rates.csv",
        ):
            assert main(["--data", str(folder / "data"), *command.split()]) == 0
    return folder / "data"


@pytest.fixture
def box(furnished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Site:
    """Its copy, on a machine with a kept clock and Asterisk's configuration elsewhere."""
    for name in ("data", "web_listen", "agi_listen", "ami"):
        monkeypatch.delenv(f"COOVOX_{name.upper()}", raising=False)
    monkeypatch.setattr(machine, "is_clock_kept", lambda: True)
    monkeypatch.setattr(machine, "machine_zone", lambda: "UTC")
    monkeypatch.setattr(site, "open_licensing", knowing_the_machine(site.open_licensing))
    shutil.copytree(furnished, tmp_path / "data")
    terminal = Terminal(tmp_path, capsys.readouterr)
    monkeypatch.setenv("COOVOX_CONFIG", terminal.file("settings.toml", ""))
    return Site(terminal, monkeypatch)


# machine


def open_directory(site: Site) -> None:
    site.data.chmod(0o755)


def tell_the_first_password(site: Site) -> None:
    (site.data / "first-password").write_text("secret\n")
    (site.data / "first-password").chmod(0o644)


def tell_the_managers_secret(site: Site) -> None:
    settings = Path(site.terminal.file("settings.toml", 'ami = "billing:secret@127.0.0.1:5038"\n'))
    settings.chmod(0o644)


def close_the_settings(site: Site) -> None:
    site.patch.setattr(machine, "may_read", lambda path, uid: False)


def close_the_managers_file(site: Site) -> None:
    site.etc.mkdir()
    (site.etc / "manager_coovox_billing.conf").write_text("; CooVox Billing manager user\n")
    (site.etc / "manager_coovox_billing.conf").chmod(0o600)
    site.patch.setattr(machine, "may_read", lambda path, uid: False)


def grow_the_log(site: Site) -> None:
    (site.data / f"{FILE_NAME}-wal").touch()
    os.truncate(site.data / f"{FILE_NAME}-wal", machine.LARGEST_WAL_BYTES + 1)


def leave_the_clock_alone(site: Site) -> None:
    site.patch.setattr(machine, "is_clock_kept", lambda: False)


def move_the_machine(site: Site) -> None:
    site.patch.setattr(machine, "machine_zone", lambda: "Asia/Shanghai")


def fill_the_memory(site: Site) -> None:
    site.patch.setattr(machine, "available_kb", lambda: 12_345)


def lose_a_package(site: Site) -> None:
    site.patch.setattr(machine, "PACKAGES", (*machine.PACKAGES, "no_such_package"))


# planes


def write_no_address(site: Site) -> None:
    site.set("agi_allow", "10.0.0.0/8 pbx")


def write_no_proxy(site: Site) -> None:
    site.set("trusted_proxies", "nginx")


def put_a_web_server_in_front(site: Site) -> None:
    site.set("web_prefix", "/billing")


def install_sleeping_units(site: Site) -> None:
    folder = site.terminal.folder / "units"
    folder.mkdir()
    for unit in planes.UNITS:
        (folder / unit).touch()
    site.patch.setattr(planes, "UNIT_FOLDERS", (folder,))
    site.patch.setattr(planes, "WANTED", folder / "wanted")
    site.patch.setattr(planes, "RUNNING_SYSTEMD", folder)


# site


def switch_off(site: Site) -> None:
    site.terminal.do("activation", "off")


def end_the_trial(site: Site) -> None:
    site.patch.setattr("coovox_billing.core.trial.TRIAL_MS", 0)


def let_the_trial_run_out(site: Site) -> None:
    site.patch.setattr("coovox_billing.core.trial.TRIAL_MS", 3 * DAY_MS)


def build_no_identity(site_: Site) -> None:
    site_.patch.setattr(site, "open_licensing", this_device.open_licensing)
    nobody = Device("unknown", (), None, "this machine tells too little of itself")
    site_.patch.setattr(this_device, "this_device", lambda data: nobody)


def price_nobody(site: Site) -> None:
    site.terminal.do("extension", "add", "101")
    site.terminal.do("extension", "set", "101", "--billing", "on")
    site.rates("1,City,9,9,0.1,60,0.02,55,,,,100")


def price_a_stranger(site: Site) -> None:
    site.rates("1,City,9,9,0.1,60,0.02,55,,,,all", "1,City,8,9,0.1,60,0.02,55,,,,777")


def price_twice(site: Site) -> None:
    site.rates("1,City,9,9,0.1,60,0.02,55,08:00:00,18:00:00,,all", "1,Noon,9,9,0.3,60,0.02,55,08:00:00,18:00:00,1,100")
    columns = "prefix, number_length, 9, 9, 9, 9, '08:00:00', '18:00:00', days, 1"
    site.sql(f"INSERT INTO rates SELECT 99, 1, 'late', {columns} FROM rates WHERE remark = 'City'")


def price_too_short(site: Site) -> None:
    site.sql("UPDATE rates SET prefix = '00441', number_length = 3")


def move_to_spain(site: Site) -> None:
    site.terminal.do("setting", "set", "time_zone", "Europe/Madrid")


def dial_a_telephone_as_trunk(site: Site) -> None:
    site.sql("INSERT INTO trunks (device, name) VALUES ('PJSIP/100', 'Carrier')")


def list_anothers_telephone(site: Site) -> None:
    site.terminal.do("extension", "add", "101")
    site.terminal.do("extension", "set", "100", "--devices", "PJSIP/101")


def schedule_no_backup(site: Site) -> None:
    site.terminal.do("setting", "set", "backup_at", "off")


def forget_the_backup(site: Site) -> None:
    (site.data / STATE_FILE).write_text(json.dumps({"good_ms": wall_clock_ms() - 9 * DAY_MS}))


def let_in_by_voicemail(site: Site, text: str | None) -> None:
    site.terminal.do("setting", "set", "self_service", "voicemail")
    path = site.terminal.folder / "voicemail.conf"
    site.set("voicemail_conf", str(path))
    if text is not None:
        path.write_text(text)


def lose_the_mailboxes(site: Site) -> None:
    let_in_by_voicemail(site, None)


def close_the_mailboxes(site: Site) -> None:
    let_in_by_voicemail(site, "[default]\n100 => 4829\n")
    site.patch.setattr(machine, "may_read", lambda path, uid: False)


def give_an_easy_mailbox(site: Site) -> None:
    let_in_by_voicemail(site, "[default]\n100 => 1234,Reception\n")


def change_a_balance(site: Site) -> None:
    site.sql("UPDATE accounts SET balance_micros = balance_micros + 100")


def spoil_a_page(site: Site) -> None:
    """One that nobody reads to price a call or to prove the books."""
    with closing(sqlite3.connect(site.data / FILE_NAME)) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'changes'").fetchone()
    with (site.data / FILE_NAME).open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\x00" * 4096)


# Asterisk


def name_no_sounds(site: Site) -> None:
    site.etc.mkdir()
    (site.etc / "asterisk.conf").write_text(f"[directories]\nastdatadir => {site.terminal.folder}\n")


def name_no_manager(site: Site) -> None:
    site.etc.mkdir()


def name_a_dead_manager(site: Site) -> None:
    site.set("ami", f"billing:secret@127.0.0.1:{free_port()}")


def stop_the_cel_file(site: Site) -> None:
    folder = site.terminal.folder / "log" / "cel-custom"
    folder.mkdir(parents=True)
    site.set("asterisk_log", str(folder.parent))
    site.sql(
        "INSERT INTO calls (call_id, state, number_dialed, number, asked_at_ms, answered_at_ms, local_day) "
        "VALUES ('1', 'settled', '9', '9', 1, ?, '2026-03-02')",
        int(time.time() * 1000),
    )


Harm = Callable[[Site], None]

MISCONFIGURATIONS: list[tuple[look.Check, Harm, str, str, str]] = [
    (machine.check_private_files, open_directory, "FAULT", "open to other users", "chmod 700 "),
    (machine.check_private_files, tell_the_first_password, "FAULT", "can be read by others", "chmod 600 "),
    (machine.check_private_files, tell_the_managers_secret, "FAULT", "everybody can read the manager's", "chmod 640 "),
    (machine.check_private_files, close_the_settings, "FAULT", "who runs billing, cannot read", "chmod g+r "),
    (machine.check_manager_file, close_the_managers_file, "FAULT", "cannot read the manager's secret", "usermod -aG "),
    (machine.check_wal, grow_the_log, "FAULT", "64 MB", "Restart billing"),
    (machine.check_time, leave_the_clock_alone, "note", "nobody keeps the clock", "timedatectl set-ntp true"),
    (machine.check_time, move_the_machine, "note", "machine in Asia/Shanghai", "setting set time_zone Asia/Shanghai"),
    (machine.check_memory, fill_the_memory, "FAULT", "12 MB of memory", "top -o RES"),
    (machine.check_packages, lose_a_package, "FAULT", "does not find no_such_package", "Install the package"),
    (planes.check_addresses, write_no_address, "FAULT", "'10.0.0.0/8' in agi_allow is no address", "192.168.1.5"),
    (planes.check_addresses, write_no_proxy, "FAULT", "'nginx' in trusted_proxies is no address", "127.0.0.1 or"),
    (planes.check_addresses, put_a_web_server_in_front, "note", "below /billing", "Set trusted_proxies"),
    (planes.check_units, install_sleeping_units, "FAULT", "do not start at boot", "systemctl enable --now"),
    (planes.check_call_plane, lambda _: None, "FAULT", "nothing listens there", "systemctl start coovox-billing-calls"),
    (planes.check_pages, lambda _: None, "FAULT", "silent on 127.0.0.1:", "systemctl start coovox-billing-web"),
    (site.check_billing, switch_off, "FAULT", "calls pass unbilled", "activation on"),
    (site.check_license, end_the_trial, "FAULT", "the trial is over", "license upload FILE"),
    (site.check_license, let_the_trial_run_out, "note", "it is over in", "license source FILE"),
    (site.check_license, build_no_identity, "note", "tells too little of itself", "before the trial is over"),
    (site.check_rates, price_nobody, "FAULT", "none for 101, who are billed", "rate import FILE"),
    (site.check_rates, price_a_stranger, "note", "none of the extensions it applies to is there", "inactive"),
    (site.check_rates, price_twice, "note", "comes before it at all its hours", "inactive"),
    (site.check_rates, price_too_short, "note", "shorter than its prefix", "inactive"),
    (site.check_emergency_numbers, move_to_spain, "note", "where 061, 062", "the page Settings"),
    (site.check_trunks, dial_a_telephone_as_trunk, "FAULT", "the telephone of extension 100", "trunk remove PJSIP/100"),
    (site.check_extensions, list_anothers_telephone, "note", "extension 101's own telephone", "set 100 --devices"),
    (site.check_backup, schedule_no_backup, "note", "none is scheduled", "setting set backup_at 02:30"),
    (site.check_backup, forget_the_backup, "FAULT", "the last good one is 9 days old", "Addons, Billing, Backups"),
    (site.check_books, change_a_balance, "FAULT", "", "Restore a backup"),
    (site.check_integrity, spoil_a_page, "FAULT", "the file is damaged", "restore a backup"),
    (asterisk.check_prompts, name_no_sounds, "note", "three tones instead of words", "asterisk-core-sounds-en"),
    (asterisk.check_manager, name_no_manager, "FAULT", "no warning and no grace", "pbx install"),
    (asterisk.check_manager, name_a_dead_manager, "FAULT", "nothing answers at", "Start Asterisk"),
    (asterisk.check_mailboxes, lose_the_mailboxes, "FAULT", "nobody can sign in", "voicemail_conf"),
    (asterisk.check_mailboxes, close_the_mailboxes, "FAULT", "cannot read", "usermod -aG asterisk"),
    (asterisk.check_mailboxes, give_an_easy_mailbox, "note", "for 100: they cannot sign in", "another PIN"),
    (asterisk.check_cel, stop_the_cel_file, "FAULT", "has not grown", "module reload cel"),
]


@pytest.mark.parametrize(
    ("check", "harm", "level", "finding", "advice"),
    MISCONFIGURATIONS,
    ids=[getattr(row[1], "__name__", "") + "-" + row[0].__name__ for row in MISCONFIGURATIONS],
)
def test_it_finds_it(box: Site, check: look.Check, harm: Harm, level: str, finding: str, advice: str) -> None:
    box.set("agi_listen", f"127.0.0.1:{free_port()}")
    box.set("web_listen", f"127.0.0.1:{free_port()}")
    harm(box)
    told = [one for one in box.look(check) if one.what_to_do]
    assert told, "it is not found"
    assert any(finding in one.finding and advice in one.what_to_do and _level(one) == level for one in told), told


def _level(found: Condition) -> str:
    return health._level(found)


def test_each_check_has_its_misconfiguration() -> None:
    elsewhere = {
        machine.check_files,  # test_doctor
        machine.check_disk_speed,
        site.check_calls,
        planes.check_users,  # below
        asterisk.check_pbx,  # tests/asterisk/test_doctor
        asterisk.check_mirror,
    }
    known = {row[0] for row in MISCONFIGURATIONS} | elsewhere
    assert {*health.CHECKS, *health.CHECKS_OF_THE_DATABASE, *health.OUTSIDE_CHECKS} == known


@pytest.mark.parametrize(
    "check",
    [*health.CHECKS, *health.CHECKS_OF_THE_DATABASE, asterisk.check_mirror, asterisk.check_prompts, asterisk.check_cel],
    ids=lambda check: check.__name__,
)
def test_it_finds_nothing_on_a_healthy_site(box: Site, check: look.Check) -> None:
    assert [one for one in box.look(check) if one.what_to_do] == []


# What answers


def test_it_hears_a_prompt_of_the_sites_own(box: Site) -> None:
    name_no_sounds(box)
    folder = box.terminal.folder / "sounds/en/custom"
    folder.mkdir(parents=True)
    assert [one.is_note for one in box.look(asterisk.check_prompts)] == [True]
    (folder / "coovox-billing-warning.wav").touch()
    assert [one.what_to_do for one in box.look(asterisk.check_prompts)] == [""]


@pytest.mark.parametrize(
    ("told", "finding"),
    [
        ("Value: {ours}\n", ""),
        ("Database entry not found.\n", "was never told what it must know alone"),
        ("Value: another:3\n", "knows an older state of what it must know alone"),
    ],
)
def test_it_compares_what_asterisk_was_told(box: Site, told: str, finding: str) -> None:
    box.etc.mkdir()
    with closing(sqlite3.connect(box.data / FILE_NAME)) as connection:
        ours = reads.mirror_marker(connection)
    box.patch.setattr(console, "find_asterisk_cli", lambda _: lambda command: told.format(ours=ours))
    (found,) = box.look(asterisk.check_mirror)
    assert (finding in found.finding, found.is_note) == (True, bool(finding))


@pytest.mark.parametrize(
    ("devices", "told"),
    [
        (("PJSIP/100", "PJSIP/101"), []),
        (("PJSIP/101",), ["these extensions have no telephone in Asterisk any more: 100"]),
        (
            ("PJSIP/100", "PJSIP/101", "PJSIP/102"),
            ["Asterisk has telephones of no extension, whose calls pass unbilled: 102 (PJSIP/102)"],
        ),
        ((), []),
    ],
)
def test_it_compares_telephones_and_extensions(box: Site, devices: tuple[str, ...], told: list[str]) -> None:
    box.terminal.do("extension", "add", "101")
    for device in ("PJSIP/100", "PJSIP/101"):
        box.sql("INSERT INTO seen_devices (device, name) VALUES (?, '')", device)
    listings = [Listing("PJSIP", tuple(Found(device) for device in devices))]
    found = box.look(lambda look: asterisk.device_conditions(look, listings))
    assert [one.finding for one in found if one.what_to_do] == told


@contextmanager
def plane(data: Path, name: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A plane in a process of its own."""
    command = [sys.executable, "-m", "coovox_billing", "--data", str(data), name]
    log = data.parent / f"{name}-{time.time()}.log"
    with (
        log.open("wb") as file,
        subprocess.Popen(command, cwd=ROOT, env=os.environ | environment, stdout=file, stderr=file) as process,
    ):
        try:
            said = b"answering Asterisk" if name == "calls" else b"pages on"
            wait_until(lambda: said in log.read_bytes(), 15)
            yield process
        finally:
            process.kill()


def test_it_tells_whether_the_call_plane_itself_is_signed_in_to_the_manager(box: Site) -> None:
    port, manager_port = free_port(), free_port()
    box.set("agi_listen", f"127.0.0.1:{port}")
    manager = f"billing:secret@127.0.0.1:{manager_port}"
    with plane(box.data, "calls"):
        (alone,) = box.look(planes.check_call_plane)
        assert alone.is_good
        box.set("ami", manager)
        _, without = box.look(planes.check_call_plane)
        assert (without.is_good, "runs without Asterisk's manager, which is there" in without.finding) == (False, True)
    with plane(box.data, "calls", COOVOX_AMI=manager):
        _, away = box.look(planes.check_call_plane)
        assert (away.is_good, "the call plane is not signed in to Asterisk's manager" in away.finding) == (False, True)
    box.patch.setattr(planes, "ask_identity", lambda *_: Answerer(True, __version__, _database_id(box), True))
    _, there = box.look(planes.check_call_plane)
    assert (there.is_good, there.finding) == (True, "the call plane is signed in to Asterisk's manager")


def _database_id(box: Site) -> str:
    with closing(sqlite3.connect(box.data / FILE_NAME)) as connection:
        return str(connection.execute("SELECT value FROM site WHERE name = 'database_id'").fetchone()[0])


def test_it_knows_its_own_planes_and_all_others(box: Site) -> None:
    port, web_port, other_port = free_port(), free_port(), free_port()
    box.set("agi_listen", f"127.0.0.1:{port}")
    box.set("web_listen", f"127.0.0.1:{web_port}")
    with plane(box.data, "calls") as process, plane(box.data, "web"):
        assert [one.is_good for one in (*box.look(planes.check_call_plane), *box.look(planes.check_pages))] == [
            True
        ] * 2
        assert box.look(planes.check_users) == []
        with plane(box.data, "calls", COOVOX_AGI_LISTEN=f"127.0.0.1:{other_port}") as second:
            (two,) = box.look(planes.check_users)
            assert {str(process.pid), str(second.pid)} <= set(two.finding.replace(",", " ").split())
        stranger = Site(Terminal(box.terminal.folder / "second", box.terminal.capture), box.patch)
        stranger.terminal.folder.mkdir()
        stranger.terminal.do("activation", "on")
        (found,) = stranger.look(planes.check_call_plane)
        assert "the call plane of another data directory answers" in found.finding
        box.patch.setattr(planes, "__version__", "99.0")
        (found,) = box.look(planes.check_call_plane)
        assert found.finding.startswith(f"version {__version__} answers on")
        assert found.what_to_do == "Restart it: systemctl restart coovox-billing-calls"
        box.patch.setattr(planes.Process, "user", property(lambda _: 65_534, lambda _, value: None), raising=False)
        (found,) = box.look(planes.check_users)
        assert found.what_to_do.startswith("Start billing as ")


@pytest.mark.parametrize(
    ("mode", "is_own", "readable"),
    [(0o600, True, True), (0o600, False, False), (0o644, False, True), (0o640, False, False), (0o200, True, False)],
)
def test_it_knows_who_may_read_a_file(tmp_path: Path, mode: int, is_own: bool, readable: bool) -> None:
    file = tmp_path / "file"
    file.touch(mode=0o600)
    file.chmod(mode)
    stranger = 64_999
    if is_own and os.geteuid() == 0:
        shutil.chown(file, stranger)
    user = (stranger if os.geteuid() == 0 else os.geteuid()) if is_own else stranger - 1
    assert machine.may_read(file, user) == readable


def test_it_knows_the_country_of_a_zone(tmp_path: Path) -> None:
    table = tmp_path / "zone.tab"
    table.write_text("# remarks\nES\t+4024-00341\tEurope/Madrid\tmainland\nCN\t+3114+12128\tAsia/Shanghai\n")
    assert [site.country_of(zone, table) for zone in ("Europe/Madrid", "Asia/Shanghai", "UTC")] == ["ES", "CN", ""]
    assert site.country_of("Europe/Madrid", tmp_path / "none") == ""


def test_it_knows_another_program_on_our_ports(box: Site) -> None:
    class Stranger(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Stranger)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"127.0.0.1:{server.server_port}"
    box.set("agi_listen", address)
    box.set("web_listen", address)
    (calls,), (pages,) = box.look(planes.check_call_plane), box.look(planes.check_pages)
    server.shutdown()
    assert calls.finding == f"another program answers on {address}, so no call is billed"
    assert pages.finding == f"another program answers on {address}"


def test_it_is_soon_done_where_everything_hangs(box: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    binary = box.terminal.folder / "asterisk"
    binary.write_text("#!/bin/sh\nexec sleep 60\n")
    binary.chmod(0o755)
    monkeypatch.setenv("PATH", f"{binary.parent}:{os.environ['PATH']}")
    box.etc.mkdir()
    (box.etc / "extensions.conf").write_text("[general]\n")
    with socket.create_server(("127.0.0.1", 0)) as hung:
        address = f"127.0.0.1:{hung.getsockname()[1]}"
        for name in ("agi_listen", "web_listen"):
            box.set(name, address)
        box.set("ami", f"billing:secret@{address}")
        began = time.monotonic()
        said = box.terminal.run("doctor", "--etc", str(box.etc))
        took = time.monotonic() - began
    assert said.status == 1
    assert took < 3.5
    assert f"silent on {address}: it takes the connection and says nothing" in said.out
    assert "Asterisk did not answer in 2 s" in said.out
    assert f"Asterisk's manager at {address} did not answer in 2 s" in said.out


def test_it_opens_no_database_of_another_version(box: Site) -> None:
    newest = len(list((ROOT / "coovox_billing/store/migrations").glob("*.sql")))
    for schema, words in ((newest - 1, "brings it up to date"), (newest + 1, "by a newer version")):
        box.sql(f"PRAGMA user_version = {schema}")
        said = box.terminal.run("doctor")
        assert words in said.out
        assert "not examined" in said.out
        with closing(sqlite3.connect(box.data / FILE_NAME)) as connection:
            assert connection.execute("PRAGMA user_version").fetchone()[0] == schema


def test_it_says_how_grave_each_finding_is(box: Site) -> None:
    box.set("web_listen", f"127.0.0.1:{free_port()}")
    leave_the_clock_alone(box)
    rows = {row["name"]: row for row in json_of(box)}
    assert (rows["time"]["ok"], rows["time"]["level"]) == (True, "note")
    assert (rows["pages"]["ok"], rows["pages"]["level"]) == (False, "fault")
    assert (rows["database"]["ok"], rows["database"]["level"], rows["database"]["what_to_do"]) == (True, "ok", "")


def json_of(box: Site) -> list[dict[str, object]]:
    import json

    rows: list[dict[str, object]] = json.loads(box.terminal.run("doctor", "--json").out)
    return rows


def test_it_goes_on_where_a_check_fails(box: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def check_tea(look: look.Look) -> list[Condition]:
        raise KeyError("kettle")

    monkeypatch.setattr(health, "CHECKS", (check_tea,))
    said = box.terminal.run("doctor")
    assert "FAULT  tea: it could not be examined: KeyError('kettle')" in said.out
    assert "books: sound" in said.out


def test_it_says_where_it_did_not_count_to_the_end(box: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(connection: sqlite3.Connection) -> list[object]:
        connection.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n")
        return []

    monkeypatch.setattr(site, "audit", endless)
    monkeypatch.setattr(site, "PATIENCE_SECONDS", 0.1)
    (found,) = box.look(site.check_books)
    assert (found.is_good, "run `coovox-billing audit`" in found.finding) == (True, True)
