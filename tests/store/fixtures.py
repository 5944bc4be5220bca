"""Databases of every schema there was, as `schemas/README.md` tells."""

import sqlite3
from contextlib import closing
from pathlib import Path

from coovox_billing.store.database import FILE_NAME

FIXTURES = Path(__file__).parent / "schemas"


def schemas() -> list[int]:
    """The schemas of which there is a fixture."""
    return sorted(int(path.stem) for path in FIXTURES.glob("*.sql"))


def fixture(number: int, directory: Path) -> Path:
    """A site of that schema in a data directory; its database."""
    path = directory / FILE_NAME
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((FIXTURES / f"{number:04}.sql").read_text(encoding="utf-8"))
    return path
