"""What talk is free on a trunk, and when its answers look as if nobody gave them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coovox_billing.core.trunk import KnownTrunk, Traffic, explain_suspicion, least_free_seconds, looks_unsupervised

KNOWN = {
    "DAHDI/g1": KnownTrunk("Line 1", 30),
    "DAHDI/g2": KnownTrunk("Line 2", 20),
    "PJSIP/carrier": KnownTrunk("carrier", 0),
}


@pytest.mark.parametrize(
    ("devices", "seconds"),
    [
        (["DAHDI/g1"], 30),
        (["DAHDI/g1", "DAHDI/g2"], 20),
        (["DAHDI/g1", "PJSIP/carrier"], 0),
        (["DAHDI/g1", "SIP/unknown"], 0),
        (["SIP/unknown"], 0),
        ([], 0),
    ],
)
def test_it_takes_the_strictest_of_what_is_dialed(devices: list[str], seconds: int) -> None:
    assert least_free_seconds(devices, KNOWN) == seconds


@pytest.mark.parametrize(
    ("calls", "answered", "at_once", "suspicious"),
    [
        (20, 20, 20, True),
        (19, 19, 19, False),
        (20, 20, 19, True),
        (20, 20, 18, False),
        (20, 19, 19, True),
        (20, 18, 18, False),
        (1_000, 950, 903, True),
        (1_000, 949, 949, False),
        (20, 0, 0, False),
        (0, 0, 0, False),
    ],
)
def test_it_suspects_a_line_whose_calls_are_all_answered_at_once(
    calls: int, answered: int, at_once: int, suspicious: bool
) -> None:
    assert looks_unsupervised(Traffic(calls, answered, at_once), free_seconds=0) == suspicious


@given(st.integers(0, 1_000), st.integers(1, 600))
def test_it_never_suspects_a_line_that_is_taken_care_of(calls: int, free_seconds: int) -> None:
    assert not looks_unsupervised(Traffic(calls, calls, calls), free_seconds)


def test_it_tells_the_numbers_behind_a_suspicion() -> None:
    told = explain_suspicion(Traffic(40, 39, 38))
    assert told.startswith("38 of 39 answers came within 2 s of dialing, 1 of 40 calls had none")
