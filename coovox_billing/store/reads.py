"""Reading inside a write: what deciding about a call needs, as plain SQL on the writer's connection."""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from datetime import time
from functools import lru_cache
from typing import Any, NamedTuple

from coovox_billing.core.site_settings import Site, parse_site
from coovox_billing.core.tariff import Rate
from coovox_billing.core.trunk import KnownTrunk

# A call that a person may have to look after stays: each such call, an uncollected one too, has a flag.
_MAY_BE_ARCHIVED = "state IN ('settled', 'released', 'refused') AND flags = ''"


class Premises(NamedTuple):
    """What deciding about any call needs to know of the site.

    `trunks`: what outbound routes dial, by device. `gateways`: the devices whose caller ID is trusted.
    """

    site: Site
    trunks: Mapping[str, KnownTrunk]
    gateways: frozenset[str]


def site(connection: sqlite3.Connection) -> Site:
    """The site's settings, parsed."""
    return premises(connection).site


def premises(connection: sqlite3.Connection) -> Premises:
    """All of it in one statement."""
    rows = connection.execute(
        "SELECT 'setting', name, value FROM settings UNION ALL SELECT 'gateway', device, '' FROM gateways"
        " UNION ALL SELECT 'trunk', device, free_seconds || ' ' || name FROM trunks"
    )
    return _premises(tuple(map(tuple, rows)))


@lru_cache(maxsize=2)
def _premises(rows: tuple[tuple[str, str, str], ...]) -> Premises:
    found: dict[str, dict[str, str]] = {"setting": {}, "gateway": {}, "trunk": {}}
    for kind, name, value in rows:
        found[kind][name] = value
    trunks = {device: _known_trunk(text) for device, text in found["trunk"].items()}
    return Premises(parse_site(found["setting"]), trunks, frozenset(found["gateway"]))


def _known_trunk(text: str) -> KnownTrunk:
    free_seconds, _, name = text.partition(" ")
    return KnownTrunk(name, int(free_seconds))


def setting(connection: sqlite3.Connection, name: str) -> str | None:
    """A setting's stored text, None where it has its default."""
    row = connection.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
    return row["value"] if row else None


def account_by_extension(connection: sqlite3.Connection, extension: str) -> sqlite3.Row | None:
    """The open account of an extension."""
    row: sqlite3.Row | None = connection.execute(
        "SELECT * FROM accounts WHERE extension = ? AND closed_at_ms IS NULL", (extension,)
    ).fetchone()
    return row


def account_by_device(connection: sqlite3.Connection, device: str) -> sqlite3.Row | None:
    """The open account that lists a device."""
    row: sqlite3.Row | None = connection.execute(
        "SELECT accounts.* FROM devices JOIN accounts ON accounts.id = devices.account_id "
        "WHERE device = ? AND closed_at_ms IS NULL",
        (device,),
    ).fetchone()
    return row


def account_of_payer(connection: sqlite3.Connection, device: str, extension: str) -> sqlite3.Row | None:
    """The open account that lists a device, else the one of an extension."""
    row: sqlite3.Row | None = connection.execute(
        "SELECT * FROM accounts WHERE id = coalesce("
        "(SELECT id FROM devices JOIN accounts ON id = account_id WHERE device = ? AND closed_at_ms IS NULL),"
        " (SELECT id FROM accounts WHERE extension = ? AND closed_at_ms IS NULL))",
        (device, extension),
    ).fetchone()
    return row


def closed_account_of_payer(connection: sqlite3.Connection, device: str, extension: str) -> sqlite3.Row | None:
    """The newest closed account that lists a device, else the newest closed one of an extension."""
    row: sqlite3.Row | None = connection.execute(
        "SELECT accounts.*, 1 AS rank FROM devices JOIN accounts ON accounts.id = devices.account_id "
        "WHERE device = ? AND closed_at_ms IS NOT NULL UNION ALL "
        "SELECT accounts.*, 2 AS rank FROM accounts WHERE extension = ? AND closed_at_ms IS NOT NULL "
        "ORDER BY rank, id DESC LIMIT 1",
        (device, extension),
    ).fetchone()
    return row


def newest_accounts(connection: sqlite3.Connection) -> list[sqlite3.Row]:
    """Of each extension its open account, or its newest closed one; `in_call` tells of calls in progress."""
    return connection.execute(
        "SELECT *, id IN (SELECT account_id FROM calls WHERE state IN ('held', 'talking')) AS in_call FROM accounts "
        "WHERE id IN (SELECT max(id) FROM accounts GROUP BY extension) ORDER BY id"
    ).fetchall()


def account(connection: sqlite3.Connection, account_id: int) -> sqlite3.Row:
    """The account of an id."""
    row: sqlite3.Row = connection.execute("SELECT * FROM accounts WHERE id = ?", (account_id,)).fetchone()
    return row


def devices(connection: sqlite3.Connection, account_id: int) -> list[str]:
    """The devices that an account lists, in order."""
    rows = connection.execute("SELECT device FROM devices WHERE account_id = ? ORDER BY device", (account_id,))
    return [row["device"] for row in rows]


def listed_devices(connection: sqlite3.Connection) -> dict[int, frozenset[str]]:
    """The devices that accounts list, by account id."""
    listed: dict[int, set[str]] = {}
    for row in connection.execute("SELECT device, account_id FROM devices"):
        listed.setdefault(row["account_id"], set()).add(row["device"])
    return {account_id: frozenset(devices) for account_id, devices in listed.items()}


def seen_devices(connection: sqlite3.Connection) -> dict[str, str]:
    """The devices that were found in Asterisk, with the names they had there."""
    return dict(map(tuple, connection.execute("SELECT device, name FROM seen_devices ORDER BY device")))


def gateways(connection: sqlite3.Connection) -> frozenset[str]:
    """The devices whose caller ID is trusted."""
    return premises(connection).gateways


def has_open_calls(connection: sqlite3.Connection, account_id: int) -> bool:
    """Whether calls of an account are in progress."""
    found = connection.execute(
        "SELECT 1 FROM calls WHERE state IN ('held', 'talking') AND account_id = ? LIMIT 1", (account_id,)
    )
    return found.fetchone() is not None


def trunks(connection: sqlite3.Connection) -> Mapping[str, KnownTrunk]:
    """What outbound routes dial, by device."""
    return premises(connection).trunks


def trunks_called(connection: sqlite3.Connection, word: str) -> list[sqlite3.Row]:
    """The trunk of a device, else those of a name, by device."""
    rows = connection.execute(
        "SELECT device, name, free_seconds, channels FROM trunks WHERE device = ? OR name = ? ORDER BY device",
        (word, word),
    ).fetchall()
    return [row for row in rows if row["device"] == word] or rows


def free_seconds_of(connection: sqlite3.Connection, name: str) -> int:
    """The least free seconds of the trunks that have a name, 0 where none has it."""
    least: int = connection.execute(
        "SELECT coalesce(min(free_seconds), 0) FROM trunks WHERE name = ?", (name,)
    ).fetchone()[0]
    return least


def trunk_traffic(connection: sqlite3.Connection, since_ms: int, at_once_ms: int) -> list[sqlite3.Row]:
    """Every trunk with its calls since an instant that are over, by device.

    Counted are all that dialed, those that were answered, and those answered
    within `at_once_ms` of the last attempt's stamp.
    """
    return connection.execute(
        "SELECT device, name, free_seconds, channels, coalesce(calls, 0) AS calls, coalesce(answered, 0) AS answered,"
        " coalesce(answered_at_once, 0) AS answered_at_once FROM trunks LEFT JOIN ("
        "SELECT trunk, count(*) AS calls, count(*) FILTER (WHERE state = 'settled') AS answered,"
        " count(*) FILTER (WHERE state = 'settled' AND answered_at_ms BETWEEN attempt_stamp_ms"
        " AND attempt_stamp_ms + ?) AS answered_at_once"
        " FROM calls WHERE asked_at_ms >= ? AND state IN ('settled', 'released') GROUP BY trunk"
        ") AS traffic ON trunk = name ORDER BY device",
        (at_once_ms, since_ms),
    ).fetchall()


def call(connection: sqlite3.Connection, call_id: str) -> dict[str, Any] | None:
    """A call by its key: a dictionary, for much is asked of it, and a Row seeks each name among all its columns."""
    row = connection.execute("SELECT * FROM calls WHERE call_id = ?", (call_id,)).fetchone()
    return None if row is None else dict(zip(row.keys(), row, strict=True))


def archived_call(connection: sqlite3.Connection, call_id: str) -> sqlite3.Row | None:
    """What is kept of a call that was moved into a file: it is over, as far as was known then."""
    row: sqlite3.Row | None = connection.execute(
        "SELECT * FROM archived_calls WHERE call_id = ?", (call_id,)
    ).fetchone()
    return row


def last_day_of_calls(connection: sqlite3.Connection, until: str) -> str | None:
    """The newest day until one, as `2026-03-02`, with an answered call, archived or not; None where there is none."""
    found = connection.execute("SELECT max(day) FROM daily_trunk_totals WHERE day <= ?", (until,)).fetchone()
    day: str | None = found[0]
    return day


def months_to_archive(connection: sqlite3.Connection, before: str) -> list[str]:
    """The months, as `2026-03`, from whose days before `before` there are calls that may be archived; oldest first."""
    rows = connection.execute(
        f"SELECT DISTINCT substr(local_day, 1, 7) FROM calls WHERE local_day < ? AND {_MAY_BE_ARCHIVED} ORDER BY 1",  # noqa: S608
        (before,),
    )
    return [row[0] for row in rows]


def calls_to_archive(connection: sqlite3.Connection, month: str, from_ms: int, to_ms: int) -> Iterator[sqlite3.Row]:
    """The calls of a month that may be archived, each with its account's `name`, in the order of their dialing.

    The instants, ms since 1970 in UTC, are for the index: no zone's month begins before or ends after them.
    """
    return connection.execute(
        "SELECT calls.*, coalesce(accounts.name, '') AS name FROM calls LEFT JOIN accounts ON accounts.id = account_id"  # noqa: S608
        f" WHERE asked_at_ms BETWEEN ? AND ? AND substr(local_day, 1, 7) = ? AND {_MAY_BE_ARCHIVED}"
        " ORDER BY asked_at_ms, calls.id",
        (from_ms, to_ms, month),
    )


def call_columns(connection: sqlite3.Connection) -> list[str]:
    """The names of all that a call's row keeps."""
    return [row["name"] for row in connection.execute("PRAGMA table_info(calls)")]


def talking_calls(connection: sqlite3.Connection) -> list[sqlite3.Row]:
    """The calls that were answered and are not over."""
    return connection.execute("SELECT * FROM calls WHERE state = 'talking'").fetchall()


def open_calls_by_state(connection: sqlite3.Connection) -> dict[str, int]:
    """How many calls are held, and how many talk."""
    query = "SELECT state, count(*) FROM calls WHERE state IN ('held', 'talking') GROUP BY state"
    return dict(connection.execute(query).fetchall())


def held_micros(connection: sqlite3.Connection) -> int:
    """All money that calls hold."""
    return int(connection.execute("SELECT coalesce(sum(held_micros), 0) FROM accounts").fetchone()[0])


def newest_answer_ms(connection: sqlite3.Connection) -> int:
    """When the newest of the last hundred calls was answered that billing itself saw; 0 where none was."""
    return int(
        connection.execute(
            "SELECT coalesce(max(answered_at_ms), 0) FROM (SELECT answered_at_ms FROM calls ORDER BY id DESC LIMIT 100)"
        ).fetchone()[0]
    )


def has_any_open_call(connection: sqlite3.Connection) -> bool:
    """Whether any call is in progress."""
    return connection.execute("SELECT 1 FROM calls WHERE state IN ('held', 'talking') LIMIT 1").fetchone() is not None


def open_calls(connection: sqlite3.Connection) -> list[sqlite3.Row]:
    """The calls that are not over."""
    return connection.execute("SELECT * FROM calls WHERE state IN ('held', 'talking')").fetchall()


def open_priced_calls(connection: sqlite3.Connection, account_id: int) -> list[sqlite3.Row]:
    """The calls in progress that an account was promised talk for."""
    return connection.execute(
        "SELECT * FROM calls WHERE state IN ('held', 'talking') AND account_id = ? AND promised_seconds IS NOT NULL",
        (account_id,),
    ).fetchall()


def entry(connection: sqlite3.Connection, entry_id: int) -> sqlite3.Row | None:
    """An entry of the ledger; `undone_by` is the one that took it back."""
    row: sqlite3.Row | None = connection.execute(
        "SELECT *, (SELECT id FROM ledger AS later WHERE later.undoes = ledger.id) AS undone_by"
        " FROM ledger WHERE id = ?",
        (entry_id,),
    ).fetchone()
    return row


def last_stay(connection: sqlite3.Connection, account_id: int) -> sqlite3.Row | None:
    """The newest stay of an account that is over."""
    row: sqlite3.Row | None = connection.execute(
        "SELECT * FROM stays WHERE account_id = ? ORDER BY id DESC LIMIT 1", (account_id,)
    ).fetchone()
    return row


def newest_entry(connection: sqlite3.Connection, account_id: int) -> int:
    """The id of an account's newest ledger entry, 0 where there is none."""
    newest = connection.execute("SELECT coalesce(max(id), 0) FROM ledger WHERE account_id = ?", (account_id,))
    return int(newest.fetchone()[0])


def submission(connection: sqlite3.Connection, token: str) -> str | None:
    """What came of a form that was sent before, None where it was not."""
    row = connection.execute("SELECT answer FROM submissions WHERE token = ?", (token,)).fetchone()
    return None if row is None else str(row["answer"])


def rate(connection: sqlite3.Connection, rate_id: int) -> Rate | None:
    """The rate of an id, with its whole list of extensions."""
    row = connection.execute("SELECT * FROM rates WHERE id = ?", (rate_id,)).fetchone()
    if row is None:
        return None
    listed = connection.execute("SELECT extension FROM rate_extensions WHERE rate_id = ?", (rate_id,))
    return rate_of_columns(row, frozenset(one["extension"] for one in listed))


def first_change_ms(connection: sqlite3.Connection) -> int | None:
    """When a person first set anything on this site, ms since 1970 in UTC; None where nobody has."""
    row = connection.execute("SELECT at_ms FROM changes ORDER BY id LIMIT 1").fetchone()
    return None if row is None else int(row["at_ms"])


def first_activation_ms(connection: sqlite3.Connection) -> int | None:
    """When a person first activated billing, by the log of changes, ms since 1970 in UTC; None where nobody did."""
    row = connection.execute(
        "SELECT min(at_ms) AS at_ms FROM changes WHERE what = 'activation' AND after = 'on'"
    ).fetchone()
    return None if row["at_ms"] is None else int(row["at_ms"])


def data_version(connection: sqlite3.Connection) -> int:
    """A number that is another one when another connection has changed the database."""
    return int(connection.execute("PRAGMA data_version").fetchone()[0])


# Read by their place, for a call looks at several: by name that takes twice as long.
_RATE_COLUMNS = (
    "id, prefix, number_length, initial_cost_micros, initial_seconds, rate_micros, unit_seconds,"
    " start_time, end_time, days, active, remark, all_extensions"
)


def rates_for(connection: sqlite3.Connection, prefixes: Sequence[str], extension: str) -> list[Rate]:
    """The rates with one of the prefixes, which are at least one, and each another.

    `extensions` of a restricted one is cut down to `extension` or nobody.
    """
    rows = connection.execute(_rates_query(len(prefixes)), (extension, *prefixes))
    return [_rate_of_row(tuple(row)) for row in rows]


@lru_cache(maxsize=64)
def _rates_query(count: int) -> str:
    """The prefixes as a table, each of which is looked up once: a list behind IN would be sorted first."""
    marks = ",".join(["(?)"] * count)
    return (
        f"SELECT {_RATE_COLUMNS}, (SELECT extension FROM rate_extensions WHERE rate_id = rates.id AND extension = ?)"  # noqa: S608
        f" FROM (VALUES {marks}) CROSS JOIN rates ON prefix = column1"
    )


def count_rates(connection: sqlite3.Connection) -> int:
    """How many rates there are, active or not."""
    return int(connection.execute("SELECT count(*) FROM rates").fetchone()[0])


def all_rates(connection: sqlite3.Connection) -> list[Rate]:
    """Every rate with its whole list of extensions, oldest first."""
    listed: dict[int, set[str]] = {}
    for row in connection.execute("SELECT rate_id, extension FROM rate_extensions"):
        listed.setdefault(row["rate_id"], set()).add(row["extension"])
    rows = connection.execute("SELECT * FROM rates ORDER BY id")
    return [rate_of_columns(row, frozenset(listed.get(row["id"], ()))) for row in rows]


@lru_cache(maxsize=256)
def _rate_of_row(row: tuple[Any, ...]) -> Rate:
    number, prefix, length, initial_cost, initial, price, unit, start, end, days, active, remark, is_for_all, one = row
    extensions = None if is_for_all else frozenset([one] if one else [])
    window = _window(start, end, days)
    return Rate(number, prefix, length, initial_cost, initial, price, unit, *window, extensions, bool(active), remark)


@lru_cache(maxsize=256)
def _window(start_time: str, end_time: str, days: str) -> tuple[time, time, frozenset[int]]:
    """When rates apply; most of a tariff's have the same hours."""
    return time.fromisoformat(start_time), time.fromisoformat(end_time), frozenset(map(int, days))


def rate_of_columns(row: sqlite3.Row | Mapping[str, Any], listed: frozenset[str]) -> Rate:
    """A rate from its row's columns and the extensions that it lists."""
    start_time, end_time, days = _window(row["start_time"], row["end_time"], row["days"])
    return Rate(
        id=row["id"],
        prefix=row["prefix"],
        number_length=row["number_length"],
        initial_cost_micros=row["initial_cost_micros"],
        initial_seconds=row["initial_seconds"],
        rate_micros=row["rate_micros"],
        unit_seconds=row["unit_seconds"],
        start_time=start_time,
        end_time=end_time,
        days=days,
        extensions=None if row["all_extensions"] else listed,
        active=bool(row["active"]),
        remark=row["remark"],
    )


_SNAPSHOT = (
    "id", "remark", "prefix", "number_length", "initial_cost_micros", "initial_seconds", "rate_micros", "unit_seconds"
)  # fmt: skip


@lru_cache(maxsize=256)
def rate_snapshot(rate: Rate) -> str:
    """What a call keeps of the rate that prices it, as JSON: enough to compute its cost for ever."""
    return json.dumps({name: getattr(rate, name) for name in _SNAPSHOT})


@lru_cache(maxsize=256)
def rate_of_snapshot(text: str) -> Rate:
    """The rate of a call's snapshot; when and for whom it applied is no longer asked."""
    fields: dict[str, Any] = json.loads(text)
    return Rate(**fields)


def mirror_since(connection: sqlite3.Connection, revision: int, limit: int) -> list[sqlite3.Row]:
    """The next rows (revision, key, value) of the dialplan's mirror after a revision."""
    return connection.execute(
        "SELECT revision, key, value FROM mirror WHERE revision > ? ORDER BY revision LIMIT ?",
        (revision, limit),
    ).fetchall()


def mirror_marker(connection: sqlite3.Connection) -> str:
    """Which mirror this is, and how new: `DATABASE-ID:REVISION`, empty before the site is prepared."""
    row = connection.execute(
        "SELECT value || ':' || (SELECT coalesce(max(revision), 0) FROM mirror) FROM site WHERE name = 'database_id'"
    ).fetchone()
    return str(row[0]) if row else ""


def site_value(connection: sqlite3.Connection, name: str) -> str | None:
    """Something the site has one of, None where it is not there."""
    row = connection.execute("SELECT value FROM site WHERE name = ?", (name,)).fetchone()
    return row["value"] if row else None


def database_id(connection: sqlite3.Connection) -> str:
    """The random name that this database got when it was prepared, empty before."""
    return site_value(connection, "database_id") or ""


def newest_record_ms(connection: sqlite3.Connection) -> int:
    """When the newest call was asked for or money last moved, whichever is later; 0 in an empty database."""
    newest = connection.execute(
        "SELECT (SELECT max(asked_at_ms) FROM calls), (SELECT at_ms FROM ledger ORDER BY id DESC LIMIT 1)"
    ).fetchone()
    return max(instant or 0 for instant in newest)
