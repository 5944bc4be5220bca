"""What goes on beside the pages: the trial notes how long billing ran, and months that are over are summed up."""

import logging
import threading
import time
from functools import partial
from pathlib import Path

from coovox_billing.services.licensing import Licensing
from coovox_billing.store import finished_periods
from coovox_billing.store.database import read_apart, write_apart

NOTE_SECONDS = 900.0

log = logging.getLogger(__name__)


def look_after(licensing: Licensing, path: Path, stopping: threading.Event) -> None:
    """Bring trial, license and sums up to date at once, then every quarter of an hour, until told to stop."""
    while True:
        try:
            licensing.keep_up()
        except Exception:
            log.exception("the trial could not be brought up to date")
        try:
            sum_up(path, stopping)
        except Exception:
            log.exception("months that are over could not be summed up")
        if stopping.wait(NOTE_SECONDS):
            return


def sum_up(path: Path, stopping: threading.Event) -> None:
    """Sum up the months and years that are over, one by one: every second moment belongs to the calls."""
    for period in read_apart(path, finished_periods.waiting):
        began = time.monotonic()
        write_apart(path, partial(finished_periods.finish, period=period))
        if stopping.wait(time.monotonic() - began):
            return
