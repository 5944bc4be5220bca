"""*What if*: the calls of some days by today's rates and by a draft, summed up or one by one."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Generic, TypeVar

from flask import Blueprint, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from coovox_billing.core.clock import local_day, milliseconds
from coovox_billing.core.what_if import Changed, Comparison, Fate, Sums
from coovox_billing.errors import Refused
from coovox_billing.services import tariff_drafts, what_if
from coovox_billing.store import queries
from coovox_billing.store.lists.rates import names_of
from coovox_billing.store.tariff_drafts import Draft
from coovox_billing.web import downloads, formats, tables
from coovox_billing.web.access import READERS, needs
from coovox_billing.web.arguments import Arguments
from coovox_billing.web.downloads import Download
from coovox_billing.web.listing import Column, Kind, read_page, read_sort
from coovox_billing.web.pages.rates.check import DRAFT, takes_long
from coovox_billing.web.parts import parts
from coovox_billing.web.shelf import Kept, Shelf
from coovox_billing.web.words import gettext as _
from coovox_billing.web.words import later, told

page = Blueprint("what_if", __name__)

EXTENSION, DESTINATION, CALL = "extension", "destination", "call"
FATES = {
    Fate.REFUSED: later("Would be refused"),
    Fate.FREE: later("Would be free"),
    Fate.PRICED: later("Would have a rate"),
}
MARKS = {Fate.REFUSED: "bad", Fate.FREE: "warn", Fate.PRICED: "good"}

_NAME = "coovox_what_if"
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a table: an extension or a destination by what it is called, and by its number; with its sums."""

    name: str
    number: str
    sums: Sums


@dataclass(frozen=True, slots=True)
class LineQuery(Generic[Row]):
    """What is in memory already, as a list of pages."""

    lines: Sequence[Row]

    def count(self) -> int:
        """How many there are."""
        return len(self.lines)

    def page(self, limit: int, offset: int) -> Sequence[Row]:
        """Some of them."""
        return self.lines[offset : offset + limit]

    def stream(self) -> Iterator[Row]:
        """All of them, one by one."""
        return iter(self.lines)


@page.get(f"/rate/drafts/{DRAFT}/what-if")
@needs(*READERS)
def show(draft_id: int) -> ResponseReturnValue:
    """The calls of a time; of last month where nothing was asked for."""
    if not {"from", "to"} & set(request.args):
        today = local_day(parts().now_ms(), queries.site().time_zone)
        last = today.replace(day=1) - timedelta(days=1)
        period: dict[str, Any] = {"from": last.replace(day=1), "to": last}
        return redirect(url_for("rates.what_if.show", draft_id=draft_id, **period), 303)
    draft, arguments = _draft(draft_id), Arguments(request.args)
    is_later = takes_long(draft) and _can_be_compared(arguments)
    kept = None if is_later or arguments.errors else _kept(draft, arguments)
    by = arguments.choice("by", (EXTENSION, DESTINATION, CALL), EXTENSION)
    columns = _columns(by)
    page = read_page(_query(kept.thing, by, read_sort(arguments, columns, "")), arguments) if kept else None
    return render_template(
        "rates/what_if.html",
        draft=draft,
        is_later=is_later,
        page=page,
        totals=kept.thing.totals if kept else None,
        made_at_ms=kept.at_ms if kept else None,
        table=tables.plain(columns),
        sums=_sums(columns, kept.thing) if kept and by != CALL else {},
        sort=arguments.raw("sort"),
        by=by,
        choices=[(word, words) for word, words in _views().items()],
        marks=MARKS,
        fates={fate: _(words) for fate, words in FATES.items()},
        most_changed=what_if.MOST_CHANGED,
        errors=arguments.errors,
        zone=queries.site().time_zone,
        currency=queries.site().currency,
    ), (422 if arguments.errors else 200)


@page.get(f"/rate/drafts/{DRAFT}/what-if.<any(csv, xlsx):kind>")
@needs(*READERS)
def download(draft_id: int, kind: str) -> ResponseReturnValue:
    """A table of the comparison as a file.

    Raises:
        Refused: the days cannot be read, or have too many calls.
    """
    draft, arguments = _draft(draft_id), Arguments(request.args)
    kept = _kept(draft, arguments)
    if kept is None:
        raise Refused("%(why)s", why=next(iter(arguments.errors.values())))
    by = arguments.choice("by", (EXTENSION, DESTINATION, CALL), EXTENSION)
    columns = _columns(by)
    query = _query(kept.thing, by, read_sort(arguments, columns, ""))
    about = [(_("Draft"), draft.name), *formats.about_period(arguments.day("from"), arguments.day("to"), "")[:2]]
    sums = _sums(columns, kept.thing) if by != CALL else {}
    totals = {column.title: sums[column.word] for column in columns if column.word in sums}
    file = Download(f"what-if-{by}", about, columns, query, totals, queries.site().time_zone)
    return downloads.send(file, kind)


def _draft(draft_id: int) -> Draft:
    return parts().database.read(lambda c: tariff_drafts.find(c, draft_id))


def _can_be_compared(arguments: Arguments) -> bool:
    """Whether these are days, with no more calls than are compared; `errors` then tells why not."""
    first, last = _days(arguments)
    if first is None or last is None:
        return False
    try:
        parts().database.read(lambda c: what_if.refuse_too_many(c, first, last))
    except Refused as error:
        arguments.errors["to"] = told(error)
    return not arguments.errors


def _kept(draft: Draft, arguments: Arguments) -> Kept[Comparison] | None:
    """The comparison that the address asks for; None where its days are wrong, which `errors` then tells."""
    first, last = _days(arguments)
    if first is None or last is None:
        return None
    database = parts().database
    shelf: Shelf[Comparison] = current_app.extensions.setdefault(_NAME, Shelf())
    try:
        trial = database.read(lambda c: what_if.prepare(c, tariff_drafts.rates_of(c, draft.id), first, last))
    except Refused as error:
        arguments.errors["to"] = told(error)
        return None
    key = (first, last, trial.zone, trial.refuses, *map(_mark, (trial.today, trial.draft)))
    return shelf.get(key, parts().now_ms(), lambda: what_if.compare(database.read, trial))


def _mark(some: Sequence[Any]) -> int:
    return hash(tuple(some))


def _days(arguments: Arguments) -> tuple[date | None, date | None]:
    first, last = arguments.day("from"), arguments.day("to")
    for name, day in (("from", first), ("to", last)):
        if day is None:
            arguments.errors.setdefault(name, _("fill this in"))
    if first is not None and last is not None and last < first:
        arguments.errors["to"] = _("this day is before the first one")
    return (None, None) if arguments.errors else (first, last)


def _views() -> dict[str, str]:
    return {EXTENSION: _("Extension"), DESTINATION: _("Destination"), CALL: _("Calls that change their fate")}


def _query(comparison: Comparison, by: str, sort: str) -> LineQuery[Any]:
    if by == CALL:
        return LineQuery(comparison.changed)
    lines = _extensions(comparison) if by == EXTENSION else _destinations(comparison)
    word = sort.removeprefix("-")
    keys: dict[str, Callable[[Line], int]] = {
        "": lambda line: -abs(line.sums.difference_micros),
        "calls": lambda line: line.sums.calls,
        "today": lambda line: line.sums.today_micros,
        "draft": lambda line: line.sums.draft_micros,
        "difference": lambda line: line.sums.difference_micros,
    }
    return LineQuery(sorted(lines, key=keys[word], reverse=sort.startswith("-")))


def _extensions(comparison: Comparison) -> list[Line]:
    names = names_of(comparison.of_extension)
    in_order = sorted(comparison.of_extension.items(), key=lambda pair: (len(pair[0]), pair[0]))
    return [Line(formats.named(names.get(number, ""), number), number, sums) for number, sums in in_order]


def _destinations(comparison: Comparison) -> list[Line]:
    return [
        Line(formats.destination(prefix, comparison.remarks.get(prefix, "")), prefix, sums)
        for prefix, sums in sorted(comparison.of_destination.items())
    ]


def _sums(columns: Sequence[Column[Any]], comparison: Comparison) -> dict[str, int]:
    """The totals by the words of their columns."""
    whole = Line("", "", comparison.totals)
    return {column.word: column.value(whole) for column in columns if column.kind.is_number}


def _columns(by: str) -> list[Column[Any]]:
    sign = formats.currency_sign(queries.site().currency)
    if by == CALL:
        return _call_columns(sign)
    return [
        Column(_views()[by], lambda line: line.name, key="name", names_row=True, look="name"),
        Column(_("Calls"), lambda line: line.sums.calls, Kind.COUNT, "calls"),
        Column(_("Total Call Time"), lambda line: line.sums.talk_seconds, Kind.LONG_DURATION, key="talk"),
        Column(_("Cost then(%(sign)s)", sign=sign), lambda line: line.sums.charged_micros, Kind.AMOUNT, key="then"),
        Column(_("Today's rates(%(sign)s)", sign=sign), lambda line: line.sums.today_micros, Kind.AMOUNT, "today"),
        Column(_("Draft(%(sign)s)", sign=sign), lambda line: line.sums.draft_micros, Kind.AMOUNT, "draft"),
        Column(
            _("Difference(%(sign)s)", sign=sign),
            lambda line: line.sums.difference_micros,
            Kind.AMOUNT,
            "difference",
            look="lead",
        ),
        Column(
            _("Refused"),
            lambda line: line.sums.refused,
            Kind.COUNT,
            key="refused",
            tone=lambda line: "" if line.sums.refused else "nothing",
        ),
        Column(
            _("Free"),
            lambda line: line.sums.free,
            Kind.COUNT,
            key="free",
            tone=lambda line: "" if line.sums.free else "nothing",
        ),
    ]


def _call_columns(sign: str) -> list[Column[Changed]]:
    return [
        Column(_("Start Time"), lambda one: milliseconds(one.call.moment), Kind.MOMENT, names_row=True, look="when"),
        Column(_("Call From"), lambda one: one.call.extension),
        Column(_("Call To"), lambda one: one.call.number, look="figures"),
        Column(_("Duration"), lambda one: one.call.talk_seconds, Kind.DURATION),
        Column(_("Today's rates(%(sign)s)", sign=sign), lambda one: one.today_micros, Kind.AMOUNT),
        Column(_("Draft(%(sign)s)", sign=sign), lambda one: one.draft_micros, Kind.AMOUNT),
        Column(_("What happens"), lambda one: _(FATES[one.fate]), key="fate", look="lead"),
        Column(_("Call id"), lambda one: one.call.id, shown=False),
    ]
