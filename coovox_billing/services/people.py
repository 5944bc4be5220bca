"""Billing users: who signs in beside the owner, with which role, and up to which limit a cashier recharges.

Passwords are hashed before a job begins (`passwords`). What somebody may open is decided by the pages' routes; how
much a cashier may recharge is decided here, inside the job that does it. Each function that takes a connection is a
job for `Database.write`.
"""

import secrets
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from coovox_billing.core.clock import day_start_ms, local_day
from coovox_billing.core.money import LEDGER_STEP_MICROS, MAX_MICROS, format_amount
from coovox_billing.core.roles import BILLING_ROLES, Role
from coovox_billing.errors import BadInput, NotFound, Refused
from coovox_billing.sentences import either
from coovox_billing.services import owner, passwords
from coovox_billing.services.accounts import Person, record
from coovox_billing.store import people as store
from coovox_billing.store import reads
from coovox_billing.store.database import Database

MOST_USERS = 500
MAX_REMARK_LENGTH = 80

_SIGNS = 3


@dataclass(frozen=True, slots=True)
class Duty:
    """What a billing user is there for. The limits, in micros, are a cashier's: of one recharge; of a day, or none."""

    role: Role = Role.MANAGER
    remark: str = ""
    recharge_limit_micros: int | None = None
    daily_limit_micros: int | None = None

    def columns(self) -> dict[str, object]:
        """As it is stored, and told in the audit log."""
        return {
            "role": self.role.value,
            "remark": self.remark,
            "recharge_limit_micros": self.recharge_limit_micros,
            "daily_limit_micros": self.daily_limit_micros,
        }


def parse_role(text: str) -> Role:
    """A billing user's role by its name.

    Raises:
        BadInput: there is no such role.
    """
    if text not in BILLING_ROLES:
        raise BadInput("%(role)s is no role: write %(roles)s", role=repr(text[:40]), roles=either(BILLING_ROLES))
    return Role(text)


def create(connection: sqlite3.Connection, hashed: str, duty: Duty, person: Person) -> str:
    """Add a billing user with a password that `passwords.hashed` made; returns the name, like `bill-k7m`.

    Raises:
        BadInput: a cashier without a limit, a limit of another role, or a remark that cannot be printed.
        Refused: there are too many.
    """
    _check(duty)
    if store.count(connection) >= MOST_USERS:
        raise Refused("there are %(most)s billing users: enable one of those that are disabled", most=MOST_USERS)
    name = _free_name(connection)
    columns = duty.columns()
    store.insert_user(connection, name=name, password=hashed, created_at_ms=person.now_ms, **columns)
    record(connection, person, _what(name), {}, {key: value for key, value in columns.items() if value})
    return name


def assign(connection: sqlite3.Connection, name: str, duty: Duty, person: Person) -> None:
    """Give a billing user another role, remark or limit. Another role ends the sessions.

    Raises:
        NotFound: there is no such user.
        BadInput: as `create`.
    """
    _check(duty)
    user = find(connection, name)
    columns = {key: value for key, value in duty.columns().items() if value != user[key]}
    if not columns:
        return
    store.update_user(connection, name, **columns)
    if "role" in columns:
        store.end_sessions(connection, name)
    record(connection, person, _what(name), {key: user[key] for key in columns}, columns)


def set_password(connection: sqlite3.Connection, name: str, hashed: str, person: Person) -> None:
    """Give a billing user the password that `passwords.hashed` made. Sessions that began with another one end.

    Raises:
        NotFound: there is no such user.
    """
    find(connection, name)
    store.update_user(connection, name, password=hashed)
    store.end_sessions(connection, name)
    record(connection, person, _what(name), {}, {"password": "changed"})


def switch(connection: sqlite3.Connection, name: str, enabled: bool, person: Person) -> None:
    """Let a billing user sign in again, or no more: then the sessions end too.

    Raises:
        NotFound: there is no such user.
    """
    user = find(connection, name)
    if bool(user["enabled"]) == enabled:
        return
    store.update_user(connection, name, enabled=enabled)
    store.end_sessions(connection, name)
    record(connection, person, _what(name), {"enabled": not enabled}, {"enabled": enabled})


def find(connection: sqlite3.Connection, name: str) -> sqlite3.Row:
    """The billing user of a name.

    Raises:
        NotFound: there is none.
    """
    user = store.user(connection, name)
    if user is None:
        raise NotFound("there is no billing user %(name)s", hint="`billing-user list` shows all", name=name[:40])
    return user


def authenticate(database: Database, directory: Path, name: str, password: str) -> bool:
    """Whether this is the password of the owner or of a billing user. An unknown name takes as long as a known one.

    Raises:
        Refused: it is, and still nobody signs in with it, for the user is disabled; or the owner never had a password.
    """
    if name == owner.OWNER:
        return owner.verify(database, directory, password)
    user = database.read(lambda connection: store.user(connection, name)) if name.isascii() else None
    is_right = passwords.matches(password, user["password"] if user else passwords.nobodys())
    if user is None or not is_right:
        return False
    _check_enabled(user)
    return True


def note_sign_in(connection: sqlite3.Connection, name: str, now_ms: int) -> None:
    """Remember when a billing user last signed in."""
    store.update_user(connection, name, signed_in_at_ms=now_ms)


def check_recharge(connection: sqlite3.Connection, person: Person, amounts_micros: Iterable[int]) -> None:
    """Whether somebody may recharge these amounts at once: for a cashier, their sum is held against his limits.

    Raises:
        Refused: it is more than he may recharge at once, or on this day of the site; or he may not at all.
    """
    user = _enabled(connection, person)
    if user is None or user["role"] == Role.MANAGER:
        return
    if user["role"] != Role.CASHIER:
        raise Refused("your role does not allow this: ask a manager")
    sum_micros = sum(amounts_micros)
    limit_micros, daily_micros = user["recharge_limit_micros"], user["daily_limit_micros"]
    if sum_micros > limit_micros:
        raise Refused(
            "%(amount)s is more than the %(limit)s that you may recharge at once: ask a manager",
            amount=format_amount(sum_micros),
            limit=format_amount(limit_micros),
        )
    if daily_micros is not None:
        left_micros = max(0, daily_micros - recharged_today_micros(connection, person))
        if sum_micros > left_micros:
            raise Refused(
                "%(amount)s is more than the %(left)s that are left of the %(limit)s that you may recharge in a day: "
                "ask a manager",
                amount=format_amount(sum_micros),
                left=format_amount(left_micros),
                limit=format_amount(daily_micros),
            )


def check_manages(connection: sqlite3.Connection, person: Person) -> None:
    """Whether somebody may move money in other ways than recharges: the owner and managers may.

    Raises:
        Refused: he may not.
    """
    user = _enabled(connection, person)
    if user is not None and user["role"] != Role.MANAGER:
        raise Refused("your role does not allow this: ask a manager")


def recharged_today_micros(connection: sqlite3.Connection, person: Person) -> int:
    """What somebody recharged on the site's present day, without what was taken back."""
    zone = reads.site(connection).time_zone
    today = local_day(person.now_ms, zone)
    since_ms, until_ms = day_start_ms(today, zone), day_start_ms(today + timedelta(days=1), zone)
    return store.recharged_micros(connection, person.name, since_ms, until_ms)


def _enabled(connection: sqlite3.Connection, person: Person) -> sqlite3.Row | None:
    """The billing user who makes a change, None where it is the owner or somebody at the terminal."""
    user = store.user(connection, person.name)
    if user is not None:
        _check_enabled(user)
    return user


def _check_enabled(user: sqlite3.Row) -> None:
    if not user["enabled"]:
        raise Refused("the user %(name)s is disabled: the owner of the device can enable it", name=user["name"])


def _check(duty: Duty) -> None:
    limits_micros = (duty.recharge_limit_micros, duty.daily_limit_micros)
    if duty.role not in BILLING_ROLES:
        parse_role(duty.role)
    if duty.role != Role.CASHIER and limits_micros != (None, None):
        raise BadInput("only a cashier has limits: leave them out")
    if duty.role == Role.CASHIER and duty.recharge_limit_micros is None:
        raise BadInput("a cashier needs a limit: give the most that may be recharged at once")
    for limit_micros in limits_micros:
        if limit_micros is not None and (not 0 < limit_micros <= MAX_MICROS or limit_micros % LEDGER_STEP_MICROS):
            raise BadInput("a limit is an amount above 0, up to %(most)s", most=format_amount(MAX_MICROS))
    if len(duty.remark) > MAX_REMARK_LENGTH or not duty.remark.isprintable():
        raise BadInput("a remark has up to %(most)s printable characters", most=MAX_REMARK_LENGTH)


def _free_name(connection: sqlite3.Connection) -> str:
    """A name that nobody has or ever had (guide: `bill-xxx`)."""
    while True:
        name = "bill-" + "".join(secrets.choice(passwords.READABLE) for _ in range(_SIGNS))
        if store.user(connection, name) is None:
            return name


def _what(name: str) -> str:
    return f"user {name}"
