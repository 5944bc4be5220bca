"""The rates of a site as `core.rate_index` has them: read in the order of their prefixes, and never all in memory."""

import sqlite3
from collections.abc import Iterator, Sequence

from coovox_billing.core.rate_index import LAST_SIGN, Sorter
from coovox_billing.core.tariff import Rate
from coovox_billing.errors import NotFound
from coovox_billing.store import reads

_ROWS_AT_ONCE = 1000
_LISTED = "(SELECT group_concat(extension, ' ') FROM rate_extensions WHERE rate_id = rates.id) AS listed"


class StoredRates:
    """The rates that one look at the database sees."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def in_order(self) -> Iterator[Rate]:
        """All, by their prefixes; those of one prefix oldest first."""
        rows = self._connection.execute(f"SELECT rates.*, {_LISTED} FROM rates ORDER BY prefix, id")  # noqa: S608
        return map(_rate, rows)

    def by_age(self) -> Iterator[Rate]:
        """All, the oldest first."""
        return map(_rate, self._connection.execute(f"SELECT rates.*, {_LISTED} FROM rates ORDER BY id"))  # noqa: S608

    def of_prefix(self, prefix: str) -> Sequence[Rate]:
        """Those with exactly this prefix, oldest first."""
        question = f"SELECT rates.*, {_LISTED} FROM rates WHERE prefix = ? ORDER BY id"  # noqa: S608
        return [_rate(row) for row in self._connection.execute(question, (prefix,))]

    def begins(self, beginning: str) -> bool:
        """Whether the prefix of an active one begins so, or is it."""
        found = self._connection.execute(
            "SELECT 1 FROM rates WHERE prefix >= ? AND prefix < ? AND active LIMIT 1",
            (beginning, beginning + LAST_SIGN),
        )
        return found.fetchone() is not None

    def of_id(self, rate_id: int) -> Rate:
        """The one of an id.

        Raises:
            NotFound: there is none.
        """
        rate = reads.rate(self._connection, rate_id)
        if rate is None:
            raise NotFound("this rate is not there: somebody may have deleted it")
        return rate

    def sorter(self) -> Sorter:
        """On disk."""
        return _DiskSorter()


class _DiskSorter:
    """A database of its own without a name, which SQLite keeps on disk as soon as it is large, and forgets."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect("", isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = OFF")
        self._connection.execute("CREATE TABLE rows (word TEXT, price INTEGER, id INTEGER)")
        self._connection.execute("BEGIN")
        self._waiting: list[tuple[str, int, int]] = []

    def add(self, row: tuple[str, int, int]) -> None:
        self._waiting.append(row)
        if len(self._waiting) == _ROWS_AT_ONCE:
            self._keep()

    def in_order(self) -> Iterator[tuple[str, int, int]]:
        self._keep()
        yield from self._connection.execute("SELECT word, price, id FROM rows ORDER BY word, price, id")
        self._connection.close()

    def _keep(self) -> None:
        self._connection.executemany("INSERT INTO rows VALUES (?, ?, ?)", self._waiting)
        self._waiting.clear()


def _rate(row: sqlite3.Row) -> Rate:
    return reads.rate_of_columns(row, frozenset((row["listed"] or "").split()))
