"""`extension list|add|set|pin|sync` and `recharge`."""

import argparse
import sqlite3
from typing import Any

from coovox_billing.cli import extension_sync
from coovox_billing.cli.context import Context, asked_secret, listable
from coovox_billing.core.clock import iso
from coovox_billing.core.money import format_amount, parse_amount
from coovox_billing.core.pin import check_pin
from coovox_billing.core.site_settings import Site
from coovox_billing.errors import BadInput
from coovox_billing.services import accounts, passwords, payments, self_service

_COLUMNS = (
    "number",
    "name",
    "billing",
    "payment_type",
    "status",
    "total_recharges",
    "balance",
    "credit",
    "held",
)
_CLOSED_COLUMNS = ("number", "name", "closed_at", "balance")


def add_commands(commands: Any) -> None:
    """Add this module's commands to the parser."""
    extension = commands.add_parser("extension", help="extensions and their balances")
    verbs = extension.add_subparsers(metavar="VERB", required=True)
    listing = verbs.add_parser("list", help="all extensions with their balances")
    listing.add_argument("--closed", action="store_true", help="the closed accounts instead, which keep their money")
    listable(listing)
    listing.set_defaults(run=_list)
    adding = verbs.add_parser("add", help="open an extension's account: not billed, prepaid, empty")
    adding.add_argument("extension", metavar="EXT")
    adding.add_argument("--name", default="", help="whose extension it is")
    adding.set_defaults(run=_add)
    setting = verbs.add_parser("set", help="change an extension; what is not given stays")
    _add_properties(setting)
    setting.set_defaults(run=_set)
    _add_pin(verbs)
    extension_sync.add_verb(verbs)
    recharge = commands.add_parser("recharge", help="put money on an extension")
    recharge.add_argument("extension", metavar="EXT")
    recharge.add_argument("amount", metavar="AMOUNT", help="like 10 or 12.50")
    recharge.set_defaults(run=_recharge)


def _add_properties(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("extension", metavar="EXT")
    parser.add_argument("--name", help="whose extension it is")
    parser.add_argument("--billing", choices=("on", "off"), help="whether its calls cost money")
    parser.add_argument("--credit", metavar="AMOUNT", help="how far its balance may go below zero")
    parser.add_argument("--status", choices=accounts.STATUSES, help="locked: no outbound calls")
    parser.add_argument("--payment-type", choices=accounts.PAYMENT_TYPES, help="changing it restarts Total Recharges")
    parser.add_argument("--devices", metavar="LIST", help='devices beside its own number, like "PJSIP/100 SIP/100"')
    parser.add_argument(
        "--recreated",
        choices=accounts.RECREATED_ANSWERS,
        help="of one that was closed and is back: whether it is the old one, or begins anew",
    )


def _add_pin(verbs: Any) -> None:
    giving = verbs.add_parser("pin", help="set the PIN for self-service; asks for it")
    giving.add_argument("extension", metavar="EXT")
    ways = giving.add_mutually_exclusive_group()
    ways.add_argument("--random", action="store_true", help="make one and print it, once")
    ways.add_argument("--remove", action="store_true", help="none any more")
    giving.set_defaults(run=_pin)


def _list(context: Context) -> None:
    from coovox_billing.store import queries

    context.open_reading()
    site = queries.site()
    if context.arguments.closed:
        rows = [_row(extension, site) for extension in queries.closed_extensions()]
        context.show(rows, _CLOSED_COLUMNS, "no account was ever closed")
        return
    rows = [_row(extension, site) for extension in queries.extensions()]
    context.show(
        rows, _COLUMNS, "no extensions yet: `coovox-billing extension add EXT` makes one, `extension sync` all"
    )
    for row in () if context.arguments.json else rows:
        if row["recreated"]:
            print(extension_sync.question(row["number"]))


def _row(extension: Any, site: Site) -> dict[str, Any]:
    return {
        "number": extension.number,
        "name": extension.name,
        "billing": extension.billing,
        "payment_type": extension.payment_type,
        "status": extension.status,
        "total_recharges": format_amount(extension.total_recharges_micros),
        "balance": format_amount(extension.balance_micros),
        "credit": format_amount(extension.credit_micros),
        "held": format_amount(extension.held_micros),
        "devices": list(extension.devices),
        "recreated": extension.recreated,
        "closed_at": iso(extension.closed_at_ms, site.time_zone),
    }


def _add(context: Context) -> None:
    arguments, person = context.arguments, context.person()
    was_closed = context.database.write(lambda c: accounts.add(c, arguments.extension, arguments.name.strip(), person))
    if was_closed:
        print(extension_sync.question(arguments.extension))
    else:
        print(f"extension {arguments.extension} added; billing is off for it until `extension set --billing on`")


def _set(context: Context) -> None:
    changes, answer = _changes(context.arguments), context.arguments.recreated
    extension, person = context.arguments.extension, context.person()
    if not changes and answer is None:
        raise BadInput("nothing to change: give an option, like --billing on")

    def change(connection: sqlite3.Connection) -> None:
        if answer is not None:
            accounts.answer_recreated(connection, extension, answer, person)
        accounts.change(connection, extension, changes, person)

    context.database.write(change)
    print(f"extension {extension} changed")


def _pin(context: Context) -> None:
    """A PIN is never an argument, which others on the machine could see."""
    arguments, extension, person = context.arguments, context.arguments.extension, context.person()
    context.database.read(lambda c: accounts.find(c, extension))
    if arguments.remove:
        context.database.write(lambda c: self_service.remove_pins(c, [extension], person))
        print(f"extension {extension} has no PIN")
        return
    pin = self_service.random_pin(extension) if arguments.random else check_pin(asked_secret("PIN"), extension)
    hashed = passwords.hashed(pin)
    context.database.write(lambda c: self_service.set_pins(c, {extension: hashed}, person))
    told = f"{pin}: it is not shown again" if arguments.random else "set"
    print(f"the PIN of extension {extension} is {told}")


def _changes(arguments: argparse.Namespace) -> dict[str, object]:
    changes: dict[str, object] = {}
    if arguments.name is not None:
        changes["name"] = arguments.name.strip()
    if arguments.billing is not None:
        changes["billing"] = arguments.billing == "on"
    if arguments.credit is not None:
        changes["credit_micros"] = _credit(arguments.credit)
    if arguments.devices is not None:
        changes["devices"] = arguments.devices.split()
    changes |= {
        key: getattr(arguments, key) for key in ("status", "payment_type") if getattr(arguments, key) is not None
    }
    return changes


def _credit(text: str) -> int:
    micros = parse_amount(text)
    if micros < 0:
        raise BadInput("a credit of %(text)s is negative: give 0 or more", text=text)
    return micros


def _recharge(context: Context) -> None:
    extension, person = context.arguments.extension, context.person()
    amount_micros = parse_amount(context.arguments.amount)
    balance_micros = context.database.write(lambda c: payments.recharge(c, extension, amount_micros, person))
    print(f"extension {extension} recharged by {format_amount(amount_micros)}, balance {format_amount(balance_micros)}")
