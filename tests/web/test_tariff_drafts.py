"""Drafts of rates on the pages: made, edited, tried on calls, activated now or at a time, and taken back."""

from __future__ import annotations

import csv
import io
import re
from html import unescape
from itertools import count
from typing import Any

import pytest

from coovox_billing.core.clock import local_moment
from coovox_billing.core.rate_csv import render_rates
from coovox_billing.core.rate_fields import COLUMNS
from coovox_billing.core.roles import Role
from coovox_billing.core.tariff import Rate
from coovox_billing.services import rates, what_if
from coovox_billing.services import tariff_drafts as drafts
from coovox_billing.store import reads
from coovox_billing.store import tariff_drafts as stored
from coovox_billing.store.tariff_drafts import Draft
from coovox_billing.web import shelf
from coovox_billing.web.pages.rates import check
from coovox_billing.web.pages.rates import drafts as draft_pages
from tests import cast
from tests.web import story
from tests.web.conftest import Desk
from tests.web.test_recharge_history import cells

HEADER = ",".join(COLUMNS)
DEARER = f"{HEADER}\n1,city,9,9,0.1,60,0.03,55,,,,all\n"
WRONG = (
    f"{HEADER}\n1,city,x,9,0.1,60,0.03,55,,,,all\n1,fine,9,9,0.1,60,0.03,55,,,,all\n1,city,9,9,y,60,0.03,55,,,,all\n"
)
FILLINGS = count(1)
MARCH = "from=2026-03-01&to=2026-03-31"


def hidden(html: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', html)
    assert found, name
    return unescape(found[1])


def send(desk: Desk, path: str, file: str | None = None, **fields: str) -> Any:
    form: dict[str, Any] = {"csrf": desk.form_token("/rate/drafts/add"), "submission": str(next(FILLINGS))} | fields
    if file is not None:
        form["file"] = (io.BytesIO(file.encode()), "rates.csv")
    return desk.browser.post(path, data=form, content_type="multipart/form-data")


def make(desk: Desk, file: str | None = DEARER, name: str = "New year", **fields: str) -> int:
    response = send(desk, "/rate/drafts/add", file, name=name, **fields)
    assert response.status_code == 303, response.text
    return int(response.location.rpartition("/")[2])


def do(desk: Desk, draft: int, what: str, **fields: str) -> Any:
    """Send a form of the page of a draft, as it shows it."""
    html = desk.page(f"/rate/drafts/{draft}")
    start = html.partition(f'action="/rate/drafts/{draft}/{what}"')[2]
    form = {
        name: hidden(start, name)
        for name in ("seen", "submission")
        if f'name="{name}"' in start.partition("</form>")[0]
    }
    return desk.post(f"/rate/drafts/{draft}/{what}", form | fields, "/rate/drafts/add")


def find(desk: Desk, draft: int) -> Draft:
    return desk.database.read(lambda c: drafts.find(c, draft))


def present(desk: Desk) -> list[Rate]:
    return desk.database.read(reads.all_rates)


def names(desk: Desk) -> list[str]:
    return [draft.name for draft in desk.database.read(stored.drafts)]


class TestMaking:
    def test_it_says_what_a_draft_is_where_there_is_none(self, owner_desk: Desk) -> None:
        assert "No draft yet" in owner_desk.page("/rate/drafts")

    def test_it_copies_todays_rates_where_no_file_is_chosen(self, owner_desk: Desk) -> None:
        before = present(owner_desk)
        draft = make(owner_desk, None)
        assert owner_desk.database.read(lambda c: drafts.rates_of(c, draft)) == [cast.replace(r, id=0) for r in before]
        assert present(owner_desk) == before
        assert [row[:3] for row in cells(owner_desk.page("/rate/drafts"))] == [["New year", "Draft", "4"]]

    @pytest.mark.parametrize(("fields", "count"), [({}, 1), ({"keep_others": "1"}, 4)])
    def test_it_takes_a_file_as_the_whole_or_beside_the_others(
        self, owner_desk: Desk, fields: dict[str, str], count: int
    ) -> None:
        draft = make(owner_desk, **fields)
        found = owner_desk.database.read(lambda c: drafts.rates_of(c, draft))
        assert len(found) == count
        assert found[0].rate_micros == 30_000

    @pytest.mark.parametrize(
        ("file", "name", "words"),
        [
            (WRONG, "x", "2 rows are wrong"),
            (HEADER, "x", "holds no rates"),
            ("a,b\n1,2\n", "x", "the first line must be"),
            (DEARER, " ", "give the draft a name"),
            (None, "x" * 81, "give the draft a name"),
        ],
    )
    def test_it_keeps_nothing_of_what_is_wrong(self, owner_desk: Desk, file: str | None, name: str, words: str) -> None:
        response = send(owner_desk, "/rate/drafts/add", file, name=name)
        assert response.status_code == 422
        assert words in unescape(response.text)
        assert names(owner_desk) == []

    def test_it_names_each_wrong_row_and_loses_nothing_that_was_typed(self, owner_desk: Desk) -> None:
        draft = make(owner_desk)
        response = send(owner_desk, f"/rate/drafts/{draft}/edit", name="Spring & more", rates=WRONG)
        assert response.status_code == 422
        assert re.findall(r'data-label="Line">(\d+)<', response.text) == ["2", "4"]
        assert unescape(response.text.partition("<textarea")[2].partition(">")[2].partition("</textarea>")[0]) == WRONG
        assert 'value="Spring &amp; more"' in response.text
        assert names(owner_desk) == ["New year"]

    def test_it_edits_as_text_what_browsers_send_with_their_line_ends(self, owner_desk: Desk) -> None:
        draft = make(owner_desk)
        text = render_rates(cast.RATES).replace("\n", "\r\n")
        assert send(owner_desk, f"/rate/drafts/{draft}/edit", name="Spring", rates=text).status_code == 303
        assert (find(owner_desk, draft).name, find(owner_desk, draft).rate_count) == ("Spring", 4)

    def test_it_edits_large_drafts_by_file_alone(self, owner_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(draft_pages, "MOST_TYPED", 1)
        draft = make(owner_desk, None)
        html = owner_desk.page(f"/rate/drafts/{draft}/edit")
        assert "<textarea" not in html
        assert "edited in a spreadsheet" in html
        assert send(owner_desk, f"/rate/drafts/{draft}/edit", name="Spring").status_code == 422
        assert send(owner_desk, f"/rate/drafts/{draft}/edit", DEARER, name="Spring").status_code == 303

    def test_it_takes_its_own_download_again(self, owner_desk: Desk) -> None:
        draft = make(owner_desk, None)
        file = owner_desk.browser.get(f"/rate/drafts/{draft}/rates.csv").text
        again = make(owner_desk, file, "again")
        texts = [owner_desk.database.read(lambda c, d=one: stored.rates_text(c, d)) for one in (draft, again)]
        assert texts[0] == texts[1]

    def test_it_deletes_a_draft_and_nothing_else(self, owner_desk: Desk) -> None:
        before = present(owner_desk)
        draft = make(owner_desk)
        path = f"/rate/drafts/{draft}/delete"
        assert "The rates that price calls stay" in owner_desk.page(path)
        assert owner_desk.post(path, {"submission": "one"}).status_code == 303
        assert names(owner_desk) == []
        assert present(owner_desk) == before
        assert owner_desk.browser.get(f"/rate/drafts/{draft}").status_code == 404

    def test_it_tells_what_the_check_finds_in_it(self, owner_desk: Desk) -> None:
        draft = make(owner_desk, f"{DEARER}1,copy,9,9,0.1,60,0.03,55,,,,all\n1,gone,7,0,0,0,1,60,,,,777\n")
        assert "The check found 2 things" in owner_desk.page(f"/rate/drafts/{draft}")
        assert [row[0] for row in cells(owner_desk.page(f"/rate/drafts/{draft}/check"))] == ["Never wins", "For nobody"]
        lines = list(csv.reader(io.StringIO(owner_desk.browser.get(f"/rate/drafts/{draft}/check.csv").text)))
        assert ["Draft", "New year"] in [[cell.removeprefix("\ufeff") for cell in line] for line in lines]


class TestActivating:
    def test_it_makes_the_draft_the_rates_and_says_so(self, owner_desk: Desk) -> None:
        draft = make(owner_desk)
        assert do(owner_desk, draft, "activate").status_code == 303
        assert [rate.rate_micros for rate in present(owner_desk)] == [30_000]
        html = owner_desk.page(f"/rate/drafts/{draft}")
        assert "Activated on 2026-03-02 10:00:00 by owner" in html
        assert "Take it back" in html

    def test_it_does_nothing_where_the_rates_were_changed_since(self, owner_desk: Desk) -> None:
        draft = make(owner_desk)
        html = owner_desk.page(f"/rate/drafts/{draft}")
        owner_desk.database.write(lambda c: rates.activate(c, 1, False, cast.MANAGER))
        before = present(owner_desk)
        form = {"seen": hidden(html, "seen"), "submission": "one"}
        response = owner_desk.post(f"/rate/drafts/{draft}/activate", form)
        assert response.status_code == 422
        assert "changed since you looked" in response.text
        assert present(owner_desk) == before

    def test_it_schedules_in_the_time_of_the_site(self, owner_desk: Desk) -> None:
        draft = make(owner_desk)
        response = do(owner_desk, draft, "schedule", day="2026-07-01", time="00:30")
        assert response.status_code == 303
        at_ms = find(owner_desk, draft).activate_at_ms
        assert at_ms is not None
        assert local_moment(at_ms, cast.SITE.time_zone).isoformat() == "2026-07-01T00:30:00+02:00"

    @pytest.mark.parametrize(
        ("day", "time", "words"),
        [
            ("", "00:00", "fill this in"),
            ("2026-07-01", "", "fill this in"),
            ("2026-07-01", "24:00", "not a time of day"),
            ("2026-02-30", "00:00", "write a day"),
            ("2026-03-29", "02:30", "clocks are set forward over this time"),
            ("2026-03-02", "10:00:00", "this time is over"),
            ("2025-03-02", "10:00:00", "this time is over"),
        ],
    )
    def test_it_schedules_nothing_for_a_time_that_is_none(
        self, owner_desk: Desk, day: str, time: str, words: str
    ) -> None:
        draft = make(owner_desk)
        response = do(owner_desk, draft, "schedule", day=day, time=time)
        assert response.status_code == 422
        assert words in unescape(response.text)
        assert f'value="{day}"' in response.text
        assert find(owner_desk, draft).state == "draft"

    def test_it_shows_what_is_scheduled_above_the_rates_and_cancels_it_there(self, owner_desk: Desk) -> None:
        draft = make(owner_desk)
        do(owner_desk, draft, "schedule", day="2026-07-01", time="00:00")
        html = owner_desk.page("/rate")
        assert "On 2026-07-01 00:00:00 the draft New year replaces all rates" in html
        assert owner_desk.browser.get(f"/rate/drafts/{draft}/edit").status_code == 303
        start = html.partition(f'action="/rate/drafts/{draft}/cancel"')[2]
        owner_desk.post(f"/rate/drafts/{draft}/cancel", {"submission": hidden(start, "submission")}, "/rate")
        assert find(owner_desk, draft).state == "draft"
        assert "replaces all rates" not in owner_desk.page("/rate")

    def test_it_takes_back_what_it_shows(self, owner_desk: Desk) -> None:
        before = present(owner_desk)
        draft = make(owner_desk)
        do(owner_desk, draft, "activate")
        assert sorted(row[0] for row in cells(owner_desk.page(f"/rate/drafts/{draft}"))) == ["Added"] * 3 + ["Changed"]
        assert do(owner_desk, draft, "take-back").status_code == 303
        assert present(owner_desk) == before
        assert "Taken back" in owner_desk.page("/rate/drafts")

    def test_it_warns_of_what_a_clock_activated_that_was_ahead(self, owner_desk: Desk) -> None:
        draft = make(owner_desk)
        owner_desk.now_ms += 30 * 86_400_000
        owner_desk.sign_in()
        do(owner_desk, draft, "activate")
        owner_desk.now_ms -= 30 * 86_400_000
        owner_desk.sign_in()
        assert "The clock was ahead then" in owner_desk.page(f"/rate/drafts/{draft}")

    def test_it_tells_the_audit_log_in_words(self, owner_desk: Desk) -> None:
        draft = make(owner_desk)
        do(owner_desk, draft, "schedule", day="2026-07-01", time="00:00")
        html = owner_desk.page("/audit-log")
        assert "Draft of rates New year" in html
        assert "To be activated" in html
        assert "2026-07-01 00:00:00" in html

    def test_it_lets_auditors_look_and_nothing_more(self, owner_desk: Desk) -> None:
        draft = make(owner_desk)
        owner_desk.someone(Role.AUDITOR)
        html = owner_desk.page(f"/rate/drafts/{draft}")
        for words in ("Activate now", "Activate at", "Edit", "Delete"):
            assert words not in html


class TestWhatIf:
    def test_it_asks_for_last_month(self, owner_desk: Desk) -> None:
        draft = make(owner_desk)
        assert owner_desk.leads_to(f"/rate/drafts/{draft}/what-if") == (
            f"/rate/drafts/{draft}/what-if?from=2026-02-01&to=2026-02-28"
        )

    def test_it_shows_the_difference_by_extension(self, owner_desk: Desk) -> None:
        story.tell(owner_desk.database)
        draft = make(owner_desk)
        html = owner_desk.page(f"/rate/drafts/{draft}/what-if?{MARCH}")
        assert cells(html) == [
            ["Sales[101]", "1", "0:01:01", "2.0000", "2.0000", "0.0000", "-2.0000", "1", "0"],
            ["Reception[100]", "2", "0:04:37", "0.2800", "0.2800", "0.3200", "0.0400", "0", "0"],
        ]
        assert "-$1.9600" in html

    def test_it_shows_the_difference_by_destination_sorted(self, owner_desk: Desk) -> None:
        story.tell(owner_desk.database)
        draft = make(owner_desk)
        path = f"/rate/drafts/{draft}/what-if?{MARCH}&by=destination"
        assert [row[0] for row in cells(owner_desk.page(path))] == ["abroad (00)", "city (9)"]
        assert [row[0] for row in cells(owner_desk.page(f"{path}&sort=-difference"))] == ["city (9)", "abroad (00)"]

    def test_it_lists_the_calls_that_change_their_fate(self, owner_desk: Desk) -> None:
        story.tell(owner_desk.database)
        draft = make(owner_desk)
        path = f"/rate/drafts/{draft}/what-if?{MARCH}&by=call"
        assert cells(owner_desk.page(path)) == [
            ["2026-03-02 10:08:00", "101", "0034911234567", "00:01:01", "2.0000", "0.0000", "Would be refused"]
        ]
        copy = make(owner_desk, None, "copy")
        assert "No call would change its fate" in owner_desk.page(f"/rate/drafts/{copy}/what-if?{MARCH}&by=call")

    def test_it_can_be_downloaded_with_its_totals(self, owner_desk: Desk) -> None:
        story.tell(owner_desk.database)
        draft = make(owner_desk)
        for by, last in (
            ("extension", ["Total", "3", "0:05:38", "2.2800", "2.2800", "0.3200", "-1.9600", "1", "0"]),
            ("call", None),
        ):
            path = f"/rate/drafts/{draft}/what-if.csv?{MARCH}&by={by}"
            lines = list(csv.reader(io.StringIO(owner_desk.browser.get(path, buffered=True).text)))
            assert last is None or lines[-1] == last
            assert lines[-1][-1] == "0" if last else lines[-1][6] == "Would be refused"
        assert owner_desk.browser.get(f"/rate/drafts/{draft}/what-if.xlsx?{MARCH}", buffered=True).data.startswith(
            b"PK"
        )

    @pytest.mark.parametrize(
        ("period", "words"),
        [
            ("from=2026-03-02", "fill this in"),
            ("from=x&to=2026-03-02", "write a day"),
            ("from=2026-03-02&to=2026-03-01", "before the first one"),
        ],
    )
    def test_it_says_which_days_cannot_be(self, owner_desk: Desk, period: str, words: str) -> None:
        draft = make(owner_desk)
        response = owner_desk.browser.get(f"/rate/drafts/{draft}/what-if?{period}")
        assert (response.status_code, words in response.text) == (422, True)
        assert owner_desk.browser.get(f"/rate/drafts/{draft}/what-if.csv?{period}").status_code in (400, 409, 422)

    def test_it_says_when_there_are_too_many_calls(self, owner_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        story.tell(owner_desk.database)
        draft = make(owner_desk)
        monkeypatch.setattr(what_if, "MOST_CALLS", 1)
        response = owner_desk.browser.get(f"/rate/drafts/{draft}/what-if?{MARCH}")
        assert (response.status_code, "choose fewer days" in response.text) == (422, True)

    def test_it_compares_once_for_its_pages_and_anew_where_something_changed(
        self, owner_desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = []
        compare = what_if.compare
        monkeypatch.setattr(what_if, "compare", lambda *given: made.append(1) or compare(*given))
        draft = make(owner_desk)
        path = f"/rate/drafts/{draft}/what-if?{MARCH}"
        for by in ("extension", "destination", "call"):
            owner_desk.page(f"{path}&by={by}")
        assert len(made) == 1
        owner_desk.database.write(lambda c: rates.activate(c, 1, False, cast.MANAGER))
        owner_desk.page(path)
        assert len(made) == 2
        owner_desk.now_ms += shelf.KEPT_MS
        owner_desk.page(path)
        assert len(made) == 3

    def test_it_says_where_no_call_was_priced(self, owner_desk: Desk) -> None:
        draft = make(owner_desk)
        assert "No priced call in this time" in owner_desk.page(f"/rate/drafts/{draft}/what-if?{MARCH}")


def fetched_later(html: str) -> str:
    return unescape(html.partition('id="found"')[2].partition('hx-get="')[2].partition('"')[0])


def test_what_changes_among_many_rates_is_fetched_after_the_page_is_shown(
    owner_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = make(owner_desk)
    whole = owner_desk.page(f"/rate/drafts/{draft}")
    monkeypatch.setattr(check, "CHECKED_AT_ONCE", 3)
    html = owner_desk.page(f"/rate/drafts/{draft}")
    later = fetched_later(html)
    assert "Activate now" in whole
    assert "Activate now" not in html
    assert cells(owner_desk.page(later)) == cells(whole)
    form = {"seen": "another", "submission": hidden(owner_desk.page(later), "submission")}
    refused = owner_desk.post(f"/rate/drafts/{draft}/activate", form, "/rate/drafts/add")
    assert refused.status_code == 422
    assert cells(refused.text) == cells(whole)


def test_what_if_among_many_rates_too(owner_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    draft = make(owner_desk)
    whole = owner_desk.page(f"/rate/drafts/{draft}/what-if?{MARCH}")
    monkeypatch.setattr(check, "CHECKED_AT_ONCE", 3)
    html = owner_desk.page(f"/rate/drafts/{draft}/what-if?{MARCH}&by=call")
    assert "in this time" not in html
    assert "by=call" in fetched_later(html)
    assert "No priced call in this time" in whole
    assert "No priced call in this time" in owner_desk.page(fetched_later(html))
    assert "what-if.xlsx" in html
    monkeypatch.setattr(what_if, "MOST_CALLS", -1)
    refused = owner_desk.browser.get(f"/rate/drafts/{draft}/what-if?{MARCH}")
    assert refused.status_code == 422
    assert "choose fewer days" in refused.text
    wrong = owner_desk.browser.get(f"/rate/drafts/{draft}/what-if?from=2026-03-02&to=2026-03-01")
    assert wrong.status_code == 422


def test_it_compares_no_tariff_that_is_too_large(owner_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "MOST_REPLACED", 3)
    response = owner_desk.post("/rate/drafts/add", {"name": "copy", "submission": "once"})
    assert response.status_code == 422
    assert "there are 4 rates, and up to 3 are replaced as a whole" in response.text
    assert owner_desk.browser.get("/rate/drafts").status_code == 200


@pytest.mark.parametrize("at_once", [3, 200])
def test_what_was_scheduled_before_a_tariff_grew_too_large_can_be_canceled(
    owner_desk: Desk, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    draft = make(owner_desk)
    do(owner_desk, draft, "schedule", day="2026-07-01", time="00:00")
    monkeypatch.setattr(rates, "MOST_REPLACED", 3)
    monkeypatch.setattr(check, "CHECKED_AT_ONCE", at_once)
    html = owner_desk.page(f"/rate/drafts/{draft}")
    assert "there are 4 rates, and up to 3 are replaced as a whole" in html
    assert "The check found nothing" not in html
    start = html.partition(f'action="/rate/drafts/{draft}/cancel"')[2]
    owner_desk.post(f"/rate/drafts/{draft}/cancel", {"submission": hidden(start, "submission")}, "/rate")
    assert find(owner_desk, draft).state == "draft"
    assert "What activating it now would change" not in owner_desk.page(f"/rate/drafts/{draft}")
