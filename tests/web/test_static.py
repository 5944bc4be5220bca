"""What browsers load: nothing unused, others' files unchanged, colors that everybody can read."""

import hashlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / "web/static"
TEMPLATES = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "web/templates").rglob("*.html"))
VENDORED = re.findall(
    r"^\| `([^`]+)` \| (\S+ [\d.]+) \| .+ \| .+ \| `([0-9a-f]{64})` \|$",
    (STATIC / "vendor/README.md").read_text(),
    re.M,
)
TEXT, SHAPE = 4.5, 3.0  # WCAG 2, AA
PAIRS = [
    *(
        (ink, ground, TEXT)
        for ink in ("ink", "soft")
        for ground in ("ground", "sheet", "raised", "hover", "accent-ground")
    ),
    *(("accent", ground, TEXT) for ground in ("ground", "sheet", "raised")),
    ("accent-strong", "accent-ground", TEXT),
    ("accent-ink", "accent", TEXT),
    ("accent-ink", "accent-strong", TEXT),
    *((ink, ground, TEXT) for ink in ("side-ink", "side-soft") for ground in ("side", "side-here")),
    *((state, f"{state}-ground", TEXT) for state in ("good", "warn", "bad", "info", "plain")),
    *(("bad", ground, TEXT) for ground in ("sheet", "ground", "hover", "accent-ground")),
    ("sheet", "bad", TEXT),
    ("edge", "sheet", SHAPE),
    ("edge", "ground", SHAPE),
    ("side-edge", "side", SHAPE),
    ("side-mark", "side", SHAPE),
    ("accent", "sheet", SHAPE),
    ("accent", "plain-ground", SHAPE),
    ("bad", "plain-ground", SHAPE),
]


def colors(*names: str) -> dict[str, str]:
    """The colors of style sheets by their token, the later one over the earlier one."""
    text = "".join((STATIC / name).read_text(encoding="utf-8") for name in names)
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", text))


def luminance(color: str) -> float:
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("sheets", [("coovox.css",), ("coovox.css", "coovox-dark.css")], ids=["light", "dark"])
def test_it_has_colors_that_everybody_can_read(sheets: tuple[str, ...]) -> None:
    tokens = colors(*sheets)
    weak = [(ink, ground) for ink, ground, least in PAIRS if contrast(tokens[ink], tokens[ground]) < least]
    assert weak == []


def test_it_measures_contrast() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


def test_it_ships_no_file_that_no_page_loads() -> None:
    shipped = [path for path in STATIC.rglob("*") if path.is_file() and path.name not in ("README.md", "LICENSE")]
    assert [path.name for path in shipped if path.relative_to(STATIC).as_posix() not in TEMPLATES] == []


def test_it_has_every_sign_that_pages_use_and_no_other() -> None:
    drawn = set(re.findall(r'<symbol id="(\w+)"', (STATIC / "icons.svg").read_text()))
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "coovox_billing/web").glob("*.py"))
    used = {name for name in drawn if re.search(rf"['\"]{name}['\"]", TEMPLATES + code)}
    asked = set(re.findall(r"icon\('(\w+)'\)", TEMPLATES))
    assert asked - drawn == set()
    assert drawn - used == set()


def test_it_lists_every_vendored_file() -> None:
    files = [path for path in (STATIC / "vendor").rglob("*") if path.suffix in {".js", ".css", ".woff2"}]
    assert sorted(name for name, _, _ in VENDORED) == sorted(p.relative_to(STATIC / "vendor").as_posix() for p in files)


@pytest.mark.parametrize(("name", "version", "sha256"), VENDORED)
def test_it_ships_what_others_released_unchanged_and_with_its_license(name: str, version: str, sha256: str) -> None:
    path = STATIC / "vendor" / name
    assert hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    assert version.split()[1] in path.name
    assert (path.parent / "LICENSE").is_file()
