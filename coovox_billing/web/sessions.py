"""Who is signed in: a signed cookie that ends after half an hour without a page, or half a day (DESIGN §8).

Every page names the role that it asks for (`access`). A session belongs to the
password it began with: another password ends it.
"""

import secrets

from flask import Flask, Response, g, redirect, request, session, url_for
from flask.sessions import SecureCookieSessionInterface
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import Forbidden

from coovox_billing.services import owner
from coovox_billing.store import queries
from coovox_billing.web.access import Role, role_of
from coovox_billing.web.parts import parts
from coovox_billing.web.pieces import is_piece

IDLE_SECONDS = 30 * 60
LONGEST_SECONDS = 12 * 3600
CLOCK_TOLERANCE_SECONDS = 60

UNASKED = frozenset({"static", "health.show"})
# What pages ask for by themselves: nobody need be there.
BY_ITSELF = frozenset({"call_log.live"})


class CookieSessions(SecureCookieSessionInterface):
    """Flask's signed cookie, `Secure` wherever the browser came over https."""

    def get_cookie_secure(self, app: Flask) -> bool:
        """Whether this request came over https, if only as a trusted proxy says."""
        return request.is_secure


def begin() -> None:
    """Sign the owner in, with nothing of the session before: neither its id nor its form token."""
    now = _now_seconds()
    session.clear()
    session.update(id=secrets.token_urlsafe(16), generation=_generation(), since=now, seen=now)


def end() -> None:
    """Sign out: a copy of the cookie is worth nothing from now on."""
    if "id" in session:
        parts().ended_sessions.append(session["id"])
    session.clear()


def guard() -> ResponseReturnValue | None:
    """Before each request: lead whoever is not signed in to the sign-in page."""
    g.signed_in, g.role = False, Role.ANYBODY
    if request.endpoint in UNASKED:
        return None
    g.signed_in = _is_alive()
    if g.signed_in:
        g.role = Role.OWNER
        if request.endpoint not in BY_ITSELF:
            session["seen"] = _now_seconds()
    elif "id" in session:
        session.clear()
    needed = role_of(request.endpoint)
    if needed is not None and g.role >= needed:
        return None
    if g.signed_in:
        raise Forbidden
    return _to_sign_in()


def _to_sign_in() -> ResponseReturnValue:
    """A part of a page leads the whole page there."""
    if is_piece():
        return Response(status=204, headers={"HX-Redirect": url_for("sign_in.show")})
    return redirect(url_for("sign_in.show", next=request.path), 303)


def _is_alive() -> bool:
    if "id" not in session or session["id"] in parts().ended_sessions:
        return False
    idle_seconds = _now_seconds() - session["seen"]
    age_seconds = _now_seconds() - session["since"]
    is_young = -CLOCK_TOLERANCE_SECONDS <= idle_seconds <= IDLE_SECONDS and age_seconds <= LONGEST_SECONDS
    return is_young and bool(session["generation"] == _generation())


def _now_seconds() -> int:
    return parts().now_ms() // 1000


def _generation() -> str:
    return owner.generation(queries.site_value(owner.PASSWORD))
