"""How long a sign-in has to wait after wrong passwords or codes (DESIGN §8).

Each place (an IPv4 address, an IPv6 /64 network) has a few tries free, then
waits twice as long after each, up to a minute; who gets in is forgiven his own
failures there, not those with another user's name. All places together have
tries of their own, for each user and for all, so that many addresses neither
guess nor keep the processor busy; those waits are short, because a long one would be
a door that hammering keeps shut, and a place that a user has signed in from
is spared them. Codes are so few that the wait for all places is long: it begins only where the
password is known.
"""

import ipaddress
import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from enum import Enum

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
PASSWORDS = Patience(free=10, longest_seconds=1.0)
CODES = Patience(free=5, longest_seconds=300.0)


class Door(Enum):
    """What a user is tried by, with the patience of all places together."""

    PASSWORD = PASSWORDS
    CODE = CODES


@dataclass(slots=True)
class _Failures:
    count: int = 0
    last: float = -math.inf

    def add(self, now: float) -> None:
        if now - self.last > FORGET_SECONDS:
            self.count = 0
        self.count += 1
        self.last = now

    def forgive(self, count: int) -> None:
        self.count = max(0, self.count - count)

    def wait_seconds(self, patience: Patience, now: float) -> float:
        since = now - self.last
        if self.count < patience.free or since > FORGET_SECONDS:
            return 0.0
        doublings = min(self.count - patience.free, 16)
        return max(0.0, min(2.0**doublings, patience.longest_seconds) - since)


class _Book(OrderedDict[Hashable, _Failures]):
    """Failures by what they are counted by; the longest untouched go where there are too many."""

    def add(self, key: Hashable, now: float) -> None:
        self.setdefault(key, _Failures()).add(now)
        self.move_to_end(key)
        if len(self) > MAX_PLACES:
            self.popitem(last=False)

    def of(self, key: Hashable) -> _Failures:
        return self.get(key) or _Failures()


class Brake:
    """Counts failures in bounded memory. Safe to share between threads."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._by_place = _Book()
        self._by_user = _Book()
        self._by_user_and_place = _Book()
        self._everywhere = _Failures()
        self._proven: deque[tuple[str, str]] = deque(maxlen=MAX_PROVEN_PLACES)

    def attempt(self, address: str, user: str, door: Door = Door.PASSWORD) -> int:
        """Whole seconds this try still has to wait; 0 where it may be made now.

        A try that may be made counts as failed until `succeeded`, so that many
        at once gain nothing. A user that is not there is counted as any other.
        """
        place = place_of(address)
        with self._lock:
            now = self._monotonic()
            wait = self._by_place.of(place).wait_seconds(PER_PLACE, now)
            if (user, place) not in self._proven:
                by_user = self._by_user.of((user, door)).wait_seconds(door.value, now)
                wait = max(wait, by_user, self._everywhere.wait_seconds(ALL_PLACES, now))
            if wait <= 0:
                self._by_place.add(place, now)
                self._by_user.add((user, door), now)
                self._by_user_and_place.add((user, door, place), now)
                self._everywhere.add(now)
            return math.ceil(wait)

    def succeeded(self, address: str, user: str, door: Door = Door.PASSWORD) -> None:
        """The password, or the code, was right: what this user did wrong at this place is forgiven."""
        place = place_of(address)
        with self._lock:
            failures = self._by_user_and_place.pop((user, door, place), _Failures(1))
            self._by_user.pop((user, door), None)
            self._by_place.of(place).forgive(failures.count)
            self._everywhere.forgive(1)

    def prove(self, address: str, user: str) -> None:
        """The user has signed in from this place, with all that it takes."""
        proven = (user, place_of(address))
        with self._lock:
            if proven not in self._proven:
                self._proven.append(proven)


def place_of(address: str) -> str:
    """What failures are counted by: an IPv4 address, or the /64 network that one IPv6 host can roam in."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if parsed.version == 4:
        return str(parsed)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
