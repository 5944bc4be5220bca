"""The test's side of `job_host`: a job on a disk that goes bad at each of its steps."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.chaos.job_host import Order, Outcome
from tests.chaos.planes import ROOT


@dataclass
class Jobs:
    """Does a job in offices that all begin with the same data directory."""

    process: "subprocess.Popen[str]"
    folder: Path
    begin_with: Path
    number: int = 0

    def do(self, step: int = 0, event: str = "") -> tuple[Path, Outcome]:
        """Once, in a new office, whose place is returned too: OFFICE/data, and OFFICE/platter after a power cut."""
        self.number += 1
        office = self.folder / str(self.number)
        for side in ("data", "platter"):
            shutil.copytree(self.begin_with, office / side)
        (office / "control").write_bytes(b"n")
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(asdict(Order(str(office), step, event))) + "\n")
        self.process.stdin.flush()
        return office, Outcome(**json.loads(self.process.stdout.readline()))

    def at_each_step(self, event: str, stride: int = 1) -> Iterator[tuple[Path, Outcome]]:
        """Again for every step that it takes in peace, or for each `stride`-th."""
        office, peace = self.do()
        assert peace.status == 0, peace
        shutil.rmtree(office)
        for step in range(1, peace.steps + 1, stride):
            office, outcome = self.do(step, event)
            yield office, outcome
            shutil.rmtree(office)


@contextmanager
def doing(job: str, library: Path, folder: Path, begin_with: Path) -> Iterator[Jobs]:
    """A host for `MODULE:FUNCTION`, as long as the block lasts."""
    process = subprocess.Popen(
        (sys.executable, "-m", "tests.chaos.job_host", job),
        cwd=ROOT,
        env=os.environ | {"LD_PRELOAD": str(library), "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Jobs(process, folder, begin_with)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(20)
