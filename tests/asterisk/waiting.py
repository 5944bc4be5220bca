"""Decides how a test waits: for a fact, never for a fixed time, and never without an end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
LOOK_EVERY_SECONDS = 0.02


def wait_until(fact: Callable[[], T], timeout_seconds: float = 5.0, what: str = "") -> T:
    """The first true value of `fact`; a failed assertion when the time is over."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        value = fact()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_seconds} s for {what or fact!r}; it is still {value!r}")
        time.sleep(LOOK_EVERY_SECONDS)
