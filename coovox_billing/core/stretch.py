"""How far ahead a call in progress is paid for (DESIGN §5).

A call holds money only for what it has been promised: a first stretch of talk,
then further ones, each bought well before the last runs out. So several calls
share one balance, and a recharge lengthens them. Asterisk's hard limit lies a
grace beyond what is promised, so that a call outlives a call plane that is
being restarted; it is never later than what the money paid for when it was set.
"""

from dataclasses import dataclass, replace

from coovox_billing.core.rating import affordable_seconds, cost_micros, units
from coovox_billing.core.tariff import Rate

FIRST_STRETCH_SECONDS = 60
LONGEST_STRETCH_SECONDS = 900
HOUR_SECONDS = 3_600


@dataclass(frozen=True, slots=True)
class Terms:
    """What the site decides: the longest call, and the grace; both in seconds."""

    longest_seconds: int
    grace_seconds: int


@dataclass(frozen=True, slots=True)
class Promise:
    """What a call was promised.

    `promised_seconds` of talk are held for. `limit_seconds` is where Asterisk
    cuts, `hold_micros` what the call holds, `stretch_seconds` how long the
    newest stretch is.
    """

    promised_seconds: int
    limit_seconds: int
    hold_micros: int
    stretch_seconds: int


NOTHING = Promise(0, 0, 0, 0)


def whole(rate: Rate, available_micros: int, terms: Terms) -> Promise:
    """All that the money affords in one stretch, for a call whose limit cannot be moved; NOTHING if not a second."""
    seconds = affordable_seconds(rate, available_micros, terms.longest_seconds)
    return Promise(seconds, seconds, cost_micros(rate, seconds), seconds)


def lengthen(
    rate: Rate, before: Promise, available_micros: int, others_hour_micros: int | None, terms: Terms
) -> Promise:
    """One more stretch of whole units; no more talk than before where the money is out, and then without a grace.

    `available_micros` is free beside the call's own hold. `others_hour_micros` is what an hour of the
    account's other live calls would cost, None if that was not asked for. Only while the money covers that
    and an hour of this call, stretches grow and the grace is held for. A grace that is not held for is given
    to an account's only call, because others could talk the same money away.
    """
    funds_micros = before.hold_micros + available_micros
    affordable = affordable_seconds(rate, funds_micros, terms.longest_seconds)
    if affordable <= before.promised_seconds:
        return NOTHING if before == NOTHING else _last(rate, before, terms)
    if rate.rate_micros == 0:
        return whole(rate, funds_micros, terms)
    if others_hour_micros is not None:
        grown = min(max(FIRST_STRETCH_SECONDS, 2 * before.stretch_seconds), LONGEST_STRETCH_SECONDS)
        rich = _stretch(rate, before, grown, affordable, terms)
        if cost_micros(rate, rich.limit_seconds + HOUR_SECONDS) + others_hour_micros <= funds_micros:
            return replace(rich, hold_micros=cost_micros(rate, rich.limit_seconds))
    unheld = terms if others_hour_micros == 0 else replace(terms, grace_seconds=0)
    return _stretch(rate, before, FIRST_STRETCH_SECONDS, affordable, unheld)


def hour_micros(rate: Rate, promise: Promise) -> int:
    """What one more hour of a call costs beyond what it holds."""
    return cost_micros(rate, promise.promised_seconds + HOUR_SECONDS) - promise.hold_micros


def _stretch(rate: Rate, before: Promise, stretch_seconds: int, affordable_seconds: int, terms: Terms) -> Promise:
    promised = min(_end_of_unit(rate, before.promised_seconds + stretch_seconds), affordable_seconds)
    limit = min(promised + terms.grace_seconds, affordable_seconds)
    return Promise(promised, limit, cost_micros(rate, promised), stretch_seconds)


def _last(rate: Rate, before: Promise, terms: Terms) -> Promise:
    """What is held stays, whatever became of the balance: it pays for this much and no more."""
    paid_seconds = affordable_seconds(rate, before.hold_micros, terms.longest_seconds)
    seconds = max(before.promised_seconds, paid_seconds)
    return replace(before, promised_seconds=seconds, limit_seconds=seconds)


def _end_of_unit(rate: Rate, seconds: int) -> int:
    return rate.initial_seconds + units(rate, seconds) * rate.unit_seconds
