"""The people, rates and calls of the tests, so that nobody invents `foo`.

Reception (100) is prepaid with 10.00, sales (101) postpaid with a credit of
50.00, the lobby (102) is locked, the kitchen (103) is not billed. The story
begins on a Monday morning in Madrid.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from coovox_billing.core import clock
from coovox_billing.core.clock import OwnTime
from coovox_billing.core.decision import AccountView
from coovox_billing.core.leg import Leg
from coovox_billing.core.money import format_amount, parse_amount, parse_price
from coovox_billing.core.payer import Origin
from coovox_billing.core.site_settings import ACTIVATION, Site, parse_site
from coovox_billing.core.tariff import Rate
from coovox_billing.services import accounts, activation, calls, live_calls, payments, settlement
from coovox_billing.services import site as site_service
from coovox_billing.services.accounts import Person
from coovox_billing.services.calls import Answer, Question
from coovox_billing.services.live_calls import Answered, Outlook
from coovox_billing.store import reads, writes
from coovox_billing.store.audit import audit
from coovox_billing.store.call_changes import CallChange
from coovox_billing.store.database import FILE_NAME, Database, connect, open_database

TIME_ZONE = "Europe/Madrid"
SITE: Site = parse_site({"time_zone": TIME_ZONE})

MONDAY_MORNING = datetime(2026, 3, 2, 10, 0, 0)
NOW_MS = clock.milliseconds(MONDAY_MORNING.replace(tzinfo=SITE.time_zone))

MANAGER = Person("bill-ann", "terminal", NOW_MS)

RECEPTION = AccountView("100", billing=True, locked=False, available_micros=parse_amount("10"))
SALES = AccountView("101", billing=True, locked=False, available_micros=parse_amount("50"))
LOBBY = AccountView("102", billing=True, locked=True, available_micros=parse_amount("10"))
KITCHEN = AccountView("103", billing=False, locked=False, available_micros=0)

TRUNK = "PJSIP/carrier"
CITY_NUMBER = "988360046"

# The guide's own: prefix 9, 9 digits, 0.1 for the first 60 s, then 0.02 per started 55 s.
GUIDE_RATE = Rate(1, "9", 9, parse_price("0.1"), 60, parse_price("0.02"), 55, remark="city")
MOBILE_RATE = replace(GUIDE_RATE, id=2, number_length=12, rate_micros=parse_price("0.05"), remark="mobile")
# Dearer than the guide's, so that a balance of 10.00 ends within a test: 1.00 a minute.
ABROAD_RATE = Rate(3, "00", 0, 0, 0, parse_price("1"), 60, remark="abroad")
FREE_RATE = Rate(4, "0800", 0, 0, 0, 0, 60, remark="free phone")
RATES = (GUIDE_RATE, MOBILE_RATE, ABROAD_RATE, FREE_RATE)


def a_rate(**changes: Any) -> Rate:
    """The guide's rate with changes; prices may be written as text."""
    for name in ("initial_cost_micros", "rate_micros"):
        if isinstance(changes.get(name), str):
            changes[name] = parse_price(changes[name])
    return replace(GUIDE_RATE, **changes)


def a_shape(initial_cost: str, initial_seconds: int, price: str, unit_seconds: int) -> Rate:
    """A rate by what it charges alone: initial cost and time, rate and unit."""
    return a_rate(
        initial_cost_micros=initial_cost,
        initial_seconds=initial_seconds,
        rate_micros=price,
        unit_seconds=unit_seconds,
    )


def move_in(directory: Path) -> Database:
    """A database with the whole cast in it, and their rates: a copy of one that is furnished once."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    (directory / FILE_NAME).write_bytes(_furnished())
    return open_database(directory)


@cache
def _furnished() -> bytes:
    with TemporaryDirectory() as directory:
        with open_database(Path(directory)) as database:
            database.write(_move_in)
        return (Path(directory) / FILE_NAME).read_bytes()


def prepare_active(connection: sqlite3.Connection) -> None:
    """A new site, as it is once billing was activated."""
    site_service.prepare(connection, TIME_ZONE)
    writes.set_setting(connection, ACTIVATION, "on")
    writes.mirror(connection, "inactive", "")


def _move_in(connection: sqlite3.Connection) -> None:
    prepare_active(connection)
    people = {"100": "Reception", "101": "Sales", "102": "Lobby", "103": "Kitchen"}
    for extension, name in people.items():
        accounts.add(connection, extension, name, MANAGER)
    accounts.change(connection, "100", {"billing": True}, MANAGER)
    accounts.change(
        connection,
        "101",
        {"billing": True, "payment_type": "postpaid", "credit_micros": parse_amount("50")},
        MANAGER,
    )
    accounts.change(connection, "102", {"billing": True, "status": "locked"}, MANAGER)
    for extension in ("100", "102"):
        payments.recharge(connection, extension, parse_amount("10"), MANAGER)
    for rate in RATES:
        writes.insert_rate(connection, rate)


def a_question(call_id: str, extension: str = "100", number: str = CITY_NUMBER, **changes: Any) -> Question:
    """What the dialplan asks when an extension's own phone dials."""
    question = Question(
        call_id=call_id,
        stamp_ms=NOW_MS,
        number_dialed=number,
        trunk="carrier",
        dial_string=f"PJSIP/{number}@carrier",
        dial_options="",
        origin=Origin(f"PJSIP/{extension}-0000000a"),
        uniqueid="1772442000.1",
        linkedid="1772442000.1",
    )
    return replace(question, **changes)


def change_in(result: Answer | CallChange | None) -> CallChange | None:
    """What a job made of a call, be it all that it returned or a part of its answer."""
    return result.change if isinstance(result, Answer) else result


def a_leg(*, talked: int | None = None, rang: float = 5, asked_ms: int = NOW_MS, **changes: Any) -> Leg:
    """The record of a leg: `talked` seconds of talk, or None for nobody answered, after `rang` seconds."""
    answered_ms = asked_ms + int(rang * 1000)
    leg = Leg(
        device="PJSIP/100",
        number=CITY_NUMBER,
        trunk="carrier",
        asked_ms=asked_ms,
        alone="",
        answered_ms=None if talked is None else answered_ms,
        ended_ms=answered_ms + (talked or 0) * 1000,
        cause="16",
        uniqueid="1772442000.2",
        linkedid="1772442000.1",
    )
    return replace(leg, **changes)


def a_record(leg: Leg) -> str:
    """A leg as the dialplan writes it."""
    asked, answered, ended = map(_stamp, (leg.asked_ms, leg.answered_ms, leg.ended_ms))
    facts = (leg.device, leg.number, leg.trunk, asked, leg.alone)
    rang = "" if leg.rang_ms is None else str(leg.rang_ms)
    return "|".join((*facts, answered, ended, leg.cause, leg.uniqueid, leg.linkedid, rang))


def _stamp(ms: int | None) -> str:
    return "" if ms is None else f"{ms // 1000}.{ms % 1000:03d}"


class Exchange:
    """What the dialplan tells billing, and what billing makes of it. All calls begin at NOW_MS."""

    def __init__(self, directory: Path) -> None:
        self.database = move_in(directory)

    def ask(
        self,
        call_id: str,
        extension: str = "100",
        number: str = CITY_NUMBER,
        by_stretches: bool = False,
        **changes: Any,
    ) -> Answer:
        """Before the Dial; `by_stretches` where the limit can be moved during the call."""
        question = a_question(call_id, extension, number, **changes)
        return self.database.write(lambda connection: calls.authorize(connection, question, NOW_MS, by_stretches))

    def answer(self, call_id: str, rang: float = 5) -> None:
        """The trunk's leg was answered."""
        answered = Answered(call_id, NOW_MS + int(rang * 1000), "PJSIP/carrier-0000000b", "1772442000.2")
        self.database.write(lambda connection: live_calls.answer(connection, answered))

    def review(self, **talked: int) -> dict[str, Outlook]:
        """How far calls may go, by their seconds of talk; a call's id is written with an underscore before it."""
        seconds = {name.removeprefix("_"): talk for name, talk in talked.items()}
        return self.database.write(lambda connection: live_calls.review(connection, seconds))

    def switch(self, on: bool) -> None:
        """The owner activates or deactivates billing."""
        self.database.write(lambda connection: activation.switch(connection, on, MANAGER))

    def settle(
        self,
        call_id: str,
        talked: int | None,
        elapsed: float | None = None,
        since_answer: float | None = None,
        **changes: Any,
    ) -> None:
        """The trunk's leg ended; our own time since the question and since the answer, in seconds."""
        leg = a_leg(talked=talked, **changes)
        own = OwnTime(*(None if seconds is None else int(seconds * 1000) for seconds in (elapsed, since_answer)))
        self.database.write(lambda connection: settlement.settle(connection, call_id, leg, own, leg.ended_ms))

    def begin_alone(self, call_id: str, **changes: Any) -> None:
        """A leg that the dialplan let pass alone was answered."""
        leg = a_leg(talked=0, alone="passed", **changes)
        self.database.write(lambda connection: live_calls.begin_alone(connection, call_id, leg))

    def lose(self, call_id: str, talked: int = 0) -> None:
        """Nobody tells how the call ended; its last sign of life was at so many seconds of talk."""
        self.database.write(lambda connection: settlement.lose(connection, call_id, talked, NOW_MS))

    def give_up(self, call_id: str, **changes: Any) -> None:
        """The caller's side ended without an answer."""
        self.database.write(lambda connection: calls.give_up(connection, call_id, a_leg(**changes)))

    def withdraw(self, call_id: str, stamp_ms: int = NOW_MS) -> None:
        """The answer was ready too late."""
        self.database.write(lambda connection: calls.withdraw(connection, call_id, stamp_ms, NOW_MS))

    def change(self, extension: str, /, **changes: Any) -> None:
        """The billing manager edits an extension; a credit may be written as text."""
        if "credit" in changes:
            changes["credit_micros"] = parse_amount(changes.pop("credit"))
        self.database.write(lambda connection: accounts.change(connection, extension, changes, MANAGER))

    def recharge(self, extension: str, amount: str) -> None:
        """The billing manager puts money on an extension."""
        self.database.write(lambda c: payments.recharge(c, extension, parse_amount(amount), MANAGER))

    def set(self, name: str, text: str) -> None:
        """The owner changes a site setting."""
        self.database.write(lambda connection: site_service.change_setting(connection, name, text, MANAGER))

    def money(self, extension: str) -> tuple[str, str]:
        """Balance and what is held, as shown."""
        account = self.database.write(lambda connection: accounts.find(connection, extension))
        return format_amount(account["balance_micros"]), format_amount(account["held_micros"])

    def call(self, call_id: str) -> dict[str, Any]:
        """A call's row."""
        row = self.database.write(lambda connection: reads.call(connection, call_id))
        assert row is not None, f"there is no call {call_id}"
        return dict(row)

    def findings(self) -> list[str]:
        """What the audit finds."""
        found = self.database.write(lambda connection: [finding.message for finding in audit(connection)])
        return list(found)


def audited(path: Path) -> list[str]:
    """What the audit finds in a database file."""
    connection = connect(path)
    try:
        return [finding.message for finding in audit(connection)]
    finally:
        connection.close()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Somebody else has the database to himself."""
    other = connect(path)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


def look_up(path: Path, query: str, values: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
    """The rows of a query, as plain tuples."""
    connection = connect(path)
    try:
        return [tuple(row) for row in connection.execute(query, tuple(values))]
    finally:
        connection.close()
