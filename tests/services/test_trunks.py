"""Trunks: learned or named, what is free on them, and how their calls look."""

import json
from typing import Any

import pytest

from coovox_billing.errors import BadInput, BillingError, NotFound, Refused
from coovox_billing.services import trunks
from coovox_billing.services.trunks import Trunk
from coovox_billing.store import writes
from tests.cast import MANAGER, NOW_MS, TRUNK, Exchange, look_up

DAY_MS = 86_400_000


def _add(exchange: Exchange, device: str = TRUNK, name: str | None = "carrier") -> str:
    return exchange.database.write(lambda connection: trunks.add(connection, device, name, MANAGER))


def _change(exchange: Exchange, word: str = TRUNK, **changes: object) -> str:
    return exchange.database.write(lambda connection: trunks.change(connection, word, changes, MANAGER))


def _remove(exchange: Exchange, word: str = TRUNK) -> str:
    return exchange.database.write(lambda connection: trunks.remove(connection, word, MANAGER))


def _overview(exchange: Exchange, now_ms: int = NOW_MS) -> list[Trunk]:
    return exchange.database.read(lambda connection: trunks.overview(connection, now_ms))


def _known(exchange: Exchange) -> list[tuple[Any, ...]]:
    return look_up(exchange.database.path, "SELECT device, name, free_seconds FROM trunks ORDER BY device")


def _mirrored(exchange: Exchange, device: str = TRUNK) -> str:
    rows = look_up(exchange.database.path, "SELECT value FROM mirror WHERE key = ?", [f"payer/{device}"])
    return str(rows[0][0]) if rows else ""


def _changes(exchange: Exchange) -> list[tuple[Any, ...]]:
    rows = look_up(
        exchange.database.path,
        "SELECT at_ms, actor, origin, what, before, after FROM changes WHERE what LIKE 'trunk %' ORDER BY id",
    )
    return [(*row[:4], json.loads(row[4]), json.loads(row[5])) for row in rows]


def _talk(exchange: Exchange, count: int, rang: float = 1, **changes: Any) -> None:
    for number in range(count):
        call_id = f"{len(look_up(exchange.database.path, 'SELECT id FROM calls'))}x{number}"
        exchange.ask(call_id, "103")
        exchange.settle(call_id, 60, rang=rang, **changes)


def _ring_out(exchange: Exchange, count: int) -> None:
    for number in range(count):
        exchange.ask(f"unanswered{number}", "103")
        exchange.give_up(f"unanswered{number}")


def test_it_adds_a_trunk_that_never_pays(exchange: Exchange) -> None:
    assert _add(exchange) == TRUNK
    assert _known(exchange) == [(TRUNK, "carrier", 0)]
    assert _mirrored(exchange) == "free"
    assert exchange.ask("1", "carrier").reason == "no-payer"


def test_it_writes_a_device_as_asterisk_does(exchange: Exchange) -> None:
    assert _add(exchange, "dahdi/g1") == "DAHDI/g1"
    assert _add(exchange, "PJSIP/5551234@backup") == "PJSIP/backup"


def test_it_mirrors_an_added_trunk_by_the_policy_for_calls_without_payer(exchange: Exchange) -> None:
    exchange.set("calls_without_payer", "refuse")
    _add(exchange)
    assert _mirrored(exchange) == "billed"
    exchange.set("calls_without_payer", "pass")
    assert _mirrored(exchange) == "free"


@pytest.mark.parametrize(
    ("device", "name", "error", "word"),
    [
        ("carrier", "", BadInput, "PJSIP/carrier"),
        ("", "", BadInput, "PJSIP/carrier"),
        ("Local/1@from-internal", "", BadInput, "PJSIP/carrier"),
        ("PJSIP/a&PJSIP/b", "", BadInput, "PJSIP/carrier"),
        ("PJSIP/my carrier", "", BadInput, "PJSIP/carrier"),
        (TRUNK, "Línea", BadInput, "TRUNK-NAME"),
        (TRUNK, "x" * 81, BadInput, "up to 80"),
        ("PJSIP/100", "", Refused, "extension 100"),
        ("PJSIP/desk-left", "", Refused, "extension 103"),
        ("PJSIP/gateway", "", Refused, "caller ID"),
    ],
)
def test_it_adds_no_trunk_that_cannot_be(
    exchange: Exchange, device: str, name: str, error: type[BillingError], word: str
) -> None:
    exchange.change("103", devices=["PJSIP/desk-left"])
    exchange.database.write(lambda connection: writes.insert_gateway(connection, "PJSIP/gateway"))
    with pytest.raises(error, match=word):
        _add(exchange, device, name)
    assert (_known(exchange), _changes(exchange)) == ([], [])


def test_it_adds_no_trunk_twice(exchange: Exchange) -> None:
    exchange.ask("1")
    with pytest.raises(Refused, match="trunk set PJSIP/carrier"):
        _add(exchange)


@pytest.mark.parametrize("word", [TRUNK, "carrier"])
def test_it_changes_a_trunk_by_device_or_name(exchange: Exchange, word: str) -> None:
    _add(exchange)
    assert _change(exchange, word, free_seconds=30, name="Line 1") == TRUNK
    assert _known(exchange) == [(TRUNK, "Line 1", 30)]


def test_it_records_who_changed_a_trunk(exchange: Exchange) -> None:
    _add(exchange)
    _change(exchange, free_seconds=30, name="carrier")
    _change(exchange, free_seconds=30)
    _remove(exchange)
    who = (NOW_MS, MANAGER.name, MANAGER.origin, f"trunk {TRUNK}")
    assert _changes(exchange) == [
        (*who, {}, {"name": "carrier"}),
        (*who, {"free_seconds": 0}, {"free_seconds": 30}),
        (*who, {"name": "carrier", "free_seconds": 30, "channels": 0}, {}),
    ]


@pytest.mark.parametrize(
    ("word", "changes", "error", "message"),
    [
        ("PJSIP/nobody", {"free_seconds": 1}, NotFound, "trunk list"),
        ("", {"free_seconds": 1}, NotFound, "trunk list"),
        (TRUNK, {"free_seconds": 601}, BadInput, "0 to 600"),
        (TRUNK, {"free_seconds": -1}, BadInput, "0 to 600"),
        (TRUNK, {"free_seconds": "30"}, BadInput, "0 to 600"),
        (TRUNK, {"name": "a,b"}, BadInput, "TRUNK-NAME"),
        (TRUNK, {"device": "PJSIP/other"}, BadInput, "cannot be changed"),
    ],
)
def test_it_changes_nothing_to_what_cannot_be(
    exchange: Exchange, word: str, changes: dict[str, object], error: type[BillingError], message: str
) -> None:
    _add(exchange, name="")
    with pytest.raises(error, match=message):
        _change(exchange, word, **changes)
    assert _known(exchange) == [(TRUNK, "", 0)]


@pytest.mark.parametrize("seconds", [0, 600])
def test_it_takes_the_ends_of_the_range(exchange: Exchange, seconds: int) -> None:
    _add(exchange)
    _change(exchange, free_seconds=seconds)
    assert _known(exchange) == [(TRUNK, "carrier", seconds)]


def test_it_takes_a_word_with_a_slash_for_a_device_alone(exchange: Exchange) -> None:
    _add(exchange)
    _add(exchange, "DAHDI/g1", TRUNK)
    assert _remove(exchange, TRUNK) == TRUNK
    with pytest.raises(NotFound):
        _remove(exchange, TRUNK)
    assert _change(exchange, "dahdi/g1", free_seconds=30) == "DAHDI/g1"


def test_it_asks_which_of_several_trunks_with_one_name(exchange: Exchange) -> None:
    _add(exchange, "DAHDI/1", "lines")
    _add(exchange, "DAHDI/2", "lines")
    for act in (lambda: _change(exchange, "lines", free_seconds=30), lambda: _remove(exchange, "lines")):
        with pytest.raises(Refused, match="DAHDI/1, DAHDI/2"):
            act()
    assert len(_known(exchange)) == 2


def test_it_takes_a_device_before_a_name(exchange: Exchange) -> None:
    _add(exchange, "DAHDI/1", "DAHDI/2")
    _add(exchange, "DAHDI/2", "line")
    assert _change(exchange, "DAHDI/2", free_seconds=5) == "DAHDI/2"


@pytest.mark.parametrize("name", ["Line 1", ""])
def test_it_takes_the_name_of_the_first_call_where_nobody_gave_one(exchange: Exchange, name: str) -> None:
    _add(exchange, name=None)
    assert _known(exchange) == [(TRUNK, TRUNK, 0)]
    for trunk in (TRUNK, name, "Another"):
        exchange.ask(trunk, trunk=trunk)
    assert _known(exchange) == [(TRUNK, name, 0)]


def test_it_takes_no_name_of_a_refused_call(exchange: Exchange) -> None:
    _add(exchange, name=None)
    exchange.ask("1", "102", trunk="Line 1")
    assert _known(exchange) == [(TRUNK, TRUNK, 0)]


def test_it_keeps_the_name_that_a_person_gave(exchange: Exchange) -> None:
    _add(exchange, name="Line 1")
    exchange.ask("1", trunk="Another")
    assert _known(exchange) == [(TRUNK, "Line 1", 0)]


def test_it_does_not_take_a_gateway_for_a_trunk(exchange: Exchange) -> None:
    exchange.database.write(lambda connection: writes.insert_gateway(connection, "PJSIP/gateway"))
    exchange.ask("1", dial_string="PJSIP/988360046@gateway")
    assert _known(exchange) == []


def test_it_forgets_a_wrongly_learned_trunk(exchange: Exchange) -> None:
    exchange.ask("1", "101", dial_string="PJSIP/103")
    assert exchange.ask("2", "103").reason == "no-payer"
    _remove(exchange, "PJSIP/103")
    assert (_known(exchange), _mirrored(exchange, "PJSIP/103")) == ([(TRUNK, "carrier", 0)], "")
    assert exchange.ask("3", "103").reason == "not-billed"


def test_it_learns_a_removed_trunk_again(exchange: Exchange) -> None:
    exchange.ask("1")
    _change(exchange, free_seconds=30)
    _remove(exchange)
    exchange.ask("2")
    assert _known(exchange) == [(TRUNK, "carrier", 0)]


def test_it_counts_the_calls_of_a_trunk(exchange: Exchange) -> None:
    _talk(exchange, 2, rang=2)
    _talk(exchange, 1, rang=2.001)
    _ring_out(exchange, 3)
    exchange.ask("refused", "102")
    exchange.ask("ringing", "103")
    (trunk,) = _overview(exchange)
    assert (trunk.device, trunk.name, trunk.free_seconds) == (TRUNK, "carrier", 0)
    assert (trunk.traffic.calls, trunk.traffic.answered, trunk.traffic.answered_at_once) == (6, 3, 2)


def test_it_measures_from_the_attempt_that_was_answered(exchange: Exchange) -> None:
    exchange.ask("1")
    exchange.give_up("1")
    exchange.ask("1", stamp_ms=NOW_MS + 20_000)
    exchange.settle("1", 60, rang=21)
    (trunk,) = _overview(exchange)
    assert trunk.traffic.answered_at_once == 1


def test_it_counts_what_the_dialplan_let_pass_alone(exchange: Exchange) -> None:
    _add(exchange)
    exchange.settle("1", 60, alone="passed", rang=1)
    exchange.give_up("2", alone="passed")
    (trunk,) = _overview(exchange)
    assert (trunk.traffic.calls, trunk.traffic.answered, trunk.traffic.answered_at_once) == (2, 1, 1)


def test_it_does_not_take_a_clock_that_stepped_back_for_a_quick_answer(exchange: Exchange) -> None:
    _talk(exchange, 1, rang=-1)
    (trunk,) = _overview(exchange)
    assert (trunk.traffic.answered, trunk.traffic.answered_at_once) == (1, 0)


def test_it_looks_back_30_days(exchange: Exchange) -> None:
    _talk(exchange, 1)
    assert _overview(exchange, NOW_MS + 30 * DAY_MS)[0].traffic.calls == 1
    assert _overview(exchange, NOW_MS + 30 * DAY_MS + 1)[0].traffic.calls == 0


def test_it_notices_a_line_whose_calls_are_all_answered_at_once(exchange: Exchange) -> None:
    _talk(exchange, 19)
    assert _overview(exchange)[0].suspicion == ""
    _talk(exchange, 1)
    (trunk,) = _overview(exchange)
    assert trunk.suspicion.startswith("20 of 20 answers came within 2 s")
    assert "trunk set PJSIP/carrier --free-seconds 30" in trunk.advice
    assert "answer supervision" in trunk.advice


def test_it_notices_nothing_where_people_answer(exchange: Exchange) -> None:
    _talk(exchange, 20, rang=5)
    assert _overview(exchange)[0].suspicion == ""


def test_it_notices_nothing_where_calls_ring_out(exchange: Exchange) -> None:
    _talk(exchange, 20)
    _ring_out(exchange, 2)
    assert _overview(exchange)[0].suspicion == ""


def test_it_notices_nothing_once_seconds_are_free(exchange: Exchange) -> None:
    _talk(exchange, 20)
    _change(exchange, free_seconds=1)
    assert _overview(exchange)[0].suspicion == ""


def test_it_reads_only_the_calls_of_the_last_30_days(exchange: Exchange) -> None:
    asked: list[str] = []

    def overview(connection: Any) -> list[str]:
        connection.set_trace_callback(asked.append)
        trunks.overview(connection, NOW_MS)
        connection.set_trace_callback(None)
        return [row["detail"] for row in connection.execute(f"EXPLAIN QUERY PLAN {asked[-1]}")]

    plan = exchange.database.read(overview)
    assert [step for step in plan if "USING INDEX calls_log (asked_at_ms>?)" in step], plan
