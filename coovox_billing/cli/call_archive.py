"""`call archive`: old calls go into files, and out of the database."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from coovox_billing.cli.context import Context, listable
from coovox_billing.core.clock import local_day
from coovox_billing.core.whole_number import parse_whole
from coovox_billing.services.archive import FOLDER, LEAST_MONTHS, MOST_MONTHS, Archive, Shown, first_day_kept
from coovox_billing.store import reads

_COLUMNS = ("month", "calls", "stayed", "file")


def add_verb(verbs: Any) -> None:
    """Add `archive` to the verbs of `call`."""
    archiving = verbs.add_parser("archive", help="move old calls into compressed CSV files; statistics stay")
    archiving.add_argument(
        "--older-than", metavar="MONTHS", required=True, help="whole months; 12 keeps this month and the 12 before it"
    )
    archiving.add_argument(
        "--to", metavar="DIR", type=Path, help=f"where the files go; default {FOLDER} in the data directory"
    )
    listable(archiving)
    archiving.set_defaults(run=_archive)


def _archive(context: Context) -> None:
    months = parse_whole(context.arguments.older_than, LEAST_MONTHS, MOST_MONTHS)
    person, data = context.person(), context.config.data
    zone = context.database.read(reads.site).time_zone
    directory = (context.arguments.to or data / FOLDER).absolute()
    archive = Archive(context.database, data, directory, _shown(context))
    before = first_day_kept(local_day(person.now_ms, zone), months)
    rows = [
        {"month": moved.month, "calls": moved.calls, "stayed": moved.stayed, "file": str(moved.path)}
        for moved in archive.move(before, person)
    ]
    context.show(rows, _COLUMNS, f"no call from before {before} is left to be archived")


def _shown(context: Context) -> Shown:
    """The columns of the call log's own files, in its words."""
    from coovox_billing.store import queries
    from coovox_billing.store.lists.calls import logged_call
    from coovox_billing.web.downloads import written_as
    from coovox_billing.web.pages.call_log import columns

    context.open_reading()
    shown, zone = columns(), queries.site().time_zone

    def cells(row: sqlite3.Row) -> Sequence[str]:
        call = logged_call(row)
        return [written_as(column.kind, column.value(call), zone) for column in shown]

    return Shown([column.title for column in shown], cells)
