"""How people arrange lists for themselves: their columns and searches. Needs `open_reading` first."""

from dataclasses import dataclass

from coovox_billing.store.models import ColumnChoice, SavedSearchRow


@dataclass(frozen=True, slots=True)
class SavedSearch:
    """A search that somebody keeps: what the address of the list `of_list` asks for, without its path."""

    id: int
    of_list: str
    name: str
    search: str


def turned_columns(person: str, of_list: str) -> frozenset[str]:
    """The columns of a list that somebody turned round."""
    row = ColumnChoice.get_or_none(ColumnChoice.person == person, ColumnChoice.list == of_list)
    return frozenset() if row is None else frozenset(row.turned.split())


def saved_searches(person: str, of_list: str) -> list[SavedSearch]:
    """The searches that somebody keeps of a list, by name."""
    rows = SavedSearchRow.select().where(SavedSearchRow.person == person, SavedSearchRow.list == of_list)
    return [_saved(row) for row in rows.order_by(SavedSearchRow.name)]


def saved_search(person: str, search_id: int) -> SavedSearch | None:
    """A search that somebody keeps; None where there is none, or it is another's."""
    row = SavedSearchRow.get_or_none(SavedSearchRow.id == search_id, SavedSearchRow.person == person)
    return None if row is None else _saved(row)


def _saved(row: SavedSearchRow) -> SavedSearch:
    return SavedSearch(row.id, row.list, row.name, row.search)
