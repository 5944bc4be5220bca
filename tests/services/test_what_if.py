"""A draft tried on calls that were really billed: the same tariff changes nothing, and nobody waits for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from coovox_billing.core.money import parse_amount
from coovox_billing.core.rate_csv import parse_rates, render_rates
from coovox_billing.core.tariff import NO_RATE, Rate
from coovox_billing.core.what_if import Comparison
from coovox_billing.errors import Refused
from coovox_billing.services import payments, what_if
from coovox_billing.store import reads
from coovox_billing.store.database import Database
from tests import cast
from tests.cast import MANAGER, Exchange

MONDAY = date(2026, 3, 2)
ABROAD_NUMBER = "0034965302387"


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Exchange]:
    """A Monday's calls of every kind: those that rates have a part in, and those that they have none in."""
    exchange = Exchange(tmp_path)
    exchange.set("when_no_rate", "allow")
    for call_id, extension, number, talked in (
        ("city", "100", cast.CITY_NUMBER, 238),
        ("mobile", "100", "988360046123", 61),
        ("abroad", "101", ABROAD_NUMBER, 119),
        ("free", "101", "0800123", 300),
        ("kitchen", "103", cast.CITY_NUMBER, 60),
        ("no-rate", "100", "777", 30),
        ("emergency", "100", "112", 30),
    ):
        exchange.ask(call_id, extension, number)
        exchange.settle(call_id, talked, number=number, device=f"PJSIP/{extension}")
    exchange.settle("alone", 75, device="PJSIP/101", alone="passed")
    exchange.ask("nobody", "100")
    exchange.give_up("nobody")
    exchange.ask("locked", "102")
    exchange.ask("talking", "101")
    yield exchange
    exchange.database.close()


def tried(database: Database, draft: list[Rate], first: date = MONDAY, last: date = MONDAY) -> Comparison:
    return what_if.compare(database.read, database.read(lambda c: what_if.prepare(c, draft, first, last)))


def present(database: Database) -> list[Rate]:
    return database.read(reads.all_rates)


def test_it_finds_no_difference_where_the_draft_is_what_today_counts(office: Exchange) -> None:
    exported, bad = parse_rates(render_rates(present(office.database)))
    comparison = tried(office.database, exported)
    totals = comparison.totals
    assert bad == comparison.changed == []
    assert totals.charged_micros == totals.today_micros == totals.draft_micros > 0
    assert totals.difference_micros == 0
    for sums in (*comparison.of_extension.values(), *comparison.of_destination.values()):
        assert sums.charged_micros == sums.today_micros == sums.draft_micros


def test_it_prices_what_the_call_log_has(office: Exchange) -> None:
    comparison = tried(office.database, present(office.database))
    rows = cast.look_up(office.database.path, "SELECT extension, sum(cost_micros) FROM calls GROUP BY extension")
    assert {number: sums.today_micros for number, sums in comparison.of_extension.items()} == {
        number: cost for number, cost in rows if number in ("100", "101")
    }


def test_it_tries_only_calls_that_rates_have_a_part_in(office: Exchange) -> None:
    comparison = tried(office.database, present(office.database))
    assert {number: sums.calls for number, sums in comparison.of_extension.items()} == {"100": 3, "101": 3}
    assert {name: sums.calls for name, sums in comparison.of_destination.items()} == {
        "9": 3, "00": 1, "0800": 1, NO_RATE: 1,
    }  # fmt: skip


def test_it_tells_the_difference_by_extension_and_destination(office: Exchange) -> None:
    draft = [replace(cast.ABROAD_RATE, rate_micros=parse_amount("1.5")), *cast.RATES[:2], cast.FREE_RATE]
    comparison = tried(office.database, draft)
    assert comparison.of_extension["101"].difference_micros == 1_000_000
    assert comparison.of_extension["100"].difference_micros == 0
    assert comparison.of_destination["00"].difference_micros == 1_000_000


def test_it_goes_by_what_happens_to_calls_without_a_rate(office: Exchange) -> None:
    assert tried(office.database, [cast.GUIDE_RATE]).totals.free == 2
    office.set("when_no_rate", "refuse")
    totals = tried(office.database, [cast.GUIDE_RATE]).totals
    assert (totals.refused, totals.free) == (3, 0)
    assert tried(office.database, [*cast.RATES, cast.a_rate(prefix="7", number_length=3)]).totals.priced == 1


@pytest.mark.parametrize("at_once", [1, 2, 3, 1000])
def test_it_reads_each_call_once_however_many_at_once(
    office: Exchange, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    whole = tried(office.database, [cast.GUIDE_RATE])
    monkeypatch.setattr(what_if, "CALLS_AT_ONCE", at_once)
    assert tried(office.database, [cast.GUIDE_RATE]).totals == whole.totals


def test_it_keeps_to_the_days_that_calls_have(office: Exchange) -> None:
    for first, last, calls in (
        (date(2026, 3, 1), date(2026, 3, 3), 6),
        (date(2026, 2, 1), date(2026, 3, 1), 0),
        (date(2026, 3, 3), date(2026, 3, 31), 0),
    ):
        assert tried(office.database, present(office.database), first, last).totals.calls == calls


def test_it_refuses_more_calls_than_anybody_waits_for(office: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(what_if, "MOST_CALLS", 7)
    with pytest.raises(Refused, match="8 answered calls, and up to 7"):
        tried(office.database, present(office.database))


def test_it_keeps_nobody_from_writing(office: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(what_if, "CALLS_AT_ONCE", 2)
    draft = present(office.database)
    trial = office.database.read(lambda c: what_if.prepare(c, draft, MONDAY, MONDAY))
    written = []

    def read(job: Any) -> Any:
        def reading(connection: Any) -> Any:
            block = job(connection)
            office.database.write(lambda c: payments.recharge(c, "100", 1_000_000, MANAGER))
            written.append(len(block))
            return block

        return office.database.read(reading)

    assert what_if.compare(read, trial).totals.calls == 6
    assert written == [2, 2, 2, 0]
