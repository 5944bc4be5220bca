"""`make footprint`: what billing takes of a small box, beside what it may take; exit status 1 where it takes more.

Memory is measured on emulated ARM and on this PC, over an hour's use that is pressed into minutes; the start, flash
writes and logs on this PC. README.md tells how, and what each limit is for.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests import cast
from tests.chaos.pbx_model import Pbx
from tests.chaos.plane_host import BoxClock
from tests.footprint import flash, hour
from tests.footprint.box import Box, a_box, wait_for
from tests.footprint.flash import Flash, a_flash, process_written_bytes
from tests.footprint.machines import Machine, armhf, native

CALLS = 1_000
ROUNDS = 6
SIGN_INS = 5
STARTS = 9
WRITTEN_CALLS = 100
TALK_SECONDS = 65
IDLE_MINUTES = 20
FIRST_CALLS = 150
KIB = 1024


@dataclass(frozen=True)
class Row:
    """A figure and the most it may be, None where it is only told."""

    figure: str
    value: float
    unit: str
    most: float | None = None

    @property
    def is_broken(self) -> bool:
        return self.most is not None and self.value > self.most


async def memory(machine: Machine, folder: Path, limits: dict[str, float] | None) -> list[Row]:
    """What both planes keep resident over an hour's use: at its end, and the most at any look."""
    data = folder / f"{machine.name.replace(' ', '-')}/data"
    data.parent.mkdir()
    manager = hour.furnish(data)
    paths = hour.page_paths(data)
    async with a_box(machine, data) as (box, pbx):
        seen, office = hour.Memory(box), hour.Office(box, manager)
        watching = asyncio.create_task(seen.watch())
        await _use(box, pbx, office, paths)
        halfway = {name: box.resident_mb(name) for name in seen.seen}
        await _work(pbx, office, CALLS // 2, ROUNDS // 2)
        growth = {name: box.resident_mb(name) - halfway[name] for name in seen.seen}
        watching.cancel()
    most = limits or {}
    rows = [Row(f"{machine.name}: 32 MB touched are seen as", machine.seen_of_touched_mb(), "MB", 32.5)]
    for name in seen.seen:
        rows += [
            Row(f"{machine.name}: {name} plane, the most at any look", seen.most(name), "MB", most.get(name)),
            Row(f"{machine.name}: {name} plane, at the end", seen.last(name), "MB", most.get(name)),
            Row(f"{machine.name}: {name} plane, growth over the last half", growth[name], "MB", 1.5 if most else None),
        ]
    return [*rows, Row(f"{machine.name}: pages viewed", office.views, "")]


async def _use(box: Box, pbx: Pbx, office: hour.Office, paths: Sequence[str]) -> None:
    """The first half: sign-ins, every page, the large files, and half of the calls meanwhile."""
    await asyncio.to_thread(office.sign_in, SIGN_INS)
    await asyncio.to_thread(office.try_doors, paths)
    await _work(pbx, office, CALLS // 2, ROUNDS // 2)
    await asyncio.to_thread(office.take_files)


async def _work(pbx: Pbx, office: hour.Office, calls: int, rounds: int) -> None:
    answered, _ = await asyncio.gather(hour.calls(pbx, calls), asyncio.to_thread(office.look_around, rounds))
    assert answered > calls // 4, f"only {answered} of {calls} calls were answered"


def start(folder: Path) -> list[Row]:
    """From the start of the process to the first answered question: a cold process, files in the kernel's cache."""
    seconds = [seconds_to_first_answer(native(), folder / f"start-{number}") for number in range(STARTS)]
    return [Row(f"this PC: start to first answered AGI, median of {STARTS}", statistics.median(seconds), "s", 0.5)]


def seconds_to_first_answer(machine: Machine, data: Path) -> float:
    """Of the call plane on a new site."""
    cast.move_in(data).close()
    box = Box(machine, data, "off")
    began = time.monotonic()
    box.start_plane("calls")
    try:
        wait_for(box.ports["calls"])
        call = Pbx(BoxClock(data / "clock"), box.ports["calls"]).call("100", cast.CITY_NUMBER)
        assert asyncio.run(call.asks()), call.reason
        return time.monotonic() - began
    finally:
        box.stop()


async def writes(folder: Path, on: Flash, idle_minutes: int) -> list[Row]:
    """What goes to flash and into the log for a call, and while nothing happens."""
    data = on.folder / "data"
    hour.furnish(data, logged_calls=20_000)
    async with a_box(native(), data) as (box, pbx):
        await _call(pbx, FIRST_CALLS, 0.1)
        count = _Count(box, on)
        await _call(pbx, WRITTEN_CALLS, 0.1)
        rows = count.rows(WRITTEN_CALLS, "per short call", 120 * KIB, 320)
        count = _Count(box, on)
        await asyncio.gather(*(_call(pbx, 1, TALK_SECONDS, wait=number * 3) for number in range(20)))
        rows += count.rows(20, f"per call of {TALK_SECONDS} s, 20 at once", 200 * KIB, 480)
        await asyncio.sleep(10)
        count = _Count(box, on)
        await asyncio.sleep(idle_minutes * 60)
        return rows + count.rows(idle_minutes / 60, "per idle hour", 2048 * KIB, 4_000)


class _Count:
    """What was written since."""

    def __init__(self, box: Box, on: Flash) -> None:
        self._box = box
        self._on = on
        self._before = self._now()

    def rows(self, times: float, what: str, most_bytes: float, most_log_bytes: float) -> list[Row]:
        device, processes, log = ((now - before) / times for now, before in zip(self._now(), self._before, strict=True))
        return [
            Row(f"this PC: written to the block device {what}", device / KIB, "KiB", most_bytes / KIB),
            Row(f"this PC: written by both planes {what}", processes / KIB, "KiB"),
            Row(f"this PC: logged {what}", log, "bytes", most_log_bytes),
        ]

    def _now(self) -> tuple[int, int, int]:
        processes = sum(process_written_bytes(self._box.pid(name)) for name in ("calls", "web"))
        return self._on.written_bytes(), processes, self._box.log_bytes()


async def _call(pbx: Pbx, many: int, talk_seconds: float, wait: float = 0) -> None:
    await asyncio.sleep(wait)
    for number in range(many):
        call = pbx.call(("100", "101")[number % 2], hour.NUMBERS[number % len(hour.NUMBERS)])
        assert await call.asks(), call.reason
        await call.is_answered(0.05)
        await call.talks(talk_seconds)
        await call.hangs_up()


def wheel_size(folder: Path) -> list[Row]:
    """What the product's own files take once they are installed, bytecode included."""
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder / "wheel"), "."]
    subprocess.run(command, check=True)
    kib = int(
        subprocess.run(["du", "-sk", folder / "wheel"], check=True, capture_output=True, text=True).stdout.split()[0]
    )
    return [Row("the wheel, installed, beside Debian's packages", kib / KIB, "MB", 15)]


def show(rows: Sequence[Row]) -> None:
    """The table."""
    for row in rows:
        limit = "" if row.most is None else f"at most {row.most:g}"
        print(f"{row.figure:64} {row.value:10.2f} {row.unit:6} {limit:16} {'BROKEN' if row.is_broken else ''}".rstrip())


def main() -> int:
    parts = ("armhf", "native", "start", "writes", "size")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=parts, action="append", help="these parts alone")
    parser.add_argument("--idle-minutes", type=int, default=IDLE_MINUTES)
    options = parser.parse_args()
    chosen = options.only or parts
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="coovox-footprint-") as name:
        folder = Path(name)
        if "size" in chosen:
            rows += wheel_size(folder)
        if "start" in chosen:
            rows += start(folder)
        if "armhf" in chosen:
            rows += asyncio.run(memory(armhf(), folder, {"calls": 30, "web": 60}))
        if "native" in chosen:
            rows += asyncio.run(memory(native(), folder, None))
        if "writes" in chosen:
            if not flash.may_mount():
                print("what is written to flash is counted on a file system of its own: run as root", file=sys.stderr)
                return 1
            with a_flash(folder) as on:
                rows += asyncio.run(writes(folder, on, options.idle_minutes))
    show(rows)
    return 1 if any(row.is_broken for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
