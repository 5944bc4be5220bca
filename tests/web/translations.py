"""The sentences of the code, as `make messages` collects them, and the catalogs that translators made of them."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_file
from babel.messages.pofile import read_po

ROOT = Path(__file__).resolve().parents[2]
LANGUAGES = ROOT / "web/languages"
# Commands are in English.
NOT_FOR_PAGES = ROOT / "coovox_billing/cli"

Said = str | tuple[str, ...]


def _keywords() -> dict[str, tuple[int, ...] | None]:
    """What the Makefile tells Babel to look for."""
    saying = re.search(r"^SAYING := (.+)$", (ROOT / "Makefile").read_text(), re.M)
    assert saying
    return {**DEFAULT_KEYWORDS, **dict.fromkeys(saying[1].split())}


def _sources() -> Iterator[tuple[str, Path]]:
    for path in sorted((ROOT / "coovox_billing").rglob("*.py")):
        if NOT_FOR_PAGES not in path.parents:
            yield "python", path
    for path in sorted((ROOT / "web/templates").rglob("*.html")):
        yield "jinja2.ext:babel_extract", path


@cache
def said() -> frozenset[Said]:
    """Every sentence of the code; one about a number of things with its plural."""
    keywords = _keywords()
    return frozenset(
        message for method, path in _sources() for _line, message, *_ in extract_from_file(method, path, keywords)
    )


@cache
def catalog(language: str) -> Catalog:
    """What a language's translators wrote."""
    with (LANGUAGES / f"{language}.po").open("rb") as lines:
        return read_po(lines, locale=language)


def held(language: str) -> frozenset[Said]:
    """The sentences that a catalog knows."""
    return frozenset(
        message.id if isinstance(message.id, str) else tuple(message.id) for message in catalog(language) if message.id
    )


def untranslated(language: str) -> list[Said]:
    """Those that it says in English still, or is not sure of."""
    return [
        message.id for message in catalog(language) if message.id and (message.fuzzy or not _is_whole(message.string))
    ]


def _is_whole(string: object) -> bool:
    return bool(string) if isinstance(string, str) else isinstance(string, tuple | list) and all(string)
