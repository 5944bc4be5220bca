"""Rates as CSV: no price is misread by a thousand."""

import pytest

from coovox_billing.core.rate_csv import COLUMNS, parse_rates
from coovox_billing.core.rate_fields import parse_field


@pytest.mark.parametrize("name", ["initial_cost", "rate"])
@pytest.mark.parametrize("price", ["1.500", "12.345", "999.000"])
def test_it_refuses_a_price_between_semicolons_whose_point_may_stand_between_thousands(name: str, price: str) -> None:
    good, bad = parse_rates(_with(";", name, price))
    assert not good
    assert [str(row) for row in bad] == [
        f"line 2: '{price}' can be read in two ways: write {price.replace('.', '')} or {price}0"
    ]


@pytest.mark.parametrize(
    ("separator", "price"), [(",", "1.500"), (";", "1.5000"), (";", "0.500"), (";", "1.5"), (";", "1500"), (";", "")]
)
def test_it_reads_a_price_that_can_be_read_in_one_way(separator: str, price: str) -> None:
    good, bad = parse_rates(_with(separator, "rate", price))
    assert [rate.rate_micros for rate in good] == ([parse_field("rate", price)] if price else [])
    assert len(bad) == (not price)


def _with(separator: str, name: str, price: str) -> str:
    cells = dict(zip(COLUMNS, "1 city 9 9 0.1 60 0.02 55 - - - all".replace("-", "").split(" "), strict=True))
    return "\n".join(map(separator.join, (COLUMNS, [*(cells | {name: price}).values()])))
