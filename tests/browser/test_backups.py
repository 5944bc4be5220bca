"""The owner sets up backups, makes one, and has its file."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from coovox_billing.services import backups
from coovox_billing.store.database import Database
from tests.browser.conftest import PHONE, WIDE, Screen

PAGE = "/addons/billing/backups"


@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_it_schedules_encrypts_and_makes_one(screen: Screen, database: Database, width: int) -> None:
    screen.resize(width)
    screen.come_in("/addons/billing")
    screen.click("Backups")
    screen.find("#scheduled").click()
    screen.find("#backup_to").send_keys(f"{database.path.parent}/kept")
    screen.click_in("form[action$='/backups']", "Submit")
    assert "What is scheduled is stored." in screen.find(".toast").text
    for field in ("passphrase", "passphrase-again"):
        screen.find(f"#{field}").send_keys("horse battery staple")
    screen.click_in("form[action$='/secrets']", "Submit")
    assert "The secrets are stored." in screen.find(".toast").text
    screen.open(PAGE)
    screen.click("Back up now")
    assert "A backup is being made" in screen.find(".toast").text
    _made(database.path.parent)
    screen.open(PAGE)
    (name,) = screen.texts("a[download]")
    assert name.endswith(".tar.gz.age")
    assert (database.path.parent / "kept" / name).is_file()
    screen.picture(f"backups-{width}")
    assert not screen.scrolls_sideways()
    assert screen.complaints() == []


def _made(directory: Path) -> None:
    deadline = time.monotonic() + 20
    while backups.state(directory).good_ms is None:
        assert time.monotonic() < deadline, backups.state(directory)
        time.sleep(0.05)
