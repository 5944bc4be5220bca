"""The second factor of signing in: codes of a telephone (TOTP, RFC 6238), and recovery codes for when it is lost.

Whoever wants one sets it up for himself. A code works once; a telephone's clock may be one step of 30 s off. The
secret must be stored as it is, for the codes are computed from it; it is shown while it is set up and never again. Each
function that takes a connection is a job for `Database.write`.
"""

import hashlib
import hmac
import re
import sqlite3

from coovox_billing import RELEASED_MS
from coovox_billing.errors import BadInput, Refused
from coovox_billing.services import passwords
from coovox_billing.services.accounts import Person, record
from coovox_billing.services.owner import OWNER
from coovox_billing.store import people as store

ISSUER = "CooVox Billing"
STEP_MS = 30_000
DRIFT_STEPS = 1
RECOVERY_CODES = 10

_CODE = re.compile(r"[0-9]{6}", re.ASCII)


def begin(connection: sqlite3.Connection, person: Person) -> str:
    """Make a secret for whoever asks, not in use before `confirm`; returns it.

    Raises:
        Refused: one is in use, or the machine's clock is wrong.
    """
    from pyotp import random_base32

    if is_clock_wrong(person.now_ms):
        raise Refused("the clock of this machine is wrong, so that no code can be right: set the clock first")
    present = store.second_factor(connection, person.name)
    if present is not None and present["confirmed"]:
        raise Refused("you have a second factor already: turn it off first")
    secret = random_base32()
    store.replace_second_factor(connection, person.name, secret)
    return secret


def address(name: str, secret: str) -> str:
    """What the QR code says: an `otpauth://` address with the secret in it."""
    from pyotp import TOTP

    return TOTP(secret).provisioning_uri(name=name, issuer_name=ISSUER)


def confirm(connection: sqlite3.Connection, code: str, person: Person) -> list[str]:
    """Put the secret that waits to use, if the telephone shows the right code; returns the recovery codes.

    Raises:
        Refused: none waits, for it was not begun or is in use already.
        BadInput: the code is wrong.
    """
    waiting = store.second_factor(connection, person.name)
    if waiting is None or waiting["confirmed"]:
        raise Refused("nothing waits to be confirmed: begin again")
    if not _use_code(connection, waiting, _tidy(code), person.now_ms):
        raise BadInput("the code is wrong: write the 6 digits that the telephone shows now")
    store.confirm_second_factor(connection, person.name)
    record(connection, person, _what(person.name), {"second_factor": False}, {"second_factor": True})
    return _new_recovery_codes(connection, person.name)


def renew_recovery_codes(connection: sqlite3.Connection, person: Person) -> list[str]:
    """Recovery codes in place of those before.

    Raises:
        Refused: there is no second factor.
    """
    present = store.second_factor(connection, person.name)
    if present is None or not present["confirmed"]:
        raise Refused("you have no second factor: set it up first")
    record(connection, person, _what(person.name), {}, {"recovery_codes": "changed"})
    return _new_recovery_codes(connection, person.name)


def turn_off(connection: sqlite3.Connection, name: str, person: Person) -> None:
    """Let somebody sign in with the password alone from now on.

    Raises:
        Refused: there is no second factor.
    """
    present = store.second_factor(connection, name)
    if present is None or not present["confirmed"]:
        raise Refused("%(name)s has no second factor: nothing was changed", name=name)
    store.forget_second_factor(connection, name)
    record(connection, person, _what(name), {"second_factor": True}, {"second_factor": False})


def use(connection: sqlite3.Connection, given: str, person: Person) -> bool:
    """Use a code of the telephone or a recovery code; whether it is right and was not used before."""
    factor, code = store.second_factor(connection, person.name), _tidy(given)
    if factor is None or not factor["confirmed"]:
        return False
    if _use_code(connection, factor, code, person.now_ms):
        return True
    if not store.use_recovery_code(connection, person.name, _hashed(person.name, code), person.now_ms):
        return False
    left = store.recovery_codes_left(connection, person.name)
    record(connection, person, _what(person.name), {"recovery_codes": left + 1}, {"recovery_codes": left})
    return True


def is_clock_wrong(now_ms: int) -> bool:
    """Whether the machine's clock is behind this version's own day, as it is after a start without a network."""
    return now_ms < RELEASED_MS


def _use_code(connection: sqlite3.Connection, factor: sqlite3.Row, code: str, now_ms: int) -> bool:
    if not _CODE.fullmatch(code):
        return False
    from pyotp import HOTP

    present, codes = now_ms // STEP_MS, HOTP(factor["secret"])
    steps = [
        step
        for step in range(max(0, present - DRIFT_STEPS), present + DRIFT_STEPS + 1)
        if hmac.compare_digest(codes.at(step), code)
    ]
    return any(store.use_step(connection, factor["name"], step) for step in steps)


def _new_recovery_codes(connection: sqlite3.Connection, name: str) -> list[str]:
    codes = [passwords.random_password() for _ in range(RECOVERY_CODES)]
    store.replace_recovery_codes(connection, name, [_hashed(name, _tidy(code)) for code in codes])
    return codes


def _hashed(name: str, code: str) -> str:
    """A recovery code has 79 random bits, which no guessing finds: a fast hash hides it."""
    return hashlib.sha256(f"{name}\n{code}".encode("utf-8", "surrogatepass")).hexdigest()


def _tidy(code: str) -> str:
    """As it is compared: groups and capitals do not matter."""
    return "".join(code[:200].split()).replace("-", "").lower()


def _what(name: str) -> str:
    return "owner" if name == OWNER else f"user {name}"
