"""Which rates can never win, and which extensions no rate prices: proven by the order of `tariff`.

A number is any text of signs that can be dialed. What lies below a prefix is a tree of the longer prefixes that
rates have; where it has no branch, only the rates on the way down to there match. So it is enough to look at the places
where numbers leave the tree, and at how long they may be.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from coovox_billing.core.dialed_number import MAX_DIGITS
from coovox_billing.core.tariff import Rate, precedence
from coovox_billing.core.week import left, open_spans
from coovox_billing.sentences import Sentence

DIGITS = "0123456789"
SIGNS = f"{DIGITS}*#"
MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Shade:
    """A rate that never wins, and those that come before it wherever it matches."""

    rate: Rate
    winners: tuple[Rate, ...]


def unpriced_extensions(rates: Iterable[Rate], billed: Collection[str]) -> list[str]:
    """The billed extensions to which no active rate applies, whatever they dial."""
    active = [rate for rate in rates if rate.active]
    if any(rate.extensions is None for rate in active):
        return []
    priced = frozenset().union(*(rate.extensions or () for rate in active))
    return sorted(set(billed) - priced, key=by_number)


@dataclass(frozen=True, slots=True)
class Idle:
    """A rate that can price no call, and why; `winners` come before it wherever it matches."""

    rate: Rate
    why: str
    winners: tuple[Rate, ...] = ()


def idle_rates(rates: Sequence[Rate], known: Collection[str]) -> list[Idle]:
    """The active rates that can price no call, oldest first; `known` are the extensions that there are."""
    known = frozenset(known)
    found = [Idle(rate, why) for rate in rates if rate.active and (why := _why_for_nobody(rate, known))]
    found += [Idle(shade.rate, why_shaded(shade), shade.winners) for shade in shaded_rates(rates, known)]
    return sorted(found, key=lambda idle: idle.rate.id)


def shaded_rates(
    rates: Iterable[Rate], known: Collection[str], signs: str = SIGNS, longest: int = MAX_DIGITS
) -> list[Shade]:
    """The active rates that never win a call of a known extension, or of one that is still to come, oldest first.

    Numbers are of these signs, and up to so long. A rate that matches no call at all is none of them.
    """
    table = _Table(rates, frozenset(known), signs, longest)
    return [shade for rate in table.rates if (shade := table.shade_of(rate))]


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


class _Table:
    """The active rates by prefix, in the order of precedence, and the tree of their prefixes."""

    def __init__(self, rates: Iterable[Rate], known: frozenset[str], signs: str, longest: int) -> None:
        self.rates = sorted((rate for rate in rates if rate.active), key=lambda rate: rate.id)
        self._known, self._signs, self._longest = known, frozenset(signs), longest
        self._of_prefix: dict[str, list[Rate]] = defaultdict(list)
        self._branches: dict[str, set[str]] = defaultdict(set)
        for rate in sorted(self.rates, key=precedence):
            self._of_prefix[rate.prefix].append(rate)
        for prefix in self._of_prefix:
            for end in range(len(prefix)):
                self._branches[prefix[:end]].add(prefix[end])

    def shade_of(self, rate: Rate) -> Shade | None:
        """None where it wins some call, or matches none."""
        if _why_for_nobody(rate, self._known) or not self._lengths(rate):
            return None
        same = self._of_prefix[rate.prefix]
        search = _Search(rate)
        if self._wins_below(search, rate.prefix, same[: same.index(rate)]):
            return None
        return Shade(rate, tuple(sorted(search.winners.values(), key=lambda winner: winner.id)))

    def _lengths(self, rate: Rate) -> Sequence[int]:
        if rate.number_length:
            return [rate.number_length] if rate.number_length <= self._longest else []
        return range(max(1, len(rate.prefix)), self._longest + 1)

    def _wins_below(self, search: _Search, node: str, rivals: list[Rate]) -> bool:
        """Whether the rate wins a number that begins with `node`; `rivals` match numbers that leave the tree there."""
        branches = self._branches.get(node, set()) & self._signs
        for length in self._lengths(search.rate):
            leaves = length == len(node) or (length > len(node) and len(branches) < len(self._signs))
            if leaves and not self._is_covered(search, [r for r in rivals if r.number_length in (0, length)]):
                return True
        if not self._may_win_deeper(search, node, branches, rivals):
            return False
        return any(
            self._wins_below(search, node + sign, rivals + self._of_prefix.get(node + sign, []))
            for sign in sorted(branches)
        )

    def _may_win_deeper(self, search: _Search, node: str, branches: set[str], rivals: list[Rate]) -> bool:
        """Only where no longer number leaves the tree here: what covers those covers every one below."""
        is_full = len(branches) == len(self._signs)
        return is_full and any(
            length > len(node) and not self._is_covered(search, [r for r in rivals if r.number_length in (0, length)])
            for length in self._lengths(search.rate)
        )

    def _is_covered(self, search: _Search, rivals: Sequence[Rate]) -> bool:
        """Whether the rivals, each of which matches the number, apply to all of its extensions at all its hours."""
        key = tuple(rival.id for rival in rivals)
        if key not in search.is_covered:
            search.is_covered[key] = all(
                not left(open_spans(search.rate), [span for rival in some for span in open_spans(rival)])
                for some in self._for_each_extension(search.rate, rivals)
            )
        if search.is_covered[key]:
            search.winners |= {rival.id: rival for rival in rivals}
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
