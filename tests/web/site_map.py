"""Every page that the application has, with something to show on each: what holds for one holds for all."""

import json
import sqlite3

from flask import Flask

from coovox_billing.services import arrangements, passwords, payments, stays, trunks
from coovox_billing.services.owner import OWNER
from coovox_billing.store import people
from coovox_billing.store.database import Database
from tests import cast
from tests.web import story

# What stands for each argument of a route. A new argument gets its line here.
SAMPLES = {
    "backup": "billing-00000000-20260302T100000Z.tar.gz",
    "call_id": "guide-2",
    "entry_id": "2",
    "key": "gone",
    "kind": "csv",
    "name": "bill-k7m",
    "number": "100",
    "of_list": "extensions",
    "rate_id": "1",
    "search_id": "1",
    "stay_id": "1",
    "ticket": "stolen",
}
# What a page needs to be asked for.
ARGUMENTS = {
    "/call-log": "from=2026-03-01&to=2026-03-31",
    "/extensions/bulk-edit": "extension=100",
    "/extensions/recharge": "extension=100",
    "/lists/extensions/save": "status=locked",
    "/settings/emergency-numbers": "country=DE",
    "/statistics": "from=2026-03-01&to=2026-03-31",
}
# What says here that it cannot be: a file that is gone, an Asterisk that is not there. Their own tests open them.
GONE = "/addons/billing/backups/billing-00000000-20260302T100000Z.tar.gz"
HALF_WAY = {GONE, "/enter/stolen", "/extensions/sync", "/healthz", "/rate/import/gone"}
# Parts of pages, which are no page by themselves.
PIECES = {"/call-log/live"}
EVIL = f"<img src=x onerror=alert(1)>\"'{'W' * 60}"


def settle_in(database: Database) -> None:
    """A morning of calls, a guest who came and went, a trunk with a name."""
    story.tell(database)

    def job(connection: sqlite3.Connection) -> None:
        trunks.add(connection, "PJSIP/backup", "Backup", cast.MANAGER)
        payments.correct(connection, "100", -1_000_000, "typed twice", cast.MANAGER)
        stays.check_in(connection, "103", 5_000_000, "Guest", cast.MANAGER)
        stays.check_out(connection, "103", cast.MANAGER)

        hire(connection)
        arrangements.save_search(connection, OWNER, "extensions", "With debts", "sort=balance")

    database.write(job)


def hire(connection: sqlite3.Connection) -> None:
    """A cashier of a known name, with a second factor."""
    limits = {"recharge_limit_micros": 50_000_000, "daily_limit_micros": 200_000_000}
    people.insert_user(
        connection,
        name=SAMPLES["name"],
        remark="Ann, front desk",
        role="cashier",
        password=passwords.hashed("correct horse battery"),
        created_at_ms=cast.NOW_MS,
        **limits,
    )
    people.replace_second_factor(connection, SAMPLES["name"], "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
    people.confirm_second_factor(connection, SAMPLES["name"])


def paths(app: Flask, method: str = "GET") -> list[str]:
    """The address of each route that takes a method, samples in place of arguments."""
    found = []
    for rule in app.url_map.iter_rules():
        if rule.endpoint != "static" and method in (rule.methods or ()):
            missing = sorted(rule.arguments - SAMPLES.keys())
            assert not missing, f"{rule}: give {missing} a sample in tests/web/site_map.py"
            built = rule.build({name: SAMPLES[name] for name in rule.arguments})
            assert built, rule
            path = str(built[1])
            found.append(path + (f"?{ARGUMENTS[path]}" if path in ARGUMENTS else ""))
    return sorted(set(found))


def plant(connection: sqlite3.Connection) -> None:
    """Names, numbers, remarks and reasons that would be markup, and are too long for any column."""
    payments.correct(connection, "100", 100, EVIL, cast.MANAGER)
    for table, column in (
        ("accounts", "name"),
        ("calls", "trunk"),
        ("calls", "number"),
        ("changes", "actor"),
        ("changes", "origin"),
        ("changes", "what"),
        ("changes", "after"),
        ("people", "remark"),
        ("rates", "remark"),
        ("saved_searches", "name"),
        ("stays", "guest"),
        ("trunks", "name"),
    ):
        connection.execute(f"UPDATE {table} SET {column} = ?", (EVIL,))
    connection.execute("UPDATE calls SET why = ?", (json.dumps([EVIL]),))
