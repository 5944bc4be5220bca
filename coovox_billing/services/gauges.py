"""What a monitor wants to know of a site and only its database tells. Reads, and waits for nobody."""

import sqlite3
from dataclasses import dataclass

from coovox_billing.core.trial import TRIAL_MS
from coovox_billing.services.condition import DAY_MS, LOST_DAYS
from coovox_billing.store import probe, reads


@dataclass(frozen=True, slots=True)
class SiteGauges:
    """Calls in progress by state, money that they hold (micros), lost ones, and moments (ms since 1970; 0: none)."""

    live_calls: dict[str, int]
    held_micros: int
    lost_calls: int
    newest_record_ms: int
    trial_over_ms: int


def read(connection: sqlite3.Connection, now_ms: int) -> SiteGauges:
    """Look all of it up."""
    first_ms = reads.first_activation_ms(connection)
    return SiteGauges(
        live_calls=reads.open_calls_by_state(connection),
        held_micros=reads.held_micros(connection),
        lost_calls=probe.lost_calls_since(connection, now_ms - LOST_DAYS * DAY_MS),
        newest_record_ms=reads.newest_record_ms(connection),
        trial_over_ms=0 if first_ms is None else first_ms + TRIAL_MS,
    )
