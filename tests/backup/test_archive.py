"""A backup is whole at one instant, holds nobody up, lets nobody in, and tells when it is not as it was made."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import threading
import time
import tracemalloc
from contextlib import closing
from pathlib import Path

import pytest

from coovox_billing.backup import archive
from coovox_billing.backup.archive import WrongPassphrase
from coovox_billing.core.trial import LICENSE_FILE, TRIAL_FILE
from coovox_billing.errors import BadInput, Refused
from coovox_billing.services import calls, handover, payments
from coovox_billing.store import contents, snapshot
from coovox_billing.store.database import FILE_NAME, Database
from coovox_billing.store.schema import known_version
from tests.cast import MANAGER, NOW_MS, Exchange, a_question, audited, look_up
from tests.licenses import a_device

PASSPHRASE = "horse battery staple"


def made(directory: Path, passphrase: str = "") -> bytes:
    out = io.BytesIO()
    archive.write(directory, a_device(), NOW_MS, out, passphrase)
    return out.getvalue()


def unpacked(data: bytes, place: Path, passphrase: str = "") -> archive.Unpacked:
    place.mkdir(exist_ok=True)
    return archive.unpack(io.BytesIO(data), place, passphrase)


@pytest.mark.parametrize("passphrase", ["", PASSPHRASE])
def test_it_holds_all_that_the_site_has(exchange: Exchange, tmp_path: Path, passphrase: str) -> None:
    exchange.ask("1")
    exchange.settle("1", 238)
    (tmp_path / TRIAL_FILE).write_text("a trial")
    (tmp_path / LICENSE_FILE).write_text("a license")
    found = unpacked(made(tmp_path, passphrase), tmp_path / "there", passphrase)
    assert (found.told.schema, found.told.made_ms, found.told.board) == (known_version(), NOW_MS, "CooVox U50")
    assert found.told.rows["calls"] == 1
    assert found.told.rows["accounts"] == 4
    assert found.site_file(TRIAL_FILE) == b"a trial"
    assert found.site_file(LICENSE_FILE) == b"a license"
    assert audited(found.database) == []
    assert look_up(found.database, "SELECT call_id, cost_micros FROM calls") == [("1", 180_000)]


def test_it_holds_nothing_that_lets_somebody_in(exchange: Exchange, tmp_path: Path) -> None:
    handover.make_ticket(tmp_path)
    (tmp_path / "first-password").write_text("let me in")
    (tmp_path / "backup-secrets.json").write_text("and me")
    with tarfile.open(fileobj=io.BytesIO(made(tmp_path))) as tar:
        assert tar.getnames() == ["manifest.json", "database.sqlite3"]
    assert b"let me in" not in gzip.decompress(made(tmp_path))
    assert b"68692e000001" not in gzip.decompress(made(tmp_path)), "the device's identifiers are told to nobody"


def test_it_shows_nothing_without_the_passphrase(exchange: Exchange, tmp_path: Path) -> None:
    sealed = made(tmp_path, PASSPHRASE)
    assert b"Reception" in gzip.decompress(made(tmp_path))
    assert b"Reception" not in sealed
    with pytest.raises(WrongPassphrase):
        unpacked(sealed, tmp_path / "a")
    with pytest.raises(BadInput, match="passphrase is wrong"):
        unpacked(sealed, tmp_path / "b", "another one, longer")


def test_it_leaves_nothing_behind(exchange: Exchange, tmp_path: Path) -> None:
    made(tmp_path)
    assert list((tmp_path / "backups").iterdir()) == []
    (tmp_path / "backups/working-copy-999999999").touch()
    made(tmp_path)
    assert list((tmp_path / "backups").iterdir()) == []


def test_it_says_how_much_room_is_needed(exchange: Exchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "free_bytes_of", lambda _: 500_000)
    with pytest.raises(Refused, match=r"no room for a backup: 1\.[0-9] MB are needed in .* and 0\.5 MB are free"):
        made(tmp_path)


def test_it_notices_any_damage(exchange: Exchange, tmp_path: Path) -> None:
    data = made(tmp_path)
    whole = unpacked(data, tmp_path / "whole")
    refused = 0
    for number, at in enumerate(range(10, len(data), max(1, len(data) // 60))):
        spoiled = bytearray(data)
        spoiled[at] ^= 0x10
        try:
            found = unpacked(bytes(spoiled), tmp_path / f"spoiled-{number}")
        except BadInput:
            refused += 1
        else:  # some bits of a packed run of zeros tell the same otherwise
            assert (found.told, found.database.read_bytes()) == (whole.told, whole.database.read_bytes())
    assert refused > 50
    for number, length in enumerate((0, 1, 20, len(data) // 2, len(data) - 9, len(data) - 1)):
        with pytest.raises(BadInput):
            unpacked(data[:length], tmp_path / f"short-{number}")


def _repacked(data: bytes, place: Path, change: str) -> bytes:
    """The same parts put together by somebody else."""
    found = unpacked(data, place)
    told = json.loads(found.told.encoded())
    parts = [("manifest.json", b""), ("database.sqlite3", found.database.read_bytes())]
    if change == "another database":
        parts[1] = ("database.sqlite3", parts[1][1][:-1] + b"x")
    elif change == "a foreign name":
        told["parts"].append({"name": "../handover-key", "size": 1, "sha256": "0"})
        parts.append(("../handover-key", b"x"))
    elif change == "one part more":
        parts.append(("trial", b"x"))
    elif change == "one part less":
        parts.pop()
    elif change == "no database":
        told["parts"] = []
        parts.pop()
    elif change == "a newer format":
        told["format"] = 2
    elif change == "another product":
        told["product"] = "CooVox Voicemail"
    elif change == "another age":
        told["made_ms"] = 10**18
    elif change == "a word for the terminal":
        told["site"] = "\x1b]0;all is well\x07"
    elif change == "less than nothing":
        told["parts"][0]["size"] = -1
    parts[0] = ("manifest.json", json.dumps(told).encode())
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in parts:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            if change == "a link" and name == "database.sqlite3":
                entry.type, entry.linkname, entry.size = tarfile.SYMTYPE, "/etc/passwd", 0
            tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


CHANGES = {
    "another database": "damaged",
    "a foreign name": "damaged",
    "one part more": "damaged",
    "one part less": "damaged",
    "no database": "damaged",
    "a link": "damaged",
    "a newer format": "newer version",
    "another product": "no backup",
    "another age": "no backup",
    "a word for the terminal": "no backup",
    "less than nothing": "no backup",
}


@pytest.mark.parametrize("change", CHANGES)
def test_it_takes_nothing_but_what_its_manifest_tells(exchange: Exchange, tmp_path: Path, change: str) -> None:
    forged = _repacked(made(tmp_path), tmp_path / "first", change)
    with pytest.raises(BadInput, match=CHANGES[change]):
        unpacked(forged, tmp_path / "second")
    assert not (tmp_path / "handover-key").exists()


def test_it_does_not_take_into_memory_what_a_header_tells_of(tmp_path: Path) -> None:
    many = 64 * 1024 * 1024
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, many
    data = gzip.compress(header.tobuf(tarfile.USTAR_FORMAT) + bytes(many), 1)
    tracemalloc.start()
    try:
        with pytest.raises(BadInput, match="damaged"):
            unpacked(data, tmp_path / "there")
        assert tracemalloc.get_traced_memory()[1] < many / 8
    finally:
        tracemalloc.stop()


def test_it_does_not_read_for_ever_what_follows(exchange: Exchange, tmp_path: Path) -> None:
    data = made(tmp_path) + gzip.compress(bytes(2_000_000))
    with pytest.raises(BadInput, match="damaged"):
        unpacked(data, tmp_path / "there")


@pytest.mark.parametrize("data", [b"", b"PK\3\4 a zip", b"a letter" * 100, gzip.compress(b"not a tar" * 100)])
def test_it_refuses_other_files(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(BadInput, match=r"no backup|damaged"):
        unpacked(data, tmp_path / "there")


def test_it_takes_a_bare_copy_of_a_database(exchange: Exchange, tmp_path: Path) -> None:
    snapshot.copy_of_live(exchange.database.path, tmp_path / "kept" / "upgrade.sqlite3")
    found = unpacked((tmp_path / "kept" / "upgrade.sqlite3").read_bytes(), tmp_path / "there")
    assert found.told.schema == known_version()
    assert found.told.rows["accounts"] == 4


class Callers:
    """Extensions that call and hang up without a break, until they are told to stop; how long each waited."""

    def __init__(self, database: Database) -> None:
        self.waited: list[float] = []
        self._database = database
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._call)

    def __enter__(self) -> Callers:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _call(self) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            question = a_question(f"during-{number}", "101")
            began = time.monotonic()
            self._database.write(lambda c, q=question: calls.authorize(c, q, NOW_MS))
            self._database.write(lambda c: payments.recharge(c, "100", 10_000, MANAGER))
            self.waited.append(time.monotonic() - began)
            time.sleep(0.002)


@pytest.fixture
def big(exchange: Exchange) -> Exchange:
    """With some 30 MB of history, so that a backup takes its time."""

    def fill(connection: object) -> None:
        connection.executemany(  # type: ignore[attr-defined]
            "INSERT INTO changes (at_ms, actor, origin, what, before, after) VALUES (?, 'ann', '', 'x', '', ?)",
            ((number, f"{number:020}" * 20) for number in range(70_000)),
        )

    exchange.database.write(fill)
    return exchange


def test_it_never_holds_up_a_call(big: Exchange, tmp_path: Path) -> None:
    with Callers(big.database) as alone:
        time.sleep(0.6)
    with Callers(big.database) as callers:
        time.sleep(0.1)
        began = time.monotonic()
        data = made(tmp_path)
        took = time.monotonic() - began
    assert took > 0.3, "else nothing was tried"
    assert len(callers.waited) > 20
    # On a busy machine all is slow: so it is compared with calls that had it for themselves.
    assert max(callers.waited) < max(0.4, 8 * max(alone.waited))
    found = unpacked(data, tmp_path / "there")
    assert audited(found.database) == []
    assert contents_sum(found.database) == found.told.rows["ledger"]


def contents_sum(path: Path) -> int:
    with closing(contents.reading(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM ledger").fetchone()[0])


def test_it_is_of_one_instant(big: Exchange, tmp_path: Path) -> None:
    """What is written while it is made is in it wholly or not at all, and does not begin it anew."""
    steps = []

    def write_meanwhile() -> None:
        steps.append(1)
        if len(steps) % 10 == 1:
            big.recharge("100", "1")

    before = look_up(tmp_path / FILE_NAME, "SELECT count(*) FROM ledger")
    copy = tmp_path / "copies" / "one"
    snapshot.copy_of_live(tmp_path / FILE_NAME, copy, lambda _: write_meanwhile())
    assert audited(copy) == []
    assert look_up(copy, "SELECT count(*) FROM ledger") == before
    assert len(steps) < 400
