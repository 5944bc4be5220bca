"""The token inside each form: a page of somebody else cannot know it, so it cannot post for the owner."""

import hmac
import secrets

from flask import request, session
from werkzeug.exceptions import BadRequest

from coovox_billing.web.words import gettext as _
from coovox_billing.web.words import later

FIELD = "csrf"
TOO_OLD = later(
    "This form is too old, or was not made by this page. Nothing was changed: open the page again and repeat."
)

_READING = frozenset({"GET", "HEAD", "OPTIONS"})


def token() -> str:
    """The session's token, for a hidden field."""
    made: str = session.setdefault(FIELD, secrets.token_urlsafe(32))
    return made


def check() -> None:
    """Before each request of a page that is there: whatever may change something carries the token.

    Raises:
        BadRequest: it does not.
    """
    if request.method in _READING or request.endpoint is None:
        return
    expected, given = session.get(FIELD, ""), request.form.get(FIELD, "")
    if not expected or not hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogatepass")):
        raise BadRequest(_(TOO_OLD))
