"""A trunk whose first seconds are free, on a real Asterisk: what a short call costs, and a longer one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.asterisk.billing import BilledPbx, answered, assert_billed, balance, close

pytestmark = pytest.mark.usefixtures("sound")

TRUNK = "PJSIP/trunk"


@pytest.fixture
def free_seconds(site: BilledPbx) -> Iterator[int]:
    """Talk of 2 s and less on the trunk is free."""
    if not site.billing.read("trunk", "list"):
        site.billing.do("trunk", "add", TRUNK, "--name", "Trunk 1")
    site.billing.do("trunk", "set", TRUNK, "--free-seconds", "2")
    yield 2
    site.billing.do("trunk", "set", TRUNK, "--free-seconds", "0")


def test_it_charges_nothing_for_talk_within_the_free_seconds(site: BilledPbx, free_seconds: int) -> None:
    before = balance(site)
    answered(site.phone("95550020", hang_up_after_ms=1_500).wait())
    call = close(site)
    assert (call["state"], call["talk_seconds"], call["cost"]) == ("settled", 1, "0.0000")
    assert call["why"][-1] == f"1 s of talk: no longer than the {free_seconds} s that are free on the trunk, is 0.0000"
    assert balance(site) == before


def test_it_charges_longer_talk_from_the_answer(site: BilledPbx, free_seconds: int) -> None:
    before = balance(site)
    answered(site.phone("95550021", hang_up_after_ms=4_500).wait())
    call = close(site)
    assert (call["talk_seconds"], call["cost"]) == (4, "0.0400")
    assert_billed(site, call, site.pbx.trunk_calls("trunk", "5550021")[0].talk_seconds, before)
    assert any(f"longer than the {free_seconds} s that are free on the trunk" in line for line in call["why"])


@pytest.mark.usefixtures("free_seconds")
def test_it_knows_the_free_seconds_of_a_call_that_passed_while_billing_was_stopped(site: BilledPbx) -> None:
    site.billing.do("setting", "set", "when_billing_is_down", "allow")
    site.phone("95550001").wait()
    close(site)
    site.billing.stop()
    try:
        answered(site.phone("95550022", hang_up_after_ms=1_500).wait())
        site.pbx.wait_idle()
    finally:
        site.billing.start()
    site.phone("95550001").wait()
    close(site)
    call = next(call for call in site.billing.calls() if call["number"] == "95550022")
    assert (call["state"], call["talk_seconds"], call["cost"]) == ("settled", 1, "0.0000")
