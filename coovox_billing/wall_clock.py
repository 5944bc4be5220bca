"""The one place that reads the wall clock; everything that decides gets the time as an argument."""

import time


def wall_clock_ms() -> int:
    """Now, in milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000
