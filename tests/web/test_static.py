"""What browsers load: nothing unused, others' files unchanged, colors that everybody can read."""

import hashlib
import re
from itertools import combinations
from math import dist
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
    *((f"series-{number}", ground, SHAPE) for number in range(1, 7) for ground in ("sheet", "ground")),
]
LIGHT, DARK = ("coovox.css",), ("coovox.css", "coovox-dark.css")
PALETTES = [(LIGHT, False), (DARK, False), (LIGHT, True), (DARK, True)]
NAMES = ["light", "dark", "safe-light", "safe-dark"]
# What eyes without one kind of cones see of linear red, green and blue (Machado, Oliveira, Fernandes 2009, severity 1).
SIGHTS = {
    "all cones": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "no long": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "no middle": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "no short": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}
TOLD_APART = 20  # in CIE L*a*b*; 2.3 is just noticed side by side


def colors(*names: str, safe: bool = False) -> dict[str, str]:
    """The colors of style sheets by their token, the later one over the earlier one."""
    found: dict[str, str] = {}
    for name in names:
        text = (STATIC / name).read_text(encoding="utf-8")
        usual, _, chosen = text.partition(":root.safe {")
        for block in (usual, chosen) if safe else (usual,):
            found |= dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6})", block))
    return found


def linear(color: str) -> tuple[float, float, float]:
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return red, green, blue


def luminance(color: str) -> float:
    red, green, blue = linear(color)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def seen(color: str, sight: str) -> tuple[float, float, float]:
    """A color as L*, a*, b* of what such eyes see."""
    red, green, blue = (
        min(1.0, max(0.0, sum(share * part for share, part in zip(row, linear(color), strict=True))))
        for row in SIGHTS[sight]
    )
    x = (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.95047
    y = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    z = (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.08883
    one, two, three = (part ** (1 / 3) if part > 0.008856 else 7.787 * part + 16 / 116 for part in (x, y, z))
    return 116 * two - 16, 500 * (one - two), 200 * (two - three)


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize(("sheets", "safe"), PALETTES, ids=NAMES)
def test_it_has_colors_that_everybody_can_read(sheets: tuple[str, ...], safe: bool) -> None:
    tokens = colors(*sheets, safe=safe)
    weak = [(ink, ground) for ink, ground, least in PAIRS if contrast(tokens[ink], tokens[ground]) < least]
    assert weak == []


def too_close(tokens: dict[str, str], names: list[str], sight: str) -> list[tuple[str, str]]:
    """Pairs of colors that such eyes cannot tell apart at a glance."""
    pairs = combinations(names, 2)
    return [pair for pair in pairs if dist(*(seen(tokens[name], sight) for name in pair)) < TOLD_APART]


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("sheets", [LIGHT, DARK], ids=["light", "dark"])
def test_it_has_safe_colors_that_all_eyes_tell_apart(sheets: tuple[str, ...], sight: str) -> None:
    tokens = colors(*sheets, safe=True)
    assert too_close(tokens, [f"series-{number}" for number in range(1, 7)], sight) == []
    assert too_close(tokens, ["good", "bad"], sight) == []


@pytest.mark.parametrize("sheets", [LIGHT, DARK], ids=["light", "dark"])
def test_it_has_usual_colors_that_most_eyes_tell_apart(sheets: tuple[str, ...]) -> None:
    assert too_close(colors(*sheets), [f"series-{number}" for number in range(1, 7)], "all cones") == []


def test_it_would_see_colors_that_are_too_close() -> None:
    tokens = {"red": "#a00000", "green": "#3f5f00", "blue": "#0000ff"}
    assert too_close(tokens, list(tokens), "all cones") == []
    assert too_close(tokens, list(tokens), "no middle") == [("red", "green")]


def test_it_has_the_same_safe_colors_in_light_and_dark() -> None:
    light, dark = ((STATIC / name).read_text().partition(":root.safe {")[2] for name in DARK)
    assert re.findall(r"--[a-z0-9-]+(?=: #)", light.partition("}")[0]) == re.findall(r"--[a-z0-9-]+(?=: #)", dark)


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
