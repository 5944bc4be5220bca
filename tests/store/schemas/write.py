"""Writes the fixture of a schema: a small office with calls in every state, made by the code of the tree it runs in.

`git worktree add ../then COMMIT && cd ../then && PYTHONPATH=. python FIXTURES/write.py FIXTURES/0005.sql`, where COMMIT
is the last one with that schema. It has run in trees of all schemas since the first, so it asks what a tree has.
"""

import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import date
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests import cast
from tests.cast import MANAGER, NOW_MS, Exchange, parse_amount


def write(office: Exchange, job: Callable[[sqlite3.Connection], object]) -> None:
    office.database.write(job)


def calls_in_every_state(office: Exchange) -> None:
    office.set("currency", "USD")
    office.ask("talked")
    office.settle("talked", 238)
    office.ask("sales", "101", "0034911234567")
    office.settle("sales", 61)
    office.ask("locked", "102")
    office.ask("nobody", "100")
    office.give_up("nobody")
    office.ask("unbilled", "103", "965302387")
    office.settle("unbilled", 5)
    office.ask("no-rate", "100", "777")
    office.settle("alone", 75, device="PJSIP/101", alone="passed")
    office.ask("now", "101")
    office.recharge("100", "2.5")


def since_live_calls(office: Exchange) -> None:
    """Schema 2."""
    accounts: Any = import_module("coovox_billing.services.accounts")
    office.ask("talking", "100", "0034912345678", by_stretches=True)
    office.answer("talking")
    office.review(_talking=20)
    for extension in ("108", "109"):
        write(office, lambda c, number=extension: accounts.add(c, number, "Gone", MANAGER))
        office.recharge(extension, "3.25")
        write(office, lambda c, number=extension: accounts.close(c, number, MANAGER))
    trunks: Any = import_module("coovox_billing.services.trunks")
    write(office, lambda c: trunks.change(c, "PJSIP/carrier", {"free_seconds": 3}, MANAGER))


def since_whatever_dies(office: Exchange) -> None:
    """Schema 3."""
    for name in ("lost", "turned-up"):
        office.ask(name, "101")
        office.answer(name)
        office.lose(name, 30)
    office.settle("turned-up", 90)


def since_the_pages(office: Exchange) -> None:
    """Schema 4."""
    payments: Any = import_module("coovox_billing.services.payments")
    stays: Any = import_module("coovox_billing.services.stays")
    submissions: Any = import_module("coovox_billing.services.submissions")
    live_calls: Any = import_module("coovox_billing.services.live_calls")
    write(office, lambda c: payments.correct(c, "101", parse_amount("-0.75"), "counted wrong", MANAGER))
    write(office, lambda c: submissions.once(c, "token", NOW_MS, lambda c: "done"))
    entry = cast.look_up(office.database.path, "SELECT max(id) FROM ledger WHERE kind = 'recharge'")[0][0]
    write(office, lambda c: payments.undo(c, entry, "twice", MANAGER))
    accounts: Any = import_module("coovox_billing.services.accounts")
    for number, guest in (("201", "Guest"), ("202", "Staying")):
        write(office, lambda c, n=number: accounts.add(c, n, f"Room {n}", MANAGER))
        write(office, lambda c, n=number, g=guest: stays.check_in(c, n, parse_amount("20"), g, MANAGER))
    office.change("201", billing=True)
    office.ask("guest", "201")
    office.settle("guest", 100)
    write(office, lambda c: stays.check_out(c, "201", MANAGER))
    write(office, lambda c: live_calls.request_end(c, "talking", MANAGER))


def since_the_people(office: Exchange) -> None:
    """Schema 5; the trial began a day after the product's first release, on a device with one identifier."""
    people: Any = import_module("coovox_billing.services.people")
    factors: Any = import_module("coovox_billing.services.second_factor")
    licensing: Any = import_module("coovox_billing.services.licensing")
    pyotp: Any = import_module("pyotp")
    for role, limit_micros in (("manager", None), ("cashier", parse_amount("50")), ("auditor", None)):
        duty = people.Duty(people.parse_role(role), f"the {role}", limit_micros, None)
        write(office, lambda c, duty=duty: people.create(c, "scrypt$16$8$1$c2FsdA==$a2V5", duty, MANAGER))
    day_ms = 86_400_000
    person = replace(MANAGER, name="owner", now_ms=licensing.FIRST_RELEASED_MS + day_ms)
    secret = office.database.write(lambda c: factors.begin(c, person))
    code = pyotp.TOTP(secret).at(person.now_ms // 1000)
    write(office, lambda c: factors.confirm(c, code, person))
    device = licensing.Device("a board", (licensing.Identifier("mac", "00:11:22:33:44:55"),), None)
    build = licensing.Build("0.1.0", licensing.FIRST_RELEASED_MS, b"")
    site = licensing.Licensing(office.database, office.database.path.parent, device, build, lambda: person.now_ms)
    site.activate(person)


def since_the_archive(office: Exchange) -> None:
    """Schema 6; what was over is archived, and more is talked since."""
    archive: Any = import_module("coovox_billing.services.archive")
    shown = archive.Shown(("Call",), lambda row: (row["call_id"],))
    data = office.database.path.parent
    assert [*archive.Archive(office.database, data, data / "archive", shown).move(date(9999, 1, 1), MANAGER)]
    office.ask("since")
    office.settle("since", 238)
    office.ask("nobody-since", "100")
    office.give_up("nobody-since")
    office.ask("locked-since", "102")


def since_the_breakdowns(office: Exchange) -> None:
    """Schema 7; a call that a second trunk was tried for."""
    office.ask("two-trunks")
    office.give_up("two-trunks")
    office.ask("two-trunks", trunk="backup", stamp_ms=NOW_MS + 1)
    office.give_up("two-trunks", asked_ms=NOW_MS + 1)


def since_the_drafts(office: Exchange) -> None:
    """Schema 8; a tariff that is a draft, one that waits for its day, one that counts, and one that was taken back."""
    drafts: Any = import_module("coovox_billing.services.tariff_drafts")
    reads: Any = import_module("coovox_billing.store.reads")

    def add(connection: sqlite3.Connection, name: str, price_micros: int) -> int:
        dearer = [replace(rate, rate_micros=price_micros) for rate in reads.all_rates(connection)]
        return int(drafts.add(connection, name, dearer, MANAGER))

    def tell(connection: sqlite3.Connection) -> None:
        add(connection, "draft", 1)
        drafts.schedule(connection, add(connection, "next year", 2), NOW_MS + 86_400_000, MANAGER)
        for name in ("counts", "taken back"):
            draft = add(connection, name, 30_000)
            drafts.activate(connection, draft, MANAGER, drafts.plan(connection, draft).mark)
        drafts.take_back(connection, draft, MANAGER, drafts.plan_return(connection, draft).mark)

    write(office, tell)


def since_self_service(office: Exchange) -> None:
    """Schema 9; two have PINs, a guest came after a call of the one before."""
    self_service: Any = import_module("coovox_billing.services.self_service")
    stays: Any = import_module("coovox_billing.services.stays")
    hashes = {"100": "scrypt$16$8$1$c2FsdA==$a2V5", "202": "scrypt$16$8$1$c2FsdA==$a2V5"}
    write(office, lambda c: self_service.set_pins(c, hashes, MANAGER))
    office.change("201", billing=True)
    office.ask("staff", "201")
    office.settle("staff", 20)
    write(office, lambda c: stays.check_in(c, "201", parse_amount("20"), "Late guest", MANAGER))


def since_the_dashboard(office: Exchange) -> None:
    """Schema 10; a trunk that carries so many calls at once, and a call that no rate priced."""
    trunks: Any = import_module("coovox_billing.services.trunks")
    write(office, lambda c: trunks.add(c, "DAHDI/g1", "Lines", MANAGER, channels=4))
    office.ask("unpriced-since", number="7777")


def since_the_lists(office: Exchange) -> None:
    """Schema 11; somebody arranged the call log, and keeps a search of it."""
    arrangements: Any = import_module("coovox_billing.services.arrangements")
    write(office, lambda c: arrangements.turn_columns(c, "bill-k7m", "call-log", ["answered", "trunk"]))
    write(office, lambda c: arrangements.save_search(c, "bill-k7m", "call-log", "Month", "period=this-month"))


def since_the_finished_periods(office: Exchange) -> None:
    """Schema 12; a month was summed up, and a call was refused after that."""
    finished_periods: Any = import_module("coovox_billing.store.finished_periods")
    write(office, lambda c: finished_periods.finish(c, "2026-02"))
    write(office, lambda c: finished_periods.finish(c, "2026-03"))
    office.ask("refused-since", "102")
    write(office, lambda c: finished_periods.finish(c, "2025"))


def since_the_quicker_lists(office: Exchange) -> None:
    """Schema 13; all the time up to the end of a month was summed up."""
    finished_periods: Any = import_module("coovox_billing.store.finished_periods")
    write(office, lambda c: finished_periods.finish(c, "..2026-02"))


def since_the_sums_up_to_a_day(office: Exchange) -> None:
    """Schema 14; a day of a month that is not over was summed up."""
    finished_periods: Any = import_module("coovox_billing.store.finished_periods")
    write(office, lambda c: finished_periods.finish(c, "2026-03-02"))


STORIES = (
    calls_in_every_state,
    since_live_calls,
    since_whatever_dies,
    since_the_pages,
    since_the_people,
    since_the_archive,
    since_the_breakdowns,
    since_the_drafts,
    since_self_service,
    since_the_dashboard,
    since_the_lists,
    since_the_finished_periods,
    since_the_quicker_lists,
    since_the_sums_up_to_a_day,
)


def main() -> None:
    """Tell what this tree's schema has room for, and write it down."""
    with TemporaryDirectory() as folder:
        office = Exchange(Path(folder))
        schema = cast.look_up(office.database.path, "PRAGMA user_version")[0][0]
        for story in STORIES[:schema]:
            story(office)
        assert office.findings() == []
        office.database.close()
        with closing(sqlite3.connect(office.database.path)) as connection:
            lines = [*connection.iterdump()]
    lines.insert(len(lines) - 1, f"PRAGMA user_version = {schema};")
    text = "\n".join(lines).replace(folder, "/var/lib/coovox-billing")
    Path(sys.argv[1]).write_text(f"{text}\n", encoding="utf-8")
    print(schema, "written")


if __name__ == "__main__":
    main()
