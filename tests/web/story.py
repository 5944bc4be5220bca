"""A morning of calls for the pages to show, each as Asterisk reports it."""

from coovox_billing.core.call import Source
from coovox_billing.core.clock import UNKNOWN
from coovox_billing.services import calls, live_calls, settlement
from coovox_billing.services.live_calls import Answered
from coovox_billing.store.database import Database
from tests import cast

MINUTE_MS = 60_000


def ask(database: Database, call_id: str, extension: str, number: str, asked_ms: int) -> None:
    """A phone dials out."""
    dialed = f"{cast.TRUNK}/{number}"
    question = cast.a_question(call_id, extension, number, stamp_ms=asked_ms, trunk="FXO-1", dial_string=dialed)
    database.write(lambda connection: calls.authorize(connection, question, asked_ms))


def talk(database: Database, call_id: str, extension: str, number: str, asked_ms: int, seconds: int) -> None:
    """A call that was answered and is over."""
    ask(database, call_id, extension, number, asked_ms)
    leg = cast.a_leg(talked=seconds, asked_ms=asked_ms, device=f"PJSIP/{extension}", trunk="FXO-1")
    database.write(lambda connection: settlement.settle(connection, call_id, leg, UNKNOWN, leg.ended_ms))


def ring_out(database: Database, call_id: str, extension: str, number: str, asked_ms: int) -> None:
    """A call that nobody answered."""
    ask(database, call_id, extension, number, asked_ms)
    leg = cast.a_leg(asked_ms=asked_ms, device=f"PJSIP/{extension}")
    database.write(lambda connection: calls.give_up(connection, call_id, leg))


def lose(database: Database, call_id: str, extension: str, number: str, asked_ms: int) -> None:
    """A call that was answered and died with the PBX; nobody told how it ended."""
    ask(database, call_id, extension, number, asked_ms)
    answered = Answered(call_id, asked_ms + 7_000, "PJSIP/carrier-0000000b", "1772442000.2")
    database.write(lambda connection: live_calls.answer(connection, answered))
    database.write(lambda connection: settlement.lose(connection, call_id, 30, asked_ms + 60_000))


def turn_up(database: Database, call_id: str, asked_ms: int, seconds: int) -> None:
    """The record of a lost call is found."""
    leg = cast.a_leg(talked=seconds, rang=7, rang_ms=800, asked_ms=asked_ms, trunk="FXO-1")
    database.write(lambda c: settlement.settle(c, call_id, leg, UNKNOWN, leg.ended_ms, Source.ASTDB))


def tell(database: Database) -> None:
    """Reception and sales talk, the lobby is locked, nobody is in, and one call still runs."""
    start = cast.NOW_MS
    talk(database, "guide-1", "100", "965302387", start, 39)
    talk(database, "guide-2", "100", "988360046", start + MINUTE_MS, 238)
    talk(database, "sales", "101", "0034911234567", start + 8 * MINUTE_MS, 61)
    ask(database, "lobby", "102", "988360046", start + 9 * MINUTE_MS)
    ring_out(database, "nobody", "100", "988360046", start + 10 * MINUTE_MS)
    talk(database, "kitchen", "103", "965302387", start + 11 * MINUTE_MS, 5)
    ask(database, "now", "101", "988360046", start + 12 * MINUTE_MS)
