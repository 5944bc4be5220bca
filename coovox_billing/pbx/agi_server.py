"""The FastAGI server: one session per question, every peer bounded.

A session has a few seconds in all; one that is slow, silent or talks nonsense
is closed and holds up nobody else. What a path does is `agi_handlers`'.

Sessions are so short that sockets are read and written here, as they are ready: the loop's own streams cost as much
again as all the rest of a session (`make bench`).
"""

import asyncio
import logging
import os
import select
import socket
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import lru_cache
from ipaddress import ip_address

from coovox_billing.errors import BillingError, SetupError
from coovox_billing.pbx.agi_protocol import (
    MAX_REPLY_BYTES,
    LineReader,
    Malformed,
    Reply,
    ReplyParser,
    Request,
    RequestReader,
    set_variables,
)

MAX_SESSIONS = 1_000
REQUEST_SECONDS = 2.0
SESSION_SECONDS = 10.0
SWEEP_SECONDS = 0.25
LISTEN_BACKLOG = 512
READ_BYTES = 16_384
OUT_OF_SOCKETS_SECONDS = 1.0

Handler = Callable[["Session", Mapping[str, str]], Awaitable[None]]

log = logging.getLogger(__name__)


class PeerGone(BillingError):
    """Asterisk closed the session before it was over: the caller hung up, or the guard ran out."""


class NotSent(PeerGone):
    """Asterisk had closed the session before the command could be sent."""


class Session:
    """One FastAGI connection.

    `waits_since`, of `time.monotonic()`: since when its peer has kept us waiting, for its question or a reply; None
    while the peer waits for us.
    """

    def __init__(self, server: "AgiServer", connection: socket.socket) -> None:
        self.opened = time.monotonic()
        self.waits_since: float | None = self.opened
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._connection = connection
        self._is_closed = self._is_finished = False
        self._request = RequestReader()
        self._lines = LineReader(MAX_REPLY_BYTES)
        self._replies = ReplyParser()
        self._answered: asyncio.Future[Reply] | None = None
        self._task: asyncio.Task[None] | None = None

    async def command(self, text: str) -> Reply:
        """Send a command, wait for Asterisk's reply.

        Raises:
            NotSent: the session was over already, or the peer takes nothing any more.
            PeerGone: the session ended before the reply.
        """
        self._send(text)
        self._answered = self._loop.create_future()
        self.waits_since = time.monotonic()
        return await self._answered

    async def set_variables(self, values: dict[str, str]) -> None:
        """Set channel variables in one exchange."""
        await self.command(set_variables(values))

    def finish(self, values: dict[str, str]) -> None:
        """Set channel variables as the last that is said.

        The peer finds the session's end right behind the command, in the same packet, and goes on with the call. That
        it took it, it still says.

        Raises:
            NotSent: as `command`.
        """
        self._send(set_variables(values), is_last=True)
        self._is_finished = True
        self.waits_since = time.monotonic()

    def close(self) -> None:
        """End the session."""
        if self._is_closed:
            return
        self._is_closed = True
        self._server.dismiss(self._connection.fileno())
        self._connection.close()
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(PeerGone("Asterisk closed the session"))

    def is_overdue(self, now: float) -> bool:
        """Whether the peer had its time. `now` is of `time.monotonic()`."""
        return now > self.opened + (REQUEST_SECONDS if self._task is None else SESSION_SECONDS)

    def _send(self, command: str, *, is_last: bool = False) -> None:
        if self._is_closed or not self._is_sent(command.encode() + b"\n", is_last=is_last):
            self.close()
            raise NotSent("the session is closed")

    def _is_sent(self, data: bytes, *, is_last: bool) -> bool:
        """One command at a time always has room, unless the peer is gone. The last waits for the end that follows."""
        try:
            sent_bytes = self._connection.send(data, socket.MSG_MORE if is_last else 0)
            if is_last:
                self._connection.shutdown(socket.SHUT_WR)
        except OSError:
            return False
        return sent_bytes == len(data)

    def read(self) -> None:
        """Take what the peer sent."""
        try:
            data = self._connection.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data and not self._is_finished:
            self._take(data)
        else:
            self.close()

    def _take(self, data: bytes) -> None:
        try:
            if self._task is None:
                self._start(self._request.feed(data))
            else:
                for line in self._lines.feed(data):
                    self._hear(line)
        except Malformed as error:
            log.warning("an AGI peer is malformed: %s", error)
            self.close()

    def _hear(self, line: str) -> None:
        reply = self._replies.feed(line)
        if reply is None:
            return
        if self._answered is None or self._answered.done():
            raise Malformed("a reply to no command")
        self.waits_since = None
        self._answered.set_result(reply)

    def _start(self, request: Request | None) -> None:
        if request is not None:
            self.waits_since = None
            self._task = self._loop.create_task(self._run(request))

    async def _run(self, request: Request) -> None:
        try:
            handler = self._server.handler(request.path)
            await handler(self, request.arguments)
        except PeerGone:
            log.debug("%s: Asterisk left before the end", request.path)
        except BillingError as error:
            log.warning("%s: %s", request.path, error)
        except Exception:
            log.exception("%s failed", request.path)
        finally:
            if not self._is_finished:
                self.close()


class AgiServer:
    """Listens for Asterisk's questions and hands each to the handler of its path.

    `allowed` are the addresses that may ask beside this machine's own.
    """

    def __init__(self, handlers: Mapping[str, Handler], allowed: Collection[str] = ()) -> None:
        self._handlers = handlers
        self._allowed = allowed
        self._sessions: dict[int, Session] = {}
        # One descriptor for the loop instead of one for each short session.
        self._readable = select.epoll()
        self._listening: list[socket.socket] = []
        self._sweeper: asyncio.TimerHandle | None = None

    async def start(self, host: str, port: int) -> None:
        """Listen.

        Raises:
            SetupError: the address cannot be used.
        """
        try:
            self._listening = _listen(host, port)
        except (OSError, ValueError) as error:
            known = isinstance(error, OSError) and not isinstance(error, socket.gaierror) and error.errno
            raise SetupError(
                "cannot listen for Asterisk on %(host)s:%(port)s: %(reason)s; "
                "stop what uses the port, or set COOVOX_AGI_LISTEN",
                host=host,
                port=port,
                reason=os.strerror(known) if known else "no such address",
            ) from None
        for listening in self._listening:
            self._accept_from(listening)
        asyncio.get_running_loop().add_reader(self._readable.fileno(), self._read)
        self._sweep()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._listening[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening and end the sessions."""
        for listening in self._listening:
            asyncio.get_running_loop().remove_reader(listening)
            listening.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
        asyncio.get_running_loop().remove_reader(self._readable.fileno())
        for session in tuple(self._sessions.values()):
            session.close()
        self._readable.close()

    def _accept_from(self, listening: socket.socket) -> None:
        if listening.fileno() >= 0:
            asyncio.get_running_loop().add_reader(listening, self._accept, listening)

    def _accept(self, listening: socket.socket) -> None:
        """All who knock, up to as many as may wait."""
        for _ in range(LISTEN_BACKLOG):
            try:
                connection, address = listening.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                log.error("nobody else can ask for %.0f s: %s", OUT_OF_SOCKETS_SECONDS, error.strerror)
                loop = asyncio.get_running_loop()
                loop.remove_reader(listening)
                loop.call_later(OUT_OF_SOCKETS_SECONDS, self._accept_from, listening)
                return
            self._welcome(connection, address[0])

    def _welcome(self, connection: socket.socket, peer: str) -> None:
        connection.setblocking(False)
        if not self.may_ask(peer):
            log.warning("%s may not ask: it is not in agi_allow", peer)
            connection.close()
        elif not self._has_room():
            log.warning("more than %d AGI sessions at once: one is turned away", MAX_SESSIONS)
            connection.close()
        else:
            self._sessions[connection.fileno()] = Session(self, connection)
            self._readable.register(connection.fileno(), select.EPOLLIN)

    def _read(self) -> None:
        for descriptor, _ in self._readable.poll(0):
            if descriptor in self._sessions:
                self._sessions[descriptor].read()

    def handler(self, path: str) -> Handler:
        """The handler of a path.

        Raises:
            Malformed: there is none.
        """
        if path not in self._handlers:
            raise Malformed("there is no AGI path /%(path)s", path=path[:80])
        return self._handlers[path]

    def _has_room(self) -> bool:
        """Whether there is room for one more session.

        The one whose peer has kept us waiting longest makes room: Asterisk asks and replies within milliseconds.
        A peer's number of sessions tells nothing, for all of a busy Asterisk's come from one address.
        """
        return len(self._sessions) < MAX_SESSIONS or self._make_room()

    def _make_room(self) -> bool:
        waits = {one: one.waits_since for one in self._sessions.values() if one.waits_since is not None}
        if not waits:
            return False
        longest = min(waits, key=waits.__getitem__)
        log.warning("more than %d AGI sessions at once: one that keeps us waiting is closed", MAX_SESSIONS)
        longest.close()
        return True

    def may_ask(self, address: str) -> bool:
        """Whether a peer of that address is heard."""
        return _is_loopback(address) or address in self._allowed

    def dismiss(self, descriptor: int) -> None:
        """The session of a descriptor is over, which is closed next, and so forgotten by epoll."""
        del self._sessions[descriptor]

    def _sweep(self) -> None:
        """Close who had his time; one timer for all, because a session of its own has hardly any to spare."""
        now = time.monotonic()
        for session in [one for one in self._sessions.values() if one.is_overdue(now)]:
            log.warning("an AGI session was too slow and is closed")
            session.close()
        self._sweeper = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)


@lru_cache(maxsize=64)
def _is_loopback(address: str) -> bool:
    return ip_address(address).is_loopback


def _listen(host: str, port: int) -> list[socket.socket]:
    """At every address of a name, of either family."""
    found = socket.getaddrinfo(host.encode("ascii"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    opened = []
    for family, address in dict.fromkeys((family, address) for family, _, _, _, address in found):
        listening = socket.create_server(address, family=family, backlog=LISTEN_BACKLOG)
        listening.setblocking(False)
        opened.append(listening)
    return opened
