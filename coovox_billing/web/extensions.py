"""The guide's *Extensions* page, read-only: every extension and its money."""

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from coovox_billing.store import queries
from coovox_billing.web import formats

page = Blueprint("extensions", __name__)


@page.get("/")
def land() -> ResponseReturnValue:
    """Signing in leads here (guide, "Extensions")."""
    return redirect(url_for("extensions.show"), 303)


@page.get("/extensions")
def show() -> ResponseReturnValue:
    """Every extension, by number."""
    sign = formats.currency_sign(queries.site().currency)
    return render_template("extensions.html", extensions=queries.extensions(), sign=sign)
