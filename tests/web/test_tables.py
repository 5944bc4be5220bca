"""Lists as people arrange them: columns, saved filters, periods that stay relative, links that hold a search."""

import html
import io
import re
from collections.abc import Callable
from itertools import count
from typing import Any
from urllib.parse import unquote

import pytest
from openpyxl import load_workbook

from coovox_billing.core.roles import Role
from coovox_billing.services import arrangements
from coovox_billing.web.pages.lists import TABLES
from tests import cast
from tests.web import site_map, story
from tests.web.conftest import Desk

DAY_SECONDS = 86_400
_TOKENS = count()

NEVER_PUT_AWAY = {
    "extensions": ["Extension"],
    "rate": ["Remark"],
    "recharge-history": ["Extension"],
    "call-log": ["Call From"],
    "statistics": ["Date"],
    "audit-log": ["What"],
    "billing-users": ["User name"],
}


def heads(page: str) -> list[str]:
    found = re.findall(r'<th scope="col" data-kind="[a-z_]+".*?</th>', page, re.DOTALL)
    return [html.unescape(re.sub(r"<[^>]+>", "", head)).strip() for head in found]


def choose(desk: Desk, of_list: str, *words: str, **more: str) -> str:
    """Tick columns of a list and send the form; where it leads."""
    form = {"csrf": desk.form_token("/extensions"), "submission": f"{next(_TOKENS)}", "column": list(words)}
    response = desk.browser.post(f"/lists/{of_list}/columns", data=form | more)
    assert response.status_code == 303
    return unquote(response.location)


def save(desk: Desk, name: str, search: str, of_list: str = "call-log") -> Any:
    form = {"name": name, "search": search, "submission": f"{next(_TOKENS)}"}
    return desk.post(f"/lists/{of_list}/save", form)


@pytest.fixture
def full_desk(owner_desk: Desk) -> Desk:
    site_map.settle_in(owner_desk.database)
    return owner_desk


@pytest.mark.parametrize("of_list", sorted(TABLES))
def test_it_puts_away_every_column_but_the_one_that_names_the_row(full_desk: Desk, of_list: str) -> None:
    path = {"statistics": "/statistics?by=day", "call-log": "/call-log?per_page=20"}.get(of_list, "")
    with full_desk.app.test_request_context():
        path = path or TABLES[of_list].address()
    before = full_desk.page(path)
    assert choose(full_desk, of_list, search="sort=name&page=1") == f"{path.partition('?')[0]}?sort=name&page=1"
    page = full_desk.page(path)
    assert heads(page)[: len(NEVER_PUT_AWAY[of_list])] == NEVER_PUT_AWAY[of_list]
    main_table = page.partition('<table class="cards')[2].partition("</table>")[0]
    assert len(heads(main_table)) == 1
    choose(full_desk, of_list, as_delivered="1")
    assert heads(full_desk.page(path)) == heads(before)


@pytest.mark.parametrize("of_list", sorted(TABLES))
def test_it_has_a_word_of_its_own_for_every_column(owner_desk: Desk, of_list: str) -> None:
    with owner_desk.app.test_request_context():
        columns = TABLES[of_list].columns()
        words = [column.word for column in columns]
    assert len(set(words)) == len(words)
    assert all(re.fullmatch("[a-z_]+", word) for word in words)
    assert sum(column.names_row for column in columns) == 1


def test_it_fetches_a_column_that_is_not_shown_by_itself(full_desk: Desk) -> None:
    choose(full_desk, "call-log", "start", "cost", "id")
    page = full_desk.page("/call-log?keywords=0034911234567")
    assert heads(page) == ["Start Time", "Call From", "Cost($)", "Call id"]
    assert re.findall(r'data-label="Call id">([^<]+)<', page) == ["sales"]
    assert '<td colspan="5">' in page
    foot = page.partition("<tfoot>")[2].partition("</tfoot>")[0]
    assert re.findall(r"<td[^>]*>([^<]*)</td>", foot) == ["Total", "", "2.0000", "", ""]


def test_it_downloads_all_columns_whatever_is_shown(full_desk: Desk) -> None:
    before = full_desk.browser.get("/call-log.csv").text
    choose(full_desk, "call-log", "cost")
    assert full_desk.browser.get("/call-log.csv").text == before
    book = load_workbook(io.BytesIO(full_desk.browser.get("/call-log.xlsx").data))
    assert "Call id" in [cell.value for row in book.active.iter_rows() for cell in row]  # type: ignore[union-attr]


def test_it_keeps_the_columns_for_the_person_and_the_list_alone(full_desk: Desk) -> None:
    before = heads(full_desk.page("/recharge-history"))
    choose(full_desk, "call-log", "cost")
    assert heads(full_desk.page("/recharge-history")) == before
    full_desk.browser = full_desk.app.test_client()
    full_desk.sign_in()
    assert heads(full_desk.page("/call-log?per_page=20")) == ["Call From", "Cost($)"]
    full_desk.someone(Role.MANAGER)
    assert len(heads(full_desk.page("/call-log?per_page=20"))) == 7


def test_it_forgets_words_that_are_no_columns(full_desk: Desk) -> None:
    choose(full_desk, "call-log", "start", "to", "duration", "trunk", "cost", "status", "evil", "from")
    assert cast.look_up(full_desk.database.path, "SELECT count(*) FROM column_choices") == [(0,)]


def test_it_gives_cells_their_numbers_for_the_script(full_desk: Desk) -> None:
    page = full_desk.page("/call-log?keywords=0034911234567")
    assert re.findall(r'<td class="number[^>]* data-value="(\d+)"', page.partition("<tfoot>")[0]) == ["61", "2000000"]
    open_call = full_desk.page("/call-log?status=in-progress").partition("<tbody>")[2].partition("</tbody>")[0]
    assert "data-value" not in open_call


def test_it_saves_a_search_beside_the_filter_and_nobody_elses(full_desk: Desk) -> None:
    page = full_desk.page("/call-log?status=answered&keywords=&page=1")
    (form,) = set(re.findall(r'href="(/lists/call-log/save[^"]*)"', page))
    assert form == "/lists/call-log/save?status=answered"
    response = save(full_desk, " Long & dear ", "status=answered&minimum_cost=1&page=3&refresh=5&keywords=")
    assert response.location == "/call-log?status=answered&minimum_cost=1"
    page = full_desk.page("/call-log?minimum_cost=1&status=answered")
    assert '<a href="/call-log?status=answered&amp;minimum_cost=1" aria-current="true">Long &amp; dear</a>' in page
    assert "/lists/call-log/save" not in page
    assert "Long &amp; dear" not in full_desk.page("/recharge-history")
    full_desk.someone(Role.MANAGER)
    assert "Long &amp; dear" not in full_desk.page("/call-log?per_page=20")
    ((search_id,),) = cast.look_up(full_desk.database.path, "SELECT id FROM saved_searches WHERE list = 'call-log'")
    assert full_desk.browser.get(f"/lists/saved/{search_id}").status_code == 404
    for path in (f"/lists/saved/{search_id}", f"/lists/saved/{search_id}/delete"):
        assert full_desk.post(path, {"name": "mine", "submission": path}).status_code == 404
    assert cast.look_up(full_desk.database.path, f"SELECT name FROM saved_searches WHERE id = {search_id}") == [
        ("Long & dear",)
    ]


def test_it_renames_and_deletes_a_search(full_desk: Desk) -> None:
    assert full_desk.post("/lists/saved/1", {"name": "Debtors", "submission": "a"}).location == (
        "/extensions?sort=balance"
    )
    assert ">Debtors</a>" in full_desk.page("/extensions")
    assert full_desk.post("/lists/saved/1/delete", {"submission": "b"}).status_code == 303
    assert full_desk.browser.get("/lists/saved/1").status_code == 404
    assert "<span>Debtors" not in full_desk.page("/extensions")


@pytest.mark.parametrize(
    ("name", "search", "told"),
    [
        ("", "status=answered", "a name has 1 to 40 printable characters"),
        ("x" * 41, "status=answered", "a name has 1 to 40 printable characters"),
        ("a\x07", "status=answered", "a name has 1 to 40 printable characters"),
        ("Taken", "status=refused", "there is a saved filter Taken"),
        ("Empty", "page=2&keywords=", "there is no search to be saved"),
        ("Long", "keywords=" + "x" * 1000, "the search is too long"),
    ],
)
def test_it_refuses_what_cannot_be_saved_and_loses_nothing(full_desk: Desk, name: str, search: str, told: str) -> None:
    save(full_desk, "Taken", "status=answered")
    response = save(full_desk, name, search)
    assert response.status_code == 422
    page = html.unescape(response.text)
    assert told in page
    assert f'value="{name}"' in page
    assert cast.look_up(full_desk.database.path, "SELECT count(*) FROM saved_searches") == [(2,)]


def test_it_bounds_how_many_searches_somebody_keeps(full_desk: Desk) -> None:
    for number in range(arrangements.MOST_SEARCHES):
        save(full_desk, f"Filter {number}", "status=answered")
    response = save(full_desk, "One more", "status=answered")
    assert "you have 20 saved filters here" in response.text
    assert save(full_desk, "Elsewhere", "status=locked", "extensions").status_code == 303


@pytest.mark.parametrize("path", ["/lists/nothing/columns", "/lists/nothing/save", "/lists/saved/99"])
def test_it_knows_its_lists_and_searches(full_desk: Desk, path: str) -> None:
    assert full_desk.browser.get(path).status_code == 404


def test_it_arranges_no_list_that_somebody_may_not_open(full_desk: Desk) -> None:
    full_desk.someone(Role.CASHIER)
    assert full_desk.browser.get("/lists/call-log/columns").status_code == 403
    assert full_desk.browser.get("/lists/recharge-history/columns").status_code == 200


def test_it_leads_back_to_its_own_pages_alone(full_desk: Desk) -> None:
    assert (
        choose(full_desk, "call-log", search="//evil.example/?x=1\r\nX: y") == "/call-log?//evil.example/?x=1\r\nX:+y"
    )


@pytest.mark.parametrize(
    ("period", "days"),
    [
        ("today", "2026-03-02"),
        ("yesterday", "2026-03-01"),
        ("last-7-days", "2026-02-24 – 2026-03-02"),
        ("last-30-days", "2026-02-01 – 2026-03-02"),
        ("this-month", "2026-03-01 – 2026-03-02"),
        ("last-month", "2026-02-01 – 2026-02-28"),
        ("this-year", "2026-01-01 – 2026-03-02"),
    ],
)
def test_it_knows_the_days_of_a_period(owner_desk: Desk, period: str, days: str) -> None:
    for path in ("/call-log", "/recharge-history", "/audit-log", "/statistics"):
        assert re.findall(r'<span class="figures">(\d{4}[^<]*)</span>', owner_desk.page(f"{path}?period={period}")) == [
            days
        ], path


def test_it_keeps_a_period_relative(closed_desk: Callable[..., Desk]) -> None:
    desk = closed_desk()
    story.talk(desk.database, "then", "100", "988360046", cast.NOW_MS, 60)
    desk.sign_in()
    assert "1 Total" in desk.page("/call-log?period=this-month")
    assert "988360046" in desk.browser.get("/call-log.csv?period=this-month").text
    desk.wait(30 * DAY_SECONDS)
    desk.browser = desk.app.test_client()
    desk.sign_in()
    assert "Nothing matches" in desk.page("/call-log?period=this-month")
    assert "1 Total" in desk.page("/call-log?period=last-month")


def test_it_goes_by_the_days_where_both_are_given(owner_desk: Desk) -> None:
    story.talk(owner_desk.database, "then", "100", "988360046", cast.NOW_MS, 60)
    page = owner_desk.page("/call-log?period=last-month&from=2026-03-01&to=")
    assert "1 Total" in page
    assert 'name="period"' not in page
    assert "1 Total" in owner_desk.page("/call-log?period=evil")


def test_it_opens_a_link_with_its_search_after_the_sign_in(desk: Desk) -> None:
    response = desk.browser.get("/call-log?period=last-month&keywords=a%26b")
    assert unquote(unquote(response.location)) == "/sign-in?next=/call-log?period=last-month&keywords=a&b"
    asked = unquote(response.location.partition("next=")[2])
    assert desk.sign_in(next_page=asked).location == "/call-log?period=last-month&keywords=a%26b"


@pytest.mark.parametrize("asked", ["//evil.example/call-log?x=1", "/call-log/../evil?x", "/call-log?x=\r\nY: z"])
def test_it_follows_no_foreign_link_after_the_sign_in(desk: Desk, asked: str) -> None:
    assert desk.sign_in(next_page=asked).location == "/extensions"
