"""A guest's bill: the calls of a time and what was paid in it. Needs `open_reading` first."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from peewee import SQL, fn

from coovox_billing.core.call import State
from coovox_billing.store.lists.blocks import fetched
from coovox_billing.store.lists.own_account import is_own_call
from coovox_billing.store.models import Account, ArchivedCall, Call, LedgerEntry, Stay

# A bill of years is one too; as a page it would not fit into a small box's memory.
MOST_LISTED = 1_000


@dataclass(frozen=True, slots=True)
class BilledCall:
    """A call on a bill; what was charged for it, in micros, negative where more was given back.

    `of_earlier_guest`: it was settled so late that it is on the bill of who came after.
    """

    asked_at_ms: int
    number: str
    talk_seconds: int
    charged_micros: int
    of_earlier_guest: bool


@dataclass(frozen=True, slots=True)
class Paid:
    """A recharge or correction on a bill, in micros."""

    at_ms: int
    kind: str
    amount_micros: int
    reason: str


@dataclass(frozen=True, slots=True)
class GuestBill:
    """From `since_ms` to `until_ms`. Always: before - calls + payments = after, all in micros.

    `calls` are the newest; so many before them are `unlisted`, some of them because they are archived.
    """

    extension: str
    guest: str
    since_ms: int
    until_ms: int
    calls: Sequence[BilledCall]
    unlisted: int
    calls_micros: int
    talk_seconds: int
    payments: Sequence[Paid]
    before_micros: int
    after_micros: int


@dataclass(frozen=True, slots=True)
class PastStay:
    """A stay that is over; what was paid at its end, in micros (negative: paid back)."""

    id: int
    guest: str
    since_ms: int
    until_ms: int
    paid_micros: int


def stays(extension: str) -> list[PastStay]:
    """The stays in an extension that are over, the newest first."""
    columns = (Stay.id, Stay.guest, Stay.since_ms, Stay.until_ms, Stay.paid_micros)
    rows: Any = Stay.select(*columns).join(Account).where(Account.extension == extension).order_by(Stay.id.desc())
    return [PastStay(*row) for row in rows.tuples()]


def bill_of_stay(stay_id: int) -> GuestBill | None:
    """The bill of a stay that is over, None where there is none of this id."""
    stay = Stay.get_or_none(Stay.id == stay_id)
    if stay is None:
        return None
    time, entries = (stay.since_ms, stay.until_ms), (stay.after_entry, stay.last_entry)
    return _bill(stay.account, stay.guest, time, entries, is_own_call(0, 0))


def bill_until_now(extension: str, now_ms: int) -> GuestBill | None:
    """What the guest of an extension owes now, None where there is no such extension."""
    account = Account.get_or_none(Account.extension == extension, Account.closed_at_ms.is_null())
    if account is None:
        return None
    last = Stay.select().where(Stay.account == account).order_by(Stay.id.desc()).first()
    since_ms, after_entry = _begin(account, last)
    return _bill(account, account.name, (since_ms, now_ms), (after_entry, None), _is_own(account, last))


def bill_of_time(extension: str, since_ms: int, until_ms: int, now_ms: int) -> GuestBill | None:
    """The part of the bill until now that is of a time, None where there is no such extension.

    A time that is not over has all that came since. It costs no more to read than what happened since.
    """
    account = Account.get_or_none(Account.extension == extension, Account.closed_at_ms.is_null())
    if account is None:
        return None
    last = Stay.select().where(Stay.account == account).order_by(Stay.id.desc()).first()
    begin_ms, after_entry = _begin(account, last)
    if since_ms > begin_ms:
        begin_ms, after_entry = since_ms, max(after_entry, _newest_entry(account, LedgerEntry.at_ms < since_ms))
    last_entry = None
    if until_ms <= now_ms:
        last_entry = max(after_entry, _newest_entry(account, LedgerEntry.at_ms < until_ms))
    time = (begin_ms, min(until_ms, now_ms))
    return _bill(account, account.name, time, (after_entry, last_entry), _is_own(account, last))


def is_in_call(extension: str) -> bool:
    """Whether a call of the extension is in progress, so that what it costs is not known."""
    calls = Call.select(Call.id).join(Account).where(Account.extension == extension, Account.closed_at_ms.is_null())
    # Written out, for else SQLite does not see that the index of open calls will do.
    return bool(calls.where(SQL("state IN ('held', 'talking')")).exists())


def _bill(account: Any, guest: str, time: tuple[int, int], entries: tuple[int, int | None], is_own: Any) -> GuestBill:
    """From the first instant to the second; of the ledger what comes after the first entry, up to the second.

    Calls that are not `is_own`, a condition, were an earlier guest's.
    """
    own, (after_entry, last_entry) = LedgerEntry.account == account, entries
    within = own & (LedgerEntry.id > after_entry)
    if last_entry is not None:
        within &= LedgerEntry.id <= last_entry
    listed, count, talk_seconds = _calls(account, time, within, is_own)
    before_micros = _balance_after(account, after_entry)
    return GuestBill(
        extension=account.extension,
        guest=guest,
        since_ms=time[0],
        until_ms=time[1],
        calls=listed,
        unlisted=count - len(listed),
        calls_micros=-_sum(within & LedgerEntry.call_id.is_null(False)),
        talk_seconds=talk_seconds,
        payments=_payments(within),
        before_micros=before_micros,
        after_micros=before_micros + _sum(within),
    )


def _newest_entry(account: Any, which: Any) -> int:
    """The id of the newest such entry of an account, 0 where there is none."""
    found = LedgerEntry.select(LedgerEntry.id).where(LedgerEntry.account == account, which)
    return found.order_by(LedgerEntry.id.desc()).limit(1).scalar() or 0


def _balance_after(account: Any, entry_id: int) -> int:
    """The balance as the newest entry up to one left it, in micros."""
    newest = LedgerEntry.select(LedgerEntry.balance_after_micros).where(
        LedgerEntry.account == account, LedgerEntry.id <= entry_id
    )
    return newest.order_by(LedgerEntry.id.desc()).limit(1).scalar() or 0


def _begin(account: Any, last: Any) -> tuple[int, int]:
    """Since when the bill runs and after which entry: check-in; where there was none, last check-out or opening."""
    if account.checked_in_at_ms is not None:
        return account.checked_in_at_ms, account.stay_after_entry
    return (account.opened_at_ms, 0) if last is None else (last.until_ms, last.last_entry)


def _is_own(account: Any, last: Any) -> Any:
    """The condition that a call is of whoever is behind the extension now, after the `last` stay that is over."""
    left_at_ms = 0 if last is None else last.until_ms
    since_ms = left_at_ms if account.checked_in_at_ms is None else account.checked_in_at_ms
    return is_own_call(account.own_after_call, since_ms)


def _payments(within: Any) -> list[Paid]:
    moved = LedgerEntry.call_id.is_null() & (LedgerEntry.amount_micros != 0)
    rows = LedgerEntry.select().where(within, moved).order_by(LedgerEntry.id)
    return [Paid(row.at_ms, row.kind, row.amount_micros, row.reason) for row in rows]


def _calls(account: Any, time: tuple[int, int], within: Any, is_own: Any) -> tuple[list[BilledCall], int, int]:
    """Those that were charged, or given back, in these entries; and those of the time that cost nothing.

    The newest of them, and how many and how many seconds of talk there are in all.
    """
    named = LedgerEntry.select(LedgerEntry.call_id).where(within, LedgerEntry.call_id.is_null(False))
    is_free = (Call.extension == account.extension) & Call.asked_at_ms.between(*time) & is_own
    is_free &= (Call.account == account) & (Call.state == State.SETTLED) & (Call.cost_micros == 0)
    is_billed = (Call.call_id << named) | is_free
    kept, archived = _counted(Call, is_billed), _counted(ArchivedCall, ArchivedCall.call_id << named)
    count, talk_seconds = kept[0] + archived[0], kept[1] + archived[1]
    columns = (
        is_own.alias("is_own"),
        Call.call_id,
        Call.asked_at_ms,
        Call.number,
        Call.number_dialed,
        Call.talk_seconds,
    )
    newest: Any = Call.select(*columns).where(is_billed).order_by(Call.asked_at_ms.desc(), Call.id.desc())
    rows: list[Any] = list(newest.limit(MOST_LISTED).tuples())[::-1]
    charged = _charged(within, [row[1] for row in rows])
    listed = [
        BilledCall(asked_at_ms, number or dialed, talk, charged.get(call_id, 0), not own)
        for own, call_id, asked_at_ms, number, dialed, talk in rows
    ]
    return listed, count, talk_seconds


def _counted(table: Any, which: Any) -> tuple[int, int]:
    sums = (fn.COUNT(table.call_id), fn.COALESCE(fn.SUM(table.talk_seconds), 0))
    count, talk_seconds = table.select(*sums).where(which).tuples().get()
    return count, talk_seconds


def _charged(within: Any, call_ids: Sequence[str]) -> dict[str, int]:
    """What each of the calls was charged in these entries, in micros."""
    entries: Any = LedgerEntry.select(LedgerEntry.call_id, fn.SUM(LedgerEntry.amount_micros))
    # As one value: hundreds of them take longer to write into the query than to look up.
    among = SQL("(SELECT value FROM json_each(?))", [json.dumps(call_ids)])
    rows = fetched(entries.where(within, LedgerEntry.call_id << among).group_by(LedgerEntry.call_id))
    return {call_id: -amount_micros for call_id, amount_micros in rows}


def _sum(which: Any) -> int:
    return int(LedgerEntry.select(fn.COALESCE(fn.SUM(LedgerEntry.amount_micros), 0)).where(which).scalar())
