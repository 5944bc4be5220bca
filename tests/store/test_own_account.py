"""What the person behind an extension sees begins after whoever was there before, on sites that grew old too."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from coovox_billing.store.database import open_database
from coovox_billing.store.lists.calls import CallQuery
from coovox_billing.store.lists.own_account import own_account
from coovox_billing.store.models import Call, open_reading, reading
from tests import cast
from tests.cast import Exchange, look_up
from tests.store.fixtures import fixture, schemas

BEFORE = 9  # the schema that knows of it first


@pytest.mark.parametrize("number", [number for number in schemas() if 4 <= number < BEFORE])
def test_it_tells_calls_of_earlier_guests_by_their_time_where_nothing_else_is_known(
    number: int, tmp_path: Path
) -> None:
    path = fixture(number, tmp_path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE calls SET asked_at_ms = asked_at_ms - 1000 WHERE id % 2 = 0")
    last_ms = {
        account_id: checked_in_ms or until_ms
        for account_id, checked_in_ms, until_ms in look_up(
            path,
            "SELECT accounts.id, checked_in_at_ms, max(until_ms) FROM accounts LEFT JOIN stays"
            " ON stays.account_id = accounts.id GROUP BY accounts.id",
        )
    }
    calls = look_up(path, "SELECT account_id, id, asked_at_ms FROM calls WHERE account_id IS NOT NULL")
    expected = {
        account_id: max(
            (call_id for account, call_id, at_ms in calls if account == account_id and since_ms and at_ms < since_ms),
            default=0,
        )
        for account_id, since_ms in last_ms.items()
    }
    with open_database(tmp_path):
        found = dict(look_up(path, "SELECT id, own_after_call FROM accounts"))
    assert found == expected
    assert any(expected.values()) or number > 5, "a guest's calls, before all that was over was archived"


def test_it_asks_the_index_of_an_extension_s_calls(exchange: Exchange) -> None:
    """However many others there are, none is looked at."""
    open_reading(exchange.database.path.parent)
    try:
        ((account_id,),) = look_up(exchange.database.path, "SELECT id FROM accounts WHERE extension = '100'")
        own = own_account(account_id)
        assert own is not None
        day = cast.MONDAY_MORNING.date()
        query = CallQuery(cast.SITE.time_zone, day, day, of_account=own)
        keys = Call.select(Call.id).where(*query._of_days(), *query._of_whom())
        plan = reading.execute_sql(f"EXPLAIN QUERY PLAN {keys.sql()[0]}", keys.sql()[1]).fetchall()
        assert [row[3] for row in plan] == [
            "SEARCH t1 USING INDEX calls_extension (extension=? AND asked_at_ms>? AND asked_at_ms<?)"
        ]
    finally:
        reading.close()
