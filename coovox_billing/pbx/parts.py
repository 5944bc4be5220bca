"""What of Asterisk's configuration is ours: files that begin with a mark, and one `#include` line for each.

Shared by `install`, which writes them, and `check`, which looks at them.
"""

import grp
import os
import shlex
import stat
from dataclasses import dataclass
from pathlib import Path

from coovox_billing.errors import SetupError
from coovox_billing.pbx.dialplan_check import (
    DIALPLAN_FILE,
    FREEPBX_FILE,
    HOOK_FILE,
    active_lines,
    is_there,
    read_bytes,
    read_config,
)

DEFAULT_ETC = Path("/etc/asterisk")
AMI_FILE = "manager_coovox_billing.conf"
AMI_USER = "coovox-billing"
DEFAULT_LOG_DIRECTORY = Path("/var/log/asterisk")
NO_SECRET = b"@SECRET@"
WITHOUT_AMI = (
    "a call holds all that it could cost from the start, a recharge does not lengthen it, it has no warning and no "
    "grace, locking does not end it, and `extension sync` has nobody to ask"
)
WITHOUT_CEL = "if Asterisk or billing is killed, the end of a call in progress is known less precisely"


@dataclass(frozen=True)
class Item:
    """One thing that was done or looked at, how it stands, and what to do where it is not well."""

    name: str
    ok: bool
    message: str
    what_to_do: str = ""


@dataclass(frozen=True)
class Rights:
    """Who owns a file or directory, and its permission bits."""

    owner: int
    group: int
    mode: int


@dataclass(frozen=True)
class Part:
    """A file of ours, the mark in its first line, and the file of the site that includes it.

    Where a product such as FreePBX generates `host`, one of `custom` includes ours: what it leaves to its users.
    """

    name: str
    file: str
    mark: bytes
    host: str
    custom: tuple[str, ...] = ()

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


_EXTENSIONS, _EXTENSIONS_CUSTOM = "extensions.conf", ("extensions_custom.conf",)
DIALPLAN = Part("dialplan", DIALPLAN_FILE, b"; CooVox Billing dialplan", _EXTENSIONS, _EXTENSIONS_CUSTOM)
FREEPBX = Part("FreePBX dialplan", FREEPBX_FILE, b"; CooVox Billing on FreePBX", _EXTENSIONS, _EXTENSIONS_CUSTOM)
HOOK = Part("hook", HOOK_FILE, b"; CooVox Billing hook", _EXTENSIONS, _EXTENSIONS_CUSTOM)
AMI = Part("AMI user", AMI_FILE, b"; CooVox Billing manager user", "manager.conf", ("manager_custom.conf",))
_CEL_CUSTOM = ("cel_custom_post.conf", "cel_general_custom.conf")
CEL = Part("CEL", "cel_coovox_billing.conf", b"; CooVox Billing channel events", "cel.conf", _CEL_CUSTOM)
CEL_MAPPING = Part("CEL mapping", "cel_custom_coovox_billing.conf", b"; CooVox Billing event file", "cel_custom.conf")
CEL_PARTS = (CEL, CEL_MAPPING)
CEL_DIRECTORY_NAME = "CEL directory"
CEL_DIRECTORY_MODE = 0o2770
FREEPBX_PARTS = (FREEPBX, HOOK)
PARTS = (DIALPLAN, *FREEPBX_PARTS, AMI, *CEL_PARTS)


def directory_of(etc: Path) -> Path:
    """The whole path of Asterisk's configuration.

    Raises:
        SetupError: it is no directory.
    """
    # Not resolve(): what follows links no longer matches what an include names.
    path = Path(os.path.abspath(etc))  # noqa: PTH100
    if not is_directory(path):
        raise SetupError(
            "%(path)s is not a directory that this user sees: install Asterisk, or name its directory", path=path
        )
    return path


def is_directory(path: Path) -> bool:
    """Whether this user sees a directory there."""
    # Unlike is_dir(), no exception where this user may not look.
    return os.path.isdir(path)  # noqa: PTH112


def command(verb: str, etc: Path) -> str:
    """How a person runs `pbx VERB` for that configuration."""
    option = "" if etc == DEFAULT_ETC else f" --etc {shlex.quote(str(etc))}"
    return f"coovox-billing pbx {verb}{option}"


def is_ours(path: Path, part: Part) -> bool:
    return is_there(path) and not path.is_symlink() and read_bytes(path).startswith(part.mark)


def log_directory_of(etc: Path) -> Path | None:
    """Where the Asterisk of that configuration writes its logs, None where nothing tells.

    Raises:
        SetupError: asterisk.conf cannot be read.
    """
    if not is_there(etc / "asterisk.conf"):
        return DEFAULT_LOG_DIRECTORY if etc == DEFAULT_ETC else None
    return directory_setting(etc, "astlogdir") or DEFAULT_LOG_DIRECTORY


def directory_setting(etc: Path, name: str) -> Path | None:
    """One of the directories that asterisk.conf names, None where it names none.

    Raises:
        SetupError: asterisk.conf cannot be read.
    """
    named, is_counted = None, False
    for line in read_config(etc, "asterisk.conf").lines:
        if line.text.startswith("["):
            # Debian's own file is a template, [directories](!), which Asterisk takes nothing from.
            is_counted = line.section == "directories" and "!" not in line.text.rpartition("]")[2]
        key, equals, value = line.text.partition("=")
        if is_counted and equals and key.strip() == name:
            named = value.removeprefix(">").strip()
    return Path(named) if named else None


def rights_of(path: Path) -> Rights:
    """Who owns it and who may do what; OSError where this user may not look."""
    now = path.stat()
    return Rights(now.st_uid, now.st_gid, stat.S_IMODE(now.st_mode))


def cel_directory_rights(log_directory: Path) -> Rights:
    """What the directory of the CEL file needs: Asterisk writes there, and its group, with billing in it, rotates."""
    logs = rights_of(log_directory)
    return Rights(logs.owner, asterisk_group(logs.group), CEL_DIRECTORY_MODE)


def asterisk_group(host: int) -> int:
    """The group that lets Asterisk read a file that not everybody may read."""
    try:
        return host or grp.getgrnam("asterisk").gr_gid
    except KeyError:
        return host


def secret_in(data: bytes) -> str | None:
    """The secret in an AMI file, None where there is none yet."""
    for _, text in active_lines(data):
        key, _, value = text.partition("=")
        if key.strip() == "secret" and value.strip() not in ("", NO_SECRET.decode()):
            return value.strip()
    return None
