"""PINs for self-service on the manager's side: made for one or many, shown once, printed, taken away."""

import logging
import re
from typing import Any

import pytest

from coovox_billing.core.roles import Role
from coovox_billing.services import self_service
from coovox_billing.services.accounts import add
from tests import cast
from tests.web import site_map
from tests.web.conftest import Desk
from tests.web.test_self_service import setting, sign_in

FORM = "/extensions/pin?extension=100"


@pytest.fixture
def manager(desk: Desk) -> Desk:
    """The billing manager is signed in, and self-service is on."""
    setting(desk, "self_service", "pin")
    desk.someone(Role.MANAGER)
    return desk


def send(desk: Desk, extensions: str = "100", **fields: str) -> Any:
    form = {"extensions": extensions, "way": "random", "submission": "one"}
    return desk.post("/extensions/pin", form | fields, FORM)


def slips(html: str) -> dict[str, str]:
    """The PIN of each slip."""
    found = re.findall(r"<dt>Extension</dt><dd[^>]*>(\w+)</dd>.*?<dt>PIN</dt><dd[^>]*>(\d+)</dd>", html, re.S)
    return dict(found)


def slips_alone(html: str) -> str:
    """What is to be printed of the page."""
    return html.partition('class="slips"')[2].partition("</ul>")[0]


def changes(desk: Desk) -> list[tuple[Any, ...]]:
    return cast.look_up(
        desk.database.path, "SELECT what, before, after FROM changes WHERE after LIKE '{_pin_%' ORDER BY id"
    )


def test_it_makes_a_random_pin_that_opens(manager: Desk) -> None:
    made = slips(send(manager).text)
    assert re.fullmatch(r"\d{6}", made["100"])
    browser = manager.app.test_client()
    assert sign_in(manager, pin=made["100"], browser=browser).status_code == 303


def test_it_shows_the_pin_once(manager: Desk) -> None:
    first = send(manager)
    pin = slips(first.text)["100"]
    assert "never shown again" in first.text
    assert first.headers["Cache-Control"] == "no-store"
    again = send(manager)
    assert (again.status_code, again.location) == (303, "/extensions")
    assert "the PINs were shown then" in manager.page("/extensions")
    assert sign_in(manager, pin=pin, browser=manager.app.test_client()).status_code == 303, "it is still that one"
    for path in ("/extension/100", FORM, "/audit-log", "/extensions"):
        assert pin not in manager.page(path), path


def test_it_makes_another_one_for_each_that_is_selected(manager: Desk) -> None:
    html = manager.page("/extensions/pin?extension=100&extension=101&extension=102")
    assert "Make a random one for each" in html
    assert 'name="pin"' not in html
    made = slips(send(manager, "100 101 102").text)
    assert list(made) == ["100", "101", "102"]
    assert len(set(made.values())) == 3
    assert [what for what, *_ in changes(manager)] == ["extension 100", "extension 101", "extension 102"]


def test_it_makes_them_for_all_that_match_the_search(manager: Desk) -> None:
    assert 'value="100 101 102 103"' in manager.page("/extensions/pin?all=1")


def test_it_asks_to_select_somebody_first(manager: Desk) -> None:
    answer = manager.browser.get("/extensions/pin")
    assert (answer.status_code, "Select at least one extension" in answer.text) == (422, True)


@pytest.mark.parametrize("way", ["chosen", "random"])
def test_it_takes_a_pin_that_the_manager_typed(manager: Desk, way: str) -> None:
    assert slips(send(manager, way=way, pin="735 192").text) == {"100": "735192"}
    assert sign_in(manager, pin="735192", browser=manager.app.test_client()).status_code == 303


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"way": "chosen", "pin": ""}, "a PIN has 4 to 12 digits"),
        ({"way": "chosen", "pin": "123"}, "a PIN has 4 to 12 digits"),
        ({"way": "chosen", "pin": "secret"}, "a PIN has 4 to 12 digits"),
        ({"way": "chosen", "pin": "1234"}, "too easy to guess"),
        ({"way": "chosen", "pin": "0100"}, "too easy to guess"),
        ({"way": "chosen", "pin": "735192", "extensions": "100 101"}, "each extension gets another PIN"),
        ({"extensions": "999"}, "there is no extension"),
        ({"extensions": "100 999"}, "there is no extension"),
        ({"extensions": " ".join(str(number) for number in range(1000, 1101))}, "up to 100 PINs are made at once"),
        ({"submission": ""}, "this form is not whole"),
    ],
)
def test_it_says_what_is_wrong_and_makes_none(manager: Desk, fields: dict[str, str], says: str) -> None:
    answer = send(manager, **({"extensions": "100"} | fields))
    assert (answer.status_code, says in answer.text) == (422, True)
    assert cast.look_up(manager.database.path, "SELECT * FROM pins") == []
    assert "735192" not in answer.text, "what was typed stands nowhere"


def test_it_takes_a_pin_away(manager: Desk) -> None:
    assert "None any more" not in manager.page(FORM)
    pin = slips(send(manager).text)["100"]
    assert "None any more" in manager.page(FORM)
    assert send(manager, way="none", submission="two").status_code == 303
    assert "100 has no PIN any more" in manager.page("/extensions")
    assert sign_in(manager, pin=pin, browser=manager.app.test_client()).status_code == 422
    assert [(before, after) for _, before, after in changes(manager)] == [
        ("{}", '{"pin": "changed"}'),
        ("{}", '{"pin": "removed"}'),
    ]


def test_it_takes_away_nothing_where_there_is_none(manager: Desk) -> None:
    assert send(manager, "100 101", way="none").status_code == 303
    assert changes(manager) == []


def test_it_tells_the_audit_log_who_and_not_what(manager: Desk) -> None:
    pin = slips(send(manager).text)["100"]
    html = manager.page("/audit-log")
    assert re.search(r"Extension 100.*?PIN</span>\s*changed", html, re.S)
    assert pin not in html
    rows = cast.look_up(manager.database.path, "SELECT actor, origin FROM changes WHERE after LIKE '{_pin_%'")
    assert rows[0][0].startswith("bill-")
    assert rows[0][1] == "127.0.0.1"


def test_it_keeps_no_pin_anywhere(manager: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    send(manager, way="chosen", pin="735192")
    names = cast.look_up(manager.database.path, "SELECT name FROM sqlite_master WHERE type = 'table'")
    stored = [cast.look_up(manager.database.path, f'SELECT * FROM "{name}"') for (name,) in names]
    assert "735192" not in str(stored)
    assert "735192" not in caplog.text
    assert "735192" not in str(manager.browser.get("/enter/x").text)


def test_it_tells_on_the_extension_s_page_since_when(manager: Desk) -> None:
    assert "none: nobody signs in to self-service" in manager.page("/extension/100")
    send(manager)
    assert "set on 2026-03-02 10:00:00" in manager.page("/extension/100")


@pytest.mark.parametrize("kind", ["off", "voicemail"])
def test_it_offers_no_pins_where_they_open_nothing(manager: Desk, kind: str) -> None:
    setting(manager, "self_service", kind)
    assert "/extensions/pin" not in manager.page("/extension/100")
    assert "/extensions/pin" not in manager.page("/extensions")
    assert "PINs open nothing now" in manager.page(FORM)


def test_its_slips_tell_the_address_as_a_qr_code_too(manager: Desk) -> None:
    assert "<svg" not in slips_alone(send(manager).text)
    setting(manager, "self_service_address", "https://pbx.example/self")
    html = slips_alone(send(manager, submission="two").text)
    assert "https://pbx.example/self" in html
    assert html.count("<svg") == 1


def test_its_slips_write_names_as_text(manager: Desk) -> None:
    manager.database.write(lambda c: add(c, "104", site_map.EVIL[:80], cast.MANAGER))
    html = send(manager, "104").text
    assert "<img src=x" not in html
    assert "&lt;img src=x" in html


def test_random_pins_are_never_guessable_and_not_alike() -> None:
    made = {self_service.random_pin("100") for _ in range(200)}
    assert len(made) > 190


def test_who_checks_a_guest_in_is_told_to_make_another_pin(manager: Desk) -> None:
    says = "make another one for the guest"
    assert says in manager.page("/extension/102/check-in")
    setting(manager, "self_service", "off")
    assert says not in manager.page("/extension/102/check-in")
