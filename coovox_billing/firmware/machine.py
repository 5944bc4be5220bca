"""What a machine tells about itself under /sys, /proc and /etc. The root may be another: an image, a test's tree."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from coovox_billing.small_files import read_small

_DEVICE_TREES = ("/sys/firmware/devicetree/base", "/proc/device-tree")
_DMI = "/sys/class/dmi/id"
_MOST_BYTES = 64 * 1024
_MOST_PATHS = 256


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine by the root of its files. What is missing, unreadable or no text is simply not told."""

    root: Path = Path("/")

    def path(self, absolute: str) -> Path:
        """Where a file of the machine lies."""
        return self.root / absolute.lstrip("/")

    def found(self, absolute_pattern: str) -> list[Path]:
        """The paths of a pattern, in order, at most 256."""
        try:
            return sorted(self.root.glob(absolute_pattern.lstrip("/")))[:_MOST_PATHS]
        except OSError:
            return []

    def text(self, absolute: str) -> str:
        """What is in a small file, without spaces and NULs around it; empty where nothing is."""
        return text_of(self.path(absolute))

    def device_tree(self, name: str) -> list[str]:
        """The texts of a property of the device tree's root."""
        for base in _DEVICE_TREES:
            if content := _bytes_of(self.path(f"{base}/{name}")):
                return [text for part in content.split(b"\0") if (text := _decoded(part))]
        return []

    def dmi(self, field: str) -> str:
        """A field of the firmware's tables; the serial numbers among them only root may read."""
        return self.text(f"{_DMI}/{field}")

    def cpu_field(self, name: str) -> str:
        """A field of /proc/cpuinfo, like Serial on ARM."""
        found = re.search(rf"^{re.escape(name)}\s*:(.*)$", self.text("/proc/cpuinfo"), re.MULTILINE)
        return found[1].strip() if found else ""

    def boot_id(self) -> str:
        """What the kernel made up for this boot."""
        return self.text("/proc/sys/kernel/random/boot_id")

    def is_mount(self, absolute: str) -> bool:
        """Whether a file system is mounted there, as /proc/self/mounts tells."""
        lines = self.text("/proc/self/mounts").splitlines()
        return absolute.rstrip("/") in {_unescaped(fields[1]) for line in lines if len(fields := line.split()) > 1}

    def network_cards(self, patterns: tuple[str, ...], with_usb: bool) -> Iterator[Path]:
        """The directories of real Ethernet and wireless cards: not bridges, tunnels, VLANs, containers' ends."""
        for card in self.found("/sys/class/net/*"):
            device = card / "device"
            if not device.exists() or text_of(card / "type") not in ("", "1"):
                continue
            if not any(fnmatchcase(card.name, pattern) for pattern in patterns):
                continue
            if with_usb or not re.search(r"/usb\d", str(device.resolve())):
                yield card


def text_of(path: Path) -> str:
    """What is in a small file, without spaces and NULs around it; empty where nothing is."""
    return _decoded(_bytes_of(path))


def _bytes_of(path: Path) -> bytes:
    try:
        return read_small(path, _MOST_BYTES, follow_links=True) or b""
    except OSError:
        return b""


def _decoded(content: bytes) -> str:
    text = content.decode("utf-8", "replace").strip(" \t\r\n\0")
    return "" if "\ufffd" in text else text


def _unescaped(path: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), path)
