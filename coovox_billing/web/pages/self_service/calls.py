"""The own calls of a time, as a page and as files."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from flask import Blueprint, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from coovox_billing.core.clock import local_day
from coovox_billing.store import queries
from coovox_billing.store.lists import calls
from coovox_billing.store.lists.calls import CallLine, CallQuery, LoggedCall
from coovox_billing.web import downloads, formats, tables
from coovox_billing.web.access import Role, needs
from coovox_billing.web.arguments import Arguments
from coovox_billing.web.downloads import Download
from coovox_billing.web.listing import Column, read_page
from coovox_billing.web.pages import call_log
from coovox_billing.web.parts import parts
from coovox_billing.web.words import gettext as _
from coovox_billing.web.words import ngettext

page = Blueprint("calls", __name__)

USUAL_DAYS, MOST_DAYS = 30, 366
# Of the call log's columns: when, to whom, for how long, for how much, what became of it.
SHOWN_COLUMNS = ("start", "to", "duration", "cost", "status")


@page.get("/self/calls")
@needs(Role.PERSON)
def show() -> ResponseReturnValue:
    """The own calls, the newest first; those of the last month where nothing was asked for."""
    if not request.args:
        today = local_day(parts().now_ms(), queries.site().time_zone)
        period: dict[str, Any] = {"from": today - timedelta(days=USUAL_DAYS - 1), "to": today}
        return redirect(url_for(".show", **period), 303)
    arguments = Arguments(request.args)
    query = _query(arguments)
    return render_template(
        "self_service/calls.html",
        page=read_page(query, arguments),
        totals=query.totals,
        is_archived=bool(calls.archived(query.first_day, query.last_day)),
        table=tables.plain(_columns()),
        errors=arguments.errors,
        zone=query.zone,
    )


@page.get("/self/calls.<any(csv, xlsx):kind>")
@needs(Role.PERSON)
def download(kind: str) -> ResponseReturnValue:
    """The same as a file."""
    query, columns = _query(Arguments(request.args)), _columns()
    tally = call_log.Tally(query, {columns[2].title: 0, columns[3].title: 0})
    about = [(_("Extension"), g.own.number), *formats.about_period(query.first_day, query.last_day, "")[:2]]
    found = Download(f"calls-{g.own.number}", about, columns, tally, tally.totals, query.zone)
    return downloads.send(found, kind, downloads.own_running)


def _query(arguments: Arguments) -> CallQuery:
    """Calls of a time that is never without bounds, so that nobody has years of them counted."""
    zone = queries.site().time_zone
    last_day = arguments.day("to") or local_day(parts().now_ms(), zone)
    first_day = arguments.day("from") or last_day - timedelta(days=USUAL_DAYS - 1)
    if last_day - first_day >= timedelta(days=MOST_DAYS):
        first_day = last_day - timedelta(days=MOST_DAYS - 1)
        arguments.errors["from"] = ngettext("up to %(num)s day at once", "up to %(num)s days at once", MOST_DAYS)
    return CallQuery(zone, first_day, last_day, of_account=g.own)


def _columns() -> list[Column[LoggedCall | CallLine]]:
    columns = {column.word: column for column in call_log.columns()}
    return [replace(columns[word], names_row=word == "to") for word in SHOWN_COLUMNS]
