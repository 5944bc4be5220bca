"""Decides which Asterisk the tests run on: 16 and 22, or what ASTERISK_VERSIONS lists (`22`)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import pytest

from tests.asterisk import fetch, house
from tests.asterisk.billing import DESK, LOBBY, RATES, SALES, BilledPbx, Billing, top_up
from tests.asterisk.house import Scene
from tests.asterisk.waiting import wait_until

PEOPLE = {SALES: "Sales", LOBBY: "Lobby", DESK: "Desk"}
VERSIONS = [int(version) for version in os.environ.get("ASTERISK_VERSIONS", "16 22").split()]


@pytest.fixture(scope="session", params=VERSIONS, ids=lambda version: f"asterisk{version}")
def asterisk_version(request: pytest.FixtureRequest) -> int:
    """A version whose launcher is there; without it the tests fail, they are never skipped."""
    try:
        fetch.launcher(request.param)
    except fetch.FetchError as error:
        pytest.fail(str(error), pytrace=False)
    return int(request.param)


@pytest.fixture(scope="module")
def site(asterisk_version: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BilledPbx]:
    """108 sales, billed; 109 lobby, billed; 100 desk, not billed; a cent a second."""
    with _opened(BilledPbx(asterisk_version, tmp_path_factory.mktemp("site"))) as running:
        yield running


@pytest.fixture(scope="module")
def managed_site(asterisk_version: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BilledPbx]:
    """The same site, whose call plane signs in to Asterisk's manager."""
    with _opened(BilledPbx(asterisk_version, tmp_path_factory.mktemp("managed"), with_ami=True)) as running:
        yield running


@pytest.fixture(scope="module")
def busy_house(asterisk_version: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BilledPbx]:
    """Every phone of the house is billed a cent a second, so that nobody can pay unseen."""
    site = BilledPbx(asterisk_version, tmp_path_factory.mktemp("house"), with_ami=True, dialplan=house.DIALPLAN)
    with _opened(site, house.PEOPLE, billed=tuple(house.PEOPLE)) as running:
        for extension in house.PEOPLE:
            running.billing.do("extension", "set", extension, "--credit", "9")
        yield running


@contextmanager
def _opened(
    site: BilledPbx, people: Mapping[str, str] = PEOPLE, billed: Iterable[str] = (SALES, LOBBY)
) -> Iterator[BilledPbx]:
    rates = site.billing.data.with_name("rates.csv")
    rates.write_text(RATES)
    with site as running:
        billing = running.billing
        for extension, name in people.items():
            billing.do("extension", "add", extension, "--name", name)
        for extension in billed:
            billing.do("extension", "set", extension, "--billing", "on")
        billing.do("rate", "import", str(rates))
        yield running


@pytest.fixture
def scene(busy_house: BilledPbx) -> Iterator[Scene]:
    """Something happens in the house; afterwards the books agree."""
    busy_house.billing.do("setting", "set", "calls_without_payer", "pass")
    yield Scene(busy_house)
    busy_house.pbx.cli("channel request hangup all")
    busy_house.pbx.wait_idle()
    busy_house.billing.assert_sound()


@pytest.fixture
def sound(site: BilledPbx) -> Iterator[None]:
    """Every scenario starts with 1.00 on sales and no report, and ends with books that agree."""
    site.forget_report()
    unlock(site.billing)
    top_up(site.billing, SALES, 1_0000)
    yield
    site.pbx.wait_idle()
    wait_until(lambda: all(call["state"] not in ("held", "talking") for call in site.billing.calls()), 10)
    site.billing.assert_sound()


def unlock(billing: Billing) -> None:
    for extension in (SALES, LOBBY):
        billing.do("extension", "set", extension, "--status", "unlocked", "--credit", "0")
    billing.do("setting", "set", "when_billing_is_down", "refuse")
