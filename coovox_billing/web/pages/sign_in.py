"""Signing in and out: a user name and a password, then a code of the telephone for whoever has set that up."""

from flask import Blueprint, current_app, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from coovox_billing.errors import Refused
from coovox_billing.services import people, second_factor
from coovox_billing.services.owner import OWNER
from coovox_billing.store.lists import own_account
from coovox_billing.store.lists.people import secret_in_use
from coovox_billing.web import menu, sessions
from coovox_billing.web.access import EVERYBODY, Role, may, needs
from coovox_billing.web.attempts import try_code, try_password
from coovox_billing.web.parts import parts
from coovox_billing.web.words import gettext as _
from coovox_billing.web.words import told

page = Blueprint("sign_in", __name__)

LANDING = "extensions.show"
LONGEST_NAME = 40
LONGEST_ADDRESS = 1000


@page.get("/sign-in")
@needs(Role.ANYBODY)
def show() -> ResponseReturnValue:
    """The form."""
    return _onward() if g.signed_in else _form("")


@page.post("/sign-in")
@needs(Role.ANYBODY)
def sign_in() -> ResponseReturnValue:
    """Try a password."""
    name = _name()
    try:
        is_right = try_password(name, request.form.get("password", ""))
    except Refused as error:
        return _form(told(error)), 422
    if not is_right:
        return _form(_("The user name or the password is wrong.")), 422
    if secret_in_use(name):
        sessions.await_code(name)
        return redirect(url_for("sign_in.ask_code", next=_next_page() or None), 303)
    return _come_in(name)


@page.get("/sign-in/code")
@needs(Role.ANYBODY)
def ask_code() -> ResponseReturnValue:
    """The form of the code, for whoever has just given the right password."""
    if g.signed_in:
        return _onward()
    return _code_form("") if sessions.awaited() else redirect(url_for("sign_in.show"), 303)


@page.post("/sign-in/code")
@needs(Role.ANYBODY)
def give_code() -> ResponseReturnValue:
    """Try a code."""
    name = sessions.awaited()
    if not name:
        flash(_("That took too long: sign in again."), "bad")
        return redirect(url_for("sign_in.show"), 303)
    if not try_code(name, request.form.get("code", "")):
        return _code_form(_("The code is wrong, or was used already.")), 422
    return _come_in(name)


@page.post("/sign-out")
@needs(*EVERYBODY)
def sign_out() -> ResponseReturnValue:
    """End the session."""
    sessions.end()
    return redirect(url_for("sign_in.show"), 303)


def _come_in(name: str) -> ResponseReturnValue:
    parts().brake.prove(request.remote_addr or "", name)
    sessions.begin(name)
    if name != OWNER:
        now_ms = parts().now_ms()
        # Nobody waits for it: while nothing can be written, people can still look.
        parts().database.submit(lambda connection: people.note_sign_in(connection, name, now_ms))
    return _onward()


def _name() -> str:
    return request.form.get("user", OWNER).strip().lower()[:LONGEST_NAME]


def _form(error: str) -> str:
    return render_template(
        "sign_in/form.html", error=error, next=_next_page(), name=_name(), has_self_service=own_account.is_offered()
    )


def _code_form(error: str) -> str:
    now_ms = parts().now_ms()
    return render_template(
        "sign_in/code.html",
        error=error,
        next=_next_page(),
        clock_is_wrong=second_factor.is_clock_wrong(now_ms),
        now_ms=now_ms,
    )


def _onward() -> ResponseReturnValue:
    path, _mark, search = _next_page().partition("?")
    endpoint = _pages().get(path)
    if endpoint and may(endpoint):
        return redirect(url_for(endpoint) + (f"?{search}" if search else ""), 303)
    return redirect(url_for(LANDING if endpoint else _landing()), 303)


def _landing() -> str:
    """The owner of a new site is led through the first steps."""
    standing = parts().licensing.standing()
    is_new = g.role == Role.OWNER and standing.trial is None and not standing.is_active
    return "first_steps.ask" if is_new else LANDING


def _next_page() -> str:
    """Where to go after signing in: one of our own pages, with its search, or nothing; so never to a foreign one."""
    asked = request.values.get("next", "")
    is_ours = asked.partition("?")[0] in _pages() and len(asked) <= LONGEST_ADDRESS and asked.isprintable()
    return asked if is_ours else ""


def _pages() -> dict[str, str]:
    """The pages of the menu, and one's own account, by their paths."""
    endpoints = {"account.show", *(item.endpoint for item in menu.ITEMS)}
    return {rule.rule: rule.endpoint for rule in current_app.url_map.iter_rules() if rule.endpoint in endpoints}
