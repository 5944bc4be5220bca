"""Billing users: made, changed, let in or not, and how much a cashier may recharge."""

import json
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coovox_billing.core.money import LEDGER_STEP_MICROS, parse_amount
from coovox_billing.core.roles import BILLING_ROLES, Role
from coovox_billing.errors import BadInput, NotFound, Refused
from coovox_billing.services import passwords, payments, people, submissions
from coovox_billing.services.accounts import Person
from coovox_billing.services.people import Duty
from coovox_billing.store.database import Database
from tests import cast

OWNER = Person("owner", "192.0.2.1", cast.NOW_MS)
PASSWORD = "correct horse battery"
CASHIER = Duty(Role.CASHIER, "front desk", parse_amount("50"), parse_amount("120"))
DAY_MS = 86_400_000


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_COST_EXPONENT", 4)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with cast.move_in(tmp_path) as moved_in:
        yield moved_in


def add(database: Database, duty: Duty = CASHIER, password: str = PASSWORD) -> str:
    hashed = passwords.hashed(password)
    return database.write(lambda c: people.create(c, hashed, duty, OWNER))


def row(database: Database, name: str) -> dict[str, Any]:
    return dict(database.read(lambda c: people.find(c, name)))


def knows(database: Database, name: str, password: str = PASSWORD) -> bool:
    return people.authenticate(database, database.path.parent, name, password)


def person(name: str, now_ms: int = cast.NOW_MS) -> Person:
    return Person(name, "192.0.2.9", now_ms)


def recharge(database: Database, name: str, amount: str, now_ms: int = cast.NOW_MS, *others: str) -> None:
    numbers = ("100", *others)
    database.write(lambda c: payments.recharge_many(c, numbers, parse_amount(amount), person(name, now_ms)))


def balance(database: Database, extension: str = "100") -> int:
    return int(
        cast.look_up(database.path, "SELECT balance_micros FROM accounts WHERE extension = ?", [extension])[0][0]
    )


def last_changes(database: Database, number: int = 1) -> list[tuple[Any, ...]]:
    found = cast.look_up(
        database.path, f"SELECT actor, origin, what, before, after FROM changes ORDER BY id DESC LIMIT {number}"
    )
    return [(actor, origin, what, json.loads(old), json.loads(new)) for actor, origin, what, old, new in found]


@pytest.mark.parametrize("role", BILLING_ROLES)
def test_it_makes_a_user_of_each_role_with_a_name_as_in_the_guide(database: Database, role: Role) -> None:
    name = add(database, CASHIER if role == Role.CASHIER else Duty(role))
    assert re.fullmatch(r"bill-[a-hj-km-np-z2-9]{3}", name)
    assert row(database, name)["role"] == role
    assert knows(database, name)


def test_it_never_gives_a_name_twice(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    signs = iter("aaaaaaaabaabaac")
    monkeypatch.setattr("coovox_billing.services.people.secrets.choice", lambda _: next(signs))
    assert [add(database) for _ in range(3)] == ["bill-aaa", "bill-aab", "bill-aac"]


def test_it_refuses_users_without_end(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "MOST_USERS", 2)
    add(database)
    add(database)
    with pytest.raises(Refused, match="there are 2 billing users"):
        add(database)


@pytest.mark.parametrize(
    ("duty", "words"),
    [
        (replace(CASHIER, recharge_limit_micros=None), "a cashier needs a limit"),
        (replace(CASHIER, recharge_limit_micros=0), "above 0"),
        (replace(CASHIER, daily_limit_micros=-100), "above 0"),
        (replace(CASHIER, recharge_limit_micros=LEDGER_STEP_MICROS - 1), "above 0"),
        (replace(CASHIER, recharge_limit_micros=10**30), "above 0"),
        (replace(CASHIER, role=Role.MANAGER), "only a cashier"),
        (Duty(Role.AUDITOR, "x", None, 1_000_000), "only a cashier"),
        (Duty(Role.OWNER), "is no role"),
        (Duty(Role.ANYBODY), "is no role"),
        (Duty(remark="x" * 81), "80 printable"),
        (Duty(remark="a\nb"), "80 printable"),
    ],
)
def test_it_refuses_a_duty_that_cannot_be(database: Database, duty: Duty, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        add(database, duty)
    name = add(database)
    before = row(database, name)
    with pytest.raises(BadInput, match=words):
        database.write(lambda c: people.assign(c, name, duty, OWNER))
    assert row(database, name) == before


def test_it_keeps_users_and_their_names_for_good(database: Database) -> None:
    name = add(database)
    for statement in ("DELETE FROM people", "UPDATE people SET name = 'bill-zzz'"):
        with pytest.raises(sqlite3.IntegrityError, match="audit log"):
            database.write(lambda c, s=statement: c.execute(s))
    assert row(database, name)["name"] == name


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE people SET role = 'owner'",
        "UPDATE people SET role = 'manager'",
        "UPDATE people SET recharge_limit_micros = NULL",
        "UPDATE people SET recharge_limit_micros = 0",
        "UPDATE people SET enabled = 2",
    ],
)
def test_it_refuses_what_no_user_can_be(database: Database, statement: str) -> None:
    add(database)
    with pytest.raises(sqlite3.IntegrityError):
        database.write(lambda c: c.execute(statement))


def test_it_tells_the_audit_log_each_change_and_no_password(database: Database) -> None:
    name = add(database)
    duty = Duty(Role.MANAGER, "office")
    hashed = passwords.hashed("staple horse battery")
    database.write(lambda c: people.assign(c, name, duty, OWNER))
    database.write(lambda c: people.set_password(c, name, hashed, OWNER))
    database.write(lambda c: people.switch(c, name, False, OWNER))
    database.write(lambda c: people.switch(c, name, False, OWNER))
    database.write(lambda c: people.switch(c, name, True, OWNER))
    who = ("owner", "192.0.2.1", f"user {name}")
    limits = {"recharge_limit_micros": 50_000_000, "daily_limit_micros": 120_000_000}
    assert last_changes(database, 5) == [
        (*who, {"enabled": False}, {"enabled": True}),
        (*who, {"enabled": True}, {"enabled": False}),
        (*who, {}, {"password": "changed"}),
        (
            *who,
            {"role": "cashier", "remark": "front desk", **limits},
            {"role": "manager", "remark": "office", "recharge_limit_micros": None, "daily_limit_micros": None},
        ),
        (*who, {}, {"role": "cashier", "remark": "front desk", **limits}),
    ]
    assert "scrypt" not in str(cast.look_up(database.path, "SELECT * FROM changes"))


@pytest.mark.parametrize("change", ["assign", "set_password", "switch"])
def test_it_knows_no_user_who_is_not_there(database: Database, change: str) -> None:
    jobs: dict[str, Any] = {
        "assign": lambda c: people.assign(c, "bill-zzz", Duty(), OWNER),
        "set_password": lambda c: people.set_password(c, "bill-zzz", "scrypt$", OWNER),
        "switch": lambda c: people.switch(c, "bill-zzz", False, OWNER),
    }
    with pytest.raises(NotFound, match="bill-zzz"):
        database.write(jobs[change])


def test_it_ends_sessions_with_a_password_a_role_and_a_disabling_but_not_with_a_limit(database: Database) -> None:
    name = add(database)
    hashed = passwords.hashed("staple horse battery")
    epochs = []
    jobs: list[Any] = [
        lambda c: people.assign(c, name, replace(CASHIER, remark="night"), OWNER),
        lambda c: people.set_password(c, name, hashed, OWNER),
        lambda c: people.assign(c, name, Duty(Role.AUDITOR), OWNER),
        lambda c: people.switch(c, name, False, OWNER),
        lambda c: people.switch(c, name, True, OWNER),
    ]
    for job in jobs:
        database.write(job)
        epochs.append(row(database, name)["session_epoch"])
    assert epochs == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("wrong", ["", "wrong password", PASSWORD + "x", PASSWORD.upper(), "x" * 100_000])
def test_it_lets_nobody_in_with_a_wrong_password(database: Database, wrong: str) -> None:
    assert not knows(database, add(database), wrong)


@pytest.mark.parametrize("name", ["bill-zzz", "", "root", "Owner", "bill-\udcff", "' OR 1=1 --"])
def test_it_tries_an_unknown_user_as_long_as_a_known_one(
    database: Database, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, tried = add(database), list[Any]()
    scrypt = passwords._scrypt

    def counted(password: str, salt: bytes, *cost: int) -> bytes:
        tried.append((password, len(salt), cost))
        return scrypt(password, salt, *cost)

    monkeypatch.setattr(passwords, "_scrypt", counted)
    assert not knows(database, known, "wrong password")
    assert not knows(database, name, "wrong password")
    assert len(tried) == 2
    assert tried[0] == tried[1]


def test_it_says_that_a_user_is_disabled_to_whoever_knows_the_password_only(database: Database) -> None:
    name = add(database)
    database.write(lambda c: people.switch(c, name, False, OWNER))
    assert not knows(database, name, "wrong password")
    with pytest.raises(Refused, match="disabled"):
        knows(database, name)
    database.write(lambda c: people.switch(c, name, True, OWNER))
    assert knows(database, name)


def test_it_lets_a_cashier_recharge_up_to_the_limit(database: Database) -> None:
    name = add(database)
    recharge(database, name, "50")
    with pytest.raises(Refused, match=r"50\.0001 is more than the 50\.0000 that you may recharge at once"):
        recharge(database, name, "50.0001")
    assert balance(database) == parse_amount("60")


def test_it_holds_the_sum_of_many_against_the_limit(database: Database) -> None:
    name = add(database)
    recharge(database, name, "25", cast.NOW_MS, "101")
    with pytest.raises(Refused, match=r"50\.0002 is more than the 50\.0000"):
        recharge(database, name, "25.0001", cast.NOW_MS, "101")
    assert (balance(database), balance(database, "101")) == (parse_amount("35"), parse_amount("25"))


def test_it_counts_an_extension_that_is_named_twice_once(database: Database) -> None:
    recharge(database, add(database), "50", cast.NOW_MS, "100", "100")
    assert balance(database) == parse_amount("60")


def test_it_lets_a_cashier_recharge_a_day_s_limit_a_day(database: Database) -> None:
    name = add(database)
    recharge(database, name, "50")
    recharge(database, name, "50")
    with pytest.raises(Refused, match=r"20\.0001 is more than the 20\.0000 that are left of the 120\.0000"):
        recharge(database, name, "20.0001")
    recharge(database, name, "20")
    with pytest.raises(Refused, match=r"0\.0001 is more than the 0\.0000 that are left"):
        recharge(database, name, "0.0001")
    recharge(database, add(database), "50")
    recharge(database, name, "50", cast.NOW_MS + DAY_MS)


def test_it_begins_the_day_at_the_site_s_midnight(database: Database) -> None:
    name = add(database)
    midnight_ms = cast.NOW_MS + 14 * 3_600_000
    for now_ms in (midnight_ms - 2, midnight_ms - 1):
        recharge(database, name, "50", now_ms)
    with pytest.raises(Refused):
        recharge(database, name, "50", midnight_ms - 1)
    recharge(database, name, "50", midnight_ms)


def test_it_gives_the_day_back_what_a_manager_took_back(database: Database) -> None:
    name = add(database)
    for _ in range(2):
        recharge(database, name, "50")
    entry = int(cast.look_up(database.path, "SELECT max(id) FROM ledger")[0][0])
    database.write(lambda c: payments.undo(c, entry, "typed twice", cast.MANAGER))
    recharge(database, name, "50")
    recharge(database, name, "20")
    with pytest.raises(Refused):
        recharge(database, name, "0.0001")


def test_it_counts_a_form_that_is_sent_twice_once(database: Database) -> None:
    name = add(database)

    def send() -> bool:
        def job(connection: sqlite3.Connection) -> str:
            payments.recharge(connection, "100", parse_amount("50"), person(name))
            return "done"

        return database.write(lambda c: submissions.once(c, "token", cast.NOW_MS, job))[1]

    assert [send(), send(), send()] == [True, False, False]
    assert balance(database) == parse_amount("60")


def test_it_lets_a_cashier_neither_correct_nor_undo(database: Database) -> None:
    name = add(database)
    recharge(database, name, "5")
    entry = int(cast.look_up(database.path, "SELECT max(id) FROM ledger")[0][0])
    for role in (Role.CASHIER, Role.AUDITOR):
        duty = CASHIER if role == Role.CASHIER else Duty(role)
        database.write(lambda c, duty=duty: people.assign(c, name, duty, OWNER))
        with pytest.raises(Refused, match="ask a manager"):
            database.write(lambda c: payments.correct(c, "100", 1_000_000, "because", person(name)))
        with pytest.raises(Refused, match="ask a manager"):
            database.write(lambda c: payments.undo(c, entry, "because", person(name)))
    assert balance(database) == parse_amount("15")


def test_it_lets_an_auditor_recharge_nothing(database: Database) -> None:
    name = add(database, Duty(Role.AUDITOR))
    with pytest.raises(Refused, match="your role"):
        recharge(database, name, "0.0001")


def test_it_takes_nothing_from_a_user_who_was_disabled_meanwhile(database: Database) -> None:
    for duty in (CASHIER, Duty(Role.MANAGER)):
        name = add(database, duty)
        database.write(lambda c, name=name: people.switch(c, name, False, OWNER))
        with pytest.raises(Refused, match="disabled"):
            recharge(database, name, "1")


@pytest.mark.parametrize("who", ["owner", "terminal:root"])
def test_it_limits_neither_managers_nor_the_owner(database: Database, who: str) -> None:
    for name in (who, add(database, Duty(Role.MANAGER))):
        recharge(database, name, "100000", cast.NOW_MS, "101")
        database.write(lambda c, name=name: payments.correct(c, "100", -1_000_000, "because", person(name)))


STEPS = st.lists(
    st.tuples(st.integers(1, 700_000), st.integers(1, 3), st.integers(0, 2)).map(
        lambda step: (step[0] * LEDGER_STEP_MICROS, step[1], step[2])
    ),
    max_size=12,
)


@settings(max_examples=40)
@given(steps=STEPS)
def test_it_never_lets_a_cashier_past_a_limit_and_refuses_nothing_within(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int, int]]
) -> None:
    with cast.move_in(tmp_path_factory.mktemp("site")) as database:
        name, spent = add(database), {0: 0, 1: 0, 2: 0}
        for amount_micros, number, day in steps:
            sum_micros, numbers = amount_micros * number, ["100", "101", "102"][:number]
            fits = sum_micros <= parse_amount("50") and spent[day] + sum_micros <= parse_amount("120")
            cashier = person(name, cast.NOW_MS + day * DAY_MS)
            try:
                database.write(lambda c, n=numbers, a=amount_micros, p=cashier: payments.recharge_many(c, n, a, p))
            except Refused:
                assert not fits
            else:
                assert fits
                spent[day] += sum_micros
        posted = cast.look_up(
            database.path, "SELECT coalesce(sum(amount_micros), 0) FROM ledger WHERE actor = ?", [name]
        )
        assert posted == [(sum(spent.values()),)]
        assert cast.audited(database.path) == []
