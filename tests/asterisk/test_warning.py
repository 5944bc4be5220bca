"""The warning, listened to: the caller hears it, the callee and other calls do not, and both talk on.

Both ends make a faint tone of their own all the time. It shows who hears whom, and the warning needs it: Asterisk
mixes a whisper into the sound that it sends to the caller, so without any there is nothing to mix it into.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.asterisk.media import Media, Sound, encoded, tone
from tests.asterisk.pbx import Pbx
from tests.asterisk.sip import ADDRESSES, phone
from tests.asterisk.waiting import wait_until

SHIPPED = Path(__file__).resolve().parents[2] / "asterisk"
FILE = "extensions_coovox_billing.conf"
DIALPLAN = f"""
[from-internal]
exten => _9X.,1,Dial(PJSIP/${{EXTEN:1}}@trunk,30)
exten => _8X.,1,Dial(PJSIP/${{EXTEN:1}}@trunk2,30)

#include {FILE}
"""
SECRET = "aSecret"
CALLER_HZ, CALLEE_HZ, PROMPT_HZ, TONE_HZ = 700, 1650, 850, 1400
PROMPT = encoded(tone(PROMPT_HZ, 3000, 1.2))
QUIET, LOUD = 200, 1000
LONGEST_SECONDS = 8.5


class Span(NamedTuple):
    """When a warning was asked for, and when its channels were gone."""

    start: float
    end: float


class Talk:
    """A call of telephone 108 through a trunk, with sound both ways."""

    def __init__(self, pbx: Pbx, ends: ExitStack, number: str = "95550005", trunk: str = "trunk") -> None:
        self._pbx, self._trunk, others = pbx, trunk, pbx.channels()
        self.caller = ends.enter_context(Media(ADDRESSES["108"]))
        self.callee = ends.enter_context(Media(*pbx.media_place(trunk)))
        call = phone(pbx, number, media_port=self.caller.port, hang_up_after_ms=60_000)
        ends.callback(call.drop)
        ends.callback(self._keep)
        self.caller.talk(call.wait_answered().messages, CALLER_HZ)
        self.channel = next(name for name in pbx.channels() if "PJSIP/108-" in name and name not in others)

    def begin(self) -> Talk:
        """The callee begins to talk too."""
        self.callee.talk(self._pbx.trunk_messages(self._trunk), CALLEE_HZ)
        wait_until(
            lambda: min(self.caller.heard(time.time() - 0.6, time.time() - 0.1).course) > 0, 5, "the callee's tone"
        )
        return self

    def _keep(self) -> None:
        self.caller.keep(self._pbx.folder / f"caller-{self._trunk}.wav")
        self.callee.keep(self._pbx.folder / f"callee-{self._trunk}.wav")


@pytest.fixture
def pbx(asterisk_version: int) -> Iterator[Pbx]:
    """Billing signs in as the shipped manager user, with what that may do and no more."""
    pbx = Pbx(asterisk_version, DIALPLAN, {FILE: SHIPPED / FILE})
    with (pbx.folder / "etc/manager.conf").open("a") as manager:
        manager.write((SHIPPED / "manager_coovox_billing.conf").read_text().replace("@SECRET@", SECRET))
    with pbx:
        yield pbx


@pytest.fixture
def ends() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def sounds(pbx: Pbx) -> Path:
    return pbx.folder / "share/sounds"


def ask(pbx: Pbx, channel: str, *variables: str) -> None:
    """What the call plane sends."""
    fields = ["Action: Originate", "Channel: Local/s@coovox-billing-warning/n", "Application: ChanSpy"]
    fields += [f"Data: {channel},quWESs", "Timeout: 5000", "Async: true", "Variable: CDR_PROP(disable)=1"]
    fields += [f"Variable: {variable}" for variable in variables]
    login = ["Action: Login", "Username: coovox-billing", f"Secret: {SECRET}", "Events: off"]
    with socket.create_connection((pbx.address, pbx.ami_port), 5) as ami, ami.makefile("rb") as answers:
        for action in (login, fields):
            ami.sendall("\r\n".join([*action, "", ""]).encode())
            answer = next(line for line in answers if line.startswith(b"Response:"))
            assert answer == b"Response: Success\r\n"


def warn(pbx: Pbx, channel: str, *variables: str) -> Span:
    """The warning, from the asking to its end; without its seconds it is the tone, which is the shortest."""
    mark, start = pbx.mark(), time.time()
    ask(pbx, channel, *variables)
    wait_until(lambda: "Stopped spying" in pbx.log_since(mark), LONGEST_SECONDS + 2, "the warning to end")
    end = time.time()
    time.sleep(1.0)
    return Span(start, end)


def unique_id(pbx: Pbx, channel: str) -> str:
    return pbx.cli(f"core show channel {channel}").partition("UniqueID:")[2].split()[0]


def said(pbx: Pbx, mark: int) -> list[str]:
    """The sound files that were played, with their language."""
    lines = [line for line in pbx.log_since(mark).splitlines() if "Playing '" in line]
    return [line.partition("Playing '")[2].replace(".gsm'", "") for line in lines]


def loud(sound: Sound) -> int:
    """For how many tenths of a second it is loud."""
    return sum(part > LOUD for part in sound.course)


def is_quiet(sound: Sound) -> bool:
    return max(sound.course) < QUIET


def assert_only_the_caller_heard(talk: Talk, span: Span) -> None:
    """Quiet before and after, never anything for the callee, and each hears the other all the time after it."""
    after = (span.end + 0.3, span.end + 0.8)
    assert is_quiet(talk.caller.heard(span.start - 0.4, span.start))
    assert is_quiet(talk.caller.heard(*after))
    assert is_quiet(talk.callee.heard(span.start - 0.4, after[1]))
    assert talk.caller.heard(*after).strength(CALLEE_HZ) == pytest.approx(100, abs=30)
    assert talk.callee.heard(*after).strength(CALLER_HZ) == pytest.approx(100, abs=30)


def test_the_caller_alone_hears_the_sites_own_prompt(pbx: Pbx, ends: ExitStack, sounds: Path) -> None:
    (sounds / "custom").mkdir()
    (sounds / "custom/coovox-billing-warning.ulaw").write_bytes(PROMPT)
    talk = Talk(pbx, ends).begin()
    channels = pbx.channels()
    span = warn(pbx, talk.channel, "COOVOX_SECONDS=30")
    prompt = talk.caller.heard(*span)
    assert loud(prompt) == pytest.approx(12, abs=1)
    assert loud(talk.caller.heard(span.start, span.start + 0.6)), "it began soon"
    assert (prompt.loudest.frequency_hz, prompt.loudest.purity > 0.95) == (PROMPT_HZ, True)
    assert_only_the_caller_heard(talk, span)
    assert pbx.channels() == channels
    assert not pbx.folder.joinpath("log/cdr-custom/all.csv").exists(), "it is no call of the site's"


@pytest.mark.parametrize(
    ("seconds", "words"), [(30, ["digits/30", "queue-seconds"]), (150, ["digits/2", "queue-minutes"])]
)
def test_the_caller_hears_in_words_how_much_time_is_left(
    pbx: Pbx, ends: ExitStack, seconds: int, words: list[str]
) -> None:
    talk, mark = Talk(pbx, ends).begin(), pbx.mark()
    span = warn(pbx, talk.channel, f"COOVOX_SECONDS={seconds}")
    assert said(pbx, mark) == [f"{word} (language 'en')" for word in ["vm-youhave", *words]]
    assert loud(talk.caller.heard(*span)) > 10
    assert talk.caller.heard(*span).purity < 0.5, "a voice"
    assert_only_the_caller_heard(talk, span)
    assert "WARNING" not in pbx.log_since(mark)


def test_it_is_told_in_the_callers_language(pbx: Pbx, ends: ExitStack, sounds: Path) -> None:
    (sounds / "ro/custom").mkdir(parents=True)
    Sound(tone(PROMPT_HZ, 3000, 0.5)).write(sounds / "ro/custom/coovox-billing-warning.wav")
    talk = Talk(pbx, ends).begin()
    span = warn(pbx, talk.channel, "COOVOX_SECONDS=30", "COOVOX_LANGUAGE=ro")
    assert talk.caller.heard(*span).loudest.frequency_hz == PROMPT_HZ


@pytest.mark.parametrize("lacking", ["sounds", "seconds"])
def test_what_cannot_be_said_is_a_tone_and_never_silence(pbx: Pbx, ends: ExitStack, sounds: Path, lacking: str) -> None:
    if lacking == "sounds":
        (sounds / "en").unlink()
    talk = Talk(pbx, ends).begin()
    span = warn(pbx, talk.channel, f"COOVOX_SECONDS={30 if lacking == 'sounds' else ''}")
    heard = talk.caller.heard(*span)
    assert (heard.loudest.frequency_hz, heard.loudest.purity > 0.95) == (TONE_HZ, True)
    assert loud(heard) == pytest.approx(10, abs=3), "three of 300 ms"
    assert_only_the_caller_heard(talk, span)


def test_nobody_else_hears_it_whose_channel_begins_alike(pbx: Pbx, ends: ExitStack) -> None:
    named = Talk(pbx, ends).begin()
    other = Talk(pbx, ends, "85550005", "trunk2").begin()
    for one in (named.channel, unique_id(pbx, named.channel)):
        span = warn(pbx, one)
        assert loud(named.caller.heard(*span)) > 5
        assert_only_the_caller_heard(named, span)
        assert is_quiet(other.caller.heard(*span))
        assert is_quiet(other.callee.heard(*span))
    alike = named.channel[:-1]
    assert other.channel.startswith(alike)
    span = warn(pbx, alike)
    assert span.end - span.start < 1
    assert is_quiet(named.caller.heard(span.start, span.end + 0.9))
    assert is_quiet(other.caller.heard(span.start, span.end + 0.9))


def test_it_ends_by_itself(pbx: Pbx, ends: ExitStack, sounds: Path) -> None:
    (sounds / "custom").mkdir()
    (sounds / "custom/coovox-billing-warning.ulaw").write_bytes(PROMPT * 8)
    talk = Talk(pbx, ends).begin()
    span = warn(pbx, talk.channel, "COOVOX_SECONDS=30")
    assert 7.5 < span.end - span.start < LONGEST_SECONDS
    assert_only_the_caller_heard(talk, span)


def test_it_ends_with_the_call_and_does_not_wait_for_one_that_is_gone(pbx: Pbx, ends: ExitStack) -> None:
    talk = Talk(pbx, ends).begin()
    ask(pbx, talk.channel, "COOVOX_SECONDS=30")
    wait_until(lambda: any("coovox-billing-warning" in name for name in pbx.channels()))
    pbx.cli(f"channel request hangup {talk.channel}")
    pbx.wait_idle(1.0)
    span = warn(pbx, talk.channel)
    assert span.end - span.start < 1
    assert pbx.channels() == []


def test_it_is_lost_while_the_trunk_sends_no_sound_at_all(pbx: Pbx, ends: ExitStack) -> None:
    talk = Talk(pbx, ends)
    span = warn(pbx, talk.channel)
    assert talk.caller.heard(*span).loudness == 0, "if this fails, asterisk/README.md is to be put right"
    talk.begin()
    span = warn(pbx, talk.channel)
    assert loud(talk.caller.heard(*span)) > 5
