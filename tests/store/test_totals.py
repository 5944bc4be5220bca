"""Finished months and years: lists read what they were summed up to, and it is what a recount of all calls finds."""

import sqlite3
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from coovox_billing.store import finished_periods, writes
from coovox_billing.store.audit import audit
from coovox_billing.store.database import Database, open_database
from coovox_billing.store.finished_periods import SUMMED_UP
from coovox_billing.store.lists import totals
from coovox_billing.store.lists.breakdowns import Breakdown
from coovox_billing.store.lists.statistics import StatisticsQuery
from coovox_billing.store.lists.totals import LENGTH_OF, Cover
from coovox_billing.store.models import open_reading, reading
from coovox_billing.store.writes import Place
from tests import cast
from tests.bench import sites

BOUNDS = [
    (None, None),
    (date(2017, 5, 1), date(2025, 12, 31)),
    (date(2018, 1, 1), date(2019, 12, 31)),
    (date(2016, 12, 30), date(2020, 2, 29)),
    (date(2021, 6, 7), date(2021, 6, 20)),
    (date(2030, 1, 1), None),
    (None, date(2016, 3, 10)),
]
DIALED = "calls JOIN accounts ON accounts.id = calls.account_id WHERE state = 'settled' AND local_day BETWEEN ? AND ?"
SUMS = "count(*), sum(talk_seconds), sum(cost_micros)"
EACH_SUM = f"SELECT accounts.extension, {SUMS} FROM {DIALED} GROUP BY 1"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of ten years, every month of which is summed up."""
    directory = tmp_path_factory.mktemp("site")
    sites.make(directory, 12, 40, 1_000)
    return directory


@pytest.fixture
def database(kept: Path, tmp_path: Path) -> Iterator[Database]:
    with open_database(sites.a_copy(kept, tmp_path / "site")) as opened:
        open_reading(opened.path.parent)
        yield opened
    reading.close()


def look(database: Database, query: str, *values: object) -> list[tuple[Any, ...]]:
    return cast.look_up(database.path, query, values)


def sum_up(database: Database) -> list[str]:
    waiting = database.read(finished_periods.waiting)
    for period in waiting:
        database.write(lambda connection, period=period: finished_periods.finish(connection, period))
    return waiting


def end_in_february(connection: sqlite3.Connection) -> None:
    """What was told of March was of a day before: so February is not over, but for all of its days up to the last."""
    for table, day in (("calls", "local_day"), *((f"daily_{kind}_totals", "day") for kind in SUMMED_UP)):
        connection.execute(f"UPDATE {table} SET {day} = '2026-02-28' WHERE {day} = '2026-03-02'")
    for table in ("finished_periods", *(f"finished_{kind}_totals" for kind in SUMMED_UP)):
        connection.execute(f"DELETE FROM {table} WHERE period >= '2026-02' OR period = '..2026-02'")


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("by", LENGTH_OF)
@pytest.mark.parametrize("extensions", [(), ("*",), ("1000",), ("1003", "1007", "1011")])
def test_statistics_are_a_recount(
    database: Database, by: str, extensions: tuple[str, ...], bounds: tuple[date | None, date | None]
) -> None:
    assert_a_recount(database, StatisticsQuery(*bounds, by, extensions))


@pytest.mark.parametrize("bounds", [(None, None), (date(2018, 3, 5), date(2026, 2, 26)), (date(2026, 2, 25), None)])
@pytest.mark.parametrize("extensions", [(), ("*",), ("1000", "1004")])
def test_so_they_are_in_a_month_that_is_not_over(
    database: Database, extensions: tuple[str, ...], bounds: tuple[date | None, date | None]
) -> None:
    database.write(end_in_february)
    assert sum_up(database)[-1] == "2026-02-26"
    assert totals.summed_up().up_to[-2:] == ("2026-02-24", "2026-02-26")
    assert not [found for found in database.read(audit) if "trigger" not in found.message]
    for by in LENGTH_OF:
        assert_a_recount(database, StatisticsQuery(*bounds, by, extensions))
    shown = {share.key: flat_sums(share.sums) for share in Breakdown(*bounds).extensions(100)}
    days = [str(bounds[0] or "0"), str(bounds[1] or "9")]
    assert shown == {key: tuple(sums) for key, *sums in look(database, EACH_SUM, *days)}


def test_an_extension_with_two_accounts_on_a_day_has_one_row_for_it(database: Database) -> None:
    database.write(
        lambda c: c.execute("UPDATE accounts SET extension = '1000', closed_at_ms = 1 WHERE extension = '1001'")
    )
    for by in LENGTH_OF:
        assert_a_recount(database, StatisticsQuery(None, None, by, ("1000",)))


def assert_a_recount(database: Database, query: StatisticsQuery) -> None:
    bounds, by, extensions = (query.first_day, query.last_day), query.by, query.extensions
    named = "''" if not extensions else "accounts.extension"
    among = "" if extensions in ((), ("*",)) else f"AND accounts.extension IN ({', '.join(extensions)})"
    days = [str(bounds[0] or "0"), str(bounds[1] or "9")]
    recounted = look(
        database,
        f"SELECT substr(local_day, 1, {LENGTH_OF[by]}) AS period, {named} AS extension, {SUMS} FROM {DIALED} {among}"
        f" GROUP BY 1, 2 ORDER BY 1 DESC, length({named}), {named}",
        *days,
    )
    shown = [tuple(row) for row in map(flat, query.stream())]
    assert shown == recounted
    assert query.count() == len(recounted)
    assert flat_sums(query.totals) == tuple(sum(row[place] for row in recounted) for place in (2, 3, 4))
    for limit, offset in ((20, 0), (7, 5), (50, max(0, len(recounted) - 3)), (20, len(recounted))):
        assert [tuple(flat(row)) for row in query.page(limit, offset)] == recounted[offset : offset + limit]
    by_period: dict[str, tuple[int, ...]] = {}
    for period, _extension, *sums in recounted:
        before = by_period.get(period, (0, 0, 0))
        by_period[period] = tuple(map(sum, zip(before, sums, strict=True)))
    newest = sorted(by_period.items())[-62:]
    assert [(period, flat_sums(sums)) for period, sums in query.by_period(62)] == newest


@pytest.mark.parametrize("bounds", BOUNDS)
def test_breakdowns_are_a_recount(database: Database, bounds: tuple[date | None, date | None]) -> None:
    of, days = Breakdown(*bounds), [str(bounds[0] or "0"), str(bounds[1] or "9")]
    for shares, key in (
        (of.extensions(100), "accounts.extension"),
        (of.destinations(100), "coalesce(json_extract(rate, '$.prefix'), 'none')"),
    ):
        found = sorted((share.key, *flat_sums(share.sums)) for share in shares)
        assert found == look(database, f"SELECT {key}, {SUMS} FROM {DIALED} GROUP BY 1 ORDER BY 1", *days)
    hours = [((day, hour), *flat_sums(sums)) for (day, hour), sums in sorted(of.hours().items())]
    by_hour = f"SELECT strftime('%w', local_day) + 0, local_hour, {SUMS} FROM {DIALED} GROUP BY 1, 2"
    assert hours == sorted(((day or 7, hour), *sums) for day, hour, *sums in look(database, by_hour, *days))
    trunks = sorted((share.trunk, share.sums.calls, share.unanswered) for share in of.trunks())
    assert trunks == look(
        database,
        "SELECT trunk, sum(state = 'settled'), sum(state = 'released') FROM calls WHERE local_day BETWEEN ? AND ?"
        " GROUP BY 1 HAVING sum(state <> 'refused') > 0 ORDER BY 1",
        *days,
    )


def flat(row: Any) -> Iterator[Any]:
    yield from (row.period, row.extension, *flat_sums(row.sums))


def flat_sums(sums: Any) -> tuple[int, int, int]:
    return sums.calls, sums.talk_seconds, sums.cost_micros


def test_ten_years_are_read_as_years_months_and_a_few_days(database: Database) -> None:
    time = totals.summed_up().cover(None, None, "year")
    assert time.periods == (*map(str, range(2016, 2026)), "2026-01", "2026-02")
    assert [(first[:7], last[:7]) for first, last in time.spans] == [("2026-03", "2026-03")]


def test_the_sum_of_many_years_is_all_the_time_less_what_was_before(database: Database) -> None:
    time = totals.summed_up().cover_together(date(2017, 5, 1), date(2026, 1, 2))
    assert (time.periods, time.less) == (("..2025-12",), ("..2017-04",))
    assert time.spans == (("2026-01-01", "2026-01-02"),)
    assert totals.summed_up().cover_together(None, None).less == ()


def test_the_days_of_a_month_that_is_not_over_are_summed_up_once_they_are(database: Database) -> None:
    for day in ("2026-03-04", "2026-03-05"):
        database.write(lambda c, day=day: writes.add_to_totals(c, Place(day, 1, "GSM", 10, "9"), 1, 60, 20_000))
    assert sum_up(database) == ["2026-03-02", "2026-03-04"]
    assert sum_up(database) == []
    lines, left = totals.summed_up().lines(None, None, "day")
    assert lines["2026-03-04"] == 1
    assert totals.sums_of_lines(["2026-03-04"], "day") == [("2026-03-04", 1, 60, 20_000)]
    assert left.spans[-1] == ("2026-03-05", "2026-03-05")
    assert totals.summed_up().cover_together(None, None) == Cover(("..2026-03-04",), (("2026-03-05", "2026-03-05"),))
    assert not [found for found in database.read(audit) if "summed up" in found.message or ".." in found.message]
    database.write(lambda connection: finished_periods.forget(connection, "2026-03-04"))
    assert totals.summed_up().lines(None, None, "day")[1].spans[-1] == ("2026-03-03", "2026-03-05")
    assert totals.summed_up().cover_together(None, None) == Cover(("..2026-03-02",), (("2026-03-03", "2026-03-05"),))
    assert sum_up(database) == ["2026-03-04"]
    database.write(lambda connection: finished_periods.forget(connection, "2026-03-02"))
    assert totals.summed_up().cover_together(None, None).periods == ("..2026-02",)
    assert sum_up(database) == ["2026-03-02", "2026-03-04"]


def test_the_sums_up_to_its_days_go_once_the_month_is_over(database: Database) -> None:
    for day in ("2026-03-04", "2026-04-01"):
        database.write(lambda c, day=day: writes.add_to_totals(c, Place(day, 1, "GSM", 10, "9"), 1, 60, 20_000))
        sum_up(database)
    assert totals.summed_up().cover_together(None, None).periods == ("..2026-03",)
    for table in ("finished_periods", *(f"finished_{kind}_totals" for kind in SUMMED_UP)):
        assert look(database, f"SELECT count(*) FROM {table} WHERE period LIKE '..2026-03-%'") == [(0,)]


def count_one_more(connection: sqlite3.Connection) -> None:
    writes.add_to_totals(connection, Place("2019-07-16", 1, "carrier", 10, "9"), 1, 60, 20_000)


def refuse_late(connection: sqlite3.Connection) -> None:
    connection.execute(
        "INSERT INTO calls (call_id, state, number_dialed, number, trunk, asked_at_ms, local_day)"
        " VALUES ('late', 'refused', '9', '9', 'carrier', 1563264000000, '2019-07-16')"
    )


def answer_late(connection: sqlite3.Connection) -> None:
    day, state = connection.execute(
        "SELECT local_day, state FROM calls WHERE local_day LIKE '2019-07%' AND state = 'released'"
    ).fetchone()
    connection.execute("UPDATE calls SET state = 'talking' WHERE local_day = ? AND state = ?", (day, state))


@pytest.mark.parametrize("change", [count_one_more, refuse_late, answer_late])
def test_what_is_told_late_counts_at_once_and_is_summed_up_anew(
    database: Database, change: Callable[[sqlite3.Connection], None]
) -> None:
    before = {trunk.trunk: trunk for trunk in Breakdown().trunks()}["carrier"]
    database.write(change)
    now = {trunk.trunk: trunk for trunk in Breakdown().trunks()}["carrier"]
    assert (now.sums.calls - before.sums.calls, now.unanswered - before.unanswered) in ((1, 0), (0, 0), (0, -1))
    waiting = database.read(finished_periods.waiting)
    assert waiting[:4] == ["2019-07", "2019", "..2019-07", "..2019-08"]
    assert waiting[-1] == "..2026-02"
    assert [(first[:7], last[:7]) for first, last in totals.summed_up().cover(None, None, "year").spans] == [
        ("2019-07", "2019-07"),
        ("2026-03", "2026-03"),
    ]
    assert totals.summed_up().cover_together(None, None).less == ()
    for period in waiting:
        database.write(lambda connection, period=period: finished_periods.finish(connection, period))
    assert database.read(finished_periods.waiting) == []
    assert not [found for found in database.read(audit) if "summed up" in found.message]
    assert {trunk.trunk: trunk for trunk in Breakdown().trunks()}["carrier"] == now


def test_a_site_without_calls_has_nothing_to_sum_up(tmp_path: Path) -> None:
    with open_database(tmp_path) as opened:
        assert opened.read(finished_periods.waiting) == []
        open_reading(tmp_path)
        assert StatisticsQuery().count() == 0
        assert StatisticsQuery().page(20, 0) == []
        assert Breakdown().trunks() == []
    reading.close()


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("UPDATE finished_extension_totals SET calls = calls + 1 WHERE account_id = 2", "extension 2: what 2016"),
        ("UPDATE finished_trunk_totals SET refused = refused + 1 WHERE trunk = 'GSM'", "trunk GSM: what 2016"),
        ("DELETE FROM finished_hour_totals WHERE period = '2017'", "hour "),
        ("DELETE FROM finished_hour_totals WHERE period = '..2017-05'", "hour "),
        (
            "UPDATE finished_trunk_totals SET calls = 0 WHERE period = '..2019-01' AND trunk = 'GSM'",
            "trunk GSM: ..2019-01",
        ),
        (
            "UPDATE finished_trunk_totals SET unanswered = 9 WHERE period = '..2026-02-24' AND trunk = 'GSM'",
            "trunk GSM: ..2026-02-24",
        ),
        ("UPDATE finished_extension_totals SET days = 0 WHERE period = '2026-01'", "extension "),
        (
            "UPDATE finished_periods SET calls = 7 WHERE period = '..2026-02-26'",
            "all extensions: what ..2026-02-26 was",
        ),
        ("UPDATE finished_periods SET calls = 7 WHERE period = '..2020-01'", "all extensions: what ..2020-01 was"),
        ("UPDATE finished_destination_totals SET cost_micros = 0 WHERE destination = '9'", "destination 9: what 2016"),
        ("UPDATE finished_periods SET extensions = 0 WHERE period = '2018'", "all extensions: what 2018 was"),
        ("UPDATE finished_periods SET cost_micros = 7 WHERE length(period) = 10", "all extensions: what 2016-03-"),
    ],
)
def test_the_audit_recounts_them(database: Database, change: str, found: str) -> None:
    database.write(end_in_february)
    sum_up(database)
    assert database.read(audit) == []
    database.write(lambda connection: connection.execute(change))
    assert any(finding.message.startswith(found) for finding in database.read(audit))


def test_a_finished_month_is_not_what_an_earlier_change_of_it_left(database: Database) -> None:
    database.write(lambda connection: finished_periods.forget(connection, "2019-07-16"))
    database.write(lambda c: c.execute("UPDATE finished_trunk_totals SET calls = 1 WHERE period = '2019-07'"))
    assert database.read(audit) == []
    assert look(database, "SELECT count(*) FROM finished_periods WHERE period IN ('2019', '2019-07')") == [(0,)]
