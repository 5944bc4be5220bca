"""A plane's signs of life: to the parent that started it, over an inherited pipe, and to systemd.

A call plane that is silent for 5 s is replaced (DESIGN §2), because every hung
AGI socket holds a phone or a trunk; a plane whose parent is gone ends too. So
a beat is sent only from where a hang would be felt: the plane's own loop.
"""

import os
import socket
from contextlib import suppress

VARIABLE = "COOVOX_HEARTBEAT_FD"
SYSTEMD_VARIABLE = "NOTIFY_SOCKET"
BEAT_SECONDS = 1.0
SILENCE_SECONDS = 5.0


def is_watched() -> bool:
    """Whether a parent listens."""
    return VARIABLE in os.environ


def ready() -> None:
    """Tell systemd that the plane answers."""
    _notify("READY=1")


def beat() -> bool:
    """Tell systemd and the parent, whichever there is; False when the parent is gone."""
    _notify("WATCHDOG=1")
    if not is_watched():
        return True
    try:
        os.write(int(os.environ[VARIABLE]), b".")
    except BlockingIOError:
        return True
    except OSError:
        return False
    return True


def stopping() -> None:
    """Tell systemd that the plane ends because it was told to."""
    _notify("STOPPING=1")


def _notify(state: str) -> None:
    """sd_notify(3): a datagram to the socket that systemd named; `@` stands for an abstract one. Never waits."""
    address = os.environ.get(SYSTEMD_VARIABLE, "")
    if not address:
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as messenger:
        messenger.setblocking(False)
        messenger.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)
