"""A client of Asterisk's Manager Interface: one connection that is made anew for ever, commands that die with it.

Nothing is ever sent twice: whoever is told `AmiGone` looks, on the next
connection, what became of his command. What a peer may send is bounded
(DESIGN §8); out of bounds, the connection is dropped.

Asterisk writes numbers and variables as they are, so a telephone that dials
`9%0D%0A%0D%0AEvent%3A...` writes messages of its own between Asterisk's. It
knows no ActionID of ours: responses and lists are to be believed, events
without one are hints.

Asterisk makes events as long as anybody is signed in, whatever he reads: a
fifth more of its work for each call, and where calls are many it takes none
for a while. So the connection may be brief: it is given up when nobody asks,
and made again for the next question.
"""

import asyncio
import errno
import logging
import os
import re
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from coovox_billing.core.whole_number import parse_whole
from coovox_billing.errors import BadInput, BillingError
from coovox_billing.pbx.ami_protocol import (
    AMI_SETTING,
    AmiAddress,
    Fields,
    Malformed,
    Message,
    MessageReader,
    action_bytes,
    parse_ami,
)
from coovox_billing.sentences import Sentence

__all__ = ["Ami", "AmiAddress", "AmiError", "AmiGone", "Message", "parse_ami"]

CONNECT_SECONDS = 10.0
FIRST_RETRY_SECONDS = 0.2
SLOWEST_RETRY_SECONDS = 10.0
HEALTHY_SECONDS = 5.0
PING_AFTER_SECONDS = 30.0
PING_PATIENCE_SECONDS = 10.0
LINGER_SECONDS = 0.02
MAX_LIST_EVENTS = 100_000
MAX_LISTED_CHARACTERS = 32_000_000
MAX_WAITING = 1_000
MAX_UNSENT_BYTES = 1_000_000

ACCEPTED = frozenset({"Success", "Follows", "Goodbye"})
LONGEST_UPTIME_SECONDS = 10**10
MISCOUNTED = ("DBGetTreeComplete", "1")  # what Asterisk 16 says, however many there were

log = logging.getLogger(__name__)


class AmiError(BillingError):
    """Asterisk refused an action, or its list does not add up; the text is Asterisk's own where it gave one."""


class AmiGone(BillingError):
    """There is no connection, or no answer came on it: nothing is known about the effect."""


class _Waiting:
    """A command that is not answered yet; a list's has `items`, and the `intruder` that came between or into them."""

    __slots__ = ("answer", "intruder", "items", "size")

    def __init__(self, is_list: bool) -> None:
        self.answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self.items: list[Message] | None = [] if is_list else None
        self.intruder: Message | None = None
        self.size = 0


class _Connection(asyncio.Protocol):
    """One connection, from connecting to its end."""

    def __init__(self, on_event: Callable[[Message], None]) -> None:
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[str] = loop.create_future()
        self.booted: asyncio.Future[int | None] = loop.create_future()
        self.left: asyncio.Future[None] = loop.create_future()
        self.asked = 0
        self.heard_at = time.monotonic()
        self._on_event = on_event
        self._reader = MessageReader()
        self._transport: asyncio.Transport | None = None
        self._waiting: dict[str, _Waiting] = {}
        self._listing: _Waiting | None = None
        self._listed_characters = 0
        own = os.urandom(8).hex()
        self._actions, self._lists = f"coovox-{own}-", f"coovox-list-{own}-"

    async def ask(self, name: str, fields: Fields, timeout_seconds: float, is_list: bool = False) -> list[Message]:
        """Send an action; a list's events, or the one response."""
        if self.ended.done() or self._transport is None:
            raise AmiGone("%(name)s: there is no connection to Asterisk's manager", name=name)
        if len(self._waiting) >= MAX_WAITING:
            raise AmiGone("%(name)s: %(most)s commands wait for Asterisk already", name=name, most=MAX_WAITING)
        self.asked += 1
        action_id = f"{self._lists if is_list else self._actions}{self.asked}"
        data = action_bytes(name, action_id, fields)
        waiting = self._waiting[action_id] = _Waiting(is_list)
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            self.end(Sentence("Asterisk does not read what it is sent"))
        try:
            async with asyncio.timeout(timeout_seconds):
                response = await waiting.answer
        except TimeoutError:
            raise AmiGone(
                "%(name)s: no answer from Asterisk in %(seconds)g s", name=name, seconds=timeout_seconds
            ) from None
        finally:
            self._waiting.pop(action_id, None)
            self._listed_characters -= waiting.size
        return [response] if waiting.items is None else waiting.items

    def leave(self) -> None:
        """Nobody needs it any more, unless somebody still waits for an answer."""
        if not self._waiting and not self.left.done():
            self.left.set_result(None)

    def end(self, reason: str) -> None:
        """Close at once; whoever waits is told."""
        if self.ended.done():
            return
        self.ended.set_result(reason)
        for waiting in self._waiting.values():
            if not waiting.answer.done():
                waiting.answer.set_exception(AmiGone("%(reason)s", reason=reason))
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self.heard_at = time.monotonic()
        try:
            for message in self._reader.feed(data):
                self._hear(message)
                if self.ended.done():
                    return
        except Malformed as error:
            self.end(Sentence("the peer is malformed: %(why)s", why=error.sentence))

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is None:
            self.end(Sentence("Asterisk closed the connection"))
        else:
            self.end(Sentence("the connection broke: %(why)s", why=_plain(exc)))

    def _hear(self, message: Message) -> None:
        event, action_id = message.get("Event"), message.get("ActionID")
        waiting = self._waiting.get(action_id)
        if self._listing is not None and self._listing is not waiting:
            self._listing.intruder = self._listing.intruder or message
        if event and not action_id.startswith(self._lists):
            self._on_event(message)
            if event == "FullyBooted" and not self.booted.done():
                self.booted.set_result(_uptime_seconds(message))
        elif waiting is None or waiting.answer.done():
            return
        elif event:
            self._hear_listed(waiting, message)
        elif waiting is not self._listing:
            self._hear_response(waiting, message)

    def _hear_response(self, waiting: _Waiting, message: Message) -> None:
        if message.get("Response") not in ACCEPTED:
            said = message.get("Message") or Sentence("Asterisk refused without a reason")
            waiting.answer.set_exception(AmiError("%(said)s", said=said))
        elif waiting.items is None:
            waiting.answer.set_result(message)
        else:
            self._listing = waiting

    def _hear_listed(self, waiting: _Waiting, message: Message) -> None:
        items = waiting.items
        assert items is not None  # noqa: S101
        if message.get("Event").endswith("Complete") or message.get("EventList").lower() == "complete":
            self._listing = None
            fault = _fault(len(items), waiting.intruder, message)
            if fault:
                waiting.answer.set_exception(AmiError("%(fault)s", fault=fault))
            else:
                waiting.answer.set_result(message)
            return
        if message.is_ambiguous:
            waiting.intruder = waiting.intruder or message
        items.append(message)
        waiting.size += len(message)
        self._listed_characters += len(message)
        if len(items) > MAX_LIST_EVENTS or self._listed_characters > MAX_LISTED_CHARACTERS:
            raise Malformed("a list is too long")


def _fault(items: int, intruder: Message | None, last: Message) -> str:
    """Why a list cannot be believed. Asterisk writes it in one go, so what stands between is a part of an item."""
    if intruder is not None:
        where = (intruder.get("Channel") or intruder.get("Event") or "an item")[:80]
        return Sentence(
            "a list is not Asterisk's alone: %(where)s holds line ends, perhaps in a number that was dialed",
            where=where,
        )
    count = last.get("ListItems") or str(items)
    if count != str(items) and (last.get("Event"), count) != MISCOUNTED:
        return Sentence("Asterisk counts %(count)s items of a list and sent %(items)s", count=count[:20], items=items)
    return ""


def _why(error: Exception, address: AmiAddress) -> str:
    """Why there is no connection, without Python's words."""
    if isinstance(error, (socket.gaierror, UnicodeError)):
        return Sentence("the name %(host)s is not known", host=address.host)
    if _system_errors(error) == {errno.ECONNREFUSED}:
        return Sentence("nothing answers at %(address)s", address=address)
    return Sentence("%(address)s: %(why)s", address=address, why=_plain(error))


def _plain(error: Exception) -> str:
    if isinstance(error, BillingError):
        return error.sentence
    of_system = ", ".join(os.strerror(number) for number in _system_errors(error))
    return of_system or str(error) or Sentence("no answer in time")


def _system_errors(error: Exception) -> set[int]:
    """The system's errors behind this one; asyncio puts those of several addresses of a host into one text."""
    if not isinstance(error, OSError):
        return set()
    return {error.errno} if error.errno else {int(number) for number in re.findall(r"\[Errno (\d+)\]", str(error))}


def _uptime_seconds(booted: Message) -> int | None:
    """For how long Asterisk has been up, in whole seconds; None where it does not tell."""
    try:
        return parse_whole(booted.get("Uptime"), 0, LONGEST_UPTIME_SECONDS)
    except BadInput:
        return None


def _nothing() -> None:
    """What is done on an occasion that nobody asked for."""


class _Rest:
    """Between two connections to one Asterisk: whoever asks ends it, and waits until it is over."""

    __slots__ = ("over", "since", "wanted")

    def __init__(self, is_wanted: bool) -> None:
        self.since = time.monotonic()
        self.wanted = asyncio.Event()
        self.over = asyncio.Event()
        if is_wanted:
            self.wanted.set()


class Ami:
    """Asterisk's manager, as long as `run` runs.

    `on_event` gets every event that is no part of a list's answer; whoever can dial can forge one. Each `on_ready`
    is followed by one `on_lost`, when the connection ends or `run` is canceled. What a callback raises is logged.
    `connections` have been ready so far: another number is another connection, and may be another Asterisk. Those
    that are made again after a rest are one: the same Asterisk was there all the time.
    """

    def __init__(
        self,
        address: AmiAddress,
        on_event: Callable[[Message], None],
        on_ready: Callable[[], None] = _nothing,
        on_lost: Callable[[], None] = _nothing,
    ) -> None:
        self._address = address
        self._on_event = on_event
        self._on_ready = on_ready
        self._on_lost = on_lost
        self.connections = 0
        self._connection: _Connection | None = None
        self._rest: _Rest | None = None
        self._is_brief = self._must_stay = False
        self._retry_seconds = FIRST_RETRY_SECONDS
        self._complaint = ""

    @property
    def is_ready(self) -> bool:
        """Whether commands can be sent: signed in, and Asterisk is fully booted; or resting from that."""
        return self.is_resting or (self._connection is not None and not self._connection.ended.done())

    @property
    def is_resting(self) -> bool:
        """Whether there is no connection because nobody asks; also where the way back from a rest fails."""
        return self._rest is not None

    @property
    def is_brief(self) -> bool:
        """Whether it rests when nobody asks."""
        return self._is_brief

    def be_brief(self, is_brief: bool) -> None:
        """Rest from now on when nobody asks, or stay. The events of a rest are lost."""
        self._is_brief = is_brief
        if self._rest is not None and not is_brief:
            self._rest.wanted.set()

    @property
    def complaint(self) -> str:
        """Why there is no connection, as it was logged; empty while there is one, and before a first try failed."""
        return self._complaint

    async def run(self) -> None:
        """Stay connected, for ever; ends by cancellation only."""
        while True:
            try:
                await self._stay()
            except AmiError as error:
                self._retry_seconds = SLOWEST_RETRY_SECONDS
                complaint = Sentence(
                    "Asterisk refuses %(user)s: %(why)s; check %(setting)s",
                    user=self._address.user,
                    why=error.sentence,
                    setting=AMI_SETTING,
                )
                self._complain(logging.ERROR, complaint)
            except (AmiGone, OSError, UnicodeError) as error:
                why = _why(error, self._address)
                self._complain(logging.WARNING, Sentence("no connection to Asterisk's manager: %(why)s", why=why))
            jitter = 0.9 + os.urandom(1)[0] / 255 * 0.2
            await asyncio.sleep(self._retry_seconds * jitter)
            self._retry_seconds = min(self._retry_seconds * 2, SLOWEST_RETRY_SECONDS)

    async def action(self, name: str, fields: Fields = (), timeout_seconds: float = 5.0) -> Message:
        """Send an action, wait for its response.

        Raises:
            AmiError: Asterisk refused it.
            AmiGone: not ready, or no answer; what it did is not known.
            ValueError: a line end in a name or value; nothing was sent.
        """
        (response,) = await self._ask(name, fields, timeout_seconds)
        return response

    async def listing(self, name: str, fields: Fields = (), timeout_seconds: float = 10.0) -> list[Message]:
        """Send an action that is answered by a list, wait for its end: all its events but the closing one.

        Raises:
            AmiError: Asterisk refused it (some actions refuse where the list is empty), or the list is not all of it
                or not its own.
            AmiGone: not ready, or the list was not complete in time.
            ValueError: a line end in a name or value; nothing was sent.
        """
        return await self._ask(name, fields, timeout_seconds, is_list=True)

    async def _ask(self, name: str, fields: Fields, timeout_seconds: float, is_list: bool = False) -> list[Message]:
        if self._rest is not None:
            self._rest.wanted.set()
            with suppress(TimeoutError):
                # Not wait_for: that of Python 3.11 forgets that it was canceled where the rest is over at that moment.
                async with asyncio.timeout(timeout_seconds):
                    await self._rest.over.wait()
        if self._connection is None:
            raise AmiGone("%(name)s: there is no connection to Asterisk's manager", name=name)
        connection = self._connection
        try:
            return await connection.ask(name, fields, timeout_seconds, is_list)
        finally:
            if self._is_brief:
                asyncio.get_running_loop().call_later(LINGER_SECONDS, self._leave, connection, connection.asked)

    def _leave(self, connection: _Connection, asked: int) -> None:
        """Unless somebody asked since. One that does not tell how long it is up could be another when we come back."""
        is_told = connection.booted.done() and connection.booted.result() is not None
        if self._is_brief and is_told and not self._must_stay and connection.asked == asked:
            connection.leave()

    async def _stay(self) -> None:
        """One connection until it is lost, or brief ones until one fails.

        Raises:
            AmiError: Asterisk does not let us in.
            AmiGone, OSError: there was no connection, or it is over.
        """
        connection = await self._sign_in()
        log.info("signed in to Asterisk's manager at %s", self._address)
        self._connection, self._complaint = connection, ""
        ready_at = time.monotonic()
        self.connections += 1
        _call(self._on_ready)
        try:
            while True:
                await self._watch(connection, connection.left)
                self._connection, self._rest = None, _Rest(is_wanted=not self._is_brief)
                _close(connection)
                connection = await self._come_back(self._rest)
                self._rest.over.set()
                self._connection, self._rest = connection, None
        finally:
            self._connection = None
            if time.monotonic() - ready_at >= HEALTHY_SECONDS:
                self._retry_seconds = FIRST_RETRY_SECONDS
            _call(self._on_lost)
            if self._rest is not None:
                self._rest.over.set()
                self._rest = None
            _close(connection)

    async def _sign_in(self) -> _Connection:
        """A new connection, once Asterisk has booted.

        Raises:
            AmiError, AmiGone, OSError: there is none.
        """
        connection, address = _Connection(lambda message: _call(self._on_event, message)), self._address
        fields = {"Username": address.user, "Secret": address.secret, "Events": "on"}
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await asyncio.get_running_loop().create_connection(lambda: connection, address.host, address.port)
            await connection.ask("Login", fields, CONNECT_SECONDS)
            await self._watch(connection, connection.booted)
        except BaseException:
            _close(connection)
            raise
        return connection

    async def _come_back(self, rest: _Rest) -> _Connection:
        """The connection after a rest, once somebody asks.

        Raises:
            AmiError, AmiGone, OSError: there is none, or Asterisk may have started since.
        """
        await rest.wanted.wait()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                connection = await self._sign_in()
        except AmiError:
            self._must_stay = True
            raise
        uptime_seconds = connection.booted.result()
        if uptime_seconds is None or uptime_seconds < time.monotonic() - rest.since:
            _close(connection)
            raise AmiGone("Asterisk has started anew")
        return connection

    async def _watch(self, connection: _Connection, until: asyncio.Future[Any]) -> None:
        """Wait, and ask a silent peer for a sign of life.

        Raises:
            AmiGone: the connection is over.
        """
        while not (until.done() or connection.ended.done()):
            patience = connection.heard_at + PING_AFTER_SECONDS - time.monotonic()
            if patience > 0:
                await asyncio.wait({until, connection.ended}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
                continue
            if until is connection.booted:
                complaint = Sentence("Asterisk has not booted, or does not tell: does our user read system?")
                self._complain(logging.WARNING, complaint)
            with suppress(AmiError):
                await connection.ask("Ping", (), PING_PATIENCE_SECONDS)
        if connection.ended.done():
            raise AmiGone("%(reason)s", reason=connection.ended.result())

    def _complain(self, level: int, text: str) -> None:
        """Log, but not the same for ever."""
        if text != self._complaint:
            self._complaint = text
            log.log(level, "%s", text)


def _close(connection: _Connection) -> None:
    connection.end(Sentence("the connection to Asterisk's manager is closed"))


def _call(callback: Callable[..., None], *arguments: Message) -> None:
    try:
        callback(*arguments)
    except Exception:
        log.exception("a callback of Asterisk's manager failed")
