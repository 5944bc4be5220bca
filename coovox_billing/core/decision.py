"""May this call be made, at what price and for how long: the answer to Asterisk's one question (DESIGN §4).

Pure: account, rates, settings and the moment come in as arguments.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from coovox_billing.core import why
from coovox_billing.core.money import format_amount, format_price
from coovox_billing.core.rating import cost_micros, units
from coovox_billing.core.site_settings import Site
from coovox_billing.core.stretch import NOTHING, Promise, lengthen, whole
from coovox_billing.core.tariff import Choice, Rate, choose
from coovox_billing.core.why import Line


@dataclass(frozen=True, slots=True)
class AccountView:
    """What deciding needs of an account; money in micros."""

    extension: str
    billing: bool
    locked: bool
    available_micros: int
    has_live_calls: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer, with what it was decided on.

    `promise` is None for a call without limit. `reason` is empty for a call
    that passes at a price, else a word of the dialplan contract
    (`emergency`, `not-billed`, `locked`, `no-money`, `no-rate`, ...).
    """

    passes: bool
    reason: str = ""
    choice: Choice = Choice(None, ())
    promise: Promise | None = None

    @property
    def rate(self) -> Rate | None:
        """The rate that prices the call, None for one that costs nothing by rule."""
        return self.choice.rate

    @property
    def hold_micros(self) -> int:
        """The money that the call holds."""
        return self.promise.hold_micros if self.promise else 0

    @property
    def limit_seconds(self) -> int | None:
        """Where Asterisk cuts, None for a call without limit."""
        return self.promise.limit_seconds if self.promise else None


def decide_without_account(number: str, site: Site) -> Verdict:
    """A call that no extension caused: emergency, or the setting `calls_without_payer`."""
    if number in site.emergency_numbers:
        return Verdict(passes=True, reason="emergency")
    return Verdict(passes=site.calls_without_payer != "refuse", reason="no-payer")


def decide(
    account: AccountView,
    number: str,
    moment: datetime,
    rates: Iterable[Rate],
    site: Site,
    by_stretches: bool = False,
) -> Verdict:
    """The verdict for a call of an extension, dialed at `moment` (the site's wall-clock time).

    Where the limit can be moved during the call, a first stretch is promised, else the whole affordable time
    at once (DESIGN §5).
    """
    if number in site.emergency_numbers:
        return Verdict(passes=True, reason="emergency")
    if account.locked:
        return Verdict(passes=False, reason="locked")
    if not account.billing:
        return Verdict(passes=True, reason="not-billed")
    choice = choose(rates, account.extension, number, moment)
    if choice.rate is None:
        return Verdict(passes=site.when_no_rate == "allow", reason="no-rate", choice=choice)
    promise = _first_promise(choice.rate, account, site, by_stretches)
    if promise == NOTHING:
        return Verdict(passes=False, reason="no-money", choice=choice)
    return Verdict(passes=True, choice=choice, promise=promise)


def _first_promise(rate: Rate, account: AccountView, site: Site, by_stretches: bool) -> Promise:
    if not by_stretches:
        return whole(rate, account.available_micros, site.terms)
    others_hour_micros = None if account.has_live_calls else 0
    return lengthen(rate, NOTHING, account.available_micros, others_hour_micros, site.terms)


def explain_choice(choice: Choice) -> list[Line]:
    """Lines that say which rate won and why each other that was looked at lost."""
    won = why.NO_RATE_MATCHES() if choice.rate is None else why.RATE_WINS(_title(choice.rate), claim(choice.rate))
    return [won, *(why.RATE_LOST(_title(rate), reason) for rate, reason in choice.lost)]


def explain_talk(rate: Rate, talk_seconds: int, free_seconds: int) -> list[Line]:
    """What talk costs on a trunk whose first seconds are free, in lines."""
    if free_seconds == 0 or talk_seconds == 0:
        return [explain_cost(rate, talk_seconds)]
    if talk_seconds <= free_seconds:
        return [why.FREE_TALK(talk_seconds, free_seconds)]
    return [why.LONGER_THAN_FREE(free_seconds), explain_cost(rate, talk_seconds)]


def explain_cost(rate: Rate, talk_seconds: int) -> Line:
    """One line with which a person can compute the cost again."""
    started = _started(rate, units(rate, talk_seconds))
    total = format_amount(cost_micros(rate, talk_seconds))
    return why.COST(talk_seconds, format_price(rate.initial_cost_micros), rate.initial_seconds, started, total)


def explain_shortage(rate: Rate, available_micros: int) -> Line:
    """One line that says how much is missing for a first second."""
    return why.SHORTAGE(format_amount(available_micros), format_amount(cost_micros(rate, 1)))


def _started(rate: Rate, count: int) -> Line:
    price = format_price(rate.rate_micros)
    if count == 1:
        return why.ONE_UNIT(rate.unit_seconds, price)
    return why.UNITS(count, rate.unit_seconds, price)


def _title(rate: Rate) -> Line:
    return why.RATE_WITH_REMARK(rate.id, rate.remark) if rate.remark else why.RATE(rate.id)


def claim(rate: Rate) -> Line:
    """What a rate matches, in the words of the order of precedence."""
    return why.CLAIM(
        rate.prefix or why.NO_PREFIX(),
        why.EXACT_LENGTH(rate.number_length) if rate.number_length else why.ANY_LENGTH(),
        why.ALL_EXTENSIONS() if rate.extensions is None else why.LISTED_EXTENSIONS(),
    )
