"""What every command gets: the settings, the site's database, who is asking, and how to print."""

import argparse
import getpass
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from coovox_billing import config
from coovox_billing.config import Config
from coovox_billing.errors import BadInput, SetupError
from coovox_billing.opening import is_site, open_site
from coovox_billing.services.accounts import Person
from coovox_billing.store.database import Database
from coovox_billing.wall_clock import wall_clock_ms


class Context:
    """One run of the command line."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.has_usable_database = True
        self._reading: Any = None

    @cached_property
    def config(self) -> Config:
        """The file settings, `--data` over them."""
        return config.load(self.arguments.data, os.environ)

    @cached_property
    def database(self) -> Database:
        """The site's write door. A new site is made only where the data directory was named, and never silently.

        Raises:
            SetupError: there is no site at the default place, or the directory cannot be used.
        """
        if not is_site(self.config.data):
            self._announce_new_site()
        return open_site(self.config.data)

    def make_site(self) -> None:
        """Open the site, new or not: that is what starting the product means."""
        self.database = open_site(self.config.data)

    def _announce_new_site(self) -> None:
        if not self.config.data_was_named:
            raise SetupError(
                "there is no site in %(directory)s: name its directory with --data or COOVOX_DATA",
                directory=self.config.data,
            )
        complain([f"note: a new site is made in {self.config.data}"])

    def person(self) -> Person:
        """Who sits at this terminal."""
        return Person(f"terminal:{_user()}", "terminal", wall_clock_ms())

    def open_reading(self) -> None:
        """Make `store.queries` read this site."""
        from coovox_billing.store.models import open_reading

        _ = self.database
        self._reading = open_reading(self.config.data)

    def close(self) -> None:
        """Let the database go, if it was opened."""
        if self._reading is not None:
            self._reading.close()
        if "database" in vars(self):
            self.database.close()

    def show(self, rows: list[dict[str, Any]], columns: Sequence[str], empty: str) -> None:
        """Print rows: all of them as JSON with `--json`, else these columns as a table, or a line for none."""
        if self.arguments.json:
            print(json.dumps(rows, indent=2, ensure_ascii=False))
        elif rows:
            print_table(rows, columns)
        else:
            print(empty)


def print_table(rows: list[dict[str, Any]], columns: Sequence[str]) -> None:
    """Columns as wide as their widest cell, numbers to the right."""
    cells = [[_text(row[column]) for column in columns] for row in rows]
    heads = [column.replace("_", " ").capitalize() for column in columns]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    for line in (heads, *cells):
        print("  ".join(_align(cell, width) for cell, width in zip(line, widths, strict=True)).rstrip())


def counted(number: int, one: str, many: str) -> str:
    """`1 call`, `2 calls`."""
    return f"{number} {one if number == 1 else many}"


def asked_secret(what: str) -> str:
    """What somebody types twice without its being seen, or the first line of what is piped in.

    Raises:
        BadInput: the second time it was another.
    """
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    secret = getpass.getpass(f"New {what}: ")
    if getpass.getpass("Again: ") != secret:
        raise BadInput("what was typed the second time differs: nothing was changed")
    return secret


def complain(lines: Sequence[object]) -> None:
    """Print lines where errors go."""
    for line in lines:
        print(line, file=sys.stderr)


def silence_log() -> None:
    """Keep from the terminal what is logged beside the answer that says it too."""
    logging.getLogger("coovox_billing").addHandler(logging.NullHandler())


def listable(parser: argparse.ArgumentParser) -> None:
    """Give a listing command its `--json`."""
    parser.add_argument("--json", action="store_true", help="print JSON")


Run = Callable[[Context], int | None]


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _align(cell: str, width: int) -> str:
    is_number = cell.replace(".", "", 1).removeprefix("-").isdigit()
    return cell.rjust(width) if is_number else cell.ljust(width)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
