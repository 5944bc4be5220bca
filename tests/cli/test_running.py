"""The call plane counts how long it runs, for the trial."""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from coovox_billing import call_plane
from coovox_billing.services import running
from coovox_billing.store.database import open_database
from coovox_billing.store.loop_database import LoopDatabase


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
