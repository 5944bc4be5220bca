"""The published test vectors: they are what the code makes, and enough to write another reader by."""

import base64
import hashlib
import json
import re

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from coovox_billing.core.license import (
    LicenseError,
    PublicKey,
    identifier_digest,
    parse_certificate,
    parse_public_key,
    parse_source,
    text_of,
    verify_license,
)
from tests.license import cast
from tests.license.vectors import FOLDER, files

FOLDERS = ("asterisk", "coovox_billing", "docs", "firmware_hooks", "license", "packaging", "tests", "web")
VECTORS = json.loads((FOLDER / "vectors.json").read_text(encoding="utf-8"))
ROOT = parse_public_key((FOLDER / "root.pub").read_text(encoding="utf-8"), "root").key


def test_it_publishes_what_the_code_makes() -> None:
    found = {path.name: path.read_bytes() for path in FOLDER.iterdir()}
    assert found == files(), "make them anew: python -m tests.license.vectors"


@pytest.mark.parametrize("vector", VECTORS["identifiers"], ids=lambda vector: vector["value"])
def test_it_hashes_identifiers_so(vector: dict[str, str]) -> None:
    assert identifier_digest(vector["kind"], vector["value"]) == vector["digest"]


@pytest.mark.parametrize("vector", VECTORS["licenses"], ids=lambda vector: vector["file"])
def test_it_judges_licenses_so(vector: dict[str, object]) -> None:
    device = cast.identifiers(tuple(map(tuple, vector["device"])))  # type: ignore[arg-type, call-overload]
    try:
        text = text_of((FOLDER / str(vector["file"])).read_bytes())
        verify_license(text, ROOT, device, frozenset(VECTORS["revoked certificates"]))
        verdict = "valid"
    except LicenseError as error:
        verdict = type(error).__name__
    assert verdict == vector["verdict"]


def test_it_reads_the_other_files() -> None:
    assert parse_source((FOLDER / "billing.ac").read_text()) == cast.source()
    assert parse_source((FOLDER / "billing-not-yet-active.ac").read_text()).first_activation_ms is None
    assert parse_certificate((FOLDER / "distributor.certificate").read_text()) == cast.ACME
    found = parse_public_key((FOLDER / "distributor.pub").read_text(), "distributor")
    assert found == PublicKey("distributor", "Acme Telecom", cast.public(cast.ACME_KEY))


def test_there_is_no_private_key_in_the_repository() -> None:
    key = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/]{40}")
    files = [path for folder in FOLDERS for path in (FOLDER.parents[1] / folder).rglob("*") if path.is_file()]
    assert len(files) > 200
    assert [path for path in files if key.search(path.read_bytes())] == []


# What follows is written from license/README.md alone, and shares no line with the product.

TEXT = r"[^\x00-\x1f]{1,56}"
TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"
HEAD = r"File: CooVox Billing %s\nFormat: 1\nProduct: coovox-billing\n"
ROOT_SIGNATURE = r"Root signature: (.{44})\n" * 2
SIGNATURE = r"Signature: (.{44})\n" * 2
IDENTIFIER = r"Identifier: ([a-z][a-z0-9-]{0,19} [0-9a-f]{32})\n"
CERTIFICATE = (
    HEAD % "distributor certificate"
    + rf"Distributor: {TEXT}\nCertificate: ([0-9]+)\nKey: (.{{44}})\n"
    + rf"May issue from: ({TIME})\nMay issue until: ({TIME})\n"
)
LICENSE = (
    HEAD % "license"
    + rf"License: [0-9A-Z-]+\nReplaces: (?:none|[0-9A-Z-]+)\nIssued to: {TEXT}\nIssued: ({TIME})\nBoard: {TEXT}\n"
    + rf"((?:{IDENTIFIER})+)"
)


def other_reader(data: bytes, root: bytes, device: set[str], revoked: set[int]) -> bool:
    """Whether a license is valid."""
    lines = data.decode("utf-8-sig").replace("\r\n", "\n").split("\n")
    text = "\n".join(line.rstrip(" \t") for line in lines).rstrip("\n") + "\n"
    match = re.fullmatch(f"({LICENSE}({CERTIFICATE}){ROOT_SIGNATURE}){SIGNATURE}", text)
    if match is None:
        return False
    whole, issued, block, _, granted, serial, key, first, last, *halves = match.groups()
    root_signature, signature = (base64.b64decode("".join(halves[at : at + 2])) for at in (0, 2))
    try:
        Ed25519PublicKey.from_public_bytes(root).verify(root_signature, granted.encode())
        Ed25519PublicKey.from_public_bytes(base64.b64decode(key)).verify(signature, whole.encode())
    except InvalidSignature:
        return False
    named = re.findall(IDENTIFIER, block)
    matching = sum(name in device for name in named)
    is_ordered = named == sorted(set(named)) and 2 <= len(named) <= 32 and len(device) >= 2
    return is_ordered and 3 * matching >= 2 * len(named) and first <= issued <= last and int(serial) not in revoked


@pytest.mark.parametrize("vector", VECTORS["licenses"], ids=lambda vector: vector["file"])
def test_it_is_described_well_enough_for_another_reader(vector: dict[str, object]) -> None:
    device = set()
    for kind, value in vector["device"]:  # type: ignore[attr-defined]
        plain = re.sub("[^0-9a-z]", "", value.lower())
        digest = hashlib.sha256(f"coovox-billing identifier 1\n{kind}\n{plain}".encode()).hexdigest()[:32]
        device.add(f"{kind} {digest}")
    data = (FOLDER / str(vector["file"])).read_bytes()
    valid = other_reader(data, ROOT, device, set(VECTORS["revoked certificates"]))
    assert valid == (vector["verdict"] == "valid")
