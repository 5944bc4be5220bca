"""Lists as people arrange them, in a real browser: cells are chosen and summed, copied, columns and searches kept."""

from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.remote.webelement import WebElement

from coovox_billing.services import payments
from coovox_billing.store.database import Database
from tests import cast
from tests.browser.conftest import PHONE, WIDE, Screen
from tests.web import story

FIELD = """
const field = document.createElement('textarea');
field.id = 'pasted';
document.querySelector('main').append(field);
field.focus();
"""


def cell(screen: Screen, row: int, label: str) -> WebElement:
    """The cell of a row, counted from 1, under a head."""
    return screen.find(f"tbody tr:not(.why):nth-child({row} of :not(.why)) [data-label='{label}']")


def drag(screen: Screen, start: WebElement, end: WebElement) -> None:
    ActionChains(screen.chrome).move_to_element(start).click_and_hold().move_to_element(end).release().perform()


def press(screen: Screen, keys: str, *held: str) -> None:
    chain = ActionChains(screen.chrome)
    for key in held:
        chain.key_down(key)
    chain.send_keys(keys)
    for key in held:
        chain.key_up(key)
    chain.perform()


def pasted(screen: Screen) -> list[list[str]]:
    """What the clipboard holds, by lines and tabs."""
    screen.chrome.execute_script(FIELD)
    field = screen.find("#pasted")
    press(screen, "v", Keys.CONTROL)
    text = str(field.get_property("value"))
    screen.chrome.execute_script("arguments[0].remove()", field)
    return [line.split("\t") for line in text.splitlines()]


def test_it_sums_and_copies_the_cells_that_are_chosen(screen: Screen, database: Database) -> None:
    story.tell(database)
    screen.resize(WIDE)
    screen.come_in("/call-log?per_page=20")
    assert not screen.find("#sums").is_displayed()
    drag(screen, cell(screen, 5, "Cost($)"), cell(screen, 7, "Cost($)"))
    assert screen.find("#sums p").text.split("\n") == ["Cells 3", "Sum 2.2800", "Average 0.7600"]
    assert screen.find("#sums-said").get_property("textContent") == "Cells 3, Sum 2.2800, Average 0.7600"
    screen.picture("cells-dragged")
    press(screen, Keys.ARROW_LEFT * 2, Keys.SHIFT)
    assert screen.find("#sums p").text.split("\n") == [
        "Cells 9", "Numbers 3", "Sum 0:05:38", "Average 0:01:53", "Numbers 3", "Sum 2.2800", "Average 0.7600"
    ]  # fmt: skip
    press(screen, "c", Keys.CONTROL)
    assert pasted(screen) == [
        ["Duration", "Trunk Name", "Cost($)"],
        ["0:01:01", "FXO-1", "2.0000"],
        ["0:03:58", "FXO-1", "0.1800"],
        ["0:00:39", "FXO-1", "0.1000"],
    ]
    screen.find("thead th:nth-child(6)").click()
    assert screen.find("#sums p").text.split("\n") == [
        "Cells 7", "Numbers 6", "Sum 2.2800", "Average 0.3800"
    ]  # fmt: skip
    screen.picture("cells-of-a-column")
    screen.resize(WIDE, "dark")
    screen.picture("cells-of-a-column-dark")
    screen.find("#sums [data-no-cells]").click()
    assert not screen.find("#sums").is_displayed()
    screen.find("[data-copy-link]").click()
    assert pasted(screen) == [[f"{screen.address}/call-log?per_page=20"]]
    assert screen.complaints() == []


def test_it_chooses_by_keys_alone_and_copies_the_whole_table(screen: Screen, database: Database) -> None:
    database.write(lambda c: payments.correct(c, "100", -9_010_000, "=1+1", cast.MANAGER))
    screen.resize(WIDE)
    screen.come_in("/recharge-history")
    rows = len(screen.texts("tbody tr"))
    screen.chrome.execute_script("document.querySelector('tbody [tabindex=\"0\"]').focus()")
    press(screen, Keys.ARROW_RIGHT * 3)
    press(screen, " ", Keys.CONTROL)
    assert screen.find("#sums p").text.startswith(f"Cells {rows}\n")
    screen.chrome.execute_script("document.documentElement.dir = 'rtl'")
    press(screen, Keys.ARROW_LEFT)
    press(screen, Keys.END)
    press(screen, "c", Keys.CONTROL)
    assert pasted(screen) == [["'=1+1"]]
    press(screen, Keys.ESCAPE)
    screen.find("[data-copy-table]").click()
    heads, newest, *_others = pasted(screen)
    assert (len(heads), newest[1:]) == (
        8,
        ["Reception[100]", "10.0000", "-9.0100", "0.9900", "Correction", *newest[6:]],
    )
    assert screen.complaints() == []


def test_it_keeps_columns_and_searches(screen: Screen, database: Database) -> None:
    story.tell(database)
    screen.resize(WIDE)
    screen.come_in("/call-log?status=answered&per_page=20")
    screen.find("[hx-get*='/columns']").click()
    screen.wait_for("dialog [value=trunk]").click()
    screen.find("dialog [value=answered]").click()
    screen.picture("columns-form")
    screen.click_in("dialog", "Submit")
    heads = screen.texts("thead th[data-kind]")
    assert heads == ["Start Time", "Call From", "Call To", "Duration", "Cost($)", "Status", "Answered"]
    assert "status=answered" in screen.chrome.current_url
    screen.find("[hx-get*='/save']").click()
    screen.wait_for("dialog #name").send_keys("All that were answered")
    screen.click_in("dialog", "Save")
    assert screen.texts(".saved [aria-current]") == ["All that were answered"]
    screen.picture("saved-filters")
    screen.resize(PHONE)
    assert not screen.scrolls_sideways()
    screen.picture("saved-filters-phone")
    screen.open("/call-log?period=this-month&per_page=20")
    screen.picture("period-phone")
    screen.resize(WIDE)
    screen.picture("period")
    screen.click("All that were answered")
    assert len(screen.texts("tbody tr:not(.why)")) == 4
    screen.find(".saved [hx-get]").click()
    screen.wait_for("dialog .danger")
    screen.picture("saved-filter-form")
    screen.click_in("dialog", "Delete")
    assert screen.texts(".saved [aria-current]") == []
    assert screen.complaints() == []
