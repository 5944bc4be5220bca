"""What takes long to find out, kept in memory for a few minutes: its pages, its other views and its files are one."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from werkzeug.exceptions import ServiceUnavailable

from coovox_billing.web.words import gettext as _

MOST_KEPT = 2
KEPT_MS = 300_000
PATIENCE_SECONDS = 15.0

Thing = TypeVar("Thing")


@dataclass(frozen=True, slots=True)
class Kept(Generic[Thing]):
    """Something, and when it was found out, ms since 1970 in UTC."""

    thing: Thing
    at_ms: int


@dataclass(slots=True)
class Shelf(Generic[Thing]):
    """The newest few."""

    _kept: "OrderedDict[tuple[object, ...], Kept[Thing]]" = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, key: tuple[object, ...], now_ms: int, make: Callable[[], Thing]) -> Kept[Thing]:
        """The one of a key, made if it is not there or too old; one after the other, for each takes long.

        Raises:
            ServiceUnavailable: another one is being made, and takes longer than anybody waits.
        """
        if not self._lock.acquire(timeout=PATIENCE_SECONDS):
            raise ServiceUnavailable(_("Others look at the calls. Try again in a minute."))
        try:
            kept = self._kept.get(key)
            if kept is None or not 0 <= now_ms - kept.at_ms < KEPT_MS:
                kept = self._kept[key] = Kept(make(), now_ms)
                while len(self._kept) > MOST_KEPT:
                    self._kept.popitem(last=False)
            return kept
        finally:
            self._lock.release()
