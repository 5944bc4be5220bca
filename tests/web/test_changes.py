"""The audit log as a page: every change in words, found by time, person and keywords, and downloaded as shown."""

import csv
import io
import re

import pytest

from coovox_billing.core.money import parse_amount
from coovox_billing.services import accounts, activation, payments, trunks
from coovox_billing.services import site as site_service
from coovox_billing.services.accounts import Person
from coovox_billing.store import writes
from tests import cast
from tests.web.conftest import Desk
from tests.web.test_recharge_history import cells

PAGE = "/audit-log"
OWNER = Person("owner", "192.0.2.7", cast.NOW_MS)
DAY_MS = 86_400_000


def newest(desk: Desk) -> list[str]:
    """The cells of the top row, with the parts of a cell on one line."""
    return [re.sub(r"\s+", " ", cell) for cell in cells(desk.page(PAGE))[0]]


def test_it_tells_who_changed_what_when_and_from_where(owner_desk: Desk) -> None:
    owner_desk.database.write(lambda c: accounts.change(c, "100", {"credit_micros": 5_000_000}, OWNER))
    assert newest(owner_desk) == [
        "2026-03-02 10:00:00",
        "owner",
        "192.0.2.7",
        "Extension 100",
        "Credit 0.0000",
        "Credit 5.0000",
    ]


def test_it_says_every_kind_of_change_in_words(owner_desk: Desk) -> None:
    def change_all(c: object) -> None:
        accounts.change(c, "101", {"billing": False, "status": "locked", "devices": ["PJSIP/101", "SIP/7"]}, OWNER)
        payments.correct(c, "100", parse_amount("-1"), "typed twice", OWNER)
        site_service.change_setting(c, "currency", "EUR", OWNER)
        site_service.change_setting(c, "when_no_rate", "allow", OWNER)
        trunks.add(c, "PJSIP/backup", "Backup", OWNER)
        activation.switch(c, False, OWNER)
        writes.record_change(c, cast.NOW_MS, "owner", "", "rates imported", "", "1 added")
        writes.record_change(c, cast.NOW_MS, "owner", "", "rate 7", "{broken", '["list"]')
        accounts.record(c, OWNER, "cloud 9", {"rate_micros": 1}, {"some_thing": None, "seen_at_ms": cast.NOW_MS})

    owner_desk.database.write(change_all)
    rows = [[re.sub(r"\s+", " ", cell) for cell in row[3:]] for row in cells(owner_desk.page(PAGE))]
    assert rows[:3] == [
        ["Cloud 9", "Rate 0.000001", "Some thing – Seen at ms 2026-03-02 10:00:00"],
        ["Rate 7", "{broken", "[&#34;list&#34;]"],
        ["Rates imported", "", "1 added"],
    ]
    assert ["Billing", "On", "Off"] in rows
    assert ["Setting: Currency", "USD ($)", "EUR (€)"] in rows
    assert ["Setting: A call that no rate matches", "Refuse", "Allow, not billed"] in rows
    assert ["Extension 100", "Balance 10.0000", "Balance 9.0000 Reason typed twice"] in rows
    changed = next(row for row in rows if row[0] == "Extension 101")
    assert "Enable Billing Yes" in changed[1]
    assert "Status Locked" in changed[2]
    assert "Devices PJSIP/101, SIP/7" in changed[2]
    assert not any("{&#34;" in cell or "_micros" in cell for row in rows for cell in row)


@pytest.mark.parametrize(
    ("search", "rows"),
    [
        ("by=owner", 2),
        ("by=bill-ann&keywords=extension+100", 3),
        ("by=owner&keywords=CURRENCY", 1),
        ("keywords=EUR", 1),
        ("keywords=%25", 0),
        ("keywords=Jos%C3%A9", 1),
        ("from=2026-03-03", 2),
        ("to=2026-03-01", 0),
        ("from=2026-03-02&to=2026-03-02&by=owner", 0),
    ],
)
def test_it_searches_by_time_person_and_words(owner_desk: Desk, search: str, rows: int) -> None:
    later = Person("owner", "192.0.2.7", cast.NOW_MS + DAY_MS)
    owner_desk.database.write(lambda c: site_service.change_setting(c, "currency", "EUR", later))
    owner_desk.database.write(lambda c: accounts.change(c, "102", {"name": "José"}, later))
    assert len(cells(owner_desk.page(f"{PAGE}?{search}&per_page=100"))) == rows


@pytest.mark.parametrize(
    ("search", "told"),
    [
        ("from=yesterday", "write a day like"),
        ("to=2026-02-30", "write a day like"),
        ("keywords=%00", "printable characters"),
        (f"keywords={'x' * 201}", "printable characters"),
    ],
)
def test_it_tells_of_a_search_that_cannot_be_and_lists_all(owner_desk: Desk, search: str, told: str) -> None:
    page = owner_desk.page(f"{PAGE}?{search}")
    assert told in page
    assert len(cells(page)) > 3


@pytest.mark.parametrize("search", ["by=nobody", "page=0", "page=x", "per_page=7", "sort=what"])
def test_it_ignores_what_it_does_not_know(owner_desk: Desk, search: str) -> None:
    assert len(cells(owner_desk.page(f"{PAGE}?{search}"))) > 3


def test_it_has_pages(owner_desk: Desk) -> None:
    for number in range(25):
        owner_desk.database.write(
            lambda c, n=number: accounts.change(c, "100", {"credit_micros": (n + 1) * 100}, OWNER)
        )
    assert len(cells(owner_desk.page(f"{PAGE}?per_page=10&by=owner&page=3"))) == 5
    assert 'rel="next"' in owner_desk.page(f"{PAGE}?per_page=10&by=owner")


def test_it_downloads_what_it_shows(owner_desk: Desk) -> None:
    owner_desk.database.write(lambda c: accounts.change(c, "101", {"name": "=cmd|' /C calc'!A0"}, OWNER))
    response = owner_desk.browser.get(f"{PAGE}.csv?by=owner")
    lines = list(csv.reader(io.StringIO(response.text.removeprefix("\ufeff"))))
    titles = lines.index(["Time", "By", "From where", "What", "Before", "After"])
    assert ["By", "owner"] in lines[:titles]
    assert ["Time zone", "Europe/Madrid"] in lines[:titles]
    assert lines[titles + 1] == [
        "2026-03-02 10:00:00",
        "owner",
        "192.0.2.7",
        "Extension 101",
        "Username: Sales",
        "Username: =cmd|' /C calc'!A0",
    ]
    assert len(lines) == titles + 2
    assert owner_desk.browser.get(f"{PAGE}.xlsx").data[:2] == b"PK"


def test_it_says_what_will_be_here_where_nothing_is(owner_desk: Desk) -> None:
    assert "Nothing matches" in owner_desk.page(f"{PAGE}?keywords=zebra")
    owner_desk.database.write(lambda c: c.execute("DELETE FROM changes"))
    assert "No change yet" in owner_desk.page(PAGE)
