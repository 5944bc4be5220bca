"""What is encrypted is opened by whoever has the passphrase, and by `age` itself; what was changed is noticed."""

from __future__ import annotations

import io
import os
import pty
import shutil
import time
from pathlib import Path

import pytest

from coovox_billing.backup.age import PIECE_BYTES, Decrypting, Encrypting, NotWhole
from coovox_billing.errors import BadInput

PASSPHRASE = "horse battery staple"
CHEAP = 4
VECTORS = Path(__file__).parent / "vectors"


def encrypted(plain: bytes, passphrase: str = PASSPHRASE) -> bytes:
    out = io.BytesIO()
    sealing = Encrypting(out, passphrase, CHEAP)
    for start in range(0, len(plain), 10_007):
        sealing.write(plain[start : start + 10_007])
    sealing.finish()
    return out.getvalue()


def decrypted(sealed: bytes, passphrase: str = PASSPHRASE) -> bytes:
    return io.BufferedReader(Decrypting(io.BytesIO(sealed), passphrase)).read()


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES])
def test_it_gives_back_what_it_was_given(size: int) -> None:
    plain = os.urandom(size)
    assert decrypted(encrypted(plain)) == plain


def test_it_never_encrypts_alike() -> None:
    assert encrypted(b"the same")[-24:] != encrypted(b"the same")[-24:]


@pytest.mark.parametrize("passphrase", ["horse battery stapl", "Horse battery staple", "пароль, и длинный"])
def test_it_refuses_another_passphrase(passphrase: str) -> None:
    with pytest.raises(BadInput, match="passphrase is wrong"):
        decrypted(encrypted(b"secret"), passphrase)


def test_it_notices_any_byte_that_was_changed() -> None:
    sealed = encrypted(b"abc")
    for at in range(len(sealed)):
        spoiled = bytearray(sealed)
        spoiled[at] ^= 1
        with pytest.raises(BadInput):
            decrypted(bytes(spoiled))


@pytest.mark.parametrize("size", [0, 5, PIECE_BYTES, 2 * PIECE_BYTES])
def test_it_notices_that_it_was_cut_off(size: int) -> None:
    sealed = encrypted(os.urandom(size))
    for length in {0, 10, 60, len(sealed) // 2, len(sealed) - PIECE_BYTES - 16, len(sealed) - 16, len(sealed) - 1}:
        if 0 <= length < len(sealed):
            with pytest.raises(BadInput):
                decrypted(sealed[:length])


def test_it_notices_pieces_that_changed_places_or_were_added() -> None:
    sealed = encrypted(bytes(3 * PIECE_BYTES))
    begin = len(sealed) - 3 * (PIECE_BYTES + 16)
    pieces = [sealed[at : at + PIECE_BYTES + 16] for at in range(begin, len(sealed), PIECE_BYTES + 16)]
    for order in ([1, 0, 2], [0, 2], [0, 0, 2], [0, 1], [0, 1, 2, 2]):
        with pytest.raises(NotWhole):
            decrypted(sealed[:begin] + b"".join(pieces[number] for number in order))
    with pytest.raises(NotWhole):
        decrypted(sealed + b"x")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"age-encryption.org/v1\n-> X25519 abc\nabc\n--- abc\n", "encrypted to a key"),
        (b"age-encryption.org/v1\n-> scrypt %s 30\n%s\n--- %s\n" % (b"A" * 22, b"A" * 43, b"A" * 43), "more memory"),
        (b"age-encryption.org/v1\n-> scrypt %s 4\n%s\n--- %s\n" % (b"A" * 21 + b"B", b"A" * 43, b"A" * 43), "damaged"),
        (b"age-encryption.org/v1\n" + b"-> scrypt" * 5000, "damaged"),
        (b"age-encryption.org/v2\n", "damaged"),
    ],
)
def test_it_says_what_is_wrong_with_other_files(text: bytes, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        decrypted(text)


@pytest.mark.parametrize("name", ["short", "two-pieces"])
def test_it_reads_what_the_documentation_gives_as_examples(name: str) -> None:
    plain = {"short": b"CooVox Billing\n", "two-pieces": b"0123456789abcdef" * (PIECE_BYTES // 16) + b"!"}[name]
    assert decrypted((VECTORS / f"{name}.age").read_bytes(), "correct horse battery staple") == plain


def _at_a_terminal(*command: str, answers: int) -> int:
    """Run a program that asks for a passphrase at a terminal; its exit status."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(command[0], command)
    told = b""
    for _ in range(answers):
        before = told.count(b":")
        while told.count(b":") == before:
            told += os.read(terminal, 4096)
        time.sleep(0.05)
        os.write(terminal, PASSPHRASE.encode() + b"\n")
    status = os.waitpid(pid, 0)[1]
    os.close(terminal)
    return os.waitstatus_to_exitcode(status)


def test_it_reads_and_writes_what_the_program_age_does(tmp_path: Path) -> None:
    assert shutil.which("age"), "make deps installs it"
    plain = os.urandom(2 * PIECE_BYTES + 5)
    (tmp_path / "ours.age").write_bytes(encrypted(plain))
    assert _at_a_terminal("age", "-d", "-o", f"{tmp_path}/plain", f"{tmp_path}/ours.age", answers=1) == 0
    assert (tmp_path / "plain").read_bytes() == plain
    assert _at_a_terminal("age", "-p", "-o", f"{tmp_path}/theirs.age", f"{tmp_path}/plain", answers=2) == 0
    assert decrypted((tmp_path / "theirs.age").read_bytes()) == plain
