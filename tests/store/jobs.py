"""Writes to try a write door with."""

import sqlite3
from collections.abc import Callable


def note(name: str) -> Callable[[sqlite3.Connection], str]:
    """A write that stores a name and returns it."""

    def job(connection: sqlite3.Connection) -> str:
        connection.execute("INSERT INTO site VALUES (?, '')", (name,))
        return name

    return job


def fails(connection: sqlite3.Connection) -> None:
    """A write that stores something and then fails."""
    connection.execute("INSERT INTO site VALUES ('half', '')")
    raise LookupError("the job changed its mind")
