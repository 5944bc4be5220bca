"""Hardware identifiers: which spellings are one, which values tell nothing, and when two thirds match."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coovox_billing.core.license import Identifier, Unfit, compare, identifier_digest


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("00:0E:A9:12:34:56", "00-0e-a9-12-34-56"),
        ("00:0E:A9:12:34:56", "000e.a912.3456\n"),
        ("ZU50-2211-00042", " zu50 2211 00042\0\0"),
        ("4C4C4544-0042-3510-8051-B7C04F4E3132", "4c4c45440042351080 51b7c04f4e3132"),
    ],
)
def test_it_knows_a_value_in_each_spelling(one: str, other: str) -> None:
    assert identifier_digest("mac", one) == identifier_digest("mac", other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("mac", "00:0E:A9:12:34:56"), ("mac", "00:0E:A9:12:34:57")),
        (("mac", "00:0E:A9:12:34:56"), ("board-serial", "00:0E:A9:12:34:56")),
        (("board-serial", "ZUK50-2211"), ("board-serial", "ZU\u212a50-2211")),
        (("board-serial", "ZU50-2211"), ("board-serial", "ZU\uff15\uff10-2211")),
    ],
)
def test_it_tells_others_apart(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert identifier_digest(*one) != identifier_digest(*other)


def test_it_hashes_as_the_readme_says() -> None:
    said = hashlib.sha256(b"coovox-billing identifier 1\nmac\n000ea9123456").hexdigest()[:32]
    assert identifier_digest("mac", "00:0E:A9:12:34:56") == said


@pytest.mark.parametrize(
    "value",
    [
        "",
        "00:00:00:00:00:00",
        "FF:FF:FF:FF:FF:FF",
        "00:00:00:00:00:01",
        "00000000-0000-0000-0000-000000000001",
        "N/A",
        "1-2-3",
        "\u592a\u9633\u9152\u5e97\u592a\u9633\u9152\u5e97",
    ],
)
def test_it_refuses_a_value_that_tells_nothing(value: str) -> None:
    with pytest.raises(Unfit, match="tells no device from another"):
        identifier_digest("board-serial", value)


@pytest.mark.parametrize("kind", ["", "MAC", "mac ", "9mac", "m" * 21, "mac\n", "m\u00e4c"])
def test_it_refuses_a_kind_that_could_not_stand_in_a_file(kind: str) -> None:
    with pytest.raises(Unfit, match="no kind of identifier"):
        identifier_digest(kind, "00:0E:A9:12:34:56")


@given(st.text(max_size=60))
def test_it_never_says_the_value_itself(value: str) -> None:
    try:
        digest = identifier_digest("board-serial", value)
    except Unfit:
        return
    assert len(digest) == 32 and set(digest) <= set("0123456789abcdef")
    assert value.lower() not in digest


def _named(count: int) -> list[Identifier]:
    return [Identifier("mac", f"{number:032x}") for number in range(count)]


@pytest.mark.parametrize(
    ("named", "matching", "enough"),
    [
        (2, 2, True),
        (2, 1, False),
        (3, 2, True),
        (3, 1, False),
        (4, 3, True),
        (4, 2, False),
        (5, 4, True),
        (5, 3, False),
        (6, 4, True),
        (6, 3, False),
        (32, 22, True),
        (32, 21, False),
        (0, 0, False),
    ],
)
def test_it_asks_for_two_thirds_of_those_named(named: int, matching: int, enough: bool) -> None:
    found = [*_named(matching), *(Identifier("disk-serial", f"{number:032x}") for number in range(40))]
    comparison = compare(_named(named), found)
    assert (len(comparison.matching), comparison.named, comparison.enough) == (matching, named, enough)


def test_it_counts_a_repeated_one_once() -> None:
    one, other, third = _named(3)
    assert not compare([one, one, one, other, third], [one, one]).enough
    assert compare([one, one, other], [other, one, one]).named == 2


@given(st.sets(st.integers(0, 40), min_size=2), st.sets(st.integers(0, 40)), st.sets(st.integers(0, 40)))
def test_it_never_holds_on_two_devices_that_share_nothing(named: set[int], one: set[int], more: set[int]) -> None:
    pool = _named(41)
    other = more - one
    verdicts = [compare([pool[n] for n in named], [pool[n] for n in device]).enough for device in (one, other)]
    assert verdicts != [True, True]
