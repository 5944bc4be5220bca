"""The office that the user guide shows: its extensions, rates and a week of calls, the same at each time."""

import random
import sqlite3
from dataclasses import replace
from datetime import datetime, timedelta

from coovox_billing.core.clock import day_start_ms, milliseconds
from coovox_billing.core.money import parse_amount
from coovox_billing.core.rate_csv import parse_rates
from coovox_billing.services import accounts, passwords, payments, rates, trunks
from coovox_billing.services.accounts import Person
from coovox_billing.store import people
from coovox_billing.store.database import Database
from tests import cast
from tests.web import story

NOW = datetime(2027, 3, 5, 15, 20, 0, tzinfo=cast.SITE.time_zone)
NOW_MS = milliseconds(NOW)
BEGUN_MS = NOW_MS - 9 * 86_400_000

_EXTENSIONS = {
    "100": ("Reception", "25"), "101": ("Sales", "40"), "102": ("Support", "30"), "103": ("Workshop", "20"),
    "104": ("Lobby", "3"), "105": ("Kitchen", ""), "106": ("Room 12", "15"), "107": ("Room 14", "15"),
}  # fmt: skip
_RATES = """\
active,remark,prefix,number_length,initial_cost,initial_time,rate,billing_unit,start_time,end_time,days,extensions
1,City,9,9,0.1,60,0.02,55,00:00:00,23:59:59,,all
1,Mobile,9,12,0.15,60,0.05,30,00:00:00,23:59:59,,all
1,Abroad,900,0,0.3,0,0.25,60,00:00:00,23:59:59,,all
1,City at night,9,9,0.05,60,0.01,60,20:00:00,06:59:59,,all
"""
_NUMBERS = ("965302387", "988360046", "961847702", "915550123400", "900493012345678")
_DAYS, _CALLS_PER_DAY = 8, 24
_LIMITS: dict[str, int] = {"recharge_limit_micros": 50_000_000, "daily_limit_micros": 200_000_000}
_SOMEBODY = Person("bill-k7m", "192.168.1.20", BEGUN_MS)


def furnish(database: Database) -> None:
    """Make it."""
    database.write(_people_and_rates)
    chance = random.Random(9)
    for days_back in range(_DAYS):
        day = NOW.date() - timedelta(days=days_back)
        begin_ms = day_start_ms(day, cast.SITE.time_zone) + 8 * 3_600_000
        end_ms = min(begin_ms + 10 * 3_600_000, NOW_MS - 900_000)
        for index, at_ms in enumerate(sorted(chance.randrange(begin_ms, end_ms) for _ in range(_CALLS_PER_DAY))):
            _call(database, f"{days_back}-{index}", at_ms // 1000 * 1000, chance)
    database.write(lambda c: trunks.change(c, cast.TRUNK, {"channels": 4}, _SOMEBODY))
    story.ask(database, "without-rate", "103", "777", NOW_MS - 3_600_000)
    story.ask(database, "ringing", "101", "988360046", NOW_MS - 20_000)


def _people_and_rates(connection: sqlite3.Connection) -> None:
    cast.prepare_active(connection)
    for number, (name, paid) in _EXTENSIONS.items():
        accounts.add(connection, number, name, _SOMEBODY)
        if paid:
            accounts.change(connection, number, {"billing": True}, _SOMEBODY)
            then = replace(_SOMEBODY, now_ms=BEGUN_MS + int(number) * 1000)
            payments.recharge(connection, number, parse_amount(paid), then)
    accounts.change(connection, "101", {"payment_type": "postpaid", "credit_micros": parse_amount("50")}, _SOMEBODY)
    accounts.change(connection, "107", {"status": "locked"}, _SOMEBODY)
    rates.import_rates(connection, parse_rates(_RATES)[0], False, _SOMEBODY)
    for name, role, remark in (("bill-k7m", "manager", "Ann"), ("bill-q2x", "cashier", "Front desk")):
        hashed, limits = passwords.hashed("a password of the guide"), _LIMITS if role == "cashier" else {}
        people.insert_user(
            connection, name=name, role=role, remark=remark, password=hashed, created_at_ms=BEGUN_MS, **limits
        )


def _call(database: Database, name: str, at_ms: int, chance: random.Random) -> None:
    extension, number = chance.choice(("100", "101", "101", "102", "103", "106")), chance.choice(_NUMBERS)
    if chance.random() < 0.15:
        story.ring_out(database, name, extension, number, at_ms)
    else:
        story.talk(database, name, extension, number, at_ms, chance.randrange(15, 420))
