"""The owner's *Billing Manager*: users made, passwords shown once, roles, disabling, and a cashier at work."""

import re
from html import unescape
from typing import Any

import pytest

from coovox_billing.core.roles import Role
from coovox_billing.services import people
from coovox_billing.web import pieces
from tests import cast
from tests.telephone import Telephone
from tests.web import story
from tests.web.conftest import NEW_PASSWORD, PASSWORD, Desk

PATH = "/addons/billing-manager"
CASHIER = {"role": "cashier", "limit": "50", "daily_limit": "", "remark": "front desk"}


def send(desk: Desk, path: str, form: dict[str, str], **more: Any) -> Any:
    """Send a form that was opened just now."""
    token = {"csrf": desk.form_token("/extensions"), "submission": pieces.submission_token()}
    return desk.browser.post(path, data=token | form, **more)


def shown(html: str) -> tuple[str, str]:
    """The name and the password that a page shows."""
    found = [re.search(rf'<dd class="figures" id="{part}">([^<]+)</dd>', html) for part in ("name", "password")]
    assert all(found), html
    return tuple(one[1] for one in found if one)  # type: ignore[return-value]


def create(desk: Desk, form: dict[str, str] | None = None) -> tuple[str, str]:
    """The name and the password of a user whom the owner makes."""
    response = send(desk, f"{PATH}/add", CASHIER if form is None else form)
    assert response.status_code == 200, response.text
    return shown(response.text)


def duty(desk: Desk, name: str) -> tuple[Any, ...]:
    user = desk.database.read(lambda c: people.find(c, name))
    return tuple(user[key] for key in ("role", "remark", "recharge_limit_micros", "daily_limit_micros", "enabled"))


def words(html: str) -> str:
    return unescape(" ".join(re.sub(r"<[^>]*>", " ", html).split()))


def test_it_says_what_to_do_while_there_is_no_user(owner_desk: Desk) -> None:
    assert "No billing user yet" in owner_desk.page(PATH)


def test_it_makes_a_user_whose_password_is_shown_once_and_works(owner_desk: Desk) -> None:
    name, password = create(owner_desk)
    assert re.fullmatch(r"bill-[a-z2-9]{3}", name)
    assert duty(owner_desk, name) == ("cashier", "front desk", 50_000_000, None, 1)
    assert password not in owner_desk.page(PATH)
    assert "50.0000" in owner_desk.page(PATH)
    kept = b"".join(file.read_bytes() for file in owner_desk.directory.iterdir())
    assert password.encode() not in kept
    browser = owner_desk.app.test_client()
    assert owner_desk.sign_in(password, browser, user=name).location == "/extensions"
    assert f"{name}" in browser.get("/account").text


def test_it_makes_one_user_of_a_form_that_is_sent_twice(owner_desk: Desk) -> None:
    form = {"csrf": owner_desk.form_token(PATH), "submission": "once", **CASHIER}
    name, _password = shown(owner_desk.browser.post(f"{PATH}/add", data=form).text)
    again = owner_desk.browser.post(f"{PATH}/add", data=form, follow_redirects=True)
    assert f"the password of {name} was shown then" in words(again.text)
    assert cast.look_up(owner_desk.database.path, "SELECT count(*) FROM people") == [(1,)]


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"limit": ""}, "an amount above 0: the most"),
        ({"limit": "0"}, "above 0"),
        ({"limit": "-5"}, "above 0"),
        ({"limit": "much"}, "not an amount"),
        ({"daily_limit": "0"}, "above 0"),
        ({"remark": "x" * 81}, "up to 80"),
        ({"role": "owner"}, "choose one"),
    ],
)
def test_it_refuses_a_bad_form_and_keeps_what_was_typed(owner_desk: Desk, form: dict[str, str], said: str) -> None:
    response = send(owner_desk, f"{PATH}/add", CASHIER | form)
    assert (response.status_code, said in words(response.text)) == (422, True), words(response.text)
    for name, text in (CASHIER | form).items():
        assert name == "role" or not text or f'value="{text}"' in response.text
    assert cast.look_up(owner_desk.database.path, "SELECT count(*) FROM people") == [(0,)]


def test_it_leaves_the_limits_of_who_is_no_cashier(owner_desk: Desk) -> None:
    name, _password = create(owner_desk, CASHIER | {"role": "auditor", "limit": "nonsense"})
    assert duty(owner_desk, name) == ("auditor", "front desk", None, None, 1)


def test_it_changes_a_role_and_signs_the_user_out(owner_desk: Desk) -> None:
    name, password = create(owner_desk, {"role": "manager"})
    theirs = owner_desk.app.test_client()
    owner_desk.sign_in(password, theirs, user=name)
    assert theirs.get("/rate").status_code == 200
    assert send(owner_desk, f"{PATH}/{name}", CASHIER | {"daily_limit": "200"}).status_code == 303
    assert duty(owner_desk, name) == ("cashier", "front desk", 50_000_000, 200_000_000, 1)
    assert theirs.get("/extensions").location.startswith("/sign-in")
    owner_desk.sign_in(password, theirs, user=name)
    assert (theirs.get("/extensions").status_code, theirs.get("/rate").status_code) == (200, 403)


def test_it_changes_a_limit_while_the_cashier_works(owner_desk: Desk) -> None:
    name, password = create(owner_desk)
    theirs = owner_desk.app.test_client()
    owner_desk.sign_in(password, theirs, user=name)
    send(owner_desk, f"{PATH}/{name}", CASHIER | {"limit": "7"})
    assert "up to $7.0000 at once" in words(theirs.get("/extensions/recharge?extension=100").text)


def test_it_makes_a_new_password_and_signs_the_user_out(owner_desk: Desk) -> None:
    name, old = create(owner_desk)
    theirs = owner_desk.app.test_client()
    owner_desk.sign_in(old, theirs, user=name)
    new = shown(send(owner_desk, f"{PATH}/{name}/password", {}).text)[1]
    assert theirs.get("/extensions").status_code == 303
    assert owner_desk.sign_in(old, theirs, user=name).status_code == 422
    assert owner_desk.sign_in(new, theirs, user=name).status_code == 303


def test_it_disables_a_user_who_is_told_so_and_enables_again(owner_desk: Desk) -> None:
    name, password = create(owner_desk)
    theirs = owner_desk.app.test_client()
    owner_desk.sign_in(password, theirs, user=name)
    send(owner_desk, f"{PATH}/{name}/switch", {"enabled": "0"})
    assert theirs.get("/extensions").status_code == 303
    refused = owner_desk.sign_in(password, theirs, user=name)
    assert (refused.status_code, "is disabled: the owner of the device can enable it" in refused.text) == (422, True)
    assert "The user name or the password is wrong" in owner_desk.sign_in(NEW_PASSWORD, theirs, user=name).text
    send(owner_desk, f"{PATH}/{name}/switch", {"enabled": "1"})
    assert theirs.get("/extensions").status_code == 303
    assert owner_desk.sign_in(password, theirs, user=name).status_code == 303


def test_it_resets_a_second_factor(owner_desk: Desk) -> None:
    name = owner_desk.someone(Role.AUDITOR)
    send(owner_desk, "/account/second-factor", {"password": PASSWORD})
    secret = cast.look_up(owner_desk.database.path, "SELECT secret FROM second_factors")[0][0]
    send(owner_desk, "/account/second-factor/confirm", {"code": Telephone(secret).code(owner_desk.now_ms)})
    theirs, owner_desk.browser = owner_desk.browser, owner_desk.app.test_client()
    owner_desk.sign_in()
    assert "Reset the second factor" in owner_desk.page(PATH)
    assert send(owner_desk, f"{PATH}/{name}/second-factor", {}).status_code == 303
    assert theirs.get("/extensions").status_code == 303
    assert owner_desk.sign_in(browser=theirs, user=name).location == "/extensions"
    again = send(owner_desk, f"{PATH}/{name}/second-factor", {})
    assert (again.status_code, "no second factor" in again.text) == (422, True)


@pytest.mark.parametrize("path", ["", "/password", "/switch", "/second-factor"])
def test_it_knows_no_user_who_is_not_there(owner_desk: Desk, path: str) -> None:
    response = send(owner_desk, f"{PATH}/bill-zzz{path}", CASHIER)
    assert (response.status_code, "no billing user bill-zzz" in response.text) == (404, True)


def test_it_tells_the_audit_log_in_words(owner_desk: Desk) -> None:
    name, password = create(owner_desk)
    send(owner_desk, f"{PATH}/{name}", {"role": "manager", "remark": "front desk"})
    send(owner_desk, f"{PATH}/{name}/switch", {"enabled": "0"})
    html = owner_desk.page("/audit-log")
    said = words(html)
    assert f"Billing user {name}" in said
    for text in ("Cashier", "Billing manager", "Recharge at once up to", "50.0000", "Enabled", "front desk"):
        assert text in said, text
    assert password not in html
    assert "scrypt" not in html


def test_it_enters_what_a_user_does_under_his_name(desk: Desk) -> None:
    name = desk.someone(Role.MANAGER)
    send(desk, "/extension/100/correct", {"amount": "1", "reason": "because"})
    assert cast.look_up(desk.database.path, "SELECT actor FROM ledger ORDER BY id DESC LIMIT 1") == [(name,)]
    newest = "SELECT actor, origin FROM changes ORDER BY id DESC LIMIT 1"
    assert cast.look_up(desk.database.path, newest) == [(name, "127.0.0.1")]


def recharge(desk: Desk, amount: str, extensions: str = "100") -> Any:
    return send(desk, "/extensions/recharge", {"extensions": extensions, "amount": amount})


def test_it_lets_a_cashier_recharge_and_print_the_receipt(desk: Desk) -> None:
    story.tell(desk.database)
    name = desk.someone(Role.CASHIER)
    assert recharge(desk, "50").status_code == 303
    entry = cast.look_up(desk.database.path, "SELECT id, actor FROM ledger ORDER BY id DESC LIMIT 1")[0]
    assert entry[1] == name
    assert "50.00" in desk.page(f"/recharge-history/{entry[0]}")
    assert "Take back" not in desk.page("/recharge-history")


@pytest.mark.parametrize(("amount", "extensions"), [("50.0001", "100"), ("25.0001", "100 101"), ("17", "100 101 102")])
def test_it_keeps_a_cashier_to_the_limit(desk: Desk, amount: str, extensions: str) -> None:
    desk.someone(Role.CASHIER)
    before = cast.look_up(desk.database.path, "SELECT * FROM accounts")
    response = recharge(desk, amount, extensions)
    assert (response.status_code, "than the 50.0000 that you may recharge at once" in response.text) == (422, True)
    assert f'value="{amount}"' in response.text
    assert cast.look_up(desk.database.path, "SELECT * FROM accounts") == before


def test_it_keeps_a_cashier_to_the_day_however_forms_are_sent(desk: Desk) -> None:
    desk.someone(Role.CASHIER, limit="50", daily_limit="80")
    form = {"csrf": desk.form_token("/extensions"), "submission": "one", "extensions": "100", "amount": "40"}
    for _ in range(3):
        assert desk.browser.post("/extensions/recharge", data=form).status_code == 303
    assert recharge(desk, "40").status_code == 303
    refused = recharge(desk, "0.01")
    assert (refused.status_code, "0.0000 that are left of the 80.0000" in refused.text) == (422, True)
    assert cast.audited(desk.database.path) == []


def test_it_refuses_a_recharge_that_was_on_its_way_when_the_user_was_disabled(desk: Desk) -> None:
    name = desk.someone(Role.CASHIER)
    token = {"csrf": desk.form_token("/extensions"), "submission": "one", "extensions": "100", "amount": "5"}
    desk.database.write(lambda c: people.switch(c, name, False, cast.MANAGER))
    assert desk.browser.post("/extensions/recharge", data=token).location.startswith("/sign-in")
    assert cast.look_up(desk.database.path, "SELECT count(*) FROM ledger WHERE actor = ?", [name]) == [(0,)]
