"""Decides where the tests' real Asterisk comes from: Debian's packages, unpacked into a cache, run there.

Nothing is installed and root is not needed: apt works in folders of its own, and the program is started
with the C library of its own release. `python tests/asterisk/fetch.py 22` prints the launcher.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

SUITES = {16: "bullseye", 22: "sid"}
PACKAGES = (
    "asterisk",
    "asterisk-modules",
    "asterisk-config",
    "asterisk-core-sounds-en",
    "asterisk-core-sounds-en-gsm",
)
TRIPLETS = {
    "amd64": "x86_64-linux-gnu",
    "arm64": "aarch64-linux-gnu",
    "armhf": "arm-linux-gnueabihf",
    "i386": "i386-linux-gnu",
    "ppc64el": "powerpc64le-linux-gnu",
    "riscv64": "riscv64-linux-gnu",
    "s390x": "s390x-linux-gnu",
}
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
LAUNCHER = """#!/bin/sh
root=$(dirname "$(readlink -f "$0")")/root
exec "$root/{loader}" --library-path "$root/usr/lib/{triplet}:$root/lib/{triplet}:$root/usr/lib" \\
  "$root/usr/sbin/asterisk" "$@"
"""


class FetchError(RuntimeError):
    """Asterisk could not be had; the message says from where and why."""


def launcher(version: int) -> Path:
    """The script that runs this Asterisk; fetched on the first call, at once on every later one."""
    if version not in SUITES:
        raise FetchError(f"Asterisk {version}: only {sorted(SUITES)} are known here")
    home = cache() / f"asterisk-{version}"
    script = home / "run-asterisk"
    if not script.exists():
        with locked(home.with_suffix(".lock")):
            if not script.exists():
                _fill(version, home)
    return script


def cache() -> Path:
    """Outside the source tree, so that it survives a clean and never gets into a package."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "coovox-billing"


def save(version: int, into: Path) -> Path:
    """Keep the packages as ASTERISK_DEBS wants them, for a machine without a network."""
    folder = into / str(version)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        for package in downloaded(SUITES[version], PACKAGES, Path(work)):
            shutil.copy(package, folder)
    return folder


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One at a time fills the cache."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _fill(version: int, home: Path) -> None:
    """Work beside the cache and move in at the end: an interrupted fetch leaves nothing half done."""
    work = Path(tempfile.mkdtemp(prefix=f"{home.name}.", dir=home.parent))
    try:
        unpack(_packages(version, work), work / "root")
        shutil.rmtree(work / "apt", ignore_errors=True)
        _write_launcher(version, work)
        shutil.rmtree(home, ignore_errors=True)
        work.chmod(0o755)
        work.rename(home)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _packages(version: int, work: Path) -> list[Path]:
    saved = os.environ.get("ASTERISK_DEBS")
    return _saved(version, Path(saved)) if saved else downloaded(SUITES[version], PACKAGES, work)


def _saved(version: int, folder: Path) -> list[Path]:
    packages = sorted((folder / str(version)).glob("*.deb"))
    if not packages:
        raise FetchError(f"ASTERISK_DEBS: no packages (*.deb) in {folder / str(version)}")
    return packages


def downloaded(suite: str, names: Sequence[str], work: Path, architecture: str = "") -> list[Path]:
    """Packages of a Debian suite, with all they depend on, below `work`; of this machine's architecture by default."""
    state = work / "apt"
    options = _apt_options(state, suite)
    if architecture:
        options += [f"--option=APT::Architecture={architecture}", f"--option=APT::Architectures::={architecture}"]
    _apt(suite, *options, "update")
    _apt(suite, *options, "install", "--yes", "--no-install-recommends", "--download-only", *names)
    packages = sorted((state / "cache/archives").glob("*.deb"))
    if not packages:
        raise FetchError(f"apt downloaded nothing from Debian {suite}, where {names[0]} was looked for")
    return packages


def _apt_options(state: Path, suite: str) -> list[str]:
    """An apt that knows one suite and believes nothing is installed, so that it takes every library too."""
    for folder in ("lists/partial", "cache/archives/partial"):
        (state / folder).mkdir(parents=True, exist_ok=True)
    (state / "status").touch()
    (state / "sources.list").write_text(f"deb [signed-by={KEYRING}] {mirror()} {suite} main\n")
    settings = {
        "Dir::State": state,
        "Dir::State::status": state / "status",
        "Dir::State::lists": state / "lists",
        "Dir::Cache": state / "cache",
        "Dir::Etc::sourcelist": state / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "APT::Sandbox::User": "root",
        "APT::Keep-Downloaded-Packages": "true",
        "Acquire::Check-Valid-Until": "false",
        "Debug::NoLocking": "true",
        # What a container's own settings do after an update or install belongs to the machine, not to us.
        "DPkg::Post-Invoke": "",
    }
    return [f"--option={name}={value}" for name, value in settings.items()]


def _apt(suite: str, *arguments: str) -> None:
    done = _run("apt-get", "--quiet", *arguments)
    if done.returncode or "\nE: " in done.stdout:
        tail = "\n".join(done.stdout.splitlines()[-8:])
        raise FetchError(f"apt could not get packages from Debian {suite}:\n{tail}")


def mirror() -> str:
    """The Debian archive this machine itself uses: it is the one that can be reached from here."""
    form = "$(REPO_URI) $(RELEASE) $(COMPONENT)"
    for line in _run("apt-get", "indextargets", "--format", form).stdout.splitlines():
        uri, _, rest = line.partition(" ")
        if rest in _main_targets():
            return uri
    raise FetchError(
        "this machine's apt sources name no Debian archive: save the packages elsewhere"
        " (fetch.py VERSION --save DIR) and set ASTERISK_DEBS=DIR"
    )


def _main_targets() -> set[str]:
    names = {"stable", "testing", "unstable", "sid", _codename()}
    return {f"{name} main" for name in names if name}


def _codename() -> str:
    lines = Path("/etc/os-release").read_text().splitlines()
    values = dict(line.split("=", 1) for line in lines if "=" in line)
    return values.get("VERSION_CODENAME", "").strip('"') if values.get("ID") == "debian" else ""


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        return subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
    except FileNotFoundError as error:
        raise FetchError(f"{command[0]} is not installed: Asterisk is fetched on Debian only") from error


def unpack(packages: list[Path], root: Path) -> None:
    """Lay out what is in packages, without installing anything."""
    for package in packages:
        done = _run("dpkg", "-x", str(package), str(root))
        if done.returncode:
            raise FetchError(f"{package.name} cannot be unpacked: {done.stdout.strip()}")


def _write_launcher(version: int, work: Path) -> None:
    triplet = _triplet()
    loader = _loader(work / "root", triplet).relative_to(work / "root")
    script = work / "run-asterisk"
    script.write_text(LAUNCHER.format(loader=loader, triplet=triplet))
    script.chmod(0o755)
    said = _run(str(script), "-V").stdout
    if f"Asterisk {version}." not in said:
        raise FetchError(f"Debian {SUITES[version]} has no Asterisk {version}, it is: {said.strip()}")


def _triplet() -> str:
    architecture = _run("dpkg", "--print-architecture").stdout.strip()
    if architecture not in TRIPLETS:
        raise FetchError(f"no known library folder for the architecture {architecture!r}")
    return TRIPLETS[architecture]


def _loader(root: Path, triplet: str) -> Path:
    for folder in (root / "usr/lib" / triplet, root / "lib" / triplet):
        for pattern in ("ld-linux*.so.*", "ld64.so.*"):
            for found in sorted(folder.glob(pattern)):
                return found
    raise FetchError(f"the packages hold no program loader for {triplet}")


def main() -> int:
    parser = argparse.ArgumentParser(description="fetch a real Asterisk for the tests, print its launcher")
    parser.add_argument("version", type=int, choices=sorted(SUITES))
    parser.add_argument("--save", metavar="DIR", type=Path, help="keep the packages in DIR for ASTERISK_DEBS")
    arguments = parser.parse_args()
    try:
        print(save(arguments.version, arguments.save) if arguments.save else launcher(arguments.version))
    except FetchError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
