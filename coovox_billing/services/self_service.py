"""The person behind an extension: the PIN that lets him see his own account, and who is let in with it.

PINs are hashed before a job begins (`passwords`). Whoever is there sees nothing of who was there before. Each function
that takes a connection is a job for `Database.write`.
"""

import hmac
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from coovox_billing.core.extension_number import is_extension
from coovox_billing.core.pin import check_pin, is_guessable
from coovox_billing.core.site_settings import BY_VOICEMAIL_PIN
from coovox_billing.errors import BadInput, Refused, SetupError
from coovox_billing.services import accounts, passwords
from coovox_billing.services.accounts import Person, record
from coovox_billing.store import pins, reads, writes
from coovox_billing.store.database import Database

RANDOM_DIGITS = 6
# To hash them takes half a second each on a small board.
MOST_PINS_AT_ONCE = 100


def random_pin(extension: str) -> str:
    """A PIN that nobody chose."""
    while True:
        pin = "".join(secrets.choice("0123456789") for _ in range(RANDOM_DIGITS))
        if not is_guessable(pin, extension):
            return pin


def set_pins(connection: sqlite3.Connection, hashes: Mapping[str, str], person: Person) -> None:
    """Give extensions the PINs that `passwords.hashed` made, to all or to none. Sessions that began with another end.

    Raises:
        NotFound: no such extension.
    """
    for extension, pin_hash in hashes.items():
        account = accounts.find(connection, extension)
        pins.replace_pin(connection, account["id"], pin_hash, person.now_ms)
        record(connection, person, f"extension {extension}", {}, {"pin": "changed"})


def remove_pins(connection: sqlite3.Connection, extensions: Iterable[str], person: Person) -> None:
    """Let nobody in with the PINs of extensions any more; some may have none.

    Raises:
        NotFound: no such extension.
    """
    for extension in extensions:
        _forget(connection, accounts.find(connection, extension), person)


def hand_over(connection: sqlite3.Connection, account: sqlite3.Row, person: Person) -> None:
    """From now on somebody else is behind an extension: what was before, and the PIN, are not his."""
    _forget(connection, account, person)
    writes.update_account(connection, account["id"], own_after_call=pins.newest_call(connection))


@dataclass(frozen=True, slots=True)
class Lock:
    """What a PIN is tried at: an extension's, or nobody's. With another PIN it has another `name`."""

    name: str
    extension: str
    account: sqlite3.Row | None
    pin_hash: str
    mailbox_pin: str

    def opens(self, pin: str) -> int | None:
        """The id of the account if the PIN is right, None where it is wrong. That takes equally long for all.

        Raises:
            Refused: it is right, and still opens nothing.
        """
        is_hashed_one = passwords.matches(pin, self.pin_hash or passwords.nobodys())
        is_mailbox_s = hmac.compare_digest(pin.encode("utf-8", "surrogatepass"), self.mailbox_pin.encode())
        if self.account is None or not (is_hashed_one or (self.mailbox_pin and is_mailbox_s)):
            return None
        if self.account["recreated"]:
            raise Refused(
                "this extension was closed and is there again: the billing manager has to say first whether it is the "
                "same"
            )
        return int(self.account["id"])


def lock_of(database: Database, extension: str, setting: str, voicemail_pin: Callable[[str], str]) -> Lock:
    """What a PIN of an extension is tried at, by the site's setting. `voicemail_pin` is as `mailbox_pin` has it.

    Raises:
        Refused: the mailboxes cannot be read.
    """
    account, pin_hash = database.read(lambda connection: _known(connection, extension))
    mailbox = ""
    if setting == BY_VOICEMAIL_PIN:
        pin_hash, mailbox = "", _read(voicemail_pin, extension)
    known_as = extension if is_extension(extension) else ""
    return Lock(f"{known_as} {passwords.generation(pin_hash, mailbox)}", known_as, account, pin_hash, mailbox)


def mailbox_pin(voicemail_pin: Callable[[str], str], extension: str) -> str:
    """The PIN of an extension's mailbox, empty where it has none, or one that anybody would try.

    `voicemail_pin` tells what Asterisk keeps as it.

    Raises:
        SetupError: the mailboxes cannot be read.
    """
    try:
        return check_pin(voicemail_pin(extension), extension)
    except BadInput:
        return ""


def _known(connection: sqlite3.Connection, extension: str) -> tuple[sqlite3.Row | None, str]:
    """The open account of an extension, and what is kept of its PIN, empty for nothing."""
    account = reads.account_by_extension(connection, extension) if is_extension(extension) else None
    return account, "" if account is None else pins.pin_hash(connection, account["id"]) or ""


def _read(voicemail_pin: Callable[[str], str], extension: str) -> str:
    try:
        return mailbox_pin(voicemail_pin, extension)
    except SetupError as error:
        raise Refused("the PINs of mailboxes cannot be read now: tell the billing manager") from error


def _forget(connection: sqlite3.Connection, account: sqlite3.Row, person: Person) -> None:
    if pins.forget_pin(connection, account["id"]):
        record(connection, person, f"extension {account['extension']}", {}, {"pin": "removed"})
