"""Billing users, and who is signed in, for pages and commands. Needs `open_reading` first."""

from dataclasses import dataclass
from typing import Any

from peewee import JOIN, fn

from coovox_billing.store.models import BillingUserRow, RecoveryCode, SecondFactor


@dataclass(frozen=True, slots=True)
class BillingUser:
    """A billing user; limits in micros, None for none, instants in ms since 1970 in UTC. No password, no secret."""

    name: str
    remark: str
    role: str
    enabled: bool
    recharge_limit_micros: int | None
    daily_limit_micros: int | None
    second_factor: bool
    created_at_ms: int
    signed_in_at_ms: int | None


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a session is held against: whatever of it changes, the session ends. `kept` says it all."""

    user: BillingUser
    kept: tuple[str, ...]


def users() -> list[BillingUser]:
    """All billing users, those that are disabled last, the oldest first."""
    rows = _selected().order_by(BillingUserRow.enabled.desc(), BillingUserRow.id)
    return [_user(row) for row in rows]


def user(name: str) -> BillingUser | None:
    """The billing user of a name."""
    row = _selected().where(BillingUserRow.name == name).first()
    return None if row is None else _user(row)


def credentials(name: str) -> Credentials | None:
    """A billing user with what his sessions are held against."""
    row = _selected().where(BillingUserRow.name == name).first()
    return None if row is None else Credentials(_user(row), (row.password, str(row.session_epoch)))


def secret_in_use(name: str) -> str:
    """The secret of somebody's second factor, empty where there is none."""
    return _secret(name, confirmed=True)


def secret_to_confirm(name: str) -> str:
    """The secret that waits to be confirmed, empty where none does."""
    return _secret(name, confirmed=False)


def recovery_codes_left(name: str) -> int:
    """How many recovery codes somebody has not used."""
    return int(RecoveryCode.select().where(RecoveryCode.name == name, RecoveryCode.used_at_ms.is_null()).count())


def _secret(name: str, *, confirmed: bool) -> str:
    row = SecondFactor.get_or_none(SecondFactor.name == name, SecondFactor.confirmed == confirmed)
    return "" if row is None else str(row.secret)


def _selected() -> Any:
    is_confirmed = (SecondFactor.name == BillingUserRow.name) & SecondFactor.confirmed
    return BillingUserRow.select(BillingUserRow, fn.COALESCE(SecondFactor.confirmed, 0).alias("second_factor")).join(
        SecondFactor, JOIN.LEFT_OUTER, on=is_confirmed
    )


def _user(row: Any) -> BillingUser:
    return BillingUser(
        name=row.name,
        remark=row.remark,
        role=row.role,
        enabled=row.enabled,
        recharge_limit_micros=row.recharge_limit_micros,
        daily_limit_micros=row.daily_limit_micros,
        second_factor=bool(row.second_factor),
        created_at_ms=row.created_at_ms,
        signed_in_at_ms=row.signed_in_at_ms,
    )
