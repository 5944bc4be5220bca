"""`call archive`: old calls go into files, and out of the database."""

import sqlite3
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from coovox_billing.cli.context import Context, listable
from coovox_billing.core.clock import local_day
from coovox_billing.core.whole_number import parse_whole
from coovox_billing.errors import BadInput, Refused
from coovox_billing.services.archive import (
    FOLDER,
    LEAST_MONTHS,
    MOST_MONTHS,
    Archive,
    Shown,
    check_clock,
    first_day_kept,
)
from coovox_billing.store import reads

_COLUMNS = ("month", "calls", "stayed", "file")


def add_verb(verbs: Any) -> None:
    """Add `archive` to the verbs of `call`."""
    archiving = verbs.add_parser("archive", help="move old calls into compressed CSV files; statistics stay")
    archiving.add_argument(
        "--older-than", metavar="MONTHS", required=True, help="whole months; 12 keeps this month and the 12 before it"
    )
    archiving.add_argument("--to", metavar="DIR", help=f"where the files go; default {FOLDER} in the data directory")
    archiving.add_argument(
        "--clock-is-right", action="store_true", help="also where nobody talked for more than a month"
    )
    listable(archiving)
    archiving.set_defaults(run=_archive)


def _archive(context: Context) -> None:
    months = parse_whole(context.arguments.older_than, LEAST_MONTHS, MOST_MONTHS)
    person, data = context.person(), context.config.data
    zone = context.database.read(reads.site).time_zone
    directory = _directory(context.arguments.to, data)
    archive = Archive(context.database, data, directory, _shown(context))
    today = local_day(person.now_ms, zone)
    before = first_day_kept(today, months)
    if not context.arguments.clock_is_right:
        context.database.read(partial(check_clock, today=today))
    try:
        moved = list(archive.move(before, person))
    except OSError as error:
        raise Refused(
            "%(directory)s cannot be used: %(reason)s. No call is lost: see that it is a directory, can be written and "
            "has room, then repeat",
            directory=directory,
            reason=error.strerror or str(error),
        ) from None
    rows = [{"month": one.month, "calls": one.calls, "stayed": one.stayed, "file": str(one.path)} for one in moved]
    context.show(rows, _COLUMNS, f"no call from before {before} is left to be archived")


def _directory(to: str | None, data: Path) -> Path:
    if to == "":
        raise BadInput("--to is empty: name a directory")
    return (data / FOLDER if to is None else Path(to)).absolute()


def _shown(context: Context) -> Shown:
    """The columns of the call log's own files, in its words."""
    from coovox_billing.store import queries
    from coovox_billing.store.lists.calls import logged_call
    from coovox_billing.web.cells import in_text
    from coovox_billing.web.pages.call_log import columns

    context.open_reading()
    shown = columns()
    made = in_text(shown, queries.site().time_zone)

    def cells(row: sqlite3.Row) -> Sequence[str]:
        return next(made.of([logged_call(row)]))

    return Shown([column.title for column in shown], cells)
