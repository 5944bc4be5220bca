"""The file of a site's database: its name, its address, and a plain connection to it."""

import sqlite3
from pathlib import Path

FILE_NAME = "coovox-billing.sqlite3"
OPENING_LOCK = "opening.lock"


def existing(path: Path) -> str:
    """The address under which SQLite opens a file that is there, and makes none that is not."""
    return f"{path.absolute().as_uri()}?mode=rw"


def open_plainly(place: Path | str) -> sqlite3.Connection:
    """A connection that makes its own transactions, and changes nothing of how the file is kept.

    A path is made where it is not there; an `existing` one is not.
    """
    connection = sqlite3.connect(place, isolation_level=None, uri=isinstance(place, str))
    connection.row_factory = sqlite3.Row
    return connection
