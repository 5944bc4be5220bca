"""Extensions: who has an account, and what of it may be changed. Money is moved by `payments`.

Each function is a job for `Database.write`: it takes the writer's connection.
"""

import json
import re
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from coovox_billing.core.extension_number import is_extension
from coovox_billing.core.money import LEDGER_STEP_MICROS, MAX_MICROS, format_amount
from coovox_billing.core.payer import LOCAL, Payer, extension_of, spelled
from coovox_billing.errors import BadInput, NotFound, Refused
from coovox_billing.sentences import either
from coovox_billing.store import reads, writes

_DEVICE = re.compile(r"[A-Za-z0-9]{1,16}/[0-9A-Za-z_./@+-]{1,80}", re.ASCII)
MAX_NAME_LENGTH = 80
PAYMENT_TYPES = ("prepaid", "postpaid")
STATUSES = ("locked", "unlocked")
RECREATED_ANSWERS = ("continue", "new")

_POSSIBLE: Mapping[str, tuple[object, ...]] = {
    "billing": (False, True),
    "status": STATUSES,
    "payment_type": PAYMENT_TYPES,
}


@dataclass(frozen=True, slots=True)
class Person:
    """Who makes a change, from where (`terminal`, an address), and when (ms since 1970, UTC)."""

    name: str
    origin: str
    now_ms: int


def check_extension(extension: str) -> str:
    """The extension's number.

    Raises:
        BadInput: it could not be dialed or listed.
    """
    if not is_extension(extension):
        raise BadInput("%(extension)s is not an extension: write its number, like 100", extension=repr(extension))
    return extension


def check_device(device: str) -> str:
    """A device's name, as Asterisk spells it.

    Raises:
        BadInput: it is not technology and name, or a Local channel, behind which anybody may be.
    """
    device = spelled(device)
    if not _DEVICE.fullmatch(device) or device.startswith(f"{LOCAL}/"):
        raise BadInput(
            "%(device)s is not a device: write technology and name, like PJSIP/100", device=repr(device[:80])
        )
    return device


def refuse_trunk(connection: sqlite3.Connection, device: str) -> None:
    """A trunk's callers are outside, so that it neither is somebody's nor says who pays.

    Raises:
        Refused: the device is a trunk.
    """
    if device in reads.trunks(connection):
        raise Refused(
            "%(device)s is a trunk, whose callers are outside: "
            "if it is none, run `coovox-billing trunk remove %(device)s` first",
            device=device,
        )


def add(connection: sqlite3.Connection, extension: str, name: str, person: Person) -> bool:
    """Open an account: not billed, prepaid, unlocked, empty. One that was closed is opened again with all it had.

    Returns whether it is a closed one, so that a person is to say if it is the same extension.

    Raises:
        BadInput: not an extension, or a name too long.
        Refused: it already has an account.
    """
    check_extension(extension)
    _check_name(name)
    if reads.account_by_extension(connection, extension) is not None:
        raise Refused(
            "extension %(extension)s is there already",
            hint="change it with `extension set %(extension)s`",
            extension=extension,
        )
    closed = reads.closed_account_of_payer(connection, "", extension)
    if closed is not None:
        reopen(connection, closed["id"], person)
        return True
    _open(connection, extension, name, person.now_ms)
    record(connection, person, f"extension {extension}", {}, {"name": name})
    return False


def change(connection: sqlite3.Connection, extension: str, changes: Mapping[str, object], person: Person) -> None:
    """Change properties: any of name, billing, credit_micros, status, payment_type, devices (a list).

    A new payment type restarts Total Recharges and nothing else (DESIGN §3).

    Raises:
        NotFound: no such extension.
        BadInput: a value that cannot be.
        Refused: a device that another extension has.
    """
    account = find(connection, extension)
    _check_changes(changes)
    columns = {key: value for key, value in changes.items() if key != "devices" and value != account[key]}
    before: dict[str, object] = {key: account[key] for key in columns}
    if columns:
        writes.update_account(connection, account["id"], **columns)
    if "devices" in changes:
        before["devices"] = reads.devices(connection, account["id"])
        columns["devices"] = _change_devices(connection, account["id"], list(_texts(changes["devices"])))
    if "payment_type" in columns:
        reason = f"{account['payment_type']} to {columns['payment_type']}"
        writes.post(connection, account["id"], "payment-type", 0, person.name, person.now_ms, reason=reason)
    if columns.get("billing") or columns.get("devices"):
        _take_from_trunks(connection, account)
    _mirror(connection, account["id"])
    if columns:
        record(connection, person, f"extension {extension}", before, columns)


def change_many(
    connection: sqlite3.Connection, extensions: Sequence[str], changes: Mapping[str, object], person: Person
) -> None:
    """Make the same changes of several extensions, of all or of none (guide, "Bulk Edit").

    Raises:
        NotFound, BadInput, Refused: as `change`.
    """
    for extension in extensions:
        change(connection, extension, changes, person)


def find(connection: sqlite3.Connection, extension: str) -> sqlite3.Row:
    """The open account of an extension.

    Raises:
        NotFound: there is none.
    """
    account = reads.account_by_extension(connection, extension) if is_extension(extension) else None
    if account is not None:
        return account
    if is_extension(extension) and reads.closed_account_of_payer(connection, "", extension) is not None:
        raise NotFound(
            "extension %(extension)s is closed",
            hint="`extension add %(extension)s` opens it again with all it had",
            extension=extension,
        )
    raise NotFound(
        "there is no extension %(extension)s",
        hint="`extension list` shows them, `extension add` makes one",
        extension=repr(extension[:80]),
    )


def account_of_payer(connection: sqlite3.Connection, payer: Payer, now_ms: int) -> sqlite3.Row | None:
    """The account that pays; None where nobody is known.

    A device belongs to the extension that lists it, else to the extension of
    its own number. One of a closed account opens that again, and a person is
    asked; one that nobody knows becomes a new extension, not billed
    (DESIGN §3, §5).
    """
    extension = payer.extension or extension_of(payer.device)
    known = reads.account_of_payer(connection, payer.device, extension)
    if known is not None:
        return known
    closed = reads.closed_account_of_payer(connection, payer.device, extension)
    if closed is not None:
        return _reopen_for_call(connection, closed["id"], payer.device)
    if not is_extension(extension):
        return None
    return reads.account(connection, _open(connection, extension, "", now_ms))


def close(connection: sqlite3.Connection, extension: str, person: Person) -> None:
    """Close an account, its money and all that it is kept, for the case that its extension comes back.

    Raises:
        NotFound: no such extension.
        Refused: it is in a call.
    """
    account = find(connection, extension)
    if reads.has_open_calls(connection, account["id"]):
        raise Refused("extension %(extension)s is in a call: try again when that is over", extension=extension)
    writes.update_account(connection, account["id"], closed_at_ms=person.now_ms, recreated=0)
    _mirror(connection, account["id"])
    kept = {"closed": False, "balance_micros": account["balance_micros"]}
    record(connection, person, f"extension {extension}", kept, kept | {"closed": True})


def reopen(connection: sqlite3.Connection, account_id: int, person: Person) -> None:
    """Open a closed account because its extension is back; all that it was holds until a person answers."""
    _reopen(connection, account_id)
    extension = reads.account(connection, account_id)["extension"]
    record(connection, person, f"extension {extension}", {"closed": True}, {"closed": False})


def answer_recreated(connection: sqlite3.Connection, extension: str, answer: str, person: Person) -> None:
    """Whether an extension that came back is the old one (`continue`), or begins anew with an empty account (`new`).

    Raises:
        NotFound: no such extension.
        BadInput: another answer.
        Refused: it did not come back, or, for `new`, it is in a call.
    """
    account = find(connection, extension)
    if answer not in RECREATED_ANSWERS:
        raise BadInput(
            "%(answer)s is not possible: choose %(answers)s", answer=repr(answer), answers=either(RECREATED_ANSWERS)
        )
    if not account["recreated"]:
        raise Refused(
            "extension %(extension)s was not closed and re-created: there is nothing to answer", extension=extension
        )
    if answer == "new":
        close(connection, extension, person)
        _open(connection, extension, _name_in_asterisk(connection, account), person.now_ms)
    else:
        writes.update_account(connection, account["id"], recreated=0)
    record(connection, person, f"extension {extension}", {"recreated": True}, {"recreated": answer})


def _reopen_for_call(connection: sqlite3.Connection, account_id: int, device: str) -> sqlite3.Row:
    """The call shows that the device is there, so that a sync without it closes the account again."""
    _reopen(connection, account_id)
    if device:
        writes.insert_seen_device(connection, device)
    return reads.account(connection, account_id)


def _reopen(connection: sqlite3.Connection, account_id: int) -> None:
    writes.update_account(connection, account_id, closed_at_ms=None, recreated=1)
    _mirror(connection, account_id)


def _name_in_asterisk(connection: sqlite3.Connection, account: sqlite3.Row) -> str:
    listed = reads.devices(connection, account["id"])
    names = (
        name
        for device, name in reads.seen_devices(connection).items()
        if device in listed or extension_of(device) == account["extension"]
    )
    return next(filter(None, names), "")


def mirror_device(connection: sqlite3.Connection, device: str) -> None:
    """Tell the dialplan of a device alone. Behind a gateway somebody billed may be, so it counts as billed."""
    owner = reads.account_by_device(connection, device)
    known = "" if owner is None else _standing(owner)
    writes.mirror(connection, f"payer/{device}", "billed" if device in reads.gateways(connection) else known)


def _open(connection: sqlite3.Connection, extension: str, name: str, now_ms: int) -> int:
    account_id = writes.insert_account(connection, extension, name, now_ms)
    writes.inherit_devices(connection, account_id, extension)
    _mirror(connection, account_id)
    return account_id


def _change_devices(connection: sqlite3.Connection, account_id: int, devices: list[str]) -> list[str]:
    devices = list(dict.fromkeys(map(check_device, devices)))
    for device in devices:
        refuse_trunk(connection, device)
        owner = reads.account_by_device(connection, device)
        if owner is not None and owner["id"] != account_id:
            raise Refused(
                "device %(device)s belongs to extension %(extension)s: take it from there first",
                device=device,
                extension=owner["extension"],
            )
    gone = set(reads.devices(connection, account_id)) - set(devices)
    writes.replace_devices(connection, account_id, devices)
    for device in gone:
        mirror_device(connection, device)
    return devices


def _take_from_trunks(connection: sqlite3.Connection, account: sqlite3.Row) -> None:
    """What a person bills is no trunk, even if a route once dialed it."""
    listed = reads.devices(connection, account["id"])
    for device in reads.trunks(connection):
        if device in listed or extension_of(device) == account["extension"]:
            writes.delete_trunk(connection, device)
            mirror_device(connection, device)


def _mirror(connection: sqlite3.Connection, account_id: int) -> None:
    """Tell the dialplan what it must know of a payer when it is alone."""
    account = reads.account(connection, account_id)
    standing, gateways = _standing(account), reads.gateways(connection)
    writes.mirror(connection, f"payer/{account['extension']}", standing)
    for device in reads.devices(connection, account_id):
        writes.mirror(connection, f"payer/{device}", "billed" if device in gateways else standing)


def _standing(account: sqlite3.Row) -> str:
    """A closed account's is what it will be if its extension comes back; who is not known is free anyway."""
    if account["status"] == "locked":
        return "locked"
    if account["billing"]:
        return "billed"
    return "" if account["closed_at_ms"] is not None else "free"


def _check_changes(changes: Mapping[str, object]) -> None:
    for key, value in changes.items():
        possible = _POSSIBLE.get(key)
        if possible is not None and value not in possible:
            raise BadInput(
                "%(value)s is not possible: choose %(possible)s", value=repr(value), possible=either(map(str, possible))
            )
        if key == "name":
            _check_name(str(value))
        elif key == "credit_micros":
            _check_credit(value)
        elif possible is None and key != "devices":
            raise BadInput("%(key)s of an extension cannot be changed", key=repr(key))


def _check_credit(value: object) -> None:
    if not isinstance(value, int) or not 0 <= value <= MAX_MICROS or value % LEDGER_STEP_MICROS:
        raise BadInput(
            "the credit must be from 0 to %(most)s, with up to four decimals", most=format_amount(MAX_MICROS)
        )


def _check_name(name: str) -> None:
    if len(name) > MAX_NAME_LENGTH or not name.isprintable():
        raise BadInput("a name has up to %(most)s printable characters", most=MAX_NAME_LENGTH)


def _texts(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []


def record(
    connection: sqlite3.Connection,
    person: Person,
    what: str,
    before: Mapping[str, object],
    after: Mapping[str, object],
) -> None:
    """Enter what a person changed: what it was before and after."""
    writes.record_change(
        connection, person.now_ms, person.name, person.origin, what, json.dumps(before), json.dumps(after)
    )
