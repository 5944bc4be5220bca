"""Calls that share a balance, grow with a recharge and end when the money does, on a real Asterisk with its manager."""

from __future__ import annotations

import itertools
import re
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.asterisk.billing import BilledPbx, answered, steps
from tests.asterisk.media import Media, encoded, tone
from tests.asterisk.sip import ADDRESSES, PhoneCall
from tests.asterisk.trace import Leg
from tests.asterisk.waiting import wait_until

WITHOUT_END_MS = 120_000
PROMPT_HZ = 850
_extensions = itertools.count(201)


@dataclass(frozen=True)
class Customer:
    """An extension of one story's own, with a cent for each of some seconds."""

    site: BilledPbx
    extension: str

    @classmethod
    def with_cents(cls, site: BilledPbx, cents: int) -> Customer:
        customer = cls(site, str(next(_extensions)))
        site.billing.do("extension", "add", customer.extension)
        site.billing.do("extension", "set", customer.extension, "--billing", "on")
        customer.recharge(cents)
        return customer

    def recharge(self, cents: int) -> None:
        self.site.billing.do("recharge", self.extension, f"{cents / 100:.2f}")

    def set(self, *options: str) -> None:
        self.site.billing.do("extension", "set", self.extension, *options)

    def calls_out(
        self, number: str = "95550010", hang_up_after_ms: int = WITHOUT_END_MS, at_once: int = 1
    ) -> PhoneCall:
        return self.site.phone(f"0{self.extension}{number}", hang_up_after_ms=hang_up_after_ms, at_once=at_once)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Its calls, newest first."""
        calls = self.site.billing.read("call", "list", "--limit", "300")
        return [call for call in calls if call["extension"] == self.extension]

    @property
    def balance(self) -> int:
        """In 1/10,000."""
        return steps(self.site.billing.extension(self.extension)["balance"])

    def wait_talking(self, count: int = 1) -> None:
        wait_until(lambda: sum(call["state"] == "talking" for call in self.rows) == count, 15, f"{count} talk")

    def wait_closed(self) -> list[dict[str, Any]]:
        """Its calls, once all are over."""
        wait_until(lambda: all(call["state"] not in ("held", "talking") for call in self.rows), 20, "all to be closed")
        return self.rows

    def the_call(self) -> dict[str, Any]:
        """Its only call, once it is over: billed by the second, no more and no less than the trunk saw."""
        (row,) = self.wait_closed()
        assert (row["state"], row["uncollected"]) == ("settled", "0.0000")
        assert steps(row["cost"]) == row["talk_seconds"] * 100
        return row


@pytest.fixture
def site(managed_site: BilledPbx) -> Iterator[BilledPbx]:
    """Every story starts without grace and warning, and ends with books that agree."""
    for name in ("grace_seconds", "warning_seconds"):
        managed_site.billing.do("setting", "set", name, "0")
    managed_site.billing.do("setting", "set", "locking_ends_calls", "no")
    yield managed_site
    managed_site.pbx.wait_idle(30)
    managed_site.billing.assert_sound()


def _leg(site: BilledPbx, number: str = "5550010", patience_seconds: float = 5) -> Leg:
    """The newest call to a number, as the trunk saw it, once it is over."""

    def ended() -> Leg | None:
        return next((leg for leg in site.pbx.trunk_calls("trunk", number)[-1:] if leg.ended_at), None)

    return wait_until(ended, patience_seconds, "the trunk's leg to end")


def test_it_ends_a_call_where_the_money_does(site: BilledPbx) -> None:
    customer = Customer.with_cents(site, 5)
    call = customer.calls_out()
    customer.wait_talking()
    answered(call.wait())
    assert _leg(site).talk_seconds == pytest.approx(5, abs=0.2)
    assert (customer.the_call()["talk_seconds"], customer.balance) == (5, 0)


def test_it_lengthens_a_call_by_a_recharge_in_its_last_seconds(site: BilledPbx) -> None:
    customer = Customer.with_cents(site, 7)
    call = customer.calls_out()
    customer.wait_talking()
    time.sleep(3)
    customer.recharge(4)
    answered(call.wait())
    assert _leg(site).talk_seconds == pytest.approx(11, abs=0.2)
    call_row = customer.the_call()
    assert (call_row["talk_seconds"], customer.balance) == (11, 0)
    assert f"call {call_row['id']} lengthened: by 4 s, holds 0.1100, ends at 11 s of talk" in site.billing.log()


def test_its_caller_hears_that_the_money_is_nearly_out(site: BilledPbx) -> None:
    """The site's own prompt is a tone of 850 Hz: it is in the caller's ear 5 s before the end, once, and not before."""
    site.billing.do("setting", "set", "warning_seconds", "5")
    custom = site.pbx.folder / "share/sounds/custom"
    custom.mkdir(exist_ok=True)
    (custom / "coovox-billing-warning.ulaw").write_bytes(encoded(tone(PROMPT_HZ, 3_000, 1.2)))
    customer = Customer.with_cents(site, 10)
    with Media(ADDRESSES["108"]) as caller, Media(*site.pbx.media_place()) as callee:
        call = site.phone(f"0{customer.extension}95550010", hang_up_after_ms=WITHOUT_END_MS, media_port=caller.port)
        caller.talk(call.wait_answered().messages, 700)
        customer.wait_talking()
        callee.talk(site.pbx.trunk_messages(), 1_650)
        answered(call.wait())
        leg = _leg(site)
        assert leg.answered_at is not None
        assert leg.talk_seconds == pytest.approx(10, abs=0.2)
        loud = [
            tenth / 10
            for tenth in range(10, 95)
            if caller.heard(leg.answered_at + tenth / 10, leg.answered_at + tenth / 10 + 0.1).strength(PROMPT_HZ)
            > 1_000
        ]
    assert 5 <= loud[0] < 7
    assert 1 <= loud[-1] - loud[0] < 1.5, "once"
    told = rf"call {customer.the_call()['id']} warned: the caller hears that (\d+) s are left"
    (left_seconds,) = map(int, re.findall(told, site.billing.log()))
    assert left_seconds == pytest.approx(10 - loud[0], abs=1), "what is left when it is heard, on a busy machine less"


def test_it_gives_what_one_call_left_to_another(site: BilledPbx) -> None:
    customer = Customer.with_cents(site, 66)
    first = customer.calls_out(hang_up_after_ms=2_000)
    customer.wait_talking()
    second = customer.calls_out("95550011", hang_up_after_ms=9_000)
    wait_until(lambda: len(customer.rows) == 2, 5)
    assert customer.rows[0]["limit_seconds"] == 6, "the first holds for a minute"
    answered(first.wait())
    answered(second.wait())
    assert _leg(site, "5550011").talk_seconds == pytest.approx(9, abs=0.3)
    assert customer.balance == 6_600 - sum(steps(row["cost"]) for row in customer.wait_closed())


def test_it_lets_calls_of_a_locked_extension_end_by_themselves(site: BilledPbx) -> None:
    customer = Customer.with_cents(site, 500)
    call = customer.calls_out(hang_up_after_ms=5_000)
    customer.wait_talking()
    customer.set("--status", "locked")
    answered(call.wait())
    assert _leg(site).talk_seconds == pytest.approx(5, abs=0.3)
    assert customer.the_call()["talk_seconds"] == 5


def test_it_ends_calls_of_a_locked_extension_where_the_setting_says_so(site: BilledPbx) -> None:
    site.billing.do("setting", "set", "locking_ends_calls", "yes")
    customer, other = Customer.with_cents(site, 500), Customer.with_cents(site, 500)
    call, others = customer.calls_out(), other.calls_out("95550011", hang_up_after_ms=6_000)
    customer.wait_talking()
    other.wait_talking()
    customer.set("--status", "locked")
    locked_at = time.time()
    answered(call.wait())
    ended_at = _leg(site).ended_at
    assert ended_at is not None
    assert ended_at - locked_at < 2
    answered(others.wait())
    assert f"call {customer.the_call()['id']} cut: Asterisk hangs it up after" in site.billing.log()
    assert (customer.the_call()["talk_seconds"], other.the_call()["talk_seconds"]) == (
        int(_leg(site).talk_seconds or 0),
        6,
    )


def test_it_lifts_the_limits_when_billing_is_deactivated(site: BilledPbx) -> None:
    customer = Customer.with_cents(site, 7)
    call = customer.calls_out(hang_up_after_ms=11_000)
    customer.wait_talking()
    time.sleep(1)
    site.billing.do("activation", "off")
    try:
        answered(call.wait())
        (row,) = customer.wait_closed()
    finally:
        site.billing.do("activation", "on")
    assert row["talk_seconds"] == 11
    assert 100 <= steps(row["cost"]) <= 500, "the talk before is charged, and no more"
    assert customer.balance == 700 - steps(row["cost"])


def test_it_keeps_what_is_held_when_the_credit_is_lowered(site: BilledPbx) -> None:
    customer = Customer.with_cents(site, 1)
    customer.set("--credit", "1")
    call = customer.calls_out(hang_up_after_ms=4_000)
    customer.wait_talking()
    customer.set("--credit", "0.02", "--payment-type", "postpaid")
    answered(call.wait())
    (row,) = customer.wait_closed()
    assert (row["cost"], row["uncollected"]) == ("0.0400", "0.0100")
    assert customer.balance == -200


def test_it_finds_a_call_again_that_was_moved_to_another_channel(site: BilledPbx) -> None:
    """A redirect puts the trunk's leg onto a channel with another Uniqueid."""
    customer = Customer.with_cents(site, 9)
    customer.calls_out()
    customer.wait_talking()
    time.sleep(1)
    name = next(channel for channel in site.pbx.channels() if channel.startswith("PJSIP/trunk-"))
    site.pbx.cli(f"channel redirect {name} from-internal,echo,1")
    customer.recharge(4)
    leg = _leg(site, patience_seconds=20)
    assert leg.talk_seconds == pytest.approx(13, abs=0.3)
    assert (customer.the_call()["talk_seconds"], customer.balance) == (13, 0)


def test_it_keeps_the_terms_that_a_call_began_with(site: BilledPbx) -> None:
    """Rates, billing flag, payment type and name are edited while it talks."""
    customer = Customer.with_cents(site, 7)
    rates = site.billing.data.with_name("edited.csv")
    before = site.billing.do("rate", "export", "-")
    call = customer.calls_out()
    customer.wait_talking()
    rates.write_text(before.replace("0.01,1,", "3,1,"))
    site.billing.do("rate", "import", str(rates))
    try:
        customer.set("--billing", "off", "--payment-type", "postpaid", "--name", "Somebody else")
        customer.recharge(2)
        answered(call.wait())
        assert _leg(site).talk_seconds == pytest.approx(9, abs=0.2)
        assert (customer.the_call()["cost"], customer.balance) == ("0.0900", 0)
    finally:
        rates.write_text(before)
        site.billing.do("rate", "import", str(rates))


def test_it_lets_three_of_fifty_calls_pass_on_a_balance_for_three(site: BilledPbx) -> None:
    customer = Customer.with_cents(site, 3 * 60)
    crowd = customer.calls_out(hang_up_after_ms=8_000, at_once=50)
    customer.wait_talking(3)
    crowd.wait(60)
    rows = customer.wait_closed()
    settled = [row for row in rows if row["state"] == "settled"]
    assert (len(rows), len(settled)) == (50, 3)
    assert {row["reason"] for row in rows if row["state"] == "refused"} == {"no-money"}
    assert sum(result.answered for result in crowd.all_so_far()) == 3
    assert customer.balance == 3 * 6_000 - sum(steps(row["cost"]) for row in settled)


def test_it_takes_calls_over_after_it_was_killed(site: BilledPbx) -> None:
    customer = Customer.with_cents(site, 12)
    call = customer.calls_out()
    customer.wait_talking()
    site.billing.stop(signal.SIGKILL)
    site.billing.start()
    site.wait_for_ami()
    customer.recharge(4)
    answered(call.wait())
    assert _leg(site).talk_seconds == pytest.approx(16, abs=0.3), "it was lengthened by the new call plane"
    assert (customer.the_call()["talk_seconds"], customer.balance) == (16, 0)


def test_it_lets_a_call_outlive_it_for_a_grace(site: BilledPbx) -> None:
    site.billing.do("setting", "set", "grace_seconds", "5")
    customer = Customer.with_cents(site, 100)
    call = customer.calls_out("95550011")
    customer.wait_talking()
    (row,) = customer.rows
    assert (row["held"], row["limit_seconds"]) == ("0.6000", 65), "bought is a minute, the limit lies beyond"
    site.billing.stop(signal.SIGKILL)
    answered(call.wait(90))
    assert _leg(site, "5550011").talk_seconds == pytest.approx(65, abs=0.2)
    site.billing.start()
    site.wait_for_ami()
    assert customer.the_call()["talk_seconds"] == 65
    assert customer.balance == 3_500


def test_it_goes_on_when_asterisk_is_restarted(site: BilledPbx) -> None:
    customer = Customer.with_cents(site, 300)
    call = customer.calls_out(hang_up_after_ms=30_000)
    customer.wait_talking()
    site.pbx.stop()
    customer.wait_closed()
    call.drop()
    before = site.billing.log().count("signed in")
    site.pbx.start()
    wait_until(lambda: site.billing.log().count("signed in") > before, 15, "the call plane signs in again")
    test_it_lengthens_a_call_by_a_recharge_in_its_last_seconds(site)


def test_it_tells_the_dialplan_of_a_change_without_a_call(site: BilledPbx) -> None:
    customer = Customer.with_cents(site, 100)
    for status, known in (("locked", "locked"), ("unlocked", "billed")):
        customer.set("--status", status)
        wait_until(lambda known=known: site.pbx.db(f"coovox_billing/payer/{customer.extension}") == known, 5)


def test_it_keeps_a_long_minute_of_many_calls_right(site: BilledPbx) -> None:
    """A hundred calls of 1 s units, and two rates on one balance, for longer than what is bought first.

    Meanwhile the connection to Asterisk's manager is lost ten times.
    """
    assert site.wire is not None
    many, two = Customer.with_cents(site, 1_000_000), Customer.with_cents(site, 120)
    connections, actions = site.wire.connections, site.wire.actions
    crowd = many.calls_out(hang_up_after_ms=75_000, at_once=100)
    cheap, dear = (two.calls_out(number) for number in ("95550011", "94550012"))
    many.wait_talking(100)
    for _ in range(10):
        site.wire.cut()
        time.sleep(6)
    for call in (crowd, cheap, dear):
        call.wait(150)
    assert site.wire.connections - connections >= 10
    print(f"AMI: {site.wire.actions - actions} actions for 102 calls of 75 s over {10 + 1} connections")
    rows = sorted(many.wait_closed(), key=lambda row: int(row["talk_seconds"]))
    legs = sorted(leg.talk_seconds or 0 for leg in site.pbx.trunk_calls("trunk", "5550010")[-100:])
    assert min(legs) > 74, "all were lengthened"
    for row, leg_seconds in zip(rows, legs, strict=True):
        assert row["talk_seconds"] == pytest.approx(leg_seconds, abs=1)
        assert steps(row["cost"]) == row["talk_seconds"] * 100
    spent = two.wait_closed()
    assert {row["rate"]["remark"] for row in spent} == {"by the second", "by units"}
    assert all(row["uncollected"] == "0.0000" for row in spent)
    assert two.balance == 12_000 - sum(steps(row["cost"]) for row in spent)
    assert two.balance < 100, "not even a second of the cheaper call is left"
