"""How somebody arranges a list: the columns that are shown, and searches that are kept under a name."""

from collections.abc import Sequence

from flask import Blueprint, g, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import Forbidden

from coovox_billing.errors import BillingError, NotFound
from coovox_billing.services import arrangements
from coovox_billing.store.lists.arrangements import SavedSearch, saved_search
from coovox_billing.web import pieces
from coovox_billing.web.access import EVERYBODY, may, needs
from coovox_billing.web.arguments import WHOLE_ID
from coovox_billing.web.pages import billing_manager, call_log, changes, recharge_history, statistics
from coovox_billing.web.pages.extensions import listing_page as extensions
from coovox_billing.web.pages.rates import listing_page as rates
from coovox_billing.web.parts import once
from coovox_billing.web.tables import PLACES, Table, search_of
from coovox_billing.web.words import gettext as _
from coovox_billing.web.words import told

page = Blueprint("lists", __name__)

_TABLES = (
    extensions.TABLE,
    rates.TABLE,
    recharge_history.TABLE,
    call_log.TABLE,
    statistics.TABLE,
    changes.TABLE,
    billing_manager.TABLE,
)
TABLES = {table.word: table for table in _TABLES}


@page.get("/lists/<of_list>/columns")
@needs(*EVERYBODY)
def ask_columns(of_list: str) -> ResponseReturnValue:
    """The columns of a list, those that are shown ticked."""
    table = _find(of_list)
    return pieces.render_form(
        "lists/columns.html",
        table=table.view(),
        search=_search(()),
        back=table.address(_search(())),
        token=pieces.submission_token(),
    )


@page.post("/lists/<of_list>/columns")
@needs(*EVERYBODY)
def choose_columns(of_list: str) -> ResponseReturnValue:
    """Show the columns that are ticked, or those that are shown by themselves."""
    table, person = _find(of_list), g.user.name
    turned = [] if "as_delivered" in request.form else table.turned(request.form.getlist("column"))
    once(
        lambda connection: arrangements.turn_columns(connection, person, table.word, turned),
        _("These columns are shown to you from now on."),
    )
    return pieces.onward(table.address(_search(())))


@page.get("/lists/<of_list>/save")
@needs(*EVERYBODY)
def ask_save(of_list: str) -> ResponseReturnValue:
    """The form that keeps a search under a name."""
    return _save_form(_find(of_list), "")


@page.post("/lists/<of_list>/save")
@needs(*EVERYBODY)
def save(of_list: str) -> ResponseReturnValue:
    """Keep a search."""
    table, person, search = _find(of_list), g.user.name, _search(PLACES)
    name = request.form.get("name", "")
    try:
        once(
            lambda connection: arrangements.save_search(connection, person, table.word, name, search),
            _("The filter %(name)s is saved.", name=name.strip()),
        )
    except BillingError as error:
        return _save_form(table, told(error)), 422
    return pieces.onward(table.address(search))


@page.get(f"/lists/saved/<{WHOLE_ID}:search_id>")
@needs(*EVERYBODY)
def ask_edit(search_id: int) -> ResponseReturnValue:
    """The form that renames or deletes a search."""
    return _edit_form(_find_saved(search_id), "")


@page.post(f"/lists/saved/<{WHOLE_ID}:search_id>")
@needs(*EVERYBODY)
def edit(search_id: int) -> ResponseReturnValue:
    """Give a search another name."""
    saved, person, name = _find_saved(search_id), g.user.name, request.form.get("name", "")
    try:
        once(
            lambda connection: arrangements.rename_search(connection, person, search_id, name),
            _("The filter is called %(name)s.", name=name.strip()),
        )
    except BillingError as error:
        return _edit_form(saved, told(error)), 422
    return pieces.onward(_find(saved.of_list).address(saved.search))


@page.post(f"/lists/saved/<{WHOLE_ID}:search_id>/delete")
@needs(*EVERYBODY)
def delete(search_id: int) -> ResponseReturnValue:
    """Keep a search no more; the list goes on showing what it finds."""
    saved, person = _find_saved(search_id), g.user.name
    once(
        lambda connection: arrangements.delete_search(connection, person, search_id),
        _("The filter %(name)s is deleted.", name=saved.name),
    )
    return pieces.onward(_find(saved.of_list).address(saved.search))


def _find(of_list: str) -> Table:
    """The list of a word, for whoever may open it."""
    if of_list not in TABLES:
        raise NotFound("There is no such list.")
    table = TABLES[of_list]
    if not may(table.endpoint):
        raise Forbidden
    return table


def _find_saved(search_id: int) -> SavedSearch:
    found = saved_search(g.user.name, search_id)
    if found is None:
        raise NotFound("There is no such saved filter.")
    return found


def _search(without: Sequence[str]) -> str:
    """The list's search, as the address of a form has it, or the form itself carries it along."""
    query = request.form.get("search", "") if request.method == "POST" else request.query_string.decode()
    return search_of(query, without)


def _save_form(table: Table, error: str) -> str:
    search = _search(PLACES)
    return pieces.render_form(
        "lists/save.html",
        table=table,
        search=search,
        back=table.address(search),
        error=error,
        name=request.form.get("name", ""),
        token=request.form.get("submission") or pieces.submission_token(),
    )


def _edit_form(saved: SavedSearch, error: str) -> str:
    return pieces.render_form(
        "lists/saved.html",
        saved=saved,
        back=_find(saved.of_list).address(saved.search),
        error=error,
        name=request.form.get("name", saved.name),
        token=request.form.get("submission") or pieces.submission_token(),
        delete_token=pieces.submission_token(),
    )
