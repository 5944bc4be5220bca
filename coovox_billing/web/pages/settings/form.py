"""The guide's *Settings*: currency, time, what happens where something is missing, emergency numbers."""

from collections.abc import Mapping
from datetime import date

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from coovox_billing.core import clock
from coovox_billing.core.emergency_numbers import NUMBERS_OF_COUNTRIES, proposed
from coovox_billing.core.site_settings import (
    AUTO,
    BY_LANGUAGE,
    BY_VOICEMAIL_PIN,
    DATE_FORMATS,
    LANGUAGES,
    SELF_SERVICE,
    SELF_SERVICE_ADDRESS,
    TIME_FORMATS,
    site_setting,
)
from coovox_billing.errors import BadInput, BillingError, NotFound, SetupError
from coovox_billing.services import site as site_service
from coovox_billing.services.site import ChangedMeanwhile
from coovox_billing.store import queries
from coovox_billing.web import formats, numerals, pieces
from coovox_billing.web.access import Role, needs
from coovox_billing.web.arguments import Arguments
from coovox_billing.web.pages.settings import words as setting_words
from coovox_billing.web.pages.settings.choices import countries, zones
from coovox_billing.web.parts import once, parts, person
from coovox_billing.web.words import gettext as _
from coovox_billing.web.words import told

page = Blueprint("settings", __name__)

EMERGENCY, PAYER, LOW = "emergency_numbers", "calls_without_payer", "low_balance"
ON_FORM = (
    "currency",
    "time_zone",
    "language",
    "date_format",
    "time_format",
    "when_no_rate",
    "when_billing_is_down",
    PAYER,
    "locking_ends_calls",
    "longest_call_seconds",
    "warning_seconds",
    "grace_seconds",
    "plus_prefix",
    SELF_SERVICE,
    SELF_SERVICE_ADDRESS,
    LOW,
)
ADD, REPLACE = "add", "replace"

_SAMPLE_MICROS = 1_234_500_000
_PAYER_IS_AN_EXTENSION = "extension"


@page.get("/settings")
@needs(Role.MANAGER)
def show() -> ResponseReturnValue:
    """All settings, as they are."""
    stored = queries.settings()
    return _page(stored | {LOW: numerals.signs().write_for_field(stored[LOW])}, stored, {})


@page.post("/settings")
@needs(Role.MANAGER)
def change() -> ResponseReturnValue:
    """Store those settings that the form changed, all or none."""
    given = {name: _given(name) for name in ON_FORM if name in request.form}
    seen = {name: request.form.get(f"was.{name}", "") for name in given}
    errors: dict[str, str] = {}
    changes = _changes(given, seen, errors)
    if not errors and changes:
        errors = _store(changes, _("The settings are stored."))
    if errors:
        stored = queries.settings()
        return _page(stored | given, stored | ({} if "" in errors else seen), errors), 422
    if not changes:
        flash(_("Nothing was changed."))
    return redirect(url_for("settings.show"), 303)


@page.get("/settings/emergency-numbers")
@needs(Role.MANAGER)
def propose() -> ResponseReturnValue:
    """The list as it would be with the numbers of a country; nothing is stored yet."""
    arguments = Arguments(request.args)
    country = arguments.choice("country", NUMBERS_OF_COUNTRIES)
    way = arguments.choice("way", (ADD, REPLACE), ADD)
    stored = queries.settings()[EMERGENCY]
    numbers = " ".join(proposed(stored.split(), country, replaces=way == REPLACE)) if country else stored
    return _emergency_form(numbers, stored, arguments.errors, country)


@page.post("/settings/emergency-numbers")
@needs(Role.MANAGER)
def change_emergency() -> ResponseReturnValue:
    """Store the list of emergency numbers."""
    given, seen, errors = _given(EMERGENCY), request.form.get(f"was.{EMERGENCY}", ""), dict[str, str]()
    changes = _changes({EMERGENCY: given}, {EMERGENCY: seen}, errors)
    if not errors and changes:
        errors = _store(changes, _("The emergency numbers are stored."))
    if errors:
        return _emergency_form(given, queries.settings()[EMERGENCY], errors), 422
    if not changes:
        flash(_("Nothing was changed."))
    return pieces.onward(url_for("settings.show"))


def _given(name: str) -> str:
    """A setting's text as the form has it; who pays is written in a field of its own."""
    text = request.form.get(name, "").strip()
    if name == PAYER and text == _PAYER_IS_AN_EXTENSION:
        return request.form.get("payer", "").strip()
    return text


def _changes(given: Mapping[str, str], seen: Mapping[str, str], errors: dict[str, str]) -> dict[str, tuple[str, str]]:
    """What the form changed, by name: as it was seen and as it is to be. What cannot be is told in `errors`."""
    changes = {}
    for name, text in given.items():
        if text == seen[name]:
            continue
        try:
            tidy = site_setting(name).check(numerals.read(text) if name == LOW else text)
            if tidy != seen[name]:
                changes[name] = (seen[name], tidy)
        except BadInput as error:
            errors[name] = told(error)
    return changes


def _store(changes: Mapping[str, tuple[str, str]], done: str) -> dict[str, str]:
    """Store them; returns what is wrong, by name, with no name where it is the whole form."""
    author = person()
    try:
        once(lambda connection: site_service.change_settings(connection, changes, author), done)
    except NotFound as error:
        return {PAYER: told(error)}
    except ChangedMeanwhile as error:
        return {"": _changed_meanwhile(error)}
    except BillingError as error:
        return {"": told(error)}
    return {}


def _changed_meanwhile(error: ChangedMeanwhile) -> str:
    return _(
        "%(name)s was changed meanwhile, to %(present)s: look at it, then repeat",
        name=setting_words.setting_name(error.name),
        present=setting_words.setting_value(error.name, error.present),
    )


def _page(shown: Mapping[str, str], seen: Mapping[str, str], errors: Mapping[str, str]) -> str:
    site, stored, now_ms = queries.site(), queries.settings(), parts().now_ms()
    pays = shown[PAYER] not in ("pass", "refuse")
    today = clock.local_day(now_ms, site.time_zone)
    return render_template(
        "settings/form.html",
        values={
            **shown,
            PAYER: _PAYER_IS_AN_EXTENSION if pays else shown[PAYER],
            LOW: _amount(shown[LOW], stored[LOW]),
        },
        payer=shown[PAYER] if pays else "",
        seen={name: seen[name] for name in ON_FORM},
        errors=errors,
        words=setting_words.setting_name,
        currencies=[(code, setting_words.currency_name(code)) for code in formats.CURRENCY_SIGNS],
        sample=formats.money(_SAMPLE_MICROS, site.currency),
        zones=zones(),
        now=formats.moment(now_ms, site.time_zone),
        languages=[(code, setting_words.setting_value("language", code)) for code in (AUTO, *LANGUAGES)],
        date_formats=_date_formats(today),
        time_formats=[(word, setting_words.setting_value("time_format", word)) for word in TIME_FORMATS],
        warnings=_warnings(stored),
        numbers=stored[EMERGENCY].split(),
        countries=countries(),
        token=pieces.submission_token(),
    )


def _amount(shown: str, stored: str) -> str:
    """An amount as the reader writes it; what was typed stays."""
    return numerals.signs().write_for_field(shown) if shown == stored else shown


def _date_formats(today: date) -> list[tuple[str, str]]:
    fixed = [(word, f"{word} ({formats.in_date_format(today, word)})") for word in DATE_FORMATS]
    return [*fixed, (BY_LANGUAGE, setting_words.setting_value("date_format", BY_LANGUAGE))]


def _emergency_form(numbers: str, stored: str, errors: Mapping[str, str], country: str = "") -> str:
    listed, present = numbers.replace(",", " ").split(), stored.split()
    return pieces.render_form(
        "settings/emergency.html",
        numbers=numbers,
        stored=stored,
        errors=errors,
        country=dict(countries()).get(country, ""),
        added=[number for number in listed if number not in present],
        removed=[number for number in present if number not in listed],
        token=request.form.get("submission") or pieces.submission_token(),
    )


def _warnings(stored: Mapping[str, str]) -> list[str]:
    """What the present settings invite."""
    warnings = []
    if stored["when_no_rate"] == "allow":
        warnings.append(_("Calls that no rate matches pass and cost nothing: anybody can dial what nobody has priced."))
    if stored["when_billing_is_down"] == "allow":
        warnings.append(
            _("While billing does not answer, every unlocked extension calls without limit, also beyond its balance.")
        )
    if stored["warning_seconds"] == "0":
        warnings.append(_("No caller is warned: a call ends in the middle of a word when its money is out."))
    if stored[SELF_SERVICE] == BY_VOICEMAIL_PIN and (trouble := _mailboxes_unread()):
        warnings.append(_("Nobody can sign in to self-service: %(trouble)s", trouble=trouble))
    return warnings


def _mailboxes_unread() -> str:
    """Why the PINs of mailboxes cannot be read, empty where they can."""
    try:
        parts().voicemail_pin("")
    except SetupError as error:
        return told(error)
    return ""
