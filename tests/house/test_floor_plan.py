"""The floor plan holds: layers, no float in the core, no SQL outside the store, nothing undocumented."""

import argparse
import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from coovox_billing import __version__
from coovox_billing.cli.main import COMMANDS_OF, build_parser
from coovox_billing.config import FILE_SETTINGS
from coovox_billing.core.site_settings import SITE_SETTINGS
from coovox_billing.pbx import dialplan_variables

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "coovox_billing"
DIALPLAN = (ROOT / "asterisk/extensions_coovox_billing.conf").read_text()
MODULES = sorted(PACKAGE.rglob("*.py"))

EVERYWHERE = {"RELEASED_MS", "__version__", "errors", "own_python", "sentences", "shipped", "small_files"}
MAY_IMPORT = {
    "core": {"core"},
    "store": {"core", "store"},
    "services": {"core", "store", "services"},
    "pbx": {"core", "store", "services", "pbx"},
    "firmware": {"core", "firmware"},
    "backup": {"core", "store", "services", "backup"},
    "web": {"core", "store", "services", "backup", "web", "foreign_workbook", "wall_clock"},
}
SQL = re.compile(r"\b(SELECT .+ FROM|INSERT INTO|UPDATE \w+ SET|DELETE FROM|CREATE TABLE|PRAGMA \w+)\b")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(path: Path) -> str:
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else ""


def test_it_keeps_the_arrows_between_layers() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in MODULES
        if room(path) in MAY_IMPORT
        for name in imports(path)
        if name.startswith("coovox_billing.") and name.split(".")[1] not in MAY_IMPORT[room(path)] | EVERYWHERE
    ]
    assert wrong == []


HEAVY = ("cryptography", "flask", "peewee", "pyotp", "segno", "serial", "tzlocal", "waitress")


@pytest.mark.parametrize("heavy", HEAVY)
def test_it_keeps_the_call_plane_light(heavy: str) -> None:
    reached, waiting = set(), {PACKAGE / "call_plane.py"}
    while waiting:
        path = waiting.pop()
        reached.add(path)
        tree = ast.parse(path.read_text())
        names = [n for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom) for n in _named(node)]
        assert heavy not in {name.split(".")[0] for name in names}, path
        waiting |= {found for name in names for found in _files(name)} - reached


def test_it_loads_no_page_library_to_run_a_command() -> None:
    heavy = {"cryptography", "flask", "peewee", "serial", "waitress"}
    script = f"import sys, coovox_billing.cli.main; print(sorted({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_it_loads_no_openssl_into_the_call_plane() -> None:
    script = (
        "import sys; from coovox_billing.cli import main, planes; planes._spare_openssl();"
        "import coovox_billing.call_plane, coovox_billing.call_plane_metrics;"
        "print([name for name in ('_ssl', '_hashlib') if sys.modules.get(name)])"
    )
    found = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (found.stdout, found.stderr) == ("[]\n", "")


def _named(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]


def _files(name: str) -> list[Path]:
    path = ROOT / name.replace(".", "/")
    return [found for found in (path.with_suffix(".py"), path / "__init__.py") if found.exists()]


def test_it_lets_the_tool_of_distributors_import_the_license_alone() -> None:
    tool = sorted((ROOT / "license").rglob("*.py"))
    foreign = {
        name.rpartition(".")[0] if name.startswith("coovox_billing") else name.split(".")[0]
        for path in tool
        for name in imports(path)
    } - {"coovox_license", *sys.stdlib_module_names}
    assert foreign == {"coovox_billing.core.license", "cryptography", "hatchling"}


def test_it_keeps_the_license_apart_from_all_of_ours() -> None:
    foreign = {name.split(".")[0] for name in imports(PACKAGE / "core/license.py")} - sys.stdlib_module_names
    assert foreign == {"cryptography"}


def test_it_uses_no_float_in_the_core() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in MODULES
        if room(path) == "core"
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Constant) and isinstance(node.value, float))
        or (isinstance(node, ast.Name) and node.id in {"float", "Decimal"})
        or (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div))
    ]
    assert found == []


def test_it_asks_nobody_for_the_time_in_the_core() -> None:
    clocks = re.compile(r"\b(time\.time|time\.monotonic|datetime\.now|date\.today|utcnow)\b")
    assert [path.name for path in MODULES if room(path) == "core" and clocks.search(path.read_text())] == []


def test_it_writes_sql_only_in_the_store() -> None:
    outside = [path for path in MODULES if room(path) != "store"]
    assert [str(path.relative_to(ROOT)) for path in outside if SQL.search(path.read_text())] == []


def test_it_finds_sql_where_there_is_some() -> None:
    assert SQL.search((PACKAGE / "store/writes.py").read_text())


def commands(
    parser: argparse.ArgumentParser, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    nested = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    options = [option for action in parser._actions for option in action.option_strings if option.startswith("--")]
    yield path, options
    for action in nested:
        for name, child in action.choices.items():
            yield from commands(child, (*path, name))


@pytest.mark.parametrize(("path", "options"), list(commands(build_parser())), ids=lambda value: " ".join(value))
def test_it_documents_the_command(path: tuple[str, ...], options: list[str]) -> None:
    text = (ROOT / "docs/commands.md").read_text()
    row = next((line for line in text.splitlines() if f"`{' '.join(path)}" in line), text)
    assert " ".join(path) in row
    general = {"--help", "--json"}
    assert [option for option in options if option not in general and option not in (row if path else text)] == []


@pytest.mark.parametrize("setting", [*FILE_SETTINGS, *SITE_SETTINGS], ids=lambda setting: setting.name)
def test_it_documents_the_setting(setting: object) -> None:
    text = (ROOT / "docs/settings.md").read_text()
    row = next(line for line in text.splitlines() if line.startswith(f"| `{setting.name}` |"))
    assert setting.default in row
    assert getattr(setting, "variable", "") in row


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\bCOOVOX_[A-Z_]+", DIALPLAN))))
def test_it_documents_the_dialplan_variable(name: str) -> None:
    assert name in (ROOT / "asterisk/README.md").read_text()


def test_it_names_each_variable_of_the_call_plane_in_the_dialplan() -> None:
    shared = [
        value for value in vars(dialplan_variables).values() if isinstance(value, str) and value.startswith("COOVOX_")
    ]
    assert [name for name in shared if name not in DIALPLAN] == []
    for path, arguments in (
        ("authorize", dialplan_variables.AUTHORIZE_ARGUMENTS),
        ("settle", dialplan_variables.SETTLE_ARGUMENTS),
        ("end", dialplan_variables.END_ARGUMENTS),
    ):
        line = next(line for line in DIALPLAN.splitlines() if f"/{path}," in line)
        assert tuple(re.findall(r",(\w+)=", line)) == arguments


def test_it_fetches_nothing_from_elsewhere() -> None:
    files = [path for path in (ROOT / "web").rglob("*") if path.suffix in {".html", ".css", ".js", ".svg"}]
    assert files
    foreign = re.compile(r"(?:src|href|url)\s*[=(]\s*[\"']?(?:https?:)?//", re.IGNORECASE)
    assert [path.name for path in files if foreign.search(path.read_text())] == []


def test_it_has_a_readme_in_every_top_level_folder() -> None:
    folders = ("asterisk", "coovox_billing", "firmware_hooks", "license", "packaging", "tests", "web")
    assert [folder for folder in folders if not (ROOT / folder / "README.md").is_file()] == []
    assert [f for f in folders if f not in ("coovox_billing",) and (ROOT / f / "__init__.py").exists()] == []


def test_it_tells_this_version_in_the_changelog() -> None:
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_it_finds_every_command_in_the_module_that_is_loaded_for_it() -> None:
    for module, words in COMMANDS_OF.items():
        found = {path[0] for path, _ in commands(build_parser([module])) if path}
        assert found == set(words)
