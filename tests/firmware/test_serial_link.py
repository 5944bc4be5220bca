"""Over a real pair of pseudo terminals: whatever a board controller does, two seconds later it is known."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import serial
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coovox_billing.firmware import serial_link
from coovox_billing.firmware.boards import find_board
from coovox_billing.firmware.controller_protocol import answer_line, checksum
from coovox_billing.firmware.identifiers import read_identity
from coovox_billing.firmware.serial_link import ATTEMPTS, TOTAL_SECONDS, BoardController, ControllerFault, identify
from tests.firmware.cast import Box

ROOT = Path(__file__).resolve().parents[2]
SERIAL = "U50-00012345"
FIELDS = (f"serial={SERIAL}", "board=U50")
BAUD = 115200
# For what must fail: the same with less waiting.
SHORT_SECONDS = 0.6


class Controller:
    """A board controller at the far end of a line. `behave` is called with each request's number and id."""

    def __init__(self, behave: Callable[[Controller, int, int], None]) -> None:
        self._far, self._near = os.openpty()
        tty.setraw(self._near)
        self.device = Path(os.ttyname(self._near))
        self.requests: list[bytes] = []
        self._behave = behave
        self._is_gone = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def say(self, data: bytes) -> None:
        """Put bytes on the line; OSError once it is gone."""
        while data:
            if self._is_gone.is_set():
                raise OSError(errno.EIO, "unplugged")
            data = data[os.write(self._far, data) :]

    def answer(self, request_id: int) -> None:
        self.say(answer_line(request_id, "ok", *FIELDS))

    def unplug(self) -> None:
        """Pull the line out."""
        self._is_gone.set()
        os.close(self._far)

    def close(self) -> None:
        if not self._is_gone.is_set():
            self._is_gone.set()
            self._thread.join(5)
            os.close(self._far)
        os.close(self._near)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            self._listen()

    def _listen(self) -> None:
        waiting = b""
        while not self._is_gone.is_set():
            if not select.select([self._far], [], [], 0.02)[0]:
                continue
            waiting += os.read(self._far, 1000)
            *lines, waiting = waiting.split(b"\n")
            for line in lines:
                if line.startswith(b">1 ") and line.endswith(b"%04X" % checksum(line[:-4])):
                    self.requests.append(line)
                    self._behave(self, len(self.requests), int(line[3:7], 16))


@pytest.fixture
def line() -> Iterator[Callable[[Callable[[Controller, int, int], None]], Controller]]:
    """Plugs in a controller that behaves in a certain way."""
    made: list[Controller] = []

    def plug(behave: Callable[[Controller, int, int], None]) -> Controller:
        made.append(Controller(behave))
        return made[-1]

    yield plug
    for controller in made:
        controller.close()


Plug = Callable[[Callable[[Controller, int, int], None]], Controller]


def well(controller: Controller, number: int, request_id: int) -> None:
    controller.answer(request_id)


def noise_before(controller: Controller, number: int, request_id: int) -> None:
    controller.say(b"\xff\x00U-Boot 2019.01 <1 0000 \x7f")
    controller.answer(request_id)


def noise_line_before(controller: Controller, number: int, request_id: int) -> None:
    controller.say(b"\r\n[    0.000000] Booting Linux\r\n" * 20)
    controller.answer(request_id)


def noise_within(controller: Controller, number: int, request_id: int) -> None:
    """At first."""
    good = answer_line(request_id, "ok", *FIELDS)
    controller.say(good if number > 1 else good[:12] + b"\xa5\xa5" + good[12:])


def noise_after(controller: Controller, number: int, request_id: int) -> None:
    """At first before the line's end, later behind it."""
    good = answer_line(request_id, "ok", *FIELDS)
    controller.say(good + b"\x00\xff" if number > 1 else good[:-1] + b"\x00\xff\n")


def half_at_first(controller: Controller, number: int, request_id: int) -> None:
    good = answer_line(request_id, "ok", *FIELDS)
    controller.say(good if number > 1 else good[:20])


def wrong_checksum_at_first(controller: Controller, number: int, request_id: int) -> None:
    good = answer_line(request_id, "ok", *FIELDS)
    controller.say(good if number > 1 else good[:-5] + b"0000\n")


def echo(controller: Controller, number: int, request_id: int) -> None:
    controller.say(controller.requests[-1] + b"\n")
    controller.answer(request_id)


def in_pieces(controller: Controller, number: int, request_id: int) -> None:
    for byte in answer_line(request_id, "ok", *FIELDS):
        controller.say(bytes([byte]))
        time.sleep(0.005)


def to_another_first(controller: Controller, number: int, request_id: int) -> None:
    controller.say(answer_line(request_id ^ 0x8000, "ok", "serial=NOT-MINE"))
    controller.answer(request_id)


def after_the_first_attempt(controller: Controller, number: int, request_id: int) -> None:
    if number == 1:
        time.sleep(TOTAL_SECONDS / ATTEMPTS + 0.1)
        controller.answer(request_id)


def deaf_at_first(controller: Controller, number: int, request_id: int) -> None:
    if number == ATTEMPTS:
        controller.answer(request_id)


@pytest.mark.parametrize(
    "behave",
    [
        well,
        noise_before,
        noise_line_before,
        noise_within,
        noise_after,
        half_at_first,
        wrong_checksum_at_first,
        echo,
        in_pieces,
        to_another_first,
        after_the_first_attempt,
        deaf_at_first,
    ],
)
def test_it_gets_its_answer(line: Plug, behave: Callable[[Controller, int, int], None]) -> None:
    began = time.monotonic()
    assert identify(line(behave).device, BAUD) == {"serial": SERIAL, "board": "U50"}
    assert time.monotonic() - began < TOTAL_SECONDS + 0.3


def silent(controller: Controller, number: int, request_id: int) -> None:
    """Says nothing."""


def always_half(controller: Controller, number: int, request_id: int) -> None:
    controller.say(answer_line(request_id, "ok", *FIELDS)[:20])


def always_to_another(controller: Controller, number: int, request_id: int) -> None:
    controller.say(answer_line(request_id ^ 0x8000, "ok", "serial=NOT-MINE"))


def always_wrong(controller: Controller, number: int, request_id: int) -> None:
    controller.say(answer_line(request_id, "ok", *FIELDS)[:-5] + b"0000\n")


def only_echo(controller: Controller, number: int, request_id: int) -> None:
    controller.say(controller.requests[-1] + b"\n")


def too_slow(controller: Controller, number: int, request_id: int) -> None:
    for byte in answer_line(request_id, "ok", *FIELDS):
        controller.say(bytes([byte]))
        time.sleep(0.05)


def endless(controller: Controller, number: int, request_id: int) -> None:
    began = time.monotonic()
    os.set_blocking(controller._far, False)
    while time.monotonic() - began < SHORT_SECONDS * 1.5:
        with contextlib.suppress(BlockingIOError):
            controller.say(b"\x55garbage without an end" * 40)
        time.sleep(0.001)


@pytest.mark.parametrize(
    ("behave", "word"),
    [
        (silent, "does not answer"),
        (always_half, "no good answer"),
        (always_to_another, "no good answer"),
        (always_wrong, "no good answer"),
        (only_echo, "no good answer"),
        (too_slow, "no good answer"),
        (endless, "no good answer"),
    ],
)
def test_without_a_good_answer_it_gives_up_in_time(
    line: Plug, behave: Callable[[Controller, int, int], None], word: str
) -> None:
    controller = line(behave)
    began = time.monotonic()
    with pytest.raises(ControllerFault, match=word):
        identify(controller.device, BAUD, SHORT_SECONDS)
    assert time.monotonic() - began < SHORT_SECONDS + 0.3
    assert len(controller.requests) <= ATTEMPTS


def test_it_waits_no_longer_than_two_seconds_in_all(line: Plug) -> None:
    began = time.monotonic()
    with pytest.raises(ControllerFault):
        identify(line(silent).device, BAUD)
    assert TOTAL_SECONDS - 0.1 < time.monotonic() - began < TOTAL_SECONDS + 0.3


def test_an_error_of_the_controller_is_told_at_once(line: Plug) -> None:
    controller = line(lambda c, _, request_id: c.say(answer_line(request_id, "error", "no-eeprom")))
    with pytest.raises(ControllerFault, match="answered with an error: no-eeprom"):
        identify(controller.device, BAUD)
    assert len(controller.requests) == 1


def test_another_version_is_told(line: Plug) -> None:
    def newer(controller: Controller, number: int, request_id: int) -> None:
        body = b"<2 %04x ok serial=%s " % (request_id, SERIAL.encode())
        controller.say(body + b"%04X\n" % checksum(body))

    with pytest.raises(ControllerFault, match="speaks version 2, this program 1"):
        identify(line(newer).device, BAUD)


def test_unplugging_in_mid_answer_is_told_and_waits_for_nothing(line: Plug) -> None:
    def torn(controller: Controller, number: int, request_id: int) -> None:
        controller.say(answer_line(request_id, "ok", *FIELDS)[:15])
        time.sleep(0.1)
        controller.unplug()

    began = time.monotonic()
    with pytest.raises(ControllerFault, match="broke off"):
        identify(line(torn).device, BAUD)
    assert time.monotonic() - began < 1


def test_unplugging_between_two_requests_is_told(line: Plug) -> None:
    controller = line(well)
    with BoardController(controller.device, BAUD) as link:
        assert link.ask("IDENTIFY")["serial"] == SERIAL
        controller.unplug()
        with pytest.raises(ControllerFault, match="broke off"):
            link.ask("IDENTIFY")


def test_it_opens_the_line_again_after_any_end(line: Plug) -> None:
    controller = line(lambda c, number, request_id: c.answer(request_id) if number > ATTEMPTS else None)
    with pytest.raises(ControllerFault):
        identify(controller.device, BAUD, SHORT_SECONDS)
    assert identify(controller.device, BAUD)["serial"] == SERIAL
    assert identify(controller.device, BAUD)["serial"] == SERIAL


def test_half_a_question_that_was_left_on_the_line_spoils_none(line: Plug) -> None:
    controller = line(well)
    with BoardController(controller.device, BAUD) as link:
        link._port.write(b">1 00")
    began = time.monotonic()
    assert identify(controller.device, BAUD)["serial"] == SERIAL
    assert time.monotonic() - began < TOTAL_SECONDS / ATTEMPTS


def test_an_answer_that_comes_after_all_is_none_to_the_next_question(line: Plug) -> None:
    def late(controller: Controller, number: int, request_id: int) -> None:
        if number == ATTEMPTS:
            time.sleep(SHORT_SECONDS / ATTEMPTS + 0.15)
            controller.say(answer_line(request_id, "ok", "serial=LATE"))
        elif number > ATTEMPTS:
            controller.answer(request_id)

    controller = line(late)
    with BoardController(controller.device, BAUD, SHORT_SECONDS) as link:
        with pytest.raises(ControllerFault):
            link.ask("IDENTIFY")
        time.sleep(0.2)
        link._deadline += 2
        assert link.ask("IDENTIFY")["serial"] == SERIAL


def test_nobody_else_has_the_line_meanwhile(line: Plug) -> None:
    controller = line(well)
    with BoardController(controller.device, BAUD) as link:
        with pytest.raises(ControllerFault, match="in use by another program"):
            identify(controller.device, BAUD)
        assert link.ask("IDENTIFY")["serial"] == SERIAL
    assert identify(controller.device, BAUD)["serial"] == SERIAL


def test_a_line_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ControllerFault, match=r"there is no .*ttyS9: correct `device`"):
        identify(tmp_path / "ttyS9", BAUD)


@pytest.mark.parametrize("kind", ["file", "directory", "null"])
def test_what_is_no_serial_line_is_told(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "line"
    if kind == "file":
        path.write_text("no line")
    elif kind == "directory":
        path.mkdir()
    else:
        path = Path("/dev/null")
    with pytest.raises(ControllerFault, match="cannot be opened"):
        identify(path, BAUD)


def test_a_line_that_is_closed_to_this_user_is_told(line: Plug, tmp_path: Path) -> None:
    """As another user, where this one is root."""
    device = line(well).device
    before = device.stat().st_mode
    script = (
        "import os, sys; from coovox_billing.firmware.serial_link import identify; from pathlib import Path\n"
        "os.geteuid() or os.setresuid(65534, 65534, 65534)\n"
        "identify(Path(sys.argv[1]), 115200)"
    )
    device.chmod(0)
    said = subprocess.run(
        [sys.executable, "-c", script, str(device)], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    device.chmod(before)
    assert "ControllerFault" in said.stderr
    assert f"{device} is closed to this user: run it as root" in said.stderr


@pytest.mark.parametrize("error", [serial.SerialTimeoutException("Write timeout"), OSError(errno.EIO, "gone")])
def test_a_line_that_takes_nothing_is_told(line: Plug, monkeypatch: pytest.MonkeyPatch, error: OSError) -> None:
    def blocked(*_: object) -> None:
        raise error

    with BoardController(line(silent).device, BAUD) as link:
        monkeypatch.setattr(link._port, "write", blocked)
        with pytest.raises(ControllerFault, match="broke off"):
            link.ask("IDENTIFY")


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=st.binary(max_size=100), after=st.binary(max_size=100), gap=st.integers(1, 40))
def test_it_gets_its_answer_through_any_noise(line: Plug, before: bytes, after: bytes, gap: int) -> None:
    def noisy(controller: Controller, number: int, request_id: int) -> None:
        good = answer_line(request_id, "ok", *FIELDS)
        controller.say(before)
        controller.say(good[:gap])
        controller.say(good[gap:] + after)

    # Time enough where the far end, a thread of a busy machine, is late.
    assert identify(line(noisy).device, BAUD, total_seconds=20)["serial"] == SERIAL


def test_a_board_with_a_controller_is_known_by_its_serial_number(line: Plug, u60: Box) -> None:
    device = line(well).device
    (u60.root / "dev").mkdir()
    (u60.root / "dev/coovox-controller").symlink_to(device)
    identity = read_identity(find_board(u60.machine).board, u60.machine)
    assert [one.value for one in identity.found if one.kind == "controller"] == [SERIAL.lower()]
    assert identity.missing == ()


def test_a_board_whose_controller_is_silent_tells_why_and_the_rest(line: Plug, u60: Box) -> None:
    device = line(silent).device
    (u60.root / "dev").mkdir()
    (u60.root / "dev/coovox-controller").symlink_to(device)
    identity = read_identity(find_board(u60.machine).board, u60.machine)
    assert [one.kind for one in identity.found] == ["serial", "emmc", "mac", "mac"]
    assert "does not answer" in identity.missing[0]


def test_a_machine_without_a_controller_never_loads_pyserial(u60: Box, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from coovox_billing.firmware.machine import Machine\n"
        "from coovox_billing.firmware.hooks import run_hook\n"
        "assert all(step.ok for step in run_hook('post-boot', Machine(Path(sys.argv[1])), Path(sys.argv[2])))\n"
        "assert 'serial' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script, str(u60.root), str(tmp_path)], cwd=ROOT, timeout=30, check=True)


def test_a_line_without_pyserial_is_told(line: Plug, u60: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    (u60.root / "dev").mkdir()
    (u60.root / "dev/coovox-controller").symlink_to(line(well).device)
    monkeypatch.delattr("coovox_billing.firmware.serial_link")
    monkeypatch.setitem(sys.modules, "coovox_billing.firmware.serial_link", None)
    identity = read_identity(find_board(u60.machine).board, u60.machine)
    assert "Python package serial is not installed" in identity.missing[0]
    assert identity.is_enough


def test_the_total_is_two_seconds() -> None:
    assert serial_link.TOTAL_SECONDS == 2.0
