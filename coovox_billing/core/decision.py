"""May this call be made, at what price and for how long: the answer to Asterisk's one question (DESIGN §4).

Pure: account, rates, settings and the moment come in as arguments.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from coovox_billing.core.money import format_amount, format_price
from coovox_billing.core.rating import affordable_seconds, cost_micros, units
from coovox_billing.core.site_settings import Site
from coovox_billing.core.tariff import Choice, Rate, choose


@dataclass(frozen=True, slots=True)
class AccountView:
    """What deciding needs of an account; money in micros."""

    extension: str
    billing: bool
    locked: bool
    available_micros: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer, with what it was decided on.

    `limit_seconds` is None for a call without limit. `reason` is empty for a
    call that passes at a price, else a word of the dialplan contract
    (`emergency`, `not-billed`, `locked`, `no-money`, `no-rate`, ...).
    """

    passes: bool
    reason: str = ""
    choice: Choice = Choice(None, ())
    hold_micros: int = 0
    limit_seconds: int | None = None

    @property
    def rate(self) -> Rate | None:
        """The rate that prices the call, None for one that costs nothing by rule."""
        return self.choice.rate


def decide_without_account(number: str, site: Site) -> Verdict:
    """A call that no extension caused: emergency, or the setting `calls_without_payer`."""
    if number in site.emergency_numbers:
        return Verdict(passes=True, reason="emergency")
    return Verdict(passes=site.calls_without_payer != "refuse", reason="no-payer")


def decide(account: AccountView, number: str, moment: datetime, rates: Iterable[Rate], site: Site) -> Verdict:
    """The verdict for a call of an extension, dialed at `moment` (the site's wall-clock time).

    Without AMI the whole affordable time is promised at once (DESIGN §5), so
    the hold is the cost of the time limit.
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
    return _decide_by_rate(choice, choice.rate, account.available_micros, site.longest_call_seconds)


def _decide_by_rate(choice: Choice, rate: Rate, available_micros: int, longest_seconds: int) -> Verdict:
    seconds = affordable_seconds(rate, available_micros, longest_seconds)
    if seconds == 0:
        return Verdict(passes=False, reason="no-money", choice=choice)
    return Verdict(True, choice=choice, hold_micros=cost_micros(rate, seconds), limit_seconds=seconds)


def explain_choice(choice: Choice) -> list[str]:
    """Sentences that say which rate won and why each other that was looked at lost."""
    if choice.rate is None:
        won = "no rate matches"
    else:
        won = f"{_title(choice.rate)} wins: {_claim(choice.rate)}"
    return [won, *(f"{_title(rate)} lost: {reason}" for rate, reason in choice.lost)]


def explain_cost(rate: Rate, talk_seconds: int) -> str:
    """One sentence with which a person can compute the cost again."""
    started = units(rate, talk_seconds)
    price, total = format_price(rate.rate_micros), format_amount(cost_micros(rate, talk_seconds))
    return (
        f"{talk_seconds} s of talk: {_initial(rate)}, then {started} started unit{_plural(started)} of "
        f"{rate.unit_seconds} s at {price}, is {total}"
    )


def explain_shortage(rate: Rate, available_micros: int) -> str:
    """One sentence that says how much is missing for a first second."""
    return (
        f"{format_amount(available_micros)} is available, the first second costs {format_amount(cost_micros(rate, 1))}"
    )


def _initial(rate: Rate) -> str:
    return f"{format_price(rate.initial_cost_micros)} for the first {rate.initial_seconds} s"


def _title(rate: Rate) -> str:
    return f"rate {rate.id}" + (f" ({rate.remark})" if rate.remark else "")


def _claim(rate: Rate) -> str:
    length = f"exactly {rate.number_length} digits" if rate.number_length else "any length"
    reach = "all extensions" if rate.extensions is None else "its list of extensions"
    return f"prefix {rate.prefix or '(none)'}, {length}, {reach}"


def _plural(count: int) -> str:
    return "" if count == 1 else "s"
