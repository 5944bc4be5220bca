"""Lists for pages and commands, read through the models. Needs `open_reading` first."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from peewee import JOIN, Value, fn

from coovox_billing.core.site_settings import SITE_SETTINGS, Site, parse_site
from coovox_billing.store.models import Account, Call, Device, LedgerEntry, Setting, SiteValue


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


@dataclass(frozen=True, slots=True)
class LoggedCall:
    """A line of the call log: amounts in micros, instants in ms since 1970 in UTC."""

    id: str
    extension: str
    name: str
    device: str
    number: str
    number_dialed: str
    trunk: str
    attempts: int
    state: str
    reason: str
    asked_at_ms: int
    ringing_at_ms: int | None
    answered_at_ms: int | None
    ended_at_ms: int | None
    talk_seconds: int
    cost_micros: int
    uncollected_micros: int
    hold_micros: int
    limit_seconds: int | None
    settled_by: str
    settled_late: bool
    flags: tuple[str, ...]
    hangup_cause: str
    rate: dict[str, Any] | None
    why: tuple[str, ...]

    @property
    def ring_seconds(self) -> int:
        """From dialing to the answer, or to the end without one."""
        over_ms = self.answered_at_ms or self.ended_at_ms or self.asked_at_ms
        return max(0, over_ms - self.asked_at_ms) // 1000


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


def calls(limit: int, offset: int = 0, flag: str = "") -> Iterator[LoggedCall]:
    """The newest calls first; only those with a flag, where one is given."""
    flags = Value(" ").concat(Call.flags).concat(" ")
    rows = (
        Call.select(Call, Account)
        .join(Account, JOIN.LEFT_OUTER)
        .where(flags.contains(f" {flag} ") if flag else True)
        .order_by(Call.asked_at_ms.desc(), Call.id.desc())
        .limit(limit)
        .offset(offset)
    )
    return (_logged_call(row) for row in rows.iterator())


def count_calls() -> int:
    """How many calls were ever logged."""
    return int(Call.select().count())


def _extensions(which: Any) -> list[Extension]:
    totals = _total_recharges()
    accounts = Account.select().where(which).order_by(Account.id)
    found = [_extension(account, totals.get(account.id, 0)) for account in accounts.prefetch(Device.select())]
    return sorted(found, key=lambda extension: (len(extension.number), extension.number))


def _total_recharges() -> dict[int, int]:
    """By account id: what was recharged since the payment type last changed (guide, "Extensions")."""
    marker = LedgerEntry.alias()
    newest = marker.select(fn.COALESCE(fn.MAX(marker.id), 0)).where(
        marker.account == LedgerEntry.account, marker.kind == "payment-type"
    )
    rows = (
        LedgerEntry.select(LedgerEntry.account_id, fn.SUM(LedgerEntry.amount_micros))
        .where(LedgerEntry.kind == "recharge", LedgerEntry.id > newest)
        .group_by(LedgerEntry.account_id)
    )
    return dict(rows.tuples())


def _extension(account: Any, total_recharges_micros: int) -> Extension:
    return Extension(
        number=account.extension,
        name=account.name,
        total_recharges_micros=total_recharges_micros,
        balance_micros=account.balance_micros,
        credit_micros=account.credit_micros,
        held_micros=account.held_micros,
        payment_type=account.payment_type,
        status=account.status,
        billing=account.billing,
        devices=tuple(sorted(device.device for device in account.devices)),
        recreated=account.recreated,
        closed_at_ms=account.closed_at_ms,
    )


def _logged_call(row: Any) -> LoggedCall:
    return LoggedCall(
        id=row.call_id,
        extension=row.extension,
        name=row.account.name if row.account_id else "",
        device=row.device,
        number=row.number or row.number_dialed,
        number_dialed=row.number_dialed,
        trunk=row.trunk,
        attempts=row.attempts,
        state=row.state,
        reason=row.reason,
        asked_at_ms=row.asked_at_ms,
        ringing_at_ms=row.ringing_at_ms,
        answered_at_ms=row.answered_at_ms,
        ended_at_ms=row.ended_at_ms,
        talk_seconds=row.talk_seconds,
        cost_micros=row.cost_micros,
        uncollected_micros=row.uncollected_micros,
        hold_micros=row.hold_micros,
        limit_seconds=row.limit_seconds,
        settled_by=row.settled_by,
        settled_late=row.settled_late,
        flags=tuple(row.flags.split()),
        hangup_cause=row.hangup_cause,
        rate=json.loads(row.rate) if row.rate else None,
        why=tuple(json.loads(row.why)),
    )
