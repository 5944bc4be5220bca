"""Chromium before the pages, served by waitress. A missing browser fails; nothing is skipped."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from flask import Flask
from selenium.webdriver import Chrome
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support import expected_conditions as expected
from selenium.webdriver.support.wait import WebDriverWait
from waitress.server import create_server

from coovox_billing.services import owner
from coovox_billing.store.database import Database
from coovox_billing.web import create_app
from tests import cast

CHROMIUM = Path("/usr/bin/chromium")
CHROMEDRIVER = Path("/usr/bin/chromedriver")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--force-prefers-reduced-motion",
)
PASSWORD = "correct horse battery"
WIDE, PHONE = 1280, 390
PATIENCE_SECONDS = 15


@dataclass
class Screen:
    """A browser of a certain width, at the address of the pages."""

    chrome: Chrome
    address: str
    pictures: Path

    def resize(self, width: int, scheme: str = "light") -> None:
        """Look through a window of that width, in light or dark."""
        metrics = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 600}
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        self.chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", media)

    def open(self, path: str) -> None:
        """Go to a page."""
        self.chrome.get(self.address + path)

    def find(self, selector: str) -> WebElement:
        """The one thing on the page that a selector means."""
        return self.chrome.find_element(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        """What everything that a selector means reads."""
        return [found.text for found in self.chrome.find_elements(By.CSS_SELECTOR, selector)]

    def click(self, words: str) -> None:
        """Click the link or button of these words and wait for the page behind it."""
        page = self.find("html")
        self.chrome.find_element(By.XPATH, f"//*[self::a or self::button][normalize-space()='{words}']").click()
        WebDriverWait(self.chrome, PATIENCE_SECONDS).until(lambda _: self._is_another(page))

    def wait_for(self, selector: str) -> WebElement:
        """The thing that a selector means, once it is there and can be used."""
        found: WebElement = WebDriverWait(self.chrome, PATIENCE_SECONDS).until(
            expected.element_to_be_clickable((By.CSS_SELECTOR, selector))
        )
        return found

    def click_in(self, selector: str, words: str) -> None:
        """Click the button of these words within what a selector means, and wait for the page behind it."""
        page = self.find("html")
        self.find(selector).find_element(
            By.XPATH, f".//*[self::a or self::button][normalize-space()='{words}']"
        ).click()
        WebDriverWait(self.chrome, PATIENCE_SECONDS).until(lambda _: self._is_another(page))

    def _is_another(self, page: WebElement) -> bool:
        return self.find("html") != page and self.chrome.execute_script("return document.readyState") == "complete"

    def sign_in(self, password: str = PASSWORD, user: str = "") -> None:
        """Come in as the owner, or as the user who is named."""
        self.open("/sign-in")
        if user:
            self.find("#user").clear()
            self.find("#user").send_keys(user)
        self.find("#password").send_keys(password)
        self.click("Sign in")

    def sign_in_to_self_service(self, extension: str, pin: str) -> None:
        """Come in as the person behind an extension."""
        self.open("/self/sign-in")
        self.find("#extension").send_keys(extension)
        self.find("#pin").send_keys(pin)
        self.click("Sign in")

    def scrolls_sideways(self) -> bool:
        """Whether the page is wider than its window."""
        return bool(self.chrome.execute_script("return document.documentElement.scrollWidth > window.innerWidth"))

    def complaints(self) -> list[str]:
        """What the browser's console holds: blocked styles, missing files."""
        return [entry["message"] for entry in self.chrome.get_log("browser")]

    def picture(self, name: str) -> None:
        """Keep a picture of the window."""
        assert self.chrome.save_screenshot(str(self.pictures / f"{name}.png"))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """The cast's database, with the owner's password set."""
    with cast.move_in(tmp_path / "data") as moved_in:
        owner.set_password(moved_in, PASSWORD, cast.MANAGER)
        yield moved_in


@contextmanager
def served(app: Flask) -> Iterator[str]:
    """Where the pages of an application are, for a while."""
    server = create_server(app, host="127.0.0.1", port=0, threads=4)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.effective_port}"
    server.close()
    thread.join(PATIENCE_SECONDS)


@pytest.fixture
def address(database: Database) -> Iterator[str]:
    """Where the pages are served, on a free port."""
    with served(create_app(database.path.parent, database, call_plane_is_up=lambda: True)) as at:
        yield at


@pytest.fixture
def screen(address: str, tmp_path: Path) -> Iterator[Screen]:
    """A fresh browser at the pages; its pictures are kept in the test's directory, or where PICTURES says."""
    for program in (CHROMIUM, CHROMEDRIVER):
        if not program.exists():
            pytest.fail(
                f"{program} is missing: install the Debian packages chromium and chromium-driver",
                pytrace=False,
            )
    options = Options()
    options.binary_location = str(CHROMIUM)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in (*FLAGS, f"--user-data-dir={tmp_path / 'chromium'}"):
        options.add_argument(flag)
    chrome = Chrome(options=options, service=Service(str(CHROMEDRIVER)))
    chrome.set_page_load_timeout(PATIENCE_SECONDS)
    try:
        pictures = Path(os.environ.get("PICTURES", tmp_path))
        pictures.mkdir(parents=True, exist_ok=True)
        yield Screen(chrome, address, pictures)
    finally:
        chrome.quit()
