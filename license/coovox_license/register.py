"""What was issued to whom: which device has a license already, and which has parts of one that has.

An entry is one file that was handed out. A license may be handed out again
under its number; the newest entry of a number is what counts.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from coovox_billing.core.license import Comparison, Identifier, License, Source, compare
from coovox_license.files import Refused
from coovox_license.journal import Entry
from coovox_license.words import utc


@dataclass(frozen=True, slots=True)
class Issued:
    """A license in the register."""

    number: str
    issued_to: str
    issued_at_ms: int
    board: str
    identifiers: tuple[Identifier, ...]
    replaces: str | None
    reason: str
    request: str

    def __str__(self) -> str:
        return f"license {self.number} ({self.issued_to}, {utc(self.issued_at_ms)})"


@dataclass(frozen=True, slots=True)
class Relative:
    """A license that names some of a device's identifiers, and the number of the one that replaced it, if any."""

    issued: Issued
    comparison: Comparison
    replaced_by: str | None


class Register:
    """The licenses in a journal's entries."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._newest: dict[str, Issued] = {}
        self._replaced_by: dict[str, str] = {}
        self._numbers_of: defaultdict[Identifier, set[str]] = defaultdict(set)
        for entry in entries:
            self.add(entry)

    def add(self, entry: Entry) -> None:
        """Know one more.

        Raises:
            Refused: another version of the tool wrote it.
        """
        issued = _issued(entry)
        self._newest[issued.number] = issued
        if issued.replaces:
            self._replaced_by[issued.replaces] = issued.number
        for identifier in issued.identifiers:
            self._numbers_of[identifier].add(issued.number)

    @property
    def licenses(self) -> list[Issued]:
        """The newest entry of each number, in the order in which the numbers were given."""
        return list(self._newest.values())

    def find(self, number: str) -> Issued:
        """The license with this number.

        Raises:
            Refused: there is none.
        """
        if number not in self._newest:
            raise Refused(f"the register holds no license {number}: `coovox-license register list` shows all")
        return self._newest[number]

    def replaced_by(self, number: str) -> str | None:
        """The number of the license that replaced this one."""
        return self._replaced_by.get(number)

    def of_same_device(self, source: Source) -> Issued | None:
        """The license that names exactly these identifiers and was not replaced; the newest."""
        same = [one for one in self._sharing(source) if set(one.identifiers) == set(source.identifiers)]
        return next((one for one in reversed(same) if not self.replaced_by(one.number)), None)

    def relatives(self, source: Source) -> list[Relative]:
        """The licenses that name at least one of these identifiers: first those in force, then those with most."""
        found = [
            Relative(one, compare(one.identifiers, source.identifiers), self.replaced_by(one.number))
            for one in self._sharing(source)
        ]
        return sorted(found, key=lambda one: (one.replaced_by is not None, -len(one.comparison.matching)))

    def _sharing(self, source: Source) -> list[Issued]:
        """The licenses that share an identifier with a device, in the order in which their numbers were given."""
        numbers = set().union(*(self._numbers_of.get(identifier, ()) for identifier in source.identifiers))
        return [self._newest[number] for number in sorted(numbers, key=_running)]

    def next_number(self, serial: int) -> str:
        """The next license number under a certificate: its serial number, and a running one that never repeats."""
        last = max(map(_running, self._newest), default=0)
        return f"{serial}-{last + 1:06d}"


def entry_of(license: License, source: Source, file: str, reason: str) -> Entry:
    """What the register keeps of a license that is handed out."""
    return {
        "number": license.number,
        "issued_to": license.issued_to,
        "issued_at_ms": license.issued_at_ms,
        "board": license.board,
        "version": source.version,
        "identifiers": [f"{identifier.kind} {identifier.digest}" for identifier in license.identifiers],
        "replaces": license.replaces,
        "reason": reason,
        "request": source.request,
        "made_at_ms": source.made_at_ms,
        "certificate": license.certificate.serial,
        "file": file,
    }


def _running(number: str) -> int:
    return int(number.rpartition("-")[2])


def _issued(entry: Entry) -> Issued:
    try:
        return Issued(
            number=entry["number"],
            issued_to=entry["issued_to"],
            issued_at_ms=entry["issued_at_ms"],
            board=entry["board"],
            identifiers=tuple(Identifier(*text.split(" ")) for text in entry["identifiers"]),
            replaces=entry["replaces"],
            reason=entry["reason"],
            request=entry["request"],
        )
    except (KeyError, TypeError, AttributeError):
        raise Refused("the register was written by another version of coovox-license: use that one") from None
