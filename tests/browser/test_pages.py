"""Both pages in a real browser, on a desk's screen and on a phone's, by day and by night."""

import pytest
from selenium.webdriver.common.by import By

from coovox_billing.store.database import Database
from tests import cast
from tests.browser.conftest import PHONE, WIDE, Screen
from tests.web import story

EXTENSION_ROWS = "main tbody tr"
CALL_ROWS = "main tbody tr:not(.why)"


def cells(screen: Screen, row: int, selector: str) -> list[str]:
    """A row's values without the labels that a phone shows beside them."""
    line = screen.chrome.find_elements("css selector", selector)[row]
    return [cell.text for cell in line.find_elements("css selector", "th, td")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_it_shows_both_pages_without_sideways_scrolling(
    screen: Screen, database: Database, width: int, scheme: str
) -> None:
    story.tell(database)
    screen.resize(width, scheme)
    screen.sign_in()

    assert screen.chrome.current_url.endswith("/extensions")
    assert cells(screen, 0, EXTENSION_ROWS)[:5] == ["100", "Reception", "10.0000", "9.7200", "0.0000"]
    assert cells(screen, 1, EXTENSION_ROWS)[3:5] == ["-2.0000", "50.0000"]
    assert cells(screen, 2, EXTENSION_ROWS)[5:8] == ["Prepaid", "Locked", "On"]
    assert screen.find(".total").text == "4 Total"
    assert not screen.scrolls_sideways()
    screen.picture(f"extensions-{width}-{scheme}")

    screen.click("Call Log")
    assert cells(screen, 0, CALL_ROWS)[6] == "In progress"
    assert cells(screen, 5, CALL_ROWS) == [
        "2026-03-02 10:01:00", "Reception[100]", "988360046", "00:03:58", "FXO-1", "0.1800", "Answered"
    ]  # fmt: skip
    assert screen.find(".total").text == "7 Total"
    assert not screen.scrolls_sideways()
    screen.picture(f"call-log-{width}-{scheme}")
    assert screen.complaints() == []


@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_it_opens_and_closes_the_reasons_of_a_call(screen: Screen, database: Database, width: int) -> None:
    story.talk(database, "guide", "100", "988360046", 1772442000000, 238)
    screen.resize(width)
    screen.sign_in()
    screen.click("Call Log")
    assert not screen.find(".why").is_displayed()
    screen.find("summary").click()
    assert "4 started units of 55 s" in screen.find(".why").text
    assert not screen.scrolls_sideways()
    screen.picture(f"why-{width}")
    screen.find("summary").click()
    assert not screen.find(".why").is_displayed()


@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_it_shows_all_that_is_known_of_a_call(screen: Screen, database: Database, width: int) -> None:
    """One was lost, the other was lost and corrected."""
    story.lose(database, "17954408611234567", "101", cast.CITY_NUMBER, cast.NOW_MS)
    story.lose(database, "17954408617654321", "100", cast.CITY_NUMBER, cast.NOW_MS + story.MINUTE_MS)
    story.turn_up(database, "17954408617654321", cast.NOW_MS + story.MINUTE_MS, 116)
    screen.resize(width)
    screen.sign_in()
    screen.click("Call Log")
    for summary in screen.chrome.find_elements(By.CSS_SELECTOR, "summary"):
        summary.click()
    corrected, lost = screen.texts(".why")
    assert "closed by rule first, then corrected" in corrected
    assert "look at it: nobody told how it ended" in lost
    assert not screen.scrolls_sideways()
    screen.picture(f"facts-{width}")


@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_it_keeps_the_small_pages_within_the_window(screen: Screen, width: int) -> None:
    screen.resize(width)
    screen.open("/sign-in")
    assert not screen.scrolls_sideways()
    screen.picture(f"sign-in-{width}")
    screen.find("#password").send_keys("wrong password")
    screen.click("Sign in")
    assert screen.texts("[role=alert]") == ["The password is wrong."]
    screen.sign_in()
    for path in ("/password", "/no-such-page", "/call-log"):
        screen.open(path)
        assert not screen.scrolls_sideways(), path
        screen.picture(f"{path.strip('/')}-{width}")


def test_it_lets_long_names_wrap_on_a_phone(screen: Screen, database: Database) -> None:
    story.tell(database)
    name = "W" * 80
    database.write(lambda connection: connection.execute("UPDATE accounts SET name = ?", (name,)))
    screen.resize(PHONE)
    screen.sign_in()
    assert not screen.scrolls_sideways()
    screen.click("Call Log")
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
    screen.click("Password")
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
