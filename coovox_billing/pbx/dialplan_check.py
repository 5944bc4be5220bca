"""Asterisk's configuration files, read as Asterisk reads them, and the routes in its dialplan.

Decides which lines count (comments, `#include`, sections) and which routes
escape billing. What is seen is what is written: a trunk or an option that only
a channel variable names is known when a call comes, not here. Putting files in
place is `install`'s.
"""

import glob
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from coovox_billing.core.dial_options import BYPASSING, bypassing_options, vanishing_destinations
from coovox_billing.errors import BadInput, SetupError

SUBROUTINE = "coovox-billing-dial"
CONTEXTS = frozenset(
    {
        SUBROUTINE,
        "coovox-billing-answered",
        "coovox-billing-clean",
        "coovox-billing-settle",
        "coovox-billing-end",
        "coovox-billing-leave",
        "coovox-billing-warning",
        "coovox-billing-emergency",
        "coovox-billing-hook",
        "coovox-billing-freepbx",
        "coovox-billing-own",
        "coovox-billing-trunk",
    }
)
DIALPLAN_FILE = "extensions_coovox_billing.conf"
FREEPBX_FILE = "extensions_coovox_billing_freepbx.conf"
HOOK_FILE = "extensions_coovox_billing_hook.conf"
OWN_FILES = frozenset({DIALPLAN_FILE, FREEPBX_FILE, HOOK_FILE})

# Asterisk skips a line that does not fit its buffer of 8192 bytes.
_LONGEST_LINE_BYTES = 8190
_BLANKS = bytes(range(33))
_DIRECTIVE = re.compile(r"#(include|tryinclude|exec)\s+(.+)", re.IGNORECASE)
_SECTION = re.compile(r"\[([^\]]*)\]")
_EXTENSION = re.compile(r"(?:exten|same)\s*=>?\s*(.*)", re.IGNORECASE)
_BILLED = re.compile(rf"(?<![\w-]){SUBROUTINE}\s*,\s*s\s*,\s*1\s*\(")
_OURS = re.compile(r"(?<![\w-])coovox-bil[\w-]*")
_DIAL = re.compile(r"(?<![\w-])(Dial|RetryDial)\s*\(", re.IGNORECASE)
_DEVICE_ARGUMENT = {"dial": 0, "retrydial": 3}
_GLOBAL = re.compile(r"\$\{(?:GLOBAL\((\w+)\)|(\w+))\}")
_OPENERS, _CLOSERS = "([{", ")]}"


@dataclass(frozen=True)
class Line:
    """A line that counts, without its comment, and where it stands."""

    file: str
    number: int
    section: str
    text: str

    @property
    def where(self) -> str:
        return f"{self.file} line {self.number}"


@dataclass(frozen=True)
class Include:
    """An `#include` or `#tryinclude`: the paths it names, the files it finds, and what is wrong with it."""

    line: Line
    patterns: tuple[str, ...]
    files: tuple[Path, ...]
    required: bool
    circular: bool

    def names(self, path: Path) -> bool:
        """Whether it takes in this file, or would if the file were there."""
        return any(PurePath(path).match(pattern) for pattern in self.patterns)

    def needs(self, path: Path) -> bool:
        """Whether Asterisk would refuse the whole configuration if this file were gone."""
        return self.required and self.names(path) and set(self.files) <= {path}


@dataclass(frozen=True)
class Config:
    """A configuration file with everything it includes, in Asterisk's order."""

    lines: list[Line] = field(default_factory=list)
    includes: list[Include] = field(default_factory=list)
    programs: list[Line] = field(default_factory=list)
    files: set[Path] = field(default_factory=set)

    def value(self, section: str, name: str) -> str | None:
        """The last value of a setting of a section, None where it is not set."""
        found = None
        for line in self.lines:
            key, equals, value = line.text.partition("=")
            if equals and line.section == section and key.strip().lower() == name:
                found = value.removeprefix(">").strip()
        return found

    def globals(self) -> dict[str, str]:
        """The dialplan's global variables."""
        pairs = (line.text.partition("=") for line in self.lines if line.section == "globals")
        return {key.strip(): value.removeprefix(">").strip() for key, equals, value in pairs if equals}


@dataclass(frozen=True)
class BilledRoute:
    """A place that dials through billing."""

    line: Line
    devices: tuple[str, ...]
    dial_string: str
    options: str
    trunk: str


@dataclass(frozen=True)
class RouteProblem:
    """A place that escapes billing, why, and the cure."""

    line: Line
    message: str
    what_to_do: str


def active_lines(data: bytes) -> Iterator[tuple[int, str]]:
    """The numbers and texts of the lines of a file that Asterisk takes in, comments taken off."""
    depth = 0
    for number, line in enumerate(data.split(b"\n"), start=1):
        if len(line) > _LONGEST_LINE_BYTES:
            continue
        kept, depth = _uncommented(line.split(b"\0")[0], depth)
        text = kept.strip(_BLANKS)
        if text:
            yield number, text.decode("utf-8", "backslashreplace")


def _uncommented(line: bytes, depth: int) -> tuple[bytes, int]:
    """What of a line stands outside comments, and how many block comments are open after it."""
    kept, start, scan = b"", 0, 0
    while (at := line.find(b";", scan)) >= 0:
        if at > scan and line[at - 1 : at] == b"\\":
            if depth == 0:
                kept, start = kept + line[start : at - 1], at
            scan = at + 1
        elif line[at + 1 : at + 3] == b"--" and line[at + 3 : at + 4] != b"-":
            if depth == 0:
                kept += line[start:at]
            depth, start, scan = depth + 1, len(line), at + 3
        elif at >= scan + 2 and line[at - 2 : at] == b"--":
            if depth == 0:
                # An end without a beginning: Asterisk keeps this line and takes the next ones for a comment.
                return kept + line[start:], -1
            depth, scan = depth - 1, at + 1
            start = scan if depth == 0 else start
        elif depth == 0:
            return kept + line[start:at], depth
        else:
            scan = at + 1
    return (kept + line[start:] if depth == 0 else kept), depth


def read_bytes(path: Path) -> bytes:
    """The bytes of a file of the PBX.

    Raises:
        SetupError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except PermissionError:
        raise SetupError("%(path)s cannot be read by this user: run the command with sudo", path=path) from None
    except OSError as error:
        raise SetupError(
            "%(path)s cannot be read (%(reason)s): repair that and try again", path=path, reason=error.strerror
        ) from None


def is_there(path: Path) -> bool:
    """Whether a file of the PBX is there, as a file or a link to one.

    Raises:
        SetupError: this user may not look.
    """
    try:
        return path.is_file()
    except PermissionError:
        raise SetupError("%(path)s cannot be read by this user: run the command with sudo", path=path) from None


def read_config(etc: Path, name: str) -> Config:
    """A configuration file of Asterisk and all that it includes; empty where it is missing.

    Raises:
        SetupError: a file of it cannot be read.
    """
    config = Config()
    if is_there(etc / name):
        _read_into(config, etc, etc / name, "", ())
    return config


def direct_includes(etc: Path, name: str) -> set[Path]:
    """The files that a configuration file includes by itself; none where it is missing.

    Raises:
        SetupError: it cannot be read.
    """
    if not is_there(etc / name):
        return set()
    lines = [Line(name, number, "", text) for number, text in active_lines(read_bytes(etc / name))]
    directives = [(line, _DIRECTIVE.fullmatch(line.text)) for line in lines]
    return {
        file
        for line, directive in directives
        if directive and directive[1].lower() != "exec"
        for file in _include(etc, line, directive, ()).files
    }


def _read_into(config: Config, etc: Path, path: Path, section: str, chain: tuple[Path, ...]) -> None:
    config.files.add(path)
    file = str(path.relative_to(etc)) if path.is_relative_to(etc) else str(path)
    for number, text in active_lines(read_bytes(path)):
        header = _SECTION.match(text)
        section = header[1] if header else section
        line = Line(file, number, section, text)
        directive = _DIRECTIVE.fullmatch(text)
        if directive is None:
            config.lines.append(line)
        elif directive[1].lower() == "exec":
            config.programs.append(line)
        else:
            include = _include(etc, line, directive, (*chain, path))
            config.includes.append(include)
            for included in include.files:
                if included not in config.files:
                    _read_into(config, etc, included, section, (*chain, path))


def _include(etc: Path, line: Line, directive: re.Match[str], chain: tuple[Path, ...]) -> Include:
    patterns = tuple(os.path.normpath(etc / one) for one in _braces(_unquoted(directive[2].strip())))
    # Not Path.glob, whose * takes in hidden files: Asterisk's does not.
    found = [Path(name) for pattern in patterns for name in sorted(glob.glob(pattern))]  # noqa: PTH207
    files = tuple(path for path in found if is_there(path))
    required = directive[1].lower() == "include"
    return Include(line, patterns, files, required, any(path in chain for path in files))


def _unquoted(name: str) -> str:
    quoted = len(name) > 1 and (name[0], name[-1]) in {('"', '"'), ("<", ">")}
    return name[1:-1] if quoted else name


def _braces(pattern: str) -> list[str]:
    """`a{b,c}` as `ab` and `ac`: Asterisk's own glob knows braces, Python's does not."""
    group = re.search(r"\{([^{}]*)\}", pattern)
    if group is None:
        return [pattern]
    before, after = pattern[: group.start()], pattern[group.end() :]
    return [whole for choice in group[1].split(",") for whole in _braces(before + choice + after)]


def include_problems(config: Config) -> list[RouteProblem]:
    """The includes for which Asterisk refuses the whole configuration."""
    problems = []
    for include in config.includes:
        if include.circular:
            why = "includes a file that is being read already"
        elif include.required and not include.files:
            why = "includes a file that is not there"
        else:
            continue
        message = f"{include.line.where} {why}: {include.line.text}"
        problems.append(RouteProblem(include.line, message, "repair or take out that line"))
    return problems


def billed_routes(config: Config) -> list[BilledRoute]:
    """Every place that calls the billing subroutine."""
    routes = []
    for line, text in applications(config):
        for match in _BILLED.finditer(text):
            arguments = [*_arguments(text, match.end()), "", "", "", "", ""]
            dial_string, options, trunk = (arguments[at].strip() for at in (1, 3, 4))
            routes.append(BilledRoute(line, tuple(trunks_in(dial_string)), dial_string, options, trunk))
    return routes


def bypass_problems(routes: list[BilledRoute]) -> list[RouteProblem]:
    """The billed routes whose destinations or Dial options let a call talk unbilled, or cannot be read."""
    return [problem for route in routes for problem in (*_destination_problems(route), *_option_problems(route))]


def _destination_problems(route: BilledRoute) -> Iterator[RouteProblem]:
    for destination in vanishing_destinations(_masked(route.dial_string, "x")):
        message = f"{route.line.where}: {destination} steps aside when voice flows, and its limit and charge with it"
        yield RouteProblem(route.line, message, "write /n behind that Local channel")


def _option_problems(route: BilledRoute) -> Iterator[RouteProblem]:
    where = route.line.where
    try:
        letters = [offender[0] for offender in bypassing_options(_masked(route.options, " "))]
    except BadInput as error:
        yield RouteProblem(route.line, f"{where}: {error}", "correct the options of that route")
        return
    for letter in letters:
        message = f"{where}: the Dial option {letter} escapes billing: {BYPASSING[letter]}"
        yield RouteProblem(route.line, message, f"take it out of the 4th argument of {SUBROUTINE}")


def misspelled_calls(config: Config) -> list[RouteProblem]:
    """The places that call something of ours that does not exist: Asterisk would end such a call."""
    cure = f"write {SUBROUTINE}, or what of {DIALPLAN_FILE} was meant"
    return [
        RouteProblem(line, f"{line.where} calls {name}, which is no subroutine of billing", cure)
        for line, text in applications(config)
        for name in _OURS.findall(text)
        if name not in CONTEXTS
    ]


def dialed(text: str) -> Iterator[tuple[str, str]]:
    """What a line of the dialplan dials with Asterisk's own applications: destinations, each with its device."""
    for name, arguments in dial_calls(text):
        yield from _trunks([*arguments, "", "", ""][_DEVICE_ARGUMENT[name]])


def dial_calls(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each Dial or RetryDial in an extension's line: its name in small letters, its arguments as written."""
    for match in _DIAL.finditer(text):
        yield match[1].lower(), _arguments(text, match.end())


def applications(config: Config) -> Iterator[tuple[Line, str]]:
    """The dialplan's extension lines that are the site's own, globals put in."""
    variables = config.globals()
    for line in config.lines:
        extension = _EXTENSION.match(line.text)
        if extension and line.section not in ("general", "globals") and line.file not in OWN_FILES:
            yield line, _with_globals(extension[1], variables)


def _with_globals(text: str, variables: dict[str, str], rounds: int = 5) -> str:
    """The text with its globals put in; `rounds` ends globals that name each other in a circle."""
    put = _GLOBAL.sub(lambda match: variables.get(match[1] or match[2], match[0]), text)
    return put if put == text or rounds == 0 else _with_globals(put, variables, rounds - 1)


def _arguments(text: str, start: int) -> list[str]:
    """The arguments from just after an opening parenthesis to the one that closes it, or to the end."""
    arguments, depth, begin, at = [], 0, start, start
    quoted = False
    while at < len(text):
        sign = text[at]
        if sign == "\\":
            at += 1
        elif sign == '"':
            quoted = not quoted
        elif quoted:
            pass
        elif sign in _OPENERS:
            depth += 1
        elif depth == 0 and sign in ",)":
            arguments.append(text[begin:at])
            begin = at + 1
            if sign == ")":
                return arguments
        elif sign in _CLOSERS and depth:
            depth -= 1
        at += 1
    return [*arguments, text[begin:]]


def trunks_in(dial_string: str) -> list[str]:
    """The trunks of a dial string: `PJSIP/trunk` in `PJSIP/555@trunk` and in `PJSIP/trunk/sip:555@host`."""
    return [device for _, device in _trunks(dial_string)]


def _trunks(dial_string: str) -> list[tuple[str, str]]:
    """The destinations of a dial string, and the trunk of each."""
    named = [(one.strip(), _trunk(one.strip())) for one in _masked(dial_string, "$").split("&")]
    return [(destination, trunk) for destination, trunk in named if trunk is not None]


def _trunk(device: str) -> str | None:
    technology, _, resource = device.partition("/")
    technology = technology.upper()
    name = resource.split("/")[0].rpartition("@")[2]
    if technology == "DAHDI" and name[:1] in tuple("gGrR"):
        # The four letters only say in which order the lines of one group are tried.
        name = "g" + name[1:]
    if not name or technology == "LOCAL" or "$" in technology + name:
        return None
    return f"{technology}/{name}"


def _masked(text: str, mask: str) -> str:
    """The text with `mask` in place of every `${...}` and `$[...]`, whose value only a call knows."""
    kept, depth, at = "", 0, 0
    while at < len(text):
        if text[at : at + 2] in ("${", "$["):
            kept += mask if depth == 0 else ""
            depth, at = depth + 1, at + 1
        elif depth and text[at] in "{[":
            depth += 1
        elif depth and text[at] in "}]":
            depth -= 1
        elif depth == 0:
            kept += text[at]
        at += 1
    return kept
