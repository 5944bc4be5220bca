"""What no page may do, and what no request may make it do (DESIGN §8)."""

import re
from collections.abc import Callable
from pathlib import Path
from threading import BoundedSemaphore

import pytest
from werkzeug.test import EnvironBuilder

from coovox_billing.errors import BadInput, NotFound, SetupError
from coovox_billing.shipped import shipped
from coovox_billing.store.database import Database
from coovox_billing.web import create_app, downloads
from coovox_billing.web.headers import POLICY
from tests.web import story
from tests.web.conftest import Desk

PATHS = [
    "/",
    "/sign-in",
    "/extensions",
    "/extensions/recharge?extension=100",
    "/extensions/bulk-edit?all=1",
    "/extensions/add",
    "/extensions/import",
    "/extensions/sync",
    "/extensions/closed",
    "/extension/100",
    "/extension/100/edit",
    "/extension/100/check-in",
    "/extension/100/check-out",
    "/rate",
    "/rate/add",
    "/rate/1/edit",
    "/rate/import",
    "/rate/test?extension=100&number=988360046",
    "/call-log",
    "/statistics",
    "/account",
    "/account/second-factor",
    "/addons/billing-manager",
    "/healthz",
    "/no-such-page",
    "/static/coovox.css",
]
FORMS = ["/sign-in", "/sign-out", "/account/password"]


@pytest.mark.parametrize("path", PATHS)
def test_it_sends_its_policy_with_every_response(owner_desk: Desk, path: str) -> None:
    for browser in (owner_desk.browser, owner_desk.app.test_client()):
        headers = browser.get(path).headers
        assert headers["Content-Security-Policy"] == POLICY
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"


def test_it_allows_nothing_inline_and_nothing_foreign() -> None:
    assert POLICY.startswith("default-src 'none'; ")
    assert "script-src 'self'" in POLICY
    assert "frame-ancestors 'none'" in POLICY
    assert "unsafe" not in POLICY
    assert "*" not in POLICY


@pytest.mark.parametrize("path", PATHS[:-1])
def test_it_lets_no_cache_keep_a_page(owner_desk: Desk, path: str) -> None:
    assert owner_desk.browser.get(path).headers["Cache-Control"] == "no-store"


def test_it_lets_caches_keep_the_style(desk: Desk) -> None:
    assert "max-age=3600" in desk.browser.get("/static/coovox.css").headers["Cache-Control"]


@pytest.mark.parametrize(
    "path",
    [
        "/sign-in",
        "/extensions",
        "/rate",
        "/rate/add",
        "/rate/1/delete",
        "/rate/import",
        "/rate/test?extension=100&number=988360046",
        "/call-log?per_page=20",
        "/statistics?by=day",
        "/account",
        "/no-such-page",
    ],
)
def test_it_holds_no_inline_script_or_style_and_no_foreign_address(owner_desk: Desk, path: str) -> None:
    story.tell(owner_desk.database)
    for browser in (owner_desk.browser, owner_desk.app.test_client()):
        html = browser.get(path, follow_redirects=True).text
        assert re.findall(r"<script(?![^>]*\ssrc=\"/static/)", html) == []
        assert re.findall(r"<script[^>]*>(?!</script>)", html) == []
        assert "<style" not in html
        assert not re.search(r"\s(style|on[a-z]+)=", html)
        assert not re.search(r"(src|href|action)=\"(?!/(?!/)|#)", html)
        assert "http:" not in html
        assert "https:" not in html


def test_it_ships_a_style_that_fetches_nothing() -> None:
    for file in (shipped("web") / "static").glob("*.css"):
        text = file.read_text(encoding="utf-8").replace('xmlns="http://www.w3.org/2000/svg"', "")
        assert "url(" not in text
        assert "@import" not in text
        assert "//" not in text


def test_it_writes_names_as_text(owner_desk: Desk) -> None:
    plant = "UPDATE accounts SET name = '<img src=x onerror=alert(1)>\"' WHERE extension = '100'"
    story.tell(owner_desk.database)
    owner_desk.database.write(lambda connection: connection.execute(plant))
    for path in ("/extensions", "/call-log?per_page=20"):
        html = owner_desk.page(path)
        assert "<img src=x" not in html
        assert "&lt;img src=x onerror=alert(1)&gt;" in html


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize("form", [{}, {"csrf": ""}, {"csrf": "x" * 43}, {"csrf": "ñ"}])
def test_it_takes_no_form_without_its_token(owner_desk: Desk, path: str, form: dict[str, str]) -> None:
    response = owner_desk.browser.post(path, data=form)
    assert response.status_code == 400
    assert "open the page again" in response.text
    assert owner_desk.browser.get("/extensions").status_code == 200


def test_it_takes_no_token_of_another_session(owner_desk: Desk) -> None:
    stolen = owner_desk.form_token("/sign-in", owner_desk.app.test_client())
    assert owner_desk.browser.post("/sign-out", data={"csrf": stolen}).status_code == 400


def test_it_takes_no_token_out_of_the_address(owner_desk: Desk) -> None:
    token = owner_desk.form_token("/extensions")
    assert owner_desk.browser.post(f"/sign-out?csrf={token}").status_code == 400


def test_it_does_not_try_a_password_without_a_token(desk: Desk) -> None:
    for _ in range(30):
        assert desk.browser.post("/sign-in", data={"password": "wrong password"}).status_code == 400
    assert desk.sign_in().status_code == 303


@pytest.mark.parametrize("path", ["/sign-out", "/account/password"])
def test_it_leads_a_form_without_a_session_to_the_sign_in_page(desk: Desk, path: str) -> None:
    response = desk.browser.post(path, data={})
    assert response.status_code == 303
    assert response.location.startswith("/sign-in")


def test_it_takes_no_form_larger_than_its_own(desk: Desk) -> None:
    response = desk.browser.post("/sign-in", data={"password": "x" * 20_000})
    assert response.status_code == 413
    assert "larger than any form of ours" in response.text


@pytest.mark.parametrize(
    "path", ["//evil.example", "//extensions", "/extensions//", "/extensions/", "/static/../app.py"]
)
def test_it_answers_odd_paths_without_naming_a_host(owner_desk: Desk, path: str) -> None:
    builder = EnvironBuilder(path="/", headers={"Host": "evil.example"})
    environ = builder.get_environ() | {"PATH_INFO": path}
    response = owner_desk.browser.open(environ)
    assert "evil" not in response.headers.get("Location", "")
    assert "http" not in response.headers.get("Location", "")


@pytest.mark.parametrize("path", PATHS)
def test_it_builds_nothing_out_of_the_host_header(owner_desk: Desk, path: str) -> None:
    for browser in (owner_desk.browser, owner_desk.app.test_client()):
        response = browser.get(path, headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example"})
        assert "evil" not in response.text
        assert "evil" not in str(response.headers)


@pytest.mark.parametrize(
    ("path", "method", "code", "words"),
    [
        ("/no-such-page", "GET", 404, "There is no such page"),
        ("/extensions", "DELETE", 405, "Not possible here"),
        ("/static/no-such-file", "GET", 404, "There is no such page"),
    ],
)
def test_it_shows_errors_as_pages_of_the_house(owner_desk: Desk, path: str, method: str, code: int, words: str) -> None:
    response = owner_desk.browser.open(path, method=method)
    assert response.status_code == code
    assert words in response.text
    assert "CooVox" in response.text


def test_it_names_no_page_to_whoever_is_not_signed_in(desk: Desk) -> None:
    response = desk.browser.get("/no-such-page")
    assert response.status_code == 404
    assert "Call Log" not in response.text


def test_it_keeps_what_broke_to_the_log(
    owner_desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def break_down() -> list[object]:
        raise RuntimeError("the secret inside")

    monkeypatch.setattr("coovox_billing.store.lists.extensions.glance", break_down)
    response = owner_desk.browser.get("/extensions")
    assert response.status_code == 500
    assert "Something broke" in response.text
    assert "secret inside" not in response.text
    assert "the secret inside" in caplog.text


@pytest.mark.parametrize(("error", "code"), [(NotFound("there is no 7"), 404), (BadInput("that is no 7"), 400)])
def test_it_shows_the_text_of_our_own_errors(
    owner_desk: Desk, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int
) -> None:
    def refuse() -> list[object]:
        raise error

    monkeypatch.setattr("coovox_billing.store.lists.extensions.glance", refuse)
    response = owner_desk.browser.get("/extensions")
    assert response.status_code == code
    assert str(error) in response.text


def test_it_marks_the_cookie_secure_where_a_trusted_proxy_says_https(
    closed_desk: Callable[..., Desk],
) -> None:
    desk = closed_desk(trusted_proxies={"127.0.0.1"})
    cookie = desk.browser.get("/sign-in", headers={"X-Forwarded-Proto": "https"}).headers["Set-Cookie"]
    assert "; Secure" in cookie


@pytest.mark.parametrize("trusted", [(), ("192.0.2.1",)])
def test_it_believes_nobody_else_about_https(closed_desk: Callable[..., Desk], trusted: tuple[str, ...]) -> None:
    desk = closed_desk(trusted_proxies=trusted)
    cookie = desk.browser.get("/sign-in", headers={"X-Forwarded-Proto": "https"}).headers["Set-Cookie"]
    assert "; Secure" not in cookie


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("6.6.6.6, 192.0.2.7", "192.0.2.7"),
        ("6.6.6.6, 192.0.2.7, 10.0.0.9", "192.0.2.7"),
        ("2001:db8::1", "2001:db8::1"),
        ("not an address", "127.0.0.1"),
        ("", "127.0.0.1"),
    ],
)
def test_it_takes_the_nearest_client_that_is_no_proxy(
    closed_desk: Callable[..., Desk], caplog: pytest.LogCaptureFixture, forwarded: str, client: str
) -> None:
    desk = closed_desk(trusted_proxies={"127.0.0.1", "10.0.0.9"})
    desk.sign_in("wrong password", headers={"X-Forwarded-For": forwarded})
    assert f"a wrong password for owner from {client}\n" in caplog.text


@pytest.mark.parametrize("prefix", ["/billing", "billing/", "/addons/billing"])
def test_it_keeps_its_prefix_whether_or_not_the_proxy_strips_it(closed_desk: Callable[..., Desk], prefix: str) -> None:
    desk = closed_desk(web_prefix=prefix)
    whole = "/" + prefix.strip("/")
    for path in ("/sign-in", f"{whole}/sign-in"):
        html = desk.browser.get(path).text
        assert f'href="{whole}/static/coovox.css' in html
        assert f'action="{whole}/sign-in"' in html
    assert desk.leads_to(whole) == f"{whole}/sign-in?next=/"


@pytest.mark.parametrize(
    "options", [{"web_prefix": "/a b"}, {"web_prefix": "/x;y"}, {"trusted_proxies": {"proxy.local"}}]
)
def test_it_refuses_a_setup_that_cannot_be(database: Database, tmp_path: Path, options: dict[str, str]) -> None:
    with pytest.raises(SetupError):
        create_app(tmp_path, database, call_plane_is_up=lambda: True, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "path", ["/recharge-history/{}", "/recharge-history/{}/undo", "/extensions/stays/{}", "/rate/{}/edit"]
)
def test_it_has_nothing_under_an_id_that_cannot_be(owner_desk: Desk, path: str) -> None:
    assert owner_desk.browser.get(path.format("9" * 30)).status_code == 404


@pytest.mark.parametrize(
    "path", ["/recharge-history", "/recharge-history.csv", "/audit-log", "/audit-log.xlsx", "/call-log"]
)
@pytest.mark.parametrize("day", ["9999-12-31", "0001-01-01"])
def test_it_takes_no_day_that_no_clock_will_show(owner_desk: Desk, path: str, day: str) -> None:
    assert owner_desk.browser.get(f"{path}?from={day}&to={day}", buffered=True).status_code == 200


def test_it_serves_pages_while_downloads_stand_still(owner_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who does not read keeps a worker, so others are asked to wait."""
    running = BoundedSemaphore(1)
    monkeypatch.setattr(downloads, "_running", running)
    for method in ("GET", "HEAD", "GET"):
        assert owner_desk.browser.open("/recharge-history.csv", method=method).status_code == 200
    running.acquire()
    for path in ("/recharge-history.csv", "/audit-log.xlsx", "/rate.csv", "/extensions/export.csv"):
        refused = owner_desk.browser.get(path)
        assert (refused.status_code, "Try again" in refused.text) == (503, True)
    assert owner_desk.browser.get("/extensions").status_code == 200


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_it_writes_no_formula_for_who_separates_cells_otherwise(owner_desk: Desk, separator: str) -> None:
    plant = f"UPDATE accounts SET name = 'Ann{separator}=1+1' WHERE extension = '103'"
    owner_desk.database.write(lambda connection: connection.execute(plant))
    lines = owner_desk.browser.get("/extensions.csv", buffered=True).text.splitlines()
    line = next(line for line in lines if line.startswith("103"))
    assert not any(cell.startswith("=") for cell in line.split(separator))
