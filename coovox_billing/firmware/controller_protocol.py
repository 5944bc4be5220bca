"""The lines between billing and a board controller: one request, one answer (docs/board-controller.md is the contract).

    >1 4f2a IDENTIFY 8D17
    <1 4f2a ok serial=U50-00012345 board=U50 2BD0

Both ends are marked differently, so that an echo is no answer; a mark begins a line wherever it stands, so that
noise before it costs nothing; and the checksum covers all from the mark on.
"""

import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass

from coovox_billing.errors import BadInput

VERSION = "1"
REQUEST_MARK, ANSWER_MARK = b">", b"<"
LINE_END = b"\n"
# Marks, checksum and line end included.
MOST_LINE_BYTES = 200

_CRC_START = 0xFFFF
_ANSWER = re.compile(rb"<([0-9]{1,3}) ([0-9a-f]{4}) (ok|error)((?: [^ ]+)*) ([0-9A-F]{4})")
_FIELD = re.compile(r"([a-z][a-z0-9_]{0,15})=([A-Za-z0-9._:/+-]{1,64})")
_WORD = re.compile(r"[A-Za-z0-9._:/+=-]{1,81}")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the controller said to the request of that id: its fields, or the word for why it did not do it."""

    version: str
    request_id: int
    fields: Mapping[str, str]
    refusal: str


def request_line(request_id: int, *words: str) -> bytes:
    """The line of a request. `request_id` is 0 to 65535.

    Raises:
        BadInput: a word that a line cannot carry.
    """
    if not words or not all(_WORD.fullmatch(word) for word in words):
        raise BadInput("%(words)s cannot be sent to the board controller", words=repr(words)[:80])
    return _sealed(REQUEST_MARK, request_id, " ".join(words))


def answer_line(request_id: int, status: str, *words: str) -> bytes:
    """The line of an answer, as a controller makes it: for tests, and for who builds one. `status` is ok or error."""
    return _sealed(ANSWER_MARK, request_id, " ".join((status, *words)))


def parse_answer(line: bytes) -> Answer | None:
    """The answer in a line, None where there is none: noise, a request, an echo, a wrong checksum, too long."""
    start = line.rfind(ANSWER_MARK)
    frame = line[start:].rstrip(b"\r\n") if start >= 0 else b""
    match = _ANSWER.fullmatch(frame)
    if match is None or len(frame) + len(LINE_END) > MOST_LINE_BYTES:
        return None
    if int(match[5], 16) != checksum(frame[:-4]):
        return None
    words = match[4].decode("ascii", "replace").split()
    version, request_id, is_refused = match[1].decode(), int(match[2], 16), match[3] == b"error"
    if is_refused:
        return Answer(version, request_id, {}, words[0][:40] if words else "unknown")
    fields = _fields(words)
    return None if fields is None else Answer(version, request_id, fields, "")


def checksum(data: bytes) -> int:
    """CRC-16/CCITT-FALSE: polynomial 0x1021, begun with 0xFFFF; of `123456789` it is 0x29B1."""
    return binascii.crc_hqx(data, _CRC_START)


def _fields(words: list[str]) -> dict[str, str] | None:
    found = [_FIELD.fullmatch(word) for word in words]
    fields = {match[1]: match[2] for match in found if match}
    return fields if len(fields) == len(words) else None


def _sealed(mark: bytes, request_id: int, text: str) -> bytes:
    body = mark + f"{VERSION} {request_id:04x} {text} ".encode("ascii")
    line = body + b"%04X" % checksum(body) + LINE_END
    if len(line) > MOST_LINE_BYTES:
        raise BadInput("%(text)s is too long for a line to the board controller", text=repr(text)[:80])
    return line
