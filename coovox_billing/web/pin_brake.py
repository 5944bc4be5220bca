"""How many PINs may be tried in self-service: so few that one of four digits is not found (DESIGN §8).

Tries are a stock that fills again with time: for each extension at each place (an address as `brake` counts them), for
each place, for each extension, and for all together. What one place may use of an extension, or of all, is a quarter of
what is filled again: so nobody keeps others out from one place, nor from three. Whoever signed in from a place before
waits there for his own failures alone, whatever others do.
"""

import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from coovox_billing.web.brake import place_of

MOST_KEYS = 5000
MAX_PROVEN_PLACES = 1000


@dataclass(frozen=True, slots=True)
class Stock:
    """So many tries at once, and one more each so many seconds."""

    tries: int
    seconds_each: float


EXTENSION_AT_PLACE = Stock(tries=10, seconds_each=7200)
EXTENSION = Stock(tries=40, seconds_each=1800)
PLACE = Stock(tries=30, seconds_each=600)
ALL = Stock(tries=120, seconds_each=150)


class _Used:
    """Stocks of one kind: when each is full again. The longest untouched go where there are too many."""

    def __init__(self, stock: Stock) -> None:
        self._stock = stock
        self._full_at: OrderedDict[Hashable, float] = OrderedDict()

    def tries(self, key: Hashable, now: float) -> float:
        """How many were used and are not filled again yet."""
        return (self._full(key, now) - now) / self._stock.seconds_each

    def wait_seconds(self, key: Hashable, now: float) -> float:
        """Until there is one more."""
        return max(0.0, self._full(key, now) - now - (self._stock.tries - 1) * self._stock.seconds_each)

    def add(self, key: Hashable, tries: float, now: float) -> None:
        """Use some, or give some back."""
        self._full_at[key] = max(now, self._full(key, now) + tries * self._stock.seconds_each)
        self._full_at.move_to_end(key)
        if len(self._full_at) > MOST_KEYS:
            self._full_at.popitem(last=False)

    def _full(self, key: Hashable, now: float) -> float:
        return max(now, self._full_at.get(key, now))


class PinBrake:
    """Counts tries in bounded memory. Safe to share between threads.

    `extension` names it with its PIN, so that with a new PIN all tries are there again.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._own, self._places = _Used(EXTENSION_AT_PLACE), _Used(PLACE)
        self._extensions, self._all = _Used(EXTENSION), _Used(ALL)
        self._proven: deque[tuple[str, str]] = deque(maxlen=MAX_PROVEN_PLACES)

    def attempt(self, address: str, extension: str) -> int:
        """Whole seconds this try still has to wait; 0 where it may be made now, and is used until `succeeded`."""
        with self._lock:
            now, keys = self._monotonic(), self._keys(place_of(address), extension)
            wait = max(used.wait_seconds(key, now) for used, key in keys)
            if wait <= 0:
                for used, key in keys:
                    used.add(key, 1, now)
            return math.ceil(wait)

    def succeeded(self, address: str, extension: str) -> None:
        """The PIN was right: what was used for it at this place is there again, and others keep nobody from it here."""
        place = place_of(address)
        with self._lock:
            now, keys = self._monotonic(), self._keys(place, extension)
            tries = self._own.tries((extension, place), now)
            for used, key in keys:
                used.add(key, -tries, now)
            if (extension, place) not in self._proven:
                self._proven.append((extension, place))

    def _keys(self, place: str, extension: str) -> list[tuple[_Used, Hashable]]:
        """The stocks that a try is taken from."""
        keys: list[tuple[_Used, Hashable]] = [(self._own, (extension, place)), (self._places, place)]
        if (extension, place) not in self._proven:
            keys += [(self._extensions, extension), (self._all, None)]
        return keys
