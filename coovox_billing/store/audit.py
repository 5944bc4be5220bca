"""Proof that the money is right (DESIGN §3), by recounting it from the ledger and the calls.

Each check is one query that finds what is off; a sound database has none.
"""

import sqlite3
from dataclasses import dataclass

from coovox_billing.store.finished_periods import SUMMED_UP
from coovox_billing.store.schema import migrate


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is off, in a sentence."""

    message: str


@dataclass(frozen=True, slots=True)
class _Check:
    sentence: str
    query: str


_CHECKS = (
    _Check(
        "extension {extension}: its balance is {found} micros, its ledger sums to {expected}",
        """SELECT extension, balance_micros AS found, coalesce(sum(amount_micros), 0) AS expected
           FROM accounts LEFT JOIN ledger ON account_id = accounts.id
           GROUP BY accounts.id HAVING balance_micros <> coalesce(sum(amount_micros), 0)""",
    ),
    _Check(
        "extension {extension}: {found} micros are held, its open calls hold {expected}",
        """SELECT accounts.extension, held_micros AS found, coalesce(sum(hold_micros), 0) AS expected
           FROM accounts LEFT JOIN calls ON account_id = accounts.id AND state IN ('held', 'talking')
           GROUP BY accounts.id HAVING held_micros <> coalesce(sum(hold_micros), 0)""",
    ),
    _Check(
        "extension {extension}: ledger entry {found} starts from another balance than entry {expected} left",
        """SELECT extension, entries.id AS found, previous AS expected FROM (
               SELECT account_id, ledger.id, balance_before_micros,
                      lag(ledger.id) OVER own AS previous, lag(balance_after_micros, 1, 0) OVER own AS left_micros
               FROM ledger WINDOW own AS (PARTITION BY account_id ORDER BY ledger.id)
           ) AS entries JOIN accounts ON accounts.id = account_id WHERE balance_before_micros <> left_micros""",
    ),
    _Check(
        "extension {extension}: call {found} is closed and still holds {expected} micros",
        """SELECT extension, call_id AS found, hold_micros AS expected FROM calls
           WHERE hold_micros <> 0 AND state NOT IN ('held', 'talking')""",
    ),
    _Check(
        "extension {extension}: call {found} did not cost what its ledger entries and uncollected part are, {expected}",
        """SELECT coalesce(accounts.extension, '') AS extension, booked.call_id AS found,
                  uncollected_micros - coalesce(charged, 0) AS expected
           FROM booked_calls AS booked
           LEFT JOIN (SELECT call_id, sum(amount_micros) AS charged FROM ledger WHERE call_id IS NOT NULL
                      GROUP BY call_id) AS charges ON charges.call_id = booked.call_id
           LEFT JOIN accounts ON accounts.id = booked.account_id
           WHERE cost_micros <> uncollected_micros - coalesce(charged, 0)""",
    ),
    _Check(
        "extension {extension}: ledger entry {found} is about call {expected}, which is neither there nor archived",
        """SELECT extension, ledger.id AS found, call_id AS expected
           FROM ledger JOIN accounts ON accounts.id = account_id
           WHERE call_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM calls WHERE calls.call_id = ledger.call_id)
           AND NOT EXISTS (SELECT 1 FROM archived_calls WHERE archived_calls.call_id = ledger.call_id)""",
    ),
    _Check(
        "extension {extension}: the totals of {found} differ from its calls ({expected})",
        """SELECT accounts.extension, day AS found,
                  sum(calls) || ' calls, ' || sum(talk) || ' s, ' || sum(cost) || ' micros' AS expected
           FROM (SELECT day, account_id, calls, talk_seconds AS talk, cost_micros AS cost FROM daily_extension_totals
                 UNION ALL
                 SELECT local_day, account_id, -1, -talk_seconds, -cost_micros FROM booked_calls
                 WHERE state = 'settled' AND account_id IS NOT NULL) AS both_sides
           JOIN accounts ON accounts.id = account_id
           GROUP BY day, account_id HAVING sum(calls) <> 0 OR sum(talk) <> 0 OR sum(cost) <> 0""",
    ),
    _Check(
        "trunk {extension}: the totals of {found} differ from its calls ({expected})",
        """SELECT trunk AS extension, day AS found,
                  sum(calls) || ' calls, ' || sum(talk) || ' s, ' || sum(cost) || ' micros, '
                  || sum(unanswered) || ' unanswered, ' || sum(refused) || ' refused' AS expected
           FROM (SELECT day, trunk, calls, talk_seconds AS talk, cost_micros AS cost, unanswered, refused
                 FROM daily_trunk_totals
                 UNION ALL
                 SELECT local_day, trunk, -(state = 'settled'), -talk_seconds, -cost_micros, -(state = 'released'),
                        -(state = 'refused')
                 FROM booked_calls WHERE state IN ('settled', 'released', 'refused')) AS both_sides
           GROUP BY day, trunk
           HAVING sum(calls) <> 0 OR sum(talk) <> 0 OR sum(cost) <> 0 OR sum(unanswered) <> 0 OR sum(refused) <> 0""",
    ),
    *(
        _Check(
            f"{what} {{extension}}: the totals of {{found}} differ from its calls ({{expected}})",
            f"""SELECT {column} AS extension, day AS found,
                       sum(calls) || ' calls, ' || sum(talk) || ' s, ' || sum(cost) || ' micros' AS expected
                FROM (SELECT day, {column}, calls, talk_seconds AS talk, cost_micros AS cost FROM {table}
                      UNION ALL
                      SELECT local_day, {kept}, -1, -talk_seconds, -cost_micros FROM booked_calls
                      WHERE state = 'settled' AND {kept} IS NOT NULL) AS both_sides
                GROUP BY day, {column} HAVING sum(calls) <> 0 OR sum(talk) <> 0 OR sum(cost) <> 0""",  # noqa: S608
        )
        for what, table, column, kept in (
            ("hour", "daily_hour_totals", "hour", "local_hour"),
            ("destination", "daily_destination_totals", "destination", "destination"),
        )
    ),
    *(
        _Check(
            f"{kind} {{extension}}: what {{found}} was summed up to differs from its days ({{expected}})",
            f"""SELECT kept_key AS extension, period AS found,
                       {" || ', ' || ".join(f"sum({name})" for name in sums)} AS expected
                FROM (SELECT period, {key} AS kept_key, {", ".join(sums)} FROM finished_{kind}_totals
                      WHERE period IN (SELECT period FROM finished_periods WHERE period NOT LIKE '..%')
                      UNION ALL
                      SELECT period, {daily_key}, {", ".join(f"-{name}" for name in sums)} FROM daily_{kind}_totals
                      JOIN (SELECT period FROM finished_periods WHERE length(period) IN (4, 7))
                      ON day BETWEEN period || '-' AND period || '-~') AS both_sides
                GROUP BY period, kept_key HAVING {" OR ".join(f"sum({name}) <> 0" for name in sums)}""",  # noqa: S608
        )
        for kind, (key, daily_key, sums) in SUMMED_UP.items()
    ),
    *(
        _Check(
            f"{kind} {{extension}}: {{found}} differs from its month and the time before that ({{expected}})",
            f"""SELECT kept_key AS extension, '..' || month AS found,
                       {" || ', ' || ".join(f"sum({name})" for name in sums)} AS expected
                FROM (SELECT substr(period, 3) AS month, {key} AS kept_key, {", ".join(sums)}
                      FROM finished_{kind}_totals WHERE period LIKE '..%'
                      UNION ALL
                      SELECT period, {key}, {", ".join(f"-{name}" for name in sums)}
                      FROM finished_{kind}_totals WHERE length(period) = 7
                      UNION ALL
                      SELECT strftime('%Y-%m', substr(period, 3) || '-01', '+1 month'), {key},
                             {", ".join(f"-{name}" for name in sums)}
                      FROM finished_{kind}_totals WHERE period LIKE '..%') AS both_sides
                WHERE month IN (SELECT period FROM finished_periods WHERE length(period) = 7)
                AND '..' || month IN (SELECT period FROM finished_periods)
                GROUP BY month, kept_key HAVING {" OR ".join(f"sum({name}) <> 0" for name in sums)}""",  # noqa: S608
        )
        for kind, (key, _daily_key, sums) in SUMMED_UP.items()
    ),
    *(
        _Check(
            f"{kind} {{extension}}: {{found}} differs from the month before and its days ({{expected}})",
            f"""WITH times AS (
                    SELECT period, substr(period, 3, 7) AS month, substr(period, 3) AS until
                    FROM finished_periods AS summed WHERE length(period) = 12 AND NOT EXISTS (
                        SELECT 1 FROM daily_trunk_totals
                        WHERE day BETWEEN substr(summed.period, 3, 7) AND substr(summed.period, 3)
                        AND day NOT IN (SELECT period FROM finished_periods)))
                SELECT kept_key AS extension, period AS found,
                       {" || ', ' || ".join(f"sum({name})" for name in sums)} AS expected
                FROM (SELECT period, {key} AS kept_key, {", ".join(sums)}
                      FROM finished_{kind}_totals WHERE period IN (SELECT period FROM times)
                      UNION ALL
                      SELECT times.period, {key}, {", ".join(f"-{name}" for name in sums)}
                      FROM times JOIN finished_{kind}_totals AS before
                      ON before.period = '..' || strftime('%Y-%m', month || '-01', '-1 month')
                      UNION ALL
                      SELECT times.period, {daily_key}, {", ".join(f"-{name}" for name in sums)}
                      FROM times JOIN daily_{kind}_totals ON day BETWEEN month AND until)
                GROUP BY period, kept_key HAVING {" OR ".join(f"sum({name}) <> 0" for name in sums)}""",  # noqa: S608
        )
        for kind, (key, daily_key, sums) in SUMMED_UP.items()
    ),
    _Check(
        "all extensions: what {found} was summed up to differs from its days ({expected})",
        """SELECT '' AS extension, finished.period AS found,
                  finished.extensions || ' for ' || coalesce(counted.extensions, 0) || ' extensions, '
                  || finished.calls || ' for ' || coalesce(counted.calls, 0) || ' calls' AS expected
           FROM finished_periods AS finished LEFT JOIN (
               SELECT period, count(*) AS extensions, sum(calls) AS calls, sum(talk) AS talk, sum(cost) AS cost FROM (
                   SELECT period, extension, sum(calls) AS calls, sum(talk_seconds) AS talk, sum(cost_micros) AS cost
                   FROM (
                       SELECT finished_periods.period, account_id, daily.calls, daily.talk_seconds, daily.cost_micros
                       FROM finished_periods JOIN daily_extension_totals AS daily
                       ON day BETWEEN period AND period || '-~' WHERE period NOT LIKE '..%'
                       UNION ALL
                       SELECT period, account_id, calls, talk_seconds, cost_micros
                       FROM finished_extension_totals WHERE period LIKE '..%'
                   ) JOIN accounts ON accounts.id = account_id
                   GROUP BY period, extension HAVING sum(calls) > 0)
               GROUP BY period) AS counted ON counted.period = finished.period
           WHERE finished.extensions <> coalesce(counted.extensions, 0) OR finished.calls <> coalesce(counted.calls, 0)
           OR finished.talk_seconds <> coalesce(talk, 0) OR finished.cost_micros <> coalesce(cost, 0)""",
    ),
)


def audit(connection: sqlite3.Connection) -> list[Finding]:
    """Everything that is off, the first account first; empty for a sound database."""
    findings = [Finding(message) for message in (*_wrong_triggers(connection), *_missing_entries(connection))]
    for check in _CHECKS:
        findings += [Finding(check.sentence.format(**dict(row))) for row in connection.execute(check.query)]
    return findings


def _wrong_triggers(connection: sqlite3.Connection) -> list[str]:
    """The database's guards, compared word for word with those of a new one; one more would move money unseen."""
    present, known = _triggers(connection), _triggers(_new_database())
    altered = [
        f"the ledger's guard {name} is gone or altered"
        for name, definition in known.items()
        if present.get(name) != definition
    ]
    return altered + [f"the trigger {name} is not ours" for name in present if name not in known]


def _missing_entries(connection: sqlite3.Connection) -> list[str]:
    """Ids are given without gaps, so a ledger with fewer entries than ids has lost some."""
    given, present = connection.execute(
        "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'ledger'), 0), (SELECT count(*) FROM ledger)"
    ).fetchone()
    return [] if given == present else [f"{given - present} entries are missing from the ledger"]


def _triggers(connection: sqlite3.Connection) -> dict[str, str]:
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY name")
    return {row["name"]: row["sql"] for row in rows}


def _new_database() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.row_factory = sqlite3.Row
    migrate(connection)
    return connection
