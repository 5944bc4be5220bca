"""The guide's form of a rate: add, edit, copy, and the question before one is deleted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from coovox_billing.core.rate_fields import fields_of, parse_field, rate_of
from coovox_billing.core.tariff import ALL_DAYS, Rate
from coovox_billing.errors import BadInput, BillingError, NotFound, Refused
from coovox_billing.services import rates
from coovox_billing.services.rates import fingerprint
from coovox_billing.store import queries
from coovox_billing.store.lists.rates import Reachable, names_of, reachable_extensions
from coovox_billing.web import bodies, formats, numerals, pieces
from coovox_billing.web.access import Role, needs
from coovox_billing.web.arguments import WHOLE_ID
from coovox_billing.web.listing import address
from coovox_billing.web.pages.rates import words as rate_words
from coovox_billing.web.parts import once, parts, person
from coovox_billing.web.words import gettext as _
from coovox_billing.web.words import told

page = Blueprint("form", __name__)

ID = f"<{WHOLE_ID}:rate_id>"
WRITTEN = (
    "remark", "prefix", "number_length", "initial_cost", "initial_time", "rate", "billing_unit", "start_time",
    "end_time",
)  # fmt: skip
PRICES = ("initial_cost", "rate")
MOST_SHOWN = 200
MOST_CHOSEN = 5000
_NEW = {
    "remark": "",
    "prefix": "",
    "number_length": "0",
    "initial_cost": "0",
    "initial_time": "0",
    "rate": "",
    "billing_unit": "60",
    "start_time": "00:00:00",
    "end_time": "23:59:59",
}


@dataclass(frozen=True, slots=True)
class Filled:
    """What the form holds: its texts as they were written, what is ticked, and what was searched for.

    `seen` is the fingerprint of the rate that was opened, `found` the search that the shown extensions are of.
    """

    texts: Mapping[str, str]
    active: bool
    days: frozenset[int]
    is_for_all: bool
    chosen: tuple[str, ...]
    search: str = ""
    found: str = ""
    seen: str = ""

    @property
    def is_searching(self) -> bool:
        """Whether the person looks for extensions, and is not done yet: Enter in the search field is no Submit."""
        return bool({"find", "choose"} & set(request.form)) or self.search != self.found


@dataclass(frozen=True, slots=True)
class Choices:
    """The extensions that the form shows: those chosen that were not found, then those found, and how many more."""

    elsewhere: tuple[Reachable, ...]
    found: tuple[Reachable, ...]
    are_more: bool


@page.get("/rate/add")
@needs(Role.MANAGER)
def ask_add() -> ResponseReturnValue:
    """An empty form."""
    return _page(Filled(_NEW, True, ALL_DAYS, True, ()))


@page.get(f"/rate/{ID}/copy")
@needs(Role.MANAGER)
def ask_copy(rate_id: int) -> ResponseReturnValue:
    """The form of a new rate, filled in as an old one."""
    return _page(_filled_as(find(rate_id)))


@page.post("/rate/add")
@needs(Role.MANAGER)
@bodies.takes(bodies.LONG_FORM_BYTES)
def add() -> ResponseReturnValue:
    """Add what the form says."""
    filled, author = _filled(), person()
    if filled.is_searching:
        return _page(_with_choice(filled))
    rate, errors = _rate(filled, 0)
    if rate is None:
        return _page(filled, errors=errors), 422
    added: list[int] = []
    try:
        once(
            lambda connection: added.append(rates.add(connection, rate, author)),
            _("Rate %(rate)s is added.", rate=rate_words.title(rate)),
        )
    except BillingError as error:
        return _page(filled, error=told(error)), 422
    return _done(added[-1] if added else None)


@page.get(f"/rate/{ID}/edit")
@needs(Role.MANAGER)
def ask_edit(rate_id: int) -> ResponseReturnValue:
    """The form of a rate."""
    return _page(_filled_as(find(rate_id)), rate_id)


@page.post(f"/rate/{ID}/edit")
@needs(Role.MANAGER)
@bodies.takes(bodies.LONG_FORM_BYTES)
def edit(rate_id: int) -> ResponseReturnValue:
    """Change a rate to what the form says, unless somebody else changed it meanwhile."""
    filled, author = _filled(), person()
    if filled.is_searching:
        return _page(_with_choice(filled), rate_id)
    rate, errors = _rate(filled, rate_id)
    if rate is None:
        return _page(filled, rate_id, errors=errors), 422
    try:
        once(
            lambda connection: rates.edit(connection, rate, filled.seen, author),
            _("Rate %(rate)s is saved.", rate=rate_words.title(rate)),
        )
    except Refused as error:
        return _page(filled, rate_id, error=told(error), now=find(rate_id), typed=rate), 422
    except NotFound:
        raise
    except BillingError as error:
        return _page(filled, rate_id, error=told(error)), 422
    return _done(rate_id)


@page.post("/rate/extensions")
@needs(Role.MANAGER)
@bodies.takes(bodies.LONG_FORM_BYTES)
def search() -> ResponseReturnValue:
    """The extensions of a search alone, for the form that is open."""
    filled = _with_choice(_filled())
    return render_template("rates/_extensions.html", filled=filled, choices=_choices(filled), errors={})


@page.get(f"/rate/{ID}/delete")
@needs(Role.MANAGER)
def ask_delete(rate_id: int) -> ResponseReturnValue:
    """Whether it is to be deleted."""
    return _deletion(find(rate_id), "")


@page.post(f"/rate/{ID}/delete")
@needs(Role.MANAGER)
def delete(rate_id: int) -> ResponseReturnValue:
    """Delete a rate, unless somebody else changed it meanwhile."""
    seen, author = request.form.get("seen", ""), person()
    try:
        once(lambda connection: rates.delete(connection, rate_id, seen, author), _("The rate is deleted."))
    except Refused as error:
        return _deletion(find(rate_id), told(error)), 422
    return pieces.onward(address(url_for("rates.show")))


def find(rate_id: int) -> Rate:
    """The rate of an id.

    Raises:
        NotFound: there is none.
    """
    return parts().database.read(lambda connection: rates.find(connection, rate_id))


def _filled() -> Filled:
    """What was sent."""
    form = request.form
    days = frozenset(int(day) for day in form.getlist("days") if day in "1234567" and len(day) == 1)
    chosen = tuple(dict.fromkeys(form.getlist("extension")))
    texts = {name: form.get(name, "").strip() for name in WRITTEN}
    search, found = form.get("search", "").strip()[:80], form.get("found", "").strip()[:80]
    is_for_all = form.get("reach") == "all"
    return Filled(texts, "active" in form, days, is_for_all, chosen, search, found, form.get("seen", ""))


def _filled_as(rate: Rate) -> Filled:
    fields = _fields(rate)
    chosen = tuple(sorted(rate.extensions or (), key=_by_number))
    texts = {name: fields[name] for name in WRITTEN}
    return Filled(texts, rate.active, rate.days, rate.extensions is None, chosen, seen=fingerprint(rate))


def _with_choice(filled: Filled) -> Filled:
    """With everything that was found ticked, where that was asked for."""
    chosen = filled.chosen
    if "choose" in request.form:
        found = (extension.number for extension in reachable_extensions(filled.search, MOST_CHOSEN))
        chosen = tuple(dict.fromkeys([*chosen, *found]))
    return Filled(
        filled.texts, filled.active, filled.days, filled.is_for_all, chosen, filled.search, filled.search, filled.seen
    )


def _rate(filled: Filled, rate_id: int) -> tuple[Rate | None, dict[str, str]]:
    """The rate of a form, or what is wrong with each field."""
    errors: dict[str, str] = {}
    values: dict[str, Any] = {"active": filled.active, "days": filled.days}
    for name in WRITTEN:
        try:
            text = filled.texts[name]
            values[name] = parse_field(name, numerals.read(text) if name in PRICES else text)
        except BadInput as error:
            errors[name] = told(error) if filled.texts[name] else _("fill this in")
    if not filled.days:
        errors["days"] = _("choose at least one day")
    try:
        values["extensions"] = None if filled.is_for_all else parse_field("extensions", " ".join(filled.chosen))
    except BadInput as error:
        errors["extensions"] = told(error) if filled.chosen else _("choose at least one, or all")
    length, prefix = values.get("number_length", 0), values.get("prefix", "")
    if 0 < length < len(prefix):
        errors["number_length"] = _("shorter than the prefix, so that no number would match")
    return (None, errors) if errors else (rate_of(values, rate_id), errors)


def _fields(rate: Rate) -> dict[str, str]:
    """The fields of a rate, prices as the reader's language writes them."""
    fields = fields_of(rate)
    return fields | {name: numerals.signs().write_for_field(fields[name]) for name in PRICES}


def _choices(filled: Filled) -> Choices:
    found = reachable_extensions(filled.search, MOST_SHOWN + 1)
    shown = found[:MOST_SHOWN]
    numbers = {extension.number for extension in shown}
    others = sorted((number for number in filled.chosen if number not in numbers), key=_by_number)
    names = names_of(others)
    elsewhere = tuple(Reachable(number, names.get(number, "")) for number in others)
    return Choices(elsewhere, tuple(shown), len(found) > MOST_SHOWN)


def _by_number(number: str) -> tuple[int, str]:
    return len(number), number


def _page(
    filled: Filled,
    rate_id: int | None = None,
    errors: Mapping[str, str] | None = None,
    error: str = "",
    now: Rate | None = None,
    typed: Rate | None = None,
) -> str:
    """The form; `now` is what the rate became while it was open, `typed` what was to become of it."""
    titles = rate_words.titles(formats.currency_sign(queries.site().currency))
    return render_template(
        "rates/form.html",
        filled=filled,
        seen=filled.seen if now is None else fingerprint(now),
        title=_("Add") if rate_id is None else _("Edit"),
        number=rate_id,
        action=address(url_for("rates.form.add") if rate_id is None else url_for("rates.form.edit", rate_id=rate_id)),
        back=address(url_for("rates.show")),
        errors=errors or {},
        error=error,
        others=_differences(now, typed, titles),
        titles=titles,
        weekdays=formats.weekdays(),
        choices=_choices(filled),
        token=request.form.get("submission") or pieces.submission_token(),
    )


def _differences(now: Rate | None, typed: Rate | None, titles: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Each field that is another one now than what was typed: its title, what is there now, what was typed."""
    if now is None or typed is None:
        return []
    there, wanted = _fields(now), _fields(typed)
    return [(titles[name], there[name], wanted[name]) for name in titles if there[name] != wanted[name]]


def _deletion(rate: Rate, error: str) -> str:
    return pieces.render_form(
        "rates/delete.html",
        rate=rate,
        seen=fingerprint(rate),
        action=address(url_for("rates.form.delete", rate_id=rate.id)),
        back=address(url_for("rates.show")),
        error=error,
        token=request.form.get("submission") or pieces.submission_token(),
    )


def _done(rate_id: int | None) -> ResponseReturnValue:
    """Back to the list; a rate that can never win is told of."""
    back = address(url_for("rates.show"))
    if rate_id is None:
        return redirect(back, 303)
    older = parts().database.read(lambda connection: rates.shadowing(connection, rate_id))
    if older is not None:
        words = _("It never wins: %(rate)s matches the same calls and is older.", rate=rate_words.title(older))
        flash(words, "bad")
    return redirect(f"{back}#rate-{rate_id}", 303)
