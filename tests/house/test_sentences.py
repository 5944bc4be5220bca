"""What a person reads is a sentence that translators find, with a value for each `%(name)s` in it."""

import ast
import re
from pathlib import Path

import pytest
from babel.messages.extract import extract

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "coovox_billing"
MODULES = sorted(PACKAGE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text()) for path in MODULES}
PLACE = re.compile(r"%\((\w+)\)[a-z]")


def _errors() -> set[str]:
    """The names of all errors that are raised with a sentence."""
    classes = [node for tree in TREES.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    found = {"BillingError", "LicenseError"}
    while more := {c.name for c in classes if found & {ast.unparse(base) for base in c.bases}} - found:
        found |= more
    own = {c.name for c in classes for part in c.body if isinstance(part, ast.FunctionDef) and part.name == "__init__"}
    return found - own


SAYING = {"Sentence", "Numbered", *_errors()}


def said(tree: ast.AST) -> list[ast.Call]:
    """Where sentences are said."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [call for call in calls if ast.unparse(call.func).rpartition(".")[2] in SAYING]


def fault(call: ast.Call) -> str:
    """What is wrong with a sentence, empty for a good one."""
    if ast.unparse(call.func).rpartition(".")[2] == "Numbered":
        kinds = [type(arg.value) for arg in call.args if isinstance(arg, ast.Constant)]
        return "" if kinds == [str, int] and not call.keywords else "it is not one literal and its number"
    texts = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg == "hint")]
    literals = [text.value for text in texts if isinstance(text, ast.Constant) and isinstance(text.value, str)]
    if len(call.args) != 1 or len(literals) != len(texts):
        return "it is not one literal"
    values = {keyword.arg for keyword in call.keywords} - {"hint"}
    places = {name for text in literals for name in PLACE.findall(text)}
    if values != places:
        return f"it has places for {sorted(places)} and values for {sorted(map(str, values))}"
    if values and any("%" in PLACE.sub("", text).replace("%%", "") for text in literals):
        return "it holds a lone %"
    return ""


# These pass on what they are given.
SPEAKERS = [path for path in MODULES if said(TREES[path]) and path.name not in ("errors.py", "sentences.py")]


@pytest.mark.parametrize("module", SPEAKERS, ids=lambda path: path.name)
def test_it_says_each_sentence_with_its_values(module: Path) -> None:
    faults = [(call.lineno, fault(call)) for call in said(TREES[module])]
    assert [found for found in faults if found[1]] == []


@pytest.mark.parametrize(
    ("source", "fine"),
    [
        ("raise BadInput('it is empty')", True),
        ("raise BadInput('100% of it')", True),
        ("raise errors.NotFound('no %(name)s', hint='`add %(name)s`', name=name)", True),
        ("raise BadInput(f'no {name}')", False),
        ("raise BadInput('no ' + name)", False),
        ("raise BadInput('no %s' % name)", False),
        ("raise BadInput('no', name)", False),
        ("raise BadInput('no %(name)s')", False),
        ("raise BadInput('no', name=name)", False),
        ("raise BadInput('no %(name)s', **values)", False),
        ("raise BadInput('100% of %(name)s', name=name)", False),
        ("Sentence('no', hint=f'add {name}')", False),
        ("Numbered('no %(name)s', 5)", True),
        ("Numbered('no ' + name, 5)", False),
        ("Numbered('no %(name)s', number)", False),
    ],
)
def test_it_finds_what_no_translator_could_translate(source: str, fine: bool) -> None:
    assert [fault(call) == "" for call in said(ast.parse(source))] == [fine]


def test_it_lets_babel_collect_every_sentence() -> None:
    keywords = dict.fromkeys(_extracted())
    for path in MODULES:
        with path.open("rb") as file:
            collected = {found[1] for found in extract("python", file, keywords)}
        assert {call.args[0].value for call in said(TREES[path]) if isinstance(call.args[0], ast.Constant)} <= collected


def _extracted() -> list[str]:
    """What `make messages` looks for."""
    line = next(line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith("SAYING := "))
    return line.removeprefix("SAYING := ").split()


def test_it_names_each_error_to_make_messages() -> None:
    assert {*_extracted()} == {*SAYING, "later"}
