"""Trunks: what outbound routes dial. Learned from calls or named by a person; what is free on each; how its calls look.

Each function is a job for `Database.write`; `overview` only reads.
"""

import re
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from coovox_billing.core.payer import extension_of, spelled, trunks_of
from coovox_billing.core.site_settings import Site
from coovox_billing.core.trunk import (
    AT_ONCE_MS,
    MAX_CHANNELS,
    MAX_FREE_SECONDS,
    KnownTrunk,
    Traffic,
    explain_suspicion,
    looks_unsupervised,
)
from coovox_billing.errors import BadInput, NotFound, Refused
from coovox_billing.sentences import Sentence
from coovox_billing.services import accounts
from coovox_billing.services.accounts import Person
from coovox_billing.store import reads, writes

DAYS_OF_TRAFFIC = 30

_DAY_MS = 86_400_000
_DEVICE = re.compile(r"[A-Za-z0-9]{1,16}/[0-9A-Za-z_.+-]{1,80}", re.ASCII)
_NAME = re.compile(r"[0-9A-Za-z_./+ -]{0,80}", re.ASCII)  # what the dialplan lets through of a route's TRUNK-NAME


@dataclass(frozen=True, slots=True)
class Trunk:
    """A trunk, and its calls of the last 30 days: those that were counted under its name.

    `channels`: how many calls it carries at once, 0 where nobody has told.
    """

    device: str
    name: str
    free_seconds: int
    channels: int
    traffic: Traffic

    @property
    def suspicion(self) -> str:
        """What is strange about its answers, empty where nothing is."""
        return explain_suspicion(self.traffic) if looks_unsupervised(self.traffic, self.free_seconds) else ""

    @property
    def advice(self) -> str:
        """What to do about a suspicion."""
        return (
            f"Run `coovox-billing trunk set {self.device} --free-seconds 30`, "
            "or switch on answer supervision (polarity reversal) for the line in the PBX."
        )


def overview(connection: sqlite3.Connection, now_ms: int) -> list[Trunk]:
    """Every trunk with its calls of the last 30 days, by device."""
    rows = reads.trunk_traffic(connection, now_ms - DAYS_OF_TRAFFIC * _DAY_MS, AT_ONCE_MS)
    return [
        Trunk(
            device=row["device"],
            name=row["name"],
            free_seconds=row["free_seconds"],
            channels=row["channels"],
            traffic=Traffic(row["calls"], row["answered"], row["answered_at_once"]),
        )
        for row in rows
    ]


def add(connection: sqlite3.Connection, device: str, name: str | None, person: Person, channels: int = 0) -> str:
    """Name a trunk before any call dialed it; returns its device as Asterisk writes it.

    Without a name it gets that of the first call that dials it.

    Raises:
        BadInput: not a device, not a name, or not a number of channels.
        Refused: it is one already, or stays a payer.
    """
    device = _check_device(device)
    name = device if name is None else name
    _check_changes({"name": name, "channels": channels})
    if device in reads.trunks(connection):
        raise Refused("%(device)s is a trunk already", hint="change it with `trunk set %(device)s`", device=device)
    pays = _why_it_pays(connection, device)
    if pays:
        raise Refused("%(device)s cannot be a trunk, %(pays)s: name another", device=device, pays=pays)
    learn(connection, [device], name, reads.site(connection))
    if channels:
        writes.update_trunk(connection, device, channels=channels)
    told: dict[str, object] = {"name": name} | ({"channels": channels} if channels else {})
    accounts.record(connection, person, f"trunk {device}", {}, told)
    return device


def change(connection: sqlite3.Connection, word: str, changes: Mapping[str, object], person: Person) -> str:
    """Change a trunk's name, free_seconds or channels; `word` is its device or its name. Returns its device.

    Calls in progress keep the free seconds that they began with.

    Raises:
        NotFound: no such trunk.
        BadInput: a value that cannot be.
        Refused: several trunks have that name.
    """
    trunk = _find(connection, word)
    _check_changes(changes)
    columns = {key: value for key, value in changes.items() if value != trunk[key]}
    if columns:
        writes.update_trunk(connection, trunk["device"], **columns)
        accounts.record(connection, person, f"trunk {trunk['device']}", {key: trunk[key] for key in columns}, columns)
    return str(trunk["device"])


def remove(connection: sqlite3.Connection, word: str, person: Person) -> str:
    """Forget a trunk, until a route dials it again; `word` is its device or its name. Returns its device.

    Raises:
        NotFound: no such trunk.
        Refused: several trunks have that name.
    """
    trunk = _find(connection, word)
    writes.delete_trunk(connection, trunk["device"])
    accounts.mirror_device(connection, trunk["device"])
    accounts.record(
        connection,
        person,
        f"trunk {trunk['device']}",
        {key: trunk[key] for key in ("name", "free_seconds", "channels")},
        {},
    )
    return str(trunk["device"])


def unknown(connection: sqlite3.Connection, dialed: Iterable[str], known: Iterable[str]) -> frozenset[str]:
    """The devices of a dial string that are trunks and not known as such yet."""
    return frozenset(device for device in set(dialed).difference(known) if not _why_it_pays(connection, device))


def learn(connection: sqlite3.Connection, devices: Iterable[str], name: str, site: Site) -> None:
    """Remember what an outbound route dials: it never pays."""
    for device in devices:
        writes.insert_trunk(connection, device, name)
        mirror(connection, device, site.calls_without_payer)


def take_name(
    connection: sqlite3.Connection, devices: Iterable[str], name: str, known: Mapping[str, KnownTrunk]
) -> None:
    """A trunk that no route has named yet gets the name that this route gives it."""
    for device in devices:
        if device in known and known[device].name == device != name:
            writes.update_trunk(connection, device, name=name)


def mirror(connection: sqlite3.Connection, device: str, policy: str) -> None:
    """A trunk's call out has no payer: while billing is down it passes where it always does, else as a billed one."""
    writes.mirror(connection, f"payer/{device}", "free" if policy == "pass" else "billed")


def _why_it_pays(connection: sqlite3.Connection, device: str) -> str:
    """Why a device stays a payer even if a route dials it: an extension lists it, a billed one's own, a gateway."""
    owner = reads.account_by_device(connection, device)
    if owner is None:
        account = reads.account_by_extension(connection, extension_of(device))
        owner = account if account is not None and account["billing"] else None
    if owner is not None:
        return Sentence("it belongs to extension %(extension)s", extension=owner["extension"])
    return Sentence("the caller ID of its telephones is trusted") if device in reads.gateways(connection) else ""


def _find(connection: sqlite3.Connection, word: str) -> sqlite3.Row:
    """A word with a slash is a device and nothing else, for a trunk may be named after another's."""
    found = reads.trunks_called(connection, spelled(word)) if word else []
    if "/" in word:
        found = [row for row in found if row["device"] == spelled(word)]
    if not found:
        raise NotFound(
            "there is no trunk %(word)s", hint="`trunk list` shows them, `trunk add` makes one", word=repr(word[:80])
        )
    if len(found) > 1:
        devices = ", ".join(row["device"] for row in found)
        raise Refused(
            "%(count)s trunks have the name %(word)s: say which one, %(devices)s",
            count=len(found),
            word=repr(word),
            devices=devices,
        )
    return found[0]


def _check_device(device: str) -> str:
    named = trunks_of(device)
    if len(named) != 1 or not _DEVICE.fullmatch(named[0]):
        raise BadInput(
            "%(device)s is not a trunk's device: write technology and name, like PJSIP/carrier or DAHDI/g1",
            device=repr(device),
        )
    return named[0]


def _check_changes(changes: Mapping[str, object]) -> None:
    for key, value in changes.items():
        if key == "name":
            _check_name(str(value))
        elif key == "free_seconds":
            _check_free_seconds(value)
        elif key == "channels":
            _check_channels(value)
        else:
            raise BadInput("%(key)s of a trunk cannot be changed", key=repr(key))


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise BadInput(
            "%(name)s is not a trunk's name: write the TRUNK-NAME of its route, "
            "up to 80 letters, digits, spaces and _./+-",
            name=repr(name),
        )


def _check_free_seconds(value: object) -> None:
    if not isinstance(value, int) or not 0 <= value <= MAX_FREE_SECONDS:
        raise BadInput("the free seconds of a trunk are a whole number from 0 to %(most)s", most=MAX_FREE_SECONDS)


def _check_channels(value: object) -> None:
    if not isinstance(value, int) or not 0 <= value <= MAX_CHANNELS:
        raise BadInput(
            "the channels of a trunk are a whole number from 0 to %(most)s, 0 where nobody knows", most=MAX_CHANNELS
        )
