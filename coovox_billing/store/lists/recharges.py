"""The guide's *Recharge History*: money that people moved, the newest first. Needs `open_reading` first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from peewee import fn

from coovox_billing.store.lists.blocks import in_blocks
from coovox_billing.store.lists.days import within_days
from coovox_billing.store.models import Account, LedgerEntry


@dataclass(frozen=True, slots=True)
class Payment:
    """A recharge or correction; amounts in micros. `undone_by` is the entry that took it back."""

    id: int
    at_ms: int
    extension: str
    name: str
    kind: str
    before_micros: int
    amount_micros: int
    after_micros: int
    reason: str
    actor: str
    undoes: int | None
    undone_by: int | None


@dataclass(frozen=True, slots=True)
class RechargeQuery:
    """Payments from `first_day` to `last_day` of a zone, None for no bound; `keywords` are in the number or name."""

    zone: ZoneInfo
    first_day: date | None = None
    last_day: date | None = None
    keywords: str = ""

    def count(self) -> int:
        """How many there are."""
        return int(self._selected(LedgerEntry.id).count())

    def total_micros(self) -> int:
        """What all of them sum to."""
        return int(self._selected(fn.COALESCE(fn.SUM(LedgerEntry.amount_micros), 0)).scalar())

    def page(self, limit: int, offset: int) -> Sequence[Payment]:
        """Some of them."""
        return [_payment(row) for row in self._rows().limit(limit).offset(offset)]

    def stream(self) -> Iterator[Payment]:
        """All of them, one by one."""
        return map(_payment, in_blocks(self._rows(), LedgerEntry.id))

    def _rows(self) -> Any:
        later = LedgerEntry.alias()
        undone_by = later.select(later.id).where(later.undoes == LedgerEntry.id)
        return self._selected(LedgerEntry, Account, undone_by.alias("undone_by")).order_by(LedgerEntry.id.desc())

    def _selected(self, *columns: Any) -> Any:
        entries = LedgerEntry.select(*columns).join(Account)
        entries = entries.where(LedgerEntry.call_id.is_null(), LedgerEntry.kind << ("recharge", "correction"))
        for condition in within_days(LedgerEntry.at_ms, self.first_day, self.last_day, self.zone):
            entries = entries.where(condition)
        if self.keywords:
            entries = entries.where(Account.extension.contains(self.keywords) | Account.name.contains(self.keywords))
        return entries


def payment(entry_id: int) -> Payment | None:
    """The payment of an id, None where there is none."""
    row = RechargeQuery(ZoneInfo("UTC"))._rows().where(LedgerEntry.id == entry_id).first()
    return None if row is None else _payment(row)


def _payment(row: Any) -> Payment:
    return Payment(
        id=row.id,
        at_ms=row.at_ms,
        extension=row.account.extension,
        name=row.account.name,
        kind=row.kind,
        before_micros=row.balance_before_micros,
        amount_micros=row.amount_micros,
        after_micros=row.balance_after_micros,
        reason=row.reason,
        actor=row.actor,
        undoes=row.undoes,
        undone_by=row.undone_by,
    )
