"""What would a call cost: the same decision as a real call's, without making one (DESIGN §6, `quote`)."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from coovox_billing.core import decision, dialed_number, rating, why
from coovox_billing.core.decision import Verdict
from coovox_billing.core.tariff import Rate
from coovox_billing.core.why import Line
from coovox_billing.errors import BadInput
from coovox_billing.sentences import Sentence
from coovox_billing.services.accounts import find
from coovox_billing.services.calls import account_view
from coovox_billing.store import reads


@dataclass(frozen=True, slots=True)
class Quote:
    """The answer for one call. `affordable_seconds` is None for one without limit.

    `lost` are the rates that lost, with the reason of each; `available_micros` is what the account could spend.
    """

    extension: str
    number: str
    at: datetime
    seconds: int
    rate: Rate | None
    cost_micros: int
    units: int
    affordable_seconds: int | None
    passes: bool
    reason: str
    why: tuple[str, ...]
    lost: tuple[tuple[Rate, Line], ...] = ()
    available_micros: int = 0


def quote(connection: sqlite3.Connection, extension: str, number_dialed: str, at: datetime, seconds: int) -> Quote:
    """The price of `seconds` of talk dialed at `at` (aware), as the account stands now.

    Raises:
        NotFound: no such extension.
    """
    site = reads.site(connection)
    account = account_view(find(connection, extension))
    try:
        number = dialed_number.normalize(number_dialed, site.plus_prefix)
    except BadInput as error:
        refusal = Verdict(passes=False, reason="bad-number")
        return _quote(extension, number_dialed, at, seconds, refusal, [error.sentence])
    rates = reads.rates_for(connection, dialed_number.prefixes(number), extension)
    verdict = decision.decide(account, number, at.astimezone(site.time_zone), rates, site)
    explained = verdict.rate is not None or verdict.reason == "no-rate"
    said = _sentences(decision.explain_choice(verdict.choice)) if explained else [_WHY_WITHOUT_RATE[verdict.reason]]
    if verdict.rate is not None and verdict.reason == "no-money":
        said += _sentences([decision.explain_shortage(verdict.rate, account.available_micros)])
    answer = _quote(extension, number, at, seconds, verdict, said)
    return replace(answer, lost=verdict.choice.lost, available_micros=account.available_micros)


_WHY_WITHOUT_RATE: dict[str, str] = {
    "emergency": Sentence("emergency numbers always pass and cost nothing"),
    "locked": Sentence("the extension is locked"),
    "not-billed": Sentence("billing is off for the extension, so its calls cost nothing"),
}


def _sentences(lines: Iterable[Line]) -> list[str]:
    return [why.sentence(line) for line in lines]


def _quote(extension: str, number: str, at: datetime, seconds: int, verdict: Verdict, said: list[str]) -> Quote:
    rate = verdict.rate
    if rate is not None:
        said = [*said, *_sentences([decision.explain_cost(rate, seconds)])]
    return Quote(
        extension=extension,
        number=number,
        at=at,
        seconds=seconds,
        rate=rate,
        cost_micros=rating.cost_micros(rate, seconds) if rate else 0,
        units=rating.units(rate, seconds) if rate else 0,
        affordable_seconds=verdict.limit_seconds if verdict.passes else 0,
        passes=verdict.passes,
        reason=verdict.reason,
        why=tuple(said),
    )
