"""Files encrypted with a passphrase in the format age v1, which the program `age` reads and writes too.

The source is its specification, https://age-encryption.org/v1 (C2SP). A key of the file is wrapped by scrypt of the
passphrase; what follows is sealed in pieces of 64 KiB by ChaCha20-Poly1305, each numbered and the last one marked: so
a piece that was changed, moved, repeated or cut off is noticed, and no more than a piece is held in memory.
"""

import base64
import binascii
import hashlib
import hmac
import io
import re
import secrets
from typing import TYPE_CHECKING, BinaryIO

from coovox_billing.errors import BadInput

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

MAGIC = b"age-encryption.org/v1\n"
PIECE_BYTES = 64 * 1024
# scrypt with 32 MiB of memory for a moment, which a box of 256 MiB has; `age` itself takes eight times as much.
WORK_FACTOR = 15
# What `age` writes; a larger one would only be meant to exhaust us.
LARGEST_WORK_FACTOR = 18

_TAG_BYTES = 16
_NONCE_BYTES = 16
_SALT_LABEL = b"age-encryption.org/v1/scrypt"
_MOST_HEADER_BYTES = 4096
_STANZA = re.compile(rb"-> scrypt ([A-Za-z0-9+/]{22}) ([1-9][0-9]?)\n([A-Za-z0-9+/]{43})\n")
_MAC_LINE = re.compile(rb"--- ([A-Za-z0-9+/]{43})\n")


class NotWhole(BadInput):
    """What was encrypted is not whole, or was changed."""

    def __init__(self) -> None:
        super().__init__("the encrypted file is damaged, or was cut off: take another copy of it")


class Encrypting(io.RawIOBase):
    """Takes bytes and writes them encrypted; what was written is whole once it was closed."""

    def __init__(self, out: BinaryIO, passphrase: str, work_factor: int = WORK_FACTOR) -> None:
        file_key, salt = secrets.token_bytes(16), secrets.token_bytes(16)
        wrapped = _cipher(_scrypt(passphrase, salt, work_factor)).encrypt(bytes(12), file_key, None)
        header = MAGIC + b"-> scrypt %s %d\n%s\n---" % (_encoded(salt), work_factor, _encoded(wrapped))
        nonce = secrets.token_bytes(_NONCE_BYTES)
        out.write(header + b" " + _encoded(_header_mac(file_key, header)) + b"\n" + nonce)
        self._out = out
        self._cipher = _cipher(_derived(file_key, nonce, b"payload"))
        self._number = 0
        self._waiting = bytearray()

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: object) -> int:
        """Take bytes; a piece goes out once it is known not to be the last one."""
        given = memoryview(data).cast("B")  # type: ignore[arg-type]
        self._waiting += given
        while len(self._waiting) > PIECE_BYTES:
            self._write_piece(bytes(self._waiting[:PIECE_BYTES]), is_last=False)
            del self._waiting[:PIECE_BYTES]
        return len(given)

    def finish(self) -> None:
        """Write the last piece."""
        self._write_piece(bytes(self._waiting), is_last=True)
        self._waiting.clear()

    def _write_piece(self, piece: bytes, *, is_last: bool) -> None:
        self._out.write(self._cipher.encrypt(_piece_nonce(self._number, is_last), piece, None))
        self._number += 1


class Decrypting(io.RawIOBase):
    """Reads what was encrypted. Whatever it gives out is as it was written; that it is all, shows at its end.

    Raises, when it is made and when it is read:
        BadInput: the passphrase is wrong, it is no such file, or it is damaged (`NotWhole`).
    """

    def __init__(self, source: BinaryIO, passphrase: str) -> None:
        file_key = _unwrapped(source, passphrase)
        self._source = source
        self._cipher = _cipher(_derived(file_key, _exactly(source, _NONCE_BYTES), b"payload"))
        self._number = 0
        self._next = self._read_piece()
        self._plain = b""
        self._is_over = False

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: object) -> int:
        """Some of it; 0 at its end."""
        while not self._plain and not self._is_over:
            self._open_piece()
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        count = min(len(view), len(self._plain))
        view[:count] = self._plain[:count]
        self._plain = self._plain[count:]
        return count

    def _open_piece(self) -> None:
        from cryptography.exceptions import InvalidTag

        sealed, self._next = self._next, self._read_piece()
        self._is_over = not self._next
        try:
            self._plain = self._cipher.decrypt(_piece_nonce(self._number, self._is_over), sealed, None)
        except InvalidTag:
            raise NotWhole from None
        if not self._plain and self._number:
            raise NotWhole  # the format has no empty piece after others
        self._number += 1

    def _read_piece(self) -> bytes:
        wanted, piece = PIECE_BYTES + _TAG_BYTES, b""
        while len(piece) < wanted and (part := self._source.read(wanted - len(piece))):
            piece += part
        return piece


def _unwrapped(source: BinaryIO, passphrase: str) -> bytes:
    """The key of the file, once its header has shown to be as it was written."""
    from cryptography.exceptions import InvalidTag

    header = b"".join(source.readline(_MOST_HEADER_BYTES) for _ in range(3))
    stanza = _STANZA.fullmatch(header.removeprefix(MAGIC)) if header.startswith(MAGIC) else None
    mac = _MAC_LINE.fullmatch(source.readline(_MOST_HEADER_BYTES))
    if stanza is None or mac is None:
        if header.startswith(MAGIC) and b"-> scrypt" not in header:
            raise BadInput("the file is encrypted to a key, not with a passphrase: decrypt it with `age` first")
        raise NotWhole
    work_factor = int(stanza[2])
    if work_factor > LARGEST_WORK_FACTOR:
        raise BadInput(
            "the file wants more memory for its passphrase than any backup does: decrypt it with `age` first"
        )
    key = _scrypt(passphrase, _decoded(stanza[1]), work_factor)
    try:
        file_key = bytes(_cipher(key).decrypt(bytes(12), _decoded(stanza[3]), None))
    except InvalidTag:
        raise BadInput("the passphrase is wrong, or the first lines of the file are damaged: try again") from None
    if not hmac.compare_digest(_decoded(mac[1]), _header_mac(file_key, header + b"---")):
        raise NotWhole
    return file_key


def _exactly(source: BinaryIO, count: int) -> bytes:
    found = source.read(count)
    if len(found) != count:
        raise NotWhole
    return found


def _scrypt(passphrase: str, salt: bytes, work_factor: int) -> bytes:
    needed = 128 * 8 << work_factor
    secret = passphrase.encode("utf-8", "surrogateescape")
    return hashlib.scrypt(
        secret, salt=_SALT_LABEL + salt, n=1 << work_factor, r=8, p=1, maxmem=needed + (1 << 20), dklen=32
    )


def _header_mac(file_key: bytes, header: bytes) -> bytes:
    return hmac.new(_derived(file_key, b"", b"header"), header, hashlib.sha256).digest()


def _derived(key: bytes, salt: bytes, purpose: bytes) -> bytes:
    """HKDF with SHA-256, of 32 bytes."""
    taken = hmac.new(salt or bytes(32), key, hashlib.sha256).digest()
    return hmac.new(taken, purpose + b"\1", hashlib.sha256).digest()


def _piece_nonce(number: int, is_last: bool) -> bytes:
    return number.to_bytes(11, "big") + (b"\1" if is_last else b"\0")


def _cipher(key: bytes) -> "ChaCha20Poly1305":
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    return ChaCha20Poly1305(key)


def _encoded(data: bytes) -> bytes:
    return base64.b64encode(data).rstrip(b"=")


def _decoded(text: bytes) -> bytes:
    """Each text has one spelling: bits that stand for nothing are 0."""
    try:
        data = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        raise NotWhole from None
    if _encoded(data) != text:
        raise NotWhole
    return data
