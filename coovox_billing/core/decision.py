"""May this call be made, at what price and for how long: the answer to Asterisk's one question (DESIGN §4).

Pure: account, rates, settings and the moment come in as arguments.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from coovox_billing.core.money import format_amount, format_price
from coovox_billing.core.rating import cost_micros, units
from coovox_billing.core.site_settings import Site
from coovox_billing.core.stretch import NOTHING, Promise, lengthen, whole
from coovox_billing.core.tariff import Choice, Rate, choose
from coovox_billing.sentences import Sentence

_NO_PREFIX = Sentence("(none)")
_ANY_LENGTH = Sentence("any length")
_ALL_EXTENSIONS = Sentence("all extensions")
_LISTED_EXTENSIONS = Sentence("its list of extensions")


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


def explain_choice(choice: Choice) -> list[str]:
    """Sentences that say which rate won and why each other that was looked at lost."""
    if choice.rate is None:
        won = Sentence("no rate matches")
    else:
        won = Sentence("%(rate)s wins: %(claim)s", rate=_title(choice.rate), claim=claim(choice.rate))
    lost = (Sentence("%(rate)s lost: %(why)s", rate=_title(rate), why=reason) for rate, reason in choice.lost)
    return [won, *lost]


def explain_talk(rate: Rate, talk_seconds: int, free_seconds: int) -> list[str]:
    """What talk costs on a trunk whose first seconds are free, in sentences."""
    if free_seconds == 0 or talk_seconds == 0:
        return [explain_cost(rate, talk_seconds)]
    if talk_seconds <= free_seconds:
        return [
            Sentence(
                "%(talk)s s of talk: no longer than the %(free)s s that are free on the trunk, is 0.0000",
                talk=talk_seconds,
                free=free_seconds,
            )
        ]
    longer = Sentence(
        "longer than the %(free)s s that are free on the trunk, so billed from the answer", free=free_seconds
    )
    return [longer, explain_cost(rate, talk_seconds)]


def explain_cost(rate: Rate, talk_seconds: int) -> str:
    """One sentence with which a person can compute the cost again."""
    return Sentence(
        "%(talk)s s of talk: %(initial_cost)s for the first %(initial)s s, then %(units)s, is %(total)s",
        talk=talk_seconds,
        initial_cost=format_price(rate.initial_cost_micros),
        initial=rate.initial_seconds,
        units=_started(rate, units(rate, talk_seconds)),
        total=format_amount(cost_micros(rate, talk_seconds)),
    )


def explain_shortage(rate: Rate, available_micros: int) -> str:
    """One sentence that says how much is missing for a first second."""
    return Sentence(
        "%(available)s is available, the first second costs %(cost)s",
        available=format_amount(available_micros),
        cost=format_amount(cost_micros(rate, 1)),
    )


def _started(rate: Rate, count: int) -> Sentence:
    price = format_price(rate.rate_micros)
    if count == 1:
        return Sentence("1 started unit of %(unit)s s at %(price)s", unit=rate.unit_seconds, price=price)
    return Sentence(
        "%(count)s started units of %(unit)s s at %(price)s", count=count, unit=rate.unit_seconds, price=price
    )


def _title(rate: Rate) -> str:
    if rate.remark:
        return Sentence("rate %(id)s (%(remark)s)", id=rate.id, remark=rate.remark)
    return Sentence("rate %(id)s", id=rate.id)


def claim(rate: Rate) -> str:
    """What a rate matches, in the words of the order of precedence."""
    length = Sentence("exactly %(count)s digits", count=rate.number_length) if rate.number_length else _ANY_LENGTH
    return Sentence(
        "prefix %(prefix)s, %(length)s, %(reach)s",
        prefix=rate.prefix or _NO_PREFIX,
        length=length,
        reach=_ALL_EXTENSIONS if rate.extensions is None else _LISTED_EXTENSIONS,
    )
