"""What both planes keep in memory, idle and with many live calls, and how soon the call plane answers once it starts.

The Asterisk of it is the chaos tests' model: FastAGI and the manager are real connections, time is this machine's own.
"""

import asyncio
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from coovox_billing import heartbeat, web_plane
from tests.bench.options import Options
from tests.bench.table import Row
from tests.chaos.pbx_model import Call, Pbx
from tests.footprint import hour
from tests.footprint.box import Box, a_box
from tests.footprint.footprint import seconds_to_first_answer
from tests.footprint.machines import Machine, native

LIVE, CALLS_PER_SECOND = 500, 25
# The first stretch of a call is a minute, and is bought on 20 s before it runs out.
TALK_SECONDS = 45.0
CALM_SECONDS = 3.0
# The web plane gives back what is free every few seconds.
TIDYING_SECONDS = web_plane.TIDYING_BEATS * heartbeat.BEAT_SECONDS + 1
IDLE_MB, MB_A_CALL, WEB_MB, START_SECONDS = 30.0, 0.1, 60.0, 0.5
LOGGED_CALLS = 100_000


def measure(folder: Path, options: Options) -> Iterator[Row]:
    machine = native()
    seconds = statistics.median(
        seconds_to_first_answer(machine, folder / f"start-{turn}") for turn in range(options.rounds)
    )
    yield _limit("call plane, start to first answer", seconds, "s", START_SECONDS)
    yield from asyncio.run(_memory(machine, folder, options))


async def _memory(machine: Machine, folder: Path, options: Options) -> list[Row]:
    data = folder / "box/data"
    data.parent.mkdir()
    manager = hour.furnish(data, LOGGED_CALLS)
    async with a_box(machine, data) as (box, pbx):
        fresh = await _calm_mb(box, "calls")
        await hour.calls(pbx, options.count)
        used = await _calm_mb(box, "calls")
        live = await _live_mb(box, pbx)
        after = await _calm_mb(box, "calls")
        web = await asyncio.to_thread(_web_mb, box, manager)
    return [
        _limit("call plane, idle, just started", fresh, "MB", IDLE_MB),
        _limit(f"call plane, idle after {options.count} calls", used, "MB", IDLE_MB),
        _limit(f"call plane, each of {LIVE} live calls", (live - fresh) / LIVE, "MB", MB_A_CALL),
        _limit(f"call plane, idle after {LIVE} calls at once", after, "MB", IDLE_MB),
        _limit(f"web plane, after every page and all of {LOGGED_CALLS:,} calls as files", web, "MB", WEB_MB),
    ]


def _limit(figure: str, value: float, unit: str, most: float) -> Row:
    return Row(f"{figure} / {most:g} {unit}", f"{value:.3g} {unit}", value / most, 1)


async def _calm_mb(box: Box, plane: str) -> float:
    """Once nothing has happened for a while."""
    await asyncio.sleep(CALM_SECONDS)
    return box.resident_mb(plane)


async def _live_mb(box: Box, pbx: Pbx) -> float:
    """The most of the call plane while so many calls talk, up to when each has been lengthened.

    Raises:
        RuntimeError: a call was refused or cut.
    """
    calls = [pbx.call(("100", "101")[n % 2], hour.NUMBERS[n % len(hour.NUMBERS)]) for n in range(LIVE)]
    talks = [asyncio.create_task(_talk(call, n / CALLS_PER_SECOND)) for n, call in enumerate(calls)]
    most = 0.0
    while not all(talk.done() for talk in talks):
        most = max(most, box.resident_mb("calls"))
        await asyncio.sleep(0.5)
    if not all(talk.result() for talk in talks):
        raise RuntimeError("a call was refused or cut")
    return most


async def _talk(call: Call, wait_seconds: float) -> bool:
    await asyncio.sleep(wait_seconds)
    if not await call.asks():
        return False
    await call.is_answered(0.05)
    has_talked = await call.talks(TALK_SECONDS)
    await call.hangs_up()
    return has_talked


def _web_mb(box: Box, manager: str) -> float:
    """What the web plane keeps after everything was looked at."""
    office = hour.Office(box, manager)
    office.sign_in()
    office.try_doors(hour.page_paths(box.data))
    office.look_around(1)
    office.take_files()
    time.sleep(TIDYING_SECONDS)
    return box.resident_mb("web")
