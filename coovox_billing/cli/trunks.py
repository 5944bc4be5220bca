"""`trunk list|add|set|remove`."""

import argparse
from typing import Any

from coovox_billing.cli.context import Context, listable
from coovox_billing.core.trunk import MAX_CHANNELS, MAX_FREE_SECONDS
from coovox_billing.core.whole_number import parse_whole
from coovox_billing.errors import BadInput
from coovox_billing.services import trunks
from coovox_billing.services.trunks import Trunk
from coovox_billing.wall_clock import wall_clock_ms

_COLUMNS = ("device", "name", "free_seconds", "channels", "calls", "answered", "answered_within_2_seconds")


def add_commands(commands: Any) -> None:
    """Add this module's commands to the parser."""
    trunk = commands.add_parser("trunk", help="what outbound routes dial, and what is free on it")
    verbs = trunk.add_subparsers(metavar="VERB", required=True)
    listing = verbs.add_parser("list", help="all trunks with their calls of the last 30 days")
    listable(listing)
    listing.set_defaults(run=_list)
    adding = verbs.add_parser("add", help="name a trunk before any call dialed it")
    adding.add_argument("device", metavar="DEVICE", help="like PJSIP/carrier or DAHDI/g1")
    _add_name(adding)
    _add_channels(adding)
    adding.set_defaults(run=_add)
    setting = verbs.add_parser("set", help="change a trunk; what is not given stays")
    setting.add_argument("trunk", metavar="DEVICE-OR-NAME")
    setting.add_argument(
        "--free-seconds",
        metavar="N",
        help=f"talk up to so long costs nothing, 0 to {MAX_FREE_SECONDS}: for a line without answer supervision",
    )
    _add_name(setting)
    _add_channels(setting)
    setting.set_defaults(run=_set)
    removing = verbs.add_parser("remove", help="forget a device that is no trunk")
    removing.add_argument("trunk", metavar="DEVICE-OR-NAME")
    removing.set_defaults(run=_remove)


def _add_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", metavar="TEXT", help="as its route calls it: its calls are counted under it")


def _add_channels(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--channels",
        metavar="N",
        help=f"how many calls it carries at once, up to {MAX_CHANNELS}; 0 where nobody knows: the dashboard shows it",
    )


def _list(context: Context) -> None:
    found = context.database.read(lambda c: trunks.overview(c, wall_clock_ms()))
    context.show(
        [_row(trunk) for trunk in found],
        _COLUMNS,
        "no trunks yet: a call through a billed route makes its trunk known, or `coovox-billing trunk add DEVICE`",
    )
    if not context.arguments.json:
        for trunk in found:
            if trunk.suspicion:
                print(f"{trunk.device}: {trunk.suspicion}. {trunk.advice}")


def _row(trunk: Trunk) -> dict[str, Any]:
    return {
        "device": trunk.device,
        "name": trunk.name,
        "free_seconds": trunk.free_seconds,
        "channels": trunk.channels,
        "calls": trunk.traffic.calls,
        "answered": trunk.traffic.answered,
        "answered_within_2_seconds": trunk.traffic.answered_at_once,
        "notice": f"{trunk.suspicion}. {trunk.advice}" if trunk.suspicion else "",
    }


def _add(context: Context) -> None:
    arguments, person = context.arguments, context.person()
    channels = 0 if arguments.channels is None else parse_whole(arguments.channels, 0, MAX_CHANNELS)
    device = context.database.write(lambda c: trunks.add(c, arguments.device, arguments.name, person, channels))
    print(f"trunk {device} added: it never pays for a call")


def _set(context: Context) -> None:
    changes = _changes(context.arguments)
    trunk, person = context.arguments.trunk, context.person()
    if not changes:
        raise BadInput("nothing to change: give an option, like --free-seconds 30")
    device = context.database.write(lambda c: trunks.change(c, trunk, changes, person))
    print(f"trunk {device} changed")


def _changes(arguments: argparse.Namespace) -> dict[str, object]:
    changes: dict[str, object] = {}
    if arguments.name is not None:
        changes["name"] = arguments.name
    if arguments.free_seconds is not None:
        changes["free_seconds"] = parse_whole(arguments.free_seconds, 0, MAX_FREE_SECONDS)
    if arguments.channels is not None:
        changes["channels"] = parse_whole(arguments.channels, 0, MAX_CHANNELS)
    return changes


def _remove(context: Context) -> None:
    trunk, person = context.arguments.trunk, context.person()
    device = context.database.write(lambda c: trunks.remove(c, trunk, person))
    print(f"trunk {device} removed; it becomes one again with the next call that an outbound route sends there")
