"""The register's file: nothing that was written is lost, nothing that was changed goes unseen."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from coovox_license import journal
from coovox_license.files import Prepared, Refused, read_text, write_new
from coovox_license.journal import entries_of, held
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[2]
texts = st.text(max_size=30)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A register with three entries."""
    file = tmp_path / "register.jsonl"
    with held(file) as open_journal:
        for number in range(3):
            open_journal.append({"number": number, "issued_to": "Отель Sonne"})
    return file


def test_it_keeps_entries_in_order(path: Path) -> None:
    assert [entry["number"] for entry in entries_of(path)] == [0, 1, 2]


@given(st.lists(st.dictionaries(texts, texts | st.integers() | st.none(), max_size=3), max_size=4))
def test_it_reads_what_it_writes(tmp_path_factory: pytest.TempPathFactory, entries: list[dict[str, object]]) -> None:
    file = tmp_path_factory.mktemp("journal") / "register.jsonl"
    entries = [{name: value for name, value in entry.items() if name != "check"} for entry in entries]
    for entry in entries:
        with held(file) as open_journal:
            open_journal.append(entry)
    assert entries_of(file) == entries


def test_it_loses_no_entry_wherever_a_crash_cuts_the_last_one(path: Path) -> None:
    whole = path.read_bytes()
    start = whole[:-1].rfind(b"\n") + 1
    for length in range(start, len(whole) + 1):
        path.write_bytes(whole[:length])
        counted = 3 if length >= len(whole) - 1 else 2
        assert len(entries_of(path)) == counted
        with held(path) as open_journal:
            open_journal.append({"number": 9})
        assert [entry["number"] for entry in entries_of(path)] == [*range(counted), 9]


@pytest.mark.parametrize("size", [1, 100, 4096])
def test_it_drops_what_a_power_cut_left_as_zeros(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes() + b"\0" * size)
    with held(path) as open_journal:
        open_journal.append({"number": 3})
    assert [entry["number"] for entry in entries_of(path)] == [0, 1, 2, 3]
    assert path.read_bytes().endswith(b"}\n")


def test_it_sees_every_change_and_every_line_taken_out(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    changed = [
        (lines[1:], 1),
        ([lines[0], lines[2]], 2),
        ([lines[1], lines[0], lines[2]], 1),
        ([lines[0].replace(b"Sonne", b"Mond"), *lines[1:]], 1),
        ([*lines[:2], lines[2].replace(b":2,", b":7,")], 3),
        ([lines[0], b"\n", *lines[1:]], 2),
        ([lines[0], b"[]\n", *lines[1:]], 2),
        ([lines[0], b"[" * 100_000 + b"\n", *lines[1:]], 2),
    ]
    for spoiled, line in changed:
        assert spoiled != lines
        path.write_bytes(b"".join(spoiled))
        with pytest.raises(Refused, match=f"changed at line {line}: put its last good copy"):
            entries_of(path)


def test_it_survives_an_editor_that_changes_ends_of_lines(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    with held(path) as open_journal:
        open_journal.append({"number": 3})
    assert len(entries_of(path)) == 4


def test_it_says_so_when_the_disk_is_full(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with held(path) as open_journal:
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(Refused, match="No space left"):
            open_journal.append({"number": 3})
        monkeypatch.undo()
        assert path.read_bytes() == before
        open_journal.append({"number": 4})
    assert [entry["number"] for entry in entries_of(path)] == [0, 1, 2, 4]


def test_it_lets_one_window_write_at_a_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "LOCK_WAIT_SECONDS", 0.2)
    with held(path), pytest.raises(Refused, match="in use in another window"), held(path):
        pass
    with held(path):
        pass


def test_it_gives_no_number_twice_to_windows_side_by_side(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from coovox_license.journal import held\n"
        "for _ in range(20):\n"
        " with held(Path(sys.argv[1])) as journal: journal.append({'number': len(journal.entries)})\n"
    )
    file = tmp_path / "register.jsonl"
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'license'}"}
    windows = [subprocess.Popen([sys.executable, "-c", script, str(file)], env=environment) for _ in range(3)]
    assert [window.wait(timeout=60) for window in windows] == [0, 0, 0]
    assert [entry["number"] for entry in entries_of(file)] == list(range(60))


def test_it_locks_on_windows_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, int]] = []

    def locking(descriptor: int, mode: int, size: int) -> None:
        calls.append((mode, size))
        if len(calls) < 3:
            raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", "win32")
        patch.setitem(sys.modules, "msvcrt", SimpleNamespace(locking=locking, LK_NBLCK=2))
        spec = importlib.util.spec_from_file_location("journal_on_windows", journal.__file__)
        assert spec and spec.loader
        windows = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(windows)
    with windows.held(path) as open_journal:
        open_journal.append({"number": 3})
    assert calls == [(2, 1)] * 3
    assert len(entries_of(path)) == 4


def test_it_never_writes_over_a_file_that_is_new(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "file"
    write_new(file, b"one")
    with pytest.raises(Refused, match="exists and is never overwritten"):
        write_new(file, b"two")
    assert file.read_bytes() == b"one"
    assert file.stat().st_mode & 0o777 == 0o600


def test_it_leaves_nothing_of_a_file_that_was_not_put(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"old")
    Prepared(file, b"new").drop()
    assert (list(tmp_path.iterdir()), file.read_bytes()) == ([file], b"old")
    Prepared(file, b"new").put()
    assert (list(tmp_path.iterdir()), file.read_bytes()) == ([file], b"new")


def test_it_names_a_file_that_it_cannot_read(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(Refused, match="cannot be read"):
            read_text(path)
