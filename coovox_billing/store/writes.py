"""Every change of the database, as plain SQL on the writer's connection.

Called only inside `Database.write`. What may be changed is decided in
`services`; that a balance moves only together with its ledger entry is
decided here, in `post`.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from coovox_billing.core.call import State
from coovox_billing.core.stretch import Promise
from coovox_billing.core.tariff import Rate
from coovox_billing.store import finished_periods
from coovox_billing.store.call_changes import CallChange, CallRow, change_of
from coovox_billing.store.statements import assignments, insert


@contextmanager
def tried_only(connection: sqlite3.Connection) -> Iterator[None]:
    """Whatever is written within is undone."""
    connection.execute("SAVEPOINT trial")
    try:
        yield
    finally:
        connection.execute("ROLLBACK TO trial")
        connection.execute("RELEASE trial")


def insert_account(connection: sqlite3.Connection, extension: str, name: str, now_ms: int) -> int:
    """Open an account with nothing in it; returns its id."""
    cursor = connection.execute(
        "INSERT INTO accounts (extension, name, opened_at_ms) VALUES (?, ?, ?)", (extension, name, now_ms)
    )
    return int(cursor.lastrowid or 0)


def insert_stay(connection: sqlite3.Connection, **columns: Any) -> int:
    """Keep a stay that is over; returns its id."""
    return insert(connection, "stays", columns)


def update_account(connection: sqlite3.Connection, account_id: int, **columns: Any) -> None:
    """Change an account's properties. Money has its own ways in: `post` and `change_hold`."""
    values = (*columns.values(), account_id)
    connection.execute(f"UPDATE accounts SET {assignments(columns)} WHERE id = ?", values)  # noqa: S608


def replace_devices(connection: sqlite3.Connection, account_id: int, devices: list[str]) -> None:
    """Make these the devices that the account lists; a closed account that listed one loses it."""
    connection.execute("DELETE FROM devices WHERE account_id = ?", (account_id,))
    connection.executemany(
        "INSERT INTO devices (device, account_id) VALUES (?, ?) "
        "ON CONFLICT (device) DO UPDATE SET account_id = excluded.account_id",
        [(device, account_id) for device in devices],
    )


def inherit_devices(connection: sqlite3.Connection, account_id: int, extension: str) -> None:
    """Give an extension's account the devices that closed ones of the same extension list."""
    connection.execute(
        "UPDATE devices SET account_id = ? WHERE account_id IN "
        "(SELECT id FROM accounts WHERE extension = ? AND closed_at_ms IS NOT NULL)",
        (account_id, extension),
    )


def replace_seen_devices(connection: sqlite3.Connection, names: Mapping[str, str]) -> None:
    """Remember what was found in Asterisk: devices with their names."""
    connection.execute("DELETE FROM seen_devices")
    connection.executemany("INSERT INTO seen_devices (device, name) VALUES (?, ?)", list(names.items()))


def insert_seen_device(connection: sqlite3.Connection, device: str) -> None:
    """Remember that a device is there, if it is not known yet."""
    connection.execute("INSERT INTO seen_devices (device, name) VALUES (?, '') ON CONFLICT DO NOTHING", (device,))


def insert_gateway(connection: sqlite3.Connection, device: str) -> None:
    """Trust the caller ID of a device, if it is not trusted yet."""
    connection.execute("INSERT INTO gateways (device) VALUES (?) ON CONFLICT DO NOTHING", (device,))


def delete_gateway(connection: sqlite3.Connection, device: str) -> None:
    """Trust the caller ID of a device no longer."""
    connection.execute("DELETE FROM gateways WHERE device = ?", (device,))


def insert_trunk(connection: sqlite3.Connection, device: str, name: str) -> None:
    """Remember what an outbound route dials."""
    connection.execute("INSERT INTO trunks (device, name) VALUES (?, ?)", (device, name))


def update_trunk(connection: sqlite3.Connection, device: str, **columns: Any) -> None:
    """Change a trunk's name, free seconds or channels."""
    values = (*columns.values(), device)
    connection.execute(f"UPDATE trunks SET {assignments(columns)} WHERE device = ?", values)  # noqa: S608


def delete_trunk(connection: sqlite3.Connection, device: str) -> None:
    """Forget that a device is a trunk."""
    connection.execute("DELETE FROM trunks WHERE device = ?", (device,))


def post(
    connection: sqlite3.Connection,
    account_id: int,
    kind: str,
    amount_micros: int,
    actor: str,
    now_ms: int,
    *,
    call_id: str | None = None,
    reason: str = "",
    undoes: int | None = None,
    freed_micros: int = 0,
) -> int:
    """Move a balance and enter it in the ledger; returns the balance after, in micros.

    A counter-entry names the entry that it `undoes`. With `freed_micros` as much less is held, in the same change.
    """
    after_micros: int = connection.execute(
        "UPDATE accounts SET balance_micros = balance_micros + ?, held_micros = held_micros - ? WHERE id = ?"
        " RETURNING balance_micros",
        (amount_micros, freed_micros, account_id),
    ).fetchone()[0]
    connection.execute(
        "INSERT INTO ledger (account_id, kind, amount_micros, balance_before_micros, balance_after_micros,"
        " call_id, reason, actor, at_ms, undoes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            account_id,
            kind,
            amount_micros,
            after_micros - amount_micros,
            after_micros,
            call_id,
            reason,
            actor,
            now_ms,
            undoes,
        ),
    )
    return after_micros


def keep_seen(connection: sqlite3.Connection, call_id: str, talk_seconds: int) -> None:
    """A call in progress was alive at so many seconds of talk; never moves back."""
    connection.execute(
        "UPDATE calls SET seen_talk_seconds = ? WHERE call_id = ? AND state = 'talking' AND seen_talk_seconds < ?",
        (talk_seconds, call_id, talk_seconds),
    )


def change_hold(connection: sqlite3.Connection, account_id: int, micros: int) -> None:
    """Promise more (or, negative, give back) money of an account."""
    connection.execute("UPDATE accounts SET held_micros = held_micros + ? WHERE id = ?", (micros, account_id))


def insert_call(connection: sqlite3.Connection, **columns: Any) -> CallChange:
    """Write a call's row."""
    insert(connection, "calls", columns)
    return change_of(None, columns)


def archive_call(connection: sqlite3.Connection, call_id: str) -> None:
    """Take a call out of the log, and keep what balances and totals need of it."""
    connection.execute(
        "INSERT INTO archived_calls (call_id, state, account_id, local_day, local_hour, trunk, destination,"
        " talk_seconds, cost_micros) SELECT call_id, state, account_id, local_day, local_hour, trunk, destination,"
        " talk_seconds, cost_micros FROM booked_calls WHERE call_id = ?",
        (call_id,),
    )
    connection.execute("DELETE FROM calls WHERE call_id = ?", (call_id,))


def count_archived(connection: sqlite3.Connection, path: str, month: str, calls: int) -> None:
    """Remember that so many more calls of a month were moved into a file."""
    connection.execute(
        "INSERT INTO archive_files (path, month, calls) VALUES (?, ?, ?)"
        " ON CONFLICT (path) DO UPDATE SET calls = calls + excluded.calls",
        (path, month, calls),
    )


def give_back_pages(connection: sqlite3.Connection, most: int) -> int:
    """Give up to `most` empty pages at the file's end back to the file system; returns how many empty ones are left.

    A database that was made before it could do so keeps them, for new calls.
    """
    if connection.execute("PRAGMA auto_vacuum").fetchone()[0] == 0:
        return 0
    connection.execute(f"PRAGMA incremental_vacuum({most})").fetchall()
    return int(connection.execute("PRAGMA freelist_count").fetchone()[0])


def promise_columns(promise: Promise | None) -> dict[str, Any]:
    """The columns of a call's row that keep its promise; a call without limit has none."""
    return {
        "promised_seconds": promise.promised_seconds if promise else None,
        "limit_seconds": promise.limit_seconds if promise else None,
        "hold_micros": promise.hold_micros if promise else 0,
        "stretch_seconds": promise.stretch_seconds if promise else 0,
    }


def move_call(connection: sqlite3.Connection, call: CallRow, to: State, **columns: Any) -> CallChange:
    """Move a call on from where its row stands, and change columns of it.

    Raises:
        sqlite3.IntegrityError: it stands elsewhere by now.
    """
    columns["state"] = to
    cursor = connection.execute(
        f"UPDATE calls SET {assignments(columns)} WHERE id = ? AND state = ?",  # noqa: S608
        (*columns.values(), call["id"], call["state"]),
    )
    if cursor.rowcount != 1:
        raise sqlite3.IntegrityError(f"call {call['call_id']} is not {call['state']} any more")
    return change_of(call, columns)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an answered call is counted: in totals of its local day (`2026-03-02`), each by one of the others.

    `account_id` is None for a call without extension, `hour` where it was not kept. `destination` is the prefix of the
    rate that priced it, `core.tariff.NO_RATE` where none did.
    """

    day: str
    account_id: int | None
    trunk: str
    hour: int | None
    destination: str


# The column by which each counts is named as the field of `Place` that is in it.
_TOTALS = {
    "daily_extension_totals": "account_id",
    "daily_trunk_totals": "trunk",
    "daily_hour_totals": "hour",
    "daily_destination_totals": "destination",
}


def add_to_totals(
    connection: sqlite3.Connection, place: Place, calls: int, talk_seconds: int, cost_micros: int
) -> None:
    """Count answered calls in the totals of their day; negative counts take them out."""
    finished_periods.forget(connection, place.day)
    for table, column in _TOTALS.items():
        key = getattr(place, column)
        if key is not None:
            _add_total(connection, table, column, (place.day, key, calls, talk_seconds, cost_micros))


def _add_total(connection: sqlite3.Connection, table: str, column: str, values: tuple[Any, ...]) -> None:
    connection.execute(
        f"INSERT INTO {table} (day, {column}, calls, talk_seconds, cost_micros) VALUES (?, ?, ?, ?, ?) "  # noqa: S608
        f"ON CONFLICT (day, {column}) DO UPDATE SET calls = calls + excluded.calls,"
        " talk_seconds = talk_seconds + excluded.talk_seconds, cost_micros = cost_micros + excluded.cost_micros",
        values,
    )


def insert_rate(connection: sqlite3.Connection, rate: Rate) -> int:
    """Add a rate; returns its id, which the database gives: later ids are newer rates."""
    rate_id = insert(connection, "rates", rate_columns(rate))
    _insert_rate_extensions(connection, rate_id, rate)
    return rate_id


def restore_rate(connection: sqlite3.Connection, rate: Rate) -> None:
    """Bring a rate back that was deleted, with the id that it had: it is as old as it was."""
    insert(connection, "rates", {"id": rate.id, **rate_columns(rate)})
    _insert_rate_extensions(connection, rate.id, rate)


def update_rate(connection: sqlite3.Connection, rate: Rate) -> None:
    """Make the rate of an id what `rate` is; it keeps its age."""
    columns = rate_columns(rate)
    values = (*columns.values(), rate.id)
    connection.execute(f"UPDATE rates SET {assignments(columns)} WHERE id = ?", values)  # noqa: S608
    connection.execute("DELETE FROM rate_extensions WHERE rate_id = ?", (rate.id,))
    _insert_rate_extensions(connection, rate.id, rate)


def _insert_rate_extensions(connection: sqlite3.Connection, rate_id: int, rate: Rate) -> None:
    connection.executemany(
        "INSERT INTO rate_extensions (rate_id, extension) VALUES (?, ?)",
        [(rate_id, extension) for extension in sorted(rate.extensions or ())],
    )


def update_rate_price(connection: sqlite3.Connection, rate_id: int, rate: Rate) -> None:
    """Give the rate of an id the activation, remark and prices of `rate`."""
    connection.execute(
        "UPDATE rates SET active = ?, remark = ?, initial_cost_micros = ?, initial_seconds = ?, rate_micros = ?,"
        " unit_seconds = ? WHERE id = ?",
        (
            rate.active,
            rate.remark,
            rate.initial_cost_micros,
            rate.initial_seconds,
            rate.rate_micros,
            rate.unit_seconds,
            rate_id,
        ),
    )


def delete_rates(connection: sqlite3.Connection, rate_ids: list[int]) -> None:
    """Delete rates; calls keep their snapshot."""
    connection.executemany("DELETE FROM rates WHERE id = ?", [(rate_id,) for rate_id in rate_ids])


def rate_columns(rate: Rate) -> dict[str, Any]:
    """The columns of a rate's row, without its id and its list of extensions."""
    return {
        "active": rate.active,
        "remark": rate.remark,
        "prefix": rate.prefix,
        "number_length": rate.number_length,
        "initial_cost_micros": rate.initial_cost_micros,
        "initial_seconds": rate.initial_seconds,
        "rate_micros": rate.rate_micros,
        "unit_seconds": rate.unit_seconds,
        "start_time": rate.start_time.isoformat(),
        "end_time": rate.end_time.isoformat(),
        "days": "".join(map(str, sorted(rate.days))),
        "all_extensions": rate.extensions is None,
    }


def set_setting(connection: sqlite3.Connection, name: str, value: str) -> None:
    """Store a site setting."""
    connection.execute(
        "INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (name, value),
    )


def set_site_value(connection: sqlite3.Connection, name: str, value: str | None) -> None:
    """Store (or, with None, forget) something the site has one of."""
    if value is None:
        connection.execute("DELETE FROM site WHERE name = ?", (name,))
        return
    # In place, which is a third of the flash that a new row costs: how long billing ran is stored all day long.
    connection.execute(
        "INSERT INTO site (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (name, value),
    )


def mirror(connection: sqlite3.Connection, key: str, value: str) -> None:
    """Make the dialplan know a value; a value it already has gets no new revision."""
    row = connection.execute("SELECT value FROM mirror WHERE key = ?", (key,)).fetchone()
    if row is None or row["value"] != value:
        connection.execute("DELETE FROM mirror WHERE key = ?", (key,))
        connection.execute("INSERT INTO mirror (key, value) VALUES (?, ?)", (key, value))


def record_change(
    connection: sqlite3.Connection, now_ms: int, actor: str, origin: str, what: str, before: str, after: str
) -> None:
    """Enter what a person changed: who, when, from where, what was before and after (DESIGN §8)."""
    connection.execute(
        "INSERT INTO changes (at_ms, actor, origin, what, before, after) VALUES (?, ?, ?, ?, ?, ?)",
        (now_ms, actor, origin, what, before, after),
    )


def insert_submission(connection: sqlite3.Connection, token: str, answer: str, now_ms: int, forget_ms: int) -> None:
    """Remember that a form was sent and what came of it; those from before `forget_ms` are forgotten."""
    connection.execute("DELETE FROM submissions WHERE at_ms < ?", (forget_ms,))
    connection.execute("INSERT INTO submissions (token, at_ms, answer) VALUES (?, ?, ?)", (token, now_ms, answer))


def request_end(connection: sqlite3.Connection, call_id: str) -> None:
    """Have the call plane end a call in progress."""
    connection.execute(
        "UPDATE calls SET end_requested = 1 WHERE call_id = ? AND state IN ('held', 'talking')", (call_id,)
    )
