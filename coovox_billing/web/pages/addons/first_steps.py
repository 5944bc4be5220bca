"""The owner's first steps: a country with its emergency numbers, currency, zone, a policy; then a summary on paper."""

import sqlite3
from collections.abc import Mapping

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from coovox_billing.core.emergency_numbers import NUMBERS_OF_COUNTRIES, proposed
from coovox_billing.errors import BillingError
from coovox_billing.services import site as site_service
from coovox_billing.store import queries
from coovox_billing.web import formats, pieces
from coovox_billing.web.access import Role, needs
from coovox_billing.web.pages.settings import words as setting_words
from coovox_billing.web.pages.settings.choices import countries, zones
from coovox_billing.web.parts import once, parts, person
from coovox_billing.web.words import gettext as _
from coovox_billing.web.words import told

page = Blueprint("first_steps", __name__)

EMERGENCY = "emergency_numbers"
ASKED = ("currency", "time_zone", "when_no_rate", "when_billing_is_down")


@page.get("/addons/billing/first-steps")
@needs(Role.OWNER)
def ask() -> ResponseReturnValue:
    """The questions, with what is set now, or was answered already."""
    answered = {name: request.args[name] for name in ASKED if name in request.args}
    return _questions(queries.settings() | answered, request.args.get("country", ""), {})


@page.post("/addons/billing/first-steps")
@needs(Role.OWNER)
def answer() -> ResponseReturnValue:
    """Show the emergency numbers of the country; once they are confirmed, store all of it or nothing."""
    given, country = {name: request.form.get(name, "").strip() for name in ASKED}, request.form.get("country", "")
    errors = setting_words.faults_of(given)
    if country not in NUMBERS_OF_COUNTRIES:
        errors["country"] = _("choose the country in which the calls are made")
    if errors:
        return _questions(queries.settings() | given, country, errors), 422
    if EMERGENCY not in request.form:
        return _numbers(given, country, " ".join(proposed([], country, replaces=True)), {})
    given[EMERGENCY] = request.form[EMERGENCY].strip()
    errors = setting_words.faults_of(given) or _store(given, is_activated=request.form.get("active") == "on")
    if errors:
        return _numbers(given, country, given[EMERGENCY], errors), 422
    return redirect(url_for("first_steps.summary"), 303)


@page.get("/addons/billing/summary")
@needs(Role.OWNER)
def summary() -> ResponseReturnValue:
    """What is set, to be printed and kept."""
    stored = queries.settings()
    lines = [(setting_words.setting_name(name), setting_words.setting_value(name, stored[name])) for name in ASKED]
    return render_template(
        "addons/summary.html",
        lines=lines,
        numbers=stored[EMERGENCY].split(),
        standing=parts().licensing.standing(),
        zone=queries.site().time_zone,
        now_ms=parts().now_ms(),
    )


def _store(given: Mapping[str, str], *, is_activated: bool) -> dict[str, str]:
    author, licensing = person(), parts().licensing
    if is_activated and licensing.standing().is_barred:
        return {"": _("The trial is over: upload a license first, or leave Activate Billing off.")}

    def change(connection: sqlite3.Connection) -> None:
        for name, text in given.items():
            site_service.change_setting(connection, name, text, author)

    try:
        once(change, _("The settings are stored."))
        if is_activated:
            licensing.activate(author)
    except BillingError as error:
        return {"": told(error)}
    return {}


def _questions(values: Mapping[str, str], country: str, errors: Mapping[str, str]) -> str:
    return render_template(
        "addons/first_steps.html",
        values=values,
        country=country,
        errors=errors,
        words=setting_words.setting_name,
        token=pieces.submission_token(),
        countries=countries(),
        currencies=[(code, setting_words.currency_name(code)) for code in formats.CURRENCY_SIGNS],
        zones=[(zone, zone) for zone in zones()],
        policies={
            name: [(value, setting_words.setting_value(name, value)) for value in ("refuse", "allow")]
            for name in ("when_no_rate", "when_billing_is_down")
        },
    )


def _numbers(given: Mapping[str, str], country: str, numbers: str, errors: Mapping[str, str]) -> str:
    return render_template(
        "addons/numbers.html",
        given={name: given[name] for name in ASKED} | {"country": country},
        country=dict(countries())[country],
        numbers=numbers,
        trouble=parts().licensing.device.trouble,
        errors=errors,
        token=request.form.get("submission") or pieces.submission_token(),
    )
