"""Words for people, each through gettext: English is what the code says, other languages are catalogs."""

from flask import Flask
from markupsafe import Markup

from coovox_billing.errors import BillingError
from coovox_billing.sentences import Sentence
from coovox_billing.web import numerals, reader
from coovox_billing.web.catalogs import catalog


def install(app: Flask) -> None:
    """Let templates say `_('…')`, `{% trans %}`, and `told(…)` of what was said in the rooms below."""
    app.jinja_env.add_extension("jinja2.ext.i18n")
    app.jinja_env.globals["told"] = app.jinja_env.filters["told"] = told
    app.jinja_env.install_gettext_callables(_gettext, _ngettext, newstyle=True)  # type: ignore[attr-defined]
    app.jinja_env.globals["ngettext"] = _ngettext_in_templates


def gettext(message: str, /, **values: object) -> str:
    """A sentence in the reader's language; `%(name)s` in it stands for a value."""
    translated = _gettext(message)
    return translated % values if values else translated


def later(message: str) -> str:
    """A sentence that is looked up where it is shown: this only marks it, for catalogs to hold it."""
    return message


def told(said: BillingError | str) -> str:
    """What an error or another sentence of the rooms below says, in the reader's language; other text as it is."""
    sentence = said.sentence if isinstance(said, BillingError) else said
    if not isinstance(sentence, Sentence):
        return sentence
    values = {
        name: told(value) if isinstance(value, BillingError | Sentence) else numerals.in_sentence(value)
        for name, value in sentence.values.items()
    }
    return gettext(sentence.message, **values)


def ngettext(singular: str, plural: str, number: int, /, **values: object) -> str:
    """A sentence about a number of things; `%(num)s` in it is the number."""
    return _ngettext(singular, plural, number) % ({"num": numerals.whole(number)} | values)


def _ngettext_in_templates(singular: str, plural: str, number: int, /, **values: object) -> Markup:
    """The same in a page, values escaped."""
    return Markup(_ngettext(singular, plural, number)) % ({"num": numerals.whole(number)} | values)  # noqa: S704


def _gettext(message: str) -> str:
    # A catalog says what it is where nothing is asked of it.
    return catalog(reader.language()).gettext(message) if message else ""


def _ngettext(singular: str, plural: str, number: int) -> str:
    return catalog(reader.language()).ngettext(singular, plural, number)
