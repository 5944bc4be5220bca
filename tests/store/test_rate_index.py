"""The rates of a database, looked through in the order of their prefixes: the same as those of a list."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coovox_billing.core.rate_index import RateIndex, RateList
from coovox_billing.errors import NotFound
from coovox_billing.store import reads, writes
from coovox_billing.store.database import Database, open_database
from coovox_billing.store.rate_index import StoredRates
from tests.cast import a_rate

RATES = [
    a_rate(id=1, prefix="9"),
    a_rate(id=2, prefix="", extensions=frozenset({"100", "101"})),
    a_rate(id=3, prefix="98", active=False),
    a_rate(id=4, prefix="9*", remark="Café"),
    a_rate(id=5, prefix="9", extensions=frozenset({"9"})),
    a_rate(id=6, prefix="10"),
]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with open_database(tmp_path) as database:
        database.write(lambda c: [writes.restore_rate(c, rate) for rate in RATES])
        yield database


def told(rates: RateIndex) -> list[Any]:
    sorter = rates.sorter()
    for number in range(2500):
        sorter.add(("é" if number % 3 else "a", number * 7 % 100, number))
    return [
        list(rates.in_order()),
        [list(rates.of_prefix(prefix)) for prefix in ("", "9", "98", "1", "7")],
        [rates.begins(beginning) for beginning in ("", "9", "98", "9*", "1", "10", "101", "7")],
        rates.of_id(3),
        list(sorter.in_order()),
    ]


def test_it_is_the_same_in_a_list_and_in_a_database(database: Database) -> None:
    stored = database.read(lambda c: told(StoredRates(c)))
    assert stored == told(RateList(RATES))
    assert [rate.id for rate in stored[0]] == [2, 6, 1, 5, 4, 3]
    assert stored[2] == [True, True, False, True, True, True, False, False]


def test_it_reads_all_by_age(database: Database) -> None:
    assert database.read(lambda c: list(StoredRates(c).by_age())) == RATES == database.read(reads.all_rates)


def test_it_has_no_rate_of_another_id(database: Database) -> None:
    with pytest.raises(NotFound):
        database.read(lambda c: StoredRates(c).of_id(77))


def test_it_sorts_nothing_to_read_the_rates_in_order(database: Database) -> None:
    def plan(connection: sqlite3.Connection) -> list[str]:
        asked: list[str] = []
        connection.set_trace_callback(asked.append)
        list(StoredRates(connection).in_order())
        StoredRates(connection).begins("9")
        connection.set_trace_callback(None)
        return [row["detail"] for sql in asked for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}")]

    details = database.read(plan)
    assert [detail for detail in details if "TEMP B-TREE" in detail or detail == "SCAN rates"] == []
    assert sum("rates_prefix" in detail for detail in details) == 2
