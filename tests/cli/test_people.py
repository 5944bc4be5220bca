"""`billing-user` and the owner's second factor, as a firmware uses them."""

from __future__ import annotations

import json
import re

import pytest

from coovox_billing.services import people, second_factor
from coovox_billing.services.accounts import Person
from coovox_billing.store.database import open_database
from coovox_billing.wall_clock import wall_clock_ms
from tests.cli.conftest import Terminal
from tests.telephone import Telephone


def create(terminal: Terminal, *options: str) -> tuple[str, str]:
    """The name and the password of a new user."""
    made = json.loads(terminal.do("billing-user", "create", "--json", *options))
    return made["name"], made["password"]


def signs_in(terminal: Terminal, name: str, password: str) -> bool:
    directory = terminal.folder / "data"
    with open_database(directory) as database:
        return people.authenticate(database, directory, name, password)


def set_up_second_factor(terminal: Terminal, name: str) -> None:
    person = Person(name, "192.0.2.9", wall_clock_ms())
    with open_database(terminal.folder / "data") as database:
        code = Telephone(database.write(lambda c: second_factor.begin(c, person))).code(person.now_ms)
        database.write(lambda c: second_factor.confirm(c, code, person))


def test_it_makes_a_manager_who_can_sign_in(terminal: Terminal) -> None:
    said = terminal.do("billing-user", "create")
    found = re.fullmatch(r"(bill-[a-z2-9]{3}) signs in with the password (\S{19}): it is not shown again\n", said)
    assert found, said
    assert signs_in(terminal, found[1], found[2])
    assert found[2] not in terminal.do("billing-user", "list")


def test_it_lists_users_with_what_they_may(terminal: Terminal) -> None:
    assert "billing-user create" in terminal.do("billing-user", "list")
    name, _ = create(terminal, "--role", "cashier", "--limit", "50", "--daily-limit", "120.5", "--remark", "Ann")
    create(terminal, "--role", "auditor")
    set_up_second_factor(terminal, name)
    cashier, auditor = terminal.read("billing-user", "list")
    assert re.match(r"20\d\d-\d\d-\d\dT", cashier.pop("created_at"))
    assert cashier == {
        "name": name,
        "role": "cashier",
        "enabled": True,
        "remark": "Ann",
        "recharge_limit": "50.0000",
        "daily_limit": "120.5000",
        "second_factor": True,
        "signed_in_at": None,
    }
    assert (auditor["role"], auditor["recharge_limit"], auditor["second_factor"]) == ("auditor", None, False)


def test_it_changes_a_role_and_keeps_the_remark(terminal: Terminal) -> None:
    name, _ = create(terminal, "--remark", "Ann")
    assert (
        terminal.do("billing-user", "set-role", name, "--role", "cashier", "--limit", "5") == f"{name} is now cashier\n"
    )
    (user,) = terminal.read("billing-user", "list")
    assert (user["role"], user["remark"], user["recharge_limit"]) == ("cashier", "Ann", "5.0000")


def test_it_makes_a_new_password(terminal: Terminal) -> None:
    name, old = create(terminal)
    new = json.loads(terminal.do("billing-user", "reset-password", name, "--json"))["password"]
    assert (signs_in(terminal, name, old), signs_in(terminal, name, new)) == (False, True)


def test_it_disables_and_enables(terminal: Terminal) -> None:
    name, password = create(terminal)
    terminal.do("billing-user", "disable", name)
    assert [user["enabled"] for user in terminal.read("billing-user", "list")] == [False]
    terminal.do("billing-user", "enable", name)
    assert signs_in(terminal, name, password)


def test_it_resets_second_factors(terminal: Terminal) -> None:
    name, _ = create(terminal)
    for whose, words in (
        (name, ("billing-user", "reset-second-factor", name)),
        ("owner", ("owner", "reset-second-factor")),
    ):
        assert "no second factor" in terminal.refused(*words)
        set_up_second_factor(terminal, whose)
        assert "password alone" in terminal.do(*words)
        assert "no second factor" in terminal.refused(*words)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("create --role boss", "write manager or cashier or auditor"),
        ("create --role owner", "is no role"),
        ("create --role cashier", "a cashier needs a limit"),
        ("create --limit 5", "only a cashier"),
        ("create --role cashier --limit much", "much"),
        ("create --role cashier --limit 0", "above 0"),
        ("set-role bill-zzz --role auditor", "no billing user bill-zzz: `billing-user list` shows all"),
        ("reset-password bill-zzz", "no billing user"),
        ("disable owner", "no billing user owner"),
        ("enable bill-zzz", "no billing user"),
        ("reset-second-factor bill-zzz", "no billing user"),
    ],
)
def test_it_refuses_with_a_line(terminal: Terminal, words: str, line: str) -> None:
    assert line in terminal.refused("billing-user", *words.split())
    assert terminal.read("billing-user", "list") == []


def test_it_names_the_terminal_in_the_audit_log(terminal: Terminal) -> None:
    name, _ = create(terminal)
    with open_database(terminal.folder / "data") as database:
        newest = database.read(lambda c: c.execute("SELECT * FROM changes ORDER BY id DESC").fetchone())
    assert (newest["actor"].partition(":")[0], newest["origin"], newest["what"]) == (
        "terminal",
        "terminal",
        f"user {name}",
    )
