"""The file of a site's database: its name, its address, and a plain connection to it."""

import os
import sqlite3
import stat
from pathlib import Path

from coovox_billing.errors import SetupError

FILE_NAME = "coovox-billing.sqlite3"
OPENING_LOCK = "opening.lock"


def existing(path: Path) -> str:
    """The address under which SQLite opens a file that is there, and makes none that is not."""
    return f"{path.absolute().as_uri()}?mode=rw"


def refuse_link_of_another(path: Path) -> None:
    """See that root opens no database that another user chose by a link: it would write what that user may not.

    Raises:
        SetupError: it is such a link.
        OSError: it cannot be examined.
    """
    if os.geteuid() != 0 or not os.path.lexists(path):
        return
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode) and found.st_uid != 0:
        raise SetupError(
            "the database %(path)s is a link that another user made, and root follows none: put the file itself there",
            path=path,
        )


def open_plainly(place: Path | str) -> sqlite3.Connection:
    """A connection that makes its own transactions, and changes nothing of how the file is kept.

    A path is made where it is not there; an `existing` one is not.
    """
    connection = sqlite3.connect(place, isolation_level=None, uri=isinstance(place, str))
    connection.row_factory = sqlite3.Row
    return connection
