"""Asterisk's own call detail records, where nothing better is left: `cdr-csv/Master.csv` as `cdr_csv` writes it.

A row is written when a call ends, so a killed Asterisk leaves none. Its times are whole seconds in the machine's zone
or, by a switch that the row does not tell of, in UTC. The talk is right to a second, as the sum of the seconds of each
row, with one exception: of a caller whom the dialplan had answered before it dialed, it counts from that answer.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from coovox_billing.pbx.traces import Sought, Trace, recent_lines

CDR_FILE = Path("cdr-csv", "Master.csv")

_NEWEST_BYTES = 8_000_000
# Asterisk cuts `lastdata` after 79 characters; so much of an id of 18 random digits is still only one call's.
_SHORTEST_ID = 10
# Whole seconds of two rows that follow each other without a gap.
_SEAM_SECONDS = 2
_QUOTED = r'"((?:[^"]|"")*+)"'
_NUMBER = r"([0-9]{1,9})"
_ROW = re.compile(",".join([_QUOTED] * 12 + [_NUMBER, _NUMBER, _QUOTED, _QUOTED]) + r"(?:,.*)?")
_ID = re.compile(r"coovox-billing-answered\^([0-9]+)(\^?)")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
_EPOCH = re.compile(r"(?:.*-)?([0-9]{1,11})\.[0-9]+")


class _Row(NamedTuple):
    """An answered row; its times are seconds of the clock on the wall, of a zone that is not known."""

    channel: str
    leg: str
    data: str
    started: datetime
    answered: datetime
    ended: datetime
    talk_seconds: int


@dataclass
class _Leg:
    """A trunk's leg, row by row."""

    sought: Sought
    first: _Row
    last: _Row
    talk_seconds: int

    def trace(self) -> Trace:
        """Its answer and end."""
        answered_ms = _milliseconds(self.first, self.sought.caller_uniqueid)
        return Trace("cdr", answered_ms, answered_ms + self.talk_seconds * 1000, self.first.leg, "")


def find_traces(log_directory: Path, sought: Iterable[Sought]) -> dict[str, Trace]:
    """When the calls were answered and ended, by their ids, for those that have an answered row.

    The end is the answer and the seconds talked. Reads a few MB: not for an event loop.
    """
    calls = {one.call_id: one for one in sought}
    legs: dict[str, _Leg] = {}
    for row in _rows(log_directory) if calls else ():
        call_id = _call_id(row.data, calls) if row.leg else None
        known = legs.get(row.channel) or legs.get(row.leg)
        if call_id:
            leg = _Leg(calls[call_id], row, row, row.talk_seconds)
            legs = {name: other for name, other in legs.items() if other.sought.call_id != call_id}
            legs[row.leg] = leg
        elif known and abs((row.started - known.last.ended).total_seconds()) <= _SEAM_SECONDS:
            # The leg went on with somebody else, or alone.
            known.talk_seconds += row.talk_seconds
            known.last = row
    return {leg.sought.call_id: leg.trace() for leg in legs.values()}


def _rows(log_directory: Path) -> Iterator[_Row]:
    for line in recent_lines(log_directory / CDR_FILE, _NEWEST_BYTES):
        row = _row(line) if b'"ANSWERED"' in line else None
        if row is not None:
            yield row


def _row(line: bytes) -> _Row | None:
    """An answered row, None where the line is none, or was cut off or garbled."""
    match = _ROW.fullmatch(line.decode("utf-8", "replace"))
    if match is None or match[15] != "ANSWERED":
        return None
    # accountcode, src, dst, dcontext, clid come first; lastapp stands before the data.
    channel, leg, data = (text.replace('""', '"') for text in match.group(6, 7, 9))
    started, answered, ended = (_moment(text) for text in match.group(10, 11, 12))
    if started is None or answered is None or ended is None:
        return None
    return _Row(channel, leg, data, started, answered, ended, int(match[14]))


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if _TIME.fullmatch(text) else None
    except ValueError:
        return None


def _call_id(data: str, calls: dict[str, Sought]) -> str | None:
    """The sought call whose id the arguments of Dial hold, whole or cut off."""
    match = _ID.search(data)
    if match is None:
        return None
    written, is_whole = match[1], bool(match[2])
    if is_whole or written in calls:
        return written if written in calls else None
    begun = [one for one in calls if one.startswith(written)] if len(written) >= _SHORTEST_ID else []
    return begun[0] if len(begun) == 1 else None


def _milliseconds(row: _Row, caller_uniqueid: str) -> int:
    """The answer of a row in ms since 1970, in the zone in which the row began nearest to its channel's birth."""
    offsets = [_local_offset(row.started, 0), _local_offset(row.started, 1), 0]
    birth = _EPOCH.fullmatch(caller_uniqueid)
    started = _seconds(row.started)
    offset = min(offsets, key=lambda one: abs(started - one - int(birth[1]))) if birth else offsets[0]
    return (_seconds(row.answered) - offset) * 1000


def _seconds(moment: datetime) -> int:
    return int(moment.replace(tzinfo=UTC).timestamp())


def _local_offset(moment: datetime, fold: int) -> int:
    """By how many seconds the machine's zone is ahead of UTC; `fold` 1 is the later of two equal moments."""
    try:
        offset = moment.replace(fold=fold).astimezone().utcoffset()
    except (ValueError, OverflowError, OSError):
        return 0
    return int(offset.total_seconds()) if offset else 0
