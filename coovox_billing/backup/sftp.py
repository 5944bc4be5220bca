"""Backups on a server by SFTP. Its key is compared with the fingerprint that was set, before anything is sent."""

import base64
import hashlib
import io
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO, cast

from coovox_billing.backup.places import UNFINISHED, PlaceTrouble, Write
from coovox_billing.core.backup_plan import Address
from coovox_billing.services.backups import Stored

if TYPE_CHECKING:
    import paramiko

CONNECT_SECONDS = 15.0
SILENT_SECONDS = 60.0

_SOME_BYTES = 32 * 1024
_KEY_KINDS = ("Ed25519Key", "ECDSAKey", "RSAKey")


@contextmanager
def at_server(address: Address, secrets: Mapping[str, str], host_key: str) -> Iterator["SftpFolder"]:
    """The folder of an address on its server, signed in.

    Raises:
        PlaceTrouble: it cannot be reached, shows another key, or lets nobody in.
    """
    try:
        import paramiko
    except ImportError:
        raise PlaceTrouble(
            "SFTP needs the library paramiko: install python3-paramiko, or coovox-billing[offsite]"
        ) from None
    try:
        connection = socket.create_connection((address.host, address.port), CONNECT_SECONDS)
    except OSError as error:
        raise PlaceTrouble(
            "the server %(host)s cannot be reached: %(reason)s", host=address.host, reason=error.strerror or str(error)
        ) from None
    transport = paramiko.Transport(connection)
    try:
        _sign_in(transport, address, secrets, host_key)
        folder = paramiko.SFTPClient.from_transport(transport)
        if folder is None:
            raise PlaceTrouble("the server %(host)s offers no SFTP", host=address.host)
        channel = folder.get_channel()
        if channel is not None:
            channel.settimeout(SILENT_SECONDS)
        yield SftpFolder(folder, address)
    except (paramiko.SSHException, EOFError) as error:
        raise PlaceTrouble("the server %(host)s: %(error)s", host=address.host, error=error) from None
    finally:
        transport.close()


def _sign_in(transport: "paramiko.Transport", address: Address, secrets: Mapping[str, str], host_key: str) -> None:
    import paramiko

    transport.start_client(timeout=CONNECT_SECONDS)
    transport.set_keepalive(15)
    shown = _fingerprint(transport.get_remote_server_key())
    if not host_key:
        raise PlaceTrouble(
            "the server %(host)s shows the key %(shown)s. Ask its administrator whether that is right; then store it "
            "as the server's fingerprint",
            hint="coovox-billing setting set backup_host_key %(shown)s",
            host=address.host,
            shown=shown,
        )
    if shown != host_key:
        raise PlaceTrouble(
            "the server %(host)s shows another key than it should, %(shown)s: either it was set up anew, or somebody "
            "is between you and it. Nothing was sent",
            host=address.host,
            shown=shown,
        )
    key, password = secrets.get("sftp-key", ""), secrets.get("sftp-password", "")
    if not key and not password:
        raise PlaceTrouble(
            "the server %(host)s wants a key or a password: store one",
            hint="coovox-billing backups secret sftp-key --file FILE, or coovox-billing backups secret sftp-password",
            host=address.host,
        )
    try:
        if key:
            transport.auth_publickey(address.user, _private_key(key))
        else:
            transport.auth_password(address.user, password)
    except paramiko.AuthenticationException:
        raise PlaceTrouble(
            "the server %(host)s does not let %(user)s in: correct the key or the password",
            host=address.host,
            user=address.user,
        ) from None


def _fingerprint(key: "paramiko.PKey") -> str:
    digest = hashlib.sha256(key.asbytes()).digest()
    return "SHA256:" + base64.b64encode(digest).rstrip(b"=").decode()


def _private_key(text: str) -> "paramiko.PKey":
    import paramiko

    for kind in _KEY_KINDS:
        with suppress(paramiko.SSHException, ValueError):
            return cast("paramiko.PKey", getattr(paramiko, kind).from_private_key(io.StringIO(text)))
    raise PlaceTrouble("the stored key cannot be read: take one of `ssh-keygen -t ed25519` without a passphrase")


class SftpFolder:
    """A folder of a server. A file has its name once all of it is there."""

    def __init__(self, client: "paramiko.SFTPClient", address: Address) -> None:
        self._client = client
        self._address = address
        self._folder = address.folder.removeprefix("/~/")

    def keep(self, name: str, write: Write) -> int:
        """Keep what `write` writes."""
        target, unfinished = self._path(name), self._path(f".{name}{UNFINISHED}")
        with self._trying():
            self._remove_unfinished()
            with self._client.open(unfinished, "wx") as file:
                file.set_pipelined(True)
                counted = _Counted(cast(BinaryIO, file))
                write(cast(BinaryIO, counted))
            if self._client.stat(unfinished).st_size != counted.size:
                raise PlaceTrouble("the server %(host)s did not take all of it", host=self._address.host)
            self._client.chmod(unfinished, 0o600)
            self._client.posix_rename(unfinished, target)
        return counted.size

    def stored(self) -> list[Stored]:
        """The files in the folder."""
        with self._trying():
            return [Stored(found.filename, found.st_size or 0) for found in self._client.listdir_attr(self._folder)]

    def remove(self, name: str) -> None:
        """Remove a file."""
        with self._trying():
            self._client.remove(self._path(name))

    def fetch(self, name: str, out: BinaryIO) -> None:
        """Copy a file from there."""
        with self._trying(), self._client.open(self._path(name), "rb") as file:
            while piece := file.read(_SOME_BYTES):
                out.write(piece)

    def _path(self, name: str) -> str:
        return f"{self._folder}/{name}"

    def _remove_unfinished(self) -> None:
        for name in self._client.listdir(self._folder):
            if name.startswith(".billing-") and name.endswith(UNFINISHED):
                self._client.remove(self._path(name))

    @contextmanager
    def _trying(self) -> Iterator[None]:
        import paramiko

        try:
            yield
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise PlaceTrouble(
                "the folder %(folder)s on %(host)s cannot be used: %(reason)s. See that it is there, can be written "
                "and has room",
                folder=self._address.folder,
                host=self._address.host,
                reason=getattr(error, "strerror", None) or str(error) or "the connection was lost",
            ) from None


class _Counted:
    """Counts what is written."""

    def __init__(self, out: BinaryIO) -> None:
        self.size = 0
        self._out = out

    def write(self, data: bytes) -> int:
        self._out.write(data)
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        self._out.flush()
