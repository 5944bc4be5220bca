"""The owner's *Addons → Billing*: activation, trial and license on the pages, first steps, all data, the way in."""

import csv
import io
import re
import time
import zipfile
from html import unescape
from typing import Any

import pytest

from coovox_billing.core import license as licenses
from coovox_billing.core.roles import Role
from coovox_billing.core.trial import TRIAL_MS
from coovox_billing.services import activation, handover
from tests import cast
from tests.cast import look_up
from tests.licenses import Drawer, a_device, a_license
from tests.web import story
from tests.web.conftest import Desk

PAGE = "/addons/billing"
DAY_MS = 86_400_000


@pytest.fixture
def desk(closed_desk: Any) -> Desk:
    """As long as the product was released long ago, and billing was never activated."""
    made: Desk = closed_desk(released_ms=cast.NOW_MS - 90 * DAY_MS)
    made.database.write(lambda c: activation.switch(c, False, cast.MANAGER))
    made.database.write(lambda c: [c.execute(f"DROP TRIGGER {name}") for (name,) in _guards(made)])
    made.database.write(lambda c: c.execute("DELETE FROM changes"))
    return made


def _guards(desk: Desk) -> list[tuple[str]]:
    return look_up(desk.database.path, "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'changes'")


@pytest.fixture
def owner_desk(desk: Desk) -> Desk:
    assert desk.sign_in().status_code == 303
    return desk


def switch(desk: Desk, active: str) -> Any:
    return desk.post(PAGE, {"active": active, "submission": str(time.monotonic_ns())}, PAGE)


def facts(desk: Desk) -> dict[str, str]:
    """System Information, as the page has it."""
    html = desk.page(PAGE)
    return dict(re.findall(r"<dt>([^<]*)</dt><dd[^>]*>([^<]*)</dd>", html))


def send_license(desk: Desk, data: bytes) -> Any:
    form = {"csrf": desk.form_token(PAGE), "license": (io.BytesIO(data), "billing.license")}
    return desk.browser.post("/addons/billing/license", data=form, content_type="multipart/form-data")


def source(desk: Desk) -> str:
    return str(desk.browser.get("/addons/billing/billing.ac").text)


def test_it_tells_the_three_lines_of_the_guide(owner_desk: Desk) -> None:
    assert facts(owner_desk)["License Uploaded"] == "No"
    assert "all calls pass unbilled" in owner_desk.page("/extensions"), "told to who looks after them too"
    assert switch(owner_desk, "on").status_code == 303
    assert "all calls pass unbilled" not in owner_desk.page("/extensions")
    assert facts(owner_desk) | {} == {
        "Time of first activation": "2026-03-02 10:00:00",
        "Time of expiration": "2026-04-01 11:00:00",
        "License Uploaded": "No",
    }, "thirty days to the second; the clocks of Madrid were set forward meanwhile"
    send_license(owner_desk, a_license(source(owner_desk)))
    told = facts(owner_desk)
    assert (told["Time of expiration"], told["License Uploaded"]) == ("Never expires", "Yes")


def test_billing_users_stay_out_once_the_trial_is_over(owner_desk: Desk) -> None:
    switch(owner_desk, "on")
    ann, owners = owner_desk.add_user(Role.MANAGER), owner_desk.browser
    manager = owner_desk.app.test_client()
    assert owner_desk.sign_in(user=ann, browser=manager).status_code == 303
    owner_desk.now_ms += TRIAL_MS - 60_000
    assert manager.get("/extensions").status_code == 303, "the session is too old"
    assert owner_desk.sign_in(user=ann, browser=manager).status_code == 303
    assert manager.get("/extensions").status_code == 200
    owner_desk.now_ms += 60_000
    assert manager.get("/extensions").location.startswith("/sign-in"), "it ends with the trial"
    refused = owner_desk.sign_in(user=ann, browser=manager)
    assert (refused.status_code, "the free trial of billing is over" in refused.text) == (422, True)
    wrong = owner_desk.sign_in(password="not the password", user=ann, browser=manager)
    assert "the free trial" not in wrong.text, "told to whoever has the password"
    owner_desk.browser = owners
    owner_desk.sign_in()
    send_license(owner_desk, a_license(source(owner_desk)))
    assert owner_desk.sign_in(user=ann, browser=manager).status_code == 303


def test_the_owner_reads_on_after_the_trial_and_changes_nothing(owner_desk: Desk) -> None:
    switch(owner_desk, "on")
    owner_desk.now_ms += TRIAL_MS
    owner_desk.sign_in()
    assert owner_desk.browser.get("/extensions").status_code == 200
    assert owner_desk.browser.get("/extensions.csv").status_code == 200
    assert owner_desk.browser.get("/addons/billing/all-data.zip").status_code == 200
    before = look_up(owner_desk.database.path, "SELECT * FROM ledger")
    refused = owner_desk.post("/extensions/recharge", {"extension": "100", "amount": "5", "submission": "x"})
    assert (refused.status_code, "The free trial is over" in refused.text) == (403, True)
    assert look_up(owner_desk.database.path, "SELECT * FROM ledger") == before
    columns = owner_desk.post("/lists/extensions/columns", {"column": "balance", "submission": "x"})
    assert columns.status_code == 303, "how lists are shown is a matter of who reads"
    second_factor = owner_desk.post("/account/second-factor", {"current": "wrong", "submission": "x"}, "/account")
    assert second_factor.status_code != 403, "one's own account is no billing page"
    assert switch(owner_desk, "off").status_code == 303
    again = switch(owner_desk, "on")
    assert (again.status_code, "upload a license, then activate billing" in again.text) == (422, True)
    assert "The trial is over." in owner_desk.page(PAGE)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "the file is empty"),
        (b"x" * 500_000, "larger than"),
        (b"PK\x03\x04" + b"\0" * 1000, "packed"),
        (b"\x89PNG\r\n\x1a\n\0", "not plain text"),
        (b"CooVox Billing license 2\n", "format"),
    ],
    ids=["empty", "large", "zip", "picture", "another format"],
)
def test_it_says_why_a_file_is_no_license(owner_desk: Desk, data: bytes, why: str) -> None:
    refused = send_license(owner_desk, data)
    assert (refused.status_code, why in refused.text) == (422, True), refused.text
    assert facts(owner_desk)["License Uploaded"] == "No"


def test_it_takes_no_gigabyte(owner_desk: Desk) -> None:
    """Measured by what the sender says, before anything of it is read."""
    token = owner_desk.form_token(PAGE)
    body = {"csrf": token, "license": (io.BytesIO(b"x" * 3_000_000), "billing.license")}
    assert owner_desk.browser.post("/addons/billing/license", data=body).status_code == 413


def test_it_asks_for_a_file(owner_desk: Desk) -> None:
    refused = owner_desk.post("/addons/billing/license", {}, PAGE)
    assert (refused.status_code, "Choose the license file first." in refused.text) == (422, True)


def test_it_refuses_another_device_s_license(owner_desk: Desk, closed_desk: Any) -> None:
    other = licenses.parse_source(source(owner_desk))
    strangers = a_device(9).identifiers
    digests = tuple(licenses.Identifier(i.kind, licenses.identifier_digest(i.kind, i.value)) for i in strangers)
    refused = send_license(owner_desk, a_license(other, identifiers=digests))
    assert "0 of the 3 hardware identifiers that it names match" in refused.text


def test_it_offers_no_source_file_on_a_machine_like_all_others(closed_desk: Any) -> None:
    box = a_device()
    desk = closed_desk(device=type(box)(box.board, (), Drawer(), "this machine tells too little of itself"))
    desk.sign_in()
    html = desk.page(PAGE)
    assert ("Download Billing Source File" in html, "tells too little of itself" in html) == (False, True)
    refused = desk.browser.get("/addons/billing/billing.ac")
    assert (refused.status_code, "tells too little of itself" in refused.text) == (422, True)


def test_all_data_holds_every_list_as_its_page_does(owner_desk: Desk) -> None:
    story.tell(owner_desk.database)
    packed = zipfile.ZipFile(io.BytesIO(owner_desk.browser.get("/addons/billing/all-data.zip").data))
    assert packed.testzip() is None
    assert sorted(packed.namelist()) == [
        "audit-log.csv", "billing-users.csv", "call-log.csv", "closed-extensions.csv", "extensions.csv", "rates.csv",
        "recharge-history.csv", "settings.csv", "statistics.csv", "trunks.csv",
    ]  # fmt: skip
    for name, path in (("extensions", "/extensions.csv"), ("audit-log", "/audit-log.csv")):
        assert packed.read(f"{name}.csv") == owner_desk.browser.get(path).data
    rows = list(csv.reader(io.StringIO(packed.read("call-log.csv").decode("utf-8-sig"))))
    numbers = {row[2] for row in rows if len(row) > 5}
    assert {number for (number,) in look_up(owner_desk.database.path, "SELECT number FROM calls")} <= numbers


# first steps

ANSWERS = {
    "country": "DE",
    "currency": "EUR",
    "time_zone": "Europe/Berlin",
    "when_no_rate": "refuse",
    "when_billing_is_down": "refuse",
}


def test_the_owner_of_a_new_site_is_led_through_first_steps(desk: Desk) -> None:
    assert desk.sign_in().location == "/addons/billing/first-steps"
    shown = desk.post("/addons/billing/first-steps", ANSWERS, "/addons/billing/first-steps")
    assert (shown.status_code, {"110", "0112", "9112"} <= set(shown.text.split())) == (200, True), shown.text
    assert look_up(desk.database.path, "SELECT value FROM settings WHERE name = 'currency'") == [], "not stored yet"
    back = unescape(re.findall(r'href="(/addons/billing/first-steps[^"]*)"', shown.text)[-1])
    assert all(f'value="{value}" selected' in desk.page(back) for value in ("DE", "EUR", "Europe/Berlin"))
    confirmed = ANSWERS | {"emergency_numbers": "112 9112", "active": "on", "submission": "1"}
    done = desk.post("/addons/billing/first-steps", confirmed, "/addons/billing/first-steps")
    assert (done.status_code, done.location) == (303, "/addons/billing/summary")
    summary = desk.page("/addons/billing/summary")
    assert all(text in summary for text in ("EUR (€)", "Europe/Berlin", "112 9112", "2026-04-01"))
    assert desk.database.read(activation.is_active)
    desk.browser = desk.app.test_client()
    assert desk.sign_in().location == "/extensions"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"country": ""}, "choose the country"),
        ({"country": "XX"}, "choose the country"),
        ({"currency": "XYZ"}, "currency"),
        ({"time_zone": "Mars/Olympus"}, "Mars/Olympus"),
        ({"emergency_numbers": "112 <b>"}, "&lt;b&gt;"),
    ],
)
def test_first_steps_say_what_is_wrong_and_store_nothing(owner_desk: Desk, wrong: dict[str, str], says: str) -> None:
    before = look_up(owner_desk.database.path, "SELECT * FROM settings")
    given = ANSWERS | {"active": "on", "submission": "1"} | wrong
    refused = owner_desk.post("/addons/billing/first-steps", given, "/addons/billing/first-steps")
    assert (refused.status_code, says in refused.text) == (422, True)
    assert look_up(owner_desk.database.path, "SELECT * FROM settings") == before


def test_first_steps_store_nothing_where_activation_is_refused(owner_desk: Desk) -> None:
    switch(owner_desk, "on")
    owner_desk.now_ms += TRIAL_MS
    owner_desk.sign_in()
    given = ANSWERS | {"emergency_numbers": "112", "active": "on", "submission": "1"}
    refused = owner_desk.post("/addons/billing/first-steps", given, "/addons/billing")
    assert refused.status_code in (403, 422)
    assert look_up(owner_desk.database.path, "SELECT value FROM settings WHERE name = 'currency'") == []


# the way in from the PBX's menu


def test_a_link_signs_the_owner_in_once(desk: Desk) -> None:
    ticket = handover.make_ticket(desk.directory, "127.0.0.1")
    came_in = desk.browser.get(f"/enter/{ticket}")
    assert (came_in.status_code, 'url=/addons/billing"' in came_in.text) == (200, True)
    assert desk.browser.get(PAGE).status_code == 200
    thief = desk.app.test_client()
    refused = thief.get(f"/enter/{ticket}")
    assert (refused.status_code, "used already" in refused.text) == (422, True)
    assert thief.get(PAGE).status_code == 303


def test_a_link_is_good_for_a_minute_and_for_one_address(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = handover.make_ticket(desk.directory, "192.0.2.7")
    assert "for another computer" in desk.browser.get(f"/enter/{elsewhere}").text
    ticket = handover.make_ticket(desk.directory)
    later = time.time() + handover.LIFE_SECONDS + 2
    monkeypatch.setattr(time, "time", lambda: later)
    assert "too old" in desk.browser.get(f"/enter/{ticket}").text
    assert desk.browser.get(PAGE).status_code == 303


def test_who_only_looks_at_a_link_uses_nothing_up(desk: Desk) -> None:
    ticket = handover.make_ticket(desk.directory)
    assert desk.browser.head(f"/enter/{ticket}").status_code == 200
    assert desk.browser.get(PAGE).status_code == 303
    assert desk.browser.get(f"/enter/{ticket}").status_code == 200
    assert look_up(desk.database.path, "SELECT actor, origin, what FROM changes WHERE what = 'sign-in'") == [
        ("owner", "127.0.0.1", "sign-in")
    ]


@pytest.mark.parametrize("ticket", ["x", "W10.aaa.bbb", "..", "é", "W10.aW5.Zm9v" * 40])
def test_a_link_of_nobody_s_is_refused(desk: Desk, ticket: str) -> None:
    for _ in range(2):
        refused = desk.browser.get(f"/enter/{ticket}")
        assert (refused.status_code, "not from this PBX" in refused.text) == (422, True)
        handover.make_ticket(desk.directory)
    assert desk.browser.get(PAGE).status_code == 303
