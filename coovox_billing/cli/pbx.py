"""`pbx install|check|remove`: Asterisk's side, on a plain Asterisk, FreePBX or Issabel."""

from pathlib import Path
from typing import Any

from coovox_billing.cli.context import Context, listable
from coovox_billing.config import Address
from coovox_billing.errors import BadInput, SetupError
from coovox_billing.pbx import console, install
from coovox_billing.pbx.check import check
from coovox_billing.pbx.parts import AMI, DEFAULT_ETC, DIALPLAN, FREEPBX, HOOK, Item, command, directory_of

_ON_THE_PBX = """
Copy them from {directory} into /etc/asterisk of the PBX, for Asterisk to read: {ami} holds a secret. There write
  at the end of extensions.conf (FreePBX, Issabel: extensions_custom.conf)
    #include {dialplan}
  below it, on FreePBX and Issabel alone
    #include {freepbx}
    #include {hook}
  under [globals] of extensions.conf (FreePBX, Issabel: into globals_custom.conf)
    COOVOX_AGI=agi://{listen}
  at the end of manager.conf (FreePBX, Issabel: manager_custom.conf)
    #include {ami}
then run there: {reloads}
Here set agi_listen = "{listen}", agi_allow = "PBX" and ami = "coovox-billing:SECRET@PBX:5038", with the
address of the PBX for PBX and the secret of {ami}, and start billing again. The clocks of both must agree."""


def add_commands(commands: Any) -> None:
    """Add this module's commands to the parser."""
    pbx = commands.add_parser("pbx", help="Asterisk's side: dialplan, manager user and CEL file")
    verbs = pbx.add_subparsers(metavar="VERB", required=True)
    installing = verbs.add_parser("install", help="put the dialplan, the manager user and the CEL file in place")
    installing.set_defaults(run=_install)
    removing = verbs.add_parser("remove", help="take out exactly what install put in")
    removing.set_defaults(run=_remove)
    checking = verbs.add_parser("check", help="what is there, what is missing, and which routes bypass billing")
    checking.set_defaults(run=_check)
    files = verbs.add_parser("files", help="write what an Asterisk on another machine needs into a directory")
    files.add_argument("directory", metavar="DIR")
    files.add_argument("--address", metavar="IP", help="this machine's, as the other one sees it; else of agi_listen")
    listable(files)
    files.set_defaults(run=_files)
    for verb in (installing, checking, removing):
        verb.add_argument("--etc", metavar="DIR", default=str(DEFAULT_ETC), help="Asterisk's configuration")
        listable(verb)
    removing.add_argument(
        "--let-calls-pass", action="store_true", help="routes that still dial through billing go on dialing, unbilled"
    )
    for verb in (installing, removing):
        verb.add_argument("--reload", action="store_true", help="make the running Asterisk read it")


def _items(context: Context, etc: Path) -> list[Item]:
    from coovox_billing.pbx.manager import OFF

    settings = context.config
    asterisk, agi_address = console.find_asterisk_cli(), f"agi://{settings.agi_listen}"
    return check(etc, asterisk, agi_address, settings.ami != OFF, settings.asterisk_log)


def _etc(context: Context) -> Path:
    if not context.arguments.etc:
        raise BadInput("--etc is empty: name the directory of Asterisk's configuration")
    return directory_of(Path(context.arguments.etc))


def _install(context: Context) -> None:
    etc = _etc(context)
    _finish(context, install.install(etc))
    if not context.arguments.json:
        print(f"Next: {command('check', etc)}")


def _remove(context: Context) -> None:
    _finish(context, install.remove(_etc(context), let_calls_pass=context.arguments.let_calls_pass))


def _files(context: Context) -> None:
    """What is carried to another machine, and the lines that a person writes there and here."""
    directory, listen = Path(context.arguments.directory), context.config.agi_listen
    address = context.arguments.address or listen.host
    if not context.arguments.address and (listen.is_loopback or listen.host in ("0.0.0.0", "::")):  # noqa: S104
        raise SetupError(
            "agi_listen is %(listen)s, which no other machine can ask: set agi_listen and agi_allow, or name this "
            "machine's address",
            hint="coovox-billing pbx files DIR --address IP",
            listen=listen,
        )
    _show(context, install.write_files(directory, address))
    if not context.arguments.json:
        print(_on_the_pbx(directory, Address(address, listen.port)))


def _on_the_pbx(directory: Path, listen: Address) -> str:
    reloads = ", ".join(f'asterisk -rx "{one}"' for one in console.RELOADS[:2])
    names = {"dialplan": DIALPLAN.file, "freepbx": FREEPBX.file, "hook": HOOK.file, "ami": AMI.file}
    return _ON_THE_PBX.format(directory=directory, listen=listen, reloads=reloads, **names)


def _check(context: Context) -> int:
    return _show(context, _items(context, _etc(context)))


def _finish(context: Context, items: list[Item]) -> None:
    """Show what was done, and what a person has still to do."""
    _show(context, items)
    if context.arguments.reload:
        _reload()
    elif not context.arguments.json and install.NOTHING_REMOVED not in items:
        print("Then: " + ", ".join(f'asterisk -rx "{one}"' for one in console.RELOADS) + ", or use --reload.")


def _reload() -> None:
    asterisk = console.find_asterisk_cli()
    if asterisk is None:
        raise SetupError("there is no asterisk command here: reload Asterisk where it runs")
    console.reload(asterisk)


def _show(context: Context, items: list[Item]) -> int:
    rows = [{"ok": i.ok, "name": i.name, "finding": i.message, "what_to_do": i.what_to_do} for i in items]
    if context.arguments.json:
        context.show(rows, (), "")
    for item in () if context.arguments.json else items:
        print(f"{'ok   ' if item.ok else 'FAULT'}  {item.name}: {item.message}")
        if item.what_to_do:
            print(f"       {item.what_to_do}")
    return 0 if all(item.ok for item in items) else 1
