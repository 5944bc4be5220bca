"""Sign-in slows down after failures, in bounded memory, and never shuts the owner out."""

import math
from collections.abc import Callable

import pytest

from coovox_billing.core.roles import Role
from coovox_billing.web.brake import (
    ALL_PLACES,
    CODES,
    FORGET_SECONDS,
    MAX_PLACES,
    PASSWORDS,
    PER_PLACE,
    Brake,
    Door,
    place_of,
)
from tests.web.conftest import PASSWORD, Desk


class Hours:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def hours() -> Hours:
    return Hours()


@pytest.fixture
def brake(hours: Hours) -> Brake:
    return Brake(hours)


def wear_out(brake: Brake, address: str = "192.0.2.7", user: str = "owner") -> None:
    for _ in range(PER_PLACE.free):
        assert brake.attempt(address, user) == 0


def test_it_lets_a_few_failures_pass(brake: Brake) -> None:
    wear_out(brake)


def test_it_makes_the_next_one_wait(brake: Brake) -> None:
    wear_out(brake)
    assert brake.attempt("192.0.2.7", "owner") == 1


def test_it_waits_twice_as_long_after_each_up_to_a_minute(brake: Brake, hours: Hours) -> None:
    wear_out(brake)
    waits = []
    for _ in range(9):
        waits.append(brake.attempt("192.0.2.7", "owner"))
        hours.now += waits[-1]
        assert brake.attempt("192.0.2.7", "owner") == 0
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_it_does_not_lengthen_the_wait_for_tries_that_came_too_early(brake: Brake, hours: Hours) -> None:
    wear_out(brake)
    for _ in range(100):
        brake.attempt("192.0.2.7", "owner")
    hours.now += 1
    assert brake.attempt("192.0.2.7", "owner") == 0


def test_it_starts_anew_after_the_right_password(brake: Brake) -> None:
    wear_out(brake)
    brake.succeeded("192.0.2.7", "owner")
    wear_out(brake)


def test_it_forgets_after_a_while(brake: Brake, hours: Hours) -> None:
    wear_out(brake)
    hours.now += FORGET_SECONDS + 1
    wear_out(brake)


def test_it_does_not_slow_one_place_for_anothers_failures(brake: Brake) -> None:
    wear_out(brake)
    assert brake.attempt("192.0.2.8", "owner") == 0


def test_it_slows_all_places_together_after_many(brake: Brake) -> None:
    for number in range(ALL_PLACES.free):
        assert brake.attempt(f"192.0.2.{number}", f"user {number}") == 0
    assert brake.attempt("198.51.100.1", "owner") == 1


def test_it_spares_the_place_that_the_owner_signed_in_from(brake: Brake) -> None:
    brake.attempt("198.51.100.1", "owner")
    brake.succeeded("198.51.100.1", "owner")
    brake.prove("198.51.100.1", "owner")
    for number in range(200):
        brake.attempt(f"192.0.2.{number}", "owner")
        brake.attempt(f"192.0.3.{number}", f"user {number}")
    assert brake.attempt("198.51.100.1", "owner") == 0
    assert brake.attempt("198.51.100.1", "bill-ann") == 1


def test_it_slows_all_places_together_that_try_one_user(brake: Brake, hours: Hours) -> None:
    for number in range(PASSWORDS.free):
        assert brake.attempt(f"192.0.2.{number}", "owner") == 0
    assert brake.attempt("198.51.100.1", "owner") == 1
    assert brake.attempt("198.51.100.1", "bill-ann") == 0
    hours.now += PASSWORDS.longest_seconds
    assert brake.attempt("198.51.100.2", "owner") == 0


def test_it_shuts_the_door_of_one_user_for_a_second_only_however_it_is_hammered(brake: Brake, hours: Hours) -> None:
    for number in range(300):
        hours.now += 0.9
        brake.attempt(f"10.0.{number // 250}.{number % 250}", "owner")
    assert brake.attempt("198.51.100.1", "owner") <= 1


def test_it_counts_a_user_who_is_not_there_as_any_other(brake: Brake) -> None:
    waits: dict[str, list[int]] = {
        user: [brake.attempt(f"{net}.{number}", user) for number in range(9)]
        for user, net in (("owner", "192.0.2"), ("bill-zzz", "198.51.100"))
    }
    assert waits["owner"] == waits["bill-zzz"]


def test_it_forgives_nobody_the_failures_with_another_name(brake: Brake, hours: Hours) -> None:
    for _ in range(3):
        brake.attempt("192.0.2.7", "owner")
        brake.attempt("192.0.2.7", "bill-ann")
        hours.now += 60
        brake.succeeded("192.0.2.7", "bill-ann")
    assert brake.attempt("192.0.2.7", "owner") == 0
    assert brake.attempt("192.0.2.7", "owner") == 1


def test_it_waits_longer_and_longer_for_codes_at_every_place(brake: Brake, hours: Hours) -> None:
    waits = []
    for number in range(CODES.free + 12):
        wait = brake.attempt(f"192.0.2.{number}", "owner", Door.CODE)
        waits.append(wait)
        hours.now += wait
        if wait:
            assert brake.attempt(f"192.0.2.{number}", "owner", Door.CODE) == 0
    assert waits[CODES.free :] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]


def test_it_lets_the_password_in_while_codes_wait(brake: Brake) -> None:
    for number in range(CODES.free + 1):
        brake.attempt(f"192.0.2.{number}", "owner", Door.CODE)
    assert brake.attempt("198.51.100.1", "owner", Door.CODE) == 1
    assert brake.attempt("198.51.100.1", "owner") == 0


def test_it_makes_nobody_wait_longer_than_seconds_for_all_places(brake: Brake, hours: Hours) -> None:
    for number in range(250):
        hours.now += brake.attempt(f"192.0.2.{number}", f"user {number}")
        brake.attempt(f"192.0.2.{number}", f"user {number}")
    assert 0 < brake.attempt("198.51.100.1", "owner") <= math.ceil(ALL_PLACES.longest_seconds)


def test_it_remembers_a_bounded_number_of_places(brake: Brake, hours: Hours) -> None:
    for number in range(MAX_PLACES * 2):
        hours.now += 10
        brake.attempt(f"10.0.{number // 256}.{number % 256}", f"user {number}")
    assert len(brake._by_place) == len(brake._by_user) == len(brake._by_user_and_place) == MAX_PLACES


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::ffff", "2001:db8:1:2::/64"),
        ("", "unknown"),
        ("a socket", "unknown"),
    ],
)
def test_it_counts_by_the_place(address: str, place: str) -> None:
    assert place_of(address) == place


def test_it_tells_the_wait_and_ends_it(desk: Desk) -> None:
    for _ in range(PER_PLACE.free):
        assert desk.sign_in("wrong password").status_code == 422
    response = desk.sign_in()
    assert response.status_code == 429
    assert response.headers["Retry-After"] == "1"
    assert "try again in 1 second." in response.text
    desk.wait(1)
    assert desk.sign_in().status_code == 303


def test_it_slows_down_for_every_user_alike(desk: Desk) -> None:
    name = desk.add_user(Role.MANAGER)
    for user in ("owner", name, "bill-zzz", "nobody"):
        assert desk.sign_in("wrong password", user=user).status_code == 422
    assert {desk.sign_in(user=user).status_code for user in ("owner", name, "bill-zzz")} == {429}


def test_it_lets_nobody_guess_on_by_signing_in_with_his_own_name(desk: Desk) -> None:
    name, codes = desk.add_user(Role.CASHIER), []
    for _ in range(PER_PLACE.free + 1):
        codes.append(desk.sign_in("wrong password").status_code)
        desk.sign_in(user=name, browser=desk.app.test_client())
    assert codes == [422] * (PER_PLACE.free - 1) + [422, 429]


def test_it_slows_the_password_page_as_well(owner_desk: Desk) -> None:
    for _ in range(PER_PLACE.free):
        assert owner_desk.change_password("wrong password").status_code == 422
    assert owner_desk.change_password(PASSWORD).status_code == 429


def test_it_counts_by_the_client_that_a_trusted_proxy_names(closed_desk: Callable[..., Desk]) -> None:
    desk = closed_desk(trusted_proxies={"127.0.0.1"})
    for _ in range(PER_PLACE.free):
        desk.sign_in("wrong password", headers={"X-Forwarded-For": "192.0.2.7"})
    assert desk.sign_in(headers={"X-Forwarded-For": "192.0.2.7"}).status_code == 429
    assert desk.sign_in(headers={"X-Forwarded-For": "192.0.2.8"}).status_code == 303


def test_it_counts_by_no_client_that_somebody_else_names(desk: Desk) -> None:
    for number in range(PER_PLACE.free):
        desk.sign_in("wrong password", headers={"X-Forwarded-For": f"192.0.2.{number}"})
    assert desk.sign_in(headers={"X-Forwarded-For": "192.0.2.99"}).status_code == 429
