"""What Asterisk records of calls, in our CEL file and in its CDRs, tells their ends when nobody else did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from coovox_billing.pbx import cdr_file, cel_file
from coovox_billing.pbx.cel_file import CEL_DIRECTORY, CEL_FILE, ROTATED_FILE
from coovox_billing.pbx.check import check
from coovox_billing.pbx.console import reload
from coovox_billing.pbx.install import install, remove
from coovox_billing.pbx.traces import Sought, Trace
from tests.asterisk.pbx import Pbx
from tests.asterisk.sip import phone
from tests.asterisk.trace import Leg
from tests.asterisk.waiting import wait_until

DIALPLAN = """
[from-internal]
exten => _9X.,1,Gosub(coovox-billing-dial,s,1(${EXTEN},PJSIP/${EXTEN:1}@trunk,30,T,Carrier))
 same => n,Hangup()
exten => _10X,1,Dial(PJSIP/${EXTEN},30)
exten => odd,1,Set(odd=%22%2c%22%0a%22ANSWER%22%2c%221.000%22%2c%22PJSIP/forged-1%22%2c%220.2%22%2c%220.1)
 same => n,Set(odd=${URIDECODE(${odd}%22%2c%22%22%2c%22%22%0d%0a)})
 same => n,CELGenUserEvent(Odd${odd},${odd})
 same => n,Hangup()
"""
TRUNK = frozenset({"PJSIP/trunk"})
CEL_SECONDS = 0.2
# Its times are whole seconds, cut off.
CDR_SECONDS = 1.1
SHAPES = {
    "empty": ("", ""),
    "debian": (
        "[general]\napps=dial,park\nevents=APP_START,CHAN_START,CHAN_END,ANSWER,HANGUP\n[manager]\n[radius]\n",
        "[mappings]\n",
    ),
    "switched off": ("[general]\nenable=no\nevents=BRIDGE_ENTER\n\n[manager]\nenabled=no\n", "; none\n"),
    "a site's own": (
        "[general]\nenable = yes\nevents = CHAN_START,BRIDGE_ENTER\ndateformat = %F %T\n",
        "[mappings]\nown.csv => ${eventtype},${eventtime}\n",
    ),
    "everything": ("[general]\nenable=yes\nevents=ALL\n", "[mappings]\nown.csv => ${eventtype},${eventextra}\n"),
    "no section": ("[manager]\nenabled = yes\n", "[other]\n"),
}


class Records:
    """A PBX without a call plane, which lets every call pass, and what is recorded of them."""

    def __init__(self, pbx: Pbx) -> None:
        self.pbx, self.log = pbx, pbx.folder / "log"
        self.file = self.log / CEL_DIRECTORY / CEL_FILE

    def install(self) -> None:
        """As `pbx install --reload` does."""
        install(self.pbx.folder / "etc")
        reload(self.pbx.cli)
        self.pbx.cli("database put coovox_billing policy allow")

    def events(self) -> list[list[str]]:
        """Kind, time, channel and the rest of each line, taken apart without mercy."""
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        return [line.removeprefix('"').removesuffix('"').split('","') for line in lines]

    def kinds(self) -> list[str]:
        return [event[0] for event in self.events()]

    def wait_ended(self, channels: int = 2) -> None:
        """Until the ends of so many channels are in the file."""
        wait_until(lambda: self.kinds().count("HANGUP") >= channels, 10, "the ends of the calls in the CEL file")

    def last_sought(self) -> Sought:
        """The last call that the dialplan left, as it left it."""
        call_id, record = cel_file.left_records(self.log)[-1]
        return self.sought(call_id, record.split("|")[9])

    def sought(self, call_id: str, linkedid: str) -> Sought:
        return Sought(call_id, linkedid, linkedid, TRUNK)

    def leg(self, number: str) -> Leg:
        """What the trunk itself saw."""
        return self.pbx.trunk_calls("trunk", number)[-1]


@pytest.fixture(scope="module")
def records(asterisk_version: int) -> Iterator[Records]:
    with Pbx(asterisk_version, DIALPLAN) as pbx:
        (pbx.folder / "etc" / "cel.conf").write_text("")
        running = Records(pbx)
        running.install()
        yield running


@pytest.fixture(autouse=True)
def _from_the_start(request: pytest.FixtureRequest) -> None:
    """No line of an earlier test is left."""
    if "records" in request.fixturenames:
        running: Records = request.getfixturevalue("records")
        running.pbx.wait_idle()
        for path in (running.file, running.file.with_name(ROTATED_FILE), running.log / cdr_file.CDR_FILE):
            path.unlink(missing_ok=True)


def assert_true(trace: Trace, leg: Leg, tolerance_seconds: float) -> None:
    """The trace tells what the trunk's own messages tell."""
    assert leg.answered_at is not None
    assert leg.ended_at is not None
    assert trace.ended_ms is not None
    assert trace.answered_ms / 1000 == pytest.approx(leg.answered_at, abs=tolerance_seconds)
    assert trace.ended_ms / 1000 == pytest.approx(leg.ended_at, abs=tolerance_seconds)


@pytest.mark.parametrize("shape", SHAPES)
def test_it_keeps_a_cel_file_beside_what_a_site_keeps(asterisk_version: int, shape: str) -> None:
    cel, mapping = SHAPES[shape]
    with Pbx(asterisk_version, DIALPLAN) as pbx:
        etc = pbx.folder / "etc"
        (etc / "cel.conf").write_text(cel)
        (etc / "cel_custom.conf").write_text(mapping)
        pbx.stop()
        pbx.start()
        records = Records(pbx)
        records.install()
        assert [item for item in check(etc, pbx.cli) if not item.ok and "CEL" in item.name + item.message] == []
        phone(pbx, "95550007").wait()
        records.wait_ended()
        sought = records.last_sought()
        trace = cel_file.find_traces(records.log, [sought])[sought.call_id]
        assert_true(trace, records.leg("5550007"), CEL_SECONDS)
        own = {event for event in ("CHAN_START", "BRIDGE_ENTER", "BRIDGE_EXIT", "CHAN_END") if event in cel}
        assert own <= set(records.kinds())
        assert (records.log / CEL_DIRECTORY / "own.csv").exists() == ("own.csv" in mapping)
        remove(etc)
        reload(pbx.cli)
        before = records.file.read_bytes()
        phone(pbx, "104").wait()
        pbx.wait_idle()
        assert records.file.read_bytes() == before
        assert (etc / "cel.conf").read_text() == cel


def test_it_goes_on_after_a_restart(records: Records) -> None:
    records.pbx.stop()
    records.pbx.start()
    phone(records.pbx, "95550007").wait()
    records.wait_ended()
    assert {"ANSWER", "HANGUP", "CooVoxAnswered", "CooVoxLeft"} <= set(records.kinds())


def test_it_finds_answer_and_end(records: Records) -> None:
    phone(records.pbx, "95550010", hang_up_after_ms=2000).wait()
    records.wait_ended()
    sought = records.last_sought()
    trace = cel_file.find_traces(records.log, [sought])[sought.call_id]
    assert_true(trace, records.leg("5550010"), CEL_SECONDS)
    assert trace.channel.startswith("PJSIP/trunk-")
    assert cel_file.left_records(records.log)[0][1].split("|")[8] == trace.uniqueid
    found = cdr_file.find_traces(records.log, [sought])[sought.call_id]
    assert_true(found, records.leg("5550010"), CDR_SECONDS)
    assert found.channel == trace.channel


def test_it_finds_the_end_after_a_blind_transfer(records: Records) -> None:
    phone(records.pbx, "95550011", refer_to="103", refer_after_ms=1000, hang_up_after_ms=500).wait()
    records.wait_ended(channels=3)
    sought = records.last_sought()
    leg = records.leg("5550011")
    assert_true(cel_file.find_traces(records.log, [sought])[sought.call_id], leg, CEL_SECONDS)
    assert_true(cdr_file.find_traces(records.log, [sought])[sought.call_id], leg, CDR_SECONDS + 1)


def test_it_finds_the_leg_of_a_call_whose_stamp_asterisk_did_not_take(records: Records) -> None:
    records.pbx.cli("module unload app_celgenuserevent.so")
    try:
        phone(records.pbx, "95550012", hang_up_after_ms=1000).wait()
        records.wait_ended()
    finally:
        records.pbx.cli("module load app_celgenuserevent.so")
    (left,) = [record for key, record in records.pbx.db_tree("coovox_billing/left").items() if "95550012" in record]
    sought = records.sought("1", left.split("|")[9])
    trace = cel_file.find_traces(records.log, [sought])["1"]
    assert_true(trace, records.leg("5550012"), CEL_SECONDS)


def test_it_knows_the_answer_but_no_end_where_asterisk_was_killed(records: Records) -> None:
    call = phone(records.pbx, "95550013", hang_up_after_ms=60_000)
    call.wait_answered()
    wait_until(lambda: "CooVoxAnswered" in records.kinds(), 5, "the answer in the CEL file")
    (event,) = (event for event in records.events() if event[0] == "CooVoxAnswered")
    records.pbx.kill9()
    call.drop()
    sought = records.sought(event[6].partition("|")[0].rpartition('"')[2], event[4])
    trace = cel_file.find_traces(records.log, [sought])[sought.call_id]
    answered_at = records.leg("5550013").answered_at
    assert trace.answered_ms / 1000 == pytest.approx(answered_at, abs=CEL_SECONDS)
    assert trace.ended_ms is None
    assert cdr_file.find_traces(records.log, [sought]) == {}
    records.pbx.start()


def test_it_loses_no_line_while_the_file_is_rotated(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cel_file, "ROTATE_BYTES", 0)
    calls, rotated, kept = 30, records.file.with_name(ROTATED_FILE), b""
    many = phone(records.pbx, "95550007", at_once=calls)
    rotations = 0

    def all_ended() -> bool:
        """One more rotation, after what the last one put aside was taken."""
        nonlocal kept, rotations
        aside = rotated.read_bytes() if rotated.exists() else b""
        if cel_file.rotate(records.log):
            kept, rotations = kept + aside, rotations + 1
        return (kept + rotated.read_bytes()).count(b'"HANGUP",') == 2 * calls if rotated.exists() else False

    wait_until(all_ended, 20, "the ends of all calls")
    many.wait()
    kept += rotated.read_bytes()
    assert rotations > calls
    kinds = Counter(line.split(b'"')[1].decode() for line in kept.splitlines())
    assert {kind: kinds[kind] / calls for kind in ("ANSWER", "HANGUP", "CooVoxAnswered", "CooVoxLeft")} == {
        "ANSWER": 2,
        "HANGUP": 2,
        "CooVoxAnswered": 1,
        "CooVoxLeft": 1,
    }


def test_no_line_can_be_forged(records: Records) -> None:
    phone(records.pbx, "odd").wait()
    records.pbx.wait_idle()
    wait_until(lambda: "HANGUP" in records.kinds(), 5, "the end of the call")
    assert [kind for kind in records.kinds() if not kind.startswith("Odd")] == ["HANGUP"]
    assert all(line.startswith('"') and line.endswith('"') for line in records.file.read_text().splitlines())
    assert cel_file.find_traces(records.log, [Sought("1", "0.1", "0.1", frozenset({"PJSIP/forged"}))]) == {}


def test_it_writes_less_than_a_thousand_bytes_for_a_call(records: Records) -> None:
    for _ in range(3):
        phone(records.pbx, "95550007").wait()
    records.wait_ended(channels=6)
    assert 3 * 500 < records.file.stat().st_size < 3 * 1000
