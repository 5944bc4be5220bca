"""What holds for every page at once: who may open it, what its forms carry, what it says to browsers and caches."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from coovox_billing.core.roles import Role
from coovox_billing.web.access import roles_of
from coovox_billing.web.headers import POLICY
from tests import cast
from tests.web import site_map
from tests.web.conftest import Desk
from tests.web.forms import Form, forms
from tests.web.site_map import paths

OPEN_TO_ALL = {"/sign-in", "/sign-in/code", "/healthz", "/theme", "/language", "/enter/<ticket>", "/enter/stolen"}
# Sent again, these do what they did: signing in and out, colors, what asks for the password, a switch.
WITHOUT_SUBMISSION = re.compile(
    r"/sign-in(/code)?|/sign-out|/theme|/language|/account/.+|/rate/\d+/activate|/addons/billing-manager/[^/]+/switch"
)
PEOPLE = [Role.OWNER, Role.MANAGER, Role.CASHIER, Role.AUDITOR]
# What each role may open, written a second time: what is on neither list is the owner's and managers'.
CASHIERS = """
GET / GET /account GET /account/second-factor GET /extension/<number> GET /extensions GET /extensions/recharge
GET /lists/<of_list>/columns GET /lists/<of_list>/save GET /lists/saved/<search_id>
GET /recharge-history GET /recharge-history/<entry_id>
POST /lists/<of_list>/columns POST /lists/<of_list>/save POST /lists/saved/<search_id>
POST /lists/saved/<search_id>/delete
POST /account/password POST /account/second-factor POST /account/second-factor/confirm POST /account/second-factor/off
POST /account/second-factor/recovery-codes POST /extensions/recharge POST /sign-out
"""
AUDITORS = """
GET / GET /account GET /account/second-factor GET /audit-log GET /audit-log.<kind> GET /call-log GET /call-log.<kind>
GET /call-log/live GET /dashboard GET /dashboard/head GET /dashboard/live-channels GET /dashboard/now
GET /rate/check GET /rate/check.<kind> GET /rate/drafts GET /rate/drafts/<draft_id>
GET /rate/drafts/<draft_id>/check GET /rate/drafts/<draft_id>/check.<kind> GET /rate/drafts/<draft_id>/rates.csv
GET /rate/drafts/<draft_id>/what-if GET /rate/drafts/<draft_id>/what-if.<kind>
GET /extension/<number> GET /extension/<number>/stays GET /extensions GET /extensions.<kind>
GET /extensions/closed GET /extensions/export.csv GET /rate GET /rate.<kind> GET /rate/test GET /recharge-history
GET /recharge-history.<kind> GET /recharge-history/<entry_id> GET /statistics GET /statistics.<kind>
GET /extensions/stays/<stay_id> GET /lists/<of_list>/columns GET /lists/<of_list>/save GET /lists/saved/<search_id>
POST /lists/<of_list>/columns POST /lists/<of_list>/save POST /lists/saved/<search_id>
POST /lists/saved/<search_id>/delete
POST /account/password POST /account/second-factor POST /account/second-factor/confirm POST /account/second-factor/off
POST /account/second-factor/recovery-codes POST /sign-out
"""
OWNERS = "/addons/"


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
        assert [rule.endpoint for rule in desk.app.url_map.iter_rules() if roles_of(rule.endpoint) is None] == []


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


def routes(desk: Desk) -> dict[str, str]:
    """The address of each route by its method and its rule, without the converters of its arguments."""
    found = {}
    for rule in desk.app.url_map.iter_rules():
        for method in {"GET", "POST"} & (rule.methods or set()):
            shape = re.sub(r"<[^>]*?(\w+)>", r"<\1>", rule.rule)
            if rule.endpoint != "static":
                built = rule.build({name: site_map.SAMPLES[name] for name in rule.arguments})
                path = str(built and built[1])
                found[f"{method} {shape}"] = f"{path}?{site_map.ARGUMENTS.get(path, '')}"
    return found


def allowed(desk: Desk, role: Role) -> set[str]:
    """The routes that are for a role, as the lists above have them."""
    by_all = {route for route in routes(desk) if route.split()[1] in OPEN_TO_ALL}
    named = {Role.CASHIER: CASHIERS, Role.AUDITOR: AUDITORS}
    if role in named:
        return by_all | set(re.findall(r"(?:GET|POST) \S+", named[role]))
    own = {route for route in routes(desk) if route.split()[1].startswith(site_map.SELF_SERVICE)}
    return {route for route in routes(desk) if role == Role.OWNER or OWNERS not in route} - own


@pytest.mark.parametrize("role", PEOPLE)
def test_it_opens_what_is_for_a_role_and_nothing_else(full_desk: Desk, role: Role) -> None:
    full_desk.someone(role)
    token = {"csrf": full_desk.form_token("/extensions")}
    opened, before = set(), kept(full_desk)
    for route, path in routes(full_desk).items():
        method = route.partition(" ")[0]
        if "/sign-" in path:
            continue
        response = full_desk.browser.open(path, method=method, data=token if method == "POST" else None)
        if response.status_code != 403:
            opened.add(route)
        else:
            assert "Not allowed" in response.text
            assert "Reception" not in response.text
    assert opened == {route for route in allowed(full_desk, role) if "/sign-" not in route}
    if role in (Role.CASHIER, Role.AUDITOR):
        assert kept(full_desk) == before


@pytest.mark.parametrize("role", PEOPLE)
def test_it_shows_no_link_and_no_button_that_a_role_may_not_use(full_desk: Desk, role: Role) -> None:
    full_desk.someone(role)
    adapter, wrong, seen = full_desk.app.url_map.bind("localhost"), list[tuple[str, str, str]](), 0
    with full_desk.app.app_context():
        for path, html in pages(full_desk):
            for method, target in targets(html):
                where = target.partition("?")[0].partition("#")[0] or path.partition("?")[0]
                endpoint, _ = adapter.match(where, method)
                seen += 1
                if role not in (roles_of(endpoint) or ()):
                    wrong.append((path, method, target))
    assert wrong == []
    assert seen > 100


def targets(html: str) -> list[tuple[str, str]]:
    """Where the links, buttons and forms of a page lead to: method and address."""
    linked = re.findall(r'(?:href|hx-get)="(/[^"]*)"', html)
    sent = re.findall(r'hx-post="(/[^"]*)"', html)
    found = [("GET", target) for target in linked] + [("POST", target) for target in sent]
    for form in forms(html):
        found += [(form.method.upper(), action) for action in (form.action, *form.elsewhere) if action]
    return [(method, target) for method, target in found if not target.startswith("/static/")]


@pytest.mark.parametrize(
    ("role", "items"),
    [
        (
            Role.OWNER,
            "Dashboard Extensions Rate RechargeHistory CallLog Statistics Settings AuditLog Billing BillingManager",
        ),
        (Role.MANAGER, "Dashboard Extensions Rate RechargeHistory CallLog Statistics Settings AuditLog"),
        (Role.CASHIER, "Extensions RechargeHistory"),
        (Role.AUDITOR, "Dashboard Extensions Rate RechargeHistory CallLog Statistics AuditLog"),
    ],
)
def test_it_shows_each_role_its_menu(desk: Desk, role: Role, items: str) -> None:
    name = desk.someone(role)
    html = desk.page("/extensions")
    menu = html.partition('class="menu"')[2].partition("</ul>")[0]
    assert [re.sub(r"<[^>]*>|\s", "", item) for item in re.findall(r"<li>(.*?)</li>", menu, re.DOTALL)] == items.split()
    assert f'<p class="who">{name} ' in html


def test_it_shows_each_role_what_it_may_do_with_an_extension(full_desk: Desk) -> None:
    shown = {}
    for role in PEOPLE:
        full_desk.someone(role)
        shown[role] = set(re.findall(r"/extensions?/(?:100/)?([a-z-]+)", full_desk.page("/extension/100")))
    every = {"recharge", "edit", "correct", "check-in", "check-out", "close", "stays", "pin"}
    assert shown == {
        Role.OWNER: every, Role.MANAGER: every, Role.CASHIER: {"recharge"}, Role.AUDITOR: {"stays"}
    }  # fmt: skip
