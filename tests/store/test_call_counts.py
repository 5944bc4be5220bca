"""The call log counts out of the daily totals what a recount of its calls finds, and pages begin where they should."""

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from coovox_billing.store import writes
from coovox_billing.store.database import Database, open_database
from coovox_billing.store.lists.calls import FEW_CALLS, CallQuery
from coovox_billing.store.models import open_reading, reading
from tests import cast
from tests.bench import decade, sites

EVERY = CallQuery(decade.SITE.time_zone)
SEARCHES = [
    ({}, "1"),
    ({"status": "answered"}, "state = 'settled'"),
    ({"status": "no-answer"}, "state = 'released'"),
    ({"status": "refused"}, "state = 'refused'"),
    ({"status": "in-progress"}, "state IN ('held', 'talking')"),
    ({"trunk": "GSM"}, "trunk = 'GSM'"),
    ({"trunk": "GSM", "status": "no-answer"}, "trunk = 'GSM' AND state = 'released'"),
    ({"extension": "1004"}, "extension = '1004'"),
    ({"extension": "1004", "status": "answered"}, "extension = '1004' AND state = 'settled'"),
    ({"destination": "6", "status": "answered"}, "json_extract(rate, '$.prefix') = '6' AND state = 'settled'"),
    ({"destination": "none", "status": "answered"}, "rate IS NULL AND state = 'settled'"),
    ({"weekday": 7, "status": "answered"}, "strftime('%w', local_day) = '0' AND state = 'settled'"),
    ({"hour": 10, "status": "answered"}, "local_hour = 10 AND state = 'settled'"),
    (
        {"weekday": 2, "hour": 10, "status": "answered"},
        "strftime('%w', local_day) = '2' AND local_hour = 10 AND state = 'settled'",
    ),
    ({"number_prefix": "00"}, "number LIKE '00%'"),
    ({"number_prefix": "9"}, "number LIKE '9%'"),
    ({"number_prefix": "5"}, "number LIKE '5%'"),
    ({"number_prefix": "6", "trunk": "GSM"}, "number LIKE '6%' AND trunk = 'GSM'"),
]
BOUNDS = [
    (None, None),
    (date(2017, 5, 3), date(2025, 12, 31)),
    (date(2021, 6, 7), date(2021, 9, 20)),
    (date(2030, 1, 1), None),
]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of ten years in which two calls are in progress, of the months to 2018 nearly all are archived."""
    directory = tmp_path_factory.mktemp("site")
    sites.make(directory, 12, 40, 1_000)
    with open_database(directory) as database:
        database.write(begin_two)
        database.write(archive_old_ones)
    return directory


def begin_two(connection: sqlite3.Connection) -> None:
    for day, asked_at_ms in (("2021-06-15", 1_623_760_000_001), ("2026-03-02", decade.NOW_MS)):
        connection.execute(
            "INSERT INTO calls (call_id, state, extension, number_dialed, number, trunk, asked_at_ms, local_day)"
            " VALUES (?, 'held', '1004', '6', '600123456', 'GSM', ?, ?)",
            (f"open-{day}", asked_at_ms, day),
        )


def archive_old_ones(connection: sqlite3.Connection) -> None:
    old = connection.execute("SELECT call_id FROM calls WHERE local_day < '2018' AND flags = '' AND id % 9 > 0")
    for row in old.fetchall():
        writes.archive_call(connection, row[0])
    writes.count_archived(connection, "/calls-2017-12.csv.gz", "2017-12", 1)


@pytest.fixture
def database(kept: Path) -> Iterator[Database]:
    with open_database(kept) as opened:
        open_reading(kept)
        yield opened
    reading.close()


@pytest.mark.parametrize("bounds", BOUNDS, ids=str)
@pytest.mark.parametrize(("search", "condition"), SEARCHES, ids=str)
def test_it_is_a_recount(
    database: Database, search: dict[str, Any], condition: str, bounds: tuple[date | None, date | None]
) -> None:
    query = replace(EVERY, first_day=bounds[0], last_day=bounds[1], **search)
    rows = cast.look_up(
        database.path,
        f"SELECT call_id, talk_seconds, cost_micros FROM calls WHERE local_day BETWEEN ? AND ? AND {condition}"
        " ORDER BY asked_at_ms DESC, id DESC",
        (str(bounds[0] or "0"), str(bounds[1] or "9")),
    )
    totals = query.totals
    assert (totals.calls, totals.talk_seconds, totals.cost_micros) == (
        len(rows),
        sum(row[1] for row in rows),
        sum(row[2] for row in rows),
    )
    for limit, offset in ((20, 0), (7, 13), (50, len(rows) // 2), (20, max(0, len(rows) - 5)), (20, len(rows) + 3)):
        assert [call.id for call in query.page(limit, offset)] == [row[0] for row in rows[offset : offset + limit]]


@pytest.mark.parametrize(
    ("search", "is_known"),
    [
        ({}, True),
        ({"trunk": "GSM", "status": "refused"}, True),
        ({"extension": "1004", "status": "answered"}, True),
        ({"extension": "1004"}, False),
        ({"hour": 10}, False),
        ({"destination": "9", "trunk": "GSM", "status": "answered"}, False),
        ({"keywords": "1004"}, False),
        ({"flag": "lost"}, False),
        ({"until_ms": decade.NOW_MS}, False),
        ({"least_cost_micros": 0}, False),
        ({"status": "in-progress"}, False),
    ],
    ids=str,
)
def test_it_knows_what_the_totals_tell(search: dict[str, Any], is_known: bool) -> None:
    assert replace(EVERY, **search).is_counted_at_once is is_known


def plan(job: Callable[[], object]) -> str:
    """How SQLite goes about what a job reads, as it says itself."""
    said: list[str] = []
    run = reading.execute_sql

    def explained(sql: str, params: Any = None, *_more: Any, **_options: Any) -> Any:
        said.extend(row[-1] for row in run(f"EXPLAIN QUERY PLAN {sql}", params).fetchall())
        return run(sql, params)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "execute_sql", explained)
        job()
    return "\n".join(said)


@pytest.mark.usefixtures("database")
def test_few_calls_of_a_number_are_found_by_it_and_many_by_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    query = replace(EVERY, number_prefix="6", first_day=date(2020, 1, 1))
    assert "USING COVERING INDEX calls_number" in plan(lambda: replace(query).page(20, 0))
    monkeypatch.setattr("coovox_billing.store.lists.calls.FEW_CALLS", 3)
    assert FEW_CALLS > 3
    assert "USING COVERING INDEX calls_log" in plan(lambda: replace(query).page(20, 0))


@pytest.mark.usefixtures("database")
def test_a_page_far_back_looks_at_the_calls_of_a_few_days() -> None:
    looked = plan(lambda: EVERY.page(20, 500))
    assert "SEARCH t1 USING COVERING INDEX calls_log (asked_at_ms>? AND asked_at_ms<?)" in looked.replace('"', "")
    assert "SCAN t1 USING COVERING INDEX calls_log" not in looked
