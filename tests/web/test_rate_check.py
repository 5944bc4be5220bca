"""*Check my rates* as a page and as a command: what is told, where it leads, and that both agree with the call log."""

from __future__ import annotations

import csv
import io
import re
from html import unescape

import pytest

from coovox_billing.core.roles import Role
from coovox_billing.core.tariff_check import Kind
from coovox_billing.services import rates
from coovox_billing.web.pages.rates import check
from coovox_billing.web.pages.rates.check import KINDS
from tests import cast
from tests.web import story
from tests.web.conftest import Desk
from tests.web.test_recharge_history import cells

COPY = cast.a_rate(id=0, remark="Copy")


def add(desk: Desk, *some: cast.Rate) -> None:
    for rate in some:
        desk.database.write(lambda c, one=rate: rates.add(c, one, cast.MANAGER))


def links(html: str) -> dict[str, str]:
    """The links of the table, by their words."""
    body = html.partition("<tbody>")[2].partition("</tbody>")[0]
    return {unescape(words): unescape(href) for href, words in re.findall(r'<a href="([^"]+)">([^<]+)</a>', body)}


def downloaded(desk: Desk, path: str) -> list[list[str]]:
    response = desk.browser.get(path, buffered=True)
    assert response.status_code == 200
    return list(csv.reader(io.StringIO(response.text.removeprefix("\ufeff"))))


def call_without_rate(desk: Desk, call_id: str, number: str, at_ms: int = cast.NOW_MS) -> None:
    story.ask(desk.database, call_id, "100", number, at_ms)


def test_it_says_where_nothing_is_found(owner_desk: Desk) -> None:
    assert "Nothing was found" in owner_desk.page("/rate/check")
    assert "Check" in owner_desk.page("/rate")


def test_many_rates_are_looked_through_after_the_page_is_shown(
    owner_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(owner_desk, COPY)
    monkeypatch.setattr(check, "CHECKED_AT_ONCE", 3)
    html = owner_desk.page("/rate/check?finding=shadowed")
    later = unescape(html.partition('hx-get="')[2].partition('"')[0])
    assert "Never wins" not in html
    assert f'href="{later.replace("&", "&amp;")}"' in html
    (row,) = cells(owner_desk.page(later))
    assert row[0] == "Never wins"


def test_it_lists_the_first_of_each_kind_and_says_so(owner_desk: Desk) -> None:
    note = "Of each kind the first 500 are listed"
    add(owner_desk, *[COPY] * 500)
    assert note not in owner_desk.page("/rate/check?checked=1")
    add(owner_desk, COPY)
    html = owner_desk.page("/rate/check?checked=1")
    assert note in html
    assert "<dd>501</dd>" in html
    assert sum("Never wins" in row for row in downloaded(owner_desk, "/rate/check.csv")) == 500


def test_it_leads_to_the_rate_that_never_wins_and_to_the_one_before_it(owner_desk: Desk) -> None:
    add(owner_desk, COPY)
    html = owner_desk.page("/rate/check")
    (row,) = cells(html)
    assert row[0] == "Never wins"
    assert "Rate 5 (Copy; prefix 9, exactly 9 digits, all extensions) can price no call" in row[1]
    assert links(html) == {
        "Edit Copy (prefix 9)": "/rate/5/edit",
        "Edit city (prefix 9)": "/rate/1/edit",
        "In the list": "/rate?prefix=9",
    }


def test_it_shows_one_kind_alone_and_all_again(owner_desk: Desk) -> None:
    add(owner_desk, COPY, cast.a_rate(prefix="7", extensions=frozenset({"777"})))
    assert [row[0] for row in cells(owner_desk.page("/rate/check"))] == ["Never wins", "For nobody"]
    html = owner_desk.page("/rate/check?finding=nobody")
    assert [row[0] for row in cells(html)] == ["For nobody"]
    assert "Show all" in html
    assert len(cells(owner_desk.page("/rate/check?finding=x"))) == 2


def test_it_counts_calls_without_a_rate_as_the_call_log_does(owner_desk: Desk) -> None:
    day_ms = 86_400_000
    for place, number in enumerate(("0777", "0777", "0778", "55")):
        call_without_rate(owner_desk, f"call-{place}", number, cast.NOW_MS - place * day_ms)
    call_without_rate(owner_desk, "long ago", "0777", cast.NOW_MS - 91 * day_ms)
    add(owner_desk, cast.a_rate(prefix="5", number_length=3))
    owner_desk.database.write(lambda c: rates.activate(c, 3, False, cast.MANAGER))
    html = owner_desk.page("/rate/check?finding=no-rate")
    told = [row[1] for row in cells(html)]
    assert told[0].startswith("Calls of the last 90 days without a rate: 3, to numbers that begin with 077")
    assert told[1].startswith("Calls of the last 90 days without a rate: 1, to numbers that begin with 55")
    assert "it is for numbers of 3 digits, this one has 2" in told[1]
    hrefs = re.findall(r'href="(/call-log[^"]+)"', html)
    assert [len(cells(owner_desk.page(unescape(href)))) for href in hrefs] == [3, 1]


def test_it_leads_an_extension_without_a_rate_to_a_new_one(owner_desk: Desk) -> None:
    for number in (1, 2, 3, 4):
        owner_desk.database.write(lambda c, n=number: rates.activate(c, n, False, cast.MANAGER))
    html = owner_desk.page("/rate/check")
    assert [row[0] for row in cells(html)] == ["Extension without a rate"] * 3
    assert links(html)["Add a rate"] == "/rate/add"


def test_it_offers_auditors_no_link_that_they_may_not_open(owner_desk: Desk) -> None:
    add(owner_desk, COPY)
    owner_desk.someone(Role.AUDITOR)
    assert links(owner_desk.page("/rate/check")) == {"In the list": "/rate?prefix=9"}


def test_it_can_be_downloaded(owner_desk: Desk) -> None:
    add(owner_desk, COPY)
    call_without_rate(owner_desk, "one", "777")
    lines = downloaded(owner_desk, "/rate/check.csv")
    header = lines.index(["Finding", "What is found", "What to do", "Prefix", "Calls"])
    assert [(line[0], line[3], line[4]) for line in lines[header + 1 :]] == [
        ("Calls without a rate", "777", "1"),
        ("Never wins", "9", ""),
        *[("Never dialed", line[3], "") for line in lines[header + 3 :]],
    ]
    assert owner_desk.browser.get("/rate/check.xlsx", buffered=True).data.startswith(b"PK")


def test_it_has_words_for_every_kind() -> None:

    assert set(KINDS) == set(Kind)


@pytest.mark.parametrize(("number", "found"), [("077", 2), ("0777", 1), ("9", 0), ("%", 0)])
def test_the_call_log_finds_calls_without_a_rate_by_what_their_number_begins_with(
    owner_desk: Desk, number: str, found: int
) -> None:
    for call_id, dialed in (("a", "0777"), ("b", "0778"), ("c", "988360046"), ("d", "5")):
        call_without_rate(owner_desk, call_id, dialed)
    html = owner_desk.page(f"/call-log?from=2026-03-01&to=2026-03-31&status=no-rate&number={number}")
    assert len(cells(html)) == found
    lines = downloaded(owner_desk, f"/call-log.csv?from=2026-03-01&to=2026-03-31&status=no-rate&number={number}")
    assert ["Only", f"Numbers that begin with {number}"] in lines
    assert ["Status", "No rate"] in lines
