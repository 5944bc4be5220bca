"""The own account: what is there to call with, and the bill until now."""

from dataclasses import replace
from datetime import timedelta

from flask import Blueprint, g, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import Forbidden

from coovox_billing.core.clock import day_start_ms, local_day
from coovox_billing.store import queries
from coovox_billing.store.lists import stays
from coovox_billing.store.lists.stays import BilledCall
from coovox_billing.web import formats
from coovox_billing.web.access import Role, needs
from coovox_billing.web.arguments import Arguments
from coovox_billing.web.pages.extensions import search as extension_search
from coovox_billing.web.parts import parts
from coovox_billing.web.words import gettext as _

page = Blueprint("self_service", __name__)


@page.get("/self")
@needs(Role.PERSON)
def show() -> ResponseReturnValue:
    """Balance, credit, what calls hold, and what becomes of calls."""
    site = queries.site()
    return render_template(
        "self_service/account.html",
        currency=site.currency,
        payment_types=extension_search.payment_types(),
        statuses=extension_search.statuses(),
        in_call=stays.is_in_call(g.own.number),
    )


@page.get("/self/statement")
@needs(Role.PERSON)
def statement() -> ResponseReturnValue:
    """A guest's bill until now, as the billing manager has it; others' is of a month, this one where none is named."""
    site, now_ms = queries.site(), parts().now_ms()
    today = local_day(now_ms, site.time_zone)
    month = min(Arguments(request.args).day("month") or today, today).replace(day=1)
    following = (month + timedelta(days=31)).replace(day=1)
    since_ms, until_ms = (day_start_ms(day, site.time_zone) for day in (month, following))
    if g.own.checked_in_at_ms is None:
        found = stays.bill_of_time(g.own.number, since_ms, until_ms, now_ms)
    else:
        found = stays.bill_until_now(g.own.number, now_ms)
    if found is None:  # closed within this request
        raise Forbidden
    return render_template(
        "self_service/statement.html",
        bill=replace(found, calls=[_without_others(call) for call in found.calls]),
        before=(month - timedelta(days=1)).replace(day=1) if found.since_ms == since_ms else None,
        after=following if until_ms <= now_ms else None,
        zone=site.time_zone,
        sign=formats.currency_sign(site.currency),
    )


def _without_others(call: BilledCall) -> BilledCall:
    """What an earlier guest dialed is not told to whoever is there now, who only has its sum in the balance."""
    return replace(call, number=_("an earlier call")) if call.of_earlier_guest else call
