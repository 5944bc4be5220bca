"""The user guide (`coovox-billing-user-guide.md`), walked from top to bottom as a billing manager would.

What it shows is here in its order, with its titles and its figures. Where its own figures contradict its own rate, the
rate wins: 3:58 by 0.1 for 60 s and 0.02 for each started 55 s is 0.1800, not the 0.1400 of its picture.
"""

import csv
import re
import sqlite3
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select

from coovox_billing.core.clock import milliseconds
from coovox_billing.services import accounts, owner
from coovox_billing.store.database import Database, open_database
from tests import cast
from tests.browser.conftest import PASSWORD, PHONE, WIDE, Screen
from tests.web import story

MENU = ["Dashboard", "Extensions", "Rate", "Recharge History", "Call Log", "Statistics", "Settings"]
DAY = "2019-05-31"
USERNAMES = {"100": "ZYCOO"} | {str(number): f"Extension{number - 100}" for number in range(101, 117)}
EMPTY = ["0.0000", "0.0000", "0.0000", "Prepaid", "Unlocked"]

EXTENSION_TITLES = [
    "Extension", "Username", "Total Recharges($)", "Balance($)", "Credit($)", "Payment Type", "Status",
]  # fmt: skip
RATE_FIELDS = [
    "Activate", "Remark", "Prefix", "Number Length", "Initial Cost($)", "Initial Time(s)", "Rate($)",
    "Billing Unit(s)", "Start Time", "End Time", "Extensions",
]  # fmt: skip
RECHARGE_TITLES = ["Time", "Extension", "Pre-balance($)", "Recharge Amount($)", "Post-balance($)"]
CALL_TITLES = ["Start Time", "Call From", "Call To", "Duration", "Trunk Name", "Cost($)"]
STATISTICS_TITLES = ["Date", "Extension", "Calls", "Total Call Time", "Average Call Time", "Total Cost($)"]

CALLS_OF_102 = [
    [f"{DAY} 15:03:31", "Extension2[102]", "988360046", "00:03:58", "FXO-1", "0.1800"],
    [f"{DAY} 15:02:12", "Extension2[102]", "965302387", "00:00:39", "FXO-1", "0.1000"],
]
ALL_OF_THE_DAY = ["All", "5", "0:12:22", "0:02:28", "0.7000"]
OF_102 = ["Extension2[102]", "2", "0:04:37", "0:02:19", "0.2800"]

_FIND = (
    "return [...document.querySelectorAll(arguments[0])].map(found => found.textContent.replace(/\\s+/g, ' ').trim())"
)
_CELLS = (
    "return [...document.querySelectorAll('main .cards tbody tr')].map(row => "
    "[...row.cells].map(cell => cell.textContent.replace(/\\s+/g, ' ').trim()))"
)
_LABELS = "return [...document.querySelectorAll('.filters label')].map(label => label.firstChild.textContent.trim())"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """The guide's PBX: its 17 extensions, none of them billed, and no rate."""

    def furnish(connection: sqlite3.Connection) -> None:
        cast.prepare_active(connection)
        for number, username in USERNAMES.items():
            accounts.add(connection, number, username, cast.MANAGER)

    with open_database(tmp_path / "data") as opened:
        opened.write(furnish)
        owner.set_password(opened, PASSWORD, cast.MANAGER)
        yield opened


class Manager:
    """A person at the screen, who reads what it says and clicks what is there."""

    def __init__(self, screen: Screen, files: Path) -> None:
        self.screen = screen
        self._files = files
        behavior = {"behavior": "allow", "downloadPath": str(files)}
        screen.chrome.execute_cdp_cmd("Browser.setDownloadBehavior", behavior)

    def reads(self, selector: str) -> list[str]:
        """The words of all that a selector means, also where a phone has no room for them."""
        found: list[str] = self.screen.chrome.execute_script(_FIND, selector)
        return found

    def titles(self) -> list[str]:
        """The heads of the table."""
        return self.reads("main .cards thead th")

    def rows(self) -> list[list[str]]:
        """The cells of the table."""
        found: list[list[str]] = self.screen.chrome.execute_script(_CELLS)
        return found

    def row(self, number: str) -> list[str]:
        """What the list of extensions says of one, from its username on to its billing."""
        return next(cells[2:9] for cells in self.rows() if cells[1] == number)

    def press(self, selector: str) -> None:
        """Click what may lie below the end of the window."""
        found = self.screen.find(selector)
        self.screen.chrome.execute_script("arguments[0].scrollIntoView({block: 'center'})", found)
        found.click()

    def go(self, page: str) -> None:
        """Open a page by the menu, which a phone keeps in a drawer."""
        opener = self.screen.find("button[popovertarget=menu]")
        if opener.is_displayed():
            self.press("button[popovertarget=menu]")
            self.screen.wait_for("#menu .menu a")
        self.screen.click_in("#menu .menu", page)
        assert self.reads("h1") == [page]
        self.looks()

    def fill(self, within: str, **texts: str) -> None:
        """Write into fields; days as a calendar gives them, which no two languages type alike."""
        for name, text in texts.items():
            field = self.screen.find(f"{within} [name='{name}']")
            if field.tag_name == "select":
                Select(field).select_by_visible_text(text)
            elif field.get_attribute("type") == "date":
                self.screen.chrome.execute_script("arguments[0].value = arguments[1]", field, text)
            else:
                field.clear()
                field.send_keys(text)

    def search(self, **texts: str) -> None:
        """Look for something by the fields above the list."""
        self.fill(".filters", **{name.rstrip("_"): text for name, text in texts.items()})
        self.screen.click_in(".filters", "Search")
        self.looks()

    def opens(self, selector: str, title: str) -> None:
        """Open a dialog."""
        self.press(selector)
        self.screen.wait_for("dialog[open] .primary")
        assert self.reads("#dialog-title") == [title]
        self.looks()

    def submit(self, told: str) -> None:
        """Send the open dialog, which tells what it did."""
        self.screen.click_in("dialog[open]", "Submit")
        self.is_told(told)
        self.looks()

    def is_told(self, words: str) -> None:
        """Read what was done, and close it."""
        self.screen.patiently().until(lambda _: self.reads(".toast p") == [words])
        self.press(".toast [data-close]")

    def is_on(self, page: str) -> None:
        """Wait for the page of this title."""
        self.screen.patiently().until(lambda _: self.reads("h1") == [page])

    def downloads(self, kind: str) -> list[list[Any]]:
        """Click the file of the search; its rows below its titles, without their total."""
        self.press(f"a[download][href*='.{kind}']")
        self.screen.patiently().until(lambda _: any(self._files.glob(f"*.{kind}")))
        (file,) = self._files.glob(f"*.{kind}")
        rows = _workbook(file) if kind == "xlsx" else list(csv.reader(file.open(encoding="utf-8-sig", newline="")))
        file.unlink()
        return [list(row) for row in rows[rows.index([]) + 1 :]]

    def looks(self) -> None:
        """Nothing on the page lies beside the window."""
        assert not self.screen.scrolls_sideways()


def _workbook(file: Path) -> list[list[Any]]:
    rows = load_workbook(file).worksheets[0].iter_rows(values_only=True)
    return [[] if not any(row) else list(row) for row in rows]


@pytest.fixture
def manager(screen: Screen, tmp_path: Path) -> Manager:
    """Nobody is signed in yet."""
    files = tmp_path / "downloads"
    files.mkdir()
    return Manager(screen, files)


@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_it_is_as_the_user_guide_says(manager: Manager, database: Database, width: int) -> None:
    manager.screen.resize(width)
    manager.screen.sign_in()
    signed_in(manager)
    extensions(manager)
    recharge(manager)
    edit(manager)
    bulk_edit(manager)
    rate(manager)
    recharge_history(manager)
    calls_are_made(database)
    call_log(manager)
    statistics(manager)
    settings(manager)
    assert manager.screen.complaints() == []
    assert cast.audited(database.path) == []


def signed_in(manager: Manager) -> None:
    """After login you'll first see the Extensions page."""
    assert manager.reads("h1") == ["Extensions"]
    assert manager.reads("#menu .menu a")[: len(MENU)] == MENU
    manager.looks()


def extensions(manager: Manager) -> None:
    """All extensions are listed; search by number, status and payment type."""
    titles = manager.titles()
    assert titles[1:8] == EXTENSION_TITLES
    assert titles[-1] == "Options"
    assert [cells[1:8] for cells in manager.rows()] == [[number, name, *EMPTY] for number, name in USERNAMES.items()]
    assert manager.reads(".selection .total") == ["0 Selected / 17 Total"]
    for found, search in (
        (1, {"keywords": "105", "status": "Unlocked", "payment_type": "Prepaid"}),
        (0, {"keywords": "105", "status": "Locked", "payment_type": "All"}),
        (17, {"keywords": "1", "status": "All", "payment_type": "Prepaid"}),
    ):
        manager.search(**search)
        assert len(manager.rows()) == found
    manager.go("Extensions")


def recharge(manager: Manager) -> None:
    """Select at least one extension and click Recharge; or click its own button."""
    for number in range(100, 106):
        manager.press(f"tbody input[value='{number}']")
    assert manager.reads(".selection .total") == ["6 Selected / 17 Total"]
    manager.opens(".selection .primary", "Recharge")
    assert "100, 101, 102, 103, 104, 105" in manager.reads("#dialog form.form p")[0]
    assert "Recharge Amount($)" in manager.reads("#dialog label")
    manager.fill("#dialog", amount="100")
    manager.submit("6 extensions are recharged with $100.0000 each.")
    manager.opens("tbody a[title='Recharge 106']", "Recharge 106")
    assert manager.reads("#dialog dl > *") == ["Extension", "106", "Username", "Extension6", "Balance($)", "0.0000"]
    manager.fill("#dialog", amount="200")
    manager.submit("106 is recharged with $200.0000.")
    assert manager.row("106") == ["Extension6", "200.0000", "200.0000", "0.0000", "Prepaid", "Unlocked", "Off"]


def edit(manager: Manager) -> None:
    """Credit, Unlocked/Locked Status and Payment Type can be changed; the last restarts Total Recharges."""
    manager.opens("tbody a[title='Edit 101']", "Edit 101")
    assert manager.reads("#dialog dl > *") == ["Extension", "101"]
    shown = ["Username", "Enable Billing", "Credit($)", "Status", "Payment Type"]
    assert [label for label in manager.reads("#dialog label") if label in shown] == shown
    assert not manager.screen.find("#dialog #billing").is_selected()
    assert manager.screen.find("#dialog #credit").get_attribute("value") == "0.0000"
    manager.fill("#dialog", credit="50", payment_type="Postpaid")
    manager.submit("101 is changed.")
    assert manager.row("101") == ["Extension1", "0.0000", "100.0000", "50.0000", "Postpaid", "Unlocked", "Off"]


def bulk_edit(manager: Manager) -> None:
    """Check Enable Billing and turn on the switch for those that are selected; what is not ticked stays."""
    has_heads = manager.screen.find("#list thead").size["width"] > 1
    for box in ["thead .pick input"] if has_heads else [f"tbody input[value='{number}']" for number in USERNAMES]:
        manager.press(box)
    assert manager.reads(".selection .total") == ["17 Selected / 17 Total"]
    manager.opens(".selection .actions .button:not(.primary)", "Bulk Edit")
    ticks = ["Enable Billing", "Credit($)", "Status", "Payment Type"]
    assert manager.reads("#dialog .tick") == ticks
    assert not any(tick.is_selected() for tick in manager.screen.chrome.find_elements(By.NAME, "change"))
    manager.press("#dialog [name='change'][value='billing']")
    manager.press("#dialog [name='billing']")
    manager.submit("17 extensions are changed.")
    assert manager.row("101") == ["Extension1", "0.0000", "100.0000", "50.0000", "Postpaid", "Unlocked", "On"]
    assert manager.row("116") == ["Extension16", *EMPTY, "On"]


def rate(manager: Manager) -> None:
    """Two rates with prefix 9: city numbers of 8 digits, mobile ones of 11."""
    manager.go("Rate")
    for remark, length, price in (("City", "9", "0.02"), ("Mobile", "12", "0.05")):
        manager.press("main .head a[href*='/rate/add']")
        manager.is_on("Add")
        titles = manager.reads("main form.form :is(.field > label, legend)")
        assert [title for title in titles if title != "Days"] == RATE_FIELDS
        assert manager.screen.find("#active").is_selected()
        assert manager.screen.find("#start_time").get_attribute("value") == "00:00:00"
        assert manager.screen.find("#end_time").get_attribute("value") == "23:59:59"
        manager.fill("main form.form", remark=remark, prefix="9", number_length=length)
        manager.fill("main form.form", initial_cost="0.1", initial_time="60", rate=price, billing_unit="55")
        manager.looks()
        if remark == "Mobile":
            manager.press("input[name='reach'][value='listed']")
            manager.press("#reachable input[value='102']")
        manager.press("main form.form > .actions .primary")
        manager.is_told(f"Rate {remark} (prefix 9) is added.")
    mobile, city = (cells[2:9] for cells in manager.rows())
    block = "00:00:00 –23:59:59"  # on two lines
    assert mobile == ["Mobile", "9", "12", "0.1000 / 60", "0.0500 / 55", block, "102"]
    assert city == ["City", "9", "9", "0.1000 / 60", "0.0200 / 55", block, "All"]


def recharge_history(manager: Manager) -> None:
    """Balance before and after; a time block and keywords; the search results can be downloaded."""
    manager.go("Recharge History")
    assert manager.titles()[:5] == RECHARGE_TITLES
    lines = [["Extension6[106]", "0.0000", "200.0000", "200.0000"]]
    lines += [[f"{USERNAMES[n]}[{n}]", "0.0000", "100.0000", "100.0000"] for n in sorted(USERNAMES)[5::-1]]
    assert [cells[1:5] for cells in manager.rows()] == lines
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", cells[0]) for cells in manager.rows())
    assert manager.reads(".total") == ["7 Total"]
    today = manager.rows()[0][0].partition(" ")[0]
    manager.search(from_=today, to=today, keywords="Extension6")
    assert [cells[1:5] for cells in manager.rows()] == lines[:1]
    titles, *rows, total = manager.downloads("csv")
    assert titles[:5] == RECHARGE_TITLES
    assert [row[1:5] for row in rows] == lines[:1]
    assert total[3] == "200.0000"
    manager.search(from_=DAY, to=DAY)
    assert manager.rows() == []


def calls_are_made(database: Database) -> None:
    """The five calls of the guide's day, two of them from 102."""

    def at(hour: int, minute: int, second: int) -> int:
        return milliseconds(datetime(2019, 5, 31, hour, minute, second, tzinfo=cast.SITE.time_zone))

    story.talk(database, "guide-1", "102", "965302387", at(15, 2, 12), 39)
    story.talk(database, "guide-2", "102", "988360046", at(15, 3, 31), 238)
    for minute, number in ((10, "100"), (20, "103"), (30, "106")):
        story.talk(database, f"other-{number}", number, "965302387", at(15, minute, 0), 155)


def call_log(manager: Manager) -> None:
    """Start time, who called whom, how long, over which trunk, for how much; as an Excel file too."""
    manager.go("Call Log")
    labels: list[str] = manager.screen.chrome.execute_script(_LABELS)
    guide = ["From", "To", "Keywords", "Per Page"]
    assert [label for label in labels if label in guide] == guide
    manager.search(from_=DAY, to=DAY, keywords="102", per_page="10")
    assert manager.titles()[:6] == CALL_TITLES
    assert [cells[:6] for cells in manager.rows() if len(cells) > 1] == CALLS_OF_102
    assert manager.reads(".foot .total") == ["2 Total"]
    assert "Download Search Results" in manager.reads("main .head a")
    titles, *rows, _total = manager.downloads("xlsx")
    assert titles[:6] == CALL_TITLES
    assert [_as_shown(row) for row in rows] == CALLS_OF_102
    manager.screen.picture("guide-call-log")


def _as_shown(row: list[Any]) -> list[str]:
    """A call of a workbook as the page writes it; a length of time is one type or another by what read it."""
    at, caller, called, talk, trunk, cost = row[:6]
    return [str(at), caller, called, str(talk).zfill(8), trunk, f"{cost:.4f}"]


def statistics(manager: Manager) -> None:
    """Calls, their time, average and cost of a day, month or year, of all extensions or of one."""
    manager.go("Statistics")
    labels: list[str] = manager.screen.chrome.execute_script(_LABELS)
    assert labels == ["From", "To", "Per Page", "Extension", "Statistics By"]
    for extension, by, line in (
        ("", "Day", [DAY, *ALL_OF_THE_DAY]),
        ("102", "Day", [DAY, *OF_102]),
        ("102", "Month", [DAY[:7], *OF_102]),
        ("102", "Year", [DAY[:4], *OF_102]),
    ):
        manager.search(from_=DAY, to=DAY, per_page="10", extension=extension, by=by)
        assert manager.titles() == STATISTICS_TITLES
        assert manager.rows() == [line]
        assert manager.reads(".foot .total") == ["1 Total"]
    titles, row, _total = manager.downloads("csv")
    assert titles == STATISTICS_TITLES
    assert row == [DAY[:4], *OF_102]


def settings(manager: Manager) -> None:
    """USD is used by default; one that is not there is Other."""
    manager.go("Settings")
    choice = Select(manager.screen.find("#currency"))
    assert choice.first_selected_option.text == "USD ($)"
    assert [option.text for option in choice.options] == ["USD ($)", "CNY (¥)", "EUR (€)", "GBP (£)", "Other (¤)"]
    choice.select_by_visible_text("Other (¤)")
    manager.press("main form.form > .actions .primary")
    manager.is_told("The settings are stored.")
    manager.go("Extensions")
    assert manager.titles()[3:6] == ["Total Recharges(¤)", "Balance(¤)", "Credit(¤)"]
    assert manager.row("102")[1:3] == ["100.0000", "99.7200"]
