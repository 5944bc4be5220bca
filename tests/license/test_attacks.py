"""Whoever wants a license without paying: each attempt is refused, and nothing but a refusal comes of it."""

import base64
import os
import re
import tracemalloc
import zlib
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coovox_billing.core.license import (
    MAX_BYTES,
    Damaged,
    Identifier,
    LicenseError,
    OtherDevice,
    OtherFormat,
    OtherProduct,
    OutOfPeriod,
    Revoked,
    TooFewIdentifiers,
    UnknownIssuer,
    WrongFile,
    parse_source,
    render_certificate,
    render_source,
    text_of,
    verify_license,
)
from tests.license import cast
from tests.license.vectors import resigned, signed

ROOT = cast.public(cast.ROOT)
DEVICE = cast.identifiers(cast.SONNE)
LICENSE = cast.license_text(issued_to="Отель Sonne")
SOURCE = render_source(cast.source())
CERTIFICATE = render_certificate(cast.ACME, cast.ROOT.sign)


def upload(data: bytes) -> object:
    """What the device does with a file that somebody uploads."""
    return verify_license(text_of(data), ROOT, DEVICE, frozenset({13}))


def receive(data: bytes) -> object:
    """What the distributor's tool does with a source file."""
    return parse_source(text_of(data))


READERS = [(upload, LICENSE.encode()), (receive, SOURCE.encode())]


def survivors(read: Callable[[bytes], object], attempts: Iterator[bytes]) -> list[bytes]:
    """Attempts that were not refused. Any other error than a refusal fails the test."""
    found = []
    for attempt in attempts:
        try:
            read(attempt)
        except LicenseError:
            continue
        found.append(attempt)
    return found


def flipped(data: bytes) -> Iterator[bytes]:
    for at in range(len(data)):
        for bit in range(8):
            yield data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


@pytest.mark.parametrize(("read", "data"), READERS, ids=["license", "source"])
def test_it_refuses_every_flipped_bit(read: Callable[[bytes], object], data: bytes) -> None:
    assert read(data)
    assert survivors(read, flipped(data)) == []


@pytest.mark.parametrize(("read", "data"), READERS, ids=["license", "source"])
def test_it_refuses_what_was_cut_off_anywhere(read: Callable[[bytes], object], data: bytes) -> None:
    cut = survivors(read, (data[:length] for length in range(len(data))))
    assert cut == [data[:-1]], "only the last line's end is dispensable"
    cut = survivors(read, (data[start:] for start in range(1, len(data))))
    assert cut == []


@pytest.mark.parametrize(("read", "data"), READERS, ids=["license", "source"])
def test_it_refuses_every_dropped_doubled_or_exchanged_line(read: Callable[[bytes], object], data: bytes) -> None:
    lines = data.splitlines(keepends=True)

    def changed() -> Iterator[bytes]:
        for at, line in enumerate(lines):
            yield b"".join([*lines[:at], *lines[at + 1 :]])
            yield b"".join([*lines[:at], line, *lines[at:]])
            for other in range(at):
                mixed = lines.copy()
                mixed[at], mixed[other] = mixed[other], mixed[at]
                if mixed != lines:
                    yield b"".join(mixed)

    assert survivors(read, changed()) == []


@pytest.mark.parametrize(("read", "data"), READERS, ids=["license", "source"])
def test_it_refuses_every_byte_put_in_that_is_no_blank_at_the_end(read: Callable[[bytes], object], data: bytes) -> None:
    ends = {at for at, byte in enumerate(data) if byte == 0x0A} | {len(data)}

    def longer() -> Iterator[bytes]:
        for at in range(len(data) + 1):
            for byte in (b"\0", b"\n", b"\r", b" ", b"\t", b"0", b"=", b":", b"\x7f", b"\xe2\x80\xae", b"\xef\xbb\xbf"):
                is_blank_at_end = byte in (b" ", b"\t", b"\r") and at in ends
                is_empty_line_at_end = byte == b"\n" and at >= len(data) - 1
                if not (is_blank_at_end or is_empty_line_at_end or (byte == b"\xef\xbb\xbf" and at == 0)):
                    yield data[:at] + byte + data[at:]

    assert survivors(read, longer()) == []


@given(st.binary(max_size=400))
def test_it_refuses_garbage(data: bytes) -> None:
    for read, _ in READERS:
        assert survivors(read, iter([data])) == []


@given(st.text(max_size=200), st.integers(0, 2000), st.integers(0, 40))
def test_it_refuses_any_text_put_in_its_place(text: str, at: int, length: int) -> None:
    for read, data in READERS:
        plain = data.decode()
        mixed = plain[:at] + text + plain[at + length :]
        kept = [line.rstrip(" \t\r") for line in mixed.removeprefix("\ufeff").rstrip(" \t\r\n").split("\n")]
        try:
            read(mixed.encode("utf-8", "surrogatepass"))
        except LicenseError:
            continue
        assert kept == plain.splitlines()


def above_signature(text: str) -> str:
    """What a license's signature is made of."""
    return text.partition("\nSignature: ")[0] + "\n"


def nested(certificate: str) -> str:
    """Acme's license with another certificate in it, signed by Acme anew."""
    assert CERTIFICATE in LICENSE
    return signed(above_signature(LICENSE.replace(CERTIFICATE, certificate)))


def under(text: str, name: str) -> str:
    """Acme's license with the signature of another file."""
    lines = [line.replace(name, "Signature") for line in text.splitlines() if line.startswith(name)]
    assert len(lines) == 2
    return above_signature(LICENSE) + "\n".join(lines)


SECOND = f"Identifier: mac {DEVICE[1].digest}\n"
THIRD = f"Identifier: mac {DEVICE[2].digest}\n"
FORGED = cast.certificate(cast.STRANGER, cast.STRANGER)
ATTEMPTS = [
    ("signed by a stranger", cast.license_text(key=cast.STRANGER), Damaged),
    ("a stranger's own certificate", cast.license_text(key=cast.STRANGER, certificate=FORGED), UnknownIssuer),
    (
        "a certificate that a distributor gave a friend",
        cast.license_text(key=cast.STRANGER, certificate=cast.certificate(cast.STRANGER, cast.ACME_KEY)),
        UnknownIssuer,
    ),
    ("signed by the root key itself", cast.license_text(key=cast.ROOT), Damaged),
    (
        "the root key as distributor",
        cast.license_text(key=cast.ROOT, certificate=cast.certificate(cast.ROOT)),
        UnknownIssuer,
    ),
    ("a certificate as license", CERTIFICATE, WrongFile),
    (
        "a certificate that calls itself license",
        CERTIFICATE.replace("distributor certificate", "license"),
        Damaged,
    ),
    ("the certificate's signature as the license's", under(CERTIFICATE, "Root signature"), Damaged),
    ("another license's signature", under(cast.license_text(cast.MOND), "Signature"), Damaged),
    ("without certificate", nested(""), Damaged),
    ("two certificates", nested(CERTIFICATE * 2), Damaged),
    ("a certificate with a longer period", nested(CERTIFICATE.replace("2027-12-31", "2099-12-31")), UnknownIssuer),
    ("a certificate with another serial number", nested(CERTIFICATE.replace("e: 17", "e: 18")), UnknownIssuer),
    ("a revoked distributor", cast.license_text(certificate=cast.certificate(serial=13)), Revoked),
    ("an expired distributor", cast.license_text(issued_at_ms=cast.ACME.until_ms + 1000), OutOfPeriod),
    ("a distributor to come", cast.license_text(issued_at_ms=cast.ACME.from_ms - 1000), OutOfPeriod),
    ("another device's license", cast.license_text(cast.MOND), OtherDevice),
    (
        "another device's license, identifiers put in by hand",
        cast.license_text(cast.MOND).replace(
            "\n".join(f"Identifier: {i.kind} {i.digest}" for i in cast.identifiers(cast.MOND)),
            "\n".join(f"Identifier: {i.kind} {i.digest}" for i in DEVICE),
        ),
        Damaged,
    ),
    ("another product's license", cast.license_text(product="coovox-fax"), OtherProduct),
    ("a product that looks alike", resigned(LICENSE, "coovox-billing", "c\u043eovox-billing"), Damaged),
    ("a product in capitals", resigned(LICENSE, "coovox-billing", "CooVox-Billing"), OtherProduct),
    ("an older format", resigned(LICENSE, "Format: 1", "Format: 0"), OtherFormat),
    ("a newer format", resigned(LICENSE, "Format: 1", "Format: 2"), OtherFormat),
    ("format 01", resigned(LICENSE, "Format: 1", "Format: 01"), OtherFormat),
    ("format 1 in another script", resigned(LICENSE, "Format: 1", "Format: \u0661"), Damaged),
    ("no format", resigned(LICENSE, "Format: 1\n", ""), Damaged),
    ("an unknown line", resigned(LICENSE, "Replaces: none\n", "Replaces: none\nDevices: all\n"), Damaged),
    ("a doubled line", resigned(LICENSE, "Replaces: none\n", "Replaces: none\nReplaces: none\n"), Damaged),
    ("an exchanged line", resigned(LICENSE, "Issued: 2026", "issued: 2026"), Damaged),
    ("no identifiers", signed(above_signature(re.sub("Identifier: .*\n", "", LICENSE))), TooFewIdentifiers),
    ("one identifier", resigned(LICENSE, SECOND + THIRD, ""), TooFewIdentifiers),
    ("bidi in the name", resigned(LICENSE, "Sonne", "\u202eSonne"), Damaged),
    ("a zero-width sign in the name", resigned(LICENSE, "Sonne", "Son\u200bne"), Damaged),
    ("an upper-case digest", resigned(LICENSE, DEVICE[0].digest, DEVICE[0].digest.upper()), Damaged),
    ("an identifier twice", resigned(LICENSE, SECOND, SECOND * 2), Damaged),
    ("identifiers in another order", resigned(LICENSE, SECOND + THIRD, THIRD + SECOND), Damaged),
    ("a source file", SOURCE, WrongFile),
]


@pytest.mark.parametrize(("text", "error"), [attempt[1:] for attempt in ATTEMPTS], ids=[a[0] for a in ATTEMPTS])
def test_it_refuses(text: str, error: type[LicenseError]) -> None:
    with pytest.raises(LicenseError) as raised:
        upload(text.encode())
    assert type(raised.value) is error


def test_it_refuses_a_signature_with_bits_that_base64_does_not_count() -> None:
    spare = [LICENSE[:-4] + sign + LICENSE[-3:] for sign in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if sign != LICENSE[-4]]
    assert survivors(upload, (text.encode() for text in spare)) == []


def test_it_refuses_a_signature_whose_second_half_went_once_round() -> None:
    """Adding the group's order to S gives the same point: a verifier that allows it takes two spellings for one."""
    raw = base64.b64decode("".join(line.removeprefix("Signature: ") for line in LICENSE.splitlines()[-2:]))
    order = 2**252 + 27742317777372353535851937790883648493
    longer = (int.from_bytes(raw[32:], "little") + order).to_bytes(32, "little")
    text = base64.b64encode(raw[:32] + longer).decode()
    with pytest.raises(Damaged):
        upload(f"{above_signature(LICENSE)}Signature: {text[:44]}\nSignature: {text[44:]}\n".encode())


@pytest.mark.parametrize(
    "data",
    [
        b"\0" * 50_000_000,
        LICENSE.encode() * 20_000,
        b"\n" * 20_000_000,
        zlib.compress(b"\0" * 50_000_000),
        b"PK\x03\x04" + os.urandom(30_000_000),
        b"\x1f\x8b\x08" + os.urandom(1000),
    ],
    ids=["zeros", "a license, often", "empty lines", "a bomb", "a big zip", "a small gzip"],
)
def test_it_unpacks_nothing_and_looks_at_no_big_file(data: bytes) -> None:
    tracemalloc.start()
    for read in (upload, receive):
        with pytest.raises(Damaged):
            read(data)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 1_000_000


def test_it_reads_the_longest_possible_license() -> None:
    most = tuple(sorted(Identifier("m" * 20, f"{number:032x}") for number in range(32)))
    text = cast.license_text(issued_to="\U00020000" * 56, identifiers=most, board="x" * 56, number="9" * 12)
    assert len(text.encode()) < MAX_BYTES // 3
    assert verify_license(text_of(text.encode()), ROOT, most)
