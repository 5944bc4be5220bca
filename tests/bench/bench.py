"""`make bench`: how fast billing is, beside the floors measured in the same run, as one table.

Ratios are judged, and are taken side by side; absolute figures belong to the machine. Targets: the issue tracker's,
FLOORS for where they come from. Each part is a module of this folder with `measure(folder, options)`.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.bench import asterisk, beside_the_web, calls, downloads, growth, live_calls, pages
from tests.bench.options import Options
from tests.bench.table import Row, show

PARTS = {
    "calls": calls.measure,
    "beside_the_web": beside_the_web.measure,
    "live_calls": live_calls.measure,
    "asterisk": asterisk.measure,
    "downloads": downloads.measure,
    "pages": pages.measure,
    "growth": growth.measure,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="these parts of the table")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each server; medians are shown")
    parser.add_argument("--count", type=int, default=1_000, help="sessions or calls of one turn")
    parser.add_argument("--past-calls", type=int, default=1_000_000, help="calls of the largest site")
    parser.add_argument("--rates", type=int, default=100_000, help="rates of the largest tariff")
    words = parser.parse_args()
    show(_rows(words.only, Options(words.rounds, words.count, words.past_calls, words.rates)))


def _rows(parts: list[str], options: Options) -> Iterator[Row]:
    for part in parts:
        with tempfile.TemporaryDirectory(prefix="coovox-bench-") as folder:
            yield from PARTS[part](Path(folder), options)


if __name__ == "__main__":
    main()
