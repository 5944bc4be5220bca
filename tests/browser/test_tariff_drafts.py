"""A new tariff in a real browser: from today's rates to a draft, tried on calls, switched at a date, taken back."""

import sqlite3
from datetime import datetime

from coovox_billing.services import rates
from coovox_billing.store import reads
from coovox_billing.store.database import Database
from tests import cast
from tests.browser.conftest import PHONE, WIDE, Screen
from tests.web import story


def spoil(connection: sqlite3.Connection) -> None:
    """Rates that are hardly meant so."""
    day = {"start_time": datetime(2026, 1, 1, 8).time(), "end_time": datetime(2026, 1, 1, 19, 59).time()}
    rates.add(connection, cast.a_rate(prefix="7", remark="Days", **day), cast.MANAGER)
    rates.add(connection, cast.a_rate(remark="Copy"), cast.MANAGER)
    rates.add(connection, cast.a_rate(prefix="0049", number_length=0, rate_micros="30", remark="abroad"), cast.MANAGER)


def look(screen: Screen, name: str) -> None:
    """A picture of the page at every width, by day and by night; nothing may be wider than its window."""
    for width, scheme in ((WIDE, "light"), (WIDE, "dark"), (PHONE, "light"), (PHONE, "dark")):
        screen.resize(width, scheme)
        assert not screen.scrolls_sideways(), (name, width)
        screen.picture(f"{name}-{width}-{scheme}")
    screen.resize(WIDE)


def read_toast(screen: Screen) -> str:
    """What was told, and away with it: it lies above the buttons."""
    text = screen.find(".toast p").text
    screen.find(".toast [data-close]").click()
    return text


def all_rates(database: Database) -> list[cast.Rate]:
    return database.read(reads.all_rates)


def test_it_leads_from_a_draft_to_a_tariff_and_back(screen: Screen, database: Database) -> None:
    story.tell(database)
    database.write(spoil)
    before = all_rates(database)
    screen.resize(WIDE)
    screen.come_in("/rate")
    screen.click("Check")
    assert {"Never wins", "Hours without a rate", "Price far off"} <= set(screen.texts(".mark"))
    look(screen, "rate-check")
    screen.open("/rate/drafts")
    look(screen, "drafts-none")
    screen.click("New draft")
    screen.find("#name").send_keys("New year")
    screen.click("Submit")
    assert "Nothing of today's rates is changed" in read_toast(screen)
    screen.click("Edit")
    text = screen.find("#rates").get_attribute("value")
    wrong = text.replace("0.0200", "x")
    screen.chrome.execute_script("document.querySelector('#rates').value = arguments[0]", wrong)
    screen.click("Submit")
    assert "Nothing was kept: 3 rows are wrong" in screen.find(".notice.bad").text
    assert screen.find("#rates").get_attribute("value") == wrong
    look(screen, "draft-wrong")
    dearer = "\n".join(line for line in text.replace("0.0200", "0.0400").splitlines() if "abroad" not in line)
    screen.chrome.execute_script("document.querySelector('#rates').value = arguments[0]", dearer)
    screen.click("Submit")
    assert read_toast(screen) == "The draft is saved."
    look(screen, "draft")
    screen.click("What if")
    screen.open(
        screen.chrome.current_url.removeprefix(screen.address).partition("?")[0] + "?from=2026-03-01&to=2026-03-31"
    )
    assert "Reception[100]" in screen.texts("th.name")
    look(screen, "what-if")
    screen.click("Would be refused")
    assert screen.texts("td .mark") == ["Would be refused"]
    look(screen, "what-if-calls")
    screen.click("Back to the draft")
    screen.chrome.execute_script("document.querySelector('#day').value = '2099-01-01'")
    screen.click("Activate at this time")
    assert "2099-01-01 00:00:00" in read_toast(screen)
    look(screen, "draft-scheduled")
    screen.open("/rate")
    look(screen, "rate-scheduled")
    screen.click("Cancel its activation")
    assert "a draft again" in read_toast(screen)
    screen.click("Activate now")
    assert "The draft is active" in read_toast(screen)
    assert len(all_rates(database)) == len(before) - 2
    look(screen, "draft-active")
    screen.click("Take it back")
    assert all_rates(database) == before
    screen.open("/rate/drafts")
    look(screen, "drafts")
    assert [said for said in screen.complaints() if "422" not in said] == []
