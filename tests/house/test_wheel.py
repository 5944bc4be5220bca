"""One wheel carries the whole product: code, pages, dialplan, migrations."""

import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


CORE = "coovox_billing/core/license.py"


def build(source: Path, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(source)]
    subprocess.run(command, check=True, timeout=120)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def tool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT / "license", tmp_path_factory.mktemp("tool"))


@pytest.mark.parametrize(
    "name",
    [
        "coovox_billing/store/migrations/0001_initial.sql",
        "coovox_billing/shared/asterisk/extensions_coovox_billing.conf",
        "coovox_billing/shared/web/templates/base.html",
        "coovox_billing/shared/firmware_hooks/boards/u20.toml",
        "coovox_billing/shared/firmware_hooks/post-boot",
    ],
)
def test_it_carries(wheel: Path, name: str) -> None:
    assert name in zipfile.ZipFile(wheel).namelist()


@pytest.mark.parametrize("folder", ["license/", "tests/", "packaging/"])
def test_it_leaves_out(wheel: Path, folder: str) -> None:
    assert [name for name in zipfile.ZipFile(wheel).namelist() if name.startswith(folder)] == []


def test_it_works_from_the_wheel_alone(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(target)
    script = "from coovox_billing.shipped import shipped; print(shipped('asterisk'))"
    found = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={"PYTHONPATH": str(target)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(found.stdout.strip()).is_relative_to(target)


def test_it_copies_the_license_of_the_product_into_the_tool_of_distributors(tool: Path) -> None:
    archive = zipfile.ZipFile(tool)
    assert archive.read(CORE) == (ROOT / CORE).read_bytes()
    folders = {Path(name).parts[0] for name in archive.namelist() if name != CORE}
    assert {folder for folder in folders if not folder.endswith(".dist-info")} == {"coovox_license"}


def test_it_runs_the_tool_of_distributors_with_cryptography_alone(tool: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(tool).extractall(site)
    for name in ("cryptography", "cffi", "_cffi_backend", "pycparser"):
        if found := importlib.util.find_spec(name):
            file = Path(str(found.origin))
            kept = file.parent if found.submodule_search_locations else file
            (site / kept.name).symlink_to(kept)
    script = (
        "import sys; from coovox_license.main import main; status = main(sys.argv[1:])\n"
        "import coovox_billing.core.license as core; print(core.__file__)\n"
        "print(sorted(name for name in sys.modules if name.split('.')[0] in ('flask', 'sqlite3', 'coovox_billing')))\n"
        "sys.exit(status)"
    )
    vectors = ROOT / "license/vectors"
    files = [vectors / "valid.license", "--root", vectors / "root.pub", "--source", vectors / "billing.ac"]
    ran = subprocess.run(
        [sys.executable, "-S", "-c", script, "verify", *files],
        cwd=tmp_path,
        env={"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    said, core, loaded = ran.stdout.splitlines()
    assert "is valid on this device: 3 of 3 identifiers match" in said
    assert Path(core).is_relative_to(site)
    assert loaded == "['coovox_billing', 'coovox_billing.core', 'coovox_billing.core.license']"


@pytest.mark.parametrize("name", ["post-boot", "pre-upgrade", "post-upgrade", "factory-reset", "hard-reset", "remove"])
def test_it_carries_the_hooks_as_programs(wheel: Path, name: str) -> None:
    packed = zipfile.ZipFile(wheel).getinfo(f"coovox_billing/shared/firmware_hooks/{name}")
    assert packed.external_attr >> 16 & 0o111 == 0o111
