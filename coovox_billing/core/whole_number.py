"""Whole numbers that a person or a file writes: the one place that reads them."""

from coovox_billing.errors import BadInput

MAX_DIGITS = 9


def parse_whole(text: str, least: int, most: int) -> int:
    """A whole number in ASCII digits, within bounds (`most` has up to nine digits).

    Raises:
        BadInput: anything else.
    """
    if text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS and least <= int(text) <= most:
        return int(text)
    raise BadInput(
        "%(text)s is not a whole number from %(least)s to %(most)s", text=repr(text[:40]), least=least, most=most
    )
