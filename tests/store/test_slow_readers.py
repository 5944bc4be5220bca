"""Who reads a long list slowly keeps no snapshot, so that the log of the database does not grow meanwhile; and what
is far down costs no more than what is at its top.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from itertools import count, pairwise
from pathlib import Path

import pytest

from coovox_billing.services import payments
from coovox_billing.store.database import FILE_NAME, Database
from coovox_billing.store.lists import blocks, calls, rates, statistics
from coovox_billing.store.lists.calls import CallQuery
from coovox_billing.store.lists.changes import ChangeQuery
from coovox_billing.store.lists.extensions import ExtensionQuery
from coovox_billing.store.lists.rates import RateQuery
from coovox_billing.store.lists.recharges import RechargeQuery
from coovox_billing.store.lists.statistics import EACH, StatisticsQuery
from coovox_billing.store.models import open_reading, reading
from coovox_billing.web.listing import Query
from tests import cast, years

ZONE = cast.SITE.time_zone
LISTS = (
    CallQuery(ZONE),
    CallQuery(ZONE, extension="100"),
    ChangeQuery(ZONE),
    ExtensionQuery(),
    RateQuery(),
    RateQuery(sort="-prefix"),
    RechargeQuery(ZONE),
    StatisticsQuery(),
    StatisticsQuery(extensions=(EACH,)),
)


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A site with some days of calls, whose lists are read two rows at a time."""
    for module, name in (
        (blocks, "ROWS_AT_ONCE"), (calls, "ROWS_AT_ONCE"), (statistics, "ROWS_AT_ONCE"), (rates, "_ROWS_AT_ONCE"),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, 2)
    with cast.move_in(tmp_path) as database:
        years.go_by(database, 12, minutes_apart=600)
        _recharge(database)
        open_reading(tmp_path)
        yield tmp_path
    reading.close()


def _recharge(database: Database) -> None:
    database.write(lambda connection: payments.recharge(connection, "100", 1_000_000, cast.MANAGER))


@pytest.mark.parametrize("query", LISTS, ids=lambda query: type(query).__name__)
def test_a_slow_reader_keeps_no_snapshot(directory: Path, query: Query[object]) -> None:
    whole = query.page(1_000, 0)
    assert len(whole) > 2
    rows = query.stream()
    read = [next(rows)]
    with closing(sqlite3.connect(directory / FILE_NAME)) as connection:
        connection.execute("UPDATE settings SET value = value")
        connection.commit()
        assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    read += rows
    if isinstance(query, CallQuery):
        assert [row.id for row in read] == [row.id for row in whole]  # type: ignore[attr-defined]
    else:
        assert read == whole


def test_a_long_list_costs_the_same_all_the_way_down(directory: Path) -> None:
    rows = CallQuery(ZONE, date(2000, 1, 1), date(2037, 12, 31)).stream()
    steps = count()
    reading.connection().set_progress_handler(lambda: next(steps) < 0, 1)
    try:
        counted = [next(steps) for _ in rows]
    finally:
        reading.connection().set_progress_handler(None, 1)
    of_blocks = [later - sooner for sooner, later in pairwise(counted[::2])]
    assert len(of_blocks) >= 5
    assert max(of_blocks) <= of_blocks[0]
