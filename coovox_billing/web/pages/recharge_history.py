"""The guide's *Recharge History*: what people paid in, and corrections; either can be taken back by a counter-entry."""

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from coovox_billing.errors import BillingError, NotFound
from coovox_billing.services import payments
from coovox_billing.store import queries
from coovox_billing.store.lists.recharges import Payment, RechargeQuery, payment
from coovox_billing.web import downloads, formats, periods, pieces
from coovox_billing.web.access import EVERYBODY, READERS, Role, needs
from coovox_billing.web.arguments import WHOLE_ID, Arguments
from coovox_billing.web.downloads import Download
from coovox_billing.web.listing import Column, Kind, read_page
from coovox_billing.web.parts import once, person
from coovox_billing.web.tables import Table
from coovox_billing.web.words import gettext as _
from coovox_billing.web.words import told

page = Blueprint("recharge_history", __name__)


@page.get("/recharge-history")
@needs(*EVERYBODY)
def show() -> ResponseReturnValue:
    """Payments of a time, the newest first."""
    arguments = Arguments(request.args)
    query = _query(arguments)
    return render_template(
        "recharge_history/list.html",
        page=read_page(query, arguments),
        totals={"amount": query.total_micros()},
        table=TABLE.view(),
        days=formats.days(query.first_day, query.last_day),
        errors=arguments.errors,
        zone=query.zone,
    )


@page.get("/recharge-history.<any(csv, xlsx):kind>")
@needs(*READERS)
def download(kind: str) -> ResponseReturnValue:
    """The search results as a file."""
    return downloads.send(found(Arguments(request.args)), kind)


def found(arguments: Arguments) -> Download:
    """The search results."""
    query = _query(arguments)
    columns = _columns()
    about = formats.about_period(query.first_day, query.last_day, query.keywords)
    totals = {columns[3].title: query.total_micros()}
    return Download("recharge-history", about, columns, query, totals, query.zone)


@page.get(f"/recharge-history/<{WHOLE_ID}:entry_id>")
@needs(*EVERYBODY)
def receipt(entry_id: int) -> ResponseReturnValue:
    """One payment, to be printed."""
    site = queries.site()
    return pieces.render_form(
        "recharge_history/receipt.html", payment=_payment(entry_id), zone=site.time_zone, currency=site.currency
    )


@page.get(f"/recharge-history/<{WHOLE_ID}:entry_id>/undo")
@needs(Role.MANAGER)
def ask_undo(entry_id: int) -> ResponseReturnValue:
    """The form that takes a payment back."""
    return _undo_form(entry_id, "")


@page.post(f"/recharge-history/<{WHOLE_ID}:entry_id>/undo")
@needs(Role.MANAGER)
def undo(entry_id: int) -> ResponseReturnValue:
    """Take a payment back."""
    undone, author, reason = _payment(entry_id), person(), request.form.get("reason", "")
    try:
        once(
            lambda connection: payments.undo(connection, entry_id, reason, author),
            _("%(amount)s of %(extension)s is taken back.", **_named(undone)),
        )
    except BillingError as error:
        return _undo_form(entry_id, told(error)), 422
    return pieces.onward(url_for("recharge_history.show"))


def _query(arguments: Arguments) -> RechargeQuery:
    first_day, last_day = periods.asked(arguments)
    return RechargeQuery(queries.site().time_zone, first_day, last_day, arguments.text("keywords"))


def _columns() -> list[Column[Payment]]:
    sign = formats.currency_sign(queries.site().currency)
    return [
        Column(_("Time"), lambda payment: payment.at_ms, Kind.MOMENT, key="time", look="when bare"),
        Column(
            _("Extension"),
            lambda payment: formats.named(payment.name, payment.extension),
            key="extension",
            names_row=True,
            look="name",
        ),
        Column(_("Pre-balance(%(sign)s)", sign=sign), lambda payment: payment.before_micros, Kind.AMOUNT, key="before"),
        Column(
            _("Recharge Amount(%(sign)s)", sign=sign),
            lambda payment: payment.amount_micros,
            Kind.AMOUNT,
            key="amount",
            look="lead",
            tone=lambda payment: "owes" if payment.amount_micros < 0 else "",
        ),
        Column(_("Post-balance(%(sign)s)", sign=sign), lambda payment: payment.after_micros, Kind.AMOUNT, key="after"),
        Column(_("What"), formats.payment_kind, key="what", look="bare"),
        Column(_("By"), lambda payment: payment.actor, key="by", look="minor said"),
        Column(_("Reason"), lambda payment: payment.reason, key="reason", look="minor said"),
    ]


TABLE = Table("recharge-history", "recharge_history.show", _columns)


def _payment(entry_id: int) -> Payment:
    found = payment(entry_id)
    if found is None:
        raise NotFound("There is no such recharge.")
    return found


def _undo_form(entry_id: int, error: str) -> str:
    return pieces.render_form(
        "recharge_history/undo.html",
        payment=_payment(entry_id),
        error=error,
        reason=request.form.get("reason", ""),
        token=request.form.get("submission") or pieces.submission_token(),
    )


def _named(payment: Payment) -> dict[str, str]:
    return {
        "amount": formats.money(payment.amount_micros, queries.site().currency),
        "extension": formats.named(payment.name, payment.extension),
    }
