"""Self-service: a person sees the own account and nothing else, and nobody gets in who has not the PIN."""

import csv
import io
import logging
import re
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from flask.testing import FlaskClient
from openpyxl import load_workbook

from coovox_billing.core.clock import UNKNOWN
from coovox_billing.core.roles import Role
from coovox_billing.core.trial import TRIAL_MS
from coovox_billing.errors import SetupError
from coovox_billing.services import accounts, calls, passwords, payments, self_service, settlement, stays
from coovox_billing.services import site as site_service
from coovox_billing.services.accounts import Person
from coovox_billing.store import writes
from coovox_billing.web import sessions, words
from coovox_billing.web.access import roles_of
from coovox_billing.web.headers import POLICY
from coovox_billing.web.pin_brake import EXTENSION_AT_PLACE
from tests import cast
from tests.web import site_map, story
from tests.web.conftest import Desk
from tests.web.forms import forms
from tests.web.site_map import PIN, own_paths
from tests.web.test_access import kept, routes, targets
from tests.web.test_addons import switch
from tests.web.test_languages import SAME_EVERYWHERE, _Marked, given_names, unsaid

OWN_PAGES = ("/self", "/self/calls", "/self/statement", "/self/sign-in")
# What a session of self-service may ask for, written a second time.
PERSONS = """
GET /self GET /self/calls GET /self/calls.<kind> GET /self/statement POST /self/sign-out
GET /self/sign-in POST /self/sign-in GET /sign-in POST /sign-in GET /sign-in/code POST /sign-in/code
POST /theme POST /language GET /healthz GET /enter/<ticket> POST /enter/<ticket>
"""
HERE = {"REMOTE_ADDR": "192.0.2.1"}
ELSEWHERE = {"REMOTE_ADDR": "198.51.100.7"}


@pytest.fixture
def lobby(desk: Desk) -> Desk:
    """There was a morning of calls, and reception has a PIN; nobody is signed in."""
    site_map.settle_in(desk.database)
    desk.now_ms += 3_600_000
    return desk


@pytest.fixture
def reception(lobby: Desk) -> Desk:
    """Reception is signed in to self-service."""
    assert sign_in(lobby).status_code == 303
    return lobby


def sign_in(
    desk: Desk, extension: str = "100", pin: str = PIN, browser: FlaskClient | None = None, **options: Any
) -> Any:
    """Fill in the form and send it."""
    at = browser or desk.browser
    path = f"{desk.prefix}/self/sign-in"
    form = {"csrf": desk.form_token(path, at, **options), "extension": extension, "pin": pin}
    return at.post(path, data=form, **options)


def do(desk: Desk, job: Callable[[sqlite3.Connection], object]) -> None:
    desk.database.write(job)


def someone_now(desk: Desk) -> Person:
    return Person("bill-ann", "terminal", desk.now_ms)


def give_pin(desk: Desk, extension: str, pin: str) -> None:
    hashed = passwords.hashed(pin)
    do(desk, lambda connection: self_service.set_pins(connection, {extension: hashed}, someone_now(desk)))


def setting(desk: Desk, name: str, value: str) -> None:
    do(desk, lambda connection: site_service.change_setting(connection, name, value, cast.MANAGER))


def is_in(desk: Desk) -> bool:
    return desk.browser.get("/self").status_code == 200


def numbers(html: str) -> list[str]:
    """The numbers that a list of calls shows."""
    return re.findall(r"<bdi>([^<]*)</bdi>", html)


def all_calls(desk: Desk) -> list[str]:
    return numbers(desk.page("/self/calls?from=2026-03-01&to=2026-03-31"))


# switched off


def test_it_is_switched_off_until_it_is_switched_on(owner_desk: Desk) -> None:
    for path in (*own_paths(owner_desk.app), *own_paths(owner_desk.app, "POST")):
        for browser in (owner_desk.browser, owner_desk.app.test_client()):
            answer = browser.get(path)
            assert answer.status_code in (404, 405), path
    answer = owner_desk.browser.post("/self/sign-in", data={"extension": "100", "pin": PIN})
    assert (answer.status_code, "switched off" in answer.text) == (404, True)


def test_it_ends_for_who_is_in_when_it_is_switched_off(reception: Desk) -> None:
    assert is_in(reception)
    setting(reception, "self_service", "off")
    assert reception.browser.get("/self").status_code == 404
    setting(reception, "self_service", "pin")
    assert not is_in(reception)


# what is shown


def test_it_shows_what_there_is_to_call_with(reception: Desk) -> None:
    do(reception, lambda c: accounts.change(c, "100", {"credit_micros": 5_000_000}, cast.MANAGER))
    html = reception.page("/self")
    shown = dict(re.findall(r"<dt>(\w+)</dt><dd[^>]*>([^<]*)</dd>", html))
    ((balance, credit, held),) = cast.look_up(
        reception.database.path,
        "SELECT balance_micros, credit_micros, held_micros FROM accounts WHERE extension = '100'",
    )
    expected = {"Available": balance + credit - held, "Balance": balance, "Credit": credit, "Held": held}
    assert {name: shown[name] for name in expected} == {
        name: f"${micros / 1_000_000:.4f}" for name, micros in expected.items()
    }
    assert "Prepaid" in html
    assert "Reception" in html


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"status": "locked"}, "Your extension is locked"),
        ({"billing": False}, "Your calls cost nothing"),
        ({"payment_type": "postpaid"}, "Postpaid"),
        ({"name": "<img src=x onerror=alert(1)>"}, "&lt;img src=x"),
    ],
)
def test_it_says_what_becomes_of_calls(reception: Desk, changes: dict[str, object], says: str) -> None:
    do(reception, lambda c: accounts.change(c, "100", changes, cast.MANAGER))
    assert says in reception.page("/self")


def test_it_says_that_nothing_is_left(reception: Desk) -> None:
    do(reception, lambda c: payments.correct(c, "100", -8_000_000, "spent", cast.MANAGER))
    rest = cast.look_up(reception.database.path, "SELECT balance_micros FROM accounts WHERE extension = '100'")[0][0]
    do(reception, lambda c: payments.correct(c, "100", -rest, "spent", cast.MANAGER))
    assert "nothing left to call with" in reception.page("/self")


def test_it_lists_the_own_calls_and_no_others(reception: Desk) -> None:
    assert all_calls(reception) == ["988360046", "988360046", "965302387"]
    for more in ("&keywords=101", "&extension=101", "&account=2&trunk=FXO-1"):
        html = reception.page(f"/self/calls?from=2026-03-01&to=2026-03-31{more}")
        assert numbers(html) == ["988360046", "988360046", "965302387"], more
        assert "0034911234567" not in html


def test_it_sums_what_it_lists(reception: Desk) -> None:
    html = reception.page("/self/calls?from=2026-03-01&to=2026-03-31")
    costs = [round(float(cost) * 10_000) for cost in re.findall(r'lead[^>]*data-label="Cost[^>]*>([\d.]+)<', html)]
    assert sum(costs[:-1]) == costs[-1] > 0


def test_it_begins_with_the_calls_of_the_last_month(reception: Desk) -> None:
    assert reception.leads_to("/self/calls") == "/self/calls?from=2026-02-01&to=2026-03-02"


@pytest.mark.parametrize(
    ("words", "found", "says"),
    [
        ("from=2026-03-02&to=2026-03-02", 3, ""),
        ("from=2026-03-03&to=2026-03-31", 0, "No call in this time"),
        ("to=2026-03-02", 3, ""),
        ("from=2025-01-01&to=2026-03-02", 3, "up to 366 days at once"),
        ("from=2025-03-02&to=2026-03-02", 3, ""),
        ("from=never&to=2026-03-02", 3, "write a day like 2026-03-01"),
        ("from=2026-03-31&to=2026-03-01", 0, ""),
        ("from=1970-01-01&to=1970-01-02", 0, ""),
        ("page=99&per_page=10&to=2026-03-31&from=2026-03-01", 3, ""),
    ],
)
def test_it_never_looks_further_than_a_year(reception: Desk, words: str, found: int, says: str) -> None:
    html = reception.page(f"/self/calls?{words}")
    assert len(numbers(html)) == found
    assert says in html


def test_it_sends_the_same_as_files(reception: Desk) -> None:
    words = "from=2026-03-01&to=2026-03-31"
    answer = reception.browser.get(f"/self/calls.csv?{words}")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="calls-100.csv"'
    rows = list(csv.reader(io.StringIO(answer.text.lstrip("\ufeff"))))
    assert rows[:3] == [["Extension", "100"], ["From", "2026-03-01"], ["To", "2026-03-31"]]
    assert rows[5] == ["Start Time", "Call To", "Duration", "Cost($)", "Status"]
    calls, total = rows[6:-1], rows[-1]
    assert [row[1] for row in calls] == all_calls(reception)
    assert total[0] == "Total"
    assert total[3] in reception.page(f"/self/calls?{words}")
    book = load_workbook(io.BytesIO(reception.browser.get(f"/self/calls.xlsx?{words}").data))
    assert [row[1].value for row in book.active.iter_rows(min_row=7) if row[1].value] == all_calls(reception)


def test_a_person_who_downloads_takes_no_place_from_the_manager(reception: Desk) -> None:
    browser = reception.app.test_client()
    reception.sign_in(browser=browser)
    waiting = reception.browser.get("/self/calls.csv?from=2026-03-01", buffered=False)
    again = reception.browser.get("/self/calls.csv?from=2026-03-01")
    others = [browser.get("/call-log.csv?from=2026-03-01", buffered=False) for _ in range(2)]
    assert (again.status_code, [one.status_code for one in others]) == (503, [200, 200])
    for one in (*reversed(others), waiting):
        one.close()
    assert reception.browser.get("/self/calls.csv?from=2026-03-01").status_code == 200


def test_the_statement_is_the_manager_s_bill(reception: Desk) -> None:
    browser = reception.app.test_client()
    reception.sign_in(browser=browser)
    bill = re.search(r'<section class="sheet bill">.*?</section>', browser.get("/extension/100/check-out").text, re.S)
    own = re.search(r'<section class="sheet bill">.*?</section>', reception.page("/self/statement"), re.S)
    assert bill and own
    assert own[0] == bill[0]


# the door


def same(html: str) -> str:
    """A page without what differs each time: the token, and what was typed."""
    return re.sub(r'name="csrf" value="[^"]*"|name="extension" value="[^"]*"| autofocus', "", html)


WRONG = [("100", "482916"), ("100", ""), ("101", PIN), ("999", PIN), ("", ""), ("100 ", "x" * 50), ("1' OR 1=1", PIN),
         ("100", "\u0664\u0668\u0662\u0669\u0661\u0665"), ("\u0661\u0660\u0660", PIN), ("100\x00", PIN),
         ("x" * 5000, PIN)]  # fmt: skip


@pytest.mark.parametrize(("extension", "pin"), WRONG)
def test_it_tells_a_wrong_extension_from_a_wrong_pin_in_no_way(
    lobby: Desk, extension: str, pin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[str] = []
    scrypt = passwords._scrypt
    monkeypatch.setattr(passwords, "_scrypt", lambda *made: hashed.append("once") or scrypt(*made))
    expected = sign_in(lobby, "100", "7351")
    answer = sign_in(lobby, extension, pin)
    assert (answer.status_code, same(answer.text)) == (422, same(expected.text))
    assert "The extension or the PIN is wrong." in answer.text
    assert hashed == ["once", "once"], "each takes as long as the other"
    assert not is_in(lobby)


@pytest.mark.parametrize("typed", [PIN, f" {PIN} ", "482 915"])
def test_it_opens_with_the_pin_as_people_type_it(lobby: Desk, typed: str) -> None:
    answer = sign_in(lobby, " 100", typed)
    assert (answer.status_code, answer.location) == (303, "/self")
    assert sign_in(lobby, "100", typed, lobby.app.test_client()).status_code == 303


def test_it_fills_in_the_extension_of_a_slip(lobby: Desk) -> None:
    assert 'name="extension" value="100"' in lobby.page("/self/sign-in?extension=100")
    assert "<script" not in lobby.page("/self/sign-in?extension=<script>alert(1)").partition("<main")[2]


def test_twelve_at_once_try_no_more_pins_than_one(lobby: Desk) -> None:
    """Each with a browser of its own, from one address; the right PIN is the last that they try."""
    browsers = [lobby.app.test_client() for _ in range(12)]
    tokens = [lobby.form_token("/self/sign-in", browser, environ_overrides=ELSEWHERE) for browser in browsers]

    def guess(turn: int) -> int:
        form = {"csrf": tokens[turn % 12], "extension": "100", "pin": f"{700000 + turn * 7}"}
        return int(browsers[turn % 12].post("/self/sign-in", data=form, environ_overrides=ELSEWHERE).status_code)

    with ThreadPoolExecutor(12) as crowd:
        lists = crowd.map(lambda turn: [guess(turn + 12 * row) for row in range(4)], range(12))
        codes = [code for found in lists for code in found]
    assert codes.count(422) == EXTENSION_AT_PLACE.tries
    assert codes.count(429) == 48 - EXTENSION_AT_PLACE.tries
    late = sign_in(lobby, environ_overrides=ELSEWHERE)
    assert (late.status_code, late.headers["Retry-After"]) == (429, str(int(EXTENSION_AT_PLACE.seconds_each)))
    assert "try again in 120 minutes" in late.text
    assert sign_in(lobby, browser=lobby.app.test_client(), environ_overrides=HERE).status_code == 303


def test_who_tries_pins_keeps_the_owner_waiting_never(lobby: Desk) -> None:
    browser = lobby.app.test_client()
    for turn in range(60):
        sign_in(lobby, str(100 + turn % 4), str(700_000 + turn * 7), browser, environ_overrides=ELSEWHERE)
    assert sign_in(lobby, "103", "1", browser, environ_overrides=ELSEWHERE).status_code == 429
    assert lobby.sign_in(environ_overrides=ELSEWHERE).status_code == 303


def test_a_new_pin_lets_in_whoever_has_to_wait(lobby: Desk) -> None:
    for turn in range(EXTENSION_AT_PLACE.tries):
        assert sign_in(lobby, pin=str(700_000 + turn * 7)).status_code == 422
    assert sign_in(lobby).status_code == 429
    give_pin(lobby, "100", "914275")
    assert sign_in(lobby, pin="914275").status_code == 303


def test_it_needs_its_token(lobby: Desk) -> None:
    for form in ({}, {"csrf": "x" * 43}):
        answer = lobby.browser.post("/self/sign-in", data=form | {"extension": "100", "pin": PIN})
        assert (answer.status_code, "open the page again" in answer.text) == (400, True)
    assert not is_in(lobby)


def test_it_begins_a_session_with_nothing_of_the_one_before(lobby: Desk) -> None:
    lobby.browser.get("/self/sign-in")
    with lobby.browser.session_transaction() as before:
        before["planted"] = "by somebody"
        planted = dict(before)
    assert sign_in(lobby).status_code == 303
    lobby.page("/self")
    with lobby.browser.session_transaction() as after:
        assert "planted" not in after
        assert after["csrf"] != planted["csrf"]
        assert PIN not in str(dict(after))


def test_it_takes_no_session_that_somebody_planted(lobby: Desk) -> None:
    """A cookie from before the sign-in is not in after it, whoever gave it."""
    lobby.browser.get("/self/sign-in")
    planted = lobby.browser.get_cookie("coovox_billing") if hasattr(lobby.browser, "get_cookie") else None
    with lobby.browser.session_transaction() as before:
        copied = dict(before)
    assert sign_in(lobby).status_code == 303
    attacker = lobby.app.test_client()
    with attacker.session_transaction() as theirs:
        theirs.update(copied)
    assert attacker.get("/self").status_code == 303
    assert planted is None or planted.value


def test_it_takes_no_copied_cookie_after_signing_out(reception: Desk) -> None:
    with reception.browser.session_transaction() as mine:
        copied = dict(mine)
    answer = reception.post("/self/sign-out", {}, "/self")
    assert (answer.status_code, answer.location) == (303, "/self/sign-in")
    thief = reception.app.test_client()
    with thief.session_transaction() as theirs:
        theirs.update(copied)
    assert thief.get("/self").status_code == 303


# another kind of session


def test_its_routes_are_for_persons_alone(desk: Desk) -> None:
    with desk.app.app_context():
        for rule in desk.app.url_map.iter_rules():
            roles, is_own = roles_of(rule.endpoint) or frozenset(), rule.rule.startswith("/self")
            if rule.rule == "/self/sign-in":
                assert roles == frozenset(Role)
            else:
                assert is_own == (roles == {Role.PERSON}), rule
                assert is_own or Role.PERSON not in roles or Role.ANYBODY in roles, rule


def test_it_opens_nothing_else(reception: Desk) -> None:
    """Every route of the application, with each method that it has, and with others."""
    token = {"csrf": reception.form_token("/self")}
    opened, before = set(), kept(reception)
    for route, path in routes(reception).items():
        if "sign-" in path:
            continue
        method = route.partition(" ")[0]
        answer = reception.browser.open(path, method=method, data=token if method == "POST" else None)
        if answer.status_code != 403:
            opened.add(route)
        else:
            assert "Not allowed" in answer.text, route
            assert "0034911234567" not in answer.text
    allowed = set(re.findall(r"(?:GET|POST) \S+", PERSONS))
    assert opened <= allowed
    assert {route for route in opened if "/self" in route} == {
        route for route in allowed if "/self" in route and "sign-" not in route
    }
    assert kept(reception) == before


def test_it_shows_no_link_that_leads_elsewhere(reception: Desk) -> None:
    adapter = reception.app.url_map.bind("localhost")
    with reception.app.app_context():
        for path in ("/self", "/self/calls?from=2026-03-01&to=2026-03-31", "/self/statement", "/extensions"):
            html = reception.browser.get(path).text
            found = targets(html)
            assert len(found) > 4
            for method, target in found:
                where = target.partition("?")[0] or path.partition("?")[0]
                assert Role.PERSON in (roles_of(adapter.match(where, method)[0]) or ()), (path, target)


@pytest.mark.parametrize("role", [Role.OWNER, Role.MANAGER, Role.CASHIER, Role.AUDITOR])
def test_no_session_of_billing_opens_it(lobby: Desk, role: Role) -> None:
    lobby.someone(role)
    token = {"csrf": lobby.form_token("/extensions")}
    for method in ("GET", "POST"):
        for path in own_paths(lobby.app, method):
            if "sign-in" not in path:
                answer = lobby.browser.open(path, method=method, data=token)
                assert answer.status_code == 403, path
                assert "988360046" not in answer.text


def test_signing_in_to_one_signs_out_of_the_other(lobby: Desk) -> None:
    lobby.sign_in()
    assert "You are signed in as owner" in lobby.page("/self/sign-in")
    assert sign_in(lobby).status_code == 303
    assert lobby.browser.get("/extensions").status_code == 403
    assert lobby.browser.get("/sign-in").status_code == 200
    assert lobby.sign_in().status_code == 303
    assert lobby.browser.get("/extensions").status_code == 200
    assert lobby.browser.get("/self").status_code == 403


@pytest.mark.parametrize("crossed", [{"user": "owner"}, {"user": "owner", "generation": "x"}])
def test_what_is_crossed_is_nobody_s(lobby: Desk, crossed: dict[str, str]) -> None:
    """Even were a cookie signed that names both, an account's session never is the owner's, nor the other way round."""
    lobby.sign_in()
    with lobby.browser.session_transaction() as owners:
        owner_session = dict(owners)
    sign_in(lobby)
    with lobby.browser.session_transaction() as mine:
        own_session = dict(mine)
    for both in (own_session | crossed, own_session | owner_session, owner_session | {"account": 1}):
        browser = lobby.app.test_client()
        with browser.session_transaction() as made:
            made.update(both)
        assert browser.get("/extensions").status_code in (303, 403)
        assert browser.get("/rate").status_code in (303, 403)


def test_a_session_names_one_account_alone(reception: Desk) -> None:
    """With another account's id nothing opens: what it is held against is that account's own."""
    for account in (2, 3, 4, 999, -1):
        with reception.browser.session_transaction() as mine:
            copied = dict(mine)
        browser = reception.app.test_client()
        with browser.session_transaction() as theirs:
            theirs.update(copied | {"account": account})
        assert browser.get("/self").status_code == 303


# when it ends


def test_it_ends_after_a_quarter_of_an_hour_without_a_page(reception: Desk) -> None:
    reception.wait(sessions.OWN_IDLE_SECONDS)
    assert is_in(reception)
    reception.wait(sessions.OWN_IDLE_SECONDS + 1)
    assert not is_in(reception)


def test_it_ends_after_two_hours_however_it_is_used(reception: Desk) -> None:
    for _ in range(sessions.OWN_LONGEST_SECONDS // 600):
        reception.wait(600)
        assert is_in(reception)
    reception.wait(1)
    assert not is_in(reception)


ENDS: dict[str, Callable[[Desk], None]] = {
    "another PIN": lambda desk: give_pin(desk, "100", "914275"),
    "the same PIN again": lambda desk: give_pin(desk, "100", PIN),
    "no PIN": lambda desk: do(desk, lambda c: self_service.remove_pins(c, ["100"], someone_now(desk))),
    "closed": lambda desk: do(desk, lambda c: accounts.close(c, "100", someone_now(desk))),
    "a guest comes": lambda desk: do(desk, lambda c: stays.check_in(c, "100", 0, "Noor", someone_now(desk))),
    "a guest goes": lambda desk: do(desk, lambda c: stays.check_out(c, "100", someone_now(desk))),
    "the other kind of PIN": lambda desk: setting(desk, "self_service", "voicemail"),
}


@pytest.mark.parametrize("why", ENDS)
def test_it_ends_at_once(reception: Desk, why: str) -> None:
    assert is_in(reception)
    ENDS[why](reception)
    answer = reception.browser.get("/self")
    assert (answer.status_code, answer.location) == (303, "/self/sign-in")
    setting(reception, "self_service", "pin")
    assert not is_in(reception), "and stays so"


def test_it_goes_on_through_what_changes_nobody(reception: Desk) -> None:
    do(reception, lambda c: accounts.change(c, "100", {"status": "locked", "name": "Desk"}, cast.MANAGER))
    do(reception, lambda c: payments.recharge(c, "100", 1_000_000, cast.MANAGER))
    give_pin(reception, "101", "735192")
    assert is_in(reception)


def test_it_is_over_with_the_trial(closed_desk: Callable[..., Desk]) -> None:
    lobby = closed_desk(released_ms=cast.NOW_MS - 86_400_000)
    site_map.settle_in(lobby.database)
    lobby.sign_in()
    switch(lobby, "on")
    assert sign_in(lobby).status_code == 303
    lobby.now_ms += TRIAL_MS
    assert not is_in(lobby)
    wrong, right = sign_in(lobby, pin="7351"), sign_in(lobby)
    assert (right.status_code, "the free trial of billing is over" in right.text) == (422, True)
    assert "the free trial" not in wrong.text, "told to whoever has the PIN"


# who comes after


def close_and_come_back(desk: Desk) -> None:
    do(desk, lambda c: accounts.close(c, "100", someone_now(desk)))
    assert sign_in(desk).status_code == 422, "closed"
    do(desk, lambda c: accounts.add(c, "100", "", someone_now(desk)))


def test_an_extension_that_is_back_waits_for_a_person_s_word(lobby: Desk) -> None:
    close_and_come_back(lobby)
    asked = sign_in(lobby)
    assert (asked.status_code, "closed and is there again" in asked.text) == (422, True)
    assert "closed and is there again" not in sign_in(lobby, pin="7351").text
    do(lobby, lambda c: accounts.answer_recreated(c, "100", "continue", someone_now(lobby)))
    assert sign_in(lobby).status_code == 303
    assert len(all_calls(lobby)) == 3


def test_an_extension_that_begins_anew_shows_nothing_of_the_old(lobby: Desk) -> None:
    close_and_come_back(lobby)
    do(lobby, lambda c: accounts.answer_recreated(c, "100", "new", someone_now(lobby)))
    assert sign_in(lobby).status_code == 422, "the old PIN is the closed account's"
    give_pin(lobby, "100", "914275")
    assert sign_in(lobby, pin="914275").status_code == 303
    story.talk(lobby.database, "anew", "100", "965302388", lobby.now_ms, 10)
    assert all_calls(lobby) == ["965302388"]
    statement = lobby.page("/self/statement")
    assert "965302388" in statement
    assert "988360046" not in statement


def guest(desk: Desk, pin: str, name: str = "Noor") -> None:
    """A guest comes to reception's telephone, and gets a PIN."""
    do(desk, lambda c: stays.check_in(c, "100", 5_000_000, name, someone_now(desk)))
    give_pin(desk, "100", pin)


def test_a_guest_sees_what_happened_since_the_check_in(lobby: Desk) -> None:
    guest(lobby, "914275")
    assert sign_in(lobby).status_code == 422, "who was there before has no PIN any more"
    assert sign_in(lobby, pin="914275").status_code == 303
    assert all_calls(lobby) == []
    lobby.now_ms += 60_000
    story.talk(lobby.database, "guest", "100", "965302388", lobby.now_ms, 10)
    assert all_calls(lobby) == ["965302388"]
    for path in ("/self/statement", "/self/calls.csv?from=2026-03-01&to=2026-03-31"):
        text = lobby.browser.get(path).text
        assert "965302388" in text
        assert "988360046" not in text, path


def test_who_was_a_guest_sees_nothing_any_more(lobby: Desk) -> None:
    guest(lobby, "914275")
    story.talk(lobby.database, "guest", "100", "965302388", lobby.now_ms, 10)
    sign_in(lobby, pin="914275")
    do(lobby, lambda c: stays.check_out(c, "100", someone_now(lobby)))
    assert not is_in(lobby)
    assert sign_in(lobby, pin="914275").status_code == 422
    give_pin(lobby, "100", "482916")
    assert sign_in(lobby, pin="482916").status_code == 303
    assert all_calls(lobby) == []
    assert "965302388" not in lobby.page("/self/statement")


@pytest.mark.parametrize("days", [-20_000, -1, 1])
def test_a_guest_sees_nothing_of_others_whatever_the_clock_says(lobby: Desk, days: int) -> None:
    """The box booted in 1970, or a day off, when the guest came; calls of no price are no entry of the ledger."""
    true_ms = lobby.now_ms
    do(lobby, lambda c: accounts.change(c, "100", {"billing": False}, someone_now(lobby)))
    story.talk(lobby.database, "free", "100", "911111111", lobby.now_ms, 10)
    lobby.now_ms += days * 86_400_000
    guest(lobby, "914275")
    story.talk(lobby.database, "guest", "100", "965302388", lobby.now_ms, 10)
    lobby.now_ms = true_ms + 2 * 86_400_000
    story.talk(lobby.database, "guest-2", "100", "965302389", lobby.now_ms, 10)
    assert sign_in(lobby, pin="914275").status_code == 303
    shown = all_calls(lobby)
    assert "965302389" in shown
    assert not {"911111111", "988360046", "965302387"} & set(shown)
    statement = lobby.page("/self/statement")
    assert not [number for number in ("911111111", "988360046", "965302387") if number in statement]


def test_a_call_that_was_settled_late_tells_the_next_guest_no_number(lobby: Desk) -> None:
    """Its correction is on the guest's bill, for the balance moved; whom it went to is not his business."""
    story.lose(lobby.database, "late", "100", "922222222", lobby.now_ms)
    guest(lobby, "914275")
    story.turn_up(lobby.database, "late", lobby.now_ms, 200)
    assert sign_in(lobby, pin="914275").status_code == 303
    statement = lobby.page("/self/statement")
    assert "922222222" not in statement
    assert "an earlier call" in statement
    assert all_calls(lobby) == []


@pytest.mark.parametrize("talked", [30, None])
@pytest.mark.parametrize("stays_on", [True, False])
def test_a_call_that_is_told_of_late_tells_the_next_guest_no_number(
    lobby: Desk, talked: int | None, stays_on: bool
) -> None:
    """Billing was not asked about it, so that its row is newer than the guest."""
    before_ms = lobby.now_ms - 60_000
    guest(lobby, "914275")
    if not stays_on:
        do(lobby, lambda c: stays.check_out(c, "100", someone_now(lobby)))
        do(lobby, lambda c: payments.recharge(c, "100", 5_000_000, someone_now(lobby)))
        give_pin(lobby, "100", "914275")
    leg = cast.a_leg(talked=talked, alone="passed", asked_ms=before_ms, number="922222222")
    if talked is None:
        do(lobby, lambda c: calls.give_up(c, "late", leg))
    else:
        do(lobby, lambda c: settlement.settle(c, "late", leg, UNKNOWN, lobby.now_ms))
    assert cast.look_up(lobby.database.path, "SELECT count(*) FROM calls WHERE call_id = 'late'") == [(1,)]
    assert sign_in(lobby, pin="914275").status_code == 303
    statement = lobby.page("/self/statement")
    assert "922222222" not in statement
    assert ("an earlier call" in statement) == (talked is not None and not stays_on), "a guest pays no other's calls"
    assert all_calls(lobby) == []


def test_ids_that_come_again_after_archiving_hide_no_call(lobby: Desk) -> None:
    """The newest calls were archived, so that later ones get their ids."""
    guest(lobby, "914275")
    for number in range(3):
        story.talk(lobby.database, f"guest-{number}", "100", "965302387", lobby.now_ms, 10)
    do(lobby, lambda c: stays.check_out(c, "100", someone_now(lobby)))
    give_pin(lobby, "100", "914275")
    do(lobby, lambda c: [writes.archive_call(c, f"guest-{number}") for number in range(3)])
    newest_before = cast.look_up(lobby.database.path, "SELECT own_after_call FROM accounts WHERE extension = '100'")
    do(lobby, lambda c: accounts.change(c, "100", {"status": "unlocked"}, someone_now(lobby)))
    story.talk(lobby.database, "after", "100", "965302388", lobby.now_ms, 10)
    assert cast.look_up(lobby.database.path, "SELECT max(id) - 1 FROM calls") == newest_before
    assert sign_in(lobby, pin="914275").status_code == 303
    assert all_calls(lobby) == ["965302388"]


# with the voicemail's PIN


@pytest.fixture
def mailboxes() -> dict[str, str]:
    return {"100": "4829", "101": "101", "102": "1234", "103": ""}


@pytest.fixture
def by_voicemail(closed_desk: Callable[..., Desk], mailboxes: dict[str, str]) -> Iterator[Desk]:
    """The site says that the voicemail's PIN opens."""

    def voicemail_pin(extension: str) -> str:
        if "unreadable" in mailboxes:
            raise SetupError("%(path)s cannot be read by this user", path="/etc/asterisk/voicemail.conf")
        return mailboxes.get(extension, "")

    desk = closed_desk(voicemail_pin=voicemail_pin)
    site_map.settle_in(desk.database)
    setting(desk, "self_service", "voicemail")
    yield desk


def test_it_opens_with_the_pin_of_the_mailbox(by_voicemail: Desk) -> None:
    assert "The PIN of your voicemail." in by_voicemail.page("/self/sign-in")
    assert sign_in(by_voicemail, pin="4829").status_code == 303
    assert is_in(by_voicemail)
    with by_voicemail.browser.session_transaction() as mine:
        assert "4829" not in str(dict(mine))


@pytest.mark.parametrize(
    ("extension", "pin"), [("100", PIN), ("100", ""), ("101", "101"), ("102", "1234"), ("103", ""), ("999", "4829")]
)
def test_it_opens_with_no_pin_that_anybody_would_try(
    by_voicemail: Desk, extension: str, pin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[str] = []
    scrypt = passwords._scrypt
    monkeypatch.setattr(passwords, "_scrypt", lambda *made: hashed.append("once") or scrypt(*made))
    expected = sign_in(by_voicemail, "100", "4820")
    answer = sign_in(by_voicemail, extension, pin)
    assert (answer.status_code, same(answer.text)) == (422, same(expected.text))
    assert hashed == ["once", "once"]


def test_it_ends_when_the_mailbox_gets_another_pin(by_voicemail: Desk, mailboxes: dict[str, str]) -> None:
    sign_in(by_voicemail, pin="4829")
    assert is_in(by_voicemail)
    mailboxes["100"] = "7351"
    assert not is_in(by_voicemail)


def test_it_says_that_mailboxes_cannot_be_read_and_lets_nobody_in(
    by_voicemail: Desk, mailboxes: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    sign_in(by_voicemail, pin="4829")
    mailboxes["unreadable"] = ""
    assert not is_in(by_voicemail)
    for extension in ("100", "999"):
        answer = sign_in(by_voicemail, extension, "4829")
        assert (answer.status_code, "cannot be read now: tell the billing manager" in answer.text) == (422, True)
        assert "/etc/asterisk" not in answer.text
    assert "/etc/asterisk/voicemail.conf" in caplog.text
    by_voicemail.sign_in()
    assert "/etc/asterisk/voicemail.conf" in by_voicemail.page("/settings")


def test_without_asterisk_no_mailbox_opens(lobby: Desk) -> None:
    setting(lobby, "self_service", "voicemail")
    assert sign_in(lobby, pin="4829").status_code == 422


# what is kept and told of a PIN


def test_it_keeps_no_pin_anywhere(lobby: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    sign_in(lobby, pin="735192")
    sign_in(lobby, "735192", "100")
    sign_in(lobby)
    lobby.page("/self")
    stored = " ".join(str(cell) for table in kept(lobby) for row in table for cell in row)
    for pin in (PIN, "735192"):
        assert pin not in stored
        assert pin not in caplog.text
    assert "a wrong PIN for extension 100 from 127.0.0.1" in caplog.text
    assert "the PIN of extension 100 was given from 127.0.0.1" in caplog.text


# what holds for all pages


def own_pages(desk: Desk) -> list[tuple[str, str]]:
    return [(path, desk.page(path)) for path in own_paths(desk.app) if ".csv" not in path and "sign-in" not in path]


def test_it_leads_whoever_is_not_signed_in_to_its_own_sign_in(lobby: Desk) -> None:
    for method in ("GET", "POST"):
        for path in own_paths(lobby.app, method):
            if "sign-in" not in path:
                answer = lobby.browser.open(path, method=method)
                assert (answer.status_code, answer.location) == (303, "/self/sign-in"), path


def test_its_pages_hold_nothing_inline_and_nothing_foreign(reception: Desk) -> None:
    stranger = reception.app.test_client().get("/self/sign-in")
    for path, html in [*own_pages(reception), ("/self/sign-in", stranger.text)]:
        assert re.findall(r"<script(?![^>]*\ssrc=\"/static/)|<script[^>]*>(?!</script>)|<style", html) == [], path
        assert not re.search(r"\s(style|on[a-z]+)=", html), path
        assert not re.search(r"(src|href|action)=\"(?!/(?!/)|#|\?)", html), path
        headers = reception.browser.get(path).headers
        assert headers["Content-Security-Policy"] == POLICY
        assert headers["Cache-Control"] == "no-store"


def test_its_forms_carry_the_token(reception: Desk) -> None:
    for path, html in own_pages(reception):
        sending = [form for form in forms(html) if form.method == "post"]
        assert sending
        assert all(form.fields.get("csrf") for form in sending), path


def test_its_pages_write_what_people_wrote_as_text(reception: Desk) -> None:
    do(reception, site_map.plant)
    shown = 0
    for path, html in own_pages(reception):
        assert "<img src=x" not in html, path
        shown += "&lt;img src=x" in html
    assert shown >= 1


def test_it_keeps_its_prefix(closed_desk: Callable[..., Desk]) -> None:
    desk = closed_desk(web_prefix="/billing")
    site_map.settle_in(desk.database)
    assert sign_in(desk).location == "/billing/self"
    for path in ("/self", "/self/calls?from=2026-03-01", "/self/statement"):
        html = desk.page(f"/billing{path}")
        assert re.findall(r'(?:href|src|action)="(/(?!billing/|billing")[^"]*)"', html) == [], path


def test_it_says_every_word_in_the_reader_s_language(reception: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    known = given_names(reception) | SAME_EVERYWHERE
    monkeypatch.setattr(words, "catalog", lambda _language: _Marked())
    stranger = reception.app.test_client().get("/self/sign-in").text
    forgotten = {path: unsaid(html) - known for path, html in [*own_pages(reception), ("/self/sign-in", stranger)]}
    assert {path: sorted(found) for path, found in forgotten.items() if found} == {}


def test_a_person_chooses_a_language(reception: Desk) -> None:
    assert 'value="es"' in reception.page("/self")
    answer = reception.post("/language", {"language": "es", "page": "self_service.show"}, "/self")
    assert (answer.status_code, answer.location) == (303, "/self")
    assert '<html lang="es"' in reception.page("/self")
    elsewhere = reception.post("/language", {"language": "en", "page": "extensions.show"}, "/self")
    assert reception.browser.get(elsewhere.location).status_code == 403


def test_the_theme_leads_back_to_it(reception: Desk) -> None:
    answer = reception.post("/theme", {"theme": "dark"}, "/self")
    assert (answer.status_code, answer.location) == (303, "/self")


def test_the_sign_in_of_billing_leads_to_it_where_it_is_on(lobby: Desk) -> None:
    assert 'href="/self/sign-in"' in lobby.page("/sign-in")
    setting(lobby, "self_service", "off")
    assert "/self" not in lobby.page("/sign-in")


def test_it_tells_nothing_of_later_days_than_asked(reception: Desk) -> None:
    """A time that ends before the calls shows none, in files too."""
    before = (cast.MONDAY_MORNING - timedelta(days=2)).date()
    text = unescape(reception.browser.get(f"/self/calls.csv?from={before}&to={before}").text)
    assert "988360046" not in text


# the statement


def figures(html: str) -> dict[str, str]:
    """What a statement says in its facts and its account."""
    facts = re.findall(r"<dt>(\w+)</dt><dd[^>]*>([^<]*)</dd>", html)
    said = re.findall(r'class="key">(Balance (?:before|after)|Calls)</t[hd]><td[^>]*>([^<]*)<', html)
    return dict([*facts, *said])


def test_the_statement_of_a_month_goes_on_where_the_one_before_ended(reception: Desk) -> None:
    days = [31, 10, 40]
    for number, later in enumerate(days):
        reception.wait(later * 86_400)
        story.talk(reception.database, f"later-{number}", "100", f"96530240{number}", reception.now_ms, 10)
        do(reception, lambda c: payments.recharge(c, "100", 1_000_000, someone_now(reception)))
    assert sign_in(reception).status_code == 303
    assert reception.database is not None
    told = [figures(reception.page(f"/self/statement?month=2026-{month:02d}-15")) for month in (3, 4, 5)]
    assert [one["From"] for one in told] == ["2026-03-02 10:00:00", "2026-04-01 00:00:00", "2026-05-01 00:00:00"]
    assert [one["To"] for one in told[:2]] == ["2026-04-01 00:00:00", "2026-05-01 00:00:00"]
    assert told[0]["Balance after"] == told[1]["Balance before"]
    assert told[1]["Balance after"] == told[2]["Balance before"]
    ((balance,),) = cast.look_up(reception.database.path, "SELECT balance_micros FROM accounts WHERE extension = '100'")
    assert told[2]["Balance after"] == f"{balance / 1_000_000:.4f}"
    assert figures(reception.page("/self/statement")) == told[2]
    pages = [reception.page(f"/self/statement?month=2026-{month:02d}-01") for month in (3, 4, 5)]
    assert [("Month before" in html, "Month after" in html) for html in pages] == [
        (False, True), (True, True), (True, False),
    ]  # fmt: skip
    assert ["965302400" in html for html in pages] == [False, True, False]


@pytest.mark.parametrize("month", ["never", "9999-12-31", "1970-01-01", "2026-13-01", "2039-05-05"])
def test_a_month_that_cannot_be_breaks_nothing(reception: Desk, month: str) -> None:
    assert "Balance after" in reception.page(f"/self/statement?month={month}")


def test_the_statement_of_a_guest_is_the_whole_stay(lobby: Desk) -> None:
    guest(lobby, "914275")
    story.talk(lobby.database, "guest", "100", "965302388", lobby.now_ms, 10)
    lobby.wait(40 * 86_400)
    assert sign_in(lobby, pin="914275").status_code == 303
    html = lobby.page("/self/statement?month=2026-04-01")
    assert "965302388" in html
    assert "Month before" not in html
