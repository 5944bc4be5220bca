"""The life of a call: one table of what each event does in each state (DESIGN §5).

    asked -> refused
    asked -> held -> (talking ->) settled
             held -> released               no answer; a failover holds again
             held -> released, talking -> settled     lost: closed by rule
    any of them -> talking                  the dialplan let it pass alone, and it still talks
    any of them -> settled, late            evidence found after a crash
    settled -> settled                      a close by rule is corrected by the truth

A pair that the table does not name changes nothing: a repeated or late
message is harmless.
"""

from enum import StrEnum


class State(StrEnum):
    """Where a call stands. Only `held` and `talking` calls hold money."""

    ASKED = "asked"
    REFUSED = "refused"
    HELD = "held"
    TALKING = "talking"
    SETTLED = "settled"
    RELEASED = "released"


class Event(StrEnum):
    """What the dialplan reports of a call, or what reconciliation finds."""

    REFUSE = "refuse"
    HOLD = "hold"
    ANSWER = "answer"
    GO_ALONE = "go alone"
    SETTLE = "settle"
    GIVE_UP = "give up"
    LOSE = "lose"
    CORRECT = "correct"


class Source(StrEnum):
    """Who told of a call's end: the dialplan at once, Asterisk's records later, or nobody."""

    SETTLE = "settle"
    ASTDB = "astdb"
    CEL = "cel"
    CDR = "cdr"
    RULE = "rule"


OPEN_STATES = frozenset({State.HELD, State.TALKING})

TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.ASKED, Event.REFUSE): State.REFUSED,
    (State.ASKED, Event.HOLD): State.HELD,
    (State.ASKED, Event.SETTLE): State.SETTLED,
    (State.ASKED, Event.GO_ALONE): State.TALKING,
    (State.HELD, Event.ANSWER): State.TALKING,
    (State.HELD, Event.GO_ALONE): State.TALKING,
    (State.HELD, Event.SETTLE): State.SETTLED,
    (State.HELD, Event.GIVE_UP): State.RELEASED,
    (State.HELD, Event.LOSE): State.RELEASED,
    (State.TALKING, Event.SETTLE): State.SETTLED,
    (State.TALKING, Event.LOSE): State.SETTLED,
    (State.RELEASED, Event.HOLD): State.HELD,
    (State.RELEASED, Event.REFUSE): State.REFUSED,
    (State.RELEASED, Event.GO_ALONE): State.TALKING,
    (State.RELEASED, Event.SETTLE): State.SETTLED,
    (State.REFUSED, Event.GO_ALONE): State.TALKING,
    (State.REFUSED, Event.SETTLE): State.SETTLED,
    (State.SETTLED, Event.CORRECT): State.SETTLED,
}

# Flags of a call for a person to see.
LOST = "lost"
CORRECTED = "corrected"
CLOCK = "clock"
ALONE = "alone"
UNCOLLECTED = "uncollected"
ARCHIVED = "archived"

# No call of the dialplan's has such an id: those are letters and digits.
_LATE = ".late"


def next_state(state: State, event: Event) -> State | None:
    """The state that follows, or None where the event changes nothing."""
    return TRANSITIONS.get((state, event))


def late_id(call_id: str) -> str:
    """The id under which a call is booked whose answer was told only after it had been archived as unanswered."""
    return call_id + _LATE


def is_late(state: State) -> bool:
    """Whether a settle in this state finds a call that was thought over, or never was asked."""
    return state not in OPEN_STATES
