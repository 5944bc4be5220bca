"""Decides how a test's telephones and trunks behave: SIPp plays them, its trace tells what happened."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from tests.asterisk import processes, trace
from tests.asterisk.ports import free_port
from tests.asterisk.waiting import wait_until

if TYPE_CHECKING:
    from tests.asterisk.pbx import Pbx

TEXTS = Path(__file__).parent / "sipp"
REPLY = "[last_Via:]\n[last_From:]\n[last_Call-ID:]\n[last_CSeq:]\n[last_To:]"
CALL_ID = "%u-%p-%s"  # without an @, so that it can stand in a Refer-To
OWN_TAG = "tag=[pid]far[call_number]"
PROGRESS = (100, 180, 181, 182, 183)
REFUSALS = (*range(400, 411), *range(480, 489), *range(500, 505), 600, 603, 604)
NEVER_MS = 3_600_000
KEY_PAUSE_MS = 50
ANSWERED = '<action><ereg regexp=".*" search_in="hdr" header="To:" assign_to="first"/></action>'
PHONES_ADDRESS = "127.0.0.3"
CALLERS_ADDRESS = "127.0.0.4"
ADDRESSES = {"trunk": "127.0.0.2", "trunk2": "127.0.0.5", "108": "127.0.0.8", "109": "127.0.0.9"}
_numbers = itertools.count(1)


class FarEnd:
    """Whom Asterisk calls: a trunk, or the telephones of the house."""

    def __init__(self, folder: Path, name: str, address: str, chooses: bool, forward_to: str) -> None:
        self.name, self.address, self.port = name, address, free_port(address)
        self.media_port = free_port(address)
        self._folder, self._trace = folder, folder / f"{name}.messages"
        self._scenario = folder / f"{name}.xml"
        # No number holds a dash, so nothing but the plain answer is ever chosen behind one.
        self._scenario.write_text(text("far_end.xml", self.media_port, choice="" if chooses else "-"))
        self._forward_to = forward_to
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Listen; does nothing if it listens already."""
        if self._process is None:
            arguments = ("-key", "forward_to", self._forward_to)
            listening = (self.address, self.port)
            self._process = sipp(self._folder, self._scenario, listening, self._trace, arguments)

    def stop(self) -> None:
        if self._process is not None:
            processes.end(self._process)
            self._process = None

    def messages(self) -> list[trace.Message]:
        """Everything it has sent and received so far."""
        return trace.read(self._trace)


@dataclass(frozen=True)
class PhoneResult:
    """What the calling telephone saw; moments are seconds since 1970, None if they never came."""

    final_status: int | None
    answered: bool
    invited_at: float | None
    ringing_at: float | None
    answered_at: float | None
    canceled_at: float | None
    ended_at: float | None
    ended_by: str | None
    talk_seconds: float | None
    messages: tuple[trace.Message, ...]


class PhoneCall:
    """One call that a telephone is making."""

    def __init__(self, process: subprocess.Popen[bytes], trace_file: Path) -> None:
        self._process, self._trace = process, trace_file

    def so_far(self) -> PhoneResult:
        """What it has seen up to now."""
        legs = trace.legs(trace.read(self._trace))
        return _result(legs[0] if legs else trace.Leg("", "", ()))

    def all_so_far(self) -> list[PhoneResult]:
        """What each of several calls at once has seen up to now."""
        return [_result(leg) for leg in trace.legs(trace.read(self._trace))]

    def wait(self, timeout_seconds: float = 30.0) -> PhoneResult:
        """The whole story, once the telephone is done with the call."""
        try:
            self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired as error:
            self.drop()
            said = [message.first_line for message in self.so_far().messages]
            raise AssertionError(f"the call is not over after {timeout_seconds} s: {said}") from error
        processes.forget(self._process)
        return self.so_far()

    def wait_answered(self, timeout_seconds: float = 10.0) -> PhoneResult:
        wait_until(lambda: self.so_far().answered, timeout_seconds, "the answer")
        return self.so_far()

    def drop(self) -> None:
        """The telephone loses its power: it says nothing more."""
        processes.end(self._process)


def phone(
    pbx: Pbx,
    number: str,
    extension: str = "108",
    hang_up_after_ms: int = 2000,
    cancel_after_ms: int | None = None,
    headers: str = "",
    from_user: str | None = None,
    refer_to: str | None = None,
    refer_after_ms: int = 1000,
    password: str | None = None,
    media_port: int | None = None,
    at_once: int = 1,
    keys: str = "",
    consult: str | None = None,
) -> PhoneCall:
    """Have a telephone dial, `at_once` several times; `extension` may also be a trunk, for a call from outside.

    After `refer_after_ms` of talk it sends the other side to `refer_to`, or presses `keys`, or calls `consult` as well
    (only 108 and 109, which need no password) and, after as long again, joins the two.
    """
    caller = f"<sip:{from_user or extension}@[local_ip]:[local_port]>"
    values: dict[str, object] = {
        "extension": extension,
        "password": f"pw{extension}" if password is None else password,
        "contact": caller,
        "caller": f"{caller};tag=[pid]phone[call_number]",
        "headers": "".join(f"{line.strip()}\n" for line in headers.splitlines() if line.strip()),
        "hang_up_after_ms": hang_up_after_ms,
        "cancel_after_ms": NEVER_MS if cancel_after_ms is None else cancel_after_ms,
        "refer_to": refer_to,
        "refer_after_ms": refer_after_ms,
        "keys": keys,
        "consult": consult,
        "consulter": f"{caller};tag=[pid]second[call_number]",
    }
    return _dial(pbx, number, extension, _caller(values, media_port), at_once)


def text(name: str, media_port: int | None = None, **values: object) -> str:
    """One of our scenario texts, with its gaps filled; without a port nobody listens to the audio."""
    sdp = Template((TEXTS / "sdp.txt").read_text().strip()).substitute(media_port=media_port or "[media_port]")
    known = {"reply": REPLY, "own_tag": OWN_TAG, "sdp": sdp}
    return Template((TEXTS / name).read_text()).substitute(known, **values)


def sipp(
    folder: Path, scenario: Path, listening: tuple[str, int], trace_file: Path, arguments: Sequence[str]
) -> subprocess.Popen[bytes]:
    """SIPp with one of our scenarios, tracing all its messages."""
    program = shutil.which("sipp")
    if program is None:
        raise RuntimeError("SIPp is missing: install Debian's package sip-tester")
    address, port = listening
    options: dict[str, str | Path] = {
        "-sf": scenario,
        "-i": address,
        "-p": str(port),
        "-cid_str": CALL_ID,
        "-message_file": trace_file,
        "-error_file": f"{trace_file}.errors",
    }
    pairs = [part for pair in options.items() for part in pair]
    command = [program, *arguments, *pairs, "-trace_msg", "-trace_err", "-nostdin", "-skip_rlimit", "-aa"]
    return processes.start(command, folder, scenario.with_suffix(".out"))


def _dial(pbx: Pbx, number: str, extension: str, scenario: str, at_once: int) -> PhoneCall:
    path = pbx.sipp_folder / f"phone-{extension}-{next(_numbers)}.xml"
    path.write_text(scenario)
    address = ADDRESSES.get(extension, CALLERS_ADDRESS)
    trace_file = path.with_suffix(".messages")
    arguments = [f"{pbx.address}:{pbx.sip_port}", "-s", number, *_pace(at_once)]
    process = sipp(pbx.sipp_folder, path, (address, free_port(address)), trace_file, arguments)
    return PhoneCall(process, trace_file)


def _pace(at_once: int) -> list[str]:
    calls = str(at_once)
    return ["-m", calls, "-l", calls, "-r", "50"]


def _caller(values: dict[str, object], media_port: int | None) -> str:
    """The caller's scenario: who is known by address is never asked for a password."""
    by_address = values["extension"] in ADDRESSES
    waiting = f' timeout="{values["cancel_after_ms"]}" ontimeout="cancel"'
    parts = {
        "cseq": 1 if by_address else 2,
        "login": "" if by_address else text("login.xml", media_port, **values),
        "waiting": waiting,
        "progress": _answers(PROGRESS, waiting),
        "refusals": _answers(REFUSALS, f'{waiting} next="refused"'),
        "answered": ANSWERED if values["consult"] else "",
        "transfer": _transfer(values, media_port),
    }
    return text("caller.xml", media_port, **values, **parts)


def _transfer(values: dict[str, object], media_port: int | None) -> str:
    """What the telephone does with the call it has, before it only talks."""
    if values["refer_to"]:
        return text("transfer.xml", **values)
    if values["consult"]:
        return text("consult.xml", media_port, **values)
    pauses = itertools.chain([values["refer_after_ms"]], itertools.repeat(KEY_PAUSE_MS))
    pressed = enumerate(zip(str(values["keys"]), pauses, strict=False), 10)
    return "".join(text("key.xml", place=place, key=key, pause_ms=pause, **values) for place, (key, pause) in pressed)


def _answers(codes: Sequence[int], attributes: str) -> str:
    return "\n".join(f'  <recv response="{code}" optional="true"{attributes}/>' for code in codes)


def _result(leg: trace.Leg) -> PhoneResult:
    return PhoneResult(
        leg.final_status,
        leg.answered,
        leg.invited_at,
        leg.ringing_at,
        leg.answered_at,
        leg.canceled_at,
        leg.ended_at,
        leg.ended_by,
        leg.talk_seconds,
        leg.messages,
    )
