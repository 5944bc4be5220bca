"""From the source file of a device to its license: who gets one, who has one, and what is refused."""

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from coovox_billing.core.license import (
    Certificate,
    License,
    Source,
    check_device,
    fitting_text,
    parse_license,
    parse_source,
    render_license,
)
from coovox_license.files import EXPECTED, Prepared, Refused, read_text, shown, words_of
from coovox_license.journal import Journal
from coovox_license.register import Issued, Register, Relative, entry_of

# What a browser calls the file when nobody names it: `billing.ac`, `billing (1).ac`.
_UNNAMED = "billing"


@dataclass(frozen=True, slots=True)
class Wish:
    """What the distributor asked for, beside the source files."""

    issued_to: str | None = None
    again: bool = False
    replaces: str | None = None
    is_new_device: bool = False
    reason: str = ""
    folder: Path | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a source file. `verdict`: issued, again, replaced, or refused; then there is `why`, no license."""

    file: Path
    verdict: str
    why: str = ""
    source: Source | None = None
    license: License | None = None
    written: Path | None = None

    def __str__(self) -> str:
        license = self.license
        if license is None:
            return f"{shown(self.file)}: {self.why}"
        ways = {"again": ", once more", "replaced": f", in place of {license.replaces}"}
        way = ways.get(self.verdict, "")
        return f"{shown(self.file)}: license {license.number} for {license.issued_to}{way}: {shown(self.written)}"


class Issuer:
    """A distributor who may sign now, with the register held open."""

    def __init__(self, key: Ed25519PrivateKey, certificate: Certificate, journal: Journal) -> None:
        self._key = key
        self._certificate = certificate
        self._journal = journal
        self._register = Register(journal.entries)

    def issue_all(self, files: Iterable[Path], wish: Wish, now_ms: int) -> Iterator[Outcome]:
        """A license for each file; one that is refused does not stop the others."""
        return (self._outcome(file, wish, now_ms) for file in files)

    def _outcome(self, file: Path, wish: Wish, now_ms: int) -> Outcome:
        source = None
        try:
            source = parse_source(read_text(file))
            return self.issue(file, source, wish, now_ms)
        except EXPECTED as error:
            return Outcome(file, "refused", words_of(error), source=source)

    def issue(self, file: Path, source: Source, wish: Wish, now_ms: int) -> Outcome:
        """The license of one device: entered into the register, then given its name.

        Raises:
            Refused: the device has a license, or parts of one that has, and nobody said what is meant.
            LicenseError: the customer's name cannot be used.
        """
        verdict, earlier = _judge(self._register, source, wish)
        license = License(
            number=self._register.next_number(self._certificate.serial),
            board=source.board,
            issued_to=_customer(file, wish, earlier),
            issued_at_ms=now_ms,
            replaces=earlier.number if earlier else None,
            identifiers=source.identifiers,
            certificate=self._certificate,
        )
        if earlier and verdict == "again":
            license = replace(license, number=earlier.number, replaces=earlier.replaces)
        text = render_license(license, self._key.sign)
        check_device(parse_license(text), source.identifiers)
        written = (wish.folder or file.parent) / f"coovox-billing-{license.number}.license"
        entry = entry_of(license, source, file.name, wish.reason)
        with Prepared(written, text.encode()):
            self._journal.append(entry)
            self._register.add(entry)
        return Outcome(file, verdict, source=source, license=license, written=written)


def source_files(paths: Iterable[Path]) -> list[Path]:
    """The files that were named, and the `.ac` files of the folders that were.

    Raises:
        Refused: a folder has none.
    """
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(file for file in path.iterdir() if file.suffix.lower() == ".ac" and file.is_file())
        if not inside:
            raise Refused(f"{shown(path)} holds no .ac file")
        found += inside
    return found


def _judge(register: Register, source: Source, wish: Wish) -> tuple[str, Issued | None]:
    """What is done, and the earlier license that it concerns."""
    same = register.of_same_device(source)
    if same:
        if not wish.again:
            raise Refused(f"this device has {same}: add --again to hand the same number out again")
        return "again", same
    relatives = register.relatives(source)
    if wish.replaces is not None:
        return "replaced", _replaceable(register, relatives, wish.replaces)
    if relatives and not wish.is_new_device:
        raise Refused(_told(relatives[0]))
    return "issued", None


def _replaceable(register: Register, relatives: list[Relative], number: str) -> Issued:
    earlier = register.find(number)
    if newer := register.replaced_by(number):
        raise Refused(f"license {number} was replaced by {newer} already: name that one")
    if relatives and number not in [relative.issued.number for relative in relatives]:
        raise Refused(f"{_told(relatives[0])}; it has nothing in common with {number}")
    return earlier


def _told(relative: Relative) -> str:
    comparison, issued = relative.comparison, relative.issued
    shares = f"this device has {len(comparison.matching)} of the {comparison.named} identifiers of {issued}"
    if relative.replaced_by:
        return f"{shares}, which {relative.replaced_by} replaced: name that one with --replaces, or add --new-device"
    holds = "goes on being valid on it" if comparison.enough else "is not valid on it any more"
    return (
        f"{shares}, which {holds}: after a repair add --replaces {issued.number} --reason TEXT, "
        "for another device --new-device --reason TEXT"
    )


def _customer(file: Path, wish: Wish, earlier: Issued | None) -> str:
    if wish.issued_to is not None:
        return fitting_text(unicodedata.normalize("NFC", wish.issued_to))
    if earlier:
        return earlier.issued_to
    name = file.stem.strip()
    if name.lower().startswith(_UNNAMED) and not any(sign.isalpha() for sign in name[len(_UNNAMED) :]):
        raise Refused("whose license it is, is not said: add --to NAME, or name the file after the customer")
    return fitting_text(unicodedata.normalize("NFC", name))
