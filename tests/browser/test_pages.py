"""The pages in a real browser, on a desk's screen and on a phone's, by day and by night."""

import pytest

from coovox_billing.store.database import Database
from coovox_billing.wall_clock import wall_clock_ms
from tests.browser.conftest import PHONE, WIDE, Screen
from tests.web import story

LAST_FIGURE = "return document.querySelector('.today div:last-child a').textContent"


@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_it_keeps_the_small_pages_within_the_window(screen: Screen, width: int) -> None:
    screen.resize(width)
    screen.open("/sign-in")
    assert not screen.scrolls_sideways()
    screen.picture(f"sign-in-{width}")
    screen.find("#password").send_keys("wrong password")
    screen.click("Sign in")
    assert screen.texts("[role=alert]") == ["The user name or the password is wrong."]
    screen.sign_in()
    for path in ("/account", "/no-such-page", "/call-log"):
        screen.open(path)
        assert not screen.scrolls_sideways(), path
        screen.picture(f"{path.strip('/')}-{width}")


def test_it_lets_long_names_wrap_on_a_phone(screen: Screen, database: Database) -> None:
    story.tell(database)
    name = "W" * 80
    database.write(lambda connection: connection.execute("UPDATE accounts SET name = ?", (name,)))
    screen.resize(PHONE)
    screen.come_in()
    assert not screen.scrolls_sideways()
    screen.open("/call-log?per_page=20")
    assert not screen.scrolls_sideways()


def test_it_signs_out(screen: Screen) -> None:
    screen.resize(WIDE)
    screen.sign_in()
    screen.click("Sign out")
    screen.open("/extensions")
    assert "/sign-in" in screen.chrome.current_url


def test_it_changes_the_password_in_a_browser(screen: Screen) -> None:
    screen.resize(WIDE)
    screen.sign_in()
    screen.click("My account")
    for field, text in (
        ("current", "correct horse battery"),
        ("new", "staple horse battery"),
        ("again", "staple horse battery"),
    ):
        screen.find(f"#{field}").send_keys(text)
    screen.click("Change the password")
    assert "The password is changed" in screen.find("[role=status]").text


def test_it_keeps_the_session_cookie_from_scripts(screen: Screen) -> None:
    screen.resize(WIDE)
    screen.sign_in()
    assert screen.chrome.execute_script("return document.cookie") == ""
    (cookie,) = screen.chrome.get_cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")


def test_it_renews_the_dashboard_while_somebody_looks(screen: Screen, database: Database) -> None:
    renews = """
const asking = new CustomEvent('htmx:beforeRequest', {bubbles: true, cancelable: true});
return document.querySelector(arguments[0]).dispatchEvent(asking);
"""
    screen.resize(WIDE)
    screen.come_in()
    assert screen.chrome.execute_script(renews, "#head-now")
    screen.find(".dash summary").click()
    assert not screen.chrome.execute_script(renews, "#head-now")
    screen.open("/extensions")
    assert screen.chrome.execute_script("return document.querySelector('.dash').open") is False
    screen.open("/dashboard")
    story.ask(database, "now", "101", "988360046", wall_clock_ms())
    assert screen.find(".today div:last-child a").text == "0"
    wait = screen.patiently()
    wait.until(lambda _: screen.chrome.execute_script(LAST_FIGURE) == "1")
    assert screen.chrome.execute_script(renews, "#now")
    screen.chrome.execute_script("Object.defineProperty(document, 'hidden', {value: true})")
    assert not screen.chrome.execute_script(renews, "#now")
    assert screen.complaints() == []
