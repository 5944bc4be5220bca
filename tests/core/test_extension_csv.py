"""Extensions as CSV: what a file may hold, and that an export can be imported again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coovox_billing.core import extension_csv
from coovox_billing.core.extension_csv import ExtensionRow, parse_extensions
from coovox_billing.errors import BadInput

names = st.text(st.characters(whitelist_categories=("L", "N", "P", "S", "Zs")), max_size=20).map(str.strip)
credits = st.integers(0, 10**11).map(lambda steps: steps * 100)


def test_it_reads_any_order_of_columns_and_either_separator() -> None:
    rows, bad = parse_extensions("\ufeffCredit;NUMBER;billing\r\n7.5;100;ON\r\n;101;\r\n\r\n", 10)
    assert bad == []
    assert rows == [ExtensionRow(2, "100", {"billing": True, "credit_micros": 7_500_000}), ExtensionRow(3, "101", {})]


def test_it_passes_over_what_is_only_told() -> None:
    rows, _ = parse_extensions("number,balance,held,total_recharges\n100,x,y,z\n", 10)
    assert rows == [ExtensionRow(2, "100", {})]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (",,,,,,", ""),
        ("1 0,,,,,,", "number: '1 0' is not an extension"),
        ("100,,maybe,,,,", "billing: 'maybe' is neither on nor off"),
        ("100,,,free,,,", "payment_type: 'free' is not possible: write prepaid or postpaid"),
        ("100,,,,open,,", "status: 'open' is not possible: write locked or unlocked"),
        ("100,,,,,1e3,", "credit: '1e3' is not an amount"),
        ("100,,", "it has 3 columns instead of 7"),
    ],
)
def test_it_says_what_is_wrong_with_a_row(line: str, says: str) -> None:
    rows, bad = parse_extensions(f"{','.join(extension_csv.COLUMNS)}\n{line}\n", 10)
    assert rows == []
    assert [row.line for row in bad] == ([2] if says else [])
    assert all(says in row.reason for row in bad)


@pytest.mark.parametrize("header", ["", "name", "number,number", "number,balanc", "number name"])
def test_it_takes_no_other_first_line(header: str) -> None:
    with pytest.raises(BadInput, match="the first line must name columns"):
        parse_extensions(f"{header}\n100\n", 10)


@given(names, st.booleans(), credits)
def test_it_reads_what_it_writes(name: str, billing: bool, credit: int) -> None:
    told = extension_csv.told(billing, credit, ["PJSIP/100", "SIP/x"])
    own = {"number": "100", "name": name, "payment_type": "prepaid", "status": "locked"}
    other = {"total_recharges": "1.0000", "balance": "-2.0000", "held": "0.0000"}
    rows, bad = parse_extensions("".join(extension_csv.render_extensions([{**own, **told, **other}])), 10)
    assert bad == []
    expected = {"billing": billing, "credit_micros": credit, "payment_type": "prepaid", "status": "locked"}
    if name and not name.startswith("'"):
        expected["name"] = name
        assert rows[0].changes == expected | {"devices": ["PJSIP/100", "SIP/x"]}


def test_it_refuses_a_credit_between_semicolons_whose_point_may_stand_between_thousands() -> None:
    good, bad = parse_extensions("number;credit\n100;1.500\n101;1.5000\n102;0.500\n103;1500\n", 10)
    assert [(row.number, row.changes["credit_micros"]) for row in good] == [
        ("101", 1_500_000),
        ("102", 500_000),
        ("103", 1_500_000_000),
    ]
    assert [str(row) for row in bad] == ["line 2: '1.500' can be read in two ways: write 1500 or 1.5000"]
    assert parse_extensions("number,credit\n100,1.500\n", 10)[0][0].changes == {"credit_micros": 1_500_000}
