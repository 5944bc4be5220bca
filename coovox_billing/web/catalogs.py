"""The catalogs of translators, `web/languages/*.po`: each is read as it is, once in a process, when it is asked for."""

import io
from functools import cache
from gettext import GNUTranslations, NullTranslations

from coovox_billing.shipped import shipped


@cache
def catalog(language: str) -> NullTranslations:
    """What a language says. What it does not say is said in English, and so is all where it has no catalog."""
    path = shipped("web") / "languages" / f"{language}.po"
    if not path.is_file():
        return NullTranslations()
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    compiled = io.BytesIO()
    with path.open("rb") as lines:
        write_mo(compiled, read_po(lines, locale=language))
    compiled.seek(0)
    return GNUTranslations(compiled)
