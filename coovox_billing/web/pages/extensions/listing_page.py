"""The guide's *Extensions* page: every extension and its money; what it opens is in its nested blueprints."""

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from coovox_billing.core.site_settings import BY_OWN_PIN
from coovox_billing.store import queries
from coovox_billing.store.lists import extensions
from coovox_billing.web import downloads
from coovox_billing.web.access import EVERYBODY, READERS, may, needs
from coovox_billing.web.arguments import Arguments
from coovox_billing.web.downloads import Download
from coovox_billing.web.listing import read_page
from coovox_billing.web.pages import dashboard
from coovox_billing.web.pages.extensions import search as extension_search
from coovox_billing.web.tables import Table

page = Blueprint("extensions", __name__)

TABLE = Table("extensions", "extensions.show", extension_search.columns)


@page.get("/")
@needs(*EVERYBODY)
def land() -> ResponseReturnValue:
    """Signing in leads here (guide, "Extensions")."""
    return redirect(url_for("extensions.show"), 303)


@page.get("/extensions")
@needs(*EVERYBODY)
def show() -> ResponseReturnValue:
    """Extensions, by number if nothing else is asked for."""
    arguments = Arguments(request.args)
    query, site = extension_search.read_query(arguments), queries.site()
    return render_template(
        "extensions/list.html",
        page=read_page(query, arguments),
        totals=extension_search.totals(query.sums()),
        glance=extensions.glance(),
        sort=query.sort,
        table=TABLE.view(),
        statuses=extension_search.statuses(),
        payment_types=extension_search.payment_types(),
        switch=extension_search.switch(),
        kept=_kept(),
        recreated=extensions.recreated(),
        errors=arguments.errors,
        is_active=site.is_active,
        has_pins=site.self_service == BY_OWN_PIN,
        **_head(),
    )


@page.get("/extensions.<any(csv, xlsx):kind>")
@needs(*READERS)
def download(kind: str) -> ResponseReturnValue:
    """The search results as a file."""
    return downloads.send(found(Arguments(request.args)), kind)


def found(arguments: Arguments) -> Download:
    """The search results."""
    query = extension_search.read_query(arguments)
    columns = extension_search.columns()
    sums = extension_search.totals(query.sums())
    totals = {column.title: sums[column.word] for column in columns if column.word in sums}
    about, zone = extension_search.about(query), queries.site().time_zone
    return Download("extensions", about, columns, query, totals, zone)


def _head() -> dict[str, object]:
    """The dashboard's head, for whoever lands here and may read it: a search is not what signing in leads to."""
    if _kept() or not may("dashboard.show"):
        return {"has_head": False}
    return {"has_head": True, "is_head_open": dashboard.is_head_open(), **dashboard.now_values()}


def _kept() -> dict[str, str]:
    """The search, for the form that selects: so the server can work out *all that match*."""
    return {name: value for name, value in request.args.items() if name in extension_search.SEARCH_WORDS and value}
