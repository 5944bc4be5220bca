"""Trial and license of a device: what is known of them, where it is kept, and what it allows (DESIGN §7).

The trial's record is kept three times: in the database, as a file beside it,
and in the firmware's persistent store; the license twice. What one of them
lost, the others give back.
"""

import logging
import secrets
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from coovox_billing.core import trial as trials
from coovox_billing.core.trial import LICENSE_FILE, TRIAL_FILE, Identifier, Record, Trial
from coovox_billing.errors import BadInput, BillingError, Refused
from coovox_billing.sentences import Sentence, made_of
from coovox_billing.services import activation, running
from coovox_billing.services.accounts import Person
from coovox_billing.services.condition import DAY_MS
from coovox_billing.small_files import read_small, replace_small
from coovox_billing.store import reads, writes
from coovox_billing.store.database import Database

if TYPE_CHECKING:
    from coovox_billing.core import license as licenses
    from coovox_billing.core.license import License

MOST_LICENSE_BYTES = 16_384
# With fewer days of the trial left it is time to ask for a license.
SOON_DAYS = 7
# When the product's first version was released, ms since 1970 in UTC: nothing was activated before.
FIRST_RELEASED_MS = 1_795_219_200_000

_TRIAL = "trial"  # the name of the record in the database

log = logging.getLogger(__name__)


class BadLicense(BadInput):
    """A license that does not count, with a sentence that says why."""

    def __init__(self, why: str) -> None:
        super().__init__("%(why)s", why=why)


class Keep(Protocol):
    """The firmware's persistent store: small records by name. Both raise OSError or BillingError where it cannot."""

    def read(self, name: str) -> bytes | None:
        """A record, None where there is none."""

    def write(self, name: str, data: bytes) -> None:
        """Keep a record."""


@dataclass(frozen=True, slots=True)
class Device:
    """The device that this is: its board in words, what identifies it, its persistent store.

    `trouble` says what is missing where it cannot be told from others, so that no license can be bound to it.
    """

    board: str
    identifiers: tuple[Identifier, ...]
    keep: Keep | None
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Build:
    """What was put into this build: its version, when it was released (ms since 1970, UTC), the vendor's root key.

    Without the key, 32 bytes, it can check no license. `revoked` are serial numbers of distributors' certificates.
    """

    version: str
    released_ms: int
    root_key: bytes
    revoked: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands with trial and license. Moments are ms since 1970, UTC; `faults` are sentences for the owner."""

    is_active: bool
    trial: Trial | None
    license: "License | None"
    is_over: bool
    faults: tuple[str, ...]

    @property
    def is_barred(self) -> bool:
        """Whether billing users cannot sign in, and billing cannot be activated."""
        return self.is_over and self.license is None

    @property
    def days_left(self) -> int | None:
        """How many whole days of the trial are left; None where it has not begun, or a license took its place."""
        if self.trial is None or self.license is not None:
            return None
        return max(0, self.trial.over_ms - self.trial.least_ms) // DAY_MS

    @property
    def is_soon_over(self) -> bool:
        """Whether it is time to ask for a license."""
        return self.days_left is not None and self.days_left < SOON_DAYS


UNKNOWN_DEVICE = Device("unknown", (), None, Sentence("this machine was not asked what identifies it"))


class Licensing:
    """Of one site on one device. `now_ms` is the wall clock, ms since 1970 in UTC."""

    def __init__(
        self, database: Database, directory: Path, device: Device, build: Build, now_ms: Callable[[], int]
    ) -> None:
        self.device = device
        self._database = database
        self._directory = directory
        self._build = build
        self._now_ms = now_ms
        self._logged_ms: int | None = None
        self._verified: tuple[bytes, License | None, str] | None = None

    def standing(self) -> Standing:
        """How it stands now."""
        now_ms = self._now_ms()
        trial, faults = self._known_trial(self._database.read(_stored_trial))
        if trial is not None:
            trial = trials.go_on(trial, self._database.read(running.counted), now_ms, self._build.released_ms)
        found, refusal = self._found_license()
        if trial is not None and trials.is_behind(trial, now_ms, self._build.released_ms):
            faults.append(
                Sentence("the clock of this device is wrong: it is behind what was recorded before; set date and time")
            )
        if refusal:
            faults.append(refusal)
        if self.device.trouble:
            faults.append(self.device.trouble)
        is_over = trial is not None and trials.is_over(trial, now_ms, self._build.released_ms)
        is_active = self._database.read(activation.is_active)
        return Standing(is_active, trial, found, is_over, tuple(faults))

    def keep_up(self) -> None:
        """Let the trial go on by what billing ran, and bring every copy of the records up to date."""
        self._note_trial(lambda connection: None)
        if self._found_license()[0] is not None and self._verified is not None:
            self._copy_out(LICENSE_FILE, self._verified[0])

    def check_open(self) -> None:
        """Whether billing users may sign in.

        Raises:
            Refused: the trial is over, and there is no license.
        """
        if self.standing().is_barred:
            raise Refused(
                "the free trial of billing is over, so billing users cannot sign in: the owner of the PBX uploads a "
                "license in Addons, Billing, or deactivates billing there"
            )

    def activate(self, person: Person) -> None:
        """Bill calls. The first time, the trial begins.

        Raises:
            Refused: the trial is over, and there is no license.
        """
        if self.standing().is_barred:
            raise Refused("the trial is over: upload a license, then activate billing")
        self._note_trial(lambda connection: activation.switch(connection, True, person))

    def upload(self, data: bytes, person: Person) -> "License":
        """Keep a license, once it was found to be for this device.

        Raises:
            BadInput: it is none, or not for this device; the one that was there stays.
            Refused: it could be stored nowhere.
        """
        found, before = self._verify(data), self._found_license()[0]
        self._copy_out(LICENSE_FILE, data)
        if data not in self._copies(LICENSE_FILE):
            raise Refused("the license is valid, but could not be stored: the disk is full or read-only; then repeat")
        self._database.write(lambda connection: _record_upload(connection, before, found, person))
        return found

    def source(self) -> str:
        """The text of `billing.ac`, which tells the distributor for which device a license is wanted.

        Raises:
            Refused: this device cannot be told from others.
            BadInput: what it tells of itself cannot stand in the file.
        """
        from coovox_billing.core import license as licenses

        if self.device.trouble:
            raise Refused("%(trouble)s", trouble=self.device.trouble)
        trial = self.standing().trial
        try:
            source = licenses.Source(
                board=licenses.fitting_text(self.device.board),
                version=self._build.version,
                made_at_ms=self._now_ms(),
                first_activation_ms=trial.first_ms if trial is not None and trial.is_dated else None,
                request=secrets.token_hex(16),
                identifiers=self._hashed_identifiers(),
            )
            return licenses.render_source(source)
        except licenses.LicenseError as error:
            raise BadLicense(made_of(error.message, error.values)) from None

    def _note_trial(self, first: Callable[[sqlite3.Connection], None]) -> None:
        """Do a job and let the trial go on, both or neither; then bring its copies up to date."""
        now_ms = self._now_ms()

        def go_on(connection: sqlite3.Connection) -> str | None:
            first(connection)
            return self._go_on(connection, now_ms)

        record = self._database.write(go_on)
        if record is not None:
            self._copy_out(TRIAL_FILE, record.encode())

    def _go_on(self, connection: sqlite3.Connection, now_ms: int) -> str | None:
        """Store the trial as it is now; its record, None where billing was never active."""
        ran = running.take(connection)
        trial, _faults = self._known_trial(_stored_trial(connection))
        if trial is not None:
            trial = trials.go_on(trial, ran, now_ms, self._build.released_ms)
        elif activation.is_active(connection):
            trial = trials.begin(now_ms, self._build.released_ms)
        return None if trial is None else self._store(connection, trial)

    def _known_trial(self, stored: str | None) -> tuple[Trial | None, list[str]]:
        """What all records say together, and what is wrong with them.

        A record of another device counts where this one has none. One that was changed by hand counts for nothing
        while anything else tells when the trial began; where nothing does, it is over.
        """
        records, faults = self._records(stored)
        is_broken = any(record.is_broken for record in records)
        known = [record.trial for record in records if record.is_ours and not record.is_broken]
        if not known:
            foreign = [record.trial for record in records if not record.is_ours]
            if foreign and self.device.identifiers:
                faults.append(Sentence("the trial's record is of another device"))
            known = foreign
        evidence_ms = self._first_activation_ms()
        if evidence_ms is not None and evidence_ms >= FIRST_RELEASED_MS and not any(one.is_dated for one in known):
            known.append(Trial(evidence_ms, evidence_ms, is_dated=True))
        if is_broken:
            faults.append(Sentence("the trial's record was changed by hand"))
            if not known:
                now_ms = self._now_ms()
                known.append(Trial(now_ms - trials.TRIAL_MS, now_ms, is_dated=True))
        return trials.earliest(known), faults

    def _records(self, stored: str | None) -> tuple[list[Record], list[str]]:
        """Each that can be read, and what is wrong with the others."""
        texts = [] if stored is None else [stored]
        texts += [data.decode("utf-8", "replace") for data in self._copies(TRIAL_FILE)]
        records: list[Record] = []
        faults: list[str] = []
        for text in texts:
            try:
                records.append(trials.open_record(text, self.device.identifiers))
            except BadInput as error:
                faults.append(error.sentence)
        return records, faults

    def _first_activation_ms(self) -> int | None:
        """What the log of changes knows, which is asked until it knows something."""
        if self._logged_ms is None:
            self._logged_ms = self._database.read(reads.first_activation_ms)
        return self._logged_ms

    def _store(self, connection: sqlite3.Connection, trial: Trial) -> str:
        record = trials.seal(trial, self.device.identifiers)
        if _stored_trial(connection) != record:
            writes.set_site_value(connection, _TRIAL, record)
        return record

    def _found_license(self) -> tuple["License | None", str]:
        """The license of this device, and why one that is there does not count."""
        refusal = ""
        for data in self._copies(LICENSE_FILE):
            if self._verified is None or self._verified[0] != data:
                try:
                    self._verified = (data, self._verify(data), "")
                except BadInput as error:
                    self._verified = (data, None, error.sentence)
            if self._verified[1] is not None:
                return self._verified[1], ""
            refusal = self._verified[2]
        return None, refusal

    def _verify(self, data: bytes) -> "License":
        from coovox_billing.core import license as licenses

        if not self._build.root_key:
            raise BadInput("this build of the product carries no vendor key, so it can check no license")
        try:
            return licenses.verify_license(
                licenses.text_of(data), self._build.root_key, self._hashed_identifiers(), self._build.revoked
            )
        except licenses.LicenseError as error:
            raise BadLicense(made_of(error.message, error.values)) from None

    def _hashed_identifiers(self) -> "tuple[licenses.Identifier, ...]":
        from coovox_billing.core import license as licenses

        found = []
        for one in self.device.identifiers:
            with suppress(licenses.Unfit):
                found.append(licenses.Identifier(one.kind, licenses.identifier_digest(one.kind, one.value)))
        return tuple(found)

    def _copies(self, name: str) -> list[bytes]:
        """What is kept under a name: the file beside the database first."""
        copies = (self._read_data_file(name), self._read_keep(name))
        return [data for data in copies if data is not None]

    def _read_data_file(self, name: str) -> bytes | None:
        try:
            return read_small(self._directory / name, MOST_LICENSE_BYTES)
        except OSError:
            return None

    def _read_keep(self, name: str) -> bytes | None:
        try:
            return None if self.device.keep is None else self.device.keep.read(name)
        except (OSError, BillingError):
            return None

    def _copy_out(self, name: str, data: bytes) -> None:
        """A place that cannot be written costs its copy, not the others."""
        try:
            if self._read_data_file(name) != data:
                replace_small(self._directory / name, data)
        except OSError as error:
            log.error("%s could not be written: %s", self._directory / name, error)
        if self.device.keep is None or self._read_keep(name) == data:
            return
        try:
            self.device.keep.write(name, data)
        except (OSError, BillingError) as error:
            log.error("the firmware's persistent store took no copy of %s: %s", name, error)


def _stored_trial(connection: sqlite3.Connection) -> str | None:
    return reads.site_value(connection, _TRIAL)


def _record_upload(connection: sqlite3.Connection, before: "License | None", found: "License", person: Person) -> None:
    replaced = before.number if before is not None else ""
    writes.record_change(connection, person.now_ms, person.name, person.origin, "license", replaced, found.number)
