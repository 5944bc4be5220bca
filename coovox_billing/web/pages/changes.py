"""The audit log as a page: who changed what, when and from where, in words (DESIGN §8)."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from coovox_billing.store import queries
from coovox_billing.store.lists.changes import ChangeQuery, LoggedChange, people
from coovox_billing.web import downloads, formats, periods
from coovox_billing.web.access import READERS, needs
from coovox_billing.web.arguments import Arguments
from coovox_billing.web.downloads import Download
from coovox_billing.web.listing import Column, Kind, read_page
from coovox_billing.web.pages.settings import words as setting_words
from coovox_billing.web.tables import Table
from coovox_billing.web.words import gettext as _

page = Blueprint("changes", __name__)

TERMINAL = "terminal"  # where commands say that they come from

Values = str | Mapping[str, Any]

_PRICES = ("initial_cost_micros", "rate_micros")
# Kept as 1 or 0 by the database.
_SWITCHES = ("active", "billing", "checked_in", "closed", "enabled", "recreated", "second_factor", "trust_caller_id")
_NOTHING = "–"


@page.get("/audit-log")
@needs(*READERS)
def show() -> ResponseReturnValue:
    """Changes of a time, the newest first."""
    arguments = Arguments(request.args)
    query = _query(arguments)
    return render_template(
        "changes/list.html",
        page=read_page(query, arguments),
        table=TABLE.view(),
        days=formats.days(query.first_day, query.last_day),
        people=[(name, name) for name in people()],
        about=about,
        told=told,
        origin=lambda place: _("terminal") if place == TERMINAL else place,
        errors=arguments.errors,
        zone=query.zone,
    )


@page.get("/audit-log.<any(csv, xlsx):kind>")
@needs(*READERS)
def download(kind: str) -> ResponseReturnValue:
    """The search results as a file."""
    return downloads.send(found(Arguments(request.args)), kind)


def found(arguments: Arguments) -> Download:
    """The search results."""
    query = _query(arguments)
    told_of_search = formats.about_period(query.first_day, query.last_day, query.keywords)
    of_whom = (_("By"), query.actor)
    return Download("audit-log", [*told_of_search, of_whom], _columns(), query, {}, query.zone)


def about(what: str) -> str:
    """What was changed, in words: `Extension 100`, `Setting: Currency`."""
    noun, _space, name = what.partition(" ")
    if noun == "setting":
        return _("Setting: %(name)s", name=setting_words.setting_name(name))
    words = {
        "activation": _("Billing"),
        "backup": _("Backup"),
        "call": _("Call"),
        "extension": _("Extension"),
        "gateway": _("Gateway"),
        "owner": _("Owner"),
        "rate": _("Rate"),
        "rates": _("Rates"),
        "restore": _("Backup brought back"),
        "tariff": _("Draft of rates"),
        "trunk": _("Trunk"),
        "user": _("Billing user"),
    }.get(noun)
    if words is None:
        return what[:1].upper() + what[1:]
    rest = {"password": _("password"), "imported": _("imported")}.get(name, name)
    return f"{words} {rest}".strip()


def told(values: Values, what: str) -> list[tuple[str, str]]:
    """What something was, in words: names and values; a sentence has no name."""
    if isinstance(values, str):
        noun, _space, name = what.partition(" ")
        sentence = setting_words.setting_value(name, values) if noun == "setting" else _word(values)
        return [("", sentence)] if values else []
    return [(_name(name), _value(name, value)) for name, value in values.items()]


def _query(arguments: Arguments) -> ChangeQuery:
    first_day, last_day = periods.asked(arguments)
    actor = arguments.choice("by", people())
    return ChangeQuery(queries.site().time_zone, first_day, last_day, arguments.text("keywords"), actor)


def _columns() -> list[Column[LoggedChange]]:
    return [
        Column(_("Time"), lambda change: change.at_ms, Kind.MOMENT, key="time", look="when bare"),
        Column(_("By"), lambda change: change.actor, key="by", look="said"),
        Column(_("From where"), lambda change: change.origin, key="origin", look="said"),
        Column(_("What"), lambda change: about(change.what), key="what", names_row=True, look="name"),
        Column(_("Before"), lambda change: _line(change.before, change.what), key="before", look="own-line said"),
        Column(_("After"), lambda change: _line(change.after, change.what), key="after", look="own-line said"),
    ]


TABLE = Table("audit-log", "changes.show", _columns)


def _line(values: Values, what: str) -> str:
    return "; ".join(f"{name}: {text}" if name else text for name, text in told(values, what))


def _name(name: str) -> str:
    """What a value is called; those that have no words yet are called what the code calls them."""
    plain = name.removesuffix("_micros").replace("_", " ")
    return {
        "activate_at_ms": _("To be activated"),
        "active": _("Activate"),
        "added": _("Added"),
        "balance_micros": _("Balance"),
        "billing_unit": _("Billing Unit(s)"),
        "billing": _("Enable Billing"),
        "changed": _("Changed"),
        "channels": _("Channels"),
        "checked_in": _("Checked in"),
        "closed": _("Closed"),
        "credit_micros": _("Credit"),
        "daily_limit_micros": _("Recharge in a day up to"),
        "days": _("Days"),
        "devices": _("Devices"),
        "enabled": _("Enabled"),
        "end_time": _("End Time"),
        "extensions": _("Extensions"),
        "free_seconds": _("Free for the first (s)"),
        "initial_cost": _("Initial Cost"),
        "initial_cost_micros": _("Initial Cost"),
        "initial_seconds": _("Initial Time(s)"),
        "initial_time": _("Initial Time(s)"),
        "name": _("Username"),
        "number_length": _("Number Length"),
        "password": _("Password"),
        "payment_type": _("Payment Type"),
        "pin": _("PIN"),
        "prefix": _("Prefix"),
        "rate": _("Rate"),
        "rate_micros": _("Rate"),
        "reason": _("Reason"),
        "rates": _("Rates"),
        "recharge_limit_micros": _("Recharge at once up to"),
        "recovery_codes": _("Recovery codes"),
        "recreated": _("Created again"),
        "remark": _("Remark"),
        "removed": _("Removed"),
        "role": _("Role"),
        "second_factor": _("Second factor"),
        "start_time": _("Start Time"),
        "state": _("State"),
        "status": _("Status"),
        "trust_caller_id": _("Trust its caller ID"),
        "unchanged": _("Unchanged"),
        "unit_seconds": _("Billing Unit(s)"),
    }.get(name, plain[:1].upper() + plain[1:])


def _value(name: str, value: object) -> str:
    if isinstance(value, bool) or (name in _SWITCHES and value in (0, 1, "0", "1")):
        return _("Yes") if int(value) else _("No")
    if value is None or value in ("", []):
        return _NOTHING
    if name.endswith("_micros") and isinstance(value, int):
        return formats.price(value) if name in _PRICES else formats.amount(value)
    if name.endswith("_at_ms") and isinstance(value, int):
        return formats.moment(value, queries.site().time_zone)
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return _word(str(value))


def _word(value: str) -> str:
    """One of our own words; what people wrote themselves stays as it is."""
    return {
        "all": _("All"),
        "active": _("Activated"),
        "auditor": _("Auditor"),
        "cashier": _("Cashier"),
        "changed": _("changed"),
        "continue": _("Continue"),
        "draft": _("Draft"),
        "held": _("In progress"),
        "locked": _("Locked"),
        "manager": _("Billing manager"),
        "new": _("New"),
        "off": _("Off"),
        "on": _("On"),
        "postpaid": _("Postpaid"),
        "prepaid": _("Prepaid"),
        "removed": _("removed"),
        "scheduled": _("Scheduled"),
        "taken-back": _("Taken back"),
        "talking": _("In progress"),
        "to be ended": _("to be ended"),
        "unlocked": _("Unlocked"),
    }.get(value, value)
