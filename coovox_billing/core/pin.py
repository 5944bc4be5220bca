"""What opens an extension's self-service: a PIN of digits that others would not try first."""

from itertools import pairwise

from coovox_billing.errors import BadInput

LEAST_DIGITS, MOST_DIGITS = 4, 12


def check_pin(pin: str, extension: str) -> str:
    """The PIN of an extension.

    Raises:
        BadInput: no digits, too few or too many, or one of those that anybody would try.
    """
    if not pin.isascii() or not pin.isdigit() or not LEAST_DIGITS <= len(pin) <= MOST_DIGITS:
        raise BadInput("a PIN has %(least)s to %(most)s digits", least=LEAST_DIGITS, most=MOST_DIGITS)
    if is_guessable(pin, extension):
        raise BadInput(
            "this PIN is too easy to guess: not the extension's own number, no row like 1234, no repetition like 1212"
        )
    return pin


def is_guessable(pin: str, extension: str) -> bool:
    """Whether it is the extension's number, digits in a row, up or down, or the same few digits again and again."""
    if pin.lstrip("0") == extension.lstrip("0"):
        return True
    steps = {(int(after) - int(before)) % 10 for before, after in pairwise(pin)}
    return steps in ({1}, {9}) or any(_repeats(pin, length) for length in range(1, len(pin) // 2 + 1))


def _repeats(pin: str, length: int) -> bool:
    return len(pin) % length == 0 and pin == pin[:length] * (len(pin) // length)
