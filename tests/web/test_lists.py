"""The guide's *Extensions* and *Call Log* pages, read as a person reads them."""

import html
import re
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from coovox_billing.core.site_settings import site_setting
from coovox_billing.services import owner, payments, site
from coovox_billing.store.database import open_database
from coovox_billing.web import formats
from tests import cast
from tests.web import story
from tests.web.conftest import PASSWORD, Desk


def words(fragment: str) -> str:
    return html.unescape(" ".join(re.sub(r"<[^>]+>", " ", fragment).split()))


def header(page: str) -> list[str]:
    return [words(cell) for cell in re.findall(r'<th scope="col".*?</th>', page, re.DOTALL)]


def rows(page: str) -> list[list[str]]:
    body = page.partition("<tbody>")[2].partition("</tbody>")[0]
    return [
        [words(cell) for cell in re.findall(r"<t[hd] .*?</t[hd]>", row, re.DOTALL)]
        for row in re.findall(r"<tr>.*?</tr>", body, re.DOTALL)
    ]


def set_currency(desk: Desk, currency: str) -> None:
    desk.database.write(lambda connection: site.change_setting(connection, "currency", currency, cast.MANAGER))


@pytest.mark.parametrize(("currency", "sign"), [("USD", "$"), ("CNY", "¥"), ("EUR", "€"), ("GBP", "£"), ("Other", "¤")])
def test_it_writes_the_sites_currency(owner_desk: Desk, currency: str, sign: str) -> None:
    set_currency(owner_desk, currency)
    assert f"Balance({sign})" in header(owner_desk.page("/extensions"))
    story.tell(owner_desk.database)
    assert f"Cost({sign})" in header(owner_desk.page("/call-log?per_page=20"))


def test_it_knows_a_sign_for_every_currency_that_can_be_set() -> None:
    assert all(site_setting("currency").check(name) for name in formats.CURRENCY_SIGNS)
    assert len(formats.CURRENCY_SIGNS) == 5


def test_it_says_what_to_do_where_there_is_nothing_yet(tmp_path: Path) -> None:
    with open_database(tmp_path / "new") as database:
        database.write(lambda connection: site.prepare(connection, "UTC"))
        owner.set_password(database, PASSWORD, cast.MANAGER)
        desk = Desk(database, tmp_path / "new")
        desk.open()
        desk.sign_in()
        assert "No extension yet" in words(desk.page("/extensions"))
        assert "coovox-billing pbx check" in words(desk.page("/call-log?per_page=20"))


def test_it_reads_the_database_anew_for_each_page(owner_desk: Desk) -> None:
    before = owner_desk.page("/extensions")
    owner_desk.database.write(lambda connection: payments.recharge(connection, "100", 5_000_000, cast.MANAGER))
    assert "15.0000" not in before
    assert "15.0000" in owner_desk.page("/extensions")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "00:00:00"), (39, "00:00:39"), (238, "00:03:58"), (360_000, "100:00:00")]
)
def test_it_writes_durations_as_the_guide_does(seconds: int, text: str) -> None:
    assert formats.duration(seconds) == text


def test_it_writes_times_in_the_sites_zone() -> None:
    assert formats.moment(1559314811000, ZoneInfo("UTC")) == "2019-05-31 15:00:11"
    assert formats.moment(1559314811000, ZoneInfo("Asia/Shanghai")) == "2019-05-31 23:00:11"


@pytest.mark.parametrize("path", ["/extensions", "/call-log"])
@pytest.mark.parametrize(
    ("asked", "seconds"), [("5", 5), ("2", 2), ("60", 60), ("1", 0), ("61", 0), ("5;url=//evil", 0), ("٥", 0), ("", 0)]
)
def test_it_loads_itself_again_when_it_is_asked_to(owner_desk: Desk, path: str, asked: str, seconds: int) -> None:
    page = owner_desk.page(f"{path}?refresh={asked}")
    assert re.findall(r'http-equiv="refresh" content="(.*?)"', page) == ([str(seconds)] if seconds else [])
    assert ("stop" in page) == bool(seconds)
