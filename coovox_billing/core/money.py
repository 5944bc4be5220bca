"""Money is one integer type: micros, 1/1,000,000 of the currency's unit (DESIGN §3).

This module is the only entrance (`parse_amount`, `parse_price`), the only exit
(`format_amount`, `format_price`) and the only rounding (`round_to_ledger`).
"""

import re

from coovox_billing.errors import BadInput

MICROS_PER_UNIT = 1_000_000
LEDGER_STEP_MICROS = 100
MAX_MICROS = 1_000_000_000 * MICROS_PER_UNIT
MAX_PRICE_MICROS = 1_000_000 * MICROS_PER_UNIT  # a month of one-second units still fits 64 bits

_DECIMAL = re.compile(r"([+-]?)([0-9]{1,40})(?:\.([0-9]{1,40}))?", re.ASCII)


def parse_price(text: str) -> int:
    """Micros of a price per unit: up to six decimals, not negative.

    Raises:
        BadInput: not a plain decimal, negative, or over a million.
    """
    micros = _parse_micros(text)
    if micros > MAX_PRICE_MICROS:
        raise BadInput("%(text)s is too large: a price is at most 1000000", text=repr(text.strip()[:40]))
    if micros < 0:
        raise BadInput("%(text)s is negative: a price is 0 or more", text=repr(text.strip()[:40]))
    return micros


def parse_amount(text: str) -> int:
    """Micros of an amount that moves a balance: a whole number of 1/10,000 (DESIGN §3).

    Raises:
        BadInput: not a plain decimal, over a billion, or finer than four decimals.
    """
    micros = _parse_micros(text)
    if micros % LEDGER_STEP_MICROS:
        raise BadInput("%(text)s has more than four decimals: amounts go down to 0.0001", text=repr(text.strip()[:40]))
    return micros


def _parse_micros(text: str) -> int:
    match = _DECIMAL.fullmatch(text.strip())
    if match is None:
        raise BadInput("%(text)s is not an amount: write digits and a point, like 12.50", text=repr(text.strip()[:40]))
    sign, whole, fraction = match.groups()
    if len(fraction or "") > 6:
        raise BadInput("%(text)s has more than six decimals: prices go down to 0.000001", text=repr(text.strip()[:40]))
    micros = int(whole) * MICROS_PER_UNIT + int((fraction or "").ljust(6, "0"))
    if micros > MAX_MICROS:
        raise BadInput("%(text)s is too large: the most is 1000000000", text=repr(text.strip()[:40]))
    return -micros if sign == "-" else micros


def round_to_ledger(micros: int) -> int:
    """The nearest whole number of 1/10,000, half up: the one rounding of a call's cost."""
    return (micros + LEDGER_STEP_MICROS // 2) // LEDGER_STEP_MICROS * LEDGER_STEP_MICROS


def most_that_rounds_to(amount_micros: int) -> int:
    """The most micros whose `round_to_ledger` is not above an amount."""
    return amount_micros // LEDGER_STEP_MICROS * LEDGER_STEP_MICROS + LEDGER_STEP_MICROS // 2 - 1


def format_amount(micros: int) -> str:
    """A balance, cost or recharge with the guide's four decimals: `"0.1800"`."""
    return _format(round_to_ledger(micros) // LEDGER_STEP_MICROS, 4)


def format_price(micros: int) -> str:
    """A price with four decimals, or six where it needs them: `"0.0200"`, `"0.001234"`."""
    if micros % LEDGER_STEP_MICROS:
        return _format(micros, 6)
    return _format(micros // LEDGER_STEP_MICROS, 4)


def _format(steps: int, places: int) -> str:
    whole, fraction = divmod(abs(steps), 10**places)
    sign = "-" if steps < 0 else ""
    return f"{sign}{whole}.{fraction:0{places}d}"
