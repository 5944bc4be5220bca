"""The guide's *Rate* page: what prices calls, in the order of precedence; what it opens is in its nested blueprints."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from coovox_billing.services import rates
from coovox_billing.store import queries, tariff_drafts
from coovox_billing.store.lists.rates import PRECEDENCE, RankedRate, RateQuery
from coovox_billing.web import formats
from coovox_billing.web.access import READERS, Role, needs
from coovox_billing.web.arguments import Arguments
from coovox_billing.web.listing import Column, Kind, address, read_page, read_sort
from coovox_billing.web.pages.rates import export as rate_export
from coovox_billing.web.pages.rates import form as rate_form
from coovox_billing.web.pages.rates import words as rate_words
from coovox_billing.web.parts import parts, person
from coovox_billing.web.tables import Table
from coovox_billing.web.words import gettext as _

page = Blueprint("rates", __name__)


@page.get("/rate")
@needs(*READERS)
def show() -> ResponseReturnValue:
    """Rates, the preferred ones first if nothing else is asked for."""
    arguments = Arguments(request.args)
    table = TABLE.view()
    query = _query(arguments, read_sort(arguments, table.columns, PRECEDENCE))
    return render_template(
        "rates/list.html",
        page=read_page(query, arguments),
        table=table,
        sort=query.sort,
        errors=arguments.errors,
        days=rate_words.days,
        extensions_of=rate_words.extensions,
        all_extensions=rate_words.all_extensions,
        title_of=rate_words.title,
        scheduled=parts().database.read(tariff_drafts.scheduled),
        zone=queries.site().time_zone,
    )


@page.get("/rate.<any(csv, xlsx):kind>")
@needs(*READERS)
def export(kind: str) -> ResponseReturnValue:
    """The rates of the search as a file that can be imported; in their order of precedence, which ages decide too."""
    return rate_export.send(_query(Arguments(request.args), PRECEDENCE), kind)


@page.post(f"/rate/{rate_form.ID}/activate")
@needs(Role.MANAGER)
def activate(rate_id: int) -> ResponseReturnValue:
    """Make a rate valid or invalid, as the switch of its row says."""
    active, author = request.form.get("active") == "1", person()
    parts().database.write(lambda connection: rates.activate(connection, rate_id, active, author))
    rate = rate_words.title(rate_form.find(rate_id))
    flash(_("Rate %(rate)s is on.", rate=rate) if active else _("Rate %(rate)s is off.", rate=rate))
    return redirect(f"{address(url_for('rates.show'))}#rate-{rate_id}", 303)


def _query(arguments: Arguments, sort: str) -> RateQuery:
    active = {"": None, "on": True, "off": False}[arguments.choice("active", ("on", "off"))]
    prefix, remark, extension = (arguments.text(name) for name in ("prefix", "keywords", "extension"))
    return RateQuery(prefix, remark, extension, active, sort)


def _columns() -> list[Column[RankedRate]]:
    titles = rate_words.titles(formats.currency_sign(queries.site().currency))
    return [
        Column(_("Order"), lambda ranked: ranked.rank, Kind.COUNT, sort=PRECEDENCE, look="minor"),
        Column(titles["active"], lambda ranked: _("On") if ranked.rate.active else _("Off"), key="active", look="lead"),
        Column(titles["remark"], lambda ranked: ranked.rate.remark or "–", sort="remark", names_row=True, look="name"),
        Column(titles["prefix"], lambda ranked: ranked.rate.prefix or _("any"), sort="prefix", look="figures"),
        Column(titles["number_length"], lambda ranked: ranked.rate.number_length, Kind.COUNT, sort="length"),
        Column(
            f"{titles['initial_cost']} / {titles['initial_time']}",
            lambda ranked: ranked.rate.initial_cost_micros,
            Kind.PRICE,
            sort="initial",
            tone=lambda ranked: "" if ranked.rate.initial_cost_micros or ranked.rate.initial_seconds else "nothing",
        ),
        Column(
            f"{titles['rate']} / {titles['billing_unit']}", lambda ranked: ranked.rate.rate_micros, Kind.PRICE, "rate"
        ),
        Column(
            f"{titles['start_time']} / {titles['end_time']}",
            lambda ranked: f"{ranked.rate.start_time} – {ranked.rate.end_time}",
            sort="start",
            look="when",
        ),
        Column(titles["extensions"], lambda ranked: rate_words.extensions(ranked.rate.extensions), key="extensions"),
    ]


TABLE = Table("rate", "rates.show", _columns)
