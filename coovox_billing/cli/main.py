"""Puts the commands together, and turns an error into one line and exit status 1 (DESIGN §6)."""

import argparse
import os
import sqlite3
import sys
from collections.abc import Sequence

from coovox_billing import __version__
from coovox_billing.cli import calls, extensions, health, pbx, planes, rates, settings
from coovox_billing.cli.context import Context
from coovox_billing.errors import BillingError


def build_parser() -> argparse.ArgumentParser:
    """The whole command line; a test walks it and demands that docs/commands.md has all of it."""
    parser = argparse.ArgumentParser(
        prog="coovox-billing", description="Billing for the outbound calls of an Asterisk PBX."
    )
    parser.add_argument("--version", action="version", version=f"coovox-billing {__version__}")
    parser.add_argument("--data", metavar="DIR", help="the data directory; default the setting `data`")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for module in (planes, extensions, rates, calls, settings, pbx, health):
        module.add_commands(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status: 0 done, 1 refused; wrong usage ends with 2."""
    context = Context(build_parser().parse_args(arguments))
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
