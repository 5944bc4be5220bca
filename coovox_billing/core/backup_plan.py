"""When backups are made, where to, and which of them are kept: decided by what is given, the time too."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import Enum
from zoneinfo import ZoneInfo

from coovox_billing.core.clock import local_day, local_moment, milliseconds
from coovox_billing.core.whole_number import parse_whole
from coovox_billing.errors import BadInput

OFF = "off"
EVERY_DAY = "1234567"
DEFAULT_KEEP = "7 4 6"
# Later than this after its time a backup is missed, and somebody is told.
GRACE_MS = 24 * 3_600_000
# A backup that failed is tried again after so long, then after twice as long each time.
FIRST_RETRY_MS, SLOWEST_RETRY_MS = 15 * 60_000, 6 * 3_600_000
# A record so far in the future was made when the clock was ahead.
AHEAD_MS = 3_600_000

_MOST_KEPT = 400
_MOST_ADDRESS = 400
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_NAME = re.compile(r"billing-([0-9a-f]{8})-([0-9]{8}T[0-9]{6})Z\.tar\.gz(\.age)?")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class Kind(Enum):
    """What a place is."""

    FOLDER = "folder"
    USB = "usb"
    SFTP = "sftp"
    S3 = "s3"


@dataclass(frozen=True, slots=True)
class Address:
    """Where backups are kept. `folder` is a path, in a bucket a prefix; the rest is a server's."""

    kind: Kind
    folder: str
    host: str = ""
    port: int = 0
    user: str = ""
    bucket: str = ""
    is_plain: bool = False


@dataclass(frozen=True, slots=True)
class Keep:
    """How many days, weeks and months have a backup; the newest of each stays."""

    days: int
    weeks: int
    months: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """At which time of which days (1 is Monday) of the site a backup is made."""

    at: time
    days: frozenset[int]

    def newest_before(self, moment_ms: int, zone: ZoneInfo) -> int:
        """The last time that one was to be made, ms since 1970 in UTC."""
        today = local_day(moment_ms, zone)
        candidates = (
            milliseconds(datetime.combine(day, self.at, zone))
            for day in (today - timedelta(days=back) for back in range(9))
            if day.isoweekday() in self.days
        )
        return next(found for found in candidates if found <= moment_ms)


@dataclass(frozen=True, slots=True)
class Record:
    """What became of backups: when the last good one was made, None for none; how often it failed since, and when."""

    good_ms: int | None = None
    failures: int = 0
    failed_ms: int = 0


def is_due(schedule: Schedule, record: Record, zone: ZoneInfo, now_ms: int) -> bool:
    """Whether one is to be made now: its time has come since the last good one, and it is not too soon to retry."""
    if record.failures:
        pause_ms = min(FIRST_RETRY_MS << min(record.failures - 1, 10), SLOWEST_RETRY_MS)
        if 0 <= now_ms - record.failed_ms < pause_ms:
            return False
    return _is_missing(schedule, record, zone, now_ms)


def is_overdue(schedule: Schedule, record: Record, zone: ZoneInfo, now_ms: int) -> bool:
    """Whether the last good one is older than it should be: a day after its time, or after a second try, is none."""
    if record.good_ms is None:
        return record.failures > 1
    return _is_missing(schedule, record, zone, now_ms - GRACE_MS) and now_ms - record.good_ms > GRACE_MS


def _is_missing(schedule: Schedule, record: Record, zone: ZoneInfo, moment_ms: int) -> bool:
    if record.good_ms is None or record.good_ms > moment_ms + GRACE_MS + AHEAD_MS:
        return True
    return record.good_ms < schedule.newest_before(moment_ms, zone)


def backup_name(site: str, made_ms: int, is_encrypted: bool) -> str:
    """What a backup is called: of which site, and when it was made."""
    stamp = local_moment(made_ms, ZoneInfo("UTC")).strftime("%Y%m%dT%H%M%S")
    return f"billing-{site}-{stamp}Z.tar.gz{'.age' if is_encrypted else ''}"


def made_at(name: str, site: str) -> datetime | None:
    """When a backup of this site was made, by its name; None for any other file."""
    match = _NAME.fullmatch(name)
    if match is None or match[1] != site:
        return None
    try:
        return datetime.strptime(match[2], "%Y%m%dT%H%M%S").replace(tzinfo=ZoneInfo("UTC"))
    except ValueError:
        return None


def superfluous(names: Iterable[str], site: str, keep: Keep, zone: ZoneInfo, newest: str) -> list[str]:
    """Which of these files are backups of this site that need not be kept; never `newest`, which was made just now."""
    found = {name: made for name in names if (made := made_at(name, site)) is not None}
    days = {name: made.astimezone(zone).date() for name, made in found.items()}
    in_order = sorted(days, key=lambda name: (found[name], name), reverse=True)
    kept = {newest}
    for count, period in ((keep.days, _day), (keep.weeks, _week), (keep.months, _month)):
        of_periods: dict[tuple[int, ...], str] = {}
        for name in in_order:
            of_periods.setdefault(period(days[name]), name)
        kept |= set(list(of_periods.values())[:count])
    return [name for name in in_order if name not in kept]


def _day(day: date) -> tuple[int, ...]:
    return (day.toordinal(),)


def _week(day: date) -> tuple[int, ...]:
    return tuple(day.isocalendar()[:2])


def _month(day: date) -> tuple[int, ...]:
    return day.year, day.month


def parse_at(text: str) -> str:
    """`off`, or a time of day such as 02:30.

    Raises:
        BadInput: it is neither.
    """
    if text == OFF or _TIME.fullmatch(text):
        return text
    raise BadInput("%(text)s is no time for backups: write off, or a time like 02:30", text=repr(text[:40]))


def parse_days(text: str) -> str:
    """Days of the week, 1 is Monday, in order.

    Raises:
        BadInput: it has something else, or none.
    """
    if not text or set(text) - set(EVERY_DAY):
        raise BadInput("%(text)s are no days: write digits, 1 is Monday, like 135", text=repr(text[:40]))
    return "".join(sorted(set(text)))


def parse_schedule(at: str, days: str) -> Schedule | None:
    """Of two settings; None where backups are off."""
    if at == OFF:
        return None
    return Schedule(time.fromisoformat(at), frozenset(map(int, days)))


def parse_keep(text: str) -> Keep:
    """How many daily, weekly and monthly backups are kept, such as `7 4 6`.

    Raises:
        BadInput: these are not three numbers, or keep nothing.
    """
    words = text.split()
    try:
        days, weeks, months = (parse_whole(word, 0, _MOST_KEPT) for word in words)
    except (ValueError, BadInput):
        raise BadInput("%(text)s is not possible: write three numbers, like 7 4 6", text=repr(text[:40])) from None
    if days == 0:
        raise BadInput("keep at least one daily backup: write 1 or more as the first number")
    return Keep(days, weeks, months)


def parse_address(text: str) -> Address | None:
    """Where backups go, None for the data directory: /FOLDER, usb:/FOLDER, sftp://USER@HOST/FOLDER, s3://HOST/BUCKET.

    Raises:
        BadInput: it is none of these.
    """
    if not text:
        return None
    if len(text) > _MOST_ADDRESS or not text.isprintable() or ".." in text.split("/"):
        raise BadInput("this is no place for backups: write a folder, or an address without .. in it")
    if text.startswith("/"):
        return Address(Kind.FOLDER, text.rstrip("/") or "/")
    if text.startswith("usb:/"):
        return Address(Kind.USB, text.removeprefix("usb:").rstrip("/"))
    try:
        return _server(text)
    except ValueError:
        raise _no_place(text) from None


def _server(text: str) -> Address:
    from urllib.parse import unquote, urlsplit

    parts = urlsplit(text)
    port, host, path = parts.port, parts.hostname or "", unquote(parts.path)
    if parts.password is not None:
        raise BadInput("a password does not belong into the address: store it as a secret of its own")
    if not host or parts.query or parts.fragment:
        raise _no_place(text)
    if parts.scheme == "sftp" and parts.username and path.rstrip("/"):
        return Address(Kind.SFTP, path.rstrip("/"), host, port or 22, unquote(parts.username))
    bucket, _, prefix = path.strip("/").partition("/")
    if parts.scheme in ("s3", "s3+http") and not parts.username and _BUCKET.fullmatch(bucket):
        is_plain = parts.scheme == "s3+http"
        return Address(Kind.S3, prefix, host, port or (80 if is_plain else 443), bucket=bucket, is_plain=is_plain)
    raise _no_place(text)


def _no_place(text: str) -> BadInput:
    return BadInput(
        "%(text)s is no place for backups: write /FOLDER, usb:/FOLDER, sftp://USER@HOST/FOLDER or "
        "s3://HOST/BUCKET/PREFIX",
        text=repr(text[:80]),
    )
