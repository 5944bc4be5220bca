"""What billing does when the firmware says what is about to happen, or what has (firmware_hooks/README.md).

License and trial record are kept in the data directory and in the persistent store. Each hook makes the two alike
again: so an upgrade or a factory reset that takes one of them leaves the other. Nothing here deletes a site's
data, opens its database or needs its planes, so each hook may run at any time, and again.
"""

import logging
import os
import pwd
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from coovox_billing.core.trial import LICENSE_FILE, TRIAL_FILE, stricter
from coovox_billing.errors import BillingError
from coovox_billing.firmware.boards import FoundBoard, find_board
from coovox_billing.firmware.identifiers import keep_identity, read_identity
from coovox_billing.firmware.machine import Machine
from coovox_billing.firmware.persistent_store import MOST_RECORD_BYTES, PersistentStore
from coovox_billing.sentences import Sentence
from coovox_billing.small_files import make_directory, read_small, replace_small

_log = logging.getLogger(__name__)

SERVICE_USER = "coovox-billing"

# Of what is in the data directory and what is in the store, where both have something and they differ: what is to
# be in both.
Merge = Callable[[bytes, bytes], bytes]


def better_license(in_data: bytes, in_store: bytes) -> bytes:
    """The owner uploads into the data directory, so what is there is newer; but a damaged one replaces no whole one."""
    return in_data if _is_whole(in_data) or not _is_whole(in_store) else in_store


def _is_whole(data: bytes) -> bool:
    from coovox_billing.core import license as licenses

    try:
        licenses.parse_license(licenses.text_of(data))
    except licenses.LicenseError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Record:
    """A file of the data directory that the store has too, and what counts where the two differ."""

    name: str
    merge: Merge


RECORDS: tuple[Record, ...] = (Record(LICENSE_FILE, better_license), Record(TRIAL_FILE, stricter))


@dataclass(frozen=True, slots=True)
class Step:
    """Something that a hook did, or could not do."""

    ok: bool
    text: str


@dataclass(frozen=True, slots=True)
class Occasion:
    """What a hook works on: the machine, its board, the data directory and the store."""

    machine: Machine
    found: FoundBoard
    data: Path
    store: PersistentStore
    records: Sequence[Record]


Hook = Callable[[Occasion], Iterator[Step]]


def run_hook(name: str, machine: Machine, data: Path, records: Sequence[Record] = RECORDS) -> list[Step]:
    """Run the hook of that name, one of `HOOKS`. What cannot be done is told in a step, and the rest is done."""
    steps: list[Step] = []
    try:
        found = find_board(machine)
        steps += [Step(False, fault) for fault in found.faults]
        steps += HOOKS[name](Occasion(machine, found, data, store_of(found, machine, data), records))
    except Exception as error:
        steps.append(failed(error))
    return list(dict.fromkeys(steps))


def failed(error: Exception) -> Step:
    """The step that an error ended. Whatever it is: a firmware's upgrade does not stop for us."""
    if isinstance(error, BillingError):
        return Step(False, error.sentence)
    if isinstance(error, OSError):
        return Step(False, _not_done(error))
    _log.error("a hook failed", exc_info=error)
    return Step(False, Sentence("it failed: %(error)s", error=repr(error)[:200]))


def store_of(found: FoundBoard, machine: Machine, data: Path) -> PersistentStore:
    """The persistent store of a board. Where root has to make it, it is for the user of the data directory."""
    place = found.board.store
    is_missing = bool(place.mount) and not machine.is_mount(place.mount)
    owner, group = _owner_of(data)
    return PersistentStore(machine.path(place.directory), owner, group, place.mount if is_missing else "")


def _align(occasion: Occasion) -> Iterator[Step]:
    """Make the data directory and the store alike, record by record."""
    occasion.store.make()
    for record in occasion.records:
        try:
            yield _align_record(occasion, record)
        except Exception as error:
            yield Step(False, Sentence("%(name)s: %(reason)s", name=record.name, reason=failed(error).text))
    yield from (Step(False, fault) for fault in occasion.store.faults())


def _align_record(occasion: Occasion, record: Record) -> Step:
    """Empty is missing: a plug that was pulled leaves such files."""
    in_data = read_small(occasion.data / record.name, MOST_RECORD_BYTES) or None
    in_store = occasion.store.read(record.name) or None
    if in_data is None and in_store is None:
        return Step(True, Sentence("%(name)s: there is none", name=record.name))
    if in_data is None or in_store is None:
        wanted = in_data or in_store or b""
    else:
        wanted = in_data if in_data == in_store else record.merge(in_data, in_store)
    if wanted != in_data:
        _bring_back(occasion.data, record.name, wanted)
    # Also where they are alike: a copy of the store may be damaged.
    occasion.store.write(record.name, wanted)
    if wanted != in_data:
        return Step(True, Sentence("%(name)s: brought back into the data directory", name=record.name))
    if wanted != in_store:
        return Step(True, Sentence("%(name)s: kept in the persistent store", name=record.name))
    return Step(True, Sentence("%(name)s: the same in both", name=record.name))


def _bring_back(data: Path, name: str, content: bytes) -> None:
    make_directory(data, *_owner_of(data))
    replace_small(data / name, content)


def _renew_identity(occasion: Occasion) -> Iterator[Step]:
    """Read what only root may read, and keep it for this boot."""
    identity = read_identity(occasion.found.board, occasion.machine)
    try:
        keep_identity(identity, occasion.machine, _owner_of(occasion.data)[1])
    except OSError as error:
        yield Step(False, Sentence("identifiers: not kept for this boot: %(reason)s", reason=_not_done(error)))
        return
    yield Step(
        True,
        Sentence(
            "%(name)s: %(count)s identifiers, %(strong)s of them strong",
            name=occasion.found.board.name,
            count=len(identity.found),
            strong=identity.strong,
        ),
    )


def _after_a_start(occasion: Occasion) -> Iterator[Step]:
    yield from _align(occasion)
    yield from _renew_identity(occasion)


def _before_a_hard_reset(occasion: Occasion) -> Iterator[Step]:
    """On a board whose hard reset wipes the store too, what is in it goes; on others it is what stays."""
    if not occasion.found.board.store.is_erased_by_hard_reset:
        yield from _align(occasion)
        return
    occasion.store.erase()
    yield Step(True, Sentence("the persistent store was erased, as a hard reset of this board does"))


HOOKS: dict[str, Hook] = {
    "post-boot": _after_a_start,
    "pre-upgrade": _align,
    "post-upgrade": _after_a_start,
    "factory-reset": _align,
    "hard-reset": _before_a_hard_reset,
    "remove": _align,
}


def _owner_of(data: Path) -> tuple[int, int]:
    """The user and group that the data directory has, or will have."""
    try:
        found = data.stat()
        return found.st_uid, found.st_gid
    except OSError:
        return _service_user()


def _service_user() -> tuple[int, int]:
    try:
        user = pwd.getpwnam(SERVICE_USER)
        return user.pw_uid, user.pw_gid
    except KeyError:
        return os.getuid(), os.getgid()


def _not_done(error: OSError) -> str:
    where = f" ({error.filename})" if error.filename else ""
    return f"{error.strerror or error}{where}"
