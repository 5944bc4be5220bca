"""Asterisk dies in every state of a call, alone or with the call plane: no call is free, none is charged twice.

What is true is what the trunk saw, and when the test killed Asterisk. There is no CEL file here, the harder case.
"""

from __future__ import annotations

import itertools
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from coovox_billing.store.database import FILE_NAME
from tests.asterisk.billing import RATES, SALES, BilledPbx, balance, left, nudge, steps, top_up
from tests.asterisk.sip import PhoneCall
from tests.asterisk.trace import Leg
from tests.asterisk.waiting import wait_until

RING_SECONDS = 2
STOP_SECONDS = 5.0
CLOSED_SECONDS = 60.0
TALK_SECONDS = 2.5
WITHOUT_END_MS = 120_000
HAND_SECONDS = 40
RINGS, EARLY, ANSWERS, AT_ONCE = "02", "06", "10", "05"
_numbers = itertools.count(1)

DIALPLAN = f"""
[globals]
COOVOX_AGI=agi://127.0.0.1:{{agi_port}}

[from-internal]
exten => _9X.,1,Gosub(coovox-billing-dial,s,1(${{{{EXTEN}}}},PJSIP/${{{{EXTEN:1}}}}@trunk,{RING_SECONDS},,Trunk 1))
 same => n,Hangup()
exten => _10X,1,Dial(PJSIP/${{{{EXTEN}}}},30)

#include {{shipped}}
"""


@pytest.fixture(scope="module")
def site(asterisk_version: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BilledPbx]:
    """108 is billed a cent a second; the call plane is signed in to Asterisk's manager."""
    folder = tmp_path_factory.mktemp("mortal")
    (folder / "rates.csv").write_text(RATES)
    with BilledPbx(asterisk_version, folder, with_ami=True, dialplan=DIALPLAN) as running:
        running.billing.do("extension", "add", SALES)
        running.billing.do("extension", "set", SALES, "--billing", "on")
        running.billing.do("rate", "import", str(folder / "rates.csv"))
        yield running
        assert Victim(running, 0).another_costs() == 100


@pytest.fixture
def call(site: BilledPbx) -> Iterator[Victim]:
    """A call that will die; afterwards the books agree, and the next test's call is billed as ever."""
    top_up(site.billing, SALES, 5_0000)
    yield Victim(site, balance(site))
    site.pbx.wait_idle()
    site.billing.assert_sound()


@dataclass
class Victim:
    """One call of sales, and what became of it."""

    site: BilledPbx
    before: int
    number: str = ""
    died_at: float = 0.0
    phone: PhoneCall | None = None

    def dial(self, behavior: str = ANSWERS, **options: Any) -> PhoneCall:
        self.number = f"955{next(_numbers):04d}{behavior}"
        self.phone = self.site.phone(self.number, **{"hang_up_after_ms": WITHOUT_END_MS, **options})
        return self.phone

    def talk(self, **options: Any) -> PhoneCall:
        """Dial, and talk until the middle of a second."""
        phone = self.dial(**options)
        phone.wait_answered()
        self.talk_until(TALK_SECONDS)
        return phone

    def talk_until(self, seconds: float) -> None:
        answered_at = self.leg.answered_at
        assert answered_at is not None
        time.sleep(max(0.0, answered_at + seconds - time.time()))

    def kill_asterisk(self) -> None:
        """It says goodbye to nobody."""
        self.died_at = time.time()
        self.site.pbx.kill9()

    def stop_asterisk(self) -> None:
        """As an init script does: every call is hung up, and what is not over soon after is killed."""
        self.died_at = time.time()
        self.site.pbx.stop(STOP_SECONDS)

    def start_asterisk(self) -> None:
        """Start it again; the telephone has lost its power meanwhile, or it would dial again by itself."""
        assert self.phone is not None
        self.phone.drop()
        before = self.site.billing.log().count("signed in")
        self.site.pbx.start()
        wait_until(lambda: self.site.billing.log().count("signed in") > before, 20, "the call plane signs in")

    @property
    def leg(self) -> Leg:
        return wait_until(lambda: self.site.pbx.trunk_calls("trunk", self.number[1:]), 10, "the trunk's leg")[0]

    @property
    def true_seconds(self) -> float:
        """How long the trunk's leg talked: to its BYE, or to the moment at which Asterisk was killed."""
        leg = self.leg
        assert leg.answered_at is not None
        return min(self.died_at, leg.ended_at or self.died_at) - leg.answered_at

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [row for row in self.site.billing.calls() if row["number"] == self.number]

    def closed(self) -> dict[str, Any]:
        """Its one row, once it is closed."""
        (row,) = wait_until(lambda: self._closed_rows(), CLOSED_SECONDS, "the call to be closed")
        return row

    def _closed_rows(self) -> list[dict[str, Any]]:
        return [row for row in self.rows if row["state"] not in ("held", "talking")]

    def assert_released(self) -> None:
        """Nobody answered: nothing is charged, nothing is held."""
        row = self.closed()
        assert (row["state"], row["cost"], row["talk_seconds"]) == ("released", "0.0000", 0), row
        assert balance(self.site) == self.before

    def assert_charged(self, least_seconds: int, most_seconds: int) -> dict[str, Any]:
        """Once, a cent for each of some seconds between these."""
        row = self.closed()
        assert row["state"] == "settled", row
        assert least_seconds <= row["talk_seconds"] <= most_seconds, (row, self.true_seconds)
        assert steps(row["cost"]) == row["talk_seconds"] * 100
        assert balance(self.site) == self.before - steps(row["cost"])
        return row

    def another_costs(self) -> int:
        """What the next call of 1.5 s costs, in 1/10,000."""
        before = balance(self.site)
        self.dial(AT_ONCE, hang_up_after_ms=1_500).wait()
        assert self.closed()["flags"] == []
        return before - balance(self.site)


Death = Callable[[Victim], None]
DEATHS = pytest.mark.parametrize("dies", [Victim.kill_asterisk, Victim.stop_asterisk], ids=["killed", "stopped"])


@DEATHS
def test_it_charges_nothing_where_asterisk_dies_while_it_asks(call: Victim, dies: Death) -> None:
    """The call plane hears the question only when there is nobody left to tell the answer."""
    call.site.billing.send(signal.SIGSTOP)
    mark = call.site.pbx.mark()
    call.dial()
    wait_until(lambda: "/authorize,id=" in call.site.pbx.log_since(mark), 5, "the question")
    dies(call)
    call.site.billing.send(signal.SIGCONT)
    call.start_asterisk()
    wait_until(lambda: all(row["state"] in ("released", "refused") for row in call.rows), CLOSED_SECONDS, "no hold")
    assert {row["cost"] for row in call.rows} <= {"0.0000"}
    assert balance(call.site) == call.before


@DEATHS
@pytest.mark.parametrize(("behavior", "status"), [(RINGS, 180), (EARLY, 183)], ids=["ringing", "early media"])
def test_it_releases_a_call_that_nobody_had_answered(call: Victim, dies: Death, behavior: str, status: int) -> None:
    phone = call.dial(behavior)
    wait_until(lambda: status in [message.status for message in phone.so_far().messages], 5, "ringing")
    wait_until(lambda: [row["state"] for row in call.rows] == ["held"], 5, "the hold")
    dies(call)
    call.start_asterisk()
    call.assert_released()


def test_it_charges_up_to_the_moment_at_which_asterisk_was_killed(call: Victim) -> None:
    call.talk()
    call.kill_asterisk()
    call.start_asterisk()
    row = call.assert_charged(2, 2)
    assert (row["flags"], row["settled_by"], row["settled_late"]) == (["lost"], "rule", True)


def test_it_settles_as_ever_where_asterisk_is_stopped(call: Victim) -> None:
    call.talk()
    call.stop_asterisk()
    call.start_asterisk()
    row = call.assert_charged(2, 2)
    assert (row["flags"], row["settled_by"], row["settled_late"]) == ([], "settle", False)


@DEATHS
def test_it_charges_a_talk_that_others_had_taken_over(call: Victim, dies: Death) -> None:
    """108 sent the outside party to 105 and is out."""
    call.dial(refer_to="105", refer_after_ms=1_000, hang_up_after_ms=200).wait()
    call.talk_until(3.5)
    assert call.leg.ended_at is None
    dies(call)
    call.start_asterisk()
    row = call.assert_charged(3, 3)
    assert row["flags"] == (["lost"] if dies is Victim.kill_asterisk else [])


@DEATHS
def test_it_charges_what_ended_while_the_call_plane_hung(call: Victim, dies: Death) -> None:
    """The caller hangs up at 2.5 s; the call plane hears of it when Asterisk is gone."""
    phone = call.dial(hang_up_after_ms=int(TALK_SECONDS * 1000))
    phone.wait_answered()
    wait_until(lambda: [row["state"] for row in call.rows] == ["talking"], 5, "the talk")
    call.site.billing.send(signal.SIGSTOP)
    phone.wait()
    call.talk_until(3.5)
    dies(call)
    call.site.billing.send(signal.SIGCONT)
    call.start_asterisk()
    row = call.assert_charged(2, 2)
    assert row["flags"] == []


@pytest.mark.parametrize("is_marked", [False, True], ids=["soon", "after the mark"])
def test_it_charges_no_more_than_the_talk_where_both_are_killed(call: Victim, is_marked: bool) -> None:
    """Like a power cut: the last sign of life is on the call's row, where there was time to write it."""
    call.talk()
    if is_marked:
        assert call.site.wire is not None
        call.site.wire.cut()
        wait_until(lambda: _seen_seconds(call) >= int(TALK_SECONDS), 10, "the mark")
    call.site.billing.stop(signal.SIGKILL)
    call.kill_asterisk()
    call.site.billing.start()
    call.start_asterisk()
    row = call.assert_charged(max(1, _seen_seconds(call)), max(1, int(call.true_seconds)))
    assert (row["flags"], row["settled_by"]) == (["lost"], "rule")


def test_it_is_corrected_by_the_truth_after_a_close_by_rule(call: Victim) -> None:
    """As if Asterisk's own record had been found later: the rest of the talk is charged, once."""
    call.talk()
    call.site.billing.stop(signal.SIGKILL)
    call.kill_asterisk()
    call.site.billing.start()
    call.start_asterisk()
    lost = call.closed()
    assert (lost["flags"], lost["talk_seconds"] < HAND_SECONDS) == (["lost"], True)
    _leave_record(call, lost["id"])
    nudge(call.site)
    (row,) = call.rows
    assert (row["talk_seconds"], row["cost"]) == (HAND_SECONDS, f"0.{HAND_SECONDS}00")
    assert (row["state"], row["settled_by"], row["flags"]) == ("settled", "astdb", ["corrected"])
    assert balance(call.site) == call.before - HAND_SECONDS * 100
    _leave_record(call, lost["id"])
    nudge(call.site)
    assert left(call.site) == []
    assert balance(call.site) == call.before - HAND_SECONDS * 100, "told twice, it is charged once"


def _leave_record(call: Victim, call_id: str) -> None:
    """What the dialplan writes where nobody takes the settling."""
    answered = call.leg.answered_at or 0.0
    stamps = f"{answered - 1:.3f}||{answered:.3f}|{answered + HAND_SECONDS + 0.5:.3f}"
    record = f"PJSIP/108|{call.number}|Trunk 1|{stamps}|16|1.2|1.1|20"
    call.site.pbx.cli(f'database put coovox_billing "left/{call_id}.1.2" "{record}"')
    call.site.pbx.cli("database put coovox_billing leftovers 1")


def _seen_seconds(call: Victim) -> int:
    """The talk up to which the call is stored as alive."""
    connection = sqlite3.connect(call.site.billing.data / FILE_NAME)
    try:
        sql = "SELECT seen_talk_seconds FROM calls WHERE number = ?"
        found = connection.execute(sql, (call.number,)).fetchone()
    finally:
        connection.close()
    return int(found[0]) if found else 0
