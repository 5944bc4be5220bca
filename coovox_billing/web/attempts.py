"""Trying a password or a code, at the pace that earlier failures allow."""

import logging

from flask import request
from werkzeug.exceptions import TooManyRequests

from coovox_billing.services import people, second_factor
from coovox_billing.services.accounts import Person
from coovox_billing.services.owner import OWNER
from coovox_billing.web.brake import Door
from coovox_billing.web.parts import parts
from coovox_billing.web.words import ngettext

log = logging.getLogger(__name__)


def try_password(user: str, password: str) -> bool:
    """Whether this is the password of the owner or of a billing user.

    Raises:
        TooManyRequests: it is too early for another try.
        Refused: it is right, and still nobody may sign in with it, for the user is disabled or the trial is over; or
            the owner never had a password.
    """
    _wait(user, Door.PASSWORD)
    if not people.authenticate(parts().database, parts().directory, user, password):
        log.warning("a wrong password for %s from %s", _named(user), request.remote_addr)
        return False
    parts().brake.succeeded(request.remote_addr or "", user)
    if user != OWNER:
        parts().licensing.check_open()
    log.info("the password of %s was given from %s", _named(user), request.remote_addr)
    return True


def try_code(user: str, code: str) -> bool:
    """Whether this is a code of the user's telephone, or a recovery code, and was not used before.

    Raises:
        TooManyRequests: it is too early for another try.
    """
    _wait(user, Door.CODE)
    author = Person(user, request.remote_addr or "", parts().now_ms())
    if not parts().database.write(lambda connection: second_factor.use(connection, code, author)):
        log.warning("a wrong code for %s from %s", _named(user), request.remote_addr)
        return False
    parts().brake.succeeded(request.remote_addr or "", user, Door.CODE)
    return True


def _wait(user: str, door: Door) -> None:
    wait_seconds = parts().brake.attempt(request.remote_addr or "", user, door)
    if wait_seconds:
        text = ngettext(
            "Too many failures: try again in %(num)s second.",
            "Too many failures: try again in %(num)s seconds.",
            wait_seconds,
        )
        raise TooManyRequests(text, retry_after=wait_seconds)


def _named(user: str) -> str:
    """As it is logged: whoever types his password into the wrong field does not find it in a log."""
    return user if user == OWNER or user.startswith("bill-") else "somebody"
