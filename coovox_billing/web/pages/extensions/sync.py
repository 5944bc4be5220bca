"""*Sync*: what Asterisk's devices mean for the extensions, told first, then done."""

import hashlib
import sqlite3
from collections.abc import Sequence

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from coovox_billing.core.devices import Listing, Plan
from coovox_billing.errors import BillingError, Refused, SetupError
from coovox_billing.services import devices
from coovox_billing.web import formats, pieces
from coovox_billing.web.access import Role, needs
from coovox_billing.web.pages.extensions import search as extension_search
from coovox_billing.web.parts import once, parts, person
from coovox_billing.web.words import gettext as _
from coovox_billing.web.words import ngettext, told

page = Blueprint("sync", __name__)

Line = tuple[str, str, str]


@page.get("/extensions/sync")
@needs(Role.MANAGER)
def show() -> ResponseReturnValue:
    """What would be done; nothing is changed."""
    return _preview("")


@page.post("/extensions/sync")
@needs(Role.MANAGER)
def sync() -> ResponseReturnValue:
    """Do what was shown, unless Asterisk now says something else."""
    shown, author = request.form.get("shown", ""), person()
    try:
        listings = parts().read_devices()

        def job(connection: sqlite3.Connection) -> None:
            if _fingerprint(_lines(devices.plan(connection, listings))) != shown:
                raise Refused("Asterisk's devices or the extensions have changed since: look at it again.")
            devices.sync(connection, listings, author)

        once(job, _("The extensions are what Asterisk's devices say."))
    except SetupError as error:
        return _page(error=told(error)), 503
    except BillingError as error:
        return _preview(told(error), 422)
    return pieces.onward(extension_search.back())


def _preview(error: str, code: int = 200) -> ResponseReturnValue:
    try:
        listings = parts().read_devices()
        plan = parts().database.read(lambda connection: devices.plan(connection, listings))
    except BillingError as trouble:
        return _page(error=told(trouble)), 503
    lines = _lines(plan)
    answers = _answers(listings, plan)
    left = {"left": _left(plan), "skips": bool(plan.skipped)}
    return _page(error=error, lines=lines, answers=answers, **left, shown=_fingerprint(lines)), code


def _page(**values: object) -> str:
    own: dict[str, object] = {"lines": None, "answers": (), "left": (), "skips": False, "shown": ""}
    token = request.form.get("submission") or pieces.submission_token()
    return render_template("extensions/sync.html", **(own | values), token=token, back=extension_search.back())


def _lines(plan: Plan) -> list[Line]:
    """What is done: the word, the extension, the rest."""
    opened = [(_("New"), number, _who(name, plan, number)) for number, name in plan.opened.items()]
    back = [(_("Is back"), number, _who(account.name, plan, number)) for number, account in plan.reopened.items()]
    renamed = [(_("Renamed"), number, name) for number, name in plan.renamed.items()]
    given = [(_("Device"), number, device) for device, number in plan.devices.items()]
    closed = [
        (_("Closed"), number, _("its balance of %(balance)s is kept", balance=formats.amount(account.balance_micros)))
        for number, account in plan.closed.items()
    ]
    return [line for lines in (opened, back, renamed, given, closed) for line in sorted(lines, key=_by_number)]


def _who(name: str, plan: Plan, number: str) -> str:
    return f"{name} ({', '.join(plan.present[number])})".strip()


def _by_number(line: Line) -> tuple[int, str, str]:
    return len(line[1]), line[1], line[2]


def _left(plan: Plan) -> list[Line]:
    """What is left as it is, and why."""
    kept = [(_("Kept"), number, told(why)) for number, why in plan.kept.items()]
    skipped = [(_("Skipped"), device, told(why)) for device, why in plan.skipped.items()]
    return sorted(kept, key=_by_number) + sorted(skipped, key=_by_number)


def _answers(listings: Sequence[Listing], plan: Plan) -> list[tuple[str, str]]:
    return [(listing.technology, _answer(listing, plan)) for listing in listings]


def _answer(listing: Listing, plan: Plan) -> str:
    trouble = plan.troubles.get(listing.technology)
    if trouble:
        return _("no full answer, so nothing of it is closed: %(trouble)s", trouble=told(trouble))
    if not listing.is_loaded:
        return _("not there")
    return ngettext("%(num)s device", "%(num)s devices", len(listing.found))


def _fingerprint(lines: Sequence[Line]) -> str:
    """Of what was shown, so that nothing else is done."""
    return hashlib.sha256(repr(lines).encode()).hexdigest()
