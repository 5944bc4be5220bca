"""The backups of a site: what is scheduled, what became of them, and the secrets of the place where they are kept.

Secrets and outcomes are files of the data directory, so that neither is in a backup: a restore brings back no
outcome of then, and whoever finds a backup finds no way to the others.
"""

import json
import os
import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from coovox_billing.core import backup_plan
from coovox_billing.core.backup_plan import Address, Keep, Record, Schedule
from coovox_billing.core.site_settings import site_setting
from coovox_billing.errors import BadInput, Refused
from coovox_billing.sentences import Sentence, as_json, from_json, made_of
from coovox_billing.services.accounts import Person
from coovox_billing.services.condition import Condition
from coovox_billing.small_files import read_small, replace_small
from coovox_billing.store import reads, writes

STATE_FILE, SECRETS_FILE = "backup-state.json", "backup-secrets.json"
LEAST_PASSPHRASE = 12

# By which name: what it is, and how much it may have.
SECRETS: Mapping[str, int] = {
    "passphrase": 1024,
    "sftp-password": 1024,
    "sftp-key": 16_384,
    "s3-key-id": 256,
    "s3-secret": 1024,
}

_SITE = "backup_name"
_MOST_BYTES = 262_144
_MOST_STORED = 500
_OLD = Sentence("The last good backup is too old: the owner sees in Addons, Billing, Backups what is wrong.")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is set. `schedule` is None where backups are off, `address` None for the data directory.

    `site` stands in the names of its backups.
    """

    schedule: Schedule | None
    address: Address | None
    keep: Keep
    host_key: str
    region: str
    site: str


@dataclass(frozen=True, slots=True)
class Stored:
    """A backup that is kept: its name and its size."""

    name: str
    size: int


@dataclass(frozen=True, slots=True)
class State:
    """What became of the backups: the last good one, the last failure and why, and what is kept where.

    Moments are ms since 1970 in UTC. `place` is where the last good one and `stored` are, as the setting says it.
    """

    good_ms: int | None = None
    good_name: str = ""
    good_bytes: int = 0
    place: str = ""
    failures: int = 0
    failed_ms: int = 0
    why: str = "[]"
    stored: tuple[Stored, ...] = field(default=())

    @property
    def record(self) -> Record:
        """What decides when the next one is made."""
        return Record(self.good_ms, self.failures, self.failed_ms)

    @property
    def failure(self) -> str:
        """Why the last one failed, empty where it did not."""
        return from_json(self.why)[0] if self.failures else ""

    def after_success(self, made_ms: int, place: str, made: Stored, stored: tuple[Stored, ...]) -> "State":
        """Once a backup is where it is to be."""
        return State(made_ms, made.name, made.size, place, stored=stored[:_MOST_STORED])

    def after_failure(self, now_ms: int, why: str) -> "State":
        """Once one could not be made."""
        return replace(self, failures=self.failures + 1, failed_ms=now_ms, why=as_json([_plain(why)]))


def plan(connection: sqlite3.Connection) -> Plan:
    """What is set now."""

    def setting(name: str) -> str:
        return reads.setting(connection, name) or site_setting(name).default

    return Plan(
        backup_plan.parse_schedule(setting("backup_at"), setting("backup_days")),
        backup_plan.parse_address(setting("backup_to")),
        backup_plan.parse_keep(setting("backup_keep")),
        setting("backup_host_key"),
        setting("backup_s3_region"),
        reads.site_value(connection, _SITE) or "",
    )


def name_site(connection: sqlite3.Connection) -> str:
    """What stands in the names of this site's backups; given once: other sites may keep theirs at the same place."""
    name = reads.site_value(connection, _SITE)
    if not name:
        name = os.urandom(4).hex()
        writes.set_site_value(connection, _SITE, name)
    return name


def state(directory: Path) -> State:
    """What became of the backups; nothing where nobody can tell."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        facts: dict[str, Any] = json.loads(read_small(directory / STATE_FILE, _MOST_BYTES) or b"{}")
        stored = tuple(Stored(str(one["name"]), int(one["size"])) for one in facts.pop("stored", ()))
        found = State(stored=stored, **facts)
        _ = found.failure
        return found
    return State()


def keep_state(directory: Path, found: State) -> None:
    """Store it.

    Raises:
        OSError: it cannot be stored.
    """
    replace_small(directory / STATE_FILE, json.dumps(asdict(found)).encode())


def secrets(directory: Path) -> dict[str, str]:
    """The secrets that are stored, by their names.

    Raises:
        OSError: they are there and cannot be read.
    """
    with suppress(ValueError):
        found = json.loads(read_small(directory / SECRETS_FILE, _MOST_BYTES) or b"{}")
        return {name: str(found[name]) for name in SECRETS if name in found}
    return {}


def check_secret(name: str, text: str) -> None:
    """Whether a text can be that secret.

    Raises:
        BadInput: it cannot.
    """
    if len(text.encode("utf-8", "surrogateescape")) > SECRETS[name]:
        raise BadInput("this is too long: %(most)s signs are the most", most=SECRETS[name])
    if name == "passphrase":
        check_passphrase(text)
    if name == "sftp-key" and "PRIVATE KEY-----" not in text:
        raise BadInput("this is no private key: it begins with -----BEGIN and has no passphrase of its own")


def keep_secrets(connection: sqlite3.Connection, directory: Path, changes: Mapping[str, str], person: Person) -> None:
    """Store secrets that were checked; an empty one is forgotten. The log tells that, never what they are.

    Raises:
        Refused: they cannot be stored.
    """
    for name, text in changes.items():
        told = "changed" if text else "removed"
        writes.record_change(connection, person.now_ms, person.name, person.origin, f"backup {name}", "", told)
    try:
        known = {name: text for name, text in (secrets(directory) | dict(changes)).items() if text}
        replace_small(directory / SECRETS_FILE, json.dumps(known).encode())
    except OSError as error:
        raise Refused("the secrets could not be stored: %(reason)s", reason=error.strerror) from None


def record_start(connection: sqlite3.Connection, person: Person) -> None:
    """Write into the log of changes that somebody had a backup made."""
    writes.record_change(connection, person.now_ms, person.name, person.origin, "backup", "", "begun")


def check_passphrase(passphrase: str) -> None:
    """Whether it is worth encrypting with.

    Raises:
        BadInput: it is too short.
    """
    if len(passphrase) < LEAST_PASSPHRASE:
        raise BadInput(
            "the passphrase is too short: take %(least)s characters or more, such as five words", least=LEAST_PASSPHRASE
        )


def check(connection: sqlite3.Connection, directory: Path, now_ms: int) -> Condition:
    """Whether the last good backup is as new as it should be."""
    wanted, found = plan(connection), state(directory)
    if wanted.schedule is None:
        return Condition("backup", "none is scheduled")
    zone = reads.site(connection).time_zone
    last = "no backup yet" if found.good_ms is None else f"the last good one is {_ago(now_ms - found.good_ms)} old"
    if not backup_plan.is_overdue(wanted.schedule, found.record, zone, now_ms):
        return Condition("backup", last)
    return Condition("backup", f"{last}; {found.failure}" if found.failures else last, _OLD)


def _plain(told: str) -> str:
    """The sentence with values that can be stored: paths and errors as they are read."""
    if not isinstance(told, Sentence):
        return told
    values = {name: _plain(value if isinstance(value, str) else str(value)) for name, value in told.values.items()}
    return made_of(told.message, values)


def _ago(span_ms: int) -> str:
    hours = max(0, span_ms) // 3_600_000
    return f"{hours} h" if hours < 48 else f"{hours // 24} days"
