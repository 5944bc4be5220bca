"""Has the soak's telephones dial, some at once, and remembers what each of them saw."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from tests.asterisk.sip import PhoneCall, phone
from tests.soak.office import Office
from tests.soak.stories import Story

PATIENCE_SECONDS = 60.0
MOST_AT_ONCE = 20


@dataclass(frozen=True)
class Told:
    """A story that is over: when its telephone hung up, seconds since 1970, None if never.

    `itself` where nobody hung up on it.
    """

    story: Story
    hung_up_at: float | None
    itself: bool


class Switchboard:
    """Where the stories happen. Only one thread may dial. `stuck`: telephones that never came to an end."""

    def __init__(self, office: Office) -> None:
        self.told: list[Told] = []
        self.kinds: Counter[str] = Counter()
        self.stuck = 0
        self._office = office
        self._pool = ThreadPoolExecutor(2 * MOST_AT_ONCE)
        self._open = threading.Lock()
        self._books = threading.Lock()
        self._calls: dict[Future[Told], PhoneCall] = {}

    def __enter__(self) -> Switchboard:
        return self

    def __exit__(self, *_: object) -> None:
        self.drop_all()
        self._pool.shutdown()

    @property
    def busy(self) -> int:
        """How many calls are being made now."""
        for future in [future for future in self._calls if future.done()]:
            del self._calls[future]
            self.told.append(future.result())
        return len(self._calls)

    def begin(self, story: Story) -> None:
        """Have its telephone dial, as soon as there is an Asterisk."""
        self.kinds[story.kind] += 1
        if story.top_up:
            self._give(*story.top_up)
        with self._open:
            call = phone(self._office.pbx, story.dialed, story.extension, **story.options)
            self._calls[self._pool.submit(self._follow, story, call)] = call

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Nobody dials meanwhile."""
        with self._open:
            yield

    def drop_all(self) -> None:
        """All telephones lose their power."""
        for call in list(self._calls.values()):
            call.drop()

    def wait_over(self) -> None:
        """Until all telephones are done."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.busy and time.monotonic() < deadline:
            time.sleep(0.1)

    def _follow(self, story: Story, call: PhoneCall) -> Told:
        if story.recharge:
            after_seconds, extension, cents = story.recharge
            time.sleep(after_seconds)
            self._give(extension, cents)
        try:
            call.wait(PATIENCE_SECONDS)
        except AssertionError:
            self.stuck += 1
        seen = call.so_far()
        return Told(story, seen.ended_at, seen.ended_by == "us")

    def _give(self, extension: str, cents: int) -> None:
        with self._books:  # the command line's output is caught for the whole process
            self._office.billing.do("recharge", extension, f"{cents / 100:.2f}")
