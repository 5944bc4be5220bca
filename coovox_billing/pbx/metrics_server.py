"""Answers `GET /metrics`, apart from the calls: in the loop it only writes text, the database is read in a thread.

Whoever asks more often than every few seconds gets what was looked up then; who is slow or talks too much is hung
up on, and nobody is served who is not allowed.
"""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Collection
from ipaddress import ip_address

from coovox_billing.errors import SetupError
from coovox_billing.pbx.metrics import Gauges

REQUEST_SECONDS = 2.0
READ_SECONDS = 2.0
FRESH_SECONDS = 5.0
MOST_BYTES = 8_192
MOST_CONNECTIONS = 8
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

log = logging.getLogger(__name__)


class MetricsServer:
    """`read` looks the gauges up and may take its time; `text` makes the answer of them, or without them."""

    def __init__(
        self, read: Callable[[], Gauges], text: Callable[[Gauges | None], str], allowed: Collection[str] = ()
    ) -> None:
        self._read = read
        self._text = text
        self._allowed = allowed
        self._reading: asyncio.Future[Gauges] | None = None
        self._read_at = 0.0
        self._connections = 0
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> None:
        """Listen.

        Raises:
            SetupError: the address cannot be used.
        """
        try:
            self._server = await asyncio.start_server(self._serve, host, port, limit=MOST_BYTES)
        except OSError as error:
            raise SetupError(
                "cannot tell metrics on %(host)s:%(port)s: %(reason)s; stop what uses the port, or set metrics_listen",
                host=host,
                port=port,
                reason=error.strerror,
            ) from None

    @property
    def port(self) -> int:
        """The port it listens on."""
        assert self._server is not None  # noqa: S101
        return int(self._server.sockets[0].getsockname()[1])

    def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")[0]
        try:
            if not (ip_address(peer).is_loopback or peer in self._allowed):
                log.warning("%s may not read the metrics: it is not in metrics_allow", peer)
            elif self._connections < MOST_CONNECTIONS:
                self._connections += 1
                try:
                    async with asyncio.timeout(REQUEST_SECONDS + READ_SECONDS):
                        await self._answer(reader, writer)
                finally:
                    self._connections -= 1
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.transport.abort() if writer.is_closing() else writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(REQUEST_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
        words = head.split(b"\r\n")[0].split(b" ")
        if len(words) != 3 or words[0] not in (b"GET", b"HEAD"):
            status, body = "405 Method Not Allowed", "only GET\n"
        elif words[1].partition(b"?")[0] != b"/metrics":
            status, body = "404 Not Found", "look at /metrics\n"
        else:
            status, body = "200 OK", self._text(await self._gauges())
        data = body.encode()
        writer.write(
            f"HTTP/1.1 {status}\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {len(data)}\r\n"
            "Connection: close\r\n\r\n".encode()
            + (b"" if words[0] == b"HEAD" else data)
        )
        await writer.drain()

    async def _gauges(self) -> Gauges | None:
        """As of a few seconds ago at most; None where the database does not tell in time."""
        now = time.monotonic()
        if self._reading is None or (self._reading.done() and now - self._read_at > FRESH_SECONDS):
            self._read_at = now
            self._reading = asyncio.ensure_future(asyncio.to_thread(self._read))
            self._reading.add_done_callback(_noted)
        try:
            return await asyncio.wait_for(asyncio.shield(self._reading), READ_SECONDS)
        except (TimeoutError, sqlite3.Error, OSError):
            return None


def _noted(done: "asyncio.Future[Gauges]") -> None:
    """What went wrong while nobody waited any more is no fault of the loop's."""
    if not done.cancelled():
        done.exception()
