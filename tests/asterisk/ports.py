"""Decides which ports a test's programs listen on: ones that the system says are free now."""

from __future__ import annotations

import socket


def free_port(address: str = "127.0.0.1") -> int:
    """A port that is free for UDP and TCP alike, as SIP programs may open both."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.bind((address, 0))
            port = int(udp.getsockname()[1])
            if _free_for_tcp(address, port):
                return port


def _free_for_tcp(address: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp:
        try:
            tcp.bind((address, port))
        except OSError:
            return False
        return True
