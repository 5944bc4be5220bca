"""One scheduled backup, from the look at its place to what is removed there afterwards."""

import fcntl
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from coovox_billing.backup import archive
from coovox_billing.backup.places import Place, at_place
from coovox_billing.core import backup_plan
from coovox_billing.errors import BillingError, Refused
from coovox_billing.sentences import Sentence
from coovox_billing.services import backups
from coovox_billing.services.backups import Plan, State, Stored
from coovox_billing.services.licensing import Device
from coovox_billing.small_files import opened_lock
from coovox_billing.store import reads
from coovox_billing.store.database import Database

LOCK_FILE = "backup.lock"

_BROKEN_OFF = Sentence("it was broken off, as by a power cut or where memory is short")


def back_up(
    database: Database, directory: Path, device: Device, now_ms: int, pause: Callable[[], object] = int
) -> State:
    """Make a backup where the settings say, remove what need not be kept any more, and store what became of it.

    Raises:
        Refused: another one is being made just now.
        BillingError: it could not be made; that is stored too.
    """
    with _alone(directory):
        found = backups.state(directory)
        try:
            # Who is killed in it counts as failed, or it would be begun again every minute.
            backups.keep_state(directory, found.after_failure(now_ms, _BROKEN_OFF))
            found = _back_up(database, directory, device, now_ms, pause)
        except (BillingError, OSError, sqlite3.Error) as error:
            trouble = _told(error)
            with suppress(OSError):
                backups.keep_state(directory, found.after_failure(now_ms, trouble))
            raise Refused("%(trouble)s", trouble=trouble) from error
        backups.keep_state(directory, found)
        return found


def fetch(database: Database, directory: Path, name: str, out: BinaryIO) -> None:
    """Write a backup that is kept to `out`.

    Raises:
        BillingError: it is not there, or cannot be had.
    """
    plan = database.read(backups.plan)
    if backup_plan.made_at(name, plan.site) is None:
        raise Refused("%(name)s is no backup of this site", name=name[:80])
    with _place(plan, directory) as place:
        place.fetch(name, out)


def _back_up(database: Database, directory: Path, device: Device, now_ms: int, pause: Callable[[], object]) -> State:
    site = database.write(backups.name_site)
    plan = database.read(backups.plan)
    passphrase = backups.secrets(directory).get("passphrase", "")
    name = backup_plan.backup_name(site, now_ms, bool(passphrase))
    with _place(plan, directory) as place:
        size = place.keep(name, lambda out: archive.write(directory, device, now_ms, out, passphrase, pause))
        stored = _thin_out(place, plan, name, database)
    kept = tuple(sorted(stored, key=lambda one: one.name, reverse=True))
    text = database.read(lambda connection: reads.setting(connection, "backup_to")) or ""
    return State().after_success(now_ms, text, Stored(name, size), kept)


def _thin_out(place: Place, plan: Plan, newest: str, database: Database) -> list[Stored]:
    """Remove what need not be kept; what is left of this site's backups. A file that stays has cost no backup."""
    found = [one for one in place.stored() if backup_plan.made_at(one.name, plan.site) is not None]
    zone = database.read(reads.site).time_zone
    removed = set()
    for name in backup_plan.superfluous([one.name for one in found], plan.site, plan.keep, zone, newest):
        with suppress(BillingError):
            place.remove(name)
            removed.add(name)
    return [one for one in found if one.name not in removed]


@contextmanager
def _place(plan: Plan, directory: Path) -> Iterator[Place]:
    secrets = backups.secrets(directory)
    with at_place(plan.address, directory, secrets, plan.host_key, plan.region) as place:
        yield place


def _told(error: Exception) -> str:
    if isinstance(error, BillingError):
        return error.sentence
    reason = getattr(error, "strerror", None) or str(error)
    return Sentence("the backup could not be made: %(reason)s", reason=reason)


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    with opened_lock(directory / LOCK_FILE) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused("a backup is being made just now: wait until it is done") from None
        yield
