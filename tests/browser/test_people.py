"""A cashier's first day: made by the owner, kept to the limit, with a telephone as second factor."""

import re
import time
from collections.abc import Callable

import pytest
from selenium.webdriver.common.by import By

from coovox_billing.store.database import Database
from tests import cast
from tests.browser.conftest import PHONE, WIDE, Screen
from tests.telephone import Telephone
from tests.web import story

PATH = "/addons/billing-manager"
STEP_MS = 30_000
QR_COLORS = """
return [...document.querySelectorAll('.qr path')].map(path => path.getAttribute('fill') + path.getAttribute('stroke'))
"""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def sign_out(screen: Screen) -> None:
    """Sign out, behind the menu on a phone."""
    screen.open("/account")
    if screen.find(".top button").is_displayed():
        screen.find(".top button").click()
    screen.click("Sign out")


def create(screen: Screen) -> tuple[str, str]:
    """A cashier with a limit of 50.00, made in the dialog; name and password as they are shown."""
    screen.open(PATH)
    screen.find(".head .primary").click()
    screen.wait_for("dialog[open] #role-manager")
    assert not screen.find("dialog[open] #limit").is_displayed()
    screen.find("dialog[open] label[for=role-cashier]").click()
    screen.wait_for("dialog[open] #limit").send_keys("50")
    screen.find("dialog[open] #remark").send_keys("Ann, front desk")
    assert not screen.scrolls_sideways()
    screen.picture(f"people-add-{screen.chrome.execute_script('return window.innerWidth')}")
    return_to = screen.find("html")
    screen.find("dialog[open] .primary").click()
    screen.wait_for("#password")
    assert screen.find("html") != return_to
    return screen.find("#name").text, screen.find("#password").text


@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_it_takes_a_cashier_through_the_first_day(screen: Screen, database: Database, width: int) -> None:
    story.tell(database)

    def shows(name: str) -> None:
        screen.looks(f"people-{name}")

    screen.resize(width)
    screen.sign_in()
    screen.open(PATH)
    shows("nobody-yet")
    name, password = create(screen)
    shows("password")
    screen.click("I have it")
    shows("list")
    sign_out(screen)

    screen.sign_in(password, name)
    assert screen.texts(".who small") in (["Cashier"], [""])
    shows("cashier-extensions")
    recharges(screen, shows)
    assert cast.look_up(database.path, "SELECT balance_micros FROM accounts WHERE extension = '103'") == [(50_000_000,)]

    codes = set_up_second_factor(screen, password, shows)
    sign_out(screen)
    signs_in_with(screen, name, password, "000000", shows)
    assert "The code is wrong" in screen.find("[role=alert]").text
    screen.find("#code").send_keys(codes[0])
    screen.click("Sign in")
    assert screen.find("h1").text == "Extensions"
    shows_account(screen, shows)
    assert [said for said in screen.complaints() if "422" not in said] == []


def recharges(screen: Screen, shows: Callable[[str], None]) -> None:
    """More than the limit, then the limit."""
    screen.open("/extensions?keywords=103")
    screen.chrome.execute_script("arguments[0].click()", screen.find("a[title='Recharge 103']"))
    screen.wait_for("dialog[open] #amount").send_keys("50.01")
    screen.find("dialog[open] .primary").click()
    assert "may recharge at once" in screen.wait_for("dialog[open] .errors").text
    shows("limit")
    amount = screen.find("dialog[open] #amount")
    amount.clear()
    amount.send_keys("50")
    screen.click_in("dialog[open]", "Submit")
    screen.open("/recharge-history")
    shows("recharge-history")


def set_up_second_factor(screen: Screen, password: str, shows: Callable[[str], None]) -> list[str]:
    """The recovery codes, after the telephone has scanned the key."""
    screen.open("/account")
    shows("account")
    screen.click("Set up a second factor")
    screen.find("#primary-password").send_keys(password)
    screen.click("Set up")
    shows("qr-code")
    telephone = Telephone(screen.find(".facts .key").text.replace(" ", ""))
    assert screen.find(".qr svg").size["width"] > 150
    screen.find("#code").send_keys(telephone.code(now_ms()))
    screen.click("Turn on")
    shows("recovery-codes")
    codes = screen.texts(".codes li")
    assert len(codes) == 10
    assert all(re.fullmatch(r"([a-z2-9]{4}-){3}[a-z2-9]{4}", code) for code in codes)
    screen.click("I have them")
    shows("second-factor")
    return codes


def signs_in_with(screen: Screen, name: str, password: str, code: str, shows: Callable[[str], None]) -> None:
    screen.sign_in(password, name)
    shows("code")
    screen.find("#code").send_keys(code)
    screen.click("Sign in")
    shows("wrong-code")


def shows_account(screen: Screen, shows: Callable[[str], None]) -> None:
    screen.open("/account")
    shows("account-with-factor")
    assert "$50.0000" in screen.find("main").text


def test_it_signs_in_with_a_code_of_the_telephone(screen: Screen) -> None:
    screen.resize(WIDE)
    screen.sign_in()
    screen.open("/account/second-factor")
    screen.find("#primary-password").send_keys("correct horse battery")
    screen.click("Set up")
    telephone = Telephone(screen.find(".facts .key").text.replace(" ", ""))
    screen.find("#code").send_keys(telephone.code(now_ms()))
    screen.click("Turn on")
    sign_out(screen)
    screen.sign_in()
    screen.find("#code").send_keys(telephone.code(now_ms() + STEP_MS))
    screen.click("Sign in")
    assert screen.find("h1").text == "Extensions"


def test_it_works_without_a_script_and_copies_with_one(screen: Screen) -> None:
    screen.resize(WIDE)
    screen.come_in()
    create(screen)
    screen.find("[data-copy]").click()
    assert screen.find("[data-copy] span").text == "Copied"
    screen.chrome.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    screen.open(PATH + "/add")
    screen.find("label[for=role-auditor]").click()
    screen.find(".form .primary").click()
    assert re.fullmatch(r"bill-[a-z2-9]{3}", screen.wait_for("#name").text)
    assert screen.chrome.find_elements(By.CSS_SELECTOR, "dialog[open]") == []
    assert not screen.find("[data-copy]").is_displayed()


def test_it_signs_a_user_out_whom_the_owner_disables(screen: Screen) -> None:
    screen.resize(PHONE)
    screen.come_in()
    name, password = create(screen)
    screen.open(PATH)
    screen.find("[name=enabled]").click()
    assert f"The user {name} is disabled" in screen.wait_for(".toast p").text
    screen.picture("people-disabled")
    sign_out(screen)
    screen.sign_in(password, name)
    assert "is disabled: the owner of the device can enable it" in screen.find("[role=alert]").text


def test_it_keeps_the_qr_code_dark_on_light_by_night(screen: Screen) -> None:
    screen.resize(WIDE, "dark")
    screen.come_in("/account/second-factor")
    screen.find("#primary-password").send_keys("correct horse battery")
    screen.click("Set up")
    colors = screen.chrome.execute_script(QR_COLORS)
    assert len(colors) == 2
    assert "#fff" in colors[0]
    assert "#000" in colors[1]
