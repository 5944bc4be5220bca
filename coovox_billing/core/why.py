"""*Why this price*: the sentences that a call keeps, each by its number (DESIGN §4).

Their texts would be two thirds of all that a call stores (`make bench`). A number is for ever: a sentence may be
worded anew where it says the same of the same places, and one that is said no more stays for the calls that keep it.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from coovox_billing.sentences import Sentence, as_json, made_of, unpacked

# A sentence's number with the values of its places, in their order; a value may be a line itself.
Line = tuple[Any, ...]

_encoded = json.JSONEncoder(separators=(",", ":")).encode
_by_number: "dict[int, Numbered]" = {}


class Numbered:
    """A sentence that calls keep by its number. Called with the values of its places, in their order, it is a line."""

    def __init__(self, message: str, number: int) -> None:
        if number in _by_number:
            raise ValueError(f"two sentences have the number {number}")
        self.message = message
        self.number = number
        _by_number[number] = self

    def __call__(self, *values: object) -> Line:
        """The line, which nobody may ever read."""
        return (self.number, *values)

    @property
    def places(self) -> list[str]:
        """The names of its places, in their order."""
        named = _Names()
        self.message % named
        return named.names


class _Names(dict[str, str]):
    """Takes down which names a sentence asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __missing__(self, name: str) -> str:
        self.names.append(name)
        return ""


RATE_WINS = Numbered("%(rate)s wins: %(claim)s", 1)
RATE_LOST = Numbered("%(rate)s lost: %(why)s", 2)
NO_RATE_MATCHES = Numbered("no rate matches", 3)
RATE = Numbered("rate %(id)s", 4)
RATE_WITH_REMARK = Numbered("rate %(id)s (%(remark)s)", 5)
CLAIM = Numbered("prefix %(prefix)s, %(length)s, %(reach)s", 6)
NO_PREFIX = Numbered("(none)", 7)
ANY_LENGTH = Numbered("any length", 8)
EXACT_LENGTH = Numbered("exactly %(count)s digits", 9)
ALL_EXTENSIONS = Numbered("all extensions", 10)
LISTED_EXTENSIONS = Numbered("its list of extensions", 11)

OTHER_PREFIX = Numbered("its prefix %(prefix)s does not begin the number", 12)
NOT_ACTIVE = Numbered("it is not active", 13)
OTHER_LENGTH = Numbered("it is for numbers of %(length)s digits, this one has %(digits)s", 14)
OTHER_EXTENSIONS = Numbered("it does not apply to extension %(extension)s", 15)
NOT_OPEN = Numbered("it is not open on %(day)s at %(time)s", 16)
SHORTER_PREFIX = Numbered("its prefix is shorter", 17)
LESS_EXACT_LENGTH = Numbered("it takes any length, the winner this exact length", 18)
WIDER_REACH = Numbered("it is for all extensions, the winner for a list", 19)
LONGER_OPEN = Numbered("it is open more hours per week", 20)
NEWER = Numbered("it is newer", 21)

HELD = Numbered("balance %(balance)s, credit %(credit)s, held by other calls %(held)s: %(outcome)s", 22)
HELD_FOR_ALL = Numbered("%(amount)s held for %(limit)s s", 23)
HELD_FOR_FIRST = Numbered("%(amount)s held for a first %(first)s s, more is bought while it lasts", 24)
SHORTAGE = Numbered("%(available)s is available, the first second costs %(cost)s", 25)

COST = Numbered("%(talk)s s of talk: %(initial_cost)s for the first %(initial)s s, then %(units)s, is %(total)s", 26)
ONE_UNIT = Numbered("1 started unit of %(unit)s s at %(price)s", 27)
UNITS = Numbered("%(count)s started units of %(unit)s s at %(price)s", 28)
FREE_TALK = Numbered("%(talk)s s of talk: no longer than the %(free)s s that are free on the trunk, is 0.0000", 29)
LONGER_THAN_FREE = Numbered("longer than the %(free)s s that are free on the trunk, so billed from the answer", 30)
BALANCE_MOVED = Numbered("balance %(before)s before, %(after)s after", 31)
NOT_COLLECTED = Numbered("%(amount)s could not be collected", 32)

LOST = Numbered("closed by rule: nobody told how it ended, so it is charged up to its last sign of life", 33)
ARCHIVED = Numbered(
    "told only after this call had been archived as unanswered: priced by today's rates as of its dialing", 34
)
CORRECTED = Numbered("corrected: it was closed by rule before its true end was known", 35)

DAYS_OF_WEEK = (
    Numbered("Monday", 36),
    Numbered("Tuesday", 37),
    Numbered("Wednesday", 38),
    Numbered("Thursday", 39),
    Numbered("Friday", 40),
    Numbered("Saturday", 41),
    Numbered("Sunday", 42),
)


def stored(lines: Iterable[Line]) -> str:
    """Lines as a call keeps them: `[[2,[5,1,"city"],[17]],[31,"5.0000","4.8800"]]`."""
    return _encoded(list(lines))


def stored_after(text: str, lines: Iterable[Line]) -> str:
    """What is stored, with more lines after it."""
    both = [one[1:-1] for one in (text, stored(lines))]
    return f"[{','.join(filter(None, both))}]"


def sentence(line: Sequence[Any]) -> Sentence:
    """What a line says."""
    number, *values = line
    numbered = _by_number[number]
    said = [sentence(value) if isinstance(value, list | tuple) else value for value in values]
    return made_of(numbered.message, dict(zip(numbered.places, said, strict=True)))


def read(text: str) -> tuple[str, ...]:
    """The sentences of what is stored, be it by number or, as in earlier calls, in full."""
    return tuple(sentence(line) if _is_by_number(line) else unpacked(line) for line in json.loads(text))


def in_full(text: str) -> str:
    """What is stored, to be read without this list: each sentence with its values by name; other text as it is."""
    try:
        return as_json(read(text))
    except (ValueError, LookupError, TypeError):
        return text


def _is_by_number(line: Any) -> bool:
    return isinstance(line, list) and isinstance(line[0], int)
