"""What the guide does with extensions: recharge, edit and bulk edit; besides, correct, add, close, and say who is back.

A form carries the extensions that it was shown for, so that what is done is what was seen.
"""

import sqlite3
from collections.abc import Mapping, Sequence

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from coovox_billing.core.extension_csv import parse_credit
from coovox_billing.core.site_settings import BY_OWN_PIN
from coovox_billing.errors import BillingError, NotFound
from coovox_billing.services import accounts, payments
from coovox_billing.store import queries
from coovox_billing.store.lists import extensions
from coovox_billing.store.lists.own_account import pin_set_at_ms
from coovox_billing.store.queries import Extension
from coovox_billing.web import bodies, formats, numerals, pieces
from coovox_billing.web.access import EVERYBODY, READERS, Role, needs
from coovox_billing.web.arguments import Arguments
from coovox_billing.web.pages.extensions import search as extension_search
from coovox_billing.web.parts import once, person
from coovox_billing.web.words import gettext as _
from coovox_billing.web.words import ngettext, told

page = Blueprint("forms", __name__)

BULK_FIELDS = ("billing", "credit", "status", "payment_type")
EDITED_FIELDS = ("name", "billing", "credit", "status", "payment_type", "devices")


@page.get("/extension/<number>")
@needs(*EVERYBODY)
def details(number: str) -> ResponseReturnValue:
    """One extension, and all that can be done with it."""
    return render_template(
        "extensions/extension.html",
        extension=find(number),
        zone=queries.site().time_zone,
        pin_set_at_ms=pin_set_at_ms(number),
        **words(),
    )


@page.get("/extensions/recharge")
@needs(Role.MANAGER, Role.CASHIER)
def ask_recharge() -> ResponseReturnValue:
    """The guide's dialog, for one extension or for all that are selected."""
    numbers = extension_search.selected()
    return _recharge_form(numbers, Arguments({})) if numbers else select_first()


@page.post("/extensions/recharge")
@needs(Role.MANAGER, Role.CASHIER)
@bodies.takes(extension_search.SELECTION_BYTES)
def recharge() -> ResponseReturnValue:
    """Put the same amount on each of them, or on none."""
    arguments, numbers, author = Arguments(request.form), extension_search.sent(), person()
    amount_micros, reason = arguments.amount("amount"), arguments.text("remark", payments.MAX_REASON_LENGTH)
    if amount_micros is None or amount_micros <= 0:
        arguments.errors.setdefault("amount", _("an amount above 0, like 100 or 12.50"))
    if arguments.errors or amount_micros is None:
        return _recharge_form(numbers, arguments), 422
    amount = formats.money(amount_micros, queries.site().currency)
    try:
        once(
            lambda connection: payments.recharge_many(connection, numbers, amount_micros, author, reason),
            _recharged(numbers, amount),
        )
    except BillingError as error:
        return _recharge_form(numbers, arguments, told(error)), 422
    return pieces.onward(extension_search.back())


def _recharged(numbers: Sequence[str], amount: str) -> str:
    if len(numbers) == 1:
        return _("%(extension)s is recharged with %(amount)s.", extension=numbers[0], amount=amount)
    return ngettext(
        "%(num)s extension is recharged with %(amount)s.",
        "%(num)s extensions are recharged with %(amount)s each.",
        len(numbers),
        amount=amount,
    )


@page.get("/extension/<number>/edit")
@needs(Role.MANAGER)
def ask_edit(number: str) -> ResponseReturnValue:
    """The guide's *Edit*, with what the extension is now."""
    return _edit_form(number, Arguments(_shown(find(number))), _shown(find(number)))


@page.post("/extension/<number>/edit")
@needs(Role.MANAGER)
def edit(number: str) -> ResponseReturnValue:
    """Change what the form was changed in; all else stays, whatever it has become since the form was opened."""
    was = {name: request.form.get(f"was_{name}", "") for name in EDITED_FIELDS}
    given = {name: request.form.get(name, "").strip() for name in EDITED_FIELDS}
    arguments, author = Arguments(given), person()
    changes = _changes(arguments, [name for name in EDITED_FIELDS if given[name] != was[name]])
    if arguments.errors:
        return _edit_form(number, arguments, was), 422
    done = _("%(extension)s is changed.", extension=number) if changes else _("Nothing was changed.")
    try:
        once(lambda connection: accounts.change(connection, number, changes, author), done)
    except BillingError as error:
        return _edit_form(number, arguments, was, told(error)), 422
    return pieces.onward(extension_search.back())


@page.get("/extensions/bulk-edit")
@needs(Role.MANAGER)
def ask_bulk_edit() -> ResponseReturnValue:
    """The guide's *Bulk Edit*, nothing of it ticked."""
    numbers = extension_search.selected()
    return _bulk_form(numbers, Arguments({}), []) if numbers else select_first()


@page.post("/extensions/bulk-edit")
@needs(Role.MANAGER)
@bodies.takes(extension_search.SELECTION_BYTES)
def bulk_edit() -> ResponseReturnValue:
    """Change what is ticked of all of them, or of none; what is not ticked stays as it is on each."""
    arguments, numbers, author = Arguments(request.form), extension_search.sent(), person()
    ticked = [name for name in BULK_FIELDS if name in request.form.getlist("change")]
    changes = _changes(arguments, ticked)
    if not ticked:
        return _bulk_form(numbers, arguments, ticked, _("Nothing is ticked: tick what is to be changed.")), 422
    if arguments.errors:
        return _bulk_form(numbers, arguments, ticked), 422
    done = ngettext("%(num)s extension is changed.", "%(num)s extensions are changed.", len(numbers))
    try:
        once(lambda connection: accounts.change_many(connection, numbers, changes, author), done)
    except BillingError as error:
        return _bulk_form(numbers, arguments, ticked, told(error)), 422
    return pieces.onward(extension_search.back())


@page.get("/extension/<number>/correct")
@needs(Role.MANAGER)
def ask_correct(number: str) -> ResponseReturnValue:
    """The form of a correction."""
    return _money_form("extensions/correct.html", number, Arguments({}))


@page.post("/extension/<number>/correct")
@needs(Role.MANAGER)
def correct(number: str) -> ResponseReturnValue:
    """Add to a balance or take from it, for a reason that stays in the ledger."""
    arguments, author = Arguments(request.form), person()
    amount_micros, reason = arguments.amount("amount"), arguments.text("reason", payments.MAX_REASON_LENGTH)
    if not amount_micros:
        arguments.errors.setdefault("amount", _("an amount, with a minus to take money away"))
    if not reason:
        arguments.errors.setdefault("reason", _("write why: it stands in the ledger for good"))
    if arguments.errors or not amount_micros:
        return _money_form("extensions/correct.html", number, arguments), 422
    amount = formats.money(amount_micros, queries.site().currency)
    try:
        once(
            lambda connection: payments.correct(connection, number, amount_micros, reason, author),
            _("%(extension)s is corrected by %(amount)s.", extension=number, amount=amount),
        )
    except BillingError as error:
        return _money_form("extensions/correct.html", number, arguments, told(error)), 422
    return pieces.onward(extension_search.back())


@page.get("/extensions/add")
@needs(Role.MANAGER)
def ask_add() -> ResponseReturnValue:
    """The form of a new extension."""
    return _add_form(Arguments({}))


@page.post("/extensions/add")
@needs(Role.MANAGER)
def add() -> ResponseReturnValue:
    """Open an account; one that was closed is opened again, and a person is asked whether it is the same."""
    arguments, author = Arguments(request.form), person()
    number = arguments.parsed("number", accounts.check_extension, "")
    name = arguments.text("name", accounts.MAX_NAME_LENGTH)
    billing = request.form.get("billing") == "on"
    if not number:
        arguments.errors.setdefault("number", _("the number that is dialed, like 100"))
    if arguments.errors:
        return _add_form(arguments), 422

    def open_it(connection: sqlite3.Connection) -> None:
        accounts.add(connection, number, name, author)
        if billing:
            accounts.change(connection, number, {"billing": True}, author)

    try:
        once(open_it, _("%(extension)s is added.", extension=number))
    except BillingError as error:
        return _add_form(arguments, told(error)), 422
    return pieces.onward(extension_search.back())


@page.get("/extension/<number>/close")
@needs(Role.MANAGER)
def ask_close(number: str) -> ResponseReturnValue:
    """What closing means, before it is done."""
    return _money_form("extensions/close.html", number, Arguments({}))


@page.post("/extension/<number>/close")
@needs(Role.MANAGER)
def close(number: str) -> ResponseReturnValue:
    """Close the account; its money and history are kept."""
    author = person()
    try:
        once(
            lambda connection: accounts.close(connection, number, author),
            _("%(extension)s is closed.", extension=number),
        )
    except NotFound:
        raise
    except BillingError as error:
        return _money_form("extensions/close.html", number, Arguments({}), told(error)), 422
    return pieces.onward(extension_search.back())


@page.get("/extensions/closed")
@needs(*READERS)
def closed() -> ResponseReturnValue:
    """Accounts that were closed, with the balance that is kept."""
    site = queries.site()
    sign = formats.currency_sign(site.currency)
    return render_template("extensions/closed.html", closed=extensions.closed(), zone=site.time_zone, sign=sign)


@page.get("/extension/<number>/recreated")
@needs(Role.MANAGER)
def ask_recreated(number: str) -> ResponseReturnValue:
    """Whether an extension that was closed and is there again is the same."""
    return _money_form("extensions/recreated.html", number, Arguments({}))


@page.post("/extension/<number>/recreated")
@needs(Role.MANAGER)
def answer_recreated(number: str) -> ResponseReturnValue:
    """It goes on as it was, or begins anew with an empty account."""
    arguments, author = Arguments(request.form), person()
    answer = arguments.choice("answer", accounts.RECREATED_ANSWERS)
    if not answer:
        arguments.errors.setdefault("answer", _("choose one"))
        return _money_form("extensions/recreated.html", number, arguments), 422
    done = {
        "continue": _("%(extension)s goes on as it was.", extension=number),
        "new": _("%(extension)s begins anew, with an empty account.", extension=number),
    }[answer]
    try:
        once(lambda connection: accounts.answer_recreated(connection, number, answer, author), done)
    except BillingError as error:
        return _money_form("extensions/recreated.html", number, arguments, told(error)), 422
    return pieces.onward(extension_search.back())


def find(number: str) -> Extension:
    """The extension of an address.

    Raises:
        NotFound: there is none.
    """
    found = extensions.extension(number)
    if found is None:
        raise NotFound("There is no extension %(number)s, or it was closed.", number=number[:80])
    return found


def words() -> dict[str, object]:
    """What every form about extensions needs beside its own."""
    site = queries.site()
    return {
        "currency": site.currency,
        "sign": formats.currency_sign(site.currency),
        "has_pins": site.self_service == BY_OWN_PIN,
        "statuses": extension_search.statuses(),
        "payment_types": extension_search.payment_types(),
        "switch": extension_search.switch(),
        "search": extension_search.search(),
        "back": extension_search.back(),
        "token": request.form.get("submission") or pieces.submission_token(),
    }


def _changes(arguments: Arguments, names: list[str]) -> dict[str, object]:
    """The values of these fields, as `accounts.change` takes them; what is wrong is in the arguments' errors."""
    changes: dict[str, object] = {}
    if "name" in names:
        changes["name"] = arguments.text("name", accounts.MAX_NAME_LENGTH)
    if "billing" in names:
        changes["billing"] = arguments.raw("billing") == "on"
    if "credit" in names:
        changes["credit_micros"] = arguments.parsed("credit", lambda text: parse_credit(numerals.read(text)), None)
        if not arguments.raw("credit").strip():
            arguments.errors["credit"] = _("an amount; 0 for no credit")
    if "status" in names:
        changes["status"] = arguments.choice("status", accounts.STATUSES)
    if "payment_type" in names:
        changes["payment_type"] = arguments.choice("payment_type", accounts.PAYMENT_TYPES)
    if "devices" in names:
        changes["devices"] = arguments.text("devices", 1000).split()
    return changes


def _shown(extension: Extension) -> Mapping[str, str]:
    """The fields as the form shows them; what comes back as it was shown was not changed."""
    return {
        "name": extension.name,
        "billing": "on" if extension.billing else "",
        "credit": formats.amount_for_field(extension.credit_micros),
        "status": extension.status,
        "payment_type": extension.payment_type,
        "devices": " ".join(extension.devices),
    }


def _recharge_form(numbers: list[str], arguments: Arguments, error: str = "") -> str:
    alone = extensions.extension(numbers[0]) if len(numbers) == 1 else None
    return _form("extensions/recharge.html", arguments, error, extension=alone, numbers=numbers, named=named(numbers))


def _edit_form(number: str, arguments: Arguments, was: Mapping[str, str], error: str = "") -> str:
    return _form("extensions/edit.html", arguments, error, extension=find(number), was=was)


def _bulk_form(numbers: list[str], arguments: Arguments, ticked: list[str], error: str = "") -> str:
    return _form("extensions/bulk_edit.html", arguments, error, numbers=numbers, named=named(numbers), ticked=ticked)


def _money_form(template: str, number: str, arguments: Arguments, error: str = "") -> str:
    return _form(template, arguments, error, extension=find(number))


def _add_form(arguments: Arguments, error: str = "") -> str:
    return _form("extensions/add.html", arguments, error)


def _form(template: str, arguments: Arguments, error: str, **values: object) -> str:
    own = {"form": arguments, "errors": arguments.errors, "error": error}
    return pieces.render_form(template, **words(), **own, **values)


def named(numbers: list[str]) -> str:
    """The first of them in words, and how many there are beside."""
    first, others = extension_search.named(numbers)
    return _("%(first)s and %(others)s more", first=first, others=others) if others else first


def select_first() -> ResponseReturnValue:
    """What is said where nothing of the list was selected."""
    return pieces.render_form("extensions/select_first.html", back=extension_search.back()), 422
