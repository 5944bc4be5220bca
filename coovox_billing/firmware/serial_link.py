"""Asking a board controller over its serial line, within two seconds whatever the line does.

The only module that needs pyserial, so it is imported only for a board that has such a line.
"""

import errno
import secrets
import termios
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import monotonic

import serial

from coovox_billing.errors import BillingError
from coovox_billing.firmware.controller_protocol import (
    LINE_END,
    MOST_LINE_BYTES,
    VERSION,
    Answer,
    parse_answer,
    request_line,
)

TOTAL_SECONDS = 2.0
ATTEMPTS = 3
MOST_BYTES = 64 * 1024
_TICK_SECONDS = 0.05
# What goes wrong with a port: pyserial's own errors are OSErrors, but it lets those of termios through.
_PORT_ERRORS = (OSError, termios.error)


class ControllerFault(BillingError):
    """The board controller did not tell what it was asked; nothing was changed."""


def identify(device: Path, baud: int, total_seconds: float = TOTAL_SECONDS) -> Mapping[str, str]:
    """What the controller tells of its board, its `serial` among it.

    Raises:
        ControllerFault: the port is missing, taken or closed to this user, or no good answer came in time.
    """
    with BoardController(device, baud, total_seconds) as controller:
        return controller.ask("IDENTIFY")


class BoardController:
    """The line to a board controller, nobody else's until it is closed. All it does ends in `total_seconds`."""

    def __init__(self, device: Path, baud: int, total_seconds: float = TOTAL_SECONDS) -> None:
        """Open the line.

        Raises:
            ControllerFault: it cannot be opened.
        """
        self._device = device
        self._deadline = monotonic() + total_seconds
        self._attempt_seconds = total_seconds / ATTEMPTS
        self._next_id = secrets.randbelow(0x10000)
        self._received = bytearray()
        self._count = 0
        try:
            self._port = serial.Serial(
                str(device), baud, timeout=_TICK_SECONDS, write_timeout=self._attempt_seconds, exclusive=True
            )
        except _PORT_ERRORS as error:
            raise _not_opened(device, error) from None
        except ValueError as error:
            raise ControllerFault("%(device)s is no serial line: %(error)s", device=device, error=error) from None

    def ask(self, *words: str) -> Mapping[str, str]:
        """Send a request, again where no good answer comes, and return the fields of the answer.

        Raises:
            ControllerFault: it refused, or nothing good came in time.
            BadInput: a word that a line cannot carry.
        """
        sent: set[int] = set()
        try:
            for _ in range(ATTEMPTS):
                sent.add(self._send(words))
                for answer in self._answers(min(self._deadline, monotonic() + self._attempt_seconds)):
                    # A late answer to an earlier attempt is as good.
                    if answer.request_id in sent:
                        return self._fields(answer)
        except _PORT_ERRORS as error:
            raise ControllerFault(
                "the line to the board controller, %(device)s, broke off: %(reason)s",
                device=self._device,
                reason=_reason(error),
            ) from None
        raise self._silence()

    def close(self) -> None:
        """Let the line go."""
        # A line that is gone cannot be closed well.
        try:
            self._port.close()
        except _PORT_ERRORS:
            return

    def __enter__(self) -> "BoardController":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(self, words: tuple[str, ...]) -> int:
        self._next_id = (self._next_id + 1) % 0x10000
        # The line end before it ends whatever half line the controller has of us.
        self._port.write(LINE_END + request_line(self._next_id, *words))
        return self._next_id

    def _answers(self, until: float) -> Iterator[Answer]:
        """The good answers to whomever, as they come."""
        while monotonic() < until and self._count < MOST_BYTES:
            chunk = self._port.read(min(self._port.in_waiting, MOST_LINE_BYTES) or 1)
            self._count += len(chunk)
            self._received += chunk
            *lines, rest = bytes(self._received).split(LINE_END)
            self._received[:] = rest[-MOST_LINE_BYTES:]
            for line in lines:
                if (answer := parse_answer(line)) is not None:
                    yield answer

    def _fields(self, answer: Answer) -> Mapping[str, str]:
        if answer.refusal:
            raise ControllerFault(
                "the board controller on %(device)s answered with an error: %(word)s",
                device=self._device,
                word=answer.refusal,
            )
        if answer.version != VERSION:
            raise ControllerFault(
                "the board controller on %(device)s speaks version %(theirs)s, this program %(ours)s: update one",
                device=self._device,
                theirs=answer.version,
                ours=VERSION,
            )
        return answer.fields

    def _silence(self) -> ControllerFault:
        if self._count:
            return ControllerFault(
                "the board controller on %(device)s sent %(count)s bytes and no good answer: see its speed and wires",
                device=self._device,
                count=self._count,
            )
        return ControllerFault(
            "the board controller on %(device)s does not answer: see whether it is the right line and has power",
            device=self._device,
        )


def _not_opened(device: Path, error: BaseException) -> ControllerFault:
    number = _errno(error)
    if number == errno.ENOENT:
        return ControllerFault("there is no %(device)s: correct `device` in the board file", device=device)
    if number in (errno.EACCES, errno.EPERM):
        return ControllerFault("%(device)s is closed to this user: run it as root", device=device)
    if number in (errno.EAGAIN, errno.EBUSY):
        return ControllerFault("%(device)s is in use by another program: end that one, or try again", device=device)
    return ControllerFault("%(device)s cannot be opened: %(reason)s", device=device, reason=_reason(error))


def _errno(error: BaseException) -> int | None:
    """pyserial hands on the number, or only the error that had it."""
    cause = error if getattr(error, "errno", None) else error.__context__
    return getattr(cause, "errno", None)


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split())[:160]
