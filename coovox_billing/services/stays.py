"""Guests: checked in with a deposit, checked out with all paid and the extension locked.

Whoever was there before sees nothing in self-service of who comes after, nor the other way round: the PIN goes.

Each function is a job for `Database.write`.
"""

import sqlite3
from dataclasses import dataclass

from coovox_billing.core.money import format_amount
from coovox_billing.errors import BadInput, Refused
from coovox_billing.services import accounts, payments, self_service
from coovox_billing.services.accounts import Person
from coovox_billing.store import reads, writes

CHECK_IN, CHECK_OUT = "check-in", "check-out"


@dataclass(frozen=True, slots=True)
class Bill:
    """What a guest leaves with: the stay's id, since when (ms since 1970, UTC), what was paid (negative: paid back)."""

    id: int
    since_ms: int
    paid_micros: int


def check_in(connection: sqlite3.Connection, extension: str, deposit_micros: int, name: str, person: Person) -> None:
    """Begin a stay: the extension is billed, unlocked, named after the guest and, with a deposit, recharged.

    Raises:
        NotFound: no such extension.
        BadInput: a deposit or name that cannot be.
        Refused: somebody is checked in already, or a call is in progress.
    """
    account = accounts.find(connection, extension)
    if account["checked_in_at_ms"] is not None:
        raise Refused("extension %(extension)s is checked in already: check it out first", extension=extension)
    if reads.has_open_calls(connection, account["id"]):
        raise Refused("extension %(extension)s is in a call: check it in when that is over", extension=extension)
    if deposit_micros < 0:
        raise BadInput("a deposit is 0 or more")
    after_entry = reads.newest_entry(connection, account["id"])
    changes: dict[str, object] = {"status": "unlocked", "billing": True}
    accounts.change(connection, extension, changes | ({"name": name} if name else {}), person)
    if deposit_micros:
        payments.recharge(connection, extension, deposit_micros, person, CHECK_IN)
    writes.update_account(
        connection,
        account["id"],
        checked_in_at_ms=person.now_ms,
        name_before_stay=account["name"] if name else None,
        stay_after_entry=after_entry,
    )
    accounts.record(connection, person, f"extension {extension}", {"checked_in": False}, {"checked_in": True})
    self_service.hand_over(connection, account, person)


def check_out(
    connection: sqlite3.Connection, extension: str, person: Person, expected_micros: int | None = None
) -> Bill:
    """End a stay, or the time since the last one or since the account was opened: all is paid, the extension locked.

    A guest who owes pays; one who has money left gets it back, by a correction. The extension is called again
    what it was called before. `expected_micros` is the balance that the person saw.

    Raises:
        NotFound: no such extension.
        Refused: a call is in progress, whose cost is not known yet; or the balance is another one.
    """
    account = accounts.find(connection, extension)
    if reads.has_open_calls(connection, account["id"]):
        raise Refused("extension %(extension)s is in a call: check it out when that is over", extension=extension)
    balance_micros = account["balance_micros"]
    if expected_micros is not None and expected_micros != balance_micros:
        raise Refused(
            "the balance has changed, it is %(balance)s now: look at the bill again",
            balance=format_amount(balance_micros),
        )
    since_ms, after_entry = _begin(connection, account)
    _pay_to_zero(connection, extension, balance_micros, person)
    room = account["name_before_stay"]
    accounts.change(connection, extension, {"status": "locked"} | ({} if room is None else {"name": room}), person)
    writes.update_account(
        connection, account["id"], checked_in_at_ms=None, name_before_stay=None, stay_after_entry=None
    )
    accounts.record(connection, person, f"extension {extension}", {"checked_in": True}, {"checked_in": False})
    self_service.hand_over(connection, account, person)
    stay_id = writes.insert_stay(
        connection,
        account_id=account["id"],
        guest=account["name"],
        since_ms=since_ms,
        until_ms=person.now_ms,
        after_entry=after_entry,
        last_entry=reads.newest_entry(connection, account["id"]),
        paid_micros=-balance_micros,
    )
    return Bill(stay_id, since_ms, -balance_micros)


def _begin(connection: sqlite3.Connection, account: sqlite3.Row) -> tuple[int, int]:
    """Since when the bill runs, and after which entry: check-in; where there was none, last check-out or opening."""
    if account["checked_in_at_ms"] is not None:
        return account["checked_in_at_ms"], account["stay_after_entry"]
    last = reads.last_stay(connection, account["id"])
    return (account["opened_at_ms"], 0) if last is None else (last["until_ms"], last["last_entry"])


def _pay_to_zero(connection: sqlite3.Connection, extension: str, balance_micros: int, person: Person) -> None:
    if balance_micros < 0:
        payments.recharge(connection, extension, -balance_micros, person, CHECK_OUT)
    elif balance_micros > 0:
        payments.correct(connection, extension, -balance_micros, CHECK_OUT, person)
