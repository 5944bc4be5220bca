"""The *Rate* page's list has the order in which rates are preferred, as the call path prefers them."""

import random
import sqlite3
from collections.abc import Iterator
from datetime import time
from pathlib import Path

import pytest

from coovox_billing.core import tariff
from coovox_billing.core.tariff import Rate
from coovox_billing.store import reads, writes
from coovox_billing.store.database import Database
from coovox_billing.store.lists.rates import RateQuery, names_of, reachable_extensions
from coovox_billing.store.models import open_reading, reading
from tests import cast

MANY = 600


def any_rate(dice: random.Random) -> Rate:
    start, end = (time(dice.randrange(24), dice.randrange(60), dice.randrange(60)) for _ in range(2))
    return cast.a_rate(
        prefix=dice.choice(["", "9", "90", "901"]),
        number_length=dice.choice([0, 9]),
        start_time=start,
        end_time=end,
        days=frozenset(dice.sample(range(1, 8), dice.randrange(1, 8))),
        extensions=dice.choice([None, frozenset({"100", "101"})]),
        active=dice.choice([True, False]),
    )


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with cast.move_in(tmp_path) as moved_in:
        open_reading(tmp_path)
        yield moved_in
    reading.close()


def test_it_has_the_order_of_precedence(database: Database) -> None:
    dice = random.Random(4)

    def furnish(connection: sqlite3.Connection) -> None:
        for _ in range(MANY):
            writes.insert_rate(connection, any_rate(dice))

    database.write(furnish)
    wanted = sorted(database.read(reads.all_rates), key=tariff.precedence)
    found = list(RateQuery().stream())
    assert [ranked.rate for ranked in found] == wanted
    assert [ranked.rank for ranked in found] == [*range(1, len(wanted) + 1)]
    some = RateQuery(prefix="90", active=True).page(10, 5)
    assert [ranked.rate for ranked in some] == [r for r in wanted if r.active and r.prefix.startswith("90")][5:15]
    assert all(wanted[ranked.rank - 1] == ranked.rate for ranked in some)
    assert RateQuery(extension="102").count() == sum(rate.extensions is None for rate in wanted)


def test_it_finds_extensions_by_number_and_name(database: Database) -> None:
    assert [one.number for one in reachable_extensions("", 2)] == ["100", "101"]
    assert [one.name for one in reachable_extensions("ITCH", 9)] == ["Kitchen"]
    assert reachable_extensions("%", 9) == []
    assert names_of(["103", "777"]) == {"103": "Kitchen"}
