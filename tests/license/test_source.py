"""The source file `billing.ac`: read as it was written, and nothing else."""

import hashlib
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coovox_billing.core.license import (
    MAX_BYTES,
    MOST_IDENTIFIERS,
    Damaged,
    Identifier,
    LicenseError,
    OtherFormat,
    OtherProduct,
    Source,
    TooFewIdentifiers,
    Unfit,
    WrongFile,
    parse_source,
    render_source,
    text_of,
)
from tests.license import cast

TEXT = render_source(cast.source())

plain_texts = st.from_regex(r"[!-~]([ -~]{0,54}[!-~])?", fullmatch=True)
digests = st.text("0123456789abcdef", min_size=32, max_size=32)
known = st.builds(Identifier, st.from_regex(r"[a-z][a-z0-9-]{0,19}", fullmatch=True), digests)
moments = st.integers(0, 7_258_118_399).map(lambda second: second * 1000)
sources = st.builds(
    Source,
    board=plain_texts,
    version=plain_texts,
    made_at_ms=moments,
    first_activation_ms=st.none() | moments,
    request=digests,
    identifiers=st.sets(known, min_size=2, max_size=MOST_IDENTIFIERS).map(lambda some: tuple(sorted(some))),
)


@given(sources)
def test_it_reads_what_it_writes(source: Source) -> None:
    text = render_source(source)
    assert parse_source(text) == source
    assert max(map(len, text.splitlines())) <= 76
    assert text_of(text.encode()) == text


@given(sources, st.randoms())
def test_it_writes_identifiers_in_one_order_and_once(source: Source, chance: random.Random) -> None:
    mixed = [*source.identifiers, source.identifiers[0]]
    chance.shuffle(mixed)
    if len(source.identifiers) < MOST_IDENTIFIERS:
        assert render_source(replace(source, identifiers=tuple(mixed))) == render_source(source)


def test_it_keeps_whole_seconds() -> None:
    assert parse_source(render_source(cast.source(made_at_ms=1_999))).made_at_ms == 1_000


def test_it_can_be_checked_by_hand() -> None:
    body, _, checksum = TEXT.rpartition("Checksum: ")
    assert checksum == hashlib.sha256(body.encode()).hexdigest() + "\n"


@pytest.mark.parametrize(
    "sent",
    [
        TEXT.replace("\n", "\r\n"),
        "\ufeff" + TEXT,
        TEXT.rstrip("\n"),
        TEXT + "\n\n",
        TEXT.replace("\n", "  \t\n"),
        "\ufeff" + TEXT.replace("\n", " \r\n") + "\r\n \r\n",
    ],
)
def test_it_bears_what_mail_does_to_a_text(sent: str) -> None:
    assert parse_source(sent) == cast.source()


@pytest.mark.parametrize(
    ("changed", "error", "says"),
    [
        ("", Damaged, "empty"),
        ("\n\n", Damaged, "empty"),
        ("hello", WrongFile, "no source file"),
        (cast.license_text(), WrongFile, "this is a license file"),
        (TEXT.replace("Format: 1", "Format: 2"), OtherFormat, "written in format 2, this version reads format 1"),
        (TEXT.replace("Format: 1", "Format: x"), Damaged, "line 2"),
        (TEXT.replace("U50", "U60"), Damaged, "its checksum is wrong"),
        (TEXT.replace("Board: ", "Board:  "), Damaged, "line 5"),
        (TEXT.replace("Version: 0.1.0\n", ""), Damaged, "line 4"),
        (TEXT.replace("Version: 0.1.0\n", "Version: 0.1.0\nVersion: 0.1.0\n"), Damaged, "line 5"),
        (TEXT.replace("Made: 2026-11", "Made: 2026-13"), Damaged, "line 6"),
        (TEXT.replace("Made: 2026-11-30T12", "Made: 2026-11-30T24"), Damaged, "line 6"),
        ("\n" + TEXT, WrongFile, "no source file"),
        (TEXT + "Board: CooVox U100\n", Damaged, "line 13"),
        (TEXT[:200], Damaged, "line"),
        (TEXT + "x" * MAX_BYTES, Damaged, "larger than 16384 bytes"),
        (render_source(cast.source(product="coovox-fax")), OtherProduct, "for coovox-fax, not for coovox-billing"),
    ],
)
def test_it_says_why_it_refuses_a_file(changed: str, error: type[LicenseError], says: str) -> None:
    assert changed != TEXT
    with pytest.raises(error, match=says):
        parse_source(changed)


def test_it_says_so_when_a_device_tells_too_little_of_itself() -> None:
    one = cast.source().identifiers[0]
    for known_by in ((), (one,), (one, one)):
        with pytest.raises(TooFewIdentifiers, match="where 2 are needed"):
            render_source(cast.source(identifiers=known_by))


def test_it_reads_no_file_with_one_identifier_even_if_its_checksum_is_right() -> None:
    lines = TEXT.splitlines(keepends=True)
    body = "".join(lines[:9])
    with pytest.raises(TooFewIdentifiers):
        parse_source(f"{body}Checksum: {hashlib.sha256(body.encode()).hexdigest()}\n")


@pytest.mark.parametrize(
    "changes",
    [
        {"board": ""},
        {"board": " U50"},
        {"board": "U50\nProduct: other"},
        {"board": "U50\u202e"},
        {"board": "\uff3550"},
        {"board": "x" * 57},
        {"version": "0.1\x00"},
        {"request": "g" * 32},
        {"request": "0" * 31},
        {"made_at_ms": -1},
        {"made_at_ms": 7_258_118_400_000},
        {"first_activation_ms": -1000},
        {"identifiers": (Identifier("mac", "0" * 31), Identifier("mac", "1" * 32))},
        {"identifiers": (Identifier("m c", "0" * 32), Identifier("mac", "1" * 32))},
        {"identifiers": tuple(Identifier("mac", f"{number:032x}") for number in range(33))},
    ],
)
def test_it_writes_nothing_that_it_would_not_read(changes: dict[str, object]) -> None:
    with pytest.raises(Unfit):
        render_source(cast.source(**changes))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"PK\x03\x04" + b"\0" * 40, "packed: unpack it first"),
        (b"\x1f\x8b\x08" + b"\0" * 40, "packed"),
        (b"\0" * 100, "not plain text"),
        (TEXT.encode("utf-16"), "not plain text"),
        (b"File: \xff", "not plain text"),
        (b"x" * (MAX_BYTES + 1), "larger than"),
    ],
)
def test_it_takes_no_other_bytes_for_a_text(data: bytes, says: str) -> None:
    with pytest.raises(Damaged, match=says):
        text_of(data)
