"""Every page that the application has, with something to show on each: what holds for one holds for all."""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import replace

from flask import Flask

from coovox_billing.services import arrangements, passwords, payments, self_service, stays, tariff_drafts, trunks
from coovox_billing.services import site as site_service
from coovox_billing.services.owner import OWNER
from coovox_billing.store import people, reads
from coovox_billing.store.database import Database
from tests import cast
from tests.web import story

# What stands for each argument of a route. A new argument gets its line here.
SAMPLES = {
    "backup": "billing-00000000-20260302T100000Z.tar.gz",
    "call_id": "guide-2",
    "draft_id": "1",
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
    "/extensions/pin": "extension=100",
    "/extensions/recharge": "extension=100",
    "/lists/extensions/save": "status=locked",
    "/settings/emergency-numbers": "country=DE",
    "/rate/drafts/1/what-if": "from=2026-03-01&to=2026-03-31",
    "/rate/drafts/1/what-if.csv": "from=2026-03-01&to=2026-03-31",
    "/self/calls": "from=2026-03-01&to=2026-03-31",
    "/statistics": "from=2026-03-01&to=2026-03-31",
}
# What says here that it cannot be: a file that is gone, an Asterisk that is not there. Their own tests open them.
GONE = "/addons/billing/backups/billing-00000000-20260302T100000Z.tar.gz"
HALF_WAY = {GONE, "/enter/stolen", "/extensions/sync", "/healthz", "/rate/import/gone"}
# Parts of pages, which are no page by themselves.
PIECES = {"/call-log/live", "/dashboard/head", "/dashboard/live-channels", "/dashboard/now"}
# Pages of another kind of session, for which `own_paths` are the map.
SELF_SERVICE = "/self"
PIN = "482915"
EVIL = f"<img src=x onerror=alert(1)>\"'{'W' * 60}"


def settle_in(database: Database) -> None:
    """A morning of calls, a guest who came and went, a trunk with a name."""
    story.tell(database)

    def job(connection: sqlite3.Connection) -> None:
        trunks.add(connection, "PJSIP/backup", "Backup", cast.MANAGER)
        payments.correct(connection, "100", -1_000_000, "typed twice", cast.MANAGER)
        stays.check_in(connection, "103", 5_000_000, "Guest", cast.MANAGER)
        stays.check_out(connection, "103", cast.MANAGER)
        make_drafts(connection)

        hire(connection)
        arrangements.save_search(connection, OWNER, "extensions", "With debts", "sort=balance")
        open_self_service(connection)

    database.write(job)


def make_drafts(connection: sqlite3.Connection) -> None:
    """A tariff that waits for its day, one that was activated, and, the first of all, one that is a draft."""
    dearer = [replace(rate, rate_micros=rate.rate_micros * 2) for rate in reads.all_rates(connection)]
    made = [tariff_drafts.add(connection, name, dearer, cast.MANAGER) for name in ("Spring", "New year", "Summer")]
    tariff_drafts.schedule(connection, made[1], cast.NOW_MS + 86_400_000, cast.MANAGER)
    tariff_drafts.activate(connection, made[2], cast.MANAGER, tariff_drafts.plan(connection, made[2]).mark)


def open_self_service(connection: sqlite3.Connection) -> None:
    """Reception has a PIN, and the site lets in with it."""
    site_service.change_setting(connection, "self_service", "pin", cast.MANAGER)
    self_service.set_pins(connection, {"100": passwords.hashed(PIN)}, cast.MANAGER)


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


def paths(app: Flask, method: str = "GET", samples: Mapping[str, str] = SAMPLES) -> list[str]:
    """The address of each route that takes a method, samples in place of arguments, but for self-service."""
    return [path for path in _every_path(app, method, samples) if not path.startswith(SELF_SERVICE)]


def own_paths(app: Flask, method: str = "GET") -> list[str]:
    """The addresses of self-service."""
    return [path for path in _every_path(app, method) if path.startswith(SELF_SERVICE)]


def _every_path(app: Flask, method: str, samples: Mapping[str, str] = SAMPLES) -> list[str]:
    found = []
    for rule in app.url_map.iter_rules():
        if rule.endpoint != "static" and method in (rule.methods or ()):
            missing = sorted(rule.arguments - SAMPLES.keys())
            assert not missing, f"{rule}: give {missing} a sample in tests/web/site_map.py"
            built = rule.build({name: samples[name] for name in rule.arguments})
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
        ("tariff_drafts", "name"),
        ("trunks", "name"),
    ):
        connection.execute(f"UPDATE {table} SET {column} = ?", (EVIL,))
    connection.execute("UPDATE calls SET why = ?", (json.dumps([EVIL]),))
