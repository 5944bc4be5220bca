"""The PBX's own menu hands over a signed-in owner: by a link that is signed, short-lived, and used once (DESIGN §8)."""

import secrets
import sqlite3
from pathlib import Path

from coovox_billing.errors import Refused
from coovox_billing.services import submissions
from coovox_billing.services.owner import OWNER
from coovox_billing.small_files import read_small, replace_small
from coovox_billing.store import writes
from coovox_billing.store.database import Database

LIFE_SECONDS = 60

KEY_FILE = "handover-key"
_MOST_KEY_BYTES = 100
_PURPOSE = "owner from the PBX's menu"


def make_ticket(directory: Path, address: str = "") -> str:
    """What the link carries; whoever shows it within a minute is the owner, from `address` alone where one is given.

    The key is a file of the data directory: it is in no copy of the database.
    """
    from itsdangerous import URLSafeTimedSerializer

    if not _key(directory):
        replace_small(directory / KEY_FILE, secrets.token_hex(32).encode())
    return str(URLSafeTimedSerializer(_key(directory), _PURPOSE).dumps([secrets.token_hex(16), address]))


def take_ticket(database: Database, directory: Path, ticket: str, address: str, now_ms: int) -> None:
    """Accept a ticket, once.

    Raises:
        Refused: it is none of ours, too old, used already, or was made for another address.
    """
    from itsdangerous import BadData, SignatureExpired, URLSafeTimedSerializer

    try:
        name, wanted_address = URLSafeTimedSerializer(_key(directory) or secrets.token_bytes(32), _PURPOSE).loads(
            ticket, max_age=LIFE_SECONDS
        )
    except SignatureExpired:
        raise Refused("this link is too old: go back to the PBX's menu and click it again") from None
    except (BadData, ValueError, TypeError):
        raise Refused("this link is not from this PBX's menu: click it there") from None
    if wanted_address not in ("", address):
        raise Refused("this link was made for another computer: click it in the PBX's menu here")

    def enter(connection: sqlite3.Connection) -> str:
        writes.record_change(connection, now_ms, OWNER, address, "sign-in", "", "from the PBX's menu")
        return "taken"

    _told, is_new = database.write(lambda connection: submissions.once(connection, f"handover-{name}", now_ms, enter))
    if not is_new:
        raise Refused("this link was used already: go back to the PBX's menu and click it again")


def _key(directory: Path) -> bytes:
    try:
        return read_small(directory / KEY_FILE, _MOST_KEY_BYTES) or b""
    except OSError:
        return b""
