"""The browser of the tests: one for all of them, in which none finds what another left."""

from tests.browser.conftest import PHONE, Browser, Screen

LEAVE = (
    "localStorage.left = sessionStorage.left = 'something'; console.error('a complaint'); window.open('about:blank')"
)
FOUND = "return [localStorage.left, sessionStorage.left, matchMedia('(prefers-color-scheme: dark)').matches]"


def test_it_forgets_what_a_test_did(screen: Screen, browser: Browser) -> None:
    screen.resize(PHONE, "dark")
    screen.come_in()
    screen.chrome.execute_script(LEAVE)
    assert screen.chrome.execute_script(FOUND) == ["something", "something", True]
    assert len(screen.chrome.window_handles) == 2
    screen.chrome.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    screen.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})

    chrome = browser.as_new()
    assert screen.complaints() == []
    screen.open("/sign-in")
    assert screen.find("#password").is_displayed()
    assert len(chrome.window_handles) == 1
    assert chrome.execute_script(FOUND) == [None, None, False]
    assert chrome.execute_script("return innerWidth") > PHONE
    assert chrome.execute_script("return matchMedia('screen').matches")


def test_it_starts_again_where_a_test_lost_it(browser: Browser) -> None:
    lost = browser.as_new()
    lost.quit()
    found = browser.as_new()
    assert found is not lost
    found.get("data:text/html,<title>here</title>")
    assert found.title == "here"
