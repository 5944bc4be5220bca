"""Tariffs that wait for their day, in plain SQL. What may become of one is decided in `services.tariff_drafts`."""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from coovox_billing.core.tariff import Rate
from coovox_billing.store.reads import rate_of_columns
from coovox_billing.store.writes import rate_columns


class DraftState(StrEnum):
    """Where a draft stands."""

    DRAFT = "draft"
    SCHEDULED = "scheduled"
    ACTIVE = "active"
    TAKEN_BACK = "taken-back"


@dataclass(frozen=True, slots=True)
class Draft:
    """A draft without its rates; instants in ms since 1970 in UTC."""

    id: int
    name: str
    state: str
    rate_count: int
    changed_at_ms: int
    changed_by: str
    activate_at_ms: int | None
    scheduled_by: str
    activated_at_ms: int | None
    activated_by: str


_COLUMNS = ", ".join(field.name for field in fields(Draft))


def drafts(connection: sqlite3.Connection) -> list[Draft]:
    """All of them, the newest first."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM tariff_drafts ORDER BY id DESC")  # noqa: S608
    return [Draft(*row) for row in rows]


def draft(connection: sqlite3.Connection, draft_id: int) -> Draft | None:
    """The draft of an id."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM tariff_drafts WHERE id = ?", (draft_id,)).fetchone()  # noqa: S608
    return None if row is None else Draft(*row)


def scheduled(connection: sqlite3.Connection) -> list[Draft]:
    """Those that are to be activated, in the order of their time."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM tariff_drafts WHERE state = 'scheduled' ORDER BY activate_at_ms, id"  # noqa: S608
    )
    return [Draft(*row) for row in rows]


def last_active(connection: sqlite3.Connection) -> int | None:
    """The draft that was activated last of those that were not taken back."""
    row = connection.execute(
        "SELECT id FROM tariff_drafts WHERE state = 'active' ORDER BY activation DESC LIMIT 1"
    ).fetchone()
    return None if row is None else int(row["id"])


def rates_text(connection: sqlite3.Connection, draft_id: int) -> str:
    """The rates of a draft, as CSV."""
    row = connection.execute("SELECT rates FROM tariff_drafts WHERE id = ?", (draft_id,)).fetchone()
    return str(row["rates"])


def rates_before(connection: sqlite3.Connection, draft_id: int) -> list[Rate]:
    """The rates that an active draft replaced, with their ids."""
    row = connection.execute("SELECT rates_before FROM tariff_drafts WHERE id = ?", (draft_id,)).fetchone()
    return [rate_of_columns(one, frozenset(one["extensions"])) for one in json.loads(row["rates_before"])]


def insert(connection: sqlite3.Connection, name: str, rates: str, rate_count: int, by: str, now_ms: int) -> int:
    """Keep a draft; returns its id."""
    cursor = connection.execute(
        "INSERT INTO tariff_drafts (name, rates, rate_count, changed_by, changed_at_ms) VALUES (?, ?, ?, ?, ?)",
        (name, rates, rate_count, by, now_ms),
    )
    return int(cursor.lastrowid or 0)


def change(connection: sqlite3.Connection, draft_id: int, state: DraftState, columns: Mapping[str, Any]) -> bool:
    """Change a draft if it still stands in `state`; whether it did."""
    assignments = ", ".join(f"{name} = ?" for name in columns)
    cursor = connection.execute(
        f"UPDATE tariff_drafts SET {assignments} WHERE id = ? AND state = ?",  # noqa: S608
        (*columns.values(), draft_id, state),
    )
    return cursor.rowcount == 1


def next_activation(connection: sqlite3.Connection) -> int:
    """A number for the next activation, greater than those of all before."""
    newest = connection.execute("SELECT coalesce(max(activation), 0) FROM tariff_drafts")
    return int(newest.fetchone()[0]) + 1


def delete(connection: sqlite3.Connection, draft_id: int) -> None:
    """Forget a draft."""
    connection.execute("DELETE FROM tariff_drafts WHERE id = ?", (draft_id,))


def as_json(rates: Iterable[Rate]) -> str:
    """Rates with their ids, as `rates_before` keeps them."""
    return json.dumps([_columns_of(rate) for rate in rates], separators=(",", ":"))


def _columns_of(rate: Rate) -> dict[str, Any]:
    listed: Sequence[str] = sorted(rate.extensions or ())
    return {"id": rate.id, **rate_columns(rate), "extensions": listed}
