"""Plain SQL that is made out of the names of columns; each such statement is made once."""

import sqlite3
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any


def insert(connection: sqlite3.Connection, table: str, columns: Mapping[str, Any]) -> int:
    """Write a row; returns its id."""
    cursor = connection.execute(_insertion(table, tuple(columns)), tuple(columns.values()))
    return int(cursor.lastrowid or 0)


def assignments(names: Iterable[str]) -> str:
    """What goes behind SET, with a question mark for each column."""
    return _assigned(tuple(names))


@lru_cache(maxsize=64)
def _insertion(table: str, names: tuple[str, ...]) -> str:
    """What writes a row, with a question mark for each column."""
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608


@lru_cache(maxsize=64)
def _assigned(names: tuple[str, ...]) -> str:
    return ", ".join(f"{name} = ?" for name in names)
