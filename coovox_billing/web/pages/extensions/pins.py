"""PINs for self-service: made for one extension or for many, shown once as slips to be printed, or taken away."""

import sqlite3

from flask import Blueprint, flash, redirect, render_template, request
from flask.typing import ResponseReturnValue

from coovox_billing.core.pin import LEAST_DIGITS, MOST_DIGITS, check_pin
from coovox_billing.core.site_settings import BY_OWN_PIN, SELF_SERVICE_ADDRESS
from coovox_billing.errors import BadInput, BillingError, Refused
from coovox_billing.services import passwords, self_service, submissions
from coovox_billing.store import queries
from coovox_billing.store.lists import extensions
from coovox_billing.store.lists.own_account import pin_set_at_ms
from coovox_billing.web import bodies, pieces
from coovox_billing.web.access import Role, needs
from coovox_billing.web.arguments import Arguments
from coovox_billing.web.pages.extensions import search as extension_search
from coovox_billing.web.pages.extensions.forms import named, select_first, words
from coovox_billing.web.parts import once, parts, person
from coovox_billing.web.qr_code import qr_code
from coovox_billing.web.words import gettext as _
from coovox_billing.web.words import ngettext, told

page = Blueprint("pins", __name__)

RANDOM, CHOSEN, NONE = "random", "chosen", "none"


@page.get("/extensions/pin")
@needs(Role.MANAGER)
def ask() -> ResponseReturnValue:
    """The form, for one extension or for all that are selected."""
    numbers = extension_search.selected()
    return _form(numbers, Arguments({"way": RANDOM})) if numbers else select_first()


@page.post("/extensions/pin")
@needs(Role.MANAGER)
@bodies.takes(extension_search.SELECTION_BYTES)
def give() -> ResponseReturnValue:
    """Make PINs and show them once, or take them away."""
    arguments, numbers = Arguments(request.form), extension_search.sent()
    way, typed = arguments.choice("way", (RANDOM, CHOSEN, NONE), RANDOM), request.form.get("pin", "")
    try:
        if way == NONE:
            return _remove(numbers)
        given = _made(numbers, typed if typed or way == CHOSEN else None)
        return _shown(given, *_stored(given))
    except BadInput as error:
        arguments.errors["pin"] = told(error)
        return _form(numbers, arguments), 422
    except BillingError as error:
        return _form(numbers, arguments, told(error)), 422


def _made(numbers: list[str], chosen: str | None) -> dict[str, str]:
    """The PIN of each: the chosen one, which only one extension can get, or one that nobody chose.

    Raises:
        BadInput: a PIN that cannot be.
        Refused: too many extensions.
    """
    if len(numbers) > self_service.MOST_PINS_AT_ONCE:
        raise Refused("up to %(most)s PINs are made at once: select fewer", most=self_service.MOST_PINS_AT_ONCE)
    if chosen is None:
        return {number: self_service.random_pin(number) for number in numbers}
    if len(numbers) != 1:
        raise Refused("each extension gets another PIN: choose one extension")
    return {number: check_pin("".join(chosen.split()), number) for number in numbers}


def _stored(given: dict[str, str]) -> tuple[str, bool]:
    """What the job answers, and whether that was just now: PINs are shown to the form that made them alone."""
    author, hashes = person(), {number: passwords.hashed(pin) for number, pin in given.items()}

    def job(connection: sqlite3.Connection) -> str:
        self_service.set_pins(connection, hashes, author)
        return "made"

    token, now_ms = request.form.get("submission", ""), parts().now_ms()
    return parts().database.write(lambda connection: submissions.once(connection, token, now_ms, job))


def _shown(given: dict[str, str], _answer: str, is_new: bool) -> ResponseReturnValue:
    if not is_new:
        flash(_("This form was sent already: the PINs were shown then. Make others if they are lost."))
        return redirect(extension_search.back(), 303)
    address = queries.settings()[SELF_SERVICE_ADDRESS]
    return render_template(
        "extensions/pins.html",
        given=given,
        names=extensions.names(list(given)),
        address_told=address,
        qr_code=qr_code(address) if address else "",
        back=extension_search.back(),
    )


def _remove(numbers: list[str]) -> ResponseReturnValue:
    author = person()
    done = ngettext(
        "%(extension)s has no PIN any more.",
        "%(num)s extensions have no PIN any more.",
        len(numbers),
        extension=", ".join(numbers[:1]),
    )
    once(lambda connection: self_service.remove_pins(connection, numbers, author), done)
    return redirect(extension_search.back(), 303)


def _form(numbers: list[str], arguments: Arguments, error: str = "") -> str:
    alone = extensions.extension(numbers[0]) if len(numbers) == 1 else None
    return pieces.render_form(
        "extensions/pin.html",
        **words(),
        form=arguments,
        errors=arguments.errors,
        error=error,
        numbers=numbers,
        named=named(numbers),
        extension=alone,
        has_one=alone is None or pin_set_at_ms(alone.number) is not None,
        is_used=queries.site().self_service == BY_OWN_PIN,
        least=LEAST_DIGITS,
        most=MOST_DIGITS,
        digits=self_service.RANDOM_DIGITS,
    )
