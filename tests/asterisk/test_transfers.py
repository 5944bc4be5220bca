"""Who pays after a transfer, by whichever of Asterisk's ways: keys, the manager (AMI), or the telephone's own REFER."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.asterisk.billing import DESK, SALES
from tests.asterisk.house import (
    Scene,
    join_by_keys,
    join_by_manager,
    join_by_refer,
    send_by_keys,
    send_by_manager,
    send_by_refer,
)
from tests.asterisk.sip import PhoneCall
from tests.asterisk.waiting import wait_until

Way = Callable[[Scene, str, str], PhoneCall]
COLLEAGUE = "105"  # answers at once and stays on the line
HASTY = "107"  # rings for half a second, talks for half a second
MOBILE, SECOND_MOBILE, RINGING_MOBILE = "95550105", "95550205", "95550110"
BUSY = "95550101"
REFERRED = "95550000"  # where 108, once called, refers its caller to
# Who parks by keys is told the slot, digit by digit, and is out only then: a busy machine speaks slowly.
HEARD_SECONDS = 20

BLIND = pytest.mark.parametrize("send", [send_by_keys, send_by_manager, send_by_refer], ids=["keys", "AMI", "REFER"])
ATTENDED = pytest.mark.parametrize("join", [join_by_keys, join_by_manager, join_by_refer], ids=["keys", "AMI", "REFER"])


@BLIND
def test_it_bills_the_dialer_until_the_trunk_ends_after_a_blind_transfer(scene: Scene, send: Way) -> None:
    phone = send(scene, MOBILE, HASTY).wait()
    scene.assert_paid((SALES, MOBILE))
    (leg,) = scene.answered_legs()
    assert leg.ended_at is not None
    assert phone.ended_at is not None
    assert leg.ended_at > phone.ended_at + 0.5


@BLIND
def test_it_bills_who_sent_a_colleague_out(scene: Scene, send: Way) -> None:
    send(scene, COLLEAGUE, MOBILE)
    scene.talk(MOBILE)
    scene.end()
    scene.assert_paid((SALES, MOBILE))


def test_it_bills_who_sent_a_colleague_out_also_where_the_second_trunk_answers(scene: Scene) -> None:
    send_by_refer(scene, COLLEAGUE, "85550101")
    scene.talk("85550101")
    scene.end()
    (row,) = scene.assert_paid((SALES, "85550101"))
    assert row["trunk"] == "Trunk 2"
    asked = [line for line in scene.site.billing.log().splitlines() if f"call {row['id']} asked" in line]
    assert [f", by a transfer of PJSIP/{SALES}-" in line for line in asked] == [True, True]


@pytest.mark.parametrize("caller", ["trunk", SALES])
@pytest.mark.parametrize("way", ["keys", "AMI"])
def test_it_bills_the_callee_who_sends_the_caller_out(scene: Scene, caller: str, way: str) -> None:
    scene.call(COLLEAGUE, caller).wait_answered()
    if way == "keys":
        press(scene, COLLEAGUE, f"#1{MOBILE}#")
    else:
        scene.act("BlindTransfer", COLLEAGUE, Context="from-internal", Exten=MOBILE)
    scene.talk(MOBILE)
    scene.end()
    scene.assert_paid((COLLEAGUE, MOBILE))


@pytest.mark.parametrize(("caller", "feature"), [("trunk", "#1"), (SALES, "*2")], ids=["blind", "attended"])
def test_it_bills_who_sent_the_caller_to_a_group_with_a_mobile(scene: Scene, caller: str, feature: str) -> None:
    scene.call(COLLEAGUE, caller).wait_answered()
    press(scene, COLLEAGUE, f"{feature}50{MOBILE}#")
    scene.talk(MOBILE)
    scene.end()
    scene.assert_paid((COLLEAGUE, MOBILE))


def test_it_bills_the_callee_whose_phone_refers_the_caller_out(scene: Scene) -> None:
    scene.call(SALES, "trunk")
    scene.talk(REFERRED)
    scene.end()
    scene.assert_paid((SALES, REFERRED))


@ATTENDED
@pytest.mark.parametrize(
    ("first", "second"),
    [(MOBILE, COLLEAGUE), (COLLEAGUE, MOBILE), (MOBILE, SECOND_MOBILE)],
    ids=["outside to inside", "inside to outside", "two outside"],
)
def test_it_bills_each_leg_to_its_dialer_after_an_attended_transfer(
    scene: Scene, join: Way, first: str, second: str
) -> None:
    outside = [number for number in (first, second) if number != COLLEAGUE]
    phone = join(scene, first, second).wait()
    for number in outside:
        scene.talk(number)
    time.sleep(0.5)
    scene.end()
    scene.assert_paid(*((SALES, number) for number in outside))
    assert phone.ended_at is not None
    assert all(leg.ended_at > phone.ended_at for leg in scene.answered_legs() if leg.ended_at is not None)


@pytest.mark.parametrize("caller", ["trunk", SALES])
@pytest.mark.parametrize("way", ["keys", "AMI"])
def test_it_bills_the_callee_who_consults_an_outside_number(scene: Scene, caller: str, way: str) -> None:
    scene.call(COLLEAGUE, caller).wait_answered()
    if way == "keys":
        press(scene, COLLEAGUE, f"*2{MOBILE}#")
    else:
        scene.act("Atxfer", COLLEAGUE, Context="from-internal", Exten=f"{MOBILE}#")
    scene.talk(MOBILE, 0.5)
    scene.end(COLLEAGUE)
    scene.talk(MOBILE)
    scene.end()
    scene.assert_paid((COLLEAGUE, MOBILE))


def test_it_bills_who_consulted_and_left_while_it_still_rang(scene: Scene) -> None:
    scene.call(COLLEAGUE, keys=f"*2{RINGING_MOBILE}#", refer_after_ms=300)
    scene.hang_up_once(RINGING_MOBILE, 180)
    assert scene.answered_legs() == []
    scene.talk(RINGING_MOBILE)
    scene.end()
    scene.assert_paid((SALES, RINGING_MOBILE))


def test_it_bills_who_consulted_also_when_billing_was_down(scene: Scene) -> None:
    with billing_down(scene):
        scene.call(COLLEAGUE).wait_answered()
        press(scene, COLLEAGUE, f"*2{MOBILE}#")
        scene.talk(MOBILE)
        scene.end()
        scene.site.pbx.wait_idle()
    scene.call(BUSY).wait()  # with which the call plane hears of it
    row = wait_until(lambda: next((row for row in scene.rows() if row["number"] == MOBILE), None))
    assert (row["extension"], row["settled_late"], row["talk_seconds"]) == (COLLEAGUE, True, 1), row
    assert scene.spent() == {COLLEAGUE: 100}


@pytest.mark.parametrize(
    "park", [send_by_keys, send_by_manager, send_by_refer, None], ids=["keys", "AMI", "REFER", "AMI Park"]
)
def test_it_bills_who_parked_a_call_until_it_ends(scene: Scene, park: Way | None) -> None:
    if park:
        park(scene, MOBILE, "700")
    else:
        scene.call(MOBILE).wait_answered()
        scene.act("Park", "trunk", TimeoutChannel=scene.channel_of(SALES))
    wait_until(lambda: "701" in scene.site.pbx.cli("parking show default"), 5, "the parked call")
    scene.call("701", DESK).wait_answered()
    wait_until(lambda: scene.devices() == [f"PJSIP/{DESK}", "PJSIP/trunk"], HEARD_SECONDS, "who parked is out")
    scene.talk(MOBILE, 2.3)
    scene.end()
    scene.assert_paid((SALES, MOBILE))


def press(scene: Scene, extension: str, keys: str) -> None:
    """The telephone of an extension that was called sends these keys."""
    for key in keys:
        scene.act("PlayDTMF", extension, Digit=key, Receive="true")


@contextmanager
def billing_down(scene: Scene) -> Iterator[None]:
    """The call plane is stopped; before, it has told the dialplan what it must know alone."""
    scene.site.billing.do("setting", "set", "when_billing_is_down", "allow")
    scene.call(BUSY).wait()
    scene.site.pbx.wait_idle()
    scene.site.billing.stop()
    try:
        yield
    finally:
        scene.site.billing.start()
