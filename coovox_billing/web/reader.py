"""Who reads a page: the language that it is said in, and the locale by which figures and times are written.

A language is chosen in the browser, which keeps it in a cookie; else it is the site's; else what the browser asks for.
Commands and logs have no reader: they are in English.
"""

from functools import cache

from babel.core import Locale, UnknownLocaleError
from flask import g, has_request_context, request

from coovox_billing.core.site_settings import AUTO, ENGLISH, LANGUAGES
from coovox_billing.store import queries

COOKIE = "language"

_NAMES = {"en": "English", "zh": "中文", "es": "Español", "fr": "Français", "ar": "العربية"}
_TAGS = {"zh": "zh-Hans"}
_RIGHT_TO_LEFT = frozenset({"ar"})
# Languages whose countries differ in figures or dates; their words are the same.
_BY_COUNTRY = frozenset({"en", "es", "fr"})


def names() -> list[tuple[str, str, str]]:
    """Each language: its code, its tag for browsers, its own name."""
    return [(code, _TAGS.get(code, code), _NAMES[code]) for code in LANGUAGES]


def chosen() -> str:
    """The language that was chosen in this browser, `auto` where none was."""
    code = request.cookies.get(COOKIE, AUTO)
    return code if code in LANGUAGES else AUTO


def language() -> str:
    """The reader's language, one of LANGUAGES."""
    if not has_request_context():
        return ENGLISH
    if "language" not in g:
        g.language = _find_language()
    return str(g.language)


def do_without_site() -> None:
    """Where the site's settings cannot be read, what tells so is in the language of the browser."""
    if "language" not in g:
        g.language = chosen() if chosen() != AUTO else _asked_for()


def tag() -> str:
    """The reader's language as browsers name it."""
    return _TAGS.get(language(), language())


def direction() -> str:
    """`rtl` where the reader's language is written from right to left, else `ltr`."""
    return "rtl" if language() in _RIGHT_TO_LEFT else "ltr"


def locale() -> Locale:
    """The locale of the reader: the language, and the country where the browser names one that writes otherwise.

    Who is not signed in is shown no figures, and gets the plain one: strangers fill no memory with countries.
    """
    if not has_request_context():
        return known_locale(ENGLISH)
    if "locale" not in g:
        g.locale = known_locale(_with_country(language()))
    found: Locale = g.locale
    return found


@cache
def known_locale(tag: str) -> Locale:
    """The locale of a tag such as `es-MX`; that of the language alone where the country is not known."""
    try:
        return Locale.parse(tag, sep="-")
    except (UnknownLocaleError, ValueError):
        return Locale.parse(tag.partition("-")[0])


def _find_language() -> str:
    if chosen() != AUTO:
        return chosen()
    of_site = queries.site().language
    return of_site if of_site != AUTO else _asked_for()


def _asked_for() -> str:
    """The first of the browser's languages that there is."""
    primary = (tag.partition("-")[0].lower() for tag, quality in request.accept_languages if quality)
    return next((code for code in primary if code in LANGUAGES), ENGLISH)


def _with_country(code: str) -> str:
    """The first tag of the browser in this language, if it names a country, as in `es-MX`."""
    if code in _BY_COUNTRY and g.get("signed_in"):
        for tag in request.accept_languages.values():
            parts = tag.split("-")
            if parts[0].lower() == code:
                return f"{code}-{parts[1].upper()}" if len(parts) == 2 and len(parts[1]) in (2, 3) else code
    return code
