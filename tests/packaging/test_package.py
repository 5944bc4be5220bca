"""The Debian package: what is in it, that Debian's own tools find no fault, and what its scripts refuse."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from coovox_billing import __version__
from coovox_billing.config import FILE_SETTINGS

ROOT = Path(__file__).resolve().parents[2]
PACKAGING = ROOT / "packaging"
DEBIAN = PACKAGING / "debian"
SCRIPTS = ("preinst", "postinst", "prerm", "postrm")
MODULES = "usr/lib/python3/dist-packages/coovox_billing"
DOCS = "usr/share/doc/coovox-billing"
# Beyond Debian's own packages, compiled Python included, which is about as much again as its source.
MOST_INSTALLED_KB = 15_000
# What lintian may say, and why it stays.
ACCEPTED = {
    # Boxes with another init start `serve`, as postinst says: a script of ours would watch over it worse than `serve`.
    "package-supports-alternative-init-but-no-init.d-script",
}

Unpacked = Path
LATEST = len(list((ROOT / "coovox_billing/store/migrations").glob("*.sql")))


def build(into: Path, *options: str) -> Path:
    command = [sys.executable, str(PACKAGING / "build_deb.py"), "--into", str(into), *options]
    subprocess.run(command, check=True, timeout=120, stdout=subprocess.DEVNULL, env=clean_environment())
    (built,) = into.glob("*.deb")
    return built


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def unpacked(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Unpacked:
    """The package's files, and its scripts in DEBIAN/."""
    folder = tmp_path_factory.mktemp("unpacked") / "root"
    subprocess.run(["dpkg-deb", "--raw-extract", package, folder], check=True)
    return folder


def control(package: Path, field: str) -> str:
    return subprocess.run(["dpkg-deb", "-f", package, field], capture_output=True, text=True, check=True).stdout.strip()


def test_it_is_one_package_for_every_architecture(package: Path) -> None:
    assert package.name == f"coovox-billing_{__version__}_all.deb"
    assert control(package, "Architecture") == "all"
    assert int(control(package, "Installed-Size")) < MOST_INSTALLED_KB


def test_it_needs_the_debian_package_of_each_library(package: Path) -> None:
    libraries = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {re.split(r"[<>=]", library)[0].replace("pyserial", "serial") for library in libraries}
    depends = set(re.findall(r"[a-z0-9.+-]+", re.sub(r"\([^)]*\)", "", control(package, "Depends"))))
    assert {f"python3-{name}" for name in names} <= depends


def test_it_is_the_same_from_a_tree_of_other_times_and_rights(package: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    parts = ("coovox_billing", "web", "asterisk", "firmware_hooks", "license", "docs", "packaging", "CHANGELOG.md")
    subprocess.run(["cp", "-r", *(ROOT / part for part in parts), tree], check=True)
    subprocess.run(["chmod", "-R", "go-rwx", tree], check=True)
    assert build(tmp_path / "again", "--tree", str(tree)).read_bytes() == package.read_bytes()


@pytest.mark.parametrize(
    "name",
    [
        "usr/bin/coovox-billing",
        "etc/coovox-billing.toml",
        "lib/systemd/system/coovox-billing-calls.service",
        "lib/systemd/system/coovox-billing-web.service",
        f"{MODULES}/store/migrations/0001_initial.sql",
        f"{MODULES}/shared/web/templates/base.html",
        f"{MODULES}/shared/asterisk/extensions_coovox_billing.conf",
        f"{MODULES}/shared/firmware_hooks/post-boot",
        f"{DOCS}/commands.md",
        f"{DOCS}/settings.md",
        f"{DOCS}/dialplan.md",
        f"{DOCS}/news.md",
        f"{DOCS}/examples/nginx.conf",
        f"{DOCS}/examples/apache.conf",
        f"{DOCS}/examples/lighttpd.conf",
        f"{DOCS}/examples/example-rates.csv",
    ],
)
def test_it_carries(unpacked: Unpacked, name: str) -> None:
    shared = unpacked / MODULES / "shared"
    assert (shared.parent / shared.readlink()).resolve() == (unpacked / "usr/share/coovox-billing").resolve()
    assert (unpacked / name.replace(f"{MODULES}/shared", "usr/share/coovox-billing")).is_file()


def test_it_leaves_out_what_is_not_for_an_appliance(unpacked: Unpacked) -> None:
    names = [str(path.relative_to(unpacked)) for path in unpacked.rglob("*")]
    forbidden = re.compile(r"coovox_license|/tests/|__pycache__|\.pyc$|\.key$|\.png$|pyproject")
    assert [name for name in names if forbidden.search(name)] == []


def test_its_documents_lead_nowhere_else(unpacked: Unpacked) -> None:
    for document in (unpacked / DOCS).glob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name} leads to {target}"


def test_its_units_name_a_document_that_is_there(unpacked: Unpacked) -> None:
    for unit in (unpacked / "lib/systemd/system").iterdir():
        (document,) = re.findall(r"^Documentation=file://(.*)$", unit.read_text(), re.MULTILINE)
        assert (unpacked / document.lstrip("/")).is_file()


def test_its_settings_file_shows_every_setting_and_sets_none(unpacked: Unpacked) -> None:
    text = (unpacked / "etc/coovox-billing.toml").read_text()
    assert tomllib.loads(text) == {}
    shown = tomllib.loads(re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE))
    assert shown == {setting.name: setting.default for setting in FILE_SETTINGS}


def test_lintian_finds_no_fault(package: Path) -> None:
    command = [
        "lintian",
        "--no-cfg",
        "--allow-root",
        "--info",
        "--display-info",
        "--tag-display-limit",
        "0",
        str(package),
    ]
    said = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False).stdout
    found = set(re.findall(r"^[EWI]: coovox-billing: (\S+)", said, re.MULTILINE))
    assert found <= ACCEPTED, said


@pytest.mark.parametrize("script", [*(DEBIAN / f"coovox-billing.{one}" for one in SCRIPTS), PACKAGING / "bundle.sh"])
def test_its_scripts_are_sound(script: Path) -> None:
    command = ["shellcheck", "--shell=sh", "--exclude=SC1091", str(script)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert said.stdout == ""


# What preinst lets in.


def schema(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])
    finally:
        connection.close()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory."""
    folder = tmp_path / "data"
    folder.mkdir()
    return folder / "coovox-billing.sqlite3"


@pytest.fixture
def preinst(unpacked: Unpacked, tmp_path: Path, data: Path) -> Callable[[str], subprocess.CompletedProcess[str]]:
    """The script as it is in the package, on a site of ours."""
    settings = tmp_path / "settings.toml"
    settings.write_text(f'# data = "/nowhere"\n  data = "{data.parent}"  # here\n')
    text = (unpacked / "DEBIAN/preinst").read_text()
    script = tmp_path / "preinst"
    script.write_text(text.replace("CONFIG=/etc/coovox-billing.toml", f"CONFIG={settings}"))

    def run(action: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = ["sh", str(script), action, "0.0.9"]
        environ = os.environ | environment
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environ)

    return run


def database(path: Path, up_to: int) -> None:
    """A site of an earlier schema, as its migrations made it."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    for script in sorted((ROOT / "coovox_billing/store/migrations").glob("*.sql"))[:up_to]:
        connection.executescript(script.read_text())
    connection.execute(f"PRAGMA user_version = {up_to}")
    connection.commit()
    connection.close()


@pytest.mark.parametrize("action", ["install", "upgrade"])
@pytest.mark.parametrize("known", [LATEST, LATEST - 1, 1])
def test_it_lets_in_what_its_program_can_use(
    preinst: Callable[[str], subprocess.CompletedProcess[str]], data: Path, action: str, known: int
) -> None:
    database(data, known)
    said = preinst(action)
    assert (said.returncode, said.stderr) == (0, "")
    assert schema(data) == known, "nothing is changed before it is unpacked"
    assert [file.name for file in data.parent.iterdir()] == [data.name]


def test_it_lets_in_where_there_is_no_site(preinst: Callable[[str], subprocess.CompletedProcess[str]]) -> None:
    assert preinst("install").returncode == 0


@pytest.mark.parametrize("action", ["install", "upgrade"])
def test_it_refuses_a_newer_database(
    preinst: Callable[[str], subprocess.CompletedProcess[str]], data: Path, action: str
) -> None:
    database(data, LATEST)
    connection = sqlite3.connect(data)
    connection.execute(f"PRAGMA user_version = {LATEST + 1}")
    connection.close()
    backups = data.parent / "backups"
    backups.mkdir()
    for number in (LATEST - 1, LATEST, LATEST + 1):
        (backups / f"upgrade-from-schema-{number}-20261120T101010Z.sqlite3").touch()
    said = preinst(action)
    assert said.returncode == 1
    assert f"its schema is {LATEST + 1}, and this version knows {LATEST}" in said.stderr
    assert f"upgrade-from-schema-{LATEST}-20261120T101010Z.sqlite3" in said.stderr
    assert f"upgrade-from-schema-{LATEST + 1}" not in said.stderr


def test_it_refuses_a_newer_database_whose_schema_is_only_in_the_log_yet(
    preinst: Callable[[str], subprocess.CompletedProcess[str]], data: Path
) -> None:
    database(data, LATEST)
    connection = sqlite3.connect(data, isolation_level=None)
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute(f"PRAGMA user_version = {LATEST + 1}")
    assert int.from_bytes(data.read_bytes()[60:64], "big") == LATEST, "the file itself does not know yet"
    said = preinst("upgrade")
    connection.close()
    assert said.returncode == 1


def test_it_refuses_what_its_migrations_cannot_change(
    preinst: Callable[[str], subprocess.CompletedProcess[str]], data: Path
) -> None:
    database(data, LATEST - 1)
    newest = sorted((ROOT / "coovox_billing/store/migrations").glob("*.sql"))[-1].read_text()
    (table,) = re.findall(r"CREATE TABLE (\w+)", newest)[:1] or re.findall(r"ALTER TABLE (\w+)", newest)[:1]
    connection = sqlite3.connect(data)
    connection.execute(f"DROP TABLE IF EXISTS {table}")
    connection.execute(f"CREATE TABLE {table} (in_the_way INTEGER)")
    connection.close()
    before = data.read_bytes()
    said = preinst("upgrade")
    assert said.returncode == 1
    assert f"the change of its schema to {LATEST} failed" in said.stderr
    assert "The version that is there goes on" in said.stderr
    assert data.read_bytes() == before
    assert [file.name for file in data.parent.iterdir()] == [data.name]


def test_it_refuses_what_is_no_database(preinst: Callable[[str], subprocess.CompletedProcess[str]], data: Path) -> None:
    data.write_text("no database at all, but long enough to be taken for one" * 100)
    said = preinst("upgrade")
    assert said.returncode == 1
    assert "cannot be read" in said.stderr


def test_it_lets_an_unwinding_pass(preinst: Callable[[str], subprocess.CompletedProcess[str]], data: Path) -> None:
    data.write_text("no database")
    assert preinst("abort-upgrade").returncode == 0
