"""Tariffs that are made ready, tried out, and made the one that counts: at once, or at a time.

A draft is the whole list of rates. Activating it is one write, all or nothing; what was before stays with it, ids and
all, so that it can be taken back. Calls keep the price that they began with. Each function is a job for
`Database.write`.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from coovox_billing.core.rate_csv import parse_rates, render_rates
from coovox_billing.core.tariff import Rate
from coovox_billing.errors import BadInput, NotFound, Refused
from coovox_billing.services import rates
from coovox_billing.services.accounts import Person, record
from coovox_billing.services.rates import ImportPlan
from coovox_billing.store import reads, tariff_drafts
from coovox_billing.store.tariff_drafts import Draft, DraftState

MOST_DRAFTS = 20
LONGEST_NAME = 80
# What is overdue at first sight, as after a start or where the clock was set, waits until it went evenly so long.
PATIENCE_MS = 120_000
SCHEDULE = "schedule"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A draft that is due, and what it does to the rates of now: what takes long is done before the write begins."""

    draft: Draft
    rates: Sequence[Rate]
    present: Sequence[Rate]
    planned: ImportPlan
    present_json: str


def find(connection: sqlite3.Connection, draft_id: int) -> Draft:
    """The draft of an id.

    Raises:
        NotFound: there is none.
    """
    found = tariff_drafts.draft(connection, draft_id)
    if found is None:
        raise NotFound("this draft is not there: somebody may have deleted it")
    return found


def rates_of(connection: sqlite3.Connection, draft_id: int) -> list[Rate]:
    """The rates of a draft, in its order; ids are 0.

    Raises:
        NotFound: there is no such draft.
        Refused: it holds what is no rate, by the rules of today.
    """
    find(connection, draft_id)
    found, bad = parse_rates(tariff_drafts.rates_text(connection, draft_id))
    if bad:
        raise Refused("line %(line)s of the draft is no rate: %(why)s", line=bad[0].line, why=bad[0].reason)
    return found


def add(connection: sqlite3.Connection, name: str, found: Sequence[Rate], person: Person) -> int:
    """Keep a new draft; returns its id.

    Raises:
        BadInput: it has no name, or no rates, or one that is none.
        Refused: there are too many.
    """
    name = _check(name, found)
    if len(tariff_drafts.drafts(connection)) >= MOST_DRAFTS:
        raise Refused("there are %(most)s drafts already: delete one first", most=MOST_DRAFTS)
    draft_id = tariff_drafts.insert(connection, name, render_rates(found), len(found), person.name, person.now_ms)
    record(connection, person, f"tariff {name}", {}, {"rates": len(found)})
    return draft_id


def today(connection: sqlite3.Connection) -> list[Rate]:
    """The rates of today, to be a draft.

    Raises:
        Refused: they are too many for one.
    """
    rates.check_replaceable(connection)
    return reads.all_rates(connection)


def complete(connection: sqlite3.Connection, found: Sequence[Rate]) -> list[Rate]:
    """Some rates with those of today that they do not name, so that they are a whole tariff.

    Raises:
        Refused: those of today are too many for a draft.
    """
    rates.check_replaceable(connection)
    steps = rates.plan_import(connection, found, remove_others=True).steps
    return [*found, *(step.before for step in steps if step.after is None and step.before is not None)]


def edit(connection: sqlite3.Connection, draft_id: int, name: str, found: Sequence[Rate], person: Person) -> None:
    """Give a draft another name and other rates.

    Raises:
        BadInput: it has no name, or no rates, or one that is none.
        NotFound: it was deleted.
        Refused: it is scheduled or was activated.
    """
    name, before = _check(name, found), find(connection, draft_id)
    columns: dict[str, object] = {"name": name, "rates": render_rates(found), "rate_count": len(found)}
    changed = {"changed_by": person.name, "changed_at_ms": person.now_ms}
    if not tariff_drafts.change(connection, draft_id, DraftState.DRAFT, columns | changed):
        raise Refused("only a draft that is neither scheduled nor active can be changed: cancel it, or copy it")
    old, new = {"name": before.name, "rates": before.rate_count}, {"name": name, "rates": len(found)}
    record(connection, person, f"tariff {name}", old, new)


def delete(connection: sqlite3.Connection, draft_id: int, person: Person) -> None:
    """Forget a draft; the rates that it brought stay as they are.

    Raises:
        NotFound: it was deleted.
        Refused: it is scheduled.
    """
    draft = find(connection, draft_id)
    if draft.state == DraftState.SCHEDULED:
        raise Refused("this draft is scheduled: cancel that first")
    tariff_drafts.delete(connection, draft_id)
    record(connection, person, f"tariff {draft.name}", {"rates": draft.rate_count}, {})


def plan(connection: sqlite3.Connection, draft_id: int) -> ImportPlan:
    """What activating a draft now would do to the rates.

    Raises:
        NotFound: there is no such draft.
        Refused: the rates of today are too many to be compared with it.
    """
    rates.check_replaceable(connection)
    return rates.plan_import(connection, rates_of(connection, draft_id), remove_others=True)


def schedule(connection: sqlite3.Connection, draft_id: int, at_ms: int, person: Person) -> None:
    """Have a draft activated at a time, ms since 1970 in UTC.

    Raises:
        NotFound: it was deleted.
        Refused: the time is over, there are too many rates, or it is no draft any more.
    """
    draft = find(connection, draft_id)
    rates.check_replaceable(connection)
    if at_ms <= person.now_ms:
        raise Refused("this time is over: choose a later one, or activate the draft now")
    columns = {"state": DraftState.SCHEDULED, "activate_at_ms": at_ms, "scheduled_by": person.name}
    if not tariff_drafts.change(connection, draft_id, DraftState.DRAFT, columns):
        raise Refused("this draft is scheduled or active already")
    record(connection, person, f"tariff {draft.name}", {}, {"activate_at_ms": at_ms})


def cancel(connection: sqlite3.Connection, draft_id: int, person: Person) -> None:
    """Have a draft not activated; it is a draft again.

    Raises:
        NotFound: it was deleted.
        Refused: it is not scheduled, for it was canceled or activated.
    """
    draft = find(connection, draft_id)
    columns = {"state": DraftState.DRAFT, "activate_at_ms": None}
    if not tariff_drafts.change(connection, draft_id, DraftState.SCHEDULED, columns):
        raise Refused("this draft is not scheduled any more")
    record(connection, person, f"tariff {draft.name}", {"activate_at_ms": draft.activate_at_ms}, {})


def activate(connection: sqlite3.Connection, draft_id: int, person: Person, seen: str) -> None:
    """Make a draft the list of rates, if that does what was `seen`, as a plan's mark.

    Raises:
        NotFound: it was deleted.
        Refused: the rates or the draft were changed since, they are too many, or it is no draft any more.
    """
    draft = find(connection, draft_id)
    if draft.state != DraftState.DRAFT:
        raise Refused("this draft is scheduled or active already")
    rates.check_replaceable(connection)
    prepared = _prepare(connection, draft, rates_of(connection, draft_id))
    if prepared.planned.mark != seen:
        raise Refused("the rates were changed since you looked: see what would happen now, then activate")
    _activate(connection, prepared, person)


def due(connection: sqlite3.Connection, now_ms: int, even_ms: int) -> Prepared | None:
    """The first scheduled draft whose time has come, by a clock that went evenly for so long.

    However many rates there are by now: what was scheduled comes.
    """
    draft = next(iter(tariff_drafts.scheduled(connection)), None)
    if draft is None or draft.activate_at_ms is None or not is_due(draft.activate_at_ms, now_ms, even_ms):
        return None
    return _prepare(connection, draft, rates_of(connection, draft.id))


def is_due(at_ms: int, now_ms: int, even_ms: int) -> bool:
    """Whether a time has come: while the clock went evenly, or long enough ago to trust a clock that did not."""
    late_ms = now_ms - at_ms
    return late_ms >= 0 and (even_ms >= late_ms or even_ms >= PATIENCE_MS)


def activate_due(connection: sqlite3.Connection, prepared: Prepared, now_ms: int) -> bool:
    """Make a draft that is due the list of rates; whether it was, for meanwhile somebody may have canceled it."""
    draft = tariff_drafts.draft(connection, prepared.draft.id)
    if draft != prepared.draft:
        return False
    if reads.all_rates(connection) != prepared.present:
        prepared = _prepare(connection, draft, prepared.rates)
    _activate(connection, prepared, Person(draft.scheduled_by, SCHEDULE, now_ms))
    return True


def plan_return(connection: sqlite3.Connection, draft_id: int) -> ImportPlan:
    """What taking an activation back would do: the rates become again what they were before it.

    Raises:
        NotFound: it was deleted.
        Refused: it is not the one that was activated last.
    """
    find(connection, draft_id)
    rates.check_replaceable(connection)
    if tariff_drafts.last_active(connection) != draft_id:
        raise Refused("only what was activated last can be taken back")
    return rates.plan_return(connection, tariff_drafts.rates_before(connection, draft_id))


def take_back(connection: sqlite3.Connection, draft_id: int, person: Person, seen: str) -> None:
    """Make the rates again what they were before a draft was activated, if that does what was `seen`.

    Raises:
        NotFound: it was deleted.
        Refused: the rates were changed since, or it is not the one that was activated last.
    """
    planned = plan_return(connection, draft_id)
    if planned.mark != seen:
        raise Refused("the rates were changed since you looked: see what would happen now, then take it back")
    name = find(connection, draft_id).name
    rates.carry_out(connection, planned, person)
    columns = {"state": DraftState.TAKEN_BACK, "rates_before": None}
    tariff_drafts.change(connection, draft_id, DraftState.ACTIVE, columns)
    record(
        connection, person, f"tariff {name}", {"state": "active"}, {"state": "taken-back", **rates.counts_of(planned)}
    )


def _prepare(connection: sqlite3.Connection, draft: Draft, found: Sequence[Rate]) -> Prepared:
    present = reads.all_rates(connection)
    planned = rates.plan_import(connection, found, remove_others=True)
    return Prepared(draft, found, present, planned, tariff_drafts.as_json(present))


def _activate(connection: sqlite3.Connection, prepared: Prepared, person: Person) -> None:
    draft, planned = prepared.draft, prepared.planned
    rates.carry_out(connection, planned, person)
    columns = {
        "state": DraftState.ACTIVE,
        "activate_at_ms": None,
        "activated_at_ms": person.now_ms,
        "activated_by": person.name,
        "activation": tariff_drafts.next_activation(connection),
        "rates_before": prepared.present_json,
    }
    tariff_drafts.change(connection, draft.id, DraftState(draft.state), columns)
    record(
        connection,
        person,
        f"tariff {draft.name}",
        {"state": draft.state},
        {"state": "active", **rates.counts_of(planned)},
    )


def _check(name: str, found: Sequence[Rate]) -> str:
    name = name.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise BadInput("give the draft a name of up to %(most)s printable characters", most=LONGEST_NAME)
    if not found:
        raise BadInput("a tariff without rates prices nothing: write one per line below the header")
    _, bad = parse_rates(render_rates(found))
    if bad:
        raise BadInput("a rate of the draft is none, on line %(line)s: %(why)s", line=bad[0].line, why=bad[0].reason)
    return name
