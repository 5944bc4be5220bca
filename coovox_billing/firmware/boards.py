"""Which board this is: the site's own board files first, then those that are shipped, then the fallback of all."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from coovox_billing.errors import SetupError
from coovox_billing.firmware.board_file import Board, Mark, read_boards
from coovox_billing.firmware.machine import Machine
from coovox_billing.sentences import Sentence
from coovox_billing.shipped import shipped

# Only root may write there: a board file names what hooks, which run as root, open and write.
SITE_BOARDS = "/etc/coovox-billing/boards"


@dataclass(frozen=True, slots=True)
class FoundBoard:
    """The board of a machine, by what it was recognized, and what is wrong with board files."""

    board: Board
    recognized_by: str
    faults: tuple[str, ...]


def find_board(machine: Machine) -> FoundBoard:
    """Which board this machine is. A board file that cannot be used is told among the faults, and left out.

    Raises:
        SetupError: no board file can be used at all.
    """
    boards, faults = _known_boards(machine)
    found = [(board, sign) for board in boards if (sign := _sign(machine, board))]
    if not found:
        fallback = next((board for board in boards if board.is_fallback), None)
        if fallback is None:
            raise SetupError("no board file can be used: install the package again")
        return FoundBoard(fallback, "", tuple(faults))
    (board, sign), others = found[0], found[1:]
    twins = [other for other, _ in others if other.file.parent == board.file.parent]
    if twins:
        names = ", ".join(other.file.name for other in twins)
        faults.append(
            Sentence(
                "this machine is recognized by %(names)s too: %(file)s is used, make them differ",
                names=names,
                file=board.file.name,
            )
        )
    return FoundBoard(board, sign, tuple(faults))


def shipped_boards() -> Path:
    """Where the shipped board files are."""
    return shipped("firmware_hooks") / "boards"


def _known_boards(machine: Machine) -> tuple[list[Board], list[str]]:
    """The boards in the order in which they are asked; a site's file takes the place of the shipped one of its name."""
    own, own_faults = read_boards(machine.path(SITE_BOARDS))
    ours, our_faults = read_boards(shipped_boards())
    names = {board.id for board in own}
    rest = [board for board in ours if board.id not in names]
    return [*own, *rest], [error.sentence for error in (*own_faults, *our_faults)]


def _sign(machine: Machine, board: Board) -> str:
    """By what a board is recognized, empty where it is another one."""
    for group in board.marks:
        signs = [_seen(machine, mark) for mark in group]
        if all(signs):
            return ", ".join(signs)
    return ""


def _seen(machine: Machine, mark: Mark) -> str:
    """What of the machine a mark matches, without regard to capital letters."""
    for text in _READERS[mark.key](machine, mark):
        if text and any(fnmatchcase(text.lower(), pattern.lower()) for pattern in mark.patterns):
            return f"{mark.path or mark.key}: {text[:80]}"
    return ""


_READERS: Mapping[str, Callable[[Machine, Mark], list[str]]] = {
    "device_tree_compatible": lambda machine, mark: machine.device_tree("compatible"),
    "device_tree_model": lambda machine, mark: machine.device_tree("model"),
    "dmi_sys_vendor": lambda machine, mark: [machine.dmi("sys_vendor")],
    "dmi_product_name": lambda machine, mark: [machine.dmi("product_name")],
    "dmi_board_name": lambda machine, mark: [machine.dmi("board_name")],
    "file": lambda machine, mark: machine.text(mark.path).splitlines(),
}
