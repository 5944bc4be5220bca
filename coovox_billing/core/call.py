"""The life of a call: one table of what each event does in each state (DESIGN §5).

    asked -> refused
    asked -> held -> (talking ->) settled
             held -> released               no answer; a failover holds again
    any of them -> settled, late            evidence found after a crash

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
    """What the dialplan reports of a call."""

    REFUSE = "refuse"
    HOLD = "hold"
    ANSWER = "answer"
    SETTLE = "settle"
    GIVE_UP = "give up"


OPEN_STATES = frozenset({State.HELD, State.TALKING})

TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.ASKED, Event.REFUSE): State.REFUSED,
    (State.ASKED, Event.HOLD): State.HELD,
    (State.ASKED, Event.SETTLE): State.SETTLED,
    (State.HELD, Event.ANSWER): State.TALKING,
    (State.HELD, Event.SETTLE): State.SETTLED,
    (State.HELD, Event.GIVE_UP): State.RELEASED,
    (State.TALKING, Event.SETTLE): State.SETTLED,
    (State.RELEASED, Event.HOLD): State.HELD,
    (State.RELEASED, Event.REFUSE): State.REFUSED,
    (State.RELEASED, Event.SETTLE): State.SETTLED,
    (State.REFUSED, Event.SETTLE): State.SETTLED,
}


def next_state(state: State, event: Event) -> State | None:
    """The state that follows, or None where the event changes nothing."""
    return TRANSITIONS.get((state, event))


def is_late(state: State) -> bool:
    """Whether a settle in this state finds a call that was thought over, or never was asked."""
    return state not in OPEN_STATES
