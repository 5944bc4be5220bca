"""The own second factor: set up with a QR code and one code of the telephone, recovery codes, turned off."""

from collections.abc import Callable

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from coovox_billing.errors import BadInput, BillingError, Refused
from coovox_billing.services import second_factor
from coovox_billing.store import queries
from coovox_billing.store.lists import people
from coovox_billing.web import sessions
from coovox_billing.web.access import EVERYBODY, needs
from coovox_billing.web.attempts import try_password
from coovox_billing.web.parts import parts, person
from coovox_billing.web.qr_code import qr_code
from coovox_billing.web.words import gettext as _
from coovox_billing.web.words import told

page = Blueprint("second_factor", __name__)


@page.get("/account/second-factor")
@needs(*EVERYBODY)
def show() -> ResponseReturnValue:
    """What it is, the QR code while it is set up, or what can be done with it."""
    return _page()


@page.post("/account/second-factor")
@needs(*EVERYBODY)
def begin() -> ResponseReturnValue:
    """Make a secret, for whoever knows the password."""
    author = person()
    return _led_on(lambda: parts().database.write(lambda connection: second_factor.begin(connection, author)))


@page.post("/account/second-factor/confirm")
@needs(*EVERYBODY)
def confirm() -> ResponseReturnValue:
    """Take the first code, and show the recovery codes once."""
    author, code = person(), request.form.get("code", "")
    try:
        codes = parts().database.write(lambda connection: second_factor.confirm(connection, code, author))
    except BadInput as error:
        return _page(told(error)), 422
    except Refused as error:
        flash(told(error), "bad")
        return redirect(url_for("account.second_factor.show"), 303)
    sessions.begin(g.user.name)
    return _codes(codes)


@page.post("/account/second-factor/recovery-codes")
@needs(*EVERYBODY)
def renew() -> ResponseReturnValue:
    """Show new recovery codes once; those before are worth nothing any more."""
    author = person()
    try:
        _check_password()
        codes = parts().database.write(lambda connection: second_factor.renew_recovery_codes(connection, author))
    except BillingError as error:
        return _page(told(error)), 422
    return _codes(codes)


@page.post("/account/second-factor/off")
@needs(*EVERYBODY)
def turn_off() -> ResponseReturnValue:
    """Sign in with the password alone from now on."""
    author = person()

    def job() -> None:
        parts().database.write(lambda connection: second_factor.turn_off(connection, author.name, author))
        sessions.begin(author.name)
        flash(_("The second factor is turned off."))

    return _led_on(job)


def _led_on(job: Callable[[], object]) -> ResponseReturnValue:
    """Do it for whoever knows the password, then show the page anew."""
    try:
        _check_password()
        job()
    except BillingError as error:
        return _page(told(error)), 422
    return redirect(url_for("account.second_factor.show"), 303)


def _check_password() -> None:
    if not try_password(g.user.name, request.form.get("password", "")):
        raise BadInput("the password is wrong: nothing was changed")


def _codes(codes: list[str]) -> str:
    return render_template("account/recovery_codes.html", codes=codes)


def _page(error: str = "") -> str:
    name, now_ms = g.user.name, parts().now_ms()
    is_on = bool(people.secret_in_use(name))
    secret = "" if is_on else people.secret_to_confirm(name)
    return render_template(
        "account/second_factor.html",
        error=error,
        is_on=is_on,
        codes_left=people.recovery_codes_left(name),
        secret=secret,
        groups=" ".join(secret[start : start + 4] for start in range(0, len(secret), 4)),
        qr_code=qr_code(second_factor.address(name, secret)) if secret else "",
        clock_is_wrong=second_factor.is_clock_wrong(now_ms),
        now_ms=now_ms,
        zone=queries.site().time_zone,
    )
