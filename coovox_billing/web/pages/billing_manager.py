"""The guide's *Billing Manager*, the owner's page: billing users with their roles, passwords and second factors."""

import sqlite3
from collections.abc import Callable

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from coovox_billing.core.roles import BILLING_ROLES
from coovox_billing.errors import BillingError, NotFound
from coovox_billing.services import passwords, people, second_factor, submissions
from coovox_billing.services.people import Duty
from coovox_billing.store import queries
from coovox_billing.store.lists import people as people_list
from coovox_billing.store.lists.people import BillingUser
from coovox_billing.web import formats, pieces
from coovox_billing.web.access import Role, needs
from coovox_billing.web.arguments import Arguments
from coovox_billing.web.listing import Column, Kind
from coovox_billing.web.parts import once, parts, person
from coovox_billing.web.tables import Table
from coovox_billing.web.words import gettext as _
from coovox_billing.web.words import told

page = Blueprint("billing_manager", __name__)

PATH = "/addons/billing-manager"


@page.get(PATH)
@needs(Role.OWNER)
def show() -> ResponseReturnValue:
    """All billing users, those that are disabled last."""
    return render_template(
        "billing_manager/list.html", users=people_list.users(), table=TABLE.view(), meanings=_meanings()
    )


@page.get(f"{PATH}/add")
@needs(Role.OWNER)
def ask_add() -> ResponseReturnValue:
    """The form of a new user."""
    return _form("billing_manager/add.html", Arguments({"role": Role.MANAGER}))


@page.post(f"{PATH}/add")
@needs(Role.OWNER)
def add() -> ResponseReturnValue:
    """Make a user, and show the password once."""
    arguments, author = Arguments(request.form), person()
    duty = _duty(arguments)
    if arguments.errors:
        return _form("billing_manager/add.html", arguments), 422
    password = passwords.random_password()
    hashed = passwords.hashed(password)
    try:
        name, is_new = _once(lambda connection: people.create(connection, hashed, duty, author))
    except BillingError as error:
        return _form("billing_manager/add.html", arguments, told(error)), 422
    return _shown(name, password, is_new)


@page.get(f"{PATH}/<name>")
@needs(Role.OWNER)
def ask_edit(name: str) -> ResponseReturnValue:
    """The form of a user, with what he is now."""
    user = _find(name)
    shown = {
        "role": user.role,
        "remark": user.remark,
        "limit": _amount(user.recharge_limit_micros),
        "daily_limit": _amount(user.daily_limit_micros),
    }
    return _form("billing_manager/edit.html", Arguments(shown), of=user)


@page.post(f"{PATH}/<name>")
@needs(Role.OWNER)
def edit(name: str) -> ResponseReturnValue:
    """Give a user another role, remark or limit."""
    user, arguments, author = _find(name), Arguments(request.form), person()
    duty = _duty(arguments)
    if arguments.errors:
        return _form("billing_manager/edit.html", arguments, of=user), 422
    try:
        once(
            lambda connection: people.assign(connection, name, duty, author),
            _("The user %(name)s is changed.", name=name),
        )
    except BillingError as error:
        return _form("billing_manager/edit.html", arguments, told(error), user), 422
    return pieces.onward(url_for("billing_manager.show"))


@page.get(f"{PATH}/<name>/password")
@needs(Role.OWNER)
def ask_reset(name: str) -> ResponseReturnValue:
    """What a new password means, before it is made."""
    return _form("billing_manager/reset.html", Arguments({}), of=_find(name))


@page.post(f"{PATH}/<name>/password")
@needs(Role.OWNER)
def reset(name: str) -> ResponseReturnValue:
    """Make a new password, and show it once."""
    user, author = _find(name), person()
    password = passwords.random_password()
    hashed = passwords.hashed(password)

    def job(connection: sqlite3.Connection) -> str:
        people.set_password(connection, user.name, hashed, author)
        return user.name

    try:
        _name, is_new = _once(job)
    except BillingError as error:
        return _form("billing_manager/reset.html", Arguments({}), told(error), user), 422
    return _shown(user.name, password, is_new)


@page.post(f"{PATH}/<name>/switch")
@needs(Role.OWNER)
def switch(name: str) -> ResponseReturnValue:
    """Let a user sign in or not, as the switch of the row says; sent twice, it says the same."""
    user, enabled, author = _find(name), request.form.get("enabled") == "1", person()
    parts().database.write(lambda connection: people.switch(connection, user.name, enabled, author))
    flash(
        _("The user %(name)s can sign in.", name=name)
        if enabled
        else _("The user %(name)s is disabled and signed out.", name=name)
    )
    return redirect(url_for("billing_manager.show"), 303)


@page.get(f"{PATH}/<name>/second-factor")
@needs(Role.OWNER)
def ask_turn_off(name: str) -> ResponseReturnValue:
    """What it means to reset the second factor, before it is done."""
    return _form("billing_manager/second_factor.html", Arguments({}), of=_find(name))


@page.post(f"{PATH}/<name>/second-factor")
@needs(Role.OWNER)
def turn_off(name: str) -> ResponseReturnValue:
    """Let a user who lost the telephone sign in with the password alone."""
    user, author = _find(name), person()
    try:
        once(
            lambda connection: second_factor.turn_off(connection, user.name, author),
            _("%(name)s signs in with the password alone, until a second factor is set up again.", name=user.name),
        )
    except BillingError as error:
        return _form("billing_manager/second_factor.html", Arguments({}), told(error), user), 422
    return pieces.onward(url_for("billing_manager.show"))


def _columns() -> list[Column[BillingUser]]:
    sign = _sign()
    return [
        Column(_("User name"), lambda user: user.name, key="name", names_row=True, look="figures whole"),
        Column(_("Remark"), lambda user: user.remark, key="remark", look="name"),
        Column(_("Role"), lambda user: formats.role(user.role), key="role", look="bare"),
        Column(_("At once(%(sign)s)", sign=sign), lambda user: user.recharge_limit_micros, Kind.AMOUNT, key="limit"),
        Column(_("In a day(%(sign)s)", sign=sign), lambda user: user.daily_limit_micros, Kind.AMOUNT, key="daily"),
        Column(_("Second factor"), lambda user: _("On") if user.second_factor else _("Off"), key="factor"),
        Column(_("Last sign-in"), lambda user: user.signed_in_at_ms, Kind.MOMENT, key="seen", look="when"),
        Column(_("Enabled"), lambda user: _("On") if user.enabled else _("Off"), key="enabled", look="lead"),
    ]


TABLE = Table("billing-users", "billing_manager.show", _columns)


def _once(job: Callable[[sqlite3.Connection], str]) -> tuple[str, bool]:
    """What a job answers, and whether it was done just now: a password is shown to the form that made it alone."""
    token, now_ms = request.form.get("submission", ""), parts().now_ms()
    return parts().database.write(lambda connection: submissions.once(connection, token, now_ms, job))


def _shown(name: str, password: str, is_new: bool) -> ResponseReturnValue:
    if is_new:
        return render_template("billing_manager/password.html", name=name, password=password)
    flash(_("This form was sent already: the password of %(name)s was shown then. Reset it for another.", name=name))
    return redirect(url_for("billing_manager.show"), 303)


def _find(name: str) -> BillingUser:
    found = people_list.user(name)
    if found is None:
        raise NotFound("There is no billing user %(name)s.", name=name[:40])
    return found


def _duty(arguments: Arguments) -> Duty:
    """What the form says; what is wrong is in the arguments' errors. Limits of another role than a cashier are left."""
    role = Role(arguments.choice("role", BILLING_ROLES, Role.MANAGER))
    remark = arguments.text("remark", people.MAX_REMARK_LENGTH)
    if role != Role.CASHIER:
        return Duty(role, remark)
    limits = [_limit(arguments, name) for name in ("limit", "daily_limit")]
    if limits[0] is None:
        arguments.errors.setdefault("limit", _("an amount above 0: the most that may be recharged at once"))
    return Duty(role, remark, *limits)


def _limit(arguments: Arguments, name: str) -> int | None:
    micros = arguments.amount(name)
    if micros is not None and micros <= 0:
        arguments.errors[name] = _("an amount above 0")
    return micros


def _form(template: str, arguments: Arguments, error: str = "", of: BillingUser | None = None) -> str:
    return pieces.render_form(
        template,
        form=arguments,
        errors=arguments.errors,
        error=error,
        of=of,
        roles={role.value: formats.role(role) for role in BILLING_ROLES},
        meanings=_meanings(),
        sign=_sign(),
        back=url_for("billing_manager.show"),
        token=request.form.get("submission") or pieces.submission_token(),
    )


def _meanings() -> dict[str, str]:
    """What each role may do."""
    return {
        Role.MANAGER: _("Everything in billing: extensions, rates, recharges, reports, settings."),
        Role.CASHIER: _("Sees extensions and balances, recharges up to a limit, prints receipts. Nothing else."),
        Role.AUDITOR: _("Reads and downloads every list and the audit log. Changes nothing."),
    }


def _sign() -> str:
    return formats.currency_sign(queries.site().currency)


def _amount(micros: int | None) -> str:
    return "" if micros is None else formats.amount_for_field(micros)
