"""The guide's *Rate* page: the list, its form, its files, and testing a number."""

import csv
import io
import json
import re
import zipfile
from typing import Any

import pytest
from openpyxl import Workbook, load_workbook

from coovox_billing.core.rate_csv import parse_rates, render_rates
from coovox_billing.core.rate_fields import COLUMNS
from coovox_billing.core.tariff import Rate
from coovox_billing.errors import BadInput
from coovox_billing.services import accounts, rates
from coovox_billing.store import reads
from coovox_billing.web.pages.rates import files as rate_files
from tests import cast
from tests.web.conftest import Desk
from tests.web.test_recharge_history import cells

FORM = {
    "active": "1",
    "remark": "Evenings",
    "prefix": "9",
    "number_length": "9",
    "initial_cost": "0.1",
    "initial_time": "60",
    "rate": "0.001234",
    "billing_unit": "55",
    "start_time": "18:00:00",
    "end_time": "07:59:59",
    "days": [*"12345"],
    "reach": "listed",
    "extension": ["100", "101"],
    "submission": "one",
}
HEADER = ",".join(COLUMNS)


def all_rates(desk: Desk) -> list[Rate]:
    return desk.database.read(reads.all_rates)


def newest(desk: Desk) -> Rate:
    return all_rates(desk)[-1]


def add(desk: Desk, **changes: Any) -> Any:
    return desk.post("/rate/add", FORM | changes, "/rate/add")


def hidden(html: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', html)
    assert found, f"no hidden {name}"
    return found[1]


def edit(desk: Desk, rate_id: int, seen: str | None = None, **changes: Any) -> Any:
    path = f"/rate/{rate_id}/edit"
    shown = hidden(desk.page(path), "seen") if seen is None else seen
    return desk.post(path, FORM | {"seen": shown} | changes, path)


def upload(desk: Desk, data: bytes | str, name: str = "rates.csv", **fields: str) -> Any:
    content = data.encode() if isinstance(data, str) else data
    form = {"csrf": desk.form_token("/rate/import"), "file": (io.BytesIO(content), name)} | fields
    return desk.browser.post("/rate/import", data=form, content_type="multipart/form-data")


def confirm(desk: Desk, path: str, **changes: str) -> Any:
    html = desk.page(path)
    form = {"seen": hidden(html, "seen"), "submission": hidden(html, "submission")} | changes
    return desk.post(path, form, path)


def log(desk: Desk, what: str = "rate%") -> list[tuple[str, dict[str, str], dict[str, str]]]:
    """What the audit log holds of something: who, before, after."""
    rows = cast.look_up(
        desk.database.path, "SELECT actor, before, after FROM changes WHERE what LIKE ? ORDER BY id", [what]
    )
    return [(actor, json.loads(before), json.loads(after)) for actor, before, after in rows]


def workbook(*rows: tuple[object, ...]) -> bytes:
    book = Workbook()
    for row in rows:
        book.active.append(row)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


class TestList:
    def test_it_shows_the_guides_columns_in_the_order_of_precedence(self, owner_desk: Desk) -> None:
        html = owner_desk.page("/rate")
        for words in (
            "Activate",
            "Remark",
            "Prefix",
            "Number Length",
            "Initial Cost($)",
            "Billing Unit(s)",
            "End Time",
        ):
            assert words in html
        assert [row[2:5] for row in rows(html)] == [
            ["free phone", "0800", "any"],
            ["abroad", "00", "any"],
            ["city", "9", "9"],
            ["mobile", "9", "12"],
        ]
        assert [row[0] for row in rows(html)] == ["1", "2", "3", "4"]
        assert "the longest prefix" in html

    @pytest.mark.parametrize(
        ("search", "remarks"),
        [
            ("prefix=9", ["city", "mobile"]),
            ("prefix=%25", []),
            ("keywords=CIT", ["city"]),
            ("active=off", []),
            ("active=on&prefix=0", ["free phone", "abroad"]),
            ("extension=777", ["free phone", "abroad", "city", "mobile"]),
            ("sort=rate&prefix=9", ["city", "mobile"]),
            ("sort=-rate&prefix=9", ["mobile", "city"]),
            ("sort=-order", ["mobile", "city", "abroad", "free phone"]),
        ],
    )
    def test_it_searches_and_sorts(self, owner_desk: Desk, search: str, remarks: list[str]) -> None:
        assert [row[2] for row in rows(owner_desk.page(f"/rate?{search}"))] == remarks

    def test_it_finds_the_rates_of_an_extension(self, owner_desk: Desk) -> None:
        add(owner_desk)
        assert "Evenings" in owner_desk.page("/rate?extension=101")
        assert "Evenings" not in owner_desk.page("/rate?extension=102")

    def test_it_keeps_the_place_in_the_order_when_it_is_sorted_otherwise(self, owner_desk: Desk) -> None:
        assert [row[0] for row in rows(owner_desk.page("/rate?sort=-rate"))] == ["2", "4", "3", "1"]

    def test_it_ignores_a_word_that_is_no_choice(self, owner_desk: Desk) -> None:
        assert len(rows(owner_desk.page("/rate?sort=id;DROP&active=perhaps&page=x"))) == 4

    def test_it_says_what_to_do_where_there_is_none(self, owner_desk: Desk) -> None:
        assert "Nothing matches" in owner_desk.page("/rate?prefix=123")
        owner_desk.database.write(lambda c: c.execute("DELETE FROM rates"))
        assert "No rate yet" in owner_desk.page("/rate")

    def test_it_switches_a_rate_off_and_on_and_stays_where_it_was(self, owner_desk: Desk) -> None:
        for value, active in (("0", False), ("0", False), ("1", True)):
            response = owner_desk.post("/rate/1/activate?prefix=9&page=1", {"active": value})
            assert response.location == "/rate?prefix=9&page=1#rate-1"
            assert all_rates(owner_desk)[0].active is active
        changes = [({"active": "1"}, {"active": "0"}), ({"active": "0"}, {"active": "1"})]
        assert log(owner_desk, "rate 1") == [("owner", *change) for change in changes]
        assert owner_desk.post("/rate/99/activate", {"active": "1"}).status_code == 404

    def test_it_writes_remarks_as_text(self, owner_desk: Desk) -> None:
        add(owner_desk, remark="<img src=x onerror=alert(1)>\"'", reach="all")
        add(owner_desk, remark="<img src=y>", reach="all", submission="two")
        question = "/rate/test?extension=100&number=988360046&time=20:00:00"
        for path in ("/rate", "/rate/5/edit", "/rate/5/copy", "/rate/5/delete", question):
            html = owner_desk.page(path)
            assert not re.search("<img src=[xy]", html)
            assert "&lt;img src=" in html

    @pytest.mark.parametrize("rate_id", ["99", "9" * 30, "-1", "x"])
    def test_it_has_no_page_for_a_rate_that_is_not_there(self, owner_desk: Desk, rate_id: str) -> None:
        for page in ("edit", "copy", "delete"):
            assert owner_desk.browser.get(f"/rate/{rate_id}/{page}").status_code == 404


def rows(html: str) -> list[list[str]]:
    """The cells of the list, each with its words in one line."""
    return [[" ".join(cell.split()) for cell in row] for row in cells(re.sub(r"<tr id=[^>]*>", "<tr>", html))]


class TestForm:
    def test_it_adds_what_the_form_says(self, owner_desk: Desk) -> None:
        assert add(owner_desk).location.startswith("/rate#rate-5")
        rate = newest(owner_desk)
        assert (rate.remark, rate.prefix, rate.number_length) == ("Evenings", "9", 9)
        assert (rate.initial_cost_micros, rate.initial_seconds) == (100_000, 60)
        assert (rate.rate_micros, rate.unit_seconds) == (1234, 55)
        assert (rate.start_time.isoformat(), rate.end_time.isoformat()) == ("18:00:00", "07:59:59")
        assert (rate.days, rate.extensions) == ({1, 2, 3, 4, 5}, {"100", "101"})
        who, before, after = log(owner_desk)[-1]
        assert (who, before, after["rate"], after["extensions"]) == ("owner", {}, "0.001234", "100 101")
        html = owner_desk.page("/rate?extension=101&prefix=9&active=on&sort=order")
        assert "0.001234 / 55" in html
        assert "Mon–Fri" in html

    def test_it_adds_once_however_often_it_is_sent(self, owner_desk: Desk) -> None:
        for _ in range(2):
            assert add(owner_desk).status_code == 303
        assert len(all_rates(owner_desk)) == 5

    @pytest.mark.parametrize(
        ("field", "value", "words"),
        [
            ("remark", "x" * 81, "up to 80"),
            ("prefix", "abc", "is not a prefix"),
            ("prefix", "9" * 41, "is not a prefix"),
            ("number_length", "41", "from 0 to 40"),
            ("number_length", "", "fill this in"),
            ("number_length", "-1", "whole number"),
            ("initial_cost", "0,1", "write digits and a point"),
            ("initial_cost", "-1", "negative"),
            ("initial_time", "1.5", "whole number"),
            ("rate", "", "fill this in"),
            ("rate", "0.0000001", "more than six decimals"),
            ("rate", "1e3", "write digits"),
            ("billing_unit", "0", "from 1 to"),
            ("start_time", "25:00:00", "time of day"),
            ("end_time", "24:00", "23:59:59"),
            ("days", [], "at least one day"),
            ("extension", [], "choose at least one, or all"),
            ("extension", ["<b>"], "not an extension"),
        ],
    )
    def test_it_shows_a_bad_form_again_with_all_that_was_typed(
        self, owner_desk: Desk, field: str, value: Any, words: str
    ) -> None:
        response = add(owner_desk, **{field: value})
        assert response.status_code == 422
        assert words in response.text
        assert "The rate is not saved yet." in response.text
        assert "<b>&" not in response.text
        for name in {"remark", "prefix", "rate", "start_time"} - {field}:
            assert f'value="{FORM[name]}"' in response.text
        assert len(all_rates(owner_desk)) == 4

    def test_it_tells_of_a_length_shorter_than_the_prefix(self, owner_desk: Desk) -> None:
        response = add(owner_desk, prefix="90034", number_length="3")
        assert response.status_code == 422
        assert "no number would match" in response.text

    def test_it_copies_a_rate_as_a_new_one_that_says_why_it_never_wins(self, owner_desk: Desk) -> None:
        html = owner_desk.page("/rate/2/copy")
        assert 'action="/rate/add"' in html
        assert 'value="mobile"' in html
        whole = {"number_length": "12", "start_time": "", "end_time": "", "days": [*"1234567"], "reach": "all"}
        assert add(owner_desk, **whole).status_code == 303
        assert "It never wins: mobile (prefix 9) matches the same calls and is older." in owner_desk.page("/rate")

    def test_it_edits_a_rate_and_goes_back_to_the_search(self, owner_desk: Desk) -> None:
        path = "/rate/1/edit?prefix=9"
        assert f'action="{path}"' in owner_desk.page(path)
        form = FORM | {"seen": hidden(owner_desk.page(path), "seen"), "rate": "0.03"}
        assert owner_desk.post(path, form).location == "/rate?prefix=9#rate-1"
        rate = all_rates(owner_desk)[0]
        assert (rate.rate_micros, rate.extensions, rate.id) == (30_000, {"100", "101"}, 1)
        _, before, after = log(owner_desk, "rate 1")[-1]
        assert (before["rate"], after["rate"]) == ("0.0200", "0.0300")
        assert "prefix" not in before

    def test_it_does_not_overwrite_what_somebody_else_changed(self, owner_desk: Desk) -> None:
        seen = hidden(owner_desk.page("/rate/1/edit"), "seen")
        assert edit(owner_desk, 1, rate="0.04", submission="hers").status_code == 303
        response = edit(owner_desk, 1, seen=seen, rate="0.05", submission="his")
        assert response.status_code == 422
        assert "somebody else changed this rate" in response.text
        assert "Rate($): now 0.0400, you wrote 0.0500" in response.text
        assert 'value="0.05"' in response.text
        assert all_rates(owner_desk)[0].rate_micros == 40_000
        again = edit(owner_desk, 1, seen=hidden(response.text, "seen"), rate="0.05", submission="his")
        assert again.status_code == 303
        assert all_rates(owner_desk)[0].rate_micros == 50_000

    def test_it_does_not_edit_what_was_deleted_meanwhile(self, owner_desk: Desk) -> None:
        seen = hidden(owner_desk.page("/rate/1/edit"), "seen")
        owner_desk.database.write(lambda c: rates.delete(c, 1, seen, cast.MANAGER))
        form = FORM | {"seen": seen}
        assert owner_desk.post("/rate/1/edit", form).status_code == 404
        assert len(all_rates(owner_desk)) == 3

    def test_it_asks_before_it_deletes(self, owner_desk: Desk) -> None:
        html = owner_desk.page("/rate/1/delete")
        assert "Delete this rate?" in html
        piece = owner_desk.browser.get("/rate/1/delete", headers={"HX-Request": "true"}).text
        assert "<html" not in piece
        form = {"seen": hidden(html, "seen"), "submission": "d"}
        for _ in range(2):
            assert owner_desk.post("/rate/1/delete", form).status_code == 303
        assert [rate.id for rate in all_rates(owner_desk)] == [2, 3, 4]
        who, before, after = log(owner_desk, "rate 1")[-1]
        assert (who, before["remark"], after) == ("owner", "city", {})

    def test_it_does_not_delete_what_was_changed_meanwhile(self, owner_desk: Desk) -> None:
        seen = hidden(owner_desk.page("/rate/1/delete"), "seen")
        edit(owner_desk, 1, rate="0.04", submission="hers")
        response = owner_desk.post("/rate/1/delete", {"seen": seen, "submission": "d"})
        assert response.status_code == 422
        assert "0.0400 / 55" in response.text
        assert len(all_rates(owner_desk)) == 4

    def test_it_searches_extensions_without_saving_and_without_losing_anything(self, owner_desk: Desk) -> None:
        response = add(owner_desk, search="recep", find="1", found="")
        assert response.status_code == 200
        assert 'value="101" checked' in response.text
        assert "Chosen, and not among those found" in response.text
        assert 'value="102"' not in response.text
        assert 'value="0.001234"' in response.text
        assert len(all_rates(owner_desk)) == 4
        assert add(owner_desk, search="recep", found="").status_code == 200
        assert add(owner_desk, search="recep", found="recep").status_code == 303

    def test_it_selects_all_that_were_found(self, owner_desk: Desk) -> None:
        response = owner_desk.post("/rate/extensions", FORM | {"search": "10", "choose": "1", "extension": []})
        assert re.findall(r'value="(\d+)" checked', response.text) == ["100", "101", "102", "103"]
        assert "<html" not in response.text

    def test_it_takes_a_form_with_a_thousand_extensions(self, owner_desk: Desk) -> None:
        many = [str(number) for number in range(10_000, 12_000)]
        assert add(owner_desk, extension=many).status_code == 303
        assert len(newest(owner_desk).extensions or ()) == 2000
        assert "10000–11999" in owner_desk.page("/rate")
        assert 'value="11999" checked' in owner_desk.page("/rate/5/edit")
        assert add(owner_desk, extension=[*many, *("9" * 39 + str(n) for n in range(9))] * 12).status_code == 413


class TestFiles:
    def test_it_exports_what_an_import_takes(self, owner_desk: Desk) -> None:
        add(owner_desk, remark="=1+1")
        response = owner_desk.browser.get("/rate.csv?sort=rate&page=2")
        assert response.headers["Content-Disposition"] == 'attachment; filename="rates.csv"'
        text = response.text
        assert text.startswith(f"\ufeff{HEADER}\n")
        assert "'=1+1" in text
        found, bad = parse_rates(text)
        assert bad == []
        assert sorted(found, key=rates.fingerprint) == sorted(
            (cast.replace(rate, id=0) for rate in all_rates(owner_desk)), key=rates.fingerprint
        )
        assert [line[1] for line in csv.reader(io.StringIO(text))][1:3] == ["free phone", "abroad"]
        assert owner_desk.browser.get("/rate.csv?prefix=00").text.count("\n") == 2

    def test_it_exports_a_workbook_that_keeps_zeros_and_runs_nothing(self, owner_desk: Desk) -> None:
        add(owner_desk, remark="=1+1")
        data = owner_desk.browser.get("/rate.xlsx").data
        sheet = load_workbook(io.BytesIO(data)).active
        lines = list(sheet.iter_rows(values_only=True))
        assert lines[0] == COLUMNS
        assert (lines[2][2], lines[2][6], lines[2][11]) == ("00", 1, "all")
        assert all(cell.data_type != "f" for row in sheet.iter_rows() for cell in row)
        remarks = {row[1].value: row[1].number_format for row in sheet.iter_rows(min_row=2)}
        assert (sheet["C4"].number_format, remarks["=1+1"], remarks["mobile"]) == ("@", "@", "General")
        assert (sheet["G2"].number_format, sheet["G2"].data_type, sheet["D2"].data_type) == ("0.0000##", "n", "n")
        assert (sheet.freeze_panes, sheet.column_dimensions["B"].width) == ("A2", 28)
        assert rate_files.read_rates(data) == (parse_rates(owner_desk.browser.get("/rate.csv").text)[0], [])
        path = upload(owner_desk, data, "rates.xlsx").location
        assert len(re.findall(r">Unchanged</span>", owner_desk.page(path))) == 5

    def test_it_shows_what_an_import_would_do_and_then_does_it(self, owner_desk: Desk) -> None:
        text = (
            f"{HEADER}\n1,city,9,9,0.1,60,0.03,55,,,,all\n1,mobile,9,12,0.1,60,0.05,55,,,,all\n"
            "0,new,7,0,0,0,0.000001,1,08:00,17:59,12345,100 777\n"
        )
        response = upload(owner_desk, text, "C:\\rates <b>.csv", remove_others="1")
        assert response.status_code == 303
        html = owner_desk.page(response.location)
        assert [row[0] for row in rows(html)] == ["Changed", "Unchanged", "Added", "Removed", "Removed"]
        assert 'Rate($): 0.0200 <span class="toward">→</span> 0.0300' in html
        spanish = owner_desk.browser.get(response.location, headers={"Accept-Language": "es"}).text
        assert '0,0200 <span class="toward">→</span> 0,0300' in spanish
        assert "No such extension yet: 777" in html
        assert "rates &lt;b&gt;.csv" in html
        assert [row[0] for row in rows(owner_desk.page(f"{response.location}?effect=added"))] == ["Added"]
        assert len(all_rates(owner_desk)) == 4
        for _ in range(2):
            assert confirm(owner_desk, response.location, submission="once").status_code == 303
        found = all_rates(owner_desk)
        assert [(rate.id, rate.remark, rate.rate_micros) for rate in found] == [
            (1, "city", 30_000), (2, "mobile", 50_000), (5, "new", 1)
        ]  # fmt: skip
        assert log(owner_desk, "rate 1")[-1][1:] == ({"rate": "0.0200"}, {"rate": "0.0300"})
        assert log(owner_desk, "rate 3")[-1][1]["remark"] == "abroad"
        assert log(owner_desk, "rates imported")[-1][2] == {"added": 1, "changed": 1, "unchanged": 1, "removed": 2}

    def test_it_names_every_bad_row_by_its_line_and_imports_nothing(self, owner_desk: Desk) -> None:
        text = f"{HEADER}\n1,good,7,0,0,0,0.1,60,,,,all\n1,x,y,0,0,0,0.1,60,,,,all\n\n1,z,7,0,0,0,0.1,0,,,,\n1,2\n"
        response = upload(owner_desk, text)
        assert response.status_code == 422
        assert cells(response.text.replace('<tr class="wrong">', "<tr>")) == [
            ["3", "prefix: &#39;y&#39; is not a prefix: write digits, or nothing for every number"],
            ["5", "billing_unit: &#39;0&#39; is not a whole number from 1 to 86400"],
            ["6", "it has 2 columns instead of 12"],
        ]
        assert "3 rows are wrong" in response.text
        assert len(all_rates(owner_desk)) == 4

    @pytest.mark.parametrize(
        ("data", "words"),
        [
            (b"", "the first line must be"),
            (HEADER.encode(), "holds no rates"),
            (b"a,b,c\n1,2,3\n", "the first line must be"),
            (b"\x00\x01\x02", "the first line must be"),
            (b"\xff\xfe\xff", "neither a workbook nor UTF-8"),
            (HEADER.encode() + b'\n"unclosed', "is not CSV"),
            (f"{HEADER}\nJos\xe9".encode("latin-1"), "neither a workbook nor UTF-8"),
            (b"\xd0\xcf\x11\xe0old", "old or a locked workbook"),
            (b"PK\x03\x04broken", "cannot be read"),
            (HEADER.encode() + b"\n1,a,7,0,0,0,0.1,60,,,,all" * (rate_files.MOST_RATES + 1), "more than 10000 rows"),
            (b"x" * (rate_files.MOST_BYTES + 1), "larger than 1 MB"),
        ],
    )
    def test_it_says_why_a_file_is_none(self, owner_desk: Desk, data: bytes, words: str) -> None:
        response = upload(owner_desk, data)
        assert response.status_code == 422
        assert words in response.text
        assert len(all_rates(owner_desk)) == 4

    def test_it_wants_a_file(self, owner_desk: Desk) -> None:
        response = owner_desk.post("/rate/import", {"remove_others": "1"})
        assert response.status_code == 422
        assert "Choose a file first." in response.text
        assert re.search(r'name="remove_others" value="1" checked', response.text)

    def test_it_takes_no_body_larger_than_any_file(self, owner_desk: Desk) -> None:
        assert upload(owner_desk, b"x" * 6_000_000).status_code == 413

    def test_it_reads_a_workbook_as_people_fill_it_in(self, owner_desk: Desk) -> None:
        filled = (
            True,
            "Evening",
            9,
            12.0,
            0.1 + 0.2,
            60,
            0.000001,
            60,
            cast.datetime(2026, 1, 1, 18).time(),
            None,
            12345,
            100,
        )
        data = workbook(tuple(COLUMNS), filled, (None,) * 12, (1, "x"))
        found, bad = rate_files.read_rates(data)
        assert [(r.prefix, r.number_length, r.initial_cost_micros, r.rate_micros) for r in found] == [
            ("9", 12, 300_000, 1)
        ]
        assert (found[0].start_time.hour, found[0].days, found[0].extensions) == (18, {1, 2, 3, 4, 5}, {"100"})
        assert [(row.line, row.reason.partition(":")[0]) for row in bad] == [(4, "number_length")]

    def test_it_reads_no_price_of_a_workbook_that_can_be_read_in_two_ways(self) -> None:
        prices = ["1.500", 1.5, 1.125, "0.125", "1.5000"]
        found, bad = rate_files.read_rates(
            workbook(COLUMNS, *((1, "1.500", "9", 0, 0, 0, price, 60, None, None, None, "all") for price in prices))
        )
        assert [rate.rate_micros for rate in found] == [1_500_000, 1_125_000, 125_000, 1_500_000]
        assert {rate.remark for rate in found} == {"1.500"}
        assert [str(row) for row in bad] == ["line 2: '1.500' can be read in two ways: write 1500 or 1.5000"]

    def test_it_refuses_a_workbook_with_more_columns_or_another_header(self) -> None:
        with pytest.raises(rate_files.BadInput, match="first line must be"):
            rate_files.read_rates(workbook((*COLUMNS, "more")))
        assert len(rate_files.read_rates(workbook(COLUMNS, (*["1"] * 12, "more")))[1]) == 1

    def test_it_unpacks_no_bomb(self) -> None:
        with pytest.raises(rate_files.BadInput, match="too large when unpacked"):
            rate_files.read_rates(zipped({"xl/worksheets/sheet1.xml": b" " * 40_000_000}))
        with pytest.raises(rate_files.BadInput, match="too large when unpacked"):
            rate_files.read_rates(zipped({f"{number}.xml": b"" for number in range(1001)}))

    @pytest.mark.parametrize("hidden_in", ["utf-8", "utf-16"])
    def test_it_expands_no_definition(self, hidden_in: str) -> None:
        bomb = '<?xml version="1.0"?>' + " " * 300_000 + '<!DOCTYPE a [<!ENTITY b "bbbb">]><a>&b;</a>'
        with pytest.raises(rate_files.BadInput, match="cannot be read"):
            rate_files.read_rates(zipped({"xl/worksheets/sheet1.xml": bomb.encode(hidden_in)}))

    def test_it_does_not_believe_a_sheet_about_its_size(self) -> None:
        data = workbook(COLUMNS, (1, "x", "9", 0, 0, 0, 1, 60, None, None, None, "all"))
        parts = {
            name: zipfile.ZipFile(io.BytesIO(data)).read(name) for name in zipfile.ZipFile(io.BytesIO(data)).namelist()
        }
        sheet = "xl/worksheets/sheet1.xml"
        parts[sheet] = re.sub(rb'<dimension ref="[^"]*"', b'<dimension ref="A1:XFD1048576"', parts[sheet])
        parts[sheet] = parts[sheet].replace(
            b"</sheetData>", b'<row r="1048576"><c r="A1048576"><v>1</v></c></row></sheetData>'
        )
        found, bad = rate_files.read_rates(zipped(parts))
        assert (len(found), bad) == (1, [])

    def test_it_imports_what_was_previewed_or_shows_it_again(self, owner_desk: Desk) -> None:
        path = upload(owner_desk, f"{HEADER}\n1,city,9,9,0.1,60,0.03,55,,,,all\n").location
        html = owner_desk.page(path)
        edit(owner_desk, 1, rate="0.04", reach="all", days=[*"1234567"], start_time="", end_time="")
        form = {"seen": hidden(html, "seen"), "submission": "late"}
        response = owner_desk.post(path, form)
        assert response.status_code == 422
        assert "the rates were changed since you looked" in response.text
        assert 'Rate($): 0.0400 <span class="toward">→</span> 0.0300' in response.text
        assert all_rates(owner_desk)[0].rate_micros == 40_000
        assert confirm(owner_desk, path).status_code == 303
        assert all_rates(owner_desk)[0].rate_micros == 30_000

    def test_it_replaces_no_more_rates_than_it_has_the_memory_for(
        self, owner_desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rates, "MOST_REPLACED", 3)
        text = f"{HEADER}\n1,city,9,9,0.1,60,0.03,55,,,,all\n1,new,77,0,0,0,0.03,55,,,,all\n"
        response = upload(owner_desk, text, remove_others="1")
        assert response.status_code == 422
        assert "there are 4 rates, and up to 3 are replaced as a whole: import only those that change" in response.text
        path = upload(owner_desk, text).location
        assert [row[0] for row in rows(owner_desk.page(path))] == ["Changed", "Added"]
        assert confirm(owner_desk, path).status_code == 303
        assert [rate.rate_micros for rate in all_rates(owner_desk)][::4] == [30_000, 30_000]

    def test_it_keeps_only_a_few_files_waiting(self, owner_desk: Desk) -> None:
        text = render_rates([cast.ABROAD_RATE])
        paths = [upload(owner_desk, text).location for _ in range(5)]
        assert owner_desk.browser.get(paths[0]).location == "/rate/import"
        assert owner_desk.post(paths[0], {"seen": "", "submission": "x"}).location == "/rate/import"
        assert "choose it again" in owner_desk.page("/rate/import")
        assert owner_desk.browser.get(paths[4]).status_code == 200


def zipped(parts: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return file.getvalue()


class TestNumber:
    def test_it_asks_for_what_a_quote_needs(self, owner_desk: Desk) -> None:
        html = owner_desk.page("/rate/test")
        assert 'value="2026-03-02"' in html
        assert 'value="10:00:00"' in html

    def test_it_tells_which_rate_wins_and_why_the_others_lost(self, owner_desk: Desk) -> None:
        add(owner_desk, extension=["102"])
        html = owner_desk.page("/rate/test?extension=100&number=988-360-046&day=2026-03-02&time=10:00:00&seconds=238")
        assert "The call passes" in html
        assert "city (prefix 9)" in html
        assert "it is for numbers of 12 digits, this one has 9" in html
        assert "it does not apply to extension 100" in html
        assert "$0.1800" in html
        assert "4 of 55 s" in html
        assert "04:00:00, the longest call" in html
        assert "It wins: prefix 9, exactly 9 digits, all extensions" in html
        assert html.count('class="won"') == 2
        assert html.count('class="lost"') == 2

    @pytest.mark.parametrize(
        ("search", "words"),
        [
            ("extension=100&number=5551234", "Refused: no rate"),
            ("extension=100&number=5551234", "no rate matches"),
            ("extension=102&number=988360046", "Refused: locked"),
            ("extension=103&number=988360046", "billing is off for the extension"),
            ("extension=100&number=112", "emergency numbers always pass"),
            ("extension=100&number=abc", "Refused: not a number"),
            ("extension=100&number=0034911234567&seconds=600", "00:10:00"),
        ],
    )
    def test_it_tells_of_every_other_end(self, owner_desk: Desk, search: str, words: str) -> None:
        assert words in owner_desk.page(f"/rate/test?{search}")

    def test_it_tells_what_is_missing(self, owner_desk: Desk) -> None:
        owner_desk.database.write(lambda c: accounts.change(c, "101", {"credit_micros": 0}, cast.MANAGER))
        html = owner_desk.page("/rate/test?extension=101&number=988360046")
        assert "Refused: no money" in html
        assert "the first second costs 0.1000" in html
        assert "not for one second" in html

    @pytest.mark.parametrize(
        ("search", "words"),
        [
            ("extension=100", "fill this in"),
            ("number=9", "fill this in"),
            ("extension=777&number=9", "no such extension"),
            ("extension=100&number=9&day=tomorrow", "write a day like"),
            ("extension=100&number=9&day=0001-01-01", "write a day like"),
            ("extension=100&number=9&time=noon", "time of day"),
            ("extension=100&number=9&seconds=-1", "whole number"),
            ("extension=%00&number=9", "printable"),
        ],
    )
    def test_it_shows_a_bad_question_again(self, owner_desk: Desk, search: str, words: str) -> None:
        response = owner_desk.browser.get(f"/rate/test?{search}")
        assert response.status_code == 422
        assert words in response.text


def test_it_repeats_little_of_a_cell_that_is_wrong() -> None:
    """A workbook of kilobytes may hold one text of a megabyte a thousand times."""
    _, bad = parse_rates(f"{','.join(COLUMNS)}\n1,x,{'p' * 100_000},9,0,0,0,1,,,,all\n")
    assert len(bad[0].reason) < 200


@pytest.mark.parametrize("name", ["xl/styles.xml", "xl/worksheets/sheet1.dat"])
def test_it_reads_no_workbook_that_grows(name: str) -> None:
    part = b"<x/>" * 100_000 if name == "xl/styles.xml" else b'<!DOCTYPE x [<!ENTITY e "e">]><x/>'
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, part)
    with pytest.raises(BadInput, match=r"too large|cannot be read"):
        rate_files.read_rates(data.getvalue())
