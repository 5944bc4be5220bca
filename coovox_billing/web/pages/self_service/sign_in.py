"""Signing in with an extension and its PIN, and out."""

from flask import Blueprint, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from coovox_billing.core.pin import MOST_DIGITS
from coovox_billing.core.site_settings import BY_VOICEMAIL_PIN
from coovox_billing.errors import Refused
from coovox_billing.store import queries
from coovox_billing.web import sessions
from coovox_billing.web.access import Role, needs
from coovox_billing.web.attempts import try_pin
from coovox_billing.web.words import gettext as _
from coovox_billing.web.words import told

page = Blueprint("sign_in", __name__)

LONGEST_EXTENSION = 40


@page.get("/self/sign-in")
@needs(Role.ANYBODY)
def show() -> ResponseReturnValue:
    """The form; with `?extension=` from a slip it is filled in half."""
    return redirect(url_for("self_service.show"), 303) if g.own else _form("")


@page.post("/self/sign-in")
@needs(Role.ANYBODY)
def sign_in() -> ResponseReturnValue:
    """Try a PIN."""
    pin = "".join(request.form.get("pin", "").split())
    try:
        account_id = try_pin(_extension(), pin)
    except Refused as error:
        return _form(told(error)), 422
    if account_id is None:
        return _form(_("The extension or the PIN is wrong.")), 422
    sessions.begin_own(account_id)
    return redirect(url_for("self_service.show"), 303)


@page.post("/self/sign-out")
@needs(Role.PERSON)
def sign_out() -> ResponseReturnValue:
    """End the session."""
    sessions.end()
    return redirect(url_for(".show"), 303)


def _extension() -> str:
    return request.values.get("extension", "").strip()[:LONGEST_EXTENSION]


def _form(error: str) -> str:
    return render_template(
        "self_service/sign_in.html",
        error=error,
        extension=_extension(),
        by_voicemail=queries.site().self_service == BY_VOICEMAIL_PIN,
        most_characters=2 * MOST_DIGITS,
    )
