"""The words of Asterisk's Manager Interface, without a socket: its address, its messages, and actions as sent.

A peer can send only so much (DESIGN §8): lines, headers and messages are
bounded, and whatever is out of bounds is `Malformed`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from coovox_billing.core.whole_number import parse_whole
from coovox_billing.errors import BadInput, BillingError, SetupError

MAX_LINE_BYTES = 100_000
MAX_MESSAGE_BYTES = 1_000_000
MAX_HEADERS = 20_000

AMI_SETTING = "the setting ami (in the settings file, or COOVOX_AMI)"
GREETING = b"Asterisk Call Manager/"
LINE_END = b"\r\n"
FORBIDDEN = frozenset("\r\n\0")
IDENTITY = frozenset({"event", "channel", "uniqueid", "userevent", "id", "stamp"})

Fields = Iterable[tuple[str, str]] | Mapping[str, str]


class Malformed(BillingError):
    """The peer does not speak AMI, or too much of it."""


@dataclass(frozen=True, slots=True)
class AmiAddress:
    """Where Asterisk's manager listens, and who signs in."""

    host: str
    port: int
    user: str
    secret: str = field(repr=False)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_ami(text: str) -> AmiAddress:
    """The address in `user:secret@HOST:PORT`; the secret may hold `:` and `@`.

    Raises:
        SetupError: anything else.
    """
    text = text.strip()
    login, _, place = text.rpartition("@")
    user, _, secret = login.partition(":")
    host, _, port = place.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        number = parse_whole(port, 1, 65_535)
    except BadInput:
        number = 0
    if not (user and secret and host and number and text.isprintable()):
        example = "user:secret@HOST:PORT, like coovox-billing:SECRET@127.0.0.1:5038"
        raise SetupError("%(setting)s cannot be read: write %(example)s", setting=AMI_SETTING, example=example)
    return AmiAddress(host, number, user, secret)


class Message:
    """One message of Asterisk's: headers in order, their names in any case. Kept as text, because lists are long."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return f"Message({self._text!r})"

    def __len__(self) -> int:
        return len(self._text)

    def get(self, name: str, default: str = "") -> str:
        """The first value of a header."""
        return next(self._values(name), default)

    def all(self, name: str) -> list[str]:
        """All values of a header that may be repeated."""
        return list(self._values(name))

    @property
    def variables(self) -> dict[str, str]:
        """What the headers `Variable: NAME=VALUE` and `ChanVariable: NAME=VALUE` tell; the first of a name counts."""
        found: dict[str, str] = {}
        for text in (*self._values("Variable"), *self._values("ChanVariable")):
            name, sign, value = text.partition("=")
            if sign:
                found.setdefault(name, value)
        return found

    @property
    def is_ambiguous(self) -> bool:
        """Whether it contradicts itself, as when a line end in a value made more headers of it."""
        said: dict[str, str] = {}
        for line in self._text.split("\r\n"):
            header, _, value = line.partition(":")
            name = header.lower()
            if name in ("variable", "chanvariable"):
                variable, _, value = value.partition("=")
                name = f"variable {variable.strip()}"
            elif name not in IDENTITY:
                continue
            if said.setdefault(name, value) != value:
                return True
        return False

    def _values(self, wanted: str) -> Iterator[str]:
        wanted = wanted.lower()
        for line in self._text.split("\r\n"):
            name, colon, value = line.partition(":")
            if colon and name.lower() == wanted:
                yield value.removeprefix(" ")


class MessageReader:
    """Cuts what Asterisk sends into messages: its greeting, then headers up to an empty line each time."""

    def __init__(self) -> None:
        self._unread = bytearray()
        self._searched = 0
        self._greeted = False

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages completed by `data`.

        Raises:
            Malformed: no greeting, or a line, a message or its number of headers out of bounds.
        """
        self._unread += data
        if not self._greeted:
            self._greeted = self._cut_greeting()
        while self._greeted and (piece := self._cut(LINE_END * 2)) is not None:
            if piece.strip():
                yield _parse_message(piece)

    def _cut_greeting(self) -> bool:
        start = bytes(self._unread[: len(GREETING)])
        if not GREETING.startswith(start):
            raise Malformed("not the greeting of Asterisk's manager: %(start)s", start=repr(start))
        return self._cut(LINE_END) is not None

    def _cut(self, end: bytes) -> bytes | None:
        place = self._unread.find(end, self._searched)
        if (len(self._unread) if place < 0 else place) > MAX_MESSAGE_BYTES:
            raise Malformed("a message is longer than %(most)s bytes", most=MAX_MESSAGE_BYTES)
        if place < 0:
            self._searched = max(0, len(self._unread) - len(end) + 1)
            return None
        piece = bytes(self._unread[:place])
        del self._unread[: place + len(end)]
        self._searched = 0
        return piece


def _parse_message(piece: bytes) -> Message:
    lines = piece.split(LINE_END)
    if len(lines) > MAX_HEADERS:
        raise Malformed("more than %(most)s headers in a message", most=MAX_HEADERS)
    if max(map(len, lines)) > MAX_LINE_BYTES:
        raise Malformed("a line is longer than %(most)s bytes", most=MAX_LINE_BYTES)
    return Message(piece.decode("utf-8", "replace"))


def action_bytes(name: str, action_id: str, fields: Fields) -> bytes:
    """An action as it is sent.

    Raises:
        ValueError: a name or value that would be read as more than one header, or that cannot be sent.
    """
    pairs = fields.items() if isinstance(fields, Mapping) else fields
    lines = [("Action", name), ("ActionID", action_id), *pairs]
    for header, value in lines:
        if not FORBIDDEN.isdisjoint(header + value) or ":" in header:
            raise ValueError(f"{name}: the header {header[:40]!r} or its value holds a line end")
    return "".join(f"{header}: {value}\r\n" for header, value in lines).encode() + LINE_END
