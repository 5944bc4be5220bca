"""Decides what happens on the way between the call plane and Asterisk's manager: a proxy that counts and cuts."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self


class Wire:
    """`with Wire(port) as wire:` listens on `wire.port` and hands everything on to `port` of this machine."""

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self.actions = 0
        self.connections = 0
        self._open: list[socket.socket] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._listen, name="wire", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._listening.close()
        self.cut()

    def cut(self) -> None:
        """Whoever is connected is connected no more."""
        while self._open:
            _hang_up(self._open.pop())

    def _listen(self) -> None:
        while True:
            try:
                asking, _ = self._listening.accept()
            except OSError:
                return
            try:
                asked = socket.create_connection(self._target, 5)
            except OSError:
                asking.close()
                continue
            asked.settimeout(None)
            self.connections += 1
            self._open += [asking, asked]
            for source, target in ((asking, asked), (asked, asking)):
                threading.Thread(target=self._carry, args=(source, target, source is asking), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, counts: bool) -> None:
        try:
            while data := source.recv(65_536):
                self.actions += data.count(b"Action: ") if counts else 0
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            _hang_up(end)


def _hang_up(end: socket.socket) -> None:
    """Not close(), which would not wake the thread that reads from it."""
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
