"""What the stories of the appliance begin with: packages to install, and boxes to install them on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.appliance.box import DATA, ROOT, Box
from tests.appliance.images import Image, ImageError, image_of

IMAGES = [image_of(text) for text in os.environ.get("IMAGES", "bookworm trixie bookworm-armhf").split()]
# Those that a real systemd boots on: a story that needs one is for them alone.
on_native_images = pytest.mark.parametrize("image", [one for one in IMAGES if one.is_native], ids=str, indirect=True)
TOOLS = {
    "mmdebstrap": "mmdebstrap",
    "arch-test": "arch-test",
    "dpkg-buildpackage": "dpkg-dev",
    "dh": "debhelper",
    "dh_python3": "dh-python",
    "nsenter": "util-linux",
    "ip": "iproute2",
}
MIGRATIONS = "coovox_billing/store/migrations"
# The commit that brought a file, also where that was a merge in which it got its name.
FIRST_WITH = ("log", "--first-parent", "-m", "--no-renames", "--diff-filter=A", "--format=%H", "-1", "--")
OLD_VERSION, NEW_VERSION = "0.0.9", "9.9"

Build = Callable[..., Path]


class Installed(NamedTuple):
    """A clean box after the package was installed: what that changed, as a layer, and what it said."""

    layer: Path
    said: str


_figures: dict[str, dict[str, str]] = {}


def pytest_configure(config: pytest.Config) -> None:
    """A missing tool is an error: nothing is skipped."""
    if os.geteuid() != 0:
        raise pytest.UsageError("boxes need namespaces, chroot and mounts: run make test-appliance as root")
    missing = [package for tool, package in TOOLS.items() if shutil.which(tool) is None]
    if missing:
        raise pytest.UsageError(f"apt install --no-install-recommends {' '.join(missing)}")


@pytest.fixture(scope="session")
def note() -> Callable[[object, str, str], None]:
    """Puts a figure into the table that is printed at the end."""

    def put(row: object, column: str, value: str) -> None:
        _figures.setdefault(str(row), {})[column] = value

    return put


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table of figures."""
    columns = list(dict.fromkeys(column for row in _figures.values() for column in row))
    lines = [["image", *columns], *([name, *(row.get(one, "") for one in columns)] for name, row in _figures.items())]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines if _figures else []:
        terminalreporter.write_line("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)))


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Builds the package of a tree (this one, if none is given), as a version."""

    def built(version: str = "", tree: Path = ROOT) -> Path:
        into = tmp_path_factory.mktemp("package")
        command = ["/usr/bin/python3", str(ROOT / "packaging/build_deb.py"), "--tree", str(tree), "--into", str(into)]
        subprocess.run([*command, *(["--version", version] if version else [])], check=True, stdout=subprocess.DEVNULL)
        (package,) = into.glob("*.deb")
        return package

    return built


@pytest.fixture(scope="session")
def package(build: Build) -> Path:
    """The package of this tree."""
    return build()


@pytest.fixture(scope="session")
def old_package(build: Build, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of the last commit that did not know the newest schema, as an older version."""
    newest = max((ROOT / MIGRATIONS).glob("*.sql")).name
    adding = _git(*FIRST_WITH, f"{MIGRATIONS}/{newest}").strip()
    assert adding, "the older version is taken from the history of this repository: clone it whole, with git"
    tree = tmp_path_factory.mktemp("old")
    archive = subprocess.run(["git", "archive", f"{adding}^"], cwd=ROOT, capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x"], cwd=tree, input=archive, check=True)
    return build(OLD_VERSION, tree)


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout


@pytest.fixture(scope="session")
def breaking_package(build: Build, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A newer version whose migration cannot succeed."""
    tree = tmp_path_factory.mktemp("breaking") / "tree"
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".git", ".venv*", "run", "tests", "dist"))
    number = len(list((tree / MIGRATIONS).glob("*.sql"))) + 1
    broken = "CREATE TABLE half_done (id INTEGER);\nINSERT INTO half_done SELECT * FROM no_such_table;\n"
    (tree / MIGRATIONS / f"{number:04}_broken.sql").write_text(broken)
    return build(NEW_VERSION, tree)


@pytest.fixture(scope="session")
def asterisk_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration of an Asterisk, as Debian's package brings it: enough of it for `pbx install`."""
    tree = tmp_path_factory.mktemp("asterisk") / "asterisk-config"
    etc = tree / "etc/asterisk"
    etc.mkdir(parents=True)
    (etc / "asterisk.conf").write_text("[directories]\nastlogdir => /var/log/asterisk\n")
    (etc / "manager.conf").write_text("[general]\nenabled = yes\nbindaddr = 127.0.0.1\n")
    (etc / "cel.conf").write_text("[general]\n")
    (etc / "cel_custom.conf").write_text("[mappings]\n")
    (etc / "extensions.conf").write_text(
        "[from-internal]\nexten => _9X.,1,"
        "Gosub(coovox-billing-dial,s,1(${EXTEN},PJSIP/${EXTEN:1}@carrier,60,T,Carrier))\n same => n,Hangup()\n"
    )
    control = tree / "DEBIAN"
    control.mkdir()
    (control / "control").write_text(
        "Package: asterisk-config\nVersion: 1:20.6.0\nArchitecture: all\nMaintainer: Tests <tests@example.org>\n"
        "Description: configuration of Asterisk\n"
    )
    (control / "conffiles").write_text("".join(f"/etc/asterisk/{file.name}\n" for file in sorted(etc.iterdir())))
    package = tree.parent / "asterisk-config.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree, package], check=True, stdout=subprocess.DEVNULL)
    return package


@pytest.fixture(scope="session", params=IMAGES, ids=str)
def image(request: pytest.FixtureRequest) -> Image:
    """Each Debian in turn."""
    found: Image = request.param
    try:
        _ = found.root
    except ImageError as error:
        pytest.exit(str(error), 1)
    return found


@pytest.fixture(scope="session")
def installed(
    image: Image, package: Path, tmp_path_factory: pytest.TempPathFactory, note: Callable[..., None]
) -> Installed:
    """The package installed on a clean box; the stories begin there."""
    with Box([image.root], has_systemd=image.is_native) as box:
        began = time.monotonic()
        said = install(box, package)
        note(image, "install", f"{time.monotonic() - began:.1f} s")
        note(image, "installed size", f"{installed_kb(box) / 1000:.1f} MB")
        box.end_planes()
        return Installed(box.keep(tmp_path_factory.mktemp("layers") / f"{image}-installed"), said)


@pytest.fixture
def box(image: Image, installed: Installed) -> Iterator[Box]:
    """A box with the package installed, which nobody has used yet."""
    with Box([installed.layer, image.root], has_systemd=image.is_native) as one:
        yield one


@pytest.fixture
def clean_box(image: Image) -> Iterator[Box]:
    """A box that has never heard of billing."""
    with Box([image.root], has_systemd=image.is_native) as one:
        yield one


def install(box: Box, package: Path) -> str:
    """Install a package as its owner does, from a file; returns what that said."""
    shutil.copy(package, box.path("/root"))
    return box.do("apt-get", "install", "-y", "--no-install-recommends", "--allow-downgrades", f"/root/{package.name}")


def installed_kb(box: Box) -> int:
    """What the package brought onto the disk, with what Python has compiled of it."""
    places = (
        "/usr/lib/python3/dist-packages/coovox_billing",
        "/usr/share/coovox-billing",
        "/usr/share/doc/coovox-billing",
    )
    return sum(int(line.split()[0]) for line in box.do("du", "-sk", *places).splitlines())


def furnish(box: Box) -> None:
    """Reception with 10.00, the example's rates, billing active."""
    box.wait_for("the site", lambda: box.path(f"{DATA}/coovox-billing.sqlite3").exists())
    box.billing("extension", "add", "100", "--name", "Reception")
    box.billing("extension", "set", "100", "--billing", "on")
    box.billing("recharge", "100", "10")
    box.billing("rate", "import", "/usr/share/doc/coovox-billing/examples/example-rates.csv")
    box.billing("activation", "on")


def balance(box: Box) -> str:
    """What Reception has."""
    (reception,) = (one for one in box.read("extension", "list") if one["number"] == "100")
    return str(reception["balance"])


def version(box: Box) -> str:
    """The version that dpkg says is installed, and its state."""
    said = box.run("dpkg-query", "-W", "-f", "${Version} ${db:Status-Status}", "coovox-billing").out
    return re.sub(r"^dpkg-query: no packages.*", "", said).strip()
