"""Where the call log lists what a number of the dashboard counts."""

from datetime import date
from typing import Any

from flask import url_for


def listed(first_day: date | None, last_day: date | None, **more: object) -> str:
    """The calls of some days that are like that; None for no bound."""
    given: dict[str, Any] = {"from": first_day, "to": last_day, **more}
    return url_for("call_log.show", **{name: value for name, value in given.items() if value is not None})
