"""The words of FastAGI, without a socket: what Asterisk sends, and the commands it takes.

A peer can send only so much (DESIGN §8): lines, bytes and replies are bounded,
and whatever is out of bounds or makes no sense is `Malformed`.
"""

import re
from dataclasses import dataclass

from coovox_billing.errors import BillingError

MAX_REQUEST_BYTES = 16_384
MAX_REPLY_BYTES = 4_000_000  # the keys of 100,000 records that the dialplan left
MAX_REQUEST_LINES = 100
MAX_CALL_ID_LENGTH = 64

_ARGUMENT = re.compile(r"^agi_arg_[^:\n]*: ([^=\n]*)=(.*)", re.MULTILINE)
_REPLY = re.compile(r"(\d{3})[ -](.*)", re.DOTALL)
_RESULT = re.compile(r"result=(-?\d{1,18})(?: \((.*)\))?.*", re.DOTALL)
_NOT_SHOWN = re.compile(r"(?<=secret).*|[\r\n].*", re.DOTALL | re.IGNORECASE)
_SAFE_VALUE = re.compile(r"[0-9A-Za-z_.:/*#+-]*", re.ASCII)


class Malformed(BillingError):
    """The peer does not speak FastAGI, or too much of it."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a dialplan's `AGI(agi://host/PATH,NAME=VALUE,...)` asks."""

    path: str
    arguments: dict[str, str]


@dataclass(frozen=True, slots=True)
class Reply:
    """Asterisk's answer to a command: `value` is what stands in parentheses."""

    code: int
    result: int
    value: str


class RequestReader:
    """Collects what Asterisk opens a session with, up to its closing empty line."""

    def __init__(self) -> None:
        self._head = b""

    def feed(self, data: bytes) -> Request | None:
        """The request, once it is complete.

        Raises:
            Malformed: too long, not lines of `agi_name: value`, or arguments that are not `name=value`.
        """
        self._head += data
        head, end, rest = self._head.partition(b"\n\n")
        if len(self._head) > MAX_REQUEST_BYTES:
            raise Malformed("a request is longer than %(most)s bytes", most=MAX_REQUEST_BYTES)
        if not head.startswith(b"agi_"[: len(self._head)]):
            raise Malformed("not a line of an AGI request: %(line)s", line=_shown(head.decode("utf-8", "replace")))
        if rest:
            raise Malformed("a reply to no command")
        return _parse_request(head.decode("utf-8", "replace")) if end else None


def _parse_request(text: str) -> Request:
    """Searched as a whole, for it has forty lines, of which half say nothing here."""
    line_ends = text.count("\n")
    if line_ends >= MAX_REQUEST_LINES:
        raise Malformed("more than %(most)s lines in a request", most=MAX_REQUEST_LINES)
    if text.count("\nagi_") != line_ends:
        strange = next(line for line in text.split("\n") if not line.startswith("agi_"))
        raise Malformed("not a line of an AGI request: %(line)s", line=_shown(strange))
    return Request(_path(text), _arguments(text))


def _shown(text: str) -> str:
    """What may be logged of what a peer sent, who may have taken us for Asterisk's manager and signed in."""
    return repr(_NOT_SHOWN.sub("", text)[:80])


def _path(text: str) -> str:
    """Asterisk says once where it goes; a caller that writes lines of his own into the request would say it again."""
    paths = [after.partition("\n")[0] for after in f"\n{text}".split("\nagi_network_script: ")[1:]]
    if len(paths) > 1:
        raise Malformed("two paths in a request: %(path)s and %(value)s", path=_shown(paths[0]), value=_shown(paths[1]))
    return paths[0] if paths else ""


def _arguments(text: str) -> dict[str, str]:
    arguments = dict(_ARGUMENT.findall(text, max(0, text.find("agi_arg_"))))
    if len(arguments) != text.count("\nagi_arg_") + text.startswith("agi_arg_"):
        strange = _shown(_strange_argument(text))
        raise Malformed("an argument is not name=value, or comes twice: %(argument)s", argument=strange)
    return arguments


def _strange_argument(text: str) -> str:
    names: set[str] = set()
    for line in text.split("\n"):
        if not line.startswith("agi_arg_"):
            continue
        argument = line.partition(": ")[2]
        name, separator, _ = argument.partition("=")
        if not separator or name in names:
            return argument
        names.add(name)
    return ""


class LineReader:
    """Cuts a stream of bytes into lines of bounded length."""

    def __init__(self, max_line_bytes: int) -> None:
        self._max_line_bytes = max_line_bytes
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """The lines completed by `data`.

        Raises:
            Malformed: a line is longer than `max_line_bytes`.
        """
        *lines, self._rest = (self._rest + data).split(b"\n")
        if max(map(len, (self._rest, *lines))) > self._max_line_bytes:
            raise Malformed("a line is longer than %(most)s bytes", most=self._max_line_bytes)
        return [line.rstrip(b"\r").decode("utf-8", "replace") for line in lines]


_DONE_LINE, _DONE = "200 result=1", Reply(200, 1, "")


class ReplyParser:
    """Collects Asterisk's answers to commands."""

    def __init__(self) -> None:
        self._usage: int | None = None

    def feed(self, line: str) -> Reply | None:
        """The reply that a line completes; None for a line of a longer reply, or `HANGUP`.

        Raises:
            Malformed: not a reply.
        """
        if line == _DONE_LINE and self._usage is None:
            return _DONE
        if line == "HANGUP":
            return None
        match = _REPLY.fullmatch(line)
        if self._usage is not None:
            return self._end_of_usage(line, match)
        if match is None:
            raise Malformed("not a reply to a command: %(line)s", line=_shown(line))
        code = int(match[1])
        if code == 520 and line[3] == "-":
            self._usage = code
            return None
        result = _RESULT.fullmatch(match[2])
        return Reply(code, int(result[1]), result[2] or "") if result else Reply(code, -1, match[2])

    def _end_of_usage(self, line: str, match: re.Match[str] | None) -> Reply | None:
        if match is None or int(match[1]) != self._usage or line[3] != " ":
            return None
        self._usage = None
        return Reply(520, -1, match[2])


def set_variables(values: dict[str, str]) -> str:
    """The one command that sets several channel variables.

    Raises:
        ValueError: a value with signs that the dialplan could misread.
    """
    unsafe = next((value for value in values.values() if not _SAFE_VALUE.fullmatch(value)), None)
    if unsafe is not None:
        raise ValueError(f"{unsafe!r} cannot be a channel variable's value")
    return f'SET VARIABLE ARRAY({",".join(values)}) "{",".join(values.values())}"'


def quoted(text: str) -> str:
    """An argument of a command, in double quotes."""
    return '"' + re.sub(r'["\\\r\n]', "", text) + '"'
