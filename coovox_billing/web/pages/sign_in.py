"""Signing in and out."""

import logging

from flask import Blueprint, current_app, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import TooManyRequests

from coovox_billing.errors import Refused
from coovox_billing.services import owner
from coovox_billing.web import menu, sessions
from coovox_billing.web.access import Role, needs
from coovox_billing.web.parts import OWNER, parts
from coovox_billing.web.words import gettext as _
from coovox_billing.web.words import ngettext, told

page = Blueprint("sign_in", __name__)
log = logging.getLogger(__name__)

LANDING = "extensions.show"


@page.get("/sign-in")
@needs(Role.ANYBODY)
def show() -> ResponseReturnValue:
    """The form."""
    return _onward() if g.signed_in else _form("")


@page.post("/sign-in")
@needs(Role.ANYBODY)
def sign_in() -> ResponseReturnValue:
    """Try a password."""
    try:
        is_right = try_password(request.form.get("password", ""))
    except Refused as error:
        return _form(told(error)), 422
    if not is_right:
        return _form(_("The password is wrong.")), 422
    sessions.begin()
    return _onward()


@page.post("/sign-out")
@needs(Role.MANAGER)
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
        text = ngettext(
            "Too many wrong passwords: try again in %(num)s second.",
            "Too many wrong passwords: try again in %(num)s seconds.",
            wait_seconds,
        )
        raise TooManyRequests(text, retry_after=wait_seconds)
    if not owner.verify(parts().database, parts().directory, password):
        log.warning("a wrong owner's password from %s", address)
        return False
    parts().brake.succeeded(address)
    log.info("the owner's password was given from %s", address)
    return True


def _form(error: str) -> str:
    return render_template("sign_in/form.html", error=error, next=_next_page(), user=OWNER)


def _onward() -> ResponseReturnValue:
    return redirect(url_for(_pages().get(_next_page(), LANDING)), 303)


def _next_page() -> str:
    """Where to go after signing in: one of our own pages or nothing, so never to a foreign one."""
    asked = request.values.get("next", "")
    return asked if asked in _pages() else ""


def _pages() -> dict[str, str]:
    """The pages of the menu, and the password's, by their paths."""
    endpoints = {"password.show", *(item.endpoint for item in menu.ITEMS)}
    return {rule.rule: rule.endpoint for rule in current_app.url_map.iter_rules() if rule.endpoint in endpoints}
