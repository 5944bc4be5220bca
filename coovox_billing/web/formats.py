"""How money, times and calls are written on pages: the one place of it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from babel.core import Locale
from babel.numbers import format_currency, format_percent
from flask import g, has_request_context

from coovox_billing.core import clock
from coovox_billing.core.call import ALONE, ARCHIVED, CLOCK, CORRECTED, LOST, OPEN_STATES, UNCOLLECTED, Source, State
from coovox_billing.core.money import MICROS_PER_UNIT, format_amount, format_price
from coovox_billing.core.roles import Role
from coovox_billing.core.site_settings import (
    BY_LANGUAGE,
    DEFAULT_DATE_FORMAT,
    TWELVE_HOURS,
    TWENTY_FOUR_HOURS,
)
from coovox_billing.core.tariff import NO_RATE
from coovox_billing.services import stays
from coovox_billing.store import queries
from coovox_billing.store.lists.calls import CallLine, LiveCall, LoggedCall
from coovox_billing.store.lists.recharges import Payment
from coovox_billing.web import numerals, reader
from coovox_billing.web.listing import Kind
from coovox_billing.web.words import gettext as _
from coovox_billing.web.words import later

_CODES = {"Other": "XXX"}  # ISO 4217: no currency, whose sign is the guide's ¤
CURRENCY_SIGNS = {"USD": "$", "CNY": "¥", "EUR": "€", "GBP": "£", "Other": "¤"}

_DAYS_KEPT = 256
_TWO_DIGITS = tuple(f"{number:02d}" for number in range(100))

BUSY_CAUSE = "17"  # Q.850, as Asterisk's HANGUPCAUSE

REASONS = {
    "bad-number": later("not a number"),
    "billing-down": later("billing was down"),
    "dial-options": later("dial options"),
    "emergency": later("emergency"),
    "locked": later("locked"),
    "no-money": later("no money"),
    "no-payer": later("no extension"),
    "no-rate": later("no rate"),
    "not-active": later("billing was off"),
    "not-billed": later("not billed"),
}
_STATES = {
    State.ASKED: later("Asked"),
    State.REFUSED: later("Refused"),
    State.HELD: later("In progress"),
    State.TALKING: later("In progress"),
    State.SETTLED: later("Answered"),
    State.RELEASED: later("No answer"),
}
_SETTLED_BY = {
    Source.SETTLE: later("Asterisk, when it ended"),
    Source.ASTDB: later("what Asterisk kept while billing was away (AstDB)"),
    Source.CEL: later("Asterisk's records of what happened (CEL)"),
    Source.CDR: later("Asterisk's call records (CDR)"),
    Source.RULE: later("nobody: closed by rule, charged up to its last sign of life"),
}
_FLAGS = {
    ALONE: later("passed while billing was away"),
    ARCHIVED: later("look at it: its talk was told after the call had been archived as unanswered"),
    CLOCK: later("the clock was set during the call"),
    CORRECTED: later("closed by rule first, then corrected"),
    LOST: later("look at it: nobody told how it ended"),
    UNCOLLECTED: later("not all of the cost could be collected"),
}

ROLES = {
    Role.OWNER: later("Owner"),
    Role.MANAGER: later("Billing manager"),
    Role.CASHIER: later("Cashier"),
    Role.AUDITOR: later("Auditor"),
}

FLAG_MARKS = {
    ALONE: later("Billing was away"),
    ARCHIVED: later("Told after archiving"),
    CLOCK: later("Clock was set"),
    CORRECTED: later("Corrected"),
    LOST: later("End unknown"),
    UNCOLLECTED: later("Not all collected"),
}


def role(name: str) -> str:
    """A role in words."""
    return _(ROLES[Role(name)])


def currency_sign(currency: str) -> str:
    """The guide's sign of a currency setting."""
    return CURRENCY_SIGNS[currency]


def moment(instant_ms: int, zone: ZoneInfo) -> str:
    """The site's wall-clock time, in its date format: `2019-05-31 15:03:31`, `31/05/2019 3:03:31 p. m.`."""
    local = clock.local_moment(instant_ms, zone)
    return f"{day(local)} {time_of_day(local)}"


def moments_in_files(zone: ZoneInfo) -> Callable[[int], str]:
    """What writes the same for programs: in 24 hours, in the site's date format, or the guide's for the reader's."""
    word = _of_site().date_format
    date_format = DEFAULT_DATE_FORMAT if word == BY_LANGUAGE else word
    wall_seconds = clock.wall_clock(zone)

    after_the_hour = [f":{minute}:{second}" for minute in _TWO_DIGITS[:60] for second in _TWO_DIGITS[:60]]

    @lru_cache(maxsize=_DAYS_KEPT)
    def day_of(days: int) -> str:
        return in_date_format(date(1970, 1, 1) + timedelta(days=days), date_format)

    def written(instant_ms: int) -> str:
        hours, second = divmod(wall_seconds(instant_ms), clock.SECONDS_PER_HOUR)
        days, hour = divmod(hours, 24)
        return f"{day_of(days)} {_TWO_DIGITS[hour]}{after_the_hour[second]}"

    return written


def day(local_day: date) -> str:
    """A day in the site's date format; the guide's is `2019-05-31`."""
    return in_date_format(local_day, date_format())


def time_of_day(local: datetime | time) -> str:
    """The time of day, in 24 or 12 hours: `15:03:31`, `3:03:31 PM`."""
    if not has_twelve_hours():
        return f"{local:%H:%M:%S}"
    locale = reader.locale()
    return str(locale.datetime_skeletons["hms"].apply(local, locale))


def short_time(local: datetime | time) -> str:
    """The time of day to the minute: `15:03`, `3:03 PM`."""
    if not has_twelve_hours():
        return f"{local:%H:%M}"
    locale = reader.locale()
    return str(locale.datetime_skeletons["hm"].apply(local, locale))


def in_date_format(local_day: date, word: str) -> str:
    """A day as one of the date formats writes it."""
    parts = {"YYYY": f"{local_day.year:04d}", "MM": f"{local_day.month:02d}", "DD": f"{local_day.day:02d}"}
    for letters, digits in parts.items():
        word = word.replace(letters, digits)
    return word


def date_format() -> str:
    """The date format of this page: the site's, or the one of the reader's language."""
    word = _of_site().date_format
    return date_format_of(reader.locale()) if word == BY_LANGUAGE else word


def has_twelve_hours() -> bool:
    """Whether this page writes times in 12 hours."""
    word = _of_site().time_format
    return word == TWELVE_HOURS or (word == BY_LANGUAGE and "a" in reader.locale().time_formats["medium"].pattern)


def date_format_of(locale: Locale) -> str:
    """How a language writes a day in digits: `DD/MM/YYYY`, always with whole years, so that days stand in columns."""
    pattern = locale.datetime_skeletons["yMd"].pattern.replace("\u200f", "")
    return re.sub("y+", "YYYY", re.sub("M+", "MM", re.sub("d+", "DD", pattern)))


@dataclass(frozen=True, slots=True)
class _Formats:
    date_format: str
    time_format: str


def _of_site() -> _Formats:
    """The formats of the site, read once for a page or a file of many rows."""
    if not has_request_context():
        return _Formats(DEFAULT_DATE_FORMAT, TWENTY_FOUR_HOURS)
    if "formats" not in g:
        site = queries.site()
        g.formats = _Formats(site.date_format, site.time_format)
    found: _Formats = g.formats
    return found


def duration(seconds: int) -> str:
    """Talk time as the guide's call log writes it: `00:03:58`."""
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    if hour >= len(_TWO_DIGITS):
        return f"{hour}:{_TWO_DIGITS[minute]}:{_TWO_DIGITS[second]}"
    return f"{_TWO_DIGITS[hour]}:{_TWO_DIGITS[minute]}:{_TWO_DIGITS[second]}"


def long_duration(seconds: int) -> str:
    """Talk time as the guide's statistics write it: `0:12:22`."""
    return duration(seconds).removeprefix("0")


def short_duration(seconds: int) -> str:
    """What is left of a call, the hours only where there are any: `1:01`."""
    minutes, second = divmod(seconds, 60)
    return long_duration(seconds) if minutes >= 60 else f"{minutes}:{second:02d}"


def value(kind: Kind, known: Any, zone: ZoneInfo) -> str:
    """What a column of a kind holds, as its cell shows it; a dash for a number that is not known."""
    if known is None:
        return "–" if kind.is_number else ""
    if kind is Kind.AMOUNT:
        return amount(known)
    if kind is Kind.PRICE:
        return price(known)
    if kind is Kind.COUNT:
        return numerals.whole(known)
    if kind is Kind.DURATION:
        return duration(known)
    if kind is Kind.LONG_DURATION:
        return long_duration(known)
    return moment(known, zone) if kind is Kind.MOMENT else str(known)


def weekdays() -> list[tuple[int, str]]:
    """ISO weekdays with their short names."""
    names = reader.locale().days["format"]["abbreviated"]
    return [(day, str(names[day - 1])) for day in range(1, 8)]


def weekday(number: int) -> str:
    """An ISO weekday in words: `Monday`."""
    return str(reader.locale().days["format"]["wide"][number - 1])


def hour(number: int) -> str:
    """The hour of a day that begins then: `09:00`, `9 AM`."""
    if not has_twelve_hours():
        return f"{number:02d}:00"
    locale = reader.locale()
    return str(locale.datetime_skeletons["h"].apply(time(number), locale))


def percent_of_mille(per_mille: int) -> str:
    """Thousandths as percent with one decimal: `87.5%`."""
    locale = reader.locale()
    pattern = (
        locale.percent_formats[None]
        .pattern.replace("0%", "0.0%")
        .replace("0\N{NO-BREAK SPACE}%", "0.0\N{NO-BREAK SPACE}%")
    )
    return format_percent(Decimal(per_mille) / 1000, pattern, locale)


def destination(prefix: str, remark: str = "") -> str:
    """Where calls went, as the prefix of the rate that priced them, with what that rate is called."""
    if prefix == NO_RATE:
        return _("No rate")
    words = _("Prefix %(prefix)s", prefix=prefix) if prefix else _("Every prefix")
    return f"{remark} ({prefix})" if remark and prefix else remark or words


def is_open(call: LoggedCall | CallLine) -> bool:
    """Whether the call still runs, so that neither its talk nor its cost is known."""
    return call.state in OPEN_STATES


def status(call: LoggedCall | CallLine) -> str:
    """What became of a call, in words: `Refused: no money`, `In progress`."""
    return outcome(call.state, call.reason, call.hangup_cause)


def outcome(state: str, reason: str, hangup_cause: str) -> str:
    """The same of its facts, which many calls have in common."""
    words = _(_STATES[State(state)])
    if state == State.RELEASED and hangup_cause == BUSY_CAUSE:
        words = _("Busy")
    return f"{words}: {_(REASONS.get(reason, reason))}" if reason else words


def flags(call: LoggedCall | CallLine) -> str:
    """What a person should know of a call, in words."""
    return ", ".join(_(FLAG_MARKS[flag]) for flag in call.flags) if call.flags else ""


def caller(call: LoggedCall | CallLine | LiveCall) -> str:
    """Who called, as the guide writes it."""
    return named(call.name, call.extension) if call.extension else _("no extension")


def named(name: str, extension: str) -> str:
    """An extension as the guide writes it: `Extension2[102]`; only the number where there is no name."""
    return f"{name}[{extension}]" if name else extension


def amount(micros: int) -> str:
    """A balance, cost or recharge with the guide's four decimals: `1,234.1800`, `1.234,1800`."""
    return numerals.signs().write(format_amount(micros))


def price(micros: int) -> str:
    """A price with four decimals, or six where it needs them."""
    return numerals.signs().write(format_price(micros))


def amount_for_field(micros: int) -> str:
    """An amount in a field, without signs between thousands."""
    return numerals.signs().write_for_field(format_amount(micros))


def money(micros: int, currency: str) -> str:
    """An amount with its currency, the sign where the reader's language has it: `$12.5000`."""
    locale = reader.locale()
    pattern = locale.currency_formats["standard"].pattern.replace("0.00", "0.0000")
    with_sign = pattern.replace("¤", currency_sign(currency))
    code = _CODES.get(currency, currency)
    return format_currency(Decimal(micros) / MICROS_PER_UNIT, code, with_sign, locale, currency_digits=False)


def payment_kind(payment: Payment) -> str:
    """What a payment was, in words."""
    if payment.undoes is not None:
        return _("Taken back")
    return _("Recharge") if payment.kind == "recharge" else _("Correction")


def days(first_day: date | None, last_day: date | None) -> str:
    """A time from one day to another, both included, in words."""
    return " – ".join("" if bound is None else day(bound) for bound in (first_day, last_day))


def payment_reason(reason: str) -> str:
    """Why it was made: our own words for what is done with guests, else what a person wrote."""
    return {stays.CHECK_IN: _("Check-in"), stays.CHECK_OUT: _("Check-out")}.get(reason, reason)


def about_period(first_day: date | None, last_day: date | None, keywords: str) -> list[tuple[str, str]]:
    """What a download says of its search."""
    return [
        (_("From"), "" if first_day is None else day(first_day)),
        (_("To"), "" if last_day is None else day(last_day)),
        (_("Keywords"), keywords),
    ]


def facts(call: LoggedCall, zone: ZoneInfo) -> list[tuple[str, str]]:
    """What else is known of a call: names and values, only those that there are."""
    instants = {
        _("Asked"): call.asked_at_ms,
        _("Ringing"): call.ringing_at_ms,
        _("Answered"): call.answered_at_ms,
        _("Ended"): call.ended_at_ms,
    }
    told = {
        _("Device"): call.device,
        _("Dialed"): call.number_dialed if call.number_dialed != call.number else "",
        **{name: moment(instant_ms, zone) for name, instant_ms in instants.items() if instant_ms is not None},
        _("Attempts"): str(call.attempts) if call.attempts > 1 else "",
        _("Hangup cause"): call.hangup_cause,
        _("End told by"): _(_SETTLED_BY[Source(call.settled_by)]) if call.settled_by else "",
        _("Flags"): "; ".join(_(_FLAGS[flag]) for flag in call.flags),
        _("Call id"): call.id,
    }
    return [(name, text) for name, text in told.items() if text]
