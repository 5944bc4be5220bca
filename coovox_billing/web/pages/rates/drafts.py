"""Drafts of tariffs: made of a file or of today's rates, edited as text, deleted. Activating is `activation`'s."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from coovox_billing.core.csv_table import BadRow
from coovox_billing.core.rate_csv import parse_rates, render_rates
from coovox_billing.core.tariff import Rate
from coovox_billing.errors import BadInput, BillingError, Refused
from coovox_billing.services import rate_check, rates, tariff_drafts
from coovox_billing.store import queries
from coovox_billing.store import tariff_drafts as stored
from coovox_billing.store.tariff_drafts import Draft, DraftState
from coovox_billing.web import bodies, pieces
from coovox_billing.web.access import READERS, Role, needs
from coovox_billing.web.downloads import CSV_TYPE
from coovox_billing.web.pages.rates import steps
from coovox_billing.web.pages.rates.check import DRAFT, of_draft, takes_long
from coovox_billing.web.pages.rates.files import MOST_BYTES, MOST_RATES, read_rates
from coovox_billing.web.parts import once, parts, person
from coovox_billing.web.words import gettext as _
from coovox_billing.web.words import later, ngettext, told

page = Blueprint("drafts", __name__)

MOST_BAD_SHOWN = 200
MOST_TYPED = 1_000  # rates that are edited in the browser; more go through a file
AHEAD_MS = 3_600_000

STATES = {
    DraftState.DRAFT: later("Draft"),
    DraftState.SCHEDULED: later("Scheduled"),
    DraftState.ACTIVE: later("Activated"),
    DraftState.TAKEN_BACK: later("Taken back"),
}
MARKS = {DraftState.SCHEDULED: "warn", DraftState.ACTIVE: "good"}


@dataclass(frozen=True, slots=True)
class Filled:
    """What the form of a draft holds: its name, its rates as text, and what was wrong with them."""

    name: str
    text: str = ""
    error: str = ""
    bad: Sequence[BadRow] = ()


@page.get("/rate/drafts")
@needs(*READERS)
def show() -> ResponseReturnValue:
    """All drafts, the newest first."""
    return render_template("rates/drafts.html", drafts=parts().database.read(stored.drafts), **_words())


@page.get("/rate/drafts/add")
@needs(Role.MANAGER)
def ask_add() -> ResponseReturnValue:
    """What a new draft is made of."""
    return _form(None, Filled(""))


@page.post("/rate/drafts/add")
@needs(Role.MANAGER)
@bodies.takes(bodies.LARGEST_BYTES)
def add() -> ResponseReturnValue:
    """Keep a file's rates as a draft, or where none was chosen a copy of today's."""
    name, author, keeps_others = request.form.get("name", ""), person(), "keep_others" in request.form
    found, filled = _sent(name, "")
    if found is None and (filled.error or filled.bad):
        return _form(None, filled), 422
    made: list[int] = []

    def job(connection: sqlite3.Connection) -> None:
        whole = tariff_drafts.today(connection) if found is None else found
        if found is not None and keeps_others:
            whole = tariff_drafts.complete(connection, found)
        made.append(tariff_drafts.add(connection, name, whole, author))

    try:
        once(job, _("The draft is kept. Nothing of today's rates is changed."))
    except BillingError as error:
        return _form(None, Filled(name, error=told(error))), 422
    return redirect(url_for("rates.drafts.look", draft_id=made[-1]) if made else url_for("rates.drafts.show"), 303)


@page.get(f"/rate/drafts/{DRAFT}")
@needs(*READERS)
def look(draft_id: int) -> ResponseReturnValue:
    """A draft, what activating it would change, and what may be done with it."""
    return show_draft(draft_id)


@page.get(f"/rate/drafts/{DRAFT}/rates.csv")
@needs(*READERS)
def export(draft_id: int) -> ResponseReturnValue:
    """The rates of a draft as a file that an import and a draft take again."""
    found = parts().database.read(lambda c: tariff_drafts.rates_of(c, draft_id))
    response = Response("\ufeff" + render_rates(found), content_type=CSV_TYPE)
    response.headers["Content-Disposition"] = f'attachment; filename="draft-{draft_id}.csv"'
    return response


@page.get(f"/rate/drafts/{DRAFT}/edit")
@needs(Role.MANAGER)
def ask_edit(draft_id: int) -> ResponseReturnValue:
    """The rates of a draft as text."""
    draft = find(draft_id)
    if draft.state != DraftState.DRAFT:
        flash(_("Only a draft that is neither scheduled nor active can be changed."), "bad")
        return redirect(url_for("rates.drafts.look", draft_id=draft_id), 303)
    text = parts().database.read(lambda c: stored.rates_text(c, draft_id))
    return _form(draft, Filled(draft.name, text))


@page.post(f"/rate/drafts/{DRAFT}/edit")
@needs(Role.MANAGER)
@bodies.takes(bodies.LARGEST_BYTES)
def edit(draft_id: int) -> ResponseReturnValue:
    """Give a draft the rates of the text, or of the file where one was chosen."""
    draft, author, name = find(draft_id), person(), request.form.get("name", "")
    found, filled = _sent(name, request.form.get("rates", ""))
    if found is None:
        return _form(draft, filled), 422
    try:
        once(lambda c: tariff_drafts.edit(c, draft_id, name, found, author), _("The draft is saved."))
    except BillingError as error:
        return _form(draft, Filled(name, filled.text, told(error))), 422
    return redirect(url_for("rates.drafts.look", draft_id=draft_id), 303)


@page.get(f"/rate/drafts/{DRAFT}/delete")
@needs(Role.MANAGER)
def ask_delete(draft_id: int) -> ResponseReturnValue:
    """Whether it is to be forgotten."""
    return _deletion(find(draft_id), "")


@page.post(f"/rate/drafts/{DRAFT}/delete")
@needs(Role.MANAGER)
def delete(draft_id: int) -> ResponseReturnValue:
    """Forget a draft."""
    author = person()
    try:
        once(lambda c: tariff_drafts.delete(c, draft_id, author), _("The draft is deleted."))
    except Refused as error:
        return _deletion(find(draft_id), told(error)), 422
    return pieces.onward(url_for("rates.drafts.show"))


def find(draft_id: int) -> Draft:
    """The draft of an id.

    Raises:
        NotFound: there is none.
    """
    return parts().database.read(lambda c: tariff_drafts.find(c, draft_id))


def show_draft(draft_id: int, error: str = "", errors: dict[str, str] | None = None) -> str:
    """The page of a draft; `error` is why something could not be done, `errors` by field."""
    draft = find(draft_id)
    is_last = parts().database.read(stored.last_active) == draft_id
    is_compared = draft.state in (DraftState.DRAFT, DraftState.SCHEDULED)
    is_later = request.method == "GET" and (is_compared or is_last) and takes_long(draft)
    plan, findings = None, 0
    try:
        if is_later:
            parts().database.read(rates.check_replaceable)
        elif is_compared:
            plan = parts().database.read(lambda c: tariff_drafts.plan(c, draft_id))
            findings = of_draft(draft_id).total
        elif is_last:
            plan = parts().database.read(lambda c: tariff_drafts.plan_return(c, draft_id))
    except Refused as refusal:
        # The rest of the page is there all the same: what is scheduled can be canceled.
        error, is_later = error or told(refusal), False
    return render_template(
        "rates/draft.html",
        draft=draft,
        is_open=draft.state == DraftState.DRAFT,
        is_last=is_last,
        is_later=is_later,
        findings=findings,
        error=error,
        errors=errors or {},
        token=request.form.get("submission") or pieces.submission_token(),
        now_ms=parts().now_ms(),
        ahead_ms=AHEAD_MS,
        check_days=rate_check.DAYS,
        **_words(),
        **(steps.shown(plan) if plan else {"plan": None}),
    )


def _words() -> dict[str, object]:
    return {
        "states": {state: _(words) for state, words in STATES.items()},
        "marks": MARKS,
        "zone": queries.site().time_zone,
    }


def _sent(name: str, text: str) -> tuple[list[Rate] | None, Filled]:
    """The rates that were sent, as a file or as text; None where there are none, or something is wrong with them."""
    file = request.files.get("file")
    try:
        if file is not None and file.filename:
            found, bad = read_rates(file.stream.read(MOST_BYTES + 1))
        elif text.strip():
            found, bad = parse_rates(text, MOST_RATES)
        else:
            return None, Filled(name)
    except BadInput as error:
        return None, Filled(name, text, told(error))
    if not bad:
        return found, Filled(name, text)
    nothing = ngettext(
        "Nothing was kept: %(num)s row is wrong. Correct it and send it again.",
        "Nothing was kept: %(num)s rows are wrong. Correct them and send them again.",
        len(bad),
    )
    return None, Filled(name, text, nothing, bad)


def _form(draft: Draft | None, filled: Filled) -> str:
    is_typed = draft is not None and draft.rate_count <= MOST_TYPED
    return render_template(
        "rates/draft_form.html",
        draft=draft,
        filled=filled,
        bad=filled.bad[:MOST_BAD_SHOWN],
        bad_count=len(filled.bad),
        is_typed=is_typed,
        keeps_others="keep_others" in request.form,
        most_megabytes=MOST_BYTES // 1024 // 1024,
        most_rates=MOST_RATES,
        most_typed=MOST_TYPED,
        token=request.form.get("submission") or pieces.submission_token(),
    )


def _deletion(draft: Draft, error: str) -> str:
    return pieces.render_form(
        "rates/draft_delete.html",
        draft=draft,
        action=url_for("rates.drafts.delete", draft_id=draft.id),
        back=url_for("rates.drafts.show"),
        error=error,
        token=request.form.get("submission") or pieces.submission_token(),
    )
