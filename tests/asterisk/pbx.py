"""Decides what a test's own PBX is: a real Asterisk on loopback, its folder, its telephones and trunks."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.asterisk import config, fetch, manager, processes, trace
from tests.asterisk.ports import free_port
from tests.asterisk.sip import ADDRESSES, PHONES_ADDRESS, FarEnd
from tests.asterisk.waiting import wait_until

BOOT_SECONDS = 30.0
STOP_SECONDS = 10.0
TAIL_LINES = 25


class PbxError(RuntimeError):
    """Asterisk did not start; the message ends with what it said."""


class Pbx:
    """`with Pbx(22, dialplan) as pbx:` starts an Asterisk with that dialplan and leaves nothing behind."""

    address = "127.0.0.1"

    def __init__(
        self,
        version: int,
        dialplan: str,
        dialplan_files: Mapping[str, Path] | None = None,
        forward_to: str = "95550000",
    ) -> None:
        self.version = version
        self._launcher = fetch.launcher(version)
        # Not pytest's tmp_path: the path of a control socket may be no longer than a hundred characters.
        self.folder = Path(tempfile.mkdtemp(prefix="coovox-pbx-"))
        self._remove = weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        self.sip_port, self.ami_port = free_port(self.address), free_port(self.address)
        self._asterisk: subprocess.Popen[bytes] | None = None
        self._far_ends: dict[str, FarEnd] = {}
        self._write(dialplan, dialplan_files or {}, forward_to)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _command(self) -> list[str]:
        return [str(self._launcher), "-C", str(self.folder / "etc/asterisk.conf")]

    @property
    def sipp_folder(self) -> Path:
        return self.folder / "sipp"

    @property
    def log(self) -> Path:
        return self.folder / "log/full"

    @property
    def pid(self) -> int:
        """Asterisk's process."""
        assert self._asterisk is not None
        return self._asterisk.pid

    @property
    def running(self) -> bool:
        return self._asterisk is not None and self._asterisk.poll() is None

    def start(self) -> None:
        """Start Asterisk, again if it was stopped or killed, and wait until it takes calls."""
        for far_end in self._far_ends.values():
            far_end.start()
        self._asterisk = processes.start([*self._command, "-f"], self.folder, self.folder / "log/console")
        try:
            wait_until(self._booted, BOOT_SECONDS, "Asterisk to start")
        except AssertionError as error:
            self.kill9()
            raise PbxError(f"{error}\n{self._tail()}") from error

    def stop(self, patience_seconds: float = STOP_SECONDS) -> None:
        """Shut Asterisk down as `core stop now` does, and kill it where that takes longer; the trunks stay."""
        self._end_asterisk(patience_seconds)

    def kill9(self) -> None:
        """Asterisk dies at once and says goodbye to nobody; the trunks stay."""
        self._end_asterisk(0.0)

    def close(self) -> None:
        """End everything; the folder stays only where KEEP_PBX is set."""
        self.kill9()
        for far_end in self._far_ends.values():
            far_end.stop()
        if "KEEP_PBX" in os.environ:
            self.keep()
        self._remove()

    def keep(self) -> None:
        """The folder stays, for a person to look at."""
        if self._remove.detach():
            print(f"kept: {self.folder}")

    def cli(self, command: str) -> str:
        """What Asterisk's console answers."""
        return self._console(command).stdout

    def db(self, family_slash_key: str) -> str | None:
        """A value of Asterisk's own database."""
        family, _, key = family_slash_key.strip("/").partition("/")
        said = self.cli(f"database get {family} {key}").strip()
        return said.removeprefix("Value:").strip() if said.startswith("Value:") else None

    def db_tree(self, family: str) -> dict[str, str]:
        """All keys below a family with their values."""
        rows = [line.partition(": ") for line in self.cli(f"database show {family}").splitlines()]
        return {name.strip().strip("/"): value.strip() for name, _, value in rows if name.startswith("/")}

    def channels(self) -> list[str]:
        """The names of all live channels."""
        rows = self.cli("core show channels concise").splitlines()
        return [row.split("!")[0] for row in rows if "!" in row]

    def channel_of(self, device: str) -> str:
        """The name of a device's newest live channel: `PJSIP/108-0000002a` of `PJSIP/108`."""
        return sorted(name for name in self.channels() if name.rpartition("-")[0] == device)[-1]

    def act(self, action: str, **fields: object) -> None:
        """An action of Asterisk's manager (AMI)."""
        manager.act(self.ami_port, action, **fields)

    def wait_idle(self, timeout_seconds: float = 10.0) -> None:
        """Until no channel is left, so that every hangup handler has run."""
        wait_until(lambda: not self.channels(), timeout_seconds, "the last channel to end")

    def mark(self) -> int:
        """A place in the log, for log_since."""
        return self.log.stat().st_size if self.log.exists() else 0

    def log_since(self, mark: int = 0) -> str:
        with self.log.open("rb") as handle:
            handle.seek(mark)
            return handle.read().decode(errors="replace")

    def media_place(self, name: str = "trunk") -> tuple[str, int]:
        """The address and port where `trunk`, `trunk2` or `phones` say they listen to audio."""
        return self._far_ends[name].address, self._far_ends[name].media_port

    def trunk_messages(self, name: str = "trunk") -> list[trace.Message]:
        """All SIP messages of `trunk`, `trunk2` or the house's `phones`, seen from there."""
        return self._far_ends[name].messages()

    def trunk_calls(self, name: str = "trunk", number: str | None = None) -> list[trace.Leg]:
        """The calls that arrived there, to one number or to any; each knows its true talk time."""
        legs = trace.legs(self.trunk_messages(name))
        return [leg for leg in legs if number in (None, leg.number)]

    def _write(self, dialplan: str, files: Mapping[str, Path], forward_to: str) -> None:
        root = self._launcher.parent / "root"
        config.make_folders(self.folder, root)
        places = {"trunk": ADDRESSES["trunk"], "trunk2": ADDRESSES["trunk2"], "phones": PHONES_ADDRESS}
        for name, address in places.items():
            self._far_ends[name] = FarEnd(self.sipp_folder, name, address, name != "trunk2", forward_to)
        trunks = [self._far_ends["trunk"], self._far_ends["trunk2"]]
        values = config.endpoints(self._far_ends["phones"], trunks)
        values |= {"address": self.address, "sip_port": self.sip_port, "ami_port": self.ami_port}
        config.write(self.folder, root, values)
        config.write_dialplan(self.folder, dialplan, files)

    def _booted(self) -> bool:
        if not self.running:
            raise PbxError(f"Asterisk {self.version} ended while it started:\n{self._tail()}")
        if not (self.folder / "run/asterisk.ctl").exists():
            return False
        return self._console("core waitfullybooted").returncode == 0

    def _console(self, command: str) -> subprocess.CompletedProcess[str]:
        asked = [*self._command, "-rx", command]
        return subprocess.run(asked, capture_output=True, text=True, errors="replace", timeout=30, check=False)

    def _end_asterisk(self, patience_seconds: float) -> None:
        if self._asterisk is not None:
            processes.end(self._asterisk, patience_seconds)
            self._asterisk = None

    def _tail(self) -> str:
        logs = [path for path in (self.folder / "log/console", self.log) if path.exists()]
        lines = [line for path in logs for line in path.read_text(errors="replace").splitlines()]
        return "\n".join(lines[-TAIL_LINES:])
