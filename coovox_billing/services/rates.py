"""The list of rates: adding, editing, deleting, importing. Which rate prices a call is `core.tariff`'s.

Each function is a job for `Database.write`: it takes the writer's connection. Calls keep the price that they began
with, whatever happens to their rate.
"""

import hashlib
import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from coovox_billing.core.rate_fields import fields_of
from coovox_billing.core.tariff import Rate
from coovox_billing.errors import NotFound, Refused
from coovox_billing.services.accounts import Person, record
from coovox_billing.store import reads, writes
from coovox_billing.store.rate_index import StoredRates

# A tariff is compared with another in memory, 2 KB a rate; a file that leaves the other rates alone is not.
MOST_REPLACED = 30_000


class Effect(StrEnum):
    """What an import does with a rate."""

    ADDED = "added"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Step:
    """One rate of an import: as it is in the list (None for a new one), and as it will be (None for a removed one)."""

    before: Rate | None
    after: Rate | None

    @property
    def effect(self) -> Effect:
        """What is done with it."""
        if self.before is None:
            return Effect.ADDED
        if self.after is None:
            return Effect.REMOVED
        return Effect.UNCHANGED if self.before == self.after else Effect.CHANGED


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """What an import would do, in the order of the file; rates that it removes come last.

    `shadowed` counts the file's rates that match the same calls as an earlier, active one of it: the older wins.
    `unknown_extensions` are listed in the file, and nobody has them.
    """

    steps: tuple[Step, ...]
    unknown_extensions: tuple[str, ...]
    shadowed: int

    def count(self, effect: Effect) -> int:
        """How many rates it does that with."""
        return sum(step.effect is effect for step in self.steps)

    @property
    def mark(self) -> str:
        """Another one for every other plan."""
        return _digest([fingerprint(rate) for step in self.steps for rate in (step.before, step.after)])


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


def fingerprint(rate: Rate | None) -> str:
    """Another one for every other rate: what a form carries, so that it changes only what it showed."""
    return "" if rate is None else _digest([str(rate.id), *fields_of(rate).values()])


def add(connection: sqlite3.Connection, rate: Rate, person: Person) -> int:
    """Add a rate, the newest of all; returns its id."""
    rate_id = writes.insert_rate(connection, rate)
    record(connection, person, f"rate {rate_id}", {}, fields_of(rate))
    return rate_id


def edit(connection: sqlite3.Connection, rate: Rate, seen: str, person: Person) -> None:
    """Make the rate of an id what `rate` is, if it still has the fingerprint that was `seen`.

    Raises:
        NotFound: it was deleted.
        Refused: somebody else changed it since.
    """
    before = _as_seen(connection, rate.id, seen)
    if before != rate:
        writes.update_rate(connection, rate)
        _record_change(connection, before, rate, person)


def activate(connection: sqlite3.Connection, rate_id: int, active: bool, person: Person) -> None:
    """Make a rate valid or invalid, and nothing else.

    Raises:
        NotFound: it was deleted.
    """
    before = find(connection, rate_id)
    if before.active != active:
        after = replace(before, active=active)
        writes.update_rate_price(connection, rate_id, after)
        _record_change(connection, before, after, person)


def delete(connection: sqlite3.Connection, rate_id: int, seen: str, person: Person) -> None:
    """Delete a rate, if it still has the fingerprint that was `seen`.

    Raises:
        NotFound: it was deleted already.
        Refused: somebody else changed it since.
    """
    before = _as_seen(connection, rate_id, seen)
    writes.delete_rates(connection, [rate_id])
    record(connection, person, f"rate {rate_id}", fields_of(before), {})


def find(connection: sqlite3.Connection, rate_id: int) -> Rate:
    """The rate of an id.

    Raises:
        NotFound: there is none.
    """
    rate = reads.rate(connection, rate_id)
    if rate is None:
        raise NotFound("this rate is not there: somebody may have deleted it")
    return rate


def shadowing(connection: sqlite3.Connection, rate_id: int) -> Rate | None:
    """The older active rate that matches the same calls as this one, which therefore never wins; else None."""
    rate = find(connection, rate_id)
    older = (other for other in StoredRates(connection).of_prefix(rate.prefix) if other.id < rate.id and other.active)
    return next((other for other in older if scope(other) == scope(rate)), None) if rate.active else None


def scope(rate: Rate) -> Hashable:
    """What calls a rate matches: two of the same scope are the same rate for an import."""
    return (rate.prefix, rate.number_length, rate.start_time, rate.end_time, rate.days, rate.extensions)


def plan_import(connection: sqlite3.Connection, rates: Sequence[Rate], remove_others: bool) -> ImportPlan:
    """What bringing the list of rates to what a file says would do; changes nothing.

    A rate of the file and one of the list are the same rate if they match the
    same calls (prefix, length, window, days, extensions): its prices, remark
    and activation are then changed, and it keeps its age. What the file does
    not name stays, unless `remove_others`. A file imported twice changes nothing.
    """
    present: defaultdict[Hashable, list[Rate]] = defaultdict(list)
    for rate in reads.all_rates(connection) if remove_others else _of_same_prefixes(connection, rates):
        present[scope(rate)].append(rate)
    steps = []
    for rate in rates:
        same = present[scope(rate)]
        older = same.pop(0) if same else None
        steps.append(Step(older, replace(rate, id=older.id if older else 0)))
    if remove_others:
        steps += [Step(rate, None) for group in present.values() for rate in group]
    return ImportPlan(tuple(steps), _unknown_extensions(connection, rates), _shadowed(rates))


def check_replaceable(connection: sqlite3.Connection) -> None:
    """To be asked before a page shows what replacing all rates would do, or does it, or has it done later.

    Raises:
        Refused: there are more than it has the memory for.
    """
    count = reads.count_rates(connection)
    if count > MOST_REPLACED:
        raise Refused(
            "there are %(count)s rates, and up to %(most)s are replaced as a whole: import only those that change",
            count=count,
            most=MOST_REPLACED,
        )


def import_rates(
    connection: sqlite3.Connection,
    rates: Sequence[Rate],
    remove_others: bool,
    person: Person,
    seen: str | None = None,
) -> ImportSummary:
    """Bring the list of rates to what a file says, as `plan_import` tells; if `seen` is its mark, where one is given.

    Raises:
        Refused: the rates were changed since, so that it would do something else than was seen, or are too many for
            a page to replace.
    """
    if seen is not None and remove_others:
        check_replaceable(connection)
    plan = plan_import(connection, rates, remove_others)
    if seen is not None and seen != plan.mark:
        raise Refused("the rates were changed since you looked: see what would happen now, then import")
    carry_out(connection, plan, person)
    counts = counts_of(plan)
    record(connection, person, "rates imported", {}, counts)
    return ImportSummary(**counts, unknown_extensions=plan.unknown_extensions, shadowed=plan.shadowed)


def plan_return(connection: sqlite3.Connection, rates: Sequence[Rate]) -> ImportPlan:
    """What making the list of rates again exactly what it was would do, ids and so ages included; changes nothing."""
    wanted = {rate.id: rate for rate in rates}
    present = {rate.id: rate for rate in reads.all_rates(connection)}
    steps = [Step(present.get(rate.id), rate) for rate in rates]
    steps += [Step(rate, None) for rate in present.values() if rate.id not in wanted]
    return ImportPlan(tuple(steps), _unknown_extensions(connection, rates), _shadowed(rates))


def outcome(plan: ImportPlan) -> list[Rate]:
    """The list of rates that a plan leads to where it removes others; new ones are the newest, in their order."""
    newest = max((step.before.id for step in plan.steps if step.before), default=0)
    rates = []
    for step in plan.steps:
        if step.after is not None:
            newest += not step.after.id
            rates.append(step.after if step.after.id else replace(step.after, id=newest))
    return rates


def carry_out(connection: sqlite3.Connection, plan: ImportPlan, person: Person) -> None:
    """Do what a plan says; each rate that it touches gets its line in the log of changes."""
    for step in plan.steps:
        _take(connection, step, person)


def counts_of(plan: ImportPlan) -> dict[str, int]:
    """How many rates a plan adds, changes, leaves and removes, by the words of `Effect`."""
    found = Counter(step.effect for step in plan.steps)
    return {str(effect): found[effect] for effect in Effect}


def _take(connection: sqlite3.Connection, step: Step, person: Person) -> None:
    if step.before is None and step.after is not None and step.after.id:
        writes.restore_rate(connection, step.after)
        record(connection, person, f"rate {step.after.id}", {}, fields_of(step.after))
    elif step.before is None and step.after is not None:
        add(connection, step.after, person)
    elif step.before is not None and step.after is None:
        writes.delete_rates(connection, [step.before.id])
        record(connection, person, f"rate {step.before.id}", fields_of(step.before), {})
    elif step.before is not None and step.after is not None and step.before != step.after:
        _change(connection, step.before, step.after, person)


def _change(connection: sqlite3.Connection, before: Rate, after: Rate, person: Person) -> None:
    if scope(before) == scope(after):
        writes.update_rate_price(connection, before.id, after)
    else:
        writes.update_rate(connection, after)
    _record_change(connection, before, after, person)


def _as_seen(connection: sqlite3.Connection, rate_id: int, seen: str) -> Rate:
    rate = find(connection, rate_id)
    if fingerprint(rate) != seen:
        raise Refused("somebody else changed this rate since you opened it")
    return rate


def _record_change(connection: sqlite3.Connection, before: Rate, after: Rate, person: Person) -> None:
    old, new = fields_of(before), fields_of(after)
    changed = [name for name in old if old[name] != new[name]]
    what = f"rate {before.id}"
    record(connection, person, what, {name: old[name] for name in changed}, {name: new[name] for name in changed})


def _of_same_prefixes(connection: sqlite3.Connection, rates: Iterable[Rate]) -> Iterator[Rate]:
    stored = StoredRates(connection)
    for prefix in sorted({rate.prefix for rate in rates}):
        yield from stored.of_prefix(prefix)


def _digest(texts: Iterable[str]) -> str:
    return hashlib.sha256(json.dumps(list(texts)).encode()).hexdigest()[:32]


def _shadowed(rates: Sequence[Rate]) -> int:
    active = [scope(rate) for rate in rates if rate.active]
    return len(active) - len(set(active))


def _unknown_extensions(connection: sqlite3.Connection, rates: Sequence[Rate]) -> tuple[str, ...]:
    named = {extension for rate in rates for extension in rate.extensions or ()}
    return tuple(sorted(e for e in named if reads.account_by_extension(connection, e) is None))
