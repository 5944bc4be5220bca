"""Who is signed in: a signed cookie that ends after half an hour without a page, or half a day (DESIGN §8).

Every page names the roles that it is for (`access`). A session is held against what it began with: another password,
role or second factor ends it, and so does disabling the user.
"""

import secrets
from dataclasses import dataclass

from flask import Flask, Response, g, redirect, request, session, url_for
from flask.sessions import SecureCookieSessionInterface
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import Forbidden

from coovox_billing.core.roles import Role
from coovox_billing.services import owner, passwords
from coovox_billing.store import queries
from coovox_billing.store.lists import people
from coovox_billing.web.access import may
from coovox_billing.web.parts import parts
from coovox_billing.web.pieces import is_piece
from coovox_billing.web.words import gettext as _

IDLE_SECONDS = 30 * 60
LONGEST_SECONDS = 12 * 3600
CODE_SECONDS = 5 * 60
CLOCK_TOLERANCE_SECONDS = 60

UNASKED = frozenset({"static", "health.show"})
# What pages ask for by themselves: nobody need be there.
BY_ITSELF = frozenset({"call_log.live"})

# What the owner can still do once the trial is over.
CHANGED_BY_OWNERS = frozenset({"billing_settings", "billing_manager", "account", "lists", "sign_in", "theme"})

_WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class User:
    """Who is signed in; limits in micros, a cashier's alone. `generation` is another one when sessions have to end."""

    name: str
    role: Role
    generation: str
    recharge_limit_micros: int | None = None
    daily_limit_micros: int | None = None


class CookieSessions(SecureCookieSessionInterface):
    """Flask's signed cookie, `Secure` wherever the browser came over https."""

    def get_cookie_secure(self, app: Flask) -> bool:
        """Whether this request came over https, if only as a trusted proxy says."""
        return request.is_secure


def begin(name: str) -> None:
    """Sign somebody in, with nothing of the session before: neither its id nor its form token."""
    user = _find(name)
    if user is None:  # disabled within this request
        raise Forbidden
    now = _now_seconds()
    session.clear()
    session.update(id=secrets.token_urlsafe(16), user=name, generation=user.generation, since=now, seen=now)
    g.signed_in, g.user, g.role = True, user, user.role


def await_code(name: str) -> None:
    """Somebody gave the right password, and is to give a code too."""
    user = _find(name)
    session.clear()
    session[_WAITING] = {"user": name, "generation": user.generation if user else "", "since": _now_seconds()}


def awaited() -> str:
    """Who is to give a code, empty where nobody is, or is so no more."""
    waiting = session.get(_WAITING)
    if waiting is None or not -CLOCK_TOLERANCE_SECONDS <= _now_seconds() - waiting["since"] <= CODE_SECONDS:
        return ""
    user = _find(waiting["user"])
    return user.name if user is not None and user.generation == waiting["generation"] else ""


def end() -> None:
    """Sign out: a copy of the cookie is worth nothing from now on."""
    if "id" in session:
        parts().ended_sessions.append(session["id"])
    session.clear()


def guard() -> ResponseReturnValue | None:
    """Before each request: lead whoever is not signed in to the sign-in page."""
    g.signed_in, g.user, g.role = False, None, Role.ANYBODY
    if request.endpoint in UNASKED:
        return None
    g.user = _who()
    if g.user is not None:
        g.signed_in, g.role = True, g.user.role
        if request.endpoint not in BY_ITSELF:
            session["seen"] = _now_seconds()
    elif "id" in session:
        session.clear()
    if may(request.endpoint):
        _check_trial()
        return None
    if g.signed_in:
        raise Forbidden
    return _to_sign_in()


def _check_trial() -> None:
    """Once the trial is over, the owner looks at the billing pages, and changes nothing there."""
    is_change = g.signed_in and request.method == "POST" and _page() not in CHANGED_BY_OWNERS
    if is_change and parts().licensing.standing().is_barred:
        raise Forbidden(_("The free trial is over. Upload a license in Billing, then this can be changed again."))


def _page() -> str:
    """The blueprint of the request, or the one in which it is nested."""
    return (request.blueprint or "").partition(".")[0]


def _to_sign_in() -> ResponseReturnValue:
    """A part of a page leads the whole page there."""
    if is_piece():
        return Response(status=204, headers={"HX-Redirect": url_for("sign_in.show")})
    return redirect(url_for("sign_in.show", next=request.full_path.rstrip("?")), 303)


def _who() -> User | None:
    """Whose session this is, None where it is nobody's, or nobody's any more."""
    if "id" not in session or session["id"] in parts().ended_sessions:
        return None
    idle_seconds = _now_seconds() - session["seen"]
    age_seconds = _now_seconds() - session["since"]
    if not -CLOCK_TOLERANCE_SECONDS <= idle_seconds <= IDLE_SECONDS or age_seconds > LONGEST_SECONDS:
        return None
    user = _find(session["user"])
    return user if user is not None and user.generation == session["generation"] else None


def _find(name: str) -> User | None:
    """The owner or a billing user, None for whoever is disabled or not there, or cannot sign in after the trial."""
    secret = people.secret_in_use(name)
    if name == owner.OWNER:
        return User(name, Role.OWNER, passwords.generation(queries.site_value(owner.PASSWORD), secret))
    found = people.credentials(name)
    if found is None or not found.user.enabled or parts().licensing.standing().is_barred:
        return None
    return User(
        name,
        Role(found.user.role),
        passwords.generation(*found.kept, secret),
        found.user.recharge_limit_micros,
        found.user.daily_limit_micros,
    )


def _now_seconds() -> int:
    return parts().now_ms() // 1000
