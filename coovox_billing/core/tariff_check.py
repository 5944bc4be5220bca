"""*Check my rates*: what of a tariff is hardly meant so, each in a sentence with what to do about it.

Pure: rates, extensions and what was dialed come in as arguments. Which rates can never win is proven by `rate_reach`.
A tariff is looked through once, prefix by prefix: of its rates no more is kept than 17 bytes each, for their prices.
"""

from array import array
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import partial
from heapq import heappush, heappushpop
from itertools import chain, groupby
from operator import attrgetter, itemgetter

from coovox_billing.core import week, why
from coovox_billing.core.decision import claim
from coovox_billing.core.money import format_amount
from coovox_billing.core.rate_index import LAST_SIGN, RateIndex
from coovox_billing.core.rate_reach import (
    DIGITS,
    Idle,
    Reach,
    Shade,
    by_number,
    in_precedence,
    unpriced_extensions,
    why_shaded,
)
from coovox_billing.core.rating import units
from coovox_billing.core.tariff import Rate, choose
from coovox_billing.core.week import WHOLE_WEEK, Span, left, open_spans
from coovox_billing.sentences import Sentence

# A hole between two windows that is no longer than this is an oversight, though another rate prices the calls.
SLIVER_SECONDS = 300
# Prices are compared by what so much talk costs, and neighbors differ by less than so many times.
COMPARED_SECONDS = 180
TIMES = 10
MOST_NAMED = 5
# So many findings of a kind are told; who has more puts these right first.
MOST_OF_A_KIND = 500

# Numbers that no rate matched are told together by so many of their first signs.
_HEAD_SIGNS = 3
# To sort more than so many takes too much memory.
_MANY = 50_000
# Behind all places of others.
_BEHIND = 1 << 62


class Kind(StrEnum):
    """What is found, the most urgent first."""

    UNPRICED = "unpriced"
    NO_RATE = "no-rate"
    GAP = "gap"
    SHADOWED = "shadowed"
    NOBODY = "nobody"
    STRANGER = "stranger"
    PRICE = "price"
    UNDIALED = "undialed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing, in a sentence, and what to do about it, in another.

    `rate` is the one to edit, `others` are what it is compared with; `extension` is the one without any, `prefix` what
    the `calls` that are told of begin with.
    """

    kind: Kind
    said: str
    advice: str
    rate: Rate | None = None
    extension: str = ""
    prefix: str = ""
    calls: int = 0
    others: tuple[Rate, ...] = ()

    @property
    def beginning(self) -> str | None:
        """What the numbers begin with that it is about; empty is every number, None where it is about none."""
        return self.rate.prefix if self.rate else self.prefix or None


@dataclass(frozen=True, slots=True)
class Extensions:
    """The extensions that there are, and those of them that are billed."""

    known: frozenset[str]
    billed: frozenset[str]


@dataclass(frozen=True, slots=True)
class Dialed:
    """What was dialed in so many days: the first signs of the numbers, and how many signs these had, each pair once.

    `unmatched` are the numbers that no rate matched.
    """

    days: int
    heads: Collection[tuple[str, int]]
    unmatched: Sequence["Unmatched"] = ()


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A number that no rate matched: how many calls, and who dialed it last, when (the site's wall-clock time)."""

    number: str
    calls: int
    extension: str
    moment: datetime


@dataclass(frozen=True, slots=True)
class Findings:
    """The first of each kind, the most urgent first, and how many there are of each."""

    told: Sequence[Finding]
    counts: Mapping[Kind, int]

    @property
    def total(self) -> int:
        """How many there are, told or not."""
        return sum(self.counts.values())


# A finding: its kind, its place among those of its kind, and what puts it into words.
_Found = tuple[Kind, int, Callable[[], Finding]]


class _Collector:
    """Keeps the first findings of each kind, by their places, and counts them all; the words are made in the end."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._counts: Counter[Kind] = Counter()
        self._first: dict[Kind, list[tuple[int, int, Callable[[], Finding]]]] = defaultdict(list)

    def take(self, found: Iterable[_Found]) -> None:
        """Take some; of one place, those first that came first."""
        for kind, place, tell in found:
            self._counts[kind] += 1
            first, entry = self._first[kind], (-place, -self._counts[kind], tell)
            if len(first) < self._most:
                heappush(first, entry)
            else:
                heappushpop(first, entry)

    def findings(self) -> Findings:
        """The first of all that were taken."""
        told = [tell() for kind in Kind for *_, tell in sorted(self._first[kind], reverse=True)]
        return Findings(told, dict(self._counts))


@dataclass(frozen=True, slots=True)
class _Node:
    """The rates of one prefix, oldest first; those of them that are active."""

    prefix: str
    active: Sequence[Rate]


def check(
    rates: RateIndex, extensions: Extensions, refuses: bool, dialed: Dialed | None = None, most: int = MOST_OF_A_KIND
) -> Findings:
    """What is found, by urgency. `refuses`: what no rate matches is refused, else it passes unbilled.

    Without `dialed` the rates alone are looked at. Of each kind up to `most` are told: those of the oldest rates, of
    hours those of the first prefixes.
    """
    collector, prices = _Collector(most), _Prices(rates)
    looks: list[Callable[[_Node], Iterable[_Found]]] = [
        _Gaps(extensions, refuses).look,
        _IdleRates(rates, extensions).look,
        partial(_strangers, extensions),
        prices.look,
    ]
    collector.take(_unpriced(rates, extensions, refuses))
    if dialed is not None:
        collector.take(_without_rate(rates, dialed))
        looks.append(_Undialed(dialed).look)
    for prefix, some in groupby(rates.in_order(), key=attrgetter("prefix")):
        node = _Node(prefix, [rate for rate in some if rate.active])
        collector.take(chain.from_iterable(look(node) for look in looks))
    collector.take(prices.far_off())
    return collector.findings()


def _unpriced(rates: RateIndex, extensions: Extensions, refuses: bool) -> Iterator[_Found]:
    for extension in unpriced_extensions(rates.in_order(), extensions.billed):
        yield Kind.UNPRICED, 0, partial(_unpriced_finding, extension, refuses)


def _unpriced_finding(extension: str, refuses: bool) -> Finding:
    said = Sentence(
        "Extension %(extension)s is billed, and no rate applies to it: %(then)s.",
        extension=extension,
        then=_then(refuses),
    )
    advice = Sentence("Add it to the list of a rate, or add a rate for all.")
    return Finding(Kind.UNPRICED, said, advice, extension=extension)


def _then(refuses: bool) -> Sentence:
    return Sentence("calls are refused") if refuses else Sentence("calls pass unbilled")


class _IdleRates:
    """Those that never win, and those that win only for numbers that hardly anybody dials."""

    def __init__(self, rates: RateIndex, extensions: Extensions) -> None:
        self._reach = Reach(rates, extensions.known)
        self._reach_of_digits = Reach(rates, extensions.known, DIGITS)

    def look(self, node: _Node) -> Iterator[_Found]:
        """Each of them."""
        same = in_precedence(node.active)
        for rate in same:
            if idle := self._reach.idle(rate, same):
                yield Kind.SHADOWED if idle.winners else Kind.NOBODY, rate.id, partial(_idle_finding, idle)
            elif shade := self._reach_of_digits.shade(rate, same):
                yield Kind.SHADOWED, _BEHIND + rate.id, partial(_digits_finding, shade)


_CHANGE_IT = Sentence("Change its prefix, length, hours or extensions, or turn it off.")


def _idle_finding(idle: Idle) -> Finding:
    said = Sentence("%(rate)s can price no call: %(why)s.", rate=title(idle.rate), why=idle.why)
    kind = Kind.SHADOWED if idle.winners else Kind.NOBODY
    return Finding(kind, said, _CHANGE_IT, idle.rate, others=idle.winners)


def _digits_finding(shade: Shade) -> Finding:
    said = Sentence(
        "%(rate)s prices only numbers with * or # behind its prefix: of the others, %(why)s.",
        rate=title(shade.rate),
        why=why_shaded(shade),
    )
    return Finding(Kind.SHADOWED, said, _CHANGE_IT, shade.rate, others=shade.winners)


def _is_for_nobody(rate: Rate, extensions: Extensions) -> bool:
    return rate.extensions is not None and not rate.extensions & extensions.known


def _strangers(extensions: Extensions, node: _Node) -> Iterator[_Found]:
    """Rates that list extensions which are not there, beside some that are."""
    for rate in node.active:
        missing = (rate.extensions or frozenset()) - extensions.known
        if missing and not _is_for_nobody(rate, extensions):
            yield Kind.STRANGER, rate.id, partial(_stranger_finding, rate, missing)


def _stranger_finding(rate: Rate, missing: frozenset[str]) -> Finding:
    said = Sentence(
        "%(rate)s lists extensions that are not there: %(extensions)s.",
        rate=title(rate),
        extensions=_some(sorted(missing, key=by_number)),
    )
    advice = Sentence("Take them out of its list; whoever gets such a number later would have this rate.")
    return Finding(Kind.STRANGER, said, advice, rate)


class _Gaps:
    """Hours that the rates of a prefix and length leave open, though they have windows."""

    def __init__(self, extensions: Extensions, refuses: bool) -> None:
        self._extensions, self._refuses = extensions, refuses
        self._path: list[_Node] = []

    def look(self, node: _Node) -> Iterator[_Found]:
        """Those of one prefix; the ones before it have been looked at."""
        while self._path and not node.prefix.startswith(self._path[-1].prefix):
            self._path.pop()
        self._path.append(node)
        for length in sorted({rate.number_length for rate in node.active}):
            group = [rate for rate in node.active if rate.number_length == length]
            if any(rate.open_seconds_per_week < week.WEEK_SECONDS for rate in group):
                yield from _gaps_of(group, self._fallbacks(length), self._extensions, self._refuses)

    def _fallbacks(self, length: int) -> list[Rate]:
        own = (self._path[-1].prefix, length)
        return [
            rate
            for node in self._path
            for rate in node.active
            if rate.number_length in (0, length) and (rate.prefix, rate.number_length) != own
        ]


def _gaps_of(
    group: Sequence[Rate], fallbacks: Sequence[Rate], extensions: Extensions, refuses: bool
) -> Iterator[_Found]:
    whose: dict[tuple[tuple[Span, ...], bool], list[str]] = defaultdict(list)
    for some, own, others in _classes(group, fallbacks, extensions):
        gaps = left(WHOLE_WEEK, [span for rate in own for span in open_spans(rate)])
        bare = left(gaps, [span for rate in others for span in open_spans(rate)])
        slivers = [span for span in week.around(gaps) if span[1] - span[0] < SLIVER_SECONDS]
        if bare:
            whose[tuple(bare), True] += some
        elif slivers:
            whose[tuple(slivers), False] += some
    for (spans, is_bare), some in whose.items():
        yield Kind.GAP, 0, partial(_gap, group[0], spans, is_bare, some, refuses)


def _classes(
    group: Sequence[Rate], fallbacks: Sequence[Rate], extensions: Extensions
) -> Iterator[tuple[list[str], list[Rate], list[Rate]]]:
    """Extensions that are priced alike, with the rates of the group and the fallbacks that they have.

    No extension stands for all that no rate names, those to come among them.
    """
    if any(rate.extensions is None for rate in group):
        own, others = ([rate for rate in some if rate.extensions is None] for some in (group, fallbacks))
        yield [], own, others
    listed = frozenset().union(*(rate.extensions or () for rate in (*group, *fallbacks))) & extensions.known
    alike: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for extension in sorted(listed, key=by_number):
        alike[tuple(rate.id for rate in (*group, *fallbacks) if _serves(rate, extension))].append(extension)
    for some in alike.values():
        own = [rate for rate in group if _serves(rate, some[0])]
        if own:
            yield some, own, [rate for rate in fallbacks if _serves(rate, some[0])]


def _serves(rate: Rate, extension: str) -> bool:
    return rate.extensions is None or extension in rate.extensions


def _gap(rate: Rate, spans: Sequence[Span], is_bare: bool, some: Sequence[str], refuses: bool) -> Finding:
    claimed, times, whose = _numbers(rate), week.told(spans), _whose(some)
    if not is_bare:
        said = Sentence(
            "Numbers with %(claim)s have a short hole between their rates, %(times)s, %(whose)s: "
            "another rate prices calls then.",
            claim=claimed,
            times=times,
            whose=whose,
        )
        advice = Sentence("Let the rate before it end later: a time block ends with the whole of its last second.")
        return Finding(Kind.GAP, said, advice, rate)
    said = Sentence(
        "No rate is open for numbers with %(claim)s %(times)s, %(whose)s: %(then)s.",
        claim=claimed,
        times=times,
        whose=whose,
        then=_then(refuses),
    )
    advice = Sentence("Widen its time block or days, or add a rate for these hours; a day ends at 23:59:59.")
    return Finding(Kind.GAP, said, advice, rate)


def _numbers(rate: Rate) -> Sentence:
    prefix = rate.prefix or Sentence("(none)")
    if rate.number_length:
        return Sentence("prefix %(prefix)s and %(length)s digits", prefix=prefix, length=rate.number_length)
    return Sentence("prefix %(prefix)s and any length", prefix=prefix)


def _whose(some: Sequence[str]) -> Sentence:
    if not some:
        return Sentence("for every extension that no rate lists")
    return Sentence("for %(extensions)s", extensions=_some(some))


class _Prices:
    """Prices that are ten times those of their neighbors, or a tenth.

    Neighbors have the same remark; where no other rate has it, the longest beginning of the prefix in common. A price
    is what `COMPARED_SECONDS` of talk cost. It is compared with the middle one of them all, of two with the lower.
    """

    def __init__(self, rates: RateIndex) -> None:
        self._rates = rates
        self._by_remark = rates.sorter()
        # By their prefixes: each with how many signs its prefix has in common with the one before.
        self._ids, self._prices, self._shared = array("q"), array("q"), array("b")
        self._last_prefix = ""
        self._middles: dict[tuple[int, int], int] = {}

    def look(self, node: _Node) -> Iterator[_Found]:
        """Take in those of one prefix; what is far off is known in the end."""
        for rate in node.active:
            if not rate.is_free:
                price = _compared(rate)
                if remark := rate.remark.strip().casefold():
                    self._by_remark.add((remark, price, rate.id))
                self._ids.append(rate.id)
                self._prices.append(price)
                self._shared.append(len(common_beginning((self._last_prefix, node.prefix))))
                self._last_prefix = node.prefix
        yield from ()

    def far_off(self) -> Iterator[_Found]:
        """All that are, once all were taken in."""
        judged = _IdSet()
        for _, same in groupby(self._by_remark.in_order(), key=itemgetter(0)):
            ids, prices = array("q"), array("q")
            for _, price, rate_id in same:
                ids.append(rate_id)
                prices.append(price)
            if len(ids) > 1:
                middle = prices[(len(prices) - 1) // 2]
                for rate_id, price in zip(ids, prices, strict=True):
                    judged.add(rate_id)
                    if _is_far_off(price, middle):
                        yield Kind.PRICE, rate_id, partial(self._finding, rate_id, middle)
        yield from self._far_off_by_prefix(judged)

    def _far_off_by_prefix(self, judged: "_IdSet") -> Iterator[_Found]:
        for place, (rate_id, price) in enumerate(zip(self._ids, self._prices, strict=True)):
            if rate_id not in judged and (shared := max(self._shared[place : place + 2])):
                middle = self._middle(place, shared)
                if _is_far_off(price, middle):
                    yield Kind.PRICE, rate_id, partial(self._finding, rate_id, middle, shared)

    def _middle(self, place: int, shared: int) -> int:
        """The middle price of all whose prefixes have so many signs in common with the one of a place."""
        first, end = place, place + 1
        while self._shared[first] >= shared:
            first -= 1
        while end < len(self._shared) and self._shared[end] >= shared:
            end += 1
        if (first, end) not in self._middles:
            self._middles = {(first, end): _middle_of(self._prices[first:end])}
        return self._middles[first, end]

    def _finding(self, rate_id: int, middle: int, shared: int = 0) -> Finding:
        rate = self._rates.of_id(rate_id)
        if shared:
            neighbors = Sentence("those whose prefix begins with %(prefix)s", prefix=rate.prefix[:shared])
        else:
            neighbors = Sentence("those with the remark %(remark)s", remark=rate.remark)
        return _far_off_finding(rate, middle, neighbors)


@dataclass(slots=True)
class _IdSet:
    """A set of ids, a bit each."""

    _bits: bytearray = field(default_factory=bytearray)

    def add(self, one: int) -> None:
        place = one >> 3
        if place >= len(self._bits):
            self._bits.extend(bytes(place + 1 - len(self._bits)))
        self._bits[place] |= 1 << (one & 7)

    def __contains__(self, one: int) -> bool:
        place = one >> 3
        return place < len(self._bits) and bool(self._bits[place] >> (one & 7) & 1)


def _middle_of(prices: Sequence[int]) -> int:
    """The middle one, of two the lower: the least that as many are below or equal to."""
    if len(prices) < _MANY:
        return sorted(prices)[(len(prices) - 1) // 2]
    least, most, wanted = min(prices), max(prices), (len(prices) + 1) // 2
    while least < most:
        guess = (least + most) // 2
        if sum(map(guess.__ge__, prices)) >= wanted:
            most = guess
        else:
            least = guess + 1
    return least


def _is_far_off(own: int, middle: int) -> bool:
    return own >= TIMES * middle > 0 or own * TIMES <= middle


def _far_off_finding(rate: Rate, middle: int, neighbors: Sentence) -> Finding:
    own = _compared(rate)
    if own >= TIMES * middle > 0:
        times = Sentence("ten times as much as its neighbors, or more")
    else:
        times = Sentence("a tenth of its neighbors, or less")
    said = Sentence(
        "%(rate)s costs %(times)s: three minutes are %(own)s, in the middle of %(neighbors)s %(middle)s.",
        rate=title(rate),
        times=times,
        own=format_amount(own),
        neighbors=neighbors,
        middle=format_amount(middle),
    )
    return Finding(Kind.PRICE, said, Sentence("See whether a digit or the point slipped."), rate)


def _compared(rate: Rate) -> int:
    """What so much talk costs, in micros, not rounded."""
    return rate.initial_cost_micros + units(rate, COMPARED_SECONDS) * rate.rate_micros


class _Undialed:
    """Prefixes and lengths that no number had; nothing is told where nothing was dialed at all."""

    def __init__(self, dialed: Dialed) -> None:
        self._days = dialed.days
        self._heads = sorted(dialed.heads)

    def look(self, node: _Node) -> Iterator[_Found]:
        """Those of one prefix, each length once."""
        first = bisect_left(self._heads, (node.prefix, 0))
        end = bisect_left(self._heads, (node.prefix + LAST_SIGN, 0), first)
        oldest: dict[int, Rate] = {}
        for rate in node.active if self._heads else ():
            oldest.setdefault(rate.number_length, rate)
        for length, rate in oldest.items():
            if not any(length in (0, self._heads[place][1]) for place in range(first, end)):
                had = sorted({self._heads[place][1] for place in range(first, end)})
                yield Kind.UNDIALED, rate.id, partial(_undialed_finding, rate, had, self._days)


def _undialed_finding(rate: Rate, had: Sequence[int], days: int) -> Finding:
    none = Sentence("No number with %(claim)s was dialed in the last %(days)s days.", claim=_numbers(rate), days=days)
    if had:
        digits = ", ".join(map(str, had[:MOST_NAMED]))
        said = Sentence("%(none)s Those with this prefix had %(digits)s digits.", none=none, digits=digits)
        advice = Sentence("If the length is wrong, correct it: digits are counted with the prefix.")
        return Finding(Kind.UNDIALED, said, advice, rate)
    advice = Sentence("If people dial such numbers in another way, write the prefix as it is dialed.")
    return Finding(Kind.UNDIALED, none, advice, rate)


def _without_rate(rates: RateIndex, dialed: Dialed) -> Iterator[_Found]:
    groups = _groups(dialed.unmatched)
    for group in sorted(groups, key=lambda some: -sum(one.calls for one in some)):
        yield Kind.NO_RATE, 0, partial(_without_rate_finding, rates, group, dialed.days)


def _groups(unmatched: Sequence[Unmatched]) -> list[list[Unmatched]]:
    """By their first signs; a number that is shorter than these takes in those that begin with it."""
    groups: dict[str, list[Unmatched]] = {}
    for one in sorted(unmatched, key=lambda one: one.number):
        heads = (one.number[:end] for end in range(1, _HEAD_SIGNS + 1))
        head = next((head for head in heads if head in groups), one.number[:_HEAD_SIGNS])
        groups.setdefault(head, []).append(one)
    return list(groups.values())


def _without_rate_finding(rates: RateIndex, group: Sequence[Unmatched], days: int) -> Finding:
    numbers = [one.number for one in group]
    common = common_beginning(numbers)
    lengths = sorted({len(number) for number in numbers})
    calls = sum(one.calls for one in group)
    said = Sentence(
        "Calls of the last %(days)s days without a rate: %(calls)s, to numbers that begin with %(prefix)s "
        "and have %(digits)s digits. %(why)s",
        days=days,
        calls=calls,
        prefix=common,
        digits=", ".join(map(str, lengths[:MOST_NAMED])),
        why=_why_unmatched(rates, max(group, key=lambda one: one.moment)),
    )
    advice = Sentence("Look at these calls, and add a rate for them if they may be made.")
    return Finding(Kind.NO_RATE, said, advice, prefix=common, calls=calls)


def _why_unmatched(rates: RateIndex, newest: Unmatched) -> Sentence:
    """What the rates of today say to the newest of them."""
    number = newest.number
    candidates = [rate for end in range(len(number) + 1) for rate in rates.of_prefix(number[:end])]
    choice = choose(candidates, newest.extension, number, newest.moment)
    if choice.rate is not None:
        return Sentence("Today %(rate)s would price the newest of them.", rate=title(choice.rate))
    if choice.lost:
        rate, reason = choice.lost[0]
        return Sentence("Of the newest, %(rate)s came closest: %(why)s.", rate=title(rate), why=why.sentence(reason))
    return Sentence("No rate has such a prefix.")


def common_beginning(numbers: Sequence[str]) -> str:
    """What all of them begin with."""
    first, last = min(numbers), max(numbers)
    ends = range(min(len(first), len(last)), -1, -1)
    return next(first[:end] for end in ends if first[:end] == last[:end])


def title(rate: Rate) -> Sentence:
    """A rate by what a person knows it by."""
    claims = why.sentence(claim(rate))
    if rate.remark:
        return Sentence("Rate %(id)s (%(remark)s; %(claim)s)", id=rate.id, remark=rate.remark, claim=claims)
    return Sentence("Rate %(id)s (%(claim)s)", id=rate.id, claim=claims)


def _some(words: Sequence[str]) -> str:
    named = ", ".join(words[:MOST_NAMED])
    return f"{named}, …" if len(words) > MOST_NAMED else named
