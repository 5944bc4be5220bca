"""When a backup is due or missed, which are kept, and where they may go."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from coovox_billing.core import backup_plan
from coovox_billing.core.backup_plan import Address, Keep, Kind, Record, is_due, is_overdue, parse_schedule, superfluous
from coovox_billing.core.clock import milliseconds
from coovox_billing.errors import BadInput

MADRID = ZoneInfo("Europe/Madrid")
NIGHTLY, MONDAYS = parse_schedule("02:30", "1234567"), parse_schedule("02:30", "1")
SITE = "0badcafe"


def at(text: str) -> int:
    """A moment in Madrid."""
    return milliseconds(datetime.fromisoformat(text).replace(tzinfo=MADRID))


@pytest.mark.parametrize(
    ("good", "now", "due"),
    [
        ("2026-03-02 02:31", "2026-03-02 23:00", False),
        ("2026-03-02 02:31", "2026-03-03 02:29", False),
        ("2026-03-02 02:31", "2026-03-03 02:30", True),
        ("2026-03-02 02:31", "2026-03-09 12:00", True),
        (None, "2026-03-09 12:00", True),
        ("2036-03-02 02:31", "2026-03-09 12:00", True),  # made when the clock was ten years ahead
        ("2026-03-09 12:30", "2026-03-09 12:00", False),
        # The night in which 02:30 does not exist, and the one in which it comes twice.
        ("2026-03-28 02:31", "2026-03-29 12:00", True),
        ("2026-10-24 02:31", "2026-10-25 12:00", True),
    ],
)
def test_it_knows_when_one_is_due(good: str | None, now: str, due: bool) -> None:
    assert NIGHTLY is not None
    assert is_due(NIGHTLY, Record(at(good) if good else None), MADRID, at(now)) is due


def test_it_is_due_on_its_days_alone() -> None:
    assert MONDAYS is not None
    record = Record(at("2026-03-02 02:31"))
    assert not is_due(MONDAYS, record, MADRID, at("2026-03-08 23:59"))
    assert is_due(MONDAYS, record, MADRID, at("2026-03-09 02:30"))


@pytest.mark.parametrize(("failures", "minutes"), [(1, 15), (2, 30), (3, 60), (6, 360), (40, 360)])
def test_it_tries_again_ever_more_slowly(failures: int, minutes: int) -> None:
    assert NIGHTLY is not None
    failed_ms = at("2026-03-03 03:00")
    record = Record(at("2026-03-02 02:31"), failures, failed_ms)
    assert not is_due(NIGHTLY, record, MADRID, failed_ms + minutes * 60_000 - 1)
    assert is_due(NIGHTLY, record, MADRID, failed_ms + minutes * 60_000)
    assert is_due(NIGHTLY, record, MADRID, failed_ms - 60_000), "the clock was set back"


@pytest.mark.parametrize(
    ("good", "failures", "now", "overdue"),
    [
        ("2026-03-02 02:31", 0, "2026-03-03 12:00", False),
        ("2026-03-02 02:31", 3, "2026-03-04 02:29", False),
        ("2026-03-02 02:31", 3, "2026-03-04 02:32", True),
        (None, 0, "2026-03-04 02:31", False),
        (None, 1, "2026-03-04 02:31", False),
        (None, 2, "2026-03-04 02:46", True),
        ("2036-03-02 02:31", 0, "2026-03-04 02:31", False),
    ],
)
def test_it_is_overdue_a_day_after_its_time(good: str | None, failures: int, now: str, overdue: bool) -> None:
    assert NIGHTLY is not None
    assert is_overdue(NIGHTLY, Record(at(good) if good else None, failures), MADRID, at(now)) is overdue


def _names(first: str, count: int, hours: int = 24) -> list[str]:
    begin = at(first)
    return [backup_plan.backup_name(SITE, begin + number * hours * 3_600_000, False) for number in range(count)]


def _kept(names: list[str], keep: Keep) -> list[str]:
    gone = superfluous(names, SITE, keep, MADRID, names[-1])
    return [name[17:25] for name in names if name not in gone]


def test_it_keeps_the_newest_of_days_weeks_and_months() -> None:
    names = _names("2026-01-01 02:30", 120)  # until April 30
    assert _kept(names, Keep(3, 2, 3)) == ["20260228", "20260331", "20260426", "20260428", "20260429", "20260430"]
    assert _kept(names, Keep(1, 0, 0)) == ["20260430"]
    assert len(_kept(names, Keep(400, 0, 0))) == 120


def test_it_keeps_the_newest_of_a_day() -> None:
    names = _names("2026-03-02 01:00", 6, hours=4)
    assert superfluous(names, SITE, Keep(7, 0, 0), MADRID, names[-1]) == names[-2::-1]


def test_it_never_gives_away_the_one_that_was_just_made() -> None:
    """Though the clock was ahead when others were made."""
    names = [*_names("2036-01-01 02:30", 10), *_names("2026-03-02 02:30", 1)]
    assert names[-1] not in superfluous(names, SITE, Keep(2, 1, 1), MADRID, names[-1])


def test_it_touches_nothing_that_is_not_of_this_site() -> None:
    mine = _names("2026-03-02 02:30", 3)
    others = [
        "letters.tar.gz",
        "billing-0badcafe-20260101T000000Z.tar.gz.txt",
        "billing-0badcafe-20260101T000000Z (copy).tar.gz",
        "billing-12345678-20260101T000000Z.tar.gz",
        "billing-0badcafe-20261301T000000Z.tar.gz",
        "upgrade-from-schema-4-20260101T000000Z.sqlite3",
    ]
    assert superfluous([*others, *mine], SITE, Keep(1, 0, 0), MADRID, mine[-1]) == mine[-2::-1]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("", None),
        ("/srv/backups/", Address(Kind.FOLDER, "/srv/backups")),
        ("usb:/media/stick", Address(Kind.USB, "/media/stick")),
        ("sftp://ann@nas.local/backups", Address(Kind.SFTP, "/backups", "nas.local", 22, "ann")),
        ("sftp://ann@[fd00::7]:2222/~/b", Address(Kind.SFTP, "/~/b", "fd00::7", 2222, "ann")),
        ("s3://s3.example.org/my-bucket", Address(Kind.S3, "", "s3.example.org", 443, bucket="my-bucket")),
        ("s3+http://nas:9000/b-1/x/y", Address(Kind.S3, "x/y", "nas", 9000, bucket="b-1", is_plain=True)),
    ],
)
def test_it_reads_addresses(text: str, address: Address | None) -> None:
    assert backup_plan.parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "backups", "usb:stick", "usb:media/x", "/srv/../etc", "/srv/a\nb", "sftp://nas/backups", "sftp://ann@nas",
        "sftp://ann:secret@nas/b", "sftp://ann@nas:99999/b", "sftp://ann@nas/b?x", "s3://host", "s3://host/B_",
        "s3://key@host/bucket", "ftp://ann@nas/b", "https://host/bucket", "/" + "x" * 400, "s3://[::1/bucket",
    ],
)  # fmt: skip
def test_it_refuses_what_is_no_place(text: str) -> None:
    with pytest.raises(BadInput):
        backup_plan.parse_address(text)


@pytest.mark.parametrize("text", ["", "25:00", "2:30", "02:60", "02:30:00", "on", "٠٢:٣٠"])
def test_it_refuses_what_is_no_time(text: str) -> None:
    with pytest.raises(BadInput):
        backup_plan.parse_at(text)


@pytest.mark.parametrize("text", ["", "8", "0", "1 2", "Mon"])
def test_it_refuses_what_are_no_days(text: str) -> None:
    with pytest.raises(BadInput):
        backup_plan.parse_days(text)


@pytest.mark.parametrize("text", ["", "7", "7 4", "7 4 6 1", "0 4 6", "-1 4 6", "7 4 401", "a b c"])
def test_it_refuses_to_keep_nothing(text: str) -> None:
    with pytest.raises(BadInput):
        backup_plan.parse_keep(text)


def test_it_finds_the_time_before_in_every_week() -> None:
    assert MONDAYS is not None
    begin = datetime(2026, 3, 2, 2, 30, tzinfo=MADRID)
    for hours in range(0, 24 * 7 * 40, 5):
        now_ms = milliseconds(begin) + hours * 3_600_000
        found = MONDAYS.newest_before(now_ms, MADRID)
        assert 0 <= now_ms - found <= timedelta(days=7, hours=1).total_seconds() * 1000
