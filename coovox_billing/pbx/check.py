"""`pbx check`: what of billing is in an Asterisk, what is missing, and which routes escape it."""

import stat
from collections.abc import Iterator
from pathlib import Path

from coovox_billing.errors import SetupError
from coovox_billing.pbx.console import AsteriskCli
from coovox_billing.pbx.dialplan_check import (
    DIALPLAN_FILE,
    SUBROUTINE,
    Config,
    RouteProblem,
    billed_routes,
    bypass_problems,
    direct_dials,
    include_problems,
    is_there,
    misspelled_calls,
    read_bytes,
    read_config,
)
from coovox_billing.pbx.parts import (
    AMI,
    AMI_FILE,
    AMI_USER,
    DIALPLAN,
    WITHOUT_AMI,
    Item,
    Part,
    command,
    directory_of,
    secret_in,
)
from coovox_billing.shipped import shipped

DEFAULT_AGI = "agi://127.0.0.1:4573"
REQUIRED_MODULES = (
    "res_agi", "app_dial", "app_stack", "app_exec", "func_strings", "func_cut", "func_db", "func_timeout",
    "func_channel", "func_callerid", "func_logic", "func_rand", "func_dialplan",
    "app_userevent", "app_chanspy", "app_playback", "app_playtones", "func_cdr", "func_env",
)  # fmt: skip

_TRUE = frozenset({"yes", "true", "y", "t", "1", "on"})


def check(
    etc: Path, asterisk: AsteriskCli | None, agi_address: str = DEFAULT_AGI, is_ami_meant: bool = True
) -> list[Item]:
    """What is in place and what is missing, item by item, down to the routes that escape billing.

    `agi_address` is where the call plane answers; the dialplan must ask there.
    `is_ami_meant` is False where the site has decided to do without Asterisk's manager.

    Raises:
        SetupError: there is no such directory, or a file cannot be read.
    """
    etc = directory_of(etc)
    dialplan = read_config(etc, DIALPLAN.host)
    manager = read_config(etc, AMI.host)
    return [
        _dialplan_file_item(etc),
        _include_item(etc, DIALPLAN, dialplan),
        _agi_address_item(dialplan, agi_address),
        _ami_file_item(etc),
        _include_item(etc, AMI, manager),
        _ami_enabled_item(etc, manager, is_ami_meant),
        *_running_items(asterisk),
        *_problem_items("include", [*include_problems(dialplan), *include_problems(manager)]),
        *_route_items(dialplan),
    ]


def _dialplan_file_item(etc: Path) -> Item:
    name, path = "dialplan file", etc / DIALPLAN_FILE
    if not is_there(path):
        return Item(name, False, f"{path} is missing", f"run: {command('install', etc)}")
    if read_bytes(path) != read_bytes(shipped("asterisk") / DIALPLAN_FILE):
        return Item(name, False, f"{path} is not the one of this version", f"run: {command('install', etc)}")
    return Item(name, True, f"{path} is in place")


def _include_item(etc: Path, part: Part, config: Config) -> Item:
    include = next((one for one in config.includes if one.names(etc / part.file)), None)
    if include is None:
        message = f"{etc / part.host} does not include {part.file}"
        return Item(part.include_name, False, message, f"run: {command('install', etc)}")
    return Item(part.include_name, True, f"{include.line.where} includes {part.file}")


def _agi_address_item(dialplan: Config, agi_address: str) -> Item:
    asked = dialplan.globals().get("COOVOX_AGI", DEFAULT_AGI)
    if asked == agi_address:
        return Item("AGI address", True, f"the dialplan asks {asked}")
    cure = f"put COOVOX_AGI={agi_address} under [globals] in {DIALPLAN.host}, or change the setting agi_listen"
    return Item("AGI address", False, f"the dialplan asks {asked}, the call plane answers on {agi_address}", cure)


def _ami_file_item(etc: Path) -> Item:
    name, path = AMI.file_name, etc / AMI_FILE
    if not is_there(path) or secret_in(read_bytes(path)) is None:
        return Item(name, False, f"{path} is missing or holds no secret", f"run: {command('install', etc)}")
    if path.stat().st_mode & stat.S_IRWXO:
        return Item(name, False, f"everybody can read the secret in {path}", f"run: chmod o= {path}")
    return Item(name, True, f"the user {AMI_USER} is in {path}")


def _ami_enabled_item(etc: Path, manager: Config, is_meant: bool) -> Item:
    enabled = manager.value("general", "enabled")
    if (enabled or "no").lower() in _TRUE:
        return Item("AMI enabled", True, "manager.conf enables AMI")
    cure = f"put `enabled = yes` under [general] of {etc / AMI.host}, then run: asterisk -rx 'manager reload'"
    return Item("AMI enabled", not is_meant, f"AMI is off: {WITHOUT_AMI}", cure if is_meant else "")


def _running_items(asterisk: AsteriskCli | None) -> list[Item]:
    if asterisk is None:
        message = "no asterisk command was found, so the running Asterisk was not looked at"
        return [Item("Asterisk", False, message, "install Asterisk, or run this on the PBX")]
    try:
        modules = [_module_item(asterisk, module) for module in REQUIRED_MODULES]
        context = asterisk(f"dialplan show {SUBROUTINE}")
        user = asterisk(f"manager show user {AMI_USER}")
    except SetupError as error:
        return [Item("Asterisk", False, str(error), "start Asterisk, then check again")]
    return [
        *modules,
        _known_item("dialplan loaded", f"Context '{SUBROUTINE}'" in context, "the billing dialplan"),
        _known_item("AMI user loaded", f"username: {AMI_USER}" in user, f"the AMI user {AMI_USER}"),
    ]


def _module_item(asterisk: AsteriskCli, module: str) -> Item:
    rows = asterisk(f"module show like {module}").splitlines()
    row = next((row for row in rows if row.startswith(f"{module}.so ")), "")
    if "Running" in row and "Not Running" not in row:
        return Item(f"module {module}", True, f"{module} is loaded")
    cure = f"load {module}.so in modules.conf, then run: asterisk -rx 'module load {module}.so'"
    return Item(f"module {module}", False, f"Asterisk has not loaded {module}", cure)


def _known_item(name: str, known: bool, what: str) -> Item:
    if known:
        return Item(name, True, f"the running Asterisk has {what}")
    cure = "reload the dialplan and the manager; if it stays so, Asterisk's log says why"
    return Item(name, False, f"the running Asterisk does not have {what}", cure)


def _problem_items(name: str, problems: list[RouteProblem]) -> Iterator[Item]:
    return (Item(name, False, problem.message, problem.what_to_do) for problem in problems)


def _route_items(dialplan: Config) -> Iterator[Item]:
    for line in dialplan.programs:
        yield Item("route", True, f"{line.where} is made by a program, so its routes were not looked at")
    routes = billed_routes(dialplan)
    problems = [*bypass_problems(routes), *misspelled_calls(dialplan), *direct_dials(dialplan, routes)]
    yield from _problem_items("route", problems)
    if not routes:
        cure = f"in outbound routes, put Gosub({SUBROUTINE},s,1(NUMBER,DIAL-STRING,...)) in place of Dial"
        yield Item("routes", False, f"no route calls {SUBROUTINE}: nothing is billed", cure)
    elif not problems:
        yield Item(
            "routes",
            True,
            f"routes that dial through billing: {len(routes)}; none of their trunks is dialed without it",
        )
