"""The record of a leg, as the dialplan writes it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coovox_billing.core.leg import FIELDS, Leg, parse_leg
from coovox_billing.errors import BadInput
from tests.cast import a_leg, a_record

words = st.text("0123456789abcXYZ/_.+ -", max_size=8)
stamps_ms = st.integers(0, 4 * 10**12)
legs = st.builds(
    Leg,
    device=words,
    number=words,
    trunk=words,
    asked_ms=stamps_ms,
    alone=st.sampled_from(["", "emergency", "passed", "refused"]),
    answered_ms=st.none() | stamps_ms,
    ended_ms=stamps_ms,
    cause=words,
    uniqueid=words,
    linkedid=words,
    rang_ms=st.none() | st.integers(0, 10**9 - 1),
)


@given(legs)
def test_it_reads_back_every_record(leg: Leg) -> None:
    assert parse_leg(a_record(leg)) == leg


def test_it_reads_a_record_of_the_dialplan() -> None:
    record = (
        "PJSIP/100|988360046|carrier|1795226166.100||1795226171.484|1795226231.500|16|1795226166.2|1795226166.1|850"
    )
    assert parse_leg(record) == Leg(
        device="PJSIP/100",
        number="988360046",
        trunk="carrier",
        asked_ms=1_795_226_166_100,
        alone="",
        answered_ms=1_795_226_171_484,
        ended_ms=1_795_226_231_500,
        cause="16",
        uniqueid="1795226166.2",
        linkedid="1795226166.1",
        rang_ms=850,
    )


GOOD = a_record(a_leg(talked=60)).split("|")


def _with(field: int, text: str) -> str:
    return "|".join([*GOOD[:field], text, *GOOD[field + 1 :]])


@pytest.mark.parametrize(
    "record",
    [
        "",
        "|" * (FIELDS - 1),
        "|".join(GOOD[:-1]),
        "|".join([*GOOD, "more"]),
        _with(3, ""),
        _with(3, "noon"),
        _with(4, "maybe"),
        _with(4, "Emergency"),
        _with(5, "later"),
        _with(6, ""),
        _with(6, "-1"),
    ],
)
def test_it_refuses_what_is_no_record(record: str) -> None:
    with pytest.raises(BadInput):
        parse_leg(record)


def test_it_keeps_a_leg_that_nobody_answered_without_a_stamp() -> None:
    assert parse_leg(_with(5, "")).answered_ms is None


@pytest.mark.parametrize("rang", ["", "soon", "-5", "1" * 10])
def test_it_knows_of_no_ringing_that_is_not_told(rang: str) -> None:
    assert parse_leg(_with(10, rang)).rang_ms is None


def test_it_cuts_what_asterisk_made_too_long() -> None:
    leg = parse_leg(a_record(replace(a_leg(), cause="1" * 99, uniqueid="2" * 99, linkedid="3" * 99)))
    assert (len(leg.cause), len(leg.uniqueid), len(leg.linkedid)) == (8, 64, 64)


@given(st.text() | st.lists(st.text(max_size=5), min_size=FIELDS, max_size=FIELDS).map("|".join))
def test_it_refuses_garbage_with_bad_input_alone(record: str) -> None:
    try:
        parse_leg(record)
    except BadInput as error:
        assert str(error)
