"""The dashboard: its numbers are those of the calls behind each link, its checklist tells what is wrong and no more."""

import html
import json
import re
import sqlite3
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from coovox_billing.core.call import ALONE, ARCHIVED, CLOCK, CORRECTED, LOST, UNCOLLECTED
from coovox_billing.core.roles import Role
from coovox_billing.core.trial import TRIAL_MS, Trial
from coovox_billing.services import accounts, activation, payments, settlement, site, trunks
from coovox_billing.services.licensing import Licensing, Standing
from coovox_billing.store.lists import channels
from coovox_billing.store.lists.calls import CallQuery
from coovox_billing.store.models import reading
from coovox_billing.web import app as web_app
from tests import bad_days, cast, years
from tests.web import story
from tests.web.conftest import Desk

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000


@pytest.fixture(autouse=True)
def in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The story's days are after the release."""
    monkeypatch.setattr(web_app, "RELEASED_MS", cast.NOW_MS - 30 * DAY_MS)


@pytest.fixture
def office(desk: Desk) -> Desk:
    """An hour and a quarter after the story's first call, with room on the disk; the owner is signed in."""
    desk.now_ms = cast.NOW_MS + 75 * MINUTE_MS
    reopen(desk)
    return desk


def reopen(desk: Desk, **options: Any) -> None:
    desk.open(**({"disk_room": bad_days.room()} | options))
    assert desk.sign_in().status_code == 303


def words(fragment: str) -> str:
    return html.unescape(" ".join(re.sub(r"<[^>]+>", " ", fragment).split()))


def figures(page: str) -> list[list[tuple[str, str]]]:
    """By card the number and the link of each of its lines."""
    cards = re.findall(
        r"<div><dt>.*?</div>", page.partition('class="glance today"')[2].partition("</dl>")[0], re.DOTALL
    )
    found = [re.findall(r'<a href="([^"]+)"[^>]*>([^<]+)</a>', card) for card in cards]
    return [[(html.unescape(href), number) for href, number in card] for card in found]


def matters(page: str) -> dict[str, tuple[str, list[str]]]:
    """What needs attention: words and links by name."""
    found = re.findall(r'<li data-matter="([^"]+)">.*?<span class="says">(.*?)</span>(.*?)</li>', page, re.DOTALL)
    return {
        name: (words(said), [html.unescape(link) for link in re.findall(r'href="([^"]+)"', links)])
        for name, said, links in found
    }


def total(page: str) -> int:
    """How many lines a list has in all, as its foot says."""
    return int((re.findall(r"(\d+) Total", page) or ["0"])[0])


def talk_on(desk: Desk, *days_back: int) -> None:
    """On each of these days a call at ten, at eleven and at noon, of which the last two are dearer by the day."""
    for day in days_back:
        for hour in range(3):
            at = cast.NOW_MS - day * DAY_MS + hour * HOUR_MS
            story.talk(desk.database, f"{day}-{hour}", "101", "0034988360046", at, 30 + 60 * day * hour)


def test_it_compares_today_with_days_up_to_the_same_time(office: Desk) -> None:
    talk_on(office, 0, 1, 7)
    page = office.page("/dashboard")
    calls, talk, cost, live = figures(page)
    assert [number for _, number in calls] == ["3", "2", "2"]
    assert [number for _, number in talk] == ["0:01:30", "0:02:00", "0:08:00"]
    assert [number for _, number in cost] == ["$3.0000", "$3.0000", "$9.0000"]
    assert [number for _, number in live] == ["0"]
    assert "a week ago (2026-02-23) until 11:15" in words(page)


def test_its_numbers_are_those_of_the_calls_that_a_click_leads_to(office: Desk) -> None:
    talk_on(office, 0, 1, 7)
    story.tell(office.database)
    office.now_ms = cast.NOW_MS + 90 * MINUTE_MS + 59_000
    story.talk(office.database, "too-late", "101", "988360046", office.now_ms - DAY_MS, 60)
    calls, talk, cost, live = figures(office.page("/dashboard"))
    for (href, number), (_, talked), (_, charged) in zip(calls, talk, cost, strict=True):
        log = office.page(href)
        foot = words(log.partition("<tfoot>")[2].partition("</tfoot>")[0])
        assert (str(total(log)), f"{foot} ") == (number, f"Total 0{talked} {charged.removeprefix('$')} "), href
    assert [number for _, number in live] == ["1"]
    assert total(office.page(live[0][0])) == 1
    day = office.page("/statistics?from=2026-03-02&to=2026-03-02")
    assert re.findall(r'data-label="Calls"[^>]*>(\d+)</td>', day)[0] == calls[0][1]
    narrowed = office.page(calls[1][0])
    assert "Until 11:30" in words(narrowed.partition('class="narrowed"')[2])
    assert 'name="until" value="11:30"' in narrowed


def test_it_counts_calls_and_channels_by_trunk(office: Desk) -> None:
    for call, trunk in (("one", "FXO-1"), ("two", "FXO-1"), ("three", "")):
        question = cast.a_question(call, "101", stamp_ms=cast.NOW_MS, trunk=trunk)
        office.database.write(lambda c, question=question: story.calls.authorize(c, question, cast.NOW_MS))
    for device, name, lines in (("DAHDI/g1", "FXO-1", 4), ("DAHDI/g2", "FXO-1", 2), ("PJSIP/spare", "Spare", 0)):
        office.database.write(
            lambda c, d=device, n=name, m=lines: trunks.add(c, d, n, cast.MANAGER, m)  # type: ignore[misc]
        )
    office.database.write(lambda c: trunks.remove(c, "PJSIP/carrier", cast.MANAGER))
    page = office.page("/dashboard")
    rows = re.findall(r"<tr>(.*?)</tr>", page.partition("<h2>Trunks</h2>")[2].partition("</table>")[0], re.DOTALL)
    assert [words(row) for row in rows[1:]] == ["Not told 1 –", "FXO-1 2 6", "Spare 0 –"]
    assert "of 6 channels" not in page
    (href,) = re.findall(r'<th scope="row"><a href="([^"]+)"[^>]*>FXO-1', page)
    assert total(office.page(html.unescape(href))) == 2
    for device in ("PJSIP/spare",):
        office.database.write(lambda c, d=device: trunks.change(c, d, {"channels": 1}, cast.MANAGER))  # type: ignore[misc]
    office.database.write(lambda c: story.calls.withdraw(c, "three", cast.NOW_MS, cast.NOW_MS))
    assert "of 7 channels" in words(office.page("/dashboard"))


def set_flag(flag: str) -> Callable[[Desk], object]:
    def job(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE calls SET flags = ? WHERE call_id = 'sales'", (flag,))

    def provoke(desk: Desk) -> None:
        story.tell(desk.database)
        desk.database.write(job)

    return provoke


def no_rate(desk: Desk) -> None:
    for number, policy in (("777", "refuse"), ("778", "allow")):
        desk.database.write(lambda c, p=policy: site.change_setting(c, "when_no_rate", p, cast.MANAGER))  # type: ignore[misc]
        story.ask(desk.database, number, "100", number, cast.NOW_MS)
    story.ask(desk.database, "days-ago", "100", "779", cast.NOW_MS - 7 * DAY_MS)


def no_payer(desk: Desk) -> None:
    story.ask(desk.database, "nobody's", "carrier", "988360046", cast.NOW_MS)


def spend(desk: Desk) -> None:
    desk.database.write(lambda c: payments.correct(c, "100", -5_000_100, "spent", cast.MANAGER))


def come_back(desk: Desk) -> None:
    desk.database.write(lambda c: accounts.close(c, "103", cast.MANAGER))
    desk.database.write(lambda c: accounts.add(c, "103", "", cast.MANAGER))


def miss_backup(desk: Desk) -> None:
    desk.database.write(lambda c: site.change_setting(c, "backup_at", "02:30", cast.MANAGER))
    desk.directory.joinpath("backup-state.json").write_text(json.dumps({"good_ms": desk.now_ms - 9 * DAY_MS}))


def switch_off(desk: Desk) -> None:
    desk.database.write(lambda c: activation.switch(c, False, cast.MANAGER))


def set_clock_back(desk: Desk) -> None:
    story.tell(desk.database)
    desk.database.write(lambda c: c.execute("UPDATE calls SET asked_at_ms = ?", (desk.now_ms + HOUR_MS,)))


def stop_call_plane(desk: Desk) -> None:
    desk.call_plane_is_up = False


def lose_manager(desk: Desk) -> None:
    reopen(desk, has_manager=lambda: False)


def fill_disk(desk: Desk) -> None:
    reopen(desk, disk_room=bad_days.room(free_bytes=30_000_000))


CALLS = r"/call-log\?from=2026-02-24&to=2026-03-02&status="


@pytest.mark.parametrize(
    ("provoke", "name", "said", "link", "shows"),
    [
        (no_rate, "no-rate", "No rate: 2 calls of the last 7 days", CALLS + "no-rate", 2),
        (no_payer, "no-payer", "No extension: 1 call of the last 7 days", CALLS + "no-payer", 1),
        (set_flag(UNCOLLECTED), UNCOLLECTED, "Not all collected: 1 call", CALLS + UNCOLLECTED, 1),
        (set_flag(LOST), LOST, "End unknown: 1 call", CALLS + LOST, 1),
        (set_flag(f"{ALONE} {CLOCK}"), ALONE, "Billing was away: 1 call", CALLS + ALONE, 1),
        (set_flag(f"{ALONE} {CLOCK}"), CLOCK, "Clock was set: 1 call", CALLS + CLOCK, 1),
        (set_flag(ARCHIVED), ARCHIVED, "Told after archiving: 1 call", CALLS + ARCHIVED, 1),
        (spend, "low", "1 extension has less than $5.0000", r"/extensions\?billing=on&status=unlocked&below=5.0000", 1),
        (come_back, "recreated", "1 closed extension is there again", "/extensions", "was closed and is there again"),
        (miss_backup, "backup", "The last good backup is too old", "/addons/billing/backups", "2026-02-21"),
        (switch_off, "activation", "Billing is switched off", "/addons/billing", "Activate Billing"),
        (set_clock_back, "clock", "The clock is behind the newest record", "", None),
        (stop_call_plane, "call plane", "The call plane does not answer", "", None),
        (lose_manager, "manager", "Billing has lost Asterisk's manager", "", None),
        (fill_disk, "disk", "The disk is nearly full", "", None),
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value and "/" not in value else "",
)
def test_it_tells_what_is_wrong_and_leads_to_it(
    office: Desk, provoke: Callable[[Desk], object], name: str, said: str, link: str, shows: int | str | None
) -> None:
    assert matters(office.page("/dashboard")) == {}
    office.wait(61)
    provoke(office)
    text, links = matters(office.page("/dashboard"))[name]
    assert said in text
    assert bool(link) == bool(links)
    if link:
        assert re.fullmatch(link, links[0])
        page = office.page(links[0])
        assert total(page) == shows if isinstance(shows, int) else str(shows) in words(page)
    for other in links[1:]:
        assert office.browser.get(other).status_code == 200


def test_it_tells_nothing_of_what_is_fine(office: Desk) -> None:
    story.talk(office.database, "fine", "101", "0034988360046", cast.NOW_MS, 60)
    story.ring_out(office.database, "nobody", "100", "988360046", cast.NOW_MS)
    set_flag(CORRECTED)(office)
    office.database.write(lambda c: c.execute("UPDATE calls SET flags = ? WHERE call_id = 'sales'", (CORRECTED,)))
    page = office.page("/dashboard")
    assert matters(page) == {}
    assert "All is well" in words(page.partition('id="attention"')[2])
    assert "All is well" in words(office.page("/extensions"))


@pytest.mark.parametrize(
    ("ran_days", "said"),
    [
        (22, None),
        (24, "6 days of the trial are left."),
        (29, "1 day of the trial is left."),
        (31, "The trial is over."),
    ],
)
def test_it_tells_of_a_trial_that_ends(
    office: Desk, monkeypatch: pytest.MonkeyPatch, ran_days: int, said: str | None
) -> None:
    trial = Trial(office.now_ms - ran_days * DAY_MS, office.now_ms, is_dated=True)
    standing = Standing(True, trial, None, ran_days * DAY_MS > TRIAL_MS, ())
    monkeypatch.setattr(Licensing, "standing", lambda self: standing)
    found = matters(office.page("/dashboard"))
    assert found.get("trial", (None,))[0] == said or found["trial"][0].startswith(str(said))
    assert (found["trial"][1] == ["/addons/billing"]) if said else found == {}


def test_it_tells_a_manager_what_the_owner_has_to_do_without_a_link(office: Desk) -> None:
    switch_off(office)
    office.someone(Role.MANAGER)
    assert matters(office.page("/dashboard")) == {
        "activation": ("Billing is switched off: all calls pass unbilled.", [])
    }


@pytest.mark.parametrize(("amount", "count"), [("5.0000", 1), ("4.9999", 0), ("0", 0)])
def test_it_calls_low_what_the_setting_says(office: Desk, amount: str, count: int) -> None:
    office.database.write(lambda c: payments.correct(c, "100", -5_000_100, "spent", cast.MANAGER))
    office.database.write(lambda c: site.change_setting(c, "low_balance", amount, cast.MANAGER))
    assert ("low" in matters(office.page("/dashboard"))) == bool(count)


def test_it_stands_as_a_head_above_what_signing_in_leads_to(office: Desk) -> None:
    spend(office)
    assert office.leads_to("/") == "/extensions"
    page = office.page("/extensions")
    assert 'data-remembered="head" open' in page
    assert figures(page) == figures(office.page("/dashboard"))
    (href,) = re.findall(r'<a href="([^"]+)">1 thing needs attention', page)
    assert href == "/dashboard#attention"
    assert 'data-remembered="head"' not in office.page("/extensions?keywords=10")
    session = office.sign_in(browser=office.app.test_client()).headers["Set-Cookie"].partition(";")[0]
    browser = office.app.test_client(use_cookies=False)
    assert 'data-remembered="head">' in browser.get("/extensions", headers={"Cookie": f"{session}; head=closed"}).text


def test_it_keeps_costs_from_cashiers(office: Desk) -> None:
    office.someone(Role.CASHIER)
    page = office.page("/extensions")
    assert ("Cost today" in page, "/dashboard" in page) == (False, False)
    assert office.browser.get("/dashboard").status_code == 403


def test_it_renews_itself_by_its_parts(office: Desk) -> None:
    before = office.browser.get("/dashboard/now").text
    story.talk(office.database, "more", "101", "0034988360046", cast.NOW_MS, 60)
    after = office.browser.get("/dashboard/now").text
    assert [figures(part)[0][0][1] for part in (before, after)] == ["0", "1"]
    assert figures(office.browser.get("/dashboard/head").text) == figures(after)
    for path in ("/dashboard/now", "/dashboard/head", "/dashboard/live-channels"):
        text = office.browser.get(path).text
        assert re.findall(r'hx-get="([^"]+)"', text) == [path]
        assert "<html" not in text


def test_it_keeps_no_session_alive_by_renewing_itself(office: Desk) -> None:
    for _ in range(4):
        office.wait(10 * 60)
        answer = office.browser.get("/dashboard/now")
    assert (answer.status_code, answer.location.partition("?")[0]) == (303, "/sign-in")


def hours(page: str) -> list[tuple[str, int]]:
    table = page.partition('id="live-channels"')[2]
    rows = re.findall(r'<tr><th scope="row".*?>([^<]+)</a></th><td class="number">(\d+)</td>', table)
    return [(when, int(most)) for when, most in rows]


def test_it_draws_the_channels_of_the_last_day(office: Desk) -> None:
    """Three at ten for some minutes, one of them beyond the hour; one since yesterday; one that nobody answered."""
    for name, minutes, seconds in (("a", 0, 300), ("b", 1, 3600), ("c", 2, 60), ("d", 20, 60)):
        story.talk(office.database, name, "103", "988360046", cast.NOW_MS + minutes * MINUTE_MS, seconds)
    story.talk(office.database, "long", "103", "988360046", cast.NOW_MS - 24 * HOUR_MS, 2 * 3600)
    story.ring_out(office.database, "nobody", "100", "988360046", cast.NOW_MS - 3 * HOUR_MS)
    story.ask(office.database, "lobby", "102", "988360046", cast.NOW_MS - 4 * HOUR_MS)
    story.ask(office.database, "now", "101", "988360046", office.now_ms - MINUTE_MS)
    page = office.page("/dashboard")
    found = hours(page)
    assert len(found) == 24
    assert (found[0], found[-1]) == (("2026-03-01 12:00", 1), ("2026-03-02 11:00", 1))
    assert {when: most for when, most in found if most} == {
        "2026-03-01 12:00": 1, "2026-03-02 07:00": 1, "2026-03-02 10:00": 3, "2026-03-02 11:00": 1
    }  # fmt: skip
    assert "At most 3, first at 10:00" in words(page)
    chart = page.partition('id="live-channels"')[2]
    titles = re.findall(r"<title>(.*?)</title>", chart)
    assert len(titles) == 23 * 6 + 2
    assert titles[22 * 6 : 22 * 6 + 4] == [
        "10:00: 3 calls at once", "10:10: 1 call at once", "10:20: 2 calls at once", "10:30: 1 call at once"
    ]  # fmt: skip
    (link,) = re.findall(r'href="([^"]+)" title="[^"]+">2026-03-02 10:00', chart)
    assert total(office.page(html.unescape(link))) == 4


def test_it_is_not_misled_by_a_call_that_nobody_saw_end(office: Desk) -> None:
    story.lose(office.database, "lost", "101", "988360046", cast.NOW_MS - 6 * HOUR_MS)
    story.ask(office.database, "rang", "101", "988360046", cast.NOW_MS - 6 * HOUR_MS)
    office.database.write(lambda c: settlement.lose(c, "rang", 0, cast.NOW_MS))
    found = channels_of(office)
    assert sorted(end - begin for begin, end in found) == [37_000, channels.MOST_RINGING_MS]


def channels_of(desk: Desk) -> list[tuple[int, int]]:
    desk.page("/dashboard")
    return channels.spans(desk.now_ms - DAY_MS, desk.now_ms, 14_400)


PLANS: list[tuple[Callable[[ZoneInfo, date], object], str]] = [
    (lambda zone, day: CallQuery(zone, day - timedelta(days=6), day, reason="no-rate").totals, "calls_without_rate"),
    (lambda zone, day: CallQuery(zone, day - timedelta(days=6), day, reason="no-payer").totals, "calls_without_payer"),
    (lambda zone, day: CallQuery(zone, day - timedelta(days=6), day, flag=LOST).totals, "calls_flagged"),
    (lambda zone, day: CallQuery(zone, day, day, status="answered", until_ms=cast.NOW_MS).totals, "COVERING INDEX"),
    (lambda zone, day: channels.oldest_ms(), "calls_open"),
    (lambda zone, day: channels.spans(cast.NOW_MS - DAY_MS, cast.NOW_MS, 60), "calls_log (asked_at_ms>? AND"),
]


@pytest.mark.parametrize(("read", "index"), PLANS, ids=[index for _, index in PLANS])
def test_it_reads_no_more_than_a_part_of_an_index(
    office: Desk, read: Callable[[ZoneInfo, date], object], index: str
) -> None:
    years.go_by(office.database, 2_000, 60)
    asked: list[str] = []
    with reading.connection_context():
        reading.connection().set_trace_callback(asked.append)
        read(cast.SITE.time_zone, cast.MONDAY_MORNING.date())
    plan = cast.look_up(office.database.path, f"EXPLAIN QUERY PLAN {asked[-1]}")
    assert [index in row[-1] for row in plan if row[-1].startswith(("SEARCH", "SCAN"))] == [True], plan
