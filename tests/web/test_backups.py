"""The owner's page *Backups*: what is scheduled and kept, and that no secret is ever shown again."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest

from coovox_billing.core.roles import Role
from coovox_billing.sentences import Sentence
from coovox_billing.services import backups
from coovox_billing.services.backups import State, Stored
from tests import cast
from tests.cast import look_up
from tests.web.conftest import Desk

PAGE = "/addons/billing/backups"
PASSPHRASE = "horse battery staple"
NAME = "billing-0badcafe-20260302T023000Z.tar.gz"
GOOD = {
    "scheduled": "on", "backup_at": "02:30", "day": "1", "backup_to": "", "keep.days": "7",
    "keep.weeks": "4", "keep.months": "0", "backup_host_key": "", "backup_s3_region": "us-east-1",
}  # fmt: skip


def send(desk: Desk, form: dict[str, Any], where: str = PAGE) -> Any:
    return desk.post(where, {"submission": str(time.monotonic_ns()), **form}, PAGE)


def setting(desk: Desk, name: str) -> str:
    found = look_up(desk.database.path, "SELECT value FROM settings WHERE name = ?", [name])
    return str(found[0][0]) if found else ""


def changes(desk: Desk) -> str:
    return str(
        look_up(desk.database.path, "SELECT group_concat(what || ':' || before || '>' || after) FROM changes")[0][0]
    )


def test_it_stores_what_is_scheduled(owner_desk: Desk, tmp_path: Path) -> None:
    folder = str(tmp_path / "kept")
    assert send(owner_desk, {**GOOD, "backup_to": folder}).status_code == 303
    assert [setting(owner_desk, f"backup_{name}") for name in ("at", "days", "to", "keep")] == [
        "02:30", "1", folder, "7 4 0",
    ]  # fmt: skip
    assert f"setting backup_to:>{folder}" in changes(owner_desk)
    html = owner_desk.page(PAGE)
    assert (f'value="{folder}"' in html, "as it is now" in html) == (True, False)
    without = {name: text for name, text in GOOD.items() if name != "scheduled"}
    assert send(owner_desk, without).status_code == 303
    assert setting(owner_desk, "backup_at") == "off"


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (
            "{there}/not/there",
            "cannot go there as it is now: the folder {there}/not/there cannot be used: No such file",
        ),
        ("{there}/file", "cannot go there as it is now"),
        ("usb:{there}/stick", "cannot go there as it is now: no stick is mounted at {there}/stick"),
        ("sftp://ann@nas.invalid/x", "The server was not asked yet"),
    ],
)
def test_it_tries_a_new_place_and_keeps_what_was_written(
    owner_desk: Desk, tmp_path: Path, place: str, words: str
) -> None:
    (tmp_path / "file").touch()
    place = place.format(there=tmp_path)
    assert send(owner_desk, {**GOOD, "backup_to": place}).status_code == 303
    assert words.format(there=tmp_path) in owner_desk.page(PAGE)
    assert setting(owner_desk, "backup_to") == place
    assert "as it is now" not in owner_desk.page(PAGE)


@pytest.mark.parametrize(
    ("field", "text", "words"),
    [
        ("backup_at", "26:00", "no time for backups"),
        ("day", "", "no days"),
        ("backup_to", "sftp://ann:secret@nas/x", "password does not belong"),
        ("keep.days", "0", "at least one daily"),
        ("backup_host_key", "d4:1d", "no fingerprint"),
        ("backup_s3_region", "", "no region"),
    ],
)
def test_it_tells_what_is_wrong_and_stores_nothing(owner_desk: Desk, field: str, text: str, words: str) -> None:
    answer = send(owner_desk, {**GOOD, field: text})
    assert (answer.status_code, words in answer.text) == (422, True)
    assert setting(owner_desk, "backup_to") == ""


def test_it_never_shows_a_secret_again(owner_desk: Desk) -> None:
    form = {"passphrase": PASSPHRASE, "passphrase-again": PASSPHRASE, "s3-secret": "TopSecret0815"}
    answer = send(owner_desk, form, f"{PAGE}/secrets")
    assert answer.status_code == 303
    assert backups.secrets(owner_desk.directory) == {"passphrase": PASSPHRASE, "s3-secret": "TopSecret0815"}
    html = owner_desk.page(PAGE) + owner_desk.page("/audit-log") + changes(owner_desk)
    assert PASSPHRASE not in html
    assert "TopSecret0815" not in html
    assert "backup s3-secret:>changed" in changes(owner_desk)
    send(owner_desk, {"remove.s3-secret": "on"}, f"{PAGE}/secrets")
    assert backups.secrets(owner_desk.directory) == {"passphrase": PASSPHRASE}


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"passphrase": "short", "passphrase-again": "short"}, "too short"),
        ({"passphrase": PASSPHRASE, "passphrase-again": "another"}, "differ"),
        ({"sftp-key": "my key"}, "no private key"),
        ({"s3-key-id": "x" * 300}, "too long"),
    ],
)
def test_it_refuses_secrets_that_are_none(owner_desk: Desk, form: dict[str, str], words: str) -> None:
    answer = send(owner_desk, form, f"{PAGE}/secrets")
    assert (answer.status_code, words in answer.text) == (422, True)
    assert backups.secrets(owner_desk.directory) == {}
    for text in form.values():
        assert f'value="{text}"' not in answer.text


def test_it_tells_what_became_of_the_last_ones(owner_desk: Desk) -> None:
    assert "None yet." in owner_desk.page(PAGE)
    why = Sentence("no stick is mounted at %(folder)s: plug it in", folder="/media/stick")
    good = State().after_success(cast.NOW_MS, "usb:/media/stick", Stored(NAME, 1_500_000), (Stored(NAME, 1_500_000),))
    backups.keep_state(owner_desk.directory, good.after_failure(cast.NOW_MS + 60_000, why))
    html = owner_desk.page(PAGE)
    assert "no stick is mounted at /media/stick" in html
    assert "2026-03-02 10:00:00" in html
    assert (NAME in html, "1.5 MB" in html) == (True, True)


def _waits(desk: Desk, marker: Path) -> bool:
    deadline = time.monotonic() + 10
    while not marker.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    return marker.exists()


def test_it_makes_one_now_and_gives_out_those_that_are_kept(closed_desk: Any, tmp_path: Path) -> None:
    script = (
        "import pathlib, sys\n"
        f"pathlib.Path({str(tmp_path)!r}, '-'.join(sys.argv[1:3])).touch()\n"
        "if sys.argv[2] == 'fetch': sys.stdout.write('bytes of ' + sys.argv[3])\n"
    )
    desk: Desk = closed_desk(program=(sys.executable, "-c", script))
    desk.sign_in()
    assert send(desk, {}, f"{PAGE}/now").status_code == 303
    assert _waits(desk, tmp_path / "backups-now")
    assert "backup:>begun" in changes(desk)
    assert desk.browser.get(f"{PAGE}/{NAME}").status_code == 404
    backups.keep_state(desk.directory, State().after_success(1, "", Stored(NAME, 1), (Stored(NAME, 1),)))
    answer = desk.browser.get(f"{PAGE}/{NAME}")
    assert (answer.status_code, answer.text) == (200, f"bytes of {NAME}")
    assert desk.browser.get(f"{PAGE}/..%2ffirst-password").status_code == 404


@pytest.mark.parametrize("role", [Role.MANAGER, Role.CASHIER, Role.AUDITOR])
def test_it_is_for_the_owner_alone(desk: Desk, role: Role) -> None:
    desk.someone(role)
    assert desk.browser.get(PAGE).status_code == 403
    assert desk.browser.get(f"{PAGE}/{NAME}").status_code == 403
