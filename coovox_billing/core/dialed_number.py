"""The number as dialed, made comparable (DESIGN §4)."""

from coovox_billing.errors import BadInput

MAX_DIGITS = 40

_DROPPED = str.maketrans("", "", " -.()")
_DIALABLE = frozenset("0123456789*#")


def normalize(raw: str, plus_prefix: str) -> str:
    """Digits, `*` and `#` of a dialed number: separators and a trailing `#` go, `+` becomes `plus_prefix`.

    Raises:
        BadInput: letters, control characters or other signs, nothing left, or too long.
    """
    number = raw.translate(_DROPPED)
    if number.startswith("+"):
        number = plus_prefix + number[1:]
    number = number.removesuffix("#")
    if not number:
        raise BadInput("the dialed number is empty: dial digits")
    if len(number) > MAX_DIGITS:
        raise BadInput(
            "the dialed number has %(count)s digits: the most is %(most)s", count=len(number), most=MAX_DIGITS
        )
    strange = next((sign for sign in number if sign not in _DIALABLE), None)
    if strange is not None:
        raise BadInput(
            "the dialed number holds %(strange)s: only digits, +, *, # and separators can be dialed",
            strange=repr(strange),
        )
    return number


def prefixes(number: str) -> list[str]:
    """Every prefix of a number that a rate could have, the empty one included."""
    return [number[:length] for length in range(len(number) + 1)]
