"""A site that an earlier version made is shown by today's pages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from coovox_billing.errors import Refused
from coovox_billing.services import owner, passwords, second_factor
from coovox_billing.store.database import open_database
from coovox_billing.store.models import reading
from tests import cast
from tests.store.fixtures import fixture, schemas
from tests.web.conftest import PASSWORD, Desk

SPAN = "from=2026-03-01&to=2026-03-31"
PAGES = (
    ("/extensions", "Reception"),
    ("/rate", "city"),
    (f"/recharge-history?{SPAN}", "2.5000"),
    (f"/call-log?{SPAN}", cast.CITY_NUMBER),
    (f"/call-log?{SPAN}", "0.1800"),
    (f"/statistics?{SPAN}", "100"),
    (f"/audit-log?{SPAN}", "bill-ann"),
    ("/settings", "USD"),
)


@pytest.fixture(params=schemas())
def upgraded(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(passwords, "_COST_EXPONENT", 4)
    fixture(request.param, tmp_path)
    with open_database(tmp_path) as database:
        owner.set_password(database, PASSWORD, cast.MANAGER)
        with suppress(Refused):
            database.write(lambda connection: second_factor.turn_off(connection, owner.OWNER, cast.MANAGER))
        desk = Desk(database, tmp_path)
        desk.open()
        assert desk.sign_in().status_code == 303
        yield desk
    reading.close()


def test_it_shows_what_an_earlier_version_wrote(upgraded: Desk) -> None:
    for path, words in PAGES:
        assert words in upgraded.page(path), path
