"""Opening a site: its database, ready to be used by whichever command comes first."""

from pathlib import Path

from coovox_billing.services import site
from coovox_billing.store.database import FILE_NAME, Database, open_database


def is_site(directory: Path) -> bool:
    """Whether a data directory holds a site already."""
    return (directory / FILE_NAME).exists()


def open_site(directory: Path) -> Database:
    """The database of a data directory, made if it is not there.

    Raises:
        SetupError: the directory or the file in it cannot be used.
    """
    database = open_database(directory)
    if database.read(site.is_new):
        database.write(lambda connection: site.prepare(connection, _machine_time_zone()))
    return database


def _machine_time_zone() -> str:
    """The machine's time zone by name; imported late, because only a new site asks."""
    from tzlocal import get_localzone_name

    return get_localzone_name() or "UTC"
