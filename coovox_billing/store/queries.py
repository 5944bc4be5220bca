"""Lists for pages and commands, read through the models. Needs `open_reading` first."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from peewee import fn

from coovox_billing.core.site_settings import SITE_SETTINGS, Site, parse_site
from coovox_billing.store.models import Account, Device, LedgerEntry, Setting, SiteValue


@dataclass(frozen=True, slots=True)
class Extension:
    """A line of the guide's *Extensions* page; amounts in micros."""

    number: str
    name: str
    total_recharges_micros: int
    balance_micros: int
    credit_micros: int
    held_micros: int
    payment_type: str
    status: str
    billing: bool
    devices: tuple[str, ...]
    recreated: bool
    closed_at_ms: int | None
    opened_at_ms: int
    checked_in_at_ms: int | None


def site() -> Site:
    """The site's settings, parsed."""
    return parse_site(dict(Setting.select(Setting.name, Setting.value).tuples()))


def settings() -> dict[str, str]:
    """Every site setting as text, in the order of their table."""
    stored = dict(Setting.select(Setting.name, Setting.value).tuples())
    return {setting.name: stored.get(setting.name, setting.default) for setting in SITE_SETTINGS}


def site_value(name: str) -> str | None:
    """Something the site has one of, None where it is not there."""
    row = SiteValue.get_or_none(SiteValue.name == name)
    return None if row is None else str(row.value)


def extensions() -> list[Extension]:
    """Every extension with an open account, by number."""
    return _extensions(Account.closed_at_ms.is_null())


def closed_extensions() -> list[Extension]:
    """Every closed account, by number, the oldest first: a number may have several."""
    return _extensions(Account.closed_at_ms.is_null(False))


def _extensions(which: Any) -> list[Extension]:
    accounts = Account.select(Account, total_recharges().alias("total_recharges")).where(which).order_by(Account.id)
    return sorted(with_devices(accounts), key=lambda extension: (len(extension.number), extension.number))


def with_devices(accounts: Any) -> Iterator[Extension]:
    """The extensions of a query of accounts that also selects `total_recharges`, each with its devices."""
    listed: dict[int, list[str]] = {}
    devices: Any = Device.select(Device.device, Device.account).order_by(Device.device)
    for device, account_id in devices.tuples():
        listed.setdefault(account_id, []).append(device)
    return (_extension(row, tuple(listed.get(row.id, ()))) for row in accounts.iterator())


def total_recharges() -> Any:
    """Of an account in a query: what was recharged and not taken back since the payment type last changed (guide)."""
    entry, marker, later = LedgerEntry.alias(), LedgerEntry.alias(), LedgerEntry.alias()
    newest_marker = marker.select(fn.COALESCE(fn.MAX(marker.id), 0)).where(
        marker.account == Account.id, marker.call_id.is_null(), marker.kind == "payment-type"
    )
    return entry.select(fn.COALESCE(fn.SUM(entry.amount_micros), 0)).where(
        entry.account == Account.id,
        entry.call_id.is_null(),
        entry.kind == "recharge",
        entry.id > newest_marker,
        ~fn.EXISTS(later.select(later.id).where(later.undoes == entry.id)),
    )


def _extension(account: Any, devices: tuple[str, ...]) -> Extension:
    return Extension(
        number=account.extension,
        name=account.name,
        total_recharges_micros=account.total_recharges,
        balance_micros=account.balance_micros,
        credit_micros=account.credit_micros,
        held_micros=account.held_micros,
        payment_type=account.payment_type,
        status=account.status,
        billing=account.billing,
        devices=devices,
        recreated=account.recreated,
        closed_at_ms=account.closed_at_ms,
        opened_at_ms=account.opened_at_ms,
        checked_in_at_ms=account.checked_in_at_ms,
    )
