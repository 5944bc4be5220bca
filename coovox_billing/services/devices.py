"""Extensions as Asterisk has them: what `extension sync` changes, and gateways whose caller ID is trusted.

Each function is a job for `Database.write`; `plan` and `gateways` only read.
"""

import sqlite3
from collections.abc import Sequence

from coovox_billing.core import devices
from coovox_billing.core.devices import Known, KnownAccount, Listing, Plan
from coovox_billing.errors import NotFound, Refused
from coovox_billing.sentences import Sentence, joined
from coovox_billing.services import accounts, trunks
from coovox_billing.services.accounts import Person
from coovox_billing.store import reads, writes


def plan(connection: sqlite3.Connection, listings: Sequence[Listing]) -> Plan:
    """What `sync` would do.

    Raises:
        Refused: no technology answered.
    """
    if not any(listing.is_loaded and not listing.trouble for listing in listings):
        said = joined(map(_why_unknown, listings))
        raise Refused("Asterisk tells of no devices, so nothing was changed (%(said)s)", said=said)
    return devices.plan(listings, _known(connection))


def sync(connection: sqlite3.Connection, listings: Sequence[Listing], person: Person) -> Plan:
    """Make the extensions what Asterisk's devices say; returns what was done.

    New ones are opened, not billed; those of closed accounts are opened
    again and marked, so that a person is asked; vanished ones are closed.

    Raises:
        Refused: no technology answered.
    """
    made = plan(connection, listings)
    for extension, name in made.opened.items():
        accounts.add(connection, extension, name, person)
    for account in made.reopened.values():
        accounts.reopen(connection, account.id, person)
    for extension, name in made.renamed.items():
        accounts.change(connection, extension, {"name": name}, person)
    for device, extension in made.devices.items():
        _add_device(connection, extension, device, person)
    for extension in made.closed:
        accounts.close(connection, extension, person)
    site = reads.site(connection)
    for line in made.lines:
        trunks.learn(connection, [line], line, site)
    writes.replace_seen_devices(connection, made.seen)
    return made


def gateways(connection: sqlite3.Connection) -> list[str]:
    """The devices whose caller ID is trusted, in order."""
    return sorted(reads.gateways(connection))


def trust_caller_id(connection: sqlite3.Connection, device: str, trusted: bool, person: Person) -> None:
    """Say of a device whether the caller ID of its calls names the extension that pays. Such a device is no trunk.

    Raises:
        BadInput: not a device.
        Refused: it is a trunk.
        NotFound: it is not trusted, so nothing can be taken back.
    """
    device = accounts.check_device(device)
    before = device in reads.gateways(connection)
    if trusted:
        accounts.refuse_trunk(connection, device)
        writes.insert_gateway(connection, device)
    elif before:
        writes.delete_gateway(connection, device)
    else:
        raise NotFound(
            "the caller ID of %(device)s is not trusted",
            hint="`gateway list` shows of which devices it is",
            device=device,
        )
    accounts.mirror_device(connection, device)
    if before != trusted:
        was, now = {"trust_caller_id": before}, {"trust_caller_id": trusted}
        accounts.record(connection, person, f"gateway {device}", was, now)


def _why_unknown(listing: Listing) -> Sentence:
    why = listing.trouble or Sentence("not loaded")
    return Sentence("%(technology)s: %(why)s", technology=listing.technology, why=why)


def _known(connection: sqlite3.Connection) -> Known:
    listed = reads.listed_devices(connection)
    return Known(
        accounts=[_known_account(row, listed.get(row["id"], frozenset())) for row in reads.newest_accounts(connection)],
        trunks=reads.trunks(connection),
        gateways=reads.gateways(connection),
        seen=reads.seen_devices(connection),
    )


def _known_account(row: sqlite3.Row, listed: frozenset[str]) -> KnownAccount:
    return KnownAccount(
        id=row["id"],
        extension=row["extension"],
        name=row["name"],
        devices=listed,
        balance_micros=row["balance_micros"],
        is_open=row["closed_at_ms"] is None,
        is_billed=bool(row["billing"]),
        is_in_call=bool(row["in_call"]),
    )


def _add_device(connection: sqlite3.Connection, extension: str, device: str, person: Person) -> None:
    account = accounts.find(connection, extension)
    listed = [*reads.devices(connection, account["id"]), device]
    accounts.change(connection, extension, {"devices": listed}, person)
