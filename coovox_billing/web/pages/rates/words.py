"""How a rate is written on pages: its fields' titles, its days, its extensions."""

from collections.abc import Collection, Iterable

from coovox_billing.core.tariff import ALL_DAYS, Rate
from coovox_billing.web import formats
from coovox_billing.web.words import gettext as _

_MOST_RANGES = 4


def titles(sign: str) -> dict[str, str]:
    """The guide's words for the fields of a rate, in its order, by their names in a file."""
    return {
        "active": _("Activate"),
        "remark": _("Remark"),
        "prefix": _("Prefix"),
        "number_length": _("Number Length"),
        "initial_cost": _("Initial Cost(%(sign)s)", sign=sign),
        "initial_time": _("Initial Time(s)"),
        "rate": _("Rate(%(sign)s)", sign=sign),
        "billing_unit": _("Billing Unit(s)"),
        "start_time": _("Start Time"),
        "end_time": _("End Time"),
        "days": _("Days"),
        "extensions": _("Extensions"),
    }


def title(rate: Rate) -> str:
    """A rate by what a person knows it by: its remark and its prefix."""
    prefix = _("prefix %(prefix)s", prefix=rate.prefix) if rate.prefix else _("every prefix")
    return f"{rate.remark} ({prefix})" if rate.remark else prefix[:1].upper() + prefix[1:]


def days(chosen: frozenset[int]) -> str:
    """Days of the week: `Every day`, `Mon–Fri`, `Mon, Wed`."""
    if chosen == ALL_DAYS:
        return _("Every day")
    names = dict(formats.weekdays())
    return ", ".join(_span(names[first], names[last], last - first + 1) for first, last in _runs(chosen))


def extensions(listed: frozenset[str] | None) -> str:
    """Extensions that a rate applies to: `All`, `100–105, 110`, and how many more where they are many."""
    if listed is None:
        return _("All")
    spans = list(_number_spans(listed))
    if len(spans) <= _MOST_RANGES:
        return ", ".join(spans)
    shown = ", ".join(spans[: _MOST_RANGES - 1])
    return _("%(shown)s and others, %(count)s in all", shown=shown, count=len(listed))


def all_extensions(listed: frozenset[str] | None) -> str:
    """The same without leaving anything out."""
    return _("All") if listed is None else ", ".join(_number_spans(listed))


def _number_spans(listed: frozenset[str]) -> Iterable[str]:
    """Neighbors of the same length as one span, by number; those that are no plain numbers each alone, at the end."""
    plain = {number for number in listed if number.isdigit()}
    for length in sorted({len(number) for number in plain}):
        for first, last in _runs({int(number) for number in plain if len(number) == length}):
            yield _span(f"{first:0{length}d}", f"{last:0{length}d}", last - first + 1)
    yield from sorted(listed - plain)


def _span(first: str, last: str, count: int) -> str:
    if count == 1:
        return first
    return f"{first}, {last}" if count == 2 else f"{first}–{last}"


def _runs(numbers: Collection[int]) -> Iterable[tuple[int, int]]:
    """First and last of each row of neighbors."""
    first = last = None
    for number in sorted(numbers):
        if first is None or last is None or number != last + 1:
            if first is not None and last is not None:
                yield first, last
            first = number
        last = number
    if first is not None and last is not None:
        yield first, last
