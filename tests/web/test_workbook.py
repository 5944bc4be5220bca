"""Workbooks that are written as they go out, read again by somebody else's reader."""

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from openpyxl import load_workbook

from coovox_billing.web import workbook

FORMATS = ("#,##0.0000", "yyyy-mm-dd hh:mm:ss", "[h]:mm:ss")


def read(*rows: list[str], name: str = "calls") -> list[list[object]]:
    data = b"".join(workbook.write(name, rows, FORMATS))
    return [[cell.value for cell in row] for row in load_workbook(io.BytesIO(data))[name].iter_rows()]


def test_it_keeps_numbers_times_and_lengths_as_such() -> None:
    at = datetime(2026, 3, 2, 10, 0, 1)
    cells = [
        workbook.number_cell("0.1800", 1),
        workbook.moment_cell(int(at.replace(tzinfo=UTC).timestamp()), 2),
        workbook.duration_cell(100 * 3600 + 1, 3),
        workbook.number_cell(7),
    ]
    assert read(cells) == [[0.18, at, timedelta(hours=100, seconds=1), 7]]


@pytest.mark.parametrize(
    "text", ["=1+1", "-1", "@SUM(A1)", "<b>&amp;</b>", " spaces ", "Café[108]", "中文", "]]>", "007", "TRUE", "'x"]
)
def test_it_keeps_texts_as_they_are(text: str) -> None:
    assert read([workbook.text_cell(text)]) == [[text]]


def test_it_leaves_out_what_cannot_be_in_a_workbook() -> None:
    assert read([workbook.text_cell("a\0b\x1bc\ud800")]) == [["abc"]]
    assert len(str(read([workbook.text_cell("x" * 40_000)])[0][0])) == 32_767


def test_it_has_a_sheet_even_without_rows() -> None:
    assert load_workbook(io.BytesIO(b"".join(workbook.write("empty", [], FORMATS)))).sheetnames == ["empty"]


def test_it_goes_on_on_another_sheet_where_one_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook, "ROWS_PER_SHEET", 2)
    rows = [[workbook.number_cell(number)] for number in range(5)]
    book = load_workbook(io.BytesIO(b"".join(workbook.write("n" * 40, rows, FORMATS))))
    assert book.sheetnames == ["n" * 31, "n" * 27 + " 2", "n" * 27 + " 3"]
    assert [[row[0].value for row in sheet.iter_rows()] for sheet in book] == [[0, 1], [2, 3], [4]]


def test_it_sends_before_it_has_read_all() -> None:
    asked = []

    def rows() -> Iterator[list[str]]:
        for number in range(200_000):
            asked.append(number)
            yield [workbook.text_cell(str(number * 7919))]

    chunks = workbook.write("long", rows(), FORMATS)
    next(chunks)
    assert len(asked) < 1_000
    next(chunks)
    assert len(asked) < 100_000
    assert all(len(chunk) < 200_000 for chunk in chunks)
