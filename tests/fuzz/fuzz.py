"""`make fuzz`: coverage-guided garbage for what reads from outside. `fuzz.py TARGET [libFuzzer options]`

A target may raise nothing: what a peer or a person can send is either
understood or refused by the one error that the reader promises. A failure that
is found becomes a row in the reader's own test.
"""

from __future__ import annotations

import base64
import hashlib
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

with atheris.instrument_imports(include=["coovox_billing"]):
    from coovox_billing.config import CONFIG_VARIABLE, load
    from coovox_billing.core.leg import parse_leg
    from coovox_billing.core.license import (
        LicenseError,
        parse_license,
        parse_source,
        render_license,
        render_source,
        text_of,
    )
    from coovox_billing.core.rate_csv import parse_rates, render_rates
    from coovox_billing.errors import BadInput, SetupError
    from coovox_billing.pbx.agi_protocol import MAX_REPLY_BYTES, LineReader, Malformed, ReplyParser, RequestReader

# The distributor of the test vectors, whose certificate is in the seed.
SIGNER = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"coovox-billing test key: Acme Telecom").digest())
SETTINGS_FILE = Path(tempfile.mkdtemp(prefix="coovox-fuzz-")) / "coovox.toml"


def agi(data: bytes) -> None:
    """A peer's bytes, cut at any place, as a request and then as replies."""
    cut = data[0] if data else 0
    request, lines, replies = RequestReader(), LineReader(MAX_REPLY_BYTES), ReplyParser()
    asked = False
    try:
        for chunk in (data[1:cut], data[cut:]):
            if not asked:
                asked = request.feed(chunk) is not None
                continue
            for line in lines.feed(chunk):
                replies.feed(line)
    except Malformed:
        return


def record(data: bytes) -> None:
    """What AstDB holds may be anything."""
    try:
        parse_leg(data.decode("utf-8", "replace"))
    except BadInput:
        return


def rates(data: bytes) -> None:
    """A CSV file is refused, or its good rows survive being written and read again."""
    try:
        good, _ = parse_rates(data.decode("utf-8", "replace"))
    except BadInput:
        return
    again, bad = parse_rates(render_rates(good))
    if (again, bad) != (good, []):
        raise AssertionError("rates changed by being written and read")


def settings(data: bytes) -> None:
    """A settings file is understood or named as wrong."""
    SETTINGS_FILE.write_bytes(data)
    try:
        load(None, {CONFIG_VARIABLE: str(SETTINGS_FILE)})
    except SetupError:
        return


def source_file(data: bytes) -> None:
    """A source file with a right checksum, whatever it says: of each content there is one spelling."""
    checksum = f"Checksum: {hashlib.sha256(data).hexdigest()}\n"
    try:
        text = text_of(data + checksum.encode())
        source = parse_source(text)
    except LicenseError:
        return
    if render_source(source) != text:
        raise AssertionError("a source file has two spellings")


def license_file(data: bytes) -> None:
    """A license with a right signature, whatever it says: the same."""
    signature = base64.b64encode(SIGNER.sign(data)).decode()
    try:
        text = text_of(data + f"Signature: {signature[:44]}\nSignature: {signature[44:]}\n".encode())
        license = parse_license(text)
    except LicenseError:
        return
    if render_license(license, SIGNER.sign) != text:
        raise AssertionError("a license has two spellings")


TARGETS: dict[str, Callable[[bytes], None]] = {
    "agi": agi,
    "record": record,
    "rates": rates,
    "settings": settings,
    "source": source_file,
    "license": license_file,
}


def main() -> None:
    target = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
