"""It reads when calls were answered and ended out of our CEL file, whatever became of that file."""

import json
import os
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coovox_billing.pbx import cel_file
from coovox_billing.pbx.cel_file import CEL_DIRECTORY, CEL_FILE, ROTATED_FILE, find_traces, left_records, rotate
from coovox_billing.pbx.traces import Sought, Trace

ID, OTHER_ID = "970002168616760265", "716293548367514123"
CALLER, LEG = "1795274183.17", "1795274183.18"
CHANNEL = "PJSIP/carrier-a-00000005"
SOUGHT = Sought(ID, CALLER, CALLER, frozenset({"PJSIP/carrier-a"}))
RECORD = "PJSIP/108|95550007|Carrier|1795274183.425|passed|1795274183.944|1795274184.451|16|1795274183.18||7"


def quoted(*fields: str) -> bytes:
    return ",".join('"' + field.replace('"', '""') + '"' for field in fields).encode() + b"\n"


def event(kind: str, at: str, channel: str = CHANNEL, uniqueid: str = LEG, linkedid: str = CALLER) -> bytes:
    """A line of Asterisk's own."""
    return quoted(kind, at, channel, uniqueid, linkedid, "", '{"hangupcause":16}' if kind == "HANGUP" else "")


def own(name: str, text: str, channel: str = CHANNEL, uniqueid: str = LEG, at: str = "1795274184.000") -> bytes:
    """A line of the dialplan's."""
    return quoted(name, at, channel, uniqueid, CALLER, name, json.dumps({"extra": text}))


def stamp(call_id: str = ID, at: str = "1795274183.944", uniqueid: str = LEG) -> bytes:
    return own("CooVoxAnswered", f"{call_id}|{at}", uniqueid=uniqueid)


ANSWER = event("ANSWER", "1795274183.943")
HANGUP = event("HANGUP", "1795274193.500")
CALL = ANSWER + stamp() + event("ANSWER", "1795274183.946", "PJSIP/108-00000004", CALLER) + HANGUP
TRACE = Trace("cel", 1795274183944, 1795274193500, CHANNEL, LEG)


def written(logs: Path, data: bytes, rotated: bytes | None = None) -> Path:
    directory = logs / CEL_DIRECTORY
    directory.mkdir(exist_ok=True)
    (directory / CEL_FILE).write_bytes(data)
    if rotated is not None:
        (directory / ROTATED_FILE).write_bytes(rotated)
    return logs


def trace(logs: Path, *sought: Sought) -> Trace | None:
    """What is found of the first of them."""
    asked = sought or (SOUGHT,)
    return find_traces(logs, asked).get(asked[0].call_id)


# It finds a call by its own stamp.


def test_it_finds_the_answer_by_the_stamp_and_the_end_of_that_leg(tmp_path: Path) -> None:
    assert trace(written(tmp_path, CALL)) == TRACE


def test_it_knows_no_end_where_asterisk_recorded_none(tmp_path: Path) -> None:
    assert trace(written(tmp_path, CALL.removesuffix(HANGUP))) == Trace("cel", 1795274183944, None, CHANNEL, LEG)


def test_it_takes_the_last_of_several_answered_legs(tmp_path: Path) -> None:
    later = stamp(at="1795274200.000", uniqueid="2.2") + event("HANGUP", "1795274210.000", uniqueid="2.2")
    found = trace(written(tmp_path, CALL + later))
    assert found == Trace("cel", 1795274200000, 1795274210000, CHANNEL, "2.2")


def test_it_takes_the_time_of_the_line_where_the_stamp_is_none(tmp_path: Path) -> None:
    found = trace(written(tmp_path, stamp(at="soon")))
    assert found == Trace("cel", 1795274184000, None, CHANNEL, LEG)


def test_it_tells_the_times_as_they_are_where_the_clock_was_set_back(tmp_path: Path) -> None:
    found = trace(written(tmp_path, stamp() + event("HANGUP", "12.001")))
    assert found == Trace("cel", 1795274183944, 12001, CHANNEL, LEG)


def test_it_reads_the_rotated_file_before_the_current_one(tmp_path: Path) -> None:
    assert trace(written(tmp_path, HANGUP, rotated=ANSWER + stamp())) == TRACE


def test_it_tells_only_of_calls_that_are_sought_and_answered(tmp_path: Path) -> None:
    logs = written(tmp_path, CALL)
    other = Sought(OTHER_ID, "1.1", "1.1", SOUGHT.trunk_devices)
    assert find_traces(logs, [other, SOUGHT]) == {ID: TRACE}
    assert find_traces(logs, []) == {}
    assert find_traces(logs, iter([SOUGHT])) == {ID: TRACE}


# It finds a call whose stamp failed.


@pytest.mark.parametrize(
    "sought", [Sought(ID, CALLER, "9.9", SOUGHT.trunk_devices), Sought(ID, "", CALLER, SOUGHT.trunk_devices)]
)
def test_it_finds_the_leg_of_a_trunk_in_the_callers_family(tmp_path: Path, sought: Sought) -> None:
    found = trace(written(tmp_path, ANSWER + HANGUP), sought)
    assert found == Trace("cel", 1795274183943, 1795274193500, CHANNEL, LEG)


@pytest.mark.parametrize(
    "line",
    [
        event("ANSWER", "1795274183.943", "PJSIP/carrier-00000005"),
        event("ANSWER", "1795274183.943", "PJSIP/carrier-a-b-00000005"),
        event("ANSWER", "1795274183.943", linkedid="1795274183.19"),
        event("ANSWER", "1795274183.943", uniqueid=CALLER),
        event("BRIDGE_ENTER", "1795274183.943"),
    ],
    ids=["another trunk", "a longer name", "another family", "the caller", "another event"],
)
def test_it_takes_no_other_channel_for_the_leg(tmp_path: Path, line: bytes) -> None:
    assert trace(written(tmp_path, line + HANGUP)) is None


def test_it_leaves_a_leg_to_the_call_that_stamped_it(tmp_path: Path) -> None:
    assert trace(written(tmp_path, ANSWER + stamp(OTHER_ID) + HANGUP)) is None


def test_it_takes_the_last_leg_that_no_other_call_stamped(tmp_path: Path) -> None:
    first = event("ANSWER", "1795274100.000", uniqueid="1.5") + event("HANGUP", "1795274101.000", uniqueid="1.5")
    found = trace(written(tmp_path, first + ANSWER + stamp(OTHER_ID) + HANGUP))
    assert found == Trace("cel", 1795274100000, 1795274101000, CHANNEL, "1.5")


def test_it_prefers_the_stamped_leg_to_a_later_one(tmp_path: Path) -> None:
    later = event("ANSWER", "1795274300.000", uniqueid="1.9")
    assert trace(written(tmp_path, CALL + later)) == TRACE


def test_it_is_not_deceived_by_a_sites_event_named_like_asterisks(tmp_path: Path) -> None:
    forged = quoted("HANGUP", "1795274185.000", CHANNEL, LEG, CALLER, "HANGUP", '{"extra":"x"}')
    assert trace(written(tmp_path, ANSWER + stamp() + forged + HANGUP)) == TRACE


def test_it_is_not_deceived_by_quotes_in_a_field(tmp_path: Path) -> None:
    forged = own("CooVoxAnswered", f'1","2","3","4","5","6","7"{ID}|1.000')
    assert trace(written(tmp_path, forged + CALL)) == TRACE


# It copes with what a power cut leaves.


def test_it_finds_nothing_where_there_is_nothing(tmp_path: Path) -> None:
    assert (find_traces(tmp_path, [SOUGHT]), left_records(tmp_path), rotate(tmp_path)) == ({}, [], False)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to(path)])
def test_it_finds_nothing_in_what_is_no_file(tmp_path: Path, make: object) -> None:
    (tmp_path / CEL_DIRECTORY).mkdir()
    assert callable(make)
    make(tmp_path / CEL_DIRECTORY / CEL_FILE)
    assert (find_traces(tmp_path, [SOUGHT]), left_records(tmp_path), rotate(tmp_path)) == ({}, [], False)


@pytest.mark.parametrize(
    "bad",
    [
        b"\n",
        b"\0" * 5000 + b"\n",
        b'"ANSWER","17952\n',
        b'"HANGUP",' * 100_000 + b"\n",
        b'"HANGUP",' + b'"' * 1_000_000 + b"\n",
        quoted("HANGUP", "1795274184.00", CHANNEL, LEG, CALLER, "", ""),
        quoted("HANGUP", "-1795274184.000", CHANNEL, LEG, CALLER, "", ""),
        quoted("HANGUP", "\u0661\u0661.000", CHANNEL, LEG, CALLER, "", ""),
        quoted("HANGUP", "1795274184.000", CHANNEL, "", CALLER, "", ""),
        quoted("HANGUP", "1795274184.000", CHANNEL, LEG, CALLER, "", "", ""),
        quoted("CooVoxAnswered", "1795274184.000", CHANNEL, "8.8", CALLER, "CooVoxAnswered", f"{ID}|1795274184.000"),
        quoted("CooVoxAnswered", "1795274184.000", CHANNEL, "8.8", CALLER, "CooVoxAnswered", f'["{ID}|1.000"]'),
        quoted("CooVoxAnswered", "1795274184.000", CHANNEL, "8.8", CALLER, "CooVoxAnswered", '{"extra":7}'),
        quoted("CooVoxAnswered", "1795274184.000", CHANNEL, "8.8", CALLER, "CooVoxAnswered", "[" * 7000),
    ],
)
def test_it_skips_a_bad_line(tmp_path: Path, bad: bytes) -> None:
    assert trace(written(tmp_path, bad + ANSWER + bad + stamp() + bad + HANGUP + bad)) == TRACE


@given(cut=st.integers(0, len(CALL)), garbage=st.binary(max_size=20))
def test_it_tells_nothing_wrong_where_the_file_was_cut_off(
    tmp_path_factory: pytest.TempPathFactory, cut: int, garbage: bytes
) -> None:
    logs = written(tmp_path_factory.mktemp("log"), CALL[:cut] + garbage)
    found = trace(logs)
    assert found is None or (found.channel, found.uniqueid) == (CHANNEL, LEG)
    assert found is None or found.answered_ms in (1795274183943, 1795274183944)
    assert found is None or found.ended_ms in (None, 1795274193500)


PIECES = st.sampled_from(
    [ANSWER, stamp(), HANGUP, own("CooVoxLeft", f"{ID}|{RECORD}"), b'"', b"\n", b",", b"\0", b"\xff"]
)


@given(data=st.lists(PIECES | st.binary(max_size=30), max_size=20).map(b"".join), rotated=st.binary(max_size=60))
def test_it_reads_any_bytes(tmp_path_factory: pytest.TempPathFactory, data: bytes, rotated: bytes) -> None:
    logs = written(tmp_path_factory.mktemp("log"), data, rotated)
    find_traces(logs, [SOUGHT])
    left_records(logs)


def test_it_reads_the_newest_of_a_huge_file_in_little_memory(tmp_path: Path) -> None:
    written(tmp_path, b"")
    with (tmp_path / CEL_DIRECTORY / CEL_FILE).open("wb") as file:
        file.truncate(3_000_000_000)
        file.seek(3_000_000_000)
        file.write(b"\n" + CALL)
    tracemalloc.start()
    try:
        found = trace(tmp_path)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found == TRACE
    assert peak_bytes < 1_000_000


def test_it_seeks_thousands_of_calls_at_once(tmp_path: Path) -> None:
    many = [Sought(str(number), f"1.{number}", f"1.{number}", SOUGHT.trunk_devices) for number in range(3000)]
    lines = b"".join(
        stamp(one.call_id, uniqueid=f"2.{one.call_id}") + event("HANGUP", "1795274190.000", uniqueid=f"2.{one.call_id}")
        for one in many
    )
    found = find_traces(written(tmp_path, lines), many)
    assert {one.ended_ms for one in found.values()} == {1795274190000}
    assert len(found) == 3000


# What the dialplan left.


def test_it_tells_what_the_dialplan_left_oldest_first(tmp_path: Path) -> None:
    first, second = own("CooVoxLeft", f"{ID}|{RECORD}"), own("CooVoxLeft", f"{OTHER_ID}|PJSIP/109|x|||||||||")
    empty = own("CooVoxLeft", "") + own("CooVoxLeft", "|x") + own("CooVoxLeft", ID)
    logs = written(tmp_path, CALL + empty + second, rotated=first)
    assert left_records(logs) == [(ID, RECORD), (OTHER_ID, "PJSIP/109|x|||||||||")]


def test_it_tells_only_text_that_can_be_stored(tmp_path: Path) -> None:
    odd = quoted("CooVoxLeft", "1795274184.000", CHANNEL, LEG, CALLER, "CooVoxLeft", '{"extra":"1|\\ud800"}')
    assert left_records(written(tmp_path, odd)) == [("1", "?")]


# It keeps the file small.


def test_it_puts_the_file_aside_once_it_is_over_two_megabytes(tmp_path: Path) -> None:
    data = CALL + b"x" * cel_file.ROTATE_BYTES
    written(tmp_path, data, rotated=b"older")
    assert rotate(tmp_path)
    directory = tmp_path / CEL_DIRECTORY
    assert [path.name for path in directory.iterdir()] == [ROTATED_FILE]
    assert (directory / ROTATED_FILE).read_bytes() == data
    assert trace(tmp_path) == TRACE


def test_it_leaves_a_smaller_file_where_it_is(tmp_path: Path) -> None:
    written(tmp_path, b"x" * cel_file.ROTATE_BYTES)
    assert not rotate(tmp_path)
    assert [path.name for path in (tmp_path / CEL_DIRECTORY).iterdir()] == [CEL_FILE]


def test_it_goes_on_where_it_may_not_put_the_file_aside(tmp_path: Path) -> None:
    written(tmp_path, CALL + b"x" * cel_file.ROTATE_BYTES)
    (tmp_path / CEL_DIRECTORY / ROTATED_FILE).mkdir()
    assert not rotate(tmp_path)
    assert trace(tmp_path) == TRACE


def test_it_takes_no_line_twice_where_the_file_is_rotated_while_it_is_opened(tmp_path: Path) -> None:
    written(tmp_path, own("CooVoxLeft", f"{ID}|{RECORD}"))
    directory = tmp_path / CEL_DIRECTORY
    (directory / ROTATED_FILE).hardlink_to(directory / CEL_FILE)
    assert left_records(tmp_path) == [(ID, RECORD)]


def test_it_finds_no_leg_that_was_answered_before_the_question(tmp_path: Path) -> None:
    """An outside call over the same trunk, which the caller's channel belongs to."""
    sought = replace(SOUGHT, asked_ms=1795274184000)
    assert trace(written(tmp_path, ANSWER + HANGUP), sought) is None


def test_it_gives_a_leg_that_does_not_tell_whose_it_is_to_who_asked_last(tmp_path: Path) -> None:
    earlier = replace(SOUGHT, call_id=OTHER_ID, asked_ms=1795274180000)
    later = replace(SOUGHT, asked_ms=1795274183000)
    assert find_traces(written(tmp_path, ANSWER + HANGUP), [earlier, later]).keys() == {ID}


def test_it_ends_no_leg_by_the_end_of_another_with_the_same_uniqueid(tmp_path: Path) -> None:
    """Uniqueids come again where each boot begins in 1970; the first leg's end was never written."""
    lines = stamp(OTHER_ID, "50.000") + stamp(ID, "90.000") + event("HANGUP", "95.000")
    found = find_traces(written(tmp_path, lines), [SOUGHT, replace(SOUGHT, call_id=OTHER_ID)])
    assert (found[OTHER_ID].ended_ms, found[ID].ended_ms) == (None, 95_000)
