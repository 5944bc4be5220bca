"""The machines that billing runs on, as trees of files below a temporary root. Nobody invents others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from coovox_billing.firmware.machine import Machine

SERIAL = "Z20-00471193"
PI_SERIAL = "10000000a3c51f27"
UUID = "4C4C4544-0042-3510-8058-B8C04F4E4732"
BOARD_SERIAL = "PF2QH0L7"
MACS = ("68:69:2e:0a:1b:2c", "68:69:2e:0a:1b:2d")
EMMC_CID = "150100424a54443452033b5d8a1e5a00"
SD_CID = "03534453433332478012ab34cd015c00"
MACHINE_ID = "8f14e45fceea467a9d1c4b0a7f3d2e61"

# What a hard reset takes along on these alone (the guide, License Policies).
LOSE_LICENSE = {"u20", "u50"}


@dataclass(frozen=True)
class Box:
    """A machine at a temporary root."""

    root: Path

    @property
    def machine(self) -> Machine:
        return Machine(self.root)

    @property
    def data(self) -> Path:
        return self.root / "var/lib/coovox-billing"

    def write(self, path: str, content: str | bytes) -> Path:
        """Put a file."""
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        return target

    def device_tree(self, name: str, *texts: str) -> None:
        self.write(f"/sys/firmware/devicetree/base/{name}", "".join(f"{text}\0" for text in texts))

    def card(self, name: str, mac: str, *, bus: str = "platform/soc/1c30000.ethernet", assigned: str = "0") -> None:
        """A real network card on a bus."""
        device = self.root / "sys/devices" / bus
        device.mkdir(parents=True, exist_ok=True)
        self.write(f"/sys/devices/{bus}/net/{name}/address", f"{mac}\n")
        self.write(f"/sys/devices/{bus}/net/{name}/type", "1\n")
        self.write(f"/sys/devices/{bus}/net/{name}/addr_assign_type", f"{assigned}\n")
        directory = device / "net" / name
        (directory / "device").symlink_to(device)
        self._link(f"/sys/class/net/{name}", directory)

    def virtual_card(self, name: str, mac: str) -> None:
        """A bridge, a tunnel, a container's end: no device behind it."""
        self.write(f"/sys/devices/virtual/net/{name}/address", f"{mac}\n")
        self._link(f"/sys/class/net/{name}", self.root / "sys/devices/virtual/net" / name)

    def storage(self, name: str, kind: str, cid: str) -> None:
        """An eMMC chip (MMC) or an SD card (SD)."""
        self.write(f"/sys/block/{name}/device/type", f"{kind}\n")
        self.write(f"/sys/block/{name}/device/cid", f"{cid}\n")

    def disk(self, name: str, wwid: str, *, bus: str = "pci0000:00/0000:00:17.0/ata1", removable: str = "0") -> None:
        self.write(f"/sys/devices/{bus}/block/{name}/removable", f"{removable}\n")
        self.write(f"/sys/devices/{bus}/block/{name}/device/wwid", f"{wwid}\n")
        self._link(f"/sys/block/{name}", self.root / "sys/devices" / bus / "block" / name)

    def dmi(self, **fields: str) -> None:
        for name, value in fields.items():
            self.write(f"/sys/class/dmi/id/{name}", f"{value}\n")

    def mount(self, *paths: str) -> None:
        """File systems that are mounted, beside the root's."""
        lines = ["/dev/root / ext4 rw,relatime 0 0", *(f"/dev/mmcblk0p7 {path} ext4 rw,noatime 0 0" for path in paths)]
        self.write("/proc/self/mounts", "\n".join(lines) + "\n")
        for path in paths:
            (self.root / path.lstrip("/")).mkdir(parents=True, exist_ok=True)

    def boot(self, boot_id: str) -> None:
        """Start the machine: what is in /run is gone."""
        self.write("/proc/sys/kernel/random/boot_id", f"{boot_id}\n")
        for path in (self.root / "run").glob("*"):
            path.unlink()
        (self.root / "run").mkdir(exist_ok=True)

    def _link(self, path: str, target: Path) -> None:
        link = self.root / path.lstrip("/")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)


def coovox(model: str) -> Callable[[Box], None]:
    """A CooVox of that model, as its board file assumes it to be."""

    def build(box: Box) -> None:
        box.write("/etc/coovox-board", f"CooVox {model}\n")
        box.device_tree("compatible", f"zycoo,coovox-{model.lower()}", "arm,generic")
        box.device_tree("serial-number", SERIAL)
        box.card("eth0", MACS[0])
        box.card("eth1", MACS[1], bus="platform/soc/1c40000.ethernet")
        box.virtual_card("br0", MACS[0])
        box.virtual_card("eth0.7", "68:69:2e:77:77:07")
        box.storage("mmcblk0", "MMC", EMMC_CID)
        box.mount("/persist")

    return build


def raspberry_pi(box: Box) -> None:
    """A Raspberry Pi 3 on Debian: its wired card hangs on the board's own USB, its system is on an SD card."""
    box.device_tree("compatible", "raspberrypi,3-model-b-plus", "brcm,bcm2837")
    box.device_tree("model", "Raspberry Pi 3 Model B Plus Rev 1.3")
    box.device_tree("serial-number", PI_SERIAL)
    box.write("/proc/cpuinfo", f"processor\t: 0\nHardware\t: BCM2835\nSerial\t\t: {PI_SERIAL}\n")
    box.card("eth0", "b8:27:eb:c5:1f:27", bus="platform/soc/3f980000.usb/usb1/1-1/1-1.1")
    box.card("wlan0", "b8:27:eb:90:4a:72", bus="platform/soc/3f300000.mmcnr/mmc1")
    box.storage("mmcblk0", "SD", SD_CID)
    box.write("/etc/machine-id", f"{MACHINE_ID}\n")
    box.mount()


def debian_box(box: Box) -> None:
    """A small PC with two cards, an SSD and a USB stick."""
    box.dmi(sys_vendor="Dell Inc.", product_name="OptiPlex 3060", product_uuid=UUID, board_serial=BOARD_SERIAL)
    box.dmi(product_serial="To be filled by O.E.M.", chassis_serial="Default string")
    box.card("enp3s0", "8c:ec:4b:a1:22:07", bus="pci0000:00/0000:03:00.0")
    box.card("enx001122", "00:e0:4c:71:9a:03", bus="pci0000:00/0000:00:14.0/usb1/1-4")
    box.virtual_card("docker0", "02:42:ac:11:00:02")
    box.virtual_card("enbridge", "8c:ec:4b:77:77:07")
    box.virtual_card("lo", "00:00:00:00:00:00")
    box.disk("sda", "naa.5002538e40b1f2a7")
    box.disk("sdb", "naa.60a44c4138fab1c2", bus="pci0000:00/0000:00:14.0/usb1/1-3", removable="1")
    box.write("/etc/machine-id", f"{MACHINE_ID}\n")
    box.mount()


# One line per board: who adds a board file adds its machine here, and all promises of the guide are tested on it.
MACHINES: Mapping[str, Callable[[Box], None]] = {
    "u20": coovox("U20"),
    "u50": coovox("U50"),
    "u60": coovox("U60"),
    "u80": coovox("U80"),
    "u100": coovox("U100"),
    "raspberry-pi": raspberry_pi,
    "debian": debian_box,
}


def build_box(root: Path, board: str) -> Box:
    """A machine of that board, freshly started."""
    box = Box(root)
    box.root.mkdir(parents=True, exist_ok=True)
    MACHINES[board](box)
    box.boot("5a1b")
    return box
