"""How money, times and calls are written on pages: the one place of it."""

from datetime import date
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from babel.core import Locale
from babel.numbers import format_currency
from flask import g, has_request_context

from coovox_billing.core import clock
from coovox_billing.core.call import ALONE, ARCHIVED, CLOCK, CORRECTED, LOST, OPEN_STATES, UNCOLLECTED, Source, State
from coovox_billing.core.money import MICROS_PER_UNIT, format_amount, format_price
from coovox_billing.core.roles import Role
from coovox_billing.core.site_settings import DEFAULT_DATE_FORMAT
from coovox_billing.core.tariff import NO_RATE
from coovox_billing.store import queries
from coovox_billing.store.lists.calls import LiveCall, LoggedCall
from coovox_billing.store.lists.recharges import Payment
from coovox_billing.web.listing import Kind
from coovox_billing.web.words import gettext as _
from coovox_billing.web.words import language, later

_CODES = {"Other": "XXX"}  # ISO 4217: no currency, whose sign is the guide's ¤
CURRENCY_SIGNS = {"USD": "$", "CNY": "¥", "EUR": "€", "GBP": "£", "Other": "¤"}

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
    """The site's wall-clock time, in its date format: `2019-05-31 15:03:31`."""
    local = clock.local_moment(instant_ms, zone)
    return f"{day(local)} {local:%H:%M:%S}"


def day(local_day: date) -> str:
    """A day in the site's date format; the guide's is `2019-05-31`."""
    return in_date_format(local_day, date_format())


def in_date_format(local_day: date, word: str) -> str:
    """A day as one of the date formats writes it."""
    parts = {"YYYY": f"{local_day.year:04d}", "MM": f"{local_day.month:02d}", "DD": f"{local_day.day:02d}"}
    for letters, digits in parts.items():
        word = word.replace(letters, digits)
    return word


def date_format() -> str:
    """The site's date format, read once for a page or a file of many rows."""
    if not has_request_context():
        return DEFAULT_DATE_FORMAT
    if "date_format" not in g:
        g.date_format = queries.site().date_format
    return str(g.date_format)


def duration(seconds: int) -> str:
    """Talk time as the guide's call log writes it: `00:03:58`."""
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02d}:{minute:02d}:{second:02d}"


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
        return format_amount(known)
    if kind is Kind.PRICE:
        return format_price(known)
    if kind is Kind.DURATION:
        return duration(known)
    if kind is Kind.LONG_DURATION:
        return long_duration(known)
    return moment(known, zone) if kind is Kind.MOMENT else str(known)


def weekdays() -> list[tuple[int, str]]:
    """ISO weekdays with their short names."""
    names = Locale.parse(language()).days["format"]["abbreviated"]
    return [(day, str(names[day - 1])) for day in range(1, 8)]


def weekday(number: int) -> str:
    """An ISO weekday in words: `Monday`."""
    return str(Locale.parse(language()).days["format"]["wide"][number - 1])


def hour(number: int) -> str:
    """The hour of a day that begins then: `09:00`."""
    return f"{number:02d}:00"


def percent_of_mille(per_mille: int) -> str:
    """Thousandths as percent with one decimal: `87.5 %`."""
    return f"{per_mille / 10:.1f} %"


def destination(prefix: str, remark: str = "") -> str:
    """Where calls went, as the prefix of the rate that priced them, with what that rate is called."""
    if prefix == NO_RATE:
        return _("No rate")
    words = _("Prefix %(prefix)s", prefix=prefix) if prefix else _("Every prefix")
    return f"{remark} ({prefix})" if remark and prefix else remark or words


def is_open(call: LoggedCall) -> bool:
    """Whether the call still runs, so that neither its talk nor its cost is known."""
    return call.state in OPEN_STATES


def status(call: LoggedCall) -> str:
    """What became of a call, in words: `Refused: no money`, `In progress`."""
    words = _(_STATES[State(call.state)])
    if call.state == State.RELEASED and call.hangup_cause == BUSY_CAUSE:
        words = _("Busy")
    return f"{words}: {_(REASONS.get(call.reason, call.reason))}" if call.reason else words


def flags(call: LoggedCall) -> str:
    """What a person should know of a call, in words."""
    return ", ".join(_(FLAG_MARKS[flag]) for flag in call.flags)


def caller(call: LoggedCall | LiveCall) -> str:
    """Who called, as the guide writes it."""
    return named(call.name, call.extension) if call.extension else _("no extension")


def named(name: str, extension: str) -> str:
    """An extension as the guide writes it: `Extension2[102]`; only the number where there is no name."""
    return f"{name}[{extension}]" if name else extension


def money(micros: int, currency: str) -> str:
    """An amount with its currency, the sign where the reader's language has it: `$12.5000`."""
    pattern = Locale.parse(language()).currency_formats["standard"].pattern.replace("0.00", "0.0000")
    with_sign = pattern.replace("¤", currency_sign(currency))
    code = _CODES.get(currency, currency)
    return format_currency(Decimal(micros) / MICROS_PER_UNIT, code, with_sign, language(), currency_digits=False)


def payment_kind(payment: Payment) -> str:
    """What a payment was, in words."""
    if payment.undoes is not None:
        return _("Taken back")
    return _("Recharge") if payment.kind == "recharge" else _("Correction")


def days(first_day: date | None, last_day: date | None) -> str:
    """A time from one day to another, both included, in words."""
    return " – ".join("" if bound is None else day(bound) for bound in (first_day, last_day))


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
