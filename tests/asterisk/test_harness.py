"""Proves the harness itself: what the test asked for is what happens on the wire, and is measured right."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.asterisk import fetch, manager
from tests.asterisk.media import DECODED, Media, Sound, encoded, tone
from tests.asterisk.pbx import Pbx, PbxError
from tests.asterisk.sip import ADDRESSES, phone
from tests.asterisk.waiting import wait_until

DIALPLAN = """
[from-internal]
exten => _9X.,1,NoOp(${CHANNEL(endpoint)} calls ${EXTEN:1}, header ${PJSIP_HEADER(read,X-Test)})
 same => n,Dial(PJSIP/${EXTEN:1}@trunk,30,T)
exten => _8X.,1,Dial(PJSIP/${EXTEN:1}@trunk,30)
 same => n,Dial(PJSIP/${EXTEN:1}@trunk2,30)
exten => _10X,1,Dial(PJSIP/${EXTEN},30)
exten => 600,1,Set(DB(test/one/two)=${CALLERID(num)})
 same => n,Hangup(21)

[from-trunk]
exten => _10X,1,Dial(PJSIP/${EXTEN},30)

#include more.conf
"""
MORE = "[more]\nexten => s,1,NoOp(included)\n"
TOLERANCE_SECONDS = 0.1
STARTER = """
import sys, time
from tests.asterisk.pbx import Pbx
pbx = Pbx(int(sys.argv[1]), "[from-internal]\\n")
pbx.start()
print(pbx.folder, flush=True)
time.sleep(60)
"""


@pytest.fixture(scope="module")
def pbx(asterisk_version: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pbx]:
    more = tmp_path_factory.mktemp("dialplan") / "more.conf"
    more.write_text(MORE)
    with Pbx(asterisk_version, DIALPLAN, {"more.conf": more}) as running:
        yield running


def about(seconds: float) -> object:
    return pytest.approx(seconds, abs=TOLERANCE_SECONDS)


def test_caller_hangs_up(pbx: Pbx) -> None:
    result = phone(pbx, "911100", hang_up_after_ms=1500).wait()
    pbx.wait_idle()
    (leg,) = pbx.trunk_calls("trunk", "11100")
    assert (result.final_status, result.answered, result.ended_by) == (200, True, "us")
    assert result.ringing_at and result.invited_at and result.answered_at
    assert result.invited_at < result.ringing_at < result.answered_at
    assert (leg.ended_by, leg.talk_seconds, result.talk_seconds) == ("them", about(1.5), about(1.5))


@pytest.mark.parametrize(("number", "seconds"), [("11203", 3.0), ("11207", 0.5)])
def test_far_end_hangs_up(pbx: Pbx, number: str, seconds: float) -> None:
    result = phone(pbx, "9" + number, hang_up_after_ms=10000).wait()
    (leg,) = pbx.trunk_calls("trunk", number)
    assert (result.ended_by, leg.ended_by) == ("them", "us")
    assert (leg.talk_seconds, result.talk_seconds) == (about(seconds), about(seconds))


@pytest.mark.parametrize(("number", "status"), [("11301", 486), ("11304", 503)])
def test_refused(pbx: Pbx, number: str, status: int) -> None:
    result = phone(pbx, "9" + number).wait()
    (leg,) = pbx.trunk_calls("trunk", number)
    assert (result.final_status, leg.final_status) == (status, status)
    assert (result.answered, leg.talk_seconds) == (False, 0.0)


@pytest.mark.parametrize("number", ["11402", "11406"])
def test_caller_cancels(pbx: Pbx, number: str) -> None:
    result = phone(pbx, "9" + number, cancel_after_ms=800).wait()
    (leg,) = pbx.trunk_calls("trunk", number)
    assert (result.final_status, result.answered, leg.final_status) == (487, False, 487)
    assert result.canceled_at and result.invited_at
    assert result.canceled_at - result.invited_at == about(0.8)


def test_second_trunk_answers_what_the_first_refuses(pbx: Pbx) -> None:
    result = phone(pbx, "811501", hang_up_after_ms=700).wait()
    (first,), (second,) = pbx.trunk_calls("trunk", "11501"), pbx.trunk_calls("trunk2", "11501")
    assert (first.final_status, second.final_status) == (486, 200)
    assert (second.talk_seconds, result.talk_seconds) == (about(0.7), about(0.7))


def test_phone_with_a_password(pbx: Pbx) -> None:
    mark = pbx.mark()
    result = phone(pbx, "911605", "100", 300, headers="X-Test: hello").wait()
    assert result.final_status == 200
    assert "100 calls 11605, header hello" in pbx.log_since(mark)
    assert phone(pbx, "911605", "100", password="wrong").wait().final_status == 401


def test_blind_transfer_leaves_the_trunk_talking(pbx: Pbx) -> None:
    result = phone(pbx, "911700", refer_to="107", refer_after_ms=1000, hang_up_after_ms=500).wait()
    pbx.wait_idle()
    (leg,) = pbx.trunk_calls("trunk", "11700")
    (new,) = pbx.trunk_calls("phones", "107")
    assert result.talk_seconds == about(1.5)
    assert leg.ended_at == about(new.ended_at or 0.0)
    assert leg.talk_seconds == about(2.0)


def test_blind_transfer_by_keys(pbx: Pbx) -> None:
    result = phone(pbx, "911705", keys="#1107#", refer_after_ms=300).wait()
    pbx.wait_idle()
    (leg,) = pbx.trunk_calls("trunk", "11705")
    assert result.ended_by == "them"
    assert leg.ended_at == about(pbx.trunk_calls("phones", "107")[-1].ended_at or 0.0)


def test_called_phone_refers_the_caller(pbx: Pbx) -> None:
    call = phone(pbx, "108", "100", 10_000)
    wait_until(lambda: "PJSIP/trunk" in {name.rpartition("-")[0] for name in pbx.channels()}, 5)
    assert pbx.trunk_calls("trunk")[-1].number == "5550000"
    pbx.act("Hangup", Channel=pbx.channel_of("PJSIP/100"))
    assert call.wait().ended_by == "them"


def test_phone_joins_its_two_calls(pbx: Pbx) -> None:
    result = phone(pbx, "911805", consult="105", refer_after_ms=300, hang_up_after_ms=300).wait()
    assert result.ended_by == "us"
    assert {name.rpartition("-")[0] for name in pbx.channels()} == {"PJSIP/105", "PJSIP/trunk"}
    pbx.cli("channel request hangup all")
    pbx.wait_idle()


def test_manager_refuses(pbx: Pbx) -> None:
    with pytest.raises(manager.Refused, match="No such channel"):
        pbx.act("Hangup", Channel="PJSIP/nobody")


def test_call_from_outside_and_between_phones(pbx: Pbx) -> None:
    assert phone(pbx, "105", "trunk", 300, from_user="0790000000").wait().answered
    assert phone(pbx, "100", "101", 300).wait().answered
    assert [leg.number for leg in pbx.trunk_calls("phones")][-2:] == ["105", "100"]


def test_forwarding_phone(pbx: Pbx) -> None:
    assert phone(pbx, "109", "100", 300).wait().answered
    assert pbx.trunk_calls("trunk", "5550000")


def test_calls_at_the_same_time(pbx: Pbx) -> None:
    calls = [phone(pbx, f"91180{digit}05", str(100 + digit), 1000 + 200 * digit) for digit in range(4)]
    talked = [call.wait().talk_seconds for call in calls]
    assert talked == [about(1.0), about(1.2), about(1.4), about(1.6)]


def test_console_database_and_channels(pbx: Pbx) -> None:
    assert phone(pbx, "600", from_user="whoever").wait().final_status not in (None, 200)
    assert (pbx.db("test/one/two"), pbx.db("test/none")) == ("108", None)
    assert pbx.db_tree("test") == {"test/one/two": "108"}
    assert "included" in pbx.cli("dialplan show more")
    call = phone(pbx, "911905", hang_up_after_ms=20000)
    call.wait_answered()
    assert sorted(name.rpartition("-")[0] for name in pbx.channels()) == ["PJSIP/108", "PJSIP/trunk"]
    pbx.cli("channel request hangup all")
    assert call.wait().ended_by == "them"


def test_ulaw_and_frequencies() -> None:
    assert [DECODED[byte] for byte in (0x00, 0x7F, 0x80, 0xFF)] == [-32124, 0, 32124, 0]
    assert [DECODED[byte] for byte in encoded(DECODED)] == DECODED
    sound = Sound([DECODED[byte] for byte in encoded(tone(950, 3000, 0.3))])
    assert (sound.frequency_hz, sound.purity > 0.99) == (950, True)
    assert sound.course == [pytest.approx(3000, rel=0.02)] * 3


def test_phone_and_trunk_hear_each_other(pbx: Pbx) -> None:
    with Media(ADDRESSES["108"]) as caller, Media(*pbx.media_place()) as callee:
        call = phone(pbx, "912205", media_port=caller.port, hang_up_after_ms=2500)
        answered = call.wait_answered()
        began = answered.answered_at or 0.0
        caller.talk(answered.messages, 700)
        callee.talk(pbx.trunk_messages(), 1650, 3000)
        call.wait()
        assert caller.heard(began + 1, began + 2).strength(1650) == pytest.approx(3000, rel=0.1)
        assert callee.heard(began + 1, began + 2).strength(700) == pytest.approx(100, rel=0.2)
        assert caller.heard(began + 3, began + 4).loudness == 0


def test_killed_and_started_again(asterisk_version: int) -> None:
    with Pbx(asterisk_version, DIALPLAN.replace("#include more.conf", "")) as pbx:
        call = phone(pbx, "912000", hang_up_after_ms=20000)
        call.wait_answered()
        pbx.kill9()
        call.drop()
        pbx.start()
        assert pbx.channels() == []
        assert phone(pbx, "912105", hang_up_after_ms=200).wait().answered
        (left,) = pbx.trunk_calls("trunk", "12000")
        assert (left.answered, left.ended_at) == (True, None)
        pbx.stop()
        assert not pbx.running
    assert not pbx.folder.exists()


def test_says_why_it_does_not_start(asterisk_version: int) -> None:
    pbx = Pbx(asterisk_version, "")
    shutil.rmtree(pbx.folder / "lib")
    with pytest.raises(PbxError, match=r"(?i)astdb"), pbx:
        pass


def test_nothing_survives_a_killed_test_run(asterisk_version: int) -> None:
    command = [sys.executable, "-c", STARTER, str(asterisk_version)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout
        folder = run.stdout.readline().strip()
        assert len(programs_of(folder)) == 4
        os.kill(run.pid, signal.SIGKILL)
    wait_until(lambda: not programs_of(folder), what="Asterisk, two trunks and the phones to end")
    shutil.rmtree(folder)


def programs_of(folder: str) -> list[str]:
    """The running programs that work in this folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if f"{folder}/" in command:
            found.append(command)
    return found


def test_fetching_again_is_instant_and_failing_is_clear(
    asterisk_version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = time.monotonic()
    fetch.launcher(asterisk_version)
    assert time.monotonic() - began < 0.1
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setitem(fetch.SUITES, asterisk_version, "nosuchsuite")
    with pytest.raises(fetch.FetchError, match=r"nosuchsuite(.|\n)*E: "):
        fetch.launcher(asterisk_version)
    assert not [path for path in (tmp_path / "coovox-billing").iterdir() if path.is_dir()]
