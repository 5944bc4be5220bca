"""Excel workbooks, written as they go out: neither memory nor disk holds one as a whole; the first bytes go at once.

Texts are inline strings, which no spreadsheet runs as a formula. The list of sheets is written last, when it is known
how many there are.
"""

import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from itertools import islice
from xml.sax.saxutils import escape, quoteattr

from coovox_billing.web.sink import Sink

ROWS_PER_SHEET = 500_000  # Excel takes 1,048,576, a plain ZIP archive 2 GB of them

_CHUNK_BYTES = 16 * 1024  # some two hundred calls
_ROWS_AT_ONCE = 100
_DAYS_BEFORE_1970 = (date(1970, 1, 1) - date(1899, 12, 30)).days
_SECONDS_PER_DAY = 86_400
_LONGEST_TEXT = 32_767
_LONGEST_NAME = 31
_OWN_FORMATS = 164  # lower numbers are Excel's own

_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"

Row = Sequence[str]

EMPTY_CELL = "<c/>"


def text_cell(value: object, style: int = 0) -> str:
    """A cell that reads exactly so, without what XML cannot hold; in a number format, as `number_cell`."""
    text = str(value)
    named = f' s="{style}"' if style else ""
    if not text:
        return f"<c{named}/>"
    kept = text if text.isprintable() else "".join(character for character in text if character.isprintable())
    return f'<c{named} t="inlineStr"><is><t xml:space="preserve">{escape(kept[:_LONGEST_TEXT])}</t></is></c>'


def number_cell(decimal: str | int | float, style: int = 0) -> str:
    """A number in a number format, by its place in the list of formats; 0 for none."""
    return f'<c s="{style}"><v>{decimal}</v></c>'


def moment_cell(wall_seconds: int, style: int) -> str:
    """A time without a zone, in seconds since 1970 began."""
    return number_cell(wall_seconds / _SECONDS_PER_DAY + _DAYS_BEFORE_1970, style)


def duration_cell(seconds: int, style: int) -> str:
    """A length of time."""
    return number_cell(seconds / _SECONDS_PER_DAY, style)


def write(
    name: str, rows: Iterable[Row], number_formats: Sequence[str], widths: Sequence[int] = (), head_rows: int = 0
) -> Iterator[bytes]:
    """The bytes of a workbook, some at a time. `rows` are of cells, `number_formats` what cells name from 1 on.

    `widths` are those of the first columns, in digits; so many rows of a head stay while the others are scrolled.
    """
    head = f'{_XML}<worksheet xmlns="{_MAIN}">{_view(head_rows)}{_columns(widths)}<sheetData>'.encode()
    sink = Sink()
    archive = zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
    sheets = 0
    blocks = _blocks(iter(rows))
    block = next(blocks, None)
    while block is not None or sheets == 0:
        sheets += 1
        with archive.open(f"xl/worksheets/sheet{sheets}.xml", "w") as sheet:
            sheet.write(head)
            yield sink.taken()
            written = 0
            while block is not None and written + len(block) <= ROWS_PER_SHEET:
                sheet.write("".join(block).encode())
                written += len(block)
                block = next(blocks, None)
                if sink.size >= _CHUNK_BYTES:
                    yield sink.taken()
            sheet.write(b"</sheetData></worksheet>")
    names = [name[:_LONGEST_NAME], *(f"{name[: _LONGEST_NAME - 4]} {number}" for number in range(2, sheets + 1))]
    for path, make in _PARTS.items():
        archive.writestr(path, _XML + make(names, number_formats))
    archive.close()
    yield sink.taken()


def _blocks(rows: Iterator[Row]) -> Iterator[list[str]]:
    """Some rows at once: each write takes time, however little it writes."""
    while block := [f"<row>{''.join(cells)}</row>" for cells in islice(rows, min(_ROWS_AT_ONCE, ROWS_PER_SHEET))]:
        yield block


def _view(head_rows: int) -> str:
    if not head_rows:
        return ""
    pane = f'<pane ySplit="{head_rows}" topLeftCell="A{head_rows + 1}" activePane="bottomLeft" state="frozen"/>'
    return f'<sheetViews><sheetView workbookViewId="0">{pane}</sheetView></sheetViews>'


def _columns(widths: Sequence[int]) -> str:
    columns = "".join(
        f'<col min="{place}" max="{place}" width="{width}" customWidth="1"/>'
        for place, width in enumerate(widths, start=1)
    )
    return f"<cols>{columns}</cols>" if columns else ""


def _content_types(names: Sequence[str], _formats: Sequence[str]) -> str:
    parts = [("xl/workbook.xml", "sheet.main"), ("xl/styles.xml", "styles")]
    parts += [(f"xl/worksheets/sheet{number}.xml", "worksheet") for number in range(1, len(names) + 1)]
    overrides = "".join(f'<Override PartName="/{path}" ContentType="{_TYPE}.{kind}+xml"/>' for path, kind in parts)
    return (
        f'<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f"{overrides}</Types>"
    )


def _package_relations(_names: Sequence[str], _formats: Sequence[str]) -> str:
    return _relations([("officeDocument", "xl/workbook.xml")])


def _workbook_relations(names: Sequence[str], _formats: Sequence[str]) -> str:
    sheets = [("worksheet", f"worksheets/sheet{number}.xml") for number in range(1, len(names) + 1)]
    return _relations([*sheets, ("styles", "styles.xml")])


def _relations(targets: Sequence[tuple[str, str]]) -> str:
    lines = "".join(
        f'<Relationship Id="r{number}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        for number, (kind, target) in enumerate(targets, start=1)
    )
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{lines}</Relationships>'


def _workbook(names: Sequence[str], _formats: Sequence[str]) -> str:
    sheets = "".join(
        f'<sheet name={quoteattr(name)} sheetId="{number}" r:id="r{number}"/>'
        for number, name in enumerate(names, start=1)
    )
    views = "<bookViews><workbookView/></bookViews>"
    return f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}">{views}<sheets>{sheets}</sheets></workbook>'


def _styles(_names: Sequence[str], formats: Sequence[str]) -> str:
    own = list(enumerate(formats, start=_OWN_FORMATS))
    looks = 'fontId="0" fillId="0" borderId="0"'
    codes = "".join(f'<numFmt numFmtId="{number}" formatCode={quoteattr(code)}/>' for number, code in own)
    uses = "".join(f'<xf numFmtId="{number}" {looks} xfId="0" applyNumberFormat="1"/>' for number, _ in own)
    plain = f'<xf numFmtId="0" {looks} xfId="0"/>'
    return (
        f'<styleSheet xmlns="{_MAIN}"><numFmts count="{len(own)}">{codes}</numFmts>'
        '<fonts count="1"><font><sz val="11"/><name val="Calibri"/></font></fonts>'
        '<fills count="2"><fill><patternFill patternType="none"/></fill>'
        '<fill><patternFill patternType="gray125"/></fill></fills>'
        '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
        f'<cellStyleXfs count="1"><xf numFmtId="0" {looks}/></cellStyleXfs>'
        f'<cellXfs count="{len(own) + 1}">{plain}{uses}</cellXfs>'
        '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>'
    )


_PARTS: dict[str, Callable[[Sequence[str], Sequence[str]], str]] = {
    "xl/workbook.xml": _workbook,
    "xl/_rels/workbook.xml.rels": _workbook_relations,
    "xl/styles.xml": _styles,
    "_rels/.rels": _package_relations,
    "[Content_Types].xml": _content_types,
}
