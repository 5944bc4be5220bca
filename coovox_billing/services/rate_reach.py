"""Rates that price no call, and extensions that no rate prices: what a person would hardly mean.

Pure but for the accounts that it is told.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from coovox_billing.core.tariff import SECONDS_PER_DAY, Rate, comes_before, second_of_day
from coovox_billing.sentences import Sentence

WEEK_SECONDS = 7 * SECONDS_PER_DAY

Span = tuple[int, int]


def unpriced_extensions(rates: Iterable[Rate], billed: Collection[str]) -> list[str]:
    """The billed extensions to which no active rate applies, whatever they dial."""
    active = [rate for rate in rates if rate.active]
    if any(rate.extensions is None for rate in active):
        return []
    priced = frozenset().union(*(rate.extensions or () for rate in active))
    return sorted(set(billed) - priced, key=lambda extension: (len(extension), extension))


def idle_rates(rates: Iterable[Rate], known: Collection[str]) -> list[tuple[Rate, str]]:
    """The active rates that can price no call, with the reason; `known` are the extensions that there are."""
    groups: dict[tuple[str, int], list[Rate]] = defaultdict(list)
    for rate in rates:
        if rate.active:
            groups[rate.prefix, rate.number_length].append(rate)
    found = []
    for group in groups.values():
        for rate in group:
            reason = _why_idle(rate, group, known)
            if reason:
                found.append((rate, reason))
    return sorted(found, key=lambda pair: pair[0].id)


def _why_idle(rate: Rate, group: Sequence[Rate], known: Collection[str]) -> str:
    if 0 < rate.number_length < len(rate.prefix):
        return Sentence("the numbers it is for are shorter than its prefix")
    if rate.extensions is not None and not rate.extensions & set(known):
        return Sentence("none of the extensions it applies to is there")
    winners = [other for other in group if other is not rate and comes_before(other, rate) and _serves(other, rate)]
    if winners and _covers(winners, rate):
        numbers = ", ".join(str(winner.id) for winner in winners)
        return Sentence("rate %(numbers)s comes before it at all its hours, for the same numbers", numbers=numbers)
    return ""


def _serves(winner: Rate, rate: Rate) -> bool:
    """Whether it applies to all whom the other applies to."""
    if winner.extensions is None:
        return True
    return rate.extensions is not None and rate.extensions <= winner.extensions


def _covers(winners: Sequence[Rate], rate: Rate) -> bool:
    """Whether the hours of some rates hold all those of another."""
    covered = sorted(span for winner in winners for span in _spans(winner))
    return all(_is_within(span, covered) for span in _spans(rate))


def _is_within(span: Span, covered: Sequence[Span]) -> bool:
    start, end = span
    for first, last in covered:
        if first <= start <= last:
            start = last + 1
        if start > end:
            return True
    return False


def _spans(rate: Rate) -> list[Span]:
    """The seconds of the week, both included, at which a rate is open; one that crosses Sunday's end is two."""
    found = []
    for day in rate.days:
        start = (day - 1) * SECONDS_PER_DAY + second_of_day(rate.start_time)
        length = (second_of_day(rate.end_time) - second_of_day(rate.start_time)) % SECONDS_PER_DAY
        end = start + length
        found.append((start, min(end, WEEK_SECONDS - 1)))
        if end >= WEEK_SECONDS:
            found.append((0, end - WEEK_SECONDS))
    return found
