"""The record of an outbound leg, as the dialplan writes it: eleven fields, separated by `|`.

    device|number|trunk|asked|alone|answered|ended|cause|uniqueid|linkedid|rang

The same text comes as an AGI argument, out of AstDB and out of CEL (asterisk/README.md).
"""

from dataclasses import dataclass

from coovox_billing.core.clock import parse_stamp_ms
from coovox_billing.errors import BadInput

FIELDS = 11
MOST_RING_DIGITS = 9
EMERGENCY = "emergency"
PASSED_ALONE = "passed"
REFUSED_ALONE = "refused"


@dataclass(frozen=True, slots=True)
class Leg:
    """What the dialplan knows of a leg at its end.

    `answered_ms` is None for a leg that nobody answered. `alone` is empty
    where the call plane had answered for the call, else why it did not:
    `emergency`, `passed` or `refused`. `rang_ms` is the time from the dial to
    the first ringing, None where nothing rang.
    """

    device: str
    number: str
    trunk: str
    asked_ms: int
    alone: str
    answered_ms: int | None
    ended_ms: int
    cause: str
    uniqueid: str
    linkedid: str
    rang_ms: int | None = None


def parse_leg(record: str) -> Leg:
    """The leg of a record.

    Raises:
        BadInput: not a record of the dialplan.
    """
    fields = record.split("|")
    if len(fields) != FIELDS:
        raise BadInput(
            "a leg's record has %(fields)s fields, this one %(count)s: %(record)s",
            fields=FIELDS,
            count=len(fields),
            record=repr(record[:200]),
        )
    device, number, trunk, asked, alone, answered, ended, cause, uniqueid, linkedid, rang = fields
    asked_ms, ended_ms = parse_stamp_ms(asked), parse_stamp_ms(ended)
    if asked_ms is None or ended_ms is None or alone not in ("", EMERGENCY, PASSED_ALONE, REFUSED_ALONE):
        raise BadInput("a leg's record lacks its stamps: %(record)s", record=repr(record[:200]))
    return Leg(
        device,
        number,
        trunk,
        asked_ms,
        alone,
        parse_stamp_ms(answered),
        ended_ms,
        cause[:8],
        uniqueid[:64],
        linkedid[:64],
        int(rang) if rang.isdecimal() and len(rang) <= MOST_RING_DIGITS else None,
    )
