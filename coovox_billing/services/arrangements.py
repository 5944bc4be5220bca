"""How people arrange lists for themselves: everybody the own columns and searches, and nobody else's.

Nothing of it changes what others see, so it is not in the audit log. Each function that takes a connection is a job
for `Database.write`.
"""

import sqlite3
from collections.abc import Iterable

from coovox_billing.errors import BadInput, NotFound, Refused
from coovox_billing.store import arrangements as store

LONGEST_NAME = 40
LONGEST_SEARCH = 1000
MOST_SEARCHES = 20


def turn_columns(connection: sqlite3.Connection, person: str, of_list: str, turned: Iterable[str]) -> None:
    """Show the columns `turned` of a list where they are not shown by themselves, and put away those that are."""
    store.replace_turned_columns(connection, person, of_list, " ".join(sorted(turned)))


def save_search(connection: sqlite3.Connection, person: str, of_list: str, name: str, search: str) -> None:
    """Keep a search under a name; `search` is what the list's address asks for.

    Raises:
        BadInput: the name is none or taken, or the search is empty or too long.
        Refused: there are too many.
    """
    if not search:
        raise BadInput("there is no search to be saved: search first, then save")
    if len(search) > LONGEST_SEARCH:
        raise BadInput("the search is too long to be saved: use shorter words")
    taken = store.saved_names(connection, person, of_list)
    if len(taken) >= MOST_SEARCHES:
        raise Refused("you have %(most)s saved filters here: delete one that you no longer need", most=MOST_SEARCHES)
    store.insert_saved_search(connection, person, of_list, _free(name, taken), search)


def rename_search(connection: sqlite3.Connection, person: str, search_id: int, name: str) -> None:
    """Give a search another name.

    Raises:
        NotFound: this person has no such search.
        BadInput: the name is none, or taken.
    """
    taken = store.saved_names(connection, person, _find(connection, person, search_id)["list"])
    others = {other: other_id for other, other_id in taken.items() if other_id != search_id}
    store.rename_saved_search(connection, search_id, _free(name, others))


def delete_search(connection: sqlite3.Connection, person: str, search_id: int) -> None:
    """Keep a search no more.

    Raises:
        NotFound: this person has no such search.
    """
    _find(connection, person, search_id)
    store.delete_saved_search(connection, search_id)


def _find(connection: sqlite3.Connection, person: str, search_id: int) -> sqlite3.Row:
    found = store.saved_search(connection, person, search_id)
    if found is None:
        raise NotFound("There is no such saved filter.")
    return found


def _free(name: str, taken: dict[str, int]) -> str:
    tidy = name.strip()
    if not tidy or len(tidy) > LONGEST_NAME or not tidy.isprintable():
        raise BadInput("a name has 1 to %(longest)s printable characters", longest=LONGEST_NAME)
    if tidy in taken:
        raise BadInput("there is a saved filter %(name)s: choose another name, or delete that one first", name=tidy)
    return tidy
