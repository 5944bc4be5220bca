"""What a write made of a call, as far as the log and the counters tell of it: how its row stood before and after."""

import sqlite3
from dataclasses import dataclass
from operator import itemgetter
from typing import NamedTuple

from coovox_billing.core.call import State


class CallFacts(NamedTuple):
    """What is told of a call; the columns of its row."""

    state: str
    reason: str
    extension: str
    device: str
    number_dialed: str
    trunk: str
    attempts: int
    attempt_stamp_ms: int
    answered_at_ms: int | None
    talk_seconds: int
    hold_micros: int
    promised_seconds: int | None
    limit_seconds: int | None
    cost_micros: int
    uncollected_micros: int
    rate: str | None
    flags: str
    settled_by: str
    hangup_cause: str


@dataclass(frozen=True, slots=True)
class CallChange:
    """A call before and after a write; before its first there is nothing."""

    before: CallFacts | None
    after: CallFacts


RETURNING = f" RETURNING {', '.join(CallFacts._fields)}"
_columns_of = itemgetter(*CallFacts._fields)


def change_of(call: sqlite3.Row | None, after: tuple[object, ...]) -> CallChange:
    """What a write made of a call's row, None of a new one; `after` is what it returned.

    A row that is being made, which never is on disk, counts as none.
    """
    before = None if call is None or call["state"] == State.ASKED else CallFacts._make(_columns_of(call))
    return CallChange(before, CallFacts._make(after))
