"""From the first activation to a license for good, as owner, billing manager and distributor live it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from coovox_license.main import main
from selenium.webdriver.common.by import By

from coovox_billing.core import license as licenses
from coovox_billing.core.trial import TRIAL_MS
from coovox_billing.services import owner, site
from coovox_billing.services.licensing import Build, Licensing
from coovox_billing.store.database import Database, open_database
from coovox_billing.web import create_app
from tests.browser.conftest import PASSWORD, PHONE, WIDE, Screen, served
from tests.cast import MANAGER, NOW_MS, TIME_ZONE
from tests.licenses import a_device

YEAR_MS = 365 * 86_400_000


@dataclass
class Clock:
    """The device's wall clock."""

    now_ms: int = NOW_MS

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A new site: nothing was activated yet."""
    with open_database(tmp_path / "data") as opened:
        opened.write(lambda connection: site.prepare(connection, TIME_ZONE))
        owner.set_password(opened, PASSWORD, MANAGER)
        yield opened


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """The vendor's key, and a distributor's with a certificate, made by their tool for this test."""
    secret = tmp_path / "passphrase"
    secret.write_text("four unrelated words here\n")
    folder = tmp_path / "keys"
    for arguments in (
        ["keygen", "--root", "--keys", folder / "root"],
        ["keygen", "--name", "Acme Telecom", "--keys", folder / "acme"],
        [
            "certify",
            folder / "acme/distributor.pub",
            "--from",
            "2026-01-01",
            "--until",
            "2030-12-31",
            "--keys",
            folder / "root",
        ],
    ):
        assert main([*map(str, arguments), "--passphrase-file", str(secret)]) == 0
    return folder


@pytest.fixture
def address(database: Database, clock: Clock, keys: Path) -> Iterator[str]:
    """Where the pages of a build with that vendor's key are served."""
    root = licenses.parse_public_key((keys / "root/root.pub").read_text(), "root")
    data = database.path.parent
    licensing = Licensing(database, data, a_device(), Build("1.0", NOW_MS - YEAR_MS, root.key), clock)
    with served(create_app(data, database, call_plane_is_up=lambda: True, now_ms=clock, licensing=licensing)) as at:
        yield at


def sign_out(screen: Screen) -> None:
    screen.open("/account")
    if screen.find(".top button").is_displayed():
        screen.find(".top button").click()
    screen.click("Sign out")


def first_steps(screen: Screen) -> None:
    """Germany, euros, Berlin; activated; the summary is there to be printed."""
    screen.chrome.find_element(By.CSS_SELECTOR, "#country option[value=DE]").click()
    screen.chrome.find_element(By.CSS_SELECTOR, "#currency option[value=EUR]").click()
    screen.click("Next")
    assert "9112" in screen.find("#emergency_numbers").get_attribute("value")
    screen.click("Submit")
    assert screen.find("h1").text == "Summary"


def create_manager(screen: Screen) -> tuple[str, str]:
    """The guide's billing user; name and password as they are shown once."""
    screen.open("/addons/billing-manager")
    screen.find(".head .primary").click()
    screen.wait_for("dialog[open] #role-manager")
    screen.find("dialog[open] .primary").click()
    screen.wait_for("#password")
    return screen.find("#name").text, screen.find("#password").text


def information(screen: Screen) -> list[str]:
    screen.open("/addons/billing")
    return screen.texts("dl.facts dd")[:3]


def download_source(screen: Screen) -> str:
    """What the button leads to."""
    link = screen.chrome.find_element(By.PARTIAL_LINK_TEXT, "Download Billing Source File").get_attribute("href")
    return str(screen.chrome.execute_async_script("fetch(arguments[0]).then(r => r.text()).then(arguments[1])", link))


def issue(keys: Path, folder: Path, source: str) -> Path:
    """The distributor's work."""
    file = folder / "billing.ac"
    file.write_text(source, encoding="ascii")
    secret = str(folder / "passphrase")
    assert (
        main(["issue", str(file), "--to", "Hotel Sonne", "--keys", str(keys / "acme"), "--passphrase-file", secret])
        == 0
    )
    (made,) = folder.glob("*.license")
    return made


@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_it_is_licensed_for_good(screen: Screen, clock: Clock, keys: Path, tmp_path: Path, width: int) -> None:
    def shows(name: str) -> None:
        assert not screen.scrolls_sideways(), name
        screen.picture(f"addons-{name}-{width}")

    screen.resize(width)
    screen.sign_in()
    assert screen.find("h1").text == "First steps"
    shows("first-steps")
    first_steps(screen)
    shows("summary")
    assert information(screen) == ["2026-03-02 10:00:00", "2026-04-01 11:00:00", "No"]
    shows("trial")
    name, password = create_manager(screen)
    sign_out(screen)
    screen.sign_in(password, name)
    assert screen.find("h1").text == "Extensions"
    sign_out(screen)

    clock.now_ms += TRIAL_MS
    screen.sign_in(password, name)
    assert "the free trial of billing is over" in screen.find("main").text
    shows("refused")
    screen.sign_in(user="owner")
    assert information(screen)[2] == "No"
    assert "The trial is over." in screen.find("main").text
    shows("over")

    made = issue(keys, tmp_path, download_source(screen))
    screen.find("#license").send_keys(str(tmp_path / "billing.ac"))
    screen.click("Upload")
    assert "source file" in screen.find("#license-error").text
    shows("wrong-file")
    screen.find("#license").send_keys(str(made))
    screen.click("Upload")
    assert "is valid for this device. It never expires." in screen.find(".toasts").text
    assert information(screen)[1:] == ["Never expires", "Yes"]
    shows("licensed")
    sign_out(screen)
    screen.sign_in(password, name)
    assert screen.find("h1").text == "Extensions"
    assert [said for said in screen.complaints() if "422" not in said] == []
