"""What settings can be chosen from: zones and countries, by the names that people know."""

from functools import cache
from unicodedata import combining, normalize
from zoneinfo import available_timezones

from coovox_billing.core.emergency_numbers import NUMBERS_OF_COUNTRIES
from coovox_billing.web import reader


@cache
def zones() -> list[str]:
    """The names that people know zones by."""
    odd = ("Etc/", "SystemV/", "posix/", "right/", "US/", "Brazil/", "Canada/", "Chile/", "Mexico/")
    return ["UTC", *sorted(zone for zone in available_timezones() if "/" in zone and not zone.startswith(odd))]


def countries() -> list[tuple[str, str]]:
    """Codes and names of the countries whose emergency numbers are known, by name."""
    names = reader.locale().territories
    return sorted(
        ((code, str(names[code])) for code in NUMBERS_OF_COUNTRIES), key=lambda country: _in_order(country[1])
    )


def _in_order(name: str) -> str:
    """A name without its accents, which decide nothing in the order of most languages."""
    return "".join(letter for letter in normalize("NFD", name.casefold()) if not combining(letter))
