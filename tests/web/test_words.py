"""Every word that a person reads goes through gettext, so that a language is a catalog and nothing else."""

import ast
import io
import re
from collections.abc import Iterator
from gettext import NullTranslations
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from babel.messages.extract import DEFAULT_KEYWORDS, extract
from jinja2 import Environment, nodes

from coovox_billing.errors import BadInput, BillingError, NotFound
from coovox_billing.sentences import Sentence, as_json, either, from_json
from coovox_billing.web import words
from tests.web.conftest import Desk

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = sorted((ROOT / "web/templates").glob("**/*.html"))
MODULES = sorted((ROOT / "coovox_billing/web").glob("**/*.py"))
SAID_BY_ATTRIBUTES = {"alt", "aria-label", "placeholder", "title"}
# Names and commands are the same in every language.
NAMES = {"CooVox", "Billing", "· CooVox Billing", "CSV", "English", "Other"}
CLASSES_OF_COLUMNS = {"look", "tone"}
NOT_FOR_READERS = {"code", "script", "style"}
MARKS = {"_", "ngettext", "gettext", "later", "Sentence", "BadInput", "NotFound", "Refused", "SetupError"}
# What callers of these give is for the log, for programmers or for browsers.
NOT_SAID = re.compile(r"^(log\.\w+|condition\.\w+|LookupError|ValueError|RuntimeError|TypeVar|OrderedDict)$")
# What this one says is said at start, at a terminal.
MODULES.remove(ROOT / "coovox_billing/web/front.py")
SENTENCE = re.compile(r"[A-Za-z]{2,}[,;:.]? [A-Za-z]|^[A-Z][a-z]{2,}(\(| \(|$)")
# Values of headers and the like that look like sentences.
TECHNICAL = re.compile(
    r"^(<|.*xmlns|.*=\"|attachment; |text/|[a-z-]+-src |form-action|frame-ancestors|base-uri)"
    r"|^(screen and .*|not all|Strict|Lax)$"
)

_HOLE = re.compile("\x00([0-9]+)\x00")


class _Said(HTMLParser):
    """The texts of a template that stand outside of tags, and in attributes that are read out."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._silent: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.texts += [value or "" for name, value in attrs if name in SAID_BY_ATTRIBUTES]
        if tag in NOT_FOR_READERS:
            self._silent.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._silent:
            self._silent.remove(tag)

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.texts.append(data)


def without_jinja(source: str) -> tuple[str, list[str]]:
    """The HTML with a hole for each expression, and the expressions; what is translated is left out."""
    html, expressions, is_translated, inside = "", [], False, ""
    for _line, kind, text in Environment(extensions=["jinja2.ext.i18n"]).lex(source):
        if kind == "data" and not is_translated:
            html += text
        elif kind == "variable_begin":
            inside = "variable"
            expressions.append("")
        elif kind == "variable_end":
            inside = ""
            html += f"\x00{len(expressions) - 1}\x00"
        elif kind == "block_begin":
            inside = "block"
        elif kind == "block_end":
            inside = ""
        elif inside == "variable":
            expressions[-1] += text
        elif inside == "block" and kind == "name" and text in ("trans", "endtrans"):
            is_translated = text == "trans"
    return html, expressions


def literals(expression: str) -> Iterator[str]:
    """The texts that an expression may write as they are."""
    waiting: list[nodes.Node] = list(Environment().parse("{{" + expression + "}}").body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, nodes.Const) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, nodes.CondExpr):
            waiting += [part for part in (node.expr1, node.expr2) if part is not None]
        elif isinstance(node, nodes.Output | nodes.Concat | nodes.Add | nodes.Or | nodes.And):
            waiting += list(node.iter_child_nodes())


def unmarked_in_template(source: str) -> list[str]:
    html, expressions = without_jinja(source)
    reader = _Said()
    reader.feed(html)
    reader.close()
    said = [_HOLE.sub("", text) for text in reader.texts]
    said += [text for part in reader.texts for hole in _HOLE.findall(part) for text in literals(expressions[int(hole)])]
    return [text.strip() for text in said if re.search(r"[^\W\d_]{2}", text) and text.strip() not in NAMES]


def unmarked_in_module(source: str) -> list[str]:
    tree = ast.parse(source)
    fine: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node, clean=False):
            fine.add(node.body[0].value)  # type: ignore[attr-defined]
        if isinstance(node, ast.Call) and (ast.unparse(node.func) in MARKS or NOT_SAID.match(ast.unparse(node.func))):
            fine |= {part for argument in node.args for part in ast.walk(argument)}
        if isinstance(node, ast.Call):
            looks = [keyword.value for keyword in node.keywords if keyword.arg in CLASSES_OF_COLUMNS]
            fine |= {part for look in looks for part in ast.walk(look)}
        if isinstance(node, ast.FunctionDef):
            fine |= {part for decorator in node.decorator_list for part in ast.walk(decorator)}
        if isinstance(node, ast.AnnAssign):
            fine |= set(ast.walk(node.annotation))
        if isinstance(node, ast.Dict):
            fine |= {key for key in node.keys if key is not None}
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and node not in fine]
    return [
        t for t in texts if isinstance(t, str) and SENTENCE.search(t) and not TECHNICAL.search(t) and t not in NAMES
    ]


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_it_marks_every_word_of_a_template(template: Path) -> None:
    assert unmarked_in_template(template.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_it_marks_every_sentence_of_a_page_s_code(module: Path) -> None:
    assert unmarked_in_module(module.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("<h1>Call Log</h1>", ["Call Log"]),
        ("<h1>{{ _('Call Log') }}</h1>", []),
        ("<td>{{ 'On' if billing else 'Off' }}</td>", ["Off", "On"]),
        ("<td class=\"{{ 'owes' if debt else 'number' }}\">{{ amount }} ({{ sign }})</td>", []),
        ("<img alt=\"{{ 'A picture' }}\" title='Why'>", ["Why", "A picture"]),
        (
            "{% trans %}Call Log{% endtrans %}<a{% if x %} class='wide'{% endif %} href='/'>{{ _('Go') }}</a>",
            [],
        ),
        ("<pre><code>coovox-billing pbx check</code></pre>{# a remark #}", []),
    ],
)
def test_it_finds_an_unmarked_word_in_a_template(source: str, found: list[str]) -> None:
    assert sorted(unmarked_in_template(source)) == sorted(found)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("flash('The password is changed.')", ["The password is changed."]),
        ("flash(_('The password is changed.'))", []),
        ("STATES = {'held': 'Answered'}", ["Answered"]),
        ("STATES = {'held': later('Answered')}", []),
        ("raise BadInput('choose one of the list')", []),
        ("log.warning('a wrong password from %s', address)", []),
        ("'''What it does.'''\nname = 'recharge_history.show'", []),
    ],
)
def test_it_finds_an_unmarked_sentence_in_code(source: str, found: list[str]) -> None:
    assert unmarked_in_module(source) == found


def in_english_alone(source: str) -> list[int]:
    """The lines that write an error as it is, which `told` should tell."""
    written = []
    for handler in ast.walk(ast.parse(source)):
        if isinstance(handler, ast.ExceptHandler) and handler.name:
            for node in ast.walk(handler):
                is_put_in = isinstance(node, ast.FormattedValue) and ast.unparse(node.value) == handler.name
                if is_put_in or (isinstance(node, ast.Call) and ast.unparse(node) == f"str({handler.name})"):
                    written.append(handler.lineno)
    return written


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_it_tells_no_error_in_english_alone(module: Path) -> None:
    assert in_english_alone(module.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(("told", "lines"), [("str(error)", [3]), ("f'It is {error}'", [3]), ("told(error)", [])])
def test_it_finds_an_error_in_english_alone(told: str, lines: list[int]) -> None:
    assert in_english_alone(f"try:\n    do()\nexcept BadInput as error:\n    show({told})") == lines


def test_it_lets_babel_collect_every_marked_sentence() -> None:
    template = b"<h1>{{ _('Call Log') }}</h1>{% trans %}One more{% endtrans %}"
    assert [found[1] for found in extract("jinja2.ext:babel_extract", io.BytesIO(template))] == ["Call Log", "One more"]
    code = b"A = later('Kept')\nB = _('Said')\nC = ngettext('one', 'many', 2)"
    keywords = {**DEFAULT_KEYWORDS, "later": None}
    assert [found[1] for found in extract("python", io.BytesIO(code), keywords)] == ["Kept", "Said", ("one", "many")]


class _Marked(NullTranslations):
    """A language that says what English says, with the sign of a catalog around it."""

    def gettext(self, message: str) -> str:
        return f"«{message}»"


@pytest.fixture
def another_language(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "catalog", lambda _language: _Marked())


@pytest.mark.parametrize(
    ("said", "english", "told"),
    [
        (BadInput("choose 100%"), "choose 100%", "«choose 100%»"),
        (NotFound("no %(name)s", hint="`add %(name)s`", name="%s"), "no %s: `add %s`", "«no %s»"),
        (BadInput("%(at)s: %(why)s", at=2, why=Sentence("no %(x)s", x=1)), "2: no 1", "«2: «no 1»»"),
        (BadInput("of %(it)s", it=NotFound("none", hint="add")), "of none: add", "«of «none»»"),
        (BadInput("in %(spent)g s", spent=2.50), "in 2.5 s", "«in 2.5 s»"),
        (Sentence("no answer"), "no answer", "«no answer»"),
        (either(["a", "b", "c"]), "a or b or c", "««a or b» or c»"),
        (either(["a"]), "a", "a"),
        ("what Asterisk says", "what Asterisk says", "what Asterisk says"),
    ],
    ids=str,
)
@pytest.mark.usefixtures("another_language")
def test_it_tells_in_the_reader_s_language(said: BillingError | str, english: str, told: str) -> None:
    assert (str(said), words.told(said)) == (english, told)


@pytest.mark.usefixtures("another_language")
def test_it_tells_what_was_stored_in_the_reader_s_language() -> None:
    inner = Sentence("prefix %(prefix)s", prefix=Sentence("(none)"))
    lines = [Sentence("rate %(id)s wins: %(claim)s", id=7, claim=inner), Sentence("100% free"), "as Asterisk said it"]
    stored = from_json(as_json(lines))
    assert stored == tuple(map(str, lines))
    assert [words.told(line) for line in stored] == [
        "«rate 7 wins: «prefix «(none)»»»", "«100% free»", "as Asterisk said it",
    ]  # fmt: skip


@pytest.mark.usefixtures("another_language")
@pytest.mark.parametrize(
    ("path", "form", "says"),
    [
        ("/rate/test?extension=100&number=5&seconds=x", None, "«'x' is not a whole number from 0 to 10000000»"),
        (
            "/extensions/import/do",
            {"text": "number,credit\n100,-5\n"},
            "«credit: «a credit of -5 is negative: write 0 or more»»",
        ),
        ("/extensions/import/do", {"text": "number,status\n100,open\n"}, "write «locked or unlocked»"),
        ("/extensions/add", {"number": "100", "submission": "x"}, "«extension 100 is there already»"),
    ],
)
def test_it_shows_what_is_wrong_in_the_reader_s_language(
    owner_desk: Desk, path: str, form: dict[str, str] | None, says: str
) -> None:
    answer = owner_desk.browser.get(path) if form is None else owner_desk.post(path, form)
    assert answer.status_code == 422
    assert says in unescape(answer.text)
