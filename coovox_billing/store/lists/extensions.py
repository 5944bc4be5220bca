"""The guide's *Extensions*: who has an open account, with its money. Needs `open_reading` first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from peewee import Case, fn

from coovox_billing.store.models import Account
from coovox_billing.store.queries import Extension, total_recharges, with_devices

SORTS = ("extension", "name", "total", "balance", "credit", "payment_type", "status", "billing", "held")


@dataclass(frozen=True, slots=True)
class Sums:
    """What the listed extensions have together, in micros."""

    recharges_micros: int
    balance_micros: int
    credit_micros: int
    held_micros: int


@dataclass(frozen=True, slots=True)
class ExtensionQuery:
    """Extensions with `keywords` in their number or name, and of one status, payment type or billing; all where empty.

    `below_micros`: those that have less than this available. `sort` is one of `SORTS`, with a minus before it for the
    highest first. `billing` is `on` or `off`.
    """

    keywords: str = ""
    status: str = ""
    payment_type: str = ""
    billing: str = ""
    sort: str = "extension"
    below_micros: int | None = None

    def count(self) -> int:
        """How many there are."""
        return int(Account.select().where(*self._conditions()).count())

    def sums(self) -> Sums:
        """What all of them have together."""
        columns = (total_recharges(), Account.balance_micros, Account.credit_micros, Account.held_micros)
        sums: Any = Account.select(*(fn.COALESCE(fn.SUM(fn.COALESCE(column, 0)), 0) for column in columns))
        return Sums(*sums.where(*self._conditions()).tuples().first())

    def numbers(self) -> list[str]:
        """The number of each, in order."""
        numbers: Any = Account.select(Account.extension).where(*self._conditions()).order_by(*self._order())
        return [row[0] for row in numbers.tuples()]

    def page(self, limit: int, offset: int) -> Sequence[Extension]:
        """Some of them."""
        return list(with_devices(self._rows().limit(limit).offset(offset)))

    def stream(self) -> Iterator[Extension]:
        """All of them: no more than there are telephones, so read at once, and a slow reader holds no snapshot."""
        return iter(list(with_devices(self._rows())))

    def _rows(self) -> Any:
        columns = (Account, total_recharges().alias("total_recharges"))
        return Account.select(*columns).where(*self._conditions()).order_by(*self._order())

    def _conditions(self) -> list[Any]:
        conditions = [Account.closed_at_ms.is_null()]
        if self.keywords:
            conditions.append(Account.extension.contains(self.keywords) | Account.name.contains(self.keywords))
        if self.status:
            conditions.append(Account.status == self.status)
        if self.payment_type:
            conditions.append(Account.payment_type == self.payment_type)
        if self.billing:
            conditions.append(Account.billing == (self.billing == "on"))
        if self.below_micros is not None:
            available = Account.balance_micros + Account.credit_micros - Account.held_micros
            conditions.append(available < self.below_micros)
        return conditions

    def _order(self) -> list[Any]:
        """By number where the values are the same: 99 before 100."""
        by_number = [fn.LENGTH(Account.extension), Account.extension]
        word = self.sort.removeprefix("-")
        columns = by_number if word == "extension" else [_sorted_column(word)]
        if self.sort.startswith("-"):
            columns = [column.desc() for column in columns]
        return [*columns, *by_number, Account.id]


def _sorted_column(word: str) -> Any:
    return {
        "name": fn.LOWER(Account.name),
        "total": fn.COALESCE(total_recharges(), 0),
        "balance": Account.balance_micros,
        "credit": Account.credit_micros,
        "payment_type": Account.payment_type,
        "status": Account.status,
        "billing": Account.billing,
        "held": Account.held_micros,
    }[word]


def extension(number: str) -> Extension | None:
    """The open account of a number, None where there is none."""
    rows = Account.select(Account, total_recharges().alias("total_recharges"))
    return next(with_devices(rows.where(Account.extension == number, Account.closed_at_ms.is_null())), None)


def names(numbers: Sequence[str]) -> dict[str, str]:
    """By number the name of each of these that has an open account."""
    rows: Any = Account.select(Account.extension, Account.name).where(Account.closed_at_ms.is_null())
    wanted = set(numbers)
    return {number: name for number, name in rows.tuples() if number in wanted}


def recreated() -> list[str]:
    """The numbers of those that were closed and are there again, of which a person is asked."""
    rows: Any = Account.select(Account.extension).where(Account.closed_at_ms.is_null(), Account.recreated)
    return [row[0] for row in rows.order_by(fn.LENGTH(Account.extension), Account.extension).tuples()]


@dataclass(frozen=True, slots=True)
class Glance:
    """How many extensions there are, are billed, are locked, and are billed but cannot pay for a call."""

    total: int
    billed: int
    locked: int
    without_money: int


def glance() -> Glance:
    """All open accounts at a glance."""
    is_empty = Account.billing & (Account.balance_micros + Account.credit_micros <= Account.held_micros)
    counted = (Account.billing, Account.status == "locked", is_empty)
    sums = (fn.COALESCE(fn.SUM(Case(None, ((condition, 1),), 0)), 0) for condition in counted)
    counts: Any = Account.select(fn.COUNT(Account.id), *sums).where(Account.closed_at_ms.is_null())
    return Glance(*counts.tuples().first())


@dataclass(frozen=True, slots=True)
class Closed:
    """A closed account: when (ms since 1970, UTC), and the balance that is kept, in micros."""

    number: str
    name: str
    closed_at_ms: int
    balance_micros: int


def closed() -> list[Closed]:
    """Every closed account, the newest first: a number may have several."""
    rows: Any = Account.select(Account.extension, Account.name, Account.closed_at_ms, Account.balance_micros)
    rows = rows.where(Account.closed_at_ms.is_null(False)).order_by(Account.closed_at_ms.desc(), Account.id.desc())
    return [Closed(*row) for row in rows.tuples()]
