"""`activation status|on|off`: whether billing is active."""

import json
from typing import Any

from coovox_billing.cli.context import Context, listable
from coovox_billing.services import activation
from coovox_billing.services.accounts import Person


def add_commands(commands: Any) -> None:
    """Add this module's commands to the parser."""
    parser = commands.add_parser("activation", help="whether calls are billed at all")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    status = verbs.add_parser("status", help="tell whether billing is active")
    on = verbs.add_parser("on", help="bill calls")
    off = verbs.add_parser("off", help="let all calls pass unbilled; calls in progress lose their limits")
    for verb, change in ((status, None), (on, True), (off, False)):
        listable(verb)
        verb.set_defaults(run=_run, change=change)


def _switch(context: Context, on: bool, person: Person) -> None:
    if on:
        from coovox_billing.this_device import open_licensing

        open_licensing(context.database, context.config.data).activate(person)
    else:
        context.database.write(lambda connection: activation.switch(connection, False, person))


def _run(context: Context) -> None:
    change, person = context.arguments.change, context.person()
    if change is not None:
        _switch(context, change, person)
    is_active = context.database.read(activation.is_active)
    if context.arguments.json:
        print(json.dumps({"active": is_active}))
    else:
        print("Billing is active." if is_active else "Billing is not active: calls pass unbilled.")
