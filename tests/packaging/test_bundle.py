"""The bundle for boxes without internet: it is whole and for this box, or nothing happens."""

from __future__ import annotations

import importlib.util
import os
import random
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
RELEASE, ARCHITECTURE = "testing-release", "testarch"
REFUSED = "CooVox Billing was not installed, and nothing was changed: "


def load_builder() -> ModuleType:
    specification = importlib.util.spec_from_file_location("build_bundle", ROOT / "packaging/build_bundle.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def tiny_package(folder: Path, name: str, version: str) -> Path:
    """A package with nothing in it."""
    tree = folder / name
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: {version}\nArchitecture: all\n"
        "Maintainer: Tests <tests@example.org>\nDescription: none\n"
    )
    package = folder / f"{name}_{version}_all.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree, package], check=True, stdout=subprocess.DEVNULL)
    return package


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One with two tiny packages, for a box that there is not."""
    folder = tmp_path_factory.mktemp("bundle")
    ours, other = tiny_package(folder, "coovox-billing", "0.1.0"), tiny_package(folder, "python3-flask", "2.2")
    made: Path = load_builder().write(ours, [other], RELEASE, ARCHITECTURE, folder)
    return made


class FakeBox:
    """A box as the bundle sees it: its architecture, its release, its user, and an apt that notes what it is told."""

    def __init__(self, folder: Path) -> None:
        self.notes = folder / "notes"
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.release = folder / "os-release"
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self.is_(ARCHITECTURE, RELEASE)
        self.command("apt-get", f'echo "$@" >> {self.notes}; exit ${{APT_FAILS:-0}}')
        self.command("id", "echo ${USER_ID:-0}")

    def is_(self, architecture: str, release: str) -> None:
        self.command(
            "dpkg", f'case "$1" in --print-architecture) echo {architecture} ;; --audit) echo "$AUDIT" ;; esac'
        )
        self.release.write_text(f'ID=debian\nVERSION_CODENAME="{release}"\n')

    def command(self, name: str, text: str) -> None:
        (self.bin / name).write_text(f"#!/bin/sh\n{text}\n")
        (self.bin / name).chmod(0o755)

    def run(self, bundle: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        environ = {"PATH": f"{self.bin}:/usr/bin:/bin", "OS_RELEASE": str(self.release), "TMPDIR": str(self.temporary)}
        command = ["sh", str(bundle), *words]
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=60,
            check=False,
            env=environ | environment,
        )

    def told(self) -> list[str]:
        """What apt was told."""
        return self.notes.read_text().splitlines() if self.notes.exists() else []


@pytest.fixture
def box(tmp_path: Path) -> FakeBox:
    return FakeBox(tmp_path)


def test_it_installs_from_itself_alone(bundle: Path, box: FakeBox) -> None:
    said = box.run(bundle)
    assert (said.returncode, said.stderr) == (0, "")
    update, simulated, installed = box.told()
    assert update.endswith("update")
    assert "--simulate --no-remove coovox-billing=0.1.0" in simulated
    assert installed.endswith("install -y --no-remove coovox-billing=0.1.0")
    assert all("Dir::Etc::SourceParts=/dev/null" in line for line in (update, simulated, installed))
    assert list(box.temporary.iterdir()) == [], "it leaves nothing behind"


def test_it_can_be_only_looked_at(bundle: Path, box: FakeBox) -> None:
    said = box.run(bundle, "--check", USER_ID="1000")
    assert (said.returncode, said.stdout) == (0, "This file is whole, and is for this box.\n")
    assert box.told() == []


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_it_tells_what_it_does(bundle: Path, box: FakeBox, word: str) -> None:
    box.is_("mips", "woody")
    said = box.run(bundle, word, USER_ID="1000")
    assert (said.returncode, said.stderr, box.told()) == (0, "", [])
    assert said.stdout.startswith(f"CooVox Billing 0.1.0 for Debian {RELEASE} on {ARCHITECTURE}")
    for told in ("sudo sh FILE ", "sh FILE --check ", "Exit status: 0 done; 1 refused"):
        assert told in said.stdout


@pytest.mark.parametrize(
    ("environment", "words", "says"),
    [
        ({"USER_ID": "1000"}, (), "installing needs root: sudo sh "),
        ({"AUDIT": "half installed"}, (), "Run dpkg --configure -a, then try again"),
        ({"TMPDIR": "/nowhere"}, (), "/nowhere"),
        ({}, ("--force",), "--force is unknown"),
    ],
)
def test_it_refuses(bundle: Path, box: FakeBox, environment: dict[str, str], words: tuple[str, ...], says: str) -> None:
    said = box.run(bundle, *words, **environment)
    assert said.returncode == 1
    assert REFUSED in said.stderr
    assert says in said.stderr
    assert box.told() == []


def test_it_refuses_another_architecture(bundle: Path, box: FakeBox) -> None:
    box.is_("arm64", RELEASE)
    said = box.run(bundle)
    assert (said.returncode, box.told()) == (1, [])
    assert f"it is for {ARCHITECTURE}, and this box is arm64. Take the file for arm64." in said.stderr


def test_it_refuses_another_release(bundle: Path, box: FakeBox) -> None:
    box.is_(ARCHITECTURE, "trixie")
    said = box.run(bundle)
    assert (said.returncode, box.told()) == (1, [])
    assert f"it is for Debian {RELEASE}, and this box runs trixie" in said.stderr


def test_it_refuses_where_apt_would_remove_or_break_something(bundle: Path, box: FakeBox) -> None:
    box.command("apt-get", f'echo "$@" >> {box.notes}; case "$*" in *--simulate*) exit 100 ;; esac')
    said = box.run(bundle)
    assert said.returncode == 1
    assert "do not go together" in said.stderr
    assert len(box.told()) == 2, "it only asked"


def test_it_refuses_a_copy_that_ends_early(bundle: Path, box: FakeBox, tmp_path: Path) -> None:
    whole = bundle.read_bytes()
    copy = tmp_path / "copy.run"
    for length in (len(whole) - 1, len(whole) // 2, whole.index(b'main "$@"\n'), 2000):
        copy.write_bytes(whole[:length])
        said = box.run(copy)
        assert said.returncode == 1
        assert "damaged or was not copied wholly" in said.stderr
    for length in (600, 100, 0):
        copy.write_bytes(whole[:length])
        box.run(copy)
    assert box.told() == []


def test_it_refuses_whatever_bit_is_flipped(bundle: Path, box: FakeBox, tmp_path: Path) -> None:
    whole = bundle.read_bytes()
    copy = tmp_path / "copy.run"
    dice = random.Random(10)
    head, first_check = whole.index(b'main "$@"\n') + 10, whole.index(b"\nVERSION=")
    for place in [*(dice.randrange(len(whole)) for _ in range(20)), *(dice.randrange(head) for _ in range(60))]:
        copy.write_bytes(flipped(whole, place, dice.randrange(8)))
        said = box.run(copy)
        assert said.returncode != 0 or place < first_check, said.stdout
        assert place < first_check or "damaged or was not copied wholly" in said.stderr
    assert box.told() == [], "whatever a broken script does, it does not install"


def flipped(content: bytes, place: int, bit: int) -> bytes:
    changed = bytearray(content)
    changed[place] ^= 1 << bit
    return bytes(changed)


def test_it_is_the_same_from_the_same_packages(bundle: Path, tmp_path: Path) -> None:
    again = load_builder().write(
        bundle.parent / "coovox-billing_0.1.0_all.deb",
        [bundle.parent / "python3-flask_2.2_all.deb"],
        RELEASE,
        ARCHITECTURE,
        tmp_path,
    )
    assert again.read_bytes() == bundle.read_bytes()


def test_it_says_so_where_debian_does_not_answer(tmp_path: Path) -> None:
    package = tiny_package(tmp_path, "coovox-billing", "0.1.0")
    command = [sys.executable, str(ROOT / "packaging/build_bundle.py"), str(package), "--into", str(tmp_path)]
    environ = os.environ | {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    said = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environ)
    assert said.returncode == 1
    assert "The bundle was not built: apt-get update failed" in said.stderr
    assert list(tmp_path.glob("*.run")) == []
