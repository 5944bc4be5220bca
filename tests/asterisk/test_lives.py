"""More lives of a call: what ends it early, what dies beside it, who is made to pay, and what its limits survive."""

from __future__ import annotations

import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from coovox_billing.store.database import FILE_NAME
from tests.asterisk.billing import (
    DESK,
    SALES,
    BilledPbx,
    Billing,
    answered,
    assert_billed,
    balance,
    close,
    nudge,
    steps,
    top_up,
)
from tests.asterisk.waiting import wait_until

pytestmark = pytest.mark.usefixtures("sound")
BYE_DELAY_SECONDS = 0.15
SLACK_SECONDS = 0.1


@contextmanager
def locked_database(billing: Billing) -> Iterator[None]:
    """Somebody else writes and does not stop."""
    connection = sqlite3.connect(billing.data / FILE_NAME, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


@pytest.mark.parametrize(
    ("number", "options", "dial_status"),
    [
        ("65550002", {}, "NOANSWER"),
        ("95550004", {}, "CONGESTION"),
        ("95550002", {"cancel_after_ms": 1_000}, None),
        ("95550006", {"cancel_after_ms": 1_000}, None),
    ],
    ids=["no answer", "trunk down", "caller cancels", "caller cancels after early media"],
)
def test_it_charges_nothing_and_holds_nothing_without_an_answer(
    site: BilledPbx, number: str, options: dict[str, int], dial_status: str | None
) -> None:
    before = balance(site)
    site.phone(number, **options).wait()
    call = close(site)
    assert (call["state"], call["cost"], call["talk_seconds"]) == ("released", "0.0000", 0)
    assert balance(site) == before
    if dial_status:
        assert site.report() == ("unanswered", "", dial_status)


def test_it_bills_the_trunk_that_answers_of_two(site: BilledPbx) -> None:
    before = balance(site)
    answered(site.phone("55550002").wait())
    call = close(site)
    assert_billed(site, call, site.pbx.trunk_calls("trunk2", "5550002")[0].talk_seconds, before)


def test_it_bills_a_call_whose_call_plane_was_killed_and_came_back(site: BilledPbx) -> None:
    before = balance(site)
    phone = site.phone("95550020", hang_up_after_ms=4_000)
    phone.wait_answered()
    site.billing.stop(signal.SIGKILL)
    site.billing.start()
    phone.wait()
    call = close(site)
    assert not call["settled_late"]
    assert_billed(site, call, site.pbx.trunk_calls("trunk", "5550020")[0].talk_seconds, before)


def test_it_follows_the_policy_when_the_call_plane_dies_in_mid_authorize(site: BilledPbx) -> None:
    nudge(site)
    site.forget_report()
    with locked_database(site.billing):
        asked = time.monotonic()
        phone = site.phone("95550021")
        time.sleep(0.8)
        site.billing.stop(signal.SIGKILL)
        phone.wait()
    assert time.monotonic() - asked < 3
    assert site.report() == ("refused", "billing-down", "BUSY")
    site.billing.start()
    nudge(site)
    refused = next(call for call in site.billing.calls() if call["number"] == "95550021")
    assert (refused["state"], refused["held"]) == ("refused", "0.0000")


def test_it_answers_in_time_when_the_database_does_not(site: BilledPbx) -> None:
    nudge(site)
    site.forget_report()
    with locked_database(site.billing):
        asked = time.monotonic()
        site.phone("95550022").wait()
        assert time.monotonic() - asked < 3
        assert site.report() == ("refused", "billing-down", "BUSY")
    nudge(site)


def test_it_books_a_settle_in_which_the_call_plane_died(site: BilledPbx) -> None:
    before = balance(site)
    phone = site.phone("95550023", hang_up_after_ms=2_000)
    phone.wait_answered()
    site.billing.send(signal.SIGSTOP)
    time.sleep(2.5)
    site.billing.stop(signal.SIGKILL)
    phone.wait()
    site.pbx.wait_idle()
    assert any("/left/" in key for key in site.pbx.db_tree("coovox_billing"))
    site.billing.start()
    nudge(site)
    call = next(call for call in site.billing.calls() if call["number"] == "95550023")
    (leg,) = site.pbx.trunk_calls("trunk", "5550023")
    assert call["talk_seconds"] == 2, "the talk ended with the caller, not with the call plane"
    assert (balance(site), leg.answered) == (before - steps(call["cost"]), True)


def test_it_does_not_keep_the_trunk_waiting_for_a_slow_settle(site: BilledPbx) -> None:
    before = balance(site)
    phone = site.phone("95550024", hang_up_after_ms=2_000)
    phone.wait_answered()
    with locked_database(site.billing):
        result = phone.wait()
        site.pbx.wait_idle()
    (leg,) = site.pbx.trunk_calls("trunk", "5550024")
    assert leg.ended_at is not None
    assert result.ended_at is not None
    assert leg.ended_at - result.ended_at < BYE_DELAY_SECONDS + SLACK_SECONDS
    nudge(site)
    call = next(call for call in site.billing.calls() if call["number"] == "95550024")
    assert (call["state"], balance(site)) == ("settled", before - steps(call["cost"]))


@pytest.mark.parametrize(
    ("from_user", "headers"),
    [
        ("109", ""),
        (None, 'P-Asserted-Identity: "Lobby" <sip:109@127.0.0.1>'),
        (None, 'Remote-Party-ID: "Lobby" <sip:109@127.0.0.1>;party=calling'),
    ],
    ids=["From", "P-Asserted-Identity", "Remote-Party-ID"],
)
def test_it_bills_the_device_and_not_a_forged_caller_id(site: BilledPbx, from_user: str | None, headers: str) -> None:
    before = balance(site)
    answered(site.phone("95550025", from_user=from_user, headers=headers).wait())
    call = close(site)
    assert call["extension"] == SALES
    assert balance(site) == before - steps(call["cost"])


@pytest.mark.parametrize(
    ("second_limit", "first_talk", "second_talk"), [(60, 6, 4), (2, 4, 2)], ids=["first", "second"]
)
def test_it_keeps_the_limits_of_both_legs_after_a_blind_transfer(
    site: BilledPbx, second_limit: int, first_talk: int, second_talk: int
) -> None:
    """108 calls out and sends the outside party to a second outside number at 1 s; which limit ends it is the case."""
    before = balance(site)
    number = f"955500{30 + second_limit}"
    site.billing.do("setting", "set", "longest_call_seconds", "6")
    phone = site.phone("95550026", refer_to=number, refer_after_ms=1_200, hang_up_after_ms=2_000)
    phone.wait_answered()
    site.billing.do("setting", "set", "longest_call_seconds", str(second_limit))
    phone.wait()
    site.pbx.wait_idle(20)
    site.billing.do("setting", "set", "longest_call_seconds", "14400")
    wait_until(lambda: all(call["state"] == "settled" for call in site.billing.calls()[:2]), 10)
    second, first = site.billing.calls()[:2]
    assert (first["number"], second["number"]) == ("95550026", number)
    assert (first["extension"], second["extension"]) == (SALES, SALES)
    assert first["talk_seconds"] == pytest.approx(first_talk, abs=1)
    assert second["talk_seconds"] == pytest.approx(second_talk, abs=1)
    assert balance(site) == before - steps(first["cost"]) - steps(second["cost"])


def test_it_calls_the_routes_own_options_from_inside(site: BilledPbx) -> None:
    before = balance(site)
    site.phone("45550027", hang_up_after_ms=15_000).wait()
    assert site.report() == ("answered", "", "ANSWER")
    call = close(site)
    assert (site.pbx.db("own/before"), site.pbx.db("own/answer")) == ("x", "a-b-")
    assert call["talk_seconds"] == 3, "the route's own L() was shorter than the money"
    assert_billed(site, call, site.pbx.trunk_calls("trunk", "5550027")[0].talk_seconds, before)


def test_it_logs_who_is_not_billed_at_no_cost(site: BilledPbx) -> None:
    answered(site.phone("95550028", DESK).wait())
    call = close(site)
    assert (call["extension"], call["reason"], call["cost"], call["talk_seconds"]) == (
        DESK,
        "not-billed",
        "0.0000",
        2,
    )


def test_it_makes_an_unknown_phone_a_new_extension_that_is_not_billed(site: BilledPbx) -> None:
    answered(site.phone("95550029", "105").wait())
    call = close(site)
    assert (call["extension"], call["reason"], call["cost"]) == ("105", "not-billed", "0.0000")
    assert site.billing.extension("105")["billing"] is False


def test_it_lets_a_free_call_pass_with_a_negative_balance(site: BilledPbx) -> None:
    debtor = "103"
    site.billing.do("extension", "add", debtor)
    site.billing.do("extension", "set", debtor, "--billing", "on", "--credit", "0.02")
    site.phone("95550030", debtor, hang_up_after_ms=15_000).wait()
    assert close(site)["cost"] == "0.0200"
    site.billing.do("extension", "set", debtor, "--credit", "0")
    assert site.billing.extension(debtor)["balance"] == "-0.0200"
    site.phone("95550030", debtor).wait()
    assert close(site)["reason"] == "no-money"
    answered(site.phone("97550030", debtor).wait())
    call = close(site)
    assert (call["state"], call["cost"], call["reason"]) == ("settled", "0.0000", "")


def test_it_spends_two_calls_to_the_last_cent(site: BilledPbx) -> None:
    saver = "104"
    site.billing.do("extension", "add", saver)
    site.billing.do("extension", "set", saver, "--billing", "on")
    top_up(site.billing, saver, 500)
    answered(site.phone("95550031", saver, hang_up_after_ms=2_200).wait())
    assert close(site)["cost"] == "0.0200"
    site.phone("95550032", saver, hang_up_after_ms=15_000).wait()
    call = close(site)
    assert (call["talk_seconds"], call["cost"], balance(site, saver)) == (3, "0.0300", 0)


def test_it_bills_a_full_minute_to_the_second(site: BilledPbx) -> None:
    before = balance(site)
    answered(site.phone("95550033", hang_up_after_ms=60_000).wait(90))
    call = close(site)
    (leg,) = site.pbx.trunk_calls("trunk", "5550033")
    assert leg.talk_seconds == pytest.approx(60, abs=0.5)
    assert_billed(site, call, leg.talk_seconds, before)
