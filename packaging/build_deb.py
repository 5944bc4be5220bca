"""Builds the Debian package of a tree: what `make package` runs.

A copy of the product's folders gets `debian/` from here, with what only the tree knows filled in (version, release,
settings, schema), and Debian's own tools do the rest. The same tree gives the same bytes, wherever and whenever it is
built.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from email.utils import formatdate
from pathlib import Path

PACKAGING = Path(__file__).resolve().parent
NAME = "coovox-billing"
FOLDERS = ("coovox_billing", "web", "asterisk", "firmware_hooks", "license/vendor", "docs")
PYTHON_DROPPINGS = shutil.ignore_patterns("__pycache__", "*.pyc")

# Where the documentation's files are in the package, and what is only for who works on the product.
DOCUMENTS = {"asterisk/README.md": "dialplan.md", "firmware_hooks/README.md": "firmware.md", "CHANGELOG.md": "news.md"}
NOT_SHIPPED = {"docs/look.md"}
_LINK = re.compile(r"!?\[([^\]]*)\]\(([^)#:]+)(#[^)]*)?\)")

CHANGELOG = """coovox-billing ({version}) stable; urgency=medium

  * What is new, in your words: /usr/share/doc/coovox-billing/news.md

 -- CooVox Billing <billing@coovox.invalid>  {date}
"""

# Asked of the tree itself, so that an older one can be packaged too.
ASK_TREE = """
import coovox_billing
from coovox_billing import config
print(coovox_billing.__version__)
print(coovox_billing.RELEASED_MS // 1000)
for setting in config.FILE_SETTINGS:
    print(f'# {setting.why}\\n# {setting.name} = "{setting.default}"\\n')
"""
TOML_HEAD = """# CooVox Billing: what it must know before its database is open. Everything else is on the page Settings.
#
# Each line below shows a default: take away its # to change it, then, as root:
#   systemctl restart coovox-billing-calls coovox-billing-web
# More words: /usr/share/doc/coovox-billing/settings.md

"""


def build(tree: Path, into: Path, version: str | None = None) -> Path:
    """Package the tree as this version, its own if none is given; returns the package's path.

    Raises:
        CalledProcessError: a tool of Debian's found fault; it has said which.
    """
    own_version, released, settings = _ask(tree)
    version = version or own_version
    epoch = os.environ.get("SOURCE_DATE_EPOCH") or released
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        stage = Path(folder) / f"{NAME}-{version}"
        _copy(tree, stage)
        _fill(stage, version, int(epoch), settings)
        _run_debhelper(stage, epoch)
        (built,) = Path(folder).glob("*.deb")
        return Path(shutil.move(built, into / built.name))


def _ask(tree: Path) -> tuple[str, str, str]:
    command = [sys.executable, "-B", "-c", ASK_TREE]
    said = subprocess.run(command, cwd=tree, env={"PYTHONPATH": str(tree)}, capture_output=True, text=True, check=True)
    version, released, settings = said.stdout.split("\n", 2)
    return version, released, settings


def _copy(tree: Path, stage: Path) -> None:
    for folder in FOLDERS:
        if (tree / folder).is_dir():
            shutil.copytree(tree / folder, stage / folder, ignore=PYTHON_DROPPINGS)
    shutil.copytree(PACKAGING / "debian", stage / "debian")
    for file in (*PACKAGING.glob("*.service"), *PACKAGING.glob("web-servers/*.conf")):
        (stage / file.relative_to(PACKAGING.parent)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, stage / file.relative_to(PACKAGING.parent))
    _copy_documents(tree, stage / "documents")


def _copy_documents(tree: Path, documents: Path) -> None:
    documents.mkdir()
    in_docs = {f"docs/{file.name}": file.name for file in (tree / "docs").glob("*.md")}
    places = {file: name for file, name in (in_docs | DOCUMENTS).items() if file not in NOT_SHIPPED}
    places |= {f"docs/{file.name}": f"examples/{file.name}" for file in (tree / "docs").glob("*.csv")}
    for file, name in places.items():
        if name.endswith(".md"):
            text = (tree / file).read_text(encoding="utf-8")
            (documents / name).write_text(_with_links(text, file, places), encoding="utf-8")


def _with_links(text: str, file: str, places: dict[str, str]) -> str:
    """A document whose links lead to where the others are in the package; of other links their words stay."""

    def place(link: re.Match[str]) -> str:
        target = os.path.normpath(Path(file).parent / link[2])
        target = places.get(target) or places.get(f"{target}/README.md", "")
        return f"[{link[1]}]({target}{link[3] or ''})" if target else link[1]

    return _LINK.sub(place, text)


def _fill(stage: Path, version: str, epoch: int, settings: str) -> None:
    debian = stage / "debian"
    (debian / "changelog").write_text(CHANGELOG.format(version=version, date=formatdate(epoch)))
    (debian / f"{NAME}.toml").write_text(TOML_HEAD + settings.rstrip("\n") + "\n", encoding="utf-8")
    migrations = [file.read_text() for file in sorted((stage / "coovox_billing/store/migrations").glob("*.sql"))]
    listed = ",\n".join(f"{number}: {_quoted(script)}" for number, script in enumerate(migrations, start=1))
    preinst = debian / f"{NAME}.preinst"
    filled = preinst.read_text().replace("@SCHEMA@", str(len(migrations))).replace("@VERSION@", version)
    preinst.write_text(filled.replace("@MIGRATIONS@", listed))


def _quoted(script: str) -> str:
    """SQL as Python text that a person can still read."""
    if "'''" in script or "\\" in script or script.endswith("'"):
        return repr(script)
    return f"'''{script}'''"


def _run_debhelper(stage: Path, epoch: str) -> None:
    command = ["dpkg-buildpackage", "--build=binary", "--unsigned-changes", "--no-sign"]
    # A tree may have been made under any umask, and what is newer than the release is dated by it.
    environment = os.environ | {"SOURCE_DATE_EPOCH": str(epoch), "LC_ALL": "C.UTF-8", "DEB_BUILD_OPTIONS": "nocheck"}
    said = subprocess.run(
        command, cwd=stage, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if said.returncode:
        print(said.stdout, file=sys.stderr)
        raise subprocess.CalledProcessError(said.returncode, command)


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the Debian package of a tree.")
    parser.add_argument("--tree", type=Path, default=PACKAGING.parent, help="the product's tree; this one if not given")
    parser.add_argument("--into", type=Path, default=PACKAGING.parent / "dist", help="where the package goes; dist/")
    parser.add_argument("--version", help="package it as this version")
    arguments = parser.parse_args()
    try:
        print(build(arguments.tree.resolve(), arguments.into, arguments.version))
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        sys.exit(f"The package was not built: {error}")


if __name__ == "__main__":
    main()
