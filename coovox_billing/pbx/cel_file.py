"""Our CEL file: what Asterisk wrote of answers and ends during a call, so that it outlives our death and Asterisk's.

`pbx install` has Asterisk write it (asterisk/README.md, "The CEL file"): a line per event, seven quoted fields, the
second of them the time in seconds since 1970. Asterisk opens, writes and closes it for every line, 16 and 22
alike, so it may be renamed at any time.
"""

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from os import fstat
from pathlib import Path
from typing import NamedTuple

from coovox_billing.pbx.traces import Sought, Trace, device_of, lines_of, open_regular

CEL_DIRECTORY = "cel-custom"
CEL_FILE = "coovox-billing.csv"
ROTATED_FILE = f"{CEL_FILE}.1"
ANSWERED_EVENT = "CooVoxAnswered"
LEFT_EVENT = "CooVoxLeft"
ROTATE_BYTES = 2_000_000

# More than what is rotated in time ever has, so that only a file that cannot be rotated is not read whole.
_NEWEST_BYTES = 8 * ROTATE_BYTES
_FIELDS = re.compile(b",".join([rb'"((?:[^"]|"")*+)"'] * 7))
_OF_USE = (b'"ANSWER",', b'"HANGUP",', f'"{ANSWERED_EVENT}",'.encode(), f'"{LEFT_EVENT}",'.encode())
_STAMP = re.compile(r"([0-9]{1,11})\.([0-9]{3})")


class _Event(NamedTuple):
    """A line of the file. `kind` is ANSWER, HANGUP, or the name of an event of ours; `text` is what ours tells."""

    kind: str
    at_ms: int
    channel: str
    uniqueid: str
    linkedid: str
    text: str


@dataclass(slots=True, eq=False)
class _Leg:
    """A trunk's leg: whose it said it is, and when it ended. Uniqueids come again after a boot in 1970, legs do not."""

    call_id: str = ""
    ended_ms: int | None = None


class _Search:
    """What was found so far of the calls that are sought."""

    def __init__(self, sought: Iterable[Sought]) -> None:
        self.ids: set[str] = set()
        self._families: dict[str, list[Sought]] = {}
        self._legs: dict[str, _Leg] = {}
        self._named: dict[str, tuple[Trace, _Leg]] = {}
        self._likely: dict[str, list[tuple[Trace, _Leg]]] = {}
        for one in sought:
            self.ids.add(one.call_id)
            for linkedid in {one.linkedid, one.caller_uniqueid} - {""}:
                self._families.setdefault(linkedid, []).append(one)

    def see(self, event: _Event) -> None:
        """Take in the next event."""
        if event.kind == "ANSWER":
            self._see_answer(event)
        elif event.kind == ANSWERED_EVENT:
            self._see_stamp(event)
        elif event.kind == "HANGUP" and (leg := self._legs.get(event.uniqueid)) and leg.ended_ms is None:
            leg.ended_ms = event.at_ms

    def found(self) -> dict[str, Trace]:
        """The leg of each call: the one that said so, else the last likely one that is no other call's."""
        likely = {
            call_id: free[-1]
            for call_id, legs in self._likely.items()
            if (free := [(trace, leg) for trace, leg in legs if not leg.call_id])
        }
        found = likely | self._named
        return {call_id: replace(trace, ended_ms=leg.ended_ms) for call_id, (trace, leg) in found.items()}

    def _see_answer(self, event: _Event) -> None:
        """The leg of a trunk, in the family of the caller's channel: likely of who asked last before it."""
        device = device_of(event.channel)
        askers = [
            sought
            for sought in self._families.get(event.linkedid, ())
            if event.uniqueid != sought.caller_uniqueid
            and device in sought.trunk_devices
            and sought.asked_ms <= event.at_ms
        ]
        if askers:
            asker = max(askers, key=lambda sought: sought.asked_ms)
            self._likely.setdefault(asker.call_id, []).append((_trace(event, event.at_ms), self._leg(event, "")))

    def _see_stamp(self, event: _Event) -> None:
        """The leg says whose it is, so it is nobody else's."""
        call_id, _, stamp = event.text.partition("|")
        if not call_id:
            return
        leg = self._leg(event, call_id)
        if call_id in self.ids:
            answered_ms = _milliseconds(stamp)
            self._named[call_id] = _trace(event, event.at_ms if answered_ms is None else answered_ms), leg

    def _leg(self, event: _Event, call_id: str) -> _Leg:
        """The leg with this Uniqueid, another one than before where that one ended or is another call's."""
        leg = self._legs.get(event.uniqueid)
        if leg is None or leg.ended_ms is not None or leg.call_id not in ("", call_id):
            leg = self._legs[event.uniqueid] = _Leg()
        leg.call_id = call_id
        return leg


def _trace(event: _Event, answered_ms: int) -> Trace:
    return Trace("cel", answered_ms, None, event.channel, event.uniqueid)


def find_traces(log_directory: Path, sought: Iterable[Sought]) -> dict[str, Trace]:
    """When the calls were answered and ended, by their ids, for those that the CEL file knows as answered.

    A leg that told its call's id is that call's. Where none did, the last one that was answered after the question on
    one of its trunks' devices, in the family of its caller's channel. Reads a few MB: not for an event loop.
    """
    search = _Search(sought)
    if search.ids:
        for event in _events(log_directory):
            search.see(event)
    return search.found()


def left_records(log_directory: Path) -> list[tuple[str, str]]:
    """The call ids and records of what the dialplan left (asterisk/README.md), oldest first; one may be there twice."""
    told = (event.text.partition("|") for event in _events(log_directory) if event.kind == LEFT_EVENT)
    return [(call_id, record) for call_id, _, record in told if call_id and record]


def rotate(log_directory: Path) -> bool:
    """Put the file aside, in the place of the one before, once it is over 2 MB; tells whether it did.

    Where it may not, nothing happens: `pbx check` says so.
    """
    path = log_directory / CEL_DIRECTORY / CEL_FILE
    try:
        if path.stat().st_size <= ROTATE_BYTES:
            return False
        path.replace(path.with_name(ROTATED_FILE))
    except OSError:
        return False
    return True


def _events(log_directory: Path) -> Iterator[_Event]:
    for line in _lines(log_directory / CEL_DIRECTORY):
        event = _event(line) if line.startswith(_OF_USE) else None
        if event is not None:
            yield event


def _lines(directory: Path) -> Iterator[bytes]:
    """The lines of both files, oldest first."""
    with ExitStack() as stack:
        # The current one is opened first: rotated in between it is not missed, but found under both names.
        files = [open_regular(directory / name) for name in (CEL_FILE, ROTATED_FILE)]
        seen: set[tuple[int, int]] = set()
        for file in [stack.enter_context(file) for file in reversed(files) if file is not None]:
            status = fstat(file.fileno())
            if (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                try:
                    yield from lines_of(file, _NEWEST_BYTES)
                except OSError:
                    continue


def _event(line: bytes) -> _Event | None:
    """What a line tells, None where it tells nothing of use or was cut off or garbled."""
    match = _FIELDS.fullmatch(line)
    if match is None:
        return None
    kind, stamp, channel, uniqueid, linkedid, own_name, extra = (
        field.replace(b'""', b'"').decode("utf-8", "replace") for field in match.groups()
    )
    at_ms = _milliseconds(stamp)
    # A site's own event may be named as one of Asterisk's.
    is_ours = kind in (ANSWERED_EVENT, LEFT_EVENT)
    if at_ms is None or not uniqueid or own_name != (kind if is_ours else ""):
        return None
    return _Event(kind, at_ms, channel, uniqueid, linkedid, _text(extra) if is_ours else "")


def _text(extra: str) -> str:
    """What CELGenUserEvent was given, which Asterisk wraps into JSON."""
    try:
        wrapped = json.loads(extra)
    except (ValueError, RecursionError):
        return ""
    text = wrapped.get("extra") if isinstance(wrapped, dict) else None
    return text.encode("utf-8", "replace").decode() if isinstance(text, str) else ""


def _milliseconds(stamp: str) -> int | None:
    match = _STAMP.fullmatch(stamp)
    return int(match[1]) * 1000 + int(match[2]) if match else None
