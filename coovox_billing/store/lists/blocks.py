"""Long lists: read block by block, so that who reads them slowly keeps no snapshot, or all at once."""

from collections.abc import Iterator
from typing import Any

from coovox_billing.store.models import reading

ROWS_AT_ONCE = 1_000


def in_blocks(rows: Any, identity: Any) -> Iterator[Any]:
    """The rows of a query that is ordered by a column of theirs, the highest `identity` first."""
    block = list(rows.limit(ROWS_AT_ONCE))
    while block:
        yield from block
        last = getattr(block[-1], identity.name)
        block = list(rows.where(identity < last).limit(ROWS_AT_ONCE))


def fetched(query: Any) -> list[tuple[Any, ...]]:
    """The rows of a query as plain tuples, straight from the cursor: quicker where there are thousands."""
    rows: list[tuple[Any, ...]] = reading.execute(query).fetchall()
    return rows


def looked_up(query: str, *values: object) -> list[tuple[Any, ...]]:
    """The rows of a query that is written out: what each page asks for is not put together each time."""
    rows: list[tuple[Any, ...]] = reading.execute_sql(query, values).fetchall()
    return rows
