"""`gateway list|set`: devices with many telephones behind them, whose caller ID says who pays."""

from typing import Any

from coovox_billing.cli.context import Context, listable
from coovox_billing.services import devices


def add_commands(commands: Any) -> None:
    """Add this module's commands to the parser."""
    gateway = commands.add_parser("gateway", help="devices whose caller ID says who pays")
    verbs = gateway.add_subparsers(metavar="VERB", required=True)
    listing = verbs.add_parser("list", help="all devices whose caller ID is trusted")
    listable(listing)
    listing.set_defaults(run=_list)
    setting = verbs.add_parser("set", help="trust a device's caller ID, or no longer")
    setting.add_argument("device", metavar="DEVICE", help="like PJSIP/gw")
    setting.add_argument(
        "--trust-caller-id", choices=("on", "off"), required=True, help="whether its caller ID says who pays"
    )
    setting.set_defaults(run=_set)


def _list(context: Context) -> None:
    found = context.database.read(devices.gateways)
    rows = [{"device": device, "trust_caller_id": True} for device in found]
    context.show(
        rows, ("device", "trust_caller_id"), "no gateways: `coovox-billing gateway set DEVICE --trust-caller-id on`"
    )


def _set(context: Context) -> None:
    device, person = context.arguments.device, context.person()
    trusted = context.arguments.trust_caller_id == "on"
    context.database.write(lambda c: devices.trust_caller_id(c, device, trusted, person))
    print(f"the caller ID of {device} {'says who pays from now on' if trusted else 'no longer matters'}")
