"""*Check my rates*: what of a tariff is hardly meant so, each in a sentence with what to do about it.

Pure: rates, extensions and what was dialed come in as arguments. Which rates can never win is proven by `rate_reach`.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from coovox_billing.core import week, why
from coovox_billing.core.decision import claim
from coovox_billing.core.money import format_amount
from coovox_billing.core.rate_reach import (
    DIGITS,
    by_number,
    idle_rates,
    shaded_rates,
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

# Numbers that no rate matched are told together by so many of their first signs.
_HEAD_SIGNS = 3


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
    """What was dialed in so many days: how many calls, by the first signs of their numbers and by how many these have.

    `unmatched` are the numbers that no rate matched.
    """

    days: int
    calls: Mapping[tuple[str, int], int]
    unmatched: Sequence["Unmatched"] = ()


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A number that no rate matched: how many calls, and who dialed it last, when (the site's wall-clock time)."""

    number: str
    calls: int
    extension: str
    moment: datetime


def check(rates: Sequence[Rate], extensions: Extensions, refuses: bool, dialed: Dialed | None = None) -> list[Finding]:
    """All that is found, by urgency. `refuses`: what no rate matches is refused, else it passes unbilled.

    Without `dialed` the rates alone are looked at.
    """
    found = [*_unpriced(rates, extensions, refuses), *_gaps(rates, extensions, refuses)]
    found += [*_idle(rates, extensions), *_strangers(rates, extensions), *_prices(rates)]
    if dialed is not None:
        found += [*_without_rate(rates, dialed), *_undialed(rates, dialed)]
    order = {kind: place for place, kind in enumerate(Kind)}
    return sorted(found, key=lambda finding: order[finding.kind])


def _unpriced(rates: Sequence[Rate], extensions: Extensions, refuses: bool) -> Iterator[Finding]:
    then = _then(refuses)
    for extension in unpriced_extensions(rates, extensions.billed):
        said = Sentence(
            "Extension %(extension)s is billed, and no rate applies to it: %(then)s.", extension=extension, then=then
        )
        advice = Sentence("Add it to the list of a rate, or add a rate for all.")
        yield Finding(Kind.UNPRICED, said, advice, extension=extension)


def _then(refuses: bool) -> Sentence:
    return Sentence("calls are refused") if refuses else Sentence("calls pass unbilled")


def _idle(rates: Sequence[Rate], extensions: Extensions) -> Iterator[Finding]:
    """Those that never win, and those that win only for numbers that hardly anybody dials."""
    edit = Sentence("Change its prefix, length, hours or extensions, or turn it off.")
    idle = idle_rates(rates, extensions.known)
    for one in idle:
        said = Sentence("%(rate)s can price no call: %(why)s.", rate=title(one.rate), why=one.why)
        kind = Kind.SHADOWED if one.winners else Kind.NOBODY
        yield Finding(kind, said, edit, one.rate, others=one.winners)
    told = {one.rate.id for one in idle}
    for shade in shaded_rates(rates, extensions.known, DIGITS):
        if shade.rate.id not in told:
            said = Sentence(
                "%(rate)s prices only numbers with * or # behind its prefix: of the others, %(why)s.",
                rate=title(shade.rate),
                why=why_shaded(shade),
            )
            yield Finding(Kind.SHADOWED, said, edit, shade.rate, others=shade.winners)


def _is_for_nobody(rate: Rate, extensions: Extensions) -> bool:
    return rate.extensions is not None and not rate.extensions & extensions.known


def _strangers(rates: Iterable[Rate], extensions: Extensions) -> Iterator[Finding]:
    """Rates that list extensions which are not there, beside some that are."""
    for rate in rates:
        missing = (rate.extensions or frozenset()) - extensions.known
        if rate.active and missing and not _is_for_nobody(rate, extensions):
            said = Sentence(
                "%(rate)s lists extensions that are not there: %(extensions)s.",
                rate=title(rate),
                extensions=_some(sorted(missing, key=by_number)),
            )
            advice = Sentence("Take them out of its list; whoever gets such a number later would have this rate.")
            yield Finding(Kind.STRANGER, said, advice, rate)


def _gaps(rates: Iterable[Rate], extensions: Extensions, refuses: bool) -> Iterator[Finding]:
    """Hours that the rates of a prefix and length leave open, though they have windows."""
    groups: dict[tuple[str, int], list[Rate]] = defaultdict(list)
    for rate in rates:
        if rate.active:
            groups[rate.prefix, rate.number_length].append(rate)
    for (prefix, length), group in sorted(groups.items()):
        if any(rate.open_seconds_per_week < week.WEEK_SECONDS for rate in group):
            fallbacks = [
                rate
                for end in range(len(prefix) + 1)
                for digits in {0, length}
                if (prefix[:end], digits) != (prefix, length)
                for rate in groups.get((prefix[:end], digits), ())
            ]
            yield from _gaps_of(group, fallbacks, extensions, refuses)


def _gaps_of(
    group: Sequence[Rate], fallbacks: Sequence[Rate], extensions: Extensions, refuses: bool
) -> Iterator[Finding]:
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
        yield _gap(group[0], spans, is_bare, some, refuses)


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


def _prices(rates: Iterable[Rate]) -> Iterator[Finding]:
    """Prices that are ten times those of their neighbors, or a tenth.

    Neighbors have the same remark; where no other rate has it, the longest beginning of the prefix in common. A price
    is what `COMPARED_SECONDS` of talk cost. It is compared with the middle one of them all, of two with the lower.
    """
    priced = [rate for rate in rates if rate.active and not rate.is_free]
    by_remark: dict[str, list[Rate]] = defaultdict(list)
    for rate in priced:
        by_remark[rate.remark.strip().casefold()].append(rate)
    by_remark.pop("", None)
    beginnings = _Beginnings(priced)
    middle_of_remark = {remark: _middle(group) for remark, group in by_remark.items()}
    for rate in priced:
        remark = rate.remark.strip().casefold()
        if len(by_remark.get(remark, ())) > 1:
            neighbors = Sentence("those with the remark %(remark)s", remark=rate.remark)
            middle = middle_of_remark[remark]
        elif shared := beginnings.shared_by(rate):
            neighbors = Sentence("those whose prefix begins with %(prefix)s", prefix=shared)
            middle = beginnings.middle(shared)
        else:
            continue
        if finding := _far_off(rate, middle, neighbors):
            yield finding


def _far_off(rate: Rate, middle: int, neighbors: Sentence) -> Finding | None:
    own = _compared(rate)
    if own >= TIMES * middle > 0:
        times = Sentence("ten times as much as its neighbors, or more")
    elif own * TIMES <= middle:
        times = Sentence("a tenth of its neighbors, or less")
    else:
        return None
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


def _middle(rates: Sequence[Rate]) -> int:
    return sorted(map(_compared, rates))[(len(rates) - 1) // 2]


class _Beginnings:
    """Rates by what their prefixes begin with."""

    def __init__(self, rates: Iterable[Rate]) -> None:
        self._groups: dict[str, list[Rate]] = defaultdict(list)
        self._middles: dict[str, int] = {}
        for rate in rates:
            for end in range(1, len(rate.prefix) + 1):
                self._groups[rate.prefix[:end]].append(rate)

    def shared_by(self, rate: Rate) -> str:
        """The longest beginning that another rate has too; empty where there is none."""
        ends = range(len(rate.prefix), 0, -1)
        return next((rate.prefix[:end] for end in ends if len(self._groups[rate.prefix[:end]]) > 1), "")

    def middle(self, beginning: str) -> int:
        """The middle price of those that have it."""
        if beginning not in self._middles:
            self._middles[beginning] = _middle(self._groups[beginning])
        return self._middles[beginning]


def _undialed(rates: Iterable[Rate], dialed: Dialed) -> Iterator[Finding]:
    """Prefixes and lengths that no number had; nothing is told where nothing was dialed at all."""
    lengths: dict[str, set[int]] = defaultdict(set)
    for head, digits in dialed.calls:
        for end in range(len(head) + 1):
            lengths[head[:end]].add(digits)
    seen = set()
    for rate in rates:
        key = (rate.prefix, rate.number_length)
        had = lengths.get(rate.prefix, set())
        if (
            not rate.active
            or not lengths
            or key in seen
            or (had if not rate.number_length else rate.number_length in had)
        ):
            continue
        seen.add(key)
        yield _undialed_finding(rate, sorted(had), dialed.days)


def _undialed_finding(rate: Rate, had: Sequence[int], days: int) -> Finding:
    none = Sentence("No number with %(claim)s was dialed in the last %(days)s days.", claim=_numbers(rate), days=days)
    if had:
        digits = ", ".join(map(str, had[:MOST_NAMED]))
        said = Sentence("%(none)s Those with this prefix had %(digits)s digits.", none=none, digits=digits)
        advice = Sentence("If the length is wrong, correct it: digits are counted with the prefix.")
        return Finding(Kind.UNDIALED, said, advice, rate)
    advice = Sentence("If people dial such numbers in another way, write the prefix as it is dialed.")
    return Finding(Kind.UNDIALED, none, advice, rate)


def _without_rate(rates: Sequence[Rate], dialed: Dialed) -> Iterator[Finding]:
    by_prefix: dict[str, list[Rate]] = defaultdict(list)
    for rate in rates:
        by_prefix[rate.prefix].append(rate)
    groups = _groups(dialed.unmatched)
    for group in sorted(groups, key=lambda some: -sum(one.calls for one in some)):
        newest = max(group, key=lambda one: one.moment)
        yield _without_rate_finding(group, _why_unmatched(by_prefix, newest), dialed.days)


def _groups(unmatched: Sequence[Unmatched]) -> list[list[Unmatched]]:
    """By their first signs; a number that is shorter than these takes in those that begin with it."""
    groups: dict[str, list[Unmatched]] = {}
    for one in sorted(unmatched, key=lambda one: one.number):
        heads = (one.number[:end] for end in range(1, _HEAD_SIGNS + 1))
        head = next((head for head in heads if head in groups), one.number[:_HEAD_SIGNS])
        groups.setdefault(head, []).append(one)
    return list(groups.values())


def _without_rate_finding(group: Sequence[Unmatched], why: Sentence, days: int) -> Finding:
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
        why=why,
    )
    advice = Sentence("Look at these calls, and add a rate for them if they may be made.")
    return Finding(Kind.NO_RATE, said, advice, prefix=common, calls=calls)


def _why_unmatched(by_prefix: Mapping[str, Sequence[Rate]], newest: Unmatched) -> Sentence:
    """What the rates of today say to the newest of them."""
    number = newest.number
    candidates = [rate for end in range(len(number) + 1) for rate in by_prefix.get(number[:end], ())]
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
