"""`make soak`, but short: calls of all kinds while everything dies, and books that agree with the trunks' traces."""

from __future__ import annotations

from pathlib import Path

from tests.soak.soak import soak

MINUTES = 0.7
# With this one each program dies within the first five kills, Asterisk alone and together with the call plane.
SEED = 63


def test_it_charges_each_call_once_whatever_dies(asterisk_version: int, tmp_path: Path) -> None:
    outcome = soak(asterisk_version, MINUTES, SEED, tmp_path)
    print(outcome)
    assert outcome.is_well, str(outcome)
    assert outcome.findings.answered > 50
    assert sum(outcome.kills.values()) >= 4
