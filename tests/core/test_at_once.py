"""How many calls run at once, by steps of time: against a count by hand, and against counting each moment."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coovox_billing.core.at_once import most_at_once

SPANS = st.lists(st.tuples(st.integers(-10, 70), st.integers(-10, 70)), max_size=12)


@pytest.mark.parametrize(
    ("spans", "most"),
    [
        ([], [0, 0, 0]),
        ([(0, 10)], [1, 0, 0]),
        ([(0, 11)], [1, 1, 0]),
        ([(0, 5), (5, 10)], [1, 0, 0]),
        ([(0, 6), (5, 10)], [2, 0, 0]),
        ([(-99, 99)], [1, 1, 1]),
        ([(-99, 0), (30, 99)], [0, 0, 0]),
        ([(0, 10), (0, 10), (10, 20)], [2, 1, 0]),
        ([(7, 7), (9, 3)], [0, 0, 0]),
        ([(12, 28), (19, 20), (20, 21)], [0, 2, 2]),
    ],
)
def test_it_counts_the_most_in_each_step(spans: list[tuple[int, int]], most: list[int]) -> None:
    assert most_at_once(spans, 0, 10, 3) == most


@given(SPANS)
def test_it_agrees_with_a_count_of_each_moment(spans: list[tuple[int, int]]) -> None:
    running = [sum(begin <= moment < end for begin, end in spans) for moment in range(60)]
    assert most_at_once(spans, 0, 10, 6) == [max(running[step : step + 10]) for step in range(0, 60, 10)]
