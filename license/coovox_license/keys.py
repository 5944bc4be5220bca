"""Private keys: made, encrypted with a passphrase, opened. They never leave the folder that they were made in."""

import getpass
import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from coovox_billing.core.license import PublicKey, fitting_text, render_public_key
from coovox_license.files import Refused, shown, write_new

PASSPHRASE_VARIABLE = "COOVOX_LICENSE_PASSPHRASE"  # noqa: S105  a variable's name
# The encrypted file slows guessing down by some thousand rounds only, so the passphrase must be long by itself.
LEAST_PASSPHRASE_CHARACTERS = 12
_MAX_PASSPHRASE_BYTES = 1_000
_MAX_KEY_BYTES = 10_000


def check_free(folder: Path, role: str) -> None:
    """Whether a key pair may be made here.

    Raises:
        Refused: there is one.
    """
    for path in (folder / f"{role}.key", folder / f"{role}.pub"):
        if path.exists():
            raise Refused(f"{shown(path)} exists and is never overwritten: give another folder with --keys")


def make(folder: Path, role: str, owner: str, passphrase: str) -> PublicKey:
    """A new key pair in a folder: `ROLE.key`, encrypted, and `ROLE.pub` to be given away.

    Raises:
        Refused: one of the two exists, or the passphrase is too short.
        LicenseError: the owner's name cannot be used.
    """
    fitting_text(owner)
    if len(passphrase) < LEAST_PASSPHRASE_CHARACTERS:
        raise Refused(
            f"the passphrase has {len(passphrase)} characters, {LEAST_PASSPHRASE_CHARACTERS} are the least: "
            "take some words that nobody else would put together"
        )
    private_path = folder / f"{role}.key"
    key = Ed25519PrivateKey.generate()
    public = PublicKey(role, owner, public_bytes(key))
    encryption = BestAvailableEncryption(passphrase.encode())
    write_new(private_path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    try:
        write_new(folder / f"{role}.pub", render_public_key(public, key.sign).encode())
    except Refused:
        private_path.unlink()
        raise
    return public


def load(path: Path, passphrase: str) -> Ed25519PrivateKey:
    """The private key in a file.

    Raises:
        Refused: there is none, the passphrase is another, or it is not encrypted.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_KEY_BYTES)
    except OSError as error:
        raise Refused(f"{shown(path)} cannot be read: {error.strerror}") from None
    try:
        key = load_pem_private_key(data, passphrase.encode())
    except TypeError:
        raise Refused(f"{shown(path)} is not encrypted: a key that anybody can read is not used") from None
    except ValueError:
        raise Refused(f"{shown(path)} cannot be opened: the passphrase is wrong, or it is no key") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise Refused(f"{shown(path)} is a key of another kind: make one with keygen")
    return key


def public_bytes(key: Ed25519PrivateKey) -> bytes:
    """The public half, 32 bytes."""
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def fingerprint(key: bytes) -> str:
    """A public key as two people compare it by telephone: 24 hexadecimal digits in groups of four."""
    digits = hashlib.sha256(key).hexdigest()[:24]
    return " ".join(digits[start : start + 4] for start in range(0, len(digits), 4))


def ask_passphrase(file: Path | None, environment: Mapping[str, str], twice: bool) -> str:
    """The passphrase: from a file's first line, the environment, or a person at a terminal.

    Raises:
        Refused: there is none, or what was typed the second time is another.
    """
    if file is not None:
        return _from_file(file)
    if given := environment.get(PASSPHRASE_VARIABLE):
        return given
    if not sys.stdin.isatty():
        raise Refused(f"there is no terminal to ask for the passphrase: use --passphrase-file or {PASSPHRASE_VARIABLE}")
    passphrase = getpass.getpass("Passphrase: ")
    if twice and getpass.getpass("The same again: ") != passphrase:
        raise Refused("the two passphrases differ: nothing was made")
    return passphrase


def _from_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_PASSPHRASE_BYTES)
        return data.decode("utf-8-sig").partition("\n")[0].rstrip("\r")
    except OSError as error:
        raise Refused(f"{shown(path)} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Refused(f"{shown(path)} is not plain text") from None
