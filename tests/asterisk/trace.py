"""Decides what was said on the wire, and when, from the trace that SIPp writes of its messages."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

ENTRY = re.compile(
    r"^-{20,} (\d{4}-\d\d-\d\d)[ T\t]+(\d\d:\d\d:\d\d\.\d+)[^\n]*\n"
    r"\w+ message (sent|received) [^\n]*\n\n",
    re.MULTILINE,
)
CALLED = re.compile(r"^INVITE sip:([^@\s]+)@")


class Message(NamedTuple):
    """One SIP message; `number` is the one its call was made to."""

    at: float
    direction: str
    first_line: str
    call_id: str
    number: str
    text: str

    @property
    def method(self) -> str:
        """The request this is or answers."""
        return self.header("CSeq").partition(" ")[2]

    @property
    def status(self) -> int | None:
        """200 for an OK; None for a request."""
        found = re.match(r"SIP/2\.0 (\d{3})", self.first_line)
        return int(found[1]) if found else None

    def header(self, name: str) -> str:
        """The first header of that name, or nothing."""
        found = re.search(rf"^{name}:[ \t]*([^\r\n]*)", self.text, re.MULTILINE | re.IGNORECASE)
        return found[1].strip() if found else ""


class Leg(NamedTuple):
    """The life of one call as one end saw it; moments are seconds since 1970, None if they never came."""

    number: str
    call_id: str
    messages: tuple[Message, ...]

    @property
    def invited_at(self) -> float | None:
        return self._first(lambda message: message.status is None and message.method == "INVITE")

    @property
    def ringing_at(self) -> float | None:
        return self._first(lambda message: message.status in (180, 183))

    @property
    def answered_at(self) -> float | None:
        return self._first(lambda message: message.status == 200 and message.method == "INVITE")

    @property
    def canceled_at(self) -> float | None:
        return self._first(lambda message: message.status is None and message.method == "CANCEL")

    @property
    def ended_at(self) -> float | None:
        """When the BYE was sent or received."""
        return self._first(lambda message: message.status is None and message.method == "BYE")

    @property
    def ended_by(self) -> str | None:
        """`us` or `them`, seen from the end whose trace this is."""
        directions = [message.direction for message in self.messages if message.first_line.startswith("BYE ")]
        return {"sent": "us", "received": "them"}[directions[0]] if directions else None

    @property
    def final_status(self) -> int | None:
        """The last final answer to the INVITE: 200, 486, 487, 603 ..."""
        answers = [message.status for message in self.messages if message.method == "INVITE"]
        return next((status for status in reversed(answers) if status and status >= 200), None)

    @property
    def answered(self) -> bool:
        return self.answered_at is not None

    @property
    def talk_seconds(self) -> float | None:
        """From the answer to the BYE; None while it lasts, 0 if it never was answered."""
        if self.answered_at is None:
            return 0.0
        return None if self.ended_at is None else self.ended_at - self.answered_at

    def _first(self, wanted: Callable[[Message], bool]) -> float | None:
        return next((message.at for message in self.messages if wanted(message)), None)


def read(trace: Path) -> list[Message]:
    """All messages so far, in order; none if SIPp has written none yet."""
    text = trace.read_text(errors="replace") if trace.exists() else ""
    _, *parts = ENTRY.split(text)
    entries = zip(parts[0::4], parts[1::4], parts[2::4], parts[3::4], strict=True)
    return _numbered([_message(*entry) for entry in entries if entry[3].strip()])


def legs(messages: list[Message]) -> list[Leg]:
    """The messages by call, in the order in which the calls began."""
    calls: dict[str, list[Message]] = {}
    for message in messages:
        calls.setdefault(message.call_id, []).append(message)
    return [Leg(group[0].number, call_id, tuple(group)) for call_id, group in calls.items()]


def _message(day: str, clock: str, direction: str, body: str) -> Message:
    moment = datetime.fromisoformat(f"{day} {clock}").replace(tzinfo=UTC)
    text = body.strip()
    message = Message(moment.timestamp(), direction, text.splitlines()[0].strip(), "", "", text)
    return message._replace(call_id=message.header("Call-ID"))


def _numbered(messages: list[Message]) -> list[Message]:
    numbers: dict[str, str] = {}
    for message in messages:
        called = CALLED.match(message.first_line)
        if called:
            numbers.setdefault(message.call_id, called[1])
    return [message._replace(number=numbers.get(message.call_id, "")) for message in messages]
