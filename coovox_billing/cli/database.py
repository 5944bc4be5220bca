"""`database status|upgrade`: which schema the database has and this program knows."""

import json
import sqlite3
from typing import Any

from coovox_billing.cli.context import Context, listable
from coovox_billing.errors import SetupError
from coovox_billing.store import database, schema, snapshot
from coovox_billing.store.database import FILE_NAME


def add_commands(commands: Any) -> None:
    """Add this module's commands to the parser."""
    parser = commands.add_parser("database", help="the version of the database, and its upgrade")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    status = verbs.add_parser("status", help="whether this program can use the database; changes nothing")
    listable(status)
    status.set_defaults(run=_status)
    upgrade = verbs.add_parser("upgrade", help="copy the database, then bring it to this version, as a start does")
    upgrade.set_defaults(run=_upgrade)


def _status(context: Context) -> int:
    directory, known = context.config.data, schema.known_version()
    path = directory / FILE_NAME
    found: int | None = None
    try:
        found = schema.version_of(path) or None
        verdict = "missing" if found is None else _verdict(found, known)
    except (SetupError, sqlite3.Error):
        verdict = "foreign"
    copies = schema.copies(directory)
    facts = {
        "file": str(path),
        "schema": found,
        "known": known,
        "verdict": verdict,
        "backup": str(copies[0]) if copies else None,
        "needed_bytes": schema.needed_bytes(path) if verdict == "older" else 0,
        "free_bytes": snapshot.free_bytes_of(directory) if directory.is_dir() else None,
    }
    if context.arguments.json:
        print(json.dumps(facts, indent=2))
    else:
        print(_told(facts))
    return 1 if verdict in ("newer", "foreign") else 0


def _verdict(found: int, known: int) -> str:
    return "current" if found == known else "older" if found < known else "newer"


def _told(facts: dict[str, Any]) -> str:
    words = {
        "missing": "there is no database in {file}; a start makes one",
        "current": "{file} has schema {schema}, which is this program's",
        "older": "{file} has schema {schema}; a start brings it to {known}, with a copy of before",
        "newer": "{file} has schema {schema}, this program knows {known}: install a newer version",
        "foreign": "{file} is no database of CooVox Billing, or cannot be read",
    }
    told = words[facts["verdict"]].format(**facts)
    if facts["verdict"] == "newer" and facts["backup"]:
        return f"{told}; or go back, with: coovox-billing restore {facts['backup']}"
    return told


def _upgrade(context: Context) -> None:
    done = database.upgrade(context.config.data)
    if done is None:
        print("The database has this program's schema: nothing was to be done.")
    else:
        print(f"The database was brought from schema {done.before} to {done.after}; as it was, it is {done.copy}")
