"""The test vectors of `license/vectors`, made anew: `python -m tests.license.vectors` writes them."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from coovox_billing.core.license import (
    PublicKey,
    identifier_digest,
    render_certificate,
    render_public_key,
    render_source,
)
from tests.license import cast

FOLDER = Path(__file__).resolve().parents[2] / "license/vectors"

# As a board may tell it, and what is hashed of it.
VALUES = (
    ("mac", "00:0E:A9:12:34:56"),
    ("mac", "00-0e-a9-12-34-56"),
    ("mac", "000ea9123456"),
    ("board-serial", "000ea9123456"),
    ("board-serial", " ZU50-2211-00042\n"),
    ("emmc", "150100384e4d423252038a2cf1c77800"),
    ("uuid", "4C4C4544-0042-3510-8051-B7C04F4E3132"),
)


def resigned(text: str, old: str, new: str) -> str:
    """A license with a change, signed again by Acme: what only a distributor could do."""
    assert old in text
    return signed("".join(text.replace(old, new, 1).splitlines(keepends=True)[:-2]))


def signed(body: str) -> str:
    """Any text above Acme's signature."""
    signature = base64.b64encode(cast.ACME_KEY.sign(body.encode())).decode()
    return f"{body}Signature: {signature[:44]}\nSignature: {signature[44:]}\n"


def licenses() -> dict[str, tuple[str, cast.Hardware, str]]:
    """Each file with the device that it is uploaded to, and the verdict there."""
    valid = cast.license_text()
    return {
        "valid.license": (valid, cast.SONNE, "valid"),
        "valid-after-mail.license": ("\ufeff" + valid.replace("\n", " \t\r\n") + "\r\n\r\n", cast.SONNE, "valid"),
        "valid-after-repair.license": (valid, cast.SONNE_REPAIRED, "valid"),
        "valid-unicode.license": (
            cast.license_text(issued_to="Отель «Солнце», 太阳酒店", number="17-000002", replaces="17-000001"),
            cast.SONNE,
            "valid",
        ),
        "other-device.license": (valid, cast.MOND, "OtherDevice"),
        "too-few-here.license": (valid, cast.SONNE[:1], "TooFewIdentifiers"),
        "changed.license": (valid.replace("Hotel Sonne", "Hotel Mond"), cast.SONNE, "Damaged"),
        "spelled-otherwise.license": (resigned(valid, "File: CooVox", "File:  CooVox"), cast.SONNE, "WrongFile"),
        "two-blanks.license": (resigned(valid, "Issued: 2026", "Issued:  2026"), cast.SONNE, "Damaged"),
        "reordered.license": (
            resigned(valid, "License: 17-000001\nReplaces: none", "Replaces: none\nLicense: 17-000001"),
            cast.SONNE,
            "Damaged",
        ),
        "format-0.license": (resigned(valid, "Format: 1", "Format: 0"), cast.SONNE, "OtherFormat"),
        "format-2.license": (resigned(valid, "Format: 1", "Format: 2"), cast.SONNE, "OtherFormat"),
        "other-product.license": (cast.license_text(product="coovox-fax"), cast.SONNE, "OtherProduct"),
        "unknown-issuer.license": (
            cast.license_text(key=cast.STRANGER, certificate=cast.certificate(cast.STRANGER, cast.STRANGER)),
            cast.SONNE,
            "UnknownIssuer",
        ),
        "issued-too-late.license": (
            cast.license_text(issued_at_ms=cast.ACME.until_ms + 1000),
            cast.SONNE,
            "OutOfPeriod",
        ),
        "revoked.license": (cast.license_text(certificate=cast.certificate(serial=13)), cast.SONNE, "Revoked"),
    }


def files() -> dict[str, bytes]:
    """All files of the folder."""
    made = {name: text for name, (text, _, _) in licenses().items()}
    made["root.pub"] = render_public_key(PublicKey("root", "CooVox", cast.public(cast.ROOT)), cast.ROOT.sign)
    made["distributor.pub"] = render_public_key(
        PublicKey("distributor", "Acme Telecom", cast.public(cast.ACME_KEY)), cast.ACME_KEY.sign
    )
    made["distributor.certificate"] = render_certificate(cast.ACME, cast.ROOT.sign)
    made["billing.ac"] = render_source(cast.source())
    made["billing-not-yet-active.ac"] = render_source(cast.source(cast.MOND, first_activation_ms=None))
    made["vectors.json"] = json.dumps(_described(), indent=1, ensure_ascii=False) + "\n"
    return {name: text.encode() for name, text in made.items()}


def _described() -> dict[str, object]:
    return {
        "keys": "each private key is the SHA-256 of the UTF-8 text given here; they are public and protect nothing",
        "root key": "coovox-billing test key: root",
        "distributor's key": "coovox-billing test key: Acme Telecom",
        "revoked certificates": [13],
        "identifiers": [
            {"kind": kind, "value": value, "digest": identifier_digest(kind, value)} for kind, value in VALUES
        ],
        "licenses": [
            {"file": name, "device": [list(part) for part in hardware], "verdict": verdict}
            for name, (_, hardware, verdict) in licenses().items()
        ],
    }


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, data in files().items():
        (FOLDER / name).write_bytes(data)
