"""Open hours as spans of a week of wall-clock time: what is left of some where others are taken away.

A span is its first and its last second, both included; second 0 is Monday's first. None crosses Sunday's end: what
does is two.
"""

from collections.abc import Iterable, Sequence

from coovox_billing.core.tariff import DAYS_OF_WEEK, SECONDS_PER_DAY, Rate, second_of_day
from coovox_billing.sentences import Sentence, joined

WEEK_SECONDS = 7 * SECONDS_PER_DAY
MOST_TOLD = 3

Span = tuple[int, int]

WHOLE_WEEK: Sequence[Span] = ((0, WEEK_SECONDS - 1),)


def open_spans(rate: Rate) -> list[Span]:
    """The spans in which a rate is open."""
    found = []
    length = (second_of_day(rate.end_time) - second_of_day(rate.start_time)) % SECONDS_PER_DAY
    for day in rate.days:
        start = (day - 1) * SECONDS_PER_DAY + second_of_day(rate.start_time)
        end = start + length
        found.append((start, min(end, WEEK_SECONDS - 1)))
        if end >= WEEK_SECONDS:
            found.append((0, end - WEEK_SECONDS))
    return found


def left(spans: Iterable[Span], taken: Iterable[Span]) -> list[Span]:
    """What of some spans is in no taken one, in order."""
    in_order = sorted(taken)
    found = []
    for start, end in sorted(spans):
        for first, last in in_order:
            if last < start or first > end:
                continue
            if first > start:
                found.append((start, first - 1))
            start = last + 1
            if start > end:
                break
        if start <= end:
            found.append((start, end))
    return found


def around(spans: Sequence[Span]) -> list[Span]:
    """The same, but what goes on from Sunday's end into Monday is one: its end is then in the week after."""
    if len(spans) > 1 and spans[0][0] == 0 and spans[-1][1] == WEEK_SECONDS - 1:
        return [*spans[1:-1], (spans[-1][0], WEEK_SECONDS + spans[0][1])]
    return list(spans)


def told(spans: Sequence[Span]) -> str:
    """Spans in words, as a sentence: the first few, those of the same hours together."""
    days_of: dict[tuple[int, int], list[int]] = {}
    for start, end in around(spans):
        days_of.setdefault((start % SECONDS_PER_DAY, end - start), []).append(start // SECONDS_PER_DAY)
    said = [_told(start, length, days) for (start, length), days in days_of.items()]
    if len(said) <= MOST_TOLD:
        return joined(said)
    return Sentence("%(times)s; and others", times=joined(said[:MOST_TOLD]))


def _told(start: int, length: int, days: Sequence[int]) -> str:
    if length + 1 >= WEEK_SECONDS:
        return Sentence("at all times")
    if length + 1 >= SECONDS_PER_DAY:
        return joined(_from_day_to_day(day * SECONDS_PER_DAY + start, length) for day in days)
    on_days = _days(days)
    if length == 0:
        return Sentence("at %(time)s, %(days)s", time=_clock(start), days=on_days)
    return Sentence(
        "from %(start)s to %(end)s, %(days)s", start=_clock(start), end=_clock(start + length), days=on_days
    )


def _from_day_to_day(start: int, length: int) -> str:
    end = start + length
    return Sentence(
        "from %(day)s %(start)s to %(last_day)s %(end)s",
        day=_day(start // SECONDS_PER_DAY),
        start=_clock(start),
        last_day=_day(end // SECONDS_PER_DAY),
        end=_clock(end),
    )


def _days(days: Sequence[int]) -> str:
    if len(days) == len(DAYS_OF_WEEK):
        return Sentence("every day")
    names = [_day(day) for day in sorted(days)]
    said = names[0]
    for name in names[1:]:
        said = Sentence("%(days)s, %(day)s", days=said, day=name)
    return said


def _day(day: int) -> Sentence:
    return DAYS_OF_WEEK[day % len(DAYS_OF_WEEK)]


def _clock(second: int) -> str:
    minutes, second = divmod(second % SECONDS_PER_DAY, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02d}:{minute:02d}:{second:02d}"
