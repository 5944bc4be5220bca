"""`pbx check`: what of billing is in an Asterisk, what is missing, and which routes escape it."""

import grp
import re
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from coovox_billing.errors import SetupError
from coovox_billing.pbx.cel_file import CEL_DIRECTORY, CEL_FILE
from coovox_billing.pbx.console import CEL_RELOADS, AsteriskCli
from coovox_billing.pbx.dialplan_check import (
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
from coovox_billing.pbx.freepbx import HOOK_CONTEXT, hook_items, product_of, trunk_routes, unhooked_trunks
from coovox_billing.pbx.parts import (
    AMI,
    AMI_FILE,
    AMI_USER,
    CEL,
    CEL_DIRECTORY_NAME,
    CEL_MAPPING,
    CEL_PARTS,
    DIALPLAN,
    FREEPBX,
    WITHOUT_AMI,
    WITHOUT_CEL,
    Item,
    Part,
    Rights,
    cel_directory_rights,
    command,
    directory_of,
    log_directory_of,
    rights_of,
    secret_in,
)
from coovox_billing.shipped import shipped

DEFAULT_AGI = "agi://127.0.0.1:4573"
REQUIRED_MODULES = (
    "res_agi", "app_dial", "app_stack", "app_exec", "func_strings", "func_cut", "func_db", "func_timeout",
    "func_channel", "func_callerid", "func_logic", "func_rand", "func_dialplan",
    "app_userevent", "app_chanspy", "app_playback", "app_playtones", "func_cdr", "func_env",
)  # fmt: skip

# Without these Asterisk writes no CEL file, and all the rest works.
CEL_MODULES = ("app_celgenuserevent", "cel_custom")
# Of Asterisk 22, and not even of all of those: what cel_custom writes through.
_CEL_WRITER, _CEL_WRITER_SINCE = "res_cdrel_custom", 20
_VERSION = re.compile(r"Asterisk (?:certified/)?(\d+)\.")
_CEL_EVENTS = ("USER_DEFINED", "ANSWER", "HANGUP")

_TRUE = frozenset({"yes", "true", "y", "t", "1", "on"})


def check(
    etc: Path,
    asterisk: AsteriskCli | None,
    agi_address: str = DEFAULT_AGI,
    is_ami_meant: bool = True,
    asterisk_log: Path | None = None,
) -> list[Item]:
    """What is in place and what is missing, item by item, down to the routes that escape billing.

    `agi_address` is where the call plane answers; the dialplan must ask there.
    `is_ami_meant` is False where the site has decided to do without Asterisk's manager.
    `asterisk_log` is where billing looks for Asterisk's records; left out, that is not looked at.

    Raises:
        SetupError: there is no such directory, or a file cannot be read.
    """
    etc = directory_of(etc)
    product = product_of(etc)
    dialplan = read_config(etc, DIALPLAN.host)
    hook = list(hook_items(dialplan, command("install", etc))) if product else []
    manager = read_config(etc, AMI.host)
    cel, mapping = (read_config(etc, part.host) for part in CEL_PARTS)
    return [
        _shipped_file_item(etc, DIALPLAN),
        _include_item(etc, DIALPLAN, dialplan),
        *_product_items(etc, product, dialplan),
        *hook,
        _agi_address_item(dialplan, agi_address, "globals_custom.conf" if product else DIALPLAN.host),
        _ami_file_item(etc),
        _include_item(etc, AMI, manager),
        _ami_enabled_item(etc, manager, is_ami_meant),
        *_cel_items(etc, cel, mapping),
        *_log_directory_items(etc, asterisk_log),
        *_running_items(asterisk, product),
        *(
            item
            for config in (dialplan, manager, cel, mapping)
            for item in _problem_items("include", include_problems(config))
        ),
        *(_trunk_items(dialplan, hook) if product else _route_items(dialplan)),
    ]


def _shipped_file_item(etc: Path, part: Part) -> Item:
    name, path = part.file_name, etc / part.file
    if not is_there(path):
        return Item(name, False, f"{path} is missing", f"run: {command('install', etc)}")
    if read_bytes(path) != read_bytes(shipped("asterisk") / part.file):
        return Item(name, False, f"{path} is not the one of this version", f"run: {command('install', etc)}")
    return Item(name, True, f"{path} is in place")


def _include_item(etc: Path, part: Part, config: Config) -> Item:
    include = next((one for one in config.includes if one.names(etc / part.file)), None)
    if include is None:
        message = f"{etc / part.host} does not include {part.file}"
        return Item(part.include_name, False, message, f"run: {command('install', etc)}")
    return Item(part.include_name, True, f"{include.line.where} includes {part.file}")


def _product_items(etc: Path, product: str | None, dialplan: Config) -> Iterator[Item]:
    if product is not None:
        yield Item("product", True, f"{product} generates this configuration")
        yield _shipped_file_item(etc, FREEPBX)
        yield _include_item(etc, FREEPBX, dialplan)


def _agi_address_item(dialplan: Config, agi_address: str, host: str) -> Item:
    asked = dialplan.globals().get("COOVOX_AGI", DEFAULT_AGI)
    if asked == agi_address:
        return Item("AGI address", True, f"the dialplan asks {asked}")
    cure = f"put COOVOX_AGI={agi_address} under [globals] in {host}, or change the setting agi_listen"
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


def _cel_items(etc: Path, cel: Config, mapping: Config) -> Iterator[Item]:
    missing = [part.host for part in CEL_PARTS if not is_there(etc / part.host)]
    if missing:
        cure = f"run: touch {shlex.join(str(etc / host) for host in missing)}; {command('install', etc)}"
        yield Item(CEL.name, False, f"{' and '.join(missing)} missing, so Asterisk keeps no CEL file", cure)
        return
    for part, config in ((CEL, cel), (CEL_MAPPING, mapping)):
        yield _shipped_file_item(etc, part)
        yield _include_item(etc, part, config)
    if (cel.value("general", "enable") or "no").lower() in _TRUE:
        yield Item("CEL enabled", True, "cel.conf enables CEL")
    else:
        is_included = any(include.names(etc / CEL.file) for include in cel.includes)
        later = f"take `enable` out of [general] behind the line that includes {CEL.file}"
        cure = f"run: {command('install', etc)}" if not is_included else later
        yield Item("CEL enabled", False, f"CEL is off: {WITHOUT_CEL}", cure)


def _log_directory_items(etc: Path, asterisk_log: Path | None) -> Iterator[Item]:
    """Whether billing can read Asterisk's records and put its CEL file aside."""
    logs = log_directory_of(etc)
    if logs is None:
        return
    if asterisk_log is not None and asterisk_log != logs:
        message = f"Asterisk keeps its records in {logs}, billing looks for them in {asterisk_log}"
        yield Item("asterisk_log", False, message, f'set asterisk_log = "{logs}" in the settings file')
    yield _cel_directory_item(etc, logs)


def _cel_directory_item(etc: Path, logs: Path) -> Item:
    name, path = CEL_DIRECTORY_NAME, logs / CEL_DIRECTORY
    try:
        group, now = cel_directory_rights(logs).group, rights_of(path)
        is_hidden = _is_hidden(path / CEL_FILE)
    except FileNotFoundError:
        return Item(name, False, f"{path} is missing: {WITHOUT_CEL}", f"run: {command('install', etc)}")
    except OSError as error:
        return Item(name, False, f"{path} cannot be looked at ({error.strerror})", "run the command with sudo")
    if not _group_may_rename(now, group):
        message = f"the group of Asterisk, with billing in it, cannot read and rotate what is in {path}"
        return Item(name, False, message, f"run: chgrp {_group_name(group)} {path}; chmod g+rwxs,-t {path}")
    if is_hidden:
        cure = f"run: chmod g+r {path / CEL_FILE}; Asterisk's umask must let its group read (UMask=0027 or less)"
        return Item(name, False, f"only Asterisk can read {path / CEL_FILE}", cure)
    return Item(name, True, f"{path} is there, and its file can be rotated")


def _is_hidden(file: Path) -> bool:
    """Whether Asterisk's group may not read it. A file that is not there yet hides nothing."""
    try:
        return not rights_of(file).mode & (stat.S_IRGRP | stat.S_IROTH)
    except FileNotFoundError:
        return False


def _group_may_rename(now: Rights, group: int) -> bool:
    if now.mode & stat.S_ISVTX:
        return False
    everybody = now.mode & stat.S_IRWXO == stat.S_IRWXO
    return everybody or (now.group == group and now.mode & stat.S_IRWXG == stat.S_IRWXG)


def _group_name(group: int) -> str:
    try:
        return grp.getgrgid(group).gr_name
    except KeyError:
        return str(group)


def _running_items(asterisk: AsteriskCli | None, product: str | None) -> list[Item]:
    if asterisk is None:
        message = "no asterisk command was found, so the running Asterisk was not looked at"
        return [Item("Asterisk", False, message, "install Asterisk, or run this on the PBX")]
    try:
        modules = [_module_item(asterisk, module) for module in REQUIRED_MODULES]
        context = asterisk(f"dialplan show {SUBROUTINE}")
        user = asterisk(f"manager show user {AMI_USER}")
        hook = asterisk(f"dialplan show {HOOK_CONTEXT}") if product else ""
        recording = [*_cel_module_items(asterisk), _recording_item(asterisk("cel show status"))]
    except SetupError as error:
        return [Item("Asterisk", False, str(error), "start Asterisk, then check again")]
    return [
        *modules,
        _known_item("dialplan loaded", f"Context '{SUBROUTINE}'" in context, "the billing dialplan"),
        *([_known_item("hook loaded", "coovox-billing-hook" in hook, "the pre-dial hook")] if product else []),
        _known_item("AMI user loaded", f"username: {AMI_USER}" in user, f"the AMI user {AMI_USER}"),
        *recording,
    ]


def _cel_module_items(asterisk: AsteriskCli) -> Iterator[Item]:
    items = [_module_item(asterisk, module) for module in CEL_MODULES]
    yield from items
    version = _VERSION.match(asterisk("core show version"))
    if not items[-1].ok and version and int(version[1]) >= _CEL_WRITER_SINCE:
        yield _module_item(asterisk, _CEL_WRITER)


def _recording_item(status: str) -> Item:
    """What `cel show status` says."""
    tracked = [event for event in _CEL_EVENTS if f"Tracking Event: {event}\n" in status or "Event: ALL\n" in status]
    is_written = "Subscriber: CEL Custom CSV Logging" in status
    if "CEL Logging: Enabled" in status and len(tracked) == len(_CEL_EVENTS) and is_written:
        return Item("CEL loaded", True, "the running Asterisk records answers and ends of calls")
    cure = "run: " + " and ".join(f"asterisk -rx '{reload}'" for reload in CEL_RELOADS)
    return Item("CEL loaded", False, f"the running Asterisk keeps no CEL file: {WITHOUT_CEL}", cure)


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


def _trunk_items(dialplan: Config, hook: list[Item]) -> Iterator[Item]:
    """The trunks of a product that generates its dialplan, and what of the administrator's own goes past them."""
    trunks = trunk_routes(dialplan) if all(item.ok for item in hook) else []
    routes = [*billed_routes(dialplan), *trunks]
    problems = [
        *unhooked_trunks(dialplan),
        *bypass_problems(routes),
        *misspelled_calls(dialplan),
        *direct_dials(dialplan, routes),
    ]
    yield from _problem_items("route", problems)
    if trunks and not problems:
        yield Item("routes", True, f"trunks that are dialed through billing: {len(trunks)}; none is dialed without it")


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
