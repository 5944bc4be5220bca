"""Money, days and times on pages, as the reader's language writes them; in files, as programs read them."""

import html
import io
from datetime import date, time

import pytest
from babel.core import Locale
from openpyxl import load_workbook

from coovox_billing.services import site
from coovox_billing.web import formats, reader
from coovox_billing.web.pages.settings.choices import countries
from tests import cast
from tests.web import story
from tests.web.conftest import Desk
from tests.web.test_extensions import RECHARGE, account, edit, hidden, send
from tests.web.test_rates import add, newest


def read_in(desk: Desk, code: str, **settings: str) -> None:
    """The browser is set to a language, the site to other formats."""
    for name, text in settings.items():
        desk.database.write(lambda c, name=name, text=text: site.change_setting(c, name, text, cast.MANAGER))
    desk.post("/language", {"language": code})


@pytest.mark.parametrize(
    ("tag", "word"),
    [
        ("en", "MM/DD/YYYY"),
        ("en-GB", "DD/MM/YYYY"),
        ("zh", "YYYY/MM/DD"),
        ("es", "DD/MM/YYYY"),
        ("fr", "DD/MM/YYYY"),
        ("ar", "DD/MM/YYYY"),
        ("de", "DD.MM.YYYY"),
    ],
)
def test_it_writes_days_as_the_language_does(tag: str, word: str) -> None:
    assert formats.date_format_of(reader.known_locale(tag)) == word
    assert formats.in_date_format(date(2026, 3, 1), word).count("2026") == 1


@pytest.mark.parametrize(
    ("code", "settings", "written"),
    [
        ("en", {}, "2026-03-02 18:02:00"),
        ("es", {}, "2026-03-02 18:02:00"),
        ("es", {"date_format": "language", "time_format": "language"}, "02/03/2026 18:02:00"),
        ("en", {"date_format": "language", "time_format": "language"}, "03/02/2026 6:02:00 PM"),
        ("zh", {"date_format": "language", "time_format": "12"}, "2026/03/02 下午6:02:00"),
        ("ar", {"date_format": "language", "time_format": "language"}, "02/03/2026 6:02:00 م"),
        ("en", {"date_format": "DD.MM.YYYY", "time_format": "12"}, "02.03.2026 6:02:00 PM"),
    ],
)
def test_it_writes_times_as_the_site_or_the_language_does(
    owner_desk: Desk, code: str, settings: dict[str, str], written: str
) -> None:
    evening = cast.NOW_MS + 482 * 60_000
    story.talk(owner_desk.database, "evening", "100", cast.CITY_NUMBER, evening, 60)
    read_in(owner_desk, code, **settings)
    page = owner_desk.page("/call-log?from=2026-03-02&to=2026-03-02")
    assert written in page.replace("\u202f", " ").replace("\xa0", " ")
    csv = owner_desk.browser.get("/call-log.csv").text
    assert f"{settings.get('date_format')} 18:02:00" not in csv
    assert "2026-03-02 18:02:00" in csv or "02.03.2026 18:02:00" in csv


@pytest.mark.parametrize(("code", "written"), [("en", "1,234.5000"), ("es", "1.234,5000"), ("fr", "1\u202f234,5000")])
def test_it_writes_amounts_as_the_language_does_and_files_with_a_point(
    owner_desk: Desk, code: str, written: str
) -> None:
    assert send(owner_desk, RECHARGE, f"{RECHARGE}?extension=103", amount="1234.5").status_code == 303
    read_in(owner_desk, code)
    assert written in html.unescape(owner_desk.page("/extensions"))
    assert "1234.5000" in owner_desk.browser.get("/extensions.csv").text
    workbook = load_workbook(io.BytesIO(owner_desk.browser.get("/extensions.xlsx").data))
    assert 1234.5 in [cell.value for row in workbook.active.rows for cell in row]


def test_it_takes_amounts_as_the_language_writes_them(owner_desk: Desk) -> None:
    read_in(owner_desk, "es")
    opened = f"{RECHARGE}?extension=103"
    assert send(owner_desk, RECHARGE, opened, amount="12,5").status_code == 303
    assert send(owner_desk, RECHARGE, opened, amount="1.234,0001").status_code == 303
    assert account(owner_desk, "103")["balance_micros"] == 1_246_500_100
    refused = send(owner_desk, RECHARGE, opened, amount="1.234")
    assert refused.status_code == 422
    assert "escriba 1234 o 1,2340" in html.unescape(refused.text)
    assert hidden(refused.text)["amount"] == "1.234"
    assert account(owner_desk, "103")["balance_micros"] == 1_246_500_100


def test_it_fills_a_field_so_that_it_is_read_back(owner_desk: Desk) -> None:
    edit(owner_desk, "101", credit="1234.5")
    read_in(owner_desk, "es")
    assert hidden(owner_desk.page("/extension/101/edit"))["credit"] == "1234,5000"
    assert edit(owner_desk, "101", name="Ventas").status_code == 303
    assert account(owner_desk, "101")["credit_micros"] == 1_234_500_000
    assert edit(owner_desk, "101", credit="50,25").status_code == 303
    assert account(owner_desk, "101")["credit_micros"] == 50_250_000


def test_it_takes_prices_as_the_language_writes_them(owner_desk: Desk) -> None:
    read_in(owner_desk, "es")
    assert add(owner_desk, initial_cost="0,1", rate="0,001234").status_code == 303
    rate = newest(owner_desk)
    assert (rate.initial_cost_micros, rate.rate_micros) == (100_000, 1_234)
    form = owner_desk.page(f"/rate/{rate.id}/edit")
    assert 'value="0,001234"' in form
    assert "0,001234" in owner_desk.page("/rate")
    assert owner_desk.browser.get("/rate.csv").text.count("0.001234") == 1


def test_it_tells_amounts_of_other_rooms_as_the_language_writes_them(owner_desk: Desk) -> None:
    read_in(owner_desk, "es")
    refused = send(owner_desk, "/extension/100/correct", amount="-2000,5", reason="por error")
    assert refused.status_code == 422
    assert "10,0000" in html.unescape(refused.text)


def test_it_names_days_and_countries_in_the_language(owner_desk: Desk) -> None:
    read_in(owner_desk, "es")
    assert "lun" in owner_desk.page("/rate/add")
    settings = owner_desk.page("/settings")
    assert "Alemania" in settings
    with owner_desk.app.test_request_context(headers={"Cookie": "language=es"}):
        names = [name for _code, name in countries()]
    assert names.index("Eslovenia") < names.index("España") < names.index("Estados Unidos") < names.index("Zambia")


def test_it_writes_hours_of_a_rate_as_the_site_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "has_twelve_hours", lambda: True)
    monkeypatch.setattr(reader, "locale", lambda: Locale.parse("en"))
    assert formats.time_of_day(time(0, 0, 5)).replace("\u202f", " ") == "12:00:05 AM"
