"""The one table that `make bench` prints."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A line of it: `ratio` is judged by `target`, the most (with `least`, the least) that it may be.

    `value` says the absolute figures, which belong to the machine.
    """

    figure: str
    value: str
    ratio: float | None = None
    target: float | None = None
    least: bool = False

    @property
    def verdict(self) -> str:
        """`pass` or `short`; nothing where nothing is judged."""
        if self.ratio is None or self.target is None:
            return ""
        return "pass" if (self.ratio >= self.target if self.least else self.ratio <= self.target) else "short"


def show(rows: Iterable[Row]) -> None:
    """Print them, one by one as they are measured."""
    print(f"{'figure':72} {'value':44} {'ratio':>8} {'target':>8}", flush=True)
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        bound = "" if row.target is None else f"{'>=' if row.least else '<='} {row.target:g}"
        print(f"{row.figure:72} {row.value:44} {ratio:>8} {bound:>8} {row.verdict}".rstrip(), flush=True)
