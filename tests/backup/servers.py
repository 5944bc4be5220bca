"""Real servers on this machine: an sshd of Debian's, an S3 storage, and a wire between that can be cut."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

PATIENCE_SECONDS = 20.0


def free_port() -> int:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        return int(reserved.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert process.poll() is None, "the server ended"
        assert time.monotonic() < deadline, "the server does not answer"
        time.sleep(0.05)


@dataclass(frozen=True)
class Sshd:
    """An SSH server that lets one key in."""

    port: int
    folder: Path
    key: str
    fingerprint: str


@contextmanager
def an_sshd(folder: Path) -> Iterator[Sshd]:
    """A server of this user's own, with keys of its own."""
    program = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    assert program, "make deps installs openssh-server"
    folder.mkdir(mode=0o700)
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    (folder / "authorized").write_text((folder / "user.pub").read_text())
    (folder / "kept").mkdir()
    port = free_port()
    options = {
        "Port": port, "ListenAddress": "127.0.0.1", "HostKey": folder / "host", "PidFile": "none", "UsePAM": "no",
        "AuthorizedKeysFile": folder / "authorized", "StrictModes": "no", "Subsystem": "sftp internal-sftp",
        "PasswordAuthentication": "no", "PermitRootLogin": "yes",
    }  # fmt: skip
    Path("/run/sshd").mkdir(exist_ok=True)
    flags = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    process = subprocess.Popen([program, "-D", "-e", "-f", "/dev/null", *flags], stderr=subprocess.DEVNULL)
    try:
        wait_for(port, process)
        told = subprocess.run(
            ["ssh-keygen", "-lf", str(folder / "host.pub")], capture_output=True, text=True, check=True
        )
        yield Sshd(port, folder / "kept", (folder / "user").read_text(), told.stdout.split()[1])
    finally:
        process.kill()
        process.wait()


@contextmanager
def an_s3() -> Iterator[int]:
    """A storage with one bucket, `backups`; its port."""
    port = free_port()
    # Not in Debian: its packages are tried against the server of the newest ones.
    folders = (Path(sys.executable).parent, Path(__file__).resolve().parents[2] / ".venv/bin")
    server = next((folder / "moto_server" for folder in folders if (folder / "moto_server").exists()), None)
    assert server, "`make .venv/test.stamp` installs moto"
    process = subprocess.Popen(
        [str(server), "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(port, process)
        yield port
    finally:
        process.kill()
        process.wait()


class Wire:
    """A way to a server that is cut once so many bytes went up."""

    def __init__(self, port: int, cut_after_bytes: int) -> None:
        self._to, self._left = port, cut_after_bytes
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
                threading.Thread(target=self._carry, args=(near, far, True), daemon=True).start()
                threading.Thread(target=self._carry, args=(far, near, False), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, is_up: bool) -> None:
        with suppress(OSError):
            while data := source.recv(16_384):
                if is_up:
                    self._left -= len(data)
                    if self._left < 0:
                        break
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            # What was not read yet makes the kernel tell the other side.
            end.close()

    def close(self) -> None:
        """Nobody gets through any more."""
        self._listener.close()
