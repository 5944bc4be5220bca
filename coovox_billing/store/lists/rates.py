"""The guide's *Rate* page: the rates in the order in which they are preferred. Needs `open_reading` first."""

import json
from array import array
from bisect import bisect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import time
from functools import cached_property
from itertools import islice, takewhile
from typing import Any

from peewee import SQL, fn

from coovox_billing.core.tariff import Rate
from coovox_billing.store.lists.blocks import fetched, looked_up
from coovox_billing.store.models import Account, RateExtension, RateRow, reading

_ROWS_AT_ONCE = 500
# So many places of a list are as quick to find as a single one.
_FEW = 1_000
_MANY = 20_000
# Where rates have more different remarks than this, a look at each rate's is as quick.
_MOST_REMARKS = 5_000
_HIGHEST_SIGN = "\U0010ffff"

_EACH_REMARK = """
    WITH RECURSIVE remarks (remark) AS (
        SELECT min(remark) FROM rates
        UNION ALL
        SELECT (SELECT min(remark) FROM rates WHERE remark > remarks.remark) FROM remarks WHERE remark IS NOT NULL
    )
    SELECT remark, instr(lower(remark), lower(?)) > 0 FROM remarks WHERE remark IS NOT NULL LIMIT ?
"""

PRECEDENCE = "order"
_SORTS: dict[str, Any] = {
    PRECEDENCE: RateRow.precedence,
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
        if self._few is not None or len(self._first_found) < _FEW:
            return len(self._first_found)
        # The star lets SQLite count all of them without looking at each.
        counted = RateRow.select(fn.COUNT(SQL("*")))
        if self._left_out is not None:
            return int(counted.scalar()) - len(self._left_out)
        counted = counted.where(*self._wanted) if self._wanted else counted
        return int(self._narrowed(counted).scalar())

    def page(self, limit: int, offset: int) -> Sequence[RankedRate]:
        """Some of them; only of these more is read than what the index of their order holds."""
        ids = self._first_found[offset : offset + limit]
        if self._few is None and len(self._first_found) >= _FEW and offset + limit > _FEW:
            ids = self._found_far(limit, offset)
        by_id = {row.id: row for row in RateRow.select().where(RateRow.id << ids)}
        rows = [by_id[rate_id] for rate_id in ids if rate_id in by_id]
        is_among_all = self._left_out is not None and self.sort == PRECEDENCE
        places = self._places_from(offset + 1, rows) if is_among_all else _places(rows)
        return list(_whole(list(zip(places, rows, strict=True))))

    def _places_from(self, first: int, rows: Sequence[Any]) -> list[int]:
        """The place of each among all rates, where those left out before it are all that is not counted."""
        others = RateRow.select(RateRow.precedence, RateRow.id).where(_one_of(RateRow.id, self._left_out or ()))
        keys = sorted(fetched(others))
        return [place + bisect(keys, (row.precedence, row.id)) for place, row in enumerate(rows, first)]

    @cached_property
    def _first_found(self) -> list[int]:
        """The ids of the first of them, of all where they are few: so these are searched for once."""
        return self._found(_FEW if self._few is None else len(self._few), 0)

    def _found_far(self, limit: int, offset: int) -> list[int]:
        """The same, from the end where that is nearer."""
        limit = max(0, min(limit, self._count - offset))
        is_behind = offset >= self._count // 2
        skipped = self._count - offset - limit if is_behind else offset
        ids = self._found(limit, skipped, is_behind)
        return ids[::-1] if is_behind else ids

    def _found(self, limit: int, offset: int, is_behind: bool = False) -> list[int]:
        order = self._order(is_behind)
        left_out = self._left_out
        if left_out is None:
            return _ids(self._matching(RateRow.select(RateRow.id)).order_by(*order).limit(limit).offset(offset))
        every = _ids(RateRow.select(RateRow.id).order_by(*order).limit(limit + len(left_out)).offset(offset))
        if not left_out:
            return every
        among = _ids(RateRow.select(RateRow.id).where(_one_of(RateRow.id, [*left_out, *every[:1]])).order_by(*order))
        before = sum(1 for _ in takewhile(lambda rate_id: rate_id != every[0], among))
        return [rate_id for rate_id in every if rate_id not in left_out][before : before + limit]

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

    def _order(self, is_behind: bool = False) -> list[Any]:
        """What is equal has the order of age; the other way round, and from behind, all of it is turned."""
        columns = [_SORTS[self.sort.removeprefix("-")], RateRow.id]
        return [column.desc() for column in columns] if self.sort.startswith("-") is not is_behind else columns

    @cached_property
    def _few(self) -> list[int] | None:
        """The ids of all that have the prefix, or the remark, where these are not many."""
        for condition in self._wanted:
            ids = _ids(RateRow.select(RateRow.id).where(condition).limit(_MANY))
            if len(ids) < _MANY:
                return ids
        return None

    @cached_property
    def _left_out(self) -> frozenset[int] | None:
        """The ids of those that have not the prefix, or not the remark, where only these few are not searched for."""
        if self._few is not None or self.extension or self.active is not None:
            return None
        left_out: set[int] = set()
        for condition in self._unwanted:
            ids = _ids(RateRow.select(RateRow.id).where(condition).limit(_FEW))
            if len(ids) == _FEW:
                return None
            left_out.update(ids)
        return frozenset(left_out)

    @cached_property
    def _wanted(self) -> list[Any]:
        """What is asked of the prefix and of the remark, each in a form that is one stretch of its index, or some."""
        begins = (RateRow.prefix >= self.prefix) & (RateRow.prefix < self.prefix + _HIGHEST_SIGN)
        return [begins] * bool(self.prefix) + ([self._remarked(True)] if self.remark else [])

    @cached_property
    def _unwanted(self) -> list[Any]:
        outside = [RateRow.prefix < self.prefix, RateRow.prefix >= self.prefix + _HIGHEST_SIGN]
        return outside * bool(self.prefix) + ([self._remarked(False)] if self.remark else [])

    def _remarked(self, is_wanted: bool) -> Any:
        if len(self._remarks) < _MOST_REMARKS:
            return _one_of(RateRow.remark, [remark for remark, holds in self._remarks if holds == is_wanted])
        return RateRow.remark.contains(self.remark) if is_wanted else ~RateRow.remark.contains(self.remark)

    @cached_property
    def _remarks(self) -> list[tuple[Any, ...]]:
        """Each remark that rates have, and whether it holds the one that is asked for: the first of them."""
        return looked_up(_EACH_REMARK, self.remark, _MOST_REMARKS)

    def _matching(self, rows: Any) -> Any:
        """In a form in which those that are few are looked up, and the others are walked in their order."""
        if self._few is not None:
            rows = rows.where(_one_of(RateRow.id, self._few))
        if self.prefix:
            rows = rows.where(fn.SUBSTR(RateRow.prefix, 1, len(self.prefix)) == self.prefix)
        if self.remark:
            rows = rows.where(RateRow.remark.contains(self.remark))
        return self._narrowed(rows)

    def _narrowed(self, rows: Any) -> Any:
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
        place += sum(RateRow.select(fn.COUNT(SQL("*"))).where(*span).scalar() for span in _spans(before, key))
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


def _ids(query: Any) -> list[int]:
    return [row[0] for row in fetched(query)]


def _one_of(column: Any, values: Iterable[object]) -> Any:
    """Whether a column has one of many values, handed over as one."""
    return column.in_(SQL("(SELECT value FROM json_each(?))", [json.dumps(list(values))]))


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
