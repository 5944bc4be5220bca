"""The *Rate* page in a real browser: its form, its switch, a file, a number."""

import sqlite3
from pathlib import Path

import pytest
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.keys import Keys

from coovox_billing.core.rate_fields import COLUMNS
from coovox_billing.core.tariff import Rate
from coovox_billing.services import accounts, rates
from coovox_billing.store import reads
from coovox_billing.store.database import Database
from tests import cast
from tests.browser.conftest import PHONE, WIDE, Screen

RATES = (
    {"prefix": "9", "number_length": 12, "extensions": frozenset({"100", "101", "102"}), "remark": "Mobile, evenings"},
    {"prefix": "900", "number_length": 0, "rate_micros": "0.001234", "remark": "Abroad", "active": False},
    {"prefix": "", "number_length": 0, "days": frozenset({6, 7}), "remark": ""},
)


def all_rates(database: Database) -> list[Rate]:
    return database.read(reads.all_rates)


def fill(screen: Screen, **texts: str) -> None:
    for name, text in texts.items():
        field = screen.find(f"#{name}")
        field.clear()
        field.send_keys(text)


@pytest.fixture
def tariff(database: Database) -> None:
    """Some more rates, and as many extensions as a small hotel has."""

    def furnish(connection: sqlite3.Connection) -> None:
        for changes in RATES:
            rates.add(connection, cast.a_rate(**changes), cast.MANAGER)
        for number in range(200, 260):
            accounts.add(connection, str(number), f"Room {number}", cast.MANAGER)

    database.write(furnish)


@pytest.mark.usefixtures("tariff")
@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_it_fits_its_window(screen: Screen, tmp_path: Path, width: int) -> None:
    file = tmp_path / "rates.csv"
    file.write_text(
        f"{','.join(COLUMNS)}\n1,city,9,9,0.1,60,0.03,55,,,,all\n0,new,7,0,0,0,0.5,60,08:00,,12345,100 777\n"
    )
    wrong = tmp_path / "wrong.csv"
    wrong.write_text(f"{','.join(COLUMNS)}\n1,city,x,9,0.1,60,0.03,55,,,,all\n")
    screen.resize(width)
    screen.come_in()
    for name, path in {
        "rate": "/rate",
        "rate-none": "/rate?prefix=77",
        "rate-edit": "/rate/5/edit",
        "rate-delete": "/rate/5/delete",
        "rate-import": "/rate/import",
        "rate-test": "/rate/test?extension=100&number=988360046&seconds=238",
        "rate-test-bad": "/rate/test?extension=777&number=9",
    }.items():
        screen.open(path)
        screen.looks(name)
    for name, chosen in {"rate-wrong": wrong, "rate-preview": file}.items():
        screen.open("/rate/import")
        screen.find("#file").send_keys(str(chosen))
        screen.click("Show the rows")
        screen.looks(name)
    assert [line for line in screen.complaints() if "422" not in line] == []


def test_it_adds_a_rate_for_extensions_that_were_searched_for(screen: Screen, database: Database, tariff: None) -> None:
    screen.resize(WIDE)
    screen.come_in("/rate/add")
    fill(screen, remark="Rooms", prefix="9", number_length="9", rate="0")
    screen.find("input[value='listed']").click()
    search = screen.find("input[name='search']")
    search.send_keys("Room 25")
    patience = screen.patiently(but=[StaleElementReferenceException])
    patience.until(lambda _: len(screen.texts("#reachable label")) == 10)
    screen.find("#reachable input[value='257']").click()
    search.clear()
    search.send_keys("lobby", Keys.ENTER)
    patience.until(lambda _: screen.texts("#reachable label") == ["257 Room 257", "102 Lobby"])
    screen.picture("rate-search")
    fill(screen, rate="free")
    screen.click_in(".actions:last-child", "Submit")
    assert screen.texts(".field .error") == ["'free' is not an amount: write digits and a point, like 12.50"]
    screen.picture("rate-bad")
    fill(screen, rate="0.05")
    screen.find("#rate").send_keys(Keys.ENTER)
    patience.until(lambda _: screen.texts("h1") == ["Rate"])
    assert all_rates(database)[-1].extensions == {"257"}


def test_it_switches_and_deletes(screen: Screen, database: Database, tariff: None) -> None:
    screen.resize(WIDE)
    screen.come_in("/rate?prefix=9")
    screen.find("#rate-6 .switch").click()
    screen.patiently().until(lambda _: all_rates(database)[5].active)
    assert screen.wait_for("#rate-6 .switch").get_attribute("aria-checked") == "true"
    screen.find("#rate-6 a[title='Delete']").click()
    screen.wait_for("dialog[open] .danger")
    screen.picture("rate-sure")
    screen.click_in("dialog[open]", "Delete")
    assert [rate.id for rate in all_rates(database)] == [1, 2, 3, 4, 5, 7]
    assert screen.complaints() == []
