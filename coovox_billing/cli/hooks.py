"""`hook NAME`: what the firmware calls before and after what it does to the machine."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from coovox_billing.cli.boards import add_sysroot, data_of, machine_of
from coovox_billing.cli.context import Context, listable
from coovox_billing.firmware.hooks import HOOKS, Step, failed, run_hook
from coovox_billing.pbx.parts import DEFAULT_ETC

REMOVE = "remove"


def add_commands(commands: Any) -> None:
    """Add this module's command to the parser."""
    parser = commands.add_parser("hook", help="what the firmware calls; it may be called at any time, and again")
    parser.add_argument("name", metavar="NAME", choices=tuple(HOOKS), help=", ".join(HOOKS))
    parser.add_argument("--strict", action="store_true", help="exit status 1 if something could not be done")
    parser.add_argument("--etc", metavar="DIR", help="Asterisk's configuration, for remove")
    add_sysroot(parser)
    listable(parser)
    parser.set_defaults(run=_hook)


def _hook(context: Context) -> int:
    """Whatever goes wrong is told, and the firmware goes on."""
    steps = list(_steps(context))
    if context.arguments.json:
        context.show([{"ok": step.ok, "text": step.text} for step in steps], (), "")
    for step in () if context.arguments.json else steps:
        print(f"{'ok   ' if step.ok else 'FAULT'}  {step.text}")
    return 1 if context.arguments.strict and not all(step.ok for step in steps) else 0


def _steps(context: Context) -> Iterator[Step]:
    try:
        machine = machine_of(context)
        yield from run_hook(context.arguments.name, machine, data_of(context, machine))
        if context.arguments.name == REMOVE:
            yield from _leave_asterisk(Path(context.arguments.etc or machine.path(str(DEFAULT_ETC))))
    except Exception as error:
        yield failed(error)


def _leave_asterisk(etc: Path) -> Iterator[Step]:
    """Take out what `pbx install` put in, and make a running Asterisk see it."""
    from coovox_billing.pbx import console, install

    if not etc.is_dir():
        return
    items = install.remove(etc, let_calls_pass=True)
    for item in items:
        yield Step(item.ok, f"{item.name}: {item.message}" + (f"; {item.what_to_do}" if item.what_to_do else ""))
    asterisk = console.find_asterisk_cli()
    if install.NOTHING_REMOVED not in items and asterisk is not None and etc == DEFAULT_ETC:
        console.reload(asterisk)
        yield Step(True, "Asterisk has read its configuration again")
