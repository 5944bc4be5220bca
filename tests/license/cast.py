"""A vendor, two distributors, a stranger, and their devices. All keys are made from published words: none is secret."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from coovox_billing.core.license import (
    Certificate,
    Identifier,
    License,
    Source,
    identifier_digest,
    parse_certificate,
    render_certificate,
    render_license,
)

NOW_MS = 1_796_126_400_000  # 2026-12-01
DAY_MS = 86_400_000

Hardware = tuple[tuple[str, str], ...]


def throw_away_key(name: str) -> Ed25519PrivateKey:
    """The key of somebody in tests: its seed is the SHA-256 of a public sentence."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(f"coovox-billing test key: {name}".encode()).digest())


def public(key: Ed25519PrivateKey) -> bytes:
    """Its public half."""
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


ROOT = throw_away_key("root")
ACME_KEY = throw_away_key("Acme Telecom")
STRANGER = throw_away_key("a stranger")


def certificate(
    key: Ed25519PrivateKey = ACME_KEY, signed_by: Ed25519PrivateKey = ROOT, **changes: object
) -> Certificate:
    """Acme's certificate for 2026 and 2027, or what somebody made of it."""
    plain = Certificate("Acme Telecom", 17, public(key), 1_767_225_600_000, 1_830_297_599_000)
    return parse_certificate(render_certificate(replace(plain, **changes), signed_by.sign))  # type: ignore[arg-type]


ACME = certificate()

SONNE: Hardware = (("board-serial", "ZU50-2211-00042"), ("mac", "00:0E:A9:12:34:56"), ("mac", "00:0E:A9:12:34:57"))
SONNE_REPAIRED: Hardware = (SONNE[0], SONNE[1], ("mac", "00:0E:A9:77:00:01"))
MOND: Hardware = (("board-serial", "ZU50-2211-00043"), ("mac", "00:0E:A9:12:40:00"), ("mac", "00:0E:A9:12:40:01"))


def identifiers(hardware: Hardware) -> tuple[Identifier, ...]:
    """What a device with this hardware is known by, in the order of files."""
    return tuple(sorted(Identifier(kind, identifier_digest(kind, value)) for kind, value in hardware))


def source(hardware: Hardware = SONNE, **changes: object) -> Source:
    """What the device says of itself."""
    request = hashlib.sha256(repr(hardware).encode()).hexdigest()[:32]
    plain = Source("CooVox U50", "0.1.0", NOW_MS - DAY_MS, NOW_MS - 20 * DAY_MS, request, identifiers(hardware))
    return replace(plain, **changes)  # type: ignore[arg-type]


def unsigned_license(hardware: Hardware = SONNE, **changes: object) -> License:
    """Acme's license for a device."""
    plain = License("17-000001", "CooVox U50", "Hotel Sonne, Graz", NOW_MS, None, identifiers(hardware), ACME)
    return replace(plain, **changes)  # type: ignore[arg-type]


def license_text(hardware: Hardware = SONNE, key: Ed25519PrivateKey = ACME_KEY, **changes: object) -> str:
    """The same as a file, signed by Acme or somebody else."""
    return render_license(unsigned_license(hardware, **changes), key.sign)
