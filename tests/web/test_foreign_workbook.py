"""Workbooks that somebody sends, friend or foe: read by a process of its own, that ends."""

import io
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from coovox_billing import foreign_workbook
from coovox_billing.errors import BadInput
from coovox_billing.web import workbook

ROOT = Path(__file__).resolve().parents[2]
SHEET = "xl/worksheets/sheet1.xml"
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def a_workbook(*rows: tuple[object, ...]) -> bytes:
    book, file = Workbook(), io.BytesIO()
    sheet: Any = book.active
    for row in rows:
        sheet.append(row)
    book.save(file)
    return file.getvalue()


def with_sheet(rows: str) -> bytes:
    """A workbook whose first sheet has these rows, as XML."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(a_workbook())) as plain, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        for name in set(plain.namelist()) - {SHEET}:
            made.writestr(name, plain.read(name))
        made.writestr(SHEET, f'<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData></worksheet>')
    return file.getvalue()


def read(data: bytes, width: int = 3) -> list[tuple[int, list[str]]]:
    return list(foreign_workbook.rows_of(data, most_rows=100, width=width))


def test_it_reads_cells_as_a_person_would_write_them() -> None:
    data = a_workbook((True, 0.1 + 0.2, 12.0), (None, "中文 =1", 7), (), ("1.500", 1.5, 1.125), (1, 2, 3, 4))
    assert read(data) == [
        (1, ["1", "0.3", "12"]),
        (2, ["", "中文 =1", "7"]),
        (3, ["", "", ""]),
        (4, ["1.500", "1.5", "1.1250"]),
        (5, ["1", "2", "3", "4"]),
    ]


def test_it_loads_what_reads_workbooks_into_no_process_of_ours() -> None:
    script = (
        "import sys; from coovox_billing import foreign_workbook; from coovox_billing.web import workbook;"
        "data = b''.join(workbook.write('x', [[workbook.text_cell('a')]], ()));"
        "print(list(foreign_workbook.rows_of(data, 9, 1)), {'openpyxl', 'lxml'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[(1, ['a'])] set()\n", "")


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param("<row>" + "<c/>" * 1_500_000 + "</row>", id="a row of a million cells"),
        pytest.param("<a>" * 1_000_000 + "</a>" * 1_000_000, id="a million one in the other"),
    ],
)
def test_it_ends_where_a_workbook_takes_too_much_memory(rows: str) -> None:
    with pytest.raises(BadInput, match=r"not the memory or the time .* save it as CSV"):
        read(with_sheet(rows))


def test_it_takes_no_more_text_than_it_may() -> None:
    row = "<row><c t='inlineStr'><is><t>" + "x" * 30_000 + "</t></is></c></row>"
    assert len(read(with_sheet(row * 50))) == 50
    with pytest.raises(BadInput, match="too large when unpacked"):
        read(with_sheet(row * 80))


def test_it_ends_what_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign_workbook, "LONGEST_SECONDS", 0.02)
    with pytest.raises(BadInput, match="not the memory or the time"):
        read(a_workbook((1, 2, 3)))


def test_it_says_so_where_no_process_can_be_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(BadInput, match="not the memory or the time"):
        read(a_workbook((1, 2, 3)))


def test_it_says_so_where_the_process_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    killed = tmp_path / "killed"
    killed.write_text("#!/bin/sh\nkill -KILL $$\n")
    killed.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(killed))
    with pytest.raises(BadInput, match="not the memory or the time"):
        read(a_workbook((1, 2, 3)))


def test_it_reads_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign_workbook, "PATIENCE_SECONDS", 0.01)
    with foreign_workbook._reading, pytest.raises(BadInput, match="Another workbook is being read"):
        read(a_workbook((1, 2, 3)))
    assert len(read(a_workbook((1, 2, 3)))) == 1


def test_it_is_the_first_to_end_where_memory_runs_out() -> None:
    script = (
        "import resource; from coovox_billing import foreign_workbook as f; f._take_no_more();"
        "print(open('/proc/self/oom_score_adj').read(), resource.getrlimit(resource.RLIMIT_CPU))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1000", "(40,", "40)"]


def test_it_reads_what_we_write() -> None:
    cells = [workbook.text_cell("007", 2), workbook.number_cell("0.020000", 1), workbook.text_cell("")]
    data = b"".join(workbook.write("rates", [cells], ("0.0000##", "@"), (12, 14), head_rows=1))
    assert read(data) == [(1, ["007", "0.02", ""])]
