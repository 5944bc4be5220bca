"""Bringing a backup back: everything is looked at first, what is there now is kept aside, and the change is one rename.

Whenever the plug is pulled, the database is the one of before or the one of the backup. What trial and license were
told of this device stays: an old backup neither begins a trial anew nor makes it longer (DESIGN §7).
"""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from coovox_billing.backup import archive
from coovox_billing.backup.archive import SITE_FILES, Unpacked
from coovox_billing.backup.manifest import Manifest, utc
from coovox_billing.core.trial import LICENSE_FILE, MOST_BYTES, TRIAL_FILE, Identifier, open_record, stricter
from coovox_billing.errors import BadInput, BillingError, Refused, SetupError
from coovox_billing.services import reconciliation
from coovox_billing.services import site as site_service
from coovox_billing.services.accounts import Person
from coovox_billing.services.licensing import Device
from coovox_billing.services.owner import FIRST_PASSWORD_FILE
from coovox_billing.small_files import (
    FILE_MODE,
    give_to_owner_of,
    make_directory,
    read_small,
    replace_small,
    sync_directory,
)
from coovox_billing.store import contents, reads, schema, snapshot, writes
from coovox_billing.store.audit import audit
from coovox_billing.store.contents import Later, Money
from coovox_billing.store.database import alone
from coovox_billing.store.database_file import FILE_NAME, open_plainly
from coovox_billing.store.file_locks import users_of, users_of_deleted

# What goes on with the device, whatever is brought back: how its trial stands, and how long billing ran.
KEPT_OF_THE_SITE = ("trial", "running")
KEPT_ASIDE = "before-restore-"
ASIDE_KEPT = 3
WAIT_SECONDS = 1.0

_UNPACKED = "restore-"
_MARGIN_BYTES = 2_000_000


@dataclass(frozen=True, slots=True)
class Difference:
    """The balance of an extension, in micros, now and in the backup; None where it is not there."""

    extension: str
    now_micros: int | None
    then_micros: int | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What bringing a backup back changes. `present` is None where there is no database now that can be read.

    `is_first`: there is none at all, as on a new device. `lost` is what came after the backup. `is_same_device` is None
    where nobody can tell. `aside` is where the present database was kept, once that was done.
    """

    told: Manifest
    schema_now: int | None
    present: Money | None
    then: Money
    lost: Later | None
    differences: tuple[Difference, ...]
    is_same_device: bool | None
    is_first: bool = False
    aside: Path | None = None


def rehearse(directory: Path, source: BinaryIO, device: Device, passphrase: str = "") -> Plan:
    """What `restore` would do. Everything is checked as it would be then, and nothing is changed.

    Raises:
        BadInput: it is no backup, is damaged, or the passphrase is wrong.
        Refused: it is of a newer version, its books are not sound, or there is no room.
    """
    with _unpacked(directory, source, passphrase) as found:
        return _plan(directory, found, device)


def restore(directory: Path, source: BinaryIO, device: Device, person: Person, passphrase: str = "") -> Plan:
    """Bring a backup back in the place of what is there now.

    Raises:
        BadInput, Refused: as `rehearse`.
        SetupError: billing runs.
    """
    make_directory(directory)
    with alone(directory), _unpacked(directory, source, passphrase) as found:
        plan = _plan(directory, found, device)
        return _replace(directory, found, plan, device, person)


@contextmanager
def _unpacked(directory: Path, source: BinaryIO, passphrase: str) -> Iterator[Unpacked]:
    """The backup in a directory of its own, brought to this version and found to be sound."""
    make_directory(directory)
    place = directory / schema.BACKUPS / f"{_UNPACKED}{os.getpid()}"
    owner = directory.stat()
    make_directory(place.parent, owner.st_uid, owner.st_gid)
    _remove_leftovers(place.parent)
    make_directory(place, owner.st_uid, owner.st_gid)
    try:
        try:
            found = archive.unpack(source, place, passphrase)
            _check(found)
        except OSError as error:
            raise Refused(
                "the backup could not be unpacked in %(place)s: %(reason)s", place=place, reason=error.strerror or error
            ) from None
        except sqlite3.Error as error:
            raise Refused("the database in the backup cannot be used: %(error)s", error=error) from None
        yield found
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _remove_leftovers(directory: Path) -> None:
    """Of processes that were killed."""
    for path in directory.glob(f"{_UNPACKED}*"):
        if not Path("/proc", path.name.removeprefix(_UNPACKED)).exists():
            shutil.rmtree(path, ignore_errors=True)


def _check(found: Unpacked) -> None:
    """Bring its database to this version, and see that it is whole and its books are sound."""
    with closing(contents.reading(found.database)) as connection:
        version = schema.version(connection)
        trouble = contents.unsound_pages(connection)
    if version > schema.known_version():
        raise Refused(
            "the backup was made by a newer version of CooVox Billing (schema %(found)s, this one knows %(known)s): "
            "install that version, then restore it",
            found=version,
            known=schema.known_version(),
        )
    if version == 0:
        raise BadInput("this is no backup of CooVox Billing")
    if trouble:
        raise Refused("the database in the backup is damaged: %(trouble)s", trouble=trouble)
    with closing(open_plainly(found.database)) as connection:
        schema.migrate(connection)
        findings = audit(connection)
    if findings:
        raise Refused("the books of the backup are not sound: %(finding)s", finding=findings[0].message)


def _plan(directory: Path, found: Unpacked, device: Device) -> Plan:
    with closing(contents.reading(found.database)) as connection:
        then, then_balances = contents.money(connection), contents.balances(connection)
    told = found.told
    is_same = told.device == archive.mark_of(device) if told.device else None
    try:
        with closing(contents.reading_live(directory / FILE_NAME)) as connection:
            now_balances = contents.balances(connection)
            return Plan(
                told,
                schema.version(connection),
                contents.money(connection),
                then,
                contents.later_than(connection, told.made_ms),
                tuple(_differences(now_balances, then_balances)),
                is_same,
            )
    except (OSError, sqlite3.Error):
        is_first = not os.path.lexists(directory / FILE_NAME)
        return Plan(told, None, None, then, None, (), is_same, is_first)


def _differences(now: dict[str, int], then: dict[str, int]) -> Iterator[Difference]:
    for extension in sorted(now.keys() | then.keys()):
        difference = Difference(extension, now.get(extension), then.get(extension))
        if difference.now_micros != difference.then_micros:
            yield difference


def _replace(directory: Path, found: Unpacked, plan: Plan, device: Device, person: Person) -> Plan:
    with ExitStack() as stack:
        try:
            aside, kept = _set_aside(directory, person.now_ms, stack)
            _prepare(found, kept, plan, person)
            _bring_files(directory, found, device)
            _bring_calls_files(directory, found, person.now_ms)
            found.database.replace(directory / FILE_NAME)
        except (OSError, sqlite3.Error) as error:
            raise Refused(
                "the backup could not be brought back: %(error)s. The database is what it was before", error=error
            ) from error
        sync_directory(directory)
    with suppress(OSError):
        (directory / FIRST_PASSWORD_FILE).unlink(missing_ok=True)
    _thin_out(directory, aside)
    return replace(plan, aside=aside)


def _set_aside(directory: Path, now_ms: int, stack: ExitStack) -> tuple[Path | None, dict[str, str]]:
    """Copy the present database, and leave it without a log beside it, ours alone until the stack ends.

    Where it was copied to, None where there is none; and what of it goes on with the device.
    """
    path = directory / FILE_NAME
    if not path.exists():
        _refuse_where_used(path, users_of_deleted(path))
        _remove_log(path)
        return None, {}
    stamp = datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = directory / schema.BACKUPS / f"{KEPT_ASIDE}{stamp}.sqlite3"
    for unfinished in aside.parent.glob(f"{KEPT_ASIDE}*{snapshot.UNFINISHED}"):
        unfinished.unlink(missing_ok=True)
    needed, free = snapshot.bytes_of(path) + _MARGIN_BYTES, snapshot.free_bytes_of(directory)
    if free < needed:
        raise Refused(
            "there is no room to keep the present database: %(needed)s MB are needed and %(free)s MB are free",
            needed=snapshot.megabytes(needed),
            free=snapshot.megabytes(free),
        )
    try:
        connection = stack.enter_context(schema.alone_with(path, WAIT_SECONDS))
        snapshot.copy_through(connection, aside)
        kept = {name: text for name in KEPT_OF_THE_SITE if (text := reads.site_value(connection, name)) is not None}
        schema.leave_no_log(connection)
    except sqlite3.Error:
        return _set_aside_as_it_is(path, aside), {}
    return aside, kept


def _set_aside_as_it_is(path: Path, aside: Path) -> Path:
    """A database that cannot be read: its files, byte by byte, so that somebody may still save something of it."""
    _refuse_where_used(path, users_of(path))
    for ending in ("-wal", ""):
        source, target = path.with_name(path.name + ending), aside.with_name(aside.name + ending)
        if source.exists():
            target.unlink(missing_ok=True)
            handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
            with source.open("rb") as reading, os.fdopen(handle, "wb") as writing:
                give_to_owner_of(target.parent, handle)
                shutil.copyfileobj(reading, writing)
                writing.flush()
                os.fsync(writing.fileno())
    sync_directory(aside.parent)
    _remove_log(path)
    return aside


def _refuse_where_used(path: Path, users: list[str]) -> None:
    if users:
        raise SetupError(
            "the database %(path)s is in use by %(users)s: stop billing, then repeat",
            hint="systemctl stop coovox-billing-calls coovox-billing-web",
            path=path,
            users=" and ".join(users),
        )


def _remove_log(path: Path) -> None:
    for ending in ("-wal", "-shm", "-journal"):
        path.with_name(path.name + ending).unlink(missing_ok=True)


def _prepare(found: Unpacked, kept: dict[str, str], plan: Plan, person: Person) -> None:
    """What goes on with the device is put into the database of the backup; then it is on disk."""
    told = plan.told
    with contents.changing(found.database) as connection:
        for name, text in kept.items():
            writes.set_site_value(connection, name, text)
        if plan.is_same_device is False:
            reconciliation.begin_anew(connection, person.now_ms)
        # Asterisk's mirror is of another state: under another name all of it is sent anew.
        site_service.rename_database(connection)
        writes.record_change(
            connection,
            person.now_ms,
            person.name,
            person.origin,
            "restore",
            "",
            f"{told.site} {utc(told.made_ms)}".strip(),
        )
    handle = os.open(found.database, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _bring_files(directory: Path, found: Unpacked, device: Device) -> None:
    """A license that is there stays; of the trial's records of this device the stricter one counts."""
    trial, license_file = (found.site_file(name) for name in SITE_FILES)
    if license_file and not _present_file(directory, LICENSE_FILE):
        replace_small(directory / LICENSE_FILE, license_file)
    if trial:
        present = _present_file(directory, TRIAL_FILE)
        wanted = trial if not present else stricter(present, trial) if _is_ours(trial, device.identifiers) else present
        if wanted != present:
            replace_small(directory / TRIAL_FILE, wanted)


def _bring_calls_files(directory: Path, found: Unpacked, now_ms: int) -> None:
    """The database of the backup tells of them. One of that name with other content is kept under another."""
    folder, owner = directory / archive.CALLS_FOLDER, directory.stat()
    for path in found.calls_files:
        make_directory(folder, owner.st_uid, owner.st_gid)
        present = folder / path.name
        if present.exists() and present.read_bytes() != path.read_bytes():
            present.replace(folder / f"{KEPT_ASIDE}{now_ms}-{path.name}")
        path.replace(present)
    if found.calls_files or folder.is_dir():
        sync_directory(folder)


def _present_file(directory: Path, name: str) -> bytes | None:
    with suppress(OSError):
        return read_small(directory / name, MOST_BYTES)
    return None


def _is_ours(record: bytes, identifiers: tuple[Identifier, ...]) -> bool:
    try:
        return open_record(record.decode("utf-8", "replace"), identifiers).is_ours
    except BillingError:
        return False


def _thin_out(directory: Path, aside: Path | None) -> None:
    """Of what was kept aside, the last few stay."""
    found = sorted((directory / schema.BACKUPS).glob(f"{KEPT_ASIDE}*.sqlite3"))
    for path in [path for path in found if path != aside][: -(ASIDE_KEPT - 1)]:
        with suppress(OSError):
            path.unlink()
            path.with_name(path.name + "-wal").unlink(missing_ok=True)
