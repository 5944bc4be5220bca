"""A form that is sent twice (double click, reload, back) does what it does once."""

import sqlite3
from collections.abc import Callable

from coovox_billing.errors import BadInput
from coovox_billing.store import reads, writes

REMEMBERED_MS = 7 * 86_400_000
LONGEST_TOKEN = 64


def once(
    connection: sqlite3.Connection, token: str, now_ms: int, job: Callable[[sqlite3.Connection], str]
) -> tuple[str, bool]:
    """What came of the form with this token, and whether that was just now. A job for `Database.write`.

    `job` tells what it did in a sentence; what it raises leaves nothing behind, so that the form can be sent again.

    Raises:
        BadInput: the form has no token.
    """
    if not token or len(token) > LONGEST_TOKEN:
        raise BadInput("this form is not whole: open the page again and repeat")
    before = reads.submission(connection, token)
    if before is not None:
        return before, False
    answer = job(connection)
    writes.insert_submission(connection, token, answer, now_ms, now_ms - REMEMBERED_MS)
    return answer, True
