"""The guide's *Statistics*: calls, their time and cost by day, month or year, of all or some extensions."""

import re
from calendar import monthrange
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property, partial
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from coovox_billing.errors import BadInput
from coovox_billing.store import queries
from coovox_billing.store.lists import statistics
from coovox_billing.store.lists.breakdowns import Breakdown, Share, TrunkShare
from coovox_billing.store.lists.statistics import Period, StatisticsQuery, Sums
from coovox_billing.store.lists.totals import LENGTH_OF
from coovox_billing.web import charts, downloads, formats, periods
from coovox_billing.web.access import READERS, needs
from coovox_billing.web.arguments import Arguments
from coovox_billing.web.charts import Chart, Point
from coovox_billing.web.downloads import Download
from coovox_billing.web.listing import Column, Kind, read_page
from coovox_billing.web.tables import Table
from coovox_billing.web.words import gettext as _

page = Blueprint("statistics", __name__)

FIRST_SHOWN = "last-30-days"
MOST_EXTENSIONS = 50
MOST_BARS = 62
MOST_LABELS = 7
NOTHING = Sums(0, 0, 0)
MOST_SHARES = 10

_BETWEEN = re.compile(r"[\s,;]+")


@page.get("/statistics")
@needs(*READERS)
def show() -> ResponseReturnValue:
    """The sums of a time; of the last thirty days where nothing was asked for."""
    if not request.args:
        return redirect(url_for("statistics.show", period=FIRST_SHOWN), 303)
    arguments = Arguments(request.args)
    query = _query(arguments)
    return render_template(
        "statistics/list.html",
        page=read_page(query, arguments),
        totals=query.totals,
        table=TABLE.view(),
        columns=_columns(),
        days=formats.days(query.first_day, query.last_day),
        errors=arguments.errors,
        charts=_charts(query),
        parts=None if query.extensions else _parts(query),
        calls_of=partial(_calls_of, (query.first_day, query.last_day)),
        extension_words=lambda share: formats.named(share.name, share.key),
        destination_words=lambda share: formats.destination(share.key, share.name),
        weekdays=formats.weekdays(),
        choices=[(by, words) for by, words in _periods().items()],
        days_of=_days_of,
        zone=queries.site().time_zone,
    )


@dataclass(frozen=True)
class Parts:
    """The calls of a time by whom, whereto, over what and when (ISO weekday and hour)."""

    extensions: list[Share]
    destinations: list[Share]
    trunks: list[TrunkShare]
    hours: dict[tuple[int, int], Sums]

    @cached_property
    def calls_by_hour(self) -> list[int]:
        """The calls of each hour of the day, on all weekdays."""
        return [sum(self.calls_at(day, hour) for day in range(1, 8)) for hour in range(24)]

    @property
    def hours_shown(self) -> range:
        """From the first hour with calls to the last."""
        busy = [hour for _weekday, hour in self.hours]
        return range(min(busy), max(busy) + 1)

    def calls_at(self, weekday: int, hour: int) -> int:
        """The calls of an hour of a weekday."""
        return self.hours.get((weekday, hour), NOTHING).calls

    def calls_of_weekday(self, weekday: int) -> int:
        """The calls of a weekday at all hours."""
        return sum(self.calls_at(weekday, hour) for hour in range(24))

    def heat_of(self, calls: int) -> int:
        """How dark the field of so many calls is."""
        return charts.heat(calls, self._most_calls)

    @cached_property
    def _most_calls(self) -> int:
        return max(sums.calls for sums in self.hours.values())


def _parts(query: StatisticsQuery) -> Parts:
    of = Breakdown(query.first_day, query.last_day)
    return Parts(of.extensions(MOST_SHARES), of.destinations(MOST_SHARES), of.trunks(), of.hours())


@page.get("/statistics.<any(csv, xlsx):kind>")
@needs(*READERS)
def download(kind: str) -> ResponseReturnValue:
    """The search results as a file."""
    return downloads.send(found(Arguments(request.args)), kind)


def found(arguments: Arguments) -> Download:
    """The search results."""
    query = _query(arguments)
    columns = _columns()
    sums = query.totals
    values = (sums.calls, sums.talk_seconds, sums.average_seconds, sums.cost_micros)
    totals = {column.title: value for column, value in zip(columns[2:], values, strict=True)}
    return Download("statistics", _about(query), columns, query, totals, queries.site().time_zone)


def _query(arguments: Arguments) -> StatisticsQuery:
    first_day, last_day = periods.asked(arguments)
    return StatisticsQuery(
        first_day,
        last_day,
        arguments.choice("by", LENGTH_OF, "day"),
        arguments.parsed("extension", _parse_extensions, ()),
    )


def _parse_extensions(text: str) -> tuple[str, ...]:
    """One or several numbers, with spaces or commas between them."""
    extensions = tuple(dict.fromkeys(extension for extension in _BETWEEN.split(text) if extension))
    if len(extensions) > MOST_EXTENSIONS:
        raise BadInput("up to %(most)s extensions; * is each of them", most=MOST_EXTENSIONS)
    if unknown := statistics.unknown(extensions):
        raise BadInput("there is no extension %(extension)s", extension=unknown[0][:40])
    return extensions


def _periods() -> dict[str, str]:
    return {"day": _("Day"), "month": _("Month"), "year": _("Year")}


def _about(query: StatisticsQuery) -> list[tuple[str, str]]:
    return [
        *formats.about_period(query.first_day, query.last_day, "")[:2],
        (_("Extension"), " ".join(query.extensions) or _("All")),
        (_("Statistics By"), _periods()[query.by]),
    ]


def _columns() -> list[Column[Period]]:
    sign = formats.currency_sign(queries.site().currency)
    return [
        Column(_("Date"), lambda row: _written(row.period), key="date", names_row=True, look="when"),
        Column(
            _("Extension"),
            lambda row: formats.named(row.name, row.extension) if row.extension else _("All"),
            key="extension",
            look="bare",
        ),
        Column(_("Calls"), lambda row: row.sums.calls, Kind.COUNT, key="calls"),
        Column(_("Total Call Time"), lambda row: row.sums.talk_seconds, Kind.LONG_DURATION, key="talk"),
        Column(_("Average Call Time"), lambda row: row.sums.average_seconds, Kind.LONG_DURATION, key="average"),
        Column(
            _("Total Cost(%(sign)s)", sign=sign),
            lambda row: row.sums.cost_micros,
            Kind.AMOUNT,
            key="cost",
            look="lead",
        ),
    ]


TABLE = Table("statistics", "statistics.show", _columns)


def _written(period: str) -> str:
    """A day in the site's date format; months and years as they are."""
    return formats.day(date.fromisoformat(period)) if len(period) == LENGTH_OF["day"] else period


def _days_of(period: str) -> tuple[str, str]:
    """The first and the last day of a period."""
    if len(period) == LENGTH_OF["year"]:
        return f"{period}-01-01", f"{period}-12-31"
    if len(period) == LENGTH_OF["month"]:
        year, month = map(int, period.split("-"))
        return f"{period}-01", f"{period}-{monthrange(year, month)[1]:02d}"
    return period, period


def _charts(query: StatisticsQuery) -> list[tuple[str, Chart]]:
    """The cost and the talk of each of the newest periods, with their titles. A single period is no chart."""
    sums_of = dict(query.by_period(MOST_BARS))
    if len(sums_of) < 2:
        return []
    periods = _periods_between(min(sums_of), max(sums_of))[-MOST_BARS:]
    sums = [sums_of.get(period, NOTHING) for period in periods]
    links = [_calls_of(_days_of(period)) for period in periods]
    shown: list[tuple[str, Callable[[Sums], int], Callable[[int], str]]] = []
    if any(of.cost_micros for of in sums):
        currency = queries.site().currency
        shown.append((_("Total Cost"), lambda of: of.cost_micros, lambda micros: formats.money(micros, currency)))
    shown.append((_("Total Call Time"), lambda of: of.talk_seconds, formats.long_duration))
    return [
        (
            title,
            charts.upright(
                [
                    Point(value(of), _short(period), f"{_written(period)}: {worth(value(of))}", link)
                    for period, of, link in zip(periods, sums, links, strict=True)
                ]
            ),
        )
        for title, value, worth in shown
    ]


def _calls_of(days: tuple[Any, Any], **more: object) -> str:
    """Where the call log shows the answered calls of some days."""
    given = {"from": days[0], "to": days[1], "status": "answered"} | more
    return url_for("call_log.show", **{name: value for name, value in given.items() if value is not None})


def _periods_between(first: str, last: str) -> list[str]:
    """Every day, month or year from one to another, those without a call too; at most the last `MOST_BARS`."""
    day, periods = date.fromisoformat(_days_of(last)[0]), [last]
    while periods[-1] > first and len(periods) < MOST_BARS:
        day -= timedelta(days=1)
        if day.isoformat()[: len(last)] != periods[-1]:
            periods.append(day.isoformat()[: len(last)])
    return periods[::-1]


def _short(period: str) -> str:
    return period[5:].replace("-", "\N{NON-BREAKING HYPHEN}") if len(period) == LENGTH_OF["day"] else period
