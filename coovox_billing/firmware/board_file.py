"""Board files: one TOML file tells all that is special about a board (firmware_hooks/README.md has the keys).

A firmware builder writes them, so whatever is wrong is told with the file, the key and what to write there.
"""

import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coovox_billing.errors import BadInput, BillingError, SetupError
from coovox_billing.small_files import read_small

MOST_FILE_BYTES = 64 * 1024
CONTROLLER_FIELD = "serial"

# How each way of recognizing a board is written.
MARK_KEYS = (
    "device_tree_compatible",
    "device_tree_model",
    "dmi_sys_vendor",
    "dmi_product_name",
    "dmi_board_name",
    "file",
)
BAUD_RATES = (9600, 19200, 38400, 57600, 115200)

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")
_KIND = re.compile(r"[a-z][a-z0-9-]{1,19}")
_FIELD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_, -]{0,40}")


@dataclass(frozen=True, slots=True)
class Mark:
    """One sign of a board: its place matches one of the patterns. `path` is the file's, of a sign in a file."""

    key: str
    patterns: tuple[str, ...]
    path: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """A place where identifiers are: their kind, where, and what is special there. Weak: a reset may change it."""

    kind: str
    place: str
    detail: tuple[str, ...] = ()
    with_usb: bool = False
    is_weak: bool = False


@dataclass(frozen=True, slots=True)
class Controller:
    """The line to a board controller."""

    device: str
    baud: int


@dataclass(frozen=True, slots=True)
class StorePlace:
    """Where license and trial record outlive an upgrade. `mount`: only while something is mounted there, or empty."""

    directory: str
    mount: str
    is_erased_by_hard_reset: bool


@dataclass(frozen=True, slots=True)
class Board:
    """A board as its file tells it. `marks`: recognized by any of these groups, by all marks of a group."""

    id: str
    name: str
    file: Path
    is_fallback: bool
    marks: tuple[tuple[Mark, ...], ...]
    sources: tuple[Source, ...]
    store: StorePlace
    controller: Controller | None


def read_board(path: Path) -> Board:
    """The board of a file; its id is the file's name.

    Raises:
        SetupError: it cannot be read.
        BadInput: it is not as a board file has to be.
    """
    try:
        content = read_small(path, MOST_FILE_BYTES, follow_links=True)
    except OSError as error:
        raise SetupError(
            "the board file %(file)s cannot be read: %(reason)s", file=path, reason=error.strerror
        ) from None
    if content is None:
        raise SetupError("the board file %(file)s is missing", file=path)
    return parse_board(path, content)


def parse_board(path: Path, content: bytes) -> Board:
    """The board of a file's content.

    Raises:
        BadInput: it is not as a board file has to be; the text names file, key and what to write.
    """
    if not _ID.fullmatch(path.stem):
        raise BadInput(
            "the board file %(file)s: name it in small letters, digits and -, like u20.toml", file=path.name[:80]
        )
    try:
        values = tomllib.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise BadInput("the board file %(file)s is not TOML: %(error)s", file=path, error=str(error)[:200]) from None
    return _board(path, _Table(path, "", values))


class _Table:
    """A table of the file: gives each key once, in its form, and refuses what nobody asked for."""

    def __init__(self, file: Path, name: str, values: dict[str, Any]) -> None:
        self._file, self._name, self._values = file, name, values

    def fault(self, key: str, wanted: str) -> BadInput:
        """What to write for a key."""
        full = f"{self._name}.{key}" if self._name else key
        found = self._values.get(key)
        if found is None:
            return BadInput(
                "the board file %(file)s: %(key)s is missing: write %(wanted)s",
                file=self._file,
                key=full,
                wanted=wanted,
            )
        return BadInput(
            "the board file %(file)s: %(key)s is %(found)s: write %(wanted)s",
            file=self._file,
            key=full,
            found=repr(found)[:60],
            wanted=wanted,
        )

    def has(self, key: str) -> bool:
        return key in self._values

    def text(self, key: str, example: str, fits: Callable[[str], object] = bool) -> str:
        """A text, one line."""
        value = self._values.get(key)
        if not isinstance(value, str) or not value.isprintable() or len(value) > 200 or not fits(value):
            raise self.fault(key, f'a text like "{example}"')
        return value

    def path(self, key: str, example: str) -> str:
        """A whole path."""
        return self.text(key, example, lambda text: text.startswith("/") and ".." not in text.split("/"))

    def flag(self, key: str, default: bool | None = None) -> bool:
        """`true` or `false`."""
        value = self._values.get(key, default)
        if not isinstance(value, bool):
            raise self.fault(key, "true or false")
        return value

    def texts(self, key: str, example: str) -> tuple[str, ...]:
        """A list of texts, one or more."""
        values = self._values.get(key)
        if not isinstance(values, list) or not 1 <= len(values) <= 16:
            raise self.fault(key, f'a list like ["{example}"]')
        if not all(isinstance(v, str) and 0 < len(v) <= 200 and v.isprintable() for v in values):
            raise self.fault(key, f'a list like ["{example}"]')
        return tuple(values)

    def one_of(self, key: str, choices: tuple[Any, ...], default: Any = None) -> Any:
        """One of some values."""
        value = self._values.get(key, default)
        if value not in choices or isinstance(value, bool):
            raise self.fault(key, "one of " + ", ".join(str(choice) for choice in choices))
        return value

    def table(self, key: str, example: str) -> "_Table":
        """A table inside this one."""
        value = self._values.get(key)
        if not isinstance(value, dict):
            raise self.fault(key, f"a table [{key}] with {example}")
        return _Table(self._file, key, value)

    def tables(self, key: str, example: str) -> "list[_Table]":
        """Tables of one name, one or more."""
        values = self._values.get(key)
        if not isinstance(values, list) or not 1 <= len(values) <= 16 or not all(isinstance(v, dict) for v in values):
            raise self.fault(key, f"one table [[{key}]] or more with {example}")
        return [_Table(self._file, f"{key}[{number}]", value) for number, value in enumerate(values, 1)]

    def allow(self, *known: str) -> None:
        """Refuse a key that is none of these.

        Raises:
            BadInput: there is one.
        """
        for key in self._values:
            if key not in known:
                raise BadInput(
                    "the board file %(file)s: %(key)s is no key here: known are %(known)s",
                    file=self._file,
                    key=".".join(filter(None, (self._name, key[:40]))),
                    known=", ".join(known),
                )


def _board(path: Path, table: _Table) -> Board:
    table.allow("name", "fallback", "recognized", "identifiers", "store", "controller")
    is_fallback = table.flag("fallback", False)
    if is_fallback and table.has("recognized"):
        raise table.fault("fallback", "no [[recognized]] beside it, or no fallback")
    controller = _controller(table)
    return Board(
        id=path.stem,
        name=table.text("name", "CooVox U20"),
        file=path,
        is_fallback=is_fallback,
        marks=() if is_fallback else _marks(table),
        sources=_sources(table, controller is not None),
        store=_store(table.table("store", 'directory = "/persist/coovox-billing"')),
        controller=controller,
    )


def _marks(table: _Table) -> tuple[tuple[Mark, ...], ...]:
    groups = table.tables("recognized", 'device_tree_compatible = ["vendor,board"]')
    return tuple(_group(group) for group in groups)


def _group(table: _Table) -> tuple[Mark, ...]:
    table.allow(*MARK_KEYS, "matches")
    if table.has("file") != table.has("matches"):
        raise table.fault("matches" if table.has("file") else "file", "file and matches together")
    marks = tuple(
        Mark(key, table.texts("matches", "U20"), table.path("file", "/etc/coovox-board"))
        if key == "file"
        else Mark(key, table.texts(key, "vendor,board"))
        for key in MARK_KEYS
        if table.has(key)
    )
    if not marks:
        raise table.fault("device_tree_compatible", "at least one of " + ", ".join(MARK_KEYS))
    return marks


# What each place is told beside its kind.
_DETAILS: dict[str, Callable[[_Table], tuple[str, ...]]] = {
    "device-tree": lambda table: (table.text("property", "serial-number", _FIELD.fullmatch),),
    "dmi": lambda table: (table.text("field", "product_uuid", _FIELD.fullmatch),),
    "cpuinfo": lambda table: (table.text("field", "Serial", _FIELD.fullmatch),),
    "network-cards": lambda table: table.texts("names", "eth*"),
    "file": lambda table: (table.path("path", "/etc/machine-id"),),
    "emmc": lambda table: (),
    "sd-card": lambda table: (),
    "disks": lambda table: (),
    "controller": lambda table: (table.text("field", CONTROLLER_FIELD, _FIELD.fullmatch),),
}
PLACES = tuple(_DETAILS)
_DETAIL_KEYS = {
    "device-tree": ("property",),
    "dmi": ("field",),
    "cpuinfo": ("field",),
    "network-cards": ("names", "usb"),
    "file": ("path",),
    "controller": ("field",),
}


def _sources(table: _Table, has_controller: bool) -> tuple[Source, ...]:
    sources = []
    for found in table.tables("identifiers", 'kind = "mac" and from = "network-cards"'):
        place = found.one_of("from", PLACES)
        found.allow("kind", "from", "weak", *_DETAIL_KEYS.get(place, ()))
        if place == "controller" and not has_controller:
            raise found.fault("from", 'another place, or the table [controller] with device = "/dev/ttyS1"')
        kind = found.text("kind", "board-serial", _KIND.fullmatch)
        with_usb = found.flag("usb", False)
        sources.append(Source(kind, place, _DETAILS[place](found), with_usb, found.flag("weak", False)))
    return tuple(sources)


def _store(table: _Table) -> StorePlace:
    table.allow("directory", "mount", "erased_by_hard_reset")
    return StorePlace(
        directory=table.path("directory", "/persist/coovox-billing"),
        mount=table.path("mount", "/persist") if table.has("mount") else "",
        is_erased_by_hard_reset=table.flag("erased_by_hard_reset"),
    )


def _controller(table: _Table) -> Controller | None:
    if not table.has("controller"):
        return None
    line = table.table("controller", 'device = "/dev/ttyS1"')
    line.allow("device", "baud")
    return Controller(line.path("device", "/dev/ttyS1"), line.one_of("baud", BAUD_RATES, 115200))


def read_boards(directory: Path) -> tuple[list[Board], list[BillingError]]:
    """All boards of a directory in the order of their names, and what is wrong with the files that tell none."""
    boards: list[Board] = []
    faults: list[BillingError] = []
    try:
        paths = sorted(directory.glob("*.toml"))
    except OSError:
        paths = []
    for path in paths:
        try:
            boards.append(read_board(path))
        except BillingError as error:
            faults.append(error)
    return boards, faults
