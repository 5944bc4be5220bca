"""The call plane: answers Asterisk, and nothing else (DESIGN §2).

Imports no Flask and no peewee, starts fast, stays small, never waits for a
web request.
"""

import asyncio
import gc
import logging
import signal
import sqlite3
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from coovox_billing import __version__, heartbeat
from coovox_billing.config import Config
from coovox_billing.opening import open_site
from coovox_billing.pbx import agi_identity
from coovox_billing.pbx.agi_handlers import AgiHandlers
from coovox_billing.pbx.agi_server import AgiServer
from coovox_billing.pbx.astdb_keeper import AstDbKeeper
from coovox_billing.pbx.live_calls import LiveCalls
from coovox_billing.pbx.manager import manager_address
from coovox_billing.pbx.reconciler import Reconciler
from coovox_billing.services import running
from coovox_billing.store import reads
from coovox_billing.store.loop_database import LoopDatabase
from coovox_billing.store.write_group import TooLate
from coovox_billing.tariff_switch import TariffSwitch
from coovox_billing.wall_clock import wall_clock_ms

GARBAGE_THRESHOLD = 5_000
COUNT_SECONDS = 300.0

if TYPE_CHECKING:
    from coovox_billing.pbx.metrics_server import MetricsServer

log = logging.getLogger(__name__)


def run(config: Config) -> None:
    """Answer Asterisk until told to stop.

    Raises:
        SetupError: the data directory or the address cannot be used.
    """
    with open_site(config.data) as opened:
        path, database_id = opened.path, opened.read(reads.database_id)
    _spare_the_collector()
    asyncio.run(_answer(config, path, database_id))


def _spare_the_collector() -> None:
    """What was imported stays for ever, and a session leaves no cycles: a tenth less time per call (`make bench`)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)


async def _answer(config: Config, path: Path, database_id: str) -> None:
    database = LoopDatabase(path)
    manager = manager_address(config.ami)
    live_calls = LiveCalls(database, manager, wall_clock_ms) if manager else None
    handlers = AgiHandlers(database, wall_clock_ms, live_calls)
    reconciler = Reconciler(database, handlers, handlers.collector, config.asterisk_log, wall_clock_ms)
    runs = [reconciler.run(), _count_running(database), TariffSwitch(path, wall_clock_ms).run()]
    if live_calls:
        live_calls.compare = reconciler.compare
        runs += [live_calls.run(), AstDbKeeper(live_calls.ami, database, handlers.collector).run()]
    watchers = [asyncio.create_task(run) for run in runs]
    metrics = await _tell_metrics(config, path, handlers, live_calls)
    try:
        is_signed_in = (lambda: live_calls.ami.is_ready) if live_calls else None
        identify = agi_identity.handler(__version__, database_id, is_signed_in)
        server = AgiServer({**handlers.by_path(), agi_identity.PATH: identify}, config.agi_allow)
        await _serve(server, config, watchers, has_manager=live_calls is not None)
    finally:
        if metrics:
            metrics.stop()
        for watcher in watchers:
            watcher.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)
        await database.close()


async def _tell_metrics(
    config: Config, path: Path, handlers: AgiHandlers, live_calls: LiveCalls | None
) -> "MetricsServer | None":
    """Where the settings say so; who has no monitor pays nothing for it."""
    if config.metrics_listen is None:
        return None
    from coovox_billing.call_plane_metrics import begin

    return await begin(config.metrics_listen, config.metrics_allow, path, handlers, live_calls)


async def _count_running(database: LoopDatabase) -> None:
    """How long billing runs is the trial's clock. What a pulled plug takes of it is counted for nobody."""
    since = time.monotonic()
    await _try(database.submit(lambda connection: running.begin(connection, wall_clock_ms())))
    while True:
        await asyncio.sleep(COUNT_SECONDS)
        ran_ms, now_ms = round((time.monotonic() - since) * 1000), wall_clock_ms()
        if await _try(database.submit(partial(running.count, ran_ms=ran_ms, now_ms=now_ms))):
            since += ran_ms / 1000


async def _try(done: "asyncio.Future[None]") -> bool:
    """Whether it was stored; what a full disk does not take now is counted with the next."""
    try:
        await done
    except (sqlite3.Error, TooLate) as error:
        log.warning("how long billing runs could not be counted: %s", error)
        return False
    return True


async def _serve(
    server: AgiServer, config: Config, watchers: "Sequence[asyncio.Task[None]]", *, has_manager: bool
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await server.start(config.agi_listen.host, config.agi_listen.port)
    log.info("answering Asterisk on %s", config.agi_listen)
    heartbeat.ready()
    while not stop.is_set():
        if not heartbeat.beat():
            log.warning("the parent is gone, so the call plane ends")
            break
        if any(watcher.done() for watcher in watchers):
            log.error("who watches over the calls has ended, so the call plane ends to be started again")
            break
        if not has_manager and manager_address(config.ami):
            log.info("billing has a user in Asterisk's manager now, so the call plane ends to be started again")
            break
        await _wait(stop, heartbeat.BEAT_SECONDS)
    heartbeat.stopping()
    await server.stop()


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return
