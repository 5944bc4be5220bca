"""The call log and the statistics in a real browser, with calls in progress."""

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support import expected_conditions as expected

from coovox_billing.core.clock import UNKNOWN
from coovox_billing.services import live_calls, settlement
from coovox_billing.services.live_calls import Answered
from coovox_billing.store.database import Database
from coovox_billing.wall_clock import wall_clock_ms
from tests import cast
from tests.browser.conftest import PHONE, WIDE, Screen
from tests.web import story

ROWS = "main .cards tbody tr:not(.why)"
DAY_MS = 86_400_000


def cells(screen: Screen, row: int) -> list[str]:
    """A row's values without the labels that a phone shows beside them."""
    line = screen.chrome.find_elements("css selector", ROWS)[row]
    return [cell.text for cell in line.find_elements("css selector", "th, td")][:7]


def talk_now(database: Database, call_id: str, extension: str, number: str, seconds: int) -> None:
    answered = Answered(call_id, wall_clock_ms() - seconds * 1000, "PJSIP/carrier-0000000b", "1772442000.2")
    story.ask(database, call_id, extension, number, answered.answered_ms)
    database.write(lambda connection: live_calls.answer(connection, answered))


def open_all(screen: Screen) -> None:
    """The menu leads to today, on which nobody of the story called."""
    screen.click("Call Log")
    screen.click("Show all")


@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_it_shows_calls_without_sideways_scrolling(screen: Screen, database: Database, width: int) -> None:
    story.tell(database)
    screen.resize(width)
    screen.come_in("/call-log?per_page=20")
    assert cells(screen, 0)[6] == "In progress"
    assert cells(screen, 5) == [
        "2026-03-02 10:01:00", "Reception[100]", "988360046", "00:03:58", "FXO-1", "0.1800", "Answered"
    ]  # fmt: skip
    assert screen.find(".total").text == "7 Total"
    screen.looks("call-log")
    assert screen.complaints() == []


def test_it_leads_to_todays_calls_and_from_there_to_all(screen: Screen, database: Database) -> None:
    story.talk(database, "guide", "100", "988360046", cast.NOW_MS, 238)
    screen.resize(WIDE)
    screen.come_in()
    open_all(screen)
    assert len(screen.texts(ROWS)) == 1


@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_it_opens_and_closes_the_reasons_of_a_call(screen: Screen, database: Database, width: int) -> None:
    story.talk(database, "guide", "100", "988360046", cast.NOW_MS, 238)
    screen.resize(width)
    screen.come_in("/call-log?per_page=20")
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
    screen.come_in("/call-log?per_page=20")
    for summary in screen.chrome.find_elements(By.CSS_SELECTOR, "summary"):
        summary.click()
    corrected, lost = screen.texts(".why")
    assert "closed by rule first, then corrected" in corrected
    assert "look at it: nobody told how it ended" in lost
    assert not screen.scrolls_sideways()
    screen.picture(f"facts-{width}")


@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_it_shows_who_talks_and_hangs_up(screen: Screen, database: Database, width: int) -> None:
    talk_now(database, "one", "101", "988360046", 135)
    talk_now(database, "two", "100", "0044", 500)
    talk_now(database, "three", "103", "965302387", 12)
    screen.resize(width)
    screen.come_in("/call-log")
    assert screen.find("#live h2").text == "3 calls in progress"
    first = screen.texts("[data-talk]")
    screen.patiently().until(lambda _: screen.texts("[data-talk]") > first)
    screen.looks("live")
    screen.find("#live form button").click()
    alert = screen.patiently().until(expected.alert_is_present())
    assert "Reception[100]" in alert.text
    alert.accept()
    assert screen.wait_for("#live .mark").text == "Being ended"
    assert screen.complaints() == []


def test_it_shows_a_call_that_begins_and_one_that_ends_by_itself(screen: Screen, database: Database) -> None:
    screen.resize(WIDE)
    screen.come_in("/call-log?per_page=20")
    assert not screen.find("#live").is_displayed()
    talk_now(database, "one", "101", "988360046", 5)
    assert "Sales[101]" in screen.wait_for("#live li").text
    leg = cast.a_leg(talked=5, asked_ms=wall_clock_ms() - 5_000)
    database.write(lambda c: settlement.settle(c, "one", leg, UNKNOWN, leg.ended_ms))
    screen.patiently().until(expected.invisibility_of_element_located(("id", "live")))


@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_it_shows_statistics(screen: Screen, database: Database, width: int) -> None:
    for day in range(14):
        asked_ms = cast.NOW_MS + day * DAY_MS
        story.talk(database, str(day), "101", "988360046", asked_ms, 60 + day * day % 7 * 600)
    screen.resize(width)
    screen.come_in("/statistics?by=day&per_page=10")
    assert len(screen.texts(ROWS)) == 10
    assert screen.find(".total").text == "14 Total"
    assert len(screen.chrome.find_elements(By.CSS_SELECTOR, ".bars rect:not(.strip)")) == 2 * 14
    screen.looks("statistics")
    screen.open("/statistics?by=month&extension=101")
    assert len(screen.texts(ROWS)) == 1
    screen.looks("statistics-by-month")
    assert screen.complaints() == []


@pytest.mark.parametrize("width", [WIDE, 1440, PHONE])
def test_it_shows_the_whole_hint_of_a_filter(screen: Screen, width: int) -> None:
    """A placeholder is cut off without a sign where its field is too narrow."""
    screen.resize(width)
    screen.come_in("/call-log")
    screen.picture(f"call-log-filters-{width}")
    room = screen.chrome.execute_script(ROOM_OF_PLACEHOLDER)
    assert room["needed"] <= room["there"], room


ROOM_OF_PLACEHOLDER = """
const field = document.querySelector("input[name=keywords]"), style = getComputedStyle(field);
const pen = document.createElement("canvas").getContext("2d");
pen.font = style.font;
return {
  needed: pen.measureText(field.placeholder).width,
  there: field.clientWidth - parseFloat(style.paddingInlineStart) - parseFloat(style.paddingInlineEnd),
};
"""
