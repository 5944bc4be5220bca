"""The list of rates: who changed what, what nobody overwrites unseen, and what an import does."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from coovox_billing.errors import NotFound, Refused
from coovox_billing.services import rates
from coovox_billing.services.rates import Effect, fingerprint
from coovox_billing.store import reads
from coovox_billing.store.database import Database
from tests import cast

NEW_RATE = cast.a_rate(id=0, prefix="7", remark="new", extensions=frozenset({"100", "101"}))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with cast.move_in(tmp_path) as moved_in:
        yield moved_in


def add(database: Database, rate: cast.Rate = NEW_RATE) -> int:
    return database.write(lambda connection: rates.add(connection, rate, cast.MANAGER))


def find(database: Database, rate_id: int) -> cast.Rate:
    return database.read(lambda connection: rates.find(connection, rate_id))


def edit(database: Database, seen: cast.Rate, **changes: object) -> None:
    rate = cast.replace(seen, **changes)
    database.write(lambda connection: rates.edit(connection, rate, fingerprint(seen), cast.MANAGER))


def changes(database: Database) -> list[tuple[str, dict[str, str], dict[str, str]]]:
    found = cast.look_up(database.path, "SELECT what, before, after FROM changes WHERE what LIKE 'rate%' ORDER BY id")
    return [(what, json.loads(before), json.loads(after)) for what, before, after in found]


def test_it_stores_a_rate_with_its_extensions_and_its_age(database: Database) -> None:
    first, second = add(database), add(database)
    assert find(database, first) == cast.replace(NEW_RATE, id=first)
    assert second > first


def test_it_records_only_what_was_changed(database: Database) -> None:
    edit(database, find(database, 1), rate_micros=30_000, extensions=frozenset({"102"}))
    assert changes(database) == [
        ("rate 1", {"rate": "0.0200", "extensions": "all"}, {"rate": "0.0300", "extensions": "102"})
    ]
    edit(database, find(database, 1))
    assert len(changes(database)) == 1


@pytest.mark.parametrize(
    "change", [{"rate_micros": 1}, {"active": False}, {"extensions": frozenset({"101"})}, {"days": frozenset({1})}]
)
def test_it_overwrites_nothing_that_was_not_seen(database: Database, change: dict[str, object]) -> None:
    seen = find(database, 1)
    edit(database, seen, **change)
    with pytest.raises(Refused, match="somebody else changed this rate"):
        edit(database, seen, remark="mine")
    with pytest.raises(Refused, match="somebody else changed this rate"):
        database.write(lambda c: rates.delete(c, 1, fingerprint(seen), cast.MANAGER))
    assert find(database, 1) == cast.replace(seen, **change)
    assert len(changes(database)) == 1


def test_it_does_not_bring_back_what_was_deleted(database: Database) -> None:
    seen = find(database, 1)
    database.write(lambda c: rates.delete(c, 1, fingerprint(seen), cast.MANAGER))
    with pytest.raises(NotFound, match="deleted"):
        edit(database, seen, remark="mine")
    with pytest.raises(NotFound, match="deleted"):
        database.write(lambda c: rates.activate(c, 1, True, cast.MANAGER))
    assert cast.look_up(database.path, "SELECT count(*) FROM rates WHERE id = 1") == [(0,)]


def test_it_deletes_the_extensions_of_a_rate_too(database: Database) -> None:
    rate_id = add(database)
    seen = fingerprint(find(database, rate_id))
    database.write(lambda c: rates.delete(c, rate_id, seen, cast.MANAGER))
    assert cast.look_up(database.path, "SELECT * FROM rate_extensions") == []


def test_it_switches_a_rate_and_nothing_else_of_it(database: Database) -> None:
    rate_id = add(database)
    database.write(lambda c: rates.activate(c, rate_id, False, cast.MANAGER))
    assert find(database, rate_id) == cast.replace(NEW_RATE, id=rate_id, active=False)


@pytest.mark.parametrize(
    ("change", "shadowed"),
    [
        ({}, True),
        ({"rate_micros": 1, "remark": "dearer"}, True),
        ({"active": False}, False),
        ({"number_length": 10}, False),
        ({"extensions": frozenset({"100"})}, False),
    ],
)
def test_it_finds_the_older_rate_that_always_wins(
    database: Database, change: dict[str, object], shadowed: bool
) -> None:
    older, newer = add(database), add(database, cast.replace(NEW_RATE, **change))
    found = database.read(lambda connection: rates.shadowing(connection, newer))
    assert (found is not None and found.id == older) is shadowed
    assert database.read(lambda connection: rates.shadowing(connection, older)) is None


def test_it_does_what_it_planned(database: Database) -> None:
    dearer = cast.replace(cast.GUIDE_RATE, id=0, rate_micros=30_000, active=False)
    same = cast.replace(cast.MOBILE_RATE, id=0)
    table = [dearer, same, NEW_RATE]
    plan = database.read(lambda connection: rates.plan_import(connection, table, True))
    assert [step.effect for step in plan.steps] == ["changed", "unchanged", "added", "removed", "removed"]
    assert database.read(lambda connection: rates.plan_import(connection, table, False)).count(Effect.REMOVED) == 0
    summary = database.write(lambda c: rates.import_rates(c, table, True, cast.MANAGER, plan.mark))
    assert (summary.added, summary.changed, summary.unchanged, summary.removed) == (1, 1, 1, 2)
    found = database.read(reads.all_rates)
    assert [cast.replace(rate, id=0) for rate in found] == table
    assert [rate.id for rate in found] == [1, 2, 5]
    whats = ["rate 1", "rate 5", "rate 3", "rate 4", "rates imported"]
    assert [what for what, _, _ in changes(database)] == whats


def test_it_imports_nothing_where_the_list_was_changed_since_the_preview(database: Database) -> None:
    plan = database.read(lambda connection: rates.plan_import(connection, [NEW_RATE], True))
    edit(database, find(database, 1), remark="other")
    with pytest.raises(Refused, match="changed since you looked"):
        database.write(lambda c: rates.import_rates(c, [NEW_RATE], True, cast.MANAGER, plan.mark))
    assert len(database.read(reads.all_rates)) == 4
