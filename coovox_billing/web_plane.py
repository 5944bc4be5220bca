"""The management plane: the pages, served by waitress (DESIGN §2)."""

import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from types import FrameType
from typing import Any

from waitress import trigger
from waitress.server import create_server

from coovox_billing import RELEASED_MS, heartbeat
from coovox_billing.backup.runner import Runner
from coovox_billing.config import Address, Config
from coovox_billing.core.devices import Listing
from coovox_billing.errors import SetupError
from coovox_billing.frugal_memory import give_back_holes, keep_what_is_loaded
from coovox_billing.give_way import give_way
from coovox_billing.opening import open_site
from coovox_billing.pbx import voicemail
from coovox_billing.pbx.agi_identity import ask_identity
from coovox_billing.services import owner
from coovox_billing.this_device import open_licensing
from coovox_billing.upkeep import look_after
from coovox_billing.wall_clock import wall_clock_ms
from coovox_billing.web import create_app
from coovox_billing.web.bodies import LARGEST_BYTES

THREADS = 4
MOST_CONNECTIONS = 32
SILENT_SECONDS = 30
MOST_UNREAD_BYTES = 256 * 1024
PROBE_SECONDS = 1.0
HEALTH_PROBE_SECONDS = 0.5
STUCK_SECONDS = 60.0
TIDYING_BEATS = 5

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_stopping = threading.Event()
log = logging.getLogger(__name__)


def run(config: Config) -> None:
    """Serve the pages until told to stop.

    Raises:
        SetupError: the data directory or the address cannot be used.
    """
    with open_site(config.data) as database:
        # The thread that writes, which calls may have to wait for, is begun already and does not.
        give_way()
        owner.ensure_first_password(database, config.data, wall_clock_ms())
        licensing = open_licensing(database, config.data)
        runner = Runner(database, config.data, wall_clock_ms)
        app = create_app(
            config.data,
            database,
            web_prefix=config.web_prefix,
            trusted_proxies=config.trusted_proxies,
            call_plane_is_up=lambda: is_listening(config.agi_listen, HEALTH_PROBE_SECONDS),
            has_manager=lambda: _has_manager(config.agi_listen),
            read_devices=lambda: _read_devices(config.ami),
            licensing=licensing,
            runner=runner,
            voicemail_pin=lambda extension: voicemail.pin_of(config.voicemail_conf, extension),
        )
        workers = Workers(app)
        dispatchers: dict[int, Any] = {}
        try:
            # Which X-Forwarded headers count is decided in the app, by trusted_proxies.
            server = create_server(
                workers,
                map=dispatchers,
                host=config.web_listen.host,
                port=config.web_listen.port,
                threads=THREADS,
                ident="CooVox Billing",
                # What nobody signed in for is read too: so many connections, each with so much, for so long.
                connection_limit=MOST_CONNECTIONS,
                channel_timeout=SILENT_SECONDS,
                max_request_body_size=LARGEST_BYTES,
                # A download waits for who reads it, rather than in memory and then in a file.
                outbuf_high_watermark=MOST_UNREAD_BYTES,
                clear_untrusted_proxy_headers=False,
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "no such address"
            raise SetupError(
                "cannot serve pages on %(address)s: %(reason)s; stop what uses the port, or set COOVOX_WEB_LISTEN",
                address=config.web_listen,
                reason=reason,
            ) from None
        signal.signal(signal.SIGTERM, _stop)
        pulse = Pulse(trigger.trigger(dispatchers), workers)
        threading.Thread(target=pulse.run, name="heartbeat", daemon=True).start()
        keeping_up = (licensing, database.path, _stopping)
        threading.Thread(target=look_after, args=keeping_up, name="upkeep", daemon=True).start()
        looking = (RELEASED_MS, _stopping)
        threading.Thread(target=runner.look_after, args=looking, name="backups", daemon=True).start()
        keep_what_is_loaded()
        log.info("pages on http://%s%s/", config.web_listen, config.web_prefix)
        server.run()


def _read_devices(ami: str) -> Sequence[Listing]:
    """Asterisk's devices, for *Sync*; where its manager is, is looked up each time, for it may be installed meanwhile.

    Imported late: asyncio and all it brings along are 6 MB, which no other page needs.

    Raises:
        SetupError: there is no manager, or no connection to it.
    """
    from coovox_billing.pbx.devices import read_devices
    from coovox_billing.pbx.manager import manager_address, what_to_do

    manager = manager_address(ami)
    if manager is None:
        raise SetupError("Sync asks Asterisk's manager. %(advice)s", advice=what_to_do(ami))
    return read_devices(manager)


def _has_manager(address: Address) -> bool | None:
    """Whether the call plane is signed in to Asterisk's manager; None where it has none, or does not tell."""
    found = ask_identity(address.host, address.port, HEALTH_PROBE_SECONDS)
    return found.is_signed_in if found else None


class Workers:
    """WSGI middleware that knows how long each worker has been with its request."""

    def __init__(self, app: Wsgi) -> None:
        self._app = app
        self._since: dict[int, float] = {}

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        worker = threading.get_ident()
        self._since[worker] = time.monotonic()
        try:
            return self._app(environ, start_response)
        finally:
            del self._since[worker]

    def are_stuck(self) -> bool:
        """Whether all of them are with requests that take longer than any may: nobody is served any more.

        No page waits that long, neither for a locked database nor for the sign-ins before it.
        """
        now = time.monotonic()
        return sum(now - since > STUCK_SECONDS for since in list(self._since.values())) >= THREADS


class Pulse:
    """Beats once a second where the server's own loop has turned: a thread alone would beat on while the loop hangs."""

    def __init__(self, loop: Any, workers: Workers) -> None:
        self._loop = loop
        self._workers = workers
        self._turned = threading.Event()

    def run(self) -> None:
        """Beat until the parent is gone; then, or where the loop goes on though it was told to stop, end the plane.

        It goes on where the signal came while it ran what it was given here: waitress swallows that.
        """
        self._await_turn()
        heartbeat.ready()
        was_told = False
        beats = 0
        while self.beat() and not was_told:
            beats += 1
            if beats % TIDYING_BEATS == 0:
                give_back_holes()
            time.sleep(heartbeat.BEAT_SECONDS)
            was_told = _stopping.is_set()
            self._await_turn()
        if not was_told:
            log.warning("the parent is gone, so the pages end")
        os.kill(os.getpid(), signal.SIGTERM)

    def beat(self) -> bool:
        """Beat, unless all workers are stuck; False when the parent is gone."""
        if self._workers.are_stuck():
            log.error("every worker has been with one request for more than %.0f s", STUCK_SECONDS)
            return True
        return heartbeat.beat()

    def _await_turn(self) -> None:
        self._turned.clear()
        self._loop.pull_trigger(self._turned.set)
        self._turned.wait()


def is_listening(address: Address, patience_seconds: float = PROBE_SECONDS) -> bool:
    """Whether somebody listens there and is awake: it hangs up when we do.

    That a connection is accepted proves nothing, for the kernel does it for a hung process too.
    """
    with suppress(OSError), socket.create_connection((address.host, address.port), patience_seconds) as connection:
        connection.shutdown(socket.SHUT_WR)
        return connection.recv(1) == b""
    return False


def _stop(number: int, frame: FrameType | None) -> None:
    _stopping.set()
    heartbeat.stopping()
    sys.exit(0)
