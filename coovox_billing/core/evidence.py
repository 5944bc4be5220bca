"""What Asterisk's own records are asked about a call whose end nobody told, and what they say (DESIGN §5)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sought:
    """A call to look for: its id, its caller's Uniqueid and linkedid, and the devices that outbound routes dial.

    `asked_ms`: when its last attempt was dialed, by the same clock as the records, ms since 1970 in UTC.
    """

    call_id: str
    caller_uniqueid: str
    linkedid: str
    trunk_devices: frozenset[str]
    asked_ms: int = 0


@dataclass(frozen=True, slots=True)
class Trace:
    """An answered leg in Asterisk's records; instants in ms since 1970, UTC.

    `source` is a value of `core.call.Source`. `ended_ms` is None where Asterisk recorded no end; it may lie before
    `answered_ms` where the clock was set back in between. `uniqueid` is the leg's own, empty where the record has none.
    """

    source: str
    answered_ms: int
    ended_ms: int | None
    channel: str
    uniqueid: str
