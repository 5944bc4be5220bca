"""The recharge history in a real browser."""

import pytest

from coovox_billing.services import payments
from coovox_billing.store.database import Database
from tests import cast
from tests.browser.conftest import PHONE, WIDE, Screen


@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_it_takes_a_recharge_back(screen: Screen, database: Database, width: int) -> None:
    database.write(lambda c: payments.recharge(c, "101", 200_000_000, cast.MANAGER))
    screen.resize(width)
    screen.come_in("/recharge-history")
    screen.looks("recharge-history")
    screen.find("a[title='Take back']").click()
    reason = screen.wait_for("dialog[open] #reason")
    screen.looks("take-back")
    reason.send_keys("wrong extension")
    screen.click_in("dialog[open]", "Take back")
    assert screen.texts("tbody tr:first-child .mark")[0] == "Taken back"
    assert screen.complaints() == []
