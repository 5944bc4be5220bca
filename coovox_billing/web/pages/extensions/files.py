"""Extensions as a file: export them, change the file, see what it would do, have it done as a whole or not at all."""

from collections.abc import Iterator

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from coovox_billing.core import extension_csv
from coovox_billing.core.csv_table import BadRow
from coovox_billing.core.extension_csv import ExtensionRow
from coovox_billing.core.money import format_amount
from coovox_billing.errors import BadInput
from coovox_billing.services import extension_import
from coovox_billing.services.extension_import import BadRows, RowDone
from coovox_billing.store.lists.extensions import ExtensionQuery
from coovox_billing.store.queries import Extension
from coovox_billing.web import bodies, downloads, pieces
from coovox_billing.web.access import READERS, Role, needs
from coovox_billing.web.downloads import CSV_TYPE
from coovox_billing.web.pages.extensions import search as extension_search
from coovox_billing.web.parts import once, parts, person
from coovox_billing.web.words import gettext as _
from coovox_billing.web.words import ngettext, told

page = Blueprint("files", __name__)

FILE_BYTES = 512 * 1024
MOST_ROWS = 1000  # they are written at once, which calls wait for


@page.get("/extensions/import")
@needs(Role.MANAGER)
def show() -> ResponseReturnValue:
    """Choose a file."""
    return _page()


@page.post("/extensions/import")
@needs(Role.MANAGER)
@bodies.takes(FILE_BYTES + bodies.USUAL_BYTES)
def preview() -> ResponseReturnValue:
    """What every row would do; nothing is changed."""
    try:
        text = _chosen()
        return _page(text=text, done=_rehearsed(_rows(text)))
    except BadRows as error:
        return _page(bad=error.rows, error=_nothing(len(error.rows))), 422
    except BadInput as error:
        return _page(error=told(error)), 422


@page.post("/extensions/import/do")
@needs(Role.MANAGER)
@bodies.takes(FILE_BYTES + bodies.USUAL_BYTES)
def do() -> ResponseReturnValue:
    """Do what was shown."""
    author = person()
    try:
        rows = _rows(request.form.get("text", ""))
        done = ngettext("%(num)s row is imported.", "%(num)s rows are imported.", len(rows))
        once(lambda connection: extension_import.import_extensions(connection, rows, author), done)
    except BadRows as error:
        return _page(bad=error.rows, error=_nothing(len(error.rows))), 422
    except BadInput as error:
        return _page(error=told(error)), 422
    return pieces.onward(extension_search.back())


@page.get("/extensions/export.csv")
@needs(*READERS)
def export() -> ResponseReturnValue:
    """All extensions, as an import takes them."""

    def lines() -> Iterator[str]:
        yield "\ufeff"
        yield from extension_csv.render_extensions(map(_told, ExtensionQuery().stream()))

    response = downloads.streamed(lines(), CSV_TYPE)
    response.headers["Content-Disposition"] = 'attachment; filename="extensions-export.csv"'
    return response


def _told(extension: Extension) -> dict[str, str]:
    return {
        "number": extension.number,
        "name": extension.name,
        "payment_type": extension.payment_type,
        "status": extension.status,
        **extension_csv.told(extension.billing, extension.credit_micros, extension.devices),
        "total_recharges": format_amount(extension.total_recharges_micros),
        "balance": format_amount(extension.balance_micros),
        "held": format_amount(extension.held_micros),
    }


def _chosen() -> str:
    file = request.files.get("file")
    if file is None or not file.filename:
        raise BadInput("Choose a file first.")
    try:
        return file.stream.read().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput("This file is no CSV in UTF-8: save it as “CSV UTF-8”.") from None


def _rows(text: str) -> list[ExtensionRow]:
    text = text.replace("\r\n", "\n")  # a browser sends the lines of a form so
    if len(text.encode()) > FILE_BYTES:
        raise BadInput("This file is larger than %(size)s KB: split it into several.", size=FILE_BYTES // 1024)
    rows, bad = extension_csv.parse_extensions(text, MOST_ROWS)
    if bad:
        raise BadRows([*bad, *_also_bad(rows)])
    if not rows:
        raise BadInput("There is no extension in this file.")
    return rows


def _also_bad(rows: list[ExtensionRow]) -> tuple[BadRow, ...]:
    """What is wrong with those rows that could be read, so that a person sees everything at once."""
    try:
        _rehearsed(rows)
    except BadRows as error:
        return error.rows
    return ()


def _rehearsed(rows: list[ExtensionRow]) -> list[RowDone]:
    author = person()
    return parts().database.write(lambda connection: extension_import.rehearse(connection, rows, author))


def _nothing(bad: int) -> str:
    return ngettext(
        "Nothing was imported: %(num)s row is wrong. Correct the file and choose it again.",
        "Nothing was imported: %(num)s rows are wrong. Correct the file and choose it again.",
        bad,
    )


def _page(text: str = "", done: list[RowDone] | None = None, bad: tuple[BadRow, ...] = (), error: str = "") -> str:
    return render_template(
        "extensions/imports.html",
        text=text,
        rows=None if done is None else [(row, _what(row), _changes(row)) for row in done],
        bad=sorted(bad, key=lambda row: row.line),
        error=error,
        columns=",".join(extension_csv.COLUMNS),
        kilobytes=FILE_BYTES // 1024,
        token=pieces.submission_token(),
        search=extension_search.search(),
        back=extension_search.back(),
    )


def _what(row: RowDone) -> str:
    if row.is_back:
        return _("Is back")
    return _("New") if row.is_new else _("Changed") if row.changes else _("Unchanged")


def _changes(row: RowDone) -> str:
    """What becomes of it, in words."""
    names = {
        "name": _("Username"),
        "billing": _("Billing"),
        "payment_type": _("Payment Type"),
        "status": _("Status"),
        "credit_micros": _("Credit"),
        "devices": _("Devices"),
    }
    return "; ".join(f"{names[key]}: {_value(key, value)}" for key, value in row.changes.items())


def _value(key: str, value: object) -> str:
    if key == "billing":
        return extension_search.switch()["on" if value else "off"]
    if key == "credit_micros" and isinstance(value, int):
        return format_amount(value)
    if isinstance(value, list):
        return " ".join(value) or "–"
    words = extension_search.statuses() | extension_search.payment_types()
    return words.get(str(value), str(value)) if key in ("status", "payment_type") else str(value)
