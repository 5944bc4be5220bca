"""What billing costs a real Asterisk: beside the same dialplan whose AGI server only answers, and beside no billing.

Fresh Asterisks of a version take turns with the same calls, SIPp being the telephone and the trunk. They log no step
of their dialplan, and note no channel events but those that billing asks for. Billing is signed in to the manager, as
it is shipped; what that alone costs Asterisk is told by one with the empty AGI server and somebody who only listens.
"""

import signal
import socket
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from coovox_billing.pbx.install import install
from coovox_billing.pbx.parts import AMI_FILE, AMI_USER, secret_in
from coovox_billing.store.database import FILE_NAME
from tests.asterisk import processes, trace
from tests.asterisk.billing import HEADER, PYTHON_BESIDE, Billing
from tests.asterisk.pbx import Pbx
from tests.asterisk.ports import free_port
from tests.asterisk.sip import ADDRESSES, sipp, text
from tests.asterisk.waiting import wait_until
from tests.bench.options import Options
from tests.bench.servers import cpu_seconds, running
from tests.bench.table import Row
from tests.cast import look_up

HERE = Path(__file__).resolve().parent
VERSIONS = (22, 16)
PHONE, NUMBER = "108", "95550005"
RATE = f"{HEADER}\n1,bench,95,0,0.1,60,0.02,55,,,,all\n"
PRICE_MICROS = 100_000
CALLS_PER_SECOND, TALK_MS, AT_ONCE = 30, 1_100, 16
# So long that billing knows that calls are many, as they are on such a site all day.
WARM_UP_CALLS = 150
ENDING_SECONDS, TURN_SECONDS, SETTLING_SECONDS = 0.5, 120.0, 10.0
BARE, EMPTY, HEARD, BILLED = "no billing", "empty AGI server", "the same, and who listens to the manager", "billing"

DIALPLAN = """
[globals]
COOVOX_AGI=agi://127.0.0.1:{agi_port}

[from-internal]
exten => _9X.,1,{dial}
 same => n,Hangup()
"""
DIALS = {
    False: "Dial(PJSIP/${EXTEN:1}@trunk,30,T)",
    True: "Gosub(coovox-billing-dial,s,1(${EXTEN},PJSIP/${EXTEN:1}@trunk,30,T,Trunk))",
}


@dataclass
class Turn:
    """What a call of one turn took, and how many there were in a second."""

    cpu_ms: float
    delay_ms: float
    calls_per_second: float


@dataclass
class Site:
    """An Asterisk that is measured, and its turns: at a steady pace, and with many callers at once, always."""

    name: str
    pbx: Pbx
    steady: list[Turn] = field(default_factory=list)
    full: list[Turn] = field(default_factory=list)
    calls: int = 0
    long_calls: int = 0

    def cpu_ms(self) -> float:
        """Asterisk's CPU for a call, all of its threads together."""
        return statistics.median(turn.cpu_ms for turn in self.steady)

    def delay_ms(self) -> float:
        """From INVITE to 200 at the telephone, less the trunk's own time."""
        trunk_ms = _median_delay_ms(self.pbx.trunk_calls())
        return statistics.median(turn.delay_ms for turn in self.steady) - trunk_ms

    def calls_per_second(self) -> float:
        """With as many callers as there may be."""
        return statistics.median(turn.calls_per_second for turn in self.full)

    def take_turn(self, calls: int) -> None:
        """So many calls at a steady pace, then as many as fast as they come."""
        self.steady.append(self.call(calls, TALK_MS, "-r", CALLS_PER_SECOND))
        self.full.append(self.call(calls, 0, "-r", 1_000, "-l", AT_ONCE))

    def call(self, count: int, talk_ms: int, *pace: object) -> Turn:
        """So many calls, and what they took.

        Raises:
            RuntimeError: one was not answered, or did not end as it should.
        """
        folder, address = self.pbx.sipp_folder, ADDRESSES[PHONE]
        scenario, messages = folder / f"phone-{self.calls}.xml", folder / f"phone-{self.calls}.messages"
        scenario.write_text(text(str(HERE / "sipp/caller.xml"), extension=PHONE, talk_ms=talk_ms))
        arguments = [f"{self.pbx.address}:{self.pbx.sip_port}", "-s", NUMBER, "-m", str(count), *map(str, pace)]
        used, began = cpu_seconds(self.pbx.pid), time.monotonic()
        process = sipp(folder, scenario, (address, free_port(address)), messages, arguments)
        status, seconds = process.wait(TURN_SECONDS), time.monotonic() - began
        processes.forget(process)
        if status:
            raise RuntimeError(f"{self.name}: not all of {count} calls went well, see SIPp's exit status {status}")
        time.sleep(ENDING_SECONDS)
        used = cpu_seconds(self.pbx.pid) - used
        self.calls += count
        self.long_calls += count if talk_ms >= 1_000 else 0
        return Turn(used * 1000 / count, _median_delay_ms(trace.legs(trace.read(messages))), count / seconds)


def measure(folder: Path, options: Options) -> Iterator[Row]:
    for version in VERSIONS:
        (folder / str(version)).mkdir()
        yield from _measure(folder / str(version), version, options)


def _measure(folder: Path, version: int, options: Options) -> list[Row]:
    calls = max(20, options.count * 3 // 20)
    python = PYTHON_BESIDE.get(version, sys.executable)
    billing, empty_port = Billing(folder, python), free_port()
    pbxes = {
        BARE: _a_pbx(version, empty_port, is_billed=False),
        EMPTY: _a_pbx(version, empty_port, is_billed=True),
        HEARD: _a_pbx(version, empty_port, is_billed=True),
        BILLED: _a_pbx(version, billing.agi_port, is_billed=True),
    }
    sites = [Site(name, pbx) for name, pbx in pbxes.items()]
    with ExitStack() as stack:
        stack.enter_context(running("empty", empty_port, [python, HERE / "floors/empty_server.py", empty_port]))
        for pbx in pbxes.values():
            stack.enter_context(pbx)
        stack.enter_context(_listening(pbxes[HEARD]))
        _open(billing, pbxes[BILLED], folder)
        stack.callback(billing.stop, signal.SIGKILL)
        for site in sites:
            site.call(WARM_UP_CALLS, 0, "-r", CALLS_PER_SECOND)
        used, made = cpu_seconds(billing.pid), sites[-1].calls
        for turn in range(options.rounds):
            for site in sites[turn % len(sites) :] + sites[: turn % len(sites)]:
                site.take_turn(calls)
        plane_ms = (cpu_seconds(billing.pid) - used) * 1000 / (sites[-1].calls - made)
        _check_books(billing, sites[-1])
        return _table(version, *sites, plane_ms)


def _a_pbx(version: int, agi_port: int, *, is_billed: bool) -> Pbx:
    """Not started yet."""
    pbx = Pbx(version, DIALPLAN.format(agi_port=agi_port, dial=DIALS[is_billed]))
    (pbx.sipp_folder / "trunk.xml").write_text(text(str(HERE / "sipp/trunk.xml")))
    etc = pbx.folder / "etc"
    (etc / "cel.conf").write_text("[general]\n")
    settings = etc / "asterisk.conf"
    settings.write_text(settings.read_text().replace("verbose = 3", "verbose = 0"))
    if is_billed:
        install(etc)
    return pbx


def _open(billing: Billing, pbx: Pbx, folder: Path) -> None:
    """A billed telephone with money and a rate for what it dials; the call plane runs, signed in to the manager."""
    (folder / "rates.csv").write_text(RATE)
    billing.do("extension", "add", PHONE)
    billing.do("extension", "set", PHONE, "--billing", "on")
    billing.do("recharge", PHONE, "1000000.00")
    billing.do("rate", "import", str(folder / "rates.csv"))
    billing.ami = f"{AMI_USER}:{_secret(pbx)}@127.0.0.1:{pbx.ami_port}"
    billing.start()
    wait_until(lambda: "signed in to Asterisk's manager" in billing.log(), 15, "the call plane signs in")


@contextmanager
def _listening(pbx: Pbx) -> Iterator[None]:
    """Billing's user is signed in to the manager, and reads what it is told."""

    def read() -> None:
        while connection.recv(65_536):
            pass

    login = {"Action": "Login", "Username": AMI_USER, "Secret": _secret(pbx), "Events": "on"}
    with socket.create_connection(("127.0.0.1", pbx.ami_port)) as connection:
        connection.sendall("".join(f"{name}: {value}\r\n" for name, value in login.items()).encode() + b"\r\n")
        reader = threading.Thread(target=read)
        reader.start()
        try:
            yield
        finally:
            connection.shutdown(socket.SHUT_RDWR)
            reader.join()


def _secret(pbx: Pbx) -> str:
    """Of billing's user in the manager."""
    secret = secret_in((pbx.folder / "etc" / AMI_FILE).read_bytes())
    assert secret is not None
    return secret


def _check_books(billing: Billing, site: Site) -> None:
    """Every call is booked, and those of a second and more cost what they should: fast for nothing counts for nothing.

    Raises:
        AssertionError: the database says otherwise.
    """
    query = "SELECT state, reason, cost_micros, count(*) FROM calls GROUP BY 1, 2, 3 ORDER BY 3"
    short = site.calls - site.long_calls
    made = [("settled", "", 0, short), ("settled", "", PRICE_MICROS, site.long_calls)]
    wait_until(lambda: look_up(billing.data / FILE_NAME, query) == made, SETTLING_SECONDS, f"{made} in the books")
    billing.assert_sound()


def _table(version: int, bare: Site, empty: Site, heard: Site, billed: Site, plane_ms: float) -> list[Row]:
    def row(what: str, beside: Site, ratio: float, target: float | None = None) -> Row:
        return Row(f"Asterisk {version}: {what} / {beside.name}", "", ratio, target)

    rows = [
        Row(
            f"Asterisk {version}, {site.name}",
            f"{site.cpu_ms():.2f} ms CPU, {site.delay_ms():.2f} ms, {site.calls_per_second():.0f} calls/s",
        )
        for site in (bare, empty, heard, billed)
    ]
    dialplan_ms = empty.cpu_ms() - bare.cpu_ms()
    rows += [
        Row(f"Asterisk {version}: what the dialplan itself costs", f"{dialplan_ms:.2f} ms CPU"),
        Row(f"Asterisk {version}: what a call costs the call plane", f"{plane_ms:.2f} ms CPU"),
    ]
    for beside, target in ((empty, 1.15), (bare, None)):
        rows += [
            row("CPU per call", beside, billed.cpu_ms() / beside.cpu_ms(), target),
            row("INVITE to 200", beside, billed.delay_ms() / beside.delay_ms(), target),
            row("time per call at most", beside, beside.calls_per_second() / billed.calls_per_second(), target),
        ]
    rows.append(row("CPU per call", heard, billed.cpu_ms() / heard.cpu_ms()))
    added_ms = [site.delay_ms() - bare.delay_ms() for site in (billed, empty)]
    return [*rows, row("what is added to no billing, INVITE to 200", empty, added_ms[0] / added_ms[1])]


def _median_delay_ms(legs: list[trace.Leg]) -> float:
    """From INVITE to 200."""
    return statistics.median(
        (leg.answered_at - leg.invited_at) * 1000 for leg in legs if leg.answered_at and leg.invited_at
    )
