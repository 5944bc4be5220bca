"""The words of FastAGI: read as Asterisk writes them, and refused where they make no sense."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coovox_billing.pbx.agi_protocol import (
    MAX_REQUEST_BYTES,
    MAX_REQUEST_LINES,
    LineReader,
    Malformed,
    Reply,
    ReplyParser,
    Request,
    RequestReader,
    quoted,
    set_variables,
)
from tests.pbx.fake_asterisk import environment

MAX_LINE_BYTES = 100


def _lines(chunks: Iterable[bytes]) -> list[str]:
    reader = LineReader(MAX_LINE_BYTES)
    return [line for chunk in chunks for line in reader.feed(chunk)]


def _first_request(chunks: Iterable[bytes]) -> Request | str | None:
    """What a peer's bytes come to: a request, nothing yet, or nonsense."""
    reader = RequestReader()
    try:
        for chunk in chunks:
            request = reader.feed(chunk)
            if request is not None:
                return request
    except Malformed:
        return "malformed"
    return None


def _cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted(min(place, len(data)) for place in places)
    return [data[start:end] for start, end in zip([0, *ends], [*ends, len(data)], strict=True)]


def test_it_reads_a_request_of_the_dialplan() -> None:
    arguments = {
        "id": "123",
        "number": "988360046",
        "dial": "PJSIP/1@carrier",
        "options": "tTr",
        "mirror": "",
    }
    assert _first_request([environment("authorize", arguments)]) == Request("authorize", arguments)


@pytest.mark.parametrize(
    ("arguments", "read"),
    [
        (["record=a|b|c"], {"record": "a|b|c"}),
        (["options=b(x^y^1(a=b))"], {"options": "b(x^y^1(a=b))"}),
        (["number="], {"number": ""}),
        (["number=+34: 5"], {"number": "+34: 5"}),
        ([], {}),
    ],
)
def test_it_reads_arguments_by_name(arguments: list[str], read: dict[str, str]) -> None:
    lines = "".join(f"agi_arg_{number}: {argument}\n" for number, argument in enumerate(arguments, start=1))
    assert RequestReader().feed(f"agi_network: yes\n{lines}\n".encode()) == Request("", read)


def test_it_takes_lines_as_long_as_allowed_and_ends_of_both_kinds() -> None:
    longest = b"x" * MAX_LINE_BYTES
    assert _lines([longest + b"\n", b"a\r\n", b"b\n", b"\n"]) == [longest.decode(), "a", "b", ""]


@pytest.mark.parametrize("data", [b"x" * (MAX_LINE_BYTES + 1), b"ok\n" + b"x" * (MAX_LINE_BYTES + 1) + b"\nok\n"])
def test_it_refuses_a_line_that_is_too_long(data: bytes) -> None:
    with pytest.raises(Malformed, match="longer than"):
        _lines([data])


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1",
        b"agj",
        b"\n",
        b"agi\n\n",
        b"agi_a: b\nc: d\n\n",
        b"agi_arg_1: no name\n\n",
        b"agi_network_script: authorize\nagi_network_script: settle\n\n",
        b"agi_arg_1: id=1\nagi_arg_2: id=2\n\n",
        b"agi_a: b\n" * (MAX_REQUEST_LINES + 1) + b"\n",
        b"agi_a: " + b"x" * MAX_REQUEST_BYTES,
        b"agi_a: b\n\n200 result=1\n",
    ],
    ids=[
        "web",
        "not agi",
        "empty",
        "nonsense",
        "a strange line",
        "no name",
        "two paths",
        "twice",
        "lines",
        "bytes",
        "reply",
    ],
)
def test_it_refuses_what_is_no_request(data: bytes) -> None:
    with pytest.raises(Malformed):
        RequestReader().feed(data)


@pytest.mark.parametrize(
    ("lines", "reply"),
    [
        (["200 result=1"], Reply(200, 1, "")),
        (["200 result=0"], Reply(200, 0, "")),
        (["200 result=1 (a|b|c)"], Reply(200, 1, "a|b|c")),
        (["200 result=1 ()"], Reply(200, 1, "")),
        (["200 result=1 (x (y) z)"], Reply(200, 1, "x (y) z")),
        (["200 result=-1 endpos=8"], Reply(200, -1, "")),
        (["510 Invalid or unknown command"], Reply(510, -1, "Invalid or unknown command")),
        (
            ["511 Command Not Permitted on a dead channel"],
            Reply(511, -1, "Command Not Permitted on a dead channel"),
        ),
        (["HANGUP", "200 result=1"], Reply(200, 1, "")),
        (
            [
                "520-Invalid command syntax.  Proper usage follows:",
                "Usage: GET",
                "200 of them",
                "520 End of proper usage.",
            ],
            Reply(520, -1, "End of proper usage."),
        ),
    ],
)
def test_it_reads_asterisks_replies(lines: list[str], reply: Reply) -> None:
    parser = ReplyParser()
    *earlier, last = lines
    assert [parser.feed(line) for line in earlier] == [None] * len(earlier)
    assert parser.feed(last) == reply


@pytest.mark.parametrize("line", ["", "ok", "20 result=1", "2000 result=1", "result=1", " 200 result=1", "HANGUP now"])
def test_it_refuses_what_is_no_reply(line: str) -> None:
    with pytest.raises(Malformed, match="not a reply"):
        ReplyParser().feed(line)


def test_it_does_not_choke_on_a_number_of_any_length() -> None:
    assert ReplyParser().feed("200 result=" + "1" * 5_000) is not None


pieces = st.sampled_from(
    [
        b"agi_arg_1: id=1",
        b"agi_arg_2: x",
        b"agi_network_script: end",
        b"agi_",
        b": ",
        b"\n",
        b"\r\n",
        b"\n\n",
        b"\xff",
    ]
)
requests = st.binary(max_size=300) | st.lists(pieces, max_size=12).map(b"".join)
cuts = st.lists(st.integers(0, 320), max_size=8)


@given(requests, cuts)
def test_it_reads_the_same_request_however_the_bytes_are_cut(data: bytes, places: list[int]) -> None:
    request = data[: data.find(b"\n\n") + 2] if b"\n\n" in data else data
    assert _first_request(_cut(request, places)) == _first_request([request])


@given(st.binary(max_size=40), st.integers(MAX_LINE_BYTES - 20, MAX_LINE_BYTES + 20), cuts)
def test_it_refuses_long_lines_however_the_bytes_are_cut(end: bytes, length: int, places: list[int]) -> None:
    data = b"x" * length + end
    assert _lines_or_refusal(_cut(data, places)) == _lines_or_refusal([data])


def _lines_or_refusal(chunks: Iterable[bytes]) -> list[str] | str:
    try:
        return _lines(chunks)
    except Malformed:
        return "malformed"


reply_lines = st.text(max_size=40) | st.builds(
    "{}{}result={}{}".format,
    st.sampled_from(["200", "520", "510", "٣٣٣", ""]),
    st.sampled_from([" ", "-", "  "]),
    st.sampled_from(["1", "-1", "", "x", "9" * 30]),
    st.sampled_from(["", " (", " ()", " (a)b", "\r"]),
)


@given(st.lists(reply_lines, max_size=6))
def test_it_refuses_garbage_replies_as_malformed_alone(lines: list[str]) -> None:
    parser = ReplyParser()
    try:
        for line in lines:
            assert isinstance(parser.feed(line), Reply | None)
    except Malformed as error:
        assert str(error)


def test_it_sets_several_variables_by_one_command() -> None:
    assert set_variables({"A": "pass", "B": ""}) == 'SET VARIABLE ARRAY(A,B) "pass,"'


@pytest.mark.parametrize("value", ["a,b", 'a"b', "a\nb", "${EXTEN}", "a b", "é", "a\\b", "a)b"])
def test_it_sets_no_value_that_the_dialplan_could_misread(value: str) -> None:
    with pytest.raises(ValueError, match="cannot be a channel variable"):
        set_variables({"A": value})


@given(st.text())
def test_it_quotes_any_text_into_one_argument_on_one_line(text: str) -> None:
    argument = quoted(text)
    assert argument[0] == argument[-1] == '"'
    assert not set(argument[1:-1]) & set('"\\\r\n')


LOGIN = "Action: Login\r\nUsername: billing\r\nSecret: hunter2\r\n\r\n"


@pytest.mark.parametrize("said", [LOGIN, "Secret: hunter2\r\n\r\n", "action=login&SECRET=hunter2\n\n", "x\rhunter2"])
def test_it_tells_no_secret_of_who_took_it_for_the_manager(said: str) -> None:
    with pytest.raises(Malformed) as error:
        RequestReader().feed(said.encode())
    assert "hunter2" not in str(error.value)
    assert repr(said[:1])[:-1] in str(error.value)


@pytest.mark.parametrize("said", ["agi_arg_1: Secret: hunter2", "agi_a: b\nSecret: hunter2"])
def test_it_tells_no_secret_within_a_request(said: str) -> None:
    with pytest.raises(Malformed, match="Secret'"):
        RequestReader().feed(said.encode() + b"\n\n")


def test_it_tells_no_secret_in_place_of_a_reply() -> None:
    with pytest.raises(Malformed, match="not a reply to a command: 'Secret'"):
        ReplyParser().feed("Secret: hunter2")
