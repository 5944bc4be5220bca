"""A list as somebody arranged it: the columns that are chosen, the searches that are kept, its cells as text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode
from zoneinfo import ZoneInfo

from flask import g, request, url_for

from coovox_billing.services.arrangements import LONGEST_SEARCH
from coovox_billing.store import queries
from coovox_billing.store.lists import arrangements
from coovox_billing.store.lists.arrangements import SavedSearch
from coovox_billing.web import formats
from coovox_billing.web.listing import Column

# What an address has beside its search: where somebody is in the list, not what is looked for.
PLACES = ("page", "refresh", "counted")


@dataclass(frozen=True, slots=True)
class View:
    """A list for its page: `columns` has also those that are not shown; `search` is what the address asks for."""

    word: str
    columns: Sequence[Column[Any]]
    saved: Sequence[SavedSearch]
    search: str
    zone: ZoneInfo

    @property
    def width(self) -> int:
        """How many columns are shown."""
        return sum(column.shown for column in self.columns)

    def text(self, column: Column[Any], value: object) -> str:
        """A value of a column as its cell shows it."""
        return formats.value(column.kind, value, self.zone)

    @property
    def finds_a_saved_one(self) -> bool:
        """Whether the page shows what a saved search finds."""
        return any(map(self.is_current, self.saved))

    def is_current(self, saved: SavedSearch) -> bool:
        """Whether the page shows what this search finds."""
        return sorted(parse_qsl(saved.search)) == sorted(parse_qsl(self.search))


@dataclass(frozen=True, slots=True)
class Table:
    """A list that people arrange: its word in addresses and choices, the endpoint of its page, its columns."""

    word: str
    endpoint: str
    columns: Callable[[], Sequence[Column[Any]]]

    def view(self) -> View:
        """The list as whoever makes this request arranged it."""
        turned = arrangements.turned_columns(g.user.name, self.word)
        columns = [
            replace(column, shown=not column.shown) if column.can_be_chosen and column.word in turned else column
            for column in self.columns()
        ]
        saved = arrangements.saved_searches(g.user.name, self.word)
        return View(self.word, columns, saved, search_of(request.query_string.decode()), queries.site().time_zone)

    def turned(self, ticked: Sequence[str]) -> list[str]:
        """The columns that are to be turned round, so that of those that can be chosen the ticked ones are shown."""
        choices = [column for column in self.columns() if column.can_be_chosen]
        return [column.word for column in choices if column.shown != (column.word in ticked)]

    def address(self, search: str = "") -> str:
        """Where the list is, with a search."""
        return url_for(self.endpoint) + (f"?{search}" if search else "")


def plain(columns: Sequence[Column[Any]]) -> View:
    """A list that nobody arranges, for its page to be made of its columns."""
    return View("", columns, (), "", queries.site().time_zone)


def search_of(query: str, without: Sequence[str] = PLACES) -> str:
    """What an address asks for, without what is empty. Too long is as good as nothing: no page made it."""
    asked = parse_qsl(query[: 3 * LONGEST_SEARCH])
    return urlencode([(name, value) for name, value in asked if name not in without])
