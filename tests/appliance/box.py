"""A box: a Debian of its own, with its processes, its loopback network and its disk, thrown away in the end.

It is made of namespaces and an overlay, so nothing of the machine below is changed. One of the machine's own
architecture boots a real systemd; under qemu, which no systemd survives, the planes are started as their units say.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
PLANES = ("calls", "web")
START_SECONDS = 300
# Where the 4 GiB of a 32-bit guest begin in the emulator's address space: what lies elsewhere is the emulator's own.
GUEST_BASE, GUEST_BYTES = 0x40_0000_0000, 1 << 32
DATA = "/var/lib/coovox-billing"


class Said:
    """What a command in the box said, and its exit status."""

    def __init__(self, status: int, out: str) -> None:
        self.status = status
        self.out = out


class Box:
    """One machine. `layers` are the directories that it is made of, the newest first."""

    def __init__(self, layers: list[Path], *, has_systemd: bool) -> None:
        self.has_systemd = has_systemd
        self._layers = layers
        self._work = Path(tempfile.mkdtemp(prefix="coovox-box."))
        for name in ("upper", "work", "root"):
            (self._work / name).mkdir()
        self._work.chmod(0o755)
        self._holder = self._start()
        self._first = self._await_first()
        self._planes: dict[str, subprocess.Popen[bytes]] = {}
        if has_systemd:
            self.wait_for("systemd", self.path("/run/systemd/private").exists)
            self.run("systemctl", "is-system-running", "--wait")

    def __enter__(self) -> Box:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._work, ignore_errors=True)

    def stop(self) -> None:
        """Pull the plug; a second time does nothing."""
        if self._holder.poll() is not None:
            return
        os.kill(self._holder.pid, signal.SIGKILL)
        self._holder.wait()
        for plane in self._planes.values():
            plane.wait()
        while Path(f"/proc/{self._first}/root/run").exists():
            time.sleep(0.01)
        _remove_groups(self._work.name)

    def keep(self, place: Path) -> Path:
        """What the box has changed, as a layer for others; the box is stopped."""
        self.stop()
        shutil.rmtree(place, ignore_errors=True)
        subprocess.run(["cp", "-a", str(self._work / "upper"), str(place)], check=True)
        return place

    def path(self, path: str) -> Path:
        """A file of the box, as it is seen from outside."""
        return Path(f"/proc/{self._first}/root{path}")

    def run(self, *command: str, user: str = "", given: str = "", **environment: str) -> Said:
        """Run a command in the box, as root if no user is named."""
        prefix = ["runuser", "-u", user, "--"] if user else []
        done = subprocess.run(
            [*self._enter(), *prefix, *command],
            env=ENVIRONMENT | environment,
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=1800,
            check=False,
        )
        return Said(done.returncode, done.stdout)

    def do(self, *command: str, **options: str) -> str:
        """The same for a command that must work; returns what it said."""
        said = self.run(*command, **options)
        assert said.status == 0, f"{' '.join(command)}: {said.status}\n{said.out}"
        return said.out

    def billing(self, *arguments: str, **environment: str) -> str:
        """A `coovox-billing` command as its own user, which must work."""
        return self.do("coovox-billing", *arguments, user="coovox-billing", **environment)

    def read(self, *arguments: str) -> Any:
        """A listing command's JSON."""
        return json.loads(self.billing(*arguments, "--json"))

    def visit(self, *arguments: str) -> Any:
        """What `visitor.py`, a program of this machine, finds in the box's network."""
        command = ["nsenter", f"--target={self._first}", "--net", sys.executable, "-m", "tests.appliance.visitor"]
        done = subprocess.run(
            [*command, *arguments],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def wait_for(self, what: str, is_so: Callable[[], bool], seconds: float = START_SECONDS) -> None:
        """Wait until something is so, or say what was awaited."""
        end = time.monotonic() + seconds
        while not is_so():
            assert time.monotonic() < end, f"waited {seconds:.0f} s for {what}"
            time.sleep(0.1)

    def start_planes(self) -> float:
        """Start both planes, by systemd or as their units say; returns when the call plane was started (monotonic)."""
        began = time.monotonic()
        if self.has_systemd:
            self.do("systemctl", "start", "coovox-billing-calls", "coovox-billing-web")
            return began
        self.run("coovox-billing", "hook", "post-boot")  # as the unit has it: whatever becomes of it
        began = time.monotonic()
        for plane in PLANES:
            self._planes[plane] = subprocess.Popen(
                [*self._enter(), "runuser", "-u", self._of_unit(plane, "User"), "--", *self._command(plane)],
                env=ENVIRONMENT | {"QEMU_GUEST_BASE": hex(GUEST_BASE)},
                stdin=subprocess.DEVNULL,
                stdout=self._log(plane),
                stderr=subprocess.STDOUT,
            )
        return began

    def restart_planes(self) -> None:
        """What systemd does by itself after an upgrade, and somebody has to do where there is none."""
        if not self.has_systemd:
            self.end_planes()
            self.start_planes()

    def end_planes(self) -> None:
        """Stop both planes."""
        if self.has_systemd:
            self.do("systemctl", "stop", "coovox-billing-calls", "coovox-billing-web")
        for name, plane in self._planes.items():
            if plane.poll() is None:  # a call plane ends by itself once Asterisk is there
                # The process itself, for what entered the box to start it hands no signal on.
                os.kill(self._pid(name), signal.SIGTERM)
            plane.wait()
        self._planes.clear()

    def resident_mb(self, plane: str) -> float:
        """The resident memory of a plane's process, without that of an emulator, in MB of 1024 * 1024 bytes."""
        first, last = (0, 1 << 64) if self.has_systemd else (GUEST_BASE, GUEST_BASE + GUEST_BYTES)
        kib, is_its = 0, False
        for line in Path(f"/proc/{self._pid(plane)}/smaps").read_text().splitlines():
            if mapping := re.match(r"([0-9a-f]+)-[0-9a-f]+ ", line):
                is_its = first <= int(mapping[1], 16) < last
            elif is_its and line.startswith("Rss:"):
                kib += int(line.split()[1])
        return kib / 1024

    def _pid(self, plane: str) -> int:
        """Seen from outside, among the processes of the box."""
        here = Path(f"/proc/{self._first}/ns/pid").readlink()
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
                is_here = (folder / "ns/pid").readlink() == here
            except OSError:
                continue
            if is_here and words[-3:] == [b"/usr/bin/coovox-billing", plane.encode(), b""] and b"runuser" not in words:
                return int(folder.name)
        raise AssertionError(f"no {plane} plane runs")

    def log_of(self, plane: str) -> str:
        """What a plane has logged."""
        if self.has_systemd:
            return self.run("journalctl", "--no-pager", "-u", f"coovox-billing-{plane}").out
        return (self._work / f"{plane}.log").read_text()

    def _command(self, plane: str) -> list[str]:
        return self._of_unit(plane, "ExecStart").split()

    def _of_unit(self, plane: str, name: str) -> str:
        unit = self.path(f"/lib/systemd/system/coovox-billing-{plane}.service").read_text()
        found = re.search(rf"^{name}=(.*)$", unit, re.MULTILINE)
        assert found is not None
        return found[1]

    def _log(self, plane: str) -> Any:
        return (self._work / f"{plane}.log").open("ab")

    def _enter(self) -> list[str]:
        return [
            "nsenter",
            f"--target={self._first}",
            "--mount",
            "--pid",
            "--net",
            "--uts",
            "--ipc",
            "--root",
            "--wdns=/",
        ]

    def _start(self) -> subprocess.Popen[bytes]:
        layers = ":".join(str(layer) for layer in self._layers)
        first = "systemd" if self.has_systemd else "none"
        unshare = ["unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup", "--fork", "--kill-child"]
        command = [*unshare, "--", "sh", str(HERE / "box.sh"), str(self._work), layers, first]
        name = self._work.name
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=(self._work / "box.log").open("wb"),
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: _join_groups(name),
        )

    def _await_first(self) -> int:
        end = time.monotonic() + 20
        while time.monotonic() < end and self._holder.poll() is None:
            children = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children").read_text().split()
            if children and Path(f"/proc/{children[0]}/root/run/box-is-up").exists():
                return int(children[0])
            time.sleep(0.02)
        raise AssertionError(f"the box did not start: {(self._work / 'box.log').read_text()}")


def _groups(name: str) -> list[Path]:
    """A box's own control groups, one in each hierarchy, so that its systemd meets no other's."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if " cgroup" in line]
    return [Path(mount) / name for mount in mounts if "cpuset" not in mount]


def _join_groups(name: str) -> None:
    for group in _groups(name):
        group.mkdir(exist_ok=True)
        (group / "cgroup.procs").write_text("0")


def _remove_groups(name: str) -> None:
    for group in _groups(name):
        for folder in sorted(group.rglob("*/"), key=lambda one: len(one.parts), reverse=True):
            folder.rmdir()
        for _ in range(50):
            try:
                group.rmdir()
                break
            except OSError:
                time.sleep(0.02)
