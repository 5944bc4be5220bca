"""`/healthz`: says in a second what is wrong, to everyone, and nothing that helps an attacker."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from coovox_billing import RELEASED_MS
from coovox_billing.services.condition import DAY_MS, Condition, Room
from coovox_billing.web.pages.health import FRESH_SECONDS, Examination
from tests import bad_days, cast
from tests.web.conftest import Desk

GOOD = {
    "backup": True,
    "call_plane": True,
    "database": True,
    "disk": True,
    "clock": True,
    "disk_speed": True,
    "what_to_do": [],
}


@pytest.fixture
def open_desk(closed_desk: Callable[..., Desk]) -> Callable[..., Desk]:
    """A desk of a day after the release, with a disk that the test makes."""

    def opened(room: Callable[[Path], Room] | None = None) -> Desk:
        desk = closed_desk(disk_room=room or bad_days.room())
        desk.now_ms = RELEASED_MS + DAY_MS
        return desk

    return opened


@pytest.fixture
def desk(open_desk: Callable[..., Desk]) -> Desk:
    return open_desk()


def look(desk: Desk) -> tuple[int, dict[str, Any]]:
    """What a monitor gets that asks again after a while."""
    desk.wait(FRESH_SECONDS + 1)
    response = desk.browser.get("/healthz")
    assert "Set-Cookie" not in response.headers
    return response.status_code, response.json or {}


def faults(desk: Desk) -> tuple[set[str], str]:
    """What is not well, and all that is to be done."""
    status, said = look(desk)
    assert status == 503
    return {name for name, value in said.items() if value is False}, " ".join(said["what_to_do"])


def test_it_is_healthy_where_all_is_well(desk: Desk) -> None:
    assert look(desk) == (200, GOOD)


def test_it_is_not_healthy_without_the_call_plane(desk: Desk) -> None:
    desk.call_plane_is_up = False
    names, advice = faults(desk)
    assert (names, "call plane" in advice) == ({"call_plane"}, True)


@pytest.mark.parametrize(
    ("harm", "word"), [(bad_days.lose, "missing"), (bad_days.empty, "missing"), (bad_days.spoil_header, "damaged")]
)
def test_it_is_not_healthy_without_its_database(desk: Desk, harm: Callable[[Path], None], word: str) -> None:
    harm(desk.directory)
    names, advice = faults(desk)
    assert (names, word in advice) == ({"database"}, True)


def test_it_does_not_wait_long_for_a_locked_database(desk: Desk) -> None:
    with cast.locked(desk.database.path):
        began = time.monotonic()
        names, advice = faults(desk)
        assert time.monotonic() - began < 1.0
    assert (names, "locked by another program" in advice) == ({"database"}, True)
    assert look(desk) == (200, GOOD)


@pytest.mark.parametrize(
    ("room", "word"),
    [
        ({"free_bytes": 999_999}, "full"),
        ({"free_bytes": 49_000_000}, "nearly full"),
        ({"is_read_only": True}, "read-only"),
    ],
)
def test_it_tells_of_the_disk(open_desk: Callable[..., Desk], room: dict[str, object], word: str) -> None:
    names, advice = faults(open_desk(bad_days.room(**room)))
    assert (names, word in advice) == ({"disk"}, True)


def test_it_tells_of_a_clock_that_started_in_1970(desk: Desk) -> None:
    desk.now_ms = 0
    names, advice = faults(desk)
    assert (names, "NTP" in advice) == ({"clock"}, True)


@pytest.fixture
def hang() -> Iterator[threading.Event]:
    """Set, it lets go whatever hangs."""
    over = threading.Event()
    yield over
    over.set()


def test_it_answers_in_a_second_where_the_disk_hangs(open_desk: Callable[..., Desk], hang: threading.Event) -> None:
    begun = []

    def room(_: Path) -> Room:
        begun.append(1)
        hang.wait(30)
        return bad_days.room()(Path())

    desk = open_desk(room)
    began = time.monotonic()
    names, advice = faults(desk)
    assert time.monotonic() - began < 2.0
    assert (names, "does not answer" in advice) == ({"database", "disk"}, True)
    began = time.monotonic()
    assert faults(desk)[0] == names
    assert time.monotonic() - began < 0.5, "who asks later does not wait for what hangs already"
    assert len(begun) == 1, "nor is one more thread hung up"


def test_it_examines_once_for_all_who_ask_at_the_same_time() -> None:
    now, found = [10.0], []

    def examine() -> list[Condition]:
        found.append(Condition("disk", f"look {len(found) + 1}"))
        return found[-1:]

    examination = Examination(examine, list, lambda: now[0])
    for _ in range(5):
        examination.begin()
    assert [condition.finding for condition in examination.result()] == ["look 1"]
    now[0] += FRESH_SECONDS
    examination.begin()
    assert [condition.finding for condition in examination.result()] == ["look 1"]
    now[0] += 0.1
    examination.begin()
    assert [condition.finding for condition in examination.result()] == ["look 2"]


def test_it_says_something_where_examining_itself_fails() -> None:
    def fail() -> list[Condition]:
        raise ValueError("a fault of ours")

    otherwise = [Condition("disk", "", "Look.")]
    examination = Examination(fail, lambda: otherwise, time.monotonic)
    examination.begin()
    assert examination.result() == otherwise
