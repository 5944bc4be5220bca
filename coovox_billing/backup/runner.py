"""Backups are made in a process of their own, which ends: what a library of a server's takes of memory goes with it."""

import logging
import os
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from coovox_billing.core import backup_plan
from coovox_billing.own_python import own_python
from coovox_billing.services import backups
from coovox_billing.store import reads
from coovox_billing.store.database import Database

LOOK_SECONDS = 60.0
LONGEST_SECONDS = 6 * 3600.0

_SOME_BYTES = 64 * 1024
_NOW = ("backups", "now")
_NICENESS = 15

log = logging.getLogger(__name__)


class Runner:
    """Of one site. `command` is what the verbs are added to: this program with the data directory, if not given."""

    def __init__(
        self, database: Database, directory: Path, now_ms: Callable[[], int], command: Sequence[str] = ()
    ) -> None:
        self._database = database
        self._directory = directory
        own = (*own_python(), "-m", "coovox_billing", "--data", str(directory))
        self._command = tuple(command) or own
        self._now_ms = now_ms
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def is_running(self) -> bool:
        """Whether a backup is being made."""
        with self._lock:
            return self._process is not None and self._process.poll() is None

    def start(self) -> bool:
        """Begin one, unless one is being made; whether it was begun."""
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                return False
            log.info("a backup is being made")
            self._process = subprocess.Popen([*self._command, *_NOW], stdin=subprocess.DEVNULL)
            # A backup is in no hurry: everything else goes first.
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, self._process.pid, _NICENESS)
            return True

    def start_if_due(self, released_ms: int) -> None:
        """Begin one if it is time. While the clock is wrong it is no time for anything."""
        plan, now_ms = self._database.read(backups.plan), self._now_ms()
        if plan.schedule is None or now_ms < released_ms:
            return
        zone = self._database.read(reads.site).time_zone
        if backup_plan.is_due(plan.schedule, backups.state(self._directory).record, zone, now_ms):
            self.start()

    def look_after(self, released_ms: int, stopping: threading.Event) -> None:
        """Begin each when it is time, until told to stop. Asked by the minute, for clocks are set."""
        while not stopping.wait(LOOK_SECONDS):
            try:
                self.start_if_due(released_ms)
            except Exception:
                log.exception("whether a backup is due could not be found out")

    def fetched(self, name: str) -> Iterator[bytes]:
        """The bytes of a backup that is kept; fewer than there are where it cannot be had."""
        process = subprocess.Popen(
            [*self._command, "backups", "fetch", name, "-"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        )
        assert process.stdout is not None  # noqa: S101  it is a pipe
        try:
            while piece := process.stdout.read(_SOME_BYTES):
                yield piece
        finally:
            process.stdout.close()
            process.kill()
            process.wait()
