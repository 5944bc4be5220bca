"""The settings page: only what was changed is stored, what cannot be is told beside its field."""

import html
import io
import re
from typing import Any

import pytest
from babel.core import Locale
from openpyxl import load_workbook

from coovox_billing.core.emergency_numbers import NUMBERS_OF_COUNTRIES, as_dialed
from coovox_billing.core.site_settings import DEFAULT_EMERGENCY_NUMBERS, SITE_SETTINGS
from coovox_billing.services import site as site_service
from coovox_billing.web import formats, reader
from coovox_billing.web.pages.addons import backups
from coovox_billing.web.pages.settings import form as settings
from tests import cast
from tests.web.conftest import Desk

PAGE, EMERGENCY = "/settings", "/settings/emergency-numbers"


def filled(page: str) -> dict[str, str]:
    """The fields of the form that posts, with what they hold when the page is opened."""
    form = re.search(r'<form[^>]*method="post" action="/settings[^"]*"(.*?)</form>', page, re.S)
    assert form
    fields = {}
    for tag in re.findall(r"<input[^>]*>", form[1]):
        named = dict(re.findall(r'(\w+)="([^"]*)"', tag)) | dict(re.findall(r'(name)="([^"]*)"', tag))
        if named.get("type") != "radio" or "checked" in re.sub(r'"[^"]*"', "", tag):
            fields[named["name"]] = html.unescape(named.get("value", ""))
    for name, options in re.findall(r'<select[^>]*name="([^"]*)".*?>(.*?)</select>', form[1], re.S):
        values = re.findall(r'value="([^"]*)" selected', options) or re.findall(r'value="([^"]*)"', options)
        fields[name] = values[0]
    for name, text in re.findall(r'<textarea[^>]*name="([^"]*)".*?>(.*?)</textarea>', form[1], re.S):
        fields[name] = html.unescape(text)
    return fields


def submit(desk: Desk, path: str = PAGE, page: str = "", **changes: str) -> Any:
    """Open the form, change something, send it."""
    return desk.browser.post(path, data=filled(desk.page(page or path)) | changes)


def stored(desk: Desk) -> dict[str, str]:
    return dict(cast.look_up(desk.database.path, "SELECT name, value FROM settings"))


def emergency_list(desk: Desk) -> str:
    return stored(desk).get("emergency_numbers", DEFAULT_EMERGENCY_NUMBERS)


def logged(desk: Desk) -> list[tuple[Any, ...]]:
    return cast.look_up(desk.database.path, "SELECT what, before, after FROM changes WHERE what LIKE 'setting %'")


def test_it_has_every_site_setting() -> None:
    assert {setting.name for setting in SITE_SETTINGS} == {*settings.ON_FORM, settings.EMERGENCY, *backups.SETTINGS}


def test_it_offers_the_guide_s_currencies_in_its_words(owner_desk: Desk) -> None:
    page = owner_desk.page(PAGE)
    offered = re.search(r'<select id="currency".*?</select>', page, re.S)
    assert offered
    words = re.findall(r">([^<>]+)</option>", offered[0])
    assert words == ["USD ($)", "CNY (¥)", "EUR (€)", "GBP (£)", "Other (¤)"]


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("currency", "EUR", "EUR"),
        ("currency", "Other", "Other"),
        ("time_zone", "Asia/Shanghai", "Asia/Shanghai"),
        ("language", "zh", "zh"),
        ("date_format", "DD.MM.YYYY", "DD.MM.YYYY"),
        ("date_format", "language", "language"),
        ("time_format", "12", "12"),
        ("when_no_rate", "allow", "allow"),
        ("when_billing_is_down", "allow", "allow"),
        ("calls_without_payer", "refuse", "refuse"),
        ("locking_ends_calls", "yes", "yes"),
        ("longest_call_seconds", " 007200 ", "7200"),
        ("warning_seconds", "0", "0"),
        ("low_balance", "2.5", "2.5000"),
        ("grace_seconds", "0", "0"),
        ("plus_prefix", "900", "900"),
    ],
)
def test_it_stores_only_what_was_changed(owner_desk: Desk, name: str, given: str, kept: str) -> None:
    before = stored(owner_desk)
    assert submit(owner_desk, **{name: given}).status_code == 303
    assert stored(owner_desk) == before | {name: kept}
    assert [(what, after) for what, _, after in logged(owner_desk)] == [(f"setting {name}", kept)]
    assert "The settings are stored" in owner_desk.page(PAGE)
    assert filled(owner_desk.page(PAGE))[name] == kept


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("currency", "BTC", "choose USD or CNY"),
        ("time_zone", "Madrid", "is not a time zone"),
        ("time_zone", "", "is not a time zone"),
        ("language", "tlh", "choose auto or en"),
        ("date_format", "%d", "is not possible"),
        ("time_format", "13", "choose 24 or 12"),
        ("when_no_rate", "pass", "choose refuse or allow"),
        ("when_billing_is_down", "maybe", "choose refuse or allow"),
        ("locking_ends_calls", "on", "choose no or yes"),
        ("longest_call_seconds", "4h", "not a whole number from 1 to 86400"),
        ("warning_seconds", "301", "not a whole number from 0 to 300"),
        ("low_balance", "-1", "write an amount like 5.00"),
        ("low_balance", "1,234", "can be read in two ways"),
        ("grace_seconds", "-1", "not a whole number from 0 to 3600"),
        ("plus_prefix", "<b>", "is not a dial prefix"),
    ],
)
def test_it_tells_what_cannot_be_and_stores_nothing(owner_desk: Desk, name: str, given: str, told: str) -> None:
    before = stored(owner_desk)
    response = submit(owner_desk, **{name: given, "plus_prefix": given if name == "plus_prefix" else "900"})
    assert response.status_code == 422
    assert f'id="{name}-error"' in response.text
    assert told in html.unescape(response.text)
    assert stored(owner_desk) == before
    assert logged(owner_desk) == []
    kept = filled(response.text)
    assert kept.get(name, given) == given or name in ("currency", "language", "date_format", "time_format")
    assert name == "plus_prefix" or kept["plus_prefix"] == "900"


def test_it_lets_an_extension_pay_that_there_is(owner_desk: Desk) -> None:
    assert submit(owner_desk, calls_without_payer="extension", payer="101").status_code == 303
    assert stored(owner_desk)["calls_without_payer"] == "101"
    assert filled(owner_desk.page(PAGE))["payer"] == "101"


@pytest.mark.parametrize("payer", ["", "999", "the lobby", "100 101"])
def test_it_lets_nobody_pay_who_is_not_there(owner_desk: Desk, payer: str) -> None:
    response = submit(owner_desk, calls_without_payer="extension", payer=payer)
    assert response.status_code == 422
    assert 'id="calls_without_payer-error"' in response.text
    assert filled(response.text)["payer"] == payer
    assert "calls_without_payer" not in stored(owner_desk)


def test_it_leaves_alone_what_somebody_else_changed_meanwhile(owner_desk: Desk) -> None:
    form = filled(owner_desk.page(PAGE))
    owner_desk.database.write(lambda c: site_service.change_setting(c, "currency", "GBP", cast.MANAGER))
    assert owner_desk.browser.post(PAGE, data=form | {"plus_prefix": "900"}).status_code == 303
    assert (stored(owner_desk)["currency"], stored(owner_desk)["plus_prefix"]) == ("GBP", "900")


def test_it_asks_again_where_both_changed_the_same(owner_desk: Desk) -> None:
    form = filled(owner_desk.page(PAGE)) | {"currency": "EUR"}
    owner_desk.database.write(lambda c: site_service.change_setting(c, "currency", "GBP", cast.MANAGER))
    response = owner_desk.browser.post(PAGE, data=form)
    assert (response.status_code, "Currency was changed meanwhile, to GBP (£)" in response.text) == (422, True)
    assert stored(owner_desk)["currency"] == "GBP"
    again = filled(response.text)
    assert again["currency"] == "EUR"
    assert owner_desk.browser.post(PAGE, data=again).status_code == 303
    assert stored(owner_desk)["currency"] == "EUR"


def test_it_changes_nothing_when_nothing_is_changed_or_it_is_sent_twice(owner_desk: Desk) -> None:
    assert submit(owner_desk).status_code == 303
    assert "Nothing was changed" in owner_desk.page(PAGE)
    form = filled(owner_desk.page(PAGE)) | {"currency": "EUR"}
    for _ in range(2):
        assert owner_desk.browser.post(PAGE, data=form).status_code == 303
    assert len(logged(owner_desk)) == 1
    assert "sent already" in owner_desk.page(PAGE)


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("when_no_rate", "allow", "nobody has priced"),
        ("when_billing_is_down", "allow", "without limit"),
        ("warning_seconds", "0", "No caller is warned"),
    ],
)
def test_it_warns_of_what_invites_misuse(owner_desk: Desk, name: str, value: str, word: str) -> None:
    assert 'class="notice warn"' not in owner_desk.page(PAGE)
    submit(owner_desk, **{name: value})
    warned = re.search(r'class="notice warn">(.*?)</p>', owner_desk.page(PAGE), re.S)
    assert warned
    assert word in warned[1]


def test_it_offers_zones_to_be_searched_and_tells_the_time_in_this_one(owner_desk: Desk) -> None:
    page = owner_desk.page(PAGE)
    zones = re.findall(r'<option value="([^"]+)"></option>', page)
    assert "Europe/Madrid" in zones
    assert "Now it is 2026-03-02 10:00:00" in page


def test_it_writes_days_as_the_site_wants(owner_desk: Desk) -> None:
    submit(owner_desk, date_format="DD.MM.YYYY")
    assert "02.03.2026 10:00:00" in owner_desk.page("/recharge-history")
    assert "02.03.2026 10:00:00" in owner_desk.page("/recharge-history.csv?from=2026-03-01")
    assert "From,01.03.2026" in owner_desk.page("/recharge-history.csv?from=2026-03-01")
    book = load_workbook(io.BytesIO(owner_desk.browser.get("/recharge-history.xlsx").data))
    assert "dd.mm.yyyy hh:mm:ss" in {cell.number_format for row in book.active.iter_rows() for cell in row}


@pytest.mark.parametrize(
    ("currency", "written"),
    [
        ("USD", "-$1,234.5000"),
        ("CNY", "-¥1,234.5000"),
        ("EUR", "-€1,234.5000"),
        ("GBP", "-£1,234.5000"),
        ("Other", "-¤1,234.5000"),
    ],
)
def test_it_writes_money_with_the_guide_s_sign(currency: str, written: str) -> None:
    assert formats.money(-1_234_500_000, currency) == written


def test_it_writes_money_as_the_language_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "locale", lambda: Locale.parse("de"))
    assert formats.money(1_234_500_000, "EUR") == "1.234,5000\xa0€"


def test_it_shows_the_list_with_a_country_s_numbers_before_it_stores_it(owner_desk: Desk) -> None:
    before = emergency_list(owner_desk)
    page = owner_desk.page(f"{EMERGENCY}?country=DE&way=add")
    assert "Germany" in page
    assert filled(page)["emergency_numbers"] == f"{before} 110 0110 9110"
    assert emergency_list(owner_desk) == before
    assert submit(owner_desk, EMERGENCY, f"{EMERGENCY}?country=DE&way=add").status_code == 303
    assert emergency_list(owner_desk) == f"{before} 110 0110 9110"
    mirrored = cast.look_up(owner_desk.database.path, "SELECT value FROM mirror WHERE key = 'emergency/9110'")
    assert mirrored == [("1",)]


def test_it_replaces_the_list_and_says_what_leaves_it(owner_desk: Desk) -> None:
    page = owner_desk.page(f"{EMERGENCY}?country=DE&way=replace")
    assert filled(page)["emergency_numbers"] == "112 110 0112 0110 9112 9110"
    assert "911 0911 9911" in page
    assert "can no longer call" in page
    submit(owner_desk, EMERGENCY, f"{EMERGENCY}?country=DE&way=replace")
    assert emergency_list(owner_desk) == "112 110 0112 0110 9112 9110"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("", "cannot be empty"),
        (" , \n", "cannot be empty"),
        ("112 help", "is not an emergency number"),
        ("1" * 17, "is not"),
    ],
)
def test_it_keeps_its_numbers_where_a_list_cannot_be(owner_desk: Desk, given: str, told: str) -> None:
    before = emergency_list(owner_desk)
    response = submit(owner_desk, EMERGENCY, emergency_numbers=given)
    assert (response.status_code, told in response.text) == (422, True)
    assert filled(response.text)["emergency_numbers"].strip() == given.strip()
    assert emergency_list(owner_desk) == before


def test_it_does_not_drop_numbers_that_somebody_added_meanwhile(owner_desk: Desk) -> None:
    form = filled(owner_desk.page(EMERGENCY)) | {"emergency_numbers": "112"}
    owner_desk.database.write(lambda c: site_service.change_setting(c, "emergency_numbers", "112 110", cast.MANAGER))
    response = owner_desk.browser.post(EMERGENCY, data=form)
    assert (response.status_code, "changed meanwhile" in response.text) == (422, True)
    assert emergency_list(owner_desk) == "112 110"


@pytest.mark.parametrize("search", ["country=XX", "country=DE&way=drop", "country=%3Cb%3E"])
def test_it_tells_of_a_country_that_is_none(owner_desk: Desk, search: str) -> None:
    page = owner_desk.page(f"{EMERGENCY}?{search}")
    assert "choose one of the list" in page
    assert filled(page)["emergency_numbers"].startswith(emergency_list(owner_desk))


def test_it_knows_the_numbers_as_they_are_dialed() -> None:
    assert as_dialed(["112", "911"]) == ["112", "911", "0112", "0911", "9112", "9911"]
    check = next(setting.check for setting in SITE_SETTINGS if setting.name == "emergency_numbers")
    for country, numbers in NUMBERS_OF_COUNTRIES.items():
        assert numbers, country
        assert check(" ".join(as_dialed(numbers)))
