"""How people arrange lists for themselves, as plain SQL inside `Database.write`. Reading is in `lists.arrangements`."""

import sqlite3


def replace_turned_columns(connection: sqlite3.Connection, person: str, of_list: str, turned: str) -> None:
    """Remember the columns of a list that somebody turned round, separated by spaces; none where it is empty."""
    connection.execute("DELETE FROM column_choices WHERE person = ? AND list = ?", (person, of_list))
    if turned:
        connection.execute(
            "INSERT INTO column_choices (person, list, turned) VALUES (?, ?, ?)", (person, of_list, turned)
        )


def saved_search(connection: sqlite3.Connection, person: str, search_id: int) -> sqlite3.Row | None:
    """A search that somebody keeps; None where there is none, or it is another's."""
    found: sqlite3.Row | None = connection.execute(
        "SELECT * FROM saved_searches WHERE id = ? AND person = ?", (search_id, person)
    ).fetchone()
    return found


def saved_names(connection: sqlite3.Connection, person: str, of_list: str) -> dict[str, int]:
    """The ids of the searches that somebody keeps of a list, by their names."""
    rows = connection.execute("SELECT name, id FROM saved_searches WHERE person = ? AND list = ?", (person, of_list))
    return dict(rows.fetchall())


def insert_saved_search(connection: sqlite3.Connection, person: str, of_list: str, name: str, search: str) -> None:
    """Keep a search."""
    connection.execute(
        "INSERT INTO saved_searches (person, list, name, search) VALUES (?, ?, ?, ?)", (person, of_list, name, search)
    )


def rename_saved_search(connection: sqlite3.Connection, search_id: int, name: str) -> None:
    """Give a search another name."""
    connection.execute("UPDATE saved_searches SET name = ? WHERE id = ?", (name, search_id))


def delete_saved_search(connection: sqlite3.Connection, search_id: int) -> None:
    """Keep a search no more."""
    connection.execute("DELETE FROM saved_searches WHERE id = ?", (search_id,))
