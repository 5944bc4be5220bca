"""The pictures of the user guide: made here, each time of the same office; and what they show is what pages say now."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from coovox_billing.services import owner
from coovox_billing.services.accounts import Person
from coovox_billing.services.licensing import Build, Licensing
from coovox_billing.store.database import Database, open_database
from coovox_billing.web import app as web_app
from coovox_billing.web import create_app
from tests import bad_days, cast
from tests.browser import guide_office
from tests.browser.conftest import PASSWORD, WIDE, Screen, served
from tests.browser.guide_pictures import PAGES, SAID
from tests.browser.small_png import small
from tests.licenses import ROOT_KEY, a_device

MOST_HEIGHT = 1100
DAY_MS = 86_400_000


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with open_database(tmp_path / "data") as opened:
        guide_office.furnish(opened)
        owner.set_password(opened, PASSWORD, cast.MANAGER)
        yield opened


@pytest.fixture
def address(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The pages of a day that never passes, ten days after the trial began."""
    released_ms = guide_office.NOW_MS - 30 * DAY_MS
    monkeypatch.setattr(web_app, "RELEASED_MS", released_ms)
    directory, device, build = database.path.parent, a_device(), Build("1.0", released_ms, ROOT_KEY)
    begun_ms = guide_office.NOW_MS - 10 * DAY_MS
    Licensing(database, directory, device, build, lambda: begun_ms).activate(Person("owner", "terminal", begun_ms))
    app = create_app(
        directory,
        database,
        call_plane_is_up=lambda: True,
        now_ms=lambda: guide_office.NOW_MS,
        disk_room=bad_days.room(),
        licensing=Licensing(database, directory, device, build, lambda: guide_office.NOW_MS),
    )
    with served(app) as at:
        yield at


def test_its_pictures_show_what_the_pages_say(screen: Screen) -> None:
    screen.resize(WIDE)
    screen.come_in()
    said = {}
    for name, path in PAGES.items():
        screen.open(path)
        said[name] = hashlib.sha256(screen.find("main").text.encode()).hexdigest()[:16]
        if "PICTURES" in os.environ:
            take(screen, name)
    assert screen.complaints() == []
    if "PICTURES" in os.environ:
        (screen.pictures / SAID.name).write_text(json.dumps(said, indent=1) + "\n")
    aged = [name for name, words in json.loads(SAID.read_text()).items() if said.get(name) != words]
    assert aged == [], "run `make screenshot`, see that the guide still tells what these pages show, and commit both"


def take(screen: Screen, name: str) -> None:
    """A picture of the page from its top, small."""
    height = screen.chrome.execute_script("return document.documentElement.scrollHeight")
    metrics = {"width": WIDE, "height": min(height, MOST_HEIGHT), "deviceScaleFactor": 1, "mobile": False}
    screen.chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    screen.chrome.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": True})
    (screen.pictures / f"{name}.png").write_bytes(small(screen.chrome.get_screenshot_as_png()))
    screen.resize(WIDE)
