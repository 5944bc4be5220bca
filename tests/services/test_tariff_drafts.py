"""Tariffs that are made ready: kept, scheduled, activated as a whole or not at all, and taken back."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coovox_billing.core.rate_csv import parse_rates, render_rates
from coovox_billing.core.tariff import Rate
from coovox_billing.errors import BadInput, NotFound, Refused
from coovox_billing.services import rates
from coovox_billing.services import tariff_drafts as drafts
from coovox_billing.services.accounts import Person
from coovox_billing.store import reads
from coovox_billing.store import tariff_drafts as stored
from coovox_billing.store.database import Database, connect
from coovox_billing.store.tariff_drafts import Draft
from tests import cast
from tests.cast import GUIDE_RATE, MANAGER, MOBILE_RATE, NOW_MS, Exchange

HOUR_MS = 3_600_000
AT_MS = NOW_MS + HOUR_MS
ABROAD = replace(cast.ABROAD_RATE, prefix="0034", extensions=frozenset({"100", "101"}))
NEW_TARIFF = [replace(GUIDE_RATE, rate_micros=50_000, remark="dearer"), MOBILE_RATE, ABROAD]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with cast.move_in(tmp_path) as moved_in:
        yield moved_in


def add(database: Database, tariff: list[Rate] | None = None, name: str = "New year") -> int:
    return database.write(lambda c: drafts.add(c, name, NEW_TARIFF if tariff is None else tariff, MANAGER))


def find(database: Database, draft: int) -> Draft:
    return database.read(lambda c: drafts.find(c, draft))


def mark(database: Database, draft: int) -> str:
    return database.read(lambda c: drafts.plan(c, draft)).mark


def activate(database: Database, draft: int, person: Person = MANAGER) -> None:
    seen = mark(database, draft)
    database.write(lambda c: drafts.activate(c, draft, person, seen))


def take_back(database: Database, draft: int) -> None:
    seen = database.read(lambda c: drafts.plan_return(c, draft)).mark
    database.write(lambda c: drafts.take_back(c, draft, MANAGER, seen))


def schedule(database: Database, draft: int, at_ms: int = AT_MS) -> None:
    database.write(lambda c: drafts.schedule(c, draft, at_ms, MANAGER))


def present(database: Database) -> list[Rate]:
    return database.read(reads.all_rates)


def without_ids(some: list[Rate]) -> list[Rate]:
    return [replace(rate, id=0) for rate in some]


def changes(database: Database) -> list[tuple[Any, ...]]:
    return cast.look_up(database.path, "SELECT actor, origin, what, before, after FROM changes ORDER BY id")


def test_it_keeps_a_draft_as_the_rates_that_it_was_given(database: Database) -> None:
    before = present(database)
    draft = add(database)
    assert database.read(lambda c: drafts.rates_of(c, draft)) == without_ids(NEW_TARIFF)
    assert (find(database, draft).state, find(database, draft).rate_count) == ("draft", 3)
    assert present(database) == before


@pytest.mark.parametrize(
    ("name", "tariff", "words"),
    [("  ", NEW_TARIFF, "a name"), ("x" * 81, NEW_TARIFF, "a name"), ("x", [], "prices nothing")],
)
def test_it_refuses_a_draft_without_a_name_or_rates(
    database: Database, name: str, tariff: list[Rate], words: str
) -> None:
    with pytest.raises(BadInput, match=words):
        add(database, tariff, name)
    assert database.read(stored.drafts) == []


def test_it_drops_no_rate_of_a_draft_that_it_could_not_read_again(database: Database) -> None:
    with pytest.raises(BadInput, match="on line 2: number_length 1 is shorter than the prefix 98"):
        add(database, [replace(GUIDE_RATE, prefix="98", number_length=1)])
    draft = add(database)
    cast_off = "UPDATE tariff_drafts SET rates = replace(rates, 'mobile', 'x' || char(7))"
    database.write(lambda c: c.execute(cast_off))
    for look in (drafts.rates_of, drafts.plan):
        with pytest.raises(Refused, match="line 3 of the draft is no rate"):
            database.read(lambda c, look=look: look(c, draft))


def test_it_keeps_so_many_drafts_and_no_more(database: Database) -> None:
    for _ in range(drafts.MOST_DRAFTS):
        newest = add(database)
    with pytest.raises(Refused, match="delete one first"):
        add(database)
    database.write(lambda c: drafts.delete(c, newest, MANAGER))
    add(database)


def test_it_makes_a_whole_tariff_of_some_rates(database: Database) -> None:
    dearer = replace(GUIDE_RATE, id=0, rate_micros=99)
    whole = database.read(lambda c: drafts.complete(c, [dearer]))
    assert without_ids(whole) == without_ids([dearer, *cast.RATES[1:]])


def test_it_activates_a_draft_as_a_whole(database: Database) -> None:
    draft = add(database)
    activate(database, draft)
    assert without_ids(present(database)) == without_ids(NEW_TARIFF)
    assert [rate.id for rate in present(database)] == [1, 2, 5]
    found = find(database, draft)
    assert (found.state, found.activated_at_ms, found.activated_by) == ("active", NOW_MS, MANAGER.name)


def test_it_tells_the_audit_log_of_each_rate_and_of_the_tariff(database: Database) -> None:
    before = len(changes(database))
    activate(database, add(database))
    _made, *told, last = changes(database)[before:]
    assert [what for _by, _from, what, _old, _new in told] == ["rate 1", "rate 5", "rate 3", "rate 4"]
    assert last[2] == "tariff New year"
    assert '"state": "active"' in last[4]


def test_it_activates_only_what_was_seen(database: Database) -> None:
    draft = add(database)
    seen = mark(database, draft)
    database.write(lambda c: rates.activate(c, 2, False, MANAGER))
    before = present(database)
    with pytest.raises(Refused, match="changed since you looked"):
        database.write(lambda c: drafts.activate(c, draft, MANAGER, seen))
    assert present(database) == before
    assert find(database, draft).state == "draft"


def test_it_activates_nothing_twice(database: Database) -> None:
    draft = add(database)
    activate(database, draft)
    with pytest.raises(Refused, match="scheduled or active already"):
        activate(database, draft)
    with pytest.raises(NotFound):
        activate(database, 99)


def test_it_takes_back_exactly_what_was_before(database: Database) -> None:
    overlapping = [frozenset({"100", "101"}), frozenset({"101", "102"})]
    for listed in overlapping:
        database.write(lambda c, e=listed: rates.add(c, cast.a_rate(prefix="7", extensions=e), MANAGER))
    before = present(database)
    draft = add(database)
    activate(database, draft)
    take_back(database, draft)
    assert present(database) == before
    assert find(database, draft).state == "taken-back"
    with pytest.raises(Refused, match="activated last"):
        take_back(database, draft)


def test_it_takes_back_what_was_edited_since_only_if_that_was_seen(database: Database) -> None:
    before = present(database)
    draft = add(database)
    activate(database, draft)
    seen = database.read(lambda c: drafts.plan_return(c, draft)).mark
    database.write(lambda c: rates.add(c, cast.a_rate(prefix="8"), MANAGER))
    with pytest.raises(Refused, match="changed since you looked"):
        database.write(lambda c: drafts.take_back(c, draft, MANAGER, seen))
    take_back(database, draft)
    assert present(database) == before


def test_it_takes_back_one_after_the_other(database: Database) -> None:
    states = [present(database)]
    made = [add(database), add(database, [GUIDE_RATE], "Summer")]
    for draft in made:
        activate(database, draft)
        states.append(present(database))
    with pytest.raises(Refused, match="activated last"):
        take_back(database, made[0])
    for draft, before in zip(reversed(made), reversed(states[:-1]), strict=True):
        take_back(database, draft)
        assert present(database) == before


def test_it_edits_a_draft_and_nothing_that_is_scheduled_or_active(database: Database) -> None:
    draft = add(database)
    database.write(lambda c: drafts.edit(c, draft, "Spring", [GUIDE_RATE], MANAGER))
    assert (find(database, draft).name, find(database, draft).rate_count) == ("Spring", 1)
    schedule(database, draft)
    with pytest.raises(Refused, match="cancel it"):
        database.write(lambda c: drafts.edit(c, draft, "Spring", NEW_TARIFF, MANAGER))
    with pytest.raises(Refused, match="cancel that first"):
        database.write(lambda c: drafts.delete(c, draft, MANAGER))


def test_it_schedules_and_cancels(database: Database) -> None:
    draft = add(database)
    with pytest.raises(Refused, match="over"):
        schedule(database, draft, NOW_MS)
    schedule(database, draft)
    assert find(database, draft).activate_at_ms == AT_MS
    with pytest.raises(Refused, match="already"):
        schedule(database, draft)
    database.write(lambda c: drafts.cancel(c, draft, MANAGER))
    assert find(database, draft).state == "draft"
    with pytest.raises(Refused, match="not scheduled"):
        database.write(lambda c: drafts.cancel(c, draft, MANAGER))


# How late it is, for how long the clock went evenly, whether it is activated.
MOMENTS = [
    (-1, HOUR_MS, False),
    (0, 0, True),
    (0, HOUR_MS, True),
    (1, 0, False),
    (1, 1, True),
    (50 * 365 * 24 * HOUR_MS, 1, False),
    (HOUR_MS, drafts.PATIENCE_MS - 1, False),
    (HOUR_MS, drafts.PATIENCE_MS, True),
    (-50 * 365 * 24 * HOUR_MS, drafts.PATIENCE_MS, False),
]


@pytest.mark.parametrize(("late_ms", "even_ms", "due"), MOMENTS)
def test_it_trusts_a_clock_that_went_evenly(late_ms: int, even_ms: int, due: bool) -> None:
    assert drafts.is_due(AT_MS, AT_MS + late_ms, even_ms) == due


def activate_due(database: Database, now_ms: int = AT_MS) -> bool:
    prepared = database.read(lambda c: drafts.due(c, now_ms, HOUR_MS))
    return prepared is not None and database.write(lambda c: drafts.activate_due(c, prepared, now_ms))


def test_it_activates_what_is_due_in_the_name_of_whoever_scheduled_it(database: Database) -> None:
    draft = add(database)
    schedule(database, draft)
    assert not activate_due(database, AT_MS - 1)
    assert activate_due(database)
    assert not activate_due(database)
    assert without_ids(present(database)) == without_ids(NEW_TARIFF)
    assert changes(database)[-1][:3] == (MANAGER.name, "schedule", "tariff New year")


def test_it_activates_what_is_due_however_many_rates_there_are_by_now(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft, later = add(database), add(database, name="Later")
    schedule(database, draft)
    monkeypatch.setattr(rates, "MOST_REPLACED", 3)
    with pytest.raises(Refused, match="up to 3 are replaced as a whole"):
        schedule(database, later)
    assert activate_due(database)
    assert find(database, draft).state == "active"


def test_it_activates_nothing_that_was_canceled_at_the_last_moment(database: Database) -> None:
    draft = add(database)
    schedule(database, draft)
    before = present(database)
    prepared = database.read(lambda c: drafts.due(c, AT_MS, 0))
    assert prepared is not None
    database.write(lambda c: drafts.cancel(c, draft, MANAGER))
    assert not database.write(lambda c: drafts.activate_due(c, prepared, AT_MS))
    schedule(database, draft, AT_MS + 1)
    assert not database.write(lambda c: drafts.activate_due(c, prepared, AT_MS))
    assert present(database) == before


def test_it_takes_into_account_what_was_edited_at_the_last_moment(database: Database) -> None:
    draft = add(database)
    schedule(database, draft)
    prepared = database.read(lambda c: drafts.due(c, AT_MS, 0))
    assert prepared is not None
    database.write(lambda c: rates.add(c, cast.a_rate(prefix="8"), MANAGER))
    edited = present(database)
    assert database.write(lambda c: drafts.activate_due(c, prepared, AT_MS))
    assert without_ids(present(database)) == without_ids(NEW_TARIFF)
    take_back(database, draft)
    assert present(database) == edited


def test_it_lets_calls_in_progress_keep_their_price(tmp_path: Path) -> None:
    office = Exchange(tmp_path)
    office.ask("before", "100")
    activate(office.database, add(office.database))
    office.ask("after", "101")
    for call_id in ("before", "after"):
        office.settle(call_id, 238)
    assert [office.call(call_id)["cost_micros"] for call_id in ("before", "after")] == [180_000, 300_000]
    assert office.findings() == []


def _die_at(path: Path, statement: int, job: Callable[[sqlite3.Connection], object]) -> bool:
    """Run a write in a process that is killed before a statement; whether it came to its end."""
    child = os.fork()
    if child == 0:
        connection = connect(path)
        left = [statement]

        def count(_text: str) -> None:
            left[0] -= 1
            if left[0] < 0:
                os._exit(9)

        connection.set_trace_callback(count)
        connection.execute("BEGIN IMMEDIATE")
        job(connection)
        connection.execute("COMMIT")
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("scheduled", [True, False])
def test_it_leaves_old_or_new_rates_wherever_it_is_killed(tmp_path: Path, scheduled: bool) -> None:
    with cast.move_in(tmp_path) as database:
        draft = add(database)
        if scheduled:
            schedule(database, draft)
        old, state = present(database), find(database, draft).state
        path = database.path
        prepared = database.read(lambda c: drafts.due(c, AT_MS, HOUR_MS))
        seen = mark(database, draft)

    def job(connection: sqlite3.Connection) -> None:
        if prepared is not None:
            drafts.activate_due(connection, prepared, AT_MS)
        else:
            drafts.activate(connection, draft, MANAGER, seen)

    statement, finished = 0, False
    while not finished:
        finished = _die_at(path, statement, job)
        with Database(path) as database:
            found = (without_ids(present(database)), find(database, draft).state)
            assert found in [(without_ids(old), state), (without_ids(NEW_TARIFF), "active")], statement
            assert found[1] == ("active" if finished else state)
        statement += 1
    assert statement > 20


def test_it_takes_its_own_export_for_the_same_tariff(database: Database) -> None:
    exported, _bad = parse_rates(render_rates(present(database)))
    draft = add(database, exported)
    planned = database.read(lambda c: drafts.plan(c, draft))
    assert rates.outcome(planned) == present(database)
    assert {str(step.effect) for step in planned.steps} == {"unchanged"}
