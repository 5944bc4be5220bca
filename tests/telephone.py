"""A telephone that shows codes, written from RFC 4226 and RFC 6238 and not from the library under test."""

import base64
import hashlib
import hmac
from dataclasses import dataclass


@dataclass(frozen=True)
class Telephone:
    """What scanned the QR code, or had the secret typed in."""

    secret: str

    def code(self, now_ms: int) -> str:
        """The six digits that it shows at an instant, ms since 1970 in UTC."""
        step = (now_ms // 30_000).to_bytes(8, "big")
        digest = hmac.new(base64.b32decode(self.secret), step, hashlib.sha1).digest()
        start = digest[-1] & 15
        return f"{(int.from_bytes(digest[start : start + 4], 'big') & 0x7FFFFFFF) % 1_000_000:06d}"
