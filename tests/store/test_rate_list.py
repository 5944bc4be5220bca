"""The *Rate* page's list has the order in which rates are preferred, as the call path prefers them."""

import random
from collections.abc import Callable, Iterator, Sequence
from datetime import time
from pathlib import Path
from typing import Any

import pytest

from coovox_billing.core import tariff
from coovox_billing.core.tariff import Rate
from coovox_billing.store import reads, writes
from coovox_billing.store.database import Database
from coovox_billing.store.lists import rates as rate_list
from coovox_billing.store.lists.rates import RateQuery, names_of, reachable_extensions
from coovox_billing.store.models import open_reading, reading
from tests import cast

MANY = 600
KEYS: dict[str, Callable[[Rate], Any]] = {
    "order": tariff.precedence,
    "remark": lambda rate: rate.remark,
    "prefix": lambda rate: rate.prefix,
    "length": lambda rate: rate.number_length,
    "initial": lambda rate: rate.initial_cost_micros,
    "rate": lambda rate: rate.rate_micros,
    "start": lambda rate: rate.start_time,
}


def any_rate(dice: random.Random) -> Rate:
    start, end = (time(dice.randrange(24), dice.randrange(60), dice.randrange(60)) for _ in range(2))
    return cast.a_rate(
        prefix=dice.choice(["", "9", "90", "901"]),
        number_length=dice.choice([0, 9]),
        rate_micros=dice.randrange(9),
        initial_cost_micros=dice.randrange(9),
        remark=dice.choice(["abroad", "Abroad, x", "city", "X"]),
        start_time=start,
        end_time=end,
        days=frozenset(dice.sample(range(1, 8), dice.randrange(1, 8))),
        extensions=dice.choice([None, frozenset({"100", "101"})]),
        active=dice.choice([True, False]),
    )


def furnish(database: Database) -> None:
    dice = random.Random(4)
    database.write(lambda connection: [writes.insert_rate(connection, any_rate(dice)) for _ in range(MANY)])


def meets(rate: Rate, prefix: str = "", remark: str = "") -> bool:
    """Whether a rate is one that is searched for."""
    return rate.prefix.startswith(prefix) and remark.lower() in rate.remark.lower()


def in_order(rates: Sequence[Rate], sort: str) -> list[Rate]:
    """Rates by a column, what is equal by its age; with a minus turned."""
    key, is_turned = KEYS[sort.removeprefix("-")], sort.startswith("-")
    return sorted(rates, key=lambda rate: (key(rate), rate.id), reverse=is_turned)


def plan_of(ask: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How the database goes about each question that is asked."""
    run, plan = reading.execute_sql, []

    def told(sql: str, params: Any = (), *rest: Any, **options: Any) -> Any:
        plan.extend(row[-1] for row in run(f"EXPLAIN QUERY PLAN {sql}", params).fetchall())
        return run(sql, params, *rest, **options)

    with monkeypatch.context() as patched:
        patched.setattr(reading, "execute_sql", told)
        ask()
    return plan


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with cast.move_in(tmp_path) as moved_in:
        open_reading(tmp_path)
        yield moved_in
    reading.close()


def test_it_has_the_order_of_precedence(database: Database) -> None:
    furnish(database)
    wanted = sorted(database.read(reads.all_rates), key=tariff.precedence)
    found = list(RateQuery().stream())
    assert [ranked.rate for ranked in found] == wanted
    assert [ranked.rank for ranked in found] == [*range(1, len(wanted) + 1)]
    some = RateQuery(prefix="90", active=True).page(10, 5)
    assert [ranked.rate for ranked in some] == [r for r in wanted if r.active and r.prefix.startswith("90")][5:15]
    assert all(wanted[ranked.rank - 1] == ranked.rate for ranked in some)
    assert RateQuery(extension="102").count() == sum(rate.extensions is None for rate in wanted)


@pytest.mark.parametrize("search", [{}, {"prefix": "9"}, {"remark": "ABR"}, {"prefix": "90", "remark": "x"}])
def test_each_page_is_what_one_look_at_all_finds(
    database: Database, search: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    furnish(database)
    rates = sorted(database.read(reads.all_rates), key=tariff.precedence)
    places = {rate.id: place for place, rate in enumerate(rates, 1)}
    for few, many, remarks in ((1_000, 20_000, 5_000), (70, 20, 2), (599, 2, 5_000)):
        monkeypatch.setattr(rate_list, "_FEW", few)
        monkeypatch.setattr(rate_list, "_MANY", many)
        monkeypatch.setattr(rate_list, "_MOST_REMARKS", remarks)
        for sort in ("order", "-order", "remark", "-prefix", "length", "-rate", "-start", "initial"):
            wanted = [rate.id for rate in in_order(rates, sort) if meets(rate, **search)]
            query = RateQuery(sort=sort, **search)
            assert query.count() == len(wanted)
            for offset in (0, 280, len(wanted) - 5, len(wanted)):
                found = [(ranked.rate.id, ranked.rank) for ranked in query.page(7, offset)]
                assert found == [(rate_id, places[rate_id]) for rate_id in wanted[offset : offset + 7]]


def test_a_column_is_walked_in_its_index(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    furnish(database)
    for sort in ("order", "-order", "remark", "-remark", "prefix", "length", "-length", "initial", "-rate", "start"):
        plan = plan_of(lambda sort=sort: RateQuery(sort=sort).page(20, 300), monkeypatch)  # type: ignore[misc]
        assert any(step.startswith("SCAN t1 USING") and "INDEX rates_" in step for step in plan)
        assert not any("TEMP B-TREE" in step or step == "SCAN t1" for step in plan)


def test_a_keyword_is_looked_for_among_the_different_remarks(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    furnish(database)
    plan = plan_of(lambda: RateQuery(remark="nowhere").count(), monkeypatch)
    assert "SEARCH rates USING COVERING INDEX rates_remark (remark>?)" in plan
    assert "SCAN t1" not in plan


def test_where_nearly_all_are_found_only_the_others_are_looked_for(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    furnish(database)
    monkeypatch.setattr(rate_list, "_MANY", 2)
    monkeypatch.setattr(rate_list, "_FEW", 500)
    plan = plan_of(lambda: RateQuery(prefix="9").page(20, 300), monkeypatch)
    assert "SEARCH t1 USING COVERING INDEX rates_prefix (prefix<?)" in plan
    assert "SCAN t1 USING INDEX rates_precedence" in plan


def test_it_finds_extensions_by_number_and_name(database: Database) -> None:
    assert [one.number for one in reachable_extensions("", 2)] == ["100", "101"]
    assert [one.name for one in reachable_extensions("ITCH", 9)] == ["Kitchen"]
    assert reachable_extensions("%", 9) == []
    assert names_of(["103", "777"]) == {"103": "Kitchen"}
