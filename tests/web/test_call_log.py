"""The guide's *Call Log*: its search and sums, its files, why a call cost what it did, and calls in progress."""

import csv
import html
import io
import re
import resource
import sqlite3
import time
import zipfile
from collections.abc import Iterator
from datetime import date, timedelta
from datetime import time as time_of_day
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from openpyxl import load_workbook
from peewee import fn
from werkzeug.test import TestResponse

from coovox_billing.core.call import ALONE, ARCHIVED, CLOCK, CORRECTED, LOST, UNCOLLECTED, Source
from coovox_billing.core.clock import UNKNOWN
from coovox_billing.core.money import format_amount
from coovox_billing.services import accounts, calls, live_calls, settlement, site
from coovox_billing.services.archive import Archive, Shown
from coovox_billing.services.live_calls import Answered
from coovox_billing.store.database import Database
from coovox_billing.store.lists.calls import CallLine, CallQuery, LoggedCall
from coovox_billing.store.models import Call, reading
from coovox_billing.web import formats, sessions
from coovox_billing.web.pages.call_log import FLAGS
from tests import cast, years
from tests.web import story
from tests.web.conftest import Desk

ALL = "/call-log?per_page=100"


def words(fragment: str) -> str:
    return html.unescape(" ".join(re.sub(r"<[^>]+>", " ", fragment).split()))


def header(page: str) -> list[str]:
    return [words(cell) for cell in re.findall(r'<th scope="col".*?</th>', page, re.DOTALL)]


def rows(page: str) -> list[list[str]]:
    """What the cells of each call say, without the one that opens its details."""
    body = page.partition("<tbody>")[2].partition("</tbody>")[0]
    return [
        [words(cell) for cell in re.findall(r"<t[hd] .*?</t[hd]>", row, re.DOTALL)][:7]
        for row in re.findall(r"<tr>.*?</tr>", body, re.DOTALL)
    ]


def numbers(page: str) -> list[str]:
    return [row[2] for row in rows(page)]


def totals(page: str) -> list[str]:
    foot = page.partition("<tfoot>")[2].partition("</tfoot>")[0]
    return [words(cell) for cell in re.findall(r"<td.*?</td>", foot, re.DOTALL)]


def reasons(page: str) -> list[str]:
    return [words(row) for row in re.findall(r'<tr class="why">.*?</tr>', page, re.DOTALL)]


def ongoing(page: str) -> list[str]:
    """What is said of each call in progress."""
    strip = re.search(r'<section class="sheet ongoing".*?</section>', page, re.DOTALL)
    assert strip
    return [words(line) for line in re.findall(r"<li>.*?</li>", strip[0], re.DOTALL)]


def hang_up(desk: Desk, call_id: str, *, is_piece: bool = False) -> TestResponse:
    form = {"csrf": desk.form_token("/password")}
    headers = {"HX-Request": "true"} if is_piece else {}
    return desk.browser.post(f"/call-log/{call_id}/hang-up", data=form, headers=headers)


def answer(database: Database, call_id: str, answered_ms: int) -> None:
    answered = Answered(call_id, answered_ms, "PJSIP/carrier-0000000b", "1772442000.2")
    database.write(lambda connection: live_calls.answer(connection, answered))


def fill(database: Database, number: int) -> None:
    """A long log, made by SQL alone; the calls are a minute apart, the newest just now."""
    columns = (
        "call_id, state, account_id, extension, number_dialed, number, trunk, asked_at_ms, local_day, talk_seconds, "
        "cost_micros, why"
    )
    values = (
        "'call-' || i, 'settled', 1, '100', '9' || i, '9' || i, 'FXO-1', :now - :step * (:many - i),"
        " date((:now - :step * (:many - i)) / 1000, 'unixepoch', '+1 hour'), 60, 100000, '[\"it costs 0.1\"]'"
    )

    def insert(connection: sqlite3.Connection) -> None:
        connection.execute(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :many) "
            f"INSERT INTO calls ({columns}) SELECT {values} FROM n",
            {"many": number, "now": cast.NOW_MS, "step": 60_000},
        )

    database.write(insert)


def test_it_has_the_guides_columns(owner_desk: Desk) -> None:
    story.tell(owner_desk.database)
    assert header(owner_desk.page(ALL)) == [
        "Start Time", "Call From", "Call To", "Duration", "Trunk Name", "Cost($)", "Status", "Details"
    ]  # fmt: skip


def test_it_logs_the_newest_call_first(owner_desk: Desk) -> None:
    story.tell(owner_desk.database)
    not_billed = "Answered: not billed"
    page = owner_desk.page(ALL)
    assert rows(page) == [
        ["2026-03-02 10:12:00", "Sales[101]", "988360046", "–", "FXO-1", "–", "In progress"],
        ["2026-03-02 10:11:00", "Kitchen[103]", "965302387", "00:00:05", "FXO-1", "0.0000", not_billed],
        ["2026-03-02 10:10:00", "Reception[100]", "988360046", "00:00:00", "FXO-1", "0.0000", "No answer"],
        ["2026-03-02 10:09:00", "Lobby[102]", "988360046", "00:00:00", "FXO-1", "0.0000", "Refused: locked"],
        ["2026-03-02 10:08:00", "Sales[101]", "0034911234567", "00:01:01", "FXO-1", "2.0000", "Answered"],
        ["2026-03-02 10:01:00", "Reception[100]", "988360046", "00:03:58", "FXO-1", "0.1800", "Answered"],
        ["2026-03-02 10:00:00", "Reception[100]", "965302387", "00:00:39", "FXO-1", "0.1000", "Answered"],
    ]
    assert "7 Total" in page
    assert totals(page) == ["Total", "", "", "00:05:43", "", "2.2800", "", ""]


@pytest.mark.parametrize(("hours", "day"), [(13.9, "2026-03-02"), (14, "2026-03-03")])
def test_it_shows_the_sites_today_to_whoever_just_opens_it(desk: Desk, hours: float, day: str) -> None:
    """Midnight in Madrid is 23:00 in UTC."""
    desk.wait(hours * 3600)
    desk.sign_in()
    assert desk.leads_to("/call-log") == "/call-log?period=today"
    assert f'<span class="figures">{day}</span>' in desk.page("/call-log?period=today")


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("from=&to=", 7),
        ("from=2026-03-02&to=2026-03-02", 7),
        ("from=2026-03-03", 0),
        ("to=2026-03-01", 0),
        ("keywords=102", 1),
        ("keywords=10", 7),
        ("keywords=lob", 1),
        ("keywords=965302387", 2),
        ("keywords=302387", 2),
        ("keywords=34911", 0),
        ("keywords=%25", 0),
        ("trunk=FXO-1", 7),
        ("status=answered", 4),
        ("status=no-answer", 1),
        ("status=refused", 1),
        ("status=in-progress", 1),
        ("status=lost", 0),
        ("minimum_cost=0.18", 2),
        ("minimum_cost=0.1801", 1),
        ("minimum_cost=0", 7),
        ("keywords=recep&status=answered&minimum_cost=0.15", 1),
    ],
)
def test_it_searches(owner_desk: Desk, search: str, found: int) -> None:
    story.tell(owner_desk.database)
    page = owner_desk.page(f"/call-log?per_page=100&{search}")
    assert len(rows(page)) == found
    assert (f"{found} Total" in page) or (found == 0 and "Nothing matches" in page)


@pytest.mark.parametrize(
    ("search", "says"),
    [
        ("from=yesterday", "write a day like 2026-03-01"),
        ("to=2026-02-30", "write a day like 2026-03-01"),
        ("keywords=%00", "printable"),
        ("minimum_cost=-1", "is negative"),
        ("minimum_cost=cheap", "write digits and a point"),
    ],
)
def test_it_tells_of_a_search_that_cannot_be_and_goes_on_without(owner_desk: Desk, search: str, says: str) -> None:
    story.tell(owner_desk.database)
    page = owner_desk.page(f"/call-log?{search}")
    assert says in page
    assert "7 Total" in page


@pytest.mark.parametrize("search", ["trunk=none", "status=1%20OR%201", "per_page=7", "page=x"])
def test_it_takes_only_its_own_words(owner_desk: Desk, search: str) -> None:
    story.tell(owner_desk.database)
    assert "7 Total" in owner_desk.page(f"/call-log?{search}")


def test_it_shows_what_a_person_should_look_at(owner_desk: Desk) -> None:
    story.lose(owner_desk.database, "1", "100", cast.CITY_NUMBER, cast.NOW_MS)
    story.talk(owner_desk.database, "2", "100", cast.CITY_NUMBER, cast.NOW_MS, 238)
    (row,) = rows(owner_desk.page("/call-log?status=lost"))
    assert row[6] == "Answered End unknown"


@pytest.mark.parametrize("flag", [ALONE, ARCHIVED, CLOCK, CORRECTED, LOST, UNCOLLECTED])
def test_it_has_words_for_every_flag_and_source(flag: str) -> None:
    assert flag in formats._FLAGS
    assert flag in formats.FLAG_MARKS
    assert flag in FLAGS
    assert formats._SETTLED_BY.keys() == set(Source)


def test_it_keeps_a_call_on_the_day_it_was_dialed(owner_desk: Desk) -> None:
    """At half past eleven in the evening in Madrid; the site then moves to Tokyo."""
    story.talk(owner_desk.database, "late", "100", cast.CITY_NUMBER, cast.NOW_MS + 13 * 3_600_000 + 1_800_000, 10)
    owner_desk.database.write(lambda c: site.change_setting(c, "time_zone", "Asia/Tokyo", cast.MANAGER))
    (row,) = rows(owner_desk.page("/call-log?from=2026-03-02&to=2026-03-02"))
    assert row[0] == "2026-03-03 07:30:00"
    assert rows(owner_desk.page("/call-log?from=2026-03-03&to=2026-03-03")) == []


def test_it_says_why_a_call_cost_what_it_did(owner_desk: Desk) -> None:
    story.talk(owner_desk.database, "guide", "100", cast.CITY_NUMBER, cast.NOW_MS, 238)
    page = owner_desk.page(ALL)
    (why,) = reasons(page)
    assert "wins: prefix 9, exactly 9 digits" in why
    assert "4 started units of 55 s" in why
    assert "balance 10.0000 before, 9.8200 after" in why
    assert len(re.findall(r'<li class="won">', page)) == 1
    assert len(re.findall(r'<li class="lost">', page)) == why.count(" lost: ")


def test_it_says_what_a_running_call_holds(owner_desk: Desk) -> None:
    story.ask(owner_desk.database, "now", "100", "0044", cast.NOW_MS)
    (why,) = reasons(owner_desk.page(ALL))
    assert "$10.0000 is held while the call runs" in why


def test_it_says_nothing_where_nothing_was_priced(owner_desk: Desk) -> None:
    story.talk(owner_desk.database, "kitchen", "103", cast.CITY_NUMBER, cast.NOW_MS, 5)
    (facts,) = reasons(owner_desk.page(ALL))
    assert "Why this price" not in facts
    assert facts.startswith("The call Device PJSIP/103 Asked 2026-03-02 10:00:00 Answered 2026-03-02 10:00:05")


def test_it_tells_everything_of_a_call_that_did_not_go_its_usual_way(owner_desk: Desk) -> None:
    """It rang, died with the PBX, was closed by rule, and was corrected when its record turned up."""
    story.lose(owner_desk.database, "1", "100", cast.CITY_NUMBER, cast.NOW_MS)
    (facts,) = reasons(owner_desk.page(ALL))
    assert "closed by rule: nobody told how it ended" in facts
    assert "End told by nobody: closed by rule, charged up to its last sign of life" in facts
    assert "Flags look at it: nobody told how it ended" in facts
    story.turn_up(owner_desk.database, "1", cast.NOW_MS, 116)
    (facts,) = reasons(owner_desk.page(ALL))
    assert "Ringing 2026-03-02 10:00:00 Answered 2026-03-02 10:00:07 Ended 2026-03-02 10:02:03" in facts
    assert "End told by what Asterisk kept while billing was away (AstDB)" in facts
    assert "Flags closed by rule first, then corrected" in facts


def many_calls(desk: Desk, number: int) -> None:
    for index in range(number):
        story.ring_out(desk.database, f"call-{index}", "103", f"9{index:08d}", cast.NOW_MS + index * 1000)


def test_it_turns_pages_and_keeps_the_search(owner_desk: Desk) -> None:
    many_calls(owner_desk, 12)
    first = owner_desk.page("/call-log?per_page=10&keywords=kit")
    assert len(rows(first)) == 10
    assert "12 Total" in first
    (onward,) = re.findall(r'rel="next" href="([^"]+)"', first)
    second = owner_desk.page(html.unescape(onward))
    assert numbers(second) == ["900000001", "900000000"]
    assert 'rel="next"' not in second
    assert 'value="kit"' in second


@pytest.mark.parametrize("page", ["99", "9" * 400, "0", "-1", "²", "1; DROP"])
def test_it_shows_a_page_that_there_is(owner_desk: Desk, page: str) -> None:
    many_calls(owner_desk, 2)
    assert len(rows(owner_desk.page(f"/call-log?page={page}"))) == 2


def downloaded(desk: Desk, search: str = "per_page=100") -> list[list[str]]:
    response = desk.browser.get(f"/call-log.csv?{search}")
    assert response.headers["Content-Disposition"] == 'attachment; filename="call-log.csv"'
    return list(csv.reader(io.StringIO(response.text.removeprefix("\ufeff"))))


def test_it_downloads_what_it_shows(owner_desk: Desk) -> None:
    owner_desk.database.write(lambda c: accounts.change(c, "101", {"name": "=cmd|' /C calc'!A0"}, cast.MANAGER))
    story.tell(owner_desk.database)
    search = "from=2026-03-02&to=2026-03-02&keywords=10&trunk=FXO-1&minimum_cost=0.1"
    lines = downloaded(owner_desk, search)
    assert lines[:7] == [
        ["From", "2026-03-02"],
        ["To", "2026-03-02"],
        ["Keywords", "10"],
        ["Trunk Name", "FXO-1"],
        ["Status", ""],
        ["Minimum cost", "0.1000"],
        ["Time zone", "Europe/Madrid"],
    ]
    assert lines[8][:7] == ["Start Time", "Call From", "Call To", "Duration", "Trunk Name", "Cost($)", "Status"]
    shown = rows(owner_desk.page(f"/call-log?{search}"))
    assert [line[:7] for line in lines[9:-1]] == [[row[0], row[1].replace("=", "'=", 1), *row[2:]] for row in shown]
    assert lines[-1][:7] == ["Total", "", "", "00:05:38", "", "2.2800", ""]


def test_it_downloads_a_workbook_with_numbers(owner_desk: Desk) -> None:
    story.tell(owner_desk.database)
    book = load_workbook(io.BytesIO(owner_desk.browser.get("/call-log.xlsx?per_page=10").data))
    lines = [list(row) for row in book.active.iter_rows()]
    row = next(line for line in lines if line[2].value == "988360046" and line[5].value)
    assert row[5].value == pytest.approx(0.18)
    assert row[3].number_format == "[hh]:mm:ss"
    assert row[3].value in (time_of_day(0, 3, 58), timedelta(seconds=238))
    running = next(line for line in lines if line[6].value == "In progress")
    assert (running[3].value, running[5].value) == (None, None)


def test_it_counts_in_a_file_what_is_in_it(owner_desk: Desk) -> None:
    """A call ends while the file is on its way: its row and the total agree."""
    many_calls(owner_desk, 1005)
    story.ask(owner_desk.database, "slow", "100", cast.CITY_NUMBER, cast.NOW_MS - 60_000)
    response = owner_desk.browser.get("/call-log.csv?per_page=10", buffered=False)
    pieces = iter(response.response)
    text = next(pieces)
    leg = cast.a_leg(talked=39, asked_ms=cast.NOW_MS - 60_000)
    owner_desk.database.write(lambda c: settlement.settle(c, "slow", leg, UNKNOWN, leg.ended_ms))
    lines = b"".join([text, *pieces]).decode().splitlines()
    assert lines[-2].split(",")[3:6] == ["00:00:39", "carrier", "0.1000"]
    assert lines[-1].split(",")[:6] == ["Total", "", "", "00:00:39", "", "0.1000"]


def test_it_reads_for_a_file_what_it_reads_for_a_page(owner_desk: Desk) -> None:
    story.tell(owner_desk.database)
    story.lose(owner_desk.database, "lost", "100", cast.CITY_NUMBER, cast.NOW_MS)
    owner_desk.page(ALL)
    query = CallQuery(ZoneInfo(cast.TIME_ZONE))
    seen, read = query.page(100), list(query.stream())
    assert [call.flags for call in read] == [call.flags for call in seen]
    of_a_page = [name for name in CallLine._fields if name not in ("flag_words", "row")]
    assert [[getattr(call, name) for name in of_a_page] for call in read] == [
        [getattr(call, name) for name in of_a_page] for call in seen
    ]


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.parametrize(("kind", "many"), [("csv", 100_000), ("xlsx", 20_000)])
def test_it_streams_a_hundred_thousand_calls(owner_desk: Desk, kind: str, many: int) -> None:
    """Neither the file nor the rows are ever in memory as a whole, and the first bytes are there at once."""
    fill(owner_desk.database, many)
    owner_desk.page(ALL)
    before, began = resident_bytes(), time.monotonic()
    response = owner_desk.browser.get(f"/call-log.{kind}?per_page=10", buffered=False)
    chunks = iter(response.response)
    text = bytearray(next(chunks))
    assert time.monotonic() - began < 1
    most = 0
    for number, chunk in enumerate(chunks):
        assert len(chunk) < 200_000
        text += chunk
        if number % 100 == 0:
            most = max(most, resident_bytes())
    assert most - before - len(text) < 20_000_000
    lines = list(lines_of(bytes(text), kind))
    assert len(lines) == many + 10
    talk = "1666:40:00" if kind == "csv" else str(many * 60 / 86_400)
    assert lines[-1][:6] == ["Total", "", "", talk, "", format_amount(many * 100_000)]


def lines_of(data: bytes, kind: str) -> Iterator[list[str]]:
    if kind == "csv":
        yield from csv.reader(io.StringIO(data.decode("utf-8-sig")))
        return
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        sheet = archive.read("xl/worksheets/sheet1.xml").decode()
    for row in re.findall("<row>(.*?)</row>", sheet):
        yield [words(cell) for cell in re.findall("<c.*?(?:/>|</c>)", row)]


def test_it_reads_a_long_log_by_its_index_alone(owner_desk: Desk) -> None:
    query = CallQuery(ZoneInfo(cast.TIME_ZONE), date(2026, 3, 1), date(2026, 3, 2), keywords="102", trunk="FXO-1")
    owner_desk.page(ALL)
    for looks in (query._keys().limit(20), query._selected(fn.SUM(Call.cost_micros))):
        statement, values = looks.sql()
        plan = [row[-1] for row in reading.execute_sql(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()]
        assert "COVERING INDEX calls_log (asked_at_ms>? AND asked_at_ms<?)" in plan[0], plan
        assert not any("TEMP B-TREE" in step for step in plan), plan


def a_call(**changes: object) -> LoggedCall:
    empty: dict[str, object] = dict.fromkeys(LoggedCall.__dataclass_fields__, "")
    return LoggedCall(**(empty | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("state", "reason", "text"),
    [
        ("refused", "no-money", "Refused: no money"),
        ("refused", "no-rate", "Refused: no rate"),
        ("refused", "bad-number", "Refused: not a number"),
        ("settled", "", "Answered"),
        ("settled", "emergency", "Answered: emergency"),
        ("settled", "billing-down", "Answered: billing was down"),
        ("held", "", "In progress"),
        ("talking", "", "In progress"),
        ("released", "", "No answer"),
        ("refused", "a-word-of-tomorrow", "Refused: a-word-of-tomorrow"),
    ],
)
def test_it_says_in_words_what_became_of_a_call(state: str, reason: str, text: str) -> None:
    assert formats.status(a_call(state=state, reason=reason)) == text


@pytest.mark.parametrize(
    ("name", "extension", "text"),
    [("Extension2", "102", "Extension2[102]"), ("", "102", "102"), ("", "", "no extension")],
)
def test_it_names_the_caller_as_the_guide_does(name: str, extension: str, text: str) -> None:
    assert formats.caller(a_call(name=name, extension=extension)) == text


def test_it_shows_no_strip_where_nobody_talks(owner_desk: Desk) -> None:
    page = owner_desk.page(ALL)
    assert 'id="live" hidden' in page
    assert ongoing(page) == []
    story.ask(owner_desk.database, "now", "100", "0044", cast.NOW_MS)
    assert 'id="live" hidden' not in owner_desk.page("/call-log/live")


def test_it_shows_calls_in_progress_with_what_they_cost_and_may_still_cost(owner_desk: Desk) -> None:
    """10.00 at 1.00 a minute; 61 s are talked, which are two minutes begun."""
    story.ask(owner_desk.database, "now", "100", "0044", cast.NOW_MS)
    assert ongoing(owner_desk.page("/call-log/live")) == ["Reception[100] → 0044 FXO-1 ringing"]
    answer(owner_desk.database, "now", cast.NOW_MS + 5_000)
    owner_desk.wait(66)
    (call,) = ongoing(owner_desk.page("/call-log/live"))
    assert call == "Reception[100] → 0044 FXO-1 00:01:01 $2.0000 8:59 left Hang up"
    assert ongoing(owner_desk.page(ALL)) == [call]


def test_it_knows_what_more_money_than_is_held_affords(owner_desk: Desk) -> None:
    question = cast.a_question("now", "100", "0044")
    owner_desk.database.write(lambda c: calls.authorize(c, question, cast.NOW_MS, True))
    answer(owner_desk.database, "now", cast.NOW_MS)
    held = cast.look_up(owner_desk.database.path, "SELECT hold_micros FROM calls")
    assert held < [(10_000_000,)]
    assert "10:00 left" in ongoing(owner_desk.page("/call-log/live"))[0]


def test_it_shows_no_limit_where_there_is_none(owner_desk: Desk) -> None:
    story.ask(owner_desk.database, "now", "102", "112", cast.NOW_MS)
    answer(owner_desk.database, "now", cast.NOW_MS)
    (call,) = ongoing(owner_desk.page("/call-log/live"))
    assert call == "Lobby[102] → 112 FXO-1 00:00:00 $0.0000 no limit Hang up"


def test_it_has_a_call_hung_up_once_and_logs_who_did(owner_desk: Desk) -> None:
    story.ask(owner_desk.database, "now", "100", "0044", cast.NOW_MS)
    answer(owner_desk.database, "now", cast.NOW_MS)
    response = hang_up(owner_desk, "now")
    assert response.status_code == 303
    assert "The call is being ended." in owner_desk.page(ALL)
    assert cast.look_up(owner_desk.database.path, "SELECT end_requested FROM calls") == [(1,)]
    (change,) = cast.look_up(
        owner_desk.database.path, "SELECT actor, origin, what, after FROM changes WHERE what LIKE 'call %'"
    )
    assert change == ("owner", "127.0.0.1", "call now", '{"state": "to be ended"}')
    assert "Being ended" in ongoing(owner_desk.page("/call-log/live"))[0]


def test_it_answers_the_strip_with_the_strip(owner_desk: Desk) -> None:
    story.ask(owner_desk.database, "now", "100", "0044", cast.NOW_MS)
    refused = hang_up(owner_desk, "now", is_piece=True)
    assert refused.status_code == 422
    assert "only an answered call can be ended" in refused.text
    assert "<html" not in refused.text
    answer(owner_desk.database, "now", cast.NOW_MS)
    assert "Being ended" in hang_up(owner_desk, "now", is_piece=True).text


@pytest.mark.parametrize(("call_id", "says"), [("nobody", "there is no such call"), ("over", "only an answered call")])
def test_it_tells_why_a_call_cannot_be_ended(owner_desk: Desk, call_id: str, says: str) -> None:
    story.talk(owner_desk.database, "over", "100", cast.CITY_NUMBER, cast.NOW_MS, 5)
    assert hang_up(owner_desk, call_id).status_code == 303
    assert says in owner_desk.page(ALL)


def test_it_hangs_up_for_nobody_without_a_form(owner_desk: Desk) -> None:
    story.ask(owner_desk.database, "now", "100", "0044", cast.NOW_MS)
    answer(owner_desk.database, "now", cast.NOW_MS)
    assert owner_desk.browser.post("/call-log/now/hang-up").status_code == 400
    assert owner_desk.browser.get("/call-log/now/hang-up").status_code == 405
    assert cast.look_up(owner_desk.database.path, "SELECT end_requested FROM calls") == [(0,)]


def test_it_does_not_take_a_page_that_renews_itself_for_a_person(owner_desk: Desk) -> None:
    for _ in range(7):
        owner_desk.wait(sessions.IDLE_SECONDS / 6)
        response = owner_desk.browser.get("/call-log/live", headers={"HX-Request": "true"})
    assert response.headers["HX-Redirect"].startswith("/sign-in")


def test_it_offers_to_load_itself_again_with_its_search(owner_desk: Desk) -> None:
    assert 'href="/call-log?keywords=x&amp;refresh=5"' in owner_desk.page("/call-log?keywords=x")
    assert 'href="/call-log?keywords=x"' in owner_desk.page("/call-log?keywords=x&refresh=5")


class TestArchive:
    """Calls that were moved into files."""

    def test_it_says_where_they_are(self, owner_desk: Desk, tmp_path: Path) -> None:
        story.talk(owner_desk.database, "old", "100", "988360046", cast.NOW_MS - 60 * 86_400_000, 238)
        _archive(owner_desk, tmp_path / "files")
        page = owner_desk.page("/call-log?from=2025-12-01&to=2026-01-31")
        assert "1 older call of these months is in the archive" in page
        assert str(tmp_path / "files/calls-2026-01.csv.gz") in page
        assert "No call of this time matches the search." in page

    def test_it_says_nothing_of_them_for_other_months(self, owner_desk: Desk, tmp_path: Path) -> None:
        story.talk(owner_desk.database, "old", "100", "988360046", cast.NOW_MS - 60 * 86_400_000, 238)
        _archive(owner_desk, tmp_path / "files")
        assert "in the archive" not in owner_desk.page("/call-log?from=2026-02-01&to=2026-03-31")

    def test_it_leaves_the_other_pages_as_they_were(self, owner_desk: Desk, tmp_path: Path) -> None:
        for number in range(3):
            day_ms = cast.NOW_MS - (60 + number) * 86_400_000
            story.talk(owner_desk.database, f"old-{number}", "100", "988360046", day_ms, 238)
        shown = ("/extensions", "/recharge-history", "/statistics?from=2025-12-01&to=2026-03-31", "/extension/100/edit")
        before = [_without_tokens(owner_desk.page(path)) for path in shown]
        bill = _sums(owner_desk.page("/extension/100/check-out"))
        _archive(owner_desk, tmp_path / "files")
        assert [_without_tokens(owner_desk.page(path)) for path in shown] == before
        page = owner_desk.page("/extension/100/check-out")
        assert _sums(page) == bill
        assert "3 earlier calls are not listed here" in page


def _archive(desk: Desk, directory: Path) -> None:
    shown = Shown([], lambda row: [])
    archive = Archive(desk.database, desk.directory, directory, shown)
    assert list(archive.move(date(2026, 3, 1), cast.MANAGER))


def _without_tokens(page: str) -> str:
    return re.sub(r'(name="(?:csrf|submission)" value|content)="[^"]*"', "", page)


def _sums(page: str) -> list[str]:
    return re.findall(r"<tfoot>.*?</tfoot>", page, re.DOTALL)


def test_what_takes_long_to_count_is_shown_before_it_is_counted(
    owner_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coovox_billing.store.lists.calls.QUICKLY_COUNTED", 0)
    monkeypatch.setattr("coovox_billing.store.lists.calls.FEW_CALLS", 0)
    years.go_by(owner_desk.database, 25, minutes_apart=24 * 60)
    search = "/call-log?from=2000-01-01&to=2037-12-31&keywords=100"
    page = owner_desk.page(search)
    assert "Count them and sum them up" in page
    assert 'hx-trigger="load"' in page
    assert "<tfoot>" not in page
    assert 'rel="next"' in page
    second = owner_desk.page(f"{search}&page=2")
    assert 'rel="next"' not in second
    assert 'hx-trigger="load"' not in second
    assert "26 Total" in owner_desk.page(f"{search}&page=3")
    counted = owner_desk.page(f"{search}&counted=1")
    assert "26 Total" in counted
    assert "<tfoot>" in counted
    assert "counted" not in counted.partition('class="foot"')[2].partition("</nav>")[0]
    assert "26 Total" in owner_desk.page("/call-log?from=2000-01-01&to=2037-12-31")
