"""Old calls move into files: nothing lost, nothing twice, whatever dies, and the money is what it was."""

import csv
import gzip
import hashlib
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coovox_billing.core import why
from coovox_billing.core.call import ARCHIVED, Source, late_id
from coovox_billing.core.clock import UNKNOWN
from coovox_billing.errors import BadInput, Refused
from coovox_billing.services import archive, calls, live_calls, payments, reconciliation, settlement
from coovox_billing.services.archive import Archive, Moved, Shown, first_day_kept
from coovox_billing.store.database import Database, connect
from tests import cast
from tests.cast import MANAGER, NOW_MS, a_leg, audited, look_up
from tests.web import story

DAY_MS = 86_400_000
BEFORE = date(2026, 2, 1)
SHOWN = Shown(["Call From"], lambda row: [f"{row['name']}[{row['extension']}]"])
MONEY = (
    "accounts",
    "ledger",
    "daily_extension_totals",
    "daily_trunk_totals",
    "daily_hour_totals",
    "daily_destination_totals",
    "stays",
)
KEPT = "call_id, state, account_id, local_day, local_hour, trunk, destination, talk_seconds"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """The cast's winter: calls of all kinds in December and January, and some of February and today."""
    with cast.move_in(tmp_path / "data") as moved_in:
        live_through_winter(moved_in)
        yield moved_in


def live_through_winter(database: Database) -> None:
    for number, days_ago in enumerate((75, 74, 45, 44, 20, 0)):
        asked_ms = NOW_MS - days_ago * DAY_MS
        story.talk(database, f"talk-{number}", "100", "988360046", asked_ms, 238)
        story.talk(database, f"free-{number}", "103", "988360046", asked_ms, 20)
        story.ring_out(database, f"nobody-{number}", "101", "988360046", asked_ms)
        story.ask(database, f"lobby-{number}", "102", "988360046", asked_ms)
    old_ms = NOW_MS - 70 * DAY_MS
    story.lose(database, "lost", "100", "988360046", old_ms)
    story.ask(database, "held", "101", "988360046", old_ms)
    story.talk(database, "poor", "100", "0034911234567", old_ms, 36_000)


def archived_to(database: Database, directory: Path, before: date = BEFORE) -> list[Moved]:
    return list(Archive(database, database.path.parent, directory, SHOWN).move(before, MANAGER))


def money(path: Path) -> list[list[tuple[Any, ...]]]:
    return [look_up(path, f"SELECT * FROM {table} ORDER BY 1, 2") for table in MONEY]


def ids(path: Path) -> set[str]:
    return {row[0] for row in look_up(path, "SELECT call_id FROM calls")}


def lines(directory: Path) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    for path in sorted(directory.glob("calls-*.csv.gz")):
        with gzip.open(path, "rt", encoding="utf-8", newline="") as text:
            found += csv.DictReader(text)
    return found


def manifest(directory: Path) -> dict[str, str]:
    text = (directory / "SHA256SUMS").read_text()
    return {name: digest for digest, name in (line.split("  ") for line in text.splitlines())}


def hashes(directory: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.glob("calls-*.csv.gz")}


@pytest.mark.parametrize(
    ("today", "months", "day"),
    [
        (date(2026, 3, 2), 1, date(2026, 2, 1)),
        (date(2026, 3, 31), 3, date(2025, 12, 1)),
        (date(2026, 1, 1), 12, date(2025, 1, 1)),
        (date(2026, 12, 31), 12, date(2025, 12, 1)),
        (date(1970, 1, 1), 1200, date(1870, 1, 1)),
    ],
)
def test_it_keeps_whole_months(today: date, months: int, day: date) -> None:
    assert first_day_kept(today, months) == day


@pytest.mark.parametrize("months", [-1, 0, 1201])
def test_it_keeps_the_newest_calls_whatever_is_asked(months: int) -> None:
    with pytest.raises(BadInput, match="1 to 1200 months"):
        first_day_kept(date(2026, 3, 2), months)


@pytest.mark.parametrize(
    ("days_ago", "today", "is_believed"),
    [
        ([], date(2036, 3, 2), True),
        ([0], date(2026, 3, 2), True),
        ([31], date(2026, 3, 2), True),
        ([32], date(2026, 3, 2), False),
        ([0, 31], date(2026, 3, 2), True),
        ([0, 62], date(2026, 3, 2), True),
        ([0, 63], date(2026, 3, 2), False),
        ([0, 31, 300], date(2026, 3, 2), True),
        ([0, 31], date(2026, 4, 3), False),
        ([-3650, 0], date(2036, 2, 28), False),
        ([-3650, 0], date(2026, 3, 2), True),
    ],
)
def test_it_believes_a_clock_that_fits_the_days_of_the_calls(
    tmp_path: Path, days_ago: list[int], today: date, is_believed: bool
) -> None:
    with cast.move_in(tmp_path / "data") as moved_in:
        for number, days in enumerate(days_ago):
            story.talk(moved_in, str(number), "100", "988360046", NOW_MS - days * DAY_MS, 20)
        with nullcontext() if is_believed else pytest.raises(Refused, match="the clock says"):
            moved_in.read(lambda c: archive.check_clock(c, today))


def test_it_believes_the_clock_when_all_older_calls_are_archived(database: Database, tmp_path: Path) -> None:
    archived_to(database, tmp_path / "files")
    database.read(lambda c: archive.check_clock(c, date(2026, 3, 2)))


def test_it_moves_calls_that_are_over_and_old_and_no_others(database: Database, tmp_path: Path) -> None:
    every = ids(database.path)
    moved = archived_to(database, tmp_path / "files")
    assert [(one.month, one.path.name, one.calls, one.stayed) for one in moved] == [
        ("2025-12", "calls-2025-12.csv.gz", 8, 0),
        ("2026-01", "calls-2026-01.csv.gz", 8, 0),
    ]
    gone = {f"{kind}-{number}" for kind in ("talk", "free", "nobody", "lobby") for number in range(4)}
    assert every - ids(database.path) == gone
    assert {"lost", "held", "poor"} <= ids(database.path)
    assert Counter(line["call_id"] for line in lines(tmp_path / "files")) == Counter(gone)


def test_it_writes_all_that_a_call_keeps(database: Database, tmp_path: Path) -> None:
    with closing(connect(database.path)) as connection:
        row = dict(connection.execute("SELECT * FROM calls WHERE call_id = 'talk-0'").fetchone())
    archived_to(database, tmp_path / "files")
    (line,) = [line for line in lines(tmp_path / "files") if line["call_id"] == "talk-0"]
    assert line == {"Call From": "Reception[100]"} | {
        name: "" if value is None else str(value) for name, value in row.items() if name != "why"
    } | {"why": why.in_full(row["why"])}
    assert line["cost_micros"] == "180000" and "wins" in line["why"]


def test_it_writes_no_formula(database: Database, tmp_path: Path) -> None:
    database.write(lambda c: c.execute("UPDATE calls SET number_dialed = '=cmd()' WHERE call_id = 'talk-0'"))
    archived_to(database, tmp_path / "files")
    (line,) = [line for line in lines(tmp_path / "files") if line["call_id"] == "talk-0"]
    assert line["number_dialed"] == "'=cmd()"
    assert "talk-0" not in ids(database.path)


def test_it_leaves_money_and_statistics_as_they_were(database: Database, tmp_path: Path) -> None:
    before = money(database.path)
    archived_to(database, tmp_path / "files")
    assert money(database.path) == before
    assert audited(database.path) == []


def test_it_tells_the_hash_of_each_file_and_enters_who_did_it(database: Database, tmp_path: Path) -> None:
    archived_to(database, tmp_path / "files")
    assert manifest(tmp_path / "files") == hashes(tmp_path / "files")
    entries = look_up(database.path, "SELECT what, actor FROM changes WHERE what LIKE 'archive%'")
    assert entries == [("archive 2025-12", "bill-ann"), ("archive 2026-01", "bill-ann")]


def test_it_has_nothing_to_do_twice(database: Database, tmp_path: Path) -> None:
    archived_to(database, tmp_path / "files")
    before = hashes(tmp_path / "files"), ids(database.path)
    assert archived_to(database, tmp_path / "files") == []
    assert (hashes(tmp_path / "files"), ids(database.path)) == before


def test_it_never_writes_over_a_file(database: Database, tmp_path: Path) -> None:
    archived_to(database, tmp_path / "files")
    before = hashes(tmp_path / "files")
    database.write(lambda c: c.execute("UPDATE calls SET flags = '' WHERE call_id = 'lost'"))
    (moved,) = archived_to(database, tmp_path / "files")
    assert (moved.path.name, moved.calls) == ("calls-2025-12-2.csv.gz", 1)
    assert before.items() < hashes(tmp_path / "files").items() == manifest(tmp_path / "files").items()


def test_it_keeps_a_call_that_is_not_what_its_line_says(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = Archive._note

    def then_changed(self: Archive, path: Path, digest: str) -> None:
        written(self, path, digest)
        database.write(lambda c: c.execute("UPDATE calls SET reason = 'changed' WHERE call_id = 'talk-0'"))

    with monkeypatch.context() as patched:
        patched.setattr(Archive, "_note", then_changed)
        first, _ = archived_to(database, tmp_path / "files")
    assert (first.calls, first.stayed) == (7, 1)
    assert "talk-0" in ids(database.path)
    assert [one.path.name for one in archived_to(database, tmp_path / "files") if one.calls] == [
        "calls-2025-12-2.csv.gz"
    ]
    assert "talk-0" not in ids(database.path)


def test_it_takes_nothing_out_by_a_file_that_was_altered(database: Database, tmp_path: Path) -> None:
    archived_to(database, tmp_path / "files")
    path = tmp_path / "files/calls-2025-12.csv.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()).replace(b"talk-1", b"lost")))
    database.write(lambda c: c.execute("UPDATE calls SET flags = '' WHERE call_id = 'lost'"))
    with pytest.raises(Refused, match="not what was written"):
        archived_to(database, tmp_path / "files")
    assert "lost" in ids(database.path)


@pytest.mark.parametrize(
    "harm", [lambda data: data[:-20], lambda data: b"no archive", lambda data: gzip.compress(b"a,b\n1,2\n")]
)
def test_it_refuses_a_damaged_file_of_which_nothing_is_known(
    database: Database, tmp_path: Path, harm: Callable[[bytes], bytes]
) -> None:
    archived_to(database, tmp_path / "files")
    path = tmp_path / "files/calls-2025-12.csv.gz"
    path.write_bytes(harm(path.read_bytes()))
    (tmp_path / "files/SHA256SUMS").unlink()
    database.write(lambda c: c.execute("UPDATE calls SET flags = '' WHERE call_id = 'lost'"))
    with pytest.raises(Refused, match="damaged"):
        archived_to(database, tmp_path / "files")
    assert "lost" in ids(database.path)


def test_it_is_done_by_one_at_a_time(database: Database, tmp_path: Path) -> None:
    running = Archive(database, database.path.parent, tmp_path / "files", SHOWN).move(BEFORE, MANAGER)
    next(running)
    with pytest.raises(Refused, match="already"):
        archived_to(database, tmp_path / "files")
    assert len(list(running)) == 1


@pytest.mark.parametrize("text", ["why " * 100_000, "\x00", "a\rb\r\nc", "\ufeff'=1+1", '"', "''"])
def test_it_moves_whatever_a_call_tells(database: Database, tmp_path: Path, text: str) -> None:
    database.write(
        lambda c: c.execute("UPDATE calls SET why = ?, number_dialed = ? WHERE call_id = 'talk-0'", [text] * 2)
    )
    archived_to(database, tmp_path / "files")
    assert "talk-0" not in ids(database.path)
    assert audited(database.path) == []


def test_two_sites_may_archive_into_one_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one's file appears between our look and our name for it."""
    directory, theirs = tmp_path / "files", gzip.compress(b"another site's")
    pack = Archive._pack

    def slowly(self: Archive, *arguments: Any) -> bool:
        (directory / "calls-2025-12.csv.gz").write_bytes(theirs)
        return pack(self, *arguments)

    monkeypatch.setattr(Archive, "_pack", slowly)
    with cast.move_in(tmp_path / "data") as moved_in:
        live_through_winter(moved_in)
        before = ids(moved_in.path)
        archived_to(moved_in, directory, date(2026, 1, 1))
        assert (directory / "calls-2025-12.csv.gz").read_bytes() == theirs
        with gzip.open(directory / "calls-2025-12-2.csv.gz", "rt", encoding="utf-8", newline="") as text:
            assert {line["call_id"] for line in csv.DictReader(text)} == before - ids(moved_in.path)


class Killed(BaseException):
    """The plug was pulled."""


STEPS: tuple[tuple[Any, str], ...] = (
    (Database, "write"),
    (Path, "rename"),
    (archive, "replace_small"),
    (archive, "sync_directory"),
    (archive.os, "fsync"),
)


class Plug:
    """Pulled at the n-th step of archiving; before it is done, or after."""

    def __init__(self, patched: pytest.MonkeyPatch, last_step: int) -> None:
        self._left = last_step
        for owner, name in STEPS:
            patched.setattr(owner, name, self._watched(getattr(owner, name)))

    def _watched(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **named: Any) -> Any:
            self._pass()
            done = original(*arguments, **named)
            self._pass()
            return done

        return step

    def _pass(self) -> None:
        self._left -= 1
        if self._left == 0:
            raise Killed


def test_it_loses_nothing_and_has_nothing_twice_wherever_it_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "CALLS_AT_ONCE", 3)
    kills, was_killed = 0, True
    while was_killed:
        kills += 1
        data, files = tmp_path / f"data-{kills}", tmp_path / f"files-{kills}"
        with cast.move_in(data) as database:
            live_through_winter(database)
            every, before = ids(database.path), money(database.path)
            with monkeypatch.context() as patched:
                Plug(patched, kills)
                try:
                    archived_to(database, files)
                    was_killed = False
                except Killed:
                    pass
            in_files = {line["call_id"] for line in lines(files)} if files.exists() else set()
            assert ids(database.path) | in_files == every
            assert audited(database.path) == []
            archived_to(database, files)
            assert Counter(line["call_id"] for line in lines(files)) == Counter(every - ids(database.path))
            assert len(ids(database.path)) == len(every) - 16
            assert money(database.path) == before
            assert audited(database.path) == []
            assert manifest(files) == hashes(files)
            assert [path.name for path in files.iterdir() if path.name.startswith(".")] == []
    assert kills > 30


CALLS = st.lists(
    st.tuples(
        st.sampled_from(["100", "101", "102", "103"]),
        st.sampled_from(["988360046", "0034911234567", "080012345", "7777"]),
        st.integers(0, 120),
        st.sampled_from([None, None, 0, 1, 59, 61, 3_000]),
        st.booleans(),
    ),
    max_size=12,
)


@settings(max_examples=25)
@given(made=CALLS, months=st.integers(1, 4))
def test_it_changes_no_balance_and_no_statistics_whatever_was_called(
    made: list[tuple[str, str, int, int | None, bool]], months: int
) -> None:
    with TemporaryDirectory() as name, cast.move_in(Path(name) / "data") as database:
        for number, (extension, dialed, days_ago, talked, is_lost) in enumerate(made):
            asked_ms = NOW_MS - days_ago * DAY_MS
            if is_lost:
                story.lose(database, str(number), extension, dialed, asked_ms)
            elif talked is None:
                story.ring_out(database, str(number), extension, dialed, asked_ms)
            else:
                story.talk(database, str(number), extension, dialed, asked_ms, talked)
        every, before = ids(database.path), money(database.path)
        archived_to(database, Path(name) / "files", first_day_kept(date(2026, 3, 2), months))
        assert money(database.path) == before
        assert audited(database.path) == []
        assert Counter(line["call_id"] for line in lines(Path(name) / "files")) == Counter(every - ids(database.path))


def _tell_late(database: Database, call_id: str, **changes: Any) -> None:
    """All that may be told of a call, and told again, of which Asterisk knows that it talked for 238 s."""
    leg = a_leg(talked=238, asked_ms=NOW_MS - 75 * DAY_MS, **changes)
    for _ in range(2):
        database.write(lambda c: settlement.settle(c, call_id, leg, UNKNOWN, NOW_MS, Source.ASTDB))
        database.write(lambda c: live_calls.begin_alone(c, call_id, leg))
        database.write(lambda c: calls.give_up(c, call_id, leg))
        database.write(lambda c: settlement.lose(c, call_id, 10, NOW_MS))


@pytest.mark.parametrize("call_id", ["talk-0", "free-0"])
@pytest.mark.parametrize("alone", ["", "passed"])
def test_it_takes_late_news_of_a_call_archived_with_its_charge_for_none(
    database: Database, tmp_path: Path, call_id: str, alone: str
) -> None:
    archived_to(database, tmp_path / "files")
    before = money(database.path), ids(database.path)
    _tell_late(database, call_id, alone=alone)
    assert (money(database.path), ids(database.path)) == before


@pytest.mark.parametrize(("call_id", "extension"), [("nobody-0", "101"), ("lobby-0", "102")])
@pytest.mark.parametrize("alone", ["", "passed"])
def test_it_charges_a_call_once_that_was_archived_as_unanswered_and_had_talked(
    database: Database, tmp_path: Path, call_id: str, extension: str, alone: str
) -> None:
    database.write(lambda c: payments.recharge(c, extension, 50_000_000, MANAGER))
    archived_to(database, tmp_path / "files")
    before = ids(database.path)
    _tell_late(database, call_id, alone=alone)
    late = late_id(call_id)
    assert ids(database.path) - before == {late}
    with closing(connect(database.path)) as connection:
        call = dict(connection.execute("SELECT * FROM calls WHERE call_id = ?", (late,)).fetchone())
    assert (call["extension"], call["state"], call["talk_seconds"]) == (extension, "settled", 238)
    assert (call["cost_micros"], call["uncollected_micros"]) == (180_000, 0)
    assert ARCHIVED in call["flags"].split()
    assert why.sentence(why.ARCHIVED()) in why.read(call["why"])
    charges = look_up(database.path, "SELECT kind, amount_micros FROM ledger WHERE call_id = ?", [late])
    assert charges == [("call", -180_000)]
    assert audited(database.path) == []
    archived_to(database, tmp_path / "files")
    assert late in ids(database.path)


def test_it_charges_the_talk_of_a_call_archived_as_unanswered_that_still_talks_alone(
    database: Database, tmp_path: Path
) -> None:
    archived_to(database, tmp_path / "files")
    leg = a_leg(talked=238, asked_ms=NOW_MS - 75 * DAY_MS, alone="passed")
    database.write(lambda c: live_calls.begin_alone(c, "nobody-0", leg))
    assert look_up(database.path, "SELECT state FROM calls WHERE call_id = ?", [late_id("nobody-0")]) == [("talking",)]
    database.write(lambda c: settlement.settle(c, "nobody-0", leg, UNKNOWN, NOW_MS, Source.ASTDB))
    found = look_up(database.path, "SELECT state, cost_micros FROM calls WHERE call_id = ?", [late_id("nobody-0")])
    assert found == [("settled", 180_000)]
    assert audited(database.path) == []


def test_it_reads_in_cel_what_is_news_of_an_archived_call(database: Database, tmp_path: Path) -> None:
    archived_to(database, tmp_path / "files")
    talked, rang = a_leg(talked=5, asked_ms=NOW_MS), a_leg(asked_ms=NOW_MS)
    told = [("talk-0", talked), ("nobody-0", talked), ("nobody-1", rang), ("unheard of", talked)]
    news = database.read(lambda c: reconciliation.news(c, told))
    assert [call_id for call_id, _ in news] == ["nobody-0", "unheard of"]
    database.write(lambda c: settlement.settle(c, "nobody-0", talked, UNKNOWN, NOW_MS, Source.CEL))
    news = database.read(lambda c: reconciliation.news(c, told))
    assert [call_id for call_id, _ in news] == ["unheard of"]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM calls",
        "DELETE FROM calls WHERE call_id = 'talk-5'",
        "DELETE FROM archived_calls",
        "UPDATE archived_calls SET cost_micros = 0",
        f"INSERT INTO archived_calls ({KEPT}, cost_micros) SELECT {KEPT}, 0 FROM booked_calls WHERE call_id = 'talk-5'",
        "INSERT INTO archived_calls (call_id, state, account_id, local_day, trunk, talk_seconds, cost_micros)"
        " SELECT call_id, state, account_id, local_day, trunk, talk_seconds, cost_micros FROM calls"
        " WHERE call_id = 'talk-5'",
        f"INSERT INTO archived_calls ({KEPT}, cost_micros) SELECT {KEPT}, cost_micros FROM booked_calls"
        " WHERE call_id = 'held'",
        f"INSERT INTO archived_calls ({KEPT}, cost_micros) SELECT {KEPT}, cost_micros FROM booked_calls"
        " WHERE call_id = 'poor'",
        f"INSERT INTO archived_calls ({KEPT}, cost_micros)"
        " VALUES ('nobody', 'settled', 1, '2026-01-01', 10, '', '9', 1, 100)",
        "INSERT OR REPLACE INTO archived_calls SELECT * FROM archived_calls",
        "INSERT INTO calls (call_id, state, number_dialed, number, asked_at_ms, local_day)"
        " VALUES ('talk-0', 'settled', '1', '1', 0, '2026-03-02')",
        "INSERT INTO ledger (account_id, kind, amount_micros, balance_before_micros, balance_after_micros, call_id,"
        " actor, at_ms) VALUES (1, 'correction', 100, 0, 100, 'talk-0', 'x', 0)",
    ],
)
def test_it_keeps_the_door_shut_for_anybody_else(database: Database, tmp_path: Path, statement: str) -> None:
    archived_to(database, tmp_path / "files")
    with pytest.raises(sqlite3.IntegrityError):
        database.write(lambda connection: connection.execute(statement))


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ("DELETE FROM archived_calls WHERE call_id = 'talk-0'", "is about call talk-0, which is neither there nor"),
        ("DELETE FROM archived_calls WHERE call_id = 'free-0'", "extension 103: the totals of 2025-12-17 differ"),
        ("DELETE FROM calls WHERE call_id = 'talk-5'", "is about call talk-5, which is neither there nor archived"),
        ("UPDATE archived_calls SET cost_micros = 0 WHERE call_id = 'talk-0'", "call talk-0 did not cost what"),
        ("UPDATE archived_calls SET trunk = 'x' WHERE call_id = 'talk-0'", "trunk x: the totals of 2025-12-17 differ"),
    ],
)
def test_it_leaves_the_audit_as_sharp_as_it_was(
    database: Database, tmp_path: Path, statement: str, finding: str
) -> None:
    archived_to(database, tmp_path / "files")
    database.close()
    with closing(connect(database.path)) as connection:
        guards = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in guards:
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute(statement)
        for _, definition in guards:
            connection.execute(definition)
    assert any(finding in found for found in audited(database.path))


def test_it_gives_the_room_back(tmp_path: Path) -> None:
    with cast.move_in(tmp_path / "data") as database:
        for number in range(300):
            story.talk(database, str(number), "100", "080012345", NOW_MS - 60 * DAY_MS, 10)
        assert look_up(database.path, "PRAGMA auto_vacuum") == [(2,)]
        pages = look_up(database.path, "PRAGMA page_count")[0][0]
        archived_to(database, tmp_path / "files")
        assert look_up(database.path, "PRAGMA freelist_count") == [(0,)]
        assert look_up(database.path, "PRAGMA page_count")[0][0] < pages - 40
