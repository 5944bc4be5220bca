"""What a write made of a call, as far as the log and the counters tell of it: how its row stood before and after."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple

from coovox_billing.core.call import State

CallRow = Mapping[str, Any] | sqlite3.Row


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


# As the schema fills the columns that nothing was said of.
_NEW = CallFacts("", "", "", "", "", "", 1, 0, None, 0, 0, None, None, 0, 0, None, "", "", "")
_facts_of = itemgetter(*CallFacts._fields)


def change_of(call: CallRow | None, columns: Mapping[str, Any]) -> CallChange:
    """What writing columns makes of a call's row, None of a new one; not looked up, for that costs as much again.

    A row that is being made, which never is on disk, counts as none.
    """
    stood = _NEW if call is None else CallFacts._make(_facts_of(call))
    is_new = call is None or call["state"] == State.ASKED
    return CallChange(None if is_new else stood, CallFacts._make(map(columns.get, CallFacts._fields, stood)))


def in_one(first: CallChange | None, then: CallChange | None) -> CallChange | None:
    """Two changes of a call in one transaction, of which either may be none."""
    if first is None or then is None:
        return first or then
    return CallChange(first.before, then.after)
