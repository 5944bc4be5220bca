"""What can be an extension's number, wherever one is written: the command line, a rate file, a device's name."""

import re

_EXTENSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z._+-]{0,39}", re.ASCII)


def is_extension(text: str) -> bool:
    """Whether it could be dialed and listed: up to 40 letters, digits, and signs that endpoint names have."""
    return _EXTENSION.fullmatch(text) is not None


def is_all_digits(text: str) -> bool:
    """Whether it is an extension's number made of digits alone, as a telephone's caller ID is."""
    return text.isascii() and text.isdigit() and is_extension(text)
