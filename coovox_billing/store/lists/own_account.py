"""An extension's account as the person behind it sees it. Needs `open_reading` first."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from peewee import JOIN, OperationalError, fn

from coovox_billing.core.site_settings import SELF_SERVICE_OFF
from coovox_billing.store import queries
from coovox_billing.store.models import Account, Call, Pin, Stay


@dataclass(frozen=True, slots=True)
class OwnAccount:
    """An open account; amounts in micros.

    Calls up to the row `after_call` were somebody else's; `since_ms` (ms since 1970, UTC) is when that one left, or a
    guest came, 0 where neither ever happened. `kept` is what a session is held against: whatever of it
    changes, the session ends, as when a guest comes or goes. `recreated`: nobody said yet whether it is the same.
    """

    id: int
    number: str
    name: str
    balance_micros: int
    credit_micros: int
    held_micros: int
    payment_type: str
    status: str
    billing: bool
    recreated: bool
    checked_in_at_ms: int | None
    after_call: int
    since_ms: int
    kept: tuple[str, ...]

    @property
    def available_micros(self) -> int:
        """What new calls can use."""
        return self.balance_micros + self.credit_micros - self.held_micros


def is_offered() -> bool:
    """Whether self-service is on. No where the database cannot be asked: the page of signing in is there even then."""
    with suppress(OperationalError):
        return queries.site().self_service != SELF_SERVICE_OFF
    return False


def own_account(account_id: int) -> OwnAccount | None:
    """The open account of an id, None where there is none."""
    kept = (fn.COALESCE(Pin.hash, "").alias("pin_hash"), *_newest_stay())
    accounts = Account.select(Account, *kept).join(Pin, JOIN.LEFT_OUTER, on=(Pin.account == Account.id))
    row: Any = accounts.where(Account.id == account_id, Account.closed_at_ms.is_null()).dicts().first()
    return None if row is None else _own_account(row)


def is_own_call(after_call: int, since_ms: int) -> Any:
    """Whether a call is of whoever is behind its extension now, as a condition.

    The row of a call that billing was not asked about is written when it is told of, which may be after its caller
    left; it is told by its time. Of others the row tells, for clocks are set.
    """
    was_asked_about = Call.caller_channel != ""
    return (Call.id > after_call) & (was_asked_about | (Call.asked_at_ms >= since_ms))


def pin_set_at_ms(number: str) -> int | None:
    """When the PIN of an extension was set (ms since 1970, UTC), None where it has none."""
    pin = Pin.select(Pin.set_at_ms).join(Account, on=(Pin.account == Account.id))
    found = pin.where(Account.extension == number, Account.closed_at_ms.is_null()).first()
    return None if found is None else int(found.set_at_ms)


def _newest_stay() -> Iterator[Any]:
    """Of the stays that are over: its id and its end, 0 where there is none."""
    for column, name in ((Stay.id, "newest_stay"), (Stay.until_ms, "left_at_ms")):
        newest = Stay.select(column).where(Stay.account == Account.id).order_by(Stay.id.desc()).limit(1)
        yield fn.COALESCE(newest, 0).alias(name)


def _own_account(row: Any) -> OwnAccount:
    stay = (str(row["checked_in_at_ms"]), str(row["newest_stay"]), str(row["own_after_call"]))
    return OwnAccount(
        id=row["id"],
        number=row["extension"],
        name=row["name"],
        balance_micros=row["balance_micros"],
        credit_micros=row["credit_micros"],
        held_micros=row["held_micros"],
        payment_type=row["payment_type"],
        status=row["status"],
        billing=row["billing"],
        recreated=row["recreated"],
        checked_in_at_ms=row["checked_in_at_ms"],
        after_call=row["own_after_call"],
        since_ms=row["left_at_ms"] if row["checked_in_at_ms"] is None else row["checked_in_at_ms"],
        kept=(row["pin_hash"], *stay),
    )
