"""`backup`, `restore`, `backups` and `database` at a terminal, as docs/backup.md tells."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from coovox_billing.cli import backups
from coovox_billing.services.licensing import Standing
from coovox_billing.store.database import FILE_NAME
from coovox_billing.store.schema import known_version
from tests.cli.conftest import Terminal
from tests.licenses import a_device
from tests.store.fixtures import fixture

ROOT = Path(__file__).resolve().parents[2]
PASSPHRASE = "horse battery staple"


def test_it_backs_up_and_restores(reception: Terminal) -> None:
    file = str(reception.folder / "site.tar.gz")
    assert re.search(r"is written: [0-9.]+ kB, 0 calls, 1 extension$", reception.do("backup", file), re.MULTILINE)
    assert Path(file).stat().st_mode & 0o077 == 0
    reception.do("recharge", "100", "5")
    told = reception.do("restore", file, "--dry-run")
    assert "extension 100: 15.0000 now, 10.0000 in the backup" in told
    assert "in it: 0 calls for 0.0000, 1 recharge of 5.0000, 1 change." in told
    assert told.endswith("Nothing was changed.\n")
    assert reception.read("extension", "list")[0]["balance"] == "15.0000"
    told = reception.do("restore", file)
    assert "What was there before is kept: " in told
    assert "systemctl start coovox-billing-calls coovox-billing-web" in told
    assert reception.read("extension", "list")[0]["balance"] == "10.0000"
    assert "sound" in reception.do("audit")


def test_it_tells_the_same_to_programs(reception: Terminal) -> None:
    file = str(reception.folder / "site.tar.gz")
    reception.do("backup", file)
    reception.do("extension", "add", "101")
    facts = json.loads(reception.do("restore", file, "--dry-run", "--json"))
    assert facts["schema"] == {"backup": known_version(), "present": known_version()}
    assert facts["balance"] == {"backup": "10.0000", "present": "10.0000"}
    assert facts["balances_that_differ"] == [{"extension": "101", "present": "0.0000", "backup": None}]
    assert (facts["lost"]["changes"], facts["kept_aside"]) == (1, None)


def test_it_overwrites_nothing(reception: Terminal) -> None:
    file = reception.file("letter", "dear")
    assert "is there already" in reception.refused("backup", file)
    assert Path(file).read_text() == "dear"
    assert "cannot be written" in reception.refused("backup", f"{reception.folder}/not/there")
    assert "cannot be read" in reception.refused("restore", f"{reception.folder}/not/there")
    assert "cannot be written: File name too long" in reception.refused("backup", f"{reception.folder}/{'x' * 300}")
    assert "no backup" in reception.refused("restore", file)


def test_it_takes_the_passphrase_from_a_file_or_the_environment(
    reception: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, secret = str(reception.folder / "site.tar.gz.age"), reception.file("secret", f"{PASSPHRASE}\nmore\n")
    assert "encrypted" in reception.do("backup", file, "--passphrase-file", secret)
    assert b"Reception" not in Path(file).read_bytes()
    assert "no passphrase was given" in reception.refused("restore", file, "--dry-run")
    wrong = reception.file("wrong", "another one, longer")
    assert "passphrase is wrong" in reception.refused("restore", file, "--passphrase-file", wrong)
    monkeypatch.setenv(backups.PASSPHRASE_VARIABLE, PASSPHRASE)
    assert "Nothing was changed" in reception.do("restore", file, "--dry-run")
    assert PASSPHRASE not in reception.do("backups", "status")


@pytest.mark.parametrize("text", ["", "short", "x" * 2000])
def test_it_refuses_what_is_no_passphrase(reception: Terminal, text: str) -> None:
    file = str(reception.folder / "site.tar.gz.age")
    assert "passphrase" in reception.refused("backup", file, "--passphrase-file", reception.file("secret", text))
    assert not Path(file).exists()


def test_it_asks_for_a_passphrase_at_a_terminal_alone(reception: Terminal) -> None:
    assert "a passphrase is needed" in reception.refused("backup", f"{reception.folder}/x.age", "--encrypt")


def test_it_writes_to_a_pipe(reception: Terminal) -> None:
    command = [sys.executable, "-m", "coovox_billing", "--data", str(reception.folder / "data"), "backup", "-"]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, check=True
    )
    listed = subprocess.run(["tar", "tz"], input=done.stdout, capture_output=True, check=True)
    assert listed.stdout == b"manifest.json\ndatabase.sqlite3\ntrial\n"


def test_it_moves_a_site_to_a_new_place(reception: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    file = str(reception.folder / "site.tar.gz")
    reception.do("backup", file)
    new = Terminal(reception.folder / "new", reception.capture)
    new.folder.mkdir()
    assert "There was no database here yet" in new.do("restore", file)
    assert new.read("extension", "list")[0]["name"] == "Reception"
    torn = Terminal(reception.folder / "torn", reception.capture)
    (torn.folder / "data").mkdir(parents=True)
    (torn.folder / "data" / FILE_NAME).write_bytes(b"a letter" * 1000)
    assert "There is no database now that could be read" in torn.do("restore", file)


def test_it_tells_that_the_license_is_for_the_old_device(reception: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backups, "this_device", lambda directory: a_device(1))
    file = str(reception.folder / "site.tar.gz")
    reception.do("backup", file)
    monkeypatch.setattr(backups, "this_device", lambda directory: a_device(2))
    faults = ("license 7 is for another device",)
    standing = Standing(True, None, None, False, faults)
    monkeypatch.setattr(backups, "open_licensing", lambda *arguments: SimpleNamespace(standing=lambda: standing))
    restored, *more = reception.do("restore", file).splitlines()[-3:]
    assert restored.startswith("Restored. ")
    assert more[0] == "note   The restore is done; of trial and license here: license 7 is for another device"
    assert "so is its license" in more[1]
    assert "coovox-billing license source billing.ac" in more[1]
    assert "FAULT" not in reception.do("restore", file)


def test_it_tries_a_new_place_at_once(reception: Terminal) -> None:
    there = reception.folder
    said = reception.do("setting", "set", "backup_to", f"{there}/not/there")
    assert said.startswith(
        f"backup_to = {there}/not/there\nnote   It is stored, but the folder {there}/not/there cannot"
    )
    assert reception.do("setting", "get", "backup_to") == f"{there}/not/there\n"
    assert f"no stick is mounted at {there}/x" in reception.do("setting", "set", "backup_to", f"usb:{there}/x")
    assert reception.do("setting", "set", "backup_to", f"{there}/kept") == f"backup_to = {there}/kept\n"
    assert list((there / "kept").iterdir()) == []
    assert "not asked yet" in reception.do("setting", "set", "backup_to", "s3://nas.invalid/bucket")
    hint = "coovox-billing backups secret s3-key-id, then coovox-billing backups secret s3-secret"
    assert hint in reception.refused("backups", "now")
    assert reception.do("setting", "set", "backup_to", "") == "backup_to = \n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_root_tries_a_place_as_the_service_would(reception: Terminal) -> None:
    closed = reception.folder / "closed"
    closed.mkdir(mode=0o700)
    os.chown(reception.folder / "data", 12345, 12345)
    assert "Permission denied" in reception.do("setting", "set", "backup_to", str(closed))
    assert (os.geteuid(), os.getegid()) == (0, 0)


def test_it_makes_scheduled_ones(reception: Terminal) -> None:
    folder = reception.folder / "kept"
    assert "none yet" in reception.do("backups", "list")
    reception.do("setting", "set", "backup_to", str(folder))
    reception.do("setting", "set", "backup_at", "02:30")
    assert "is kept" in reception.do("backups", "now")
    (name,) = [one["name"] for one in reception.read("backups", "list")]
    assert (folder / name).is_file()
    reception.do("backups", "fetch", name, str(reception.folder / "again"))
    assert (reception.folder / "again").read_bytes() == (folder / name).read_bytes()
    facts = reception.read("backups", "status")
    assert (facts["scheduled"], facts["backup_at"], facts["last_good"]) == (True, "02:30", name)
    reception.do("setting", "set", "backup_to", f"{folder}/not/there")
    assert "No such file" in reception.refused("backups", "now")
    said = reception.do("backups", "status")
    assert ("at 02:30, every day\n" in said, "FAULT  failed once since" in said) == (True, True)
    reception.do("setting", "set", "backup_days", "15")
    assert "at 02:30, Mon, Fri\n" in reception.do("backups", "status")


def test_it_stores_secrets_and_never_shows_them(reception: Terminal) -> None:
    assert "passphrase is stored" in reception.do(
        "backups", "secret", "passphrase", "--file", reception.file("secret", f"{PASSPHRASE}\n")
    )
    assert reception.read("backups", "status")["encrypted"] is True
    assert "too short" in reception.refused("backups", "secret", "passphrase", "--file", reception.file("s", "short"))
    assert "no private key" in reception.refused("backups", "secret", "sftp-key", "--file", reception.file("k", "key"))
    reception.do("backups", "secret", "passphrase", "--remove")
    assert reception.read("backups", "status")["encrypted"] is False


def test_it_tells_which_schema_a_database_has(reception: Terminal) -> None:
    facts = reception.read("database", "status")
    assert (facts["verdict"], facts["schema"], facts["known"]) == ("current", known_version(), known_version())
    assert "nothing was to be done" in reception.do("database", "upgrade")


def test_it_upgrades_when_it_is_told_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at = Terminal(tmp_path, capsys.readouterr)
    (tmp_path / "data").mkdir()
    assert at.read("database", "status")["verdict"] == "missing"
    fixture(4, tmp_path / "data")
    facts = at.read("database", "status")
    assert (facts["verdict"], facts["schema"], facts["backup"]) == ("older", 4, None)
    assert facts["needed_bytes"] > 2_000_000
    assert f"from schema 4 to {known_version()}" in at.do("database", "upgrade")
    kept = at.read("database", "status")["backup"]
    with closing(sqlite3.connect(tmp_path / "data" / FILE_NAME)) as connection:
        connection.execute("PRAGMA user_version = 99")
    said = at.run("database", "status")
    assert said.status == 1
    assert f"coovox-billing restore {kept}" in said.out
    assert kept in at.refused("extension", "list")
    at.do("restore", kept)
    assert at.read("database", "status")["verdict"] == "current"


def test_it_says_that_a_file_is_no_database(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at = Terminal(tmp_path, capsys.readouterr)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / FILE_NAME).write_bytes(b"a letter" * 1000)
    said = at.run("database", "status", "--json")
    assert (said.status, json.loads(said.out)["verdict"]) == (1, "foreign")
