"""Puts billing into an Asterisk and takes it out again, also where FreePBX or Issabel generates its configuration.

Writes only what `parts` says is ours; nothing else is ever touched, and either
all of an installation happens or nothing of it.
"""

import contextlib
import os
import secrets
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from coovox_billing.errors import BadInput, SetupError
from coovox_billing.pbx.cel_file import CEL_DIRECTORY
from coovox_billing.pbx.dialplan_check import (
    DIALPLAN_FILE,
    SUBROUTINE,
    Config,
    Line,
    active_lines,
    billed_routes,
    is_there,
    read_bytes,
    read_config,
)
from coovox_billing.pbx.freepbx import calls_billing, host_of, include_of, own_hook, own_hook_item, product_of
from coovox_billing.pbx.parts import (
    AMI,
    AMI_FILE,
    CEL,
    CEL_DIRECTORY_MODE,
    CEL_DIRECTORY_NAME,
    CEL_MAPPING,
    CEL_PARTS,
    DEFAULT_ETC,
    DIALPLAN,
    FREEPBX,
    FREEPBX_PARTS,
    HOOK,
    NO_SECRET,
    PARTS,
    Item,
    Part,
    Rights,
    asterisk_group,
    cel_directory_rights,
    directory_of,
    is_directory,
    is_ours,
    log_directory_of,
    rights_of,
    secret_in,
)
from coovox_billing.shipped import shipped
from coovox_billing.small_files import make_directory

# Told apart by the line itself, so that taking it out gives back a last line without a line end.
_JOINED = b" (and the line end before it)"
_PERMIT = b"permit = 127.0.0.1/255.255.255.255"
PASSING_FILE = "extensions_coovox_billing_passing.conf"
NOTHING_REMOVED = Item("billing", True, "nothing of billing was installed")


@dataclass
class _Site:
    """An Asterisk's configuration while changes to it are put together.

    `texts` are the site's files as the changes before make them, for one may take several lines of ours.
    """

    etc: Path
    texts: dict[Path, bytes] = field(default_factory=dict)
    _configs: dict[str, Config] = field(default_factory=dict)

    def text(self, path: Path) -> bytes:
        return self.texts[path] if path in self.texts else read_bytes(path)

    def config(self, name: str) -> Config:
        """A file and all that it includes, which may be long: read once."""
        if name not in self._configs:
            self._configs[name] = read_config(self.etc, name)
        return self._configs[name]


@dataclass(frozen=True)
class _Change:
    """A file before and after, None where it is not there, and its rights. A directory that is there is empty bytes."""

    path: Path
    before: bytes | None
    after: bytes | None
    rights: Rights
    item: Item
    is_directory: bool = False


def install(etc: Path = DEFAULT_ETC) -> list[Item]:
    """Put our dialplan, AMI user and CEL file in place and include them; a second time changes nothing.

    An AMI user that is ours keeps its secret. Without a manager.conf there is no AMI user: billing works,
    with one long hold per call. Without a cel.conf or a cel_custom.conf there is no CEL file: billing works, and
    knows less precisely when a call ended that nobody saw the end of.

    FreePBX and Issabel dial their trunks through billing then, by their pre-dial hook; an administrator's own hook is
    left alone, and what to write into it is said.

    Raises:
        SetupError: extensions.conf is missing, a file of our name is not ours, something cannot be read or
            written, or a product generates a file and leaves none to its users. Nothing is changed then.
    """
    etc = directory_of(etc)
    if not is_there(etc / DIALPLAN.host):
        raise SetupError("%(path)s is missing: install Asterisk, or name its directory", path=etc / DIALPLAN.host)
    site = _Site(etc)
    changes = [
        *_shipped_changes(site, DIALPLAN),
        *_freepbx_changes(site),
        *_ami_changes(site),
        *_cel_changes(site),
    ]
    _apply(changes)
    return [*(change.item for change in changes), *_own_hook(site), *_ami_missing(etc), *_cel_missing(etc)]


def write_files(directory: Path, address: str) -> list[Item]:
    """Write what an Asterisk on another machine needs into a directory, to be carried there; its manager user last.

    `address` is this machine's as that one sees it, the only one that its manager lets our user in from. Written again,
    the user keeps its secret. No CEL file is among it: what it records could not be read from here.

    Raises:
        BadInput: `address` is none.
        SetupError: the directory cannot be made or written, or holds a file of our name that is not ours.
    """
    try:
        permitted = ip_address(address)
    except ValueError:
        raise BadInput("%(text)s is no IP address: write one like 192.168.1.20", text=repr(address[:80])) from None
    try:
        make_directory(directory)
    except OSError as error:
        raise _not_written(directory, error) from error
    directory = directory_of(directory)
    line = f"permit = {permitted}/{permitted.max_prefixlen}"
    user = _with_secret(_own_bytes(directory, AMI)).replace(_PERMIT, line.encode())
    wanted = {part: read_bytes(shipped("asterisk") / part.file) for part in (DIALPLAN, *FREEPBX_PARTS)} | {AMI: user}
    own = rights_of(directory)
    changes = [
        _file_change(directory, part, _own_bytes(directory, part), data, Rights(own.owner, own.group, 0o640))
        for part, data in wanted.items()
    ]
    _apply(changes)
    return [change.item for change in changes]


def remove(etc: Path = DEFAULT_ETC, *, let_calls_pass: bool = False) -> list[Item]:
    """Take out the files and lines that `install` wrote; what a person edited or wrote is left and named.

    With `let_calls_pass`, for when billing itself goes: while a route still dials through billing, the dialplan's file
    stays, and only dials.

    A file of ours stays while an edited line still needs it, because Asterisk refuses a configuration that
    includes a missing file. What the CEL file has recorded stays.

    Raises:
        SetupError: there is no such directory, or something cannot be read or written. Nothing is changed then.
    """
    etc = directory_of(etc)
    site = _Site(etc)
    passing = _passing_changes(etc) if let_calls_pass else []
    gone = [part for part in PARTS if not (passing and part is DIALPLAN)]
    changes = [*passing, *(change for part in gone for change in _removals(site, part))]
    if any(change.path == etc / CEL_MAPPING.file and change.after is None for change in changes):
        changes.extend(_directory_removal(etc))
    # Lines before files: at no moment is a file included that is gone.
    changes.sort(key=lambda change: (change.after is None) + change.is_directory)
    _apply(changes)
    done = [change.item for change in changes] or [NOTHING_REMOVED]
    looked_at = gone if product_of(etc) else [part for part in gone if part not in FREEPBX_PARTS]
    left = [item for part in looked_at for item in _left_behind(etc, part)]
    return [*done, *left, *(_passing_routes(etc) if passing else _orphans(etc))]


def _shipped_changes(site: _Site, part: Part) -> list[_Change]:
    etc = site.etc
    before, wanted = _own_bytes(etc, part), read_bytes(shipped("asterisk") / part.file)
    file = _file_change(etc, part, before, wanted, rights_of(etc / host_of(etc, part)))
    return [file, _include_change(site, part)]


def _freepbx_changes(site: _Site) -> list[_Change]:
    """What a product that generates its dialplan needs; with an own hook that calls billing, none of ours."""
    etc = site.etc
    if product_of(etc) is None:
        return []
    own, changes = own_hook(site.config(DIALPLAN.host)), _shipped_changes(site, FREEPBX)
    if not own:
        changes.extend(_shipped_changes(site, HOOK))
    elif calls_billing(own):
        changes.extend(_removals(site, HOOK))
    return changes


def _own_hook(site: _Site) -> list[Item]:
    hook = own_hook(site.config(DIALPLAN.host)) if product_of(site.etc) else []
    return [own_hook_item(hook)] if hook else []


def _ami_changes(site: _Site) -> list[_Change]:
    etc = site.etc
    if not is_there(etc / AMI.host):
        return []
    before = _own_bytes(etc, AMI)
    wanted = _with_secret(before)
    host = rights_of(etc / host_of(etc, AMI))
    rights = Rights(host.owner, asterisk_group(host.group), 0o640)
    return [_file_change(etc, AMI, before, wanted, rights), _include_change(site, AMI)]


def _with_secret(before: bytes | None) -> bytes:
    """The manager's user, with the secret that it had before."""
    secret = secret_in(before or b"") or secrets.token_hex(24)
    return read_bytes(shipped("asterisk") / AMI_FILE).replace(NO_SECRET, secret.encode())


def _ami_missing(etc: Path) -> list[Item]:
    if is_there(etc / AMI.host):
        return []
    message = f"{AMI.host} is missing, so no AMI user was made"
    cure = f"write {etc / AMI.host} with [general] and enabled = yes, then install again"
    return [Item(AMI.name, False, message, cure)]


def _cel_changes(site: _Site) -> list[_Change]:
    etc = site.etc
    if _missing_cel_hosts(etc):
        return []
    changes = [change for part in CEL_PARTS for change in _shipped_changes(site, part)]
    return [*changes, *_new_directory(etc)]


def _missing_cel_hosts(etc: Path) -> list[str]:
    return [part.host for part in CEL_PARTS if not is_there(etc / part.host)]


def _cel_missing(etc: Path) -> list[Item]:
    missing = _missing_cel_hosts(etc)
    if missing:
        message = f"{' and '.join(missing)} missing, so Asterisk keeps no CEL file"
        cure = f"run: touch {shlex.join(str(etc / host) for host in missing)}; then install again"
        return [Item(CEL.name, False, message, cure)]
    logs = log_directory_of(etc)
    if logs is None:
        message = f"no {etc / 'asterisk.conf'} tells where Asterisk keeps its logs, so {CEL_DIRECTORY} was not made"
        return [Item(CEL_DIRECTORY_NAME, False, message, f"make it there, with the mode {CEL_DIRECTORY_MODE:o}")]
    if not is_directory(logs):
        message = f"{logs} is not there, so {logs / CEL_DIRECTORY} was not made"
        return [Item(CEL_DIRECTORY_NAME, False, message, "start Asterisk once, then install again")]
    return []


def _new_directory(etc: Path) -> Iterator[_Change]:
    """The directory of the CEL file, which Asterisk does not make. One that is there is the site's."""
    logs = log_directory_of(etc)
    if logs is None or not is_directory(logs):
        return
    path = logs / CEL_DIRECTORY
    if is_directory(path):
        item = Item(CEL_DIRECTORY_NAME, True, f"{path} is already there")
        yield _Change(path, b"", b"", rights_of(path), item, is_directory=True)
    else:
        item = Item(CEL_DIRECTORY_NAME, True, f"{path} made")
        yield _Change(path, None, b"", cel_directory_rights(logs), item, is_directory=True)


def _directory_removal(etc: Path) -> Iterator[_Change]:
    """The directory of the CEL file where it is as `install` makes it, and empty."""
    logs = log_directory_of(etc)
    path = logs / CEL_DIRECTORY if logs else None
    if logs is None or path is None or not is_directory(path):
        return
    # Who may not look may not remove either, and is told so by the files.
    with contextlib.suppress(PermissionError):
        rights = rights_of(path)
        if rights == cel_directory_rights(logs) and not any(path.iterdir()):
            item = Item(CEL_DIRECTORY_NAME, True, f"{path} removed")
            yield _Change(path, b"", None, rights, item, is_directory=True)


def _file_change(etc: Path, part: Part, before: bytes | None, wanted: bytes, rights: Rights) -> _Change:
    path = etc / part.file
    verb = {None: "written", wanted: "is already there"}.get(before, "brought up to date")
    item = Item(part.file_name, True, f"{path} {verb}")
    return _Change(path, before, wanted, rights if before is None else rights_of(path), item)


def _own_bytes(etc: Path, part: Part) -> bytes | None:
    """What is in a file of ours, None where it is not there.

    Raises:
        SetupError: something of that name is there, and is not ours.
    """
    path = etc / part.file
    if not os.path.lexists(path):
        return None
    if not is_ours(path, part):
        raise SetupError("%(path)s was not written by CooVox Billing: move it away, then install again", path=path)
    return read_bytes(path)


def _include_change(site: _Site, part: Part) -> _Change:
    etc = site.etc
    path = (etc / host_of(etc, part)).resolve()
    before = site.text(path)
    known = include_of(etc, part, site.config(part.host))
    if known is not None:
        after, message = before, f"{known.line.where} includes {part.file} already"
    else:
        after, message = _with_line(before, part, path.name), f"{path} includes {part.file} now"
    site.texts[path] = after
    return _Change(path, before, after, rights_of(path), Item(part.include_name, True, message))


def _with_line(data: bytes, part: Part, host: str) -> bytes:
    """A file of the site with our include line at its end.

    Raises:
        SetupError: the file ends inside a block comment, where the line would not count.
    """
    end = b"\r\n" if data.count(b"\r\n") * 2 > data.count(b"\n") else b"\n"
    joined = data and not data.endswith(b"\n")
    after = data + end + part.line + _JOINED + end if joined else data + part.line + end
    if part.directive not in (text for _, text in active_lines(after)):
        raise SetupError("%(file)s ends inside a block comment (;--): close it with --; and try again", file=host)
    return after


def _removals(site: _Site, part: Part) -> Iterator[_Change]:
    etc = site.etc
    path = etc / part.file
    for host in (etc / name for name in (part.host, *part.custom) if is_there(etc / name)):
        real = host.resolve()
        before = site.text(real)
        after = _without_line(before, part)
        if after != before:
            site.texts[real] = after
            item = Item(part.include_name, True, f"{host} no longer includes {part.file}")
            yield _Change(real, before, after, rights_of(host), item)
    if is_ours(path, part) and not _is_needed(etc, part):
        item = Item(part.file_name, True, f"{path} removed")
        yield _Change(path, read_bytes(path), None, rights_of(path), item)


def _without_line(data: bytes, part: Part) -> bytes:
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


def _own_lines(data: bytes, part: Part) -> set[int]:
    """The numbers of the lines that `install` wrote and nobody has changed or commented out."""
    lines = data.split(b"\n")
    written = {part.line, part.line + _JOINED}
    return {
        number
        for number, text in active_lines(data)
        if text == part.directive and lines[number - 1].removesuffix(b"\r") in written
    }


def _is_needed(etc: Path, part: Part) -> bool:
    """Whether a line that stays includes our file in a way that Asterisk refuses once the file is gone."""
    hosts = [name for name in (part.host, *part.custom) if is_there(etc / name)]
    own = {(name, number) for name in hosts for number in _own_lines(read_bytes(etc / name), part)}
    return any(
        include.needs(etc / part.file)
        for include in read_config(etc, part.host).includes
        if (include.line.file, include.line.number) not in own
    )


def _left_behind(etc: Path, part: Part) -> Iterator[Item]:
    """What still speaks of our file once all that is ours has gone."""
    path = etc / part.file
    for include in read_config(etc, part.host).includes:
        if include.names(path):
            message = f"{include.line.where} was not written by install and is left: {include.line.text}"
            yield Item(part.include_name, False, message, "take it out yourself, then remove again")
    if is_ours(path, part):
        yield Item(part.file_name, False, f"{path} is left, because a line that is left needs it", "as above")
    elif os.path.lexists(path):
        yield Item(part.file_name, False, f"{path} was not written by install and is left", "look at it")


def _passing_changes(etc: Path) -> list[_Change]:
    """Our dialplan as one that only dials, where it is in place and something of the site's would fail without it."""
    path = etc / DIALPLAN.file
    is_included = any(path in include.files for include in read_config(etc, DIALPLAN.host).includes)
    if not (is_included and is_ours(path, DIALPLAN) and _calls_of_the_site(etc)):
        return []
    item = Item(DIALPLAN.file_name, True, f"{path} only dials now, because routes still need it")
    return [_Change(path, read_bytes(path), read_bytes(shipped("asterisk") / PASSING_FILE), rights_of(path), item)]


def _passing_routes(etc: Path) -> Iterator[Item]:
    cure = f"put Dial back in its place; once nothing needs them, {DIALPLAN.file} and the line that includes it can go"
    for line in _calls_of_the_site(etc):
        yield Item("route", True, f"{line.where} still calls billing: its calls pass, and are not billed", cure)


def _calls_of_the_site(etc: Path) -> list[Line]:
    """The lines of the site's own files that call ours: routes, and a pre-dial hook of the administrator's."""
    config = read_config(etc, DIALPLAN.host)
    routes = [route.line for route in billed_routes(config)]
    hook = [line for line in own_hook(config) if "coovox-billing-hook" in line.text]
    return [*routes, *hook]


def _orphans(etc: Path) -> Iterator[Item]:
    if is_there(etc / DIALPLAN_FILE):
        return
    for line in own_hook(read_config(etc, DIALPLAN.host)):
        if "coovox-billing-hook" in line.text:
            message = f"{line.where}, in your own pre-dial hook, still calls billing, which is gone: calls will fail"
            yield Item(HOOK.name, False, message, "take out that line and the one below it, then reload the dialplan")
    for route in billed_routes(read_config(etc, DIALPLAN.host)):
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
            raise _not_written(begun[-1].path, error) from error
        raise


def _not_written(path: Path, error: OSError) -> SetupError:
    if isinstance(error, PermissionError):
        return SetupError(
            "%(path)s cannot be written by this user, nothing was changed: run the command with sudo", path=path
        )
    return SetupError(
        "%(path)s cannot be written (%(reason)s), nothing was changed: repair that and try again",
        path=path,
        reason=error.strerror,
    )


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
        raise SetupError("changed, and could not be put back: %(paths)s: repair and try again", paths=", ".join(stuck))


def _bytes_or_none(path: Path) -> bytes | None:
    if path.is_dir():
        return b""
    return path.read_bytes() if path.exists() else None


def _put(change: _Change, data: bytes | None) -> None:
    if change.is_directory:
        _put_directory(change, data)
    elif data is None:
        change.path.unlink()
    else:
        _replace(change, data)
    _sync_directory(change.path.parent)


def _put_directory(change: _Change, data: bytes | None) -> None:
    if data is None:
        change.path.rmdir()
        return
    change.path.mkdir(mode=0o700)
    descriptor = os.open(change.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        _own(descriptor, change.rights)
    finally:
        os.close(descriptor)


def _replace(change: _Change, data: bytes) -> None:
    """Write the whole file beside the old one, then put it in its place."""
    temporary = change.path.with_name(f".{change.path.name}.coovox-billing")
    temporary.unlink(missing_ok=True)
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            _copy_attributes(change.path, descriptor)
            _own(descriptor, change.rights)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(change.path)
    finally:
        temporary.unlink(missing_ok=True)


def _copy_attributes(path: Path, descriptor: int) -> None:
    """Carry over what an existing file has besides owner and mode, such as access lists.

    To what is open, whatever has its name meanwhile: the directory is Asterisk's, and we are root.
    """
    with contextlib.suppress(FileNotFoundError):
        shutil.copystat(path, f"/proc/self/fd/{descriptor}")


def _own(descriptor: int, rights: Rights) -> None:
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
