"""A line that was changed on its way is no answer, and noise around one costs nothing."""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from coovox_billing.errors import BadInput
from coovox_billing.firmware.controller_protocol import (
    MOST_LINE_BYTES,
    Answer,
    answer_line,
    checksum,
    parse_answer,
    request_line,
)

# Vectors of docs/board-controller.md, for another implementation.
REQUEST = b">1 4f2a IDENTIFY 4AF5\n"
ANSWER = b"<1 4f2a ok serial=U50-00012345 board=U50 7B4D\n"
REFUSAL = b"<1 4f2a error busy BFFD\n"

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
VALUES = st.from_regex(r"[A-Za-z0-9._:/+-]{1,20}", fullmatch=True)
FIELDS = st.dictionaries(NAMES, VALUES, max_size=4)
IDS = st.integers(0, 0xFFFF)
NOISE = st.binary(max_size=60)


def line_of(request_id: int, fields: dict[str, str]) -> bytes:
    return answer_line(request_id, "ok", *(f"{name}={value}" for name, value in fields.items()))


def test_the_checksum_is_the_known_one() -> None:
    assert checksum(b"123456789") == 0x29B1


def test_it_makes_and_reads_the_documented_lines() -> None:
    assert request_line(0x4F2A, "IDENTIFY") == REQUEST
    assert answer_line(0x4F2A, "ok", "serial=U50-00012345", "board=U50") == ANSWER
    assert answer_line(0x4F2A, "error", "busy") == REFUSAL
    assert parse_answer(ANSWER) == Answer("1", 0x4F2A, {"serial": "U50-00012345", "board": "U50"}, "")
    assert parse_answer(REFUSAL) == Answer("1", 0x4F2A, {}, "busy")


@given(IDS, FIELDS, st.sampled_from([b"", b"\r"]), NOISE)
@example(7, {}, b"\r", b"<<<1 0007 ok ")
def test_it_reads_an_answer_after_any_noise(request_id: int, fields: dict[str, str], end: bytes, noise: bytes) -> None:
    assert parse_answer(noise + line_of(request_id, fields)[:-1] + end) == Answer("1", request_id, fields, "")


@given(IDS, FIELDS, st.data())
def test_it_takes_no_answer_with_any_one_to_three_bits_flipped(
    request_id: int, fields: dict[str, str], data: st.DataObject
) -> None:
    good = line_of(request_id, fields)[:-1]
    flipped = bytearray(good)
    for bit in data.draw(st.sets(st.integers(0, len(good) * 8 - 1), min_size=1, max_size=3)):
        flipped[bit // 8] ^= 1 << bit % 8
    found = parse_answer(bytes(flipped))
    assert found is None or found == parse_answer(good)


@given(IDS, FIELDS, st.data())
def test_it_takes_no_half_of_an_answer(request_id: int, fields: dict[str, str], data: st.DataObject) -> None:
    good = line_of(request_id, fields)[:-1]
    cut = data.draw(st.integers(0, len(good) - 1))
    assert parse_answer(good[:cut]) is None
    assume(cut)
    assert parse_answer(good[cut:]) is None


@given(st.binary(max_size=MOST_LINE_BYTES * 2))
def test_garbage_is_no_answer_and_no_error(line: bytes) -> None:
    assert parse_answer(line) is None


@given(IDS)
def test_an_echo_is_no_answer(request_id: int) -> None:
    assert parse_answer(request_line(request_id, "IDENTIFY")) is None


@pytest.mark.parametrize("rest", [b"4f2a ok a=1 a=2", b"4f2a ok a", b"4f2a ok ", b"4F2A ok", b"4f2a yes", b"ok", b""])
def test_a_sealed_line_of_another_form_is_no_answer(rest: bytes) -> None:
    body = b"<1 " + rest + b" "
    assert parse_answer(body + b"%04X" % checksum(body)) is None


def test_a_longer_line_than_allowed_is_no_answer() -> None:
    body = b"<1 4f2a ok " + b" ".join(b"f%d=%s" % (number, b"x" * 60) for number in range(4)) + b" "
    assert parse_answer(body + b"%04X" % checksum(body)) is None


@pytest.mark.parametrize("words", [(), ("",), ("A B",), ("A\n",), ("<A",), ("\u00e9",), ("A", "x" * 90)])
def test_it_sends_nothing_that_a_line_cannot_carry(words: tuple[str, ...]) -> None:
    with pytest.raises(BadInput, match="cannot be sent"):
        request_line(1, *words)


def test_it_sends_no_line_that_is_too_long() -> None:
    with pytest.raises(BadInput, match="too long"):
        request_line(1, "PUT", "x" * 80, "x" * 80, "x" * 80)
