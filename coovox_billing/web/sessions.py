"""Who is signed in: a signed cookie that ends after half an hour without a page, or half a day (DESIGN §8).

Every page names the roles that it is for (`access`). A session is held against what it began with: another password,
role or second factor ends it, and so does disabling the user. A person in self-service has a session of another kind,
which names an account instead of a user, and is shorter; another PIN ends it, and so does a guest who comes or goes.
"""

import secrets
from dataclasses import dataclass

from flask import Flask, Response, current_app, g, redirect, request, session, url_for
from flask.sessions import SecureCookieSessionInterface
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import Forbidden

from coovox_billing.core.roles import Role
from coovox_billing.core.site_settings import BY_VOICEMAIL_PIN, SELF_SERVICE_OFF
from coovox_billing.errors import NotFound, SetupError
from coovox_billing.services import owner, passwords, self_service
from coovox_billing.store import queries
from coovox_billing.store.lists import people
from coovox_billing.store.lists.own_account import OwnAccount, own_account
from coovox_billing.web.access import may
from coovox_billing.web.parts import parts
from coovox_billing.web.pieces import is_piece
from coovox_billing.web.words import gettext as _

IDLE_SECONDS = 30 * 60
LONGEST_SECONDS = 12 * 3600
OWN_IDLE_SECONDS = 15 * 60
OWN_LONGEST_SECONDS = 2 * 3600
CODE_SECONDS = 5 * 60
CLOCK_TOLERANCE_SECONDS = 60

UNASKED = frozenset({"static", "health.show"})
# What pages ask for by themselves: nobody need be there.
BY_ITSELF = frozenset({"call_log.live", "dashboard.head", "dashboard.now", "dashboard.live_channels"})

# What the owner can still do once the trial is over.
CHANGED_BY_OWNERS = frozenset({"billing_settings", "billing_manager", "account", "lists", "sign_in", "theme"})

OWN_PAGES = "self_service"

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
    _begin(user=name, generation=user.generation)
    g.signed_in, g.user, g.role = True, user, user.role


def begin_own(account_id: int) -> None:
    """Let the person behind an extension in to self-service, with nothing of the session before."""
    own = _find_own(account_id)
    if own is None:  # closed within this request
        raise Forbidden
    _begin(account=account_id, generation=_own_generation(own))


def _begin(**whose: object) -> None:
    now = _now_seconds()
    session.clear()
    session.update(id=secrets.token_urlsafe(16), since=now, seen=now, **whose)


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
    g.signed_in, g.user, g.own, g.role = False, None, None, Role.ANYBODY
    if request.endpoint in UNASKED:
        return None
    _check_self_service()
    _recognize()
    if g.role != Role.ANYBODY:
        if request.endpoint not in BY_ITSELF:
            session["seen"] = _now_seconds()
    elif "id" in session:
        session.clear()
    if may(request.endpoint):
        _check_trial()
        return None
    if g.role != Role.ANYBODY:
        raise Forbidden
    return _to_sign_in()


def _recognize() -> None:
    """Whose session it is: the owner's or a billing user's, who is signed in; or of a person in self-service."""
    if "account" in session:
        g.own = _whose_account()
        g.role = Role.ANYBODY if g.own is None else Role.PERSON
        return
    g.user = _who()
    if g.user is not None:
        g.signed_in, g.role = True, g.user.role


def _check_self_service() -> None:
    """While it is switched off, its pages are not there, and sessions end."""
    if _page() == OWN_PAGES and queries.site().self_service == SELF_SERVICE_OFF:
        if "account" in session:
            end()
        raise NotFound("Self-service is switched off. The billing manager switches it on in Settings.")


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
    if _page() == OWN_PAGES:
        return redirect(url_for("self_service.sign_in.show"), 303)
    if is_piece():
        return Response(status=204, headers={"HX-Redirect": url_for("sign_in.show")})
    return redirect(url_for("sign_in.show", next=request.full_path.rstrip("?")), 303)


def _who() -> User | None:
    """Whose session this is, None where it is nobody's, or nobody's any more."""
    if not _is_fresh(IDLE_SECONDS, LONGEST_SECONDS):
        return None
    user = _find(session["user"])
    return user if user is not None and user.generation == session["generation"] else None


def _whose_account() -> OwnAccount | None:
    """The account of the person whose session this is, None where it is over."""
    if not _is_fresh(OWN_IDLE_SECONDS, OWN_LONGEST_SECONDS):
        return None
    own = _find_own(session["account"])
    return own if own is not None and _own_generation(own) == session["generation"] else None


def _is_fresh(most_idle_seconds: int, longest_seconds: int) -> bool:
    """Whether the session has begun, was not signed out, and is not too old."""
    if "id" not in session or session["id"] in parts().ended_sessions:
        return False
    idle_seconds: int = _now_seconds() - session["seen"]
    age_seconds: int = _now_seconds() - session["since"]
    return -CLOCK_TOLERANCE_SECONDS <= idle_seconds <= most_idle_seconds and age_seconds <= longest_seconds


def _find_own(account_id: int) -> OwnAccount | None:
    """An account that its person may see now, None while self-service is off, the trial over, or a person is asked."""
    if queries.site().self_service == SELF_SERVICE_OFF or parts().licensing.standing().is_barred:
        return None
    own = own_account(account_id)
    return None if own is None or own.recreated else own


def _own_generation(own: OwnAccount) -> str:
    """What a person's session is held against: a mailbox's PIN too, where that is what lets in.

    It goes into the cookie, so it is made with the application's key: from a PIN alone nobody finds it out.
    """
    setting, mailbox_pin = queries.site().self_service, ""
    if setting == BY_VOICEMAIL_PIN:
        try:
            mailbox_pin = self_service.mailbox_pin(parts().voicemail_pin, own.number)
        except SetupError:
            mailbox_pin = "unread"
    return passwords.generation(current_app.secret_key, setting, mailbox_pin, *own.kept)


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
