"""What `doctor` and `/healthz` say of an office on a bad day, as JSON: `python -m tests.chaos.checkup OFFICE`.

With `bad_disk` loaded before it, and the clock of the box. The pages are those that were there before the bad day: a
line on standard output tells that they are, a line on standard input that it has come (`Checkup` does both).
"""

import asyncio
import contextlib
import ctypes
import io
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coovox_billing.cli.main import COMMANDS_OF, build_parser, main
from coovox_billing.opening import open_site
from coovox_billing.web import create_app
from tests.chaos.plane_host import BoxClock, keep_time_of

READY = b"ready\n"


@dataclass(frozen=True)
class Findings:
    """What is not well, under the names of `doctor`, and what each says is to be done."""

    healthz: frozenset[str]
    doctor: frozenset[str]
    advice: str


class Checkup:
    """The test's side: pages that are there, and a doctor who waits to be called."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self) -> Findings:
        """Now; at most once."""
        said, _ = await self._process.communicate(b"go\n")
        told = json.loads(said)
        healthz = {name.replace("_", " ") for name, is_good in told["healthz"].items() if is_good is False}
        faults = [row for row in told["doctor"] if not row["ok"] and row["name"] != "pages"]
        advice = [*told["healthz"]["what_to_do"], *(row["what_to_do"] for row in faults)]
        return Findings(frozenset(healthz), frozenset(row["name"] for row in faults), " ".join(advice))


@contextlib.asynccontextmanager
async def a_checkup(office: Path, library: Path, agi_port: int) -> AsyncIterator[Checkup]:
    """The pages of an office, in good time."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.chaos.checkup", str(office)),
        env=os.environ | {"LD_PRELOAD": str(library), "COOVOX_AGI_LISTEN": f"127.0.0.1:{agi_port}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == READY
    try:
        yield Checkup(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _doctor(data: Path) -> list[dict[str, Any]]:
    with contextlib.redirect_stdout(io.StringIO()) as said:
        main(["--data", str(data), "doctor", "--json"])
    found: list[dict[str, Any]] = json.loads(said.getvalue())
    return found


def _examine(office: Path) -> None:
    """Until both have answered."""
    ctypes.CDLL(None).bad_disk_use(str(office).encode())
    os.environ["COOVOX_CONFIG"] = os.devnull
    build_parser(COMMANDS_OF)
    keep_time_of(BoxClock(office / "clock"))
    data = office / "data"
    with open_site(data) as database:
        pages = create_app(data, database, call_plane_is_up=lambda: True).test_client()
        print(READY.decode(), end="", flush=True)
        sys.stdin.readline()
        print(json.dumps({"healthz": pages.get("/healthz").json, "doctor": _doctor(data)}), flush=True)


if __name__ == "__main__":
    _examine(Path(sys.argv[1]))
