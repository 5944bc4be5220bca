"""A backup is kept wholly or not at all: in folders, on sticks, on real servers; and what is wrong is told."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

import pytest

from coovox_billing.backup import places, s3
from coovox_billing.backup.places import PlaceTrouble, at_place
from coovox_billing.backup.s3 import PART_BYTES
from coovox_billing.core.backup_plan import Address, parse_address
from tests.backup.servers import Sshd, Wire, an_s3, an_sshd, free_port

NAME = "billing-0badcafe-20260302T023000Z.tar.gz"
KEYS = {"s3-key-id": "testing", "s3-secret": "testing"}


def writes(data: bytes) -> Any:
    def write(out: BinaryIO) -> None:
        for start in range(0, len(data), 100_000):
            out.write(data[start : start + 100_000])

    return write


def fails(out: BinaryIO) -> None:
    out.write(b"half of it")
    raise OSError(errno.EIO, "Input/output error")


class Kept:
    """A place to try out, opened anew for each thing that is done there."""

    def __init__(self, directory: Path, address: Address, secrets: dict[str, str], host_key: str = "") -> None:
        self.directory, self.address, self.secrets, self.host_key = directory, address, secrets, host_key

    def keep(self, data: bytes, name: str = NAME, write: Any = None) -> int:
        with self._open() as place:
            return place.keep(name, write or writes(data))

    def fetched(self, name: str = NAME) -> bytes:
        out = io.BytesIO()
        with self._open() as place:
            place.fetch(name, out)
        return out.getvalue()

    def names(self) -> set[str]:
        with self._open() as place:
            return {one.name for one in place.stored()}

    def remove(self, name: str) -> None:
        with self._open() as place:
            place.remove(name)

    def refusal(self, data: bytes = b"x", write: Any = None) -> str:
        with pytest.raises(PlaceTrouble) as caught:
            self.keep(data, write=write)
        return str(caught.value)

    def _open(self) -> Any:
        return at_place(self.address, self.directory, self.secrets, self.host_key, "us-east-1")


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with an_sshd(tmp_path_factory.mktemp("ssh") / "d") as server:
        yield server


@pytest.fixture(scope="module")
def s3_port() -> Iterator[int]:
    import boto3

    with an_s3() as port:
        client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{port}",
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )
        client.create_bucket(Bucket="backups")
        yield port


def _address(text: str) -> Address:
    found = parse_address(text)
    assert found is not None
    return found


def _sftp(sshd: Sshd, directory: Path, port: int = 0) -> Kept:
    user = os.environ.get("USER") or "root"
    address = _address(f"sftp://{user}@127.0.0.1:{port or sshd.port}{sshd.folder}")
    return Kept(directory, address, {"sftp-key": sshd.key}, sshd.fingerprint)


def _s3(port: int, directory: Path, bucket: str = "backups") -> Kept:
    return Kept(directory, _address(f"s3+http://127.0.0.1:{port}/{bucket}/a/site"), dict(KEYS))


@pytest.fixture(params=["folder", "sftp", "s3"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Kept:
    if request.param == "folder":
        return Kept(tmp_path, _address(f"{tmp_path}/kept"), {})
    if request.param == "sftp":
        return _sftp(request.getfixturevalue("sshd"), tmp_path)
    return _s3(request.getfixturevalue("s3_port"), tmp_path)


@pytest.mark.parametrize("size", [0, 5, 300_000, 2 * PART_BYTES, 2 * PART_BYTES + 17])
def test_it_keeps_what_it_is_given(kept: Kept, size: int) -> None:
    data = os.urandom(size)
    assert kept.keep(data) == size
    assert kept.fetched() == data
    assert NAME in kept.names()
    kept.remove(NAME)
    assert NAME not in kept.names()


@pytest.mark.parametrize("size", [10, 2 * PART_BYTES])
def test_it_keeps_nothing_of_what_could_not_be_made(kept: Kept, size: int) -> None:
    def breaks_off(out: BinaryIO) -> None:
        writes(bytes(size))(out)
        raise PlaceTrouble("the site's disk fails")

    assert "fails" in kept.refusal(write=breaks_off)
    assert kept.names() == set() or kept.names() == {f".{NAME}.part"}
    kept.keep(b"the next one")
    assert kept.names() == {NAME}, "what was left of the one before is gone"
    kept.remove(NAME)


@pytest.mark.parametrize("kind", ["sftp", "s3"])
def test_it_keeps_nothing_of_an_upload_that_was_cut_off(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "ATTEMPTS", 0)
    data = os.urandom(3 * PART_BYTES)
    if kind == "sftp":
        sshd: Sshd = request.getfixturevalue("sshd")
        wire = Wire(sshd.port, PART_BYTES + 1000)
        cut, whole = _sftp(sshd, tmp_path, wire.port), _sftp(sshd, tmp_path)
    else:
        port: int = request.getfixturevalue("s3_port")
        wire = Wire(port, PART_BYTES + 500_000)
        cut, whole = _s3(wire.port, tmp_path), _s3(port, tmp_path)
    assert "127.0.0.1" in cut.refusal(data)
    wire.close()
    assert NAME not in whole.names()
    whole.keep(data)
    assert whole.fetched() == data
    assert whole.names() == {NAME}
    whole.remove(NAME)


def test_it_sends_nothing_to_a_server_that_nobody_vouched_for(sshd: Sshd, tmp_path: Path) -> None:
    kept = _sftp(sshd, tmp_path)
    kept.host_key = ""
    assert f"shows the key {sshd.fingerprint}" in kept.refusal()


def test_it_sends_nothing_to_a_server_with_another_key(sshd: Sshd, tmp_path: Path) -> None:
    kept = _sftp(sshd, tmp_path)
    kept.host_key = "SHA256:" + "A" * 43
    told = kept.refusal()
    assert f"shows another key than it should, {sshd.fingerprint}" in told
    assert "Nothing was sent" in told


def test_it_says_that_a_key_lets_nobody_in(sshd: Sshd, tmp_path: Path) -> None:
    with an_sshd(tmp_path / "other") as other:
        kept = _sftp(sshd, tmp_path)
        kept.secrets = {"sftp-key": other.key}
        assert "does not let" in kept.refusal()
    kept.secrets = {"sftp-password": "guessed"}
    assert "does not let" in kept.refusal() or "Bad authentication type" in kept.refusal()
    kept.secrets = {}
    assert "wants a key or a password" in kept.refusal()
    kept.secrets = {"sftp-key": "-----BEGIN OPENSSH PRIVATE KEY-----\nnonsense\n-----END OPENSSH PRIVATE KEY-----\n"}
    assert "cannot be read" in kept.refusal()


def test_it_says_that_a_server_is_not_there(
    sshd: Sshd, s3_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "ATTEMPTS", 0)
    assert "cannot be reached" in _sftp(sshd, tmp_path, free_port()).refusal()
    assert "cannot be used" in _s3(free_port(), tmp_path).refusal()


def test_it_says_that_a_folder_of_the_server_is_not_there(sshd: Sshd, tmp_path: Path) -> None:
    kept = _sftp(sshd, tmp_path)
    kept.address = replace(kept.address, folder=f"{sshd.folder}/not/there")
    assert "No such file" in kept.refusal()


def test_it_says_that_a_bucket_is_not_there(s3_port: int, tmp_path: Path) -> None:
    told = _s3(s3_port, tmp_path, "other-bucket").refusal()
    assert "NoSuchBucket" in told
    kept = _s3(s3_port, tmp_path)
    kept.secrets = {}
    assert "wants a key" in kept.refusal()


def test_it_never_writes_where_no_stick_is(tmp_path: Path) -> None:
    """The folder is there, as mount points are, and below it is the system's own disk."""
    (tmp_path / "stick").mkdir()
    kept = Kept(tmp_path, _address(f"usb:{tmp_path}/stick/billing"), {})
    assert "no stick is mounted" in kept.refusal()
    (tmp_path / "stick" / "billing").mkdir()
    assert "no stick is mounted" in kept.refusal()
    assert list((tmp_path / "stick" / "billing").iterdir()) == []


@pytest.fixture
def box() -> Iterator[Path]:
    """A data directory on the system's disk, wherever else tests keep their files."""
    with TemporaryDirectory(dir="/var/tmp") as directory:
        yield Path(directory)


def test_it_never_writes_into_memory_where_no_stick_is(box: Path) -> None:
    """As below /run/media: another file system than the system's disk, and gone at the next start."""
    folder = Path("/dev/shm") / f"media-{os.getpid()}"
    folder.mkdir()
    try:
        assert places.kind_of_file_system(folder.stat().st_dev) == "tmpfs"
        assert "is in memory" in Kept(box, _address(f"usb:{folder}/billing"), {}).refusal()
        assert list(folder.iterdir()) == []
    finally:
        folder.rmdir()


@pytest.fixture
def stick(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Another file system than the system's, as a stick is; a test has none but in memory."""
    monkeypatch.setattr(places, "_IN_MEMORY", ())
    folder = Path("/dev/shm") / f"stick-{os.getpid()}"
    folder.mkdir()
    assert folder.stat().st_dev != Path("/").stat().st_dev
    yield folder
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


def test_it_keeps_on_a_stick(stick: Path, box: Path) -> None:
    kept = Kept(box, _address(f"usb:{stick}/billing"), {})
    kept.keep(b"all of it")
    assert (stick / "billing" / NAME).read_bytes() == b"all of it"
    assert (stick / "billing" / NAME).stat().st_mode & 0o077 == 0


def test_it_notices_that_a_stick_is_pulled_out(stick: Path, box: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept(box, _address(f"usb:{stick}/billing"), {})
    assert "Input/output error" in kept.refusal(write=fails)
    assert list((stick / "billing").iterdir()) == []
    opened, root = os.open, Path(box / "below")
    root.mkdir()

    def pulled(path: Any, flags: int, *rest: Any, **named: Any) -> int:
        """What is below the mount point once nothing is mounted there any more."""
        name = Path(path).name
        return opened(root / name if name.startswith(".billing-") else path, flags, *rest, **named)

    monkeypatch.setattr(places.os, "open", pulled)
    assert "no stick is mounted" in kept.refusal()


def test_it_tells_of_a_stick_that_gives_back_other_bytes(stick: Path, box: Path, monkeypatch: Any) -> None:
    kept = Kept(box, _address(f"usb:{stick}/billing"), {})
    read = os.read
    monkeypatch.setattr(places.os, "read", lambda handle, count: read(handle, count).replace(b"all", b"ill"))
    assert "gives back other bytes" in kept.refusal(b"all of it")
    assert list((stick / "billing").iterdir()) == []


def test_what_root_keeps_is_of_the_owner_of_the_folder(tmp_path: Path) -> None:
    folder, owner = tmp_path / "kept", 12345 if os.geteuid() == 0 else os.geteuid()
    folder.mkdir()
    os.chown(folder, owner, -1)
    with at_place(parse_address(str(folder)), tmp_path, {}, "", "") as place:
        place.keep("site", lambda out: out.write(b"data"))
    assert (folder / "site").stat().st_uid == owner


def test_it_tells_that_a_folder_is_full_or_closed(tmp_path: Path) -> None:
    def is_full(out: BinaryIO) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    kept = Kept(tmp_path, _address(f"{tmp_path}/kept"), {})
    assert "No space left on device. See that it is there, can be written and has room" in kept.refusal(write=is_full)
    assert list((tmp_path / "kept").iterdir()) == []
    kept.address = _address(f"{tmp_path}/not/there")
    assert "No such file" in kept.refusal()
    (tmp_path / "file").touch()
    kept.address = _address(f"{tmp_path}/file")
    assert "Not a directory" in kept.refusal() or "File exists" in kept.refusal()
