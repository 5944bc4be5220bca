"""*Check my rates*: what is hardly meant so, with a link to where it is put right; of today's rates or of a draft."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any

from flask import Blueprint, current_app, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import ServiceUnavailable

from coovox_billing.core.clock import local_day
from coovox_billing.core.tariff_check import MOST_OF_A_KIND, Finding, Findings, Kind
from coovox_billing.services import rate_check, rates, tariff_drafts
from coovox_billing.store import dialed, queries
from coovox_billing.store.lists.rates import RateQuery
from coovox_billing.store.tariff_drafts import Draft
from coovox_billing.web import downloads, tables
from coovox_billing.web.access import READERS, may, needs
from coovox_billing.web.arguments import WHOLE_ID, Arguments
from coovox_billing.web.downloads import Download
from coovox_billing.web.listing import Column, read_page
from coovox_billing.web.listing import Kind as Written
from coovox_billing.web.pages.rates import words as rate_words
from coovox_billing.web.parts import parts
from coovox_billing.web.shelf import Shelf
from coovox_billing.web.words import gettext as _
from coovox_billing.web.words import later, told

page = Blueprint("check", __name__)

DRAFT = f"<{WHOLE_ID}:draft_id>"
KINDS = {
    Kind.UNPRICED: later("Extension without a rate"),
    Kind.NO_RATE: later("Calls without a rate"),
    Kind.GAP: later("Hours without a rate"),
    Kind.SHADOWED: later("Never wins"),
    Kind.NOBODY: later("For nobody"),
    Kind.STRANGER: later("Extensions that are gone"),
    Kind.PRICE: later("Price far off"),
    Kind.UNDIALED: later("Never dialed"),
}
# To look through more takes so long that the page is shown before.
CHECKED_AT_ONCE = 200
PATIENCE_SECONDS = 15.0
_NAME = "coovox_dialed"
# A million rates take a minute and 25 MB, which many at once would not have.
_looking = Lock()
MARKS = {Kind.UNPRICED: "bad", Kind.NO_RATE: "bad", Kind.GAP: "bad", Kind.UNDIALED: "quiet"}


@dataclass(frozen=True, slots=True)
class FindingQuery:
    """What was found as a list of pages; all of it, or what is of one kind."""

    findings: Findings
    kind: str = ""

    def count(self) -> int:
        """How many there are."""
        return len(self._shown())

    def page(self, limit: int, offset: int) -> Sequence[Finding]:
        """Some of them."""
        return self._shown()[offset : offset + limit]

    def stream(self) -> Iterator[Finding]:
        """All of them, one by one."""
        return iter(self._shown())

    def _shown(self) -> Sequence[Finding]:
        return [finding for finding in self.findings.told if self.kind in ("", finding.kind)]


@page.get("/rate/check")
@needs(*READERS)
def show() -> ResponseReturnValue:
    """What is found of the rates that count."""
    return _page(None)


@page.get(f"/rate/drafts/{DRAFT}/check")
@needs(*READERS)
def show_draft(draft_id: int) -> ResponseReturnValue:
    """What is found of a draft, were it the one that counts."""
    return _page(parts().database.read(lambda c: tariff_drafts.find(c, draft_id)))


@page.get("/rate/check.<any(csv, xlsx):kind>")
@needs(*READERS)
def download(kind: str) -> ResponseReturnValue:
    """What is found of the rates that count, as a file."""
    return downloads.send(_download(None), kind)


@page.get(f"/rate/drafts/{DRAFT}/check.<any(csv, xlsx):kind>")
@needs(*READERS)
def download_draft(draft_id: int, kind: str) -> ResponseReturnValue:
    """What is found of a draft, as a file."""
    return downloads.send(_download(parts().database.read(lambda c: tariff_drafts.find(c, draft_id))), kind)


def of_draft(draft_id: int) -> Findings:
    """What is found of a draft as it would be, with the ids and so the ages that its rates would have."""
    with _one_at_a_time():
        return parts().database.read(
            lambda c: rate_check.check_draft(c, rates.outcome(tariff_drafts.plan(c, draft_id)))
        )


def _of_today() -> Findings:
    """What is found of the rates that count; what was dialed is some minutes old."""
    database, now_ms = parts().database, parts().now_ms()
    shelf: Shelf[rate_check.Heads] = current_app.extensions.setdefault(_NAME, Shelf())
    key = (rate_check.first_day(now_ms, queries.site().time_zone), database.read(dialed.longest_prefix))
    kept = shelf.get(key, now_ms, lambda: database.read(lambda c: rate_check.dialed_heads(c, now_ms)))
    with _one_at_a_time():
        return database.read(lambda c: rate_check.check(c, now_ms, kept.thing))


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    if not _looking.acquire(timeout=PATIENCE_SECONDS):
        raise ServiceUnavailable(_("Others look at the calls. Try again in a minute."))
    try:
        yield
    finally:
        _looking.release()


def takes_long(draft: Draft | None) -> bool:
    """Whether to look through the rates that count, and those of a draft, takes so long that a page is shown before."""
    rate_count = draft.rate_count if draft else 0
    return "checked" not in request.args and RateQuery().count() + rate_count > CHECKED_AT_ONCE


def _page(draft: Draft | None) -> str:
    arguments = Arguments(request.args)
    if takes_long(draft):
        return render_template("rates/check.html", draft=draft, page=None, days=rate_check.DAYS)
    query = _query(draft, arguments)
    return render_template(
        "rates/check.html",
        draft=draft,
        page=read_page(query, arguments),
        table=tables.plain(_columns()),
        counts=[(kind, words, query.findings.counts.get(kind, 0)) for kind, words in _kinds().items()],
        most=MOST_OF_A_KIND,
        kind=query.kind,
        kinds=_kinds(),
        marks=MARKS,
        links=lambda finding: _links(finding, draft),
        days=rate_check.DAYS,
        errors=arguments.errors,
    )


def _download(draft: Draft | None) -> Download:
    query = _query(draft, Arguments(request.args))
    about = [(_("Draft"), draft.name)] if draft else []
    return Download("rate-check", about, _columns(), query, {}, queries.site().time_zone)


def _query(draft: Draft | None, arguments: Arguments) -> FindingQuery:
    found = of_draft(draft.id) if draft else _of_today()
    return FindingQuery(found, arguments.choice("finding", tuple(Kind)))


def _kinds() -> dict[Kind, str]:
    return {kind: _(words) for kind, words in KINDS.items()}


def _columns() -> list[Column[Finding]]:
    return [
        Column(_("Finding"), lambda finding: _(KINDS[finding.kind]), key="finding", look="lead"),
        Column(_("What is found"), lambda finding: told(finding.said), names_row=True, look="says own-line"),
        Column(_("What to do"), lambda finding: told(finding.advice), key="advice", look="own-line said"),
        Column(_("Prefix"), lambda finding: finding.beginning, shown=False),
        Column(_("Calls"), lambda finding: finding.calls or None, Written.COUNT, shown=False),
    ]


def _links(finding: Finding, draft: Draft | None) -> list[tuple[str, str]]:
    """Where it is put right, or looked into: words and address, for whoever may open it."""
    if draft is not None:
        found = [_link("rates.drafts.ask_edit", _("Edit the draft"), draft_id=draft.id)]
    elif finding.kind is Kind.NO_RATE:
        found = [
            _link("call_log.show", _("These calls"), **_calls(finding.prefix)),
            _link("rates.form.ask_add", _("Add a rate")),
        ]
    elif finding.rate is None:
        found = [
            _link("rates.show", _("Its rates"), extension=finding.extension),
            _link("rates.form.ask_add", _("Add a rate")),
        ]
    else:
        found = [
            _link("rates.form.ask_edit", _("Edit %(rate)s", rate=rate_words.title(rate)), rate_id=rate.id)
            for rate in (finding.rate, *finding.others[:1])
        ]
        found.append(_link("rates.show", _("In the list"), prefix=finding.rate.prefix))
    return [link for link in found if link is not None]


def _link(endpoint: str, words: str, **values: Any) -> tuple[str, str] | None:
    return (words, url_for(endpoint, **values)) if may(endpoint) else None


def _calls(prefix: str) -> dict[str, Any]:
    zone, now_ms = queries.site().time_zone, parts().now_ms()
    return {
        "from": rate_check.first_day(now_ms, zone),
        "to": local_day(now_ms, zone),
        "status": "no-rate",
        "number": prefix,
    }
