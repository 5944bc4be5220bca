"""Guests: check-in with a deposit, the bill with the calls since then, check-out that pays it and locks."""

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from coovox_billing.core.money import parse_amount
from coovox_billing.errors import BillingError, NotFound
from coovox_billing.services import accounts
from coovox_billing.services import stays as service
from coovox_billing.services.stays import Bill
from coovox_billing.store import queries
from coovox_billing.store.lists import stays
from coovox_billing.store.lists.stays import GuestBill
from coovox_billing.web import formats, pieces
from coovox_billing.web.access import READERS, Role, needs
from coovox_billing.web.arguments import WHOLE_ID, Arguments
from coovox_billing.web.pages.extensions import search as extension_search
from coovox_billing.web.pages.extensions.forms import find, words
from coovox_billing.web.parts import once, parts, person
from coovox_billing.web.words import gettext as _
from coovox_billing.web.words import told

page = Blueprint("stays", __name__)


@page.get("/extension/<number>/check-in")
@needs(Role.MANAGER)
def ask_check_in(number: str) -> ResponseReturnValue:
    """Who comes, and what is paid in advance."""
    return _check_in_form(number, Arguments({}))


@page.post("/extension/<number>/check-in")
@needs(Role.MANAGER)
def check_in(number: str) -> ResponseReturnValue:
    """Unlock the extension for a guest, with a deposit."""
    arguments, author = Arguments(request.form), person()
    guest, deposit_micros = arguments.text("guest", accounts.MAX_NAME_LENGTH), arguments.amount("deposit") or 0
    if deposit_micros < 0:
        arguments.errors["deposit"] = _("0 or more")
    if arguments.errors:
        return _check_in_form(number, arguments), 422
    try:
        once(
            lambda connection: service.check_in(connection, number, deposit_micros, guest, author),
            _("%(extension)s is checked in.", extension=formats.named(guest, number)),
        )
    except BillingError as error:
        return _check_in_form(number, arguments, told(error)), 422
    return pieces.onward(extension_search.back())


@page.get("/extension/<number>/check-out")
@needs(Role.MANAGER)
def ask_check_out(number: str) -> ResponseReturnValue:
    """The bill until now."""
    return _check_out_page(number)


@page.post("/extension/<number>/check-out")
@needs(Role.MANAGER)
def check_out(number: str) -> ResponseReturnValue:
    """Pay the bill that was shown, lock the extension, and show the bill to be printed."""
    author, shown = person(), request.form.get("shown", "")
    bills: list[Bill] = []
    try:
        expected_micros = parse_amount(shown)
        once(
            lambda connection: bills.append(service.check_out(connection, number, author, expected_micros)),
            _("%(extension)s is checked out and locked.", extension=number),
        )
    except BillingError as error:
        return _check_out_page(number, told(error)), 422
    past = stays.stays(number)
    stay_id = bills[-1].id if bills else past[0].id if past else None
    return pieces.onward(extension_search.back() if stay_id is None else url_for(".bill", stay_id=stay_id))


@page.get(f"/extensions/stays/<{WHOLE_ID}:stay_id>")
@needs(*READERS)
def bill(stay_id: int) -> ResponseReturnValue:
    """The bill of a stay that is over."""
    found = stays.bill_of_stay(stay_id)
    if found is None:
        raise NotFound("There is no such stay.")
    return _bill_page("extensions/bill.html", found)


@page.get("/extension/<number>/stays")
@needs(*READERS)
def past(number: str) -> ResponseReturnValue:
    """The stays in an extension that are over."""
    found, zone = stays.stays(number), queries.site().time_zone
    return render_template("extensions/stays.html", number=number, stays=found, zone=zone, **words())


def _check_in_form(number: str, arguments: Arguments, error: str = "") -> str:
    own = {"form": arguments, "errors": arguments.errors, "error": error, "extension": find(number)}
    return pieces.render_form("extensions/check_in.html", **words(), **own)


def _check_out_page(number: str, error: str = "") -> str:
    found = stays.bill_until_now(number, parts().now_ms())
    if found is None:
        find(number)
        raise NotFound("There is no such stay.")
    return _bill_page(
        "extensions/check_out.html", found, error=error, in_call=stays.is_in_call(number), extension=find(number)
    )


def _bill_page(template: str, found: GuestBill, **values: object) -> str:
    site = queries.site()
    return render_template(template, bill=found, zone=site.time_zone, **words(), **values)
