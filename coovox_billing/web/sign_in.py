"""Signing in and out."""

import logging

from flask import Blueprint, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import TooManyRequests

from coovox_billing.errors import Refused
from coovox_billing.services import owner
from coovox_billing.web import sessions
from coovox_billing.web.parts import OWNER, parts

page = Blueprint("sign_in", __name__)
log = logging.getLogger(__name__)

LANDING = "extensions.show"
PAGES = {"/extensions": "extensions.show", "/call-log": "call_log.show", "/password": "password.show"}


@page.get("/sign-in")
def show() -> ResponseReturnValue:
    """The form."""
    return _onward() if g.signed_in else _form("")


@page.post("/sign-in")
def sign_in() -> ResponseReturnValue:
    """Try a password."""
    try:
        is_right = try_password(request.form.get("password", ""))
    except Refused as error:
        return _form(str(error)), 422
    if not is_right:
        return _form("The password is wrong."), 422
    sessions.begin()
    return _onward()


@page.post("/sign-out")
def sign_out() -> ResponseReturnValue:
    """End the session."""
    sessions.end()
    return redirect(url_for("sign_in.show"), 303)


def try_password(password: str) -> bool:
    """Whether this is the owner's password, at the pace that earlier failures allow.

    Raises:
        TooManyRequests: it is too early for another try.
        Refused: no password was ever set.
    """
    address = request.remote_addr or ""
    wait_seconds = parts().brake.attempt(address)
    if wait_seconds:
        unit = "second" if wait_seconds == 1 else "seconds"
        text = f"Too many wrong passwords: try again in {wait_seconds} {unit}."
        raise TooManyRequests(text, retry_after=wait_seconds)
    if not owner.verify(parts().database, parts().directory, password):
        log.warning("a wrong owner's password from %s", address)
        return False
    parts().brake.succeeded(address)
    log.info("the owner's password was given from %s", address)
    return True


def _form(error: str) -> str:
    return render_template("sign_in.html", error=error, next=_next_page(), user=OWNER)


def _onward() -> ResponseReturnValue:
    return redirect(url_for(PAGES.get(_next_page(), LANDING)), 303)


def _next_page() -> str:
    """Where to go after signing in: one of our own pages or nothing, so never to a foreign one."""
    asked = request.values.get("next", "")
    return asked if asked in PAGES else ""
