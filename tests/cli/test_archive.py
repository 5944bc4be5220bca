"""`call archive` at the terminal."""

import gzip
import json
from pathlib import Path

import pytest

from coovox_billing.cli import context
from coovox_billing.cli.main import main
from tests import cast, years
from tests.cast import audited, look_up


def run(data: Path, *words: str) -> int:
    return main(["--data", str(data), "call", "archive", *words])


def test_it_moves_months_of_calls_and_tells_where_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with cast.move_in(tmp_path / "data") as database:
        years.go_by(database, 120, minutes_apart=24 * 60)
    assert run(tmp_path / "data", "--older-than", "1", "--clock-is-right", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert sum(month["calls"] for month in told) == 121
    assert [month["month"] for month in told] == ["2025-11", "2025-12", "2026-01", "2026-02", "2026-03"]
    assert look_up(database.path, "SELECT count(*) FROM calls") == [(0,)]
    assert audited(database.path) == []
    first, second, *_ = gzip.decompress(Path(told[1]["file"]).read_bytes()).decode().splitlines()
    assert first.startswith("Start Time,Call From,Call To,Duration,Trunk Name,Cost($),Status,")
    assert second.startswith("2025-12-01 10:00:00,Reception[100],")
    assert ",00:03:58,FXO-1,0.1800,Answered," in second


def test_it_moves_nothing_by_a_clock_that_is_far_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with cast.move_in(tmp_path / "data") as database:
        years.go_by(database, 120, minutes_apart=24 * 60)
    monkeypatch.setattr(context, "wall_clock_ms", lambda: cast.NOW_MS + 10 * 365 * 86_400_000)
    assert run(tmp_path / "data", "--older-than", "12") == 1
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 1
    assert "the clock says that today is 2036-02-28, and from 2026-03-02 on nobody talked" in told
    assert "--clock-is-right" in told
    assert look_up(database.path, "SELECT count(*) FROM calls") == [(121,)]
    assert not (tmp_path / "data/archive").exists()


def test_it_says_that_nothing_is_old_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cast.move_in(tmp_path / "data").close()
    assert run(tmp_path / "data", "--older-than", "600", "--to", str(tmp_path / "files")) == 0
    assert "is left to be archived" in capsys.readouterr().out
    assert list((tmp_path / "files").iterdir()) == []


@pytest.mark.parametrize("months", ["0", "-1", "x", "1.5", "9999"])
def test_it_takes_whole_months(tmp_path: Path, capsys: pytest.CaptureFixture[str], months: str) -> None:
    cast.move_in(tmp_path / "data").close()
    assert run(tmp_path / "data", f"--older-than={months}") == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not (tmp_path / "data/archive").exists()


def test_it_says_which_directory_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cast.move_in(tmp_path / "data").close()
    (tmp_path / "file").touch()
    assert run(tmp_path / "data", "--older-than", "1", "--to", str(tmp_path / "file/files")) == 1
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 1
    assert f"{tmp_path}/file/files cannot be used" in told
    assert "No call is lost" in told


def test_it_takes_no_empty_word_for_the_directory_that_it_is_called_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cast.move_in(tmp_path / "data").close()
    assert run(tmp_path / "data", "--older-than", "1", "--to", "") == 1
    assert "--to is empty" in capsys.readouterr().err
