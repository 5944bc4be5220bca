"""How long billing ran, counted by the call plane for the trial (DESIGN §7). Each is a job for the write door."""

import json
import sqlite3
from dataclasses import asdict

from coovox_billing.core.trial import Running
from coovox_billing.store import reads, writes

_NAME = "running"


def begin(connection: sqlite3.Connection, now_ms: int) -> None:
    """The call plane was started."""
    _store(connection, counted(connection).begun(now_ms))


def count(connection: sqlite3.Connection, ran_ms: int, now_ms: int) -> None:
    """It ran for another `ran_ms`, by its own clock."""
    _store(connection, counted(connection).on(ran_ms, now_ms))


def counted(connection: sqlite3.Connection) -> Running:
    """What was counted since the trial last took note of it."""
    text = reads.site_value(connection, _NAME)
    try:
        return Running(**json.loads(text)) if text else Running()
    except (ValueError, TypeError):
        return Running()


def take(connection: sqlite3.Connection) -> Running:
    """The same, which counts as noted from now on."""
    running = counted(connection)
    if running != running.noted():
        _store(connection, running.noted())
    return running


def _store(connection: sqlite3.Connection, running: Running) -> None:
    writes.set_site_value(connection, _NAME, json.dumps(asdict(running)))
