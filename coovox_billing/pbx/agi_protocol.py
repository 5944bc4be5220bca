"""The words of FastAGI, without a socket: what Asterisk sends, and the commands it takes.

A peer can send only so much (DESIGN §8): lines, bytes and replies are bounded,
and whatever is out of bounds or makes no sense is `Malformed`.
"""

import re
from dataclasses import dataclass

from coovox_billing.errors import BillingError

MAX_LINE_BYTES = 8_192
MAX_REPLY_BYTES = 4_000_000  # the keys of 100,000 records that the dialplan left
MAX_REQUEST_LINES = 100
MAX_CALL_ID_LENGTH = 64

_OF_USE = ("agi_arg_", "agi_network_script")
_REPLY = re.compile(r"(\d{3})[ -](.*)", re.DOTALL)
_RESULT = re.compile(r"result=(-?\d{1,18})(?: \((.*)\))?.*", re.DOTALL)
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


class LineReader:
    """Cuts a stream of bytes into lines of bounded length."""

    def __init__(self, max_line_bytes: int) -> None:
        self.max_line_bytes = max_line_bytes
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """The lines completed by `data`.

        Raises:
            Malformed: a line is longer than `max_line_bytes`.
        """
        *lines, self._rest = (self._rest + data).split(b"\n")
        if max(map(len, (self._rest, *lines))) > self.max_line_bytes:
            raise Malformed(f"a line is longer than {self.max_line_bytes} bytes")
        return [line.rstrip(b"\r").decode("utf-8", "replace") for line in lines]


class RequestParser:
    """Collects the lines with which Asterisk opens a session."""

    def __init__(self) -> None:
        self._environment: dict[str, str] = {}
        self._lines = 0

    def feed(self, line: str) -> Request | None:
        """The request, once its closing empty line came.

        Raises:
            Malformed: not `agi_name: value`, too many lines, or arguments that are not `name=value`.
        """
        if not line:
            return self._request()
        if not line.startswith("agi_"):
            raise Malformed(f"not a line of an AGI request: {line[:80]!r}")
        self._lines += 1
        if self._lines > MAX_REQUEST_LINES:
            raise Malformed(f"more than {MAX_REQUEST_LINES} lines in a request")
        if line.startswith(_OF_USE):
            name, _, value = line.partition(": ")
            self._environment[name.removesuffix(":")] = value
        return None

    def _request(self) -> Request:
        path = self._environment.get("agi_network_script", "")
        arguments: dict[str, str] = {}
        for number in range(1, MAX_REQUEST_LINES):
            argument = self._environment.get(f"agi_arg_{number}")
            if argument is None:
                break
            name, separator, value = argument.partition("=")
            if not separator or name in arguments:
                raise Malformed(f"argument {number} is not name=value: {argument[:80]!r}")
            arguments[name] = value
        return Request(path, arguments)


class ReplyParser:
    """Collects Asterisk's answers to commands."""

    def __init__(self) -> None:
        self._usage: int | None = None

    def feed(self, line: str) -> Reply | None:
        """The reply that a line completes; None for a line of a longer reply, or `HANGUP`.

        Raises:
            Malformed: not a reply.
        """
        if line == "HANGUP":
            return None
        match = _REPLY.fullmatch(line)
        if self._usage is not None:
            return self._end_of_usage(line, match)
        if match is None:
            raise Malformed(f"not a reply to a command: {line[:80]!r}")
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
