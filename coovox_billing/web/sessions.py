"""Who is signed in: a signed cookie that ends after half an hour without a page, or half a day (DESIGN §8).

Every page asks for it, except those named here. A session belongs to the
password it began with: another password ends it.
"""

import secrets

from flask import Flask, g, redirect, request, session, url_for
from flask.sessions import SecureCookieSessionInterface
from flask.typing import ResponseReturnValue

from coovox_billing.services import owner
from coovox_billing.store import queries
from coovox_billing.web.parts import parts

IDLE_SECONDS = 30 * 60
LONGEST_SECONDS = 12 * 3600
CLOCK_TOLERANCE_SECONDS = 60

UNASKED = frozenset({"static", "health.show"})
OPEN = frozenset({None, "sign_in.show", "sign_in.sign_in"})


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
    g.signed_in = False
    if request.endpoint in UNASKED:
        return None
    g.signed_in = _is_alive()
    if g.signed_in:
        session["seen"] = _now_seconds()
        return None
    if "id" in session:
        session.clear()
    if request.endpoint in OPEN:
        return None
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
