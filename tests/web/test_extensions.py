"""The guide's *Extensions*: its list, its forms, and what they do once, for all or for none."""

import csv
import html
import io
import re
from typing import Any

import pytest
from openpyxl import load_workbook

from coovox_billing import web_plane
from coovox_billing.core.devices import Found, Listing
from coovox_billing.core.money import parse_amount
from coovox_billing.errors import SetupError
from coovox_billing.services import accounts, payments, stays
from tests import cast
from tests.web import story
from tests.web.conftest import PASSWORD, Desk

RECHARGE, BULK = "/extensions/recharge", "/extensions/bulk-edit"


def words(fragment: str) -> str:
    return html.unescape(" ".join(re.sub(r"<[^>]+>", " ", fragment).split()))


def rows(page: str) -> list[list[str]]:
    """The text of each cell of each row, without the box before it and the options after it."""
    body = page.partition("<tbody>")[2].partition("</tbody>")[0]
    cells = [re.findall(r"<t[hd][ >].*?</t[hd]>", row, re.S) for row in re.findall(r"<tr.*?</tr>", body, re.S)]
    return [
        [words(cell) for cell in row if 'class="pick"' not in cell and 'class="options"' not in cell] for row in cells
    ]


def numbers(desk: Desk, search: str = "") -> list[str]:
    return [row[0] for row in rows(desk.page(f"/extensions?{search}"))]


def account(desk: Desk, number: str) -> dict[str, Any]:
    return dict(desk.database.write(lambda connection: accounts.find(connection, number)))


def hidden(page: str) -> dict[str, str]:
    """What the fields of the page's form hold: what a browser sends if nothing is changed."""
    form = page.partition('<form class="form"')[2].partition("</form>")[0]
    fields = {}
    for tag in re.findall(r"<input[^>]*>", form):
        given = dict(re.findall(r'([a-z-]+)="([^"]*)"', tag))
        if given.get("type") in ("checkbox", "radio") and " checked" not in tag:
            continue
        if "name" in given:
            fields[given["name"]] = html.unescape(given.get("value", ""))
    for name, options in re.findall(r'<select[^>]* name="([^"]+)".*?>(.*?)</select>', form, re.S):
        chosen = re.search(r'<option value="([^"]*)" selected', options) or re.search(
            r'<option value="([^"]*)"', options
        )
        fields[name] = chosen[1] if chosen else ""
    return fields


def send(desk: Desk, path: str, opened: str = "", **changes: str) -> Any:
    """Open a form, change some of its fields, send it; `None` takes a field (a switch that is off) away."""
    fields = hidden(desk.page(opened or path)) | changes
    return desk.browser.post(path, data={name: value for name, value in fields.items() if value is not None})


def told(desk: Desk) -> str:
    """What the list says of what was done last."""
    return words(desk.page("/extensions").partition('class="toasts"')[2].partition("<header")[0])


def many(desk: Desk, count: int) -> None:
    def add(connection: Any) -> None:
        for number in range(count):
            accounts.add(connection, str(200 + number), f"Room {number}", cast.MANAGER)

    desk.database.write(add)


# The list


def test_it_has_the_guides_columns(owner_desk: Desk) -> None:
    page = owner_desk.page("/extensions")
    heads = [words(cell) for cell in re.findall(r'<th scope="col".*?</th>', page, re.DOTALL)]
    assert heads == [
        "Extension", "Username", "Total Recharges($)", "Balance($)", "Credit($)", "Payment Type", "Status",
        "Billing", "Held($)", "Options",
    ]  # fmt: skip
    assert rows(page) == [
        ["100", "Reception", "10.0000", "10.0000", "0.0000", "Prepaid", "Unlocked", "On", "0.0000"],
        ["101", "Sales", "0.0000", "0.0000", "50.0000", "Postpaid", "Unlocked", "On", "0.0000"],
        ["102", "Lobby", "10.0000", "10.0000", "0.0000", "Prepaid", "Locked", "On", "0.0000"],
        ["103", "Kitchen", "0.0000", "0.0000", "0.0000", "Prepaid", "Unlocked", "Off", "0.0000"],
    ]
    assert "0 Selected / 4 Total" in words(page)


def test_it_shows_what_calls_cost_and_hold(owner_desk: Desk) -> None:
    story.tell(owner_desk.database)
    shown = {row[0]: row for row in rows(owner_desk.page("/extensions"))}
    assert shown["100"][3] == "9.7200"
    assert shown["101"][3] == "-2.0000"
    assert float(shown["101"][8]) > 0


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("keywords=10", ["100", "101", "102", "103"]),
        ("keywords=kitch", ["103"]),
        ("keywords=%25", []),
        ("status=locked", ["102"]),
        ("status=unlocked&billing=on", ["100", "101"]),
        ("payment_type=postpaid", ["101"]),
        ("billing=off", ["103"]),
        ("sort=-extension", ["103", "102", "101", "100"]),
        ("sort=-balance", ["100", "102", "101", "103"]),
        ("sort=name", ["103", "102", "100", "101"]),
        ("sort=-total&status=unlocked", ["100", "101", "103"]),
    ],
)
def test_it_searches_and_sorts(owner_desk: Desk, search: str, found: list[str]) -> None:
    assert numbers(owner_desk, search) == found


def test_it_sorts_numbers_by_length_first(owner_desk: Desk) -> None:
    for number in ("99", "1000", "desk"):
        owner_desk.database.write(lambda c, number=number: accounts.add(c, number, "", cast.MANAGER))
    assert numbers(owner_desk) == ["99", "100", "101", "102", "103", "1000", "desk"]


@pytest.mark.parametrize("search", ["status=broken", "sort=balance_micros;--", "payment_type=x", "billing=1"])
def test_it_passes_over_what_it_does_not_know(owner_desk: Desk, search: str) -> None:
    assert numbers(owner_desk, search) == ["100", "101", "102", "103"]


def test_it_turns_pages_and_keeps_the_search(owner_desk: Desk) -> None:
    many(owner_desk, 25)
    page = owner_desk.page("/extensions?keywords=Room&per_page=10&sort=-extension&page=2")
    assert [row[0] for row in rows(page)] == [str(number) for number in range(214, 204, -1)]
    assert "keywords=Room&amp;per_page=10&amp;sort=-extension&amp;page=3" in page
    assert 'data-all="25"' in page


def test_it_downloads_what_it_shows(owner_desk: Desk) -> None:
    search = "status=unlocked&sort=-balance"
    shown = rows(owner_desk.page(f"/extensions?{search}"))
    text = owner_desk.browser.get(f"/extensions.csv?{search}").text.removeprefix("\ufeff")
    lines = list(csv.reader(io.StringIO(text)))
    assert lines[1] == ["Status", "Unlocked"]
    assert lines[7:-1] == shown
    assert lines[-1] == ["Total", "", "10.0000", "10.0000", "50.0000", "", "", "", "0.0000"]
    book = load_workbook(io.BytesIO(owner_desk.browser.get(f"/extensions.xlsx?{search}").data))
    values = [[cell.value for cell in row] for row in book.active.iter_rows()]
    assert values[7][:5] == ["100", "Reception", 10, 10, 0]


def test_it_says_what_to_do_where_there_is_nothing(owner_desk: Desk) -> None:
    assert "Nothing matches" in owner_desk.page("/extensions?keywords=nobody")
    for number in ("100", "101", "102", "103"):
        owner_desk.database.write(lambda c, number=number: accounts.close(c, number, cast.MANAGER))
    assert "No extension yet" in owner_desk.page("/extensions")


# Recharge


def test_it_recharges_one_as_the_guide_shows(owner_desk: Desk) -> None:
    page = owner_desk.page(f"{RECHARGE}?extension=100")
    assert "Recharge 100" in page
    assert "Extension 100 Username Reception Balance($) 10.0000" in words(page)
    assert send(owner_desk, RECHARGE, f"{RECHARGE}?extension=100", amount="12.5").status_code == 303
    assert account(owner_desk, "100")["balance_micros"] == parse_amount("22.5")
    assert "100 is recharged with $12.5000." in told(owner_desk)


def test_it_recharges_those_that_are_selected(owner_desk: Desk) -> None:
    opened = f"{RECHARGE}?extension=100&extension=103&extension=100&extension=999"
    assert "2 extensions: 100, 103" in words(owner_desk.page(opened))
    send(owner_desk, RECHARGE, opened, amount="5")
    assert [account(owner_desk, n)["balance_micros"] for n in ("100", "101", "103")] == [15_000_000, 0, 5_000_000]


def test_it_recharges_all_that_match_the_search(owner_desk: Desk) -> None:
    many(owner_desk, 30)
    opened = f"{RECHARGE}?keywords=Room&all=1&extension=100"
    assert "30 extensions: 200, 201" in words(owner_desk.page(opened))
    send(owner_desk, RECHARGE, opened, amount="5")
    assert account(owner_desk, "100")["balance_micros"] == 10_000_000
    assert [account(owner_desk, n)["balance_micros"] for n in ("200", "229")] == [5_000_000, 5_000_000]
    assert "30 extensions are recharged with $5.0000 each." in told(owner_desk)


def test_it_recharges_whom_the_form_named_not_who_matches_meanwhile(owner_desk: Desk) -> None:
    fields = hidden(owner_desk.page(f"{RECHARGE}?all=1")) | {"amount": "5"}
    owner_desk.database.write(lambda c: accounts.add(c, "104", "Late", cast.MANAGER))
    assert owner_desk.browser.post(RECHARGE, data=fields).status_code == 303
    assert account(owner_desk, "104")["balance_micros"] == 0


def test_it_recharges_once_however_often_the_form_is_sent(owner_desk: Desk) -> None:
    fields = hidden(owner_desk.page(f"{RECHARGE}?extension=100&extension=101")) | {"amount": "5"}
    for _ in range(3):
        assert owner_desk.browser.post(RECHARGE, data=fields).status_code == 303
    assert account(owner_desk, "101")["balance_micros"] == 5_000_000
    assert "Not done again" in told(owner_desk)


def test_it_recharges_nobody_where_one_cannot_be(owner_desk: Desk) -> None:
    fields = hidden(owner_desk.page(f"{RECHARGE}?extension=100&extension=103")) | {"amount": "5"}
    owner_desk.database.write(lambda c: accounts.close(c, "103", cast.MANAGER))
    response = owner_desk.browser.post(RECHARGE, data=fields)
    assert response.status_code == 422
    assert "extension 103 is closed" in words(response.text)
    assert account(owner_desk, "100")["balance_micros"] == 10_000_000


@pytest.mark.parametrize("amount", ["", "0", "-5", "abc", "1.00001", "1,5", "1e3", "9999999999", "\u0661"])
def test_it_takes_no_recharge_that_is_no_amount(owner_desk: Desk, amount: str) -> None:
    response = send(owner_desk, RECHARGE, f"{RECHARGE}?extension=100", amount=amount, remark="desk 1")
    assert response.status_code == 422
    assert 'id="amount-error"' in response.text
    again = hidden(response.text)
    assert (again["extensions"], again["amount"], again["remark"]) == ("100", amount, "desk 1")
    assert account(owner_desk, "100")["balance_micros"] == 10_000_000


def test_it_asks_for_a_selection(owner_desk: Desk) -> None:
    for path in (RECHARGE, BULK, f"{RECHARGE}?extension=999", f"{BULK}?all=1&keywords=nobody"):
        response = owner_desk.browser.get(path)
        assert response.status_code == 422
        assert "Select at least one extension" in response.text
    assert owner_desk.post(RECHARGE, {"amount": "5", "submission": "x"}).status_code == 422


def test_it_leads_back_to_the_search_and_nowhere_else(owner_desk: Desk) -> None:
    opened = f"{RECHARGE}?extension=100&status=unlocked&page=2&next=evil"
    response = send(owner_desk, RECHARGE, opened, amount="5")
    assert response.location == "/extensions?status=unlocked&page=2"
    response = send(owner_desk, RECHARGE, opened, amount="5", search="//evil.example/?next=x&%0d%0aSet-Cookie=1&page=3")
    assert response.location == "/extensions?page=3"


def test_it_remembers_the_remark_in_the_history(owner_desk: Desk) -> None:
    send(owner_desk, RECHARGE, f"{RECHARGE}?extension=100", amount="5", remark="cash, desk 1")
    assert "cash, desk 1" in owner_desk.page("/recharge-history")


# Edit


def edit(desk: Desk, number: str, **changes: str | None) -> Any:
    return send(desk, f"/extension/{number}/edit", **changes)


def test_it_edits_what_the_guide_names(owner_desk: Desk) -> None:
    response = edit(
        owner_desk, "103", name="Chef", billing="on", credit="7.5", status="locked", payment_type="postpaid",
        devices="PJSIP/kitchen sip/103",
    )  # fmt: skip
    assert response.status_code == 303
    changed = account(owner_desk, "103")
    assert (changed["name"], changed["billing"], changed["credit_micros"]) == ("Chef", 1, 7_500_000)
    assert (changed["status"], changed["payment_type"]) == ("locked", "postpaid")
    assert hidden(owner_desk.page("/extension/103/edit"))["devices"] == "PJSIP/kitchen SIP/103"


def test_it_changes_nothing_that_was_not_changed_in_the_form(owner_desk: Desk) -> None:
    """It was opened before a call ended and before somebody else locked the extension."""
    fields = hidden(owner_desk.page("/extension/100/edit"))
    story.talk(owner_desk.database, "guide", "100", cast.CITY_NUMBER, cast.NOW_MS, 238)
    locked: dict[str, object] = {"status": "locked", "billing": False, "devices": ["PJSIP/front"], "name": "Desk"}
    owner_desk.database.write(lambda c: accounts.change(c, "100", locked, cast.MANAGER))
    assert owner_desk.browser.post("/extension/100/edit", data=fields | {"credit": "3"}).status_code == 303
    now = account(owner_desk, "100")
    assert (now["balance_micros"], now["credit_micros"]) == (parse_amount("9.82"), 3_000_000)
    assert (now["status"], now["billing"], now["name"]) == ("locked", 0, "Desk")
    changes = cast.look_up(owner_desk.database.path, "SELECT before, after FROM changes ORDER BY id DESC LIMIT 1")
    assert changes == [('{"credit_micros": 0}', '{"credit_micros": 3000000}')]


def test_it_says_so_where_nothing_was_changed(owner_desk: Desk) -> None:
    count = "SELECT count(*) FROM changes"
    before = cast.look_up(owner_desk.database.path, count)
    assert edit(owner_desk, "100").status_code == 303
    assert "Nothing was changed." in told(owner_desk)
    assert cast.look_up(owner_desk.database.path, count) == before


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("credit", "-1", "credit of -1 is negative"),
        ("credit", "", "0 for no credit"),
        ("credit", "much", "is not an amount"),
        ("status", "broken", "choose one of the list"),
        ("payment_type", "free", "choose one of the list"),
        ("name", "x" * 81, "up to 80 printable characters"),
        ("devices", "Local/100@x", "is not a device"),
    ],
)
def test_it_takes_no_edit_that_cannot_be(owner_desk: Desk, field: str, value: str, says: str) -> None:
    before = account(owner_desk, "101")
    response = edit(owner_desk, "101", **{field: value, "name" if field != "name" else "credit": "8"})
    assert response.status_code == 422
    assert says in words(response.text)
    again = hidden(response.text)
    if field not in ("status", "payment_type"):
        assert again[field] == value
    assert again["was_name"] == "Sales"
    assert account(owner_desk, "101") == before


def test_it_takes_no_device_of_somebody_else(owner_desk: Desk) -> None:
    edit(owner_desk, "100", devices="PJSIP/desk")
    response = edit(owner_desk, "101", devices="PJSIP/desk")
    assert response.status_code == 422
    assert "belongs to extension 100" in response.text


@pytest.mark.parametrize("what", ["", "/edit", "/correct", "/close", "/recreated", "/check-in", "/check-out"])
def test_it_knows_no_extension_that_is_not_there(owner_desk: Desk, what: str) -> None:
    assert owner_desk.browser.get(f"/extension/999{what}").status_code == 404


# Bulk Edit


def test_it_changes_what_is_ticked_and_leaves_the_rest_of_each(owner_desk: Desk) -> None:
    before = {number: account(owner_desk, number) for number in ("100", "101", "102", "103")}
    fields: dict[str, Any] = hidden(owner_desk.page(f"{BULK}?all=1"))
    fields |= {"change": ["billing", "credit"], "billing": "on", "credit": "2", "status": "locked", "payment_type": "x"}
    assert owner_desk.browser.post(BULK, data=fields).status_code == 303
    for number, was in before.items():
        now = account(owner_desk, number)
        assert (now["billing"], now["credit_micros"]) == (1, 2_000_000)
        assert (now["status"], now["payment_type"]) == (was["status"], was["payment_type"])
        assert now["balance_micros"] == was["balance_micros"]
    assert "4 extensions are changed." in told(owner_desk)


def test_it_switches_billing_off_where_the_switch_is_off(owner_desk: Desk) -> None:
    fields: dict[str, Any] = hidden(owner_desk.page(f"{BULK}?extension=100")) | {"change": "billing"}
    fields.pop("billing", None)
    owner_desk.browser.post(BULK, data=fields)
    assert account(owner_desk, "100")["billing"] == 0


@pytest.mark.parametrize(
    ("ticked", "credit", "says"),
    [([], "2", "Nothing is ticked"), (["credit"], "", "0 for no credit"), (["credit"], "-2", "is negative")],
)
def test_it_takes_no_bulk_edit_that_cannot_be(owner_desk: Desk, ticked: list[str], credit: str, says: str) -> None:
    fields: dict[str, Any] = hidden(owner_desk.page(f"{BULK}?all=1")) | {"change": ticked, "credit": credit}
    response = owner_desk.browser.post(BULK, data=fields)
    assert response.status_code == 422
    assert says in words(response.text)
    assert hidden(response.text)["extensions"] == "100 101 102 103"
    assert account(owner_desk, "101")["credit_micros"] == 50_000_000


def test_it_restarts_total_recharges_with_the_payment_type(owner_desk: Desk) -> None:
    fields: dict[str, Any] = hidden(owner_desk.page(f"{BULK}?all=1")) | {"change": "payment_type"}
    owner_desk.browser.post(BULK, data=fields | {"payment_type": "postpaid"})
    shown = rows(owner_desk.page("/extensions"))
    assert [row[2] for row in shown] == ["0.0000"] * 4
    assert [row[3] for row in shown] == ["10.0000", "0.0000", "10.0000", "0.0000"]


def test_it_counts_no_recharge_that_was_taken_back(owner_desk: Desk) -> None:
    owner_desk.database.write(lambda c: payments.recharge(c, "100", 5_000_000, cast.MANAGER))
    newest = "SELECT max(id) FROM ledger"
    (entry_id,) = cast.look_up(owner_desk.database.path, newest)[0]
    assert rows(owner_desk.page("/extensions"))[0][2] == "15.0000"
    owner_desk.database.write(lambda c: payments.undo(c, entry_id, "wrong", cast.MANAGER))
    owner_desk.database.write(lambda c: payments.correct(c, "100", 1_000_000, "gift", cast.MANAGER))
    assert rows(owner_desk.page("/extensions"))[0][2:4] == ["10.0000", "11.0000"]


# Correct, add, close, who is back


def test_it_corrects_a_balance_for_a_reason(owner_desk: Desk) -> None:
    assert send(owner_desk, "/extension/100/correct", amount="-2.5", reason="typo").status_code == 303
    assert account(owner_desk, "100")["balance_micros"] == 7_500_000
    assert "typo" in owner_desk.page("/recharge-history")


@pytest.mark.parametrize(
    ("amount", "reason", "says"),
    [
        ("", "why", "with a minus to take money away"),
        ("0", "why", "with a minus to take money away"),
        ("1", " ", "write why"),
        ("-10.0001", "why", "only 10.0000 of balance and credit"),
        ("x", "why", "is not an amount"),
    ],
)
def test_it_takes_no_correction_that_cannot_be(owner_desk: Desk, amount: str, reason: str, says: str) -> None:
    response = send(owner_desk, "/extension/100/correct", amount=amount, reason=reason)
    assert response.status_code == 422
    assert says in words(response.text)
    assert account(owner_desk, "100")["balance_micros"] == 10_000_000


def test_it_adds_an_extension(owner_desk: Desk) -> None:
    assert send(owner_desk, "/extensions/add", number="104", name="Fax", billing="on").status_code == 303
    assert rows(owner_desk.page("/extensions"))[-1][:8] == [
        "104", "Fax", "0.0000", "0.0000", "0.0000", "Prepaid", "Unlocked", "On",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("number", "says"), [("", "like 100"), ("1 2", "is not an extension"), ("100", "is there already")]
)
def test_it_adds_none_that_cannot_be(owner_desk: Desk, number: str, says: str) -> None:
    response = send(owner_desk, "/extensions/add", number=number, name="Fax")
    assert response.status_code == 422
    assert says in words(response.text)
    assert hidden(response.text)["name"] == "Fax"


@pytest.mark.parametrize(("answer", "balance"), [("continue", 10_000_000), ("new", 0)])
def test_it_asks_whether_one_that_is_back_is_the_same(owner_desk: Desk, answer: str, balance: int) -> None:
    assert send(owner_desk, "/extension/100/close").status_code == 303
    assert "100" not in numbers(owner_desk)
    closed = rows(owner_desk.page("/extensions/closed"))
    assert (closed[0][0], closed[0][3]) == ("100", "10.0000")
    send(owner_desk, "/extensions/add", number="100")
    assert "Extension 100 was closed and is there again" in words(owner_desk.page("/extensions"))
    assert send(owner_desk, "/extension/100/recreated").status_code == 422
    assert send(owner_desk, "/extension/100/recreated", answer=answer).status_code == 303
    assert "is there again" not in owner_desk.page("/extensions")
    assert account(owner_desk, "100")["balance_micros"] == balance
    assert send(owner_desk, "/extension/100/recreated", answer=answer).status_code == 422
    assert cast.audited(owner_desk.database.path) == []


def test_it_closes_nobody_who_talks(owner_desk: Desk) -> None:
    story.ask(owner_desk.database, "now", "100", cast.CITY_NUMBER, cast.NOW_MS)
    response = send(owner_desk, "/extension/100/close")
    assert response.status_code == 422
    assert "is in a call" in response.text


# Guests


def test_it_checks_a_guest_in_and_out(owner_desk: Desk) -> None:
    send(owner_desk, "/extension/102/check-in", guest="Ms. Noor", deposit="5")
    now = account(owner_desk, "102")
    assert (now["status"], now["name"], now["balance_micros"]) == ("unlocked", "Ms. Noor", 15_000_000)
    owner_desk.wait(600)
    story.talk(owner_desk.database, "guide", "102", cast.CITY_NUMBER, owner_desk.now_ms, 238)
    owner_desk.wait(600)
    page = words(owner_desk.page("/extension/102/check-out"))
    assert "1 call 00:03:58 0.1800" in page
    assert "Balance before 10.0000" in re.sub(r"\d{4}-[\d: -]+", "", page)
    assert "The guest gets back $14.8200" in page
    response = send(owner_desk, "/extension/102/check-out")
    assert response.status_code == 303
    bill = words(owner_desk.page(response.location))
    assert "Ms. Noor" in bill
    assert "Check-in 5.0000" in bill
    assert "Check-out -14.8200 Balance after 0.0000" in bill
    assert "Balance after 0.0000" in bill
    now = account(owner_desk, "102")
    assert (now["status"], now["name"], now["balance_micros"]) == ("locked", "Lobby", 0)
    assert "Ms. Noor" in owner_desk.page("/extension/102/stays")
    assert cast.audited(owner_desk.database.path) == []


def test_it_checks_out_once(owner_desk: Desk) -> None:
    fields = hidden(owner_desk.page("/extension/100/check-out"))
    locations = {owner_desk.browser.post("/extension/100/check-out", data=fields).location for _ in range(2)}
    assert len(locations) == 1
    assert account(owner_desk, "100")["balance_micros"] == 0
    assert cast.look_up(owner_desk.database.path, "SELECT count(*) FROM stays") == [(1,)]


def test_it_pays_only_the_bill_that_was_shown(owner_desk: Desk) -> None:
    fields = hidden(owner_desk.page("/extension/101/check-out"))
    story.talk(owner_desk.database, "sales", "101", "0034911234567", cast.NOW_MS, 61)
    response = owner_desk.browser.post("/extension/101/check-out", data=fields)
    assert response.status_code == 422
    assert "the balance has changed, it is -2.0000 now" in words(response.text)
    assert "The guest pays $2.0000" in words(response.text)
    assert hidden(response.text)["shown"] == "-2.0000"


def test_it_checks_nobody_out_who_talks(owner_desk: Desk) -> None:
    story.ask(owner_desk.database, "now", "101", cast.CITY_NUMBER, cast.NOW_MS)
    assert "A call is in progress" in owner_desk.page("/extension/101/check-out")
    assert send(owner_desk, "/extension/101/check-out").status_code == 422


@pytest.mark.parametrize("deposit", ["-1", "x", "1.00001"])
def test_it_takes_no_deposit_that_is_no_amount(owner_desk: Desk, deposit: str) -> None:
    response = send(owner_desk, "/extension/102/check-in", guest="Ms. Noor", deposit=deposit)
    assert response.status_code == 422
    assert hidden(response.text)["guest"] == "Ms. Noor"
    assert account(owner_desk, "102")["status"] == "locked"


def test_it_checks_nobody_in_twice(owner_desk: Desk) -> None:
    owner_desk.database.write(lambda c: stays.check_in(c, "102", 0, "", cast.MANAGER))
    response = send(owner_desk, "/extension/102/check-in", guest="Ms. Noor")
    assert response.status_code == 422
    assert "is checked in already" in response.text


# Sync


def synced(desk: Desk, *found: Found) -> Desk:
    """A desk at a PBX that has these devices."""
    desk.open(read_devices=lambda: [Listing("PJSIP", found), Listing("SIP", is_loaded=False)])
    desk.sign_in(PASSWORD)
    return desk


def test_it_shows_what_sync_will_do_and_does_it(desk: Desk) -> None:
    synced(desk, Found("PJSIP/100", "Reception"), Found("PJSIP/300", "New <b>one</b>"), Found("PJSIP/gate"))
    page = desk.page("/extensions/sync")
    assert ["New", "300", "New <b>one</b> (PJSIP/300)"] in rows(page)
    assert "PJSIP 3 devices SIP not there" in words(page)
    assert "PJSIP/gate" in page
    assert "300" not in numbers(desk)
    fields = sync_form(page)
    for _ in range(2):
        assert desk.browser.post("/extensions/sync", data=fields).status_code == 303
    assert "300" in numbers(desk)
    assert "Nothing to change" in desk.page("/extensions/sync")


def test_it_says_what_a_skipped_device_needs_without_naming_a_command(desk: Desk) -> None:
    advice = "If one of these devices is an extension’s: add that extension"
    synced(desk, Found("PJSIP/100", "Reception"), Found("PJSIP/carrier"))
    page = desk.page("/extensions/sync")
    assert ["Skipped", "PJSIP/carrier", "neither its name nor its caller ID is a number"] in rows(
        page.partition("left as it is")[2]
    )
    assert advice in words(page)
    synced(desk, Found("PJSIP/100", "Reception"))
    assert advice not in words(desk.page("/extensions/sync"))


def sync_form(page: str) -> dict[str, str]:
    form = page.partition('<form class="foot"')[2].partition("</form>")[0]
    return dict(re.findall(r'name="([a-z]+)" value="([^"]*)"', form))


def test_it_does_nothing_that_was_not_shown(desk: Desk) -> None:
    found = [Found("PJSIP/300")]
    desk.open(read_devices=lambda: [Listing("PJSIP", tuple(found))])
    desk.sign_in()
    fields = sync_form(desk.page("/extensions/sync"))
    found.append(Found("PJSIP/301"))
    response = desk.browser.post("/extensions/sync", data=fields)
    assert response.status_code == 422
    assert "have changed since" in words(response.text)
    assert ["New", "301", "(PJSIP/301)"] in rows(response.text)
    assert "300" not in numbers(desk)


def test_it_says_what_to_do_where_there_is_no_manager(desk: Desk) -> None:
    def read() -> list[Listing]:
        raise SetupError("Sync asks Asterisk's manager. Run `coovox-billing pbx install` here.")

    desk.open(read_devices=read)
    desk.sign_in()
    response = desk.browser.get("/extensions/sync")
    assert response.status_code == 503
    assert "Run `coovox-billing pbx install` here." in words(response.text)
    response = desk.post("/extensions/sync", {"submission": "x", "shown": "y"})
    assert response.status_code == 503


def test_it_asks_the_manager_that_the_settings_name() -> None:
    with pytest.raises(SetupError, match="It is off"):
        web_plane._read_devices("off")
    with pytest.raises(SetupError, match=r"127\.0\.0\.1:1"):
        web_plane._read_devices("user:secret@127.0.0.1:1")


def test_it_says_so_where_asterisk_tells_of_no_devices(desk: Desk) -> None:
    desk.open(read_devices=lambda: [Listing("PJSIP", trouble="timeout")])
    desk.sign_in()
    assert "Asterisk tells of no devices" in words(desk.browser.get("/extensions/sync").text)


# Files


def show_rows(desk: Desk, text: str | bytes) -> Any:
    data = text.encode() if isinstance(text, str) else text
    form = {"csrf": desk.form_token("/extensions"), "file": (io.BytesIO(data), "extensions.csv")}
    return desk.browser.post("/extensions/import", data=form, content_type="multipart/form-data")


def import_shown(desk: Desk, page: str) -> Any:
    form = page.partition('<form class="foot"')[2].partition("</form>")[0]
    fields = {name: html.unescape(value) for name, value in re.findall(r'name="([a-z]+)" value="([^"]*)"', form, re.S)}
    fields["text"] = fields["text"].replace("\n", "\r\n")
    return desk.browser.post("/extensions/import/do", data=fields, content_type="multipart/form-data")


def test_it_imports_what_it_showed(owner_desk: Desk) -> None:
    text = "number,name,billing,credit,devices\n100,Front desk,,5,PJSIP/desk\n104,Fax,on,,\n103,Kitchen,off,0,\n"
    response = show_rows(owner_desk, text)
    assert response.status_code == 200
    assert rows(response.text) == [
        ["2", "100", "Front desk", "Changed", "Username: Front desk; Credit: 5.0000; Devices: PJSIP/desk"],
        ["3", "104", "Fax", "New", "Billing: On"],
        ["4", "103", "Kitchen", "Unchanged", ""],
    ]
    assert "104" not in numbers(owner_desk)
    for _ in range(2):
        assert import_shown(owner_desk, response.text).status_code == 303
    assert rows(owner_desk.page("/extensions"))[0][:5] == ["100", "Front desk", "10.0000", "10.0000", "5.0000"]
    assert rows(owner_desk.page("/extensions"))[-1][1:8] == [
        "Fax", "0.0000", "0.0000", "0.0000", "Prepaid", "Unlocked", "On",
    ]  # fmt: skip


def test_it_imports_its_own_export_and_changes_nothing(owner_desk: Desk) -> None:
    owner_desk.database.write(
        lambda c: accounts.change(c, "100", {"name": "=1+1", "devices": ["SIP/100", "PJSIP/x"]}, cast.MANAGER)
    )
    exported = owner_desk.browser.get("/extensions/export.csv")
    assert "'=1+1" in exported.text
    count = "SELECT count(*) FROM changes"
    before = cast.look_up(owner_desk.database.path, count)
    page = show_rows(owner_desk, exported.data).text
    assert [row[3] for row in rows(page)] == ["Unchanged"] * 4
    assert import_shown(owner_desk, page).status_code == 303
    assert cast.look_up(owner_desk.database.path, count) == before


def test_it_names_every_bad_row_and_imports_nothing(owner_desk: Desk) -> None:
    text = (
        "number;name;billing;credit;devices\n104;Fax;on;1;\n10 5;x;;;\n106;;perhaps;;\n107;;;-1;\n104;;;;\n"
        "101;;;;Local/x\n108\n"
    )
    response = show_rows(owner_desk, text)
    assert response.status_code == 422
    found = {row[0]: row[1] for row in rows(response.text)}
    assert sorted(found) == ["3", "4", "5", "6", "7", "8"]
    assert "stands in line 2 already" in found["6"]
    assert "is not a device" in found["7"]
    assert "6 rows are wrong" in words(response.text)
    assert numbers(owner_desk) == ["100", "101", "102", "103"]


def test_it_moves_a_device_from_one_row_to_another(owner_desk: Desk) -> None:
    owner_desk.database.write(lambda c: accounts.change(c, "103", {"devices": ["PJSIP/x", "PJSIP/y"]}, cast.MANAGER))
    text = "number,devices\n100,PJSIP/x\n103,pjsip/y\n"
    page = show_rows(owner_desk, text).text
    assert [row[4] for row in rows(page)] == ["Devices: PJSIP/x", "Devices: PJSIP/y"]
    assert import_shown(owner_desk, page).status_code == 303
    assert hidden(owner_desk.page("/extension/100/edit"))["devices"] == "PJSIP/x"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "the first line must name columns"),
        (b"number\n", "There is no extension in this file"),
        (b"a,b\n1,2\n", "the first line must name columns"),
        (b"number,name\n100,\xff\n", "save it as"),
        (b'number,name\n100,"x\n', "is not CSV"),
        (b"number\n" + b"1\n" * 1001, "more than 1000 rows"),
        (b"number\n" + b"100\n" * 131_100, "larger than 512 KB"),
    ],
)
def test_it_takes_no_file_that_cannot_be(owner_desk: Desk, data: bytes, says: str) -> None:
    response = show_rows(owner_desk, data)
    assert response.status_code == 422
    assert says in words(response.text)


def test_it_reads_no_file_that_is_far_too_large(owner_desk: Desk) -> None:
    assert show_rows(owner_desk, b"number\n" + b"100\n" * 200_000).status_code == 413


def test_it_asks_for_a_file(owner_desk: Desk) -> None:
    assert owner_desk.post("/extensions/import", {}).status_code == 422
    assert owner_desk.post("/extensions/import/do", {"submission": "x"}).status_code == 422


def test_it_shows_its_forms_as_pages_and_as_dialogs(owner_desk: Desk) -> None:
    for path in (
        f"{RECHARGE}?extension=100", f"{BULK}?all=1", "/extension/100/edit", "/extension/100/correct",
        "/extensions/add", "/extension/100/close", "/extension/100/check-in",
    ):  # fmt: skip
        assert "<html" in owner_desk.page(path)
        assert "<html" not in owner_desk.browser.get(path, headers={"HX-Request": "true"}).text


def test_it_needs_a_sign_in_and_a_token_for_everything(desk: Desk, owner_desk: Desk) -> None:
    for rule in owner_desk.app.url_map.iter_rules():
        if not rule.endpoint.startswith("extensions."):
            continue
        path = re.sub(r"<[^>]+>", "1", rule.rule.replace("<any(csv, xlsx):kind>", "csv"))
        stranger = owner_desk.app.test_client()
        method = "POST" if "POST" in rule.methods else "GET"
        assert stranger.open(path, method=method).location.startswith("/sign-in"), path
        if method == "POST":
            assert owner_desk.browser.post(path).status_code == 400, path


def test_it_lists_the_newest_calls_of_a_long_bill_and_adds_all_of_them_up(
    owner_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bill of years would not fit into a small box's memory as a page."""
    for number in range(3):
        story.talk(
            owner_desk.database, f"long-{number}", "100", f"98836004{number}", cast.NOW_MS + number * 60_000, 238
        )
    whole = owner_desk.page("/extension/100/check-out")
    monkeypatch.setattr("coovox_billing.store.lists.stays.MOST_LISTED", 2)
    page = owner_desk.page("/extension/100/check-out")
    assert [number for number in ("988360040", "988360041", "988360042") if number in page] == [
        "988360041",
        "988360042",
    ]
    assert "1 earlier call is not listed here" in page and "not listed" not in whole
    feet = [re.findall(r"<tfoot>.*?</tfoot>", text, re.DOTALL) for text in (whole, page)]
    assert feet[0] == feet[1] and "3 calls" in feet[0][0] and "0.5400" in feet[0][0]
