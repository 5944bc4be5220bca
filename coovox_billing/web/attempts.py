"""Trying a password, a code or a PIN, at the pace that earlier failures allow."""

import logging

from flask import request
from werkzeug.exceptions import TooManyRequests

from coovox_billing.errors import Refused
from coovox_billing.services import people, second_factor, self_service
from coovox_billing.services.accounts import Person
from coovox_billing.services.owner import OWNER
from coovox_billing.services.self_service import Lock
from coovox_billing.store import queries
from coovox_billing.web.brake import Door
from coovox_billing.web.parts import parts
from coovox_billing.web.words import ngettext

log = logging.getLogger(__name__)

_LONG_SECONDS = 120


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


def try_pin(extension: str, pin: str) -> int | None:
    """The id of the account that this PIN opens to the person behind it, None where it is wrong.

    Raises:
        TooManyRequests: it is too early for another try.
        Refused: it is right, and still nobody may sign in with it; or no PIN can be tried now.
    """
    address = request.remote_addr or ""
    lock = _lock_of(extension)
    _refuse_for(parts().pin_brake.attempt(address, lock.name))
    account_id = lock.opens(pin)
    whose = lock.extension if lock.account is not None else "nobody"
    if account_id is None:
        log.warning("a wrong PIN for extension %s from %s", whose, address)
        return None
    parts().pin_brake.succeeded(address, lock.name)
    if parts().licensing.standing().is_barred:
        raise Refused(
            "the free trial of billing is over, so nobody can sign in here: tell whoever looks after the telephones"
        )
    log.info("the PIN of extension %s was given from %s", whose, address)
    return account_id


def _lock_of(extension: str) -> Lock:
    try:
        return self_service.lock_of(parts().database, extension, queries.site().self_service, parts().voicemail_pin)
    except Refused as error:
        log.error("self-service: %s", error.__cause__)
        raise


def _wait(user: str, door: Door) -> None:
    _refuse_for(parts().brake.attempt(request.remote_addr or "", user, door))


def _refuse_for(wait_seconds: int) -> None:
    if not wait_seconds:
        return
    if wait_seconds > _LONG_SECONDS:
        text = ngettext(
            "Too many failures: try again in %(num)s minute.",
            "Too many failures: try again in %(num)s minutes.",
            -(-wait_seconds // 60),
        )
    else:
        text = ngettext(
            "Too many failures: try again in %(num)s second.",
            "Too many failures: try again in %(num)s seconds.",
            wait_seconds,
        )
    raise TooManyRequests(text, retry_after=wait_seconds)


def _named(user: str) -> str:
    """As it is logged: whoever types his password into the wrong field does not find it in a log."""
    return user if user == OWNER or user.startswith("bill-") else "somebody"
