"""Whenever the plug is pulled and whatever the flash does, one good copy of a record is left."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coovox_billing.errors import BadInput
from coovox_billing.firmware import persistent_store
from coovox_billing.firmware.persistent_store import COPIES, MOST_RECORD_BYTES, PersistentStore, StoreFault

OLD, NEW = b"the record before", b"the record after it, which is longer"


class PowerCut(BaseException):
    """The plug was pulled."""


@dataclass
class Disk:
    """What of a directory is on the platter: names since its last fsync, contents since that of the file.

    `before` is called ahead of each step with its name: it may raise.
    """

    directory: Path
    before: Callable[[str], None] = lambda name: None
    names: dict[str, int] = field(default_factory=dict)
    contents: dict[int, bytes] = field(default_factory=dict)
    births: dict[int, int] = field(default_factory=dict)
    steps: list[str] = field(default_factory=list)
    is_honest: bool = True

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """See each step from now on."""
        self._settle()
        self._wrap(patch, os, "open", lambda path, flags, *_, **__: bool(flags & os.O_CREAT), self._born)
        self._wrap(patch, os, "fsync", lambda handle: True, lambda _, handle: self._synced(handle))
        self._wrap(patch, Path, "replace", lambda *_: True)
        self._wrap(patch, Path, "unlink", lambda *_, **__: True)

    def after_power_cut(self, target: Path, keeps_names: bool, keeps_contents: bool) -> PersistentStore:
        """The directory as it is when the power is back: the disk may have written more than it was asked to."""
        now = {path.name: self._file(path) for path in self.directory.iterdir()}
        written = {self._file(path): path.read_bytes() for path in self.directory.iterdir()}
        target.mkdir()
        for name, file in (now if keeps_names else self.names).items():
            safe = self.contents.get(file, b"")
            (target / name).write_bytes(written.get(file, safe) if keeps_contents else safe)
        return PersistentStore(target)

    def _settle(self) -> None:
        """All that is there is on the platter."""
        if self.directory.is_dir():
            self.names = {path.name: self._file(path) for path in self.directory.iterdir()}
            self.contents = {self._file(path): path.read_bytes() for path in self.directory.iterdir()}

    def _file(self, path: Path) -> int:
        """Which file it is; the number of one that was removed comes again."""
        inode = path.stat().st_ino
        return self.births.get(inode, 0) << 64 | inode

    def _born(self, handle: int, *_: object) -> None:
        inode = os.fstat(handle).st_ino
        self.births[inode] = self.births.get(inode, 0) + 1

    def _synced(self, handle: int) -> None:
        if not self.is_honest:
            return
        path = Path(f"/proc/self/fd/{handle}").readlink()
        if path == self.directory:
            self.names = {entry.name: self._file(entry) for entry in path.iterdir()}
        elif path.parent == self.directory:
            self.contents[self._file(path)] = path.read_bytes()

    def _wrap(
        self,
        patch: pytest.MonkeyPatch,
        owner: Any,
        name: str,
        is_step: Callable[..., bool],
        done: Callable[..., None] | None = None,
    ) -> None:
        real = getattr(owner, name)

        def stepped(*arguments: Any, **options: Any) -> Any:
            if not is_step(*arguments, **options):
                return real(*arguments, **options)
            self.steps.append(name)
            self.before(name)
            result = real(*arguments, **options)
            if done is not None:
                done(result, *arguments)
            return result

        patch.setattr(owner, name, stepped)


@pytest.fixture
def store(tmp_path: Path) -> PersistentStore:
    """A store with one record."""
    made = PersistentStore(tmp_path / "store")
    made.write("trial", OLD)
    return made


def steps_of_a_write(directory: Path) -> list[str]:
    """The names of the steps that a write takes over a record that is there."""
    made = PersistentStore(directory)
    made.write("trial", OLD)
    with pytest.MonkeyPatch.context() as patch:
        disk = Disk(directory)
        disk.install(patch)
        made.write("trial", NEW)
    return disk.steps


def at_step(number: int, error: BaseException) -> Callable[[str], None]:
    """Raises when that many steps were taken: a fault once, a power cut from then on."""
    left = [number]

    def before(name: str) -> None:
        left[0] -= 1
        if left[0] == -1 or (left[0] < 0 and isinstance(error, PowerCut)):
            raise error

    return before


def test_it_gives_back_what_was_written(store: PersistentStore) -> None:
    store.write("billing.license", NEW)
    assert (store.read("trial"), store.read("billing.license")) == (OLD, NEW)
    assert store.names() == ["billing.license", "trial"]
    assert store.faults() == []


NAMES = st.from_regex(r"[a-z0-9][a-z0-9.-]{0,20}", fullmatch=True)


@given(st.dictionaries(NAMES, st.binary(max_size=200), max_size=4))
@example({"a.1": b"x", "a": b"y"})
@example({"trial": b"coovox-record 1 9 0 0\n"})
def test_it_keeps_any_bytes_under_any_names(
    tmp_path_factory: pytest.TempPathFactory, records: dict[str, bytes]
) -> None:
    made = PersistentStore(tmp_path_factory.mktemp("store"))
    for name, content in records.items():
        made.write(name, content)
    assert {name: made.read(name) for name in records} == records
    assert made.names() == sorted(records)


def test_its_files_are_private(store: PersistentStore) -> None:
    assert {path.stat().st_mode & 0o777 for path in store.directory.iterdir()} == {0o600}
    assert store.directory.stat().st_mode & 0o777 == 0o700


def test_it_writes_nothing_when_nothing_changed(store: PersistentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(store.directory)
    disk.install(monkeypatch)
    store.write("trial", OLD)
    assert disk.steps == []
    store.write("trial", NEW)
    assert disk.steps == ["open", "fsync", "replace", "fsync"] * len(COPIES)


# What a disk may do with what it was not yet asked to keep: lose all of it, write only names, write all.
@pytest.mark.parametrize(("keeps_names", "keeps_contents"), [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize("is_first", [False, True])
def test_a_power_cut_at_any_step_leaves_the_old_or_the_new_record(
    tmp_path: Path, keeps_names: bool, keeps_contents: bool, is_first: bool
) -> None:
    count = len(steps_of_a_write(tmp_path / "counted"))
    seen = set()
    for number in range(count + 1):
        made = PersistentStore(tmp_path / f"store{number}")
        made.directory.mkdir()
        if not is_first:
            made.write("trial", OLD)
        with pytest.MonkeyPatch.context() as patch:
            disk = Disk(made.directory, at_step(number, PowerCut()))
            disk.install(patch)
            try:
                made.write("trial", NEW)
                is_done = True
            except PowerCut:
                is_done = False
        back = disk.after_power_cut(tmp_path / f"platter{number}", keeps_names, keeps_contents)
        found = back.read("trial")
        seen.add(found)
        assert found == NEW if is_done else found in (None if is_first else OLD, NEW)
        back.write("trial", NEW)
        assert (back.read("trial"), back.faults()) == (NEW, [])
        assert {path.name for path in back.directory.iterdir()} == {f"trial{ending}" for ending in COPIES}
    assert seen == {None if is_first else OLD, NEW}


def test_it_finds_a_write_that_does_not_wait_for_the_disk(tmp_path: Path) -> None:
    """The test of the test: with an fsync that does nothing, a power cut takes everything."""
    made = PersistentStore(tmp_path / "store")
    made.write("trial", OLD)
    with pytest.MonkeyPatch.context() as patch:
        disk = Disk(made.directory, is_honest=False)
        disk.install(patch)
        made.write("trial", NEW)
    assert disk.after_power_cut(tmp_path / "platter", keeps_names=True, keeps_contents=False).read("trial") is None


@pytest.mark.parametrize(
    ("number", "word"),
    [
        (errno.EROFS, "read-only"),
        (errno.ENOSPC, "full"),
        (errno.EACCES, "run it as root"),
        (errno.EIO, "flash is failing"),
        (errno.ENOTDIR, "Not a directory"),
    ],
)
def test_a_fault_at_any_step_is_told_and_loses_nothing(tmp_path: Path, number: int, word: str) -> None:
    for step in range(len(steps_of_a_write(tmp_path / "counted"))):
        made = PersistentStore(tmp_path / f"store{step}")
        made.write("trial", OLD)
        with pytest.MonkeyPatch.context() as patch:
            Disk(made.directory, at_step(step, OSError(number, os.strerror(number)))).install(patch)
            with pytest.raises(StoreFault, match=word):
                made.write("trial", NEW)
        assert made.read("trial") in (OLD, NEW)
        assert {path.name for path in made.directory.iterdir()} == {f"trial{ending}" for ending in COPIES}
        made.write("trial", NEW)
        assert (made.read("trial"), made.faults()) == (NEW, [])


def test_it_outlives_any_one_flipped_bit(store: PersistentStore) -> None:
    path = store.directory / f"trial{COPIES[0]}"
    good = path.read_bytes()
    for bit in range(len(good) * 8):
        at = bit // 8
        path.write_bytes(good[:at] + bytes([good[at] ^ 1 << bit % 8]) + good[at + 1 :])
        assert store.read("trial") == OLD
        assert len(store.faults()) == 1


@pytest.mark.parametrize("damage", [b"", b"\xff" * 100, b"coovox-record 1 99 5 00\nhello", b"x" * (1 << 20)])
def test_it_outlives_a_bad_block_under_one_copy_and_repairs_it(store: PersistentStore, damage: bytes) -> None:
    for ending in COPIES:
        (store.directory / f"trial{ending}").write_bytes(damage)
        assert store.read("trial") == OLD
        store.write("trial", OLD)
        assert store.faults() == []


@pytest.mark.parametrize(("bad", "good"), [COPIES, COPIES[::-1]])
def test_it_replaces_the_damaged_copy_first_and_the_newer_one_counts(
    store: PersistentStore, bad: str, good: str
) -> None:
    (store.directory / f"trial{bad}").write_bytes(b"rot")
    before = (store.directory / f"trial{good}").read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        disk = Disk(store.directory, at_step(4, PowerCut()))
        disk.install(patch)
        with pytest.raises(PowerCut):
            store.write("trial", NEW)
    assert disk.steps == ["open", "fsync", "replace", "fsync", "open"]
    assert (store.directory / f"trial{good}").read_bytes() == before
    assert store.read("trial") == NEW


def test_it_says_when_both_copies_are_gone(store: PersistentStore) -> None:
    for ending in COPIES:
        (store.directory / f"trial{ending}").write_bytes(b"")
    assert store.read("trial") is None
    assert store.names() == []
    assert "both copies of trial are damaged" in store.faults()[0]


@pytest.mark.parametrize("kind", ["directory", "link", "pipe"])
def test_something_else_in_the_place_of_a_copy_is_no_copy(store: PersistentStore, tmp_path: Path, kind: str) -> None:
    path = store.directory / f"trial{COPIES[0]}"
    elsewhere = path.rename(tmp_path / "elsewhere")
    if kind == "directory":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(elsewhere)
    else:
        os.mkfifo(path)
    assert store.read("trial") == OLD
    assert len(store.faults()) == 1


def test_a_store_that_is_not_there_reads_as_empty_and_is_made_by_writing(tmp_path: Path) -> None:
    made = PersistentStore(tmp_path / "a/b/store")
    assert (made.read("trial"), made.names(), made.faults()) == (None, [], [])
    made.erase()
    assert not made.directory.exists()
    made.write("trial", OLD)
    assert made.read("trial") == OLD


def test_a_store_whose_file_system_is_not_mounted_is_not_written(tmp_path: Path) -> None:
    made = PersistentStore(tmp_path / "persist/store", missing_mount="/persist")
    with pytest.raises(StoreFault, match="nothing is mounted at /persist"):
        made.write("trial", OLD)
    with pytest.raises(StoreFault, match="nothing is mounted"):
        made.erase()
    assert made.read("trial") is None
    assert "mount it" in made.faults()[0]
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_the_store_is_told(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("no directory")
    made = PersistentStore(tmp_path / "store")
    assert (made.read("trial"), made.names()) == (None, [])
    with pytest.raises(StoreFault, match="cannot be written"):
        made.write("trial", OLD)


def test_erasing_takes_the_records_and_leaves_what_is_not_ours(store: PersistentStore) -> None:
    (store.directory / "lost+found").mkdir()
    (store.directory / "others.1").write_bytes(b"a copy by its name, so it goes")
    (store.directory / "README").write_text("not ours")
    (store.directory / ".trial.1.00aa11bb").write_bytes(b"half")
    store.erase()
    assert {path.name for path in store.directory.iterdir()} == {"lost+found", "README"}
    assert store.read("trial") is None


def test_a_record_that_is_too_large_is_refused_and_the_old_one_stays(store: PersistentStore) -> None:
    store.write("trial", b"x" * MOST_RECORD_BYTES)
    with pytest.raises(BadInput, match="at most 16384"):
        store.write("trial", b"x" * (MOST_RECORD_BYTES + 1))
    assert store.read("trial") == b"x" * MOST_RECORD_BYTES


@pytest.mark.parametrize("name", ["", "../trial", "a/b", ".hidden", "Trial", "a" * 42, "tri\nal", "a\0"])
def test_a_name_that_is_none_is_refused(store: PersistentStore, name: str) -> None:
    with pytest.raises(BadInput, match="no name of a record"):
        store.write(name, OLD)
    with pytest.raises(BadInput, match="no name of a record"):
        store.read(name)


def test_who_writes_at_the_same_time_waits_and_is_told_of_one_that_hangs(
    store: PersistentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(persistent_store, "_LOCK_SECONDS", 0.1)
    with store._alone(), pytest.raises(StoreFault, match="another program"):
        PersistentStore(store.directory).write("trial", NEW)
    PersistentStore(store.directory).write("trial", NEW)
    assert store.read("trial") == NEW


def test_a_store_that_is_copied_whole_is_as_good(store: PersistentStore, tmp_path: Path) -> None:
    shutil.copytree(store.directory, tmp_path / "copy")
    assert PersistentStore(tmp_path / "copy").read("trial") == OLD
