"""Devices, licenses and keys in words."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from coovox_billing.core.license import (
    Certificate,
    Identifier,
    License,
    PublicKey,
    Source,
    WrongFile,
    parse_certificate,
    parse_license,
    parse_public_key,
    parse_source,
)
from coovox_license.keys import fingerprint

# Kinds of identifiers as people call them, one and several; others are told by their own name.
_KINDS = {
    "board-serial": ("serial number of the board", "serial numbers of the board"),
    "chassis-serial": ("serial number of the chassis", "serial numbers of the chassis"),
    "controller": ("board controller", "board controllers"),
    "disk": ("disk", "disks"),
    "emmc": ("flash memory", "flash memories"),
    "mac": ("network card", "network cards"),
    "machine-id": ("number of the installation", "numbers of the installation"),
    "sd": ("memory card", "memory cards"),
    "serial": ("serial number of the device", "serial numbers of the device"),
    "uuid": ("UUID of the board", "UUIDs of the board"),
}


def utc(instant_ms: int) -> str:
    """`2026-03-01 21:59:50 UTC`."""
    return f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=instant_ms // 1000):%Y-%m-%d %H:%M:%S} UTC"


def counted(identifiers: Iterable[Identifier]) -> str:
    """`3: 1 flash memory, 2 network cards`."""
    kinds = Counter(identifier.kind for identifier in identifiers)
    parts = [f"{count} {_KINDS.get(kind, (kind, kind))[count > 1]}" for kind, count in sorted(kinds.items())]
    return f"{sum(kinds.values())}: {', '.join(parts)}"


def described(text: str) -> Iterator[str]:
    """Lines about a file of any kind; the first one says what it is.

    Raises:
        LicenseError: it is damaged, or none of ours.
    """
    for about in (_source_in, _license_in, _certificate_in, _key_in):
        with suppress(WrongFile):
            return about(text)
    if "PRIVATE KEY" in text:
        raise WrongFile("it is a private key: keep it, and send it to nobody")
    raise WrongFile("it is no file of CooVox Billing")


def about_source(source: Source) -> Iterator[str]:
    """What a device says of itself."""
    first_ms = source.first_activation_ms
    yield f"source file of a {source.board}"
    yield f"  software: {source.product} {source.version}"
    yield f"  made: {utc(source.made_at_ms)}, by the device's clock"
    yield f"  first activation: {'not yet' if first_ms is None else utc(first_ms)}"
    yield f"  hardware identifiers: {counted(source.identifiers)}"
    yield f"  request: {source.request}"
    yield "  checksum: right"


def about_license(license: License) -> Iterator[str]:
    """For which device a license is, and whose it says to be."""
    yield f"license {license.number} for a {license.board}"
    yield f"  issued to: {license.issued_to}"
    yield f"  issued: {utc(license.issued_at_ms)}"
    yield f"  replaces: {license.replaces or 'none'}"
    yield f"  hardware identifiers: {counted(license.identifiers)}"
    yield from _about_distributor(license.certificate)
    yield "  signature: right; whether CooVox certified the distributor, `verify` tells"


def about_certificate(certificate: Certificate) -> Iterator[str]:
    """Whose certificate it is; who signed it is not asked."""
    yield "distributor's certificate"
    yield from _about_distributor(certificate)


def about_key(public: PublicKey) -> Iterator[str]:
    """Whose key it is, and how to compare it."""
    yield f"public key of a {public.role}"
    yield f"  owner: {public.owner}"
    yield f"  fingerprint: {fingerprint(public.key)}"


def _source_in(text: str) -> Iterator[str]:
    return about_source(parse_source(text))


def _license_in(text: str) -> Iterator[str]:
    return about_license(parse_license(text))


def _certificate_in(text: str) -> Iterator[str]:
    return about_certificate(parse_certificate(text))


def _key_in(text: str) -> Iterator[str]:
    with suppress(WrongFile):
        return about_key(parse_public_key(text, "root"))
    return about_key(parse_public_key(text, "distributor"))


def _about_distributor(certificate: Certificate) -> Iterator[str]:
    yield f"  distributor: {certificate.distributor}"
    yield f"  certificate: {certificate.serial}, for licenses issued from {utc(certificate.from_ms)}"
    yield f"    to {utc(certificate.until_ms)}"
    yield f"  distributor's key: {fingerprint(certificate.key)}"
