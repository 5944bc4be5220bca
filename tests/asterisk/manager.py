"""Asks Asterisk's manager (AMI) for something, as a switchboard or another program does."""

from __future__ import annotations

import socket

TIMEOUT_SECONDS = 5.0


class Refused(AssertionError):
    """Asterisk said no; the message is its answer."""


def act(port: int, action: str, **fields: object) -> None:
    """One action, on a connection of its own; returns when Asterisk has taken it."""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS) as connection:
        _send(connection, Action="Login", Username="test", Secret="test", Events="off")
        _send(connection, Action=action, **fields)
        _send(connection, Action="Logoff")
        said = b"".join(iter(lambda: connection.recv(65536), b"")).decode(errors="replace")
    if said.count("Response: Success") != 2 or "Response: Goodbye" not in said:
        raise Refused(said)


def _send(connection: socket.socket, **fields: object) -> None:
    lines = [f"{name}: {value}\r\n" for name, value in fields.items()]
    connection.sendall("".join([*lines, "\r\n"]).encode())
