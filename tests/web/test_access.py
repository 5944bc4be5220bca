"""What holds for every page at once: who may open it, what its forms carry, what it says to browsers and caches."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from coovox_billing.web.access import role_of
from coovox_billing.web.headers import POLICY
from tests import cast
from tests.web import site_map
from tests.web.conftest import Desk
from tests.web.forms import Form, forms
from tests.web.site_map import paths

OPEN_TO_ALL = {"/sign-in", "/healthz", "/theme"}
# Sent again, these do what they did: signing in and out, colors, a password that is another one by then, a switch.
WITHOUT_SUBMISSION = re.compile(r"/sign-in|/sign-out|/theme|/password|/rate/\d+/activate")


@pytest.fixture
def full_desk(owner_desk: Desk) -> Desk:
    """The owner is signed in, and there is something to see everywhere."""
    site_map.settle_in(owner_desk.database)
    return owner_desk


def look(desk: Desk, path: str, **options: Any) -> Any:
    """What a path answers, read to its end."""
    return desk.browser.get(path, buffered=True, follow_redirects=True, **options)


def pages(desk: Desk) -> list[tuple[str, str]]:
    """Every page of HTML: its path and its text."""
    found = [(path, look(desk, path)) for path in paths(desk.app)]
    return [
        (path, answer.text) for path, answer in found if answer.mimetype == "text/html" and answer.status_code == 200
    ]


def sending_forms(desk: Desk) -> list[tuple[str, Form]]:
    """Every form that changes something, with the path of the page that it is on; that of the shell once."""
    found = [(path, form) for path, html in pages(desk) for form in forms(html) if form.method == "post"]
    in_shell = {"/sign-out", "/theme"}
    return [(path, form) for path, form in found if path == "/extensions" or form.action not in in_shell]


def acts(form: Form) -> bool:
    """Whether it changes something by itself: a selection leads on to other forms, a file is looked at first."""
    return not (WITHOUT_SUBMISSION.fullmatch(form.action) or form.elsewhere or form.has_file)


def kept(desk: Desk) -> list[list[tuple[Any, ...]]]:
    """All that is stored, but for the forms that were sent."""
    names = cast.look_up(desk.database.path, "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    tables = [name for (name,) in names if name not in ("submissions", "sqlite_sequence")]
    return [cast.look_up(desk.database.path, f'SELECT * FROM "{table}"') for table in tables]


def test_it_names_a_role_for_every_route(desk: Desk) -> None:
    with desk.app.app_context():
        assert [rule.endpoint for rule in desk.app.url_map.iter_rules() if role_of(rule.endpoint) is None] == []


def test_it_opens_no_route_that_names_no_role(closed_desk: Callable[..., Desk]) -> None:
    desk = closed_desk()
    desk.app.add_url_rule("/forgotten", view_func=lambda: "the secret inside", endpoint="forgotten")
    assert desk.browser.get("/forgotten").status_code == 303
    desk.sign_in()
    response = desk.browser.get("/forgotten")
    assert (response.status_code, "secret" in response.text) == (403, False)


def test_it_has_something_on_every_page(full_desk: Desk) -> None:
    codes = {path: look(full_desk, path).status_code for path in paths(full_desk.app)}
    assert {path: code for path, code in codes.items() if code != 200 and path not in site_map.HALF_WAY} == {}


def test_it_leads_whoever_is_not_signed_in_to_the_sign_in_page(desk: Desk) -> None:
    site_map.settle_in(desk.database)
    before = kept(desk)
    for method in ("GET", "POST"):
        for path in set(paths(desk.app, method)) - OPEN_TO_ALL:
            response = desk.browser.open(path, method=method)
            assert response.status_code == 303, path
            assert response.location.startswith("/sign-in"), path
            assert "Reception" not in response.text
            piece = desk.browser.open(path, method=method, headers={"HX-Request": "true"})
            assert (piece.status_code, piece.headers["HX-Redirect"], piece.text) == (204, "/sign-in", ""), path
    assert kept(desk) == before


def test_it_takes_no_form_without_its_token(full_desk: Desk) -> None:
    before = kept(full_desk)
    for path in paths(full_desk.app, "POST"):
        for form in ({}, {"csrf": "x" * 43, "submission": "one"}):
            response = full_desk.browser.post(path, data=form)
            assert (response.status_code, "open the page again" in response.text) == (400, True), path
    assert kept(full_desk) == before


def test_it_gives_every_form_its_tokens(full_desk: Desk) -> None:
    without = []
    for path, form in sending_forms(full_desk):
        if not form.fields.get("csrf"):
            without.append((path, form.action, "csrf"))
        if acts(form) and not form.fields.get("submission"):
            without.append((path, form.action, "submission"))
    assert without == []


def test_it_does_once_what_is_sent_twice(full_desk: Desk) -> None:
    for path, form in sending_forms(full_desk):
        if acts(form):
            first = full_desk.browser.post(form.action or path, data=form.fields)
            assert first.status_code < 500, path
            after_one = kept(full_desk)
            assert full_desk.browser.post(form.action or path, data=form.fields).status_code < 500
            assert kept(full_desk) == after_one, path
    assert cast.audited(full_desk.database.path) == []


def test_it_tells_every_browser_what_not_to_do(full_desk: Desk) -> None:
    for browser in (full_desk.browser, full_desk.app.test_client()):
        for path in [*paths(full_desk.app), "/no-such-page"]:
            headers = browser.get(path, buffered=True).headers
            assert headers["Content-Security-Policy"] == POLICY, path
            assert headers["X-Content-Type-Options"] == "nosniff", path
            assert headers["Referrer-Policy"] == "same-origin", path
            assert headers["Cache-Control"] == "no-store", path


def test_it_writes_what_people_wrote_as_text(full_desk: Desk) -> None:
    full_desk.database.write(site_map.plant)
    shown = 0
    for path, html in pages(full_desk):
        assert "<img src=x" not in html, path
        shown += "&lt;img src=x" in html
    assert shown > 3
    for path in paths(full_desk.app):
        piece = look(full_desk, path, headers={"HX-Request": "true"})
        assert piece.mimetype != "text/html" or "<img src=x" not in piece.text, path


def test_it_holds_nothing_inline_and_nothing_foreign(full_desk: Desk) -> None:
    for path, html in [*pages(full_desk), ("/sign-in", full_desk.app.test_client().get("/sign-in").text)]:
        assert re.findall(r"<script(?![^>]*\ssrc=\"/static/)|<script[^>]*>(?!</script>)|<style", html) == [], path
        assert not re.search(r"\s(style|on[a-z]+)=", html), path
        assert not re.search(r"(src|href|action)=\"(?!/(?!/)|#|\?)", html), path


def test_it_keeps_its_prefix_on_every_page(closed_desk: Callable[..., Desk]) -> None:
    desk = closed_desk(web_prefix="/billing")
    site_map.settle_in(desk.database)
    desk.sign_in()
    for path in paths(desk.app):
        answer = look(desk, f"/billing{path}")
        if answer.mimetype == "text/html":
            assert (
                re.findall(r'(?:href|src|action|hx-get|hx-post)="(/(?!billing/|billing")[^"]*)"', answer.text) == []
            ), path
