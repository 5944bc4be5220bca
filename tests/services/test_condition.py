"""What is wrong with a site: each bad day has its own sentence, and says nothing that helps an attacker."""

import re
from collections.abc import Callable, Iterator
from errno import EIO, ENOSPC, EROFS
from pathlib import Path

import pytest

from coovox_billing.services import condition
from coovox_billing.services.condition import Condition
from coovox_billing.store.database import FILE_NAME, Database
from tests import bad_days, cast

RELEASED_MS = cast.NOW_MS - 30 * condition.DAY_MS


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site that was closed in good order."""
    cast.move_in(tmp_path).close()
    return tmp_path


@pytest.fixture
def database(site: Path) -> Iterator[Database]:
    with Database(site / FILE_NAME) as opened:
        yield opened


def examine(site: Path, now_ms: int = cast.NOW_MS, **options: int) -> dict[str, Condition]:
    room = bad_days.room()
    return {found.name: found for found in condition.examine(site, now_ms, RELEASED_MS, room=room, **options)}


def test_it_finds_nothing_wrong_on_a_good_day(site: Path) -> None:
    assert [found.name for found in examine(site).values() if found.is_good] == ["database", "disk", "clock"]


@pytest.mark.parametrize(
    ("harm", "finding", "advice"),
    [
        (bad_days.lose, "missing", "restore a backup"),
        (bad_days.empty, "is empty", "restore a backup"),
        (bad_days.spoil_header, "not a database", "damaged"),
        (bad_days.spoil_pages, "malformed", "damaged"),
    ],
)
def test_it_says_what_is_wrong_with_the_database(
    site: Path, harm: Callable[[Path], None], finding: str, advice: str
) -> None:
    harm(site)
    found = examine(site)["database"]
    assert (finding in found.finding, advice in found.what_to_do) == (True, True), found


def test_it_makes_no_database_by_looking_for_one(site: Path) -> None:
    bad_days.lose(site)
    examine(site)
    assert not (site / FILE_NAME).exists()


def test_it_names_who_keeps_the_database_locked_without_waiting_long(site: Path, database: Database) -> None:
    with cast.locked(database.path):
        found = examine(site, wait_ms=200)["database"]
    assert re.search(r"locked by \S+ \(process \d+\) for 0\.\d s and longer", found.finding)
    assert "locked by another program" in found.what_to_do
    assert examine(site)["database"].is_good


def test_it_leaves_nothing_in_the_database(site: Path, database: Database) -> None:
    before = cast.look_up(database.path, "SELECT * FROM site")
    examine(site)
    assert cast.look_up(database.path, "SELECT * FROM site") == before
    database.write(lambda connection: connection.execute("UPDATE site SET value = value"))


@pytest.mark.parametrize(
    ("room", "finding", "advice"),
    [
        ({"free_bytes": 49_999_999}, "49 MB free", "nearly full"),
        ({"free_bytes": 999_999}, "full: 999 kB free", "The disk is full"),
        ({"free_bytes": 0}, "full: 0 kB free", "The disk is full"),
        ({"free_files": 0}, "room for no more files", "The disk is full"),
        ({"is_read_only": True}, "mounted read-only", "make it writable"),
        ({"free_bytes": 50_000_000}, "50 MB free", ""),
        ({"free_files": None}, "900 MB free", ""),
    ],
)
def test_it_says_what_is_wrong_with_the_disk(site: Path, room: dict[str, object], finding: str, advice: str) -> None:
    found = condition.check_disk(site, bad_days.room(**room))
    assert (finding in found.finding, advice in found.what_to_do, found.is_good) == (True, True, not advice), found


def test_it_knows_the_room_on_a_real_disk(site: Path) -> None:
    found = condition.room_of(site)
    assert (found.free_bytes > 0, found.is_read_only) == (True, False)
    assert not condition.check_disk(site / "nowhere").is_good


def test_it_times_writes(site: Path) -> None:
    before = sorted(site.iterdir())
    assert condition.check_disk_speed(site).is_good
    ticks = iter((0.0, 1.2, 10.0, 10.1, 20.0, 21.4))
    found = condition.check_disk_speed(site, lambda: next(ticks))
    assert found.finding == "each write takes 1.2 s, and calls wait for it"
    assert not found.is_good
    assert sorted(site.iterdir()) == before


@pytest.mark.parametrize(
    ("ahead_ms", "finding", "is_good"),
    [
        (0, "not behind any record", True),
        (-condition.CLOCK_TOLERANCE_MS, "not behind any record", True),
        (-2 * 3_600_000, "120 min behind the newest record", False),
        (-3 * condition.DAY_MS, "3 days behind the newest record: wrong now, or was ahead then", False),
        (-365 * condition.DAY_MS, "335 days behind this version's release", False),
        (365 * condition.DAY_MS, "not behind any record", True),
    ],
)
def test_it_knows_a_clock_that_is_behind_or_was_ahead(ahead_ms: int, finding: str, is_good: bool) -> None:
    found = condition.check_clock(cast.NOW_MS + ahead_ms, cast.NOW_MS, RELEASED_MS)
    assert (finding in found.finding, found.is_good) == (True, is_good), found


def test_it_does_not_speak_of_records_that_it_cannot_read() -> None:
    assert condition.check_clock(cast.NOW_MS, 0, RELEASED_MS).finding == "not behind this release"


def test_it_goes_by_the_newest_record_of_the_site(site: Path) -> None:
    assert not examine(site, cast.NOW_MS - condition.DAY_MS)["clock"].is_good


def test_it_counts_the_calls_that_need_a_person(tmp_path: Path) -> None:
    exchange = cast.Exchange(tmp_path)

    def look(after_ms: int) -> list[str]:
        now_ms = cast.NOW_MS + after_ms
        return [found.finding for found in exchange.database.read(lambda c: condition.check_calls(c, now_ms))]

    for call_id in ("lost", "open", "settled"):
        exchange.ask(call_id)
        exchange.answer(call_id)
    exchange.settle("settled", 10)
    assert look(condition.OVERDUE_MS) == ["none needs a person"]
    exchange.lose("lost", 10)
    lost = "1 call of the last 7 days closed by rule, for nobody told how they ended"
    assert look(condition.OVERDUE_MS) == [lost]
    assert look(condition.DAY_MS) == [lost, "1 call open for longer than the longest call may be"]
    assert lost not in look(8 * condition.DAY_MS)
    exchange.database.close()


def test_it_finds_files_that_billing_may_not_write(site: Path) -> None:
    assert condition.check_files(site).is_good
    with bad_days.files_closed(site):
        found = condition.check_files(site)
    assert (FILE_NAME in found.finding, found.what_to_do.startswith("Run: chown -R")) == (True, True)


@pytest.mark.parametrize(
    ("error", "word"),
    [(OSError(ENOSPC, ""), "full"), (OSError(EROFS, ""), "cannot be written"), (OSError(EIO, ""), "disk fails")],
)
def test_it_knows_what_to_do_about_a_disk(error: OSError, word: str) -> None:
    assert word in condition.advice_on(error)


@pytest.mark.parametrize("error", [OSError("no number"), FileNotFoundError(2, ""), ValueError("x"), TimeoutError()])
def test_it_has_no_advice_on_what_is_not_the_disk(error: Exception) -> None:
    assert condition.advice_on(error) == ""


@pytest.mark.parametrize("harm", [bad_days.lose, bad_days.spoil_header])
def test_it_tells_everyone_nothing_that_helps_an_attacker(site: Path, harm: Callable[[Path], None]) -> None:
    harm(site)
    told = [found.what_to_do for found in examine(site, 0).values()]
    told += [*condition.ADVICE.values(), *(found.what_to_do for found in condition.when_nothing_answers(0, 1))]
    assert not [text for text in told if re.search(r"[0-9/]", text)]


def test_it_names_a_lock_that_root_left_closed(site: Path) -> None:
    """Without it no process of billing's user can open the site."""
    assert condition.check_files(site).is_good
    (site / condition.OPENING_LOCK).chmod(0o444)
    found = condition.check_files(site)
    assert (f"{site / condition.OPENING_LOCK} cannot be written" in found.finding, "chown -R" in found.what_to_do) == (
        True,
        True,
    )
