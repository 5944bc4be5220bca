"""A whole tariff to be looked through in the order of its prefixes: a list in memory, or a database of a million rates.

What looks through one keeps of it only what it needs, so that it takes no more memory than it says.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Protocol

from coovox_billing.core.tariff import Rate

# Comes behind every sign that a prefix may have.
LAST_SIGN = "~"


class Sorter(Protocol):
    """Puts rows in order, however many there are."""

    def add(self, row: tuple[str, int, int]) -> None:
        """Take one."""

    def in_order(self) -> Iterator[tuple[str, int, int]]:
        """All that were added, the least first."""


class RateIndex(Protocol):
    """The rates of a tariff, active or not."""

    def in_order(self) -> Iterator[Rate]:
        """All, by their prefixes; those of one prefix oldest first."""

    def of_prefix(self, prefix: str) -> Sequence[Rate]:
        """Those with exactly this prefix, oldest first."""

    def begins(self, beginning: str) -> bool:
        """Whether the prefix of an active one begins so, or is it."""

    def of_id(self, rate_id: int) -> Rate:
        """The one of an id, which is there."""

    def sorter(self) -> Sorter:
        """For rows that are as many as the rates."""


class RateList:
    """A tariff in memory."""

    def __init__(self, rates: Sequence[Rate]) -> None:
        self._rates = sorted(rates, key=lambda rate: (rate.prefix, rate.id))
        self._prefixes = [rate.prefix for rate in self._rates]
        self._active_prefixes = [rate.prefix for rate in self._rates if rate.active]

    def in_order(self) -> Iterator[Rate]:
        """As `RateIndex`."""
        return iter(self._rates)

    def of_prefix(self, prefix: str) -> Sequence[Rate]:
        """As `RateIndex`."""
        first = bisect_left(self._prefixes, prefix)
        return self._rates[first : bisect_left(self._prefixes, prefix + "\0", first)]

    def begins(self, beginning: str) -> bool:
        """As `RateIndex`."""
        place = bisect_left(self._active_prefixes, beginning)
        return self._active_prefixes[place : place + 1] > [] and self._active_prefixes[place].startswith(beginning)

    def of_id(self, rate_id: int) -> Rate:
        """As `RateIndex`."""
        return next(rate for rate in self._rates if rate.id == rate_id)

    def sorter(self) -> Sorter:
        """As `RateIndex`."""
        return _ListSorter()


class _ListSorter:
    def __init__(self) -> None:
        self._rows: list[tuple[str, int, int]] = []

    def add(self, row: tuple[str, int, int]) -> None:
        self._rows.append(row)

    def in_order(self) -> Iterator[tuple[str, int, int]]:
        return iter(sorted(self._rows))
