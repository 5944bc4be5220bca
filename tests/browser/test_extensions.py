"""The extensions in a real browser: the list, the selection, the dialogs, a guest's bill; also without a script."""

from pathlib import Path

import pytest
from selenium.webdriver.common.by import By

from coovox_billing.core.money import parse_amount
from coovox_billing.services import accounts, payments
from coovox_billing.store.database import Database
from tests import cast
from tests.browser.conftest import PHONE, WIDE, Screen
from tests.web import story


@pytest.fixture
def house(database: Database) -> Database:
    """A house with rooms, debts, a long name, a locked one, and a call in progress."""

    def furnish(connection: object) -> None:
        for number in range(200, 236):
            accounts.add(connection, str(number), f"Room {number}", cast.MANAGER)  # type: ignore[arg-type]
        accounts.change(
            connection,  # type: ignore[arg-type]
            "201",
            {"name": "Dr. Margarethe Hohenlohe-Langenburg", "billing": True},
            cast.MANAGER,
        )
        payments.recharge(connection, "201", parse_amount("1204.9"), cast.MANAGER)  # type: ignore[arg-type]

    database.write(furnish)
    story.tell(database)
    return database


def press(screen: Screen, selector: str) -> None:
    """Click what may lie below the bar at the window's end."""
    found = screen.find(selector)
    screen.chrome.execute_script("arguments[0].scrollIntoView({block: 'center'})", found)
    found.click()


def shows(screen: Screen, name: str) -> None:
    screen.looks(name)
    assert [line for line in screen.complaints() if "422" not in line] == []


@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_it_recharges_and_edits_those_that_are_selected(screen: Screen, house: Database, width: int) -> None:
    screen.resize(width)
    screen.come_in()
    shows(screen, "extensions")
    recharge = screen.find(".selection .primary")
    assert not recharge.is_enabled()
    press(screen, "input[value='100']")
    press(screen, "input[value='102']")
    assert screen.find("[data-count]").text == "2"
    shows(screen, "extensions-selected")
    recharge.click()
    screen.wait_for("dialog[open] #amount").send_keys("abc")
    screen.find("dialog[open] .primary").click()
    amount = screen.wait_for("dialog[open] #amount[aria-invalid]")
    shows(screen, "recharge-many")
    amount.clear()
    amount.send_keys("5")
    screen.click_in("dialog[open]", "Submit")
    assert "2 extensions are recharged with $5.0000 each." in screen.texts(".toast p")
    screen.find("input[name='all']").click()
    assert screen.find("[data-count]").text == "40"
    screen.find(".selection .actions .button:not(.primary)").click()
    screen.wait_for("dialog[open] [name='credit']").send_keys("3")
    assert screen.find("dialog[open] [value='credit']").is_selected()
    shows(screen, "bulk-edit")
    screen.click_in("dialog[open]", "Submit")
    assert "40 extensions are changed." in screen.texts(".toast p")
    credits = cast.look_up(house.path, "SELECT DISTINCT credit_micros, payment_type FROM accounts ORDER BY 2")
    assert credits == [(3_000_000, "postpaid"), (3_000_000, "prepaid")]


@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_it_shows_its_other_dialogs_and_pages(screen: Screen, house: Database, width: int) -> None:
    screen.resize(width)
    screen.come_in("/extensions?keywords=10")
    press(screen, "a[title='Recharge 100']")
    screen.wait_for("dialog[open] #amount")
    shows(screen, "recharge-one")
    screen.open("/extensions?keywords=10")
    press(screen, "a[title='Edit 101']")
    screen.wait_for("dialog[open] #name")
    shows(screen, "extension-edit")
    screen.open("/extensions?keywords=10")
    press(screen, "a[title='Check-in 102']")
    screen.wait_for("dialog[open] #guest").send_keys("Ms. Noor")
    screen.find("dialog[open] #deposit").send_keys("20")
    shows(screen, "check-in")
    screen.click_in("dialog[open]", "Check-in")
    for path, name in (
        ("/extension/101", "extension"),
        ("/extension/100/check-out", "check-out"),
        ("/extension/100/correct", "correct"),
        ("/extensions/closed", "closed"),
        ("/extensions/import", "import"),
        ("/extensions?keywords=nobody", "nothing-matches"),
    ):
        screen.open(path)
        shows(screen, f"extensions-{name}")


@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_it_shows_the_rows_of_a_file(screen: Screen, house: Database, tmp_path: Path, width: int) -> None:
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text("number,name,billing,credit\n100,Front desk,on,5\n300,Annex,on,\n103,Kitchen,off,0\n")
    bad.write_text("number,name,billing,credit\n100,Front desk,perhaps,5\n300,Annex,on,-7\n")
    screen.resize(width)
    screen.come_in()
    for file, name in ((bad, "bad"), (good, "good")):
        screen.open("/extensions/import")
        screen.find("#file").send_keys(str(file))
        screen.click("Show the rows")
        screen.looks(f"import-{name}")
    screen.click("Import")
    assert "3 rows are imported." in screen.texts(".toast p")


def test_it_checks_out_and_shows_the_bill(screen: Screen, house: Database) -> None:
    screen.resize(WIDE)
    screen.come_in("/extension/100/check-out")
    screen.click("Check-out")
    assert screen.find("h1").text == "Bill 100"
    screen.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert not screen.scrolls_sideways()
    assert screen.complaints() == []
    screen.picture("bill")


def test_it_works_without_a_script(screen: Screen, house: Database) -> None:
    screen.chrome.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    screen.resize(PHONE)
    screen.come_in("/extensions?status=locked&per_page=10")
    screen.chrome.find_element(By.CSS_SELECTOR, "input[value='102']").click()
    screen.find(".selection .primary").click()
    screen.wait_for("#amount").send_keys("5")
    screen.find(".form .primary").click()
    screen.wait_for(".toast")
    assert screen.chrome.current_url.endswith("/extensions?status=locked&per_page=10")
    assert cast.look_up(house.path, "SELECT balance_micros FROM accounts WHERE extension = '102'") == [(15_000_000,)]
    screen.find(".selection .primary").click()
    screen.wait_for(".form .primary")
    screen.picture("nobody-selected")
    assert "Select at least one extension" in screen.find("main").text


def test_it_says_in_the_dialog_why_a_form_failed(screen: Screen, database: Database) -> None:
    """The form's token is of another session, as after signing in again in another window."""
    screen.resize(WIDE)
    screen.come_in()
    screen.find("tbody a[title='Recharge 103']").click()
    screen.wait_for("dialog[open] #amount").send_keys("5")
    screen.chrome.execute_script("document.querySelector('dialog [name=csrf]').value = 'old'")
    screen.find("dialog[open] .primary").click()
    assert "too old" in screen.wait_for("dialog[open] .notice.bad").text
