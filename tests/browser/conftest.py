"""Chromium before the pages, served by waitress. A missing browser fails; nothing is skipped.

To start a browser, and to draw its first page, costs more than most tests do: so it is started once, and forgets all of
a test before the next one. Each test has its own site, on a port of its own.
"""

import os
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from flask import Flask
from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Chrome
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support import expected_conditions as expected
from selenium.webdriver.support.wait import WebDriverWait
from urllib3.exceptions import HTTPError
from waitress.server import create_server
from waitress.wasyncore import close_all

from coovox_billing.services import owner, passwords
from coovox_billing.services.owner import OWNER
from coovox_billing.store.database import Database
from coovox_billing.web import create_app
from tests import cast
from tests.web.conftest import TEMPLATES
from tests.web.conftest import compiled_rules as compiled_rules

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
# What makes it forget, and see as it did at first.
AS_NEW: tuple[tuple[str, dict[str, Any]], ...] = (
    ("Network.clearBrowserCookies", {}),
    ("Network.clearBrowserCache", {}),
    ("Storage.clearDataForOrigin", {"origin": "*", "storageTypes": "all"}),
    ("Emulation.clearDeviceMetricsOverride", {}),
    ("Emulation.setEmulatedMedia", {"media": "", "features": []}),
    ("Emulation.setScriptExecutionDisabled", {"value": False}),
    ("Emulation.setScrollbarsHidden", {"hidden": False}),
)
PASSWORD = "correct horse battery"
FORM = "application/x-www-form-urlencoded"
WIDE, PHONE = 1280, 390
PATIENCE_SECONDS = 15
GLANCE_SECONDS = 0.05


@dataclass
class Screen:
    """A browser of a certain width, at the address of the pages."""

    chrome: Chrome
    address: str
    pictures: Path
    width: int = WIDE

    def patiently(
        self, seconds: float = PATIENCE_SECONDS, but: Iterable[type[Exception]] = ()
    ) -> WebDriverWait[Chrome]:
        """To wait with until something is so; meanwhile these errors do not count."""
        return WebDriverWait(self.chrome, seconds, GLANCE_SECONDS, but)

    def resize(self, width: int, scheme: str = "light") -> None:
        """Look through a window of that width, in light or dark."""
        metrics = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 600}
        self.chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.width = width
        self.see_in(scheme)

    def see_in(self, scheme: str) -> None:
        """Look in light or dark."""
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
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
        self.patiently().until(lambda _: self._is_another(page))

    def wait_for(self, selector: str) -> WebElement:
        """The thing that a selector means, once it is there and can be used."""
        found: WebElement = self.patiently().until(expected.element_to_be_clickable((By.CSS_SELECTOR, selector)))
        return found

    def click_in(self, selector: str, words: str) -> None:
        """Click the button of these words within what a selector means, and wait for the page behind it."""
        page = self.find("html")
        self.find(selector).find_element(
            By.XPATH, f".//*[self::a or self::button][normalize-space()='{words}']"
        ).click()
        self.patiently().until(lambda _: self._is_another(page))

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

    def come_in(self, path: str = "/extensions") -> None:
        """Open a page as the owner who has signed in; for tests of what comes after that."""
        line = HTTPConnection(urlsplit(self.address).netloc, timeout=PATIENCE_SECONDS)
        form, cookie = _asked(line, "GET", "")
        token = re.search(r'name="csrf" value="([^"]+)"', form)
        assert token
        filled_in = urlencode({"csrf": token[1], "user": OWNER, "password": PASSWORD})
        _, cookie = _asked(line, "POST", filled_in, {"Cookie": cookie, "Content-Type": FORM})
        line.close()
        name, _, value = cookie.partition("=")
        self.chrome.execute_cdp_cmd("Network.setCookie", {"name": name, "value": value, "url": self.address})
        self.open(path)

    def sign_in_to_self_service(self, extension: str, pin: str) -> None:
        """Come in as the person behind an extension."""
        self.open("/self/sign-in")
        self.find("#extension").send_keys(extension)
        self.find("#pin").send_keys(pin)
        self.click("Sign in")

    def scrolls_sideways(self) -> bool:
        """Whether the page is wider than its window."""
        return bool(self.chrome.execute_script("return document.documentElement.scrollWidth > window.innerWidth"))

    def looks(self, name: str) -> None:
        """The page, as it is now, lies within its window by day and by night; a picture of both."""
        for scheme in ("dark", "light"):
            self.see_in(scheme)
            assert not self.scrolls_sideways(), f"{name}, {scheme}"
            self.picture(f"{name}-{self.width}-{scheme}")

    def complaints(self) -> list[str]:
        """What the browser's console holds: blocked styles, missing files."""
        return [entry["message"] for entry in self.chrome.get_log("browser")]

    def picture(self, name: str) -> None:
        """Keep a picture of the window, where somebody asks for PICTURES."""
        if "PICTURES" in os.environ:
            assert self.chrome.save_screenshot(str(self.pictures / f"{name}.png"))


def _asked(line: HTTPConnection, method: str, body: str, headers: dict[str, str] | None = None) -> tuple[str, str]:
    """What the sign-in answers, and the cookie that it sets."""
    line.request(method, "/sign-in", body, headers or {})
    response = line.getresponse()
    return response.read().decode(), response.headers["Set-Cookie"].partition(";")[0]


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords are hashed here as everywhere, but in less time."""
    monkeypatch.setattr(passwords, "_COST_EXPONENT", 4)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """The cast's database, with the owner's password set."""
    with cast.move_in(tmp_path / "data") as moved_in:
        owner.set_password(moved_in, PASSWORD, cast.MANAGER)
        yield moved_in


@contextmanager
def served(app: Flask) -> Iterator[str]:
    """Where the pages of an application are, for a while."""
    app.jinja_env.bytecode_cache = TEMPLATES
    connections: dict[int, Any] = {}
    server = create_server(app, map=connections, host="127.0.0.1", port=0, threads=4)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.effective_port}"
    # The browser keeps its connections.
    server.trigger.pull_trigger(lambda: close_all(connections))
    thread.join(PATIENCE_SECONDS)
    server.task_dispatcher.shutdown()


@pytest.fixture
def address(database: Database) -> Iterator[str]:
    """Where the pages are served, on a free port."""
    with served(create_app(database.path.parent, database, call_plane_is_up=lambda: True)) as at:
        yield at


class Browser:
    """Chromium, started when it is first needed, and again after a test that left it unable to go on."""

    def __init__(self, profiles: Path) -> None:
        self._profiles = profiles
        self._chrome: Chrome | None = None
        self._started = 0

    def as_new(self) -> Chrome:
        """The browser with one tab, and nothing in it of the test before."""
        if self._chrome is not None:
            try:
                return _as_new(self._chrome)
            except (WebDriverException, HTTPError):
                self.quit()
        self._chrome = self._start()
        return self._chrome

    def quit(self) -> None:
        """Close it."""
        if self._chrome is not None:
            self._chrome.quit()
        self._chrome = None

    def _start(self) -> Chrome:
        options = Options()
        options.binary_location = str(CHROMIUM)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self._started += 1
        for flag in (*FLAGS, f"--user-data-dir={self._profiles / str(self._started)}"):
            options.add_argument(flag)
        chrome = Chrome(options=options, service=Service(str(CHROMEDRIVER)))
        chrome.set_page_load_timeout(PATIENCE_SECONDS)
        chrome.set_script_timeout(PATIENCE_SECONDS)
        return chrome


def _as_new(chrome: Chrome) -> Chrome:
    """The tab, after all is undone that a test may have done to it."""
    first, *others = chrome.window_handles
    for handle in others:
        chrome.switch_to.window(handle)
        chrome.close()
    chrome.switch_to.window(first)
    chrome.get("about:blank")
    for undo, how in AS_NEW:
        chrome.execute_cdp_cmd(undo, how)
    chrome.get_log("browser")
    return chrome


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """The one of all tests."""
    for program in (CHROMIUM, CHROMEDRIVER):
        if not program.exists():
            pytest.fail(
                f"{program} is missing: install the Debian packages chromium and chromium-driver",
                pytrace=False,
            )
    one = Browser(tmp_path_factory.mktemp("chromium"))
    yield one
    one.quit()


@pytest.fixture
def screen(address: str, browser: Browser, tmp_path: Path) -> Screen:
    """The browser at the pages; its pictures are kept where PICTURES says."""
    pictures = Path(os.environ.get("PICTURES", tmp_path))
    pictures.mkdir(parents=True, exist_ok=True)
    return Screen(browser.as_new(), address, pictures)
