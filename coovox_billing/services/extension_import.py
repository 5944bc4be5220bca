"""A file of extensions: told before it is done, and all of it is done or nothing. Jobs for `Database.write`."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coovox_billing.core.csv_table import BadRow
from coovox_billing.core.extension_csv import ExtensionRow
from coovox_billing.core.payer import spelled
from coovox_billing.errors import BadInput, BillingError
from coovox_billing.services import accounts
from coovox_billing.services.accounts import Person
from coovox_billing.store import reads, writes


@dataclass(frozen=True, slots=True)
class RowDone:
    """What a row did: made a new extension, opened a closed one again, or changed some of its properties."""

    line: int
    number: str
    name: str
    is_new: bool
    is_back: bool
    changes: Mapping[str, object]


class BadRows(BadInput):
    """Rows of a file that cannot be; nothing of it was done."""

    def __init__(self, rows: Sequence[BadRow]) -> None:
        super().__init__("%(rows)s", rows="; ".join(map(str, rows)))
        self.rows = tuple(rows)


def import_extensions(connection: sqlite3.Connection, rows: Sequence[ExtensionRow], person: Person) -> list[RowDone]:
    """Add the extensions that are new and change the others to what the rows say.

    Raises:
        BadRows: some cannot be; every one is named.
    """
    bad: list[BadRow] = []
    freed = _free_devices(connection, rows, person)
    done = [_attempt(connection, row, freed.get(row.number, {}), person, bad) for row in rows]
    if bad:
        raise BadRows(bad)
    return [row for row in done if row is not None]


def rehearse(connection: sqlite3.Connection, rows: Sequence[ExtensionRow], person: Person) -> list[RowDone]:
    """Do it and undo it; what it would do.

    Raises:
        BadRows: as `import_extensions`.
    """
    with writes.tried_only(connection):
        return import_extensions(connection, rows, person)


def _free_devices(
    connection: sqlite3.Connection, rows: Sequence[ExtensionRow], person: Person
) -> dict[str, dict[str, object]]:
    """Take from each extension the devices that its row lists no more, so that another row may list them.

    Returns by extension what it had.
    """
    freed: dict[str, dict[str, object]] = {}
    for row in rows:
        account = reads.account_by_extension(connection, row.number)
        wanted = row.changes.get("devices")
        if account is None or not isinstance(wanted, list):
            continue
        listed = reads.devices(connection, account["id"])
        kept = [device for device in listed if device in _spelled(wanted)]
        if kept != listed:
            accounts.change(connection, row.number, {"devices": kept}, person)
            freed[row.number] = {"devices": listed}
    return freed


def _attempt(
    connection: sqlite3.Connection,
    row: ExtensionRow,
    had: Mapping[str, object],
    person: Person,
    bad: list[BadRow],
) -> RowDone | None:
    try:
        return _apply(connection, row, had, person)
    except BillingError as error:
        bad.append(BadRow(row.line, error.sentence))
        return None


def _apply(connection: sqlite3.Connection, row: ExtensionRow, had: Mapping[str, object], person: Person) -> RowDone:
    is_known = reads.account_by_extension(connection, row.number) is not None
    is_back = not is_known and accounts.add(connection, row.number, str(row.changes.get("name", "")), person)
    before = _properties(connection, row.number)
    wanted = {key: _spelled(value) for key, value in row.changes.items()}
    accounts.change(connection, row.number, {k: v for k, v in wanted.items() if v != before[k]}, person)
    after = _properties(connection, row.number)
    changes = {key: after[key] for key in wanted if after[key] != (before | dict(had))[key]}
    return RowDone(row.line, row.number, str(after["name"]), not is_known and not is_back, is_back, changes)


def _spelled(value: object) -> Any:
    """Devices in the order and spelling in which they are listed; any other value as it is."""
    return sorted(set(map(spelled, value))) if isinstance(value, list) else value


def _properties(connection: sqlite3.Connection, extension: str) -> dict[str, object]:
    account = accounts.find(connection, extension)
    return {
        "name": account["name"],
        "billing": bool(account["billing"]),
        "payment_type": account["payment_type"],
        "status": account["status"],
        "credit_micros": account["credit_micros"],
        "devices": reads.devices(connection, account["id"]),
    }
