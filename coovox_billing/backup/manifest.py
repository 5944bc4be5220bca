"""What a backup says of itself: who made it, of which site, when, and what each of its parts must be."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from coovox_billing.errors import BadInput

FORMAT = 1
DATABASE = "database.sqlite3"
MOST_BYTES = 65_536

_PRODUCT = "CooVox Billing"
# The year 9999; what a clock can tell.
_LAST_MS = 253_402_300_799_999
_MOST_WORD = 255


@dataclass(frozen=True, slots=True)
class Part:
    """A file in the backup: its size, and the SHA-256 of its content in hexadecimal."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """`made_ms` is when its database was copied, ms since 1970 in UTC; `device` a mark of the machine it was made on.

    `rows` are the counts of the tables, by their names. A bare copy of a database has `version` and `device` empty.
    """

    version: str
    schema: int
    made_ms: int
    site: str
    board: str
    device: str
    rows: Mapping[str, int]
    parts: tuple[Part, ...]

    def encoded(self) -> bytes:
        """As it stands in the backup."""
        facts = {"product": _PRODUCT, "format": FORMAT, "made_at": utc(self.made_ms)}
        return json.dumps(facts | asdict(self), indent=1, ensure_ascii=False).encode()


def decoded(text: bytes) -> Manifest:
    """What `encoded` wrote.

    Raises:
        BadInput: it is none, or of a newer format.
    """
    try:
        facts: dict[str, Any] = json.loads(text)
        if facts["product"] != _PRODUCT:
            raise ValueError
        number = int(facts["format"])
        parts = tuple(Part(str(one["name"]), int(one["size"]), str(one["sha256"])) for one in facts["parts"])
        rows = {str(name): int(count) for name, count in facts["rows"].items()}
        words = {name: str(facts[name]) for name in ("version", "site", "board", "device")}
        found = Manifest(schema=int(facts["schema"]), made_ms=int(facts["made_ms"]), rows=rows, parts=parts, **words)
        if not 0 <= found.made_ms <= _LAST_MS or any(part.size < 0 for part in parts):
            raise ValueError
        # They are shown at a terminal, to which some signs are commands.
        if not all(word.isprintable() and len(word) <= _MOST_WORD for word in words.values()):
            raise ValueError
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise BadInput("this is no backup of CooVox Billing") from None
    if number > FORMAT:
        raise BadInput("this backup is of a newer version of CooVox Billing: install that version, then restore it")
    return found


def utc(moment_ms: int) -> str:
    """A moment in UTC, to the second, as ISO 8601."""
    return datetime.fromtimestamp(moment_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
