"""The fields of a rate as text, one by one: what files and forms write, and back (DESIGN §4, §6)."""

import re
from collections.abc import Callable, Mapping
from datetime import time
from functools import partial
from typing import Any

from coovox_billing.core.csv_table import SWITCH
from coovox_billing.core.dialed_number import MAX_DIGITS
from coovox_billing.core.extension_number import is_extension
from coovox_billing.core.money import format_price, parse_price
from coovox_billing.core.tariff import ALL_DAYS, Rate
from coovox_billing.core.whole_number import parse_whole
from coovox_billing.errors import BadInput

COLUMNS = (
    "active", "remark", "prefix", "number_length", "initial_cost", "initial_time", "rate", "billing_unit",
    "start_time", "end_time", "days", "extensions",
)  # fmt: skip
MAX_REMARK_LENGTH = 80
MAX_SECONDS = 86_400
ALL_EXTENSIONS = "all"

_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?", re.ASCII)
_DAY_START, _DAY_END = time(0, 0, 0), time(23, 59, 59)
_PREFIX = re.compile(rf"[0-9*#]{{0,{MAX_DIGITS}}}", re.ASCII)


def parse_field(name: str, text: str) -> Any:
    """The value of a field, one of COLUMNS, from its text without space around it.

    Raises:
        BadInput: it cannot be; the text does not name the field.
    """
    return _PARSERS[name](text)


def rate_of(values: Mapping[str, Any], rate_id: int = 0) -> Rate:
    """The rate of the values of all fields.

    Raises:
        BadInput: two of them contradict each other.
    """
    rate = Rate(
        id=rate_id,
        active=values["active"],
        remark=values["remark"],
        prefix=values["prefix"],
        number_length=values["number_length"],
        initial_cost_micros=values["initial_cost"],
        initial_seconds=values["initial_time"],
        rate_micros=values["rate"],
        unit_seconds=values["billing_unit"],
        start_time=values["start_time"],
        end_time=values["end_time"],
        days=values["days"],
        extensions=values["extensions"],
    )
    if 0 < rate.number_length < len(rate.prefix):
        raise BadInput(
            "number_length %(length)s is shorter than the prefix %(prefix)s: no number matches",
            length=rate.number_length,
            prefix=rate.prefix,
        )
    return rate


def fields_of(rate: Rate) -> dict[str, str]:
    """The text of every field, by the names of COLUMNS."""
    return {
        "active": "1" if rate.active else "0",
        "remark": rate.remark,
        "prefix": rate.prefix,
        "number_length": str(rate.number_length),
        "initial_cost": format_price(rate.initial_cost_micros),
        "initial_time": str(rate.initial_seconds),
        "rate": format_price(rate.rate_micros),
        "billing_unit": str(rate.unit_seconds),
        "start_time": rate.start_time.isoformat(),
        "end_time": rate.end_time.isoformat(),
        "days": "" if rate.days == ALL_DAYS else "".join(map(str, sorted(rate.days))),
        "extensions": ALL_EXTENSIONS if rate.extensions is None else " ".join(sorted(rate.extensions)),
    }


def _switch(text: str) -> bool:
    if text.lower() not in SWITCH:
        raise BadInput("%(text)s is neither yes nor no: write 1 or 0", text=repr(text[:40]))
    return SWITCH[text.lower()]


def _remark(text: str) -> str:
    if len(text) > MAX_REMARK_LENGTH or not text.isprintable():
        raise BadInput("a remark has up to %(most)s printable characters", most=MAX_REMARK_LENGTH)
    return text


def _prefix(text: str) -> str:
    if not _PREFIX.fullmatch(text):
        raise BadInput("%(text)s is not a prefix: write digits, or nothing for every number", text=repr(text[:40]))
    return text


def _time(default: time) -> Callable[[str], time]:
    """Reads a time of day; one without seconds is its minute's first second for a start, its last for an end."""

    def parse(text: str) -> time:
        if not text:
            return default
        match = _TIME.fullmatch(text)
        if match is None:
            raise BadInput(
                "%(text)s is not a time of day: write it like 08:30:00; a day ends at 23:59:59", text=repr(text[:40])
            )
        return time(int(match[1]), int(match[2]), int(match[3] or default.second))

    return parse


def _days(text: str) -> frozenset[int]:
    if not text:
        return ALL_DAYS
    if not set(text) <= set("1234567"):
        raise BadInput(
            "%(text)s are no days: write digits from 1 for Monday to 7 for Sunday, like 12345", text=repr(text[:40])
        )
    return frozenset(map(int, text))


def _extensions(text: str) -> frozenset[str] | None:
    if text.lower() == ALL_EXTENSIONS:
        return None
    extensions = text.split()
    if not extensions:
        raise BadInput("it is empty: write the extensions separated by spaces, or all")
    wrong = next((extension for extension in extensions if not is_extension(extension)), None)
    if wrong is not None:
        raise BadInput("%(wrong)s is not an extension's number", wrong=repr(wrong[:40]))
    return frozenset(extensions)


_PARSERS: Mapping[str, Callable[[str], Any]] = {
    "active": _switch,
    "remark": _remark,
    "prefix": _prefix,
    "number_length": partial(parse_whole, least=0, most=MAX_DIGITS),
    "initial_cost": parse_price,
    "initial_time": partial(parse_whole, least=0, most=MAX_SECONDS),
    "rate": parse_price,
    "billing_unit": partial(parse_whole, least=1, most=MAX_SECONDS),
    "start_time": _time(_DAY_START),
    "end_time": _time(_DAY_END),
    "days": _days,
    "extensions": _extensions,
}
