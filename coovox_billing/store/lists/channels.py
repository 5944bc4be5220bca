"""Calls as they occupy trunks: how many just now, and from when to when. Needs `open_reading` first."""

from dataclasses import dataclass
from typing import Any

from peewee import SQL, fn

from coovox_billing.core.call import State
from coovox_billing.store.lists.blocks import fetched
from coovox_billing.store.models import Call, Trunk

# Nobody lets it ring longer; where the end of ringing was never told, a later instant is the one of looking for it.
MOST_RINGING_MS = 10 * 60_000

_MAKES_NO_CALL = (State.ASKED, State.REFUSED)


@dataclass(frozen=True, slots=True)
class Occupied:
    """A trunk by its name, the calls over it just now, and how many it carries: None where nobody has told."""

    trunk: str
    used: int
    channels: int | None


def occupied() -> list[Occupied]:
    """Every trunk that is known or in use, by name; calls of which no trunk was told stand under an empty name."""
    used = dict(_open(Call.trunk, fn.COUNT(Call.id)).group_by(Call.trunk).tuples())
    # A name may be that of several devices: what they carry together is known where it is known of each.
    known: Any = Trunk.select(Trunk.name, fn.SUM(Trunk.channels), fn.MIN(Trunk.channels)).group_by(Trunk.name)
    channels = {name: total if least else None for name, total, least in known.tuples()}
    names = sorted(used.keys() | channels.keys(), key=lambda name: (name.casefold(), name))
    return [Occupied(name, used.get(name, 0), channels.get(name)) for name in names]


def oldest_ms() -> int | None:
    """When the oldest of the calls in progress was dialed, ms since 1970 in UTC; None where there is none."""
    # Not MIN, for which SQLite would go through all calls in their order.
    return min((asked_ms for (asked_ms,) in _open(Call.asked_at_ms).tuples()), default=None)


def spans(since_ms: int, now_ms: int, longest_seconds: int) -> list[tuple[int, int]]:
    """From when to when each call occupied its trunk that may have done so after an instant; ms since 1970 in UTC.

    What was talked is what was charged: of a call whose end nobody saw, that is up to its last sign of life.
    """
    earliest_ms = since_ms - longest_seconds * 1000 - MOST_RINGING_MS
    columns = (Call.state, Call.asked_at_ms, Call.answered_at_ms, Call.ended_at_ms, Call.talk_seconds)
    rows = Call.select(*columns).where(
        Call.asked_at_ms >= earliest_ms, Call.asked_at_ms < now_ms, Call.state.not_in(_MAKES_NO_CALL)
    )
    return [(asked_ms, _end_ms(now_ms, state, asked_ms, *ends)) for state, asked_ms, *ends in fetched(rows)]


def _end_ms(
    now_ms: int, state: str, asked_ms: int, answered_ms: int | None, ended_ms: int | None, talk_seconds: int
) -> int:
    if state == State.SETTLED:
        return max(asked_ms, answered_ms or asked_ms) + talk_seconds * 1000
    if state == State.RELEASED:
        return min(ended_ms or asked_ms, asked_ms + MOST_RINGING_MS)
    return now_ms


def _open(*columns: Any) -> Any:
    # Written out, for else SQLite does not see that the index of open calls will do.
    return Call.select(*columns).where(SQL("state IN ('held', 'talking')"))
