"""A backup is checked wholly before it replaces anything; what is there now is kept; no trial begins anew."""

from __future__ import annotations

import io
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from coovox_billing.backup import archive, restoring
from coovox_billing.backup.restoring import Plan
from coovox_billing.core.money import parse_amount
from coovox_billing.core.trial import LICENSE_FILE, TRIAL_FILE, TRIAL_MS
from coovox_billing.errors import BadInput, BillingError, Refused, SetupError
from coovox_billing.services import payments
from coovox_billing.store import reads, schema, snapshot
from coovox_billing.store.database import FILE_NAME, connect, upgrade
from tests.bad_days import spoil_pages
from tests.cast import MANAGER, audited, look_up, move_in
from tests.licenses import Drawer, a_device, a_license
from tests.services.test_licensing import DAY_MS, START_MS, Box
from tests.store.fixtures import fixture, schemas


def backed_up(directory: Path, now_ms: int, number: int = 1) -> bytes:
    out = io.BytesIO()
    archive.write(directory, a_device(number), now_ms, out)
    return out.getvalue()


def brought_back(directory: Path, data: bytes, number: int = 1) -> Plan:
    return restoring.restore(directory, io.BytesIO(data), a_device(number), MANAGER)


def rehearsed(directory: Path, data: bytes) -> Plan:
    return restoring.rehearse(directory, io.BytesIO(data), a_device())


def everything(directory: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()}


def balance(directory: Path, extension: str = "100") -> int:
    return int(
        look_up(directory / FILE_NAME, "SELECT balance_micros FROM accounts WHERE extension = ?", [extension])[0][0]
    )


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site whose database is closed, with 10.00 on reception."""
    move_in(tmp_path / "site").close()
    return tmp_path / "site"


def recharge(site: Path, amount: str) -> None:
    with move_on(site) as connection:
        payments.recharge(connection, "100", parse_amount(amount), MANAGER)


class move_on:  # noqa: N801
    """A transaction on the site, as a command makes it."""

    def __init__(self, site: Path) -> None:
        self._connection = connect(site / FILE_NAME)

    def __enter__(self) -> sqlite3.Connection:
        self._connection.execute("BEGIN IMMEDIATE")
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.execute("COMMIT")
        self._connection.close()


def test_it_tells_what_would_change_and_changes_nothing(site: Path) -> None:
    data = backed_up(site, MANAGER.now_ms - 1)
    recharge(site, "5")
    before = everything(site)
    plan = rehearsed(site, data)
    assert everything(site) == before
    assert (plan.then.balance_micros, plan.present and plan.present.balance_micros) == (20_000_000, 25_000_000)
    assert plan.lost is not None
    assert (plan.lost.payments, plan.lost.payments_micros) == (3, 25_000_000)
    assert [(one.extension, one.now_micros, one.then_micros) for one in plan.differences] == [
        ("100", 15_000_000, 10_000_000)
    ]
    known = schema.known_version()
    assert (plan.schema_now, plan.told.schema, plan.is_same_device) == (known, known, True)


def test_it_brings_a_backup_back_and_keeps_what_was_there(site: Path) -> None:
    data = backed_up(site, MANAGER.now_ms)
    recharge(site, "5")
    plan = brought_back(site, data)
    assert balance(site) == 10_000_000
    assert audited(site / FILE_NAME) == []
    assert plan.aside is not None
    assert look_up(plan.aside, "SELECT balance_micros FROM accounts WHERE extension = '100'") == [(15_000_000,)]
    assert brought_back(site, plan.aside.read_bytes()).aside is not None
    assert balance(site) == 15_000_000


def test_it_brings_the_months_of_calls_that_lie_in_files(site: Path, tmp_path: Path) -> None:
    (site / "archive").mkdir()
    months = {f"calls-2025-0{month}.csv.gz": bytes([month]) * 100_000 for month in (1, 2)}
    for name, content in months.items():
        (site / "archive" / name).write_bytes(content)
    (site / "archive" / "notes.txt").write_text("not ours")
    data = backed_up(site, MANAGER.now_ms)
    brought_back(tmp_path / "new", data)
    assert {path.name: path.read_bytes() for path in (tmp_path / "new" / "archive").iterdir()} == months
    (site / "archive" / "calls-2025-01.csv.gz").write_bytes(b"another")
    brought_back(site, data)
    kept = {path.name: path.read_bytes() for path in (site / "archive").iterdir()}
    assert months.items() <= kept.items()
    assert b"another" in kept.values()


def test_it_brings_a_backup_to_a_place_that_has_nothing(site: Path, tmp_path: Path) -> None:
    data = backed_up(site, MANAGER.now_ms)
    plan = brought_back(tmp_path / "new", data)
    assert (plan.present, plan.aside) == (None, None)
    assert balance(tmp_path / "new") == 10_000_000
    assert (tmp_path / "new" / FILE_NAME).stat().st_mode & 0o077 == 0


def test_it_writes_into_the_log_who_brought_what_back(site: Path) -> None:
    brought_back(site, backed_up(site, MANAGER.now_ms))
    (row,) = look_up(site / FILE_NAME, "SELECT actor, what FROM changes ORDER BY id DESC LIMIT 1")
    assert row == ("bill-ann", "restore")


def test_it_has_asterisk_told_everything_anew(site: Path) -> None:
    """A mirror of the same name and a higher revision would get nothing until the numbers have caught up."""
    data = backed_up(site, MANAGER.now_ms)
    before = look_up(site / FILE_NAME, "SELECT value FROM site WHERE name = 'database_id'")
    brought_back(site, data)
    with closing(connect(site / FILE_NAME)) as connection:
        assert reads.database_id(connection) not in ("", before[0][0])


@pytest.mark.parametrize("number", schemas())
def test_it_brings_back_a_backup_of_every_schema(number: int, site: Path, tmp_path: Path) -> None:
    then = tmp_path / "then"
    then.mkdir()
    expected = look_up(fixture(number, then), "SELECT extension, balance_micros FROM accounts ORDER BY id")
    plan = brought_back(site, backed_up(then, MANAGER.now_ms))
    assert plan.told.schema == number
    assert look_up(site / FILE_NAME, "SELECT extension, balance_micros FROM accounts ORDER BY id") == expected
    assert look_up(site / FILE_NAME, "PRAGMA user_version") == [(schema.known_version(),)]


def test_it_goes_back_to_before_an_upgrade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a newer database in place, which this program refuses to open."""
    path = fixture(4, tmp_path)
    done = upgrade(tmp_path)
    assert done is not None
    with closing(connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    brought_back(tmp_path, done.copy.read_bytes())
    assert look_up(path, "PRAGMA user_version") == [(schema.known_version(),)]
    assert audited(path) == []


def _newer(site: Path) -> bytes:
    with closing(connect(site / FILE_NAME)) as connection:
        connection.execute("PRAGMA user_version = 99")
    return backed_up(site, MANAGER.now_ms)


def _unsound(site: Path) -> bytes:
    with closing(connect(site / FILE_NAME)) as connection:
        connection.execute("UPDATE accounts SET balance_micros = balance_micros + 100 WHERE extension = '100'")
    return backed_up(site, MANAGER.now_ms)


def _broken(site: Path) -> bytes:
    copy = site.parent / "copy"
    copy.mkdir()
    snapshot.copy_of_live(site / FILE_NAME, copy / "x" / FILE_NAME)
    spoil_pages(copy / "x")
    return (copy / "x" / FILE_NAME).read_bytes()


def _foreign(site: Path) -> bytes:
    with closing(sqlite3.connect(site / "bookmarks")) as connection:
        connection.execute("CREATE TABLE bookmarks (id INTEGER)")
    return (site / "bookmarks").read_bytes()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_newer, rf"newer version of CooVox Billing \(schema 99, this one knows {schema.known_version()}\)"),
        (_unsound, "books of the backup are not sound: extension 100"),
        (_broken, r"cannot be used|is damaged"),
        (_foreign, "no backup"),
        (lambda _: b"a letter", "no backup"),
    ],
)
def test_it_refuses_what_it_could_not_use(site: Path, tmp_path: Path, make: object, words: str) -> None:
    other = tmp_path / "other"
    shutil.copytree(site, other)
    data = make(other)  # type: ignore[operator]
    before = everything(site)
    for bring in (rehearsed, brought_back):
        with pytest.raises(BillingError, match=words):
            bring(site, data)
        assert everything(site) | {str(site / "opening.lock"): b""} == before | {str(site / "opening.lock"): b""}


def _with_a_trigger(site: Path) -> bytes:
    """One more than ours, which the books of that moment do not show."""
    with closing(connect(site / FILE_NAME)) as connection:
        connection.execute(
            "CREATE TRIGGER a_present AFTER INSERT ON ledger BEGIN UPDATE accounts SET credit_micros = 99000000; END"
        )
    return backed_up(site, MANAGER.now_ms)


def test_it_refuses_a_backup_whose_database_does_more_than_ours(site: Path, tmp_path: Path) -> None:
    other = shutil.copytree(site, tmp_path / "other")
    with pytest.raises(Refused, match="trigger a_present is not ours"):
        brought_back(site, _with_a_trigger(other))


def test_a_rehearsal_does_not_fill_the_disk_of_the_calls(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = backed_up(site, MANAGER.now_ms)
    monkeypatch.setattr(snapshot, "free_bytes_of", lambda _: 100_000)
    monkeypatch.setattr(archive, "_write_new", lambda *_: pytest.fail("it writes"))
    for kind in (data, (site / FILE_NAME).read_bytes()):
        with pytest.raises(Refused, match=r"no room to unpack the backup: .* 0\.1 MB are free"):
            rehearsed(site, kind)


def test_it_refuses_while_billing_runs(site: Path) -> None:
    data = backed_up(site, MANAGER.now_ms)
    recharge(site, "5")
    with closing(connect(site / FILE_NAME)) as plane:
        plane.execute("SELECT count(*) FROM calls").fetchone()
        with pytest.raises(SetupError, match=r"in use by .*stop billing, then repeat: systemctl stop"):
            brought_back(site, data)
        assert plane.execute("SELECT balance_micros FROM accounts WHERE extension = '100'").fetchone()[0] == 15_000_000
    brought_back(site, data)
    assert balance(site) == 10_000_000


def test_it_refuses_while_billing_runs_on_a_database_that_was_deleted(site: Path) -> None:
    data = backed_up(site, MANAGER.now_ms)
    with closing(connect(site / FILE_NAME)) as plane:
        plane.execute("SELECT count(*) FROM calls").fetchone()
        (site / FILE_NAME).unlink()
        with pytest.raises(SetupError, match=rf"in use by .*process {os.getpid()}"):
            brought_back(site, data)
    brought_back(site, data)
    assert balance(site) == 10_000_000


def test_it_replaces_a_database_that_cannot_be_read_and_keeps_its_bytes(site: Path) -> None:
    data = backed_up(site, MANAGER.now_ms)
    spoil_pages(site)
    spoiled = (site / FILE_NAME).read_bytes()
    plan = brought_back(site, data)
    assert plan.present is None
    assert plan.aside is not None
    assert plan.aside.read_bytes() == spoiled
    assert balance(site) == 10_000_000


def test_it_keeps_the_last_three_that_it_replaced(site: Path) -> None:
    data = backed_up(site, MANAGER.now_ms)
    for number in range(5):
        person = MANAGER.__class__("ann", "terminal", MANAGER.now_ms + number * 1000)
        restoring.restore(site, io.BytesIO(data), a_device(), person)
    assert len(list((site / "backups").glob("before-restore-*"))) == 3


def test_it_clears_away_what_a_killed_restore_had_not_finished(site: Path) -> None:
    data = backed_up(site, MANAGER.now_ms)
    (site / "backups").mkdir(exist_ok=True)
    for name in ("before-restore-20260301T000000Z.sqlite3.part", "mine.part"):
        (site / "backups" / name).touch()
    brought_back(site, data)
    left = [path.name for path in (site / "backups").glob("*.part")]
    assert left == ["mine.part"]


def test_it_refuses_without_room_to_keep_what_is_there(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = backed_up(site, MANAGER.now_ms)
    recharge(site, "5")
    monkeypatch.setattr(restoring.snapshot, "bytes_of", lambda _: 1 << 60)
    with pytest.raises(Refused, match="no room to keep the present database"):
        brought_back(site, data)
    assert balance(site) == 15_000_000


def test_it_forgets_a_first_password_that_no_longer_lets_in(site: Path) -> None:
    (site / "first-password").write_text("of the new box")
    brought_back(site, backed_up(site, MANAGER.now_ms))
    assert not (site / "first-password").exists()


# The trial: what people try with backups.


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path)
    yield made
    made.database.close()


def restored(box: Box, data: bytes, number: int = 1) -> Box:
    """The same box with the backup brought back, as its owner does it."""
    box.database.close()
    restoring.restore(box.folder, io.BytesIO(data), box.device, box.owner)
    box.database = box._boot()
    return box


@pytest.mark.parametrize("is_kept", [True, False])
def test_it_never_begins_a_trial_anew(box: Box, is_kept: bool) -> None:
    """The backup was made before the first activation; the firmware has no persistent store, or one that was lost."""
    before_trial = backed_up(box.folder, box.now_ms)
    first_ms = box.activate().standing.trial.first_ms  # type: ignore[union-attr]
    box.runs(20 * DAY_MS)
    if not is_kept:
        box.drawer.records.clear()
    restored(box, before_trial)
    trial = box.standing.trial
    assert trial is not None
    assert (trial.first_ms, trial.least_ms) == (first_ms, box.now_ms)
    box.activate().runs(10 * DAY_MS)
    assert box.standing.is_over


def test_it_never_makes_a_trial_longer(box: Box) -> None:
    """Backups of each day of the trial, brought back again and again, on a box whose clock is set back too."""
    box.activate()
    young = backed_up(box.folder, box.now_ms)
    box.runs(29 * DAY_MS)
    for _ in range(3):
        box.drawer.records.clear()
        restored(box, young).runs(DAY_MS // 4)
    assert not box.standing.is_over
    restored(box, young).runs(DAY_MS)
    assert box.standing.is_over
    box.now_ms = START_MS
    restored(box, young)
    assert box.standing.is_over


def test_it_takes_the_trial_of_the_backup_where_this_device_knows_none(box: Box) -> None:
    """All was lost, and the same box begins with its last backup."""
    first_ms = box.activate().standing.trial.first_ms  # type: ignore[union-attr]
    box.runs(12 * DAY_MS)
    data = backed_up(box.folder, box.now_ms)
    box.drawer.records.clear()
    box.database.close()
    shutil.rmtree(box.folder)
    box.database = box._boot()
    restored(box, data)
    assert box.standing.trial is not None
    assert box.standing.trial.first_ms == first_ms


def test_it_keeps_the_stricter_of_two_trials_of_this_device(box: Box) -> None:
    """The data was lost, billing was activated anew, and then the backup turns up."""
    first_ms = box.activate().standing.trial.first_ms  # type: ignore[union-attr]
    data = backed_up(box.folder, box.now_ms)
    box.drawer.records.clear()
    box.database.close()
    shutil.rmtree(box.folder)
    box.now_ms += 9 * DAY_MS
    box.database = box._boot()
    box.activate()
    restored(box, data)
    assert box.standing.trial is not None
    assert box.standing.trial.first_ms == first_ms


def test_it_moves_to_a_new_box_which_needs_a_license_of_its_own(box: Box, tmp_path: Path) -> None:
    box.activate()
    box.upload(a_license(box.licensing.source()))
    data = backed_up(box.folder, box.now_ms)
    new = Box(tmp_path, number=2, now_ms=box.now_ms)
    restored(new, data)
    standing = new.standing
    assert standing.license is None
    assert "device" in new.faults
    assert standing.trial is not None, "it goes on from the first activation of the old box"
    assert standing.trial.over_ms == START_MS + TRIAL_MS
    new.upload(a_license(new.licensing.source()))
    assert new.standing.license is not None
    restored(new, data)
    assert new.standing.license is not None, "its own license stays"
    new.database.close()


def test_it_counts_the_trial_of_the_new_box_where_that_has_one(box: Box, tmp_path: Path) -> None:
    box.activate().runs(5 * DAY_MS)
    data = backed_up(box.folder, box.now_ms)
    new = Box(tmp_path, number=2, now_ms=START_MS - 3 * DAY_MS).activate()
    begun_ms = new.now_ms
    new.runs(9 * DAY_MS)
    restored(new, data)
    assert new.standing.trial is not None
    assert new.standing.trial.first_ms == begun_ms
    new.database.close()


def test_it_keeps_the_license_of_this_device(box: Box) -> None:
    box.activate()
    data = backed_up(box.folder, box.now_ms)
    box.upload(a_license(box.licensing.source()))
    assert restored(box, data).standing.license is not None
    assert (box.folder / LICENSE_FILE).exists()
    assert isinstance(box.device.keep, Drawer)
    assert TRIAL_FILE in box.device.keep.records
    with pytest.raises(BadInput):
        rehearsed(box.folder, data[:-20])
