"""The site's own: its first settings, changing one, and what the dialplan must know of them."""

import os
import sqlite3
from collections.abc import Mapping

from coovox_billing.core.site_settings import ACTIVATION, DEFAULT_EMERGENCY_NUMBERS, site_setting
from coovox_billing.errors import Refused
from coovox_billing.services import trunks
from coovox_billing.services.accounts import Person, find
from coovox_billing.store import reads, writes


def is_new(connection: sqlite3.Connection) -> bool:
    """Whether the database was never prepared."""
    return not reads.database_id(connection)


def prepare(connection: sqlite3.Connection, time_zone: str) -> None:
    """Give a new database its name, the machine's time zone and the first mirror; an old one stays as it is.

    Until the owner activates billing, calls pass unbilled (guide *Free Trial*).
    """
    if not is_new(connection):
        return
    rename_database(connection)
    writes.set_setting(connection, "time_zone", time_zone)
    writes.set_setting(connection, ACTIVATION, "off")
    writes.mirror(connection, "inactive", "1")
    writes.mirror(connection, "policy", site_setting("when_billing_is_down").default)
    _mirror_emergency(connection, "", DEFAULT_EMERGENCY_NUMBERS)


def rename_database(connection: sqlite3.Connection) -> None:
    """Give the database a random name, by which Asterisk's mirror of another one is known as such."""
    writes.set_site_value(connection, "database_id", os.urandom(8).hex())


def change_setting(connection: sqlite3.Connection, name: str, text: str, person: Person) -> str:
    """Store a setting; returns it as stored.

    Raises:
        NotFound: no such setting, or no such extension that could pay.
        BadInput: a value it cannot have.
    """
    setting = site_setting(name)
    value = setting.check(text.strip())
    if name == "calls_without_payer" and value not in ("pass", "refuse"):
        find(connection, value)
    before = reads.setting(connection, name) or setting.default
    writes.set_setting(connection, name, value)
    if name == "when_billing_is_down":
        writes.mirror(connection, "policy", value)
    if name == "emergency_numbers":
        _mirror_emergency(connection, before, value)
    if name == "calls_without_payer":
        for device in reads.trunks(connection):
            trunks.mirror(connection, device, value)
    writes.record_change(connection, person.now_ms, person.name, person.origin, f"setting {name}", before, value)
    return value


class ChangedMeanwhile(Refused):
    """Somebody else has changed a setting since it was seen: which, and to what."""

    def __init__(self, name: str, present: str) -> None:
        super().__init__(
            "%(name)s was changed meanwhile, to %(present)s: look at it, then repeat", name=name, present=present
        )
        self.name, self.present = name, present


def change_settings(connection: sqlite3.Connection, changes: Mapping[str, tuple[str, str]], person: Person) -> None:
    """Store settings, all or none: each by its name, with what whoever changes it saw and what it is to be.

    Raises:
        NotFound: no such setting, or no such extension that could pay.
        BadInput: a value it cannot have.
        ChangedMeanwhile: by somebody else.
    """
    for name, (seen, text) in changes.items():
        present = reads.setting(connection, name) or site_setting(name).default
        if present not in (seen, text):
            raise ChangedMeanwhile(name, present)
        if present != text:
            change_setting(connection, name, text, person)


def _mirror_emergency(connection: sqlite3.Connection, before: str, after: str) -> None:
    for number in set(before.split()) - set(after.split()):
        writes.mirror(connection, f"emergency/{number}", "")
    for number in after.split():
        writes.mirror(connection, f"emergency/{number}", "1")
