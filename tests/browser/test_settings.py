"""The settings and the audit log in a real browser."""

import pytest
from selenium.webdriver.support.select import Select

from tests.browser.conftest import PHONE, WIDE, Screen


@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_it_changes_the_currency_and_tells_of_it_in_the_log(screen: Screen, width: int) -> None:
    screen.resize(width)
    screen.come_in("/settings")
    screen.looks("settings")
    Select(screen.find("#currency")).select_by_visible_text("EUR (€)")
    screen.find("label[for=when_no_rate-allow]").click()
    screen.click("Submit")
    assert "The settings are stored." in screen.find(".toast").text
    assert "nobody has priced" in screen.find(".notice.warn").text
    screen.open("/extensions")
    assert "Balance(€)" in screen.find("main").get_attribute("textContent")
    screen.open("/audit-log?keywords=setting")
    assert screen.texts("tbody .key") == ["Setting: A call that no rate matches", "Setting: Currency"]
    screen.looks("audit-log-found")
    screen.open("/audit-log")
    screen.looks("audit-log")
    assert screen.complaints() == []


@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_it_shows_a_country_s_numbers_before_they_are_stored(screen: Screen, width: int) -> None:
    screen.resize(width)
    screen.come_in("/settings")
    Select(screen.find("#country")).select_by_visible_text("Germany")
    screen.click("Show the new list")
    assert screen.texts(".facts dd") == ["110 0110 9110", "–"]
    assert not screen.scrolls_sideways()
    screen.picture(f"emergency-{width}")
    screen.click("Submit")
    assert "9110" in screen.texts(".line .mark")
    assert screen.complaints() == []


def test_it_leads_to_the_field_that_is_wrong(screen: Screen) -> None:
    screen.resize(PHONE)
    screen.come_in("/settings")
    zone = screen.find("#time_zone")
    zone.clear()
    zone.send_keys("Atlantis")
    screen.click("Submit")
    assert "is not a time zone" in screen.find("#time_zone-error").text
    assert screen.chrome.switch_to.active_element.get_attribute("id") == "time_zone"
    assert screen.find("#time_zone").get_attribute("value") == "Atlantis"
    screen.picture("settings-wrong")
