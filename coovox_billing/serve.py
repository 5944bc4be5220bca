"""`serve`: a small parent of both planes (DESIGN §2).

It starts them, hears their heartbeats, replaces one that died or fell silent,
and ends both when it is told to stop. A plane that starts has longer until its
first beat, or a busy board would never get one started.
"""

import logging
import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from types import FrameType

from coovox_billing import heartbeat
from coovox_billing.own_python import own_python

# By the names of their commands: what people call them.
PLANES = {"calls": "call plane", "web": "web plane"}
LOOK_SECONDS = 0.25
KILL_SECONDS = 0.25
START_SECONDS = 30.0
STOP_SECONDS = 5.0
FIRST_START_SECONDS = 5.0
LONGEST_BACKOFF_SECONDS = 10.0

log = logging.getLogger(__name__)


@dataclass
class Plane:
    """A child process, and the pipe on which it is heard."""

    name: str
    options: list[str]
    process: "subprocess.Popen[bytes] | None" = None
    pipe: int = -1
    started: float = 0.0
    heard: float = 0.0
    has_beaten: bool = False
    starts: int = 0
    backoff_seconds: float = field(default=0.25)

    @property
    def words(self) -> str:
        """What people call it: its name is that of its command."""
        return PLANES[self.name]

    def start(self) -> None:
        """Start the process. What it has to tell systemd is not for whoever started the parent."""
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        os.set_blocking(writing, False)
        command = [*own_python(), "-m", "coovox_billing", *self.options, self.name]
        environment = os.environ | {heartbeat.VARIABLE: str(writing), heartbeat.SYSTEMD_VARIABLE: ""}
        self.process = subprocess.Popen(command, pass_fds=[writing], env=environment, start_new_session=True)
        os.close(writing)
        self.pipe = reading
        self.started = self.heard = time.monotonic()
        self.has_beaten = False
        self.starts += 1

    def listen(self, now: float) -> None:
        """Take in the heartbeats."""
        try:
            if os.read(self.pipe, 4096):
                self.heard = now
                if not self.has_beaten:
                    log.info("the %s is up", self.words)
                self.has_beaten = True
        except BlockingIOError:
            return

    def is_hung(self, now: float) -> bool:
        """Whether it runs and was not heard for too long."""
        is_running = self.process is not None and self.process.poll() is None
        return is_running and now - self.heard > (heartbeat.SILENCE_SECONDS if self.has_beaten else START_SECONDS)

    def end(self, number: int) -> None:
        """Signal the process, if it still runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def kill(self) -> None:
        """End it at once, and give it a moment to be gone."""
        self.end(signal.SIGKILL)
        if self.process is not None:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(KILL_SECONDS)

    def forget(self) -> None:
        """Let a dead process's pipe go."""
        os.close(self.pipe)
        self.process = None


class Parent:
    """Runs the planes until a signal, or until one cannot be started at all."""

    def __init__(self, options: list[str]) -> None:
        self._planes = [Plane(name, options) for name in PLANES]
        self._stopping = False
        self._looked = time.monotonic()

    def run(self) -> int:
        """Exit status: 0 after a signal, 1 where a plane refused to start."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        for plane in self._planes:
            plane.start()
        status = 0
        while not self._stopping and status == 0:
            time.sleep(LOOK_SECONDS)
            status = max(self._look_after(plane) for plane in self._planes)
            self._looked = time.monotonic()
        self._end_all()
        return status

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True

    def _look_after(self, plane: Plane) -> int:
        now = time.monotonic()
        if plane.process is None:
            if now - plane.started > plane.backoff_seconds:
                plane.start()
            return 0
        plane.listen(now)
        was_awake = now - self._looked < 2 * heartbeat.BEAT_SECONDS
        if was_awake and plane.is_hung(now):
            log.error("the %s was silent for %.0f s and is replaced", plane.words, now - plane.heard)
            plane.kill()
        code = plane.process.poll()
        return 0 if code is None else self._bury(plane, code, now)

    def _bury(self, plane: Plane, code: int, now: float) -> int:
        lived_seconds = now - plane.started
        plane.forget()
        if code == 1 and plane.starts == 1 and lived_seconds < FIRST_START_SECONDS:
            return 1
        steady = lived_seconds > LONGEST_BACKOFF_SECONDS
        plane.backoff_seconds = 0.25 if steady else min(plane.backoff_seconds * 2, LONGEST_BACKOFF_SECONDS)
        log.error("the %s ended with status %d and is started again", plane.words, code)
        return 0

    def _end_all(self) -> None:
        for plane in self._planes:
            plane.end(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for plane in self._planes:
            if plane.process is not None:
                try:
                    plane.process.wait(max(0.0, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    plane.end(signal.SIGKILL)
