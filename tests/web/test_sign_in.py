"""Signing in and out, and what a session is worth."""

from collections.abc import Callable

import pytest

from coovox_billing.services import owner
from coovox_billing.store import writes
from coovox_billing.web import sessions
from tests import cast
from tests.web.conftest import NEW_PASSWORD, PASSWORD, Desk

PAGES = ["/", "/extensions", "/recharge-history", "/account"]


@pytest.mark.parametrize("path", PAGES)
def test_it_leads_whoever_is_not_signed_in_to_the_sign_in_page(desk: Desk, path: str) -> None:
    response = desk.browser.get(path)
    assert response.status_code == 303
    assert response.location.startswith("/sign-in?next=")


@pytest.mark.parametrize("path", PAGES[1:])
def test_it_shows_every_page_to_the_owner(owner_desk: Desk, path: str) -> None:
    assert "Sign out" in owner_desk.page(path)


def test_it_lands_on_the_extensions(owner_desk: Desk) -> None:
    assert owner_desk.browser.get("/").location == "/extensions"


def test_it_opens_with_the_right_password(desk: Desk) -> None:
    response = desk.sign_in()
    assert (response.status_code, response.location) == (303, "/extensions")


@pytest.mark.parametrize("wrong", ["", "wrong password", PASSWORD.upper(), PASSWORD + "x", "\udcff" * 3])
def test_it_stays_shut_with_a_wrong_password(desk: Desk, wrong: str) -> None:
    response = desk.sign_in(wrong.encode("utf-8", "replace").decode())
    assert response.status_code == 422
    assert "The user name or the password is wrong" in response.text
    assert desk.browser.get("/extensions").status_code == 303


def test_it_says_what_to_do_where_no_password_is_set(desk: Desk) -> None:
    desk.database.write(lambda connection: writes.set_site_value(connection, owner.PASSWORD, None))
    response = desk.sign_in()
    assert response.status_code == 422
    assert "coovox-billing --data DIR owner set-password" in response.text


def test_it_deletes_the_first_password_file_once_it_was_used(desk: Desk) -> None:
    desk.database.write(lambda connection: writes.set_site_value(connection, owner.PASSWORD, None))
    first = owner.ensure_first_password(desk.database, desk.directory, cast.NOW_MS)
    assert first is not None
    assert desk.sign_in(first).status_code == 303
    assert not (desk.directory / "first-password").exists()


def test_it_shows_no_form_to_whoever_is_signed_in(owner_desk: Desk) -> None:
    assert owner_desk.browser.get("/sign-in").location == "/extensions"


@pytest.mark.parametrize("page", ["/extensions", "/call-log", "/account"])
def test_it_goes_on_to_the_page_that_was_asked_for(desk: Desk, page: str) -> None:
    assert desk.sign_in(next_page=page).location == page


@pytest.mark.parametrize(
    "evil",
    [
        "//evil.example",
        "https://evil.example/",
        "/\\evil.example",
        "/sign-out",
        "javascript:alert(1)",
        "/extensions/../x",
    ],
)
def test_it_goes_on_to_no_page_but_its_own(desk: Desk, evil: str) -> None:
    assert desk.sign_in(next_page=evil).location == "/extensions"
    assert desk.browser.get("/sign-in", query_string={"next": evil}).location == "/extensions"


def test_it_puts_no_foreign_next_page_into_its_form(desk: Desk) -> None:
    assert "evil" not in desk.browser.get("/sign-in?next=//evil.example").text


def test_it_keeps_the_session_from_scripts_and_other_sites(desk: Desk) -> None:
    cookie = desk.sign_in().headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "Path=/" in cookie
    assert "Domain" not in cookie


def test_it_marks_no_cookie_secure_over_plain_http(desk: Desk) -> None:
    assert "Secure" not in desk.sign_in().headers["Set-Cookie"]


def test_it_begins_a_session_with_nothing_of_the_one_before(desk: Desk) -> None:
    desk.browser.get("/sign-in")
    with desk.browser.session_transaction() as before:
        planted = dict(before)
    desk.sign_in()
    desk.page("/extensions")
    with desk.browser.session_transaction() as after:
        assert "id" not in planted
        assert after["csrf"] != planted["csrf"]


def test_it_gives_each_session_another_id(owner_desk: Desk) -> None:
    other = owner_desk.app.test_client()
    owner_desk.sign_in(browser=other)
    with owner_desk.browser.session_transaction() as one, other.session_transaction() as two:
        assert one["id"] != two["id"]


def test_it_ends_a_session_after_half_an_hour_without_a_page(owner_desk: Desk) -> None:
    owner_desk.wait(sessions.IDLE_SECONDS + 1)
    assert owner_desk.browser.get("/extensions").status_code == 303


def test_it_keeps_a_session_that_is_used(owner_desk: Desk) -> None:
    for _ in range(4):
        owner_desk.wait(sessions.IDLE_SECONDS - 1)
        assert owner_desk.browser.get("/extensions").status_code == 200


def test_it_ends_a_session_after_half_a_day_however_it_is_used(owner_desk: Desk) -> None:
    for _ in range(sessions.LONGEST_SECONDS // 1200):
        owner_desk.wait(1200)
        owner_desk.browser.get("/extensions")
    owner_desk.wait(1)
    assert owner_desk.browser.get("/extensions").status_code == 303


def test_it_ends_a_session_from_the_future(owner_desk: Desk) -> None:
    owner_desk.wait(-3600)
    assert owner_desk.browser.get("/extensions").status_code == 303


def test_it_signs_out(owner_desk: Desk) -> None:
    response = owner_desk.post("/sign-out", {})
    assert (response.status_code, response.location) == (303, "/sign-in")
    assert owner_desk.browser.get("/extensions").status_code == 303


def test_it_takes_no_copied_cookie_after_signing_out(owner_desk: Desk) -> None:
    with owner_desk.browser.session_transaction() as copied:
        kept = dict(copied)
    owner_desk.post("/sign-out", {})
    thief = owner_desk.app.test_client()
    with thief.session_transaction() as planted:
        planted.update(kept)
    assert thief.get("/extensions").status_code == 303


def test_it_leaves_the_other_browser_signed_in_when_one_signs_out(owner_desk: Desk) -> None:
    other = owner_desk.app.test_client()
    owner_desk.sign_in(browser=other)
    owner_desk.post("/sign-out", {})
    assert other.get("/extensions").status_code == 200


def test_it_keeps_sessions_over_a_restart(owner_desk: Desk) -> None:
    with owner_desk.browser.session_transaction() as before:
        kept = dict(before)
    owner_desk.open()
    with owner_desk.browser.session_transaction() as after:
        after.update(kept)
    assert owner_desk.browser.get("/extensions").status_code == 200


def test_it_takes_no_cookie_that_another_key_signed(owner_desk: Desk) -> None:
    with owner_desk.browser.session_transaction() as before:
        kept = dict(before)
    own_key, owner_desk.app.secret_key = owner_desk.app.secret_key, b"x" * 32
    with owner_desk.browser.session_transaction() as forged:
        forged.update(kept)
    owner_desk.app.secret_key = own_key
    assert owner_desk.browser.get("/extensions").status_code == 303


def test_it_changes_the_password(owner_desk: Desk) -> None:
    response = owner_desk.change_password()
    assert (response.status_code, response.location) == (303, "/account")
    assert "The password is changed" in owner_desk.page("/account")
    other = owner_desk.app.test_client()
    assert owner_desk.sign_in(PASSWORD, other).status_code == 422
    assert owner_desk.sign_in(NEW_PASSWORD, other).status_code == 303


def test_it_ends_the_other_sessions_with_the_old_password(owner_desk: Desk) -> None:
    other = owner_desk.app.test_client()
    owner_desk.sign_in(browser=other)
    owner_desk.change_password()
    assert other.get("/extensions").status_code == 303
    assert owner_desk.browser.get("/extensions").status_code == 200


def test_it_ends_every_session_when_the_password_is_set_at_the_terminal(owner_desk: Desk) -> None:
    owner.set_password(owner_desk.database, NEW_PASSWORD, cast.MANAGER)
    assert owner_desk.browser.get("/extensions").status_code == 303


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"current": "wrong password"}, "the current password is wrong"),
        ({"again": "something else"}, "differ"),
        ({"new": "short"}, "too short"),
        ({"new": PASSWORD}, "already"),
    ],
)
def test_it_refuses_a_bad_change_and_keeps_the_password(owner_desk: Desk, form: dict[str, str], words: str) -> None:
    response = owner_desk.change_password(**form)
    assert response.status_code == 422
    assert words in response.text
    assert owner_desk.sign_in(PASSWORD, owner_desk.app.test_client()).status_code == 303


def test_it_repeats_no_password_on_a_page(owner_desk: Desk) -> None:
    assert "hunter2hunter2" not in owner_desk.change_password("hunter2hunter2", "hunter2hunter2", "x").text
    assert "hunter2hunter2" not in owner_desk.sign_in("hunter2hunter2", owner_desk.app.test_client()).text


def test_it_logs_no_password(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    desk.sign_in("hunter2hunter2")
    desk.sign_in()
    assert "a wrong password for owner from 127.0.0.1" in caplog.text
    assert "hunter2" not in caplog.text
    assert PASSWORD not in caplog.text


def test_it_names_the_owner_in_the_audit_log(owner_desk: Desk) -> None:
    owner_desk.change_password()
    newest = "SELECT actor, origin, what, at_ms FROM changes ORDER BY id DESC LIMIT 1"
    assert cast.look_up(owner_desk.database.path, newest) == [
        ("owner", "127.0.0.1", "owner password", owner_desk.now_ms)
    ]


def test_it_works_under_a_prefix(closed_desk: Callable[..., Desk]) -> None:
    desk = closed_desk(web_prefix="/billing")
    assert desk.leads_to("/billing/extensions") == "/billing/sign-in?next=/extensions"
    response = desk.sign_in(next_page="/call-log")
    assert response.location == "/billing/call-log"
    assert "Path=/billing" in response.headers["Set-Cookie"]
    assert 'href="/billing/extensions"' in desk.page("/billing/recharge-history")
