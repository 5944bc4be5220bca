"""Changing the owner's password. Every other session ends with the old one."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from coovox_billing.errors import BadInput
from coovox_billing.services import owner
from coovox_billing.web import sessions
from coovox_billing.web.access import Role, needs
from coovox_billing.web.pages.sign_in import try_password
from coovox_billing.web.parts import OWNER, parts, person
from coovox_billing.web.words import gettext as _
from coovox_billing.web.words import told

page = Blueprint("password", __name__)


@page.get("/password")
@needs(Role.MANAGER)
def show() -> ResponseReturnValue:
    """The form."""
    return _form("")


@page.post("/password")
@needs(Role.MANAGER)
def change() -> ResponseReturnValue:
    """Set the new password, if the current one is right."""
    try:
        _change(request.form.get("current", ""), request.form.get("new", ""), request.form.get("again", ""))
    except BadInput as error:
        return _form(told(error)), 422
    sessions.begin()
    flash(_("The password is changed. Whoever was signed in elsewhere is signed out."))
    return redirect(url_for("password.show"), 303)


def _change(current: str, new: str, again: str) -> None:
    if new != again:
        raise BadInput("the two new passwords differ: nothing was changed")
    if not try_password(current):
        raise BadInput("the current password is wrong: nothing was changed")
    author = person()
    parts().database.write(lambda connection: owner.set_password(connection, new, author))


def _form(error: str) -> str:
    lengths = {"min_length": owner.MIN_LENGTH, "max_length": owner.MAX_LENGTH}
    return render_template("password/form.html", error=error, user=OWNER, **lengths)
