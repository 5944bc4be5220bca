"""Pages in other languages before real eyes: chosen without a script, as wide as the window, from right to left."""

import pytest

from tests.browser.conftest import PASSWORD, PHONE, WIDE, Screen
from tests.browser.test_everywhere import OUTSIDE, name_of
from tests.browser.test_everywhere import pages as pages

# The longest words of a language are said on some page; these have longer ones than English, or run the other way.
LANGUAGES = ("es", "ar")


def come_in(screen: Screen, code: str) -> None:
    """Choose the language at the sign-in, then sign in."""
    screen.open("/sign-in")
    screen.find(f".languages [value={code}]").click()
    screen.wait_for(f"[lang={code}] #password").send_keys(PASSWORD)
    screen.picture(f"language-{code}-sign-in")
    screen.find(".card .primary").click()
    screen.wait_for(".side a")


@pytest.mark.parametrize("code", LANGUAGES)
def test_it_keeps_every_page_of_a_language_within_its_window(screen: Screen, pages: list[str], code: str) -> None:
    screen.resize(WIDE)
    come_in(screen, code)
    wrong = []
    for path in pages:
        screen.open(path)
        for width in (WIDE, PHONE):
            screen.resize(width)
            wrong += [(path, width, said) for said in screen.chrome.execute_script(OUTSIDE)]
            screen.picture(f"language-{code}-{name_of(path)}-{width}")
    assert [*wrong, *screen.complaints()] == []


def test_it_runs_from_right_to_left_in_arabic(screen: Screen) -> None:
    screen.resize(WIDE)
    come_in(screen, "ar")
    root = screen.find("html")
    assert (root.get_attribute("lang"), root.get_attribute("dir")) == ("ar", "rtl")
    assert screen.find(".side").rect["x"] > screen.find("main").rect["x"]
    assert screen.find("h1").text == "التحويلات"
    screen.open("/account")
    screen.find("#language [value=en]").click()
    screen.find("#language").submit()
    screen.wait_for("html[lang=en] h1")
    assert screen.find("h1").text == "My account"
    assert screen.find(".side").rect["x"] < screen.find("main").rect["x"]


def test_it_keeps_the_colors_that_were_chosen(screen: Screen) -> None:
    screen.resize(WIDE)
    screen.come_in()
    bad = "return getComputedStyle(document.documentElement).getPropertyValue('--bad')"
    usual = screen.chrome.execute_script(bad)
    screen.find(".palette button").click()
    safe = screen.chrome.execute_script(bad)
    screen.open("/settings")
    assert usual != safe == screen.chrome.execute_script(bad)
    assert screen.find(".palette button").get_attribute("aria-pressed") == "true"
    screen.find(".palette button").click()
    assert screen.chrome.execute_script(bad) == usual
