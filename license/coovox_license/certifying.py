"""The vendor's side: which distributors may issue licenses, and until when."""

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from coovox_billing.core.license import Certificate, PublicKey, check_issuer, parse_certificate, render_certificate
from coovox_license.files import Prepared, Refused, shown
from coovox_license.journal import held
from coovox_license.keys import public_bytes

JOURNAL = "certificates.jsonl"


def certify(
    root: Ed25519PrivateKey, public: PublicKey, first: date, last: date, keys: Path, output: Path
) -> Certificate:
    """A certificate for a distributor's key, from the first day to the last, in UTC; noted beside the root key.

    Raises:
        Refused: the days are the wrong way round, or the file exists.
        LicenseError: the key cannot be certified.
    """
    if last < first:
        raise Refused(f"the last day, {last}, is before the first, {first}")
    with held(keys / JOURNAL) as journal:
        certificate = Certificate(
            distributor=public.owner,
            serial=1 + max((entry["serial"] for entry in journal.entries), default=0),
            key=public.key,
            from_ms=_start_ms(first),
            until_ms=_start_ms(last + timedelta(days=1)) - 1000,
        )
        text = render_certificate(certificate, root.sign)
        check_issuer(parse_certificate(text), public_bytes(root))
        if output.exists():
            raise Refused(f"{shown(output)} exists and is never overwritten: give another --output")
        with Prepared(output, text.encode()):
            journal.append(
                {
                    "serial": certificate.serial,
                    "distributor": certificate.distributor,
                    "key": certificate.key.hex(),
                    "from": first.isoformat(),
                    "until": last.isoformat(),
                }
            )
    return certificate


def _start_ms(day: date) -> int:
    return int(datetime.combine(day, time(), UTC).timestamp()) * 1000
