"""Money that people move: recharges, corrections with a reason, and counter-entries that take either back.

Each function is a job for `Database.write`. What a call costs is charged by `settlement`.
"""

import sqlite3
from collections.abc import Sequence

from coovox_billing.core.money import LEDGER_STEP_MICROS, MAX_MICROS, format_amount
from coovox_billing.errors import BadInput, NotFound, Refused
from coovox_billing.services import people
from coovox_billing.services.accounts import Person, find, record
from coovox_billing.services.calls import account_view
from coovox_billing.store import reads, writes

MAX_REASON_LENGTH = 200
PAYMENTS = ("recharge", "correction")


def recharge(
    connection: sqlite3.Connection, extension: str, amount_micros: int, person: Person, reason: str = ""
) -> int:
    """Put money on an extension, for a reason or none; returns the balance after, in micros.

    Raises:
        NotFound: no such extension.
        BadInput: nothing or less, more than a balance can hold, or a reason that cannot be printed.
        Refused: more than this person may recharge.
    """
    people.check_recharge(connection, person, [amount_micros])
    return _recharge(connection, extension, amount_micros, person, reason)


def recharge_many(
    connection: sqlite3.Connection, extensions: Sequence[str], amount_micros: int, person: Person, reason: str = ""
) -> None:
    """Put the same amount on each of several extensions, on all or on none (guide, "Recharge").

    Raises:
        NotFound, BadInput: as `recharge`; nobody is named.
        Refused: all together, it is more than this person may recharge.
    """
    if not extensions:
        raise BadInput("no extension is selected: tick at least one")
    named = list(dict.fromkeys(extensions))
    people.check_recharge(connection, person, [amount_micros] * len(named))
    for extension in named:
        _recharge(connection, extension, amount_micros, person, reason)


def correct(connection: sqlite3.Connection, extension: str, amount_micros: int, reason: str, person: Person) -> int:
    """Add to a balance, or (negative) take from it, for a reason; returns the balance after, in micros.

    Raises:
        NotFound: no such extension.
        BadInput: nothing, no reason, or more than a balance can hold.
        Refused: more is taken than is available, or this person may not.
    """
    people.check_manages(connection, person)
    if not amount_micros:
        raise BadInput("a correction of nothing changes nothing: give an amount, with a minus to take money away")
    return _post(connection, find(connection, extension), "correction", amount_micros, person, _reason(reason))


def undo(connection: sqlite3.Connection, entry_id: int, reason: str, person: Person) -> int:
    """Take a recharge or correction back by a counter-entry; returns the balance after, in micros.

    Raises:
        NotFound: no such entry.
        BadInput: no reason.
        Refused: it is a call's or of an earlier stay, was taken back already or takes one back; its money is spent;
            or this person may not.
    """
    people.check_manages(connection, person)
    entry = reads.entry(connection, entry_id)
    if entry is None:
        raise NotFound("there is no entry %(entry_id)s in the recharge history", entry_id=entry_id)
    if entry["kind"] not in PAYMENTS or entry["call_id"] is not None:
        raise Refused("only recharges and corrections can be undone: correct a call's cost by a correction")
    if entry["undone_by"] is not None:
        raise Refused("it was undone already: nothing was changed")
    if entry["undoes"] is not None:
        raise Refused("it undoes another one: recharge or correct again instead")
    account = reads.account(connection, entry["account_id"])
    if entry_id <= (account["stay_after_entry"] or 0):
        raise Refused("it belongs to a stay that is over: correct the balance instead")
    return _post(connection, account, "correction", -entry["amount_micros"], person, _reason(reason), undoes=entry_id)


def _recharge(connection: sqlite3.Connection, extension: str, amount_micros: int, person: Person, reason: str) -> int:
    if amount_micros <= 0:
        raise BadInput("%(amount)s cannot be recharged: give an amount above 0", amount=format_amount(amount_micros))
    return _post(connection, find(connection, extension), "recharge", amount_micros, person, _printable(reason))


def _post(
    connection: sqlite3.Connection,
    account: sqlite3.Row,
    kind: str,
    amount_micros: int,
    person: Person,
    reason: str,
    undoes: int | None = None,
) -> int:
    _check_amount(account, amount_micros)
    after_micros = writes.post(
        connection, account["id"], kind, amount_micros, person.name, person.now_ms, reason=reason, undoes=undoes
    )
    before = {"balance_micros": account["balance_micros"]}
    after = {"balance_micros": after_micros} | ({"reason": reason} if reason else {})
    record(connection, person, f"extension {account['extension']}", before, after)
    return after_micros


def _check_amount(account: sqlite3.Row, amount_micros: int) -> None:
    extension, available_micros = account["extension"], account_view(account).available_micros
    if amount_micros % LEDGER_STEP_MICROS:
        raise BadInput("amounts go down to 0.0001")
    if abs(account["balance_micros"] + amount_micros) > MAX_MICROS:
        raise BadInput(
            "extension %(extension)s would have more than %(most)s: give less",
            extension=extension,
            most=format_amount(MAX_MICROS),
        )
    if amount_micros < 0 and available_micros + amount_micros < 0:
        raise Refused(
            "%(amount)s cannot be taken from extension %(extension)s: only %(available)s "
            "of balance and credit is neither spent nor held by calls",
            amount=format_amount(-amount_micros),
            extension=extension,
            available=format_amount(max(0, available_micros)),
        )


def _reason(text: str) -> str:
    text = _printable(text)
    if not text:
        raise BadInput("a reason is needed: write why, it stands in the ledger for good")
    return text


def _printable(text: str) -> str:
    text = text.strip()
    if len(text) > MAX_REASON_LENGTH or not text.isprintable():
        raise BadInput("a reason has up to %(most)s printable characters", most=MAX_REASON_LENGTH)
    return text
