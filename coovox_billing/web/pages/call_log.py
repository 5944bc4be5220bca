"""The guide's *Call Log*: what was dialed, what it cost and why; calls in progress, with a way to end them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import lru_cache, partial
from zoneinfo import ZoneInfo

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from coovox_billing.core.call import ALONE, ARCHIVED, CLOCK, CORRECTED, LOST, UNCOLLECTED
from coovox_billing.core.clock import local_moment, milliseconds
from coovox_billing.core.money import parse_price
from coovox_billing.core.tariff import NO_RATE
from coovox_billing.core.whole_number import parse_whole
from coovox_billing.errors import BadInput, BillingError
from coovox_billing.services import live_calls
from coovox_billing.store import queries
from coovox_billing.store.lists import calls
from coovox_billing.store.lists.calls import REASONS, STATES_OF, CallLine, CallQuery, LoggedCall
from coovox_billing.web import downloads, formats, numerals, periods, pieces
from coovox_billing.web.access import READERS, Role, needs
from coovox_billing.web.arguments import Arguments
from coovox_billing.web.downloads import Download
from coovox_billing.web.listing import Column, Kind, read_ahead, read_page
from coovox_billing.web.parts import parts, person
from coovox_billing.web.tables import Table
from coovox_billing.web.words import gettext as _
from coovox_billing.web.words import told

page = Blueprint("call_log", __name__)

EVERY_PREFIX = "every"
_OUTCOMES_KEPT = 64
_PREFIX_SIGNS = frozenset("0123456789*#")
FLAGS = (LOST, UNCOLLECTED, CORRECTED, ALONE, CLOCK, ARCHIVED)


@page.get("/call-log")
@needs(*READERS)
def show() -> ResponseReturnValue:
    """Calls of a search, the newest first; today's where nothing was asked for."""
    if not request.args:
        return redirect(url_for("call_log.show", period="today"), 303)
    arguments = Arguments(request.args)
    query, table = _query(arguments), TABLE.view()
    page = (read_page if query.is_counted_quickly or "counted" in request.args else read_ahead)(query, arguments)
    sums = {"duration": query.totals.talk_seconds, "cost": query.totals.cost_micros} if page.is_counted else {}
    return render_template(
        "call_log/list.html",
        page=page,
        totals=sums,
        days=formats.days(query.first_day, query.last_day),
        any_call=calls.is_any(),
        archived=calls.archived(query.first_day, query.last_day),
        table=table,
        columns=table.columns,
        errors=arguments.errors,
        narrowed=_narrowed(query),
        trunks=[("", _("All")), *((name, name) for name in calls.trunks())],
        statuses=[("", _("All")), *statuses().items()],
        zone=query.zone,
        **_live(),
    )


@page.get("/call-log.<any(csv, xlsx):kind>")
@needs(*READERS)
def download(kind: str) -> ResponseReturnValue:
    """The search results as a file."""
    return downloads.send(found(Arguments(request.args)), kind)


def found(arguments: Arguments) -> Download:
    """The search results."""
    query = _query(arguments)
    shown = columns()
    tally = Tally(query, {shown[3].title: 0, shown[5].title: 0})
    return Download("call-log", _about(query), shown, tally, tally.totals, query.zone)


@page.get("/call-log/live")
@needs(*READERS)
def live() -> ResponseReturnValue:
    """The calls in progress, as a part of the page."""
    return render_template("call_log/_live.html", **_live())


@page.post("/call-log/<call_id>/hang-up")
@needs(Role.MANAGER)
def hang_up(call_id: str) -> ResponseReturnValue:
    """Have a call in progress ended; asked for twice, it ends as well."""
    author = person()
    try:
        parts().database.write(lambda connection: live_calls.request_end(connection, call_id, author))
    except BillingError as error:
        if pieces.is_piece():
            return render_template("call_log/_live.html", **_live(told(error))), 422
        flash(told(error), "bad")
        return redirect(url_for("call_log.show"), 303)
    if pieces.is_piece():
        return render_template("call_log/_live.html", **_live())
    flash(_("The call is being ended."))
    return redirect(url_for("call_log.show"), 303)


@dataclass(frozen=True, slots=True)
class Tally:
    """Calls on their way into a file, and what they sum to: a call may end while the file is written."""

    query: CallQuery
    totals: dict[str, int]

    def count(self) -> int:
        return self.query.count()

    def page(self, limit: int, offset: int) -> Sequence[LoggedCall]:
        return self.query.page(limit, offset)

    def stream(self) -> Iterator[CallLine]:
        talk, cost = self.totals
        talk_seconds = cost_micros = 0
        for call in self.query.stream():
            talk_seconds += call.talk_seconds
            cost_micros += call.cost_micros
            yield call
        self.totals[talk], self.totals[cost] = talk_seconds, cost_micros


def _query(arguments: Arguments) -> CallQuery:
    status = arguments.choice("status", statuses())
    zone = queries.site().time_zone
    first_day, last_day = periods.asked(arguments)
    return CallQuery(
        zone,
        first_day,
        last_day,
        arguments.text("keywords"),
        arguments.choice("trunk", calls.trunks()),
        status=status if status in STATES_OF else "",
        flag=status if status in FLAGS else "",
        reason=status if status in REASONS else "",
        least_cost_micros=arguments.parsed("minimum_cost", lambda text: parse_price(numerals.read(text)), None),
        extension=arguments.text("extension"),
        destination=arguments.parsed("destination", _parse_destination, None),
        weekday=arguments.parsed("weekday", partial(parse_whole, least=1, most=7), None),
        hour=arguments.parsed("hour", partial(parse_whole, least=0, most=23), None),
        number_prefix=arguments.text("number"),
        until_ms=_until_ms(arguments, zone, last_day),
    )


def _until_ms(arguments: Arguments, zone: ZoneInfo, last_day: date | None) -> int | None:
    """When on the last day the search ends, where it ends before that day does."""
    time_of_day = arguments.parsed("until", _parse_time_of_day, None)
    if time_of_day is None or last_day is None:
        return None
    return milliseconds(datetime.combine(last_day, time_of_day, zone))


def _until(query: CallQuery) -> str:
    return formats.short_time(local_moment(query.until_ms or 0, query.zone))


def _parse_time_of_day(text: str) -> time:
    try:
        return datetime.strptime(text, "%H:%M").time()
    except ValueError:
        raise BadInput("write a time like 09:30") from None


def _parse_destination(text: str) -> str:
    """The prefix of a rate, a word where it is empty; or that no rate was found."""
    if not (text in (NO_RATE, EVERY_PREFIX) or set(text) <= _PREFIX_SIGNS):
        raise BadInput("write the prefix of a rate")
    return "" if text == EVERY_PREFIX else text


def _narrowed(query: CallQuery) -> list[tuple[str, str]]:
    """What a link narrowed the search to, beyond the fields of the form: the argument's name, and words for it."""
    words = {
        "extension": query.extension and _("Extension %(extension)s", extension=query.extension),
        "destination": "" if query.destination is None else formats.destination(query.destination),
        "weekday": "" if query.weekday is None else formats.weekday(query.weekday),
        "hour": "" if query.hour is None else formats.hour(query.hour),
        "number": query.number_prefix and _("Numbers that begin with %(prefix)s", prefix=query.number_prefix),
        "until": "" if query.until_ms is None else _("Until %(time)s", time=_until(query)),
    }
    return [(name, said) for name, said in words.items() if said]


def statuses() -> dict[str, str]:
    """What became of a call, and what a person should know of it: words of an address and for people."""
    return {
        "answered": _("Answered"),
        "no-answer": _("No answer"),
        "refused": _("Refused"),
        "in-progress": _("In progress"),
        "no-rate": _("No rate"),
        "no-payer": _("No extension"),
        **{flag: _(formats.FLAG_MARKS[flag]) for flag in FLAGS},
    }


def _about(query: CallQuery) -> list[tuple[str, str]]:
    least = query.least_cost_micros
    return [
        *formats.about_period(query.first_day, query.last_day, query.keywords),
        (_("Trunk Name"), query.trunk),
        (_("Status"), statuses().get(query.status or query.flag or query.reason, "")),
        (_("Minimum cost"), "" if least is None else formats.price(least)),
        *((_("Only"), words) for _name, words in _narrowed(query)),
    ]


def columns() -> list[Column[LoggedCall | CallLine]]:
    """What the page and its files show of a call."""
    sign = formats.currency_sign(queries.site().currency)
    # Asked for its words once for all calls of a file with which the same became.
    outcome = lru_cache(maxsize=_OUTCOMES_KEPT)(formats.outcome)
    return [
        Column(_("Start Time"), lambda call: call.asked_at_ms, Kind.MOMENT, key="start", look="when bare"),
        Column(_("Call From"), formats.caller, key="from", names_row=True, look="name"),
        Column(_("Call To"), lambda call: call.number, key="to", look="figures said"),
        Column(
            _("Duration"),
            lambda call: None if formats.is_open(call) else call.talk_seconds,
            Kind.DURATION,
            key="duration",
        ),
        Column(_("Trunk Name"), lambda call: call.trunk, key="trunk", look="said"),
        Column(
            _("Cost(%(sign)s)", sign=sign),
            lambda call: None if formats.is_open(call) else call.cost_micros,
            Kind.AMOUNT,
            key="cost",
            look="lead",
            tone=lambda call: "" if call.cost_micros else "nothing",
        ),
        Column(
            _("Status"),
            lambda call: outcome(call.state, call.reason, call.hangup_cause),
            key="status",
            look="bare",
        ),
        Column(_("Extension"), lambda call: call.extension, shown=False, key="extension", look="figures"),
        Column(_("Dialed"), lambda call: call.number_dialed, shown=False, key="dialed", look="figures said"),
        Column(_("Answered"), lambda call: call.answered_at_ms, Kind.MOMENT, shown=False, key="answered", look="when"),
        Column(_("Ended"), lambda call: call.ended_at_ms, Kind.MOMENT, shown=False, key="ended", look="when"),
        Column(
            _("Uncollected(%(sign)s)", sign=sign),
            lambda call: call.uncollected_micros,
            Kind.AMOUNT,
            shown=False,
            key="uncollected",
            tone=lambda call: "owes" if call.uncollected_micros else "nothing",
        ),
        Column(_("Flags"), formats.flags, shown=False, key="flags", look="said"),
        Column(_("Call id"), lambda call: call.id, shown=False, key="id", look="said"),
    ]


TABLE = Table("call-log", "call_log.show", columns)


def _live(error: str = "") -> dict[str, object]:
    """What the calls in progress are shown with. `error`: why one could not be ended."""
    site = queries.site()
    return {
        "live": calls.live_calls(site.longest_call_seconds),
        "now_ms": parts().now_ms(),
        "currency": site.currency,
        "live_error": error,
    }
