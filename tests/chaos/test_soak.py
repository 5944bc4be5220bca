"""`make soak-fake`, some seconds of it: whatever dies, what is charged is what was talked."""

import asyncio
from pathlib import Path

from tests.chaos.soak import Plan, soak

PLAN = Plan(calls=500, kills=20, seed=5, callers=100, longest_talk_seconds=3.0)


def test_it_charges_each_of_many_calls_once_and_rightly(bad_disk: Path, tmp_path: Path) -> None:
    outcome = asyncio.run(soak(tmp_path, bad_disk, PLAN))
    print(outcome)
    assert outcome.differences == []
    assert outcome.calls >= PLAN.calls
    assert outcome.kills >= PLAN.kills
    assert outcome.power_cuts >= 1
    assert outcome.true_micros > 0
