"""So few PINs can be tried that four digits are not found, and nobody keeps others out."""

import math
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from coovox_billing.web import pin_brake
from coovox_billing.web.pin_brake import ALL, EXTENSION, EXTENSION_AT_PLACE, MOST_KEYS, PLACE, PinBrake

DAY_SECONDS = 86_400
OWN = "192.0.2.1"


class Hours:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def hours() -> Hours:
    return Hours()


@pytest.fixture
def brake(hours: Hours) -> PinBrake:
    return PinBrake(hours)


def attack(brake: PinBrake, hours: Hours, addresses: int, extensions: int, days: float) -> int:
    """How many PINs somebody tries who never tires, from so many addresses, at so many extensions."""
    tried, end = 0, hours.now + days * DAY_SECONDS
    while hours.now < end:
        for address in range(addresses):
            for extension in range(extensions):
                while brake.attempt(f"198.51.100.{address}", f"{100 + extension} a") == 0:
                    tried += 1
        hours.now += 1800
    return tried


def test_it_lets_a_person_mistype(brake: PinBrake) -> None:
    assert [brake.attempt(OWN, "100 a") for _ in range(EXTENSION_AT_PLACE.tries)] == [0] * EXTENSION_AT_PLACE.tries


def test_it_says_how_long_to_wait_and_keeps_to_it(brake: PinBrake, hours: Hours) -> None:
    while not (wait := brake.attempt(OWN, "100 a")):
        pass
    assert wait == EXTENSION_AT_PLACE.seconds_each
    hours.now += wait - 1
    assert brake.attempt(OWN, "100 a") == 1
    hours.now += 1
    assert brake.attempt(OWN, "100 a") == 0
    assert brake.attempt(OWN, "100 a") > 0


def test_it_fills_no_further_than_full(brake: PinBrake, hours: Hours) -> None:
    assert brake.attempt(OWN, "100 a") == 0
    hours.now += 365 * DAY_SECONDS
    assert [brake.attempt(OWN, "100 a") for _ in range(11)].count(0) == EXTENSION_AT_PLACE.tries


def test_it_finds_no_four_digits_from_one_address(brake: PinBrake, hours: Hours) -> None:
    """Less than one in a hundred in a week."""
    assert attack(brake, hours, addresses=1, extensions=1, days=7) <= 100


def test_it_finds_no_four_digits_from_many_addresses(brake: PinBrake, hours: Hours) -> None:
    assert attack(brake, hours, addresses=50, extensions=1, days=1) <= EXTENSION.tries + 49


def test_it_lets_few_pins_be_tried_at_everybody(brake: PinBrake, hours: Hours) -> None:
    assert attack(brake, hours, addresses=1, extensions=200, days=0.5) <= PLACE.tries + 73
    assert attack(brake, hours, addresses=50, extensions=200, days=0.5) <= ALL.tries + 290


@pytest.mark.parametrize("addresses", [1, 3])
def test_it_keeps_nobody_out_for_what_others_do(brake: PinBrake, hours: Hours, addresses: int) -> None:
    """They try from there without end; a person who never was here gets in at once, and may mistype."""
    attack(brake, hours, addresses=addresses, extensions=30, days=2)
    assert [brake.attempt(OWN, "100 a") for _ in range(3)] == [0, 0, 0]


def test_it_is_open_again_with_a_new_pin(brake: PinBrake, hours: Hours) -> None:
    attack(brake, hours, addresses=50, extensions=1, days=0.1)
    while brake.attempt(OWN, "100 a") == 0:
        pass
    assert brake.attempt(OWN, "100 b") == 0


def test_it_spares_who_was_here_before(brake: PinBrake, hours: Hours) -> None:
    assert brake.attempt(OWN, "100 a") == 0
    brake.succeeded(OWN, "100 a")
    attack(brake, hours, addresses=50, extensions=30, days=0.2)
    while brake.attempt("192.0.2.2", "100 a") == 0:
        pass
    assert brake.attempt(OWN, "100 a") == 0


def test_it_gives_back_what_was_used_where_the_pin_was_right(brake: PinBrake) -> None:
    for _ in range(3):
        for _ in range(EXTENSION_AT_PLACE.tries):
            assert brake.attempt(OWN, "100 a") == 0
        brake.succeeded(OWN, "100 a")
    assert brake.attempt(OWN, "101 a") == 0


def test_it_forgives_nothing_of_other_extensions(brake: PinBrake) -> None:
    """Whoever has a PIN of his own gains no tries at others'."""
    others = 0
    for extension in count(200):
        brake.attempt(OWN, "100 a")
        brake.succeeded(OWN, "100 a")
        if brake.attempt(OWN, f"{extension} a"):
            break
        others += 1
    assert others <= PLACE.tries


def test_it_counts_a_network_of_ipv6_as_one_place(brake: PinBrake) -> None:
    waits = [brake.attempt(f"2001:db8::{number:x}", "100 a") for number in range(20)]
    assert waits.count(0) == EXTENSION_AT_PLACE.tries


def test_it_counts_tries_that_come_at_once(brake: PinBrake) -> None:
    with ThreadPoolExecutor(12) as crowd:
        waits = list(crowd.map(lambda _: brake.attempt(OWN, "100 a"), range(200)))
    assert waits.count(0) == EXTENSION_AT_PLACE.tries


def test_it_needs_bounded_memory(brake: PinBrake, hours: Hours) -> None:
    used = pin_brake._Used(PLACE)
    for number in range(MOST_KEYS + 100):
        used.add(number, 1, hours.now)
    assert len(used._full_at) == MOST_KEYS
    assert used.tries(MOST_KEYS + 99, hours.now) == 1


def test_no_place_uses_more_than_a_quarter_of_what_all_have() -> None:
    for one, all_places in ((EXTENSION_AT_PLACE, EXTENSION), (PLACE, ALL)):
        assert one.tries * 4 <= all_places.tries
        assert math.isclose(one.seconds_each, all_places.seconds_each * 4)
