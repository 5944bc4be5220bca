"""Who is signed in, and a new password. Every other session ends with the old one."""

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from coovox_billing.errors import BadInput, BillingError
from coovox_billing.services import owner, passwords, people
from coovox_billing.store import queries
from coovox_billing.store.lists.people import secret_in_use
from coovox_billing.web import sessions
from coovox_billing.web.access import EVERYBODY, needs
from coovox_billing.web.attempts import try_password
from coovox_billing.web.parts import parts, person
from coovox_billing.web.words import gettext as _
from coovox_billing.web.words import told

page = Blueprint("account", __name__)


@page.get("/account")
@needs(*EVERYBODY)
def show() -> ResponseReturnValue:
    """The account, and the form."""
    return _page("")


@page.post("/account/password")
@needs(*EVERYBODY)
def change() -> ResponseReturnValue:
    """Set the new password, if the current one is right."""
    try:
        _change(request.form.get("current", ""), request.form.get("new", ""), request.form.get("again", ""))
    except BillingError as error:
        return _page(told(error)), 422
    sessions.begin(g.user.name)
    flash(_("The password is changed. Whoever was signed in elsewhere is signed out."))
    return redirect(url_for("account.show"), 303)


def _change(current: str, new: str, again: str) -> None:
    name, author = g.user.name, person()
    if new != again:
        raise BadInput("the two new passwords differ: nothing was changed")
    if not try_password(name, current):
        raise BadInput("the current password is wrong: nothing was changed")
    if name == owner.OWNER:
        owner.set_password(parts().database, new, author)
        return
    passwords.check_new(new)
    if new == current:
        raise BadInput("this is the password already: choose another one")
    hashed = passwords.hashed(new)
    parts().database.write(lambda connection: people.set_password(connection, name, hashed, author))


def _page(error: str) -> str:
    return render_template(
        "account/account.html",
        error=error,
        currency=queries.site().currency,
        has_second_factor=bool(secret_in_use(g.user.name)),
        min_length=passwords.MIN_LENGTH,
        max_length=passwords.MAX_LENGTH,
    )
