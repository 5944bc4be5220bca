"""What a browser keeps for whoever sits before it: light or dark, which colors, the language. Each in a cookie."""

from flask import Blueprint, Response, current_app, g, redirect, request, url_for
from flask.typing import ResponseReturnValue

from coovox_billing.core.site_settings import AUTO, LANGUAGES
from coovox_billing.web import reader
from coovox_billing.web.access import Role, needs

COOKIE = "theme"
THEMES = {"auto": "screen and (prefers-color-scheme: dark)", "light": "not all", "dark": "screen"}
PALETTE_COOKIE = "palette"
PALETTES = ("standard", "safe")
YEAR_SECONDS = 365 * 86_400

page = Blueprint("theme", __name__)


@page.post("/theme")
@needs(Role.ANYBODY)
def choose() -> ResponseReturnValue:
    """Where no script runs, the buttons send their form."""
    response = _back()
    for cookie, choices in ((COOKIE, THEMES), (PALETTE_COOKIE, PALETTES)):
        choice = request.form.get(cookie, "")
        if choice in choices:
            _keep(response, cookie, choice)
    return response


@page.post("/language")
@needs(Role.ANYBODY)
def choose_language() -> ResponseReturnValue:
    """The page from which it was chosen, in that language; `auto` is as the site is set."""
    response = _back()
    code = request.form.get("language", "")
    if code in (AUTO, *LANGUAGES):
        _keep(response, reader.COOKIE, code)
    return response


def chosen() -> str:
    """The theme of this browser."""
    theme = request.cookies.get(COOKIE, "auto")
    return theme if theme in THEMES else "auto"


def chosen_palette() -> str:
    """The colors of this browser: `safe` for whoever sees few of them."""
    palette = request.cookies.get(PALETTE_COOKIE, PALETTES[0])
    return palette if palette in PALETTES else PALETTES[0]


def _back() -> Response:
    """To the page of the form, where it is one of ours that stands by itself, with what it leads on to."""
    asked, onward = request.form.get("page", ""), request.form.get("next")
    rules = current_app.url_map.iter_rules()
    if any(rule.endpoint == asked and not rule.arguments and "GET" in (rule.methods or ()) for rule in rules):
        return redirect(url_for(asked, next=onward or None), 303)  # type: ignore[return-value]
    return redirect(url_for("self_service.show" if g.own else "extensions.land"), 303)  # type: ignore[return-value]


def _keep(response: Response, cookie: str, value: str) -> None:
    path = f"{request.script_root}/"
    response.set_cookie(cookie, value, max_age=YEAR_SECONDS, path=path, samesite="Lax", secure=request.is_secure)
