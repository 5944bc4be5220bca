"""Passwords: what a new one must be, how it is kept, whether one is right (DESIGN §8).

To hash is slow by intention, so it is done before a job for `Database.write`, never inside it: calls wait for the
writer.
"""

import hashlib
import hmac
import secrets
import threading
import unicodedata
from base64 import b64decode, b64encode

from coovox_billing.errors import BadInput

MIN_LENGTH = 10
MAX_LENGTH = 200
# Signs that cannot be mistaken for each other.
READABLE = "abcdefghjkmnpqrstuvwxyz23456789"

_COST_EXPONENT, _BLOCK_SIZE, _PARALLEL = 14, 8, 1
_SALT_BYTES, _KEY_BYTES = 16, 32
_one_at_a_time = threading.Lock()


def check_new(password: str) -> None:
    """Whether a person may choose this password.

    Raises:
        BadInput: too short, too long, or one sign repeated.
    """
    if len(password) < MIN_LENGTH:
        raise BadInput("the password is too short: use %(least)s characters or more", least=MIN_LENGTH)
    if len(password) > MAX_LENGTH:
        raise BadInput("the password is too long: use up to %(most)s characters", most=MAX_LENGTH)
    if len(set(password)) == 1:
        raise BadInput("the password is one character repeated: choose another one")


def hashed(password: str) -> str:
    """What is kept of a password."""
    salt = secrets.token_bytes(_SALT_BYTES)
    return _packed(salt, _scrypt(password, salt, _COST_EXPONENT, _BLOCK_SIZE, _PARALLEL))


def matches(password: str, kept: str) -> bool:
    """Whether this is the password of which `kept` is kept."""
    _, exponent, block_size, parallel, salt, key = kept.split("$")
    made = _scrypt(password[: MAX_LENGTH + 1], b64decode(salt), int(exponent), int(block_size), int(parallel))
    return hmac.compare_digest(made, b64decode(key))


def nobodys() -> str:
    """What no password matches; to try one takes as long as with any other. For users that are not there."""
    return _packed(secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_KEY_BYTES))


def random_password() -> str:
    """Four groups of four readable signs: 79 bits."""
    return "-".join("".join(secrets.choice(READABLE) for _ in range(4)) for _ in range(4))


def generation(*kept: object) -> str:
    """A name for what is kept of somebody now, so that a session ends when it is changed."""
    return hashlib.sha256("\n".join(map(str, kept)).encode()).hexdigest()[:16]


def _packed(salt: bytes, key: bytes) -> str:
    fields = (_COST_EXPONENT, _BLOCK_SIZE, _PARALLEL, b64encode(salt).decode(), b64encode(key).decode())
    return "$".join(("scrypt", *map(str, fields)))


def _scrypt(password: str, salt: bytes, exponent: int, block_size: int, parallel: int) -> bytes:
    """One at a time: each takes 16 MB, and a crowd of them would take a small board's memory."""
    text = unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
    with _one_at_a_time:
        return hashlib.scrypt(text, salt=salt, n=2**exponent, r=block_size, p=parallel, dklen=_KEY_BYTES)
