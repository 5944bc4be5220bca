"""*Test a number*: which rate would price a call, why the others lose, what it costs, how long the balance lasts."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from coovox_billing.core import clock, decision, why
from coovox_billing.core.rate_fields import parse_field
from coovox_billing.core.tariff import Choice
from coovox_billing.errors import NotFound
from coovox_billing.services import quotes
from coovox_billing.services.quotes import Quote
from coovox_billing.store import queries
from coovox_billing.store.lists.rates import reachable_extensions
from coovox_billing.web import formats
from coovox_billing.web.access import READERS, needs
from coovox_billing.web.arguments import Arguments
from coovox_billing.web.pages.rates import words as rate_words
from coovox_billing.web.parts import parts
from coovox_billing.web.words import gettext as _
from coovox_billing.web.words import told

page = Blueprint("test", __name__)

DEFAULT_SECONDS = 60
LONGEST_SECONDS = 10_000_000
LONGEST_NUMBER = 80
MOST_OFFERED = 500


@page.get("/rate/test")
@needs(*READERS)
def show() -> ResponseReturnValue:
    """The question, and its answer once it is asked."""
    site = queries.site()
    arguments = Arguments(request.args)
    now = clock.local_moment(parts().now_ms(), site.time_zone)
    answer = _answer(arguments, site.time_zone, now) if request.args else None
    page = render_template(
        "rates/trial.html",
        answer=answer,
        winner=None if answer is None or answer.rate is None else rate_words.title(answer.rate),
        facts=[] if answer is None else _facts(answer),
        reasons=formats.REASONS,
        title_of=rate_words.title,
        sentences=[] if answer is None else _sentences(answer),
        lost=[] if answer is None else [(rate, told(why.sentence(line))) for rate, line in answer.lost],
        errors=arguments.errors,
        now=now,
        default_seconds=DEFAULT_SECONDS,
        offered=reachable_extensions("", MOST_OFFERED),
        zone=site.time_zone,
    )
    return (page, 422) if arguments.errors else page


def _answer(arguments: Arguments, zone: ZoneInfo, now: datetime) -> Quote | None:
    """None where a field is wrong."""
    extension, number = arguments.text("extension", 40), arguments.text("number", LONGEST_NUMBER)
    day: date = arguments.day("day") or now.date()
    time_of_day = arguments.parsed("time", lambda text: parse_field("start_time", text), now.time())
    seconds = arguments.whole("seconds", 0, LONGEST_SECONDS, DEFAULT_SECONDS)
    for name, value in (("extension", extension), ("number", number)):
        if not value:
            arguments.errors.setdefault(name, _("fill this in"))
    if not clock.FIRST_YEAR <= day.year <= clock.LAST_YEAR:
        arguments.errors["day"] = _("write a day like 2026-03-01")
    if arguments.errors:
        return None
    at = datetime.combine(day, time_of_day, zone)
    try:
        return parts().database.read(lambda c: quotes.quote(c, extension, number, at, seconds))
    except NotFound:
        arguments.errors["extension"] = _("there is no such extension")
        return None


def _sentences(answer: Quote) -> list[str]:
    """What is told of the answer, but for the rates that lost, which stand apart."""
    won, *lost = map(why.sentence, decision.explain_choice(Choice(answer.rate, answer.lost)))
    if answer.rate is None:
        ours = told(won)
    else:
        ours = _("It wins: %(claim)s", claim=told(why.sentence(decision.claim(answer.rate))))
    return [ours if sentence == won else told(sentence) for sentence in answer.why if sentence not in lost]


def _facts(answer: Quote) -> list[tuple[str, str]]:
    """What a person asked for, as names and values."""
    currency = queries.site().currency
    facts = [(_("Number as dialed"), answer.number), (_("Price"), formats.money(answer.cost_micros, currency))]
    if answer.rate is not None:
        units = _("%(units)s of %(seconds)s s", units=answer.units, seconds=answer.rate.unit_seconds)
        facts.append((_("Units"), units))
        facts.append((_("Available"), formats.money(answer.available_micros, currency)))
    facts.append((_("Balance lasts"), _lasts(answer, queries.site().longest_call_seconds)))
    return facts


def _lasts(answer: Quote, longest_seconds: int) -> str:
    if not answer.passes:
        return _("not for one second") if answer.reason == "no-money" else "–"
    if answer.affordable_seconds is None:
        return _("without limit")
    seconds = formats.duration(answer.affordable_seconds)
    return (
        _("%(seconds)s, the longest call", seconds=seconds) if answer.affordable_seconds >= longest_seconds else seconds
    )
