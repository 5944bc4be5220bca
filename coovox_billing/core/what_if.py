"""*What if*: calls that were made, priced once by the rates of today and once by a draft, side by side.

The price is that of a real call: the winner of `tariff`, the cost of `rating`. Whether the money had lasted is not
asked, for nobody knows how people would have recharged and talked.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from coovox_billing.core.rating import cost_of_talk
from coovox_billing.core.tariff import NO_RATE, Rate, matches, precedence


class Fate(StrEnum):
    """What a draft changes of a call, beside its price."""

    REFUSED = "refused"
    FREE = "free"
    PRICED = "priced"


@dataclass(frozen=True, slots=True)
class MadeCall:
    """An answered call as it is priced again: `moment` of dialing by the site's clock, seconds of talk that are billed.

    `charged_micros` is what it cost then.
    """

    id: str
    extension: str
    number: str
    moment: datetime
    talk_seconds: int
    billed_seconds: int
    free_seconds: int
    charged_micros: int


@dataclass(frozen=True, slots=True)
class Priced:
    """What a call costs by one tariff, in micros; `rate` is None where none matches, which costs nothing."""

    rate: Rate | None
    cost_micros: int


@dataclass(slots=True)
class Sums:
    """Calls priced twice: how many, their talk, their costs in micros, and of how many the draft changes the fate."""

    calls: int = 0
    talk_seconds: int = 0
    charged_micros: int = 0
    today_micros: int = 0
    draft_micros: int = 0
    refused: int = 0
    free: int = 0
    priced: int = 0

    @property
    def difference_micros(self) -> int:
        """How much more the draft costs."""
        return self.draft_micros - self.today_micros


@dataclass(frozen=True, slots=True)
class Changed:
    """A call that would be refused, or free, or that would have a rate where today none matches."""

    call: MadeCall
    fate: Fate
    today_micros: int
    draft_micros: int


class Tariff:
    """Rates by prefix, so that the winner of a call is found among the few that can match."""

    def __init__(self, rates: Iterable[Rate]) -> None:
        self._of_prefix: dict[str, list[Rate]] = defaultdict(list)
        for rate in sorted(rates, key=precedence):
            if rate.active:
                self._of_prefix[rate.prefix].append(rate)
        self._lengths = sorted({len(prefix) for prefix in self._of_prefix}, reverse=True)

    def winner(self, extension: str, number: str, moment: datetime) -> Rate | None:
        """The rate that prices a call: of all that match, the first in the order of precedence."""
        for length in self._lengths:
            for rate in self._of_prefix.get(number[:length], ()) if length <= len(number) else ():
                if matches(rate, extension, number, moment):
                    return rate
        return None

    def price(self, call: MadeCall) -> Priced:
        """What a call costs by these rates."""
        rate = self.winner(call.extension, call.number, call.moment)
        cost = 0 if rate is None else cost_of_talk(rate, call.billed_seconds, call.free_seconds)
        return Priced(rate, cost)


@dataclass(slots=True)
class Comparison:
    """The calls of a time, summed up by extension and by destination; the first `most_changed` that change their fate.

    A destination is the prefix of the draft's rate, where none matches that of today's; empty is every number,
    `NO_RATE` no rate at all.
    """

    today: Tariff
    draft: Tariff
    refuses: bool
    most_changed: int
    totals: Sums = field(default_factory=Sums)
    of_extension: dict[str, Sums] = field(default_factory=lambda: defaultdict(Sums))
    of_destination: dict[str, Sums] = field(default_factory=lambda: defaultdict(Sums))
    remarks: dict[str, str] = field(default_factory=dict)
    changed: list[Changed] = field(default_factory=list)

    def add(self, call: MadeCall) -> None:
        """Count a call."""
        today, draft = self.today.price(call), self.draft.price(call)
        fate = fate_of(today, draft, self.refuses)
        rate = draft.rate or today.rate
        destination = NO_RATE if rate is None else rate.prefix
        if rate is not None and rate.remark:
            self.remarks.setdefault(destination, rate.remark)
        for sums in (self.totals, self.of_extension[call.extension], self.of_destination[destination]):
            _count(sums, call, today, draft, fate)
        if fate is not None and len(self.changed) < self.most_changed:
            self.changed.append(Changed(call, fate, today.cost_micros, draft.cost_micros))


def fate_of(today: Priced, draft: Priced, refuses: bool) -> Fate | None:
    """What the draft makes of a call beside its price; `refuses`: a call that no rate matches is refused, else free."""
    if draft.rate is None and today.rate is not None and refuses:
        return Fate.REFUSED
    if draft.cost_micros == 0 and today.cost_micros > 0:
        return Fate.FREE
    return Fate.PRICED if today.rate is None and draft.rate is not None else None


def _count(sums: Sums, call: MadeCall, today: Priced, draft: Priced, fate: Fate | None) -> None:
    sums.calls += 1
    sums.talk_seconds += call.talk_seconds
    sums.charged_micros += call.charged_micros
    sums.today_micros += today.cost_micros
    sums.draft_micros += draft.cost_micros
    sums.refused += fate is Fate.REFUSED
    sums.free += fate is Fate.FREE
    sums.priced += fate is Fate.PRICED
