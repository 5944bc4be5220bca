"""What a plan does to the rates, row by row: what an import, a draft, or taking one back shows before it is done."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flask import request

from coovox_billing.core.rate_fields import fields_of
from coovox_billing.core.tariff import Rate
from coovox_billing.services.rates import Effect, ImportPlan, Step
from coovox_billing.store import queries
from coovox_billing.web import formats
from coovox_billing.web.arguments import Arguments
from coovox_billing.web.listing import read_page
from coovox_billing.web.pages.rates import words as rate_words
from coovox_billing.web.words import gettext as _

MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class StepQuery:
    """The steps of a plan as a list of pages; all of them, or those of one effect."""

    steps: Sequence[Step]
    effect: str = ""

    def count(self) -> int:
        """How many there are."""
        return len(self._shown())

    def page(self, limit: int, offset: int) -> Sequence[Step]:
        """Some of them."""
        return self._shown()[offset : offset + limit]

    def stream(self) -> Iterator[Step]:
        """All of them, one by one."""
        return iter(self._shown())

    def _shown(self) -> Sequence[Step]:
        return [step for step in self.steps if self.effect in ("", step.effect)]


def shown(plan: ImportPlan) -> dict[str, object]:
    """What `rates/_steps.html` shows of a plan."""
    arguments = Arguments(request.args)
    query = StepQuery(plan.steps, arguments.choice("effect", tuple(Effect)))
    titles = rate_words.titles(formats.currency_sign(queries.site().currency))
    effects = _effects()
    return {
        "plan": plan,
        "counts": [(effect, words, plan.count(effect)) for effect, words in effects.items()],
        "effects": effects,
        "effect": query.effect,
        "page": read_page(query, arguments),
        "titles": titles,
        "days": rate_words.days,
        "extensions": rate_words.extensions,
        "changes": lambda step: _changes(step, titles),
        "unknown": _unknown(plan),
    }


def _effects() -> dict[Effect, str]:
    return {
        Effect.ADDED: _("Added"),
        Effect.CHANGED: _("Changed"),
        Effect.UNCHANGED: _("Unchanged"),
        Effect.REMOVED: _("Removed"),
    }


def _changes(step: Step, titles: dict[str, str]) -> list[tuple[str, str, str]]:
    """What changes of a rate: the field's title, its value before and after."""
    if step.before is None or step.after is None:
        return []
    before, after = fields_of(step.before), fields_of(step.after)
    old, new = before | _written(step.before), after | _written(step.after)
    return [(titles[name], old[name], new[name]) for name in before if before[name] != after[name]]


def _written(rate: Rate) -> dict[str, str]:
    """The fields that a file has in another form than the reader's."""
    return {
        "active": _("On") if rate.active else _("Off"),
        "initial_cost": formats.price(rate.initial_cost_micros),
        "rate": formats.price(rate.rate_micros),
        "start_time": formats.time_of_day(rate.start_time),
        "end_time": formats.time_of_day(rate.end_time),
        "days": rate_words.days(rate.days),
        "extensions": " ".join(sorted(rate.extensions)) if rate.extensions else _("All"),
    }


def _unknown(plan: ImportPlan) -> str:
    """The extensions of the rates that nobody has, the first of them by number."""
    named = " ".join(plan.unknown_extensions[:MOST_NAMED])
    return f"{named} …" if len(plan.unknown_extensions) > MOST_NAMED else named
