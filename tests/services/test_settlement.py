"""A call that nobody told the end of is closed by rule, and corrected once the truth is known."""

from dataclasses import replace

import pytest

from coovox_billing.core import why
from coovox_billing.core.call import Source
from coovox_billing.core.clock import UNKNOWN
from coovox_billing.core.evidence import Trace
from coovox_billing.services import reconciliation, settlement
from coovox_billing.store.lists.calls import CallQuery
from coovox_billing.store.models import open_reading
from tests.cast import NOW_MS, SITE, Exchange, a_leg, look_up

ABROAD = "004420"  # 1.0000 a minute


@pytest.fixture
def exchange(exchange: Exchange) -> Exchange:
    exchange.set("grace_seconds", "0")
    return exchange


def _talks(exchange: Exchange, call_id: str = "1") -> None:
    assert exchange.ask(call_id, number=ABROAD).passes
    exchange.answer(call_id)


def _entries(exchange: Exchange) -> list[tuple[object, ...]]:
    return look_up(
        exchange.database.path, "SELECT kind, amount_micros, call_id, reason FROM ledger WHERE call_id IS NOT NULL"
    )


def test_it_releases_a_lost_call_that_nobody_answered(exchange: Exchange) -> None:
    exchange.ask("1", number=ABROAD)
    exchange.lose("1", talked=60)
    call = exchange.call("1")
    assert (call["state"], call["flags"], call["settled_by"]) == ("released", "lost", "rule")
    assert (call["ended_at_ms"], exchange.money("100")) == (NOW_MS, ("10.0000", "0.0000"))


@pytest.mark.parametrize(
    ("talked", "charged_seconds", "balance"), [(0, 1, "9.0000"), (59, 59, "9.0000"), (3_600, 600, "0.0000")]
)
def test_it_charges_a_lost_call_up_to_its_last_sign_of_life(
    exchange: Exchange, talked: int, charged_seconds: int, balance: str
) -> None:
    _talks(exchange)
    exchange.lose("1", talked)
    call = exchange.call("1")
    assert (call["state"], call["flags"], call["settled_by"]) == ("settled", "lost", "rule")
    assert (call["talk_seconds"], call["uncollected_micros"], call["settled_late"]) == (charged_seconds, 0, 1)
    assert call["ended_at_ms"] - call["answered_at_ms"] == charged_seconds * 1000
    assert exchange.money("100") == (balance, "0.0000")
    assert why.sentence(why.LOST()) in why.read(call["why"])


def test_it_closes_a_lost_call_once(exchange: Exchange) -> None:
    _talks(exchange)
    for talked in (30, 60):
        exchange.lose("1", talked)
    exchange.give_up("1")
    assert (exchange.call("1")["talk_seconds"], len(_entries(exchange))) == (30, 1)


@pytest.mark.parametrize("state", ["never asked", "settled", "refused", "released"])
def test_it_loses_no_call_that_is_over(exchange: Exchange, state: str) -> None:
    if state != "never asked":
        exchange.ask("1", "102" if state == "refused" else "100", ABROAD)
    if state == "settled":
        exchange.settle("1", 60)
    if state == "released":
        exchange.give_up("1")
    before = _entries(exchange)
    exchange.lose("1", 600)
    assert _entries(exchange) == before
    if state != "never asked":
        assert (exchange.call("1")["state"], exchange.call("1")["flags"]) == (state, "")


@pytest.mark.parametrize(
    ("talked", "entries", "balance"),
    [
        (30, [("call", -1_000_000)], "9.0000"),
        (61, [("call", -1_000_000), ("correction", -1_000_000)], "8.0000"),
        (0, [("call", -1_000_000), ("correction", 1_000_000)], "10.0000"),
        (600, [("call", -1_000_000), ("correction", -9_000_000)], "0.0000"),
    ],
    ids=["the same price", "more", "nothing at all", "all there is"],
)
def test_it_corrects_a_close_by_rule(
    exchange: Exchange, talked: int, entries: list[tuple[str, int]], balance: str
) -> None:
    _talks(exchange)
    exchange.lose("1", 45)
    exchange.settle("1", talked)
    call = exchange.call("1")
    assert (call["state"], call["talk_seconds"], call["settled_by"]) == ("settled", talked, "settle")
    assert "corrected" in call["flags"].split()
    assert "lost" not in call["flags"].split()
    found = _entries(exchange)
    assert [entry[:2] for entry in found] == entries
    assert [entry[2:] for entry in found[1:]] == [("1", why.sentence(why.CORRECTED()))] * (len(entries) - 1)
    assert exchange.money("100") == (balance, "0.0000")
    assert call["cost_micros"] == call["uncollected_micros"] - sum(int(str(entry[1])) for entry in found)
    assert why.sentence(why.CORRECTED()) in why.read(call["why"])


def test_it_corrects_once(exchange: Exchange) -> None:
    _talks(exchange)
    exchange.lose("1", 45)
    for talked in (90, 240):
        exchange.settle("1", talked)
    assert (exchange.call("1")["talk_seconds"], exchange.money("100")[0]) == (90, "8.0000")


def test_it_gives_nothing_back_because_the_credit_was_lowered(exchange: Exchange) -> None:
    assert exchange.ask("1", "101", ABROAD).passes
    exchange.answer("1")
    exchange.lose("1", 45)
    exchange.change("101", credit="0")
    exchange.settle("1", 61)
    assert exchange.money("101") == ("-1.0000", "0.0000")
    assert exchange.call("1")["uncollected_micros"] == 1_000_000


def test_it_settles_late_what_was_released_by_rule(exchange: Exchange) -> None:
    exchange.ask("1", number=ABROAD)
    exchange.lose("1")
    exchange.settle("1", 60)
    call = exchange.call("1")
    assert (call["state"], call["flags"], call["settled_late"]) == ("settled", "corrected", 1)
    assert [entry[:2] for entry in _entries(exchange)] == [("call", -1_000_000)]


def test_it_moves_the_totals_of_a_corrected_call_to_its_true_trunk(exchange: Exchange) -> None:
    _talks(exchange)
    exchange.lose("1", 45)
    exchange.settle("1", 61, trunk="second carrier")
    totals = look_up(exchange.database.path, "SELECT trunk, calls, talk_seconds FROM daily_trunk_totals ORDER BY trunk")
    assert totals == [("carrier", 0, 0), ("second carrier", 1, 61)]


def test_it_tells_when_it_rang_and_who_told_the_end(exchange: Exchange) -> None:
    exchange.ask("1", ring_limit_seconds=30)
    exchange.settle("1", 60, rang=5, rang_ms=800)
    open_reading(exchange.database.path.parent)
    (call,) = CallQuery(SITE.time_zone).page(1)
    assert (call.ringing_at_ms, call.answered_at_ms, call.settled_by) == (NOW_MS + 800, NOW_MS + 5_000, "settle")
    assert exchange.call("1")["ring_limit_seconds"] == 30


def test_it_charges_all_the_talk_of_a_call_that_passed_alone(exchange: Exchange) -> None:
    """Billing had answered with a limit, but too late to be heard."""
    assert exchange.ask("1", number=ABROAD, by_stretches=True).limit_seconds == 60
    exchange.settle("1", 90, alone="passed")
    assert (exchange.call("1")["talk_seconds"], exchange.call("1")["flags"]) == (90, "alone")


@pytest.mark.parametrize("before", ["never asked", "held", "refused", "released"])
@pytest.mark.parametrize("end", ["settled", "lost"])
def test_it_charges_a_talk_that_passed_alone_whatever_billing_had_decided(
    exchange: Exchange, before: str, end: str
) -> None:
    """Also where Asterisk died during the talk, so that nobody could leave its record."""
    if before == "refused":
        exchange.change("101", credit="0")
    if before != "never asked":
        exchange.ask("1", "101", ABROAD, by_stretches=True)
    if before == "released":
        exchange.withdraw("1")
    exchange.change("101", credit="50")
    alone = {"number": ABROAD, "device": "PJSIP/101"}
    for _ in range(2):
        exchange.begin_alone("1", **alone)
    assert (exchange.call("1")["state"], exchange.call("1")["flags"]) == ("talking", "alone")
    if end == "lost":
        exchange.lose("1", 59)
    else:
        exchange.settle("1", 59, alone="passed", **alone)
    call = exchange.call("1")
    assert (call["state"], call["talk_seconds"], call["cost_micros"]) == ("settled", 59, 1_000_000)
    assert call["flags"] == ("alone lost" if end == "lost" else "alone")
    assert exchange.money("101") == ("-1.0000", "0.0000")


def test_it_lets_no_call_that_is_over_talk_again(exchange: Exchange) -> None:
    """Its end was booked before the record of its answer."""
    exchange.settle("1", 59, alone="passed", number=ABROAD)
    before = exchange.call("1")
    exchange.begin_alone("1", number=ABROAD)
    assert exchange.call("1") == before


@pytest.mark.parametrize("was_withdrawn", [True, False])
def test_it_charges_all_the_talk_that_asterisks_files_tell_of_a_call_that_passed_alone(
    exchange: Exchange, was_withdrawn: bool
) -> None:
    """No limit was given to it, whatever billing had promised to nobody's ear."""
    exchange.recharge("100", "100")
    exchange.ask("1", number=ABROAD, by_stretches=True)
    if was_withdrawn:
        exchange.withdraw("1")
    exchange.begin_alone("1", number=ABROAD)
    exchange.review(_1=50)
    trace = Trace("cel", NOW_MS, NOW_MS + 600_000, "PJSIP/carrier-0000000b", "1772442000.2")
    exchange.database.write(lambda c: reconciliation.close(c, "1", trace, None, NOW_MS + 600_000))
    assert (exchange.call("1")["talk_seconds"], exchange.call("1")["flags"]) == (600, "alone")


def test_it_never_charges_the_years_between_1970_and_now(exchange: Exchange) -> None:
    leg = replace(a_leg(talked=0, alone="passed", number=ABROAD), asked_ms=60_000, answered_ms=65_000, ended_ms=NOW_MS)
    exchange.database.write(lambda c: settlement.settle(c, "1", leg, UNKNOWN, NOW_MS, Source.ASTDB))
    assert (exchange.call("1")["talk_seconds"], exchange.call("1")["flags"]) == (1, "alone clock")
