"""What of Asterisk's configuration is ours: two files that begin with a mark, and one `#include` line for each.

Shared by `install`, which writes them, and `check`, which looks at them.
"""

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from coovox_billing.errors import SetupError
from coovox_billing.pbx.dialplan_check import DIALPLAN_FILE, active_lines, is_there, read_bytes

DEFAULT_ETC = Path("/etc/asterisk")
AMI_FILE = "manager_coovox_billing.conf"
AMI_USER = "coovox-billing"
NO_SECRET = b"@SECRET@"
WITHOUT_AMI = (
    "a call holds all that it could cost from the start, a recharge does not lengthen it, it has no warning and no "
    "grace, locking does not end it, and `extension sync` has nobody to ask"
)


@dataclass(frozen=True)
class Item:
    """One thing that was done or looked at, how it stands, and what to do where it is not well."""

    name: str
    ok: bool
    message: str
    what_to_do: str = ""


@dataclass(frozen=True)
class Part:
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


DIALPLAN = Part("dialplan", DIALPLAN_FILE, b"; CooVox Billing dialplan", "extensions.conf")
AMI = Part("AMI user", AMI_FILE, b"; CooVox Billing manager user", "manager.conf")
PARTS = (DIALPLAN, AMI)


def directory_of(etc: Path) -> Path:
    """The whole path of Asterisk's configuration.

    Raises:
        SetupError: it is no directory.
    """
    # Not resolve(): what follows links no longer matches what an include names.
    path = Path(os.path.abspath(etc))  # noqa: PTH100
    if not os.path.isdir(path):  # noqa: PTH112  unlike is_dir(), no exception where this user may not look
        raise SetupError(f"{path} is not a directory that this user sees: install Asterisk, or name its directory")
    return path


def command(verb: str, etc: Path) -> str:
    """How a person runs `pbx VERB` for that configuration."""
    option = "" if etc == DEFAULT_ETC else f" --etc {shlex.quote(str(etc))}"
    return f"coovox-billing pbx {verb}{option}"


def is_ours(path: Path, part: Part) -> bool:
    return is_there(path) and not path.is_symlink() and read_bytes(path).startswith(part.mark)


def secret_in(data: bytes) -> str | None:
    """The secret in an AMI file, None where there is none yet."""
    for _, text in active_lines(data):
        key, _, value = text.partition("=")
        if key.strip() == "secret" and value.strip() not in ("", NO_SECRET.decode()):
            return value.strip()
    return None
