"""The guide's *Rate* page: the rates in the order in which they are preferred. Needs `open_reading` first."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import time
from functools import cached_property
from itertools import islice
from typing import Any

from peewee import SQL, fn

from coovox_billing.core.tariff import Rate
from coovox_billing.store.lists.blocks import fetched
from coovox_billing.store.models import Account, RateExtension, RateRow, reading

_ROWS_AT_ONCE = 500
# So many places of a list are as quick to find as a single one.
_FEW = 1_000
_MANY = 20_000
_HIGHEST_SIGN = "\U0010ffff"

PRECEDENCE = "order"
_SORTS: dict[str, Any] = {
    "remark": RateRow.remark,
    "prefix": RateRow.prefix,
    "length": RateRow.number_length,
    "initial": RateRow.initial_cost_micros,
    "rate": RateRow.rate_micros,
    "start": RateRow.start_time,
}


@dataclass(frozen=True, slots=True)
class RankedRate:
    """A rate, and its place among all, where 1 is the one that is preferred."""

    rank: int
    rate: Rate


@dataclass(frozen=True, slots=True)
class Reachable:
    """An extension that a rate may list: its number, and its name where it has one."""

    number: str
    name: str


@dataclass(frozen=True)
class RateQuery:
    """Rates whose prefix begins with `prefix`, whose remark holds `remark`, and that apply to `extension`.

    An empty one leaves nothing out, nor does None of `active`. `sort` is `order` (of precedence) or a column's word,
    with `-` before it for the other way round.
    """

    prefix: str = ""
    remark: str = ""
    extension: str = ""
    active: bool | None = None
    sort: str = PRECEDENCE

    def count(self) -> int:
        """How many there are."""
        return self._count

    @cached_property
    def _count(self) -> int:
        if len(self._first_found) < _FEW:
            return len(self._first_found)
        # The star lets SQLite count all of them without looking at each.
        return int(self._matching(RateRow.select(fn.COUNT(SQL("*")))).scalar())

    def page(self, limit: int, offset: int) -> Sequence[RankedRate]:
        """Some of them; only of these more is read than what the index of their order holds."""
        ids = self._first_found[offset : offset + limit]
        if len(self._first_found) >= _FEW and offset + limit > _FEW:
            ids = self._found_far(limit, offset)
        by_id = {row.id: row for row in RateRow.select().where(RateRow.id << ids)}
        rows = [by_id[rate_id] for rate_id in ids if rate_id in by_id]
        is_whole = not (self.prefix or self.remark or self.extension) and self.active is None
        places = range(offset + 1, offset + 1 + len(rows)) if is_whole and self.sort == PRECEDENCE else _places(rows)
        return list(_whole(list(zip(places, rows, strict=True))))

    @cached_property
    def _first_found(self) -> list[int]:
        """The ids of the first of them, of all where they are few: so these are searched for once."""
        return self._found(_FEW, 0)

    def _found_far(self, limit: int, offset: int) -> list[int]:
        """The same, from the end where that is nearer."""
        if self.sort != PRECEDENCE or offset < self._count // 2:
            return self._found(limit, offset)
        behind = max(0, self._count - offset - limit)
        return self._found(self._count - offset - behind, behind, [RateRow.precedence.desc(), RateRow.id.desc()])[::-1]

    def _found(self, limit: int, offset: int, order: Sequence[Any] = ()) -> list[int]:
        rows = self._matching(RateRow.select(RateRow.id), self._is_common).order_by(*(order or self._order()))
        return [row[0] for row in fetched(rows.limit(limit).offset(offset))]

    def stream(self) -> Iterator[RankedRate]:
        """All of them, one by one, in the order of one look; read some at a time, so that no snapshot is held."""
        ids, places = array("q"), array("q")
        for row_id, place in reading.execute(self._placed_ids()):
            ids.append(row_id)
            places.append(place)
        for first in range(0, len(ids), _ROWS_AT_ONCE):
            some = slice(first, first + _ROWS_AT_ONCE)
            rows = {row.id: row for row in RateRow.select().where(RateRow.id.in_(ids[some].tolist()))}
            placed = zip(places[some], map(rows.get, ids[some]), strict=True)
            yield from _whole([(place, row) for place, row in placed if row is not None])

    def _placed_ids(self) -> Any:
        ranks = RateRow.alias()
        in_order = (ranks.precedence, ranks.id)
        ranked = ranks.select(ranks.id, fn.ROW_NUMBER().over(order_by=in_order).alias("place"))
        rows = RateRow.select(RateRow.id, ranked.c.place).join(ranked, on=(ranked.c.id == RateRow.id))
        return self._matching(rows).order_by(*self._order())

    def _order(self) -> list[Any]:
        word = self.sort.removeprefix("-")
        in_order: list[Any] = [RateRow.precedence, RateRow.id]
        columns = [_SORTS[word]] if word in _SORTS else in_order
        return [column.desc() if self.sort.startswith("-") else column for column in columns] + in_order

    @cached_property
    def _is_common(self) -> bool:
        """Whether so many rates begin with the prefix that they are rather looked for in the order of all."""
        few = RateRow.select(RateRow.id).where(self._begins).limit(_MANY)
        return bool(self.prefix) and self.sort.endswith(PRECEDENCE) and few.count() == _MANY

    @property
    def _begins(self) -> Any:
        """The condition on the prefix in the form in which SQLite finds the first of them in the index of prefixes."""
        return (RateRow.prefix >= self.prefix) & (RateRow.prefix < self.prefix + _HIGHEST_SIGN)

    def _matching(self, rows: Any, in_order: bool = False) -> Any:
        if self.prefix:
            beginning = fn.SUBSTR(RateRow.prefix, 1, len(self.prefix))
            rows = rows.where(beginning == self.prefix if in_order else self._begins)
        if self.remark:
            rows = rows.where(RateRow.remark.contains(self.remark))
        if self.active is not None:
            rows = rows.where(RateRow.active == self.active)
        if self.extension:
            listing = RateExtension.select(RateExtension.rate).where(RateExtension.extension == self.extension)
            rows = rows.where(RateRow.all_extensions | RateRow.id.in_(listing))
        return rows


def reachable_extensions(keywords: str, most: int) -> list[Reachable]:
    """Open extensions whose number or name holds the keywords, by number, at most so many."""
    accounts = Account.select(Account.extension, Account.name).where(Account.closed_at_ms.is_null())
    if keywords:
        accounts = accounts.where(Account.extension.contains(keywords) | Account.name.contains(keywords))
    by_number = (fn.LENGTH(Account.extension), Account.extension)
    return [Reachable(row.extension, row.name) for row in accounts.order_by(*by_number).limit(most)]


def names_of(numbers: Iterable[str]) -> dict[str, str]:
    """The names of those extensions that are there, by number."""
    waiting = iter(numbers)
    found: dict[str, str] = {}
    while some := list(islice(waiting, _ROWS_AT_ONCE)):
        accounts = Account.select(Account.extension, Account.name)
        accounts = accounts.where(Account.extension.in_(some), Account.closed_at_ms.is_null())
        found |= dict(accounts.tuples())
    return found


def _places(rows: Sequence[Any]) -> list[int]:
    """The place of each among all rates: those between one and the next are counted, in the index alone."""
    before, place, places = (-1, 0), 0, {}
    for key in sorted((row.precedence, row.id) for row in rows):
        place += sum(RateRow.select(fn.COUNT(RateRow.id)).where(*span).scalar() for span in _spans(before, key))
        before, places[key] = key, place
    return [places[row.precedence, row.id] for row in rows]


def _spans(before: tuple[int, int], last: tuple[int, int]) -> Iterator[tuple[Any, ...]]:
    """From behind one rate to another, both by precedence and id: in parts that are one stretch of the index each."""
    if before[0] == last[0]:
        yield RateRow.precedence == last[0], RateRow.id > before[1], RateRow.id <= last[1]
        return
    yield RateRow.precedence == before[0], RateRow.id > before[1]
    yield RateRow.precedence > before[0], RateRow.precedence < last[0]
    yield RateRow.precedence == last[0], RateRow.id <= last[1]


def _whole(placed: Sequence[tuple[int, Any]]) -> Iterator[RankedRate]:
    listed: dict[int, set[str]] = {}
    lists: Any = RateExtension.select().where(RateExtension.rate.in_([row.id for _, row in placed])).tuples()
    for rate_id, extension in lists:
        listed.setdefault(rate_id, set()).add(extension)
    for place, row in placed:
        yield RankedRate(place, _rate(row, frozenset(listed.get(row.id, ()))))


def _rate(row: Any, listed: frozenset[str]) -> Rate:
    return Rate(
        id=row.id,
        prefix=row.prefix,
        number_length=row.number_length,
        initial_cost_micros=row.initial_cost_micros,
        initial_seconds=row.initial_seconds,
        rate_micros=row.rate_micros,
        unit_seconds=row.unit_seconds,
        start_time=time.fromisoformat(row.start_time),
        end_time=time.fromisoformat(row.end_time),
        days=frozenset(map(int, row.days)),
        extensions=None if row.all_extensions else listed,
        active=row.active,
        remark=row.remark,
    )
