"""*What if*: the real calls of some days, priced by today's rates and by a draft.

They are read block by block, each a read of its own, so that nobody waits for it, and none is kept but those that the
draft would refuse, make free, or price where today no rate does.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from zoneinfo import ZoneInfo

from coovox_billing.core.clock import local_moment
from coovox_billing.core.tariff import Rate
from coovox_billing.core.what_if import Comparison, MadeCall, Tariff
from coovox_billing.errors import Refused
from coovox_billing.services import rates
from coovox_billing.store import dialed, reads

MOST_CALLS = 200_000
MOST_CHANGED = 2_000
CALLS_AT_ONCE = 2_000


@dataclass(frozen=True, slots=True)
class Trial:
    """What is compared over which days: the rates of today and those of a draft, with the ids that they would have."""

    first_day: date
    last_day: date
    zone: ZoneInfo
    refuses: bool
    today: Sequence[Rate]
    draft: Sequence[Rate]


def prepare(connection: sqlite3.Connection, draft: Sequence[Rate], first_day: date, last_day: date) -> Trial:
    """What is compared, where there are not too many calls or rates.

    Raises:
        Refused: there are.
    """
    refuse_too_many(connection, first_day, last_day)
    site = reads.site(connection)
    planned = rates.outcome(rates.plan_import(connection, draft, remove_others=True))
    refuses = site.when_no_rate != "allow"
    return Trial(first_day, last_day, site.time_zone, refuses, reads.all_rates(connection), planned)


def refuse_too_many(connection: sqlite3.Connection, first_day: date, last_day: date) -> None:
    """Raises Refused: these days have more calls, or there are more rates, than are compared at once."""
    count = dialed.count_answered(connection, first_day, last_day, reads.site(connection).time_zone)
    if count > MOST_CALLS:
        raise Refused(
            "these days have %(count)s answered calls, and up to %(most)s are tried at once: choose fewer days",
            count=count,
            most=MOST_CALLS,
        )
    rates.check_replaceable(connection)


def compare(read: "Callable[..., list[sqlite3.Row]]", trial: Trial) -> Comparison:
    """All the calls of a trial, summed up. `read` runs a job on a snapshot of its own, as `Database.read`."""
    comparison = Comparison(Tariff(trial.today), Tariff(trial.draft), trial.refuses, MOST_CHANGED)
    for row in _calls(read, trial):
        comparison.add(_made(row, trial.zone))
    return comparison


def _calls(read: "Callable[..., list[sqlite3.Row]]", trial: Trial) -> Iterator[sqlite3.Row]:
    last = (0, 0)
    while True:
        block = read(
            partial(
                dialed.priced_calls,
                first_day=trial.first_day,
                last_day=trial.last_day,
                zone=trial.zone,
                after=last,
                limit=CALLS_AT_ONCE,
            )
        )
        yield from block
        if len(block) < CALLS_AT_ONCE:
            return
        last = (block[-1]["asked_at_ms"], block[-1]["id"])


def _made(row: sqlite3.Row, zone: ZoneInfo) -> MadeCall:
    talk, billable = row["talk_seconds"], row["billable_seconds"]
    return MadeCall(
        id=row["call_id"],
        extension=row["extension"],
        number=row["number"],
        moment=local_moment(row["asked_at_ms"], zone),
        talk_seconds=talk,
        billed_seconds=talk if billable is None else min(talk, billable),
        free_seconds=row["free_seconds"],
        charged_micros=row["cost_micros"],
    )
