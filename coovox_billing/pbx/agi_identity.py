"""Who answers on the AGI port: `/identify`, which `doctor` asks and no dialplan does.

A port that is open proves little: another program may have it, or the call plane of another site or version.
"""

import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

# The pages ask too, and need none of the server's libraries.
if TYPE_CHECKING:
    from coovox_billing.pbx.agi_server import Handler, Session

PATH = "identify"
_NAME = "CooVox-Billing"
_SIGNED_IN = {True: " signed-in", False: " not-signed-in"}
_MOST_BYTES = 1_000
_REQUEST = f"agi_network: yes\nagi_network_script: {PATH}\n\n"
# What a reader of the manager's or a web server's port would make of the request is a complaint, never an action.


@dataclass(frozen=True, slots=True)
class Answerer:
    """Who answered: a call plane with its version and the id of its database, or something else.

    `is_signed_in`: to Asterisk's manager; None where it has none, or is of a version that does not tell.
    """

    is_call_plane: bool
    version: str = ""
    database_id: str = ""
    is_signed_in: bool | None = None


def handler(version: str, database_id: str, is_signed_in: Callable[[], bool] | None) -> "Handler":
    """What answers the question; `is_signed_in` to Asterisk's manager, None where there is none."""

    async def identify(session: "Session", arguments: Mapping[str, str]) -> None:
        manager = "" if is_signed_in is None else _SIGNED_IN[is_signed_in()]
        await session.command(f'NOOP "{_NAME} {version} {database_id}{manager}"')

    return identify


def ask_identity(host: str, port: int, patience_seconds: float) -> Answerer | None:
    """Who answers there; None where nobody does in time, or somebody hangs up without a word."""
    until = time.monotonic() + patience_seconds
    said = b""
    with suppress(OSError), socket.create_connection((host, port), patience_seconds) as connection:
        connection.sendall(_REQUEST.encode())
        while b"\n" not in said and len(said) < _MOST_BYTES and (left := until - time.monotonic()) > 0:
            connection.settimeout(left)
            data = connection.recv(_MOST_BYTES)
            if not data:
                break
            said += data
        with suppress(OSError):
            connection.sendall(b"200 result=0\n")
    return _answerer(said.decode("utf-8", "replace")) if said else None


def _answerer(said: str) -> Answerer:
    words = said.partition("\n")[0].removeprefix('NOOP "').removesuffix('"').split(" ")
    if len(words) in (3, 4) and words[0] == _NAME:
        manager = {text.strip(): is_so for is_so, text in _SIGNED_IN.items()}
        return Answerer(True, words[1], words[2], manager.get(words[3]) if words[3:] else None)
    return Answerer(False)
