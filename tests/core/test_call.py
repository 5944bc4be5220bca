"""The life of a call: what each event does in each state, for every pair."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coovox_billing.core.call import OPEN_STATES, Event, State, is_late, next_state

TABLE = """
            refuse    hold     answer    go alone   settle     give up    lose       correct
asked       refused   held     -         talking    settled    -          -          -
refused     -         -        -         talking    settled    -          -          -
held        -         -        talking   talking    settled    released   released   -
talking     -         -        -         -          settled    -          settled    -
settled     -         -        -         -          -          -          -          settled
released    refused   held     -         talking    settled    -          -          -
"""


def _written() -> dict[tuple[State, Event], State | None]:
    _, *lines = TABLE.strip().splitlines()
    events = (
        Event.REFUSE,
        Event.HOLD,
        Event.ANSWER,
        Event.GO_ALONE,
        Event.SETTLE,
        Event.GIVE_UP,
        Event.LOSE,
        Event.CORRECT,
    )
    table: dict[tuple[State, Event], State | None] = {}
    for line in lines:
        state, *following = line.split()
        for event, to in zip(events, following, strict=True):
            table[State(state), event] = None if to == "-" else State(to)
    return table


@pytest.mark.parametrize(("state", "event"), list(product(State, Event)))
def test_it_moves_as_the_table_says(state: State, event: Event) -> None:
    assert next_state(state, event) == _written()[state, event]


@pytest.mark.parametrize("event", list(Event))
def test_it_never_leaves_settled(event: Event) -> None:
    assert next_state(State.SETTLED, event) in (None, State.SETTLED)


@pytest.mark.parametrize(("state", "late"), [(s, s not in (State.HELD, State.TALKING)) for s in State])
def test_it_calls_a_settle_late_unless_the_call_was_open(state: State, late: bool) -> None:
    assert is_late(state) == late


def test_it_holds_money_only_while_open() -> None:
    assert {State.HELD, State.TALKING} == OPEN_STATES


@given(st.lists(st.sampled_from(list(Event)), max_size=20))
def test_it_changes_nothing_when_events_are_repeated(events: list[Event]) -> None:
    def live(told: list[Event]) -> State:
        state = State.ASKED
        for event in told:
            state = next_state(state, event) or state
        return state

    doubled = [event for event in events for _ in range(2)]
    assert live(doubled) == live(events)
