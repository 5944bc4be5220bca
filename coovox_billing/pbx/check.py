"""`pbx check`: what of billing is in an Asterisk, what is missing, and which routes escape it."""

import grp
import shlex
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from coovox_billing.pbx.cel_file import CEL_DIRECTORY, CEL_FILE
from coovox_billing.pbx.console import AsteriskCli
from coovox_billing.pbx.dialplan_check import (
    CONTEXTS,
    OWN_FILES,
    SUBROUTINE,
    Config,
    RouteProblem,
    billed_routes,
    bypass_problems,
    include_problems,
    is_there,
    misspelled_calls,
    read_bytes,
    read_config,
)
from coovox_billing.pbx.freepbx import hook_items, include_of, product_of, trunk_routes, unhooked_trunks
from coovox_billing.pbx.outside_dials import direct_dials, twice_named, unbilled_dials, unreached_emergencies
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
from coovox_billing.pbx.running_check import DEFAULT_AGI, is_same_agi, running_items
from coovox_billing.shipped import shipped

_TRUE = frozenset({"yes", "true", "y", "t", "1", "on"})


@dataclass(frozen=True, slots=True)
class Known:
    """What billing knows: the numbers that always pass, as they are dialed, and the trunks' devices."""

    emergency_numbers: frozenset[str] = frozenset()
    trunks: frozenset[str] = frozenset()


def check(
    etc: Path,
    asterisk: AsteriskCli | None,
    agi_address: str = DEFAULT_AGI,
    is_ami_meant: bool = True,
    asterisk_log: Path | None = None,
    known: Known | None = None,
) -> list[Item]:
    """What is in place and what is missing, item by item, down to the routes that escape billing.

    `agi_address` is where the call plane answers; the dialplan must ask there.
    `is_ami_meant` is False where the site has decided to do without Asterisk's manager.
    `asterisk_log` is where billing looks for Asterisk's records; left out, that is not looked at. `known` is what
    billing knows of this dialplan's numbers and trunks.

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
        *_shadow_items(etc, dialplan),
        _agi_address_item(dialplan, agi_address, "globals_custom.conf" if product else DIALPLAN.host),
        _ami_file_item(etc),
        _include_item(etc, AMI, manager),
        _ami_enabled_item(etc, manager, is_ami_meant),
        *_ami_bind_items(etc, manager),
        *_cel_items(etc, cel, mapping),
        *_log_directory_items(etc, asterisk_log),
        *running_items(dialplan, asterisk, agi_address, has_hook=product is not None),
        *(
            item
            for config in (dialplan, manager, cel, mapping)
            for item in _problem_items("include", include_problems(config))
        ),
        *(_trunk_items(etc, dialplan, hook) if product else _route_items(etc, dialplan, known or Known())),
    ]


def _shipped_file_item(etc: Path, part: Part) -> Item:
    name, path = part.file_name, etc / part.file
    if not is_there(path):
        return Item(name, False, f"{path} is missing", f"run: {command('install', etc)}")
    if read_bytes(path) != read_bytes(shipped("asterisk") / part.file):
        return Item(name, False, f"{path} is not the one of this version", f"run: {command('install', etc)}")
    return Item(name, True, f"{path} is in place")


def _include_item(etc: Path, part: Part, config: Config) -> Item:
    include = include_of(etc, part, config)
    if include is None:
        message = f"{etc / part.host} does not include {part.file}"
        return Item(part.include_name, False, message, f"run: {command('install', etc)}")
    return Item(part.include_name, True, f"{include.line.where} includes {part.file}")


def _product_items(etc: Path, product: str | None, dialplan: Config) -> Iterator[Item]:
    if product is not None:
        yield Item("product", True, f"{product} generates this configuration")
        yield _shipped_file_item(etc, FREEPBX)
        yield _include_item(etc, FREEPBX, dialplan)


def _shadow_items(etc: Path, dialplan: Config) -> Iterator[Item]:
    """A context of ours that stands elsewhere too: Asterisk keeps whichever line of a priority it reads first."""
    including = [include.line for include in dialplan.includes if include.names(etc / DIALPLAN.file)]
    if len(including) > 1:
        where = " and ".join(line.where for line in including)
        yield Item("dialplan twice", False, f"{where} include {DIALPLAN.file}", "take out all of these lines but one")
    for line in dialplan.lines:
        if line.text == f"[{line.section}]" and line.section in CONTEXTS and line.file not in OWN_FILES:
            message = (
                f"{line.where} has a [{line.section}] of its own, an older copy perhaps: Asterisk mixes it with ours"
            )
            yield Item("dialplan shadowed", False, message, "take that context out, then reload the dialplan")


def _agi_address_item(dialplan: Config, agi_address: str, host: str) -> Item:
    asked = dialplan.globals().get("COOVOX_AGI", DEFAULT_AGI)
    if is_same_agi(asked, agi_address):
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


def _ami_bind_items(etc: Path, manager: Config) -> Iterator[Item]:
    """Where billing signs in to the user that `install` made: on this machine's own address."""
    bound = manager.value("general", "bindaddr")
    if bound and bound not in ("0.0.0.0", "::", "[::]", "127.0.0.1", "localhost"):  # noqa: S104  what is read, not bound
        cure = f"put `bindaddr = 127.0.0.1` under [general] of {etc / AMI.host}, restart Asterisk; or set ami"
        yield Item("AMI address", False, f"AMI listens on {bound}, billing signs in on 127.0.0.1", cure)


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


def _problem_items(name: str, problems: list[RouteProblem]) -> Iterator[Item]:
    return (Item(name, False, problem.message, problem.what_to_do) for problem in problems)


def _trunk_items(etc: Path, dialplan: Config, hook: list[Item]) -> Iterator[Item]:
    """The trunks of a product that generates its dialplan, and what of the administrator's own goes past them."""
    trunks = trunk_routes(dialplan) if all(item.ok for item in hook) else []
    routes = [*billed_routes(dialplan), *trunks]
    problems = [
        *unhooked_trunks(dialplan),
        *bypass_problems(routes),
        *misspelled_calls(dialplan),
        *direct_dials(dialplan, etc, routes),
    ]
    yield from _problem_items("route", problems)
    if trunks and not problems:
        yield Item("routes", True, f"trunks that are dialed through billing: {len(trunks)}; none is dialed without it")


def _route_items(etc: Path, dialplan: Config, known: Known) -> Iterator[Item]:
    for line in dialplan.programs:
        yield Item("route", True, f"{line.where} is made by a program, so its routes were not looked at")
    routes = billed_routes(dialplan)
    problems = [
        *bypass_problems(routes),
        *misspelled_calls(dialplan),
        *direct_dials(dialplan, etc, routes),
        *unbilled_dials(dialplan, etc, known.trunks),
        *twice_named(routes),
    ]
    yield from _problem_items("route", problems)
    yield from _problem_items("emergency", unreached_emergencies(dialplan, known.emergency_numbers))
    if not routes:
        cure = f"in outbound routes, put Gosub({SUBROUTINE},s,1(NUMBER,DIAL-STRING,...)) in place of Dial"
        yield Item("routes", False, f"no route calls {SUBROUTINE}: nothing is billed", cure)
    elif not problems:
        message = f"routes that dial through billing: {len(routes)}; nothing is dialed to the outside without it"
        yield Item("routes", True, message)
