"""A list that loads itself again: `?refresh=5`. Without a script, so that the strict CSP stays."""

from collections.abc import Mapping

LEAST_SECONDS, MOST_SECONDS = 2, 60


def refresh_seconds(arguments: Mapping[str, str]) -> int:
    """How often the page was asked to load itself, in seconds; 0 for not at all, and for whatever is out of bounds."""
    text = arguments.get("refresh", "")
    if not text.isascii() or not text.isdigit() or len(text) > 2:
        return 0
    return int(text) if LEAST_SECONDS <= int(text) <= MOST_SECONDS else 0
