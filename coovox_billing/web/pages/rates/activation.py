"""Making a draft the tariff that counts: now, or at a date and time; cancelling that; taking it back."""

from datetime import datetime
from zoneinfo import ZoneInfo

from flask import Blueprint, redirect, request, url_for
from flask.typing import ResponseReturnValue

from coovox_billing.core.clock import local_moment, milliseconds
from coovox_billing.core.rate_fields import parse_field
from coovox_billing.errors import Refused
from coovox_billing.services import tariff_drafts
from coovox_billing.store import queries
from coovox_billing.web import formats
from coovox_billing.web.access import Role, needs
from coovox_billing.web.arguments import Arguments
from coovox_billing.web.pages.rates.check import DRAFT
from coovox_billing.web.pages.rates.drafts import show_draft
from coovox_billing.web.parts import once, person
from coovox_billing.web.words import gettext as _
from coovox_billing.web.words import told

page = Blueprint("activation", __name__)


@page.post(f"/rate/drafts/{DRAFT}/activate")
@needs(Role.MANAGER)
def activate(draft_id: int) -> ResponseReturnValue:
    """Make it the list of rates, if that does what was shown."""
    author, seen = person(), request.form.get("seen", "")
    try:
        once(
            lambda c: tariff_drafts.activate(c, draft_id, author, seen),
            _("The draft is active: calls from now on have its rates."),
        )
    except Refused as error:
        return show_draft(draft_id, told(error)), 422
    return redirect(url_for("rates.drafts.look", draft_id=draft_id), 303)


@page.post(f"/rate/drafts/{DRAFT}/schedule")
@needs(Role.MANAGER)
def schedule(draft_id: int) -> ResponseReturnValue:
    """Have it activated at a day and time of the site."""
    zone, author = queries.site().time_zone, person()
    arguments = Arguments(request.form)
    at_ms = _moment_ms(arguments, zone)
    if at_ms is None:
        return show_draft(draft_id, errors=arguments.errors), 422
    try:
        done = _("The draft becomes active on %(moment)s.", moment=formats.moment(at_ms, zone))
        once(lambda c: tariff_drafts.schedule(c, draft_id, at_ms, author), done)
    except Refused as error:
        return show_draft(draft_id, told(error)), 422
    return redirect(url_for("rates.drafts.look", draft_id=draft_id), 303)


@page.post(f"/rate/drafts/{DRAFT}/cancel")
@needs(Role.MANAGER)
def cancel(draft_id: int) -> ResponseReturnValue:
    """Have it not activated."""
    author = person()
    try:
        once(lambda c: tariff_drafts.cancel(c, draft_id, author), _("It is not activated: it is a draft again."))
    except Refused as error:
        return show_draft(draft_id, told(error)), 422
    return redirect(url_for("rates.drafts.look", draft_id=draft_id), 303)


@page.post(f"/rate/drafts/{DRAFT}/take-back")
@needs(Role.MANAGER)
def take_back(draft_id: int) -> ResponseReturnValue:
    """Make the rates what they were before it was activated, if that does what was shown."""
    author, seen = person(), request.form.get("seen", "")
    try:
        done = _("It is taken back: the rates are again what they were before.")
        once(lambda c: tariff_drafts.take_back(c, draft_id, author, seen), done)
    except Refused as error:
        return show_draft(draft_id, told(error)), 422
    return redirect(url_for("rates.drafts.look", draft_id=draft_id), 303)


def _moment_ms(arguments: Arguments, zone: ZoneInfo) -> int | None:
    """The instant of a day and time of the site; None where one is missing, wrong, or left out by summer time."""
    day = arguments.day("day")
    time_of_day = arguments.parsed("time", lambda text: parse_field("start_time", text), None)
    for name, value in (("day", day), ("time", time_of_day)):
        if value is None:
            arguments.errors.setdefault(name, _("fill this in"))
    if day is None or time_of_day is None or arguments.errors:
        return None
    moment = datetime.combine(day, time_of_day, zone)
    if local_moment(milliseconds(moment), zone).replace(tzinfo=None) != moment.replace(tzinfo=None):
        arguments.errors["time"] = _("clocks are set forward over this time: choose another")
        return None
    return milliseconds(moment)
