"""What tells this machine from all others: the plain values that a license is bound to, hashed elsewhere.

Nothing here fails because something is missing: what cannot be read is left out, and a machine that gives too
few is told so. Some files only root may read, and the controller's line too; so the hooks, which run as root, keep
what they read for this boot in /run, and everybody else takes it from there. All see the same then.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from coovox_billing.errors import BillingError
from coovox_billing.firmware.board_file import Board, Controller, Source
from coovox_billing.firmware.boards import find_board
from coovox_billing.firmware.machine import Machine, text_of
from coovox_billing.firmware.plain_values import PLAIN, plain_text
from coovox_billing.sentences import Sentence
from coovox_billing.small_files import read_small, replace_small

# With fewer a changed network card would kill the license (the two-thirds rule), or a copied one pass.
LEAST_STRONG = 2
# A machine with a hundred network cards is bound to the first ones.
MOST_IDENTIFIERS = 12
KEPT = "/run/coovox-billing.identifiers"
_KEPT_MODE = 0o640
_MOST_KEPT_BYTES = 16 * 1024
_VIRTUAL_DISK = re.compile("qemu|vbox|vmware|virtual|msft", re.IGNORECASE)


class TooFewIdentifiers(BillingError):
    """This machine does not tell enough of itself to bind a license to it."""


@dataclass(frozen=True, slots=True)
class Identifier:
    """One of them. Weak: it alone proves little, for a reset, a reinstallation or a moved card changes it."""

    kind: str
    value: str
    is_weak: bool


@dataclass(frozen=True, slots=True)
class Identity:
    """All that was found on a board, and which places were looked at in vain, with why where that is known."""

    board: str
    found: tuple[Identifier, ...]
    missing: tuple[str, ...]

    @property
    def strong(self) -> int:
        """How many prove something."""
        return sum(not identifier.is_weak for identifier in self.found)

    @property
    def is_enough(self) -> bool:
        """Whether a license can be bound to them."""
        return self.strong >= LEAST_STRONG

    def pairs(self) -> list[tuple[str, str]]:
        """Kind and plain value of each, to bind a license to.

        Raises:
            TooFewIdentifiers: there are fewer than two strong ones; it tells what was looked for.
        """
        if not self.is_enough:
            raise TooFewIdentifiers(
                "this machine tells too little of itself to bind a license to it: %(strong)s of %(least)s identifiers "
                "that last, looked for in vain: %(missing)s",
                hint="run `coovox-billing hook post-boot` as root, and see `coovox-billing board show`",
                strong=self.strong,
                least=LEAST_STRONG,
                missing="; ".join(self.missing) or "nothing else",
            )
        return [(identifier.kind, identifier.value) for identifier in self.found]


def identifiers(machine: Machine | None = None) -> list[tuple[str, str]]:
    """Kind and plain value of what tells this machine from all others, in the order of its board file.

    Raises:
        TooFewIdentifiers: there are fewer than two strong ones; it tells what was looked for.
        SetupError: no board file can be used.
    """
    return known_identity(machine or Machine()).pairs()


def known_identity(machine: Machine) -> Identity:
    """What root read at this boot, or else what this user can read now.

    Raises:
        SetupError: no board file can be used.
    """
    kept = _kept_identity(machine)
    return kept if kept is not None else read_identity(find_board(machine).board, machine)


def read_identity(board: Board, machine: Machine) -> Identity:
    """What this user can read now. Takes as long as the controller's line, 2 s at most."""
    controller = _Controller(board.controller, machine)
    found: dict[str, Identifier] = {}
    missing = []
    for source in board.sources:
        raws = [raw for raw in _READERS[source.place](machine, source, controller) if raw]
        values = [plain for raw in raws if (plain := _plain(source, raw))]
        for value in values:
            found.setdefault(value, Identifier(source.kind, value, source.is_weak))
        if not values:
            missing.append(_in_vain(source, controller, raws))
    return Identity(board.id, tuple(found.values())[:MOST_IDENTIFIERS], tuple(missing))


def keep_identity(identity: Identity, machine: Machine, group: int) -> None:
    """Keep what root has read until the next boot, for billing's group: that a process of ours sees what root sees.

    Raises:
        OSError: it cannot be written.
    """
    values = {
        "boot": machine.boot_id(),
        "board": identity.board,
        "found": [[one.kind, one.value, one.is_weak] for one in identity.found],
        "missing": list(identity.missing),
    }
    path = machine.path(KEPT)
    content = json.dumps(values).encode()
    with suppress(OSError):
        if read_small(path, _MOST_KEPT_BYTES) == content:
            return
    replace_small(path, content)
    if os.geteuid() == 0:
        os.chown(path, 0, group)
    path.chmod(_KEPT_MODE)


def _kept_identity(machine: Machine) -> Identity | None:
    """What was kept at this boot; of another one it is not believed, for a disk can have been moved."""
    try:
        values: Any = json.loads(read_small(machine.path(KEPT), _MOST_KEPT_BYTES) or b"null")
        if values["boot"] != machine.boot_id():
            return None
        found = tuple(Identifier(str(kind), str(value), bool(is_weak)) for kind, value, is_weak in values["found"])
        return Identity(str(values["board"]), found, tuple(map(str, values["missing"])))
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


class _Controller:
    """The board controller, asked once and only if a source is there."""

    def __init__(self, line: Controller | None, machine: Machine) -> None:
        self._line, self._machine = line, machine
        self._fields: Mapping[str, str] | None = None
        self.fault = ""

    def field(self, name: str) -> str:
        """A field of what it tells, empty where it tells nothing."""
        if self._fields is None:
            self._fields = self._ask()
        return self._fields.get(name, "")

    def _ask(self) -> Mapping[str, str]:
        if self._line is None:
            return {}
        # Without the line pyserial is not even loaded.
        if not os.path.lexists(device := self._machine.path(self._line.device)):
            self.fault = f"no {self._line.device}"
            return {}
        try:
            from coovox_billing.firmware import serial_link
        except ImportError:
            self.fault = "the Python package serial is not installed"
            return {}
        try:
            return serial_link.identify(device, self._line.baud)
        except BillingError as error:
            self.fault = str(error)
            return {}


def _in_vain(source: Source, controller: _Controller, refused: Sequence[str]) -> str:
    reason = controller.fault if source.place == "controller" else ""
    if refused:
        named = ", ".join(raw[:40] for raw in refused[:3])
        reason = Sentence("%(values)s does not count, for others have it too or it was made up", values=named)
    where = " ".join((source.place, *source.detail))
    return f"{source.kind} ({where}{': ' if reason else ''}{reason})"


def _plain(source: Source, raw: str) -> str | None:
    form = {"network-cards": "mac", "emmc": "cid", "sd-card": "cid"}.get(source.place, "text")
    if source.detail == ("product_uuid",):
        form = "uuid"
    plain = PLAIN[form](raw)
    # A serial number may be any text, but not an empty UUID or address in disguise.
    return plain and plain_text(plain)


_Reader = Callable[[Machine, Source, _Controller], Iterator[str]]


def _device_tree(machine: Machine, source: Source, _: _Controller) -> Iterator[str]:
    yield from machine.device_tree(source.detail[0])


def _dmi(machine: Machine, source: Source, _: _Controller) -> Iterator[str]:
    yield machine.dmi(source.detail[0])


def _cpuinfo(machine: Machine, source: Source, _: _Controller) -> Iterator[str]:
    yield machine.cpu_field(source.detail[0])


def _file(machine: Machine, source: Source, _: _Controller) -> Iterator[str]:
    yield from machine.text(source.detail[0]).splitlines()[:1]


def _network_cards(machine: Machine, source: Source, _: _Controller) -> Iterator[str]:
    """The address that a card was made with: not one that a driver made up or a person set."""
    for card in machine.network_cards(source.detail, source.with_usb):
        if bonded := text_of(card / "bonding_slave/perm_hwaddr"):
            yield bonded
        elif text_of(card / "addr_assign_type") in ("", "0"):
            yield text_of(card / "address")


def _memory_cards(machine: Machine, kind: str) -> Iterator[str]:
    for card in machine.found("/sys/block/mmcblk*"):
        if text_of(card / "device/type") == kind:
            yield text_of(card / "device/cid")


def _emmc(machine: Machine, source: Source, _: _Controller) -> Iterator[str]:
    yield from _memory_cards(machine, "MMC")


def _sd_card(machine: Machine, source: Source, _: _Controller) -> Iterator[str]:
    yield from _memory_cards(machine, "SD")


def _disks(machine: Machine, source: Source, _: _Controller) -> Iterator[str]:
    """Built-in disks by their world-wide name; those of virtual machines have made-up ones, which others have too."""
    for disk in machine.found("/sys/block/*"):
        name = text_of(disk / "device/wwid") or text_of(disk / "wwid")
        is_built_in = text_of(disk / "removable") != "1" and not re.search(r"/usb\d", str(disk.resolve()))
        if is_built_in and not _VIRTUAL_DISK.search(name):
            yield name


def _controllers_field(_: Machine, source: Source, controller: _Controller) -> Iterator[str]:
    yield controller.field(source.detail[0])


_READERS: Mapping[str, _Reader] = {
    "device-tree": _device_tree,
    "dmi": _dmi,
    "cpuinfo": _cpuinfo,
    "file": _file,
    "network-cards": _network_cards,
    "emmc": _emmc,
    "sd-card": _sd_card,
    "disks": _disks,
    "controller": _controllers_field,
}
