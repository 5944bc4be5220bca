"""What goes on beside the pages: the trial's clock, which is remembered once an hour."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from coovox_billing.services.licensing import Licensing

HOUR_SECONDS = 3600.0
# A wall clock that moves by more against our own was set.
STEP_MS = 60_000

log = logging.getLogger(__name__)


@dataclass
class TrialClock:
    """Lets the trial go on by what the pages ran; both clocks in ms, `monotonic_ms` our own."""

    licensing: Licensing
    now_ms: Callable[[], int]
    monotonic_ms: Callable[[], int] = lambda: time.monotonic_ns() // 1_000_000

    def __post_init__(self) -> None:
        self._remembered_ms = self._steady_since_ms = self.monotonic_ms()
        self._offset_ms = self.now_ms() - self._remembered_ms

    def remember(self) -> None:
        """Store how long it ran since the last time."""
        monotonic_ms = self.monotonic_ms()
        offset_ms = self.now_ms() - monotonic_ms
        if abs(offset_ms - self._offset_ms) > STEP_MS:
            self._offset_ms, self._steady_since_ms = offset_ms, monotonic_ms
        self.licensing.keep_up(monotonic_ms - self._remembered_ms, monotonic_ms - self._steady_since_ms)
        self._remembered_ms = monotonic_ms

    def run(self, stopping: threading.Event) -> None:
        """Remember at once, every hour, and when told to stop."""
        while True:
            is_last = stopping.is_set()
            try:
                self.remember()
            except Exception:
                log.exception("the trial could not be remembered")
            if is_last:
                return
            stopping.wait(HOUR_SECONDS)
