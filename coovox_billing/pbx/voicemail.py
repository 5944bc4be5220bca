"""The PINs of Asterisk's mailboxes, read from voicemail.conf as Asterisk reads it; nothing is ever written.

Mailbox 100 is extension 100's: that of the context `default`, or the only one of that number. Not read are mailboxes of
a database (realtime), of users.conf, of what `#exec` prints, and what a mailbox inherits from a template.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from coovox_billing.errors import SetupError
from coovox_billing.pbx.dialplan_check import Config, Line, is_there, read_config

DEFAULT_CONTEXT = "default"
DEFAULT_SPOOL = Path("/var/spool/asterisk")
SPOOL_DIRECTORY = "voicemail"
SECRET_FILE = "secret.conf"  # noqa: S105  its name

_NO_CONTEXTS = frozenset({"", "general", "zonemessages"})
_TEMPLATE = re.compile(r"\[[^\]]*\]\s*\([^)]*!")
_MAILBOX = re.compile(r"([0-9A-Za-z._+-]+)\s*=>?\s*(.*)")
_PLAIN_NAME = re.compile(r"[0-9A-Za-z_+-][0-9A-Za-z._+-]*")
_IN_SPOOL = re.compile(r"passwordlocation\s*=\s*spooldir", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A mailbox: its context, number, and PIN, empty where it has none."""

    context: str
    number: str
    pin: str


def pin_of(path: Path, extension: str) -> str:
    """The PIN of the extension's mailbox, empty where there is none, or several that differ.

    Raises:
        SetupError: the file, or one that it includes, is missing or cannot be read.
    """
    return _chosen(list(mailboxes(path, extension)))


def pins(path: Path) -> dict[str, str]:
    """The PIN of each number that has a mailbox, as `pin_of` tells it.

    Raises:
        SetupError: as `pin_of`.
    """
    by_number: dict[str, list[Mailbox]] = {}
    for mailbox in mailboxes(path):
        by_number.setdefault(mailbox.number, []).append(mailbox)
    return {number: _chosen(found) for number, found in by_number.items()}


def _chosen(found: list[Mailbox]) -> str:
    chosen = [mailbox for mailbox in found if mailbox.context == DEFAULT_CONTEXT] or found
    contexts, known = {mailbox.context for mailbox in chosen}, {mailbox.pin for mailbox in chosen}
    return known.pop() if len(contexts) == len(known) == 1 else ""


def mailboxes(path: Path, number: str = "") -> Iterator[Mailbox]:
    """Every mailbox that the file names, or those of a number. What is in the spool directory is read from there.

    Raises:
        SetupError: as `pin_of`.
    """
    if not is_there(path):
        raise SetupError("%(path)s is not there: name Asterisk's voicemail.conf in voicemail_conf", path=path)
    config = read_config(path.parent, path.name)
    all_in_spool = (config.value("general", "passwordlocation") or "").lower() == "spooldir"
    spool: Path | None = None
    for line in _of_contexts(config):
        match = _MAILBOX.fullmatch(line.text)
        if match is None or number not in ("", match[1]):
            continue
        fields = match[2].split(",")
        kept = None
        if all_in_spool or _IN_SPOOL.search(",".join(fields[4:])):
            spool = spool or _spool(path.parent)
            kept = _secret(spool / SPOOL_DIRECTORY, line.section, match[1])
        pin = fields[0].strip() if kept is None else kept
        yield Mailbox(line.section, match[1], pin.removeprefix("-"))


def _of_contexts(config: Config) -> Iterator[Line]:
    """The lines of contexts: neither of the general sections nor of templates."""
    is_template = False
    for line in config.lines:
        if line.text.startswith("["):
            is_template = _TEMPLATE.match(line.text) is not None
        elif not is_template and line.section not in _NO_CONTEXTS:
            yield line


def _spool(etc: Path) -> Path:
    found = read_config(etc, "asterisk.conf").value("directories", "astspooldir")
    return Path(found) if found else DEFAULT_SPOOL


def _secret(directory: Path, context: str, number: str) -> str | None:
    """The PIN that Asterisk keeps beside the messages since it was changed by telephone, None where there is none.

    One that cannot be read is empty: the one in voicemail.conf is old then.
    """
    if not (_PLAIN_NAME.fullmatch(context) and _PLAIN_NAME.fullmatch(number)):
        return ""
    path = directory / context / number / SECRET_FILE
    try:
        return read_config(path.parent, path.name).value("general", "password")
    except SetupError:
        return ""
