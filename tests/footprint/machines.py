"""The machines that a plane is measured on, and how much memory of theirs it keeps resident.

An emulated process has the emulator's own memory beside the guest's. The emulator is told where in its address
space the guest's 4 GiB begin, so what of `/proc/PID/smaps` lies there is the guest's, and nothing else is.
"""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.footprint.arm_root import EMULATOR, PYTHON, arm_root

GUEST_BASE = 0x40_0000_0000
GUEST_BYTES = 1 << 32
_MAPPING = re.compile(r"([0-9a-f]+)-[0-9a-f]+ ")
_TOUCHED_MB = 32
_TOUCH = "import sys; touched = bytearray(int(sys.argv[1])); print('ready', flush=True); sys.stdin.read()"


@dataclass(frozen=True)
class Machine:
    """One kind of box: what its Python is started with, and where in a process its memory begins and ends."""

    name: str
    python: tuple[str, ...]
    first_address: int = 0
    last_address: int = 1 << 64

    def resident_mb(self, pid: int) -> float:
        """What a process keeps resident, in MB of 1024 * 1024 bytes as `ps` and systemd count."""
        kib, is_ours = 0, False
        for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
            if found := _MAPPING.match(line):
                is_ours = self.first_address <= int(found[1], 16) < self.last_address
            elif is_ours and line.startswith("Rss:"):
                kib += int(line.split()[1])
        return kib / 1024

    def seen_of_touched_mb(self) -> float:
        """How much more is seen of a process that touches 32 MB more: the proof of `resident_mb`."""
        return self._touching_mb(_TOUCHED_MB) - self._touching_mb(0)

    def _touching_mb(self, megabytes: int) -> float:
        command = [*self.python, "-c", _TOUCH, str(megabytes << 20)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin is not None and process.stdout is not None
            process.stdout.readline()
            seen = self.resident_mb(process.pid)
            process.stdin.close()
        return seen


def native() -> Machine:
    """This PC, with Debian's own packages."""
    return Machine("this PC", ("/usr/bin/python3",))


def armhf() -> Machine:
    """The appliance: 32-bit ARM, with Debian's own packages.

    Raises:
        FetchError: they could not be had.
    """
    root = arm_root()
    emulator = (EMULATOR, "-B", hex(GUEST_BASE), "-L", str(root), str(root / PYTHON))
    return Machine("armhf", emulator, GUEST_BASE, GUEST_BASE + GUEST_BYTES)
