"""What the guides quote is what the product says, their commands exist, and typing them does what they show."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from contextlib import redirect_stderr
from functools import cache
from io import StringIO
from pathlib import Path

import pytest

from coovox_billing.cli.main import build_parser, main
from coovox_billing.pbx.check import check
from coovox_billing.pbx.dialplan_check import SUBROUTINE
from coovox_billing.pbx.install import install
from coovox_billing.pbx.metrics import Gauges, Metrics

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "coovox_billing"
NAMES = ("install", "outbound-routes", "first-rate", "troubleshooting", "log", "metrics", "self-service", "user-guide")
GUIDES = [ROOT / f"docs/{name}.md" for name in NAMES]
TRIED = [ROOT / "README.md", *GUIDES]
PLACE = re.compile(r"%\(\w+\)[sgd]|%[sd]|%\.0f|%r")
SHORTEST = 8
# Asterisk's and systemd's own words, and the page that another part of the product's documentation is.
ELSEWHERE = {"freepbx.md"}


def blocks(path: Path, kind: str) -> list[str]:
    """The fenced blocks of a kind."""
    return re.findall(rf"^ *```{kind}\n(.*?)^ *```", path.read_text(), re.MULTILINE | re.DOTALL)


@cache
def said() -> tuple[str, ...]:
    """Every piece of text in the code that a person may read, cut where values go in."""
    texts = [
        node.value
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    return tuple(PLACE.sub("\0", text) for text in texts)


def quotes(path: Path) -> list[str]:
    """What a page quotes word for word."""
    return re.findall(r"^ *> (.+)$", path.read_text(), re.MULTILINE)


def is_said(quote: str) -> bool:
    """Whether the pieces between what differs stand in the code, each where a text has it."""
    pieces = [piece.strip() for piece in quote.split("…")]
    known = [piece for piece in pieces if len(piece) >= SHORTEST]
    return bool(known) and all(any(piece in text for text in said()) for piece in known)


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.name)
def test_it_quotes_what_the_product_says(path: Path) -> None:
    assert [quote for quote in quotes(path) if not is_said(quote)] == []


def test_it_would_notice_a_quote_that_nobody_says() -> None:
    assert len(quotes(ROOT / "docs/troubleshooting.md")) > 50
    assert not is_said("the disk is rather full")
    assert not is_said("… …")


def commands(path: Path) -> Iterator[list[str]]:
    """Each command of ours that a page has somebody type, in a block or in the text."""
    text = path.read_text()
    lines = [line for block in blocks(path, "sh") for line in block.splitlines()]
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL))
    for line in [*lines, *inline]:
        match = re.match(
            r"(?:sudo (?:-u \S+ )?)?(?:\.venv/bin/)?coovox-billing (?!-)(.+)|\S+coovox-billing --data \S+ (.+)", line
        )
        if match and "…" not in line:
            yield shlex.split(match[1] or match[2], comments=True)


@pytest.mark.parametrize("path", TRIED, ids=lambda path: path.name)
def test_it_types_commands_that_exist(path: Path) -> None:
    wrong = []
    for words in commands(path):
        try:
            with redirect_stderr(StringIO()):
                build_parser().parse_args(words)
        except SystemExit as end:
            if end.code:
                wrong.append(words)
    assert wrong == []


def test_it_finds_the_commands() -> None:
    assert {path.name for path in TRIED if not list(commands(path))} == {"metrics.md"}


def test_every_advice_of_the_product_names_a_command_that_exists() -> None:
    nested = build_parser()
    known = set(re.findall(r"^    (\w[\w-]*)", nested.format_help(), re.MULTILINE))
    named = {
        match for text in said() for match in re.findall(r"(?<!-u )(?<![\w/-])coovox-billing ([a-z][a-z-]+)\b", text)
    }
    words_of_no_command = {"is", "was", "here", "where", "never", "calls", "has", "needs"}
    assert named - known - words_of_no_command == set()


@pytest.mark.parametrize("path", TRIED, ids=lambda path: path.name)
def test_it_links_to_what_is_there(path: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[\w-]*)?\)", path.read_text())
    missing = [link for link in links if not (path.parent / link).exists() and link not in ELSEWHERE]
    assert missing == []


def steps(path: Path) -> Iterator[tuple[list[str], list[str]]]:
    """The commands of each block, and the lines that the page shows as their answer."""
    fenced = re.findall(r"^ *```(sh|text)\n(.*?)^ *```", path.read_text(), re.MULTILINE | re.DOTALL)
    for at, (kind, block) in enumerate(fenced):
        if kind == "sh":
            follows = fenced[at + 1] if at + 1 < len(fenced) else ("", "")
            yield block.splitlines(), follows[1].splitlines() if follows[0] == "text" else []


@pytest.mark.parametrize("name", ["docs/first-rate.md", "README.md"])
def test_it_works_as_it_is_written(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The very commands of the page, in its order, on a new site; what it shows is what comes."""
    path = ROOT / name
    for variable in ("COOVOX_CONFIG", "COOVOX_DATA", "COOVOX_AMI"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)
    for block in blocks(path, "csv"):
        (tmp_path / "rates.csv").write_text(block)
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    typed, whole = 0, ""
    for lines, shown in steps(path):
        answer = ""
        for line in lines:
            if line.startswith("coovox-billing ") and " doctor" not in line:
                status = main(["--data", str(tmp_path / "data"), *shlex.split(line, comments=True)[1:]])
                captured = capsys.readouterr()
                assert status == 0, (line, captured.err)
                answer += captured.out
                typed += 1
        assert [line for line in shown if line not in answer.splitlines()] == []
        whole += answer
    assert typed >= 6
    assert "pass: 0.1800 for 238 s" in whole


@pytest.mark.parametrize("kind", ["after", "failover", "reason", "free"])
def test_its_routes_are_billed_and_bypass_nothing(kind: str, tmp_path: Path) -> None:
    (block,) = blocks(ROOT / "docs/outbound-routes.md", kind)
    (tmp_path / "extensions.conf").write_text(block)
    install(tmp_path)
    items = check(tmp_path, None)
    about_routes = [item for item in items if item.name in ("route", "routes", "emergency")]
    assert [item.message for item in about_routes if not item.ok and SUBROUTINE not in block.partition(";")[0]] == (
        [f"no route calls {SUBROUTINE}: nothing is billed"] if kind == "free" else []
    )
    assert [item.message for item in about_routes if not item.ok and "dials" in item.message] == []


def test_the_route_before_is_found_to_bypass_billing(tmp_path: Path) -> None:
    block = blocks(ROOT / "docs/outbound-routes.md", "")[0]
    assert "Dial(PJSIP" in block
    (tmp_path / "extensions.conf").write_text(block)
    install(tmp_path)
    messages = [item.message for item in check(tmp_path, None) if item.name == "route"]
    assert messages == [
        "extensions.conf line 2 ([outbound] _9X., priority 1) dials PJSIP/carrier without billing, "
        "so its calls cost nothing and are not in the call log"
    ]


def test_it_names_every_metric() -> None:
    gauges = Gauges({}, 0, 0, 0, 0, 0, False, 0, 0)
    names = re.findall(r"^# TYPE coovox_billing_(\w+)", Metrics().text(gauges, True, 0, "1"), re.MULTILINE)
    text = (ROOT / "docs/metrics.md").read_text()
    assert [name for name in names if f"`{name}" not in text] == []


def test_it_names_every_word_of_the_log() -> None:
    source = (PACKAGE / "pbx/call_lines.py").read_text()
    words = set(re.findall(r'f"(\w+):', source)) | {"asked", "ended", "corrected", "tried again"}
    text = (ROOT / "docs/log.md").read_text()
    assert {"warned", "moved", "cut", "lengthened", "answered", "unanswered"} <= words
    assert [word for word in words if f"`{word}" not in text] == []
