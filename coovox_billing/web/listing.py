"""A list as pages show it and as it is downloaded: one description of its columns, one query behind both."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import urlencode

from flask import request

from coovox_billing.web.arguments import Arguments

Row = TypeVar("Row")
Read = TypeVar("Read", covariant=True)

ROWS_PER_PAGE = ("10", "20", "50", "100")
DEFAULT_ROWS = "20"
MOST_PAGES = 10_000_000


class Kind(Enum):
    """What the values of a column are: micros, whole seconds, ms since 1970 in UTC, whole numbers, or text."""

    TEXT = auto()
    COUNT = auto()
    AMOUNT = auto()
    PRICE = auto()
    DURATION = auto()
    LONG_DURATION = auto()
    MOMENT = auto()

    @property
    def is_number(self) -> bool:
        """Whether values are compared digit by digit, so that they stand at the right."""
        return self in (Kind.COUNT, Kind.AMOUNT, Kind.PRICE, Kind.DURATION, Kind.LONG_DURATION)


@dataclass(frozen=True, slots=True)
class Column(Generic[Row]):
    """A column. `sort` is its word in an address, empty where the list cannot be sorted by it.

    A column that is not `shown` is in downloads, and on the page for whoever chooses it. A choice is remembered by
    `key`, or by `sort` where there is none; a column without either stays as it is, and so does the one that
    `names_row`. `look` are the classes of its cells, `tone` gives those that depend on the row.
    """

    title: str
    value: Callable[[Row], Any]
    kind: Kind = Kind.TEXT
    sort: str = ""
    shown: bool = True
    key: str = ""
    names_row: bool = False
    look: str = ""
    tone: Callable[[Row], str] | None = None

    @property
    def word(self) -> str:
        """What the column is called in templates and choices."""
        return self.key or self.sort

    @property
    def can_be_chosen(self) -> bool:
        """Whether people may put it away, and fetch it."""
        return bool(self.word) and not self.names_row

    def look_of(self, row: Row) -> str:
        """The classes of its cell in a row."""
        words = ("key" if self.names_row else "", "number" if self.kind.is_number else "", self.look)
        return " ".join(filter(None, (*words, self.tone(row) if self.tone else "")))


class Query(Protocol[Read]):
    """One question to the store, as `store`'s lists answer it: how many rows, their totals, some or all of them."""

    def count(self) -> int:
        """How many rows there are."""

    def page(self, limit: int, offset: int) -> Sequence[Read]:
        """Some of the rows."""

    def stream(self) -> Iterator[Read]:
        """All of the rows, one by one."""


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Some rows of a list, and where they stand in it.

    Where nobody has counted them, `total` says how many there are at least, one more than shown where there are more.
    """

    rows: Sequence[Row]
    total: int
    number: int
    per_page: int
    is_counted: bool = True

    @property
    def last(self) -> int:
        """The number of the last page; an empty list has one too."""
        return max(1, -(-self.total // self.per_page))


def read_page(query: Query[Row], arguments: Arguments) -> Page[Row]:
    """The page that the address asks for, at most the last one."""
    per_page = int(arguments.choice("per_page", ROWS_PER_PAGE, DEFAULT_ROWS))
    total = query.count()
    last = max(1, -(-total // per_page))
    number = min(arguments.whole("page", 1, MOST_PAGES, 1), last)
    return Page(query.page(per_page, (number - 1) * per_page), total, number, per_page)


def read_ahead(query: Query[Row], arguments: Arguments) -> Page[Row]:
    """The page that the address asks for, of rows that take long to count; behind the last one it is counted."""
    per_page = int(arguments.choice("per_page", ROWS_PER_PAGE, DEFAULT_ROWS))
    number = arguments.whole("page", 1, MOST_PAGES, 1)
    before = (number - 1) * per_page
    rows = query.page(per_page + 1, before)
    if not rows and number > 1:
        return read_page(query, arguments)
    return Page(rows[:per_page], before + len(rows), number, per_page, is_counted=False)


def read_sort(arguments: Arguments, columns: Sequence[Column[Any]], default: str) -> str:
    """`balance`, or `-balance` for the highest first; only what a column can be sorted by."""
    words = [column.sort for column in columns if column.sort]
    return arguments.choice("sort", (*words, *(f"-{word}" for word in words)), default)


def sorted_by(column: Column[Any], sort: str) -> str:
    """How a list is sorted by a column, in the words of `aria-sort`; empty where it is not."""
    return {column.sort: "ascending", f"-{column.sort}": "descending"}.get(sort, "")


def other_sort(column: Column[Any], sort: str) -> str:
    """What a click on the head of a column asks for."""
    return f"-{column.sort}" if sort == column.sort else column.sort


def address(path: str = "", **changes: object) -> str:
    """This page's address (or another's with the same search) with some arguments changed; None takes one away."""
    kept: Mapping[str, object] = request.args.to_dict() | changes
    arguments = urlencode({name: value for name, value in kept.items() if value not in (None, "")})
    return (path or request.script_root + request.path) + (f"?{arguments}" if arguments else "")


def pages_near(page: Page[Any]) -> list[int | None]:
    """The pages that a pager offers: the ends, and what is beside this one; None where some are left out."""
    offered = sorted({1, page.last, *range(max(1, page.number - 1), min(page.last, page.number + 1) + 1)})
    pages: list[int | None] = []
    for before, number in zip([0, *offered], offered, strict=False):
        pages += [None, number] if number - before > 1 else [number]
    return pages
