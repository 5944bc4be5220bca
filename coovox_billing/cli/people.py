"""`billing-user list|create|reset-password|disable|enable|set-role|reset-second-factor`."""

import argparse
import json
from typing import Any

from coovox_billing.cli.context import Context, listable
from coovox_billing.core.clock import iso
from coovox_billing.core.money import format_amount, parse_amount
from coovox_billing.services import passwords, people, second_factor
from coovox_billing.services.people import Duty

_COLUMNS = ("name", "role", "enabled", "remark", "recharge_limit", "daily_limit", "second_factor", "signed_in_at")


def add_commands(commands: Any) -> None:
    """Add this module's commands to the parser."""
    users = commands.add_parser("billing-user", help="who signs in to the pages beside the owner")
    verbs = users.add_subparsers(metavar="VERB", required=True)
    listing = verbs.add_parser("list", help="all billing users")
    listable(listing)
    listing.set_defaults(run=_list)
    creating = verbs.add_parser("create", help="make a user; prints the name and a password, once")
    _add_duty(creating, "manager")
    listable(creating)
    creating.set_defaults(run=_create)
    roles = verbs.add_parser("set-role", help="give a user another role; what is not given but the remark goes")
    roles.add_argument("name", metavar="NAME")
    _add_duty(roles, None)
    roles.set_defaults(run=_set_role)
    resetting = _verb(verbs, "reset-password", "make a new password and print it, once", _reset_password)
    listable(resetting)
    _verb(verbs, "disable", "sign a user out, and let him sign in no more", _disable)
    _verb(verbs, "enable", "let a user sign in again", _enable)
    _verb(verbs, "reset-second-factor", "let a user sign in with the password alone", _reset_second_factor)


def _verb(verbs: Any, word: str, words: str, run: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(word, help=words)
    parser.add_argument("name", metavar="NAME", help="like bill-k7m")
    parser.set_defaults(run=run)
    return parser


def _add_duty(parser: argparse.ArgumentParser, role: str | None) -> None:
    parser.add_argument(
        "--role", metavar="ROLE", required=role is None, default=role, help="manager, cashier or auditor"
    )
    parser.add_argument("--limit", metavar="AMOUNT", help="a cashier's: the most that is recharged at once")
    parser.add_argument("--daily-limit", metavar="AMOUNT", help="a cashier's: the most that is recharged in a day")
    parser.add_argument("--remark", metavar="TEXT", help="who it is")


def _list(context: Context) -> None:
    from coovox_billing.store import queries
    from coovox_billing.store.lists.people import users

    context.open_reading()
    zone = queries.site().time_zone
    rows = [
        {
            "name": user.name,
            "role": user.role,
            "enabled": user.enabled,
            "remark": user.remark,
            "recharge_limit": _amount(user.recharge_limit_micros),
            "daily_limit": _amount(user.daily_limit_micros),
            "second_factor": user.second_factor,
            "created_at": iso(user.created_at_ms, zone),
            "signed_in_at": iso(user.signed_in_at_ms, zone),
        }
        for user in users()
    ]
    context.show(rows, _COLUMNS, "no billing users yet: `coovox-billing billing-user create` makes one")


def _create(context: Context) -> None:
    duty, person, password = _duty(context.arguments, ""), context.person(), passwords.random_password()
    hashed = passwords.hashed(password)
    name = context.database.write(lambda c: people.create(c, hashed, duty, person))
    _print_password(context, name, password)


def _set_role(context: Context) -> None:
    name, person = context.arguments.name, context.person()
    remark = context.database.read(lambda c: people.find(c, name)["remark"])
    duty = _duty(context.arguments, remark)
    context.database.write(lambda c: people.assign(c, name, duty, person))
    print(f"{name} is now {duty.role.value}")


def _reset_password(context: Context) -> None:
    name, person, password = context.arguments.name, context.person(), passwords.random_password()
    hashed = passwords.hashed(password)
    context.database.write(lambda c: people.set_password(c, name, hashed, person))
    _print_password(context, name, password)


def _print_password(context: Context, name: str, password: str) -> None:
    if context.arguments.json:
        print(json.dumps({"name": name, "password": password}, indent=2))
    else:
        print(f"{name} signs in with the password {password}: it is not shown again")


def _disable(context: Context) -> None:
    _switch(context, False)


def _enable(context: Context) -> None:
    _switch(context, True)


def _switch(context: Context, enabled: bool) -> None:
    name, person = context.arguments.name, context.person()
    context.database.write(lambda c: people.switch(c, name, enabled, person))
    print(f"{name} can sign in" if enabled else f"{name} is disabled and signed out")


def _reset_second_factor(context: Context) -> None:
    name, person = context.arguments.name, context.person()
    context.database.read(lambda c: people.find(c, name))
    context.database.write(lambda c: second_factor.turn_off(c, name, person))
    print(f"{name} signs in with the password alone")


def _duty(arguments: argparse.Namespace, remark: str) -> Duty:
    limits = [None if text is None else parse_amount(text) for text in (arguments.limit, arguments.daily_limit)]
    return Duty(
        people.parse_role(arguments.role),
        remark if arguments.remark is None else arguments.remark,
        recharge_limit_micros=limits[0],
        daily_limit_micros=limits[1],
    )


def _amount(micros: int | None) -> str | None:
    return None if micros is None else format_amount(micros)
