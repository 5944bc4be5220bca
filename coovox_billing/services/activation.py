"""Whether billing is active at all (guide "Activate Billing"). Each function is a job for the write door."""

import sqlite3

from coovox_billing.core.site_settings import ACTIVATION
from coovox_billing.services.accounts import Person
from coovox_billing.store import reads, writes


def is_active(connection: sqlite3.Connection) -> bool:
    """Whether calls are billed; where not, they all pass at no price."""
    return reads.site(connection).is_active


def switch(connection: sqlite3.Connection, on: bool, person: Person) -> None:
    """Activate or deactivate billing. Calls in progress lose their limits, and their talk so far is charged."""
    before = "on" if is_active(connection) else "off"
    after = "on" if on else "off"
    if before == after:
        return
    writes.set_setting(connection, ACTIVATION, after)
    writes.mirror(connection, "inactive", "" if on else "1")
    writes.record_change(connection, person.now_ms, person.name, person.origin, ACTIVATION, before, after)
