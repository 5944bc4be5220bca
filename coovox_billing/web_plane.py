"""The management plane: the pages, served by waitress (DESIGN §2)."""

import logging
import os
import signal
import socket
import sys
import threading
import time
from types import FrameType

from waitress.server import create_server

from coovox_billing import heartbeat
from coovox_billing.config import Address, Config
from coovox_billing.errors import SetupError
from coovox_billing.opening import open_site
from coovox_billing.services import owner
from coovox_billing.wall_clock import wall_clock_ms
from coovox_billing.web import create_app

THREADS = 4
MAX_REQUEST_BYTES = 65_536
PROBE_SECONDS = 1.0

log = logging.getLogger(__name__)


def run(config: Config) -> None:
    """Serve the pages until told to stop.

    Raises:
        SetupError: the data directory or the address cannot be used.
    """
    with open_site(config.data) as database:
        owner.ensure_first_password(database, config.data, wall_clock_ms())
        app = create_app(
            config.data,
            database,
            web_prefix=config.web_prefix,
            trusted_proxies=config.trusted_proxies,
            call_plane_is_up=lambda: is_listening(config.agi_listen),
        )
        try:
            # Which X-Forwarded headers count is decided in the app, by trusted_proxies.
            server = create_server(
                app,
                host=config.web_listen.host,
                port=config.web_listen.port,
                threads=THREADS,
                ident="CooVox Billing",
                max_request_body_size=MAX_REQUEST_BYTES,
                clear_untrusted_proxy_headers=False,
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "no such address"
            raise SetupError(
                f"cannot serve pages on {config.web_listen}: {reason}; "
                "stop what uses the port, or set COOVOX_WEB_LISTEN"
            ) from None
        signal.signal(signal.SIGTERM, _stop)
        threading.Thread(target=_beat_for_ever, name="heartbeat", daemon=True).start()
        log.info("pages on http://%s%s/", config.web_listen, config.web_prefix)
        server.run()


def is_listening(address: Address) -> bool:
    """Whether something accepts connections there."""
    try:
        socket.create_connection((address.host, address.port), PROBE_SECONDS).close()
    except OSError:
        return False
    return True


def _stop(number: int, frame: FrameType | None) -> None:
    sys.exit(0)


def _beat_for_ever() -> None:
    while heartbeat.beat():
        time.sleep(heartbeat.BEAT_SECONDS)
    log.warning("the parent is gone, so the pages end")
    os.kill(os.getpid(), signal.SIGTERM)
