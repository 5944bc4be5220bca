"""Joins what the call plane counts, what its database knows and who asks for it (setting `metrics_listen`)."""

import logging
from collections.abc import Collection
from pathlib import Path

from coovox_billing import RELEASED_MS, __version__
from coovox_billing.config import Address
from coovox_billing.pbx import call_lines
from coovox_billing.pbx.agi_handlers import AgiHandlers
from coovox_billing.pbx.live_calls import LiveCalls
from coovox_billing.pbx.metrics import Gauges, Metrics
from coovox_billing.pbx.metrics_server import MetricsServer
from coovox_billing.services import backups, gauges
from coovox_billing.services.condition import check_clock, room_of
from coovox_billing.store.database import read_apart
from coovox_billing.wall_clock import wall_clock_ms

log = logging.getLogger(__name__)


async def begin(
    address: Address,
    allowed: Collection[str],
    path: Path,
    handlers: AgiHandlers,
    live_calls: LiveCalls | None,
) -> MetricsServer:
    """Count from now on, and answer whoever may ask. `path` is the database's.

    Raises:
        SetupError: the address cannot be used.
    """
    metrics = Metrics()

    def text(found: Gauges | None) -> str:
        is_up = live_calls is not None and live_calls.is_ready
        return metrics.text(found, is_up, handlers.collector.backlog, __version__)

    server = MetricsServer(lambda: look_up(path), text, allowed)
    await server.start(address.host, address.port)
    call_lines.listeners.append(metrics.count_change)
    handlers.timed = metrics.count_authorized
    log.info("metrics on http://%s/metrics", address)
    return server


def look_up(path: Path) -> Gauges:
    """What the database and its disk know, on a connection of its own.

    Raises:
        sqlite3.Error: the database cannot be read.
        OSError: nor can the disk.
    """
    now_ms = wall_clock_ms()
    found = read_apart(path, lambda connection: gauges.read(connection, now_ms))
    wal = path.with_name(f"{path.name}-wal")
    return Gauges(
        live_calls=found.live_calls,
        held_micros=found.held_micros,
        lost_calls=found.lost_calls,
        database_bytes=path.stat().st_size,
        wal_bytes=wal.stat().st_size if wal.exists() else 0,
        disk_free_bytes=room_of(path.parent).free_bytes,
        is_clock_wrong=not check_clock(now_ms, found.newest_record_ms, RELEASED_MS).is_good,
        trial_over_ms=found.trial_over_ms,
        last_backup_ms=backups.state(path.parent).good_ms or 0,
    )
