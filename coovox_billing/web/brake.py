"""How long a sign-in has to wait after wrong passwords (DESIGN §8).

Each place (an IPv4 address, an IPv6 /64 network) has a few tries free, then
waits twice as long after each, up to a minute. All places together have tries
of their own, so that many addresses do not keep the processor busy; that wait
is short, because a long one would be a door that hammering keeps shut, and a
place that the owner has signed in from is spared it.
"""

import ipaddress
import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass

FORGET_SECONDS = 15 * 60
MAX_PLACES = 1000
MAX_PROVEN_PLACES = 100


@dataclass(frozen=True, slots=True)
class Patience:
    """How many failures are free, and the longest wait after more."""

    free: int
    longest_seconds: float


PER_PLACE = Patience(free=4, longest_seconds=60.0)
ALL_PLACES = Patience(free=20, longest_seconds=0.2)


@dataclass(slots=True)
class _Failures:
    count: int = 0
    last: float = -math.inf

    def add(self, now: float) -> None:
        if now - self.last > FORGET_SECONDS:
            self.count = 0
        self.count += 1
        self.last = now

    def wait_seconds(self, patience: Patience, now: float) -> float:
        since = now - self.last
        if self.count < patience.free or since > FORGET_SECONDS:
            return 0.0
        doublings = min(self.count - patience.free, 16)
        return max(0.0, min(2.0**doublings, patience.longest_seconds) - since)


class Brake:
    """Counts failures in bounded memory. Safe to share between threads."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._by_place: OrderedDict[str, _Failures] = OrderedDict()
        self._everywhere = _Failures()
        self._proven: deque[str] = deque(maxlen=MAX_PROVEN_PLACES)

    def attempt(self, address: str) -> int:
        """Whole seconds this try still has to wait; 0 where it may be made now.

        A try that may be made counts as failed until `succeeded`, so that many
        at once gain nothing.
        """
        place = place_of(address)
        with self._lock:
            now = self._monotonic()
            wait = self._wait_seconds(place, now)
            if wait <= 0:
                self._count(place, now)
            return math.ceil(wait)

    def succeeded(self, address: str) -> None:
        """The password was right: the place starts anew."""
        place = place_of(address)
        with self._lock:
            self._by_place.pop(place, None)
            self._everywhere.count = max(0, self._everywhere.count - 1)
            if place not in self._proven:
                self._proven.append(place)

    def _wait_seconds(self, place: str, now: float) -> float:
        own = self._by_place.get(place, _Failures()).wait_seconds(PER_PLACE, now)
        common = 0.0 if place in self._proven else self._everywhere.wait_seconds(ALL_PLACES, now)
        return max(own, common)

    def _count(self, place: str, now: float) -> None:
        self._by_place.setdefault(place, _Failures()).add(now)
        self._by_place.move_to_end(place)
        if len(self._by_place) > MAX_PLACES:
            self._by_place.popitem(last=False)
        self._everywhere.add(now)


def place_of(address: str) -> str:
    """What failures are counted by: an IPv4 address, or the /64 network that one IPv6 host can roam in."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if parsed.version == 4:
        return str(parsed)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
