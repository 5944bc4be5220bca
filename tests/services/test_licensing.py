"""Trial and license: what people try with clocks, copies and files, and what an honest owner keeps."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coovox_billing import RELEASED_MS
from coovox_billing.core import license as licenses
from coovox_billing.core.trial import CONFIRMED_MS, LICENSE_FILE, TRIAL_FILE, TRIAL_MS
from coovox_billing.errors import BadInput, Refused
from coovox_billing.services import activation, running, site
from coovox_billing.services.accounts import Person
from coovox_billing.services.licensing import (
    FIRST_RELEASED_MS,
    Build,
    Device,
    Licensing,
    Standing,
)
from coovox_billing.store.database import FILE_NAME, Database, open_database
from tests.cast import look_up
from tests.licenses import ROOT_KEY, YEAR_MS, Drawer, a_certificate, a_device, a_license

DAY_MS, HOUR_MS = 86_400_000, 3_600_000
START_MS = RELEASED_MS + 40 * DAY_MS
BUILD = Build("1.0", RELEASED_MS, ROOT_KEY)


class Box:
    """One device with a site on it, whose wall clock is set by hand. It forgets nothing but what is taken from it."""

    def __init__(self, folder: Path, number: int = 1, now_ms: int = START_MS) -> None:
        self.folder, self.now_ms = folder / f"box-{number}", now_ms
        self.device = a_device(number)
        self.database = self._boot()

    def _boot(self) -> Database:
        database = open_database(self.folder)
        database.write(lambda connection: site.prepare(connection, "UTC"))
        database.write(lambda connection: running.begin(connection, self.now_ms))
        return database

    @property
    def drawer(self) -> Drawer:
        assert isinstance(self.device.keep, Drawer)
        return self.device.keep

    @property
    def licensing(self) -> Licensing:
        """As a process that was started just now."""
        return Licensing(self.database, self.folder, self.device, BUILD, lambda: self.now_ms)

    @property
    def owner(self) -> Person:
        return Person("owner", "127.0.0.1", self.now_ms)

    @property
    def standing(self) -> Standing:
        return self.licensing.standing()

    @property
    def faults(self) -> str:
        return "; ".join(self.standing.faults)

    def activate(self) -> "Box":
        self.licensing.activate(self.owner)
        return self

    def deactivate(self) -> "Box":
        self.database.write(lambda connection: activation.switch(connection, False, self.owner))
        return self

    def runs(self, ms: int) -> "Box":
        """Hour by hour: the call plane counts, the pages take note."""
        for _ in range(ms // HOUR_MS):
            self.now_ms += HOUR_MS
            self.database.write(lambda connection: running.count(connection, HOUR_MS, self.now_ms))
            self.licensing.keep_up()
        return self

    def upload(self, data: bytes) -> None:
        self.licensing.upload(data, self.owner)

    def loses(self, *, file: bool = False, drawer: bool = False, row: bool = False) -> "Box":
        """What an owner, or bad luck, may delete of the trial."""
        if file:
            (self.folder / TRIAL_FILE).unlink()
        if drawer:
            self.drawer.records.clear()
        if row:
            self.database.write(lambda connection: connection.execute("DELETE FROM site WHERE name = 'trial'"))
        return self

    def takes_over(self, other: "Box") -> "Box":
        """The whole data directory of another box is copied to this one."""
        self.database.close()
        shutil.rmtree(self.folder)
        shutil.copytree(other.folder, self.folder)
        self.database = self._boot()
        return self


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path)
    yield made
    made.database.close()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path, 2)
    yield made
    made.database.close()


# the trial


def test_it_begins_with_the_first_activation_and_lasts_thirty_days(box: Box) -> None:
    assert (box.standing.trial, box.standing.is_active, box.faults) == (None, False, "")
    trial = box.activate().standing.trial
    assert trial is not None
    assert (trial.first_ms, trial.over_ms, box.standing.is_active) == (START_MS, START_MS + TRIAL_MS, True)
    box.now_ms = START_MS + TRIAL_MS - 1
    assert not box.standing.is_barred
    box.now_ms += 1
    assert box.standing.is_barred


def test_a_switch_neither_stops_nor_restarts_it(box: Box) -> None:
    box.activate().runs(5 * DAY_MS).deactivate().runs(5 * DAY_MS).activate()
    trial = box.standing.trial
    assert trial is not None
    assert trial.first_ms == START_MS


def test_once_it_is_over_billing_goes_on_but_is_not_activated_again(box: Box) -> None:
    box.activate()
    box.now_ms += TRIAL_MS
    assert (box.standing.is_barred, box.standing.is_active) == (True, True)
    box.deactivate()
    with pytest.raises(Refused, match="the trial is over: upload a license"):
        box.activate()
    assert not box.standing.is_active


@pytest.mark.parametrize("kept", ["file", "drawer", "row"])
def test_any_copy_of_the_record_keeps_it(box: Box, kept: str) -> None:
    box.activate().runs(3 * HOUR_MS)
    _forget_activations(box)
    before = box.standing.trial
    box.loses(**{place: True for place in ("file", "drawer", "row") if place != kept})
    box.licensing.keep_up()
    assert box.standing.trial == before
    box.loses(**{kept: True})
    assert box.standing.trial == before, "the others were given back"


def test_the_log_of_changes_keeps_its_begin_where_all_copies_are_lost(box: Box) -> None:
    box.activate().runs(3 * DAY_MS).loses(file=True, drawer=True, row=True).deactivate().activate()
    trial = box.standing.trial
    assert trial is not None
    assert trial.first_ms == START_MS


def test_a_copied_database_brings_its_trial_along(box: Box, other: Box) -> None:
    box.activate().runs(20 * DAY_MS)
    other.now_ms = box.now_ms
    other.takes_over(box).licensing.keep_up()
    trial = other.standing.trial
    assert trial is not None
    assert (trial.first_ms, other.faults) == (START_MS, "")


def test_an_old_backup_takes_no_day_back(box: Box, tmp_path: Path) -> None:
    box.activate()
    shutil.copytree(box.folder, tmp_path / "backup")
    box.runs(2 * DAY_MS)
    known = box.standing.trial
    box.database.close()
    shutil.rmtree(box.folder)
    shutil.copytree(tmp_path / "backup", box.folder)
    box.database = open_database(box.folder)
    box.licensing.keep_up()
    assert box.standing.trial == known


def test_a_record_of_another_device_makes_nobody_younger(box: Box, other: Box) -> None:
    other.now_ms += 10 * DAY_MS
    other.activate()
    box.activate()
    (box.folder / TRIAL_FILE).write_bytes((other.folder / TRIAL_FILE).read_bytes())
    box.drawer.records[TRIAL_FILE] = (other.folder / TRIAL_FILE).read_bytes()
    box.licensing.keep_up()
    trial = box.standing.trial
    assert trial is not None
    assert trial.first_ms == START_MS


def test_a_record_that_was_edited_counts_for_nothing(box: Box) -> None:
    box.activate()
    _edit(box, START_MS, START_MS + 9 * DAY_MS)
    trial = box.standing.trial
    assert trial is not None
    assert (trial.first_ms, box.faults) == (START_MS, "the trial's record was changed by hand")
    _forget_activations(box)
    assert box.standing.is_barred, "nothing else tells when it began"


def test_a_record_that_cannot_be_read_is_told_and_replaced(box: Box) -> None:
    box.activate()
    (box.folder / TRIAL_FILE).write_bytes(b"\xff\0garbage")
    assert box.faults == "the trial's record cannot be read"
    box.licensing.keep_up()
    assert box.faults == ""


def test_a_clock_that_is_set_back_is_told_and_wins_nothing(box: Box) -> None:
    box.activate().runs(20 * DAY_MS)
    box.now_ms -= 19 * DAY_MS
    assert "the clock of this device is wrong" in box.faults
    assert not box.runs(10 * DAY_MS - HOUR_MS).standing.is_barred
    assert box.runs(HOUR_MS).standing.is_barred


def test_a_clock_that_is_ahead_for_a_day_takes_nothing(box: Box) -> None:
    box.activate().runs(2 * DAY_MS)
    box.now_ms += YEAR_MS
    assert box.runs(DAY_MS).standing.is_barred
    box.now_ms -= YEAR_MS
    assert (box.standing.is_barred, box.faults) == (False, "")
    assert DAY_MS < CONFIRMED_MS


def test_a_box_that_was_activated_in_1970_is_dated_when_its_clock_is_right(tmp_path: Path) -> None:
    box = Box(tmp_path, 3, now_ms=DAY_MS)
    trial = box.activate().standing.trial
    assert trial is not None
    assert (trial.is_dated, "clock" in box.faults) == (False, True)
    box.now_ms = START_MS
    box.runs(2 * HOUR_MS)
    trial = box.standing.trial
    assert trial is not None
    assert (trial.is_dated, trial.first_ms, box.faults) == (True, START_MS, "")
    box.database.close()


def test_a_site_that_was_active_before_there_were_trials_begins_one(box: Box) -> None:
    box.database.write(
        lambda connection: connection.execute("UPDATE settings SET value = 'on' WHERE name = 'activation'")
    )
    box.licensing.keep_up()
    trial = box.standing.trial
    assert trial is not None
    assert trial.first_ms == START_MS


def test_a_broken_store_costs_its_copy_alone(box: Box) -> None:
    box.drawer.is_broken = True
    box.activate().runs(2 * HOUR_MS)
    assert box.standing.trial is not None
    box.upload(a_license(box.licensing.source()))
    assert box.standing.license is not None
    box.drawer.is_broken = False
    box.licensing.keep_up()
    assert set(box.drawer.records) == {LICENSE_FILE, TRIAL_FILE}


def test_it_writes_nothing_where_nothing_changed(box: Box) -> None:
    box.activate()
    before = (box.folder / TRIAL_FILE).stat().st_mtime_ns
    box.licensing.keep_up()
    assert (box.folder / TRIAL_FILE).stat().st_mtime_ns == before


@pytest.mark.parametrize("seals", ["{}", '{"x": "\\ud800"}', '{"x": 7}', '{"x": null}'])
def test_a_record_without_its_seals_makes_nobody_younger(box: Box, seals: str) -> None:
    """Whatever somebody writes there, the pages go on; the log of changes and the whole copies count."""
    box.activate()
    text = (box.folder / TRIAL_FILE).read_text().partition('"seals"')[0].replace(str(START_MS), str(START_MS + DAY_MS))
    for _read, write in _places(box)[:2]:
        write(f'{text}"seals": {seals}}}')
    trial = box.standing.trial
    assert trial is not None
    assert trial.first_ms == START_MS


def test_a_seal_that_is_no_seal_is_a_broken_one(box: Box) -> None:
    text = (box.activate().folder / TRIAL_FILE).read_text()
    fields = json.loads(text)
    fields["seals"] = dict.fromkeys(fields["seals"], "�")
    (box.folder / TRIAL_FILE).write_text(json.dumps(fields))
    assert box.faults == "the trial's record was changed by hand"


def test_what_billing_ran_is_counted_by_who_answers_calls(box: Box) -> None:
    """Stopped pages stop no trial, and neither does a plug that is pulled every hour."""
    box.activate()
    for _ in range(30 * 24):
        box.database.write(lambda connection: running.begin(connection, box.now_ms))
        box.database.write(lambda connection: running.count(connection, HOUR_MS, box.now_ms))
    assert box.standing.is_barred


def test_a_full_disk_costs_a_copy_and_is_told_where_nothing_is_stored(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("coovox_billing.services.licensing.replace_small", full)
    data = a_license(box.activate().licensing.source())
    box.upload(data)
    assert box.standing.license is not None
    box.drawer.records.clear()
    box.drawer.is_broken = True
    with pytest.raises(Refused, match="could not be stored"):
        box.upload(data)


# the license


def test_a_license_makes_it_permanent(box: Box) -> None:
    box.activate()
    box.now_ms += YEAR_MS
    box.upload(a_license(box.licensing.source()))
    assert (box.standing.is_barred, box.faults) == (False, "")
    assert box.standing.license is not None
    assert box.standing.license.number == "AD-0001"
    box.deactivate().activate()
    box.now_ms += 50 * YEAR_MS
    assert not box.standing.is_barred
    assert look_up(box.database.path, "SELECT actor, what, after FROM changes WHERE what = 'license'") == [
        ("owner", "license", "AD-0001")
    ]


@pytest.mark.parametrize("kept", ["file", "drawer"])
def test_either_copy_of_the_license_keeps_it(box: Box, kept: str) -> None:
    box.upload(a_license(box.licensing.source()))
    if kept == "file":
        box.drawer.records.clear()
    else:
        (box.folder / LICENSE_FILE).unlink()
    box.licensing.keep_up()
    assert box.standing.license is not None
    assert (box.folder / LICENSE_FILE).read_bytes() == box.drawer.records[LICENSE_FILE]


def test_the_source_tells_the_device_and_no_identifier(box: Box) -> None:
    text = box.activate().licensing.source()
    source = licenses.parse_source(text)
    assert (source.board, source.first_activation_ms, len(source.identifiers)) == ("CooVox U50", START_MS, 3)
    assert not any(identifier.value in text for identifier in box.device.identifiers)


def test_a_changed_network_card_does_not_kill_it(box: Box, other: Box) -> None:
    box.upload(a_license(box.licensing.source()))
    mac, *rest = box.device.identifiers
    box.device = replace(box.device, identifiers=(other.device.identifiers[0], *rest))
    assert box.standing.license is not None
    box.device = replace(box.device, identifiers=(mac, *other.device.identifiers[1:]))
    assert box.standing.license is None
    assert "1 of the 3 hardware identifiers that it names match" in box.faults


def _foreign(box: Box, other: Box) -> bytes:
    return a_license(other.licensing.source())


def _other_product(box: Box, other: Box) -> bytes:
    return a_license(box.licensing.source(), product="coovox-paging")


def _flipped(box: Box, other: Box) -> bytes:
    return a_license(box.licensing.source()).replace(b"Hotel Sol", b"Hotel Sun")


def _expired(box: Box, other: Box) -> bytes:
    return a_license(box.licensing.source(), certificate=a_certificate(until_ms=a_certificate().from_ms + DAY_MS))


ATTEMPTS = {
    "another device's": (_foreign, "is for another device"),
    "another product's": (_other_product, "is for coovox-paging"),
    "changed": (_flipped, "damaged or changed"),
    "of an expired distributor": (_expired, "may issue licenses from"),
    "the source file": (lambda box, other: box.licensing.source().encode(), "source file"),
    "nothing": (lambda box, other: b"", "is empty"),
    "a large file": (lambda box, other: b"x" * 1_000_000, "larger than"),
    "an archive": (lambda box, other: b"PK\x03\x04" + b"\0" * 200, "packed"),
    "binary": (lambda box, other: bytes(range(256)), "not plain text"),
}


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_it_refuses_with_the_reason_and_keeps_what_was_there(box: Box, other: Box, attempt: str) -> None:
    make, why = ATTEMPTS[attempt]
    box.upload(a_license(box.licensing.source()))
    with pytest.raises(BadInput, match=why):
        box.upload(make(box, other))
    assert box.standing.license is not None
    assert box.faults == ""


def test_a_license_in_a_copied_data_directory_is_no_license(box: Box, other: Box) -> None:
    box.activate().upload(a_license(box.licensing.source()))
    other.now_ms = box.now_ms + TRIAL_MS
    other.takes_over(box).licensing.keep_up()
    assert (other.standing.license, other.standing.is_barred) == (None, True)
    assert "is for another device (CooVox U50): 0 of the 3" in other.faults
    assert LICENSE_FILE not in other.drawer.records


def test_a_device_that_cannot_be_told_from_others_gets_no_source(box: Box) -> None:
    box.device = Device("Some box", box.device.identifiers[:1], box.drawer, "this machine tells too little of itself")
    assert box.faults == "this machine tells too little of itself"
    with pytest.raises(Refused, match="too little of itself"):
        box.licensing.source()


def test_a_board_whose_name_cannot_stand_in_the_file_is_told(box: Box) -> None:
    box.device = replace(box.device, board="Board\x00 7")
    with pytest.raises(BadInput, match="cannot"):
        box.licensing.source()


def test_a_build_without_the_vendor_s_key_says_so(box: Box) -> None:
    keyless = Licensing(box.database, box.folder, box.device, replace(BUILD, root_key=b""), lambda: box.now_ms)
    with pytest.raises(BadInput, match="carries no vendor key"):
        keyless.upload(a_license(box.licensing.source()), box.owner)


def _edit(box: Box, before_ms: int, after_ms: int) -> None:
    """Somebody writes a later begin into every copy."""

    def edited(text: str) -> str:
        assert str(before_ms) in text
        return text.replace(str(before_ms), str(after_ms))

    for read, write in _places(box):
        write(edited(read()))


def _places(box: Box) -> list[tuple[Any, Any]]:
    file, records = box.folder / TRIAL_FILE, box.drawer.records
    sql = "UPDATE site SET value = ? WHERE name = 'trial'"
    return [
        (file.read_text, file.write_text),
        (records[TRIAL_FILE].decode, lambda text: records.update({TRIAL_FILE: text.encode()})),
        (
            lambda: str(look_up(box.folder / FILE_NAME, "SELECT value FROM site WHERE name = 'trial'")[0][0]),
            lambda text: box.database.write(lambda connection: connection.execute(sql, (text,))),
        ),
    ]


def _forget_activations(box: Box) -> None:
    """As somebody does who knows the database."""
    names = [row[0] for row in look_up(box.database.path, "SELECT name FROM sqlite_master WHERE type = 'trigger'")]

    def forget(connection: Any) -> None:
        for name in names:
            if name.startswith("changes"):
                connection.execute(f"DROP TRIGGER {name}")
        connection.execute("DELETE FROM changes")

    box.database.write(forget)
    assert FIRST_RELEASED_MS < START_MS
