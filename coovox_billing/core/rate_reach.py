"""Which rates can never win, and which extensions no rate prices: proven by the order of `tariff`.

A number is any text of signs that can be dialed. What lies below a prefix is a tree of the longer prefixes that
rates have; where it has no branch, only the rates on the way down to there match. So it is enough to look at the places
where numbers leave the tree, and at how long they may be.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter

from coovox_billing.core.dialed_number import MAX_DIGITS
from coovox_billing.core.rate_index import RateIndex
from coovox_billing.core.tariff import Rate, precedence
from coovox_billing.core.week import left, open_spans
from coovox_billing.sentences import Sentence

DIGITS = "0123456789"
SIGNS = f"{DIGITS}*#"
MOST_NAMED = 5

_MOST_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Shade:
    """A rate that never wins, and those that come before it wherever it matches: the oldest, one more than is named."""

    rate: Rate
    winners: tuple[Rate, ...]


def unpriced_extensions(rates: Iterable[Rate], billed: Collection[str]) -> list[str]:
    """The billed extensions to which no active rate applies, whatever they dial."""
    left_over = set(billed)
    for rate in rates:
        if rate.active and rate.extensions is None:
            return []
        if rate.active:
            left_over -= rate.extensions or frozenset()
    return sorted(left_over, key=by_number)


@dataclass(frozen=True, slots=True)
class Idle:
    """A rate that can price no call, and why; `winners` come before it wherever it matches."""

    rate: Rate
    why: str
    winners: tuple[Rate, ...] = ()


def idle_rates(rates: RateIndex, known: Collection[str]) -> Iterator[Idle]:
    """The active rates that can price no call, by their prefixes; `known` are the extensions that there are."""
    reach = Reach(rates, known)
    for _, some in groupby(rates.in_order(), key=attrgetter("prefix")):
        same = in_precedence(some)
        yield from (idle for rate in same if (idle := reach.idle(rate, same)))


def in_precedence(rates: Iterable[Rate]) -> list[Rate]:
    """The active ones, those first that come before the others."""
    return sorted((rate for rate in rates if rate.active), key=precedence)


def why_shaded(shade: Shade) -> str:
    """The reason in words."""
    numbers = ", ".join(str(winner.id) for winner in shade.winners[:MOST_NAMED])
    if len(shade.winners) > MOST_NAMED:
        numbers += ", …"
    return Sentence("rate %(numbers)s comes before it at all its hours, for the same numbers", numbers=numbers)


def by_number(extension: str) -> tuple[int, str]:
    """Sorts extensions as people do."""
    return len(extension), extension


def _why_for_nobody(rate: Rate, known: frozenset[str]) -> str:
    if 0 < rate.number_length < len(rate.prefix):
        return Sentence("the numbers it is for are shorter than its prefix")
    if rate.extensions is not None and not rate.extensions & known:
        return Sentence("none of the extensions it applies to is there")
    return ""


@dataclass(slots=True)
class _Search:
    """One look for a call that a rate wins: what came before it so far, and which sets of rivals were enough."""

    rate: Rate
    winners: dict[int, Rate] = field(default_factory=dict)
    is_covered: dict[tuple[int, ...], bool] = field(default_factory=dict)


class Reach:
    """Which rates of a tariff win a call of a known extension, or of one that is still to come.

    Numbers are of these signs, and up to so long.
    """

    def __init__(self, rates: RateIndex, known: Collection[str], signs: str = SIGNS, longest: int = MAX_DIGITS) -> None:
        self._rates, self._known, self._signs, self._longest = rates, frozenset(known), sorted(signs), longest

    def idle(self, rate: Rate, same: Sequence[Rate]) -> Idle | None:
        """Why a rate can price no call; `same` are the active ones of its prefix, in the order of precedence."""
        if why := _why_for_nobody(rate, self._known):
            return Idle(rate, why)
        shade = self.shade(rate, same)
        return Idle(rate, why_shaded(shade), shade.winners) if shade else None

    def shade(self, rate: Rate, same: Sequence[Rate]) -> Shade | None:
        """None where it wins some call, or matches none."""
        if _why_for_nobody(rate, self._known) or not self._lengths(rate):
            return None
        search = _Search(rate)
        if self._wins_below(search, rate.prefix, list(same[: same.index(rate)])):
            return None
        return Shade(rate, tuple(sorted(search.winners.values(), key=lambda winner: winner.id)))

    def _lengths(self, rate: Rate) -> Sequence[int]:
        if rate.number_length:
            return [rate.number_length] if rate.number_length <= self._longest else []
        return range(max(1, len(rate.prefix)), self._longest + 1)

    def _wins_below(self, search: _Search, node: str, rivals: list[Rate]) -> bool:
        """Whether the rate wins a number that begins with `node`; `rivals` match numbers that leave the tree there."""
        open_lengths = (
            length
            for length in self._lengths(search.rate)
            if length >= len(node)
            and not self._is_covered(search, [r for r in rivals if r.number_length in (0, length)])
        )
        shortest = next(open_lengths, None)
        if shortest is None:
            # What covers the numbers that leave the tree here covers every one below.
            return False
        if shortest == len(node) or not self._is_full(node):
            return True
        return any(
            self._wins_below(search, node + sign, rivals + in_precedence(self._rates.of_prefix(node + sign)))
            for sign in self._signs
        )

    def _is_full(self, node: str) -> bool:
        """Whether no longer number leaves the tree there: whatever its next sign is, some prefix begins so."""
        return all(self._rates.begins(node + sign) for sign in self._signs)

    def _is_covered(self, search: _Search, rivals: Sequence[Rate]) -> bool:
        """Whether the rivals, each of which matches the number, apply to all of its extensions at all its hours."""
        if not rivals:
            return False
        key = tuple(rival.id for rival in rivals)
        if len(search.is_covered) > _MOST_REMEMBERED:
            search.is_covered.clear()
        if key not in search.is_covered:
            search.is_covered[key] = all(
                not left(open_spans(search.rate), [span for rival in some for span in open_spans(rival)])
                for some in self._for_each_extension(search.rate, rivals)
            )
        if search.is_covered[key]:
            winners = search.winners | {rival.id: rival for rival in rivals}
            search.winners = {rate_id: winners[rate_id] for rate_id in sorted(winners)[: MOST_NAMED + 1]}
        return search.is_covered[key]

    def _for_each_extension(self, rate: Rate, rivals: Sequence[Rate]) -> Iterator[Sequence[Rate]]:
        """The rivals of each extension. Where a rate is for all, those are the fewest that a new one will have."""
        if rate.extensions is None:
            yield [rival for rival in rivals if rival.extensions is None]
            return
        seen = set()
        for extension in rate.extensions & self._known:
            some = tuple(rival for rival in rivals if rival.extensions is None or extension in rival.extensions)
            key = tuple(rival.id for rival in some)
            if key not in seen:
                seen.add(key)
                yield some
