"""What the running Asterisk says of billing: what it has loaded, and whether that is what stands in its files."""

import re
from collections.abc import Iterator

from coovox_billing.errors import SetupError
from coovox_billing.pbx.console import CEL_RELOADS, AsteriskCli
from coovox_billing.pbx.dialplan_check import CONTEXTS, SUBROUTINE, Config
from coovox_billing.pbx.freepbx import HOOK_CONTEXT
from coovox_billing.pbx.parts import AMI_USER, DIALPLAN, WITHOUT_CEL, Item

DEFAULT_AGI = "agi://127.0.0.1:4573"
AGI_PORT = "4573"
OLDEST_ASTERISK = 16
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


_AGI = re.compile(r"agi://(\[[^\]]+\]|[^:/\[\]]+)(?::(\d+))?/?")
_OWN_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
_ANY_HOST = frozenset({"0.0.0.0", "[::]"})  # noqa: S104  what is read, not bound
_SHOWN = re.compile(r"\s{2,}(?:'([^']*)' =>|\[[^\]]*\])?\s*(\d+)\. (.*?)\s*\[[^\]\[]*\]$")
_WRITTEN = re.compile(r"(?:exten|same)\s*=>\s*(?:([^,]+),)?(?:1|n)(?:\(\w+\))?,(.*)", re.IGNORECASE)
_AMI_RIGHTS = {"read perm": ("system", "user"), "write perm": ("system", "call", "originate")}


def is_same_agi(asked: str, answered: str) -> bool:
    """Whether what the dialplan asks reaches where the call plane answers, however the two are spelled."""
    one, other = _AGI.fullmatch(asked), _AGI.fullmatch(answered)
    if one is None or other is None:
        return asked == answered
    same_port = (one[2] or AGI_PORT) == (other[2] or AGI_PORT)
    both_own = one[1] in _OWN_HOSTS and other[1] in _OWN_HOSTS
    return same_port and (one[1] == other[1] or both_own or other[1] in _ANY_HOST)


def running_items(
    dialplan: Config, asterisk: AsteriskCli | None, agi_address: str, *, has_hook: bool = False
) -> list[Item]:
    """Item by item; one alone where Asterisk does not answer, for it is asked no more then.

    `has_hook`: calls are to come by the pre-dial hook of a product that generates its dialplan.
    """
    if asterisk is None:
        message = "no asterisk command was found, so the running Asterisk was not looked at"
        return [Item("Asterisk", False, message, "install Asterisk, or run this on the PBX")]
    try:
        modules = asterisk("module show").splitlines()
        return [
            *_version_items(asterisk("core show version")),
            *(_module_item(modules, module) for module in REQUIRED_MODULES),
            _dialplan_item(dialplan, asterisk),
            *(_hook_items(asterisk) if has_hook else ()),
            *_global_items(asterisk("dialplan show globals"), agi_address),
            _user_item(asterisk(f"manager show user {AMI_USER}")),
            *_cel_module_items(modules, asterisk("core show version")),
            _recording_item(asterisk("cel show status")),
        ]
    except SetupError as error:
        cure = "start Asterisk, or look at its log; then check again, as root or as Asterisk's own user"
        return [Item("Asterisk", False, f"the running Asterisk was not looked at: {error}", cure)]


def _version_items(said: str) -> Iterator[Item]:
    version = _VERSION.match(said)
    if version and int(version[1]) < OLDEST_ASTERISK:
        message = f"Asterisk {version[1]} is older than {OLDEST_ASTERISK}, with which billing was never tried"
        yield Item("Asterisk version", False, message, f"install Asterisk {OLDEST_ASTERISK} or newer")


def _dialplan_item(dialplan: Config, asterisk: AsteriskCli) -> Item:
    """Whether what runs is what the file says: nobody may have reloaded it since it was written."""
    if f"Context '{SUBROUTINE}'" not in asterisk(f"dialplan show {SUBROUTINE}"):
        return _known_item("dialplan loaded", False, "the billing dialplan")
    written = CONTEXTS & {line.section for line in dialplan.lines}
    stale = [context for context in sorted(written) if not _is_running(dialplan, context, asterisk)]
    if stale:
        message = (
            f"the running Asterisk has other lines in {', '.join(stale)} than {DIALPLAN.file}: it was not reloaded"
        )
        return Item("dialplan loaded", False, message, "run: asterisk -rx 'dialplan reload'")
    return _known_item("dialplan loaded", True, "the billing dialplan")


def _hook_items(asterisk: AsteriskCli) -> Iterator[Item]:
    is_known = "coovox-billing-hook" in asterisk(f"dialplan show {HOOK_CONTEXT}")
    yield _known_item("hook loaded", is_known, "the pre-dial hook")


def _is_running(dialplan: Config, context: str, asterisk: AsteriskCli) -> bool:
    written = [_WRITTEN.fullmatch(line.text) for line in dialplan.lines if line.section == context]
    wanted = sorted(_application(match[2]) for match in written if match)
    shown = (_SHOWN.match(line) for line in asterisk(f"dialplan show {context}").splitlines())
    return wanted == sorted(_application(match[3]) for match in shown if match)


def _application(text: str) -> str:
    """An application with its data as Asterisk shows it: `Return` and `Return()` are one."""
    return text.strip().removesuffix("()").replace("\\,", ",")


def _global_items(said: str, agi_address: str) -> Iterator[Item]:
    """A global that was set while Asterisk ran counts until its next start, whatever the files say."""
    shown = (line.strip().partition("=") for line in said.splitlines())
    asked = next((value for name, _, value in shown if name == "COOVOX_AGI"), DEFAULT_AGI)
    if not is_same_agi(asked, agi_address):
        message = f"the running Asterisk asks {asked}, the call plane answers on {agi_address}"
        cure = f"run: asterisk -rx 'dialplan set global COOVOX_AGI {agi_address}'; and write it under [globals]"
        yield Item("AGI address running", False, message, cure)


def _user_item(said: str) -> Item:
    """The manager's user, with all that it needs; one of the site's own may lack something."""
    if f"username: {AMI_USER}" not in said:
        return _known_item("AMI user loaded", False, f"the AMI user {AMI_USER}")
    shown = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in said.splitlines())}
    missing = [
        f"{right} ({kind.removesuffix(' perm')})"
        for kind, rights in _AMI_RIGHTS.items()
        for right in rights
        if not {right, "all"} & set(shown.get(kind, right).split(","))
    ]
    if missing:
        cure = "run: coovox-billing pbx install --reload"
        return Item("AMI user loaded", False, f"the AMI user {AMI_USER} may not {', '.join(missing)}", cure)
    return _known_item("AMI user loaded", True, f"the AMI user {AMI_USER}")


def _cel_module_items(modules: list[str], said: str) -> Iterator[Item]:
    items = [_module_item(modules, module) for module in CEL_MODULES]
    yield from items
    version = _VERSION.match(said)
    if not items[-1].ok and version and int(version[1]) >= _CEL_WRITER_SINCE:
        yield _module_item(modules, _CEL_WRITER)


def _recording_item(status: str) -> Item:
    """What `cel show status` says."""
    tracked = [event for event in _CEL_EVENTS if f"Tracking Event: {event}\n" in status or "Event: ALL\n" in status]
    is_written = "Subscriber: CEL Custom CSV Logging" in status
    if "CEL Logging: Enabled" in status and len(tracked) == len(_CEL_EVENTS) and is_written:
        return Item("CEL loaded", True, "the running Asterisk records answers and ends of calls")
    cure = "run: " + " and ".join(f"asterisk -rx '{reload}'" for reload in CEL_RELOADS)
    return Item("CEL loaded", False, f"the running Asterisk keeps no CEL file: {WITHOUT_CEL}", cure)


def _module_item(modules: list[str], module: str) -> Item:
    row = next((row for row in modules if row.startswith(f"{module}.so ")), "")
    if "Running" in row and "Not Running" not in row:
        return Item(f"module {module}", True, f"{module} is loaded")
    cure = f"load {module}.so in modules.conf, then run: asterisk -rx 'module load {module}.so'"
    return Item(f"module {module}", False, f"Asterisk has not loaded {module}", cure)


def _known_item(name: str, known: bool, what: str) -> Item:
    if known:
        return Item(name, True, f"the running Asterisk has {what}")
    cure = "reload the dialplan and the manager; if it stays so, Asterisk's log says why"
    return Item(name, False, f"the running Asterisk does not have {what}", cure)
