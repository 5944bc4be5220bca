"""The recharge history: its search, its totals, its files, and taking a payment back once."""

import csv
import io
import re

import pytest
from openpyxl import load_workbook

from coovox_billing.core.money import parse_amount
from coovox_billing.services import accounts, payments
from coovox_billing.store.lists import blocks
from tests import cast
from tests.web.conftest import Desk


def recharge(desk: Desk, extension: str, amount: str) -> None:
    desk.database.write(lambda c: payments.recharge(c, extension, parse_amount(amount), cast.MANAGER))


def cells(html: str) -> list[list[str]]:
    """The text of each cell of each row of the table's body."""
    body = re.search(r"<tbody>(.*?)</tbody>", html, re.S)
    rows = re.findall(r"<tr>(.*?)</tr>", body[1] if body else "", re.S)
    return [
        [re.sub(r"<[^>]+>", "", cell).strip() for cell in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.S)]
        for row in rows
    ]


def undo(desk: Desk, entry: str, reason: str = "wrong extension", token: str = "one") -> object:
    form = {"reason": reason, "submission": token}
    return desk.post(f"/recharge-history/{entry}/undo", form, f"/recharge-history/{entry}/undo")


def newest(desk: Desk) -> str:
    """The id of the payment at the top."""
    found = re.search(r"/recharge-history/(\d+)\"", desk.page("/recharge-history"))
    assert found
    return found[1]


def test_it_shows_what_the_guide_shows(owner_desk: Desk) -> None:
    recharge(owner_desk, "100", "200")
    html = owner_desk.page("/recharge-history")
    for title in ("Time", "Extension", "Pre-balance($)", "Recharge Amount($)", "Post-balance($)"):
        assert f">{title}</th>" in html
    assert cells(html)[0][:6] == [
        "2026-03-02 10:00:00",
        "Reception[100]",
        "10.0000",
        "200.0000",
        "210.0000",
        "Recharge",
    ]
    assert ">3 Total<" in html


@pytest.mark.parametrize(
    ("search", "rows"),
    [
        ("", 2),
        ("keywords=RECEPT", 1),
        ("keywords=10", 2),
        ("keywords=%25", 0),
        ("from=2026-03-02&to=2026-03-02", 2),
        ("from=2026-03-03", 0),
        ("to=2026-03-01", 0),
    ],
)
def test_it_searches_by_time_and_keywords(owner_desk: Desk, search: str, rows: int) -> None:
    assert len(cells(owner_desk.page(f"/recharge-history?{search}"))) == rows


def test_it_tells_of_a_day_that_is_none_and_lists_all(owner_desk: Desk) -> None:
    html = owner_desk.page("/recharge-history?from=yesterday")
    assert "write a day like 2026-03-01" in html
    assert len(cells(html)) == 2


def test_it_downloads_what_it_shows(owner_desk: Desk) -> None:
    owner_desk.database.write(lambda c: accounts.change(c, "101", {"name": "=cmd|' /C calc'!A0"}, cast.MANAGER))
    recharge(owner_desk, "101", "2.5")
    shown = cells(owner_desk.page("/recharge-history?keywords=10"))
    response = owner_desk.browser.get("/recharge-history.csv?keywords=10")
    assert response.headers["Content-Disposition"] == 'attachment; filename="recharge-history.csv"'
    lines = list(csv.reader(io.StringIO(response.text.removeprefix("\ufeff"))))
    assert lines[2:4] == [["Keywords", "10"], ["Time zone", "Europe/Madrid"]]
    titles = lines.index(
        ["Time", "Extension", "Pre-balance($)", "Recharge Amount($)", "Post-balance($)", "What", "By", "Reason"]
    )
    assert [line[2:5] for line in lines[titles + 1 : -1]] == [row[2:5] for row in shown]
    assert lines[titles + 1][1].startswith("'=cmd")
    assert lines[-1] == ["Total", "", "", "22.5000", "", "", "", ""]


def test_it_downloads_a_workbook_with_numbers_and_no_formula(owner_desk: Desk) -> None:
    owner_desk.database.write(lambda c: accounts.change(c, "101", {"name": "=1+1"}, cast.MANAGER))
    recharge(owner_desk, "101", "2.5")
    book = load_workbook(io.BytesIO(owner_desk.browser.get("/recharge-history.xlsx").data))
    rows = [[cell.value for cell in row] for row in book.active.iter_rows()]
    row = next(row for row in rows if row[1] == "=1+1[101]")
    assert row[2:5] == [0, 2.5, 2.5]
    assert all(cell.data_type != "f" for line in book.active.iter_rows() for cell in line)


def test_it_takes_a_payment_back_once(owner_desk: Desk) -> None:
    recharge(owner_desk, "100", "5")
    entry = newest(owner_desk)
    for _ in range(2):
        assert undo(owner_desk, entry).status_code == 303
    rows = cells(owner_desk.page("/recharge-history"))
    assert [row[3] for row in rows[:2]] == ["-5.0000", "5.0000"]
    assert (rows[0][5:8], len(rows)) == (["Taken back", "owner", "wrong extension"], 4)
    assert "undone already" in undo(owner_desk, entry, token="two").text
    assert cast.audited(owner_desk.database.path) == []


def test_it_tells_why_a_payment_cannot_be_taken_back(owner_desk: Desk) -> None:
    recharge(owner_desk, "100", "5")
    entry = newest(owner_desk)
    response = undo(owner_desk, entry, reason=" ")
    assert response.status_code == 422
    assert "a reason is needed" in response.text
    assert undo(owner_desk, "999999").status_code == 404


def test_it_shows_a_receipt_as_a_page_and_as_a_dialog(owner_desk: Desk) -> None:
    recharge(owner_desk, "100", "5")
    path = f"/recharge-history/{newest(owner_desk)}"
    assert "$5.0000" in owner_desk.page(path)
    piece = owner_desk.browser.get(path, headers={"HX-Request": "true"}).text
    assert "$5.0000" in piece
    assert "<html" not in piece


def test_it_downloads_more_than_a_block(owner_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each block is a read of its own; nothing is lost or doubled between two."""
    monkeypatch.setattr(blocks, "ROWS_AT_ONCE", 2)
    for _ in range(5):
        recharge(owner_desk, "100", "1")
    for path, rows in (("/recharge-history.csv", 7), ("/audit-log.csv", 5)):
        text = owner_desk.browser.get(path).text
        lines = [line for line in csv.reader(io.StringIO(text)) if line and line[0].startswith("2026-")]
        assert len(lines) >= rows
        assert len(lines) == int(re.search(r"(\d+) Total", owner_desk.page(path.removesuffix(".csv")))[1])  # type: ignore[index]
