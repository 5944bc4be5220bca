"""What a call keeps of *why this price*, and what is read of it for ever."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coovox_billing.core import why
from coovox_billing.core.why import Numbered, sentence
from coovox_billing.sentences import Sentence, as_json

# Calls of years hold these numbers: a line may be added, none changed but for its wording.
KEPT = {
    1: ["rate", "claim"],
    2: ["rate", "why"],
    3: [],
    4: ["id"],
    5: ["id", "remark"],
    6: ["prefix", "length", "reach"],
    7: [],
    8: [],
    9: ["count"],
    10: [],
    11: [],
    12: ["prefix"],
    13: [],
    14: ["length", "digits"],
    15: ["extension"],
    16: ["day", "time"],
    17: [],
    18: [],
    19: [],
    20: [],
    21: [],
    22: ["balance", "credit", "held", "outcome"],
    23: ["amount", "limit"],
    24: ["amount", "first"],
    25: ["available", "cost"],
    26: ["talk", "initial_cost", "initial", "units", "total"],
    27: ["unit", "price"],
    28: ["count", "unit", "price"],
    29: ["talk", "free"],
    30: ["free"],
    31: ["before", "after"],
    32: ["amount"],
    33: [],
    34: [],
    35: [],
    **{weekday: [] for weekday in range(36, 43)},
}

LINES = [
    why.RATE_WINS(why.RATE_WITH_REMARK(1, "100% day"), why.CLAIM("9", why.EXACT_LENGTH(9), why.ALL_EXTENSIONS())),
    why.RATE_LOST(why.RATE(2), why.NOT_OPEN(why.DAYS_OF_WEEK[0](), "21:30:00")),
]
SAID = (
    "rate 1 (100% day) wins: prefix 9, exactly 9 digits, all extensions",
    "rate 2 lost: it is not open on Monday at 21:30:00",
)


def test_it_keeps_the_numbers_and_places_that_calls_hold() -> None:
    kept = {one.number: one.places for one in vars(why).values() if isinstance(one, Numbered)}
    assert kept | {day.number: day.places for day in why.DAYS_OF_WEEK} == KEPT


def test_it_gives_no_number_twice() -> None:
    with pytest.raises(ValueError, match="number 5"):
        Numbered("another", 5)


def test_it_reads_what_it_stored() -> None:
    text = why.stored(LINES)
    assert text == '[[1,[5,1,"100% day"],[6,"9",[9,9],[10]]],[2,[4,2],[16,[36],"21:30:00"]]]'
    assert why.read(text) == SAID


def test_it_stores_more_lines_after_others() -> None:
    assert why.read(why.stored_after(why.stored(LINES[:1]), LINES[1:])) == SAID
    assert why.stored_after(why.stored([]), LINES) == why.stored_after(why.stored(LINES), []) == why.stored(LINES)


def test_it_reads_sentences_that_an_earlier_version_stored_in_full() -> None:
    in_full = as_json([Sentence("%(rate)s lost: %(why)s", rate=Sentence("rate %(id)s", id=2), why="as it was")])
    assert why.read(in_full) == ("rate 2 lost: as it was",)
    assert why.read(why.stored_after(in_full, LINES)) == ("rate 2 lost: as it was", *SAID)
    assert why.in_full(in_full) == in_full


def test_it_is_read_in_full_without_its_numbers() -> None:
    text = why.in_full(why.stored(LINES))
    assert json.loads(text)[1] == [
        "%(rate)s lost: %(why)s",
        {"rate": ["rate %(id)s", {"id": 2}], "why": [why.NOT_OPEN.message, {"day": ["Monday"], "time": "21:30:00"}]},
    ]
    assert why.read(text) == SAID


@given(st.sampled_from(sorted(KEPT)), st.lists(st.text() | st.integers(), min_size=5, max_size=5))
def test_it_tells_every_sentence_with_its_values(number: int, values: list[str | int]) -> None:
    line = (number, *values[: len(KEPT[number])])
    said = sentence(line)
    assert [said.values[name] for name in KEPT[number]] == [*line[1:]]
    assert why.read(why.stored([line])) == (said,)
