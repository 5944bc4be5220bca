"""Builds one file for boxes without internet: what `make bundle` runs.

It holds our package and every Debian package that it needs beyond the base system, for one release and architecture,
as apt fetched them with Debian's signatures checked. `bundle.sh` is its beginning, and installs it.
"""

import argparse
import hashlib
import io
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path

PACKAGING = Path(__file__).resolve().parent
NAME = "coovox-billing"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# What every Debian has, however small it was made.
BASE = ("?essential", "?priority(required)", "apt")


class NoBundle(Exception):
    """It could not be built; the message says why."""


def build(package: Path, release: str, architecture: str, into: Path, *, has_security: bool = True) -> Path:
    """The bundle of our package for boxes of a release and an architecture; returns its path.

    Raises:
        NoBundle: Debian's archive does not answer, or lacks something.
    """
    with tempfile.TemporaryDirectory() as folder:
        fetched = fetch(package, release, architecture, Path(folder), has_security)
        return write(package, fetched, release, architecture, into)


def write(package: Path, fetched: Iterable[Path], release: str, architecture: str, into: Path) -> Path:
    """Put our package, and those that were fetched, into one file behind `bundle.sh`."""
    version = _field(package, "Version")
    payload = _payload([package, *sorted(fetched)])
    head = (PACKAGING / "bundle.sh").read_text(encoding="utf-8")
    values = {"VERSION": version, "RELEASE": release, "ARCHITECTURE": architecture}
    values["HEAD_LINES"] = str(head.count("\n"))
    for name, value in values.items():
        head = head.replace(f"@{name}@", value)
    first, second, rest = head.split("\n", 2)
    summed = f"{first}\n{rest}".encode() + payload
    second = second.replace("@SHA256@", hashlib.sha256(summed).hexdigest())
    into.mkdir(parents=True, exist_ok=True)
    made = into / f"{NAME}-{version}-{release}-{architecture}.run"
    made.write_bytes(f"{first}\n{second}\n{rest}".encode() + payload)
    return made


def fetch(package: Path, release: str, architecture: str, work: Path, has_security: bool = True) -> list[Path]:
    """What our package needs and the base system lacks, from Debian's archive, into a folder.

    Raises:
        NoBundle: apt could not.
    """
    options = _apt_options(work, release, architecture, has_security)
    _apt(options, "update")
    depends = re.sub(r"\([^)]*\)", "", _field(package, "Depends"))
    needed = [alternatives.split("|")[0].strip() for alternatives in depends.split(",")]
    base = _selected(_apt(options, "install", "--simulate", "--no-install-recommends", *BASE))
    wanted = _selected(_apt(options, "install", "--simulate", "--no-install-recommends", *BASE, *needed)) - base
    if not wanted:
        raise NoBundle(f"apt finds nothing that {NAME} needs in Debian {release} for {architecture}")
    archives = work / "archives"
    archives.mkdir()
    _apt(options, "download", *sorted(wanted), folder=archives)
    return sorted(archives.glob("*.deb"))


def _apt_options(work: Path, release: str, architecture: str, has_security: bool) -> list[str]:
    """An apt that knows one release and architecture, and believes nothing is installed."""
    for folder in ("lists/partial", "cache/archives/partial"):
        (work / folder).mkdir(parents=True)
    (work / "status").touch()
    mirror, security = _mirrors()
    lines = [f"deb [signed-by={KEYRING}] {mirror} {suite} main" for suite in (release, f"{release}-updates")]
    lines += [f"deb [signed-by={KEYRING}] {security} {release}-security main"] if security and has_security else []
    (work / "sources.list").write_text("\n".join(lines) + "\n")
    settings = {
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Sandbox::User": "root",
        "Dir::State": work,
        "Dir::State::status": work / "status",
        "Dir::State::lists": work / "lists",
        "Dir::Cache": work / "cache",
        "Dir::Etc::sourcelist": work / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "Acquire::Retries": "1",
        "Debug::NoLocking": "true",
        "APT::Update::Post-Invoke": "",
    }
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


def _mirrors() -> tuple[str, str]:
    """Debian's archive and that of its security updates, as this machine itself uses them."""
    form = "$(REPO_URI) $(ORIGIN) $(LABEL)"
    said = subprocess.run(["apt-get", "indextargets", "--format", form], capture_output=True, text=True, check=True)
    found = {label: uri for uri, _, label in (line.partition(" ") for line in said.stdout.splitlines())}
    if "Debian Debian" not in found:
        raise NoBundle("apt knows no Debian archive on this machine: put one into its sources, then run apt update")
    return found["Debian Debian"], found.get("Debian Debian-Security", "")


def _selected(simulated: str) -> set[str]:
    return set(re.findall(r"^Inst (\S+)", simulated, re.MULTILINE))


def _apt(options: list[str], *words: str, folder: Path | None = None) -> str:
    command = ["apt-get", "-q", *options, *words]
    said = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if said.returncode or "\nE: " in said.stderr or "\nW: Failed" in said.stderr:
        raise NoBundle(f"apt-get {words[0]} failed: {said.stderr.strip()[-1500:]}")
    return said.stdout


def _payload(packages: list[Path]) -> bytes:
    """A tar with the packages, their sums, and the index by which apt knows them; the same from the same packages."""
    sums = {package.name: hashlib.sha256(package.read_bytes()).hexdigest() for package in packages}
    index = "".join(_index_entry(package, sums[package.name]) for package in packages)
    contents = {package.name: package.read_bytes() for package in packages} | {"Packages": index.encode()}
    sums["Packages"] = hashlib.sha256(contents["Packages"]).hexdigest()
    contents["SHA256SUMS"] = "".join(f"{digest}  {name}\n" for name, digest in sums.items()).encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, content in sorted(contents.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _index_entry(package: Path, digest: str) -> str:
    control = subprocess.run(["dpkg-deb", "-f", package], capture_output=True, text=True, check=True).stdout
    size = package.stat().st_size
    return f"{control.rstrip()}\nFilename: ./{package.name}\nSize: {size}\nSHA256: {digest}\n\n"


def _field(package: Path, name: str) -> str:
    return subprocess.run(["dpkg-deb", "-f", package, name], capture_output=True, text=True, check=True).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description="Build one file that installs CooVox Billing without internet.")
    parser.add_argument("package", type=Path, help="the Debian package to put in")
    parser.add_argument("--release", default="bookworm", help="of Debian; bookworm if not given")
    parser.add_argument("--architecture", default="armhf", help="armhf if not given")
    parser.add_argument("--into", type=Path, default=PACKAGING.parent / "dist", help="where it goes; dist/")
    parser.add_argument(
        "--without-security", action="store_true", help="without Debian's security updates, if they cannot be had"
    )
    arguments = parser.parse_args()
    try:
        has_security = not arguments.without_security
        wanted = (arguments.package, arguments.release, arguments.architecture, arguments.into)
        print(build(*wanted, has_security=has_security))
    except (NoBundle, subprocess.CalledProcessError, OSError) as error:
        sys.exit(f"The bundle was not built: {error}")


if __name__ == "__main__":
    main()
