"""Sentences that are read in English at a terminal and in a log, and in the reader's language on a page.

The rooms below the pages know no reader. They keep a sentence with its values
apart, so that `web.words.told` finds it in a catalog and puts them in there.
"""

import json
from collections.abc import Iterable, Mapping
from functools import reduce
from typing import Any

_encoded = json.JSONEncoder(separators=(",", ":")).encode


class Sentence(str):
    """An English sentence, that knows how it was made: `message`, in which `%(name)s` stands for one of `values`.

    `hint` is what it goes on with at a terminal alone: which command helps. A value may be a sentence itself.
    """

    message: str
    values: dict[str, object]

    def __new__(cls, message: str, /, *, hint: str = "", **values: object) -> "Sentence":
        """The whole text in English."""
        text = f"{message}: {hint}" if hint else message
        sentence = super().__new__(cls, text % values if values else text)
        sentence.message, sentence.values = message, values
        return sentence


def made_of(message: str, values: Mapping[str, object]) -> Sentence:
    """The sentence of a room that does not know sentences, such as `core.license`."""
    return Sentence(message, hint="", **values)


def either(words: Iterable[str]) -> str:
    """`prepaid or postpaid`, of one word or more."""
    return reduce(lambda word, other: Sentence("%(word)s or %(other)s", word=word, other=other), words)


def joined(sentences: Iterable[str]) -> str:
    """`one thing; another`, of one or more; not for many, for each stands in the one before."""
    return reduce(lambda said, more: Sentence("%(said)s; %(more)s", said=said, more=more), sentences)


def as_json(lines: Iterable[str]) -> str:
    """Sentences as they are stored: each a list of its message and, where it has some, its values; other text as it is.

    A line is `["%(amount)s held for %(limit)s s", {"amount": "0.1200", "limit": 60}]`.
    """
    return _encoded([_packed(line) for line in lines])


def from_json(text: str) -> tuple[str, ...]:
    """The sentences that `as_json` stored."""
    return tuple(unpacked(line) for line in json.loads(text))


def _packed(value: object) -> object:
    if not isinstance(value, Sentence):
        return value
    if not value.values:
        return [value.message]
    return [value.message, {name: _packed(inner) for name, inner in value.values.items()}]


def unpacked(stored: Any) -> Any:
    """The sentence of which `as_json` made a list; other values as they are."""
    if not isinstance(stored, list):
        return stored
    message, *values = stored
    return Sentence(message, **{name: unpacked(inner) for name, inner in (values[0] if values else {}).items()})
