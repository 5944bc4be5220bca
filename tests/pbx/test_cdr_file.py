"""It reads when calls were answered and ended out of Asterisk's call detail records."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coovox_billing.pbx.cdr_file import CDR_FILE, find_traces
from coovox_billing.pbx.traces import Sought, Trace

ID, OTHER_ID = "822510683356952587", "492858092143224800"
CHANNEL = "PJSIP/carrier-00000001"
BIRTH = 1795274236
SOUGHT = Sought(ID, f"{BIRTH}.10", f"{BIRTH}.10", frozenset({"PJSIP/carrier"}))
DATA = f"PJSIP/5550010@carrier,30,TU(coovox-billing-answered^{ID}^0^PJSIP/10"
TRACE = Trace("cdr", BIRTH * 1000, (BIRTH + 2) * 1000, CHANNEL, "")


def row(
    start: str = "15:17:16",
    end: str = "15:17:18",
    talk: int = 2,
    data: str = DATA,
    channel: str = "PJSIP/108-00000000",
    leg: str = CHANNEL,
    disposition: str = "ANSWERED",
    day: str = "2026-11-21",
    more: str = "",
) -> bytes:
    texts = ["acct108", "108", "95550010", "from-internal", '"Extension 108" <108>', channel, leg, "Dial", data]
    texts += [f"{day} {start}", f"{day} {start}" if talk else "", f"{day} {end}"]
    fields = [*(quoted(text) for text in texts), "2", str(talk), quoted(disposition), quoted("DOCUMENTATION")]
    return (",".join(fields) + more).encode() + b"\n"


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def written(logs: Path, data: bytes) -> Path:
    (logs / CDR_FILE).parent.mkdir(exist_ok=True)
    (logs / CDR_FILE).write_bytes(data)
    return logs


def trace(logs: Path) -> Trace | None:
    return find_traces(logs, [SOUGHT]).get(ID)


@pytest.fixture(autouse=True)
def _zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The machine's zone is UTC, and after the test what it was."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_it_finds_the_answered_row_whose_arguments_hold_the_id(tmp_path: Path) -> None:
    unanswered = row(talk=0, disposition="BUSY", leg="PJSIP/other-00000001")
    assert trace(written(tmp_path, unanswered + row(data="PJSIP/1,30") + row())) == TRACE


@pytest.mark.parametrize("more", ["", ',"1795274236.10"', ',"1795274236.10","a ""b"", c"', ",,,7"])
def test_it_reads_the_columns_that_a_site_adds(tmp_path: Path, more: str) -> None:
    assert trace(written(tmp_path, row(more=more))) == TRACE


def test_it_takes_the_last_answered_row(tmp_path: Path) -> None:
    later = row("15:18:00", "15:18:09", 9, leg="PJSIP/carrier-00000007")
    found = trace(written(tmp_path, row() + later))
    assert found == Trace("cdr", (BIRTH + 44) * 1000, (BIRTH + 53) * 1000, "PJSIP/carrier-00000007", "")


def test_it_adds_what_the_leg_talked_after_a_blind_transfer(tmp_path: Path) -> None:
    second = row("15:17:18", "15:17:21", 3, data="PJSIP/105,30", channel=CHANNEL, leg="PJSIP/105-00000002")
    third = row("15:17:22", "15:17:25", 3, data="", channel=CHANNEL, leg="")
    found = trace(written(tmp_path, row() + second + third))
    assert found == Trace("cdr", BIRTH * 1000, (BIRTH + 8) * 1000, CHANNEL, "")


def test_it_adds_no_other_channel_of_the_same_name(tmp_path: Path) -> None:
    reborn = row("16:00:00", "16:00:09", 9, data="PJSIP/105,30", channel=CHANNEL, leg="PJSIP/105-00000002")
    assert trace(written(tmp_path, row() + reborn)) == TRACE


@pytest.mark.parametrize("shown", [10, 17])
def test_it_knows_a_call_by_an_id_that_asterisk_cut_off(tmp_path: Path, shown: int) -> None:
    data = f"PJSIP/5550010@carrier,30,U(coovox-billing-answered^{ID[:shown]}"
    assert trace(written(tmp_path, row(data=data))) == TRACE


@pytest.mark.parametrize("cut", [ID[:9], "", ID + "9", ID[:12] + "^"])
def test_it_knows_no_call_by_less_or_by_another_id(tmp_path: Path, cut: str) -> None:
    data = f"PJSIP/5550010@carrier,30,U(coovox-billing-answered^{cut}"
    assert trace(written(tmp_path, row(data=data))) is None


def test_it_takes_no_cut_off_id_that_could_be_two_calls(tmp_path: Path) -> None:
    twins = [Sought(f"12345678901{number}", "1.1", "1.1", frozenset()) for number in (1, 2)]
    logs = written(tmp_path, row(data="PJSIP/1@c,30,U(coovox-billing-answered^12345678901"))
    assert find_traces(logs, twins) == {}


@pytest.mark.parametrize(
    ("zone", "day", "start", "birth"),
    [
        ("Europe/Madrid", "2026-11-21", "16:17:16", BIRTH),
        ("Europe/Madrid", "2026-11-21", "15:17:16", BIRTH),
        ("Asia/Kolkata", "2026-11-21", "20:47:16", BIRTH),
        # The hour that comes twice: 2026-10-25 02:30 is 00:30 and 01:30 UTC.
        ("Europe/Madrid", "2026-10-25", "02:30:00", 1792888200),
        ("Europe/Madrid", "2026-10-25", "02:30:00", 1792891800),
    ],
    ids=["local", "usegmtime", "half an hour", "before the clock went back", "after it"],
)
def test_it_knows_the_zone_by_the_birth_of_the_callers_channel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zone: str, day: str, start: str, birth: int
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    logs = written(tmp_path, row(start, "23:00:00", 5, day=day))
    found = find_traces(logs, [Sought(ID, f"pbx-{birth}.10", "", frozenset())])
    assert found == {ID: Trace("cdr", birth * 1000, (birth + 5) * 1000, CHANNEL, "")}


@pytest.mark.parametrize("uniqueid", ["", "x", "pbx-"])
def test_it_believes_the_machines_zone_where_nothing_tells(tmp_path: Path, uniqueid: str) -> None:
    found = find_traces(written(tmp_path, row()), [Sought(ID, uniqueid, "", frozenset())])
    assert found == {ID: TRACE}


def test_it_finds_nothing_where_there_is_no_file(tmp_path: Path) -> None:
    assert find_traces(tmp_path, [SOUGHT]) == {}


@pytest.mark.parametrize(
    "bad",
    [
        b"\n",
        b"\0" * 5000 + b"\n",
        row()[:-40] + b"\n",
        row(day="2026-13-41"),
        row(day="2026-11-21T"),
        row(start="25:00:00"),
        b'"ANSWERED",' * 200_000 + b"\n",
        row().replace(b",2,2,", b",2,99999999999999999999,"),
        row(leg=""),
    ],
)
def test_it_skips_a_bad_line(tmp_path: Path, bad: bytes) -> None:
    assert trace(written(tmp_path, bad)) is None
    assert trace(written(tmp_path, bad + row() + bad)) == TRACE


def test_a_caller_id_with_line_ends_forges_no_row(tmp_path: Path) -> None:
    name = 'x"\n' + row(talk=900).decode() + '"'
    logs = written(tmp_path, row(data="PJSIP/1").replace(b'""Extension 108""', name.replace('"', '""').encode()))
    assert trace(logs) is None


PIECES = st.sampled_from([row(), row(day="0001-01-01"), row(day="9999-12-31"), b'"', b",", b"\n", b"\0", b"\xff"])


@given(data=st.lists(PIECES | st.binary(max_size=30), max_size=20).map(b"".join))
def test_it_reads_any_bytes(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    find_traces(written(tmp_path_factory.mktemp("log"), data), [SOUGHT])


def test_it_reads_the_newest_of_a_huge_file(tmp_path: Path) -> None:
    written(tmp_path, b"")
    with (tmp_path / CDR_FILE).open("wb") as file:
        file.truncate(3_000_000_000)
        file.seek(3_000_000_000)
        file.write(b"\n" + row())
    assert trace(tmp_path) == TRACE
