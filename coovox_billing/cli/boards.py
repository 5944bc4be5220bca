"""`board show`: which board this machine is, and what billing uses of it."""

import json
from pathlib import Path
from typing import Any

from coovox_billing.cli.context import Context, listable
from coovox_billing.errors import BadInput
from coovox_billing.firmware.board_file import read_board
from coovox_billing.firmware.boards import FoundBoard, find_board
from coovox_billing.firmware.hooks import RECORDS, store_of
from coovox_billing.firmware.identifiers import TooFewIdentifiers, known_identity, read_identity
from coovox_billing.firmware.machine import Machine
from coovox_billing.shipped import shipped


def add_commands(commands: Any) -> None:
    """Add this module's commands to the parser."""
    parser = commands.add_parser("board", help="which board this machine is, and what tells it from others")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    showing = verbs.add_parser("show", help="board, identifiers, persistent store, and what is wrong with them")
    showing.add_argument("--file", metavar="FILE", help="try this board file, whatever this machine is")
    add_sysroot(showing)
    listable(showing)
    showing.set_defaults(run=_show)


def add_sysroot(parser: Any) -> None:
    """Give a command the option to look at another machine's files."""
    parser.add_argument("--sysroot", metavar="DIR", help="the root of another system's files, such as an image's")


def machine_of(context: Context) -> Machine:
    """The machine that a command is about.

    Raises:
        BadInput: `--sysroot` is no directory.
    """
    named = context.arguments.sysroot
    if named is None:
        return Machine()
    root = Path(named).absolute()
    if not named or not root.is_dir():
        raise BadInput("--sysroot %(directory)s is not a directory", directory=repr(named))
    return Machine(root)


def data_of(context: Context, machine: Machine) -> Path:
    """The data directory: the one that was named, else that of the machine."""
    data = context.config.data
    return data if context.config.data_was_named else machine.path(str(data))


def _show(context: Context) -> int:
    machine, file = machine_of(context), context.arguments.file
    found = find_board(machine) if file is None else FoundBoard(read_board(Path(file)), "", ())
    # A file that is tried is to be read now, and not what was kept of another.
    identity = known_identity(machine) if file is None else read_identity(found.board, machine)
    data = data_of(context, machine)
    store = store_of(found, machine, data)
    faults = [*found.faults, *store.faults()]
    try:
        identity.pairs()
    except TooFewIdentifiers as error:
        faults.append(str(error))
    facts = {
        "board": found.board.id,
        "name": found.board.name,
        "recognized_by": found.recognized_by,
        "file": str(found.board.file),
        "identifiers": [{"kind": one.kind, "value": one.value, "weak": one.is_weak} for one in identity.found],
        "looked_for_in_vain": list(identity.missing),
        "store": str(store.directory),
        "store_holds": store.names(),
        "erased_by_hard_reset": found.board.store.is_erased_by_hard_reset,
        "data": str(data),
        "kept": [record.name for record in RECORDS],
        "hooks": str(shipped("firmware_hooks")),
        "faults": faults,
    }
    _print(facts, context.arguments.json)
    return 1 if faults else 0


def _print(facts: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(facts, indent=2, ensure_ascii=False))
        return
    by = facts["recognized_by"] or "nothing else fits"
    print(f"Board:           {facts['name']} ({by})")
    print(f"Board file:      {facts['file']}")
    for one in facts["identifiers"]:
        print(f"Identifier:      {one['kind']} {one['value']}{' (weak)' if one['weak'] else ''}")
    for place in facts["looked_for_in_vain"]:
        print(f"Not found:       {place}")
    print(f"Store:           {facts['store']}, holds {', '.join(facts['store_holds']) or 'nothing'}")
    print(f"A hard reset:    {'erases' if facts['erased_by_hard_reset'] else 'leaves'} the store")
    print(f"Hooks:           {facts['hooks']}")
    for fault in facts["faults"]:
        print(f"FAULT            {fault}")
