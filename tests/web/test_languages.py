"""Pages in the reader's language: whose it is, what the catalogs hold, and that nothing was forgotten."""

import re
from gettext import NullTranslations, c2py
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest
from babel.core import Locale
from flask import g
from werkzeug.test import TestResponse

from coovox_billing.core.site_settings import LANGUAGES
from coovox_billing.services import site
from coovox_billing.web import reader, words
from coovox_billing.web.catalogs import catalog
from coovox_billing.web.pages.settings.choices import zones
from tests import bad_days, cast
from tests.web import site_map, translations
from tests.web.conftest import Desk
from tests.web.test_words import SAID_BY_ATTRIBUTES

COMPLETE, STARTED = ("zh", "es"), ("fr", "ar")
STARTED_WITH = 400
PLACE = re.compile(r"%(?:\(\w+\))?[a-z%]|</?\w+[^>]*>|`[^`]+`")


@pytest.mark.parametrize("language", COMPLETE + STARTED)
def test_it_has_every_sentence_of_the_code_in_the_catalog_and_no_other(language: str) -> None:
    """`make messages` brings the catalogs up to date; what is new is then to be translated."""
    held, said = translations.held(language), translations.said()
    assert (sorted(map(str, said - held)), sorted(map(str, held - said))) == ([], [])


@pytest.mark.parametrize("language", COMPLETE)
def test_it_leaves_no_sentence_untranslated(language: str) -> None:
    assert translations.untranslated(language) == []


@pytest.mark.parametrize("language", STARTED)
def test_it_has_begun_a_language(language: str) -> None:
    assert len(translations.held(language)) - len(translations.untranslated(language)) >= STARTED_WITH
    assert not [message for message in translations.catalog(language) if message.id and message.fuzzy]


def places(text: str) -> list[str]:
    """What a translation has to keep: where values stand, markup, commands."""
    return sorted(PLACE.findall(text))


def differences(english: translations.Said, translated: object) -> list[str]:
    """The translations of a message that have other places than it; a form of a number may leave the number out."""
    if isinstance(english, str):
        return [] if places(english) == places(str(translated)) else [str(translated)]
    allowed = [places(form) for form in english]
    allowed += [[place for place in form if place != "%(num)s"] for form in allowed]
    forms = translated if isinstance(translated, tuple | list) else (translated,)
    return [str(form) for form in forms if places(str(form)) not in allowed]


@pytest.mark.parametrize("language", COMPLETE + STARTED)
def test_it_keeps_values_markup_and_commands_in_their_places(language: str) -> None:
    translated = [message for message in translations.catalog(language) if message.id and message.string]
    wrong = {str(message.id): differences(message.id, message.string) for message in translated if any(message.string)}
    assert {english: said for english, said in wrong.items() if said} == {}


@pytest.mark.parametrize(
    ("english", "translated", "count"),
    [
        ("%(a)s of %(b)s", "%(b)s: %(a)s", 0),
        ("%(a)s of %(b)s", "%(a)s", 1),
        ("%(a)s", "%(b)s", 1),
        ("100%% of <b>%(a)s</b>", "<b>%(a)s</b>: 100%%", 0),
        ("<b>%(a)s</b>", "<b>%(a)s<b>", 1),
        ("run `doctor`", "corre `medico`", 1),
        (("%(num)s call", "%(num)s calls"), ("une", "%(num)s appels"), 0),
        (("%(num)s call", "%(num)s calls"), ("%(n)s", "%(num)s appels"), 1),
    ],
)
def test_it_finds_a_place_that_was_lost(english: translations.Said, translated: object, count: int) -> None:
    assert len(differences(english, translated)) == count


@pytest.mark.parametrize("language", COMPLETE + STARTED)
def test_it_counts_as_the_language_does(language: str) -> None:
    form, category = c2py(translations.catalog(language).plural_expr), Locale.parse(language).plural_form
    forms = {number: (form(number), category(number)) for number in range(201)}
    assert (
        len(set(forms.values()))
        == len({said for said, _ in forms.values()})
        == translations.catalog(language).num_plurals
    )


def test_it_says_how_many_in_the_forms_of_each_language() -> None:
    english = ("%(num)s row", "%(num)s rows")
    said = {code: [catalog(code).ngettext(*english, number) for number in (0, 1, 2, 3, 11, 100)] for code in LANGUAGES}
    forms = {code: [texts.index(text) for text in texts] for code, texts in said.items()}
    assert forms == {
        "en": [0, 1, 0, 0, 0, 0],
        "es": [0, 1, 0, 0, 0, 0],
        "fr": [0, 0, 2, 2, 2, 2],
        "zh": [0, 0, 0, 0, 0, 0],
        "ar": [0, 1, 2, 3, 4, 5],
    }


def test_it_says_in_english_what_a_catalog_lacks() -> None:
    assert [catalog(code).gettext("nobody says this") for code in ("ar", "xx")] == ["nobody says this"] * 2
    assert catalog("zh") is catalog("zh")


def set_language(desk: Desk, code: str) -> None:
    """The owner sets the site's language."""
    desk.database.write(lambda connection: site.change_setting(connection, "language", code, cast.MANAGER))


def html_tag(desk: Desk, path: str, asked: str = "") -> str:
    """How a page begins for a browser that asks for these languages."""
    found = re.search(
        r"<html lang=\"([^\"]+)\" dir=\"([^\"]+)\"", desk.browser.get(path, headers={"Accept-Language": asked}).text
    )
    assert found
    return f"{found[1]} {found[2]}"


@pytest.mark.parametrize(
    ("asked", "begins"),
    [
        ("", "en ltr"),
        ("de-DE,de;q=0.9", "en ltr"),
        ("es-MX,en;q=0.9", "es ltr"),
        ("en-US,en;q=0.9,es;q=0.8", "en ltr"),
        ("de,zh-CN;q=0.9,en;q=0.8", "zh-Hans ltr"),
        ("ar-EG", "ar rtl"),
        ("fr;q=0,es;q=0.1", "es ltr"),
        ("*,;;q", "en ltr"),
    ],
)
def test_it_speaks_what_the_browser_asks_for(desk: Desk, asked: str, begins: str) -> None:
    assert html_tag(desk, "/sign-in", asked) == begins
    assert html_tag(desk, "/no-such-page", asked) == begins


def test_it_speaks_the_site_s_language_rather_than_the_browser_s(desk: Desk) -> None:
    set_language(desk, "es")
    assert html_tag(desk, "/sign-in", "fr") == "es ltr"


def test_it_speaks_what_was_chosen_rather_than_the_site_s(desk: Desk) -> None:
    set_language(desk, "es")
    answer = desk.post("/language", {"language": "zh", "page": "sign_in.show", "next": "/call-log"}, "/sign-in")
    assert (answer.status_code, unquote(answer.location)) == (303, "/sign-in?next=/call-log")
    assert html_tag(desk, "/sign-in", "fr") == "zh-Hans ltr"
    desk.post("/language", {"language": "auto", "page": "sign_in.show"}, "/sign-in")
    assert html_tag(desk, "/sign-in", "fr") == "es ltr"


@pytest.mark.parametrize("page", ["", "no.such", "https://evil.example", "static", "call_log.live"])
def test_it_leads_from_the_choice_to_pages_of_ours_alone(desk: Desk, page: str) -> None:
    answer = desk.post("/language", {"language": "tlh", "page": page, "next": "//evil.example"}, "/sign-in")
    assert answer.location.startswith("/")
    assert not answer.location.startswith("//")
    assert "language" not in answer.headers.get("Set-Cookie", "")


def test_it_is_chosen_in_the_own_account(owner_desk: Desk) -> None:
    assert owner_desk.post("/language", {"language": "es", "page": "account.show"}, "/account").location == "/account"
    assert re.search(r'<option value="es" lang="es" selected>', owner_desk.page("/account"))
    assert html_tag(owner_desk, "/extensions") == "es ltr"


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("es-MX", "es_MX"),
        ("es-mx,en", "es_MX"),
        ("es-XX", "es"),
        ("es-419", "es_419"),
        ("en-GB", "en_GB"),
        ("zh-TW", "zh"),
        ("es", "es"),
        ("ar-EG", "ar"),
        ("es-../../etc", "es"),
    ],
)
def test_it_writes_figures_as_the_country_of_the_browser_does(desk: Desk, asked: str, name: str) -> None:
    with desk.app.test_request_context(headers={"Accept-Language": asked}):
        g.signed_in = True
        assert reader.locale() == Locale.parse(name)


def test_it_keeps_strangers_from_filling_memory_with_countries(desk: Desk) -> None:
    with desk.app.test_request_context(headers={"Accept-Language": "es-MX"}):
        assert reader.locale() == Locale.parse("es")


class _Marked(NullTranslations):
    """A language that says what English says, between signs."""

    def gettext(self, message: str) -> str:
        return f"«{message}»"

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return f"«{msgid1 if n == 1 else msgid2}»"


class _Outside(HTMLParser):
    """What a page says outside of the signs."""

    SILENT = frozenset({"code", "textarea", "pre", "script", "style"})
    READ_OUT = SAID_BY_ATTRIBUTES | {"data-label", "data-copied", "data-away"}

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._depth = 0
        self._silent = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.texts += [_cut(value or "", 0) for name, value in attrs if name in self.READ_OUT]
        # What has a language of its own is that language's name.
        if not self._silent and (tag in self.SILENT or (tag != "html" and dict(attrs).get("lang"))):
            self._silent = tag

    def handle_endtag(self, tag: str) -> None:
        if tag == self._silent:
            self._silent = ""

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.texts.append(_cut(data, self._depth))
            self._depth += data.count("«") - data.count("»")


def _cut(text: str, depth: int) -> str:
    """A text without what stands between signs, if `depth` of them were opened before it."""
    kept = ""
    for character in text:
        depth += (character == "«") - (character == "»")
        kept += character if depth == 0 and character != "»" else " "
    return kept


def unsaid(html: str) -> set[str]:
    """The words of a page that are in no sentence."""
    page = _Outside()
    page.feed(html)
    page.close()
    return {word for text in page.texts for word in re.findall(r"[^\W\d_]{2,}", text)}


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ("<p>«Total»: 12</p>", set()),
        ("<p>«<b data-count>0</b> Selected» / Total</p>", {"Total"}),
        ("<p title='Why'>«the «inner» one»</p>", {"Why"}),
        ("<p><code>doctor</code> <button lang='es'>Español</button> <i>said</i></p>", {"said"}),
        ("<td data-label='«Cost»'>1.0000</td>", set()),
    ],
)
def test_it_finds_words_that_are_in_no_sentence(html: str, found: set[str]) -> None:
    assert unsaid(html) == found


# What is called so in every language: names, units, formats, and what Babel knows itself in each language.
SAME_EVERYWHERE = frozenset(
    ["Billing", "CNY", "CSV", "CooVox", "DD", "EUR", "GBP", "MM", "USD", "YYYY", "hh", "mm", "owner", "ss"]
)
GIVEN = (
    ("accounts", "name"),
    ("calls", "call_id"),
    ("calls", "trunk"),
    ("changes", "actor"),
    ("ledger", "actor"),
    ("ledger", "reason"),
    ("people", "name"),
    ("people", "remark"),
    ("rates", "remark"),
    ("saved_searches", "name"),
    ("stays", "guest"),
    ("tariff_drafts", "name"),
    ("trunks", "device"),
    ("trunks", "name"),
)


def given_names(desk: Desk) -> set[str]:
    """Every word that people gave the site, and those that Babel and the zones bring along."""
    locale = Locale.parse("en")
    texts = [name for _code, _tag, name in reader.names()]
    texts += [*locale.territories.values(), *locale.days["format"]["abbreviated"].values(), *zones()]
    for table, column in GIVEN:
        texts += [text for (text,) in cast.look_up(desk.database.path, f"SELECT {column} FROM {table}") if text]
    return {word for text in texts for word in re.findall(r"[^\W\d_]{2,}", str(text))}


def is_a_page(answer: TestResponse) -> bool:
    return answer.status_code != 303 and answer.mimetype == "text/html"


def test_it_says_every_word_of_every_page_in_the_reader_s_language(
    owner_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    site_map.settle_in(owner_desk.database)
    known = given_names(owner_desk) | SAME_EVERYWHERE
    monkeypatch.setattr(words, "catalog", lambda _language: _Marked())
    answers = {path: owner_desk.browser.get(path) for path in site_map.paths(owner_desk.app)}
    forgotten = {path: unsaid(answer.text) - known for path, answer in answers.items() if is_a_page(answer)}
    assert {path: sorted(found) for path, found in forgotten.items() if found} == {}


def test_it_shows_every_page_in_every_language(owner_desk: Desk) -> None:
    site_map.settle_in(owner_desk.database)
    paths = [path for path in site_map.paths(owner_desk.app) if path not in site_map.HALF_WAY | site_map.PIECES]
    for code, tag, _name in reader.names()[1:]:
        owner_desk.post("/language", {"language": code})
        answers = {path: owner_desk.browser.get(path) for path in paths}
        assert [path for path, answer in answers.items() if answer.status_code not in (200, 303)] == [], code
        shown = {path: answer.text for path, answer in answers.items() if is_a_page(answer)}
        assert [path for path, html in shown.items() if f'<html lang="{tag}"' not in html] == [], code


def test_it_tells_of_a_database_that_is_gone_in_the_language_of_the_browser(desk: Desk) -> None:
    bad_days.lose(desk.directory)
    answer = desk.browser.get("/sign-in", headers={"Accept-Language": "es-ES"})
    assert (answer.status_code, '<html lang="es"' in answer.text) == (503, True)
