"""Which PINs open self-service: digits, neither few nor many, and none that anybody would try."""

import pytest

from coovox_billing.core.pin import check_pin, is_guessable
from coovox_billing.errors import BadInput


@pytest.mark.parametrize("pin", ["4829", "0000001", "482915", "100482", "1235", "123412", "998877665544"])
def test_it_takes_what_others_would_not_try(pin: str) -> None:
    assert check_pin(pin, "100") == pin


@pytest.mark.parametrize(
    ("pin", "extension"),
    [
        ("1000", "1000"),
        ("0100", "100"),
        ("1111", "100"),
        ("1212", "100"),
        ("482482", "100"),
        ("1234", "100"),
        ("4321", "100"),
        ("7890", "100"),
        ("0987654321", "100"),
        ("000000000000", "100"),
        ("100100", "100"),
    ],
)
def test_it_refuses_what_anybody_would_try(pin: str, extension: str) -> None:
    assert is_guessable(pin, extension)
    with pytest.raises(BadInput, match="too easy to guess"):
        check_pin(pin, extension)


@pytest.mark.parametrize("pin", ["", "482", "4829153746201", "48a9", "48 29", "٤٨٢٩", "²²²²", "-4829", "4829\n"])
def test_it_refuses_what_is_no_pin(pin: str) -> None:
    with pytest.raises(BadInput, match="4 to 12 digits"):
        check_pin(pin, "100")
