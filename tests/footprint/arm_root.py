"""Decides where the ARM box comes from: Debian 12's own Python and packages for armhf, unpacked into a cache.

Nothing is installed and root is not needed. `python -m tests.footprint.arm_root` prints the folder.
"""

import compileall
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.asterisk.fetch import cache, downloaded, locked, unpack

SUITE, ARCHITECTURE = "bookworm", "armhf"
EMULATOR = "qemu-arm-static"
PYTHON = Path("usr/bin/python3")
# What the product needs there, as Debian names it.
PACKAGES = (
    "python3",
    "python3-babel",
    "python3-cryptography",
    "python3-flask",
    "python3-openpyxl",
    "python3-peewee",
    "python3-pyotp",
    "python3-segno",
    "python3-serial",
    "python3-tzlocal",
    "python3-waitress",
    "tzdata",
)


def arm_root() -> Path:
    """The root of the box; fetched on the first call, at once on every later one.

    Raises:
        FetchError: apt could not get the packages.
    """
    home = cache() / f"root-{ARCHITECTURE}-{SUITE}"
    with locked(home.with_suffix(".lock")):
        if not home.exists():
            _fill(home)
    return home


def _fill(home: Path) -> None:
    """Work beside the cache and move in at the end: an interrupted fetch leaves nothing half done."""
    work = Path(tempfile.mkdtemp(prefix=f"{home.name}.", dir=home.parent))
    try:
        unpack(downloaded(SUITE, PACKAGES, work, ARCHITECTURE), work / "root")
        compile_all(work / "root/usr/lib")
        (work / "root").rename(home)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def compile_all(folder: Path) -> None:
    """As installing a Debian package does; by Debian 12's own Python, for bytecode is the same on every processor."""
    command = ["/usr/bin/python3", "-m", compileall.__name__, "-q", str(folder)]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=False)  # some files are there as examples of bad ones


if __name__ == "__main__":
    print(arm_root())
