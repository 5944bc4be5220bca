"""What takes long to find out is found out once, and nobody waits for another's for ever."""

from __future__ import annotations

import threading

import pytest
from werkzeug.exceptions import ServiceUnavailable

from coovox_billing.web import shelf
from coovox_billing.web.shelf import Shelf


def test_it_makes_each_once_and_anew_when_it_is_old() -> None:
    made: list[str] = []
    kept: Shelf[int] = Shelf()

    def get(key: str, now_ms: int) -> int:
        return kept.get((key,), now_ms, lambda: made.append(key) or len(made)).thing

    assert [get("a", 0), get("b", 1), get("a", 2), get("a", shelf.KEPT_MS - 1)] == [1, 2, 1, 1]
    assert get("a", shelf.KEPT_MS) == 3
    assert get("a", 0) == 4, "the clock was set back"


def test_it_keeps_the_newest_few() -> None:
    made: list[int] = []
    kept: Shelf[None] = Shelf()
    for key in (*range(shelf.MOST_KEPT + 1), 0):
        kept.get((key,), 0, lambda key=key: made.append(key))  # type: ignore[misc]
    assert made == [*range(shelf.MOST_KEPT + 1), 0]


def test_it_keeps_nobody_waiting_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "PATIENCE_SECONDS", 0.05)
    kept: Shelf[None] = Shelf()
    begun, done = threading.Event(), threading.Event()

    def make() -> None:
        begun.set()
        done.wait(10)

    slow = threading.Thread(target=lambda: kept.get(("slow",), 0, make))
    slow.start()
    assert begun.wait(10)
    with pytest.raises(ServiceUnavailable):
        kept.get(("other",), 0, lambda: None)
    done.set()
    slow.join(10)
    kept.get(("other",), 0, lambda: None)


def test_it_keeps_nothing_of_what_failed() -> None:
    kept: Shelf[int] = Shelf()
    with pytest.raises(ZeroDivisionError):
        kept.get(("a",), 0, lambda: 1 // 0)
    assert kept.get(("a",), 0, lambda: 5).thing == 5
