"""Ten years of an office's calls, as the product would have written them, made a thousand times as fast.

Who calls whom, when and for how long is drawn; what is decided and charged comes from `core`. The sentences of *why
this price* are the product's, those that only depend on the rate and the talk told once. Rows are whole and in the
order in which the product writes them, so that they only need to be put into their tables: `sites` does that.
"""

import random
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from functools import cache
from heapq import heappop, heappush
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

from coovox_billing.core import clock, decision, rating, tariff, why
from coovox_billing.core.call import LOST, Source, State
from coovox_billing.core.dialed_number import prefixes
from coovox_billing.core.money import format_amount, parse_amount, parse_price
from coovox_billing.core.site_settings import Site, parse_site
from coovox_billing.core.stretch import NOTHING, Promise, whole
from coovox_billing.core.tariff import NO_RATE, Choice, Rate
from coovox_billing.services import accounts, activation, payments, settlement, trunks
from coovox_billing.services import site as site_service
from coovox_billing.services.accounts import Person
from coovox_billing.store import reads, writes

TIME_ZONE = "Europe/Madrid"
SITE: Site = parse_site({"time_zone": TIME_ZONE})
FIRST_DAY, LAST_DAY = date(2016, 3, 3), date(2026, 3, 2)
# The evening of the last day, when all of its calls are over.
NOW_MS = clock.milliseconds(datetime(2026, 3, 2, 22, 30, tzinfo=SITE.time_zone))
LAST_HOUR = 17

FOUNDER = Person("owner", "terminal", clock.day_start_ms(FIRST_DAY, SITE.time_zone))
MANAGER, DESK = "bill-ann", "192.168.1.20"
TRUNKS = {"carrier": 60, "GSM": 22, "backup": 12, "FXO-1": 6}
EMERGENCY_NUMBER = "112"

_WEEKDAYS = (1.0, 1.05, 1.05, 1.0, 0.9, 0.25, 0.12)
_MONTHS = (0.95, 1.0, 1.05, 1.0, 1.05, 1.0, 0.85, 0.5, 1.05, 1.1, 1.05, 0.85)
# The hour that a change of the clock leaves out has none.
_HOURS = (3, 2, 0, 1, 1, 2, 6, 20, 60, 110, 125, 120, 90, 60, 75, 105, 115, 100, 70, 45, 30, 20, 12, 6)
_FIRST_NAMES = ("Ann", "Ben", "Carla", "Dan", "Eva", "Felix", "Gina", "Hugo", "Ines", "Jan", "Kim", "Leo", "Mia")
_LAST_NAMES = ("Abad", "Bauer", "Costa", "Diaz", "Evans", "Fuchs", "Gil", "Haas", "Jones", "Klein", "Lopez", "Moya")

_ANSWERED, _LOST = 0.77, 0.0005
_LEAST_MICROS = parse_amount("0.20")
_RECHARGES = tuple(map(parse_amount, ("10", "20", "20", "50")))


@dataclass(slots=True)
class Phone:
    """An extension of the site, with its account as it is just now; money in micros."""

    account_id: int
    extension: str
    is_billed: bool
    is_locked: bool
    credit_micros: int
    balance_micros: int
    held_micros: int = 0

    @property
    def available_micros(self) -> int:
        return self.balance_micros + self.credit_micros - self.held_micros


@dataclass(slots=True)
class Contact:
    """A number that is called again and again, and the rates whose prefix it has."""

    number: str
    rates: Sequence[Rate]
    by_peak: dict[bool, "Decided"] = field(default_factory=dict)


class Decided(NamedTuple):
    """Which rate wins, and what a call keeps of that: the rate, and the first sentences of why, as JSON."""

    rate: Rate | None
    snapshot: str | None
    why: str


class Asked(NamedTuple):
    """A call that was let pass, until it is over."""

    row: int
    call_id: str
    phone: Phone
    number: str
    trunk: str
    asked_ms: int
    day: str
    hour: int
    reason: str
    decided: Decided
    promise: Promise | None
    why: str
    answered_ms: int | None
    ended_ms: int
    rang_ms: int


@dataclass(slots=True)
class Written:
    """Rows that are whole, in their order: of calls, of the ledger, of the changes that people made.

    `totals` are what is added to a total: by its table, and there by day and key.
    """

    calls: list[tuple[Any, ...]] = field(default_factory=list)
    entries: list[tuple[Any, ...]] = field(default_factory=list)
    changes: list[tuple[Any, ...]] = field(default_factory=list)
    totals: dict[str, dict[tuple[str, Any], list[int]]] = field(default_factory=lambda: {table: {} for table in TOTALS})


TOTALS = {
    "daily_extension_totals": "account_id",
    "daily_trunk_totals": "trunk",
    "daily_hour_totals": "hour",
    "daily_destination_totals": "destination",
}
CALL_COLUMNS = (
    "id", "call_id", "state", "reason", "account_id", "extension", "device", "number_dialed", "number", "trunk",
    "asked_at_ms", "attempt_stamp_ms", "answered_at_ms", "ended_at_ms", "local_day", "local_hour", "talk_seconds",
    "limit_seconds", "promised_seconds", "stretch_seconds", "cost_micros", "rate", "why", "settled_late", "settled_by",
    "flags", "hangup_cause", "caller_uniqueid", "trunk_uniqueid", "linkedid", "caller_channel", "trunk_channel",
    "ringing_at_ms",
)  # fmt: skip
ENTRY_COLUMNS = (
    "account_id", "kind", "amount_micros", "balance_before_micros", "balance_after_micros", "call_id", "actor", "at_ms"
)  # fmt: skip
CHANGE_COLUMNS = ("at_ms", "actor", "origin", "what", "before", "after")


def furnish(connection: sqlite3.Connection, extensions: int, rate_count: int) -> None:
    """Settings, trunks, extensions and rates of a site where billing is about to begin."""
    draw = random.Random(f"furnish {extensions} {rate_count}")
    site_service.prepare(connection, TIME_ZONE)
    activation.switch(connection, True, FOUNDER)
    for trunk in TRUNKS:
        trunks.add(connection, f"PJSIP/{trunk}", trunk, FOUNDER)
    for place in range(extensions):
        _move_in(connection, place, draw)
    rows = [tuple(writes.rate_columns(rate).values()) for rate in _rates(rate_count, draw)]
    names = writes.rate_columns(_BASE_RATES[0])
    connection.executemany(
        f"INSERT INTO rates ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})",
        rows,
    )


def _move_in(connection: sqlite3.Connection, place: int, draw: random.Random) -> None:
    """Of a hundred extensions four are not billed, one is locked, and every third of the others is postpaid."""
    extension = str(1000 + place)
    accounts.add(connection, extension, f"{draw.choice(_FIRST_NAMES)} {draw.choice(_LAST_NAMES)}", FOUNDER)
    kind = place % 100
    if kind in (3, 28, 53, 78):
        return
    changes: dict[str, object] = {"billing": True}
    if kind == 17:
        changes["status"] = "locked"
    elif kind % 3 == 0:
        changes |= {"payment_type": "postpaid", "credit_micros": draw.choice(_RECHARGES) * 4}
    accounts.change(connection, extension, changes, FOUNDER)
    payments.recharge(connection, extension, draw.choice(_RECHARGES), FOUNDER)


def _a_rate(prefix: str, length: int, remark: str, cost: str, seconds: int, price: str, unit: int) -> Rate:
    return Rate(0, prefix, length, parse_price(cost), seconds, parse_price(price), unit, remark=remark)


_CITY = _a_rate("9", 9, "city", "0.02", 60, "0.01", 60)
_PEAK_DAYS, _PEAK_HOURS = frozenset(range(1, 6)), range(8, 20)
_BASE_RATES = (
    _CITY,
    replace(
        _CITY,
        remark="city by day",
        initial_cost_micros=parse_price("0.03"),
        start_time=time(_PEAK_HOURS[0]),
        end_time=time(_PEAK_HOURS[-1], 59, 59),
        days=_PEAK_DAYS,
    ),
    _a_rate("6", 9, "mobile", "0.06", 30, "0.015", 10),
    _a_rate("7", 9, "mobile", "0.065", 30, "0.0155", 10),
    _a_rate("8", 9, "national", "0.03", 60, "0.02", 60),
    _a_rate("900", 9, "free phone", "0", 0, "0", 60),
    _a_rate("00", 0, "abroad", "0.2", 60, "0.2", 60),
    _a_rate("001", 0, "USA and Canada", "0.05", 60, "0.025", 30),
    _a_rate("0044", 0, "United Kingdom", "0.06", 60, "0.03", 30),
    _a_rate("0049", 0, "Germany", "0.055", 60, "0.0275", 30),
)
_SHAPES = [
    (f"0.0{digit}", seconds, f"0.0{digit}5", unit) for digit in range(2, 8) for seconds, unit in ((0, 1), (60, 30))
]


def _rates(count: int, draw: random.Random) -> Iterator[Rate]:
    """The base, then a carrier's list of codes abroad, each once."""
    yield from _BASE_RATES[:count]
    known = {rate.prefix for rate in _BASE_RATES}
    while len(known) < count - 1:  # two of the base have the same prefix
        area = "" if draw.random() < 0.001 else draw.randrange(10 ** draw.choice((2, 4, 5)))
        code = f"00{draw.randrange(20, 1000)}{area}"
        if code not in known:
            known.add(code)
            yield _a_rate(code, 0, f"abroad {code[2:5]}", *draw.choice(_SHAPES))


def phones(connection: sqlite3.Connection) -> list[Phone]:
    """The extensions of a site, by account."""
    rows = connection.execute("SELECT * FROM accounts ORDER BY id").fetchall()
    return [
        Phone(
            row["id"],
            row["extension"],
            bool(row["billing"]),
            row["status"] == "locked",
            row["credit_micros"],
            row["balance_micros"],
        )
        for row in rows
    ]


def contacts(connection: sqlite3.Connection, count: int, draw: random.Random) -> list[Contact]:
    """Numbers of all kinds, most of them in the city; the site's own query finds their rates."""
    abroad = [row["prefix"] for row in connection.execute("SELECT prefix FROM rates WHERE prefix LIKE '00%'")]
    numbers = [EMERGENCY_NUMBER, *(_number(draw, abroad) for _ in range(count))]
    return [Contact(number, reads.rates_for(connection, prefixes(number), "")) for number in numbers]


def _number(draw: random.Random, abroad: Sequence[str]) -> str:
    kind = draw.random()
    if kind < 0.05 and abroad:
        code = draw.choice(abroad)
        return code + "".join(draw.choices("0123456789", k=max(4, 13 - len(code))))
    first = next(
        first
        for first, share in (("9", 0.55), ("6", 0.77), ("7", 0.85), ("8", 0.97), ("900", 0.995), ("3", 1))
        if kind < share
    )
    return first + "".join(draw.choices("123456789", k=9 - len(first)))


class Decade:
    """The calls of a furnished site, day by day: `days` tells what each day writes."""

    def __init__(self, connection: sqlite3.Connection, past_calls: int) -> None:
        self._draw = random.Random(past_calls)
        self._phones = phones(connection)
        self._heavy = _weights(len(self._phones), self._draw)
        self._contacts = contacts(connection, min(200_000, 100 + past_calls // 30), self._draw)
        self._popular = _weights(len(self._contacts), self._draw)
        self._trunks = list(accumulate(TRUNKS.values()))
        self._past_calls = past_calls
        self._rows = 0
        self._open: list[tuple[int, int, Asked]] = []
        self._written = Written()

    @property
    def balances(self) -> Iterator[tuple[int, int]]:
        """Of each account what it has now, in micros, and its id."""
        return ((phone.balance_micros, phone.account_id) for phone in self._phones)

    def days(self) -> Iterator[Written]:
        """What each day writes."""
        for day, count in _calls_by_day(self._past_calls, self._draw):
            self._written = Written()
            self._live_through(day, count)
            if day == LAST_DAY:
                self._end_until(NOW_MS)
            self._written.calls.sort()
            yield self._written

    def _live_through(self, day: date, count: int) -> None:
        draw, name, is_workday = self._draw, day.isoformat(), day.isoweekday() in _PEAK_DAYS
        who = draw.choices(self._phones, cum_weights=self._heavy, k=count)
        whom = draw.choices(self._contacts, cum_weights=self._popular, k=count)
        over = draw.choices(tuple(TRUNKS), cum_weights=self._trunks, k=count)
        moments = sorted(_moments(day, count, draw))
        for (asked_ms, hour), phone, contact, trunk in zip(moments, who, whom, over, strict=True):
            self._end_until(asked_ms)
            if phone.available_micros < _LEAST_MICROS and phone.is_billed and draw.random() < 0.25:
                self._recharge(phone, draw.choice(_RECHARGES), asked_ms)
            self._ask(phone, contact, trunk, asked_ms, name, hour, is_workday and hour in _PEAK_HOURS)

    def _ask(
        self, phone: Phone, contact: Contact, trunk: str, asked_ms: int, day: str, hour: int, is_peak: bool
    ) -> None:
        self._rows += 1
        call_id = str(self._draw.randrange(10**17, 10**18))
        decided, promise, reason, told = _UNDECIDED, None, "", ""
        if contact.number == EMERGENCY_NUMBER:
            reason = "emergency"
        elif phone.is_locked:
            reason = "locked"
        elif not phone.is_billed:
            reason = "not-billed"
        else:
            decided = _decide(contact, is_peak, asked_ms)
            told = decided.why
            if decided.rate is None:
                reason = "no-rate"
            else:
                promise = whole(decided.rate, phone.available_micros, SITE.terms)
                told += _why_held(phone, decided.rate, promise)
                reason = "no-money" if promise is NOTHING or promise == NOTHING else ""
        answered_ms, ended_ms, rang_ms = self._answer(asked_ms, promise)
        asked = Asked(
            self._rows, call_id, phone, contact.number, trunk, asked_ms, day, hour, reason, decided, promise, told,
            answered_ms, ended_ms, rang_ms,
        )  # fmt: skip
        if reason in ("locked", "no-rate", "no-money"):
            self._written.calls.append(
                _row(asked._replace(promise=None, ended_ms=None, answered_ms=None), State.REFUSED)
            )
            _add(self._written.totals["daily_trunk_totals"], (day, trunk), 0, 0, 0, 0, 1)
            return
        if promise is not None:
            phone.held_micros += promise.hold_micros
        heappush(self._open, (ended_ms, self._rows, asked))

    def _answer(self, asked_ms: int, promise: Promise | None) -> tuple[int | None, int, int]:
        """When somebody answers, when it ends, and how long it took until it rang."""
        draw = self._draw
        rang_ms = 300 + int(draw.random() * 3_000)
        if draw.random() > _ANSWERED:
            return None, asked_ms + rang_ms + 4_000 + int(draw.random() * 40_000), rang_ms
        answered_ms = asked_ms + rang_ms + 1_000 + int(draw.random() * 20_000)
        longest_ms = 1000 * (SITE.terms.longest_seconds if promise is None else promise.limit_seconds)
        return answered_ms, answered_ms + min(int(1000 * draw.lognormvariate(4.3, 1.1)), longest_ms), rang_ms

    def _end_until(self, now_ms: int) -> None:
        while self._open and self._open[0][0] <= now_ms:
            self._end(heappop(self._open)[2])

    def _end(self, asked: Asked) -> None:
        if asked.promise is not None:
            asked.phone.held_micros -= asked.promise.hold_micros
        if asked.answered_ms is None:
            self._written.calls.append(_row(asked, State.RELEASED))
            _add(self._written.totals["daily_trunk_totals"], (asked.day, asked.trunk), 0, 0, 0, 1, 0)
        else:
            self._settle(asked, asked.answered_ms)

    def _settle(self, asked: Asked, answered_ms: int) -> None:
        """What was promised is held, so that each call can be charged whole."""
        phone, rate = asked.phone, asked.decided.rate
        seconds, cost_micros, told = (asked.ended_ms - answered_ms) // 1000, 0, asked.why
        is_lost = self._draw.random() < _LOST
        if is_lost:
            seconds = max(1, seconds)
            asked = asked._replace(ended_ms=answered_ms + seconds * 1000)
            told += _WHY_LOST
        if rate is not None:
            cost_micros = _cost_micros(rate, seconds)
            told += _why_talk(rate, seconds)
        if cost_micros:
            before_micros, after_micros = phone.balance_micros, phone.balance_micros - cost_micros
            told += _WHY_MOVED % (format_amount(before_micros), format_amount(after_micros))
            phone.balance_micros = after_micros
            self._enter(phone, "call", before_micros, asked.call_id, settlement.ACTOR, asked.ended_ms)
        self._written.calls.append(_row(asked._replace(why=told), State.SETTLED, seconds, cost_micros, is_lost))
        destination = NO_RATE if rate is None else rate.prefix
        for table, key in zip(TOTALS, (phone.account_id, asked.trunk, asked.hour, destination), strict=True):
            _add(self._written.totals[table], (asked.day, key), 1, seconds, cost_micros, 0, 0)

    def _recharge(self, phone: Phone, amount_micros: int, now_ms: int) -> None:
        before_micros = phone.balance_micros
        phone.balance_micros += amount_micros
        self._enter(phone, "recharge", before_micros, None, MANAGER, now_ms)
        sums = (f'{{"balance_micros": {micros}}}' for micros in (before_micros, phone.balance_micros))
        self._written.changes.append((now_ms, MANAGER, DESK, f"extension {phone.extension}", *sums))

    def _enter(self, phone: Phone, kind: str, before_micros: int, call_id: str | None, actor: str, now_ms: int) -> None:
        after_micros = phone.balance_micros
        amount_micros = after_micros - before_micros
        self._written.entries.append(
            (phone.account_id, kind, amount_micros, before_micros, after_micros, call_id, actor, now_ms)
        )


_UNDECIDED = Decided(None, None, "")
_WHY_LOST = "," + why.stored([why.LOST()])[1:-1]
_WHY_MOVED = f',[{why.BALANCE_MOVED.number},"%s","%s"]'
_WHY_HELD = f',[{why.HELD.number},"%s","%s","%s",%s]'
_OUTCOME = f'[{why.HELD_FOR_ALL.number},"%s",%d]'


def _why_held(phone: Phone, rate: Rate, promise: Promise) -> str:
    if promise == NOTHING:
        outcome = why.stored([decision.explain_shortage(rate, phone.available_micros)])[1:-1]
    else:
        outcome = _OUTCOME % (format_amount(promise.hold_micros), promise.limit_seconds)
    sums = map(format_amount, (phone.balance_micros, phone.credit_micros, phone.held_micros))
    return _WHY_HELD % (*sums, outcome)


def _decide(contact: Contact, is_peak: bool, asked_ms: int) -> Decided:
    """Off peak the moment is told where a rate lost by it; all else is told once of each number."""
    decided = contact.by_peak.get(is_peak)
    if decided is None:
        choice = tariff.choose(contact.rates, "", contact.number, clock.local_moment(asked_ms, SITE.time_zone))
        decided = Decided(choice.rate, choice.rate and _snapshot(choice.rate), _why_chosen(choice))
        if is_peak or all(rate.days == tariff.ALL_DAYS for rate in contact.rates):
            contact.by_peak[is_peak] = decided
    return decided


def _why_chosen(choice: Choice) -> str:
    return "," + why.stored(decision.explain_choice(choice))[1:-1]


@cache
def _snapshot(rate: Rate) -> str:
    return reads.rate_snapshot(rate)


@cache
def _cost_micros(rate: Rate, talk_seconds: int) -> int:
    return rating.cost_of_talk(rate, talk_seconds, 0)


@cache
def _why_talk(rate: Rate, talk_seconds: int) -> str:
    return "," + why.stored(decision.explain_talk(rate, talk_seconds, 0))[1:-1]


def _row(
    asked: Asked, state: State, talk_seconds: int = 0, cost_micros: int = 0, is_lost: bool = False
) -> tuple[Any, ...]:
    phone, promise, is_answered = asked.phone, asked.promise, asked.answered_ms is not None
    stamp_ms, uniqueid = asked.asked_ms - 2, f"{asked.asked_ms // 1000}.{2 * asked.row}"
    return (
        asked.row,
        asked.call_id,
        state.value,
        asked.reason,
        phone.account_id,
        phone.extension,
        f"PJSIP/{phone.extension}",
        asked.number,
        asked.number,
        asked.trunk,
        asked.asked_ms,
        stamp_ms,
        asked.answered_ms,
        asked.ended_ms,
        asked.day,
        asked.hour,
        talk_seconds,
        promise and promise.limit_seconds,
        promise and promise.promised_seconds,
        promise.stretch_seconds if promise else 0,
        cost_micros,
        asked.decided.snapshot,
        f"[{asked.why[1:]}]",
        int(is_lost),
        Source.RULE.value if is_lost else Source.SETTLE.value if is_answered else "",
        LOST if is_lost else "",
        "" if is_lost or state is State.REFUSED else "16" if is_answered else "19",
        uniqueid,
        f"{asked.asked_ms // 1000}.{2 * asked.row + 1}" if is_answered else "",
        uniqueid,
        f"PJSIP/{phone.extension}-{2 * asked.row:08x}",
        f"PJSIP/{asked.trunk}-{2 * asked.row + 1:08x}" if is_answered else "",
        None if is_lost or state is State.REFUSED else stamp_ms + asked.rang_ms,
    )


def _add(totals: dict[tuple[str, Any], list[int]], key: tuple[str, Any], *sums: int) -> None:
    found = totals.get(key)
    if found is None:
        totals[key] = list(sums)
    else:
        found[:] = map(sum, zip(found, sums, strict=True))


def _weights(count: int, draw: random.Random) -> list[float]:
    """A few of them talk much, many little (Zipf), in no order; summed up."""
    shares = [1 / (place + 3) ** 0.8 for place in range(count)]
    draw.shuffle(shares)
    return list(accumulate(shares))


def _calls_by_day(past_calls: int, draw: random.Random) -> Iterator[tuple[date, int]]:
    """Every day and how many calls are made on it: fewer on weekends and in August, and more from year to year."""
    days = [FIRST_DAY + timedelta(days=number) for number in range((LAST_DAY - FIRST_DAY).days + 1)]
    shares = [
        _WEEKDAYS[day.weekday()]
        * _MONTHS[day.month - 1]
        * (1 + 0.05 * (day.year - FIRST_DAY.year))
        * draw.uniform(0.8, 1.2)
        for day in days
    ]
    scale = past_calls / sum(shares)
    until = [0, *(round(summed * scale) for summed in accumulate(shares))]
    return zip(days, (after - before for before, after in pairwise(until)), strict=True)


def _moments(day: date, count: int, draw: random.Random) -> Iterator[tuple[int, int]]:
    """Instants of a day's calls, each with its hour of the day."""
    starts_ms = [clock.milliseconds(datetime.combine(day, time(hour), SITE.time_zone)) for hour in range(24)]
    last = LAST_HOUR if day == LAST_DAY else 23
    for hour in draw.choices(range(last + 1), weights=_HOURS[: last + 1], k=count):
        yield starts_ms[hour] + int(draw.random() * 3_600_000), hour
