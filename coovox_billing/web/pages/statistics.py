"""The guide's *Statistics*: calls, their time and cost by day, month or year, of all or some extensions."""

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from coovox_billing.core.clock import local_day
from coovox_billing.errors import BadInput
from coovox_billing.store import queries
from coovox_billing.store.lists import statistics
from coovox_billing.store.lists.statistics import LENGTH_OF, Period, StatisticsQuery, Sums
from coovox_billing.web import downloads, formats
from coovox_billing.web.access import READERS, needs
from coovox_billing.web.arguments import Arguments
from coovox_billing.web.downloads import Download
from coovox_billing.web.listing import Column, Kind, read_page
from coovox_billing.web.parts import parts
from coovox_billing.web.words import gettext as _

page = Blueprint("statistics", __name__)

FIRST_SHOWN = timedelta(days=29)
MOST_EXTENSIONS = 50
MOST_BARS = 62
MOST_LABELS = 7
NOTHING = Sums(0, 0, 0)
CHART_WIDTH, CHART_HEIGHT, CHART_MARGIN = 700, 150, 10

_BETWEEN = re.compile(r"[\s,;]+")


@page.get("/statistics")
@needs(*READERS)
def show() -> ResponseReturnValue:
    """The sums of a time; of the last thirty days where nothing was asked for."""
    if not request.args:
        today = local_day(parts().now_ms(), queries.site().time_zone)
        period: dict[str, Any] = {"from": today - FIRST_SHOWN, "to": today}
        return redirect(url_for("statistics.show", **period), 303)
    arguments = Arguments(request.args)
    query = _query(arguments)
    return render_template(
        "statistics/list.html",
        page=read_page(query, arguments),
        totals=query.totals,
        columns=_columns(),
        errors=arguments.errors,
        chart=_chart(query),
        choices=[(by, words) for by, words in _periods().items()],
        days_of=_days_of,
        zone=queries.site().time_zone,
    )


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
    return StatisticsQuery(
        arguments.day("from"),
        arguments.day("to"),
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
        Column(_("Date"), lambda row: _written(row.period)),
        Column(_("Extension"), lambda row: formats.named(row.name, row.extension) if row.extension else _("All")),
        Column(_("Calls"), lambda row: row.sums.calls, Kind.COUNT),
        Column(_("Total Call Time"), lambda row: row.sums.talk_seconds, Kind.LONG_DURATION),
        Column(_("Average Call Time"), lambda row: row.sums.average_seconds, Kind.LONG_DURATION),
        Column(_("Total Cost(%(sign)s)", sign=sign), lambda row: row.sums.cost_micros, Kind.AMOUNT),
    ]


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


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of the chart, in its own units."""

    x: float
    y: float
    width: float
    height: float
    title: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars, and below them labels of equal width, each for as many bars."""

    bars: list[Bar]
    labels: list[str]


def _chart(query: StatisticsQuery) -> Chart | None:
    """The cost of each of the newest periods; the talk where nothing cost anything. A single one is no chart."""
    sums_of = dict(query.by_period(MOST_BARS))
    if len(sums_of) < 2:
        return None
    periods = _periods_between(min(sums_of), max(sums_of))[-MOST_BARS:]
    shows_cost = any(sums.cost_micros for sums in sums_of.values())
    together = -(-len(periods) // MOST_LABELS)
    labels = [_short(period) for period in periods[::together]]
    step = CHART_WIDTH / (len(labels) * together)
    sums = [sums_of.get(period, NOTHING) for period in periods]
    values = [of.cost_micros if shows_cost else of.talk_seconds for of in sums]
    bars = []
    for index, (period, of, value) in enumerate(zip(periods, sums, values, strict=True)):
        height = round(value / (max(values) or 1) * (CHART_HEIGHT - CHART_MARGIN), 1)
        x, y, width = round((index + 0.2) * step, 1), round(CHART_HEIGHT - height, 1), round(0.6 * step, 1)
        bars.append(Bar(x, y, width, height, f"{_written(period)}: {_worth(of, shows_cost)}"))
    return Chart(bars, labels)


def _worth(sums: Sums, shows_cost: bool) -> str:
    if shows_cost:
        return formats.money(sums.cost_micros, queries.site().currency)
    return formats.long_duration(sums.talk_seconds)


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
