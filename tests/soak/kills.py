"""What dies during the soak, one after the other and each at a random moment, and that it is back before the next."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

from tests.asterisk.waiting import wait_until
from tests.soak.office import UP_SECONDS, Office
from tests.soak.switchboard import Switchboard

STOP_SECONDS = 10.0
LONGEST_HANG_SECONDS = 8.0
LONGEST_PAUSE_SECONDS = 6.0
# After a call plane has signed in, until it has seen what is there.
WATCHING_SECONDS = 2.0


@dataclass(frozen=True)
class Death:
    """Asterisk was gone from a moment between these two (seconds since 1970).

    `is_polite` where it was asked to stop; `is_unseen` where the call plane died with it.
    """

    from_at: float
    to_at: float
    is_polite: bool = False
    is_unseen: bool = False


@dataclass(frozen=True)
class Hang:
    """The call plane answered nobody between these two moments (seconds since 1970)."""

    from_at: float
    to_at: float


class Reaper:
    """Kills when it is told to.

    `deaths` are Asterisk's, `hangs` the call plane's; `counts` is how often each kind was done, `diary` when.
    """

    def __init__(self, office: Office, switchboard: Switchboard, seed: int) -> None:
        self.deaths: list[Death] = []
        self.hangs: list[Hang] = []
        self.counts: Counter[str] = Counter()
        self.diary: list[str] = []
        self._office, self._switchboard = office, switchboard
        self._random = Random(f"kills {seed}")
        self._kinds: dict[str, tuple[int, Callable[[], None]]] = {
            "call plane, SIGKILL": (5, self._kill_calls),
            "call plane hung (SIGSTOP)": (4, self._hang_calls),
            "web plane, SIGKILL": (1, lambda: self._kill_plane("web")),
            "serve, SIGKILL": (1, self._kill_serve),
            "AMI connection cut": (3, self._cut),
            "Asterisk stopped": (2, self._stop_asterisk),
            "Asterisk, kill -9": (3, self._kill_asterisk),
            "Asterisk and call plane, kill -9": (2, self._kill_both),
        }
        self._next: list[str] = []

    def kill_next(self) -> None:
        """Kill something and wait until it is back. All kinds come before the first comes too often."""
        if not self._next:
            self._next = [kind for kind, (weight, _) in self._kinds.items() for _ in range(weight)]
            self._random.shuffle(self._next)
        kind = self._next.pop()
        self.diary.append(f"{datetime.now(UTC):%H:%M:%S.%f} {kind}")
        self._kinds[kind][1]()
        self.counts[kind] += 1

    def pause_seconds(self) -> float:
        """How long to leave everything alone."""
        return WATCHING_SECONDS + self._random.random() * LONGEST_PAUSE_SECONDS

    def _kill_plane(self, plane: str) -> None:
        pid = self._office.billing.signal_plane(plane, signal.SIGKILL)
        wait_until(lambda: self._office.billing.pid_of(plane) not in (0, pid), UP_SECONDS, f"a new {plane} plane")

    def _kill_calls(self) -> None:
        before = self._office.billing.times_signed_in()
        self._kill_plane("calls")
        self._office.wait_signed_in(before)

    def _hang_calls(self) -> None:
        """`serve` kills it after 5 s; before, it is either woken or killed here."""
        billing = self._office.billing
        before, began = billing.times_signed_in(), time.time()
        pid = billing.signal_plane("calls", signal.SIGSTOP)
        time.sleep(self._random.uniform(0.2, LONGEST_HANG_SECONDS))
        is_woken = self._random.random() < 0.5
        if billing.pid_of("calls") == pid:
            billing.signal_plane("calls", signal.SIGCONT if is_woken else signal.SIGKILL)
        if is_woken and billing.pid_of("calls") == pid:
            time.sleep(1)
        self.hangs.append(Hang(began, time.time()))
        if billing.pid_of("calls") != pid:
            self._office.wait_signed_in(before)

    def _kill_serve(self) -> None:
        before = self._office.billing.times_signed_in()
        self._office.billing.stop(signal.SIGKILL)
        self._office.billing.start()
        self._office.wait_signed_in(before)

    def _cut(self) -> None:
        before = self._office.billing.times_signed_in()
        self._office.wire.cut()
        self._office.wait_signed_in(before)

    def _stop_asterisk(self) -> None:
        with self._asterisk_down():
            began = time.time()
            if self._random.random() < 0.5:
                self._office.pbx.cli("core stop now")
                wait_until(lambda: not self._office.pbx.running, STOP_SECONDS, "Asterisk to stop")
            self._office.pbx.stop()
            self.deaths.append(Death(began, time.time(), is_polite=True))

    def _kill_asterisk(self) -> None:
        with self._asterisk_down():
            began = time.time()
            self._office.pbx.kill9()
            self.deaths.append(Death(began, began))

    def _kill_both(self) -> None:
        with self._asterisk_down():
            began = time.time()
            self._office.billing.signal_plane("calls", signal.SIGKILL)
            self._office.pbx.kill9()
            self.deaths.append(Death(began, time.time(), is_unseen=True))

    @contextmanager
    def _asterisk_down(self) -> Iterator[None]:
        """Nobody dials while it is away; who was in a call then is left in silence."""
        before = self._office.billing.times_signed_in()
        with self._switchboard.closed():
            yield
            self._switchboard.drop_all()
            self._office.pbx.start()
        self._office.wait_signed_in(before)
