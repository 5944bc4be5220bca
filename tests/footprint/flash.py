"""What is written to flash: counted at the block device of a file system made for it, where journal and metadata count.

`/proc/PID/io` tells less (whole pages as they are dirtied, nothing of the file system's own), but needs no root; both
are told.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SECTOR_BYTES = 512
IMAGE_MB = 1024
SETTLE_COMMAND = ("sync",)


@dataclass(frozen=True)
class Flash:
    """A mounted file system, and the block device below it."""

    folder: Path
    device: str

    def written_bytes(self) -> int:
        """What the device was given to write so far, all that waits for it included."""
        subprocess.run([*SETTLE_COMMAND, "--file-system", str(self.folder)], check=True)
        fields = Path(f"/sys/block/{self.device}/stat").read_text().split()
        return int(fields[6]) * SECTOR_BYTES


@contextmanager
def a_flash(folder: Path) -> Iterator[Flash]:
    """An empty ext4 as Debian makes it, on a loop device over a file in `folder`. Needs root."""
    image, mounted = folder / "flash.img", folder / "flash"
    with image.open("wb") as file:
        file.truncate(IMAGE_MB << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(image)], check=True)
    mounted.mkdir()
    loop = subprocess.run(
        ["losetup", "--find", "--show", str(image)], check=True, capture_output=True, text=True
    ).stdout.strip()
    try:
        subprocess.run(["mount", "-o", "noatime", loop, str(mounted)], check=True)
        try:
            yield Flash(mounted, Path(loop).name)
        finally:
            subprocess.run(["umount", str(mounted)], check=True)
    finally:
        subprocess.run(["losetup", "--detach", loop], check=True)
        image.unlink()


def process_written_bytes(pid: int) -> int:
    """What a process had the kernel write to a disk, as the kernel counts it."""
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["write_bytes"])


def may_mount() -> bool:
    """Whether this user can make a file system of his own."""
    return os.geteuid() == 0
