"""The guide's *Statistics*: sums by day, month and year, of all or some extensions."""

import csv
import html
import io
import re
from dataclasses import replace

import pytest
from openpyxl import load_workbook

from coovox_billing.core.clock import UNKNOWN
from coovox_billing.services import accounts, rates, settlement, site
from coovox_billing.store.lists.calls import CallQuery
from coovox_billing.store.lists.statistics import StatisticsQuery, Sums
from coovox_billing.web import formats
from tests import cast
from tests.web import story
from tests.web.conftest import Desk

DAY_MS = 86_400_000


def words(fragment: str) -> str:
    return html.unescape(" ".join(re.sub(r"<[^>]+>", " ", fragment).split()))


def cells(page: str, part: str = "tbody") -> list[list[str]]:
    body = page.partition(f"<{part}>")[2].partition(f"</{part}>")[0]
    return [
        [words(cell) for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)]
        for row in re.findall(r"<tr>.*?</tr>", body, re.DOTALL)
    ]


def guide(desk: Desk) -> None:
    """The guide's own day: two calls of 102, of 238 and 39 s."""
    desk.database.write(lambda c: accounts.change(c, "102", {"name": "Extension2", "status": "unlocked"}, cast.MANAGER))
    story.talk(desk.database, "guide-1", "102", "965302387", cast.NOW_MS, 39)
    story.talk(desk.database, "guide-2", "102", "988360046", cast.NOW_MS + story.MINUTE_MS, 238)


def three_months(desk: Desk) -> None:
    """On March 2nd and 3rd, on April 1st, and on January 1st of the next year."""
    for days, extension in ((0, "100"), (0, "101"), (1, "100"), (30, "103"), (305, "100")):
        story.talk(desk.database, f"{days}-{extension}", extension, "988360046", cast.NOW_MS + days * DAY_MS, 60)


def test_it_shows_what_the_guide_shows(owner_desk: Desk) -> None:
    guide(owner_desk)
    page = owner_desk.page("/statistics?from=2026-03-02&to=2026-03-02")
    assert [words(cell) for cell in re.findall(r'<th scope="col".*?</th>', page.partition("</thead>")[0])] == [
        "Date", "Extension", "Calls", "Total Call Time", "Average Call Time", "Total Cost($)"
    ]  # fmt: skip
    assert cells(page) == [["2026-03-02", "All", "2", "0:04:37", "0:02:19", "0.2800"]]
    assert "1 Total" in page
    page = owner_desk.page("/statistics?from=2026-03-02&to=2026-03-02&extension=102")
    assert cells(page) == [["2026-03-02", "Extension2[102]", "2", "0:04:37", "0:02:19", "0.2800"]]


@pytest.mark.parametrize(
    ("calls", "talk", "average"), [(2, 277, 139), (5, 742, 148), (3, 4, 1), (3, 5, 2), (2, 1, 1), (1, 0, 0), (0, 0, 0)]
)
def test_it_rounds_averages_half_up(calls: int, talk: int, average: int) -> None:
    assert Sums(calls, talk, 0).average_seconds == average


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00:00"), (742, "0:12:22"), (36_000, "10:00:00")])
def test_it_writes_call_times_as_the_guide_does(seconds: int, text: str) -> None:
    assert formats.long_duration(seconds) == text


@pytest.mark.parametrize(
    ("search", "dates"),
    [
        ("by=day", ["2027-01-01", "2026-04-01", "2026-03-03", "2026-03-02"]),
        ("by=month", ["2027-01", "2026-04", "2026-03"]),
        ("by=year", ["2027", "2026"]),
        ("by=month&to=2026-12-31", ["2026-04", "2026-03"]),
        ("by=day&from=2026-03-03&to=2026-03-31", ["2026-03-03"]),
        ("by=year&from=2028-01-01", []),
    ],
)
def test_it_sums_by_day_month_and_year(owner_desk: Desk, search: str, dates: list[str]) -> None:
    three_months(owner_desk)
    assert [row[0] for row in cells(owner_desk.page(f"/statistics?{search}"))] == dates


@pytest.mark.parametrize(
    ("extension", "found"),
    [
        ("100", ["Reception[100] 2"]),
        ("100 101", ["Reception[100] 2", "Sales[101] 1"]),
        ("101,100;", ["Reception[100] 2", "Sales[101] 1"]),
        ("*", ["Reception[100] 2", "Sales[101] 1", "Kitchen[103] 1"]),
        ("102", []),
    ],
)
def test_it_gives_each_extension_a_row(owner_desk: Desk, extension: str, found: list[str]) -> None:
    three_months(owner_desk)
    shown = cells(owner_desk.page(f"/statistics?by=year&to=2026-12-31&extension={extension}"))
    assert [f"{row[1]} {row[2]}" for row in shown] == found


@pytest.mark.parametrize(
    ("search", "says"),
    [
        ("extension=999", "there is no extension 999"),
        ("extension=100 10%25", "there is no extension 10%"),
        ("extension=" + "+".join(map(str, range(60))), "up to 50 extensions"),
        ("from=soon", "write a day like 2026-03-01"),
    ],
)
def test_it_tells_of_a_search_that_cannot_be(owner_desk: Desk, search: str, says: str) -> None:
    three_months(owner_desk)
    page = owner_desk.page(f"/statistics?by=year&{search}")
    assert says in page
    assert [row[1] for row in cells(page)] == ["All", "All"]


@pytest.mark.parametrize("search", ["by=week", "by=day;", "per_page=0"])
def test_it_takes_only_its_own_words(owner_desk: Desk, search: str) -> None:
    three_months(owner_desk)
    assert len(cells(owner_desk.page(f"/statistics?{search}"))) == 4


def test_it_sums_all_that_is_listed(owner_desk: Desk) -> None:
    three_months(owner_desk)
    assert cells(owner_desk.page("/statistics?by=day&per_page=10"), "tfoot") == [
        ["Total", "", "5", "0:05:00", "0:01:00", "0.4000"]
    ]


def test_it_counts_calls_of_no_extension_among_all_as_the_call_log_does(owner_desk: Desk) -> None:
    three_months(owner_desk)
    story.ask(owner_desk.database, "nobody's", "carrier", "988360046", cast.NOW_MS)
    leg = cast.a_leg(talked=7, trunk="FXO-1")
    owner_desk.database.write(lambda c: settlement.settle(c, "nobody's", leg, UNKNOWN, leg.ended_ms))
    page = owner_desk.page("/statistics?by=day&to=2026-03-02")
    assert cells(page) == [["2026-03-02", "All", "3", "0:02:07", "0:00:42", "0.2000"]]
    log = CallQuery(cast.SITE.time_zone, status="answered").totals
    all_of_it = StatisticsQuery().totals
    assert (log.calls, log.talk_seconds, log.cost_micros) == (
        all_of_it.calls, all_of_it.talk_seconds, all_of_it.cost_micros,
    )  # fmt: skip
    (address,) = re.findall(r'data-label="Date" data-text="2026-03-02"><a href="(/call-log\?[^"]+)"', page)
    assert "3 Total" in owner_desk.page(html.unescape(address))


def test_it_counts_a_call_on_the_day_it_was_dialed(owner_desk: Desk) -> None:
    """At half past eleven in the evening in Madrid; the site then moves to Tokyo."""
    story.talk(owner_desk.database, "late", "100", cast.CITY_NUMBER, cast.NOW_MS + 13 * 3_600_000 + 1_800_000, 3600)
    owner_desk.database.write(lambda c: site.change_setting(c, "time_zone", "Asia/Tokyo", cast.MANAGER))
    assert [row[0] for row in cells(owner_desk.page("/statistics?by=day"))] == ["2026-03-02"]


def test_it_adds_up_the_accounts_that_a_number_had(owner_desk: Desk) -> None:
    three_months(owner_desk)
    owner_desk.database.write(lambda c: accounts.close(c, "103", cast.MANAGER))
    owner_desk.database.write(lambda c: accounts.add(c, "103", "", cast.MANAGER))
    owner_desk.database.write(lambda c: accounts.answer_recreated(c, "103", "new", cast.MANAGER))
    owner_desk.database.write(lambda c: accounts.change(c, "103", {"name": "Night"}, cast.MANAGER))
    story.talk(owner_desk.database, "new", "103", "988360046", cast.NOW_MS + 31 * DAY_MS, 60)
    assert cells(owner_desk.page("/statistics?by=month&extension=103")) == [
        ["2026-04", "Night[103]", "2", "0:02:00", "0:01:00", "0.0000"]
    ]


def test_it_forgets_a_trunk_that_lost_its_only_call(owner_desk: Desk) -> None:
    story.lose(owner_desk.database, "1", "100", cast.CITY_NUMBER, cast.NOW_MS)
    leg = cast.a_leg(talked=9, trunk="FXO-2")
    owner_desk.database.write(lambda c: settlement.settle(c, "1", leg, UNKNOWN, leg.ended_ms))
    assert cells(owner_desk.page("/statistics?by=day")) == [["2026-03-02", "All", "1", "0:00:09", "0:00:09", "0.1000"]]


def test_it_shows_thirty_days_to_whoever_just_opens_it(owner_desk: Desk) -> None:
    assert owner_desk.leads_to("/statistics") == "/statistics?period=last-30-days"
    assert '<span class="figures">2026-02-01 – 2026-03-02</span>' in owner_desk.page("/statistics?period=last-30-days")


def test_it_turns_pages(owner_desk: Desk) -> None:
    for day in range(12):
        story.talk(owner_desk.database, str(day), "103", "988360046", cast.NOW_MS + day * DAY_MS, 60)
    page = owner_desk.page("/statistics?by=day&per_page=10")
    assert len(cells(page)) == 10
    assert "12 Total" in page
    (onward,) = re.findall(r'rel="next" href="([^"]+)"', page)
    assert [row[0] for row in cells(owner_desk.page(html.unescape(onward)))] == ["2026-03-03", "2026-03-02"]


def test_it_draws_what_it_lists_and_the_gaps_between(owner_desk: Desk) -> None:
    assert 'class="bars"' not in owner_desk.page("/statistics?by=day")
    three_months(owner_desk)
    page = owner_desk.page("/statistics?by=month")
    cost, talk = re.findall(r'<figure class="bars">.*?</figure>', page, re.DOTALL)
    bars = re.findall(r'<title>(.*?)</title>.*?y="([^"]+)" width="[^"]+" height="([^"]+)"/></a>', cost)
    assert len(bars) == 11
    assert bars[:3] == [
        ("2026-03: $0.3000", "10.0", "140.0"),
        ("2026-04: $0.0000", "150.0", "0.0"),
        ("2026-05: $0.0000", "150.0", "0.0"),
    ]
    assert bars[-1] == ("2027-01: $0.1000", "103.3", "46.7")
    assert "<title>2026-03: 0:03:00</title>" in talk
    labels = re.findall("<li>(20.*?)</li>", cost)
    assert labels == ["2026-03", "2026-05", "2026-07", "2026-09", "2026-11", "2027-01"]


def test_it_draws_the_newest_of_many_days(owner_desk: Desk) -> None:
    three_months(owner_desk)
    page = owner_desk.page("/statistics?by=day")
    assert page.count('class="strip"') == 2 * 62
    assert "<title>2027-01-01: $0.1000</title>" in page


def busy_days(desk: Desk) -> None:
    """Two days of talk near and far, of some that cost nothing, over two trunks; and somebody whom nobody answered."""
    three_months(desk)
    story.talk(desk.database, "far", "100", "0034911234567", cast.NOW_MS + 3_600_000, 61)
    story.talk(desk.database, "kitchen", "103", "965302387", cast.NOW_MS + 5 * 3_600_000, 5)
    story.ring_out(desk.database, "nobody", "100", "988360046", cast.NOW_MS + 600_000)
    story.ask(desk.database, "other", "101", "988360046", cast.NOW_MS + 700_000)
    leg = cast.a_leg(talked=30, asked_ms=cast.NOW_MS + 700_000, trunk="Backup line")
    desk.database.write(lambda c: settlement.settle(c, "other", leg, UNKNOWN, leg.ended_ms))


def table(page: str, heading: str) -> list[list[str]]:
    return cells(page.partition(f"<h2>{heading}</h2>")[2].partition("</section>")[0])


def test_it_tells_who_called_where_to_and_over_what(owner_desk: Desk) -> None:
    busy_days(owner_desk)
    page = owner_desk.page("/statistics?from=2026-03-02&to=2026-03-03")
    assert table(page, "Top extensions") == [
        ["Reception[100]", "", "3", "0:03:01", "2.2000"],
        ["Sales[101]", "", "2", "0:01:30", "0.2000"],
        ["Kitchen[103]", "", "1", "0:00:05", "0.0000"],
    ]
    assert table(page, "Top destinations") == [
        ["abroad (00)", "", "1", "0:01:01", "2.0000"],
        ["Prefix 9", "", "4", "0:03:30", "0.4000"],
        ["No rate", "", "1", "0:00:05", "0.0000"],
    ]
    assert table(page, "Trunks") == [
        ["FXO-1", "", "5", "83.3%", "0:00:49", "2.3000"],
        ["Backup line", "", "1", "100.0%", "0:00:30", "0.1000"],
    ]


def test_its_numbers_are_those_of_the_calls_that_a_click_leads_to(owner_desk: Desk) -> None:
    busy_days(owner_desk)
    page = owner_desk.page("/statistics?from=2026-03-01&to=2026-03-31")
    links = re.findall(r'<a href="(/call-log[^"]+)">(\d+)</a>', page)
    rows = re.findall(
        r'<th scope="row"><a href="(/call-log[^"]+)".*?<td class="number" data-value="\d+">(\d+)</td>', page, re.DOTALL
    )
    assert len(links) == 4 + 6 + 7
    assert len(rows) == 3 + 3 + 2
    for address, calls in links + rows:
        log = owner_desk.page(html.unescape(address) + "&status=answered")
        assert re.findall(r"(\d+) Total", log) == ([calls] if calls != "0" else []), address


def test_a_click_leads_to_the_calls_of_a_prefix_with_a_star(owner_desk: Desk) -> None:
    star = replace(cast.RATES[0], prefix="*4", number_length=0)
    owner_desk.database.write(lambda connection: rates.add(connection, star, cast.MANAGER))
    story.talk(owner_desk.database, "star", "100", "*4#12", cast.NOW_MS, 60)
    story.talk(owner_desk.database, "other", "100", "965302387", cast.NOW_MS, 60)
    (address,) = re.findall(
        r'href="(/call-log[^"]+destination=(?:%2A|\*)4[^"]*)"', owner_desk.page("/statistics?by=day")
    )
    assert "1 Total" in owner_desk.page(html.unescape(address))


def test_it_draws_the_parts_of_all_extensions_alone(owner_desk: Desk) -> None:
    busy_days(owner_desk)
    assert "Top destinations" not in owner_desk.page("/statistics?extension=100")
    assert "Top destinations" not in owner_desk.page("/statistics?from=2020-01-01&to=2020-01-02")


def test_it_says_what_a_chart_narrowed_the_call_log_to_and_lets_it_go(owner_desk: Desk) -> None:
    busy_days(owner_desk)
    search = "from=2026-03-02&to=2026-03-02&destination=00&extension=100&weekday=1&hour=11"
    page = owner_desk.page(f"/call-log?{search}")
    assert "1 Total" in page
    narrowed = page.partition('<p class="narrowed">')[2].partition("</p>")[0]
    assert words(narrowed) == "Only Extension 100 Prefix 00 Monday 11:00"
    (address,) = re.findall(r'href="([^"]+)" aria-label="Not only Prefix 00"', narrowed)
    assert html.unescape(address) == "/call-log?from=2026-03-02&to=2026-03-02&extension=100&weekday=1&hour=11"
    assert page.count('<input type="hidden"') >= 4
    sheet = owner_desk.browser.get(f"/call-log.csv?{search}").text
    assert "0034911234567" in sheet
    assert "965302387" not in sheet
    for bad in ("destination=abroad", "hour=24", "weekday=0", "hour=x"):
        assert 'class="narrowed"' not in owner_desk.page(f"/call-log?{bad}")


def test_it_downloads_what_it_shows(owner_desk: Desk) -> None:
    three_months(owner_desk)
    search = "by=month&extension=100+101&to=2026-12-31"
    response = owner_desk.browser.get(f"/statistics.csv?{search}")
    lines = list(csv.reader(io.StringIO(response.text.removeprefix("\ufeff"))))
    assert lines[:5] == [
        ["From", ""], ["To", "2026-12-31"], ["Extension", "100 101"], ["Statistics By", "Month"],
        ["Time zone", "Europe/Madrid"],
    ]  # fmt: skip
    assert lines[7:-1] == cells(owner_desk.page(f"/statistics?{search}"))
    assert lines[-1] == ["Total", "", "3", "0:03:00", "0:01:00", "0.3000"]


def test_it_downloads_a_workbook(owner_desk: Desk) -> None:
    guide(owner_desk)
    book = load_workbook(io.BytesIO(owner_desk.browser.get("/statistics.xlsx?by=year").data))
    *_, row, _total = [[cell.value for cell in line] for line in book.active.iter_rows()]
    assert row[:3] == ["2026", "All", 2]
    assert row[5] == pytest.approx(0.28)
