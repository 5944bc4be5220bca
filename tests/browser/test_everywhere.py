"""Every page in a real browser: at every width, by day and by night, with and without a script, in both directions."""

import pytest
from selenium.webdriver.common.by import By

from coovox_billing.store.database import Database
from coovox_billing.web import create_app
from tests.browser.conftest import PHONE, WIDE, Screen
from tests.web import site_map

TABLET = 820
WIDTHS = (WIDE, TABLET, PHONE)
# Those of self-service, once one is signed in there.
OWN_PAGES = (
    "/self",
    "/self/calls?from=2026-01-01&to=2026-01-02",
    "/self/calls?from=2026-03-01&to=2026-03-31",
    "/self/statement?month=2026-03-01",
)
NO_PAGE = (".ac", ".zip", ".csv", ".xlsx", "/healthz")
LOOKS = (("ltr", "light"), ("ltr", "dark"), ("rtl", "light"))
# What stands outside of its sheet, or the page outside of its window.
OUTSIDE = """
const said = [];
if (document.documentElement.scrollWidth > window.innerWidth) said.push("the page");
for (const sheet of document.querySelectorAll('.sheet, main')) {
  const bounds = sheet.getBoundingClientRect();
  for (const part of sheet.querySelectorAll('table, td, th, input, select, button, a, p, span, dd')) {
    if (!part.checkVisibility() || part.closest('.unseen, .words, .scrolls, dialog, .toasts, pre')) continue;
    const head = part.closest('thead');
    if (head && getComputedStyle(head).position !== 'static') continue;
    const own = part.getBoundingClientRect();
    if (own.width > 2 && (own.right > bounds.right + 1 || own.left < bounds.left - 1)) {
      said.push(part.tagName + '.' + part.className + ' ' + part.textContent.trim().slice(0, 30));
      break;
    }
  }
}
return said;
"""
# Names run as markup, controls without a name, a page without its one heading, an id that is there twice.
HARD_TO_USE = """
const said = Array.from(document.querySelectorAll("img[src='x']"), () => 'an image out of a name');
for (const part of document.querySelectorAll('main :is(input, select, textarea, button, a)')) {
  const named = part.labels?.length || part.getAttribute('aria-label') || part.textContent.trim();
  const meant = part.type !== 'hidden' && !part.ariaHidden && part.checkVisibility();
  if (meant && !named) said.push('no name: ' + part.outerHTML.slice(0, 90));
}
if (document.querySelectorAll('h1').length !== 1) said.push('no single h1');
const ids = Array.from(document.querySelectorAll('[id]'), part => part.id);
for (const id of new Set(ids)) if (ids.filter(other => other === id).length > 1) said.push('twice: ' + id);
return said;
"""


@pytest.fixture
def pages(database: Database) -> list[str]:
    """Every page that can be opened, with something to show on each."""
    site_map.settle_in(database)
    app = create_app(database.path.parent, database, call_plane_is_up=lambda: True)
    paths = [path for path in site_map.paths(app) if path not in site_map.HALF_WAY | site_map.PIECES]
    return [path for path in paths if not path.partition("?")[0].endswith(NO_PAGE)]


def name_of(path: str) -> str:
    """A page's name as a picture's."""
    return path.partition("?")[0].strip("/").replace("/", "-") or "home"


def outside(screen: Screen, path: str) -> list[tuple[str, int, str, str]]:
    """What does not fit on the page that is open, at each width, by day and by night, in both directions."""
    wrong = []
    for width in WIDTHS:
        screen.resize(width)
        for direction, scheme in LOOKS:
            screen.chrome.execute_script("document.documentElement.dir = arguments[0]", direction)
            screen.see_in(scheme)
            wrong += [(path, width, direction, said) for said in screen.chrome.execute_script(OUTSIDE)]
            screen.picture(f"every-{name_of(path)}-{width}-{direction}-{scheme}")
    return wrong


def test_it_keeps_every_page_within_its_window(screen: Screen, pages: list[str]) -> None:
    screen.resize(WIDE)
    screen.come_in()
    wrong: list[object] = []
    for path in pages:
        screen.open(path)
        wrong += [*outside(screen, path), *((path, said) for said in screen.complaints())]
    assert wrong == []


def test_it_keeps_self_service_within_its_window(screen: Screen, database: Database) -> None:
    """Its own kind of session: the sign-in, the three pages, and what is said there when something is not."""
    site_map.settle_in(database)
    wrong: list[object] = []

    def look(path: str) -> None:
        screen.open(path)
        wrong.extend(outside(screen, path))
        wrong.extend((path, said) for said in screen.chrome.execute_script(HARD_TO_USE))

    screen.resize(PHONE)
    look("/self/sign-in")
    screen.sign_in_to_self_service("100", site_map.PIN)
    for path in OWN_PAGES:
        look(path)
    database.write(site_map.plant)
    look("/self")
    screen.click("Sign out")
    assert screen.find("#pin")
    assert [*wrong, *screen.complaints()] == []


def test_it_takes_what_people_write_for_text_however_long(screen: Screen, database: Database, pages: list[str]) -> None:
    database.write(site_map.plant)
    screen.resize(WIDE)
    screen.come_in()
    wrong = []
    for path in pages:
        screen.open(path)
        for width in WIDTHS:
            screen.resize(width)
            wrong += [(path, str(width))] if screen.scrolls_sideways() else []
        wrong += [(path, said) for said in screen.chrome.execute_script(HARD_TO_USE)]
    assert [*wrong, *screen.complaints()] == []


@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_it_opens_every_page_of_the_menu(screen: Screen, width: int) -> None:
    screen.resize(width)
    screen.come_in()
    items = screen.chrome.find_elements(By.CSS_SELECTOR, ".menu a")
    for words in [item.get_attribute("textContent").strip() for item in items]:
        if width == PHONE:
            screen.find(".top button").click()
        screen.click_in(".menu", words)
        assert words.startswith(screen.find("h1").text)
        assert screen.find(".menu [aria-current]").get_attribute("textContent").strip() == words


def test_it_leads_to_the_sign_in_when_the_session_is_over(screen: Screen, database: Database) -> None:
    site_map.settle_in(database)
    screen.resize(WIDE)
    screen.sign_in()
    screen.open("/recharge-history")
    screen.chrome.delete_all_cookies()
    screen.find("[hx-get]").click()
    assert screen.wait_for("#password")
    assert "/sign-in" in screen.chrome.current_url


def test_it_keeps_the_theme_that_was_chosen(screen: Screen) -> None:
    screen.resize(WIDE, "light")
    screen.come_in()
    ground = "return getComputedStyle(document.body).backgroundColor"
    light = screen.chrome.execute_script(ground)
    screen.find(".theme [value=dark]").click()
    dark = screen.chrome.execute_script(ground)
    screen.open("/settings")
    assert light != dark == screen.chrome.execute_script(ground)
    screen.find(".theme [value=auto]").click()
    assert screen.chrome.execute_script(ground) == light


@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_it_shows_the_small_pages_without_the_menu(screen: Screen, width: int) -> None:
    screen.resize(width)
    for path in ("/sign-in", "/no-such-page"):
        screen.open(path)
        assert screen.find("main.alone")
        for scheme in ("light", "dark"):
            screen.see_in(scheme)
            assert screen.chrome.execute_script(OUTSIDE) == []
            screen.picture(f"every-alone-{name_of(path)}-{width}-{scheme}")
    assert [said for said in screen.complaints() if "404" not in said] == []
