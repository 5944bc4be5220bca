"""The audit log: what people changed, the newest first (DESIGN §8). Needs `open_reading` first."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from peewee import SQL, fn

from coovox_billing.store.lists.blocks import in_blocks
from coovox_billing.store.lists.days import within_days
from coovox_billing.store.models import Change


@dataclass(frozen=True, slots=True)
class LoggedChange:
    """A change: who made it, from where, when (ms since 1970, UTC), of what.

    `before` and `after` are a sentence, or values by their names.
    """

    at_ms: int
    actor: str
    origin: str
    what: str
    before: str | dict[str, Any]
    after: str | dict[str, Any]


@dataclass(frozen=True, slots=True)
class ChangeQuery:
    """Changes from `first_day` to `last_day` of a zone, None for no bound, of one person, where one is named.

    Each of the `keywords` is in what was changed, in what it was before or in what it was after.
    """

    zone: ZoneInfo
    first_day: date | None = None
    last_day: date | None = None
    keywords: str = ""
    actor: str = ""

    def count(self) -> int:
        """How many there are."""
        return int(self._selected(Change.select(fn.COUNT(SQL("*")))).scalar())

    def page(self, limit: int, offset: int) -> Sequence[LoggedChange]:
        """Some of them."""
        return [_change(row) for row in self._rows().limit(limit).offset(offset)]

    def stream(self) -> Iterator[LoggedChange]:
        """All of them, one by one."""
        return map(_change, in_blocks(self._rows(), Change.id))

    def _rows(self) -> Any:
        return self._selected(Change.select()).order_by(Change.id.desc())

    def _selected(self, changes: Any) -> Any:
        for condition in within_days(Change.at_ms, self.first_day, self.last_day, self.zone):
            changes = changes.where(condition)
        if self.actor:
            changes = changes.where(Change.actor == self.actor)
        for word in self.keywords.split():
            changes = changes.where(_holds(word))
        return changes


def people() -> list[str]:
    """Who has ever changed something."""
    actors: Any = Change.select(Change.actor).distinct().order_by(Change.actor).tuples()
    return [actor for (actor,) in actors]


def _holds(word: str) -> Any:
    return Change.what.contains(word) | _in_values(Change.before, word) | _in_values(Change.after, word)


def _in_values(column: Any, word: str) -> Any:
    """Values are kept as JSON, letters beyond ASCII as numbers; digits are sought in texts, not within amounts."""
    if not word.isdigit():
        return column.contains(word) | column.contains(json.dumps(word)[1:-1])
    return column.contains(f'"{word}') | column.contains(f'{word}"') | (~column.startswith("{") & column.contains(word))


def _change(row: Any) -> LoggedChange:
    return LoggedChange(row.at_ms, row.actor, row.origin, row.what, _values(row.before), _values(row.after))


def _values(text: str) -> str | dict[str, Any]:
    """What was entered by `accounts.record` as JSON; anything else is a sentence."""
    if not text.startswith("{"):
        return text
    try:
        values = json.loads(text)
    except ValueError:
        return text
    return values if isinstance(values, dict) else text
