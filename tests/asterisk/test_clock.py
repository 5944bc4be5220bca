"""The clock of Asterisk and billing is set, in calls and between them, or boots in 1970: a talk costs what it was.

Both run under libfaketime, which reads how far their wall clock is off from a file; the monotonic clock stays true, and
so do the telephones and the trunk.
"""

from __future__ import annotations

import sysconfig
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.asterisk.billing import RATES, SALES, BilledPbx, Billing, balance, steps, top_up
from tests.asterisk.pbx import Pbx
from tests.asterisk.sip import PhoneCall
from tests.asterisk.waiting import wait_until

LIBRARIES = Path("/usr/lib") / str(sysconfig.get_config_var("MULTIARCH") or "x86_64-linux-gnu")
FAKETIME = LIBRARIES / "faketime/libfaketimeMT.so.1"
YEAR_SECONDS = 31_536_000
AFTER_BOOT_SECONDS = 300
STEP_AFTER_SECONDS = 2.0
LIMIT_SLACK_SECONDS = 1.0
SLACK_SECONDS = 0.2
RUN_FAKED = """#!/bin/sh
export LD_PRELOAD={library} FAKETIME_TIMESTAMP_FILE={clock}
export FAKETIME_NO_CACHE=1 FAKETIME_DONT_RESET=1 FAKETIME_DONT_FAKE_MONOTONIC=1
exec {program} "$@"
"""
# The library needs the C library of this machine; Asterisk 16 brings an older one.
RUN_WITH_OUR_LIBC = """#!/bin/sh
exec {loader} --library-path "{libraries}:{root}/usr/lib/{libraries.name}:{root}/lib/{libraries.name}:{root}/usr/lib" \\
  {root}/usr/sbin/asterisk "$@"
"""


class Clock:
    """How far the wall clock of the programs is off, in a file that they read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.file = folder / "clock"
        self.set(0)

    def set(self, off_seconds: int) -> None:
        """The clock is set."""
        new = self.file.with_suffix(".new")
        new.write_text(f"{off_seconds:+d}\n")
        new.rename(self.file)

    def boot_in_1970(self) -> None:
        """There was no battery, and no network yet."""
        self.set(AFTER_BOOT_SECONDS - int(time.time()))

    def govern(self, pbx: Pbx, billing: Billing) -> None:
        """From their next start on, both go by it."""
        program = pbx._launcher
        if pbx.version == 16:
            loader = next(LIBRARIES.glob("ld-linux*.so.*"))
            text = RUN_WITH_OUR_LIBC.format(loader=loader, libraries=LIBRARIES, root=program.parent / "root")
            program = self._script("asterisk-ours", text)
        pbx._launcher = self._script("asterisk-faked", self._faked(program))
        billing.python = str(self._script("python-faked", self._faked(billing.python)))

    def _faked(self, program: Path | str) -> str:
        return RUN_FAKED.format(library=FAKETIME, clock=self.file, program=program)

    def _script(self, name: str, text: str) -> Path:
        path = self._folder / name
        path.write_text(text)
        path.chmod(0o755)
        return path


@pytest.fixture(scope="module")
def clocked(asterisk_version: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[BilledPbx, Clock]]:
    """108 is billed a cent a second; the clock of all is the test's."""
    folder = tmp_path_factory.mktemp("clocked")
    (folder / "rates.csv").write_text(RATES)
    site, clock = BilledPbx(asterisk_version, folder, with_ami=True), Clock(folder)
    clock.govern(site.pbx, site.billing)
    with site as running:
        running.billing.do("extension", "add", SALES)
        running.billing.do("extension", "set", SALES, "--billing", "on")
        running.billing.do("rate", "import", str(folder / "rates.csv"))
        yield running, clock


@pytest.fixture
def site(clocked: tuple[BilledPbx, Clock]) -> Iterator[BilledPbx]:
    """Every test begins and ends with the right time, and with books that agree."""
    running, clock = clocked
    top_up(running.billing, SALES, 5_0000)
    yield running
    clock.set(0)
    running.billing.assert_sound()


@pytest.fixture
def clock(clocked: tuple[BilledPbx, Clock]) -> Clock:
    return clocked[1]


@dataclass(frozen=True)
class Talk:
    """How long the trunk's leg talked, and what its row is flagged with."""

    seconds: float
    flags: list[str]


def talk(site: BilledPbx, number: str, seconds: float, clock: Clock | None = None, then_off_seconds: int = 0) -> Talk:
    """A call of so many seconds, with the clock set in the middle where there is one.

    Whatever the clocks say, it is charged for what the trunk saw of it.
    """
    before = balance(site)
    ids_before = {row["id"] for row in site.billing.calls()}
    phone = site.phone(number, hang_up_after_ms=int(seconds * 1000))
    answered_at = phone.wait_answered().answered_at
    assert answered_at is not None
    if clock is not None:
        wait_until(lambda: [row["state"] for row in new_rows(site, ids_before)] == ["talking"], 5, "the talk")
        time.sleep(max(0.0, answered_at + STEP_AFTER_SECONDS - time.time()))
        clock.set(then_off_seconds)
    phone.wait()
    site.pbx.wait_idle()
    (row,) = wait_until(lambda: closed(new_rows(site, ids_before)), 10, "the call is closed")
    true_seconds = talk_seconds_of(site, phone)
    print(f"{number}: {true_seconds:.3f} s of talk, {row['talk_seconds']} s charged, {row['flags']}")
    assert (row["number"], row["state"], row["uncollected"]) == (number, "settled", "0.0000")
    assert int(true_seconds - SLACK_SECONDS) <= row["talk_seconds"] <= int(true_seconds + SLACK_SECONDS), row
    assert steps(row["cost"]) == row["talk_seconds"] * 100
    assert balance(site) == before - steps(row["cost"])
    return Talk(true_seconds, row["flags"])


def new_rows(site: BilledPbx, ids_before: set[str]) -> list[dict[str, Any]]:
    """By their ids, for the log is sorted by a clock that was set."""
    return [row for row in site.billing.calls() if row["id"] not in ids_before]


def closed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row["state"] not in ("held", "talking")]


def talk_seconds_of(site: BilledPbx, phone: PhoneCall) -> float:
    """From the trunk's 200 to whichever BYE came first, the telephone's or the trunk's."""
    leg = site.pbx.trunk_calls("trunk")[-1]
    ends = [at for at in (leg.ended_at, phone.so_far().ended_at) if at is not None]
    assert leg.answered_at is not None
    return min(ends) - leg.answered_at


def test_it_charges_the_true_talk_where_the_clock_is_set_back_a_year(site: BilledPbx, clock: Clock) -> None:
    talked = talk(site, "95550091", 4.5, clock, -YEAR_SECONDS)
    assert talked.flags == ["clock"]
    assert talked.seconds == pytest.approx(4.5, abs=SLACK_SECONDS)


def test_it_charges_the_true_talk_where_the_clock_is_set_forward_a_year(site: BilledPbx, clock: Clock) -> None:
    """Asterisk's limit lies in the past now: it may cut the call there and then, or be told of the new one before."""
    assert talk(site, "95550092", 6.5, clock, YEAR_SECONDS).flags == ["clock"]


def test_it_ends_a_call_where_the_money_does_though_the_clock_was_set_back(site: BilledPbx, clock: Clock) -> None:
    """Asterisk's limit would be a year away; the call plane sets it again."""
    site.billing.do("setting", "set", "longest_call_seconds", "6")
    try:
        talked = talk(site, "95550093", 30.5, clock, -YEAR_SECONDS)
    finally:
        site.billing.do("setting", "set", "longest_call_seconds", "14400")
    assert talked.flags == ["clock"]
    assert talked.seconds == pytest.approx(6, abs=LIMIT_SLACK_SECONDS)


def test_it_charges_calls_between_which_the_clock_was_set(site: BilledPbx, clock: Clock) -> None:
    for number, off_seconds in (("95550094", -YEAR_SECONDS), ("95550095", YEAR_SECONDS), ("95550096", 0)):
        clock.set(off_seconds)
        assert talk(site, number, 1.5).flags == []


def test_it_does_not_end_an_emergency_call_when_the_clock_is_set(site: BilledPbx, clock: Clock) -> None:
    ids_before = {row["id"] for row in site.billing.calls()}
    phone = site.phone("911", hang_up_after_ms=4_500)
    phone.wait_answered()
    time.sleep(1)
    clock.set(YEAR_SECONDS)
    time.sleep(1.5)
    clock.set(-YEAR_SECONDS)
    assert phone.wait().talk_seconds == pytest.approx(4.5, abs=0.2)
    clock.set(0)
    site.pbx.wait_idle()
    (row,) = wait_until(lambda: new_rows(site, ids_before), 40, "the call's row")
    assert (row["number"], row["state"], row["cost"]) == ("911", "settled", "0.0000")


def test_it_charges_the_true_talk_where_the_box_booted_in_1970(site: BilledPbx, clock: Clock) -> None:
    """NTP arrives in mid-call."""
    site.pbx.stop()
    site.billing.stop()
    clock.boot_in_1970()
    site.billing.start()
    site.pbx.start()
    site.wait_for_ami()
    assert talk(site, "95550097", 2.5).flags == []
    (row,) = (row for row in site.billing.calls() if row["number"] == "95550097")
    assert row["asked_at"].startswith("1970-01-01")
    assert talk(site, "95550098", 6.5, clock, 0).flags == ["clock"]
    assert talk(site, "95550099", 1.5).flags == []
