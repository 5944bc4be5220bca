"""Periods that stay relative: an address with `period=this-month` means the month in which it is opened."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

from flask import request

from coovox_billing.core.clock import local_day
from coovox_billing.store import queries
from coovox_billing.web import formats
from coovox_billing.web.arguments import Arguments
from coovox_billing.web.parts import parts
from coovox_billing.web.words import gettext as _
from coovox_billing.web.words import later

Days = tuple[date | None, date | None]

_DAY = timedelta(days=1)


def _last_month(today: date) -> tuple[date, date]:
    last = today.replace(day=1) - _DAY
    return last.replace(day=1), last


_PERIODS: dict[str, tuple[str, Callable[[date], tuple[date, date]]]] = {
    "today": (later("Today"), lambda today: (today, today)),
    "yesterday": (later("Yesterday"), lambda today: (today - _DAY, today - _DAY)),
    "last-7-days": (later("Last 7 days"), lambda today: (today - 6 * _DAY, today)),
    "last-30-days": (later("Last 30 days"), lambda today: (today - 29 * _DAY, today)),
    "this-month": (later("This month"), lambda today: (today.replace(day=1), today)),
    "last-month": (later("Last month"), _last_month),
    "this-year": (later("This year"), lambda today: (today.replace(month=1, day=1), today)),
}


@dataclass(frozen=True, slots=True)
class Offered:
    """A period that a filter offers: its word in the address, what it is called, its days in words."""

    word: str
    words: str
    days: str
    is_chosen: bool


def asked(arguments: Arguments) -> Days:
    """The first and the last day that an address asks for, None for no bound.

    Its `from` and `to` count; where neither is given, its `period`, as of the site's present day.
    """
    first, last = arguments.day("from"), arguments.day("to")
    period = arguments.choice("period", _PERIODS)
    if first is not None or last is not None or not period:
        return first, last
    return _PERIODS[period][1](_today())


def offered() -> list[Offered]:
    """The periods, for the page of this request."""
    today = _today()
    chosen = request.args.get("period", "")
    is_free = not request.args.get("from") and not request.args.get("to")
    return [
        Offered(word, _(words), _written(*days_of(today)), is_free and word == chosen)
        for word, (words, days_of) in _PERIODS.items()
    ]


def _today() -> date:
    return local_day(parts().now_ms(), queries.site().time_zone)


def _written(first: date, last: date) -> str:
    return formats.day(first) if first == last else f"{formats.day(first)} – {formats.day(last)}"
