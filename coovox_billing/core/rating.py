"""What a call costs by a rate, and how long a sum lasts (DESIGN §4).

    cost = initial cost + ceil(max(0, talk - initial time) / unit) * rate

A started unit counts as a whole one, no talk costs nothing, and the cost is
rounded once, at the end. Affordable time uses the same rounded cost.
"""

from dataclasses import dataclass

from coovox_billing.core.money import most_that_rounds_to, round_to_ledger
from coovox_billing.core.tariff import Rate


@dataclass(frozen=True, slots=True)
class Charge:
    """What a finished call takes from its account, in micros."""

    cost_micros: int
    charged_micros: int
    uncollected_micros: int


def units(rate: Rate, talk_seconds: int) -> int:
    """Billing units started after the initial time."""
    return -(-max(0, talk_seconds - rate.initial_seconds) // rate.unit_seconds)


def cost_micros(rate: Rate, talk_seconds: int) -> int:
    """The cost of a call, a whole number of 1/10,000, in micros."""
    if talk_seconds <= 0:
        return 0
    return round_to_ledger(rate.initial_cost_micros + units(rate, talk_seconds) * rate.rate_micros)


def cost_of_talk(rate: Rate, talk_seconds: int, free_seconds: int) -> int:
    """The cost on a trunk whose first `free_seconds` are free, in micros: longer talk is billed from the answer."""
    return 0 if talk_seconds <= free_seconds else cost_micros(rate, talk_seconds)


def affordable_seconds(rate: Rate, available_micros: int, longest_seconds: int) -> int:
    """The longest talk whose cost fits into `available_micros`, at most `longest_seconds`; 0 if none does.

    A rate that costs nothing affords the longest call, whatever is available.
    """
    if rate.is_free:
        return longest_seconds
    spendable_micros = most_that_rounds_to(available_micros)
    if spendable_micros < rate.initial_cost_micros:
        return 0
    if rate.rate_micros == 0:
        return longest_seconds
    affordable_units = (spendable_micros - rate.initial_cost_micros) // rate.rate_micros
    return min(rate.initial_seconds + affordable_units * rate.unit_seconds, longest_seconds)


def charge(cost: int, hold_micros: int, available_micros: int, charged_before_micros: int = 0) -> Charge:
    """`min(cost, its hold + available)`, so that no balance goes below -credit; the rest is uncollected.

    `available_micros` is what is free beside the call's own hold. It is negative
    where the credit was lowered during the call. What was charged for the call
    before counts as taken already, and goes back where the cost is less.
    """
    charged = min(cost, charged_before_micros + max(0, hold_micros + available_micros))
    return Charge(cost, charged, cost - charged)
