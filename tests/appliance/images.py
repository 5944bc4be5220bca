"""Clean Debian root file systems, made once and kept in ~/.cache/coovox-billing/appliance.

Each holds what a Debian box has before billing comes: the base system and systemd. What billing's package needs lies
downloaded in apt's own cache there, so that a box without any network installs it as one with a network does.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.asterisk.fetch import cache, mirror

PACKAGING = Path(__file__).resolve().parents[2] / "packaging"
BINFMT = Path("/proc/sys/fs/binfmt_misc")
EMULATORS = {"armhf": "qemu-arm", "arm64": "qemu-aarch64", "amd64": "qemu-x86_64"}
SYSTEM = "systemd,systemd-sysv,dbus,iproute2"
# What stands before the pages; tried where this machine runs it itself.
WEB_SERVERS = ("nginx", "apache2", "lighttpd", "lighttpd-mod-openssl", "openssl")


class ImageError(RuntimeError):
    """A root file system could not be had; the message says which and what to do."""


@dataclass(frozen=True)
class Image:
    """A release of Debian for an architecture, written `bookworm-armhf`."""

    release: str
    architecture: str

    def __str__(self) -> str:
        return f"{self.release}-{self.architecture}"

    @property
    def is_native(self) -> bool:
        """Whether this machine runs its programs itself."""
        return self.architecture == native_architecture()

    @property
    def root(self) -> Path:
        """The root file system; made on the first call.

        Raises:
            ImageError: it could not be made.
        """
        if not self.is_native:
            register_emulator(self.architecture)
        place = cache() / "appliance" / f"{self}-{_needs_key()}"
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not place.is_dir():
                _make(self, place)
        return place


def image_of(text: str) -> Image:
    """`bookworm-armhf`; `bookworm` alone is of this machine's architecture."""
    release, _, architecture = text.partition("-")
    return Image(release, architecture or native_architecture())


def native_architecture() -> str:
    return subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True).stdout.strip()


def needed_packages() -> list[str]:
    """What billing's package depends on, from its control file."""
    control = (PACKAGING / "debian/control").read_text()
    depends = control.partition("\nDepends:")[2].partition("\nSuggests:")[0]
    return re.findall(r"^ ([a-z0-9.+-]+)", depends, re.MULTILINE)


def _needs_key() -> str:
    """Another list of needs is another image."""
    import hashlib

    return hashlib.sha256(" ".join([*needed_packages(), SYSTEM, *WEB_SERVERS]).encode()).hexdigest()[:8]


def _make(image: Image, place: Path) -> None:
    """Made beside its place and moved there, so that an interrupted making leaves nothing half done."""
    work = Path(tempfile.mkdtemp(prefix=f"{place.name}.", dir=place.parent))
    packages = [*needed_packages(), *(WEB_SERVERS if image.is_native else ())]
    download = f'chroot "$1" apt-get install --download-only -y -qq --no-install-recommends {" ".join(packages)}'
    command = [
        "mmdebstrap",
        "--mode=root",
        "--variant=minbase",
        f"--architectures={image.architecture}",
        f"--include={SYSTEM}",
        "--skip=cleanup/apt",
        f"--customize-hook={download}",
        image.release,
        str(work / "root"),
        f"deb {mirror()} {image.release} main",
    ]
    try:
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode:
            raise ImageError(f"mmdebstrap made no {image}: {made.stderr[-2000:]}")
        (work / "root").rename(place)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def register_emulator(architecture: str) -> None:
    """Let the kernel start programs of another architecture under qemu, as qemu-user-static's own file says.

    Raises:
        ImageError: the kernel or the package lacks it.
    """
    name = EMULATORS.get(architecture, "")
    line = Path(f"/usr/lib/binfmt.d/{name}.conf")
    if not name or not line.is_file():
        raise ImageError(f"there is no emulator for {architecture} here: apt install qemu-user-static")
    if not (BINFMT / "register").exists():
        subprocess.run(["mount", "-t", "binfmt_misc", "none", str(BINFMT)], check=False)
    if not (BINFMT / "register").exists():
        raise ImageError("this kernel has no binfmt_misc, without which no program of another architecture runs")
    if not (BINFMT / name).exists():
        registration = os.open(BINFMT / "register", os.O_WRONLY)
        try:
            os.write(registration, line.read_bytes().strip())
        finally:
            os.close(registration)
