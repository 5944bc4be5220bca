"""The list of rates: importing one. Which rate prices a call is `core.tariff`'s."""

import sqlite3
from collections import defaultdict
from collections.abc import Hashable
from dataclasses import dataclass, replace

from coovox_billing.core.tariff import Rate
from coovox_billing.services.accounts import Person
from coovox_billing.store import reads, writes


@dataclass(frozen=True, slots=True)
class ImportSummary:
    """How many rates an import touched, listed extensions that nobody has, and rates of the file that never win.

    `shadowed` counts those that match the same calls as an earlier, active one of the file: the older wins.
    """

    added: int
    changed: int
    unchanged: int
    removed: int
    unknown_extensions: tuple[str, ...]
    shadowed: int


def import_rates(
    connection: sqlite3.Connection, rates: list[Rate], remove_others: bool, person: Person
) -> ImportSummary:
    """Bring the list of rates to what a file says.

    A rate of the file and one of the list are the same rate if they match the
    same calls (prefix, length, window, days, extensions): its prices, remark
    and activation are then changed, and it keeps its age. What the file does
    not name stays, unless `remove_others`. A file imported twice changes nothing.
    """
    present: defaultdict[Hashable, list[Rate]] = defaultdict(list)
    for rate in reads.all_rates(connection):
        present[_scope(rate)].append(rate)
    added = changed = unchanged = 0
    for rate in rates:
        same = present[_scope(rate)]
        if not same:
            writes.insert_rate(connection, rate)
            added += 1
            continue
        older = same.pop(0)
        if replace(rate, id=older.id) == older:
            unchanged += 1
        else:
            writes.update_rate_price(connection, older.id, rate)
            changed += 1
    others = [rate.id for group in present.values() for rate in group] if remove_others else []
    writes.delete_rates(connection, others)
    unknown = _unknown_extensions(connection, rates)
    summary = ImportSummary(added, changed, unchanged, len(others), unknown, _shadowed(rates))
    after = f"{added} added, {changed} changed, {unchanged} unchanged, {len(others)} removed"
    writes.record_change(connection, person.now_ms, person.name, person.origin, "rates imported", "", after)
    return summary


def _scope(rate: Rate) -> Hashable:
    return (rate.prefix, rate.number_length, rate.start_time, rate.end_time, rate.days, rate.extensions)


def _shadowed(rates: list[Rate]) -> int:
    active = [_scope(rate) for rate in rates if rate.active]
    return len(active) - len(set(active))


def _unknown_extensions(connection: sqlite3.Connection, rates: list[Rate]) -> tuple[str, ...]:
    named = {extension for rate in rates for extension in rate.extensions or ()}
    return tuple(sorted(e for e in named if reads.account_by_extension(connection, e) is None))
