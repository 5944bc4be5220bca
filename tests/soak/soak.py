"""`make soak`: mixed calls on a real Asterisk while every part dies at random; no call is free, none is charged twice.

python tests/soak/soak.py --minutes 10 --asterisk 22 --seed 5
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random, SystemRandom
from typing import Any

from coovox_billing.core.money import format_amount
from tests.asterisk.trace import Leg
from tests.asterisk.waiting import wait_until
from tests.soak.kills import Reaper
from tests.soak.office import PLANES, Office
from tests.soak.stories import Author
from tests.soak.switchboard import MOST_AT_ONCE, Switchboard
from tests.soak.truth import Findings, compare

FEWEST_AT_ONCE = 10
CHANGE_SECONDS = 5.0
FIRST_KILL_SECONDS = 3.0
TELL_SECONDS = 30.0
# Until all is booked: two looks of the reconciler, a minute apart, and the longest ringing.
BOOKING_SECONDS = 200.0
LOOK_SECONDS = 2.0
MOST_ROWS = 1_000_000
LEFT_FAMILIES = ("left", "alone", "strange")
SHOWN_DIFFERENCES = 20


@dataclass(frozen=True)
class Outcome:
    """What happened, and whether the books agree with it."""

    calls: dict[str, int]
    kills: dict[str, int]
    diary: list[str]
    rows: int
    stuck: int
    findings: Findings
    faults: list[str]

    @property
    def is_well(self) -> bool:
        return not self.findings.differences and not self.faults

    def __str__(self) -> str:
        found = self.findings
        lines = [
            *_table("calls", self.calls),
            *_table("kills", self.kills),
            f"legs that a trunk answered    {found.answered}",
            f"rows                          {self.rows}, settled late {found.late}, flags {dict(found.flags)}",
            f"charged                       {_money(found.charged)}",
            f"independently calculated      {_money(found.independent)}",
            f"  of it could not be taken    {_money(found.uncollected)}, for calls that passed while billing was down",
            f"  at a second's boundary      {found.at_a_boundary} legs: {found.second_more} charged a second more than "
            f"the trunk's time to the letter, {found.second_less} a second less",
            f"  furthest from the trunk     {found.furthest_seconds:.3f} s, where Asterisk died "
            f"{found.furthest_dead_seconds:.3f} s",
            f"  held up by a hung plane     {found.held_up} legs",
            f"  not charged, no row         {found.free_without_row} legs that ended with their answer, or died so",
            f"nobody saw the end of         {found.unseen_legs} legs, charged {_money(found.unseen_charged)}, "
            f"{found.unseen_lost_seconds} s of talk lost",
            f"telephones that got stuck     {self.stuck}",
            f"differences                   {len(found.differences) + len(self.faults)}",
        ]
        differences = [*self.faults, *found.differences[:SHOWN_DIFFERENCES]]
        return "\n".join([*lines, *differences, *(self.diary if differences else [])])


class Soak:
    """One run on a running office."""

    def __init__(self, office: Office, seed: int) -> None:
        self._office = office
        self._switchboard = Switchboard(office)
        self._reaper = Reaper(office, self._switchboard, seed)
        self._author = Author(seed)
        self._random = Random(f"pace {seed}")
        self._failures: list[BaseException] = []

    def run(self, minutes: float) -> Outcome:
        """Let people call for so long, then let everything end and look at the books."""
        with self._switchboard:
            self._live(minutes * 60)
            self._switchboard.wait_over()
            return self._settle_up()

    def _live(self, seconds: float) -> None:
        over = threading.Event()
        reaping = threading.Thread(target=self._reap, args=(over,))
        reaping.start()
        try:
            self._call_until(time.monotonic() + seconds)
        finally:
            over.set()
            reaping.join()
        if self._failures:
            raise self._failures[0]

    def _call_until(self, deadline: float) -> None:
        at_once, change_at, tell_at = FEWEST_AT_ONCE, 0.0, time.monotonic() + TELL_SECONDS
        while time.monotonic() < deadline and not self._failures:
            if time.monotonic() > change_at:
                at_once = self._random.randint(FEWEST_AT_ONCE, MOST_AT_ONCE)
                change_at = time.monotonic() + CHANGE_SECONDS
            if time.monotonic() > tell_at:
                tell_at = time.monotonic() + TELL_SECONDS
                calls, kills = self._switchboard.kinds.total(), self._reaper.counts.total()
                print(f"{calls} calls, {kills} kills so far", flush=True)
            if self._switchboard.busy < at_once:
                self._switchboard.begin(self._author.next())
            time.sleep(self._random.uniform(0.02, 0.2))

    def _reap(self, over: threading.Event) -> None:
        over.wait(FIRST_KILL_SECONDS)
        try:
            while not over.is_set():
                self._reaper.kill_next()
                over.wait(self._reaper.pause_seconds())
        except BaseException as error:
            self._failures.append(error)

    def _settle_up(self) -> Outcome:
        office = self._office
        office.pbx.cli("channel request hangup all")
        office.pbx.wait_idle(30)
        wait_until(lambda: all(map(office.billing.pid_of, PLANES)), 30, "both planes")
        legs = [leg for name in ("trunk", "trunk2") for leg in office.pbx.trunk_calls(name)]
        deadline = time.monotonic() + BOOKING_SECONDS
        outcome = self._look(legs)
        while not outcome.is_well and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
            outcome = self._look(legs)
        return outcome

    def _look(self, legs: list[Leg]) -> Outcome:
        rows = self._office.billing.read("call", "list", "--limit", str(MOST_ROWS))
        found = compare(self._switchboard.told, legs, rows, self._reaper.deaths, self._reaper.hangs)
        board, reaper = self._switchboard, self._reaper
        faults = self._faults()
        return Outcome(dict(board.kinds), dict(reaper.counts), reaper.diary, len(rows), board.stuck, found, faults)

    def _faults(self) -> list[str]:
        """What is wrong with the books themselves."""
        billing = self._office.billing
        audit = billing.run("audit")
        faults = [] if audit.status == 0 else [f"audit: {audit.err}"]
        held: list[dict[str, Any]] = [row for row in billing.read("extension", "list") if row["held"] != "0.0000"]
        faults += [f"extension {row['number']} still holds {row['held']}" for row in held]
        keys = self._office.pbx.db_tree("coovox_billing")
        left = [key for key in keys if any(f"/{family}/" in key for family in LEFT_FAMILIES)]
        return faults + [f"AstDB still has {key}" for key in left]


def soak(version: int, minutes: float, seed: int, folder: Path) -> Outcome:
    """A run from beginning to end, with data and logs in a folder; Asterisk's own stays where there are differences."""
    with Office(version, folder) as office:
        outcome = Soak(office, seed).run(minutes)
        if not outcome.is_well:
            office.pbx.keep()
        return outcome


def _table(title: str, counts: dict[str, int]) -> list[str]:
    rows = [f"  {name:<34}{count:>6}" for name, count in sorted(counts.items())]
    return [f"{title:<36}{sum(counts.values()):>6}", *rows]


def _money(steps: int) -> str:
    return format_amount(steps * 100)


def main() -> int:
    parser = argparse.ArgumentParser(description="mixed calls on a real Asterisk while every part dies at random")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--asterisk", type=int, choices=(16, 22), default=22)
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(1_000_000))
    arguments = parser.parse_args()
    print(f"Asterisk {arguments.asterisk}, {arguments.minutes:g} minutes, seed {arguments.seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="coovox-soak-"))
    outcome = soak(arguments.asterisk, arguments.minutes, arguments.seed, folder)
    print(outcome)
    if outcome.is_well and "KEEP_PBX" not in os.environ:
        shutil.rmtree(folder)
    else:
        print(f"kept: {folder}")
    return 0 if outcome.is_well else 1


if __name__ == "__main__":
    sys.exit(main())
