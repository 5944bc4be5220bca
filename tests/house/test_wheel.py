"""One wheel carries the whole product: code, pages, dialplan, migrations."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(ROOT)]
    subprocess.run(command, check=True, timeout=120)
    (built,) = folder.glob("coovox_billing-*.whl")
    return built


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


@pytest.mark.parametrize("name", ["post-boot", "pre-upgrade", "post-upgrade", "factory-reset", "hard-reset", "remove"])
def test_it_carries_the_hooks_as_programs(wheel: Path, name: str) -> None:
    packed = zipfile.ZipFile(wheel).getinfo(f"coovox_billing/shared/firmware_hooks/{name}")
    assert packed.external_attr >> 16 & 0o111 == 0o111
