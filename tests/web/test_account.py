"""*My account*: the own password, and signing in with a second factor."""

import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from coovox_billing.core.roles import Role
from coovox_billing.services import owner
from coovox_billing.services.accounts import Person
from coovox_billing.web import sessions
from coovox_billing.web.brake import CODES
from tests import cast
from tests.telephone import Telephone
from tests.web.conftest import NEW_PASSWORD, PASSWORD, Desk

ROOT = Path(__file__).resolve().parents[2]
PAGE = "/account/second-factor"
EVERYBODY = [Role.OWNER, Role.MANAGER, Role.CASHIER, Role.AUDITOR]


def secret(html: str) -> str:
    """The key that a page shows to be typed."""
    found = re.search(r'<dd class="figures key" id="key">([A-Z2-7 ]+)</dd>', html)
    assert found, html
    return found[1].replace(" ", "")


def send(desk: Desk, path: str, form: dict[str, str], browser: Any = None) -> Any:
    at = browser or desk.browser
    return at.post(path, data={"csrf": desk.form_token("/account", at), **form})


def set_up(desk: Desk) -> tuple[Telephone, list[str]]:
    """The telephone and the recovery codes of whoever is signed in."""
    assert send(desk, PAGE, {"password": PASSWORD}).location == PAGE
    telephone = Telephone(secret(desk.page(PAGE)))
    response = send(desk, f"{PAGE}/confirm", {"code": telephone.code(desk.now_ms)})
    assert response.status_code == 200, response.text
    desk.wait(60)
    return telephone, re.findall(r"<li>([a-z2-9-]{19})</li>", response.text)


def give_code(desk: Desk, code: str, browser: Any, **more: Any) -> Any:
    form = {"csrf": desk.form_token("/sign-in/code", browser), "code": code}
    return browser.post("/sign-in/code", data=form | more)


def at_the_code(desk: Desk, user: str, **options: Any) -> Any:
    """A browser that has given the right password and is asked for a code."""
    browser = desk.app.test_client()
    assert desk.sign_in(browser=browser, user=user, **options).location.startswith("/sign-in/code")
    return browser


@pytest.mark.parametrize("role", EVERYBODY)
def test_it_lets_everybody_change_the_own_password(desk: Desk, role: Role) -> None:
    name = desk.someone(role)
    assert desk.change_password().location == "/account"
    assert "The password is changed" in desk.page("/account")
    browser = desk.app.test_client()
    assert desk.sign_in(PASSWORD, browser, user=name).status_code == 422
    assert desk.sign_in(NEW_PASSWORD, browser, user=name).status_code == 303
    newest = cast.look_up(desk.database.path, "SELECT actor, what FROM changes ORDER BY id DESC LIMIT 1")
    assert newest == [(name, "owner password" if role == Role.OWNER else f"user {name}")]


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"current": "wrong password"}, "the current password is wrong"),
        ({"again": "something else"}, "differ"),
        ({"new": "short"}, "too short"),
        ({"new": "x1" * 101}, "too long"),
        ({"new": "a" * 12}, "repeated"),
        ({"new": PASSWORD}, "already"),
    ],
)
def test_it_refuses_a_bad_password_of_a_billing_user(desk: Desk, form: dict[str, str], words: str) -> None:
    name = desk.someone(Role.CASHIER)
    response = desk.change_password(**form)
    assert (response.status_code, words in response.text) == (422, True)
    assert desk.sign_in(PASSWORD, desk.app.test_client(), user=name).status_code == 303


def test_it_ends_a_user_s_other_sessions_with_the_password_and_nobody_else_s(desk: Desk) -> None:
    owners = desk.app.test_client()
    desk.sign_in(browser=owners)
    name, other = desk.someone(Role.CASHIER), desk.app.test_client()
    desk.sign_in(browser=other, user=name)
    desk.change_password()
    codes = [browser.get("/extensions").status_code for browser in (other, desk.browser, owners)]
    assert codes == [303, 200, 200]


def test_it_takes_a_user_name_as_people_write_it(desk: Desk) -> None:
    name = desk.add_user(Role.MANAGER)
    assert desk.sign_in(user=f" {name.upper()} ").status_code == 303


@pytest.mark.parametrize("user", ["bill-zzz", "nobody", "", "x" * 5_000, "<img src=x>", "' OR 1=1 --"])
def test_it_answers_an_unknown_user_as_a_wrong_password(desk: Desk, user: str) -> None:
    def answer(response: Any) -> tuple[int, str]:
        return response.status_code, re.sub(r'name="(csrf|user)" value="[^"]*"', "", response.text)

    name = desk.add_user(Role.MANAGER)
    known = desk.sign_in("wrong password", desk.app.test_client(), user=name)
    unknown = desk.sign_in("wrong password", desk.app.test_client(), user=user)
    assert answer(known) == answer(unknown)
    assert "<img src=x" not in unknown.text


def test_it_fills_in_the_owner_s_name_first_and_then_what_was_typed(desk: Desk) -> None:
    assert 'name="user" value="owner"' in desk.page("/sign-in")
    assert 'name="user" value="bill-abc"' in desk.sign_in("wrong password", user="bill-abc").text


def test_it_leads_nobody_to_a_page_that_is_not_for_him(desk: Desk) -> None:
    name = desk.add_user(Role.CASHIER)
    assert desk.sign_in(user=name, next_page="/rate").location == "/extensions"
    assert desk.sign_in(user=name, next_page="/account", browser=desk.app.test_client()).location == "/account"


def test_it_remembers_when_a_user_signed_in(desk: Desk) -> None:
    name = desk.add_user(Role.AUDITOR)
    desk.wait(3600)
    desk.sign_in(user=name)
    desk.database.write(lambda _: None)
    found = cast.look_up(desk.database.path, "SELECT signed_in_at_ms FROM people WHERE name = ?", [name])
    assert found == [(desk.now_ms,)]


@pytest.mark.parametrize("role", EVERYBODY)
def test_it_asks_for_a_code_once_it_is_set_up(desk: Desk, role: Role) -> None:
    name = desk.someone(role)
    telephone, codes = set_up(desk)
    assert len(codes) == 10
    browser = at_the_code(desk, name, next_page="/recharge-history")
    assert browser.get("/extensions").location.startswith("/sign-in")
    response = give_code(desk, telephone.code(desk.now_ms), browser, next="/recharge-history")
    assert (response.status_code, response.location) == (303, "/recharge-history")
    assert browser.get("/extensions").status_code == 200


@pytest.mark.parametrize("wrong", ["", "000000", "12345", "x" * 300, "\u0663" * 6])
def test_it_lets_nobody_in_with_a_wrong_code(desk: Desk, wrong: str) -> None:
    name = desk.someone(Role.MANAGER)
    set_up(desk)
    browser = at_the_code(desk, name)
    response = give_code(desk, wrong, browser)
    assert (response.status_code, "The code is wrong" in response.text) == (422, True)
    assert browser.get("/extensions").status_code == 303


def test_it_takes_a_code_and_a_recovery_code_once(desk: Desk) -> None:
    name = desk.someone(Role.MANAGER)
    telephone, codes = set_up(desk)
    for code in (telephone.code(desk.now_ms), codes[3]):
        assert give_code(desk, code, at_the_code(desk, name)).status_code == 303
        assert give_code(desk, code, at_the_code(desk, name)).status_code == 422
    assert "9 recovery codes are left" in desk.page(PAGE)


def test_it_slows_codes_down_at_every_place(desk: Desk) -> None:
    name = desk.someone(Role.MANAGER)
    telephone, _codes = set_up(desk)
    desk.app.wsgi_app = Elsewhere(desk.app.wsgi_app)  # type: ignore[method-assign]
    answers = [give_code(desk, "000000", at_the_code(desk, name)).status_code for _ in range(CODES.free)]
    assert answers == [422] * CODES.free
    refused = give_code(desk, telephone.code(desk.now_ms), at_the_code(desk, name))
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
    assert "Too many failures" in refused.text


class Elsewhere:
    """Every request comes from another address."""

    def __init__(self, app: Any) -> None:
        self._app, self._number = app, 0

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        self._number += 1
        return self._app(environ | {"REMOTE_ADDR": f"10.0.0.{self._number}"}, start_response)


def test_it_does_not_wait_for_a_code_for_ever(desk: Desk) -> None:
    name = desk.someone(Role.MANAGER)
    telephone, _codes = set_up(desk)
    browser = at_the_code(desk, name)
    token = {"csrf": desk.form_token("/sign-in/code", browser)}
    desk.wait(sessions.CODE_SECONDS + 1)
    response = browser.post("/sign-in/code", data=token | {"code": telephone.code(desk.now_ms)})
    assert response.location == "/sign-in"
    assert browser.get("/sign-in/code").location == "/sign-in"
    assert "took too long" in browser.get("/sign-in").text


def test_it_waits_for_no_code_after_the_password_was_changed(desk: Desk) -> None:
    name = desk.someone(Role.OWNER)
    set_up(desk)
    browser = at_the_code(desk, name)
    owner.set_password(desk.database, NEW_PASSWORD, cast.MANAGER)
    assert browser.get("/sign-in/code").location == "/sign-in"


def test_it_lets_a_user_in_at_once_while_the_database_is_locked(desk: Desk) -> None:
    name = desk.add_user(Role.AUDITOR)
    with cast.locked(desk.database.path):
        began = time.monotonic()
        assert desk.sign_in(user=name).status_code == 303
        assert "Reception" in desk.page("/extensions")
        assert time.monotonic() - began < 3


def test_it_asks_nobody_for_a_code_who_gave_no_password(desk: Desk) -> None:
    assert desk.browser.get("/sign-in/code").location == "/sign-in"


def test_it_ends_the_sessions_that_began_without_the_second_factor(desk: Desk) -> None:
    name, other = desk.someone(Role.MANAGER), desk.app.test_client()
    desk.sign_in(browser=other, user=name)
    set_up(desk)
    assert (other.get("/extensions").status_code, desk.browser.get("/extensions").status_code) == (303, 200)


def test_it_shows_the_key_to_nobody_who_does_not_know_the_password(desk: Desk) -> None:
    desk.someone(Role.MANAGER)
    response = send(desk, PAGE, {"password": "wrong password"})
    assert (response.status_code, "the password is wrong" in response.text) == (422, True)
    assert cast.look_up(desk.database.path, "SELECT * FROM second_factors") == []


def test_it_shows_the_key_until_it_is_confirmed_and_never_again(desk: Desk) -> None:
    desk.someone(Role.MANAGER)
    send(desk, PAGE, {"password": PASSWORD})
    html = desk.page(PAGE)
    key = secret(html)
    assert "<svg" in html
    assert "style=" not in html
    refused = send(desk, f"{PAGE}/confirm", {"code": "000000"})
    assert (refused.status_code, secret(refused.text)) == (422, key)
    confirmed = send(desk, f"{PAGE}/confirm", {"code": Telephone(key).code(desk.now_ms)})
    for text in (confirmed.text, desk.page(PAGE), desk.page("/account")):
        assert key not in text.replace(" ", "")


def test_it_says_so_when_the_first_code_is_sent_twice(desk: Desk) -> None:
    desk.someone(Role.MANAGER)
    send(desk, PAGE, {"password": PASSWORD})
    form = {"code": Telephone(secret(desk.page(PAGE))).code(desk.now_ms), "csrf": desk.form_token(PAGE)}
    desk.browser.post(f"{PAGE}/confirm", data=form)
    form["csrf"] = desk.form_token(PAGE)
    again = desk.browser.post(f"{PAGE}/confirm", data=form, follow_redirects=True)
    assert "It is on" in again.text
    assert "10 recovery codes are left" in again.text


def test_it_turns_off_and_makes_new_codes_for_whoever_knows_the_password_only(desk: Desk) -> None:
    name = desk.someone(Role.MANAGER)
    _telephone, old = set_up(desk)
    for path in ("recovery-codes", "off"):
        assert send(desk, f"{PAGE}/{path}", {"password": "wrong password"}).status_code == 422
    renewed = send(desk, f"{PAGE}/recovery-codes", {"password": PASSWORD})
    new = re.findall(r"<li>([a-z2-9-]{19})</li>", renewed.text)
    assert (len(new), set(new) & set(old)) == (10, set())
    assert send(desk, f"{PAGE}/off", {"password": PASSWORD}).location == PAGE
    assert desk.browser.get("/extensions").status_code == 200
    assert desk.sign_in(browser=desk.app.test_client(), user=name).location == "/extensions"
    again = send(desk, f"{PAGE}/off", {"password": PASSWORD})
    assert (again.status_code, "no second factor" in again.text) == (422, True)


def test_it_says_that_the_clock_is_wrong_and_takes_recovery_codes(desk: Desk) -> None:
    name = desk.someone(Role.OWNER)
    _telephone, codes = set_up(desk)
    desk.now_ms = 5_000
    browser = at_the_code(desk, name)
    assert "The clock of this machine is wrong" in browser.get("/sign-in/code").text
    assert give_code(desk, codes[0], browser).status_code == 303
    assert "1970-01-01" in browser.get(PAGE).text


def test_it_sets_nothing_up_by_a_wrong_clock(desk: Desk) -> None:
    desk.now_ms = 5_000
    desk.someone(Role.OWNER)
    response = send(desk, PAGE, {"password": PASSWORD})
    assert (response.status_code, "set the clock first" in response.text) == (422, True)


def test_it_tells_no_secret_in_logs_downloads_and_the_audit_log(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    name = desk.someone(Role.OWNER)
    telephone, codes = set_up(desk)
    browser = at_the_code(desk, name)
    give_code(desk, "999999", browser)
    give_code(desk, codes[0], browser)
    desk.sign_in("hunter2hunter2", desk.app.test_client(), user="my-own-password")
    told = caplog.text + browser.get("/audit-log.csv").text + browser.get("/audit-log").text
    for word in (telephone.secret, codes[0], codes[1], "999999", PASSWORD, "hunter2", "my-own-password"):
        assert word not in told, word
    assert "a wrong code for owner from 127.0.0.1" in caplog.text


def test_it_loads_what_makes_codes_only_when_it_is_asked_for() -> None:
    script = "import sys, coovox_billing.web; print(sorted({'flask', 'pyotp', 'segno'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout == "['flask']\n"


def test_it_tells_a_cashier_the_limits(desk: Desk) -> None:
    desk.someone(Role.CASHIER, limit="50", daily_limit="120")
    for words in ("$50.0000", "$120.0000"):
        assert words in desk.page("/account")


def test_it_notes_who_used_a_recovery_code(desk: Desk) -> None:
    name = desk.someone(Role.MANAGER)
    _telephone, codes = set_up(desk)
    give_code(desk, codes[0], at_the_code(desk, name))
    newest = cast.look_up(
        desk.database.path, "SELECT actor, origin, before, after FROM changes ORDER BY id DESC LIMIT 1"
    )
    author = Person(name, "127.0.0.1", desk.now_ms)
    assert newest == [(author.name, author.origin, '{"recovery_codes": 10}', '{"recovery_codes": 9}')]
