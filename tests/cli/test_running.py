"""The call plane while nobody calls: it counts how long it runs, for the trial, and sees that a manager has come.

And it makes the tariffs count whose time has come.
"""

import asyncio
import logging
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from coovox_billing import call_plane
from coovox_billing.config import load
from coovox_billing.pbx.ami_protocol import AmiAddress
from coovox_billing.services import running, tariff_drafts
from coovox_billing.store import reads
from coovox_billing.store.database import open_database, read_apart
from coovox_billing.store.loop_database import LoopDatabase
from coovox_billing.wall_clock import wall_clock_ms
from tests import cast
from tests.asterisk.ports import free_port


def test_it_counts_while_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_plane, "COUNT_SECONDS", 0.05)

    async def run(seconds: float) -> None:
        database = LoopDatabase(opened.path)
        counting = asyncio.create_task(call_plane._count_running(database))
        await asyncio.sleep(seconds)
        counting.cancel()
        with suppress(asyncio.CancelledError):
            await counting
        await database.close()

    with open_database(tmp_path) as opened:
        asyncio.run(run(0.5))
        first = opened.read(running.counted)
        assert 200 < first.ran_ms <= 600
        asyncio.run(run(0.5))
        second = opened.read(running.counted)
    assert 200 < second.ran_ms - first.ran_ms <= 600
    assert second.wall_ms > first.wall_ms


def test_it_ends_to_be_started_again_once_asterisk_has_a_user_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings = {"COOVOX_CONFIG": os.devnull, "COOVOX_AGI_LISTEN": f"127.0.0.1:{free_port('127.0.0.1')}"}
    there = iter([None, None, AmiAddress("127.0.0.1", 5038, "coovox-billing", "secret")])
    monkeypatch.setattr(call_plane, "manager_address", lambda setting: next(there))
    with caplog.at_level(logging.INFO):
        call_plane.run(load(str(tmp_path), settings))
    assert "billing has a user in Asterisk's manager now" in caplog.text


def test_it_activates_a_tariff_when_its_time_has_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with cast.move_in(tmp_path) as database:
        path, person = database.path, replace(cast.MANAGER, now_ms=wall_clock_ms())
        draft = database.write(lambda c: tariff_drafts.add(c, "New year", [cast.FREE_RATE], person))
        database.write(lambda c: tariff_drafts.schedule(c, draft, wall_clock_ms() + 1_500, person))
    settings = {"COOVOX_CONFIG": os.devnull, "COOVOX_AGI_LISTEN": f"127.0.0.1:{free_port('127.0.0.1')}"}
    looks = iter(range(20))

    def is_active() -> bool:
        return read_apart(path, lambda c: tariff_drafts.find(c, draft)).state == "active"

    def manager(_setting: str) -> AmiAddress | None:
        return AmiAddress("127.0.0.1", 5038, "coovox-billing", "secret") if next(looks) == 19 or is_active() else None

    monkeypatch.setattr(call_plane, "manager_address", manager)
    call_plane.run(load(str(tmp_path), settings))
    assert is_active()
    assert [rate.remark for rate in read_apart(path, reads.all_rates)] == ["free phone"]
