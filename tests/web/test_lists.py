"""The guide's *Extensions* and *Call Log* pages, read as a person reads them."""

import html
import re
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from coovox_billing.core.call import ALONE, CLOCK, CORRECTED, LOST, UNCOLLECTED, Source
from coovox_billing.core.site_settings import site_setting
from coovox_billing.services import accounts, owner, site
from coovox_billing.store.database import open_database
from coovox_billing.store.queries import LoggedCall
from coovox_billing.web import formats
from coovox_billing.web.call_log import CALLS_PER_PAGE, page_number
from tests import cast
from tests.web import story
from tests.web.conftest import PASSWORD, Desk


def words(fragment: str) -> str:
    return html.unescape(" ".join(re.sub(r"<[^>]+>", " ", fragment).split()))


def header(page: str) -> list[str]:
    return [words(cell) for cell in re.findall(r'<th scope="col".*?</th>', page, re.DOTALL)]


def rows(page: str) -> list[list[str]]:
    body = page.partition("<tbody>")[2].partition("</tbody>")[0]
    return [
        [words(cell) for cell in re.findall(r"<t[hd] .*?</t[hd]>", row, re.DOTALL)]
        for row in re.findall(r"<tr>.*?</tr>", body, re.DOTALL)
    ]


def reasons(page: str) -> list[str]:
    return [words(row) for row in re.findall(r'<tr class="why">.*?</tr>', page, re.DOTALL)]


def set_currency(desk: Desk, currency: str) -> None:
    desk.database.write(lambda connection: site.change_setting(connection, "currency", currency, cast.MANAGER))


def test_it_has_the_guides_columns_of_extensions(owner_desk: Desk) -> None:
    assert header(owner_desk.page("/extensions")) == [
        "Extension", "Username", "Total Recharges($)", "Balance($)", "Credit($)", "Payment Type", "Status",
        "Billing", "Held($)",
    ]  # fmt: skip


def test_it_lists_every_extension_by_number(owner_desk: Desk) -> None:
    assert rows(owner_desk.page("/extensions")) == [
        ["100", "Reception", "10.0000", "10.0000", "0.0000", "Prepaid", "Unlocked", "On", "0.0000"],
        ["101", "Sales", "0.0000", "0.0000", "50.0000", "Postpaid", "Unlocked", "On", "0.0000"],
        ["102", "Lobby", "10.0000", "10.0000", "0.0000", "Prepaid", "Locked", "On", "0.0000"],
        ["103", "Kitchen", "0.0000", "0.0000", "0.0000", "Prepaid", "Unlocked", "Off", "0.0000"],
    ]


def test_it_counts_the_extensions_as_the_guide_does(owner_desk: Desk) -> None:
    assert "4 Total" in owner_desk.page("/extensions")


def test_it_shows_what_calls_cost_and_hold(owner_desk: Desk) -> None:
    story.tell(owner_desk.database)
    shown = {row[0]: row for row in rows(owner_desk.page("/extensions"))}
    assert shown["100"][3] == "9.7200"
    assert shown["101"][3] == "-2.0000"
    assert float(shown["101"][8]) > 0


@pytest.mark.parametrize(("currency", "sign"), [("USD", "$"), ("CNY", "¥"), ("EUR", "€"), ("GBP", "£"), ("Other", "¤")])
def test_it_writes_the_sites_currency(owner_desk: Desk, currency: str, sign: str) -> None:
    set_currency(owner_desk, currency)
    assert f"Balance({sign})" in header(owner_desk.page("/extensions"))
    story.tell(owner_desk.database)
    assert f"Cost({sign})" in header(owner_desk.page("/call-log"))


def test_it_knows_a_sign_for_every_currency_that_can_be_set() -> None:
    assert all(site_setting("currency").check(name) for name in formats.CURRENCY_SIGNS)
    assert len(formats.CURRENCY_SIGNS) == 5


def test_it_has_the_guides_columns_of_calls(owner_desk: Desk) -> None:
    story.tell(owner_desk.database)
    assert header(owner_desk.page("/call-log")) == [
        "Start Time", "Call From", "Call To", "Duration", "Trunk Name", "Cost($)", "Status"
    ]  # fmt: skip


def test_it_logs_the_newest_call_first(owner_desk: Desk) -> None:
    story.tell(owner_desk.database)
    not_billed = "Answered: not billed"
    assert rows(owner_desk.page("/call-log")) == [
        ["2026-03-02 10:12:00", "Sales[101]", "988360046", "–", "FXO-1", "–", "In progress"],
        ["2026-03-02 10:11:00", "Kitchen[103]", "965302387", "00:00:05", "FXO-1", "0.0000", not_billed],
        ["2026-03-02 10:10:00", "Reception[100]", "988360046", "00:00:00", "FXO-1", "0.0000", "No answer"],
        ["2026-03-02 10:09:00", "Lobby[102]", "988360046", "00:00:00", "FXO-1", "0.0000", "Refused: locked"],
        ["2026-03-02 10:08:00", "Sales[101]", "0034911234567", "00:01:01", "FXO-1", "2.0000", "Answered"],
        ["2026-03-02 10:01:00", "Reception[100]", "988360046", "00:03:58", "FXO-1", "0.1800", "Answered"],
        ["2026-03-02 10:00:00", "Reception[100]", "965302387", "00:00:39", "FXO-1", "0.1000", "Answered"],
    ]
    assert "7 Total" in owner_desk.page("/call-log")


def test_it_says_why_a_call_cost_what_it_did(owner_desk: Desk) -> None:
    story.talk(owner_desk.database, "guide", "100", cast.CITY_NUMBER, cast.NOW_MS, 238)
    (why,) = reasons(owner_desk.page("/call-log"))
    assert "wins: prefix 9, exactly 9 digits" in why
    assert "4 started units of 55 s" in why
    assert "balance 10.0000 before, 9.8200 after" in why


def test_it_says_what_a_running_call_holds(owner_desk: Desk) -> None:
    story.ask(owner_desk.database, "now", "100", "0044", cast.NOW_MS)
    (why,) = reasons(owner_desk.page("/call-log"))
    assert "$10.0000 is held while the call runs" in why


def test_it_says_nothing_where_nothing_was_priced(owner_desk: Desk) -> None:
    story.talk(owner_desk.database, "kitchen", "103", cast.CITY_NUMBER, cast.NOW_MS, 5)
    page = owner_desk.page("/call-log")
    (facts,) = reasons(page)
    assert "Why this price" not in facts
    assert facts.startswith("The call Device PJSIP/103 Asked 2026-03-02 10:00:00 Answered 2026-03-02 10:00:05")


def test_it_tells_everything_of_a_call_that_did_not_go_its_usual_way(owner_desk: Desk) -> None:
    """It rang, died with the PBX, was closed by rule, and was corrected when its record turned up."""
    story.lose(owner_desk.database, "1", "100", cast.CITY_NUMBER, cast.NOW_MS)
    (facts,) = reasons(owner_desk.page("/call-log"))
    assert "closed by rule: nobody told how it ended" in facts
    assert "End told by nobody: closed by rule, charged up to its last sign of life" in facts
    assert "Flags look at it: nobody told how it ended" in facts
    story.turn_up(owner_desk.database, "1", cast.NOW_MS, 116)
    (facts,) = reasons(owner_desk.page("/call-log"))
    assert "Ringing 2026-03-02 10:00:00 Answered 2026-03-02 10:00:07 Ended 2026-03-02 10:02:03" in facts
    assert "End told by what Asterisk kept while billing was away (AstDB)" in facts
    assert "Flags closed by rule first, then corrected" in facts


@pytest.mark.parametrize("flag", [ALONE, CLOCK, CORRECTED, LOST, UNCOLLECTED])
def test_it_has_words_for_every_flag_and_source(flag: str) -> None:
    assert flag in formats._FLAGS
    assert formats._SETTLED_BY.keys() == set(Source)


def test_it_says_what_to_do_where_there_is_nothing_yet(tmp_path: Path) -> None:
    with open_database(tmp_path / "new") as database:
        database.write(lambda connection: site.prepare(connection, "UTC"))
        database.write(lambda connection: owner.set_password(connection, PASSWORD, cast.MANAGER))
        desk = Desk(database, tmp_path / "new")
        desk.open()
        desk.sign_in()
        assert 'coovox-billing extension add 100 --name "Reception"' in words(desk.page("/extensions"))
        assert "coovox-billing pbx check" in words(desk.page("/call-log"))
        assert "0 Total" in desk.page("/call-log")


def many_calls(desk: Desk, number: int) -> None:
    for index in range(number):
        story.ring_out(desk.database, f"call-{index}", "103", f"9{index:08d}", cast.NOW_MS + index * 1000)


def test_it_turns_pages(owner_desk: Desk) -> None:
    many_calls(owner_desk, CALLS_PER_PAGE + 2)
    first, second = owner_desk.page("/call-log"), owner_desk.page("/call-log?page=2")
    assert len(rows(first)) == CALLS_PER_PAGE
    assert [row[2] for row in rows(second)] == ["900000001", "900000000"]
    assert "Page 1 of 2" in first
    assert "Older" in first
    assert "Newer" not in first
    assert "Page 2 of 2" in second
    assert "Older" not in second
    assert "Newer" in second


def test_it_needs_no_pages_for_few_calls(owner_desk: Desk) -> None:
    many_calls(owner_desk, 3)
    assert "Page 1 of" not in owner_desk.page("/call-log")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("", 1),
        ("1", 1),
        ("3", 3),
        ("0", 1),
        ("-1", 1),
        ("99", 7),
        ("9" * 400, 1),
        ("x", 1),
        ("²", 1),
        ("1; DROP", 1),
    ],
)
def test_it_reads_a_page_number_and_nothing_else(text: str, number: int) -> None:
    assert page_number(text, 7) == number


def test_it_reads_the_database_anew_for_each_page(owner_desk: Desk) -> None:
    before = owner_desk.page("/extensions")
    owner_desk.database.write(lambda connection: accounts.recharge(connection, "100", 5_000_000, cast.MANAGER))
    assert "15.0000" not in before
    assert "15.0000" in owner_desk.page("/extensions")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "00:00:00"), (39, "00:00:39"), (238, "00:03:58"), (360_000, "100:00:00")]
)
def test_it_writes_durations_as_the_guide_does(seconds: int, text: str) -> None:
    assert formats.duration(seconds) == text


def test_it_writes_times_in_the_sites_zone() -> None:
    assert formats.moment(1559314811000, ZoneInfo("UTC")) == "2019-05-31 15:00:11"
    assert formats.moment(1559314811000, ZoneInfo("Asia/Shanghai")) == "2019-05-31 23:00:11"


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


@pytest.mark.parametrize("path", ["/extensions", "/call-log"])
@pytest.mark.parametrize(
    ("asked", "seconds"), [("5", 5), ("2", 2), ("60", 60), ("1", 0), ("61", 0), ("5;url=//evil", 0), ("٥", 0), ("", 0)]
)
def test_it_loads_itself_again_when_it_is_asked_to(owner_desk: Desk, path: str, asked: str, seconds: int) -> None:
    page = owner_desk.page(f"{path}?refresh={asked}")
    assert re.findall(r'http-equiv="refresh" content="(.*?)"', page) == ([str(seconds)] if seconds else [])
    assert ("stop" in page) == bool(seconds)
