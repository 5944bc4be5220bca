"""Everybody can use every page: what axe knows of, and the keyboard alone."""

import hashlib
import re
from pathlib import Path

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from coovox_billing.store.database import Database
from tests.browser.conftest import PHONE, WIDE, Screen
from tests.browser.test_everywhere import OWN_PAGES
from tests.browser.test_everywhere import pages as pages
from tests.web import site_map

AXE = Path(__file__).parent / "axe"
VENDORED = re.search(r"`(axe-[\d.]+\.min\.js)` .* `([0-9a-f]{64})`", (AXE / "README.md").read_text())
# Only what is wrong, and only the rules that axe itself calls serious or worse: it gives what a rule finds its impact.
EXAMINE = """
const done = arguments[arguments.length - 1];
const mild = axe._audit.rules.filter(rule => ['minor', 'moderate'].includes(rule.impact));
const rules = Object.fromEntries(mild.map(rule => [rule.id, {enabled: false}]));
axe.run(document, {resultTypes: ['violations'], rules}).then(found => done(found.violations
  .map(wrong => wrong.id + ': ' + wrong.nodes.slice(0, 3).map(node => node.html.slice(0, 80)).join(' | '))));
"""
# What a keyboard should reach: one of a group of radio buttons, nothing that is hidden or waits in a dialog.
WATCH = """
const group = (part, which) => document.querySelector(`[name="${part.name}"]` + which);
const controls = 'a[href], button, input, select, textarea, summary, tbody [tabindex="0"]';
const meant = Array.from(document.querySelectorAll(controls))
  .filter(part => !part.disabled && part.type !== 'hidden' && !part.closest('[aria-hidden="true"]'))
  .filter(part => part.checkVisibility({visibilityProperty: true}))
  .filter(part => part.type !== 'radio' || part === (group(part, ':checked') || group(part, '')));
window.reached = new Set();
window.said = [];
document.addEventListener('focusin', function (event) {
  const style = getComputedStyle(event.target);
  if (!window.reached.has(event.target) && (style.outlineStyle === 'none' || parseFloat(style.outlineWidth) < 1.5))
    window.said.push('focus not seen: ' + event.target.outerHTML.slice(0, 90));
  window.reached.add(event.target);
});
window.meant = meant;
return [meant.length, 3 * document.querySelectorAll('[type=date], [type=time]').length + 8];
"""
MISSED = """
const missed = window.meant.filter(part => !window.reached.has(part) && part.checkVisibility());
return [...missed.map(part => 'never reached: ' + part.outerHTML.slice(0, 90)), ...window.said];
"""


@pytest.fixture
def axe() -> str:
    """The program, as its README says it is."""
    assert VENDORED
    source = (AXE / VENDORED[1]).read_bytes()
    assert hashlib.sha256(source).hexdigest() == VENDORED[2]
    return source.decode()


def examined(screen: Screen) -> list[str]:
    """What axe, which is on the page that is open, finds serious there."""
    found: list[str] = screen.chrome.execute_async_script(EXAMINE)
    return found


def press(screen: Screen, *keys: str) -> None:
    """Keys of the keyboard, one after the other, whatever has the focus."""
    ActionChains(screen.chrome, duration=0).send_keys(*keys).perform()


def not_reached(screen: Screen) -> list[str]:
    """What the tab key does not reach on the page that is open, or reaches without showing it."""
    least, more = screen.chrome.execute_script(WATCH)
    press(screen, *[Keys.TAB] * least)
    found: list[str] = screen.chrome.execute_script(MISSED)
    if found:
        press(screen, *[Keys.TAB] * more)
        found = screen.chrome.execute_script(MISSED)
    return found


def cannot_use(screen: Screen, axe: str) -> list[str]:
    """What somebody cannot use on the page that is open, by day at a desk or at night on a phone."""
    screen.chrome.execute_script(axe)
    by_day = examined(screen)
    screen.resize(PHONE, "dark")
    by_night = [f"{said} (phone, dark)" for said in examined(screen)]
    screen.resize(WIDE)
    return [*by_day, *by_night, *not_reached(screen)]


def test_it_has_no_page_that_somebody_cannot_use(screen: Screen, pages: list[str], axe: str) -> None:
    """Nothing that axe calls serious; and the tab key reaches everything, which shows it."""
    screen.resize(WIDE)
    screen.open("/sign-in")
    wrong = {"/sign-in": cannot_use(screen, axe)}
    screen.sign_in()
    for path in pages:
        screen.open(path)
        wrong[path] = cannot_use(screen, axe)
    screen.open("/self/sign-in")
    wrong["/self/sign-in"] = cannot_use(screen, axe)
    screen.sign_in_to_self_service("100", site_map.PIN)
    for path in OWN_PAGES:
        screen.open(path)
        wrong[path] = cannot_use(screen, axe)
    assert {path: found for path, found in wrong.items() if found} == {}


@pytest.mark.parametrize("path", ["/sign-in", "/self/sign-in"])
def test_it_signs_in_by_keyboard_on_a_phone_too(screen: Screen, database: Database, path: str) -> None:
    site_map.settle_in(database)
    screen.resize(PHONE, "dark")
    screen.open(path)
    assert not_reached(screen) == []


def test_it_would_hear_axe_complain(screen: Screen, axe: str) -> None:
    screen.open("/sign-in")
    screen.chrome.execute_script("document.querySelector('label[for=password]').remove()")
    screen.chrome.execute_script("document.querySelector('h1').style.color = '#eee'")
    screen.chrome.execute_script(axe)
    assert {said.partition(":")[0] for said in examined(screen)} == {"label", "color-contrast"}


def has_focus(screen: Screen, selector: str) -> bool:
    """Whether what a selector means has the focus, or something in it."""
    script = "return Boolean(document.activeElement.closest(arguments[0]))"
    return bool(screen.chrome.execute_script(script, selector))


def test_it_would_miss_what_no_tab_reaches(screen: Screen) -> None:
    screen.come_in()
    bare = "<a href='/x' tabindex='-1'>no</a><button>bare</button>"
    screen.chrome.execute_script("document.querySelector('h1').innerHTML = arguments[0]", bare)
    screen.chrome.execute_script("document.querySelector('h1 button').style.outline = 'none'")
    assert [said.partition(":")[0] for said in not_reached(screen)] == ["never reached", "focus not seen"]


def test_it_leads_past_the_menu_at_once(screen: Screen) -> None:
    screen.resize(WIDE)
    screen.come_in("/call-log?from=2026-03-01&to=2026-03-31")
    press(screen, Keys.TAB)
    assert has_focus(screen, ".skip")
    press(screen, Keys.ENTER, Keys.TAB)
    assert has_focus(screen, "main")


def test_it_keeps_the_focus_in_a_dialog_and_gives_it_back(screen: Screen) -> None:
    screen.resize(WIDE)
    screen.come_in()
    opener = screen.find("tbody tr a[href*='recharge']")
    screen.chrome.execute_script("arguments[0].focus()", opener)
    press(screen, Keys.ENTER)
    screen.wait_for("#dialog[open] #amount")
    for _ in range(12):
        press(screen, Keys.TAB)
        assert not has_focus(screen, "main, nav, .top"), "the browser's own bars may have it, the page behind not"
    press(screen, Keys.ESCAPE)
    assert screen.chrome.execute_script("return document.querySelector('#dialog').open") is False
    assert screen.chrome.switch_to.active_element == opener


def test_it_opens_and_closes_the_menu_of_a_phone_by_keyboard(screen: Screen) -> None:
    screen.resize(PHONE)
    screen.come_in()
    screen.chrome.execute_script("arguments[0].focus()", screen.find(".top button"))
    press(screen, Keys.ENTER, Keys.TAB)
    assert has_focus(screen, "#menu")
    press(screen, Keys.ESCAPE)
    assert screen.chrome.execute_script("return document.querySelector('#menu').matches(':popover-open')") is False
    assert has_focus(screen, ".top button")
