"""How many of some spans of time ran at the same moment. A span ends before the one that begins in that instant."""

from collections import Counter
from collections.abc import Iterable


def most_at_once(spans: Iterable[tuple[int, int]], first: int, step: int, steps: int) -> list[int]:
    """The most spans (begin, end) at once in each of so many steps of time, the first of which begins at `first`.

    A span without length, or that ends before it begins, counts nowhere.
    """
    last = first + step * steps
    changes: Counter[int] = Counter()
    for begin, end in spans:
        if begin < min(end, last) and end > first:
            changes[max(begin, first)] += 1
            changes[min(end, last)] -= 1
    most, running, reached = [0] * steps, 0, 0
    for instant, change in sorted(changes.items()):
        index = (instant - first) // step
        for between in range(reached, min(index + 1, steps)):
            if first + between * step < instant:
                most[between] = max(most[between], running)
        running += change
        if index < steps:
            most[index] = max(most[index], running)
        reached = index
    return most
