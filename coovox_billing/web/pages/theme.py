"""Light, dark, or as the device is set: kept in a cookie of the browser, for it is the browser's matter."""

from flask import Blueprint, g, redirect, request, url_for
from flask.typing import ResponseReturnValue

from coovox_billing.web.access import Role, needs

COOKIE = "theme"
THEMES = {"auto": "screen and (prefers-color-scheme: dark)", "light": "not all", "dark": "screen"}
YEAR_SECONDS = 365 * 86_400

page = Blueprint("theme", __name__)


@page.post("/theme")
@needs(Role.ANYBODY)
def choose() -> ResponseReturnValue:
    """Where no script runs, the buttons send their form."""
    response = redirect(url_for("self_service.show" if g.own else "extensions.land"), 303)
    theme = request.form.get("theme", "")
    if theme in THEMES:
        path = f"{request.script_root}/"
        response.set_cookie(COOKIE, theme, max_age=YEAR_SECONDS, path=path, samesite="Lax", secure=request.is_secure)
    return response


def chosen() -> str:
    """The theme of this browser."""
    theme = request.cookies.get(COOKIE, "auto")
    return theme if theme in THEMES else "auto"
