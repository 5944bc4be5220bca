"""The scenarios of a billed call: the dialplan's result, the call's row, the ledger and `audit`, on a real Asterisk."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest

from tests.asterisk.billing import (
    DESK,
    LOBBY,
    SALES,
    BilledPbx,
    answered,
    assert_billed,
    balance,
    close,
    nudge,
    steps,
    top_up,
)

pytestmark = pytest.mark.usefixtures("sound")


def test_it_bills_a_call_that_the_callee_ends(site: BilledPbx) -> None:
    before = balance(site)
    answered(site.phone("95550003", hang_up_after_ms=20_000).wait())
    call = close(site)
    (leg,) = site.pbx.trunk_calls("trunk", "5550003")
    assert leg.talk_seconds == pytest.approx(3, abs=0.2)
    assert call["talk_seconds"] == 3
    assert_billed(site, call, leg.talk_seconds, before)
    assert (call["extension"], call["number"], call["trunk"]) == (SALES, "95550003", "Trunk 1")
    assert call["rate"]["remark"] == "by the second"


def test_it_bills_a_call_that_the_caller_ends(site: BilledPbx) -> None:
    before = balance(site)
    answered(site.phone("95550010", hang_up_after_ms=2_200).wait())
    call = close(site)
    assert call["talk_seconds"] == 2
    assert_billed(site, call, site.pbx.trunk_calls("trunk", "5550010")[0].talk_seconds, before)


def test_it_does_not_bill_an_announcement_before_the_dial(site: BilledPbx) -> None:
    before = balance(site)
    answered(site.phone("75550011", hang_up_after_ms=6_000).wait())
    call = close(site)
    (leg,) = site.pbx.trunk_calls("trunk", "5550011")
    assert leg.talk_seconds is not None
    assert leg.talk_seconds < 3
    assert_billed(site, call, leg.talk_seconds, before)


def test_it_frees_the_money_of_a_busy_trunk_for_the_next(site: BilledPbx) -> None:
    before = balance(site)
    answered(site.phone("85550001").wait())
    call = close(site)
    assert (call["trunk"], call["talk_seconds"]) == ("Trunk 2", 2)
    assert call["limit_seconds"] == before // 100, "the second attempt had all the money again"
    assert_billed(site, call, site.pbx.trunk_calls("trunk2", "5550001")[0].talk_seconds, before)
    assert [row["number"] for row in site.billing.calls()[:2]].count("85550001") == 1, "one row for both attempts"


def test_it_charges_nothing_for_a_busy_number(site: BilledPbx) -> None:
    before = balance(site)
    site.phone("95550001").wait()
    assert site.report() == ("unanswered", "", "BUSY")
    assert close(site)["state"] == "released"
    assert balance(site) == before


@pytest.mark.parametrize(
    ("extension", "changes", "number", "reason"),
    [
        (SALES, ("--status", "locked"), "95550000", "locked"),
        (LOBBY, (), "95550000", "no-money"),
        (SALES, (), "96660000", "no-rate"),
    ],
    ids=["locked", "no money", "no rate"],
)
def test_it_refuses(site: BilledPbx, extension: str, changes: tuple[str, ...], number: str, reason: str) -> None:
    if changes:
        site.billing.do("extension", "set", extension, *changes)
    before = balance(site, extension)
    dialed_before = len(site.pbx.trunk_calls("trunk"))
    result = site.phone(number, extension).wait()
    assert (result.answered, result.final_status) == (False, 486)
    assert len(site.pbx.trunk_calls("trunk")) == dialed_before
    assert site.report() == ("refused", reason, "BUSY")
    call = site.billing.closed_call()
    assert (call["state"], call["reason"], call["cost"]) == ("refused", reason, "0.0000")
    assert balance(site, extension) == before


def test_it_refuses_a_number_that_no_phone_dials(site: BilledPbx) -> None:
    site.phone("9555abc00").wait()
    assert site.report() == ("refused", "bad-number", "BUSY")


def test_it_cuts_at_the_limit_and_charges_no_more_than_was_held(site: BilledPbx) -> None:
    top_up(site.billing, LOBBY, 400)
    result = site.phone("95550012", LOBBY, hang_up_after_ms=20_000).wait()
    assert result.ended_by != "caller"
    call = close(site)
    (leg,) = site.pbx.trunk_calls("trunk", "5550012")
    assert leg.talk_seconds == pytest.approx(4, abs=0.2)
    assert (call["limit_seconds"], call["talk_seconds"], call["cost"]) == (4, 4, "0.0400")
    assert (balance(site, LOBBY), call["uncollected"]) == (0, "0.0000")


def test_it_lets_an_emergency_call_pass_while_locked_and_broke(site: BilledPbx) -> None:
    site.billing.do("extension", "set", LOBBY, "--status", "locked")
    before = balance(site, LOBBY)
    answered(site.phone("911", LOBBY).wait())
    site.pbx.wait_idle()
    call = site.billing.closed_call()
    assert (call["number"], call["reason"], call["cost"], call["limit_seconds"]) == (
        "911",
        "emergency",
        "0.0000",
        None,
    )
    assert (call["state"], call["extension"], call["talk_seconds"]) == ("settled", LOBBY, 2)
    assert balance(site, LOBBY) == before


@pytest.fixture(params=["stopped", "hung"])
def outage(site: BilledPbx, request: pytest.FixtureRequest) -> Iterator[str]:
    """The call plane stopped, or hung; before, it has told the dialplan what it must know alone."""
    site.phone("95550001").wait()
    close(site)
    site.forget_report()
    if request.param == "stopped":
        site.billing.stop()
    else:
        site.billing.send(signal.SIGSTOP)
    yield request.param
    if request.param == "stopped":
        site.billing.start()
    else:
        site.billing.send(signal.SIGCONT)
    site.phone("95550001").wait()
    close(site)


def assert_passes_within_3_seconds(site: BilledPbx, number: str, extension: str, dialed: str) -> None:
    asked = time.time()
    site.phone(number, extension, hang_up_after_ms=1_500).wait()
    leg = site.pbx.trunk_calls("trunk", dialed)[-1]
    assert leg.invited_at is not None
    assert leg.invited_at - asked < 3
    assert leg.answered


def test_it_lets_emergency_pass_when_billing_is_down(site: BilledPbx, outage: str) -> None:
    assert_passes_within_3_seconds(site, "911", LOBBY, "91100")


def test_it_lets_who_is_not_billed_pass_when_billing_is_down(site: BilledPbx, outage: str) -> None:
    assert_passes_within_3_seconds(site, "95550013", DESK, "5550013")


def test_it_refuses_who_is_billed_when_billing_is_down(site: BilledPbx, outage: str) -> None:
    site.phone("95550014").wait()
    assert site.report() == ("refused", "billing-down", "BUSY")
    assert site.pbx.trunk_calls("trunk", "5550014") == []


def test_it_prices_late_what_the_policy_let_pass(site: BilledPbx) -> None:
    site.billing.do("setting", "set", "when_billing_is_down", "allow")
    site.phone("95550001").wait()
    close(site)
    before = balance(site)
    site.billing.stop()
    assert_passes_within_3_seconds(site, "95550015", SALES, "5550015")
    site.pbx.wait_idle()
    site.billing.start()
    site.phone("95550001").wait()
    close(site)
    late = next(call for call in site.billing.calls() if call["number"] == "95550015")
    assert (late["state"], late["reason"], late["settled_late"]) == ("settled", "billing-down", True)
    assert steps(late["cost"]) == 100 * late["talk_seconds"] > 0
    assert balance(site) == before - steps(late["cost"])


def test_it_leaves_nothing_in_asterisks_database(site: BilledPbx) -> None:
    left = [key for key in site.pbx.db_tree("coovox_billing") if "/left" in key]
    assert left == []


@pytest.mark.parametrize(
    "dialed",
    [
        "911,PJSIP/5550077%40trunk,60,r",
        "97555,PJSIP/5550077%40trunk,60,r,x",
        "95550000%26PJSIP/5550077%40trunk",
        "3911,PJSIP/5550077%40trunk",
    ],
    ids=["emergency", "free number", "ampersand", "a route with fewer arguments"],
)
@pytest.mark.parametrize("is_up", [True, False], ids=["up", "down"])
def test_it_never_takes_an_argument_from_what_was_dialed(site: BilledPbx, dialed: str, is_up: bool) -> None:
    site.billing.do("setting", "set", "when_billing_is_down", "allow")
    nudge(site)
    site.forget_report()
    if not is_up:
        site.billing.stop()
    before, legs = balance(site, LOBBY), len(site.pbx.trunk_calls("trunk"))
    site.phone(dialed, LOBBY).wait()
    assert site.report() == ("refused", "bad-number", "BUSY")
    assert (balance(site, LOBBY), len(site.pbx.trunk_calls("trunk"))) == (before, legs)
    if not is_up:
        site.billing.start()
        nudge(site)


@pytest.mark.parametrize(("policy", "result"), [("refuse", "refused"), ("allow", None)])
def test_it_knows_who_is_behind_a_local_channel_when_billing_is_down(
    site: BilledPbx, policy: str, result: str | None
) -> None:
    site.billing.do("setting", "set", "when_billing_is_down", policy)
    nudge(site)
    site.forget_report()
    before = balance(site)
    site.billing.stop()
    site.phone("25550041").wait()
    site.pbx.wait_idle()
    site.billing.start()
    if result:
        assert site.report()[:2] == (result, "billing-down")
    nudge(site)
    call = next(call for call in site.billing.calls() if call["number"] == "95550041")
    assert (call["extension"], balance(site)) == (SALES, before - steps(call["cost"]))
    assert (steps(call["cost"]) > 0) == (policy == "allow")


def test_it_charges_whom_trusted_dialplan_named_also_when_billing_was_down(site: BilledPbx) -> None:
    site.billing.do("setting", "set", "when_billing_is_down", "allow")
    nudge(site)
    top_up(site.billing, LOBBY, 5_000)
    before, others = balance(site, LOBBY), balance(site)
    site.billing.stop()
    site.phone("15550042").wait()
    site.pbx.wait_idle()
    site.billing.start()
    nudge(site)
    call = next(call for call in site.billing.calls() if call["number"] == "95550042")
    assert (call["extension"], balance(site), steps(call["cost"]) > 0) == (LOBBY, others, True)
    assert balance(site, LOBBY) == before - steps(call["cost"])


def test_it_prices_a_second_trunk_that_answered_while_billing_was_down(site: BilledPbx) -> None:
    site.billing.do("setting", "set", "when_billing_is_down", "allow")
    nudge(site)
    before = balance(site)
    site.billing.stop()
    answered(site.phone("85550001").wait())
    site.pbx.wait_idle()
    site.billing.start()
    nudge(site)
    call = next(call for call in site.billing.calls() if call["number"] == "85550001")
    assert (call["state"], call["talk_seconds"], steps(call["cost"])) == ("settled", 2, 200)
    assert balance(site) == before - 200


def test_it_takes_a_route_with_fewer_arguments(site: BilledPbx) -> None:
    site.phone("395550043", hang_up_after_ms=1_500).wait()
    assert close(site)["number"] == "95550043"
