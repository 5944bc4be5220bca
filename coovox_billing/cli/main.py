"""Puts the commands together, and turns an error into one line and exit status 1 (DESIGN §6)."""

import argparse
import os
import sqlite3
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module

from coovox_billing import __version__
from coovox_billing.cli.context import Context
from coovox_billing.errors import BillingError

# The commands of each module beside this one.
COMMANDS_OF = {
    "planes": ("serve", "calls", "web"),
    "extensions": ("extension", "recharge"),
    "gateways": ("gateway",),
    "rates": ("rate", "quote"),
    "trunks": ("trunk",),
    "calls": ("call", "audit"),
    "settings": ("setting", "owner"),
    "people": ("billing-user",),
    "activation": ("activation",),
    "licenses": ("license",),
    "pbx": ("pbx",),
    "boards": ("board",),
    "hooks": ("hook",),
    "health": ("doctor",),
    "backups": ("backup", "restore", "backups"),
    "database": ("database",),
}


def build_parser(modules: Iterable[str] = COMMANDS_OF) -> argparse.ArgumentParser:
    """The command line of some modules, or the whole, which a test compares with docs/commands.md."""
    parser = argparse.ArgumentParser(
        prog="coovox-billing", description="Billing for the outbound calls of an Asterisk PBX."
    )
    parser.add_argument("--version", action="version", version=f"coovox-billing {__version__}")
    _add_data_option(parser)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in modules:
        import_module(f"coovox_billing.cli.{name}").add_commands(commands)
    return parser


def _needed_modules(arguments: Sequence[str] | None) -> list[str]:
    """Only what the command needs is loaded: the call plane is to be small, and every command quick."""
    first = argparse.ArgumentParser(add_help=False)
    _add_data_option(first)
    _, words = first.parse_known_args(arguments)
    return [name for name, commands in COMMANDS_OF.items() if words[:1] and words[0] in commands] or list(COMMANDS_OF)


def _add_data_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", metavar="DIR", help="the data directory; default the setting `data`")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status: 0 done, 1 refused; wrong usage ends with 2."""
    context = Context(build_parser(_needed_modules(arguments)).parse_args(arguments))
    try:
        status = context.arguments.run(context) or 0
        sys.stdout.flush()
        return status
    except BillingError as error:
        print(f"coovox-billing: {error}", file=sys.stderr)
    except sqlite3.Error as error:
        print(
            f"coovox-billing: the database cannot be used: {error}; run `coovox-billing doctor`",
            file=sys.stderr,
        )
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123  the reader of our output is gone
    except UnicodeEncodeError:
        print("coovox-billing: a word of this command is not UTF-8 text: write it again", file=sys.stderr)
    except OSError as error:
        print(f"coovox-billing: {error.strerror or error}", file=sys.stderr)
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123  what could not be written is not tried again
    except KeyboardInterrupt:
        print("coovox-billing: interrupted", file=sys.stderr)
    finally:
        context.close()
    return 1
