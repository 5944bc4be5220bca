"""The machine that this is, as trial and license know it: firmware's answers, and the vendor's key of this build."""

import os
from dataclasses import dataclass
from pathlib import Path

from coovox_billing import RELEASED_MS, __version__
from coovox_billing.core.trial import Identifier
from coovox_billing.errors import BillingError, SetupError
from coovox_billing.firmware.boards import find_board
from coovox_billing.firmware.hooks import store_of
from coovox_billing.firmware.identifiers import known_identity
from coovox_billing.firmware.machine import Machine
from coovox_billing.firmware.persistent_store import PersistentStore
from coovox_billing.sentences import made_of
from coovox_billing.services.licensing import Build, Device, Licensing
from coovox_billing.store.database import Database
from coovox_billing.wall_clock import wall_clock_ms

KEY_VARIABLE = "COOVOX_VENDOR_KEY"
KEY_FILE, REVOKED_FILE = "root.pub", "revoked"

_PACKAGE = Path(__file__).resolve().parent


def open_licensing(database: Database, data: Path) -> Licensing:
    """Trial and license of this site on this machine."""
    return Licensing(database, data, this_device(data), this_build(), wall_clock_ms)


def this_device(data: Path, machine: Machine | None = None) -> Device:
    """What tells this machine from others, and where its firmware keeps small records.

    What a reset or somebody at a keyboard can change identifies nothing: else one license could be bent to fit two.
    """
    machine = machine or Machine()
    try:
        found = find_board(machine)
        identity = known_identity(machine)
    except BillingError as error:
        return Device("unknown", (), None, error.sentence)
    try:
        identity.pairs()
        trouble: str = ""
    except BillingError as error:
        trouble = error.sentence
    identifiers = tuple(Identifier(one.kind, one.value) for one in identity.found if not one.is_weak)
    return Device(found.board.name, identifiers, HooksStore(store_of(found, machine, data)), trouble)


@dataclass(frozen=True, slots=True)
class HooksStore:
    """The persistent store, once the firmware's hooks have made it: a machine on which none ran, has none."""

    store: PersistentStore

    def read(self, name: str) -> bytes | None:
        """A record, None where there is none."""
        return self.store.read(name)

    def write(self, name: str, data: bytes) -> None:
        """Keep a record.

        Raises:
            BillingError: it cannot be written.
        """
        if self.store.directory.is_dir():
            self.store.write(name, data)


def this_build() -> Build:
    """What was put into this build of the product."""
    return Build(__version__, RELEASED_MS, vendor_key(), revoked_certificates())


def vendor_key() -> bytes:
    """The vendor's root public key, 32 bytes: what the build was given, empty where it was given none.

    A build without one is no product, but one for development: it takes the key of the file that
    COOVOX_VENDOR_KEY names.

    Raises:
        BillingError: the file holds no such key.
    """
    for folder in _vendor_folders():
        if (folder / KEY_FILE).is_file():
            return _read_key(folder / KEY_FILE)
    named = os.environ.get(KEY_VARIABLE, "")
    return _read_key(Path(named)) if named else b""


def revoked_certificates() -> frozenset[int]:
    """The serial numbers in `revoked` beside the vendor's key: one a line, `#` before a remark.

    Raises:
        SetupError: a line holds something else.
    """
    for folder in _vendor_folders():
        if (folder / REVOKED_FILE).is_file():
            lines = (folder / REVOKED_FILE).read_text(encoding="utf-8").splitlines()
            words = [line.partition("#")[0].strip() for line in lines]
            if not all(word.isdecimal() for word in words if word):
                raise SetupError("%(file)s must hold serial numbers alone", file=folder / REVOKED_FILE)
            return frozenset(int(word) for word in words if word)
    return frozenset()


def _vendor_folders() -> tuple[Path, ...]:
    """Where a build has what the vendor gave it: within the wheel, or in the checkout."""
    return _PACKAGE / "shared/vendor", _PACKAGE.parent / "license/vendor"


def _read_key(path: Path) -> bytes:
    from coovox_billing.core import license as licenses

    try:
        return licenses.parse_public_key(licenses.text_of(path.read_bytes()), "root").key
    except OSError as error:
        why: str = error.strerror or "it cannot be read"
    except licenses.LicenseError as error:
        why = made_of(error.message, error.values)
    raise SetupError("the vendor's key %(path)s: %(why)s", path=path, why=why)
