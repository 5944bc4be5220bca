"""What a write says it made of a call is what then stands in its row."""

import sqlite3
from collections.abc import Callable
from dataclasses import replace

import pytest

from coovox_billing.core.call import Source, State
from coovox_billing.core.clock import UNKNOWN
from coovox_billing.core.evidence import Trace
from coovox_billing.core.leg import PASSED_ALONE
from coovox_billing.services import calls, live_calls, reconciliation, settlement
from coovox_billing.services.live_calls import Answered
from coovox_billing.store import reads, writes
from coovox_billing.store.call_changes import CallChange, CallFacts
from tests.cast import NOW_MS, Exchange, a_leg, a_question, change_in

Job = Callable[[sqlite3.Connection], calls.Answer | CallChange | None]

ASKED_AGAIN = replace(a_question("1"), stamp_ms=NOW_MS + 9_000, trunk="Other")
ANSWERED = Answered("1", NOW_MS + 5_000, "PJSIP/carrier-0000000b", "1772442000.2")
UNANSWERED = replace(a_leg(talked=0), answered_ms=None)
TRACE = Trace(Source.CEL, answered_ms=NOW_MS + 5_000, ended_ms=None, channel="PJSIP/carrier-0000000b", uniqueid="1.2")
TALKED = a_leg(talked=61)

STORIES: dict[str, list[Job]] = {
    "answered": [
        lambda c: calls.authorize(c, a_question("1"), NOW_MS, by_stretches=True),
        lambda c: live_calls.answer(c, ANSWERED),
        lambda c: settlement.settle(c, "1", TALKED, UNKNOWN, NOW_MS),
    ],
    "tried again": [
        lambda c: calls.authorize(c, a_question("1"), NOW_MS),
        lambda c: calls.authorize(c, ASKED_AGAIN, NOW_MS),
        lambda c: calls.withdraw(c, "1", ASKED_AGAIN.stamp_ms, NOW_MS),
        lambda c: calls.authorize(c, a_question("1"), NOW_MS),
        lambda c: calls.give_up(c, "1", UNANSWERED),
    ],
    "closed by rule": [
        lambda c: calls.authorize(c, a_question("1"), NOW_MS),
        lambda c: live_calls.answer(c, ANSWERED),
        lambda c: settlement.lose(c, "1", 30, NOW_MS),
        lambda c: settlement.settle(c, "1", TALKED, UNKNOWN, NOW_MS),
    ],
    "answered as Asterisk's records tell, and gone": [
        lambda c: calls.authorize(c, a_question("1"), NOW_MS),
        lambda c: reconciliation.close(c, "1", TRACE, 30.0, NOW_MS),
    ],
    "alone": [lambda c: settlement.settle(c, "1", replace(TALKED, alone=PASSED_ALONE), UNKNOWN, NOW_MS)],
    "alone, begun": [
        lambda c: live_calls.begin_alone(c, "1", replace(TALKED, alone=PASSED_ALONE)),
        lambda c: settlement.settle(c, "1", replace(TALKED, alone=PASSED_ALONE), UNKNOWN, NOW_MS),
    ],
    "alone, unanswered": [lambda c: calls.give_up(c, "1", replace(UNANSWERED, alone=PASSED_ALONE))],
    "refused": [lambda c: calls.authorize(c, a_question("1", extension="nobody", number="x"), NOW_MS)],
}


def _stands(connection: sqlite3.Connection) -> CallFacts | None:
    call = reads.call(connection, "1")
    return None if call is None else CallFacts(*(call[name] for name in CallFacts._fields))


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_it_tells_how_the_row_stood_and_stands(exchange: Exchange, story: list[Job]) -> None:
    for job in story:
        before = exchange.database.read(_stands)
        change = change_in(exchange.database.write(job))
        assert change is not None
        assert (change.before, change.after) == (before, exchange.database.read(_stands))


def test_a_call_that_moved_meanwhile_is_not_moved(exchange: Exchange) -> None:
    exchange.database.write(lambda c: calls.authorize(c, a_question("1"), NOW_MS))
    call = exchange.database.read(lambda c: reads.call(c, "1"))
    assert call is not None
    exchange.database.write(lambda c: live_calls.answer(c, ANSWERED))
    with pytest.raises(sqlite3.IntegrityError, match="is not held any more"):
        exchange.database.write(lambda c: writes.move_call(c, call, State.RELEASED, hold_micros=0))
    assert exchange.database.read(lambda c: reads.call(c, "1"))["state"] == State.TALKING  # type: ignore[index]
