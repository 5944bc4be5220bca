"""The files that make billing permanent, written and checked: source, public key, certificate, license (DESIGN §7).

A device tells its hashed hardware identifiers in a source file; a distributor
answers with a license that names them, signed by a key that the vendor's root
key certified. Every file is text, and of each content there is exactly one
spelling: `license/README.md` has it byte by byte. Where private keys are kept,
and what was issued to whom, is left to the distributor's tool, which carries a
copy of this module; so it imports nothing of ours.
"""

import base64
import hashlib
import re
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

PRODUCT = "coovox-billing"
FORMAT = 1

# Far above what any of these files can hold; what is larger is not even looked at.
MAX_BYTES = 16_384
# With one identifier, whoever copies that one thing has a copy of the license. Two leave no room for a repair
# (both must match), three do, but many small boards have no third.
LEAST_IDENTIFIERS = 2
MOST_IDENTIFIERS = 32
# With the longest name of a line, this fits into the 76 columns at which mail programs break lines.
MAX_TEXT_CHARACTERS = 56
ROLES = ("root", "distributor")

_SOURCE = "CooVox Billing source"
_LICENSE = "CooVox Billing license"
_CERTIFICATE = "CooVox Billing distributor certificate"
_PUBLIC_KEY = "CooVox Billing public key"

_KEY_BYTES = 32
_SIGNATURE_BYTES = 64
_SIGNATURE_LINE_CHARACTERS = 44
_END_MS = 7_258_118_400_000  # The year 2200.
_NONE = "none"

_KIND = re.compile(r"[a-z][a-z0-9-]{0,19}")
_DIGEST = re.compile(r"[0-9a-f]{32}")
_CHECKSUM = re.compile(r"[0-9a-f]{64}")
_NUMBER = re.compile(r"[0-9A-Z]{1,12}(?:-[0-9A-Z]{1,12}){0,3}")
_SERIAL = re.compile(r"[1-9][0-9]{0,8}")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_PLAIN_TEXT = re.compile(r"[!-~](?:[ -~]{0,54}[!-~])?")
# What is not seen, or makes a text look like another: controls, every blank but the space, marks of direction,
# variation selectors, fillers, tags, surrogates, private use.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\xa0\xad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f"
    "\u205f-\u206f\u2800\u3000\u3164\ud800-\uf8ff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\uffff\U0001d173-\U0001d17a"
    "\U000e0000-\U0010ffff]"
)
# Which values makers leave in unfilled fields, the room that reads them knows; this is the last guard.
_LEAST_VALUE_CHARACTERS = 4
_LEAST_VALUE_VARIETY = 3

Sign = Callable[[bytes], bytes]


class LicenseError(ValueError):
    """The root of all errors here: `message`, an English sentence in which `%(name)s` stands for one of `values`."""

    def __init__(self, message: str, /, **values: object) -> None:
        self.message, self.values = message, values
        super().__init__(message % values if values else message)


class Damaged(LicenseError):
    """Something was lost, added or changed since the file was made."""


class WrongFile(LicenseError):
    """It is a file of another kind, or none of ours."""


class OtherFormat(LicenseError):
    """It is written in a format that this version does not read."""


class OtherProduct(LicenseError):
    """It is meant for another product."""


class UnknownIssuer(LicenseError):
    """No distributor that the vendor certified has signed it."""


class OutOfPeriod(LicenseError):
    """The distributor's certificate did not allow to issue licenses at that time."""


class Revoked(LicenseError):
    """The vendor has withdrawn the distributor's certificate."""


class OtherDevice(LicenseError):
    """It was issued for a device with other hardware."""


class TooFewIdentifiers(LicenseError):
    """A device does not tell enough of itself to be told from others."""


class Unfit(LicenseError):
    """A value that was given cannot stand in a file."""


@dataclass(frozen=True, slots=True, order=True)
class Identifier:
    """One thing that a device is known by: its kind (`mac`, `board-serial`), and the hash of its value."""

    kind: str
    digest: str


@dataclass(frozen=True, slots=True)
class Source:
    """What a device says of itself in `billing.ac`. Times are ms since 1970 in UTC; files keep whole seconds.

    `request` is random, 32 hexadecimal digits, so that two downloads can be told apart.
    """

    board: str
    version: str
    made_at_ms: int
    first_activation_ms: int | None
    request: str
    identifiers: tuple[Identifier, ...]
    product: str = PRODUCT


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key (32 bytes), whose it is, and for what: one of `ROLES`."""

    role: str
    owner: str
    key: bytes
    product: str = PRODUCT


@dataclass(frozen=True, slots=True)
class Certificate:
    """The vendor's word that a distributor may issue licenses from one time up to and including another."""

    distributor: str
    serial: int
    key: bytes
    from_ms: int
    until_ms: int
    signature: bytes = b""
    product: str = PRODUCT


@dataclass(frozen=True, slots=True)
class License:
    """A license for the device with these identifiers. `replaces` is the number of the one before a repair."""

    number: str
    board: str
    issued_to: str
    issued_at_ms: int
    replaces: str | None
    identifiers: tuple[Identifier, ...]
    certificate: Certificate
    signature: bytes = b""
    product: str = PRODUCT


@dataclass(frozen=True, slots=True)
class Comparison:
    """Which of the identifiers that a license names a device has, and which it lacks."""

    matching: tuple[Identifier, ...]
    missing: tuple[Identifier, ...]

    @property
    def named(self) -> int:
        """How many the license names."""
        return len(self.matching) + len(self.missing)

    @property
    def enough(self) -> bool:
        """Whether it is the same device: at least two thirds match, so that a repair does not end a license."""
        return self.named > 0 and 3 * len(self.matching) >= 2 * self.named


def identifier_digest(kind: str, value: str) -> str:
    """The hash by which a hardware identifier is known: 32 hexadecimal digits, other ones for another product or kind.

    Only ASCII letters and digits of the value count, and not their case, for a
    MAC address or a UUID is written in many ways.

    Raises:
        Unfit: the kind is no kind, or the value tells no device from another: too short, or all zeros.
    """
    if not _KIND.fullmatch(kind):
        raise Unfit("%(kind)s is no kind of identifier", kind=repr(kind[:40]))
    plain = "".join(re.findall(r"[0-9A-Za-z]+", value)).lower()
    if len(plain) < _LEAST_VALUE_CHARACTERS or len(set(plain)) < _LEAST_VALUE_VARIETY:
        raise Unfit("%(kind)s %(value)s tells no device from another", kind=kind, value=repr(value[:40]))
    return hashlib.sha256(f"{PRODUCT} identifier {FORMAT}\n{kind}\n{plain}".encode("ascii")).hexdigest()[:32]


def compare(named: Iterable[Identifier], found: Iterable[Identifier]) -> Comparison:
    """What a license names, against what a device has; each counts once, in order."""
    wanted, here = sorted(set(named)), set(found)
    return Comparison(tuple(i for i in wanted if i in here), tuple(i for i in wanted if i not in here))


def text_of(data: bytes) -> str:
    """The text of a file, without looking at more than the first bytes of one that is too large.

    Raises:
        Damaged: too large, or no text.
    """
    if len(data) > MAX_BYTES:
        raise Damaged("the file is larger than %(most)s bytes: it is none of CooVox Billing's", most=MAX_BYTES)
    if data.startswith((b"PK", b"\x1f\x8b", b"7z", b"Rar!", b"BZh")):
        raise Damaged("the file is packed: unpack it first")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise Damaged("the file is not plain text: take it as it was sent, without opening and saving it")
    return text


def render_source(source: Source) -> str:
    """The text of a device's source file, `billing.ac`.

    Raises:
        TooFewIdentifiers: the device has fewer than two distinct ones.
        Unfit: something cannot stand in the file.
    """
    body = _source_body(source)
    return f"{body}Checksum: {_checksum(body)}\n"


def parse_source(text: str) -> Source:
    """What a source file says. Byte order mark, CRLF, blanks at the end of lines and empty lines at the end do no harm.

    Raises:
        WrongFile, OtherFormat, OtherProduct: it is no source file for this product that this version reads.
        Damaged: a character is not as the device wrote it.
        TooFewIdentifiers: it names fewer than two identifiers.
    """
    lines = _lines(text)
    if _kind_of(lines) == _LICENSE:
        raise WrongFile("this is a license file: upload it on the device, a license is made from its billing.ac")
    if _kind_of(lines) != _SOURCE:
        raise WrongFile("this is no source file: ask for the file billing.ac that the device lets download")
    reader = _Reader(lines)
    try:
        source = _read_source(reader)
        body = _source_body(source)
        reader.end(f"{body}Checksum: {reader.one('Checksum', _CHECKSUM)}\n")
    except (_Fault, Unfit):
        raise Damaged(
            "the source file was damaged on its way, see line %(line)s: have it downloaded again and sent as it is",
            line=reader.line,
        ) from None
    if lines[-1] != f"Checksum: {_checksum(body)}":
        raise Damaged(
            "the source file was damaged on its way, its checksum is wrong: have it downloaded again and sent as it is"
        )
    _check_product(source.product)
    return source


def render_public_key(public: PublicKey, sign: Sign) -> str:
    """The text of a public key's file, signed by its private half.

    Raises:
        Unfit: something cannot stand in the file.
    """
    body = _public_key_body(public)
    return body + _signature_lines("Signature", sign(body.encode()))


def parse_public_key(text: str, role: str) -> PublicKey:
    """The public key of a file, in the role for which it is asked.

    Raises:
        WrongFile, OtherFormat, OtherProduct: it is no public key for this product that this version reads.
        Damaged: it is not as it was made.
    """
    lines = _lines(text)
    if _kind_of(lines) != _PUBLIC_KEY:
        raise WrongFile("this is no public key")
    reader = _Reader(lines)
    try:
        public = PublicKey(
            product=reader.head(_PUBLIC_KEY),
            role=reader.one("Role"),
            owner=reader.text("Owner"),
            key=reader.bytes_of("Key", 1, _KEY_BYTES),
        )
        signature = reader.bytes_of("Signature", 2, _SIGNATURE_BYTES)
        body = _public_key_body(public)
        reader.end(body + _signature_lines("Signature", signature))
    except (_Fault, Unfit):
        line = reader.line
        raise Damaged("the public key was damaged, see line %(line)s: ask for it again", line=line) from None
    if not _is_signed(public.key, signature, body):
        raise Damaged("the public key was damaged or changed: ask for it again")
    _check_product(public.product)
    if public.role != role:
        raise WrongFile("this is the public key of a %(found)s, not of a %(wanted)s", found=public.role, wanted=role)
    return public


def render_certificate(certificate: Certificate, sign: Sign) -> str:
    """The text of a distributor's certificate, signed by the vendor's root key; its own `signature` does not count.

    Raises:
        Unfit: something cannot stand in the file.
    """
    body = _certificate_body(certificate)
    return body + _signature_lines("Root signature", sign(body.encode()))


def parse_certificate(text: str) -> Certificate:
    """What a certificate says, true or not: `check_issuer` asks who signed it.

    Raises:
        WrongFile, OtherFormat: it is no certificate that this version reads.
        Damaged: it is not spelled as certificates are.
    """
    lines = _lines(text)
    if _kind_of(lines) != _CERTIFICATE:
        raise WrongFile("this is no distributor's certificate")
    reader = _Reader(lines)
    try:
        certificate = _read_certificate(reader)
        reader.end(_certificate_text(certificate))
    except (_Fault, Unfit):
        line = reader.line
        raise Damaged("the certificate was damaged, see line %(line)s: ask for it again", line=line) from None
    return certificate


def check_issuer(certificate: Certificate, root_key: bytes, revoked: Set[int] = frozenset()) -> None:
    """Whether the vendor allows this distributor to issue licenses; `revoked` are serial numbers of certificates.

    Raises:
        OtherProduct: it is for licenses of another product.
        UnknownIssuer: another than the vendor's root key, of 32 bytes, has signed it.
        Revoked: it was withdrawn.
    """
    _check_product(certificate.product)
    body = _certificate_body(certificate)
    if certificate.key == root_key or not _is_signed(root_key, certificate.signature, body):
        raise UnknownIssuer(
            "%(distributor)s (certificate %(serial)s) is no distributor that CooVox has certified: ask another one",
            distributor=certificate.distributor,
            serial=certificate.serial,
        )
    if certificate.serial in revoked:
        raise Revoked(
            "CooVox has revoked certificate %(serial)s of the distributor %(distributor)s: ask for a new license",
            serial=certificate.serial,
            distributor=certificate.distributor,
        )


def check_period(certificate: Certificate, issued_at_ms: int) -> None:
    """Whether a license could be issued at that time. It says nothing about today: a license never expires.

    Raises:
        OutOfPeriod: it could not.
    """
    if not certificate.from_ms <= issued_at_ms <= certificate.until_ms:
        raise OutOfPeriod(
            "issued on %(issued)s, but %(distributor)s may issue licenses from %(first)s to %(last)s only",
            issued=_moment(issued_at_ms),
            distributor=certificate.distributor,
            first=_moment(certificate.from_ms),
            last=_moment(certificate.until_ms),
        )


def render_license(license: License, sign: Sign) -> str:
    """The text of a license, signed by the key that its certificate names; its own `signature` does not count.

    Raises:
        TooFewIdentifiers: it names fewer than two distinct identifiers.
        Unfit: something cannot stand in the file.
    """
    body = _license_body(license)
    return body + _signature_lines("Signature", sign(body.encode()))


def parse_license(text: str) -> License:
    """What an undamaged license says. Who issued it is `check_issuer`'s question, for whom, `check_device`'s.

    Raises:
        WrongFile, OtherFormat, OtherProduct: it is no license for this product that this version reads.
        Damaged: it is not as its issuer signed it.
        TooFewIdentifiers: it names fewer than two identifiers.
    """
    lines = _lines(text)
    if _kind_of(lines) == _SOURCE:
        raise WrongFile("this is a source file, not a license: send it to your distributor, who answers with a license")
    if _kind_of(lines) != _LICENSE:
        raise WrongFile("this is no license file: upload the file that your distributor sent")
    reader = _Reader(lines)
    try:
        license = _read_license(reader)
        body = _license_body(license)
        reader.end(body + _signature_lines("Signature", license.signature))
    except (_Fault, Unfit):
        raise Damaged(
            "the license file was damaged or changed, see line %(line)s: ask your distributor to send it again",
            line=reader.line,
        ) from None
    if not _is_signed(license.certificate.key, license.signature, body):
        raise Damaged("the license file was damaged or changed: ask your distributor to send it again")
    _check_product(license.product)
    return license


def check_device(license: License, identifiers: Iterable[Identifier]) -> Comparison:
    """Whether a license is for the device that has these identifiers.

    Raises:
        TooFewIdentifiers: the device has fewer than two distinct ones.
        OtherDevice: fewer than two thirds of those that the license names are among them.
    """
    here = set(identifiers)
    if len(here) < LEAST_IDENTIFIERS:
        raise TooFewIdentifiers(
            "this machine tells only %(found)s of itself where %(least)s are needed, so no license can be bound to it",
            found=len(here),
            least=LEAST_IDENTIFIERS,
        )
    comparison = compare(license.identifiers, here)
    if not comparison.enough:
        raise OtherDevice(
            "license %(number)s is for another device (%(board)s): %(matching)s of the %(named)s hardware identifiers "
            "that it names match, two thirds must",
            number=license.number,
            board=license.board,
            matching=len(comparison.matching),
            named=comparison.named,
        )
    return comparison


def verify_license(
    text: str, root_key: bytes, identifiers: Iterable[Identifier], revoked: Set[int] = frozenset()
) -> License:
    """The license of this text, if it is valid on the device with these identifiers.

    `root_key` is the vendor's, 32 bytes; `revoked` are serial numbers of certificates.

    Raises:
        LicenseError: what `parse_license`, `check_issuer`, `check_period` and `check_device` raise, in this order.
    """
    license = parse_license(text)
    check_issuer(license.certificate, root_key, revoked)
    check_period(license.certificate, license.issued_at_ms)
    check_device(license, identifiers)
    return license


class _Fault(Exception):
    """The line that the reader stands at is not as it must be."""


class _Reader:
    """Reads `Name: value` lines in their only order. `line` is the number of the one that it looks at."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._next = 0
        self.line = 1

    def head(self, kind: str) -> str:
        """The product, from the three lines that every file begins with."""
        if self.one("File") != kind:
            raise _Fault
        found = self.one("Format")
        if not re.fullmatch(r"[0-9]{1,9}", found):
            raise _Fault
        if found != str(FORMAT):
            raise OtherFormat(
                "the file is written in format %(found)s, this version reads format %(known)s",
                found=found,
                known=FORMAT,
            )
        return self.one("Product", _PLAIN_TEXT)

    def one(self, name: str, pattern: re.Pattern[str] | None = None) -> str:
        """The value of the next line, which must have this name and fit the pattern."""
        values = self.several(name, 1)
        if not values or (pattern and not pattern.fullmatch(values[0])):
            raise _Fault
        return values[0]

    def several(self, name: str, most: int) -> list[str]:
        """The values of the next lines with this name, up to so many."""
        found: list[str] = []
        start = f"{name}: "
        self.line = self._next + 1
        while len(found) < most and self._next < len(self._lines) and self._lines[self._next].startswith(start):
            found.append(self._lines[self._next][len(start) :])
            self._next += 1
        return found

    def text(self, name: str) -> str:
        """The name of a person, a site or a distributor."""
        try:
            return fitting_text(self.one(name))
        except Unfit:
            raise _Fault from None

    def is_none(self, name: str) -> bool:
        """Whether the next line says that there is none; then it is passed over."""
        said = self._next < len(self._lines) and self._lines[self._next] == f"{name}: {_NONE}"
        self._next += said
        return said

    def moment_ms(self, name: str) -> int:
        """The instant in the next line, ms since 1970 in UTC."""
        try:
            moment = datetime.fromisoformat(self.one(name, _MOMENT))
        except ValueError:
            raise _Fault from None
        return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)

    def identifiers(self) -> tuple[Identifier, ...]:
        """All identifiers that follow."""
        pairs = [value.partition(" ") for value in self.several("Identifier", MOST_IDENTIFIERS)]
        if not all(_KIND.fullmatch(kind) and _DIGEST.fullmatch(digest) for kind, _, digest in pairs):
            raise _Fault
        return tuple(Identifier(kind, digest) for kind, _, digest in pairs)

    def bytes_of(self, name: str, lines: int, size: int) -> bytes:
        """The bytes that are in base64 in so many lines with this name."""
        text = "".join(self.one(name) for _ in range(lines))
        try:
            data = base64.b64decode(text.encode("ascii"), validate=True)
        except ValueError:
            data = b""
        if len(data) != size:
            raise _Fault
        return data

    def end(self, only_spelling: str) -> None:
        """Nothing follows, and all was spelled in the only way."""
        wanted = only_spelling.split("\n")[:-1]
        if self._lines != wanted:
            pairs = enumerate(zip(self._lines, wanted, strict=False), 1)
            self.line = next((line for line, (found, right) in pairs if found != right), len(wanted) + 1)
            raise _Fault


def _lines(text: str) -> list[str]:
    """The lines, without what mail programs and editors add."""
    if len(text) > MAX_BYTES:
        raise Damaged("the file is larger than %(most)s bytes: it is none of CooVox Billing's", most=MAX_BYTES)
    lines = [line.rstrip(" \t") for line in text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise Damaged("the file is empty: take it as it was sent")
    return lines


def _kind_of(lines: list[str]) -> str:
    return lines[0].removeprefix("File: ")


def _head(kind: str, product: str) -> str:
    return f"File: {kind}\nFormat: {FORMAT}\nProduct: {_plain(product)}\n"


def _source_body(source: Source) -> str:
    first_ms = source.first_activation_ms
    return (
        _head(_SOURCE, source.product)
        + (
            f"Version: {_plain(source.version)}\n"
            f"Board: {_plain(source.board)}\n"
            f"Made: {_moment(source.made_at_ms)}\n"
            f"First activation: {_NONE if first_ms is None else _moment(first_ms)}\n"
            f"Request: {_fitting(_DIGEST, source.request)}\n"
        )
        + _identifier_lines(source.identifiers)
    )


def _read_source(reader: _Reader) -> Source:
    product = reader.head(_SOURCE)
    version, board = reader.one("Version", _PLAIN_TEXT), reader.one("Board", _PLAIN_TEXT)
    return Source(
        product=product,
        version=version,
        board=board,
        made_at_ms=reader.moment_ms("Made"),
        first_activation_ms=None if reader.is_none("First activation") else reader.moment_ms("First activation"),
        request=reader.one("Request", _DIGEST),
        identifiers=reader.identifiers(),
    )


def _public_key_body(public: PublicKey) -> str:
    if public.role not in ROLES:
        raise Unfit("%(role)s is no role of a key", role=repr(public.role[:40]))
    return _head(_PUBLIC_KEY, public.product) + (
        f"Role: {public.role}\nOwner: {fitting_text(public.owner)}\nKey: {_base64(public.key)}\n"
    )


def _certificate_body(certificate: Certificate) -> str:
    return _head(_CERTIFICATE, certificate.product) + (
        f"Distributor: {fitting_text(certificate.distributor)}\n"
        f"Certificate: {_fitting(_SERIAL, str(certificate.serial))}\n"
        f"Key: {_base64(certificate.key)}\n"
        f"May issue from: {_moment(certificate.from_ms)}\n"
        f"May issue until: {_moment(certificate.until_ms)}\n"
    )


def _certificate_text(certificate: Certificate) -> str:
    return _certificate_body(certificate) + _signature_lines("Root signature", certificate.signature)


def _read_certificate(reader: _Reader) -> Certificate:
    return Certificate(
        product=reader.head(_CERTIFICATE),
        distributor=reader.text("Distributor"),
        serial=int(reader.one("Certificate", _SERIAL)),
        key=reader.bytes_of("Key", 1, _KEY_BYTES),
        from_ms=reader.moment_ms("May issue from"),
        until_ms=reader.moment_ms("May issue until"),
        signature=reader.bytes_of("Root signature", 2, _SIGNATURE_BYTES),
    )


def _license_body(license: License) -> str:
    replaces = _NONE if license.replaces is None else _fitting(_NUMBER, license.replaces)
    return (
        _head(_LICENSE, license.product)
        + (
            f"License: {_fitting(_NUMBER, license.number)}\n"
            f"Replaces: {replaces}\n"
            f"Issued to: {fitting_text(license.issued_to)}\n"
            f"Issued: {_moment(license.issued_at_ms)}\n"
            f"Board: {_plain(license.board)}\n"
        )
        + _identifier_lines(license.identifiers)
        + _certificate_text(license.certificate)
    )


def _read_license(reader: _Reader) -> License:
    return License(
        product=reader.head(_LICENSE),
        number=reader.one("License", _NUMBER),
        replaces=None if reader.is_none("Replaces") else reader.one("Replaces", _NUMBER),
        issued_to=reader.text("Issued to"),
        issued_at_ms=reader.moment_ms("Issued"),
        board=reader.one("Board", _PLAIN_TEXT),
        identifiers=reader.identifiers(),
        certificate=_read_certificate(reader),
        signature=reader.bytes_of("Signature", 2, _SIGNATURE_BYTES),
    )


def _identifier_lines(identifiers: Iterable[Identifier]) -> str:
    distinct = sorted(set(identifiers))
    if len(distinct) < LEAST_IDENTIFIERS:
        raise TooFewIdentifiers(
            "the device tells only %(found)s of itself where %(least)s are needed to know it again",
            found=len(distinct),
            least=LEAST_IDENTIFIERS,
        )
    if len(distinct) > MOST_IDENTIFIERS:
        raise Unfit("a device can have %(most)s identifiers, not more", most=MOST_IDENTIFIERS)
    return "".join(f"Identifier: {_fitting(_KIND, i.kind)} {_fitting(_DIGEST, i.digest)}\n" for i in distinct)


def fitting_text(text: str) -> str:
    """A name that may stand in a file: of people's scripts, without what is not seen, up to 56 characters.

    Raises:
        Unfit: it may not.
    """
    if text != text.strip(" ") or not 0 < len(text) <= MAX_TEXT_CHARACTERS:
        raise Unfit(
            "%(text)s cannot be used: 1 to %(most)s characters, without blanks around them",
            text=ascii(text[:80]),
            most=MAX_TEXT_CHARACTERS,
        )
    if unseen := _UNSEEN.search(text):
        code = f"U+{ord(unseen[0]):04X}"
        raise Unfit("%(text)s cannot be used: it holds %(code)s, which nobody sees", text=ascii(text), code=code)
    return text


def _plain(text: str) -> str:
    return _fitting(_PLAIN_TEXT, text)


def _fitting(pattern: re.Pattern[str], text: str) -> str:
    if not pattern.fullmatch(text):
        raise Unfit("%(text)s cannot stand in the file", text=ascii(text[:80]))
    return text


def _moment(instant_ms: int) -> str:
    if not 0 <= instant_ms < _END_MS:
        raise Unfit("%(instant)s ms is not in the years 1970 to 2199", instant=instant_ms)
    return (datetime(1970, 1, 1) + timedelta(seconds=instant_ms // 1000)).isoformat() + "Z"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _signature_lines(name: str, signature: bytes) -> str:
    text = _base64(signature)
    starts = range(0, len(text), _SIGNATURE_LINE_CHARACTERS)
    return "".join(f"{name}: {text[start : start + _SIGNATURE_LINE_CHARACTERS]}\n" for start in starts)


def _checksum(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()


def _is_signed(key: bytes, signature: bytes, body: str) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, body.encode())
    except (InvalidSignature, ValueError):
        return False
    return True


def _check_product(product: str) -> None:
    if product != PRODUCT:
        raise OtherProduct("the file is for %(product)s, not for %(ours)s", product=product, ours=PRODUCT)
