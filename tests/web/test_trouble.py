"""What a person at the pages is told while the database cannot be used: clearly, and nothing is lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from coovox_billing.store.database import FILE_NAME
from tests import bad_days, cast
from tests.web.conftest import NEW_PASSWORD, PASSWORD, Desk


@pytest.mark.parametrize(
    ("day", "word"), [(bad_days.refuse_writes, "cannot be written"), (bad_days.fill_up, "The disk is full")]
)
def test_it_says_that_a_change_was_not_stored(owner_desk: Desk, day: Callable[..., None], word: str) -> None:
    owner_desk.database.write(day)
    response = owner_desk.change_password()
    assert (response.status_code, word in response.text, "not stored" in response.text) == (503, True, True)
    assert cast.audited(owner_desk.database.path) == []


@pytest.mark.parametrize("day", [bad_days.refuse_writes, bad_days.fill_up])
def test_it_lets_the_owner_in_and_look_while_nothing_can_be_written(desk: Desk, day: Callable[..., None]) -> None:
    desk.database.write(day)
    assert desk.sign_in().status_code == 303
    assert "Reception" in desk.page("/extensions")
    desk.change_password()
    assert desk.sign_in(NEW_PASSWORD, desk.app.test_client()).status_code == 422
    assert desk.sign_in(PASSWORD, desk.app.test_client()).status_code == 303


def test_it_lets_the_owner_in_at_once_while_the_database_is_locked(desk: Desk) -> None:
    with cast.locked(desk.database.path):
        began = time.monotonic()
        assert desk.sign_in().status_code == 303
        assert "Reception" in desk.page("/extensions")
        assert time.monotonic() - began < 3


def test_it_gives_up_a_change_while_the_database_is_locked(owner_desk: Desk) -> None:
    owner_desk.database.write(lambda connection: connection.execute("PRAGMA busy_timeout = 100"))
    with cast.locked(owner_desk.database.path):
        response = owner_desk.change_password()
    assert (response.status_code, "locked by another program" in response.text) == (503, True)
    assert owner_desk.change_password().status_code == 303


@pytest.mark.parametrize(("harm", "word"), [(bad_days.lose, "cannot be opened"), (bad_days.spoil_header, "damaged")])
def test_it_shows_a_clear_page_where_nothing_can_be_read(
    owner_desk: Desk, harm: Callable[[Path], None], word: str
) -> None:
    stranger = owner_desk.app.test_client()
    form = {"csrf": owner_desk.form_token("/sign-in", stranger), "password": PASSWORD}
    harm(owner_desk.directory)
    for response in (owner_desk.browser.get("/extensions"), stranger.post("/sign-in", data=form)):
        assert (response.status_code, word in response.text) == (503, True)
        assert str(owner_desk.directory) not in response.text


def test_it_makes_no_empty_database_in_place_of_a_missing_one(owner_desk: Desk) -> None:
    bad_days.lose(owner_desk.directory)
    owner_desk.browser.get("/extensions")
    assert owner_desk.app.test_client().get("/sign-in", headers={"Accept-Language": "es"}).status_code == 503
    assert not (owner_desk.directory / FILE_NAME).exists()
