"""A process that does one job again and again, each time in a fork of its own, on a disk that goes bad at one step.

`python -m tests.chaos.job_host MODULE:FUNCTION`, with `bad_disk` loaded before it. An order is a line of JSON on
standard input (`Order`), its answer one on standard output (`Outcome`).
"""

import ctypes
import json
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path

from coovox_billing.errors import BillingError

PEACE, KILL, FULL = "", "k", "f"


@dataclass(frozen=True)
class Order:
    """Do the job in OFFICE/data; at its n-th step the `event` happens."""

    office: str
    step: int = 0
    event: str = PEACE


@dataclass(frozen=True)
class Outcome:
    """How it ended: 0 done, 1 refused with a sentence, -9 killed, else it failed; what it said, and its steps."""

    status: int
    said: str
    steps: int


def _do(job: Callable[[Path], object], order: Order) -> None:
    office = Path(order.office)
    disk = ctypes.CDLL(None)
    disk.bad_disk_steps.restype = ctypes.c_long
    disk.bad_disk_at.argtypes = (ctypes.c_long, ctypes.c_int)
    disk.bad_disk_use(order.office.encode())
    disk.bad_disk_at(order.step, ord(order.event or "\0"))
    status, said = 0, ""
    try:
        job(office / "data")
    except BillingError as error:
        status, said = 1, str(error)
    except BaseException:
        status, said = 3, traceback.format_exc()
    (office / "said").write_text(json.dumps([said, disk.bad_disk_steps()]))
    os._exit(status)


def _outcome(job: Callable[[Path], object], order: Order) -> Outcome:
    pid = os.fork()
    if pid == 0:
        _do(job, order)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    left = Path(order.office) / "said"
    said, steps = json.loads(left.read_text()) if left.exists() else ("", 0)
    return Outcome(status, said, steps)


def host(job: Callable[[Path], object]) -> None:
    """Until nobody gives orders any more."""
    for line in sys.stdin:
        print(json.dumps(asdict(_outcome(job, Order(**json.loads(line))))), flush=True)


if __name__ == "__main__":
    name, _, function = sys.argv[1].partition(":")
    host(getattr(import_module(name), function))
