"""Who pays when nobody simply dials: forwarding, ringing several places, conferences, calls without a payer."""

from __future__ import annotations

import pytest

from tests.asterisk.billing import DESK, LOBBY, SALES
from tests.asterisk.house import Scene
from tests.asterisk.media import Media
from tests.asterisk.sip import ADDRESSES
from tests.asterisk.waiting import wait_until

MEMBER = "105"  # whose mobile rings with the group, and who pays for it
MOBILE, SECOND_MOBILE, UNANSWERED_MOBILE = "95550105", "95550205", "95550102"
FORWARDED = "95550000"  # where the harness's own phones send callers
WAYS_OUT = pytest.mark.parametrize("way_out", ["60", "41"], ids=["by the trunk's context", "by a Local channel"])


@pytest.mark.parametrize("caller", [DESK, "trunk"])
def test_it_bills_whose_phone_forwarded(scene: Scene, caller: str) -> None:
    scene.call(LOBBY, caller)
    scene.talk(FORWARDED)
    scene.end()
    scene.assert_paid((LOBBY, FORWARDED))


@pytest.mark.parametrize(
    ("forwarded", "payer"),
    [(f"40{MOBILE}", SALES), (f"42{MOBILE}", MEMBER)],
    ids=["told who began", "told who pays"],
)
def test_it_bills_whom_the_dialplan_told_for_a_forward_by_local(scene: Scene, forwarded: str, payer: str) -> None:
    with Media(ADDRESSES[SALES]) as voice:
        call = scene.call(forwarded, media_port=voice.port)
        voice.talk(call.wait_answered().messages, 400)
        wait_until(lambda: scene.devices() == [f"PJSIP/{SALES}", "PJSIP/trunk"], 5, "the Local channels to step aside")
        scene.talk(MOBILE)
        scene.end()
    scene.assert_paid((payer, MOBILE))


def test_it_knows_no_payer_of_a_forward_by_local_that_was_not_told(scene: Scene) -> None:
    scene.call(f"41{MOBILE}")
    scene.talk(MOBILE)
    scene.end()
    scene.assert_unpaid(MOBILE)


@pytest.mark.parametrize(
    ("group", "payer"), [("50", SALES), ("51", MEMBER)], ids=["follow-me at the caller's cost", "at the member's"]
)
def test_it_bills_a_mobile_that_rings_with_the_phones_and_answers(scene: Scene, group: str, payer: str) -> None:
    scene.call(f"{group}{MOBILE}")
    scene.talk(MOBILE)
    scene.end()
    scene.assert_paid((payer, MOBILE))


def test_it_bills_a_member_whose_mobile_answers_an_outside_caller(scene: Scene) -> None:
    scene.call(f"51{MOBILE}", "trunk")
    scene.talk(MOBILE)
    scene.end()
    scene.assert_paid((MEMBER, MOBILE))


def test_it_charges_nothing_for_a_mobile_where_another_member_answers(scene: Scene) -> None:
    scene.call(f"51{UNANSWERED_MOBILE}").wait()
    (row,) = scene.rows()
    assert (row["extension"], row["number"], row["trunk"]) == (MEMBER, UNANSWERED_MOBILE, "Trunk 1")
    assert (row["state"], row["talk_seconds"], row["cost"], row["held"]) == ("released", 0, "0.0000", "0.0000")
    assert (scene.answered_legs(), scene.spent()) == ([], {})


def test_it_bills_each_outside_leg_of_a_conference_to_its_dialer(scene: Scene) -> None:
    scene.call("300", DESK).wait_answered()
    scene.call(MOBILE, SALES, refer_to="300", refer_after_ms=300, hang_up_after_ms=200)
    scene.call(SECOND_MOBILE, LOBBY, refer_to="300", refer_after_ms=300, hang_up_after_ms=200)
    for number in (MOBILE, SECOND_MOBILE):
        scene.talk(number, 1.6)
    assert [device for device in scene.devices() if "CBAnn" not in device] == [f"PJSIP/{DESK}", *["PJSIP/trunk"] * 2]
    scene.end()
    scene.assert_paid((SALES, MOBILE), (LOBBY, SECOND_MOBILE))


def test_it_bills_whom_a_program_named_that_calls_somebody_into_a_conference(scene: Scene) -> None:
    scene.originate(f"Local/{MOBILE}@from-internal/n", "300", Variable=f"COOVOX_PAYER={LOBBY}")
    scene.talk(MOBILE)
    scene.end()
    scene.assert_paid((LOBBY, MOBILE))


@WAYS_OUT
def test_it_passes_an_outside_caller_out_at_nobodys_cost(scene: Scene, way_out: str) -> None:
    scene.call(f"{way_out}{MOBILE}", "trunk")
    scene.talk(MOBILE)
    scene.end()
    scene.assert_unpaid(MOBILE)


@WAYS_OUT
def test_it_refuses_an_outside_caller_without_a_payer(scene: Scene, way_out: str) -> None:
    scene.site.billing.do("setting", "set", "calls_without_payer", "refuse")
    assert not scene.call(f"{way_out}{MOBILE}", "trunk").wait().answered
    (row,) = scene.rows()
    assert (row["extension"], row["number"], row["state"], row["reason"]) == ("", MOBILE, "refused", "no-payer")
    assert scene.answered_legs() == []


@WAYS_OUT
def test_it_bills_the_extension_that_pays_for_calls_without_a_payer(scene: Scene, way_out: str) -> None:
    scene.site.billing.do("setting", "set", "calls_without_payer", LOBBY)
    scene.call(f"{way_out}{MOBILE}", "trunk")
    scene.talk(MOBILE)
    scene.end()
    scene.assert_paid((LOBBY, MOBILE))


def test_it_takes_a_trunk_for_a_phone_until_a_route_dials_it_or_a_person_names_it(scene: Scene) -> None:
    scene.site.billing.do("setting", "set", "calls_without_payer", "refuse")
    scene.call(f"60{MOBILE}", "trunk2")
    scene.talk(MOBILE)
    scene.end()
    scene.site.billing.do("trunk", "add", "PJSIP/trunk2")
    scene.site.pbx.wait_idle()
    refused = scene.call(f"60{MOBILE}", "trunk2").wait()
    second, first = scene.rows()
    assert (first["extension"], first["reason"], first["cost"]) == ("trunk2", "not-billed", "0.0000")
    assert (second["extension"], second["reason"], refused.answered) == ("", "no-payer", False)
