"""Puts billing into a plain Asterisk, takes it out again, and says what is missing.

Decides which files and lines of Asterisk's configuration are ours: two files
that begin with a mark, and one `#include` line for each of them. Nothing else
is ever touched, and either all of an installation happens or nothing of it.
What the routes of the site do is read by `dialplan_check`.
"""

import contextlib
import grp
import os
import secrets
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from coovox_billing.errors import SetupError
from coovox_billing.pbx.dialplan_check import (
    DIALPLAN_FILE,
    SUBROUTINE,
    Config,
    RouteProblem,
    active_lines,
    billed_routes,
    bypass_problems,
    direct_dials,
    include_problems,
    is_there,
    misspelled_calls,
    read_bytes,
    read_config,
)
from coovox_billing.shipped import shipped

AsteriskCli = Callable[[str], str]

DEFAULT_ETC = Path("/etc/asterisk")
DEFAULT_AGI = "agi://127.0.0.1:4573"
AMI_FILE = "manager_coovox_billing.conf"
AMI_USER = "coovox-billing"
REQUIRED_MODULES = (
    "res_agi", "app_dial", "app_stack", "app_exec", "func_strings", "func_cut", "func_db", "func_timeout",
    "func_channel", "func_logic", "func_rand", "func_dialplan",
)  # fmt: skip

_TRUE = frozenset({"yes", "true", "y", "t", "1", "on"})
_CLI_SECONDS = 10
_AMI_PORT = "5038"
_NO_SECRET = b"@SECRET@"
# Told apart by the line itself, so that taking it out gives back a last line without a line end.
_JOINED = b" (and the line end before it)"


@dataclass(frozen=True)
class Item:
    """One thing that was done or looked at, how it stands, and what to do where it is not well."""

    name: str
    ok: bool
    message: str
    what_to_do: str = ""


@dataclass(frozen=True)
class _Part:
    """A file of ours, the mark in its first line, and the file of the site that includes it."""

    name: str
    file: str
    mark: bytes
    host: str

    @property
    def directive(self) -> str:
        return f"#include {self.file}"

    @property
    def line(self) -> bytes:
        return f"{self.directive} ; CooVox Billing".encode()

    @property
    def file_name(self) -> str:
        return f"{self.name} file"

    @property
    def include_name(self) -> str:
        return f"{self.name} include"


_DIALPLAN = _Part("dialplan", DIALPLAN_FILE, b"; CooVox Billing dialplan", "extensions.conf")
_AMI = _Part("AMI user", AMI_FILE, b"; CooVox Billing manager user", "manager.conf")
_PARTS = (_DIALPLAN, _AMI)


@dataclass(frozen=True)
class _Rights:
    """Who owns a file, and its permission bits."""

    owner: int
    group: int
    mode: int


@dataclass(frozen=True)
class _Change:
    """A file before and after, None where it is not there, and its rights."""

    path: Path
    before: bytes | None
    after: bytes | None
    rights: _Rights
    item: Item


def install(etc: Path = DEFAULT_ETC) -> list[Item]:
    """Put our dialplan and AMI user in place and include them; a second time changes nothing.

    An AMI user that is ours keeps its secret. Without a manager.conf there is no AMI user: billing works,
    with one long hold per call.

    Raises:
        SetupError: extensions.conf is missing, a file of our name is not ours, or something cannot be read or
            written. Nothing is changed then.
    """
    etc = _directory(etc)
    if not is_there(etc / _DIALPLAN.host):
        raise SetupError(f"{etc / _DIALPLAN.host} is missing: install Asterisk, or name its directory")
    changes = [*_dialplan_changes(etc), *_ami_changes(etc)]
    _apply(changes)
    return [change.item for change in changes] + _ami_missing(etc)


def remove(etc: Path = DEFAULT_ETC) -> list[Item]:
    """Take out the files and lines that `install` wrote; what a person edited or wrote is left and named.

    A file of ours stays while an edited line still needs it, because Asterisk refuses a configuration that
    includes a missing file.

    Raises:
        SetupError: something cannot be read or written. Nothing is changed then.
    """
    etc = _directory(etc)
    changes = [change for part in _PARTS for change in _removals(etc, part)]
    # Lines before files: at no moment is a file included that is gone.
    changes.sort(key=lambda change: change.after is None)
    _apply(changes)
    done = [change.item for change in changes] or [Item("billing", True, "nothing of billing was installed")]
    left = [item for part in _PARTS for item in _left_behind(etc, part)]
    return [*done, *left, *_orphans(etc)]


def check(etc: Path, asterisk: AsteriskCli | None, agi_address: str = DEFAULT_AGI) -> list[Item]:
    """What is in place and what is missing, item by item, down to the routes that escape billing.

    `agi_address` is where the call plane answers; the dialplan must ask there.

    Raises:
        SetupError: a file cannot be read.
    """
    etc = _directory(etc)
    dialplan = read_config(etc, _DIALPLAN.host)
    manager = read_config(etc, _AMI.host)
    return [
        _dialplan_file_item(etc),
        _include_item(etc, _DIALPLAN, dialplan),
        _agi_address_item(dialplan, agi_address),
        _ami_file_item(etc),
        _include_item(etc, _AMI, manager),
        _ami_enabled_item(manager),
        *_running_items(asterisk),
        *_problem_items("include", [*include_problems(dialplan), *include_problems(manager)]),
        *_route_items(dialplan),
    ]


def reload(asterisk: AsteriskCli) -> None:
    """Let the running Asterisk read its dialplan and AMI users again.

    Raises:
        SetupError: Asterisk cannot be asked.
    """
    asterisk("dialplan reload")
    asterisk("manager reload")


def ami_login(etc: Path = DEFAULT_ETC) -> str | None:
    """What the setting `ami` needs to sign in as the installed AMI user; None where there is none.

    Raises:
        SetupError: a file cannot be read.
    """
    secret = _secret(read_bytes(etc / AMI_FILE)) if is_there(etc / AMI_FILE) else None
    if secret is None:
        return None
    port = read_config(etc, _AMI.host).value("general", "port") or _AMI_PORT
    return f"{AMI_USER}:{secret}@127.0.0.1:{port}"


def find_asterisk_cli() -> AsteriskCli | None:
    """How to ask the Asterisk of this machine, None where it is not installed.

    What is returned raises SetupError where Asterisk does not run, does not answer, or not to this user.
    """
    # Where Debian puts it, which is not on the path of an ordinary user.
    binary = shutil.which("asterisk", path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin")
    if binary is None:
        return None
    return lambda command: _ask(binary, command)


def _directory(etc: Path) -> Path:
    # Not resolve(): what follows links no longer matches what an include names.
    return Path(os.path.abspath(etc))  # noqa: PTH100


def _ask(binary: str, command: str) -> str:
    try:
        done = subprocess.run(
            [binary, "-rx", command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_CLI_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SetupError(f"Asterisk did not answer in {_CLI_SECONDS} s: look at its log") from None
    except OSError as error:
        raise SetupError(f"{binary} cannot be run ({error.strerror}): repair the installation") from None
    output = (done.stdout + done.stderr).decode("utf-8", "replace")
    if "Unable to connect" in output:
        raise SetupError("Asterisk does not run, or not for this user: start it, or use sudo")
    return output


def _dialplan_changes(etc: Path) -> list[_Change]:
    before = _own_bytes(etc, _DIALPLAN)
    wanted = read_bytes(shipped("asterisk") / DIALPLAN_FILE)
    rights = _rights(etc / _DIALPLAN.host)
    return [_file_change(etc, _DIALPLAN, before, wanted, rights), _include_change(etc, _DIALPLAN)]


def _ami_changes(etc: Path) -> list[_Change]:
    if not is_there(etc / _AMI.host):
        return []
    before = _own_bytes(etc, _AMI)
    secret = _secret(before or b"") or secrets.token_hex(24)
    wanted = read_bytes(shipped("asterisk") / AMI_FILE).replace(_NO_SECRET, secret.encode())
    host = _rights(etc / _AMI.host)
    rights = _Rights(host.owner, _asterisk_group(host.group), 0o640)
    return [_file_change(etc, _AMI, before, wanted, rights), _include_change(etc, _AMI)]


def _ami_missing(etc: Path) -> list[Item]:
    if is_there(etc / _AMI.host):
        return []
    message = f"{_AMI.host} is missing, so no AMI user was made"
    cure = f"write {etc / _AMI.host} with [general] and enabled = yes, then install again"
    return [Item(_AMI.name, False, message, cure)]


def _asterisk_group(host: int) -> int:
    """The group that lets Asterisk read a file that not everybody may read."""
    try:
        return host or grp.getgrnam("asterisk").gr_gid
    except KeyError:
        return host


def _file_change(etc: Path, part: _Part, before: bytes | None, wanted: bytes, rights: _Rights) -> _Change:
    path = etc / part.file
    verb = {None: "written", wanted: "is already there"}.get(before, "brought up to date")
    item = Item(part.file_name, True, f"{path} {verb}")
    return _Change(path, before, wanted, rights if before is None else _rights(path), item)


def _own_bytes(etc: Path, part: _Part) -> bytes | None:
    """What is in a file of ours, None where it is not there.

    Raises:
        SetupError: something of that name is there, and is not ours.
    """
    path = etc / part.file
    if not os.path.lexists(path):
        return None
    if not _is_ours(path, part):
        raise SetupError(f"{path} was not written by CooVox Billing: move it away, then install again")
    return read_bytes(path)


def _is_ours(path: Path, part: _Part) -> bool:
    return is_there(path) and not path.is_symlink() and read_bytes(path).startswith(part.mark)


def _include_change(etc: Path, part: _Part) -> _Change:
    path = (etc / part.host).resolve()
    before = read_bytes(path)
    known = next((one for one in read_config(etc, part.host).includes if one.names(etc / part.file)), None)
    if known is not None:
        after, message = before, f"{known.line.where} includes {part.file} already"
    else:
        after, message = _with_line(before, part), f"{path} includes {part.file} now"
    return _Change(path, before, after, _rights(path), Item(part.include_name, True, message))


def _rights(path: Path) -> _Rights:
    now = path.stat()
    return _Rights(now.st_uid, now.st_gid, stat.S_IMODE(now.st_mode))


def _with_line(data: bytes, part: _Part) -> bytes:
    """A file of the site with our include line at its end.

    Raises:
        SetupError: the file ends inside a block comment, where the line would not count.
    """
    end = b"\r\n" if data.count(b"\r\n") * 2 > data.count(b"\n") else b"\n"
    joined = data and not data.endswith(b"\n")
    after = data + end + part.line + _JOINED + end if joined else data + part.line + end
    if part.directive not in (text for _, text in active_lines(after)):
        raise SetupError(f"{part.host} ends inside a block comment (;--): close it with --; and try again")
    return after


def _removals(etc: Path, part: _Part) -> Iterator[_Change]:
    host, path = etc / part.host, etc / part.file
    before = read_bytes(host) if is_there(host) else b""
    after = _without_line(before, part)
    if after != before:
        item = Item(part.include_name, True, f"{host} no longer includes {part.file}")
        yield _Change(host.resolve(), before, after, _rights(host), item)
    if _is_ours(path, part) and not _is_needed(etc, part):
        item = Item(part.file_name, True, f"{path} removed")
        yield _Change(path, read_bytes(path), None, _rights(path), item)


def _without_line(data: bytes, part: _Part) -> bytes:
    """A file of the site without the lines that `install` wrote, as it was before them."""
    lines = data.split(b"\n")
    for number in sorted(_own_lines(data, part), reverse=True):
        at = number - 1
        joined = lines[at].removesuffix(b"\r").endswith(_JOINED)
        if joined and lines[at + 1 :] == [b""]:
            if lines[at].endswith(b"\r"):
                lines[at - 1] = lines[at - 1].removesuffix(b"\r")
            del lines[at:]
        elif at + 1 == len(lines):
            lines[at] = b""
        else:
            del lines[at]
    return b"\n".join(lines)


def _own_lines(data: bytes, part: _Part) -> set[int]:
    """The numbers of the lines that `install` wrote and nobody has changed or commented out."""
    lines = data.split(b"\n")
    written = {part.line, part.line + _JOINED}
    return {
        number
        for number, text in active_lines(data)
        if text == part.directive and lines[number - 1].removesuffix(b"\r") in written
    }


def _is_needed(etc: Path, part: _Part) -> bool:
    """Whether a line that stays includes our file in a way that Asterisk refuses once the file is gone."""
    own = _own_lines(read_bytes(etc / part.host), part) if is_there(etc / part.host) else set()
    return any(
        include.needs(etc / part.file)
        for include in read_config(etc, part.host).includes
        if include.line.file != part.host or include.line.number not in own
    )


def _left_behind(etc: Path, part: _Part) -> Iterator[Item]:
    """What still speaks of our file once all that is ours has gone."""
    path = etc / part.file
    for include in read_config(etc, part.host).includes:
        if include.names(path):
            message = f"{include.line.where} was not written by install and is left: {include.line.text}"
            yield Item(part.include_name, False, message, "take it out yourself, then remove again")
    if _is_ours(path, part):
        yield Item(part.file_name, False, f"{path} is left, because a line that is left needs it", "as above")
    elif os.path.lexists(path):
        yield Item(part.file_name, False, f"{path} was not written by install and is left", "look at it")


def _orphans(etc: Path) -> Iterator[Item]:
    if is_there(etc / DIALPLAN_FILE):
        return
    for route in billed_routes(read_config(etc, _DIALPLAN.host)):
        message = f"{route.line.where} still calls {SUBROUTINE}, which is gone: calls over it will fail"
        yield Item("route", False, message, "put Dial back in its place, then reload the dialplan")


def _apply(changes: list[_Change]) -> None:
    """Make all the changes, or put back those that were made.

    Raises:
        SetupError: one of them could not be made.
    """
    begun: list[_Change] = []
    try:
        for change in changes:
            if change.after != change.before:
                begun.append(change)
                _put(change, change.after)
    except BaseException as error:
        _undo(begun)
        if isinstance(error, OSError):
            raise SetupError(_why(error, begun[-1].path)) from error
        raise


def _why(error: OSError, path: Path) -> str:
    if isinstance(error, PermissionError):
        return f"{path} cannot be written by this user, nothing was changed: run the command with sudo"
    return f"{path} cannot be written ({error.strerror}), nothing was changed: repair that and try again"


def _undo(begun: list[_Change]) -> None:
    """Put back what was there, in the opposite order.

    Raises:
        SetupError: some of it could not be put back; it is named.
    """
    stuck = []
    for change in reversed(begun):
        try:
            if _bytes_or_none(change.path) != change.before:
                _put(change, change.before)
        except OSError as error:
            stuck.append(f"{change.path} ({error.strerror})")
    if stuck:
        raise SetupError(f"changed, and could not be put back: {', '.join(stuck)}: repair and try again")


def _bytes_or_none(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def _put(change: _Change, data: bytes | None) -> None:
    if data is None:
        change.path.unlink()
    else:
        _replace(change, data)
    _sync_directory(change.path.parent)


def _replace(change: _Change, data: bytes) -> None:
    """Write the whole file beside the old one, then put it in its place."""
    temporary = change.path.with_name(f".{change.path.name}.coovox-billing")
    temporary.unlink(missing_ok=True)
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            _copy_attributes(change.path, temporary)
            _own(descriptor, change.rights)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(change.path)
    finally:
        temporary.unlink(missing_ok=True)


def _copy_attributes(path: Path, temporary: Path) -> None:
    """Carry over what an existing file has besides owner and mode, such as access lists."""
    with contextlib.suppress(FileNotFoundError):
        shutil.copystat(path, temporary)


def _own(descriptor: int, rights: _Rights) -> None:
    now = os.fstat(descriptor)
    if (now.st_uid, now.st_gid) != (rights.owner, rights.group):
        os.fchown(descriptor, rights.owner, rights.group)
    os.fchmod(descriptor, rights.mode)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _dialplan_file_item(etc: Path) -> Item:
    name, path = "dialplan file", etc / DIALPLAN_FILE
    if not is_there(path):
        return Item(name, False, f"{path} is missing", "run: coovox-billing pbx install")
    if read_bytes(path) != read_bytes(shipped("asterisk") / DIALPLAN_FILE):
        return Item(name, False, f"{path} is not the one of this version", "run: coovox-billing pbx install")
    return Item(name, True, f"{path} is in place")


def _include_item(etc: Path, part: _Part, config: Config) -> Item:
    include = next((one for one in config.includes if one.names(etc / part.file)), None)
    if include is None:
        message = f"{etc / part.host} does not include {part.file}"
        return Item(part.include_name, False, message, "run: coovox-billing pbx install")
    return Item(part.include_name, True, f"{include.line.where} includes {part.file}")


def _agi_address_item(dialplan: Config, agi_address: str) -> Item:
    asked = dialplan.globals().get("COOVOX_AGI", DEFAULT_AGI)
    if asked == agi_address:
        return Item("AGI address", True, f"the dialplan asks {asked}")
    cure = f"put COOVOX_AGI={agi_address} under [globals] in {_DIALPLAN.host}, or change the setting agi_listen"
    return Item("AGI address", False, f"the dialplan asks {asked}, the call plane answers on {agi_address}", cure)


def _ami_file_item(etc: Path) -> Item:
    name, path = _AMI.file_name, etc / AMI_FILE
    if not is_there(path) or _secret(read_bytes(path)) is None:
        return Item(name, False, f"{path} is missing or holds no secret", "run: coovox-billing pbx install")
    if path.stat().st_mode & stat.S_IRWXO:
        return Item(name, False, f"everybody can read the secret in {path}", f"run: chmod o= {path}")
    return Item(name, True, f"the user {AMI_USER} is in {path}")


def _secret(data: bytes) -> str | None:
    """The secret in an AMI file, None where there is none yet."""
    for _, text in active_lines(data):
        key, _, value = text.partition("=")
        if key.strip() == "secret" and value.strip() not in ("", _NO_SECRET.decode()):
            return value.strip()
    return None


def _ami_enabled_item(manager: Config) -> Item:
    enabled = manager.value("general", "enabled")
    if (enabled or "no").lower() in _TRUE:
        return Item("AMI enabled", True, "manager.conf enables AMI")
    return Item("AMI enabled", True, "AMI is off: not needed yet, each call is promised all its time at once")


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
